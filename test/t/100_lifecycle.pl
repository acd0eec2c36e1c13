# The workers come where the extension is, leave when they stand in the way, and come back.
use strict;
use warnings;
use lib 'test/lib';
use MfiTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_server('main');
my $both = 'delivery,engine';

$node->safe_psql('postgres', 'CREATE DATABASE bank');
$node->safe_psql('bank', 'CREATE EXTENSION mfiauto');
workers_are($node, 'bank', '', 'no workers before install()');
$node->safe_psql('bank', 'SET client_min_messages = error; SELECT mfiauto.install()');
workers_are($node, 'bank', $both, 'install() brings the workers');
is_soon($node, 'bank', 'SELECT string_agg(worker, \',\' ORDER BY worker) FROM mfiauto.worker_state WHERE heartbeat_at IS NOT NULL',
	$both, 'both give a sign of life');
workers_are($node, 'postgres', '', 'none in a database without the extension');
workers_are($node, 'template1', '', 'none in a template');

# Commands that need the database to themselves.
$node->safe_psql('postgres', 'CREATE DATABASE copy TEMPLATE bank');
workers_are($node, 'bank', $both, 'back after use as a template');
workers_are($node, 'copy', $both, 'the copy gets workers of its own');
$node->safe_psql('postgres', 'ALTER DATABASE copy RENAME TO other');
workers_are($node, 'other', $both, 'back after a rename');
$node->safe_psql('postgres', 'DROP DATABASE other');
is($node->safe_psql('postgres', q{SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE '%: other'}), '0',
	'a database with workers can be dropped');
$node->safe_psql('postgres', 'CREATE DATABASE shelf');
install_mfiauto($node, 'shelf');
workers_are($node, 'shelf', $both, 'workers in a database that becomes a template');
$node->safe_psql('postgres', 'ALTER DATABASE shelf IS_TEMPLATE true');
workers_are($node, 'shelf', '', 'they leave it for good');
$node->safe_psql('postgres', 'ALTER DATABASE shelf IS_TEMPLATE false');
workers_are($node, 'shelf', $both, 'and come back when it is none any more');

# Who may not drop a database cannot send its workers away.
$node->safe_psql('postgres', 'CREATE ROLE nobody LOGIN');
my $before = $node->safe_psql('postgres', q{SELECT string_agg(pid::text, ',' ORDER BY pid) FROM pg_stat_activity WHERE datname = 'bank' AND backend_type LIKE 'mfiauto%'});
my ($status, $out, $err) = $node->psql('postgres', 'SET ROLE nobody; DROP DATABASE bank');
like($err, qr/must be owner of database bank/, 'a stranger is refused');
is($node->safe_psql('postgres', q{SELECT string_agg(pid::text, ',' ORDER BY pid) FROM pg_stat_activity WHERE datname = 'bank' AND backend_type LIKE 'mfiauto%'}), $before,
	'and the workers did not notice');

# Settings of a database, and of the server.
$node->safe_psql('postgres', 'ALTER DATABASE bank SET mfiauto.workers = off');
workers_are($node, 'bank', '', 'mfiauto.workers = off for a database');
workers_are($node, 'shelf', $both, 'stops those of no other');
$node->safe_psql('postgres', 'ALTER DATABASE bank RESET mfiauto.workers');
workers_are($node, 'bank', $both, 'and back');
$node->append_conf('postgresql.conf', 'mfiauto.workers = off');
$node->reload;
workers_are($node, 'bank', '', 'off for the server');
$node->safe_psql('postgres', 'ALTER DATABASE shelf SET mfiauto.workers = on');
workers_are($node, 'shelf', $both, 'a database may be an exception');
$node->append_conf('postgresql.conf', 'mfiauto.workers = on');
$node->reload;
workers_are($node, 'bank', $both, 'on again by reload');

# The extension goes, its tables stay; it comes again.
$node->safe_psql('bank', 'DROP EXTENSION mfiauto CASCADE');
workers_are($node, 'bank', '', 'DROP EXTENSION while they run');
is($node->safe_psql('bank', 'SELECT count(*) FROM mfiauto.installation'), '1', 'the books outlive the extension');
$node->safe_psql('bank', 'BEGIN; CREATE EXTENSION mfiauto; ROLLBACK');
$node->safe_psql('bank', 'CREATE EXTENSION mfiauto');
workers_are($node, 'bank', $both, 'CREATE EXTENSION over existing tables brings them back');
$node->safe_psql('bank', 'BEGIN; DROP EXTENSION mfiauto CASCADE; ROLLBACK');
workers_are($node, 'bank', $both, 'a drop that was rolled back changed nothing');

# Other tables than the code knows: the workers leave and say why.
my $log_from = -s $node->logfile;
$node->safe_psql('bank', 'UPDATE mfiauto.installation SET schema_version = 999');
$node->safe_psql('postgres', 'ALTER DATABASE bank SET mfiauto.batch_size = 5000');
workers_are($node, 'bank', '', 'no workers over tables of another version');
$node->safe_psql('bank', 'UPDATE mfiauto.installation SET schema_version = 1');
$node->safe_psql('postgres', 'ALTER DATABASE bank RESET mfiauto.batch_size');
workers_are($node, 'bank', $both, 'workers when the version fits again');

$node->restart;
workers_are($node, 'bank', $both, 'a restart brings them back');
$node->stop;

# Not enough processes: said once, with what to do, and mended by a restart.
$node->append_conf('postgresql.conf', 'max_worker_processes = 4');
$node->start;
ok($node->wait_for_log(qr/no background worker slot is free/), 'the log says that processes are lacking');
$node->append_conf('postgresql.conf', 'max_worker_processes = 16');
$node->restart;
workers_are($node, 'shelf', $both, 'and they are there when there are enough');
$node->stop;

done_testing();
