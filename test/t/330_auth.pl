# Who we are, as others see it: tokens that PyJWT verifies, AWS signatures as botocore makes them, a real OAuth server, HTTP/2 by nghttpd; one token for
# many messages, one new token after 401, and no secret in any log.
# packages: python3-jwt python3-cryptography python3-botocore nghttp2-server
# node: oauth2-mock-server@8.2.3
use strict;
use warnings;
use lib 'test/lib';
use JSON::PP;
use MfiDelivery;
use MfiProcess;
use MfiTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $dir = PostgreSQL::Test::Utils::tempdir();
start_process("$dir/peer.log", '/usr/bin/python3', 'test/lib/auth_peer.py', $dir);
wait_until(sub { -s "$dir/port" }) or die 'the peer did not start';
chomp(my $port = slurp_file("$dir/port"));
my $node = new_server('main', "mfiauto.private_hosts = '127.0.0.1'", "mfiauto.ca_file = '$dir/ca.pem'", 'mfiauto.workers = off');
add_database($node, 'bank');
$node->safe_psql('bank', 'SELECT mfiauto.arm_delivery()');

my $client = 0;

# Messages through a gateway of its own; returns what run_delivery() says (sent|failed|retrying) and what the peer saw.
sub deliver
{
	my ($count, $path, %with) = @_;
	my $first = $client + 1;
	$client += $count;
	ask_simulator($port, '/clear');
	my $secrets = delete $with{secret_values} // {};
	add_gateway($node, 'bank', 'one', $with{port} // $port, $path, settings => { concurrency => 50 }, secrets => [ sort keys %$secrets ], map { ($_ => $with{$_}) } grep { $_ ne 'port' } keys %with);
	$node->safe_psql('bank', "SELECT mfiauto.set_secret('one', '$_', file => '$secrets->{$_}')") for sort keys %$secrets;
	add_messages($node, 'bank', $first, $client);
	my $result = $node->safe_psql('bank', 'SELECT sent, failed, retrying FROM mfiauto.run_delivery()');
	my $status = $node->safe_psql('bank', q{SELECT circuit || coalesce(': ' || because, '') FROM mfiauto.gateway_status});
	return ($result, peer(), $status);
}

sub drop_it { $node->safe_psql('bank', q{DELETE FROM mfiauto.outbox; SELECT mfiauto.drop_gateway('one')}); return; }

sub peer { my $answer = ask_simulator_json('/stats'); return $answer; }

sub ask_simulator_json
{
	my $path = shift;
	my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port, Timeout => 10) or die "connect: $!";
	print $socket "GET $path HTTP/1.1\r\nHost: localhost\r\n\r\n";
	my ($length, $body) = (0, '');
	while (defined(my $line = <$socket>)) { $length = $1 if $line =~ /^Content-Length: (\d+)/; last if $line eq "\r\n"; }
	read $socket, $body, $length;
	return decode_json($body);
}

append_to_file("$dir/right", 'pssst');
append_to_file("$dir/wrong", 'not-pssst');
append_to_file("$dir/aws", 'aws-secret-key');
my %client_credentials = (kind => 'oauth2', token_url => "http://127.0.0.1:$port/token", client_id => 'me', client_secret => '{{secret.client_secret}}');

# One token for many messages, and one new one when it is refused.
my ($result, $peer, $status) = deliver(50, '/send', auth => {%client_credentials}, secret_values => { client_secret => "$dir/right" });
is($result, '50|0|0', 'fifty messages at once, by a token that was asked for with an id and a secret');
is_deeply($peer->{counts}, { '/token' => 1, '/send' => 50 }, 'one token was asked for, no message was sent without');
drop_it();
($result, $peer) = deliver(20, '/send', auth => { %client_credentials, client_auth => 'form' }, secret_values => { client_secret => "$dir/right" });
is($result, '20|0|0', 'with the id and the secret in the form');
drop_it();

# Live workers keep a token from message to message, until it is revoked.
$node->append_conf('postgresql.conf', 'mfiauto.workers = on');
$node->reload;
($client) = ($client + 50);
ask_simulator($port, '/clear');
add_gateway($node, 'bank', 'one', $port, '/send', settings => { concurrency => 50 }, secrets => ['client_secret'], auth => {%client_credentials});
$node->safe_psql('bank', "SELECT mfiauto.set_secret('one', 'client_secret', file => '$dir/right')");
add_messages($node, 'bank', $client - 49, $client - 25);
is_soon($node, 'bank', states($client - 49, $client - 25), 'sent 25', 'a worker sends by a token');
add_messages($node, 'bank', $client - 24, $client - 20);
is_soon($node, 'bank', states($client - 24, $client - 20), 'sent 5', 'and goes on with it');
$node->safe_psql('bank', q{SELECT mfiauto.create_gateway('other', 'email', 'sandbox')});
add_messages($node, 'bank', $client + 1, $client + 5);
is_soon($node, 'bank', states($client + 1, $client + 5), 'sent 5', 'also when another gateway was changed');
is(peer()->{counts}{'/token'}, 1, 'the same one');
$node->safe_psql('bank', q{SELECT mfiauto.drop_gateway('other')});
ask_simulator($port, '/revoke');
add_messages($node, 'bank', $client - 19, $client);
is_soon($node, 'bank', states($client - 19, $client), 'sent 20', 'when it is revoked the refused messages are sent again');
is(peer()->{counts}{'/token'}, 2, 'with one new token');
cmp_ok(peer()->{counts}{'/send'}, '>=', 56, 'what was refused was refused once');
cmp_ok(peer()->{counts}{'/send'}, '<=', 75, 'at most once each');
is($node->safe_psql('bank', "SELECT max(attempts) FROM mfiauto.message WHERE client_id BETWEEN $client - 19 AND $client"), '1', 'which is no attempt of its own');
$node->append_conf('postgresql.conf', 'mfiauto.workers = off');
$node->reload;
workers_are($node, 'bank', '', 'the workers are gone');
drop_it();
$client += 5;

# A secret that is wrong stops the gateway; a refusal that no new token heals, too.
($result, $peer, $status) = deliver(3, '/send', auth => {%client_credentials}, secret_values => { client_secret => "$dir/wrong" });
is($result, '0|0|0', 'a wrong secret: nothing is sent');
is($status, 'stopped: token request: HTTP 400', 'the gateway stops and says why');
is($peer->{counts}{'/token'}, 1, 'and does not ask again');
drop_it();
($result, $peer, $status) = deliver(1, '/never', auth => {%client_credentials}, secret_values => { client_secret => "$dir/right" });
is($status, 'stopped: HTTP 401', 'refused with a new token as well: the gateway stops');
is_deeply([ @{ $peer->{counts} }{qw(/token /never)} ], [ 2, 2 ], 'after one new token and one more try');
drop_it();

my $began = time;
($result, $peer) = deliver(3, '/send', auth => { %client_credentials, token_url => "http://127.0.0.1:$port/busy" }, secret_values => { client_secret => "$dir/right" });
is($result, '3|0|0', 'who gives tokens is busy: asked again after the pause that he wants');
is_deeply([ @{ $peer->{counts} }{qw(/busy /send)} ], [ 2, 3 ], 'once');
cmp_ok(time - $began, '<', 4, 'and not later');
drop_it();
for my $case ([ '/tokenless', 'without a token' ], [ '/odd', 'without a token' ])
{
	($result, $peer, $status) = deliver(1, '/send', auth => { %client_credentials, token_url => "http://127.0.0.1:$port$case->[0]" }, secret_values => { client_secret => "$dir/right" });
	is($status, "stopped: token request: HTTP 200, $case->[1]", "$case->[0]: no token that can be used");
	is_deeply($peer->{counts}, { $case->[0] => 1 }, "$case->[0]: nothing is sent");
	drop_it();
}

# Tokens of our own.
my %claims = (claims => { iss => 'TEAM', iat => '$now' }, header => { kid => 'KEY1' });
for my $algorithm (qw(RS256 ES256 HS256))
{
	my $file = { RS256 => 'rsa', ES256 => 'ec', HS256 => 'hs' }->{$algorithm};
	($result, $peer) = deliver(50, '/' . lc $algorithm, auth => { kind => 'jwt', algorithm => $algorithm, key => '{{secret.key}}', %claims }, secret_values => { key => "$dir/$file.key" });
	is($result, '50|0|0', "$algorithm: PyJWT accepts what we sign");
	is_deeply($peer->{problems}, [], "$algorithm: without a word");
	is(scalar @{ $peer->{seen} }, 1, "$algorithm: one token for all");
	drop_it();
}
($result, $peer, $status) = deliver(2, '/es256', auth => { kind => 'jwt', algorithm => 'ES256', key => '{{secret.key}}', %claims }, secret_values => { key => "$dir/rsa.key" });
is($result . ' ' . $status, '0|0|0 stopped: the signing key is not one for ES256', 'a key of another kind stops the gateway');
drop_it();
($result, $peer) = deliver(10, '/renew', auth => { kind => 'jwt', algorithm => 'ES256', key => '{{secret.key}}', claims => { iss => 'TEAM', iat => '$now', jti => '$uuid' }, header => { kid => 'KEY1' } },
	response => { code => { path => 'reason' }, errors => [ { status => 403, code => 'ExpiredProviderToken', class => 'unauthorized' } ] }, secret_values => { key => "$dir/ec.key" });
is($result, '10|0|0', 'a token that the provider calls expired is replaced');
is(scalar @{ $peer->{seen} }, 2, 'by one');
drop_it();

# A token given for an assertion that we sign.
my %assertion = (algorithm => 'RS256', key => '{{secret.key}}',
	claims => { iss => 'robot@x.example', scope => 'https://x.example/messaging', aud => 'https://token.example', iat => '$now', exp => '$now+3600' });
($result, $peer) = deliver(20, '/send', auth => { kind => 'oauth2', grant => 'jwt_bearer', token_url => "http://127.0.0.1:$port/google", assertion => \%assertion },
	secret_values => { key => "$dir/rsa.key" });
is($result, '20|0|0', 'a token for a signed assertion');
is_deeply([ $peer->{problems}, $peer->{counts}{'/google'} ], [ [], 1 ], 'asked for once, the assertion is verified');
drop_it();
($result, $peer, $status) = deliver(1, '/send', auth => { kind => 'oauth2', grant => 'jwt_bearer', token_url => "http://127.0.0.1:$port/google", assertion => \%assertion },
	secret_values => { key => "$dir/ec.key" });
is($status, 'stopped: token request: the signing key is not one for RS256', 'a key that cannot sign it stops the gateway');
drop_it();

# AWS Signature Version 4, by botocore's calculation.
my %aws = (kind => 'sigv4', scope => 'aws:amz:eu-west-1:ses', access_key => 'AKIDEXAMPLE', secret_key => '{{secret.aws}}');
($result, $peer) = deliver(5, '/ses', auth => {%aws}, response => { success => { status => 200 }, id => { path => 'MessageId' } }, secret_values => { aws => "$dir/aws" });
is($result, '5|0|0', 'botocore comes to the same signature');
is_deeply($peer->{problems}, [], 'each time');
drop_it();
($result, $peer, $status) = deliver(1, '/ses', auth => {%aws}, secret_values => { aws => "$dir/wrong" });
is_deeply([ $status, $peer->{problems} ], [ 'stopped: HTTP 403', ['signature differs'] ], 'and to another one with another key');
drop_it();

# A real OAuth server, its tokens verified by the keys that it publishes.
my $oauth_port = PostgreSQL::Test::Cluster::get_free_port();
start_process("$dir/oauth.log", 'node', "$ENV{NODE_PATH}/oauth2-mock-server/dist/oauth2-mock-server.mjs", '-a', '127.0.0.1', '-p', $oauth_port);
wait_for_port($oauth_port);
($result, $peer) = deliver(5, "/oidc?$oauth_port", auth => { %client_credentials, token_url => "http://127.0.0.1:$oauth_port/token", scope => 'sms' }, secret_values => { client_secret => "$dir/right" });
is($result, '5|0|0', 'tokens of a real OAuth server');
is_deeply($peer->{problems}, [], 'are good');
drop_it();

# HTTP/2: many messages on one connection, under a certificate of our own authority.
my $http2_port = PostgreSQL::Test::Cluster::get_free_port();
mkdir "$dir/docroot";
append_to_file("$dir/docroot/3", '{"id": "h2"}');
start_process("$dir/http2.log", 'nghttpd', '-v', '--no-content-length', '-a', '127.0.0.1', '-d', "$dir/docroot", $http2_port, "$dir/server.key", "$dir/server.pem");
wait_for_port($http2_port);
$client += 30;
add_gateway($node, 'bank', 'one', 0, '', settings => { concurrency => 30 }, http_version => '2', secrets => ['key'], auth => { kind => 'jwt', algorithm => 'ES256', key => '{{secret.key}}', %claims },
	request => { method => 'POST', url => "https://127.0.0.1:$http2_port/3", headers => { 'apns-topic' => 'bank.app' }, body => { kind => 'json', json => { text => '{{text}}' } } });
$node->safe_psql('bank', "SELECT mfiauto.set_secret('one', 'key', file => '$dir/ec.key')");
add_messages($node, 'bank', $client - 29, $client);
is($node->safe_psql('bank', 'SELECT sent, failed, retrying FROM mfiauto.run_delivery()'), '30|0|0', 'by HTTP/2');
my $log = slurp_file("$dir/http2.log");
$log =~ s/\e\[[0-9;]*m//g;
is(scalar(() = $log =~ /recv \(stream_id=\d+[^)]*\) :method: POST/g), 30, 'thirty streams');
like($log, qr/apns-topic: bank\.app/, 'with their headers');
my %connections = map { $_ => 1 } $log =~ /\[id=(\d+)\][^\n]*recv \(stream_id=\d+[^)]*\) :method: POST/g;
is(scalar keys %connections, 1, 'of one connection');
# A certificate is checked, and what is wrong with it is told.
$node->append_conf('postgresql.conf', "mfiauto.ca_file = ''\n");
$node->reload;
like($node->safe_psql('bank', q{SELECT outcome, error FROM mfiauto.test_gateway('one', '+221770000000', 'essai')}),
	qr/^config_broken\|certificate of the gateway's server is not valid: (unable to get local issuer certificate|self.signed certificate.*)$/, 'who signed a certificate counts, and an operator reads so');
drop_it();

# Nothing of a secret in the server's log, in what people may see, or in what messages say.
$log = slurp_file($node->logfile);
unlike($log, qr/pssst|aws-secret-key|a shared key|BEGIN PRIVATE KEY|eyJ|token-\d/, 'no secret and no token in the server\'s log');
is($node->safe_psql('bank', q{SELECT count(*) FROM mfiauto.attempt a WHERE a.error ~ 'pssst|secret-key|shared|BEGIN|eyJ|token-'}), '0', 'nor in the attempts');

$node->stop;
done_testing();
