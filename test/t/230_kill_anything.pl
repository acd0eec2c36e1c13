# The whole way, from the bank's write to the provider, while whatever runs is killed at random: the engine worker, the delivery
# worker, the launcher, the server. At the end every payment has its run and its two messages. The provider that knows messages
# by their key has each once; the one that does not has none twice, and what is doubtful is called unknown, not sent again.
use strict;
use warnings;
use lib 'test/lib';
use MfiDelivery;
use MfiTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $payments = $ENV{MFI_KILL_PAYMENTS} // 600;
my @victims = ('engine', 'delivery', 'launcher', 'server', 'delivery', 'engine', 'server', 'delivery');

my $known = start_simulator();
my $blind = start_simulator();
my $node = new_server('kill', "mfiauto.private_hosts = '127.0.0.1'", "mfiauto.engine_interval = '100ms'", 'restart_after_crash = on');
add_database($node, 'bank');
add_payments($node, 'bank', 99);
$node->safe_psql('bank', <<'S');
SET client_min_messages = error;
SELECT mfiauto.create_template('written', channel => 'sms', body => 'Merci {{client.name}}');
SELECT mfiauto.create_template('spoken', channel => 'voice', body => 'Merci {{client.name}}');
SELECT mfiauto.create_workflow('thanks', '{"trigger": {"event": "Payment Received"}, "class": "transactional", "reentry": "always",
  "steps": [{"send": "written"}, {"send": "spoken"}]}');
SELECT mfiauto.activate_workflow('thanks');
S
# Slow enough that a kill meets messages at each stage.
add_gateway($node, 'bank', 'known', $known, '/slow', idempotent => JSON::PP::true);
add_gateway($node, 'bank', 'blind', $blind, '/slow', channel => 'voice');

my $seed = $ENV{MFI_KILL_SEED} // time;
srand $seed;
note("MFI_KILL_SEED=$seed");
my %killed;
my $written = 0;

# A write may fail when the server goes down under it; what was committed is in the table.
sub write_payments { $node->psql('bank', 'INSERT INTO bank.payment (client_id) SELECT 1 + (random() * 98)::int FROM generate_series(1, 15)'); return; }

sub strike
{
	my $victim = shift;
	if ($victim eq 'server')
	{
		$node->stop('immediate');
		$node->start;
		$killed{server}++;
		return;
	}
	my ($status, $pid) = $node->psql('postgres', "SELECT pid FROM pg_stat_activity WHERE backend_type LIKE 'mfiauto $victim%' ORDER BY random() LIMIT 1");
	$killed{$victim} += kill 'KILL', $pid if $status == 0 && $pid;
	return;
}

while ($written < $payments)
{
	write_payments() for 1 .. 5;
	select undef, undef, undef, 0.2 + rand;
	strike(shift @victims) if @victims;
	$node->poll_query_until('postgres', 'SELECT true') or die 'the server did not come back';
	# What waits for another try is brought forward.
	$node->psql('bank', 'UPDATE mfiauto.outbox SET due_at = mfiauto.now() WHERE lease_until IS NULL AND due_at > mfiauto.now()');
	(undef, $written) = $node->psql('bank', 'SELECT count(*) FROM bank.payment');
	$written ||= 0;
}
strike($_) for @victims;
$node->poll_query_until('postgres', 'SELECT true') or die 'the server did not come back';
note(join ', ', map { "$_ $killed{$_}" } sort keys %killed);
cmp_ok($killed{server} // 0, '>=', 1, 'the server was stopped at once');
cmp_ok(($killed{engine} // 0) + ($killed{delivery} // 0) + ($killed{launcher} // 0), '>=', 3, 'processes were killed');

my $count = $node->safe_psql('bank', 'SELECT count(*) FROM bank.payment');
is_soon($node, 'bank', 'SELECT count(*) FROM mfiauto.message', 2 * $count, "$count payments: two messages each");
is_soon($node, 'bank', q{
	WITH due AS (UPDATE mfiauto.outbox SET due_at = mfiauto.now() WHERE lease_until IS NULL AND due_at > mfiauto.now() RETURNING 1)
	SELECT count(*) FROM mfiauto.outbox}, '0', 'the queue is worked off');
is($node->safe_psql('bank', q{SELECT count(*) FROM bank.payment p
	FULL JOIN (SELECT subject_id, count(*) AS runs FROM mfiauto.enrollment GROUP BY 1) e ON e.subject_id = p.id WHERE e.runs IS DISTINCT FROM 1 OR p.id IS NULL}), '0',
	'every payment has one run, and nothing else has');
is($node->safe_psql('bank', q{SELECT count(*) FROM (SELECT FROM mfiauto.message GROUP BY subject_id, channel HAVING count(*) > 1) d}), '0', 'no message exists twice');
is($node->safe_psql('bank', q{SELECT string_agg(DISTINCT state, ' ') FROM mfiauto.message WHERE channel = 'sms'}), 'sent', 'the provider with keys: all are sent');
is(ask_simulator($known, '/stats')->{keys}, $count, 'it has as many messages as there were payments');

my ($sent, $unknown) = split /\|/, $node->safe_psql('bank', q{
	SELECT count(*) FILTER (WHERE state = 'sent'), count(*) FILTER (WHERE state = 'unknown' AND reason = 'outcome_unknown') FROM mfiauto.message WHERE channel = 'voice'});
my $stats = ask_simulator($blind, '/stats');
is($sent + $unknown, $count, "the provider without keys: $sent sent, $unknown unknown, none lost");
is($stats->{doubled}, 0, 'none came to it twice');
cmp_ok($stats->{keys}, '>=', $sent, 'whatever is called sent has come to it');
cmp_ok($stats->{keys}, '<=', $count, 'and nothing that was not meant');
$node->stop;
done_testing();
