# Every kind of answer, and none: what becomes of the message, and that nothing is sent twice that must not be.
use strict;
use warnings;
use lib 'test/lib';
use MfiDelivery;
use MfiTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $port = start_simulator();
my $node = new_server('main', "mfiauto.private_hosts = '127.0.0.1'", 'mfiauto.workers = off');
add_database($node, 'bank');
my $client = 0;

# One message through a gateway of its own, in as many passes as it takes; the gateway is gone afterwards.
sub outcome_is
{
	my ($path, $expected, $name, %with) = @_;
	my $passes = delete $with{passes} // 1;
	my $text = delete $with{text};
	my $class = delete $with{class};
	my $error = delete $with{error};
	my $count = delete $with{count} // 1;
	my $first = $client + 1;
	$client += $count;
	ask_simulator($port, '/clear');
	add_gateway($node, 'bank', 'one', $port, $path, %with);
	add_messages($node, 'bank', $first, $client, (defined $text ? (text => $text) : ()), (defined $class ? (class => $class) : ()));
	for (1 .. $passes)
	{
		# A later try is due later; time does not stand still for tests, so it is brought forward.
		$node->safe_psql('bank', 'UPDATE mfiauto.outbox SET due_at = mfiauto.now() WHERE NOT is_held;
			UPDATE mfiauto.gateway_state SET throttled_until = NULL; UPDATE mfiauto.gateway_config SET priority = priority') if $_ > 1;
		$node->safe_psql('bank', 'SELECT * FROM mfiauto.run_delivery()');
	}
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	is_soon($node, 'bank', states($first, $client), $expected, $name, 0);
	is($node->safe_psql('bank', "SELECT error FROM mfiauto.attempt WHERE client_id = $client ORDER BY attempt_id DESC LIMIT 1"), $error, "$name: the attempt says why")
		if defined $error;
	my $id = $node->safe_psql('bank', "SELECT provider_id FROM mfiauto.message_ledger WHERE client_id = $client");
	$node->safe_psql('bank', "DELETE FROM mfiauto.outbox; SELECT mfiauto.drop_gateway('one')");
	return ($id, ask_simulator($port, '/stats'));
}

$node->safe_psql('bank', 'SELECT mfiauto.arm_delivery()');
my $json_rule = { response => { success => { status => '2xx', path => 'status', equals => 'ok' }, id => { path => 'id' }, code => { path => 'code' },
	errors => [ { code => '13', class => 'permanent' }, { code => [ '21211' ], class => 'recipient_dead' }, { code => [ '21610' ], class => 'opted_out' } ] } };

# Where the answer is clear.
my ($id, $stats) = outcome_is('/ok', 'sent 1', 'accepted');
is($id, 'id-1', 'the provider\'s id from the body');
is($stats->{last}{headers}{'x-sender'}, undef, 'a header without a value is not sent');
($id) = outcome_is('/header_id', 'sent 1', 'accepted, empty body', response => { success => { status => 202 }, id => { header => 'X-Message-Id' } });
is($id, 'hdr-1', 'the provider\'s id from a header');
($id) = outcome_is('/segment', 'sent 1', 'accepted, a URL', response => { success => { status => 201 }, id => { url_segment => 'url' } });
is($id, 'seg-1', 'the provider\'s id from the last segment of a URL');
($id) = outcome_is('/ok', 'sent 1', 'accepted, found by a pattern', response => { success => { status => 200, regex => '"status":"ok"' }, id => { regex => '"id":"([^"]+)"' } });
is($id, 'id-1', 'the provider\'s id by a pattern');
outcome_is('/error200', 'failed/gateway_rejected 1', '200 with an error inside', %$json_rule, error => 'HTTP 200, code 13');
outcome_is('/refused', 'failed/recipient_rejected 1', 'a number that is none', %$json_rule, error => 'HTTP 400, code 21211');
outcome_is('/stopped', 'failed/recipient_opted_out 1', 'the provider knows of an opt-out', %$json_rule);
is($node->safe_psql('bank', "SELECT granted || ' ' || source FROM mfiauto.consent WHERE client_id = $client"), 'false gateway', 'and now we know it too');
outcome_is('/refused', 'failed/gateway_rejected 1', 'a 400 that the definition says nothing of');
outcome_is('/redirect', 'queued/gateway_stopped 1', 'a redirect is not followed');
(undef, $stats) = outcome_is('/denied', 'queued 2, queued/gateway_stopped 1', 'an account that is refused stops the gateway, the queue is kept', count => 3,
	settings => { concurrency => 1 });
is($stats->{requests}, 1, 'and it is not asked again');

# Later: nothing was accepted, so it can be sent again.
(undef, $stats) = outcome_is('/busy', 'sent 1', 'asked to wait, in seconds', passes => 2);
is($stats->{taken}, 1, 'taken once');
outcome_is('/busy_date', 'sent 1', 'asked to wait until a date', passes => 2);
outcome_is('/busy', 'queued 1', 'not before the time is over');
outcome_is('/down', 'queued 1', 'unavailable is tried later', error => 'HTTP 503');
outcome_is('/down', 'failed/retries_exhausted 1', 'but not for ever', passes => 3, settings => { attempts => 3 });

# Not known: never again, unless the gateway knows the message by its key.
for my $path (qw(/broken /reset /half /hang))
{
	(undef, $stats) = outcome_is($path, 'unknown/outcome_unknown 1', "$path: nobody knows", passes => 3, limits => { timeout => 0.5 });
	is($stats->{requests}, 1, "$path: asked once");
}
(undef, $stats) = outcome_is('/broken_once', 'sent 1', '500 at an idempotent gateway is tried again', passes => 2, idempotent => JSON::PP::true);
is("$stats->{requests} $stats->{keys}", '2 1', 'with the same key');
(undef, $stats) = outcome_is('/reset_once', 'sent 1', 'a reset at an idempotent gateway is tried again', passes => 2, idempotent => JSON::PP::true);
is("$stats->{requests} $stats->{keys}", '2 1', 'with the same key');
outcome_is('/broken', 'unknown/outcome_unknown 1', 'an idempotent gateway that never tells', passes => 3, idempotent => JSON::PP::true, settings => { attempts => 2 });
outcome_is('/broken_once', 'sent 1', 'a class that prefers twice to never', passes => 2, class => 'security');

# Answers that are no answers.
outcome_is('/garbage', 'sent 1', 'garbage after a good status, where the status is enough');
outcome_is('/garbage', 'unknown/outcome_unknown 1', 'garbage where the body should tell', %$json_rule);
($id) = outcome_is('/big', 'sent 1', '10 MB after a good status, where the status is enough');
is($id, '', 'no id from it');
outcome_is('/big', 'unknown/outcome_unknown 1', '10 MB where the body should tell', %$json_rule, error => 'HTTP 200, answer too long');
($id) = outcome_is('/nul_id', 'sent 1', 'an id with a NUL');
is($id, '', 'is no id');
($id) = outcome_is('/odd_id', 'sent 1', 'an id of 400 characters with a line break');
like($id, qr/^a\?b.{1,3}x{200,}$/, 'is cut and cleaned');

# Nothing listens there, or it may not be spoken to.
outcome_is('/ok', 'queued 1', 'connection refused is tried later', request => { url => 'http://127.0.0.1:1/' }, error => 'Couldn\'t connect to server');
outcome_is('/ok', 'queued/gateway_stopped 1', 'a private address that is not listed', request => { url => 'https://10.0.0.1/' },
	error => 'the gateway\'s address is private and its host is not in mfiauto.private_hosts');
outcome_is('/ok', 'queued/gateway_stopped 1', 'the metadata address of a cloud', request => { url => 'https://169.254.169.254/' });
outcome_is('/ok', 'queued/gateway_stopped 1', 'loopback by another name', request => { url => "https://localhost:$port/" });
# However it is written: a number, octal, IPv4 within IPv6, tunnels.
outcome_is('/ok', 'queued/gateway_stopped 1', "a private address as $_", request => { url => "https://$_/" }, error => 'the gateway\'s address is private and its host is not in mfiauto.private_hosts')
	for qw(167772161 0xa.1 012.0.0.1 [::ffff:10.0.0.1] [::10.0.0.1] [64:ff9b::10.0.0.1] [2002:a00:1::1] [2001:0:a00:1::1] [fd00::1] [fe80::1] [3fff::1]);
outcome_is('/ok', 'queued/gateway_stopped 1', 'plain http to a public host', request => { url => 'http://192.0.2.1/' },
	error => 'plain http is only for hosts in mfiauto.private_hosts');

# Text stays in its place.
my $nasty = q{E'a"b\\\\c\r\nX-Evil: 1\r\n{{secret.x}} é \u2026 & <x>'};
(undef, $stats) = outcome_is('/ok', 'sent 1', 'quotes, line breaks and braces in a JSON body', text => $nasty);
is($stats->{last}{headers}{'x-evil'}, undef, 'no header came of it');
my $nasty_text = "a\"b\\c\r\nX-Evil: 1\r\n{{secret.x}} \x{e9} \x{2026} & <x>";
is(JSON::PP->new->utf8->decode(pack 'C*', map { ord } split //, $stats->{last}{body})->{text}, $nasty_text, 'the text arrives as it was');
(undef, $stats) = outcome_is('/ok', 'failed/gateway_rejected 1', 'a line break in a header', text => $nasty,
	request => { method => 'POST', url => "http://127.0.0.1:$port/ok", headers => { 'X-Text' => '{{text}}' }, body => { kind => 'none' } },
	error => 'value for header "X-Text" holds a line break or another control character');
is($stats->{requests}, 0, 'nothing was sent');
(undef, $stats) = outcome_is('/ok', 'sent 1', 'a form', text => $nasty,
	request => { url => "http://127.0.0.1:$port/ok", body => { kind => 'form', fields => { Body => '{{text}}', To => '{{to}}', Nothing => '{{title}}' } } });
is($stats->{last}{body} =~ tr/&//, 1, 'two fields');
like($stats->{last}{body}, qr/Body=a%22b%5Cc%0D%0AX-Evil%3A%201/, 'escaped');
(undef, $stats) = outcome_is('/ok', 'sent 1', 'a query', text => $nasty, request => { method => 'GET', url => "http://127.0.0.1:$port/ok?a=1", query => { t => '{{text}}' } });
like($stats->{last}{target}, qr{^/ok\?a=1&t=a%22b%5Cc%0D%0AX}, 'escaped');
(undef, $stats) = outcome_is('/ok', 'sent 1', 'XML', text => $nasty,
	request => { url => "http://127.0.0.1:$port/ok", body => { kind => 'xml', template => '<m to="{{to}}">{{text}}</m>' } });
like($stats->{last}{body}, qr/^<m to="\+\d+">a&quot;b.*&lt;x&gt;<\/m>$/s, 'escaped');
(undef, $stats) = outcome_is('/ok', 'sent 1', 'multipart', text => $nasty,
	request => { url => "http://127.0.0.1:$port/ok", body => { kind => 'multipart', fields => { text => '{{text}}' } } });
like($stats->{last}{headers}{'content-type'}, qr/^multipart\/form-data; boundary=mfiauto-/, 'its type');

# A token is fetched once, and once more when it is refused.
add_gateway($node, 'bank', 'token', $port, '/oauth', settings => { concurrency => 4 },
	auth => { kind => 'oauth2', token_url => "http://127.0.0.1:$port/token", client_id => 'me', client_secret => '{{secret.client_secret}}' },
	secrets => ['client_secret']);
ask_simulator($port, '/clear');
add_messages($node, 'bank', 1001, 1004);
is($node->safe_psql('bank', 'SELECT sent FROM mfiauto.run_delivery()'), '0', 'without its secret the gateway is not used');
is($node->safe_psql('bank', "SELECT circuit || ': ' || because FROM mfiauto.gateway_status"), 'stopped: secret "client_secret" is not set', 'and says so');
$node->safe_psql('bank', "SELECT mfiauto.set_secret('token', 'client_secret', 'hush')");
is($node->safe_psql('bank', 'SELECT sent, failed, retrying FROM mfiauto.run_delivery()'), '4|0|0', 'a refused token is renewed once');
is(ask_simulator($port, '/stats')->{tokens}, 2, 'with one request at a time');
is($node->safe_psql('bank', "SELECT outcome, status FROM mfiauto.test_gateway('token', '+221770000000', 'essai')"), 'sent|200', 'test_gateway() fetches a token of its own');

# A pass in the foreground, whatever the caller or the database is set to: what has left is on disk, and nothing is read as it was before.
$node->safe_psql('bank', q{
	CREATE TABLE public.seen (synchronous text, isolation text);
	CREATE FUNCTION public.note() RETURNS trigger LANGUAGE plpgsql AS $f$ BEGIN
	  INSERT INTO public.seen VALUES (current_setting('synchronous_commit'), current_setting('transaction_isolation')); RETURN NULL; END $f$;
	CREATE TRIGGER note AFTER UPDATE ON mfiauto.outbox FOR EACH STATEMENT EXECUTE FUNCTION public.note();
	ALTER DATABASE bank SET synchronous_commit = off;
	ALTER DATABASE bank SET default_transaction_isolation = 'repeatable read'});
add_messages($node, 'bank', 2001, 2001);
$node->safe_psql('bank', 'SELECT * FROM mfiauto.run_delivery()');
is($node->safe_psql('bank', 'SELECT DISTINCT * FROM public.seen'), 'on|read committed', 'a pass sets its session right');

$node->stop;
done_testing();
