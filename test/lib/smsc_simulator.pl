#!/usr/bin/perl
# A mobile operator's message center (SMPP 3.4) for Kannel to bind to.
#
#   smsc_simulator.pl SMPP_PORT HTTP_PORT LOG    listens on 127.0.0.1
#
# The receiver's last digit decides: 1 delivered, 2 undeliverable, 3 expired, 4 rejected, 5 throttled at once, 6 refused at once, 7 accepted, 8 no receipt.
# GET /mo?from=NUMBER&to=NUMBER&coding=0|8&hex=TEXT[&udh=HEX]: somebody writes to us. LOG gets a line for each message taken ("sms SENDER RECEIVER CODING HEX").
use strict;
use warnings;
use IO::Handle;
use IO::Select;
use IO::Socket::INET;

my ($smpp_port, $http_port, $log_file) = @ARGV;
die "usage: smsc_simulator.pl SMPP_PORT HTTP_PORT LOG\n" unless defined $log_file;
$SIG{PIPE} = 'IGNORE';
$SIG{TERM} = sub { exit 0 };
open my $log, '>', $log_file or die "$log_file: $!\n";
$log->autoflush(1);
my ($smpp, $http) = map { IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => $_, Listen => 64, ReuseAddr => 1) or die "port $_: $!\n" } $smpp_port, $http_port;
print $log "ready\n";

my $sockets = IO::Select->new($smpp, $http);
my (%buffer, %is_smpp);
my ($sequence, $message_number) = (0, 0);
my %fate = (1 => [ 'DELIVRD', 2 ], 2 => [ 'UNDELIV', 5 ], 3 => [ 'EXPIRED', 3 ], 4 => [ 'REJECTD', 8 ], 7 => [ 'ACCEPTD', 6 ]);
my $bound;

sub pdu
{
	my ($socket, $command, $status, $number, $body) = @_;
	print $socket pack('NNNN', 16 + length $body, $command, $status, $number), $body;
	$socket->flush;
	return;
}

sub submit
{
	my ($socket, $number, $body) = @_;
	my (undef, undef, undef, $sender, undef, undef, $receiver, $class, undef, undef, undef, undef, $wants_receipt, undef, $coding, undef, $text) =
		unpack 'Z* C C Z* C C Z* C C C Z* Z* C C C C C/a', $body;
	print $log "sms $sender $receiver $coding ", unpack('H*', $text), "\n";
	my ($digit) = $receiver =~ /(\d)$/;
	return pdu($socket, 0x80000004, 0x58, $number, "\0") if $digit eq '5';
	return pdu($socket, 0x80000004, 0x0b, $number, "\0") if $digit eq '6';
	my $id = sprintf '%08X', ++$message_number;
	pdu($socket, 0x80000004, 0, $number, "$id\0");
	return unless $fate{$digit} && $wants_receipt & 1;
	my ($state, $code) = @{ $fate{$digit} };
	my $receipt = "id:$id sub:001 dlvrd:001 submit date:2601050900 done date:2601050901 stat:$state err:000 text:";
	return pdu($socket, 0x00000005, 0, ++$sequence, pack('Z* C C Z* C C Z* C C C Z* Z* C C C C C/a', '', 1, 1, $receiver, 5, 0, $sender, 4, 0, 0, '', '', 0, 0, 0, 0, $receipt)
		. pack('nn/a', 0x001e, "$id\0") . pack('nnC', 0x0427, 1, $code));
}

sub read_smpp
{
	my $socket = shift;
	while (length $buffer{$socket} >= 16)
	{
		my ($length, $command, undef, $number) = unpack 'NNNN', $buffer{$socket};
		last if length $buffer{$socket} < $length;
		my $body = substr $buffer{$socket}, 16, $length - 16;
		substr($buffer{$socket}, 0, $length) = '';
		if ($command == 0x04) { submit($socket, $number, $body); }
		elsif ($command == 0x15 || $command == 0x06) { pdu($socket, 0x80000000 | $command, 0, $number, ''); }
		elsif ($command == 0x09 || $command == 0x01 || $command == 0x02) { pdu($socket, 0x80000000 | $command, 0, $number, "sim\0"); $bound = $socket; }
	}
	return;
}

sub deliver
{
	my %of = map { split /=/, $_, 2 } split /&/, shift;
	my $text = pack 'H*', ($of{udh} // '') . $of{hex};
	my $class = $of{udh} ? 0x40 : 0;
	pdu($bound, 0x00000005, 0, ++$sequence, pack('Z* C C Z* C C Z* C C C Z* Z* C C C C C/a', '', 1, 1, $of{from}, 1, 1, $of{to}, $class, 0, 0, '', '', 0, 0, $of{coding}, 0, $text));
	return;
}

sub read_http
{
	my $socket = shift;
	while ($buffer{$socket} =~ s/^GET \/mo\?(\S*) HTTP\/1\.[01]\r\n.*?\r\n\r\n//s)
	{
		deliver($1);
		print $socket "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
		$socket->flush;
	}
	return;
}

for (;;)
{
	for my $socket ($sockets->can_read(1))
	{
		if ($socket == $smpp || $socket == $http)
		{
			my $client = $socket->accept or next;
			$is_smpp{$client} = $socket == $smpp;
			$buffer{$client} = '';
			$sockets->add($client);
			next;
		}
		my $count = sysread $socket, my $bytes, 65536;
		if (!$count)
		{
			$sockets->remove($socket);
			delete $buffer{$socket};
			close $socket;
			next;
		}
		$buffer{$socket} .= $bytes;
		$is_smpp{$socket} ? read_smpp($socket) : read_http($socket);
	}
}
