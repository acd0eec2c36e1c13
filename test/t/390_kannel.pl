# The main path through a real Kannel: message, SMPP, delivery reports of every kind, states.
# packages: kannel
use strict;
use warnings;
use lib 'test/lib';
use MfiDelivery;
use MfiTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my ($bearerbox, $smsbox) = map { -x "/usr/sbin/$_" ? "/usr/sbin/$_" : undef } qw(bearerbox smsbox);
die 'Kannel is not installed' unless $bearerbox && $smsbox;

my $dir = PostgreSQL::Test::Utils::tempdir();
my %port = map { $_ => PostgreSQL::Test::Cluster::get_free_port() } qw(admin box sendsms smpp http);
my @children;

sub run_child
{
	my @command = @_;
	my $pid = fork // die "fork: $!";
	if ($pid == 0)
	{
		open STDOUT, '>>', "$dir/children.log" or die "open: $!";
		open STDERR, '>&', \*STDOUT or die "open: $!";
		exec @command or die "exec: $!";
	}
	push @children, $pid;
	return;
}

END
{
	my $status = $?;
	for my $pid (reverse @children) { kill 'INT', $pid; kill 'TERM', $pid; }
	for my $pid (@children)
	{
		for (1 .. 50) { last if waitpid($pid, 1) != 0; select undef, undef, undef, 0.1; }
		kill 'KILL', $pid if kill 0, $pid;
	}
	$? = $status;
}

sub wait_for_port
{
	my $port = shift;
	for (1 .. 300)
	{
		return if IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port, Timeout => 1);
		select undef, undef, undef, 0.1;
	}
	die "nothing listens on port $port: " . slurp_file("$dir/children.log");
}

append_to_file("$dir/kannel.conf", <<"CONF");
group = core
admin-interface = 127.0.0.1
admin-port = $port{admin}
admin-password = bar
smsbox-interface = 127.0.0.1
smsbox-port = $port{box}
box-deny-ip = "*.*.*.*"
box-allow-ip = "127.0.0.1"
log-file = "$dir/bearerbox.log"
log-level = 1
dlr-storage = internal

group = smsc
smsc = smpp
smsc-id = sim
host = 127.0.0.1
port = $port{smpp}
transceiver-mode = true
smsc-username = mfi
smsc-password = simpass
system-type = ""
address-range = ""
reconnect-delay = 1
source-addr-autodetect = true

group = smsbox
bearerbox-host = 127.0.0.1
sendsms-interface = 127.0.0.1
sendsms-port = $port{sendsms}
http-request-retry = 3
http-queue-delay = 1
log-file = "$dir/smsbox.log"
log-level = 1

group = sendsms-user
username = mfi
password = secret
user-allow-ip = "127.0.0.1"
max-messages = 10
concatenation = true
default-smsc = sim

group = sms-service
keyword = default
text = "no"
max-messages = 0
CONF

run_child($^X, 'test/lib/smsc_simulator.pl', $port{smpp}, $port{http}, "$dir/smsc.log");
wait_for_port($port{smpp});
run_child($bearerbox, "$dir/kannel.conf");
wait_for_port($port{box});
run_child($smsbox, "$dir/kannel.conf");
wait_for_port($port{sendsms});

my $node = new_server('main', "mfiauto.private_hosts = '127.0.0.1'");
add_database($node, 'bank');
$node->safe_psql('bank', qq{
	SELECT mfiauto.arm_delivery();
	SELECT mfiauto.create_gateway('kannel', 'sms', 'kannel', settings => '{"url": "http://127.0.0.1:$port{sendsms}/cgi-bin/sendsms", "sender": "MFI",
		"receipt_url": "http://127.0.0.1:$port{http}/dlr?token=right", "cost_per_part": 12}');
	SELECT mfiauto.set_secret('kannel', 'username', 'mfi');
	SELECT mfiauto.set_secret('kannel', 'password', 'wrong');
	SELECT mfiauto.set_secret('kannel', 'receipt_token', 'right')});

# A wrong password stops the gateway and keeps the queue; the right one starts it again.
add_messages($node, 'bank', 1, 8, text => q{'Bonjour Awa, echeance le 12/01: 25 000 FCFA. Merci à vous & bientôt? 100% {sûr}'});
is_soon($node, 'bank', "SELECT circuit FROM mfiauto.gateway_status", 'stopped', 'a wrong password stops the gateway');
is($node->safe_psql('bank', "SELECT count(*) FROM mfiauto.outbox"), '8', 'and the queue is kept');
$node->safe_psql('bank', "SELECT mfiauto.set_secret('kannel', 'password', 'secret')");
is_soon($node, 'bank', states(1, 8), 'sent 8', 'the right one starts it again');
is($node->safe_psql('bank', "SELECT sum(cost) || ' ' || min(currency) FROM mfiauto.message"), '96 XOF', 'at its price');

# Receipts go back by receive(), each as Kannel sent it; states follow. Order is Kannel's.
my %seen;
sub feed
{
	my $dlr = 0;
	for my $line (split /\n/, slurp_file("$dir/smsc.log"))
	{
		next unless $line =~ /^dlr (.*)/ && !$seen{$line}++;
		my $query = $1 =~ s/'/''/gr;
		$node->safe_psql('bank', "SELECT mfiauto.receive('kannel', '{}', '$query')");
		$dlr++;
	}
	return $dlr;
}
my $expected = 'delivered 1, sent 3, undelivered/receipt_expired 1, undelivered/receipt_failed 3';
for (1 .. 200)
{
	feed();
	last if $node->safe_psql('bank', states(1, 8)) eq $expected;
	select undef, undef, undef, 0.1;
}
is($node->safe_psql('bank', states(1, 8)), $expected, 'delivered, undeliverable, expired, rejected, refused; the others wait');
is($node->safe_psql('bank', "SELECT string_agg(client_id || ' ' || state, ', ' ORDER BY client_id) FROM mfiauto.message WHERE state <> 'sent'"),
	'1 delivered, 2 undelivered, 3 undelivered, 4 undelivered, 6 undelivered', 'each its own');
is($node->safe_psql('bank', "SELECT string_agg(DISTINCT status, ',') FROM mfiauto.receipt WHERE status::integer & ~8 <> 0"), '1,16,2,34', 'every kind of report came');
my $before = $node->safe_psql('bank', states(1, 8));
%seen = ();
feed();
is($node->safe_psql('bank', states(1, 8)), $before, 'the same reports again change nothing');

# What the operator's network was given.
my @sms = grep { /^sms / } split /\n/, slurp_file("$dir/smsc.log");
is(scalar @sms, 8, 'eight messages, each once');
like($sms[0], qr/^sms MFI \+?22177\d+ 0 /, 'from MFI, in the 7-bit alphabet');
add_messages($node, 'bank', 11, 11, text => q{'Bonjour'});
$node->safe_psql('bank', q{SELECT mfiauto.hold_delivery('x')});
add_messages($node, 'bank', 21, 21, text => q{'Prêt accordé ✓'});
$node->safe_psql('bank', q{UPDATE mfiauto.message_ledger SET encoding = 'ucs2' WHERE client_id = 21; SELECT mfiauto.release_delivery()});
is_soon($node, 'bank', states(21, 21), 'sent 1', 'a text beyond that alphabet');
for (1 .. 100) { last if slurp_file("$dir/smsc.log") =~ /^sms \S+ \S+21 8 /m; select undef, undef, undef, 0.1; }
like(slurp_file("$dir/smsc.log"), qr/^sms MFI \S+21 8 0050007200ea0074/m, 'arrives in UCS-2, whole');

# Kannel away: nothing was written, so nothing is unknown.
my $gone = pop @children;
kill 'KILL', $gone;
waitpid $gone, 0;
add_messages($node, 'bank', 31, 31);
is_soon($node, 'bank', "SELECT attempts || ' ' || state FROM mfiauto.message WHERE client_id = 31", '1 queued', 'connection refused: tried later');
$node->stop;
done_testing();
