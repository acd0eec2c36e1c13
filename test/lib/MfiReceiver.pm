# A real receiver in front of a database, for tests of peers that answer.
package MfiReceiver;
use strict;
use warnings;
use Exporter 'import';
use PostgreSQL::Test::Utils;
use Test::More;

our @EXPORT = qw(build_receiver run_receiver stop_receiver);
my %process;

sub build_receiver
{
	my $log = PostgreSQL::Test::Utils::tempdir() . '/make.log';
	is(system("make -s -C contrib/receiver >$log 2>&1"), 0, 'the receiver builds') or BAIL_OUT(slurp_file($log));
	return;
}

# Starts one for a database, as a role that may do nothing else; returns its port. settings: further ones, by name.
sub run_receiver
{
	my ($node, $database, %settings) = @_;
	my $dir = PostgreSQL::Test::Utils::tempdir();
	my $log = "$dir/receiver.log";
	$node->safe_psql($database, q{DO $$ BEGIN IF to_regrole('front') IS NULL THEN CREATE ROLE front LOGIN; END IF; END $$; SELECT mfiauto.grant_access('front', 'receiver')});
	my %with = (rate => 0, rate_per_address => 0, queue_dir => "$dir/queue", %settings,
		database => 'host=' . $node->host . ' port=' . $node->port . " dbname=$database user=front");
	my $pid = fork // die "fork: $!";
	if ($pid == 0)
	{
		open STDERR, '>', $log or die "open: $!";
		exec 'contrib/receiver/mfiauto-receiver', '--listen=127.0.0.1:0', map { "--$_=$with{$_}" } sort keys %with or die "exec: $!";
	}
	for (1 .. 600)
	{
		last if -s $log && slurp_file($log) =~ /listening on 127.0.0.1 port |fatal/;
		select undef, undef, undef, 0.05;
	}
	slurp_file($log) =~ /listening on 127.0.0.1 port (\d+)/ or die 'the receiver did not start: ' . slurp_file($log);
	$process{$1} = $pid;
	return $1;
}

sub stop_receiver
{
	my $port = shift;
	my $pid = delete $process{$port};
	kill 'TERM', $pid;
	waitpid $pid, 0;
	return $?;
}

END
{
	my $status = $?;
	for my $pid (values %process) { kill 'KILL', $pid; waitpid $pid, 0; }
	$? = $status;
}

1;
