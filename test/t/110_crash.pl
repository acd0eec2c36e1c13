# Killed workers come back, by themselves, and nothing is lost: what was committed meanwhile becomes an enrollment.
use strict;
use warnings;
use lib 'test/lib';
use MfiTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_server('main', "mfiauto.engine_interval = '200ms'");
add_database($node, 'bank');
$node->safe_psql('bank', <<'S');
CREATE TABLE client (id bigint PRIMARY KEY, name text);
CREATE TABLE fact (id bigint PRIMARY KEY, client_id bigint NOT NULL);
SELECT mfiauto.bind('client', 'public.client', '{"client_id": "id", "name": "name"}');
SELECT mfiauto.watch('Fact Recorded', 'public.fact', 'INSERT', client => 'client_id', subject => 'id');
SELECT mfiauto.create_workflow('fact', '{"trigger": {"event": "Fact Recorded"}, "reentry": "never", "steps": [{"wait": "30 days"}, {"end": true}]}');
SELECT mfiauto.activate_workflow('fact');
INSERT INTO client SELECT i, 'client ' || i FROM generate_series(1, 1000) i;
S
my $next = 1;

sub record_and_expect
{
	my ($name) = @_;
	$node->safe_psql('bank', "INSERT INTO fact SELECT i, i FROM generate_series($next, $next + 9) i");
	$next += 10;
	is_soon($node, 'bank', q{SELECT count(*) FROM mfiauto.enrollment WHERE workflow = 'fact'}, $next - 1, $name);
	return;
}

sub pid_of
{
	my ($type) = @_;
	my $pid = '';
	$node->poll_query_until('postgres', qq{SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = '$type'});
	return $node->safe_psql('postgres', qq{SELECT pid FROM pg_stat_activity WHERE backend_type = '$type'});
}

sub has_new_process
{
	my ($type, $old, $name) = @_;
	is_soon($node, 'postgres', qq{SELECT count(*) FROM pg_stat_activity WHERE backend_type = '$type' AND pid <> $old}, '1', $name);
	return;
}

record_and_expect('a commit wakes the engine');

# Ended politely: the others do not notice.
for my $type ('mfiauto engine: bank', 'mfiauto delivery: bank', 'mfiauto launcher')
{
	my $old = pid_of($type);
	$node->safe_psql('postgres', "SELECT pg_terminate_backend($old)");
	has_new_process($type, $old, "$type comes back after pg_terminate_backend");
	record_and_expect("and nothing is lost");
}

# Killed: the server starts all its processes anew.
for my $type ('mfiauto engine: bank', 'mfiauto delivery: bank', 'mfiauto launcher')
{
	my $old = pid_of($type);
	kill 'KILL', $old;
	# The postmaster takes its processes down; a session may still be let in before that.
	my $until = time + $PostgreSQL::Test::Utils::timeout_default;
	while (time < $until)
	{
		my ($status, $out) = $node->psql('postgres', qq{SELECT count(*) FROM pg_stat_activity WHERE backend_type = '$type' AND pid <> $old});
		last if defined $status && $status == 0 && $out eq '1';
		select(undef, undef, undef, 0.1);
	}
	has_new_process($type, $old, "$type comes back after kill -9");
	record_and_expect("and nothing is lost");
}
workers_are($node, 'bank', 'delivery,engine', 'one of each, no more');

# An error in a pass: reported without data, in the log and the status; the worker stays and tries again.
my $pid = pid_of('mfiauto engine: bank');
my $from = -s $node->logfile;
$node->safe_psql('bank', 'ALTER TABLE mfiauto.journal_cursor ADD CONSTRAINT no_more CHECK (batch < 0) NOT VALID');
$node->safe_psql('bank', 'INSERT INTO fact VALUES (100001, 1)');
is_soon($node, 'bank', q{SELECT last_error ~ 'no_more' FROM mfiauto.worker_state WHERE worker = 'engine'}, 't', 'the error is kept');
is($node->safe_psql('bank', q{SELECT state FROM mfiauto.status WHERE item = 'last error'}), 'error', 'and shown in the status');
ok($node->wait_for_log(qr/WARNING:.*engine worker tries again in \d+ s/, $from), 'and logged');
ok(slurp_file($node->logfile, $from) !~ /Failing row contains/, 'without the row');
is(pid_of('mfiauto engine: bank'), $pid, 'the worker did not end');
$node->safe_psql('bank', 'ALTER TABLE mfiauto.journal_cursor DROP CONSTRAINT no_more');
is_soon($node, 'bank', q{SELECT count(*) FROM mfiauto.event WHERE name = 'Fact Recorded' AND subject_id = 100001}, '1', 'and goes on when the cause is gone');

# The clock is refused while they run, and given when they are gone.
my ($status, $out, $err) = $node->psql('bank', q{SELECT mfiauto.set_clock('2026-01-05 09:00+00')});
like($err, qr/the clock cannot be set while this database's workers run.*HINT:  Run ALTER DATABASE bank SET mfiauto.workers = off/s, 'no clock while the workers run');
$node->safe_psql('postgres', 'ALTER DATABASE bank SET mfiauto.workers = off');
workers_are($node, 'bank', '', 'the workers leave');
is($node->safe_psql('bank', q{SELECT mfiauto.set_clock('2026-01-05 09:00+00'); SELECT mfiauto.now()}), "\n2026-01-05 09:00:00+00", 'a clock without workers');
$node->stop;

# Without the preload: capture goes on, nothing else starts, CREATE EXTENSION says what to do.
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'pg_cron'");
$node->start;
$node->safe_psql('bank', 'INSERT INTO fact VALUES (200001, 1)');
is($node->safe_psql('bank', q{SELECT count(*) FROM fact WHERE id = 200001}), '1', 'the host writes without the preload');
like($node->safe_psql('bank', q{ALTER DATABASE bank RESET mfiauto.workers; SELECT detail FROM mfiauto.status WHERE item = 'engine worker'}),
	qr/off|not in shared_preload_libraries/, 'the status says why nothing runs');
$node->safe_psql('postgres', 'CREATE DATABASE fresh');
($status, $out, $err) = $node->psql('fresh', 'CREATE EXTENSION mfiauto');
like($err, qr/mfiauto is not preloaded.*shared_preload_libraries = 'pg_cron,mfiauto'/s, 'CREATE EXTENSION names the remedy');
$node->stop;
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'pg_cron,mfiauto'");
$node->start;
is_soon($node, 'bank', q{SELECT count(*) FROM mfiauto.event WHERE name = 'Fact Recorded' AND subject_id = 200001}, '1', 'what was written then is seen now');
$node->stop;

done_testing();
