# Webhooks with the makers' own referee: what Twilio's library signs we accept, and of what was tampered with both say the same. Providers that are asked:
# the worker asks in time, with the gateway's key, goes on where it was, keeps quiet while it fails; receipts and incoming texts are those of webhooks.
# node: twilio@6.2.0
use strict;
use warnings;
use lib 'test/lib';
use IO::Socket::INET;
use JSON::PP;
use MfiTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

$PostgreSQL::Test::Utils::timeout_default = 30;

my $dir = PostgreSQL::Test::Utils::tempdir();
my $node = new_server('main', "mfiauto.private_hosts = '127.0.0.1'");
add_database($node, 'bank');

# ---- Twilio's validator ----

append_to_file("$dir/referee.js", <<'JS');
// Requests as Twilio sends them, some of them tampered with, each with the verdict of Twilio's own library.
const { validateRequest, validateRequestWithBody, getExpectedTwilioSignature, getExpectedBodyHash } = require('twilio/lib/webhooks/webhooks');
let seed = 20260105;
const random = n => { seed = (seed * 1103515245 + 12345) % 2147483648; return Math.floor(seed / 65536) % n; };
const texts = ['', 'STOP', 'été', 'a&b=c', 'x+y z', '%20', '🙂', '+221770000001', 'line\nline', "quote'\"", '=', '0'];
const pick = list => list[random(list.length)];
const token = 'a0b1c2d3e4f5';
const rows = [];
for (let i = 0; i < 400; i++) {
  const query = random(2) ? '?ref=' + i + (random(2) ? '&empty=' : '') : '';
  let url = 'https://m.mfi.example/w/twilio' + query, body, headers, good;
  const fault = i % 4 ? pick(['url', 'body', 'signature', 'key', 'none']) : 'none';
  const key = fault === 'key' ? token + '0' : token;
  if (random(3)) {
    const params = {};
    for (let n = random(8); n > 0; n--) params[pick(['To', 'From', 'Body', 'MessageSid', 'MessageStatus', 'a', 'A', 'B1', 'b', 'Été'])] = pick(texts);
    if (!random(4)) params.MediaUrl = [pick(texts), pick(texts), 'z', 'z'];
    const sign = getExpectedTwilioSignature(key, url, params);
    const given = fault === 'signature' ? sign.replace(/^./, c => c === 'A' ? 'B' : 'A') : sign;
    if (fault === 'body') params.Body = (params.Body || '') + '!';
    const called = fault === 'url' ? url + (query ? '&' : '?') + 'x=1' : url;
    body = Object.entries(params).flatMap(([k, v]) => [v].flat().map(x => encodeURIComponent(k) + '=' + encodeURIComponent(x).replace(/%20/g, '+'))).join('&');
    headers = { 'Content-Type': 'application/x-www-form-urlencoded', 'X-Twilio-Signature': given };
    good = validateRequest(token, given, called, params);
    url = called;
  } else {
    body = JSON.stringify({ status: pick(texts), n: i });
    url += (query ? '&' : '?') + 'bodySHA256=' + getExpectedBodyHash(body);
    const sign = getExpectedTwilioSignature(key, url, {});
    const given = fault === 'signature' ? sign.replace(/^./, c => c === 'A' ? 'B' : 'A') : sign;
    if (fault === 'body') body += ' ';
    if (fault === 'url') url += '&x=1';
    headers = { 'content-type': 'application/json; charset=utf-8', 'x-twilio-signature': given };
    good = validateRequestWithBody(token, given, url, body);
  }
  rows.push({ query: url.split('?').slice(1).join('?'), headers, body, good });
}
console.log(JSON.stringify(rows));
JS
my ($rows, $error) = run_command([ 'node', "$dir/referee.js" ]);
is($error, '', 'the referee ran');
my $cases = decode_json($rows);
my $accepted = grep { $_->{good} } @$cases;
cmp_ok($accepted, '>', 100, "Twilio's library accepts many of its own");
cmp_ok(@$cases - $accepted, '>', 100, 'and refuses many that were tampered with');
$node->safe_psql('bank', q{SELECT mfiauto.create_gateway('twilio', 'sms', 'twilio', settings => '{"sender": "MFI", "receipt_url": "https://m.mfi.example/w/twilio"}');
  SELECT mfiauto.set_secret('twilio', 'auth_token', 'a0b1c2d3e4f5')});
append_to_file("$dir/check.sql", "SELECT string_agg(c.verdict || CASE WHEN (c.verdict = 'good') = (r ->> 'good')::boolean THEN '' ELSE ' against the referee: ' || r::text END, E'\\n')
  FROM jsonb_array_elements(\$rows\$$rows\$rows\$) r, mfiauto._check_webhook('twilio', '{\"method\": \"twilio\", \"secret\": \"auth_token\"}', 'POST',
         'https://m.mfi.example/w/twilio', r ->> 'query', r -> 'headers', convert_to(r ->> 'body', 'UTF8'), now()) c");
my $verdicts = $node->safe_psql('bank', slurp_file("$dir/check.sql"));
is(scalar(grep { /referee/ } split /\n/, $verdicts), 0, 'we say the same of each') or diag(join "\n", grep { /referee/ } split /\n/, $verdicts);
is(scalar(grep { $_ eq 'good' } split /\n/, $verdicts), $accepted, 'as many are good');

# A whole request of its through the door of the web front.
my ($case) = grep { $_->{good} && $_->{headers}{'Content-Type'} && $_->{body} =~ /MessageStatus=[^&]/ && $_->{body} !~ /MessageSid=(&|$)/ } @$cases;
my $sql = sub { my $text = JSON::PP->new->latin1(0)->encode(shift); return "\$j\$$text\$j\$::jsonb" };
my $call = qq{SELECT r.status || ' ' || convert_from(r.body, 'UTF8') FROM (SELECT } . $sql->($case) . q{ AS c) x, mfiauto.serve('POST', '/w/twilio', c ->> 'query', c -> 'headers', convert_to(c ->> 'body', 'UTF8'), '127.0.0.1') r};
is($node->safe_psql('bank', $call), '200 <Response/>', 'it is answered as Twilio likes');
is($node->safe_psql('bank', $call), '200 <Response/>', 'and so is its repeat');
is($node->safe_psql('bank', 'SELECT count(*) FROM mfiauto.webhook_memory'), '1', 'which is not read again');
$call =~ s/"X-Twilio-Signature":"./"X-Twilio-Signature":"-/;
is($node->safe_psql('bank', $call), '401 ', 'what was tampered with is refused');
is($node->safe_psql('bank', q{SELECT state || ': ' || regexp_replace(detail, 'less than a second|\d+ s', 'just now') FROM mfiauto.status WHERE item = 'webhooks'}),
	'warning: twilio: one was refused just now ago, not signed by the provider', 'and told to the operator');

# ---- Providers that are asked ----

my $server = IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => 0, Listen => 64, ReuseAddr => 1) or die "listen: $!";
my $port = $server->sockport;
my $child = fork // die "fork: $!";
if ($child == 0)
{
	$SIG{PIPE} = 'IGNORE';
	my ($reports, $failing) = (0, 0);
	while (my $client = $server->accept)
	{
		my $head = '';
		while (defined(my $line = <$client>)) { $head .= $line; last if $line eq "\r\n"; }
		my ($path) = $head =~ m{^GET (\S+)};
		my ($status, $body) = (200, '{"results": []}');
		append_to_file("$dir/asked", "$path\n");
		if ($head !~ /^Authorization: App k3y\r$/mi) { ($status, $body) = (401, '{}'); }
		elsif ($path =~ m{^/reports}) { $body = '{"results": [{"messageId": "p1", "status": {"groupName": "DELIVERED"}}, {"messageId": "p2", "status": {"groupName": "EXPIRED"}}]}' if !$reports++; }
		elsif ($path =~ m{^/inbox\?last=(\d+)}) { $body = $1 < 7 ? '{"messages": [{"id": 6, "from": "+221770000001", "text": "STOP"}, {"id": 7, "from": "+221770000002", "text": "Bonjour"}]}' : '{"messages": []}'; }
		elsif ($path =~ m{^/broken}) { ($status, $body) = (500, 'oops'); }
		elsif ($path =~ m{^/garbage}) { $body = "\x00\xff"; }
		print $client "HTTP/1.1 $status X\r\nContent-Type: application/json\r\nContent-Length: " . length($body) . "\r\nConnection: close\r\n\r\n$body";
		close $client;
	}
	exit 0;
}
close $server;
END { my $status = $?; kill 'TERM', $child if $child; $? = $status; }
sub asked { my $path = shift; return -e "$dir/asked" ? scalar(grep { /^\Q$path\E/ } split /\n/, slurp_file("$dir/asked")) : 0; }

sub add_poll
{
	my ($name, $path, $every, $rules, $key) = @_;
	my $definition = encode_json({ request => { url => "http://127.0.0.1:$port/send" }, secrets => ['key'],
		auth => { kind => 'header', name => 'Authorization', value => 'App {{secret.key}}' }, limits => { timeout => 5 },
		poll => { every => $every, request => { url => "http://127.0.0.1:$port$path" }, exists $rules->{cursor} ? (cursor => delete $rules->{cursor}) : () }, %$rules });
	$node->safe_psql('bank', "BEGIN; SELECT mfiauto.create_gateway('$name', 'sms', definition => \$d\$$definition\$d\$); SELECT mfiauto.set_secret('$name', 'key', '" . ($key // 'k3y') . "'); COMMIT");
	return;
}
$node->safe_psql('bank', q{
  INSERT INTO mfiauto.message_ledger (client_id, created_at, due_at, sent_at, state, class, channel, gateway, provider_id)
  SELECT i, now(), now(), now(), 'sent', 'transactional', 'sms', 'reports', 'p' || i FROM generate_series(1, 2) i;
  INSERT INTO mfiauto.provider_key (client_id, message_id, gateway, provider_id, named_at) SELECT client_id, message_id, 'reports', provider_id, now() FROM mfiauto.message_ledger WHERE gateway = 'reports'});
add_poll('reports', '/reports?limit=10', '1 s', { receipt => { list => 'results', id => 'messageId', status => 'status.groupName', states => { DELIVERED => 'delivered', EXPIRED => 'expired' } } });
select undef, undef, undef, 1.5;
is(asked('/reports'), 0, 'a server that is not armed asks nobody');
$node->safe_psql('bank', 'SELECT mfiauto.arm_delivery()');
is_soon($node, 'bank', q{SELECT string_agg(state || coalesce('/' || reason, ''), ', ' ORDER BY client_id) FROM mfiauto.message WHERE gateway = 'reports'}, 'delivered, undelivered/receipt_expired', 'receipts are fetched');
is_soon($node, 'bank', q{SELECT event_count || ' ' || (failure_count = 0) || ' ' || coalesce(error, 'well') FROM mfiauto.poll_state WHERE gateway = 'reports'}, '2 true well', 'and counted');
my $before = asked('/reports');
for (1 .. 100) { last if asked('/reports') >= $before + 2; select undef, undef, undef, 0.1; }
cmp_ok(asked('/reports'), '>=', $before + 2, 'it is asked again and again');
is($node->safe_psql('bank', 'SELECT count(*) FROM mfiauto.unread_webhook'), '0', 'having nothing to say is no fault');

add_poll('inbox', '/inbox', '1 s', { inbound => { list => 'messages', from => 'from', text => 'text', id => 'id' }, cursor => { parameter => 'last', path => '$.messages[last].id', first => '0' } });
is_soon($node, 'bank', q{SELECT cursor FROM mfiauto.poll_state WHERE gateway = 'inbox'}, '7', 'texts are read from where it was left');
for (1 .. 100) { last if asked('/inbox?last=7') > 1; select undef, undef, undef, 0.1; }
is(asked('/inbox?last=0'), 1, 'each once');
is($node->safe_psql('bank', q{SELECT string_agg(body, ', ' ORDER BY provider_id) FROM mfiauto.inbound_log WHERE gateway = 'inbox'}), 'STOP, Bonjour', 'and taken as what people wrote');

add_poll('broken', '/broken', '1 s', { receipt => { id => 'id', state => 'sent' } });
add_poll('garbage', '/garbage', '1 h', { receipt => { id => 'id', state => 'sent' } });
add_poll('stranger', '/reports', '1 s', { receipt => { id => 'id', state => 'sent' } }, 'wrong');
is_soon($node, 'bank', q{SELECT error FROM mfiauto.poll_state WHERE gateway = 'stranger'}, 'HTTP 401', 'a wrong key is told');
is_soon($node, 'bank', q{SELECT problem FROM mfiauto.unread_webhook WHERE gateway = 'garbage'}, 'the body cannot be read as the definition says', 'what cannot be read is kept');
is_soon($node, 'bank', q{SELECT failure_count >= 3 AND next_at - asked_at >= interval '8 s' FROM mfiauto.poll_state WHERE gateway = 'broken'}, 't', 'who fails is asked ever less often');
is($node->safe_psql('bank', q{SELECT poll_error FROM mfiauto.gateway_status WHERE gateway = 'broken'}), 'HTTP 500', 'and gateway_status says why');
my $held = $node->safe_psql('bank', q{SELECT mfiauto.hold_delivery('closed', gateway => 'reports'); SELECT 'held'});
select undef, undef, undef, 1.2;
$before = asked('/reports?limit');
select undef, undef, undef, 2.5;
is(asked('/reports?limit'), $before, 'a gateway that is held is not asked');

done_testing();
