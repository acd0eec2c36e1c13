# A transaction left open in another database of the server, and a snapshot held for the whole run, hold up nothing here.
use strict;
use warnings;
use lib 'test/lib';
use MfiTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_server('main', 'mfiauto.workers = off');
add_database($node, 'bank');
$node->safe_psql('bank', q{
	CREATE TABLE payment (id bigint PRIMARY KEY, amount numeric);
	SELECT mfiauto.bind('payment', 'payment', '{"payment_id":"id","client_id":"7","paid_at":"TIMESTAMPTZ ''2026-03-02 10:00+00''","amount":"amount"}');
});
$node->safe_psql('postgres', 'CREATE TABLE elsewhere (n int)');

# Both have a transaction number, older than everything the bank writes from here on.
my $other = $node->background_psql('postgres');
$other->query_safe('BEGIN; INSERT INTO elsewhere VALUES (1)');
my $report = $node->background_psql('bank');
$report->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM payment');

my $told = 0;
for my $round (1 .. 5)
{
	my $first = $round * 1000;
	$node->safe_psql('bank', "INSERT INTO payment SELECT g, 1 FROM generate_series($first, $first + 99) g");
	my $events = $node->safe_psql('bank', 'SELECT mfiauto._consume_journal()');
	is($events, '100', "batch $round is told at once");
	$told += $events;
	is($node->safe_psql('bank', 'SELECT mfiauto._consume_journal()'), '0', "and once");
	$node->safe_psql('bank', 'SELECT mfiauto._rotate_journal(1)');
}
is($node->safe_psql('bank', "SELECT count(*), count(DISTINCT subject_id) FROM mfiauto.event WHERE name = 'Payment Received'"),
	"$told|$told", 'each payment is one event');
cmp_ok($node->safe_psql('bank', q{SELECT count(*) FROM generate_series(1, 4) n WHERE pg_relation_size(format('mfiauto.journal_%s', n)::regclass) > 0}),
	'<=', 2, 'consumed segments are truncated all the same');
is($report->query_safe('SELECT count(*) FROM payment'), '0', 'the report still sees what it saw');

$other->query_safe('COMMIT');
$report->query_safe('COMMIT');
is($node->safe_psql('bank', 'SELECT mfiauto._consume_journal()'), '0', 'their end brings no event');
$other->quit;
$report->quit;
$node->stop;
done_testing();
