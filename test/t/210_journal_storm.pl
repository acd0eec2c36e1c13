# Nothing lost, nothing twice: a storm of random transactions (commits, rollbacks, savepoints, prepared
# transactions, repeated updates) from two writers on a watched table, while the engine worker is terminated at
# random and the server is killed once. At the end the enrollments must be exactly the committed rows.
#
# The oracle is the table itself: a row that is there was committed, and must have one enrollment; no other may.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

my $transactions = $ENV{MFI_STORM_TRANSACTIONS} // 100_000;
my $writers = 2;

my $node = PostgreSQL::Test::Cluster->new('storm');
$node->init;
$node->append_conf('postgresql.conf', <<'C');
shared_preload_libraries = 'mfiauto'
max_prepared_transactions = 20
mfiauto.engine_interval = '100ms'
fsync = off
C
$node->start;
$node->safe_psql('postgres', <<'S');
CREATE EXTENSION mfiauto;
SET client_min_messages = error;
SELECT mfiauto.install();
CREATE SCHEMA storm;
CREATE TABLE storm.client (id bigint PRIMARY KEY, name text);
CREATE TABLE storm.fact (id bigint PRIMARY KEY, client_id bigint NOT NULL, hits int NOT NULL DEFAULT 0);
CREATE SEQUENCE storm.fact_seq;
SELECT mfiauto.bind('client', 'storm.client', '{"client_id": "id", "name": "name"}');
SELECT mfiauto.watch('Fact Recorded', 'storm.fact', 'INSERT', client => 'client_id', subject => 'id');
SELECT mfiauto.create_workflow('storm', '{"trigger": {"event": "Fact Recorded"}, "reentry": "never", "steps": [{"wait": "30 days"}, {"end": true}]}');
SELECT mfiauto.activate_workflow('storm');
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
INSERT INTO storm.fact (id, client_id) VALUES (:id, :id);
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
$node->safe_psql('postgres', q{BEGIN; INSERT INTO storm.fact (id, client_id) VALUES (999999999, 999999999); PREPARE TRANSACTION 'late'});

sub storm_round
{
	my ($count) = @_;
	my ($out, $err) = ('', '');
	return IPC::Run::start(
		[ 'pgbench', '-n', '-c', $writers, '-j', $writers, '-t', int($count / $writers), '-f', $script,
		  '-h', $node->host, '-p', $node->port, 'postgres' ],
		'>', \$out, '2>', \$err);
}

sub terminate_workers
{
	$node->psql('postgres', q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type LIKE 'mfiauto engine%'});
}

my $rounds = 10;
my $kills = 0;
for my $round (1 .. $rounds)
{
	my $storm = storm_round($transactions / $rounds);
	while ($storm->pumpable)
	{
		$storm->pump_nb;
		usleep(200_000 + rand(400_000));
		terminate_workers(), $kills++ if rand() < 0.5;
		if ($round == 5 && $kills >= 0)
		{
			# kill -9 of a worker: the postmaster restarts every process, and the storm goes on from what was committed.
			my $pid = $node->safe_psql('postgres', q{SELECT pid FROM pg_stat_activity WHERE backend_type LIKE 'mfiauto engine%' LIMIT 1});
			if ($pid) { kill 'KILL', $pid; $kills = -1000; }
		}
	}
	$storm->finish;
	$kills = 1 if $kills < 0;
	$node->poll_query_until('postgres', 'SELECT true') or die 'server did not come back';
}

$node->safe_psql('postgres', q{COMMIT PREPARED 'late'});
$node->poll_query_until('postgres', q{
	SELECT (SELECT count(*) FROM storm.fact) = (SELECT count(*) FROM mfiauto.enrollment WHERE workflow = 'storm')})
  or diag($node->safe_psql('postgres', 'SELECT (SELECT count(*) FROM storm.fact), (SELECT count(*) FROM mfiauto.enrollment)'));

my $committed = $node->safe_psql('postgres', 'SELECT count(*) FROM storm.fact');
cmp_ok($committed, '>', $transactions * 0.5, "the storm committed $committed rows");
is($node->safe_psql('postgres', q{SELECT count(*) FROM storm.fact f WHERE NOT EXISTS (SELECT FROM mfiauto.enrollment e WHERE e.client_id = f.client_id)}),
	'0', 'no committed row without its enrollment');
is($node->safe_psql('postgres', q{SELECT count(*) FROM mfiauto.enrollment e WHERE NOT EXISTS (SELECT FROM storm.fact f WHERE e.client_id = f.client_id)}),
	'0', 'no enrollment of a row that was rolled back');
is($node->safe_psql('postgres', q{SELECT count(*) FROM (SELECT client_id FROM mfiauto.enrollment GROUP BY client_id HAVING count(*) > 1) d}),
	'0', 'no row enrolled twice');
is($node->safe_psql('postgres', q{SELECT count(*) FROM (SELECT client_id FROM mfiauto.event WHERE name = 'Fact Recorded' GROUP BY client_id HAVING count(*) > 1) d}),
	'0', 'no event told twice');
is($node->safe_psql('postgres', q{SELECT count(*) FROM mfiauto.enrollment WHERE client_id = 999999999}), '1', 'the transaction that stayed prepared was not lost');

# Writers pause: the journal is consumed and its segments are given back.
$node->poll_query_until('postgres', q{
	SELECT sum(pg_relation_size('mfiauto.journal_' || n)) < 64 * 1024 * 1024 FROM generate_series(1, 4) n})
  or fail('the journal shrinks');
$node->stop;
done_testing();
