# packages: libmicrohttpd-dev libpq-dev apache2-utils valgrind
# The receiver in front of a real server: limits, time-outs, a database that goes away, kills. What was answered 2xx is applied, and once.
use strict;
use warnings;
use lib 'test/lib';
use IO::Select;
use IO::Socket::INET;
use JSON::PP;
use MIME::Base64;
use MfiDelivery;
use MfiReceiver;
use MfiTest;
use MfiValgrind;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

my $program = build_receiver();
my $dir = PostgreSQL::Test::Utils::tempdir();

my $node = new_server('main', 'mfiauto.workers = off');
add_database($node, 'bank');
let_receiver_in($node, 'bank');
$node->safe_psql('bank', q{
	CREATE TABLE client (id bigint PRIMARY KEY);
	INSERT INTO client SELECT generate_series(1, 100);
	SELECT mfiauto.bind('client', 'client', '{"client_id": "id"}')});
my $key = $node->safe_psql('bank', "SELECT mfiauto.create_write_key('app')");
my %basic = (Authorization => 'Basic ' . encode_base64("$key:", ''));

my ($pid, $port, $log);

sub start_receiver
{
	my %settings = @_;
	$port = run_receiver($node, 'bank', dir => $dir, %settings);
	($pid, $log) = (receiver_pid($port), receiver_log($port));
	return;
}

sub end_receiver { my $signal = shift; return stop_receiver($port, $signal); }

sub connect_to { return IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port, Timeout => 10); }

# Reads one answer: (status, headers as one text, body).
sub read_answer
{
	my $socket = shift;
	my ($head, $body) = ('', '');
	local $SIG{ALRM} = sub { die 'no answer' };
	alarm 60;
	while (defined(my $line = <$socket>)) { last if $line eq "\r\n"; $head .= $line; }
	my ($length) = $head =~ /^content-length: (\d+)/mi;
	read $socket, $body, $length if $length;
	alarm 0;
	my ($status) = $head =~ m{^HTTP/1.1 (\d+)};
	return ($status // 0, $head, $body);
}

sub send_request
{
	my ($socket, $method, $path, $body, %headers) = @_;
	$body //= '';
	print $socket "$method $path HTTP/1.1\r\nHost: x\r\n" . join('', map { "$_: $headers{$_}\r\n" } sort keys %headers)
		. ($body ne '' ? 'Content-Length: ' . length($body) . "\r\n" : '') . "\r\n$body";
	return;
}

sub ask
{
	my $socket = connect_to() or return (0, '', '');
	send_request($socket, @_);
	return read_answer($socket);
}

sub track { my ($name, %more) = @_; return ask('POST', '/v1/track', encode_json({ userId => '1', event => $name, %more }), %basic); }
sub health { return decode_json((ask('GET', '/health'))[2]); }
sub descriptors { opendir my $handle, "/proc/$pid/fd" or die "opendir: $!"; return scalar grep { !/^\./ } readdir $handle; }
sub queued { return scalar(() = glob "$dir/queue/0*"); }
sub aside { return map { s{.*/}{}r } glob "$dir/queue/aside/*"; }
sub events { my $name = shift; return "SELECT count(*) || ' ' || count(DISTINCT properties->>'n') FROM mfiauto.event WHERE name = '$name'"; }
sub is_drained { my $name = shift; local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $until = time + 60; while (queued() && time < $until) { sleep 0.05; } return is(queued(), 0, $name); }

# ---- What is refused ----

is(system($program, '--database=host=x password=y'), 256, 'a password on the command line is refused');
is(system($program, '--wrokers=2'), 256, 'a setting that is misspelt is refused');
mkdir "$dir/everybodys" or die "mkdir: $!";
chmod 0777, "$dir/everybodys";
is(system('timeout', '10', $program, '--listen=127.0.0.1:0', "--queue_dir=$dir/everybodys"), 256, 'a queue that others may write is refused');
start_receiver(request_timeout => 2);
is_deeply(health(), { status => 'ok', database => JSON::PP::true, queued => 0, queued_bytes => 0, set_aside => 0 }, 'it is well');
is(system($program, '--listen=127.0.0.1:0', "--queue_dir=$dir/queue"), 256, 'no two receivers share a queue');

my ($status, $head, $body) = track('First', properties => { n => 1 });
is("$status $body", '200 {"success": true}', 'an event goes through');
is($node->safe_psql('bank', events('First')), '1 1', 'and is there');
is(scalar(() = $head =~ /^(?:x-content-type-options: nosniff|referrer-policy: no-referrer|x-frame-options: DENY|cache-control: no-store|content-security-policy: default-src 'none')/gm), 5, 'answers carry what protects browsers');
like($head, qr/^access-control-allow-origin: \*/m, 'and what serve() said and is allowed');
($status, $head) = ask('OPTIONS', '/v1/track');
like("$status $head", qr/^204 .*access-control-allow-headers: authorization, content-type/s, 'a browser may ask first');
is((ask('GET', '/'))[0], 404, 'nothing else is there');
is((ask('PUT', '/v1/track', 'x'))[0], 405, 'methods that nobody needs are refused');
is((ask('GET', "/v1/\x01"))[0], 400, 'control characters in a target are refused');
is((ask('GET', "/v1/\xff"))[0], 400, 'and what is not UTF-8');
is((ask('GET', '/' . 'a' x 3000))[0], 414, 'and a path that is too long');
is((ask('GET', '/health', undef, map { ("X-$_" => 'y') } 1 .. 200))[0], 431, 'and too many headers');
is((ask('GET', '/health', undef, X => 'y' x 100000))[0], 431, 'and headers that are too long');
is((ask('GET', '/health', undef, "X" => "\xff\xfe\\\"", "x" => "\t2"))[0], 200, 'odd headers do no harm');
is((ask('POST', '/w/any', 'x' x (256 * 1024 + 1)))[0], 413, 'a body beyond the limit is refused');
is((ask('POST', '/v1/batch', ' ' x 300000, %basic))[0], 400, 'the tracking API has a wider one');
{
	my $socket = connect_to();
	print $socket "POST /w/any HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
	print $socket "10000\r\n" . 'x' x 65536 . "\r\n" for 1 .. 6;
	print $socket "0\r\n\r\n";
	is((read_answer($socket))[0], 413, 'also one that does not say how long it is');
	$socket = connect_to();
	print $socket "POST /w/any HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n";
	is((read_answer($socket))[0] =~ /^4|^0/ ? 1 : 0, 1, 'and one that lies beyond numbers');
}

# A proxy may have chosen the other length, and would take what is left of one request for another's.
for my $framing ("Content-Length: 3\r\nContent-Length: 40", "Content-Length: 40\r\nContent-Length: 3", "Content-Length: 3\r\nTransfer-Encoding: chunked",
	"Transfer-Encoding: gzip, chunked", "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity", 'Transfer-Encoding: xchunked')
{
	my $socket = connect_to();
	print $socket "POST /w/any HTTP/1.1\r\nHost: x\r\n$framing\r\n\r\n0\r\n\r\nGET /health HTTP/1.1\r\nHost: x\r\n\r\n";
	my $answers = do { local $SIG{ALRM} = sub { die 'no end' }; alarm 60; local $/; my $all = <$socket>; alarm 0; $all };
	is(join(' ', $answers =~ m{^HTTP/1.1 (\d+)}mg), '400', "a body with two lengths is refused, and what follows it ($framing)" =~ s/\r\n/, /r);
}

# ---- Webhooks ----

$node->safe_psql('bank', q{
	SELECT mfiauto.create_gateway('hook', channel => 'sms', preset => 'webhook', settings => '{"url": "https://192.0.2.1/"}');
	SELECT mfiauto.set_secret('hook', 'receipt_token', 'Bearer sesame')});
sub hook { my ($content, %more) = @_; return ask('POST', '/w/hook', encode_json($content), Authorization => 'Bearer sesame', 'Content-Type' => 'application/json', %more); }
add_messages($node, 'bank', 1, 3);
$node->safe_psql('bank', "UPDATE mfiauto.message_ledger SET state = 'sent', gateway = 'hook', sent_at = now(); DELETE FROM mfiauto.outbox");
my %reference = split /[|\n]/, $node->safe_psql('bank', "SELECT client_id, message_id || '-' || idempotency_key FROM mfiauto.message_ledger");
is((hook({ reference => $reference{1}, state => 'delivered' }))[0], 200, 'a receipt is taken');
is((hook({ reference => $reference{2}, state => 'delivered' }, Authorization => 'Bearer mustard'))[0], 401, 'not from anybody');
is((hook({ reference => $reference{2}, state => 'delivered' }, 'MFIAUTO-Received-At' => '2020-01-01T00:00:00Z'))[0], 200, 'what is ours to say is said by nobody else');
is($node->safe_psql('bank', states(1, 3)), 'delivered 2, sent 1', 'the message knows it');
is($node->safe_psql('bank', "SELECT count(*) FROM mfiauto.receipt WHERE received_at < now() - interval '1 day'"), '0', 'at its time');
is((hook({ from => '+221770000001', text => 'bonjour', id => 'i1' }))[0], 200, 'an incoming message is taken');
is((ask('GET', '/w/nobody?x=1'))[0], 404, 'for gateways that there are');

# A request that comes a byte at a time has its time, not each of its bytes.
for my $slow (['headers', "GET /health HTTP/1.1\r\n", "X: y\r\n"], ['body', "POST /w/x HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n", 'x'], ['nothing', '', ''])
{
	my ($name, $first, $next) = @$slow;
	my $socket = connect_to();
	my $began = time;
	local $SIG{PIPE} = 'IGNORE';
	print $socket $first;
	$socket->autoflush(1);
	my $is_closed = 0;
	while (time - $began < 10 && !$is_closed)
	{
		print $socket $next;
		$is_closed = IO::Select->new($socket)->can_read(0.3) && !sysread($socket, my $unused, 1000);
	}
	my $took = time - $began;
	ok($is_closed && $took > 1.5 && $took < 6, "slow $name: the connection is ended") or diag($took);
}
is(end_receiver(), 0, 'it stops');

# ---- Rates ----

start_receiver(rate_per_address => 1, burst_per_address => 3, trusted_proxies => '127.0.0.0/8');
is(join(' ', map { (ask('GET', '/nothing', undef, 'X-Forwarded-For' => '198.51.100.7'))[0] } 1 .. 5), '404 404 404 429 429', 'one address may ask so often');
like((ask('GET', '/nothing', undef, 'X-Forwarded-For' => '198.51.100.7'))[1], qr/^retry-after: 1\r/mi, 'and is told when again');
is(join(' ', map { (ask('GET', '/nothing', undef, 'X-Forwarded-For' => "203.0.113.$_, 198.51.100.7"))[0] } 1 .. 2), '429 429', 'what a client claims before the proxy does not help');
is(join(' ', map { (ask('GET', '/nothing', undef, 'X-Forwarded-For' => "203.0.113.$_", 'x-forwarded-for' => '198.51.100.7'))[0] } 1 .. 2), '429 429', 'nor in a header of his own before the proxy\'s');
is((ask('GET', '/nothing', undef, 'X-Forwarded-For' => '203.0.113.1, ' x 600, 'x-forwarded-for' => '198.51.100.7'))[0], '429', 'however long');
is(join(' ', map { (ask('GET', '/nothing', undef, 'X-Forwarded-For' => "198.51.100.$_"))[0] } 1 .. 5), '404 404 404 404 404', 'others are others');
is(join(' ', map { (ask('GET', '/nothing', undef, 'X-Forwarded-For' => "2001:db8::$_"))[0] } 1 .. 4), '404 404 404 429', 'a subscriber has one network of IPv6');
end_receiver();
start_receiver(rate => 1, burst => 2);
is(join(' ', map { (ask('GET', '/nothing', undef, 'X-Forwarded-For' => "198.51.100.$_"))[0] } 1 .. 4), '404 404 429 429', 'all together have a rate, and nobody who is not trusted names another');
end_receiver();

# What is held of requests that do not end is limited too. A header that is not UTF-8 takes six times its size.
start_receiver(memory_limit_mb => 1);
{
	my @slow = map { connect_to() } 1 .. 3;
	print $_ "POST /w/any HTTP/1.1\r\nHost: x\r\nX: " . "\xff" x 40000 . "\r\nContent-Length: 2\r\n\r\nx" for @slow;
	for (1 .. 100) { last if (ask('GET', '/health', undef, X => "\xff" x 55000))[0] == 503; sleep 0.05; }
	is((ask('GET', '/health', undef, X => "\xff" x 55000))[0], 503, 'headers count against the limit of memory');
	is((ask('GET', '/health'))[0], 200, 'what is small goes through');
	print $_ 'y' for @slow;
	is((read_answer($_))[0], 404, 'those that were held are answered') for @slow;
	is((ask('GET', '/health', undef, X => "\xff" x 55000))[0], 200, 'and give back what they took');
}
end_receiver();

# ---- Many requests over few connections ----

start_receiver();
append_to_file("$dir/event.json", encode_json({ userId => '1', event => 'Counted' }));
sub run_ab
{
	my ($count, $path, @more) = @_;
	IPC::Run::run(['ab', '-q', '-k', '-c', '20', '-n', $count, @more, "http://127.0.0.1:$port$path"], '>', \my $printed, '2>&1');
	return $printed;
}
run_ab(200, '/health');
my $before = descriptors();
my $out = run_ab(5000, '/v1/track', '-p', "$dir/event.json", '-T', 'application/json', '-A', "$key:");
like($out, qr/Complete requests: +5000\b/, '5000 requests over kept connections');
unlike($out, qr/Non-2xx/, 'all are taken');
is($node->safe_psql('bank', "SELECT count(*) FROM mfiauto.event WHERE name = 'Counted'"), '5000', 'none is lost, none is there twice');
my $left = 100;
while (descriptors() > $before && $left--) { sleep 0.1; }
cmp_ok(descriptors(), '<=', $before, 'no descriptor is left over');

# ---- Stopping with a request under way ----

my $holder;
sub hold { $holder = $node->background_psql('bank'); $holder->query_safe('BEGIN; LOCK TABLE mfiauto.tracking_message'); return; }
sub let_go { $holder->quit; return; }

hold();
my $waiting = connect_to();
send_request($waiting, 'POST', '/v1/track', encode_json({ userId => '1', event => 'In Flight', properties => { n => 1 } }), %basic);
is_soon($node, 'bank', "SELECT count(*) FROM pg_stat_activity WHERE usename = 'front' AND wait_event_type = 'Lock'", '1', 'a request is under way');
kill 'TERM', $pid;
for (1 .. 100) { last if slurp_file($log) =~ /stopping/ && !connect_to(); sleep 0.05; }
ok(!connect_to(), 'a receiver that stops takes nobody else');
let_go();
is((read_answer($waiting))[0], 200, 'but finishes what it took');
is(end_receiver(), 0, 'and ends');
is($node->safe_psql('bank', events('In Flight')), '1 1', 'that is there');

# ---- The database takes too long ----

start_receiver(database_timeout => 2);
hold();
is((track('Slow', properties => { n => 1 }))[0], 200, 'what the database takes too long for is kept here');
is(queued(), 1, 'on disk');
let_go();
is_drained('it goes out when it can');
is($node->safe_psql('bank', events('Slow')), '1 1', 'once');
my $cut = $node->safe_psql('postgres', "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = 'front'");
cmp_ok($cut, '>', 0, 'connections are cut');
is((track('Cut', properties => { n => 1 }))[0], 200, 'nobody notices');
is($node->safe_psql('bank', events('Cut')), '1 1', 'and nothing had to wait');

# An operator puts an older request back while one is being said.
end_receiver();
start_receiver(database_timeout => 4);
hold();
is((track('Put Back', properties => { n => 1 }))[0], 200, 'one waits for the database');
my ($waits) = glob "$dir/queue/0*";
my $older = $waits =~ s{/0([0-9a-f]{15})$}{'/0' . sprintf '%015x', hex($1) - 1}er;
system('cp', $waits, $older) == 0 or die 'cp';
kill 'HUP', $pid;
for (1 .. 100) { last if slurp_file($log) =~ /reopened/; sleep 0.05; }
let_go();
is_drained('both go out');
for (1 .. 100) { last if health()->{queued} == 0; sleep 0.05; }
is($node->safe_psql('bank', events('Put Back')), '1 1', 'and are one');
is(join(' ', map { $_->{queued} . ' ' . $_->{set_aside} } health()) . (slurp_file($log) =~ /(could not be set aside)/ ? $1 : ''), '0 0', 'nothing else is left, or was said to be set aside');

# Of a pair of servers one may be gone without a word: connections to it are neither taken nor refused.
end_receiver();
my $silent = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 10) or die "listen: $!";
start_receiver(database_timeout => 4, database => 'host=127.0.0.1,' . $node->host . ' port=' . $silent->sockport . ',' . $node->port . ' dbname=bank user=front target_session_attrs=read-write');
is((track('Pair', properties => { n => 1 }))[0], 200, 'an event is taken where the first server of two says nothing');
is_drained('and waits for nothing');
is($node->safe_psql('bank', events('Pair')), '1 1', 'the second has it');
end_receiver();
$silent->close;
start_receiver(database_timeout => 2);

# ---- The database is away ----

$node->stop('fast');
is((track('Away', properties => { n => $_ }))[0], 200, "event $_ is taken while the database is away") for 1 .. 3;
is((ask('POST', '/u/abc', 'List-Unsubscribe=One-Click'))[0], 200, 'so is the wish to be left alone');
is((hook({ reference => $reference{3}, state => 'delivered' }))[0], 200, 'and a receipt') for 1 .. 2;
is((hook({ from => '+221770000001', text => 'encore', id => 'i2' }))[0], 200, 'and an incoming message') for 1 .. 2;
is(queued(), 8, 'they are on disk');
($status, $head, $body) = ask('GET', '/l/abc');
like("$status $head $body", qr/^503 .*retry-after: 60.*essayer/si, 'who follows a link is asked to come again');
is((ask('GET', '/u/abc'))[0], 503, 'who wants to see the page too');
is((ask('POST', '/v/any', 'x'))[0], 503, 'what wants an answer of the database gets none');
is((ask('GET', '/w/any'))[0], 503, 'a handshake neither');
($status, $head, $body) = ask('GET', '/health');
is("$status " . decode_json($body)->{queued}, '503 8', 'health says so, and how many wait');
is(end_receiver('KILL'), 9, 'then the receiver is killed');
append_to_file("$dir/queue/new-00000000000000ff", 'never finished, never answered');
start_receiver();
ok(!-e "$dir/queue/new-00000000000000ff", 'what was never answered is forgotten');
is(health()->{queued}, 8, 'the queue is still there');
is((track('Away', properties => { n => $_ }))[0], 200, "event $_ is taken") for 4 .. 300;
is(queued(), 305, 'all are on disk');
$node->start;
# Killed while it works the queue off: what it had said and not yet forgotten is said again.
for (1 .. 400) { last if queued() < 285; sleep 0.02; }
my $rest = queued();
end_receiver('KILL');
cmp_ok($rest, '>', 0, 'it is killed again while it works the queue off');
start_receiver();
is_drained('the rest goes out');
is($node->safe_psql('bank', events('Away')), '300 300', 'all were applied, each once');
is($node->safe_psql('bank', "SELECT count(*) FROM mfiauto.event WHERE name = 'Away' AND occurred_at < received_at - interval '50 milliseconds'") > 290 ? 1 : 0, 1, 'at the time when they came');
is($node->safe_psql('bank', states(1, 3)), 'delivered 3', 'the receipt is applied');
is($node->safe_psql('bank', "SELECT count(*) FROM mfiauto.inbound_log WHERE provider_id = 'i2'"), '1', 'the incoming message is there once');
like(join(' ', aside()), qr/^0[0-9a-f]{15}-404$/, 'what the database refused was set aside');

# ---- The queue is full ----

end_receiver();
unlink glob "$dir/queue/aside/*";
$node->stop('fast');
start_receiver(queue_limit_mb => 1);
my %answers;
my $padding = 'x' x 30000;
for (1 .. 50) { ($status, $head) = track('Full', properties => { n => $_, padding => $padding }); $answers{$status}++; }
cmp_ok($answers{200} // 0, '>=', 30, "a megabyte of events is taken ($answers{200})");
is($answers{200} + $answers{503}, 50, 'the others are refused');
like($head, qr/^retry-after: 60/mi, 'and told to come again');
my $taken = queued();
is($taken, $answers{200}, 'what was taken is on disk');

# ---- Files that are spoilt, and requests that the database will not have ----

is((track('Full', padding => $padding))[0], 503, 'it is full for all');
end_receiver();
my @files = sort glob "$dir/queue/0*";
my $content = slurp_file($files[0]);
substr($content, length($content) - 100, 1) = '!';
open my $handle, '>', $files[0] or die "open: $!";
print $handle $content;
close $handle;
truncate $files[1], 200;
start_receiver();
is((ask('POST', '/v1/track', '{}'))[0], 200, 'a limit may grow; this one has no write key');
$node->start;
is_drained('the queue is worked off');
is($node->safe_psql('bank', "SELECT count(*) FROM mfiauto.event WHERE name = 'Full'"), $taken - 2, 'the others were applied');
is(scalar(grep { /-unreadable$/ } aside()), 2, 'two files were spoilt');
is(scalar(grep { /-401$/ } aside()), 1, 'one request was refused');
is(health()->{set_aside}, 3, 'health counts them');
like(slurp_file($log), qr/was set aside \(unreadable\)/, 'the log names them');

# A request that a server dies of does not take it down for ever, nor keep those behind it.
$node->safe_psql('bank', q{
	CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN COPY (SELECT 1) TO PROGRAM 'kill -9 $PPID'; RETURN NEW; END $$;
	CREATE TRIGGER die BEFORE INSERT ON mfiauto.event_log FOR EACH ROW WHEN (NEW.name = 'Deadly') EXECUTE FUNCTION die()});
is((track('Deadly'))[0], 200, 'a request that the server dies of is kept');
is((track('Behind', properties => { n => 1 }))[0], 200, 'one behind it is taken');
is_drained('both leave the queue');
is(join(' ', grep { !/-(?:401|unreadable)$/ } map { s/^[0-9a-f]*//r } aside()), '-lost', 'one was set aside');
is($node->safe_psql('bank', events('Behind')), '1 1', 'the other applied');
unlink grep { /-lost$/ } glob "$dir/queue/aside/*";

# An operator puts one back, and the log away.
my ($refused) = grep { /-401$/ } aside();
rename "$dir/queue/aside/$refused", "$dir/queue/" . substr($refused, 0, 16);
kill 'HUP', $pid;
for (1 .. 100) { last if slurp_file($log) =~ /reopened/; sleep 0.05; }
for (1 .. 200) { last if !queued() && aside() == 3; sleep 0.05; }
is(join(' ', sort map { s/.*-//r } aside()), '401 unreadable unreadable', 'SIGHUP looks at the queue again');
is((track('After', properties => { n => 1 }))[0], 200, 'and at the database');
end_receiver();

# ---- The log ----

start_receiver(log_file => "$dir/own.log");
track('Logged');
rename "$dir/own.log", "$dir/receiver.old.log";
kill 'HUP', $pid;
for (1 .. 100) { last if -s "$dir/own.log"; sleep 0.05; }
track('Logged');
is(end_receiver(), 0, 'a receiver with a log of its own');
like(slurp_file("$dir/own.log"), qr/reopened\n.*POST \/v1\/track 200/s, 'goes on in a new one');
unlike(slurp_file("$dir/receiver.old.log"), qr/reopened/, 'when the old one was moved away');

my $said = join '', map { slurp_file($_) } glob "$dir/receiver.*.log";
unlike($said, qr/\Q$key\E|padding|List-Unsubscribe|\/u\/abc|198\.51\.100|userId|sesame|22177|bonjour/, 'no log has keys, bodies, tokens or who somebody is');
my $server_said = join '', slurp_file($node->logfile) =~ /^.* mfiauto-receiver .*\n/mg;
like($server_said, qr/execute serve: SELECT s\.status/, 'the server, which logs all statements here,');
unlike($server_said, qr/\Q@{[ encode_base64("$key:", '') ]}\E|padding|List-Unsubscribe|\/u\/abc|198\.51\.100|userId|bonjour/, 'has none of it either');
like($said, qr{Z POST /v1/track 200 \d+ ms\n}, 'a request is a line');
like($said, qr{Z POST /v1/track 200 \d+ ms queued\n}, 'that tells when it was queued');
like($said, qr{Z GET /l/ 503 \d+ ms\n}, 'and of a link not which');

# ---- Memory and descriptors ----

SKIP:
{
	skip 'valgrind is not installed', 1 unless -x '/usr/bin/valgrind';
	mkdir "$dir/checked" or die "mkdir: $!";
	start_receiver(wrapper => [valgrind_command("$dir/checked")], connections => 100, request_timeout => 5, burst_per_address => 100, trusted_proxies => '10.0.0.0/8', database_timeout => 30);
	is((track('Checked', properties => { n => $_ }))[0], 200, "event $_ under valgrind") for 1 .. 3;
	ask('GET', '/health', undef, 'X-Forwarded-For' => '192.0.2.1, x');
	ask('POST', '/w/any', 'x' x 300000);
	ask('PUT', '/');
	ask('GET', "/v1/\x01"), ask('GET', '/' . 'a' x 3000), ask('GET', '/health', undef, map { ("X-$_" => 'y') } 1 .. 200), ask('GET', '/l/abc'), ask('POST', '/v/any', '<x'), ask('POST', '/u/abc', 'x=%zz') for 1 .. 10;
	is((hook({ reference => "n$_", state => $_ % 2 ? 'delivered' : 7 }))[0], 200, 'a receipt') for 1 .. 2;
	run_ab(200, '/v1/track', '-p', "$dir/event.json", '-T', 'application/json', '-A', "$key:");
	# Somebody who goes away in the middle, of the headers and of the body.
	for my $start (("GET /hea", "POST /w/x HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc") x 5) { my $socket = connect_to(); print $socket $start; close $socket; }
	$node->stop('fast');
	is((track('Checked', properties => { n => $_ }))[0], 200, 'one is queued under valgrind') for 4 .. 6;
	ask('GET', '/l/abc');
	$node->start;
	is_drained('and replayed');
	kill 'HUP', $pid;
	track('Checked', properties => { n => 7 });
	# A stop with one under way.
	hold();
	$waiting = connect_to();
	send_request($waiting, 'POST', '/v1/track', encode_json({ userId => '1', event => 'Checked', properties => { n => 8 } }), %basic);
	is_soon($node, 'bank', "SELECT count(*) FROM pg_stat_activity WHERE usename = 'front' AND wait_event_type = 'Lock'", '1', 'a request is under way');
	kill 'TERM', $pid;
	let_go();
	is((read_answer($waiting))[0], 200, 'and answered');
	is(end_receiver(), 0, 'it ends');
	is($node->safe_psql('bank', events('Checked')), '8 8', 'all are there');
	my @reports = reports_of("$dir/checked");
	is(join("\n\n", faults(@reports)), '', 'no memory is used that is not there or was never written');
	is(join("\n\n", leaks(@reports)), '', 'none is lost');
	# The directory of its queue is locked until the process is gone.
	is(join("\n\n", grep { !/queue_setup/ } descriptors_left(@reports)), '', 'no descriptor is left open');
}
$node->stop;
done_testing();
