# What the tests of faults share: a network that fails on demand, a mail server that keeps its answer back, locks that stop a transaction half way, kills.
package MfiFaults;

use strict;
use warnings;
use Exporter 'import';
use IPC::Run ();
use MfiProcess;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

our @EXPORT = qw(start_proxy set_way start_mail_peer letters hold_lock release_lock wait_until delivery_pid kill_worker kill_server);

my @locks;

sub start_proxy { my $target = shift; return start_peer('faulty_proxy.pl', $target); }

# How a proxy, or a mail server, behaves from now on.
sub set_way
{
	my ($port, $way) = @_;
	my $file = peer_file($port) . '.way';
	open my $out, '>', "$file.new" or die "$file: $!";
	print $out "$way\n";
	close $out;
	rename "$file.new", $file or die "$file: $!";
	return;
}

# A mail server; its letters are lines of a file. Its way: pass, or before (says nothing to DATA), after (takes the letter, says nothing).
sub start_mail_peer { return start_peer('mail_peer.pl'); }

# The receivers of the letters that a mail server has taken.
sub letters
{
	my $port = shift;
	my $file = peer_file($port) . '.letters';
	return -e $file ? split(/\n/, slurp_file($file)) : ();
}

END { my $status = $?; release_lock(); $? = $status; }

# Runs statements in a session of its own and keeps its transaction open until release_lock(), or the server's end.
sub hold_lock
{
	my ($node, $database, $statements) = @_;
	my ($in, $out) = ("BEGIN;\n$statements;\nSELECT 'held';\n", '');
	my $session = IPC::Run::start([ 'psql', '-XAtqw', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr($database), '-f', '-' ], '<', \$in, '>', \$out, '2>', \my $errors);
	push @locks, $session;
	my $until = time + 60;
	while ($out !~ /held/ && time < $until) { IPC::Run::pump_nb $session; select undef, undef, undef, 0.02; }
	die "no lock: $out $errors" unless $out =~ /held/;
	return;
}

sub release_lock
{
	for (splice @locks) { eval { $_->kill_kill(grace => 1) }; }
	return;
}

sub delivery_pid
{
	my ($node, $database) = @_;
	my ($status, $pid) = $node->psql('postgres', "SELECT pid FROM pg_stat_activity WHERE backend_type LIKE 'mfiauto delivery:%' AND datname = '$database'");
	return defined $status && $status == 0 ? $pid : '';
}

# kill -9 of a process of the server; comes back when the server has started anew.
sub kill_process
{
	my ($node, $pid) = @_;
	my $from = -s $node->logfile;
	kill 'KILL', $pid or die "kill $pid: $!";
	wait_until(sub { slurp_file($node->logfile, $from) =~ /database system is ready to accept connections/ }) or die 'the server did not come back';
	release_lock();
	return;
}

sub kill_worker { my ($node, $database) = @_; kill_process($node, wait_until(sub { delivery_pid($node, $database) })); return; }

# kill -9 of the postmaster, and a new start.
sub kill_server
{
	my $node = shift;
	$node->kill9;
	release_lock();
	# The last of its processes may take a moment to see that it is gone.
	wait_until(sub { $node->{_pid} = undef; $node->start(fail_ok => 1) }, 30) or do { diag(scalar `ps -eo pid,ppid,stat,wchan:20,args | grep '[p]ostgres: stages'`); die 'the server did not start'; };
	return;
}

1;
