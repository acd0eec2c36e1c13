# Transactions that stay open for ever hold up nothing: one that writes in another database of the cluster, and one that holds
# an old snapshot in this one. The journal goes on being consumed and given back, messages go on leaving.
use strict;
use warnings;
use lib 'test/lib';
use MfiTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_server('old', "mfiauto.engine_interval = '100ms'");
$node->safe_psql('postgres', 'CREATE DATABASE other');
$node->safe_psql('other', 'CREATE TABLE ledger (id bigint)');
add_database($node, 'bank');
add_payments($node, 'bank', 99);
$node->safe_psql('bank', <<'S');
SET client_min_messages = error;
SELECT mfiauto.create_template('thanks', channel => 'sms', body => 'Merci {{client.name}}');
SELECT mfiauto.create_workflow('thanks', '{"trigger": {"event": "Payment Received"}, "class": "transactional", "reentry": "always", "steps": [{"send": "thanks"}]}');
SELECT mfiauto.activate_workflow('thanks');
SELECT mfiauto.create_gateway('box', channel => 'sms', preset => 'sandbox');
S

# The oldest of all: a writer in another database, and one that is prepared there.
$node->safe_psql('other', "BEGIN; INSERT INTO ledger VALUES (1); PREPARE TRANSACTION 'forgotten'");
my $writer = $node->background_psql('other', on_error_stop => 1);
$writer->query_safe('BEGIN; INSERT INTO ledger VALUES (2)');
# A report that runs for hours, and its snapshot with it.
my $report = $node->background_psql('bank', on_error_stop => 1);
$report->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM bank.payment');

my $paid = 0;
for my $round (1 .. 12)
{
	my ($first, $last) = ($paid + 1, $paid + 500);
	$node->safe_psql('bank', "INSERT INTO bank.payment (id, client_id) SELECT i, 1 + i % 99 FROM generate_series($first, $last) i");
	$paid = $last;
	# Segments are small here, so that several rounds fill one.
	$node->safe_psql('bank', 'SELECT mfiauto._rotate_journal(16384)') if $round % 2 == 0;
	is_soon($node, 'bank', 'SELECT count(*) FROM mfiauto.sandbox_message', $paid, "round $round: consumed, composed and delivered");
}
is($node->safe_psql('bank', q{SELECT count(DISTINCT subject_id) || ' ' || count(*) FROM mfiauto.event WHERE name = 'Payment Received'}), "$paid $paid", 'each event once');
is($node->safe_psql('bank', q{SELECT count(*) FROM mfiauto.outbox}), '0', 'the queue is empty');
is($report->query_safe('SELECT count(*) FROM bank.payment'), '0', 'all under the eyes of the old snapshot');
is($node->safe_psql('bank', q{SELECT count(*) FROM pg_prepared_xacts}), '1', 'and of what was prepared elsewhere');
# What has been consumed is given back although the old ones are still there: no segment holds more than what a few rounds wrote.
$node->safe_psql('bank', 'SELECT mfiauto._rotate_journal(0)');
$node->safe_psql('bank', 'SELECT mfiauto._rotate_journal(0)');
is_soon($node, 'bank', q{SELECT sum(pg_relation_size('mfiauto.journal_' || n)) <= 8192 * 16 FROM generate_series(1, 4) n}, 't', 'the journal is given back');
$report->quit;
$writer->quit;
$node->safe_psql('other', "ROLLBACK PREPARED 'forgotten'");
$node->stop;
done_testing();
