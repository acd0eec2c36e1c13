# No reminder leaves whose check began after the payment was committed: 10,000 payments committed before the claim
# without an engine pass in between; then payments that are committed while a live worker sends; and amounts that nobody knows.
#
# That a payment was committed is known to the payer when its COMMIT has returned: that moment, by the server's clock, is
# written down in the transaction that follows. The ledger's claimed_at says when the check began.
use strict;
use warnings;
use lib 'test/lib';
use MfiDelivery;
use MfiTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $count = $ENV{MFI_RACE_PAYMENTS} // 10_000;

my $port = start_simulator();
my $node = new_server('race', "mfiauto.private_hosts = '127.0.0.1'", 'max_wal_size = 2GB');
add_database($node, 'bank');
$node->safe_psql('bank', <<'S');
SET client_min_messages = error;
SELECT mfiauto.arm_delivery();
CREATE SCHEMA bank;
CREATE TABLE bank.client (id bigint PRIMARY KEY, name text, phone text);
CREATE TABLE bank.loan (id bigint PRIMARY KEY, client_id bigint, status text DEFAULT 'active');
CREATE TABLE bank.installment (id bigint PRIMARY KEY, loan_id bigint, due_date date DEFAULT current_date, due numeric DEFAULT 1000, paid numeric DEFAULT 0);
CREATE TABLE bank.paid_log (id bigint PRIMARY KEY, known_at timestamptz);
SELECT mfiauto.bind('client', 'bank.client', '{"client_id": "id", "name": "name", "phone": "phone"}');
SELECT mfiauto.bind('loan', 'bank.loan', '{"loan_id": "id", "client_id": "client_id", "status": "status"}');
SELECT mfiauto.bind('installment', 'bank.installment', '{"installment_id": "id", "loan_id": "loan_id", "due_date": "due_date", "amount_due": "due", "amount_paid": "paid"}');
SELECT mfiauto.create_template('reminder', channel => 'sms', body => 'Bonjour {{client.name}}');
-- A class that is sent at any hour, so that the test is the same at any hour.
SELECT mfiauto.create_workflow('reminder', '{"trigger": {"event": "Installment Scheduled"}, "class": "transactional",
  "exit_if": "installment.amount_paid >= installment.amount_due OR loan.status <> ''active''",
  "steps": [{"send": "reminder"}, {"wait": "30 days"}, {"end": true}]}');
SELECT mfiauto.activate_workflow('reminder');

-- Pays each of the given installments in a transaction of its own.
CREATE PROCEDURE bank.pay(first bigint, last bigint) LANGUAGE plpgsql AS $$
BEGIN
  FOR i IN first .. last LOOP
    UPDATE bank.installment SET paid = due WHERE id = i;
    COMMIT;
  END LOOP;
END $$;

-- While there is a queue: pays one of those that the next claims will take (client, loan and installment have one number), and then notes when it knew that it had.
CREATE PROCEDURE bank.race() LANGUAGE plpgsql AS $$
DECLARE
  payable bigint;
BEGIN
  LOOP
    SELECT q.client_id INTO payable
      FROM (SELECT o.client_id FROM mfiauto.outbox o WHERE o.lease_until IS NULL
             ORDER BY o.channel, o.priority, o.due_at, o.message_id LIMIT 1000) q
     WHERE NOT EXISTS (SELECT FROM bank.paid_log l WHERE l.id = q.client_id)
     ORDER BY random() LIMIT 1;
    EXIT WHEN payable IS NULL AND NOT EXISTS (SELECT FROM mfiauto.outbox);
    CONTINUE WHEN payable IS NULL;
    UPDATE bank.installment SET paid = due WHERE id = payable;
    COMMIT;
    INSERT INTO bank.paid_log VALUES (payable, clock_timestamp());
    COMMIT;
  END LOOP;
END $$;
S
add_gateway($node, 'bank', 'provider', $port, '/ok');

# Queues a reminder for each of the installments, and lets none leave yet.
sub queue_reminders
{
	my ($first, $last) = @_;
	my $many = $last - $first + 1;
	$node->safe_psql('bank', qq{
		SELECT mfiauto.hold_delivery('until all is there');
		INSERT INTO bank.client SELECT i, 'Client ' || i, '+2217' || lpad(i::text, 8, '0') FROM generate_series($first, $last) i;
		INSERT INTO bank.loan SELECT i, i FROM generate_series($first, $last) i;
		INSERT INTO bank.installment SELECT i, i FROM generate_series($first, $last) i});
	is_soon($node, 'bank', "SELECT count(*) FROM mfiauto.message WHERE state = 'queued' AND client_id BETWEEN $first AND $last", $many, "$many reminders are queued");
	return;
}

# Keeps the engine from consuming anything until the returned session ends.
sub stop_engine
{
	my $session = $node->background_psql('bank', on_error_stop => 1);
	$session->query_safe(q{BEGIN; SELECT pg_advisory_xact_lock(hashtext('mfiauto engine'))});
	return $session;
}

sub batch { return $node->safe_psql('bank', 'SELECT batch FROM mfiauto.journal_cursor'); }

# Paid before the claim, the engine knows nothing yet: the live worker.
my ($first, $last) = (1, $count);
queue_reminders($first, $last);
my $engine = stop_engine();
my $batch = batch();
$node->safe_psql('bank', "CALL bank.pay($first, $last)");
$node->safe_psql('bank', 'SELECT mfiauto.release_delivery()');
is_soon($node, 'bank', states($first, $last), "canceled/exit_if $count", 'live worker: every reminder is canceled by its check');
is(batch(), $batch, 'no engine pass in between');
is(ask_simulator($port, '/stats')->{requests}, 0, 'nothing left');

# The same through run_delivery(), in a server whose workers are off.
$engine->quit;
($first, $last) = ($count + 1, $count + 1000);
queue_reminders($first, $last);
$node->safe_psql('postgres', 'ALTER DATABASE bank SET mfiauto.workers = off');
workers_are($node, 'bank', '', 'the workers are off');
$batch = batch();
$node->safe_psql('bank', "CALL bank.pay($first, $last)");
$node->safe_psql('bank', 'SELECT mfiauto.release_delivery()');
is($node->safe_psql('bank', 'SELECT claimed, sent, suppressed FROM mfiauto.run_delivery()'), '0|0|1000', 'run_delivery(): claims none, ends all');
is($node->safe_psql('bank', states($first, $last)), 'canceled/exit_if 1000', 'canceled by their checks');
is(batch(), $batch, 'no engine pass in between');
is(ask_simulator($port, '/stats')->{requests}, 0, 'nothing left');
$node->safe_psql('postgres', 'ALTER DATABASE bank RESET mfiauto.workers');

# What is due is not known: the condition is null, the message is held and not sent; when it is known it goes, or ends.
($first, $last) = ($last + 1, $last + 100);
queue_reminders($first, $last);
$engine = stop_engine();
$node->safe_psql('bank', "UPDATE bank.installment SET due = NULL WHERE id BETWEEN $first AND $last");
$node->safe_psql('bank', 'SELECT mfiauto.release_delivery()');
is_soon($node, 'bank', states($first, $last), 'held/exit_unknown 100', 'a condition that is null holds the message');
is(ask_simulator($port, '/stats')->{requests}, 0, 'nothing left');
my $half = $first + 49;
$node->safe_psql('bank', "UPDATE bank.installment SET due = CASE WHEN id <= $half THEN 2000 ELSE 0 END WHERE id BETWEEN $first AND $last");
$engine->quit;
is_soon($node, 'bank', states($first, $last), 'canceled/exit_if 50, sent 50', 'when it is known they leave or end');
is(ask_simulator($port, '/stats')->{requests}, 50, 'as many left as are called sent');

# Payments that are committed while the messages leave, just before the claim comes to them.
($first, $last) = ($last + 1, $last + $count);
queue_reminders($first, $last);
ask_simulator($port, '/clear');
$node->safe_psql('bank', 'SELECT mfiauto.release_delivery()');
$node->safe_psql('bank', 'CALL bank.race()');
is_soon($node, 'bank', "SELECT count(*) FROM mfiauto.message WHERE client_id BETWEEN $first AND $last AND state IN ('sent', 'canceled')", $count, 'each was sent or canceled');
my ($sent, $canceled, $paid, $late, $violations) = split /\|/, $node->safe_psql('bank', qq{
	SELECT count(*) FILTER (WHERE m.state = 'sent'), count(*) FILTER (WHERE m.state = 'canceled' AND m.reason = 'exit_if'), count(l.id),
	       count(*) FILTER (WHERE m.state = 'sent' AND l.known_at >= m.claimed_at),
	       count(*) FILTER (WHERE m.state = 'sent' AND l.known_at < m.claimed_at)
	  FROM mfiauto.message_ledger m LEFT JOIN bank.paid_log l ON l.id = m.subject_id
	 WHERE m.client_id BETWEEN $first AND $last});
note("sent $sent, canceled $canceled, paid $paid, of which $late after their check had begun");
is($sent + $canceled, $count, 'canceled for no other reason than the payment');
is($violations, 0, 'none was sent whose check began after its payment was committed');
cmp_ok($canceled, '>', 100, "$canceled were paid in time");
cmp_ok($late, '>', 0, "$late were paid too late: the race took place");
is($node->safe_psql('bank', qq{SELECT count(*) FROM mfiauto.message_ledger m WHERE m.client_id BETWEEN $first AND $last AND m.state = 'canceled'
	AND NOT EXISTS (SELECT FROM bank.installment i WHERE i.id = m.subject_id AND i.paid >= i.due)}), '0', 'none was canceled that was not paid');
is($node->safe_psql('bank', qq{SELECT count(*) FROM mfiauto.message_ledger m WHERE m.client_id BETWEEN $first AND $last AND m.state = 'sent' AND m.claimed_at IS NULL}), '0',
	'the moment of each check is known');
my $stats = ask_simulator($port, '/stats');
is("$stats->{taken} $stats->{keys} $stats->{doubled}", "$sent $sent 0", 'the provider has what is called sent, each once');
$node->stop;
done_testing();
