# The way of a small branch: messages by the tables of a real Gammu SMSD and its dummy telephone, in one transaction with the ledger.
# packages: gammu gammu-smsd
use strict;
use warnings;
use lib 'test/lib';
use MfiDelivery;
use MfiProcess;
use MfiTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

die 'Gammu SMSD is not installed' unless -x '/usr/bin/gammu-smsd';
my $dir = PostgreSQL::Test::Utils::tempdir();
my $node = new_server('main');
add_database($node, 'bank');
$node->safe_psql('bank', slurp_file('test/lib/gammu.sql'));
mkdir "$dir/phone" or die;
mkdir "$dir/phone/sms" or die;
mkdir "$dir/phone/sms/$_" or die for 1 .. 5;
my ($host, $port) = ($node->host, $node->port);
append_to_file("$dir/smsd.conf", <<"CONF");
[gammu]
model = dummy
connection = none
device = $dir/phone
[smsd]
service = sql
driver = native_pgsql
sql = pgsql
host = $host:$port
user = gammu
database = bank
commtimeout = 1
sendtimeout = 5
receivefrequency = 1
statusfrequency = 0
hangupcalls = false
logfile = $dir/smsd.log
debuglevel = 1
CONF
append_to_file("$dir/phone.conf", "[gammu]\nmodel = dummy\nconnection = none\ndevice = $dir/phone\n");

sub start_smsd
{
	local @ENV{qw(PGHOST PGPORT)} = ($host, $port);
	return start_process("$dir/smsd.out", '/usr/bin/gammu-smsd', '-c', "$dir/smsd.conf");
}

$node->safe_psql('bank', q{
	SELECT mfiauto.arm_delivery();
	SELECT mfiauto.create_gateway('modem', 'sms', 'gammu', settings => '{"schema": "nowhere", "cost_per_part": 5}')});

# Tables that are not there stop the gateway; nothing is lost, nothing is sent twice.
add_messages($node, 'bank', 1, 2);
is_soon($node, 'bank', "SELECT circuit || ': ' || because FROM mfiauto.gateway_status", 'stopped: tables refused it, SQLSTATE 42P01', 'wrong tables stop the gateway');
is($node->safe_psql('bank', states(1, 2)), 'queued/gateway_stopped 2', 'and its messages wait');
$node->safe_psql('bank', q{SELECT mfiauto.alter_gateway('modem', settings => '{"schema": "gammu"}')});
is_soon($node, 'bank', states(1, 2), 'sent 2', 'the right ones start it again');
is($node->safe_psql('bank', q{SELECT count(*) || ' ' || count(DISTINCT "CreatorID") FROM gammu.outbox}), '2 2', 'each was handed over once');

# What Gammu cannot take (a number of more than 20 digits) keeps nobody else.
$node->safe_psql('bank', q{SELECT mfiauto.hold_delivery('x')});
add_messages($node, 'bank', 11, 12);
$node->safe_psql('bank', q{UPDATE mfiauto.message_ledger SET to_address = '+2217700000000000000000001' WHERE client_id = 11; SELECT mfiauto.release_delivery()});
is_soon($node, 'bank', states(12, 12), 'sent 1', 'the others of its batch leave');
is_soon($node, 'bank', "SELECT attempts >= 1 AND state = 'queued' FROM mfiauto.message WHERE client_id = 11", 't', 'what was refused is tried again, later');

# The telephone sends; parts with their headers.
start_smsd();
is_soon($node, 'bank', q{SELECT count(*) FROM gammu.sentitems}, '3', 'the telephone sends them');
add_messages($node, 'bank', 21, 21, text => q{repeat('Bonjour ', 43) || 'fin...'});
add_messages($node, 'bank', 22, 22, text => q{repeat('Prêt ', 20) || '✓'});
is_soon($node, 'bank', q{SELECT string_agg(m.client_id || ': ' || s.parts, ', ' ORDER BY m.client_id)
	FROM (SELECT split_part("CreatorID", '-', 1)::bigint AS message_id, string_agg(length("TextDecoded") || ' ' || "UDH", ' ' ORDER BY "SequencePosition") AS parts
	        FROM gammu.sentitems GROUP BY 1) s JOIN mfiauto.message_ledger m USING (message_id) WHERE m.client_id > 20},
	qr/^21: 153 050003(..)0301 153 050003\g{1}0302 44 050003\g{1}0303, 22: 67 050003(..)0201 34 050003\g{2}0202$/i, 'in parts of 153 and 67, one family each');

# The network's reports, as SMSD writes them.
is_soon($node, 'bank', q{SELECT count(*) FROM mfiauto.receipt}, qr/^([5-9]|\d\d)/, 'what was sent is told');
$node->safe_psql('bank', q{UPDATE gammu.sentitems s SET "Status" = CASE m.client_id WHEN 1 THEN 'DeliveryFailed' ELSE 'DeliveryOK' END
	FROM mfiauto.message_ledger m WHERE m.message_id = split_part(s."CreatorID", '-', 1)::bigint AND NOT (m.client_id = 21 AND s."SequencePosition" = 3)});
is_soon($node, 'bank', q{SELECT string_agg(client_id || ' ' || state, ', ' ORDER BY client_id) FROM mfiauto.message WHERE client_id <> 11},
	'1 undelivered, 2 delivered, 12 delivered, 21 sent, 22 delivered', 'delivered, failed, and not yet wholly delivered');
$node->safe_psql('bank', q{UPDATE gammu.sentitems SET "Status" = 'DeliveryOK' WHERE "SequencePosition" = 3});
is_soon($node, 'bank', states(21, 21), 'delivered 1', 'with its last part');
is($node->safe_psql('bank', q{SELECT max(n) FROM (SELECT count(*) AS n FROM mfiauto.receipt GROUP BY provider_id, status) r}), '1', 'no receipt twice, however often the tables are read');

# A message from a person, by the telephone itself; and in two parts that came in the wrong order.
system_or_bail('/usr/bin/gammu', '-c', "$dir/phone.conf", 'savesms', 'TEXT', '-folder', '1', '-text', 'STOP', '-sender', '+221770000002');
for my $file (glob "$dir/phone/sms/1/*")
{
	my $sms = slurp_file($file);
	$sms =~ s/^PDU = .*$/PDU = Deliver/m;
	unlink $file;
	append_to_file($file, $sms);
}
is_soon($node, 'bank', q{SELECT body || ' ' || action || ' ' || client_id FROM mfiauto.inbound_log}, qr/^STOP stop/, 'STOP comes in by the telephone');
$node->safe_psql('bank', q{INSERT INTO gammu.inbox ("SenderNumber", "RecipientID", "Text", "TextDecoded", "UDH") VALUES ('+221770000021', '', '', 'deuxieme', '050003A10202')});
$node->safe_psql('bank', q{INSERT INTO gammu.inbox ("SenderNumber", "RecipientID", "Text", "TextDecoded", "UDH") VALUES ('+221770000022', '', '', 'AIDE', ''),
	('+221770000021', '', '', 'premiere et ', '050003A10201')});
is_soon($node, 'bank', q{SELECT string_agg(body, ', ' ORDER BY body) FROM mfiauto.inbound_log}, 'AIDE, STOP, premiere et deuxieme', 'what people write comes in, whole');

# Killed in the middle of everything: each message is in the telephone once.
$node->safe_psql('bank', q{UPDATE mfiauto.policy SET cap_count = NULL, cap_days = NULL});
for my $round (1 .. 2)
{
	add_messages($node, 'bank', 100 * $round, 100 * $round + 39);
	select undef, undef, undef, 0.02 * $round;
	$node->safe_psql('postgres', q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type LIKE 'mfiauto delivery%'}) if $round % 2;
	if ($round % 2 == 0) { $node->stop('immediate'); $node->start; }
}
is_soon($node, 'bank', states(100, 299), 'sent 80', 'after kills and crashes all are sent, none is unknown');
is($node->safe_psql('bank', q{SELECT count(*) || ' ' || count(DISTINCT reference) FROM
	(SELECT "CreatorID" AS reference FROM gammu.outbox UNION ALL SELECT "CreatorID" FROM gammu.sentitems WHERE "SequencePosition" = 1) x}), '85 85', 'each once');
$node->stop;
done_testing();
