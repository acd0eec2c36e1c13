# packages: valgrind openssl
# Every kind of answer, letters, polls, receipts and changes of what gateways are, under valgrind: the workers and the sessions beside them use no memory
# that is not theirs or was never written, lose none, and leave no descriptor open. (What valgrind cannot see of the server: MfiValgrind.pm.)
use strict;
use warnings;
use lib 'test/lib';
use Digest::SHA qw(hmac_sha256_hex);
use IO::Socket::INET;
use JSON::PP;
use MfiDelivery;
use MfiFaults;
use MfiProcess;
use MfiTest;
use MfiValgrind;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $dir = PostgreSQL::Test::Utils::tempdir();
my $port = start_simulator();
my $mail = start_mail_peer();

# A provider that speaks TLS, with a certificate of its own making; it answers GET alone.
my $certificate = "$dir/certificate.pem";
system_or_bail('openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-keyout', "$dir/tls.key", '-out', $certificate,
	'-days', '2', '-subj', '/CN=peer', '-addext', 'subjectAltName=IP:127.0.0.1');
start_process("$dir/tls.out", 'openssl', 's_server', '-www', '-accept', '127.0.0.1:0', '-key', "$dir/tls.key", '-cert', $certificate);
my $tls_port = wait_until(sub { -e "$dir/tls.out" && slurp_file("$dir/tls.out") =~ /^ACCEPT \S*:(\d+)\n/m ? $1 : 0 }) or die 'openssl s_server did not start';

# Made before valgrind comes.
my $node = new_server('main', "shared_preload_libraries = 'mfiauto'", 'mfiauto.workers = off', 'autovacuum = off', "mfiauto.private_hosts = '127.0.0.1'",
	"mfiauto.ca_file = '$certificate'", "mfiauto.engine_interval = '5s'", 'shared_buffers = 32MB', 'max_connections = 20');
add_database($node, 'bank');
$node->safe_psql('bank', <<'S');
SET client_min_messages = error;
SELECT mfiauto.arm_delivery();
CREATE TABLE client (id bigint PRIMARY KEY, phone text);
INSERT INTO client SELECT i, '+2217700' || lpad(i::text, 5, '0') FROM generate_series(1, 40) i;
CREATE TABLE payment (id bigserial PRIMARY KEY, client_id bigint, paid_at timestamptz DEFAULT now(), amount numeric DEFAULT 10);
CREATE TABLE handed (reference text);
SELECT mfiauto.bind('client', 'client', '{"client_id": "id", "phone": "phone"}');
SELECT mfiauto.bind('payment', 'payment', '{"payment_id": "id", "client_id": "client_id", "paid_at": "paid_at", "amount": "amount"}');
SELECT mfiauto.create_template('thanks', channel => 'sms', body => 'Merci {{client.client_id}}');
SELECT mfiauto.create_workflow('thanks', '{"trigger": {"event": "Payment Received"}, "class": "transactional", "reentry": "always", "steps": [{"send": "thanks"}]}');
SELECT mfiauto.activate_workflow('thanks');
SELECT mfiauto.create_gateway('tables', 'telegram', definition => '{"sql": {"hand_over": "INSERT INTO public.handed SELECT m.value ->> ''reference'' FROM jsonb_array_elements($1) m RETURNING reference, reference"}}');
S
my $calm = { breaker_failures => 1000 };
my $patient = { timeout => 30, connect_timeout => 20, concurrency => 16 };
sub add_one { my ($server, $name, $channel, $path, %more) = @_; add_gateway($server, 'bank', $name, $port, $path, channel => $channel, limits => $patient, settings => $calm, %more); return; }
add_one($node, 'down', 'sms', '/down', priority => 10);
add_one($node, 'told', 'sms', '/keyed', priority => 20, secrets => ['hook'], signature => { method => 'hmac', secret => 'hook', header => 'X-Sig' },
	receipt => { list => 'told', id => 'id', status => 'status', states => { done => 'delivered', lost => 'undelivered' } },
	inbound => { list => 'said', from => 'from', text => 'text', id => 'id' }, poll => { every => '5 s', request => { url => "http://127.0.0.1:$port/polled" } });
add_one($node, 'broken', 'voice', '/broken');
add_one($node, 'hanging', 'push', '/hang', limits => { %$patient, timeout => 2 });
add_one($node, 'cut', 'webhook', '/reset_once', idempotent => JSON::PP::true);
add_one($node, 'sealed', 'inapp', '/', request => { method => 'GET', url => "https://127.0.0.1:$tls_port/" }, response => { success => { status => '2xx' } }, secrets => ['key'],
	auth => { kind => 'jwt', algorithm => 'ES256', key => '{{secret.key}}', claims => { iss => 'me' } });
$node->safe_psql('bank', qq{SELECT mfiauto.set_secret('told', 'hook', 'hush'), mfiauto.set_secret('sealed', 'key', file => '$dir/tls.key');
	SELECT mfiauto.create_gateway('post', 'email', 'smtp', settings => '{"url": "smtp://127.0.0.1:$mail", "sender": "MFI <news\@mfi.example>", "tls": "none"}')});
my %count = (voice => 20, push => 20, webhook => 20, inapp => 8, telegram => 20, email => 16);
my $client = 1000;
sub add_round
{
	my ($server, $part) = @_;
	$server->safe_psql('bank', "INSERT INTO payment (client_id) SELECT i FROM generate_series(1, 40 * $part) i");
	for my $channel (sort keys %count)
	{
		my $more = $count{$channel} * $part;
		add_messages($server, 'bank', $client + 1, $client + $more, channel => $channel, $channel eq 'email' ? (to => "'c' || i || '\@there.example'") : ());
		$client += $more;
	}
	return;
}
add_round($node, 1);
$node->append_conf('postgresql.conf', 'mfiauto.workers = on');
$node->stop;

start_checked($node, $dir);
my $session = one_session($node, 'bank');
my %pid;
sub pid_of { my $kind = shift; return $session->safe_psql('bank', "SELECT string_agg(pid::text, ' ') FROM pg_stat_activity WHERE backend_type LIKE 'mfiauto $kind%'"); }
for my $kind (qw(launcher engine delivery)) { $pid{$kind} = wait_until(sub { pid_of($kind) }); }

# What providers tell, signed with a key; serve()'s answer.
sub post_news
{
	my ($body, $key) = @_;
	my $json = encode_json($body);
	my $signature = hmac_sha256_hex($json, $key);
	return $session->safe_psql('bank', "SELECT status FROM mfiauto.serve('POST', '/w/told', '', '{\"content-type\": \"application/json\", \"x-sig\": \"$signature\"}', convert_to(\$j\$$json\$j\$, 'UTF8'), '127.0.0.1')");
}

# How many messages are still to end or, of payments, to be; tries that wait are brought forward.
my $worked_off = q{WITH due AS (UPDATE mfiauto.outbox SET due_at = mfiauto.now() WHERE lease_until IS NULL AND due_at > mfiauto.now() RETURNING 1)
	SELECT (SELECT count(*) FROM mfiauto.outbox) + (SELECT count(*) FROM payment) - (SELECT count(*) FROM mfiauto.message WHERE channel = 'sms')};
is_soon($session, 'bank', $worked_off, '0', 'a first round is worked off');
my $ids = $session->safe_psql('bank', q{SELECT string_agg(provider_id, ' ') FROM mfiauto.message WHERE gateway = 'told' AND state = 'sent'});
my %news = (told => [ map { { id => $_, status => 'done' } } split / /, $ids ], said => [ map { { id => "in-$_", from => '+2217700' . sprintf('%05d', $_), text => 'Bonjour' } } 1 .. 5 ]);
is(post_news(\%news, 'hush'), '200', 'what their provider tells is taken');
is(post_news(\%news, 'hushed'), '401', 'what somebody else tells is not');
$session->safe_psql('bank', q{SELECT mfiauto.alter_gateway('told', settings => '{"timeout": 25}');
	SELECT mfiauto.alter_gateway('broken', definition => (SELECT replace(definition::text, '/broken', '/ok')::json FROM mfiauto.gateway WHERE gateway = 'broken'));
	SELECT mfiauto.drop_gateway('cut'); SELECT mfiauto.drop_gateway('tables')});
add_one($session, 'long', 'telegram', '/big', response => { success => { status => '2xx', path => 'status', equals => 'ok' } });
add_one($session, 'guarded', 'webhook', '/oauth', secrets => ['client_secret'],
	auth => { kind => 'oauth2', token_url => "http://127.0.0.1:$port/token", client_id => 'me', client_secret => '{{secret.client_secret}}' });
$session->safe_psql('bank', q{SELECT mfiauto.set_secret('guarded', 'client_secret', 'hush')});
add_round($session, 0.5);
$session->safe_psql('bank', q{SELECT mfiauto.alter_gateway('down', is_enabled => false)});
is_soon($session, 'bank', $worked_off, '0', 'and a second, with gateways that were altered and new ones');
$session->safe_psql('bank', q{SELECT mfiauto.drop_gateway('down')});
is($session->safe_psql('bank', q{SELECT string_agg(channel || ' ' || s, ', ' ORDER BY channel) FROM (SELECT channel, string_agg(state || ' ' || n, ' ' ORDER BY state) AS s
	FROM (SELECT channel, state, count(*) AS n FROM mfiauto.message GROUP BY 1, 2) m GROUP BY channel) c}),
	'email sent 24, inapp sent 12, push unknown 30, sms delivered 40 sent 20, telegram sent 20 unknown 10, voice sent 10 unknown 20, webhook sent 30',
	'each message ended as its provider has it');
cmp_ok(ask_simulator($port, '/stats')->{paths}{'/polled'}, '>', 1, 'a provider was asked for news');
is($session->safe_psql('bank', q{SELECT outcome FROM mfiauto.test_gateway('guarded', '+221770000000', 'essai')}), 'sent', 'a session sends too, with a token of its own');

# A session that gives up while its letter hangs, and a stop with requests and letters that do.
set_way($mail, 'before');
$session->safe_psql('bank', q{CREATE FUNCTION pg_temp.give_up() RETURNS text LANGUAGE plpgsql AS $f$
	BEGIN RETURN (SELECT outcome FROM mfiauto.test_gateway('post', 'awa@there.example', 'essai')); EXCEPTION WHEN query_canceled THEN RETURN 'canceled'; END $f$;
	SET statement_timeout = '10s'});
is($session->safe_psql('bank', 'SELECT pg_temp.give_up()'), 'canceled', 'a session gives up its letter');
$session->safe_psql('bank', 'RESET statement_timeout');
$session->safe_psql('bank', q{SELECT mfiauto.alter_gateway('hanging', settings => '{"timeout": 60}')});
add_messages($session, 'bank', $client + 1, $client + 3, channel => 'push');
add_messages($session, 'bank', $client + 4, $client + 5, channel => 'email', to => "'c' || i || '\@there.example'");
is_soon($session, 'bank', q{SELECT string_agg(gateway || ' ' || in_flight, ', ' ORDER BY gateway) FROM mfiauto.gateway_status WHERE in_flight > 0}, 'hanging 3, post 2', 'requests and letters hang');
is(pid_of($_), $pid{$_}, "$_: the same process all the time") for sort keys %pid;
$session->quit;
$node->stop('fast');

for my $kind (sort keys %pid) { like(slurp_file("$dir/$pid{$kind}.valgrind"), qr/FILE DESCRIPTORS: .* at exit/, "$kind: valgrind had the last word") or diag(join "\n\n", reports_of($dir, $pid{$kind})); }
my @reports = reports_of($dir);
sub none_of { my ($name, @found) = @_; local $Test::Builder::Level = $Test::Builder::Level + 1; return is(scalar(@found), 0, $name) || diag(join "\n\n", @found); }
none_of('no memory is used that is not there or was never written', faults(@reports));
none_of('none is lost', leaks(@reports));
none_of('of malloc() none is kept', kept(@reports));
none_of('no descriptor is left open', descriptors_left(@reports));
done_testing();
