# A real receiver in front of a database, for tests of peers that answer.
package MfiReceiver;
use strict;
use warnings;
use Exporter 'import';
use MfiProcess;
use PostgreSQL::Test::Utils;
use Test::More;

our @EXPORT = qw(build_receiver let_receiver_in run_receiver receiver_pid receiver_log stop_receiver);
my $program = 'contrib/receiver/mfiauto-receiver';
my %receiver;
my $run = 0;

sub build_receiver
{
	my $log = PostgreSQL::Test::Utils::tempdir() . '/make.log';
	is(system("make -s -C contrib/receiver >$log 2>&1"), 0, 'the receiver builds') or BAIL_OUT(slurp_file($log));
	return $program;
}

# The role it has in a database, which may do nothing else.
sub let_receiver_in
{
	my ($node, $database) = @_;
	$node->safe_psql($database, q{CREATE ROLE front LOGIN; ALTER ROLE front SET log_parameter_max_length = 0; SELECT mfiauto.grant_access('front', 'receiver')});
	return;
}

# Starts one for a database; returns its port. settings: further ones, by name; dir: where its queue and its log are; wrapper: a command that runs it.
sub run_receiver
{
	my ($node, $database, %settings) = @_;
	my $dir = delete $settings{dir} // PostgreSQL::Test::Utils::tempdir();
	my @wrapper = @{ delete $settings{wrapper} // [] };
	my $printed = "$dir/receiver." . ++$run . '.log';
	my %with = (rate => 0, rate_per_address => 0, queue_dir => "$dir/queue",
		database => 'host=' . $node->host . ' port=' . $node->port . " dbname=$database user=front", %settings);
	my $log = $with{log_file} // $printed;
	my $pid = start_process($printed, @wrapper, $program, '--listen=127.0.0.1:0', map { "--$_=$with{$_}" } sort keys %with);
	wait_until(sub { -s $log && slurp_file($log) =~ /listening on 127.0.0.1 port |fatal/ });
	slurp_file($log) =~ /listening on 127.0.0.1 port (\d+)/ or die 'the receiver did not start: ' . slurp_file($log);
	$receiver{$1} = { pid => $pid, log => $log };
	return $1;
}

sub receiver_pid { my $port = shift; return $receiver{$port}{pid}; }
sub receiver_log { my $port = shift; return $receiver{$port}{log}; }

# Ends it; returns its exit status.
sub stop_receiver
{
	my ($port, $signal) = @_;
	return end_process((delete $receiver{$port})->{pid}, $signal);
}

1;
