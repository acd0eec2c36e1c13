# The main path through a real Kannel and the real receiver: message, SMPP, delivery reports of every kind, states; what people write back.
# packages: kannel libmicrohttpd-dev libpq-dev
use strict;
use warnings;
use lib 'test/lib';
use MfiDelivery;
use MfiProcess;
use MfiReceiver;
use MfiTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep);

my ($bearerbox, $smsbox) = map { -x "/usr/sbin/$_" ? "/usr/sbin/$_" : undef } qw(bearerbox smsbox);
die 'Kannel is not installed' unless $bearerbox && $smsbox;

my $dir = PostgreSQL::Test::Utils::tempdir();
my %port = map { $_ => PostgreSQL::Test::Cluster::get_free_port() } qw(admin box sendsms smpp http);
my $log = "$dir/children.log";

build_receiver();
my $node = new_server('main', "mfiauto.private_hosts = '127.0.0.1'");
add_database($node, 'bank');
let_receiver_in($node, 'bank');
my $front = run_receiver($node, 'bank');

my $conf = slurp_file('test/lib/kannel.conf');
$conf =~ s/\@DIR\@/$dir/g;
$conf =~ s/\@FRONT\@/$front/g;
$conf =~ s/\@(ADMIN|BOX|SENDSMS|SMPP)\@/$port{lc $1}/g;
append_to_file("$dir/kannel.conf", $conf);

start_process($log, $^X, 'test/lib/smsc_simulator.pl', $port{smpp}, $port{http}, "$dir/smsc.log");
wait_for_port($port{smpp}, $log);
start_process($log, $bearerbox, "$dir/kannel.conf");
wait_for_port($port{box}, $log);
my $smsbox_pid = start_process($log, $smsbox, "$dir/kannel.conf");
wait_for_port($port{sendsms}, $log);

# Nothing is bound here: who has which number is told by hand.
$node->safe_psql('bank', qq{
	INSERT INTO mfiauto.client_address (client_id, channel, address, added_at, seen_at) SELECT 1, 'whatsapp', '+221770000001', now(), now();
	UPDATE mfiauto.policy SET weekdays = '{1,2,3,4,5,6,7}', contact_from = '00:00', contact_until = '24:00';
	SELECT mfiauto.arm_delivery();
	SELECT mfiauto.create_gateway('kannel', 'sms', 'kannel', settings => '{"url": "http://127.0.0.1:$port{sendsms}/cgi-bin/sendsms", "sender": "MFI",
		"receipt_url": "http://127.0.0.1:$front/w/kannel?token={{secret.receipt_token}}", "cost_per_part": 12}');
	SELECT mfiauto.set_secret('kannel', 'username', 'mfi');
	SELECT mfiauto.set_secret('kannel', 'password', 'wrong');
	SELECT mfiauto.set_secret('kannel', 'receipt_token', 'right')});

# A wrong password stops the gateway and keeps the queue; the right one starts it again.
add_messages($node, 'bank', 1, 8, text => q{'Bonjour Awa, echeance le 12/01: 25 000 FCFA. Merci à vous & bientôt? 100% {sûr}'});
is_soon($node, 'bank', "SELECT circuit FROM mfiauto.gateway_status", 'stopped', 'a wrong password stops the gateway');
is($node->safe_psql('bank', "SELECT count(*) FROM mfiauto.outbox"), '8', 'and the queue is kept');
$node->safe_psql('bank', "SELECT mfiauto.set_secret('kannel', 'password', 'secret')");
# Their receipts may come in before anybody looks.
is_soon($node, 'bank', 'SELECT count(*) FROM mfiauto.outbox', '0', 'the right one starts it again');
is($node->safe_psql('bank', "SELECT sum(cost) || ' ' || min(currency) FROM mfiauto.message"), '96 XOF', 'at its price');

# Receipts come in by the receiver, as Kannel sends them, in its order; states follow.
is_soon($node, 'bank', states(1, 8), 'delivered 1, sent 2, undelivered/receipt_expired 1, undelivered/receipt_failed 4', 'delivered, undeliverable, expired, rejected, throttled, refused; the others wait');
is($node->safe_psql('bank', "SELECT string_agg(client_id || ' ' || state, ', ' ORDER BY client_id) FROM mfiauto.message WHERE state <> 'sent'"),
	'1 delivered, 2 undelivered, 3 undelivered, 4 undelivered, 5 undelivered, 6 undelivered', 'each its own');
is($node->safe_psql('bank', "SELECT string_agg(DISTINCT status, ',') FROM mfiauto.receipt WHERE status::integer & ~8 <> 0"), '1,16,2,34,4', 'every kind of report came');
is($node->safe_psql('bank', "SELECT count(*) FROM mfiauto.unread_webhook"), '0', 'all were understood');

# What people write, in the 7-bit alphabet, in UCS-2, in two parts of which the second comes first.
sub write_back
{
	my ($from, $coding, $hex, $udh) = @_;
	my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port{http}, Timeout => 10) or die "connect: $!";
	print $socket "GET /mo?from=$from&to=8787&coding=$coding&hex=$hex" . ($udh ? "&udh=$udh" : '') . " HTTP/1.1\r\nHost: x\r\n\r\n";
	my $answer = <$socket>;
	return;
}
write_back('221770000001', 0, unpack 'H*', 'STOP');
write_back('221770000002', 8, unpack 'H*', "\0A\0r\0r\0\xea\0t");
write_back('221770000003', 0, unpack('H*', 'la suite'), '050003A10202');
write_back('221770000003', 0, unpack('H*', 'Une longue question, '), '050003A10201');
is_soon($node, 'bank', q{SELECT string_agg(from_address || ' ' || body || ' ' || coalesce(action, '-'), ', ' ORDER BY from_address) FROM mfiauto.inbound_log},
	qr/^\+221770000001 STOP stop, \+221770000002 Arrêt stop, \+221770000003 Une longue question, la suite \S+$/, 'what people write comes in, in any alphabet, whole');
add_messages($node, 'bank', 1, 1, class => 'collection', text => q{'Offre'});
is_soon($node, 'bank', "SELECT state || '/' || reason FROM mfiauto.message WHERE body = 'Offre'", qr{^suppressed/(suppressed|opted_out)$}, 'who wrote STOP is written to no more');

# What the operator's network was given.
my @sms = grep { /^sms \S+ \S+[^5] / } split /\n/, slurp_file("$dir/smsc.log");
is(scalar @sms, 7, 'each message once, but for the throttled one');
like($sms[0], qr/^sms MFI \+?22177\d+ 0 /, 'from MFI, in the 7-bit alphabet');
add_messages($node, 'bank', 11, 11, text => q{'Bonjour'});
$node->safe_psql('bank', q{SELECT mfiauto.hold_delivery('x')});
add_messages($node, 'bank', 21, 21, text => q{'Prêt accordé ✓'});
$node->safe_psql('bank', q{UPDATE mfiauto.message_ledger SET encoding = 'ucs2' WHERE client_id = 21; SELECT mfiauto.release_delivery()});
is_soon($node, 'bank', states(21, 21), qr/^(sent|delivered) 1$/, 'a text beyond that alphabet');
for (1 .. 100) { last if slurp_file("$dir/smsc.log") =~ /^sms \S+ \S+21 8 /m; select undef, undef, undef, 0.1; }
like(slurp_file("$dir/smsc.log"), qr/^sms MFI \S+21 8 0050007200ea0074/m, 'arrives in UCS-2, whole');

# Kannel away: nothing was written, so nothing is unknown.
end_process($smsbox_pid, 'KILL');
add_messages($node, 'bank', 31, 31);
is_soon($node, 'bank', "SELECT attempts || ' ' || state FROM mfiauto.message WHERE client_id = 31", '1 queued', 'connection refused: tried later');
$node->stop;
done_testing();
