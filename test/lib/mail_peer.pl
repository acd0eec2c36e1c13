#!/usr/bin/perl
# A mail server that keeps its answers back on demand.
#
#   mail_peer.pl PORT_FILE    listens on a free port of 127.0.0.1 and writes its number to PORT_FILE; writes the receiver of each letter to PORT_FILE.letters
#
#   The word in PORT_FILE.way: pass · before (no answer to DATA) · after (takes the letter, no answer) · hang_up (takes the letter, closes)
use strict;
use warnings;
use lib 'test/lib';
use MfiPeer;

my ($port_file) = @ARGV;
die "usage: mail_peer.pl PORT_FILE\n" unless defined $port_file;
$SIG{CHLD} = 'IGNORE';
my %child;
$SIG{TERM} = sub { kill 'KILL', keys %child; exit 0 };
my $server = listen_for($port_file);

sub talk
{
	my $socket = shift;
	my $to = '';
	print $socket "220 peer\r\n";
	while (defined(my $line = <$socket>))
	{
		if ($line =~ /^RCPT TO:<([^>]*)>/i) { $to = $1; print $socket "250 ok\r\n"; }
		elsif ($line =~ /^QUIT/i) { print $socket "221 bye\r\n"; return; }
		elsif ($line =~ /^DATA/i)
		{
			if (way($port_file) eq 'before') { sleep 1 while way($port_file) eq 'before'; return; }
			print $socket "354 go on\r\n";
			my $text = '';
			while (defined($text = <$socket>)) { last if $text eq ".\r\n"; }
			# Half a letter is none.
			return unless defined $text;
			open my $letters, '>>', "$port_file.letters" or die "letters: $!";
			syswrite $letters, "$to\n";
			close $letters;
			return if way($port_file) eq 'hang_up';
			if (way($port_file) eq 'after') { sleep 1 while way($port_file) eq 'after'; return; }
			print $socket "250 2.0.0 Ok: queued as PEER$$\r\n";
		}
		else { print $socket "250 ok\r\n"; }
	}
	return;
}

while (1)
{
	my $client = $server->accept or next;
	my $pid = fork // die "fork: $!";
	if ($pid == 0) { $SIG{TERM} = 'DEFAULT'; $client->autoflush(1); talk($client); exit 0; }
	$child{$pid} = 1;
	close $client;
}
