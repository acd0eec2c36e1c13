# The delivery worker is killed at random while it sends: nothing is lost, and the gateway that knows messages by their key takes none twice.
use strict;
use warnings;
use lib 'test/lib';
use MfiDelivery;
use MfiTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

my $count = 1500;
my $port = start_simulator();
my $blind_port = start_simulator();
my $node = new_server('main', "mfiauto.private_hosts = '127.0.0.1'", 'restart_after_crash = on');
add_database($node, 'bank');
$node->safe_psql('bank', 'SELECT mfiauto.arm_delivery()');
# Slow enough that a kill meets messages at each stage; an answer is an acceptance, known by its key.
add_gateway($node, 'bank', 'known', $port, '/slow', idempotent => JSON::PP::true);
add_gateway($node, 'bank', 'blind', $blind_port, '/slow', channel => 'voice');
$node->safe_psql('bank', "SELECT mfiauto.hold_delivery('until all is there')");
add_messages($node, 'bank', 1, $count);
add_messages($node, 'bank', $count + 1, $count + 300, channel => 'voice');
$node->safe_psql('bank', "SELECT mfiauto.release_delivery()");

srand 42;
my $kills = 0;
for (1 .. 6)
{
	select undef, undef, undef, 0.3 + rand;
	my $pid = $node->safe_psql('bank', "SELECT pid FROM pg_stat_activity WHERE backend_type LIKE 'mfiauto delivery:%' AND datname = 'bank'");
	next if $pid eq '';
	kill 'KILL', $pid;
	$kills++;
	$node->poll_query_until('postgres', 'SELECT true') or die 'the server did not come back';
	# Retries wait for their time; it is brought forward.
	$node->safe_psql('bank', 'UPDATE mfiauto.outbox SET due_at = mfiauto.now() WHERE lease_until IS NULL; SELECT mfiauto._wake_delivery()');
}
cmp_ok($kills, '>=', 3, 'the worker was killed while it worked');
# What the crash left leased is found out at once, without waiting for the lease to end.
is_soon($node, 'bank', q{
	WITH due AS (UPDATE mfiauto.outbox SET due_at = mfiauto.now() WHERE lease_until IS NULL AND due_at > mfiauto.now() RETURNING 1)
	SELECT count(*) FROM mfiauto.outbox}, '0', 'the queue is worked off', 120);
is($node->safe_psql('bank', states(1, $count)), "sent $count", 'all are sent through the gateway that knows their keys');
my $stats = ask_simulator($port, '/stats');
my $blind = $node->safe_psql('bank', "SELECT count(*) FILTER (WHERE state = 'sent') || ' ' || count(*) FILTER (WHERE state = 'unknown') || ' ' || count(*)
	FROM mfiauto.message WHERE channel = 'voice'");
my ($sent, $unknown, $all) = split / /, $blind;
is($sent + $unknown, 300, "each of the others is sent ($sent) or unknown ($unknown)");
is($all, 300, 'none is lost');
# The simulator counts every acceptance by key: those that were repeated are repeats of a key, which a provider with keys drops.
is($stats->{keys}, $count, 'every message that is called sent has arrived, under no other key than its own');
$stats = ask_simulator($blind_port, '/stats');
cmp_ok($stats->{keys}, '>=', $sent, 'so has every one that the other gateway is said to have');
cmp_ok($stats->{keys}, '<=', 300, 'and no more than were meant');
is($stats->{doubled}, 0, 'none came twice to who knows no keys');
is($node->safe_psql('bank', q{SELECT count(*) FROM mfiauto.attempt WHERE outcome = 'sent'}), '0', 'attempts are kept for what did not simply succeed');

# A shutdown with a request that hangs.
add_gateway($node, 'bank', 'hanging', $port, '/hang', channel => 'push', settings => { timeout => 60 });
add_messages($node, 'bank', 9001, 9003, channel => 'push');
is_soon($node, 'bank', "SELECT in_flight FROM mfiauto.gateway_status WHERE gateway = 'hanging'", '3', 'three requests hang');
# Others go on meanwhile.
add_messages($node, 'bank', 8001, 8010);
is_soon($node, 'bank', states(8001, 8010), 'sent 10', 'a gateway that hangs delays no other');
my $began = time;
$node->stop('fast');
cmp_ok(time - $began, '<', 1, 'a fast shutdown does not wait for it');
$node->start;
is_soon($node, 'bank', states(9001, 9003), 'unknown/outcome_unknown 3', 'what became of those is not known');
$node->stop;
done_testing();
