# What must not hold delivery up, nor make it run hot: a probe that asks for something else, a pause of no time, another gateway that is out of use, somebody's open
# transaction, outcomes that cannot be recorded.
use strict;
use warnings;
use lib 'test/lib';
use JSON::PP;
use MfiDelivery;
use MfiFaults;
use MfiTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

$PostgreSQL::Test::Utils::timeout_default = 30;
my $port = start_simulator();

# A name server that says nothing about one domain: getaddrinfo() of it takes its time.
my $library = PostgreSQL::Test::Utils::tempdir() . '/silent_names';
append_to_file("$library.c", <<'C');
#define _GNU_SOURCE
#include <dlfcn.h>
#include <netdb.h>
#include <string.h>
#include <unistd.h>
int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **found)
{
	int (*next)(const char *, const char *, const struct addrinfo *, struct addrinfo **) = (int (*)(const char *, const char *, const struct addrinfo *, struct addrinfo **)) dlsym(RTLD_NEXT, "getaddrinfo");

	if (node != NULL && strstr(node, "silent.example") != NULL)
	{
		sleep(40);
		return EAI_AGAIN;
	}
	return next(node, service, hints, found);
}
C
system_or_bail($ENV{CC} // 'cc', '-shared', '-fPIC', '-o', "$library.so", "$library.c");

my $node = do { local $ENV{LD_PRELOAD} = "$library.so"; new_server('stuck', "mfiauto.private_hosts = '127.0.0.1'", 'mfiauto.connections = 4'); };
add_database($node, 'bank');
$node->safe_psql('bank', 'SELECT mfiauto.arm_delivery()');

# Brings the next tries forward.
sub hurry { $node->safe_psql('bank', 'UPDATE mfiauto.outbox SET due_at = mfiauto.now() WHERE lease_until IS NULL; SELECT mfiauto._wake_delivery()'); return; }

# ---- A circuit that tries again ----

# The one request that a half open circuit lets through is a question what is new.
add_gateway($node, 'bank', 'asked', $port, '/down_once', settings => { breaker_failures => 1 }, poll => { every => '1 s', request => { url => "http://127.0.0.1:$port/polled" } });
add_messages($node, 'bank', 1, 1);
is_soon($node, 'bank', q{SELECT count(*) FROM mfiauto.attempt WHERE client_id = 1}, '1', 'a failure opens the circuit');
$node->safe_psql('bank', q{UPDATE mfiauto.outbox SET due_at = mfiauto.now() + interval '1 hour'});
my $polled = ask_simulator($port, '/stats')->{paths}{'/polled'} // 0;
ok(wait_until(sub { (ask_simulator($port, '/stats')->{paths}{'/polled'} // 0) > $polled + 1 }, 20), 'the provider is asked what is new again, and again');
hurry();
is_soon($node, 'bank', states(1, 1), 'sent 1', 'and messages leave again');
is($node->safe_psql('bank', q{SELECT circuit FROM mfiauto.gateway_status WHERE gateway = 'asked'}), 'closed', 'the circuit is closed');
$node->safe_psql('bank', q{SELECT mfiauto.drop_gateway('asked')});

# It is a message whose token is refused.
add_gateway($node, 'bank', 'relapsing', $port, '/relapse', settings => { breaker_failures => 1 }, secrets => ['client_secret'],
	auth => { kind => 'oauth2', token_url => "http://127.0.0.1:$port/token", client_id => 'me', client_secret => '{{secret.client_secret}}' });
$node->safe_psql('bank', q{SELECT mfiauto.set_secret('relapsing', 'client_secret', 'hush')});
add_messages($node, 'bank', 11, 11);
is_soon($node, 'bank', q{SELECT count(*) FROM mfiauto.attempt WHERE client_id = 11}, '1', 'a provider fails');
is_soon($node, 'bank', q{WITH due AS (UPDATE mfiauto.outbox SET due_at = mfiauto.now() WHERE lease_until IS NULL AND due_at > mfiauto.now() RETURNING 1) } . states(11, 11), 'sent 1',
	'back again, it has forgotten its tokens: it is given a new one');
$node->safe_psql('bank', q{SELECT mfiauto.drop_gateway('relapsing')});

# ---- A pause of no time ----

ask_simulator($port, '/clear');
add_gateway($node, 'bank', 'hurried', $port, '/hurry', settings => { concurrency => 2 });
my $began = time;
add_messages($node, 'bank', 101, 300);
ok(wait_until(sub { ask_simulator($port, '/stats')->{requests} >= 6 }), 'asked to wait for no time, or until a time in the past');
cmp_ok(ask_simulator($port, '/stats')->{requests}, '<=', 4 * (time - $began + 2), 'a gateway is left alone for a second all the same');
$node->safe_psql('bank', q{DELETE FROM mfiauto.outbox});
is_soon($node, 'bank', q{SELECT count(*) FROM mfiauto.outbox WHERE lease_until IS NOT NULL}, '0', 'none is on its way');
$node->safe_psql('bank', q{SELECT mfiauto.drop_gateway('hurried')});

# ---- Another gateway that is out of use ----

for my $way ('stopped', 'held')
{
	my $client = $way eq 'held' ? 31 : 41;
	add_gateway($node, 'bank', 'second', $port, $way eq 'held' ? '/ok' : '/denied', priority => 20);
	if ($way eq 'held') { $node->safe_psql('bank', q{SELECT mfiauto.hold_delivery('closed', gateway => 'second')}); }
	else { add_messages($node, 'bank', $client, $client); }
	is_soon($node, 'bank', q{SELECT circuit FROM mfiauto.gateway_status}, $way, "$way: the second gateway is out of use");
	add_gateway($node, 'bank', 'first', $port, '/down_once', priority => 10, settings => { breaker_failures => 100 });
	add_messages($node, 'bank', $client + 1, $client + 1);
	is_soon($node, 'bank', "SELECT count(*) FROM mfiauto.attempt WHERE client_id = $client + 1 AND gateway = 'first'", '1', "$way: the first one fails once");
	is_soon($node, 'bank', q{WITH due AS (UPDATE mfiauto.outbox SET due_at = mfiauto.now() WHERE lease_until IS NULL AND due_at > mfiauto.now() RETURNING 1) } . states($client + 1, $client + 1),
		'sent 1', "$way: the message does not wait for the second", 15);
	$node->safe_psql('bank', q{DELETE FROM mfiauto.outbox; SELECT mfiauto.drop_gateway('first'); SELECT mfiauto.drop_gateway('second')});
}

# It is taken out of use while messages wait for it.
add_gateway($node, 'bank', 'second', $port, '/wait/3600', priority => 20);
add_messages($node, 'bank', 51, 51);
is_soon($node, 'bank', q{SELECT circuit FROM mfiauto.gateway_status}, 'throttled', 'the second gateway pauses for an hour');
add_gateway($node, 'bank', 'first', $port, '/refused', priority => 10);
add_messages($node, 'bank', 52, 52);
is_soon($node, 'bank', q{SELECT tried_gateways::text FROM mfiauto.outbox WHERE client_id = 52}, '{first}', 'what the first refuses waits for it');
$node->safe_psql('bank', q{SELECT mfiauto.alter_gateway('second', is_enabled => false)});
is_soon($node, 'bank', states(52, 52), 'failed/gateway_rejected 1', 'until it is out of use');

# ---- Somebody's open transaction ----

$node->safe_psql('bank', q{DELETE FROM mfiauto.outbox; SELECT mfiauto.drop_gateway('first'); SELECT mfiauto.drop_gateway('second')});
ask_simulator($port, '/clear');
add_gateway($node, 'bank', 'text', $port, '/ok');
add_gateway($node, 'bank', 'call', $port, '/ok', channel => 'voice');
add_messages($node, 'bank', 61, 62);
is_soon($node, 'bank', states(61, 62), 'sent 2', 'two gateways are at work');
hold_lock($node, 'bank', q{SELECT mfiauto.alter_gateway('text', settings => '{"rate_per_second": 100}')});
add_messages($node, 'bank', 401, 410);
add_messages($node, 'bank', 411, 420, channel => 'voice');
is_soon($node, 'bank', states(411, 420), 'sent 10', 'while somebody changes a gateway, others are in use', 10);
is_soon($node, 'bank', states(401, 410), 'sent 10', 'and so is it', 10);
release_lock();
is_soon($node, 'bank', q{SELECT string_agg(gateway || ' ' || sent, ', ' ORDER BY gateway) FROM mfiauto.gateway_status}, 'call 10, text 12', 'what it has sent is counted later');

# One message's row is held: the others are recorded, and so is it, later.
add_gateway($node, 'bank', 'slow', $port, '/slow', channel => 'push');
$node->safe_psql('bank', q{SELECT mfiauto.hold_delivery('until all is there')});
add_messages($node, 'bank', 421, 430, channel => 'push');
hold_lock($node, 'bank', q{SELECT FROM mfiauto.message_ledger WHERE client_id = 425 FOR UPDATE});
$node->safe_psql('bank', q{DELETE FROM mfiauto.delivery_hold; SELECT mfiauto._wake_delivery()});
is_soon($node, 'bank', states(421, 430), 'claimed 1, sent 9', 'while somebody holds a message, others are recorded', 15);
release_lock();
is_soon($node, 'bank', states(421, 430), 'sent 10', 'and it when he is done');

# ---- Outcomes that cannot be recorded ----

$node->safe_psql('bank', q{
	CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $f$ BEGIN RAISE EXCEPTION 'no'; END $f$;
	CREATE TRIGGER refuse BEFORE UPDATE ON mfiauto.message_ledger FOR EACH ROW WHEN (NEW.state = 'sent') EXECUTE FUNCTION refuse()});
$node->safe_psql('bank', q{SELECT mfiauto.create_gateway('app', 'inapp', 'inapp')});
ask_simulator($port, '/clear');
add_messages($node, 'bank', 501, 501, class => 'security');
ok(wait_until(sub { ask_simulator($port, '/stats')->{taken} >= 1 }), 'a message has left and cannot be recorded');
# Its lease ends meanwhile, or somebody puts the clock forward.
$node->safe_psql('bank', q{UPDATE mfiauto.outbox SET lease_until = now() - interval '1 hour'; SELECT mfiauto.alter_gateway('call')});
add_messages($node, 'bank', 9001, 9001, channel => 'inapp');
is_soon($node, 'bank', states(9001, 9001), 'claimed 1', 'one is for the app');
$node->safe_psql('bank', q{SELECT mfiauto.alter_gateway('app', is_enabled => false)});
add_messages($node, 'bank', 1001, 3000);
is_soon($node, 'bank', q{SELECT state || ' ' || (detail ~ '^delivery worker, .* ago: an error of class P0001$') FROM mfiauto.status WHERE item = 'last error'}, 'error true', 'status says so');
# An error about a value quotes it.
$node->safe_psql('bank', q{CREATE OR REPLACE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $f$ BEGIN PERFORM NEW.to_address::uuid; RETURN NEW; END $f$});
is_soon($node, 'bank', q{SELECT regexp_replace(detail, '^.*? ago: ', '') FROM mfiauto.status WHERE item = 'last error'}, 'invalid input syntax for type uuid: "***"', 'not whose number it was about');
my $taken = 0;
wait_until(sub { select undef, undef, undef, 1.5; my $now = ask_simulator($port, '/stats')->{taken}; my $is_over = $now == $taken && $now > 1; $taken = $now; return $is_over; });
cmp_ok($taken, '<', 1000, "no more leave when too many ($taken) cannot be");
is($node->safe_psql('bank', q{SELECT count(*) FROM mfiauto.outbox WHERE client_id = 501 AND lease_until IS NOT NULL}), '1', 'the first one is still in the worker\'s hands');
$node->safe_psql('bank', q{DROP TRIGGER refuse ON mfiauto.message_ledger});
is_soon($node, 'bank', states(501, 3000), 'sent 2001', 'when they can be, all leave');
my $stats = ask_simulator($port, '/stats');
is("$stats->{taken} $stats->{doubled}", '2001 0', 'each once');
is_soon($node, 'bank', states(9001, 9001), 'sent 1', 'so has the one for the app');
is($node->safe_psql('bank', q{SELECT count(*) FROM mfiauto.inbox WHERE client_id = 9001}), '1', 'where it is, though its gateway was taken out of use');

# What was fetched and cannot be recorded: the worker's last try is at its end.
$node->safe_psql('bank', q{CREATE TRIGGER refuse BEFORE INSERT ON mfiauto.poll_state FOR EACH ROW EXECUTE FUNCTION refuse()});
my $id = $node->safe_psql('bank', q{SELECT message_id FROM mfiauto.message WHERE client_id = 501});
add_gateway($node, 'bank', 'teller', $port, '/ok', channel => 'telegram', poll => { every => '1 s', request => { url => "http://127.0.0.1:$port/told_once" } },
	receipt => { list => 'told', id => 'id', status => 'status', states => { done => 'delivered' } });
$node->safe_psql('bank', qq{INSERT INTO mfiauto.provider_key (client_id, message_id, gateway, provider_id, named_at) VALUES (501, $id, 'teller', 'p-1', mfiauto.now())});
ok(wait_until(sub { ask_simulator($port, '/stats')->{paths}{'/told_once'} }), 'a provider tells something once');
is_soon($node, 'bank', q{SELECT last_error_at > clock_timestamp() - interval '2 s' FROM mfiauto.worker_state WHERE worker = 'delivery'}, 't', 'which cannot be recorded');
my $pid = delivery_pid($node, 'bank');
$node->safe_psql('bank', qq{BEGIN; DROP TRIGGER refuse ON mfiauto.poll_state; SELECT pg_terminate_backend($pid); COMMIT});
is_soon($node, 'bank', states(501, 501), 'delivered 1', 'it is not forgotten when the worker ends');

# ---- What this machine is short of ----

# More connections are asked for than the worker has made room for.
is_soon($node, 'bank', q{SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'mfiauto delivery:%'}, '1', 'the worker is there again');
$node->append_conf('postgresql.conf', 'mfiauto.connections = 64');
$node->reload;
$node->safe_psql('bank', q{SELECT mfiauto.alter_gateway('call', is_enabled => false)});
add_gateway($node, 'bank', 'crowded', $port, '/slow', channel => 'voice', limits => { timeout => 20, concurrency => 64 });
add_messages($node, 'bank', 9101, 9160, channel => 'voice');
is_soon($node, 'bank', states(9101, 9160), 'sent 60', 'no more are sent at once than there is room for');

# A letter needs a thread.
my $mail = start_mail_peer();
$node->safe_psql('bank', qq{SELECT mfiauto.create_gateway('post', 'email', 'smtp', settings => '{"url": "smtp://127.0.0.1:$mail", "sender": "MFI <news\@mfi.example>", "tls": "none"}')});
$pid = delivery_pid($node, 'bank');
system_or_bail('prlimit', '--pid', $pid, '--nproc=1:');
add_messages($node, 'bank', 9201, 9202, channel => 'email', to => "'c' || i || '\@there.example'");
is_soon($node, 'bank', q{SELECT circuit FROM mfiauto.gateway_status WHERE gateway = 'post'}, 'throttled', 'no thread can be made: later');
system_or_bail('prlimit', '--pid', $pid, '--nproc=10000:');
hurry();
is_soon($node, 'bank', states(9201, 9202), 'sent 2', 'the letters leave when one can');

# ---- A name that is looked up and looked up ----

add_gateway($node, 'bank', 'lost', $port, '/ok', channel => 'webhook', request => { method => 'POST', url => 'https://a.silent.example/' }, limits => { timeout => 2, connect_timeout => 1 });
add_messages($node, 'bank', 9301, 9302, channel => 'webhook');
is_soon($node, 'bank', q{SELECT count(*) FROM mfiauto.outbox WHERE client_id BETWEEN 9301 AND 9302 AND lease_until IS NOT NULL}, '2', 'two requests wait for a name');
is_soon($node, 'bank', q{SELECT count(DISTINCT client_id) FROM mfiauto.attempt WHERE client_id BETWEEN 9301 AND 9302}, '2', 'until their time is over', 12);
my $stopping = time;
$node->stop('fast');
cmp_ok(time - $stopping, '<', 10, 'nor does a shutdown wait for it');

done_testing();
