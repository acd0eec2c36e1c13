# Programs that a test starts beside the server, and waiting for them. They end with the test, whatever becomes of it.
package MfiProcess;

use strict;
use warnings;
use Exporter 'import';
use IO::Socket::INET;
use POSIX ();
use PostgreSQL::Test::Utils;
use Time::HiRes qw(time);

our @EXPORT = qw(start_process end_process start_peer stop_peer peer_file wait_until wait_for_port);

my (@running, %peer);
my ($owner, $peer_count) = ($$, 0);

# Starts a program; what it prints goes to a file, or where ours goes if there is none. Returns its process.
sub start_process
{
	my ($log, @command) = @_;
	my $pid = fork // die "fork: $!";
	if ($pid == 0)
	{
		if (defined $log)
		{
			open STDOUT, '>>', $log or die "open: $!";
			open STDERR, '>&', \*STDOUT or die "open: $!";
		}
		{ no warnings 'exec'; exec { $command[0] } @command; }
		print STDERR "cannot start $command[0]: $!\n";
		POSIX::_exit(127);
	}
	push @running, $pid;
	return $pid;
}

# Ends one, in its own time; returns its status.
sub end_process
{
	my ($pid, $signal) = @_;
	@running = grep { $_ != $pid } @running;
	kill $signal // 'TERM', $pid;
	waitpid $pid, 0;
	return $?;
}

END
{
	my $status = $?;
	if ($$ == $owner)
	{
		kill 'TERM', reverse @running;
		for my $pid (@running)
		{
			wait_until(sub { waitpid($pid, POSIX::WNOHANG()) != 0 }, 5) or end_process($pid, 'KILL');
		}
	}
	$? = $status;
}

# Waits until something is so; returns what was so, or nothing when time is up.
sub wait_until
{
	my ($is_so, $timeout_s) = @_;
	my $until = time + ($timeout_s // 60);
	while (time < $until)
	{
		my $answer = $is_so->();
		return $answer if $answer;
		select undef, undef, undef, 0.03;
	}
	return;
}

# log: of the program that should listen there.
sub wait_for_port
{
	my ($port, $log) = @_;
	wait_until(sub { IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port, Timeout => 1) }, 30)
		or die "nothing listens on port $port" . (defined $log ? ': ' . slurp_file($log) : '');
	return;
}

# Starts a program of test/lib that listens where it likes and writes its port to the file that is its first argument; returns the port.
sub start_peer
{
	my ($program, @arguments) = @_;
	my $file = PostgreSQL::Test::Utils::tempdir() . '/peer.' . ++$peer_count;
	my $pid = start_process(undef, $^X, "test/lib/$program", $file, @arguments);
	wait_until(sub { -s $file }, 30) or die "$program did not start";
	chomp(my $port = slurp_file($file));
	$peer{$port} = { pid => $pid, file => $file };
	return $port;
}

sub peer_file { my $port = shift; return $peer{$port}{file}; }
sub stop_peer { my $port = shift; return end_process((delete $peer{$port})->{pid}); }

1;
