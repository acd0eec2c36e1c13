#!/usr/bin/perl
# A network that fails on demand, between mfiauto and a peer.
#
#   faulty_proxy.pl PORT_FILE TARGET_PORT    listens on a free port of 127.0.0.1 and writes its number to PORT_FILE; its way is the word in PORT_FILE.way
#
#   pass      all goes through                         silent    takes connections and bytes, hands nothing on, says nothing
#   refuse    resets each connection                   close     closes each connection at once
#   stall     requests go through, answers are kept    drip      answers come a byte at a time, 10 ms apart
#   cut       resets after 20 bytes of the answer      half      closes after 20 bytes of the answer
use strict;
use warnings;
use lib 'test/lib';
use IO::Select;
use IO::Socket::INET;
use MfiPeer;
use Time::HiRes qw(time);

my ($port_file, $target) = @ARGV;
die "usage: faulty_proxy.pl PORT_FILE TARGET_PORT\n" unless defined $target;
$SIG{PIPE} = 'IGNORE';
$SIG{TERM} = sub { exit 0 };
my $server = listen_for($port_file);

my $sockets = IO::Select->new($server);
my (%pair, %upstream_of, %kept, %sent, %drip_at);

sub drop
{
	my ($socket, $is_reset) = @_;
	my $other = delete $pair{$socket};
	for my $end (grep { defined } $socket, $other)
	{
		$sockets->remove($end);
		delete $_->{$end} for \%upstream_of, \%kept, \%sent, \%drip_at, \%pair;
		close_connection($end, $is_reset);
	}
	return;
}

sub take_client
{
	my $way = shift;
	my $client = take_connection($server) or return;
	return close_connection($client, $way eq 'refuse') if $way eq 'refuse' || $way eq 'close';
	$sockets->add($client);
	$kept{$client} = '';
	$sent{$client} = 0;
	return if $way eq 'silent';
	my $upstream = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $target, Timeout => 5) or return drop($client, 1);
	send_at_once($upstream);
	$sockets->add($upstream);
	$upstream_of{$client} = $upstream;
	$pair{$client} = $upstream;
	$pair{$upstream} = $client;
	return;
}

# The answer's bytes, as far as the way lets them.
sub give
{
	my ($client, $way) = @_;
	return if $kept{$client} eq '' || $way eq 'stall' || $way eq 'silent';
	my $count = length $kept{$client};
	if ($way eq 'drip')
	{
		return if time < ($drip_at{$client} // 0);
		$drip_at{$client} = time + 0.01;
		$count = 1;
	}
	elsif ($way eq 'cut' || $way eq 'half') { $count = 20; }
	my $bytes = substr $kept{$client}, 0, $count, '';
	syswrite $client, $bytes;
	drop($client, $way eq 'cut') if $way eq 'cut' || $way eq 'half';
	return;
}

for (;;)
{
	my $is_keeping = grep { $_ ne '' } values %kept;
	my @ready = $sockets->can_read($is_keeping ? 0.005 : 0.1);
	my $way = way($port_file);
	for my $socket (@ready)
	{
		if ($socket == $server) { take_client($way); next; }
		next unless defined fileno $socket;
		my $count = sysread $socket, my $bytes, 65_536;
		if (exists $kept{$socket})
		{
			if (!$count) { drop($socket, 0); }
			elsif ($way eq 'close' || $way eq 'refuse') { drop($socket, $way eq 'refuse'); }
			elsif ($way ne 'silent' && $upstream_of{$socket}) { syswrite $upstream_of{$socket}, $bytes; }
		}
		elsif (my $client = $pair{$socket})
		{
			if ($count) { $kept{$client} .= $bytes; }
			else { give($client, 'pass'); drop($socket, 0); }
		}
	}
	for my $socket ($sockets->handles) { give($socket, $way) if defined $kept{$socket}; }
}
