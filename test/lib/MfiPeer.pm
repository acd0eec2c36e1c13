# What the peers of test/lib have in common: they listen on a free port that a file tells, and do as a word in the file beside it says.
package MfiPeer;

use strict;
use warnings;
use Exporter 'import';
use IO::Socket::INET;
use Socket qw(SOL_SOCKET SO_LINGER TCP_NODELAY IPPROTO_TCP);

our @EXPORT = qw(listen_for take_connection close_connection send_at_once way);

# Listens on 127.0.0.1 and writes the port's number to a file, which is there when it is complete.
sub listen_for
{
	my $port_file = shift;
	my $server = IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => 0, Listen => 1024, ReuseAddr => 1) or die "listen: $!\n";
	open my $out, '>', "$port_file.new" or die "$port_file: $!\n";
	print $out $server->sockport, "\n";
	close $out;
	rename "$port_file.new", $port_file or die "$port_file: $!\n";
	return $server;
}

sub send_at_once { my $socket = shift; return setsockopt($socket, IPPROTO_TCP, TCP_NODELAY, 1); }

# The next connection, or none.
sub take_connection
{
	my $server = shift;
	my $client = $server->accept or return;
	send_at_once($client);
	return $client;
}

sub close_connection
{
	my ($socket, $is_reset) = @_;
	setsockopt($socket, SOL_SOCKET, SO_LINGER, pack('ii', 1, 0)) if $is_reset;
	close $socket;
	return;
}

# How to behave now.
sub way
{
	my $port_file = shift;
	open my $in, '<', "$port_file.way" or return 'pass';
	chomp(my $way = <$in> // 'pass');
	close $in;
	return $way;
}

1;
