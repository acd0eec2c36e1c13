#!/usr/bin/perl
# An HTTP gateway with every fault that a provider can have, by path. Counts what it was asked.
#
#   gateway_simulator.pl PORT_FILE    listens on a free port of 127.0.0.1 and writes its number to PORT_FILE
#
#   /ok            200 {"id": "<n>", "status": "ok"}                 /slow       the same after 0.1 s
#   /busy          429 with Retry-After in seconds, once a key       /busy_date  the same with an HTTP date
#   /wait/<n>      429 with Retry-After of n seconds to the first request, until that time is over; /wait_date/<n> the same with a date. What comes
#                  before the time is over is counted as early
#   /broken        500, although the message was taken               /broken_once  500 at a key's first request
#   /down          503                                               /denied     401
#   /refused       400 {"code": "21211"}                             /stopped    400 {"code": "21610"}
#   /reset         takes the message, then resets the connection     /reset_once   at a key's first request
#   /hang          never answers                                     /half       closes in the middle of the answer
#   /garbage       200 with bytes that are no text, NUL among them   /big        200 with 10 MB
#   /error200      200 {"status": "error", "code": "13"}             /redirect   302
#   /header_id     202, empty, X-Message-Id                          /segment    201 {"url": "https://x/messages/<n>"}
#   /token         {"access_token": …, "expires_in": 3600}           /oauth      200 with the newest token but not the first, else 401
#   /bearer        200 with any token of ours, else 401              /polled      200 {"told": []}
#   /keyed         200, the key is the id                            /hurry      429 with Retry-After: 0
#   /told_once     {"told": [{"id": "p-1", "status": "done"}]} at the first request, then {"told": []}
#   /down_once     503 at a key's first request                      /relapse    503, and afterwards as /oauth
#   /stats         what was asked: {"requests", "taken", "keys", "doubled", "paths", "tokens", "early", "last", "open"}; /clear forgets it
use strict;
use warnings;
use lib 'test/lib';
use IO::Select;
use JSON::PP;
use MfiPeer;
use POSIX qw(strftime);
use Time::HiRes qw(time);

my ($port_file) = @ARGV;
die "usage: gateway_simulator.pl PORT_FILE\n" unless defined $port_file;
$SIG{PIPE} = 'IGNORE';
$SIG{TERM} = sub { exit 0 };

my $server = listen_for($port_file);

my $sockets = IO::Select->new($server);
my (%buffer, @later);
my ($requests, $taken, $tokens, $early, %keys, %seen, %paths, %last, %busy_until) = (0, 0, 0, 0);
my $json = JSON::PP->new->canonical->ascii;

sub forget { ($requests, $taken, $tokens, $early) = (0, 0, 0, 0); %keys = %seen = %paths = %last = %busy_until = (); return; }

sub answer
{
	my ($status, $body, @headers) = @_;
	return join("\r\n", "HTTP/1.1 $status X", @headers, 'Content-Length: ' . length($body), '', '') . $body;
}

sub drop
{
	my ($socket, $is_reset) = @_;
	$sockets->remove($socket);
	delete $buffer{$socket};
	return close_connection($socket, $is_reset);
}

# Everything at once: the listener's backlog and the sockets' buffers are large enough for a test.
sub put
{
	my ($socket, $text) = @_;
	$socket->blocking(1);
	print $socket $text;
	$socket->flush;
	return;
}

sub stats
{
	return answer(200, $json->encode({ requests => $requests, taken => $taken, keys => scalar(keys %keys), tokens => $tokens, early => $early,
		doubled => scalar(grep { $_ > 1 } values %keys), paths => \%paths, last => \%last, open => $sockets->count - 2 }));
}

sub take { my $key = shift; $taken++; $keys{$key}++; return answer(200, qq({"id":"id-$taken","status":"ok"}), 'Content-Type: application/json'); }

sub serve
{
	my ($socket, $method, $target, $headers, $body) = @_;
	my ($path) = $target =~ m{^([^?]*)};
	my $key = $headers->{'idempotency-key'} // "none-$requests";
	return put($socket, stats()) if $path eq '/stats';
	if ($path eq '/clear') { forget(); return put($socket, answer(200, 'ok')); }
	$requests++;
	$paths{$path}++;
	%last = (method => $method, target => $target, headers => { %$headers }, body => $body);
	my $is_first = !$seen{$key}++;
	my $id = $taken + 1;

	if ($path eq '/slow') { push @later, [ time + 0.1, $socket, $key ]; return; }
	if ($path eq '/hang') { return; }
	if ($path eq '/busy' && $is_first) { return put($socket, answer(429, '{}', 'Retry-After: 1')); }
	if ($path eq '/busy_date' && $is_first)
	{
		return put($socket, answer(429, '{}', 'Retry-After: ' . strftime('%a, %d %b %Y %H:%M:%S GMT', gmtime(time + 2))));
	}
	if ($path =~ m{^/wait(_date)?/(\d+)$} && time < ($busy_until{$path} //= ($1 ? int time : time) + $2))
	{
		$early++ if $paths{$path} > 1;
		return put($socket, answer(429, '{}', 'Retry-After: ' . ($1 ? strftime('%a, %d %b %Y %H:%M:%S GMT', gmtime $busy_until{$path}) : $2)));
	}
	if ($path eq '/broken' || ($path eq '/broken_once' && $is_first)) { take($key); return put($socket, answer(500, 'oops')); }
	if ($path eq '/hurry') { return put($socket, answer(429, '{}', 'Retry-After: 0')); }
	if (($path eq '/down_once' && $is_first) || ($path eq '/relapse' && $paths{$path} == 1)) { return put($socket, answer(503, 'later')); }
	if ($path eq '/down') { return put($socket, answer(503, 'later')); }
	if ($path eq '/denied') { return put($socket, answer(401, '{"code":"20003"}')); }
	if ($path =~ m{^/unregistered/}) { return put($socket, answer(404, '{"error":{"code":404,"details":[{"errorCode":"UNREGISTERED"}]}}')); }
	if ($path =~ m{^/fcm/}) { take($key); return put($socket, answer(200, qq({"name":"projects/mfi/messages/$id"}))); }
	if ($path eq '/refused') { return put($socket, answer(400, '{"code":"21211"}')); }
	if ($path eq '/stopped') { return put($socket, answer(400, '{"code":21610}')); }
	if ($path eq '/reset' || ($path eq '/reset_once' && $is_first)) { take($key); return drop($socket, 1); }
	if ($path eq '/half') { take($key); put($socket, "HTTP/1.1 200 X\r\nContent-Length: 100\r\n\r\n{\"id\":"); return drop($socket, 0); }
	if ($path eq '/garbage') { take($key); return put($socket, answer(200, "\x00\xff\xfe{\"id\":\"\xc3\x28\x00\"" x 50)); }
	if ($path eq '/nul_id') { take($key); return put($socket, answer(200, "{\"id\":\"a\\u0000b\",\"status\":\"ok\"}")); }
	if ($path eq '/odd_id') { take($key); return put($socket, answer(200, "{\"id\":\"a\\nb\\u202e" . ('x' x 400) . "\",\"status\":\"ok\"}")); }
	if ($path eq '/big') { take($key); return put($socket, answer(200, ' ' x 10_485_760)); }
	if ($path eq '/error200') { return put($socket, answer(200, '{"status":"error","code":"13"}')); }
	if ($path eq '/redirect') { return put($socket, answer(302, '', "Location: http://127.0.0.1/ok")); }
	if ($path eq '/header_id') { take($key); return put($socket, answer(202, '', "X-Message-Id: hdr-$id")); }
	if ($path eq '/segment') { take($key); return put($socket, answer(201, qq({"url":"https://x/messages/seg-$id"}))); }
	if ($path eq '/token') { $tokens++; return put($socket, answer(200, qq({"access_token":"token-$tokens","expires_in":3600}))); }
	if ($path eq '/bearer') { return put($socket, ($headers->{authorization} // '') =~ /^Bearer token-\d+$/ ? take($key) : answer(401, '{}')); }
	if ($path eq '/polled') { return put($socket, answer(200, '{"told":[]}', 'Content-Type: application/json')); }
	if ($path eq '/told_once') { return put($socket, answer(200, $paths{$path} == 1 ? '{"told":[{"id":"p-1","status":"done"}]}' : '{"told":[]}', 'Content-Type: application/json')); }
	if ($path eq '/keyed') { take($key); return put($socket, answer(200, qq({"id":"$key"}))); }
	if ($path eq '/oauth' || $path eq '/relapse')
	{
		return put($socket, answer(401, '{}')) if $tokens < 2 || ($headers->{authorization} // '') ne "Bearer token-$tokens";
	}
	return put($socket, take($key));
}

sub read_from
{
	my $socket = shift;
	my $count = sysread $socket, my $bytes, 1_048_576;
	return drop($socket, 0) unless $count;
	$buffer{$socket} .= $bytes;
	while (defined $buffer{$socket} && $buffer{$socket} =~ /^(\S+) (\S+) HTTP\/1\.1\r\n(.*?)\r\n\r\n/s)
	{
		my ($method, $target, $head, $start) = ($1, $2, "$3\r\n", $+[0]);
		my %headers;
		$headers{ lc $1 } = $2 while $head =~ /^([^:\r\n]+):\s*([^\r\n]*)\r\n/mg;
		my $length = $headers{'content-length'} // 0;
		last if length($buffer{$socket}) < $start + $length;
		my $body = substr $buffer{$socket}, $start, $length;
		substr($buffer{$socket}, 0, $start + $length) = '';
		serve($socket, $method, $target, \%headers, $body);
	}
	return;
}

for (;;)
{
	for my $socket ($sockets->can_read(@later ? 0.02 : 1))
	{
		if ($socket == $server)
		{
			my $client = take_connection($server) or next;
			$sockets->add($client);
			$buffer{$client} = '';
		}
		else { read_from($socket); }
	}
	while (@later && $later[0][0] <= time)
	{
		my (undef, $socket, $key) = @{ shift @later };
		put($socket, take($key)) if defined $buffer{$socket};
	}
}
