# A copy never sends: a TEMPLATE copy, a restored dump, a copied data directory, a point-in-time restore, another site.
use strict;
use warnings;
use lib 'test/lib';
use MfiTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $site = PostgreSQL::Test::Utils::tempdir() . '/site';
append_to_file($site, "Dakar\n");
my $node = PostgreSQL::Test::Cluster->new('main');
$node->init(has_archiving => 1, allows_streaming => 1, extra => [ '--locale=C.UTF-8', '--encoding=UTF8' ]);
configure_server($node, "mfiauto.site_file = '$site'");
$node->start;
add_database($node, 'bank');
my $refusal = q{SELECT coalesce(mfiauto._delivery_refusal(), 'may send')};

like($node->safe_psql('bank', $refusal), qr/^never armed/, 'nothing is sent before arm_delivery()');
$node->safe_psql('bank', 'SELECT mfiauto.arm_delivery()');
is($node->safe_psql('bank', $refusal), 'may send', 'the armed database may send');

# In the same server.
$node->safe_psql('postgres', 'CREATE DATABASE copy TEMPLATE bank');
like($node->safe_psql('copy', $refusal), qr/database "bank" was armed, this is "copy"/, 'a TEMPLATE copy is held');
$node->safe_psql('postgres', 'DROP DATABASE copy; ALTER DATABASE bank RENAME TO moved');
like($node->safe_psql('moved', $refusal), qr/database "bank" was armed, this is "moved"/, 'a renamed database is held');
$node->safe_psql('postgres', 'ALTER DATABASE moved RENAME TO bank');
is($node->safe_psql('bank', $refusal), 'may send', 'and goes on under its old name');

# A dump, into the same server and another: it restores without errors, and is held.
my $dump = PostgreSQL::Test::Utils::tempdir() . '/bank.dump';
$node->safe_psql('bank', q{INSERT INTO mfiauto.event_log (client_id, name, occurred_at, received_at) VALUES (7, 'Kept', now(), now())});
$node->command_ok([ 'pg_dump', '-Fc', '-f', $dump, '-d', $node->connstr('bank') ], 'pg_dump');
$node->safe_psql('postgres', 'CREATE DATABASE restored');
$node->command_ok([ 'pg_restore', '--exit-on-error', '-d', $node->connstr('restored'), $dump ], 'pg_restore without an error');
is($node->safe_psql('restored', q{SELECT count(*) FROM mfiauto.event WHERE name = 'Kept'}), '1', 'with its rows');
workers_are($node, 'restored', 'delivery,engine', 'a restored database gets workers');
like($node->safe_psql('restored', $refusal), qr/database "bank" was armed, this is "restored"/, 'and is held');
my $other = new_server('other', "mfiauto.site_file = '$site'");
$other->safe_psql('postgres', 'CREATE DATABASE bank');
$other->command_ok([ 'pg_restore', '--exit-on-error', '-d', $other->connstr('bank'), $dump ], 'pg_restore on another server');
like($other->safe_psql('bank', $refusal), qr/^this is another server/, 'a dump restored on another server is held');
$other->safe_psql('bank', 'SELECT mfiauto.arm_delivery()');
is($other->safe_psql('bank', $refusal), 'may send', 'until it is armed there');
$other->stop;

# A base backup, restored to a point in time on the very place: the timeline tells.
$node->backup('base');
$node->safe_psql('bank', q{SELECT pg_create_restore_point('before_send')});
$node->safe_psql('bank', 'CREATE TABLE later (i int)');
$node->safe_psql('bank', 'SELECT pg_switch_wal()');
$node->poll_query_until('postgres', q{SELECT last_archived_wal >= pg_walfile_name(pg_current_wal_lsn() - 1) OR archived_count > 2 FROM pg_stat_archiver});

# The data directory copied elsewhere while the server is stopped.
$node->stop;
my $copied = copy_server($node, 'copied');
like($copied->safe_psql('bank', $refusal), qr/not one that was armed \(a copied data directory/, 'a copied data directory is held');
ok($copied->wait_for_log(qr/mfiauto sends nothing: this machine or data directory/), 'and its log says why');
$copied->stop;

# An image of the whole machine is told by the site file alone.
unlink $site;
append_to_file($site, "Thies\n");
$node->start;
like($node->safe_psql('bank', $refusal), qr/site_file says another site/, 'another site is held');
unlink $site;
like($node->safe_psql('bank', $refusal), qr/site_file says another site/, 'and so is a site file that is gone');
append_to_file($site, "Dakar");
is($node->safe_psql('bank', $refusal), 'may send', 'the site is named again');

# An old image: the last sign of life is long ago, and there is something in the queue.
$node->safe_psql('postgres', 'ALTER DATABASE bank SET mfiauto.workers = off');
workers_are($node, 'bank', '', 'stopped for long');
$node->safe_psql('bank', q{UPDATE mfiauto.worker_state SET heartbeat_at = now() - interval '2 days';
	INSERT INTO mfiauto.outbox (client_id, message_id, created_at, channel, priority, due_at) VALUES (1, 1, now(), 'sms', 5, now())});
$node->safe_psql('postgres', 'ALTER DATABASE bank RESET mfiauto.workers');
workers_are($node, 'bank', 'delivery,engine', 'and started again');
is_soon($node, 'bank', q{SELECT count(*) FROM mfiauto.delivery_hold WHERE held_by = 'mfiauto' AND scope = 'all'}, '1', 'delivery is held after a long silence');
ok($node->wait_for_log(qr/mfiauto holds delivery: the last sign of life of delivery is 2 days old/), 'and the log says so');
$node->safe_psql('bank', 'DELETE FROM mfiauto.outbox');
$node->stop;

# Point-in-time restore in place: same machine, same directory, another timeline with another reason.
my $restored = PostgreSQL::Test::Cluster->new('restored');
$restored->init_from_backup($node, 'base', has_restoring => 1, standby => 0);
$restored->append_conf('postgresql.conf', "recovery_target_name = 'before_send'\nrecovery_target_action = 'promote'\narchive_mode = off\n");
my $data = $node->data_dir;
rename $data, "$data.old" or die "rename: $!";
rename $restored->data_dir, $data or die "rename: $!";
$node->append_conf('postgresql.conf', 'port = ' . $node->port . "\nunix_socket_directories = '" . $node->host . "'\n");
$node->start;
$node->poll_query_until('postgres', 'SELECT NOT pg_is_in_recovery()');
is($node->safe_psql('bank', q{SELECT to_regclass('later') IS NULL}), 't', 'the restore went back in time');
like($node->safe_psql('bank', $refusal), qr/restored to an earlier moment \(at restore point "before_send"\)/, 'a point-in-time restore is held');
$node->safe_psql('bank', 'SELECT mfiauto.arm_delivery()');
is($node->safe_psql('bank', $refusal), 'may send', 'until it is armed anew');
$node->stop;

done_testing();
