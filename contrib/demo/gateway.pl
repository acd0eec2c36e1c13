#!/usr/bin/perl
# A local SMS and voice provider for the demo: answers over HTTP as Twilio does, with a real provider's moods.
#
#   gateway.pl PORT_FILE LOG    listens on a free port of 127.0.0.1, writes its number to PORT_FILE, a line a request to LOG
#   gateway.pl --ask PORT PATH  asks the one that listens there, and prints the answer
#
#   POST /2010-04-01/Accounts/AC.../Messages.json   To, From, Body  -> 201 {"sid": ...}
#        one number in 150 is answered 400 (code 21211), one request in 250 gets 429 with Retry-After, one in 200 gets 503
#   GET  /receipts   what it has to report since it was last asked: one callback a line, as Twilio posts them: its signature, a tab, the form; states of messages, and what people write back
#   GET  /count      requests seen and accepted
#
# One process, no module that Debian's perl does not have.
use strict;
use warnings;
use Digest::SHA qw(hmac_sha1_base64);
use IO::Select;
use IO::Socket::INET;

if (@ARGV && $ARGV[0] eq '--ask') {
	my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $ARGV[1], Timeout => 10) or die "connect: $!\n";
	print $socket "GET $ARGV[2] HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
	my ($head, $text) = ('', '');
	while (defined(my $line = <$socket>)) { last if $line eq "\r\n"; $head .= $line; }
	read $socket, $text, $head =~ /^Content-Length:\s*(\d+)/mi ? $1 : 0;
	print $text;
	exit 0;
}
my ($port_file, $log_file) = @ARGV;
die "usage: gateway.pl PORT_FILE LOG\n" unless defined $log_file;
# What signs the callbacks; install.sql sets the same.
my $token = 'only-for-the-demo';
$SIG{PIPE} = 'IGNORE';
$SIG{TERM} = sub { exit 0 };

my $server = IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => 0, Listen => 128, ReuseAddr => 1) or die "listen: $!\n";
open my $log, '>>', $log_file or die "$log_file: $!\n";
$log->autoflush(1);
open my $out, '>', "$port_file.new" or die "$port_file: $!\n";
print $out $server->sockport, "\n";
close $out;
rename "$port_file.new", $port_file or die "$port_file: $!\n";

my $sockets = IO::Select->new($server);
my (%received, @receipts, %has_written);
my %count = (requests => 0, accepted => 0, refused => 0, throttled => 0, unavailable => 0);

# The same number has the same fate at each attempt; who is asked to wait is not.
sub fate { my $sum = 0; $sum = ($sum * 31 + ord) % 1_000_003 for split //, shift; return $sum; }

sub form
{
	my %field;
	for (split /&/, shift) {
		my ($name, $value) = split /=/, $_, 2;
		for ($name, $value) { $_ = '' unless defined; tr/+/ /; s/%([0-9A-Fa-f]{2})/chr hex $1/ge; }
		$field{$name} = $value;
	}
	return %field;
}

sub encoded { my $text = shift; $text =~ s/([^A-Za-z0-9_.~-])/sprintf '%%%02X', ord $1/ge; return $text; }

# A callback as Twilio signs it: the address that we gave, and the parameters in the order of their names.
sub call_back
{
	my ($url, %field) = @_;
	my $signature = hmac_sha1_base64($url . join('', map { $_ . $field{$_} } sort keys %field), $token);
	push @receipts, "$signature=\t" . join '&', map { "$_=" . encoded($field{$_}) } sort keys %field;
	return;
}

sub send_message
{
	my %field = form(shift);
	my $to = $field{To} // '';
	my $number = ++$count{requests};
	if ($number % 250 == 59) {
		$count{throttled}++;
		return (429, '{"code":20429,"message":"Too Many Requests","status":429}', "Retry-After: 1\r\n");
	}
	if ($number % 200 == 120) {
		$count{unavailable}++;
		return (503, '{"code":20503,"message":"Service unavailable","status":503}', '');
	}
	if ($to !~ /^\+\d{8,15}$/ || fate($to) % 150 == 7) {
		$count{refused}++;
		return (400, '{"code":21211,"message":"The \'To\' number is not a valid phone number.","status":400}', '');
	}
	$count{accepted}++;
	my $sid = sprintf 'SM%032x', $number;
	my $status = fate($to) % 40 == 3 ? 'undelivered' : 'delivered';
	my $url = $field{StatusCallback};
	if ($url) {
		# Not everything that happens is reported; "sent" only now and then.
		call_back($url, MessageSid => $sid, MessageStatus => 'sent') if $number % 20 == 0;
		call_back($url, MessageSid => $sid, MessageStatus => $status, $status eq 'undelivered' ? (ErrorCode => 30003) : ());
		my $says = { 11 => 'Stop svp', 12 => 'AIDE', 13 => 'Comment payer svp?', 14 => 'Mon mari est malade, je ne peux pas venir' }->{ fate($to) % 90 };
		call_back($url, MessageSid => "SM$number" . 'in', From => $to, To => $field{From}, Body => $says) if $says && !$has_written{$to}++;
	}
	return (201, qq({"sid":"$sid","status":"queued","num_segments":"1","error_code":null,"price":null}), '');
}

sub answer
{
	my ($socket, $method, $path, $body) = @_;
	my ($status, $text, $header, $type) = (404, '{"code":20404,"status":404}', '', 'application/json');
	if ($method eq 'POST' && $path =~ m{^/2010-04-01/Accounts/[^/]+/(?:Messages|Calls)\.json$}) {
		($status, $text, $header) = send_message($body);
		print $log join(' ', $count{requests}, $status, length $body), "\n";
	}
	elsif ($path eq '/receipts') {
		($status, $type, $text) = (200, 'text/plain', join '', map { "$_\n" } @receipts);
		@receipts = ();
	}
	elsif ($path eq '/count') {
		($status, $type, $text) = (200, 'text/plain', join("\t", @count{qw(requests accepted refused throttled unavailable)}) . "\n");
	}
	my $reply = "HTTP/1.1 $status X\r\nContent-Type: $type\r\nContent-Length: " . length($text) . "\r\n$header\r\n$text";
	while (length $reply) {
		my $written = syswrite $socket, $reply;
		return unless defined $written;
		substr $reply, 0, $written, '';
	}
}

while (my @ready = $sockets->can_read) {
	for my $socket (@ready) {
		if ($socket == $server) {
			my $client = $server->accept or next;
			$sockets->add($client);
			$received{$client} = '';
			next;
		}
		my $size = sysread $socket, $received{$socket}, 65536, length $received{$socket};
		if (!$size || length $received{$socket} > 1_000_000) {
			$sockets->remove($socket);
			delete $received{$socket};
			close $socket;
			next;
		}
		# As many whole requests as have arrived.
		while ($received{$socket} =~ /^(\w+) (\S+) HTTP\/1\.[01]\r\n(.*?)\r\n\r\n/s) {
			my ($method, $path, $head, $end) = ($1, $2, $3, $+[0]);
			my $length = $head =~ /^Content-Length:\s*(\d+)/mi ? $1 : 0;
			if ($head =~ /^Expect:\s*100-continue/mi && length($received{$socket}) < $end + $length) {
				syswrite $socket, "HTTP/1.1 100 Continue\r\n\r\n";
				last;
			}
			last if length($received{$socket}) < $end + $length;
			my $body = substr $received{$socket}, $end, $length;
			substr $received{$socket}, 0, $end + $length, '';
			answer($socket, $method, $path, $body);
		}
	}
}
