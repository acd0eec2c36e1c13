# Nothing lost, nothing twice: a storm of random transactions (commits, rollbacks, savepoints, prepared
# transactions, repeated updates) from two writers, while the engine worker is terminated at random and the
# server is killed once. At the end events and enrollments must be exactly what was committed.
#
# The oracle is the table itself: a row that is there was committed, and must have one enrollment in each of two
# workflows (one on a watched event, one on a standard event of a bound role); no other may. Its column
# "inserted" counts how often its transaction inserted it, which is how often the watched event happened.
use strict;
use warnings;
use lib 'test/lib';
use MfiTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

my $transactions = $ENV{MFI_STORM_TRANSACTIONS} // 100_000;
my $writers = 2;
my $rounds = 10;

my $node = new_server('storm', "mfiauto.engine_interval = '100ms'", 'max_wal_size = 2GB', 'restart_after_crash = on');
add_database($node, 'bank');
$node->safe_psql('bank', <<'S');
SET client_min_messages = error;
CREATE SCHEMA storm;
CREATE TABLE storm.client (id bigint PRIMARY KEY, name text);
CREATE TABLE storm.fact (id bigint PRIMARY KEY, client_id bigint NOT NULL, hits int NOT NULL DEFAULT 0, inserted int NOT NULL DEFAULT 1,
  written_at timestamptz NOT NULL DEFAULT now());
CREATE SEQUENCE storm.fact_seq;
SELECT mfiauto.bind('client', 'storm.client', '{"client_id": "id", "name": "name"}');
SELECT mfiauto.bind('payment', 'storm.fact', '{"payment_id": "id", "client_id": "client_id", "paid_at": "written_at", "amount": "hits"}');
SELECT mfiauto.watch('Fact Recorded', 'storm.fact', 'INSERT', client => 'client_id', subject => 'id');
SELECT mfiauto.create_workflow('watched', '{"trigger": {"event": "Fact Recorded"}, "reentry": "never", "steps": [{"wait": "30 days"}, {"end": true}]}');
SELECT mfiauto.create_workflow('bound', '{"trigger": {"event": "Payment Received"}, "reentry": "never", "steps": [{"wait": "30 days"}, {"end": true}]}');
SELECT mfiauto.activate_workflow('watched');
SELECT mfiauto.activate_workflow('bound');
S

# One transaction of the storm. Each row has a client of its own, so that enrollments and rows match one to one.
my $script = $node->basedir . '/storm.sql';
append_to_file($script, <<'P');
\set r random(1, 100)
SELECT nextval('storm.fact_seq') AS id \gset
BEGIN;
INSERT INTO storm.fact (id, client_id) VALUES (:id, :id);
\if :r <= 20
ROLLBACK;
\elif :r <= 40
SAVEPOINT a;
INSERT INTO storm.fact (id, client_id) VALUES (-:id, -:id);
ROLLBACK TO a;
UPDATE storm.fact SET hits = hits + 1 WHERE id = :id;
COMMIT;
\elif :r <= 50
SAVEPOINT a;
INSERT INTO storm.fact (id, client_id) VALUES (-:id, -:id);
RELEASE a;
SAVEPOINT b;
UPDATE storm.fact SET hits = hits + 1 WHERE id = :id;
ROLLBACK TO b;
COMMIT;
\elif :r <= 55
DELETE FROM storm.fact WHERE id = :id;
INSERT INTO storm.fact (id, client_id, inserted) VALUES (:id, :id, 2);
COMMIT;
\elif :r <= 60
UPDATE storm.fact SET hits = hits + 1 WHERE id = :id;
UPDATE storm.fact SET hits = hits + 1 WHERE id = :id;
COMMIT;
\elif :r <= 61
PREPARE TRANSACTION 'storm:id';
COMMIT PREPARED 'storm:id';
\elif :r <= 62
PREPARE TRANSACTION 'storm:id';
ROLLBACK PREPARED 'storm:id';
\else
COMMIT;
\endif
P

# A transaction that wrote before the storm, stays prepared through all of it, and commits after it.
$node->safe_psql('bank', q{BEGIN; INSERT INTO storm.fact (id, client_id) VALUES (999999999, 999999999); PREPARE TRANSACTION 'late'});

my $kill_count = 0;
my $termination_count = 0;
my $output = '';

for my $round (1 .. $rounds)
{
	my $storm = IPC::Run::start(
		[ 'pgbench', '-n', '-c', $writers, '-j', $writers, '-t', int($transactions / $rounds / $writers), '-f', $script,
		  '-h', $node->host, '-p', $node->port, 'bank' ],
		'>', \$output, '2>', \$output);
	while ($storm->pumpable)
	{
		$storm->pump_nb;
		usleep(200_000 + rand(400_000));
		my ($status, $pid) = $node->psql('bank', q{SELECT pid FROM pg_stat_activity WHERE backend_type LIKE 'mfiauto engine%'});
		next unless $status == 0 && $pid;
		if ($round >= 5 && $kill_count == 0)
		{
			# kill -9 of a worker: the server restarts every process, and the storm of this round is over.
			$kill_count += kill 'KILL', $pid;
		}
		elsif (rand() < 0.3)
		{
			$termination_count += kill 'TERM', $pid;
		}
	}
	$storm->finish;
	$node->poll_query_until('postgres', 'SELECT true') or die 'the server did not come back';
}
is($kill_count, 1, 'the engine worker was killed once');
cmp_ok($termination_count, '>=', 3, "and terminated $termination_count times");

# What the killed round left prepared commits now, and so does what was prepared before the storm.
is($node->safe_psql('bank', q{SELECT count(*) FROM mfiauto.enrollment WHERE client_id = 999999999}), '0', 'nothing came of what is only prepared');
$node->safe_psql('bank', "COMMIT PREPARED '$_'") for split /\n/, $node->safe_psql('bank', 'SELECT gid FROM pg_prepared_xacts ORDER BY gid');

my $committed = $node->safe_psql('bank', 'SELECT count(*) FROM storm.fact');
cmp_ok($committed, '>', $transactions * 0.5, "the storm committed $committed rows");
for my $workflow ('watched', 'bound')
{
	is_soon($node, 'bank', "SELECT count(*) FROM mfiauto.enrollment WHERE workflow = '$workflow'", $committed, "$workflow: as many enrollments as rows");
	is($node->safe_psql('bank', qq{SELECT count(*) FROM storm.fact f WHERE f.client_id NOT IN (SELECT e.client_id FROM mfiauto.enrollment e WHERE e.workflow = '$workflow')}),
		'0', "$workflow: no committed row without its enrollment");
	is($node->safe_psql('bank', qq{SELECT count(*) FROM mfiauto.enrollment e WHERE e.workflow = '$workflow' AND e.client_id NOT IN (SELECT f.client_id FROM storm.fact f)}),
		'0', "$workflow: no enrollment of a row that was rolled back");
	is($node->safe_psql('bank', qq{SELECT count(*) FROM (SELECT FROM mfiauto.enrollment e WHERE e.workflow = '$workflow' GROUP BY e.client_id HAVING count(*) > 1) d}),
		'0', "$workflow: no row enrolled twice");
}
is($node->safe_psql('bank', q{
	SELECT count(*)
	  FROM storm.fact f
	  FULL JOIN (SELECT client_id, count(*) FILTER (WHERE name = 'Fact Recorded') AS watched, count(*) FILTER (WHERE name = 'Payment Received') AS bound
	               FROM mfiauto.event GROUP BY client_id) e USING (client_id)
	 WHERE (f.inserted, 1) IS DISTINCT FROM (e.watched, e.bound)}), '0', 'every event was told as often as it happened');
is($node->safe_psql('bank', 'SELECT count(*) FROM mfiauto.parked_fact'), '0', 'nothing was parked');

# The writers pause: the journal is consumed and its segments are given back.
is_soon($node, 'bank', q{
	SELECT sum(pg_relation_size('mfiauto.journal_' || n)) < 8 * 1024 * 1024 FROM generate_series(1, 4) n}, 't', 'the journal shrinks');
$node->stop;
done_testing();
