# E-mail through a real Postfix: STARTTLS, refusals, and a bounce that comes back hours later in a moment. Other mail servers: logins, silence after the letter.
# packages: postfix python3-aiosmtpd openssl
# beside: test/lib/postfix.sh
use strict;
use warnings;
use lib 'test/lib';
use IO::Socket::INET;
use IPC::Run;
use MIME::Base64;
use MfiDelivery;
use MfiProcess;
use MfiTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $beside = $ENV{MFI_BESIDE} // '';
plan skip_all => 'Postfix needs root to start: run tools/test.sh as root or with sudo' if $beside eq '';
die 'Postfix did not start: ' . slurp_file("$beside/start.log") unless -s "$beside/ports";
my ($port, $peer) = split ' ', slurp_file("$beside/ports");
my $dir = PostgreSQL::Test::Utils::tempdir();

# Another mail server, see test/lib/smtp_peer.py.
sub start_mail_server
{
	my ($at, @certificate) = @_;
	start_process(undef, '/usr/bin/python3', 'test/lib/smtp_peer.py', $at, "$dir/peer.$at", @certificate);
	return wait_for_port($at);
}

start_mail_server($peer);
my $guarded = PostgreSQL::Test::Cluster::get_free_port();
start_mail_server($guarded, "$beside/tls/server.pem", "$beside/tls/server.key");

my $node = new_server('main', "mfiauto.private_hosts = '127.0.0.1'", "mfiauto.ca_file = '$beside/tls/ca.pem'", 'log_statement = none');
add_database($node, 'bank');
$node->safe_psql('bank', q{
	SELECT mfiauto.arm_delivery();
	CREATE ROLE mailman LOGIN;
	SELECT mfiauto.grant_access('mailman', 'receiver')});

my $next = 0;

# A letter to each address, to leave through the only gateway that is enabled; their client ids.
sub add_letters
{
	my (@to) = @_;
	my $first = $next + 1;
	$next += @to;
	$node->safe_psql('bank', sprintf(q{
		WITH made AS (
		  INSERT INTO mfiauto.message_ledger (client_id, created_at, due_at, expires_at, state, class, channel, to_address, title, body, html, parts)
		  SELECT %d + n - 1, mfiauto.now(), mfiauto.now(), mfiauto.now() + interval '1 day', 'queued', 'transactional', 'email', a,
		         'Échéance n° ' || n, E'Bonjour Awa,\n.\nvotre échéance', '<p>Bonjour Awa</p>', 1
		    FROM unnest('{%s}'::text[]) WITH ORDINALITY AS x(a, n) RETURNING *)
		INSERT INTO mfiauto.outbox (client_id, message_id, created_at, channel, priority, due_at, expires_at)
		SELECT m.client_id, m.message_id, m.created_at, m.channel, 1, m.due_at, m.expires_at FROM made m;
		SELECT mfiauto._wake_delivery()}, $first, join(',', @to)));
	return $first;
}

# A gateway in place of the one before it.
sub use_gateway
{
	my ($name, $url, %more) = @_;
	my $settings = join q{, }, map { $more{$_} =~ m{^\d+$} ? qq{"$_": $more{$_}} : qq{"$_": "$more{$_}"} } sort keys %more;
	$node->safe_psql('bank', qq{
		SELECT mfiauto.alter_gateway(gateway, is_enabled => false) FROM mfiauto.gateway;
		SELECT mfiauto.create_gateway('$name', 'email', 'smtp',
			settings => '{"url": "$url", "sender": "Crédit Rural <news\@mfi.example>", "bounce_domain": "b.mfi.example"@{[ $settings ? ", $settings" : '' ]}}')});
	return;
}

sub state_of { my $client = shift; return "SELECT state || coalesce('/' || reason, '') FROM mfiauto.message WHERE client_id = $client"; }

sub is_suppressed { my $to = shift; return "SELECT count(*) FROM mfiauto.suppression WHERE channel = 'email' AND address_hash = mfiauto._address_hash('email', '$to')"; }

# ---- Through Postfix ----

use_gateway('post', "smtp://127.0.0.1:$port");
my $ok = add_letters('ok@there.example', 'nobody@there.example', 'later@there.example', 'dead@far.example', 'full@far.example');
is_soon($node, 'bank', state_of($ok), 'sent', 'Postfix takes a letter');
is_soon($node, 'bank', state_of($ok + 1), 'failed/recipient_rejected', 'an address that it does not know is refused for good');
is($node->safe_psql('bank', is_suppressed('nobody@there.example')), 1, 'and written to no more');
is_soon($node, 'bank', "SELECT outcome || ' ' || status || ' ' || error FROM mfiauto.attempt WHERE client_id = $ok + 2 LIMIT 1", 'retry 451 SMTP 451, code 4.7.1',
	'one that is for later is tried later');
is($node->safe_psql('bank', state_of($ok + 2)), 'queued', 'and waits');

my ($file) = glob("$beside/mail/ok/new/*");
my $letter = slurp_file($file);
my $reference = $node->safe_psql('bank', "SELECT message_id || '-' || idempotency_key FROM mfiauto.message_ledger WHERE client_id = $ok");
like($letter, qr/^Return-Path: <bounce\+\Q$reference\E\@b\.mfi\.example>$/m, 'the return path names the letter');
like($letter, qr/^Message-ID: <\Q$reference\E\@mfi\.example>$/m, 'so does its Message-ID');
like($letter, qr/^Received: from mfi\.example .*?with ESMTPS/ms, 'it came with TLS, and greeted with the domain of its sender');
like(slurp_file("$beside/mail.log"), qr/@{[ $node->safe_psql('bank', "SELECT provider_id FROM mfiauto.message WHERE client_id = $ok") ]}: message-id=<\Q$reference\E/,
	'the id that we know is the one in Postfix\'s log');
# What somebody else's mail program reads.
my ($read) = run_command([ '/usr/bin/python3', '-c', q{
import email, email.policy, sys
m = email.message_from_file(open(sys.argv[1]), policy=email.policy.default)
print(m['subject'], m['from'].addresses[0].display_name, m.get_body(('plain',)).get_content().rstrip(), m.get_body(('html',)).get_content().rstrip(), m.defects, sep='|')}, $file ]);
is($read, "Échéance n° 1|Crédit Rural|Bonjour Awa,\n.\nvotre échéance|<p>Bonjour Awa</p>|[]", 'another\'s reader finds in it what was written');

# ---- The bounce that comes later ----

is_soon($node, 'bank', state_of($ok + 3), 'sent', 'a letter for elsewhere is taken');
my $handover = sub {
	append_to_file("$beside/mail/handover.new", "#!/bin/sh\nexport PGHOST='@{[ $node->host ]}' PGPORT=@{[ $node->port ]} PGUSER=mailman PGDATABASE=bank PATH='$ENV{PATH}'\n"
		. "exec $ENV{TESTDIR}/contrib/mail/receive_mail.sh post\n");
	chmod 0755, "$beside/mail/handover.new";
	rename "$beside/mail/handover.new", "$beside/mail/handover";
};
# Until there is somebody to take it, Postfix keeps it.
for (1 .. 300) { last if slurp_file("$beside/mail.log") =~ /bounce\+.*status=deferred/; select undef, undef, undef, 0.1; }
like(slurp_file("$beside/mail.log"), qr/bounce\+.*status=deferred/, 'while the bounce cannot be handed over, it waits');
$handover->();
is_soon($node, 'bank', state_of($ok + 3), 'undelivered/bounced', 'the bounce comes back: not delivered');
is($node->safe_psql('bank', is_suppressed('dead@far.example')), 1, 'its address is written to no more');
is_soon($node, 'bank', state_of($ok + 4), 'undelivered/bounced', 'a full mailbox: not delivered');
is($node->safe_psql('bank', is_suppressed('full@far.example')), 0, 'its address lives');

# ---- People ----

run_command([ '/usr/bin/python3', '-c', q{
import smtplib, ssl, sys
c = ssl._create_unverified_context()
s = smtplib.SMTP('127.0.0.1', int(sys.argv[1])); s.starttls(context=c)
s.sendmail('ok@there.example', ['answer@b.mfi.example'], 'From: ok@there.example\r\nSubject: Re: offre\r\nMessage-ID: <1@there.example>\r\n\r\nSTOP\r\n')
s.sendmail('ok@there.example', ['unsubscribe+%s@b.mfi.example' % sys.argv[2]], 'From: ok@there.example\r\nTo: unsubscribe+%s@b.mfi.example\r\n\r\n' % sys.argv[2])
s.quit()}, $port, $reference ]);
is_soon($node, 'bank', "SELECT string_agg(from_address || ' ' || body || ' ' || keyword, ',') FROM mfiauto.inbound_log", 'ok@there.example STOP stop', 'a STOP by mail is read as one by SMS is');
is_soon($node, 'bank', "SELECT string_agg(granted || ' ' || source, ',') FROM mfiauto.consent WHERE client_id = $ok", 'false email', 'the address that takes opt-outs takes one');

# What the server logs of it, also when it fails, is not the letter. (It logs all statements here.)
append_to_file("$dir/letter", "From: ok\@there.example\r\nMessage-ID: <logged\@there.example>\r\n\r\nBonjour, my secret\r\n");
my @hand_over = ('env', 'PGHOST=' . $node->host, 'PGPORT=' . $node->port, 'PGUSER=mailman', 'PGDATABASE=bank', 'contrib/mail/receive_mail.sh');
ok(!IPC::Run::run([ @hand_over, 'nosuch' ], '<', "$dir/letter", '2>', \my $complaint), 'a letter for a gateway that is not there stays with the mail server');
ok(IPC::Run::run([ @hand_over, 'post' ], '<', "$dir/letter"), 'one for the right gateway is taken');
is($node->safe_psql('bank', "SELECT count(*) FROM mfiauto.inbound_log WHERE body = 'Bonjour, my secret'"), 1, 'as it was');
my $written = substr encode_base64(slurp_file("$dir/letter"), ''), 0, 40;
unlike(slurp_file($node->logfile) . $complaint, qr/\Q$written\E|my secret/, 'and stands in no log');

# ---- Other mail servers ----

use_gateway('bare', "smtp://127.0.0.1:$peer");
my $client = add_letters('a@far.example');
is_soon($node, 'bank', "SELECT circuit || ' ' || because FROM mfiauto.gateway_status WHERE gateway = 'bare'", 'stopped the mail server does not offer TLS', 'a server without TLS gets no letter');
unlike(slurp_file("$dir/peer.$peer"), qr/news\@mfi|bounce\+$client-/, 'and is told nothing of it');
use_gateway('clear', "smtp://127.0.0.1:$peer", tls => 'none', concurrency => 1);
is_soon($node, 'bank', state_of($client), 'sent', 'unless it is our own and may do without');
my $many = add_letters(map { "many$_\@far.example" } 1 .. 20);
is_soon($node, 'bank', "SELECT count(*) FROM mfiauto.message WHERE client_id >= $many AND state = 'sent'", 20, 'twenty letters leave');
my $hellos = () = slurp_file("$dir/peer.$peer") =~ /"hello", "name": "mfi\.example"/g;
cmp_ok($hellos, '<', 10, "by few connections ($hellos)");

# Letters and requests by turns, by the same handles of the HTTP library.
my $simulator = start_simulator();
add_gateway($node, 'bank', 'box', $simulator, '/ok', settings => { concurrency => 2 });
for my $round (1 .. 3)
{
	my $both = add_letters(map { "both$_\@far.example" } 1 .. 5);
	add_messages($node, 'bank', 1000 * $round + 1, 1000 * $round + 5);
	is_soon($node, 'bank', states(1000 * $round + 1, 1000 * $round + 5), 'sent 5', "requests of round $round");
	is_soon($node, 'bank', "SELECT count(*) FROM mfiauto.message WHERE client_id BETWEEN $both AND $both + 4 AND state = 'sent'", 5, "letters of round $round");
}

use_gateway('silent', "smtp://127.0.0.1:$peer", tls => 'none', timeout => 2);
my $slow = add_letters('slow@far.example', 'drop@far.example');
is_soon($node, 'bank', state_of($slow), 'unknown/outcome_unknown', 'silence after the letter: nobody knows');
is_soon($node, 'bank', "SELECT outcome FROM mfiauto.attempt WHERE client_id = $slow + 1 LIMIT 1", 'retry', 'a connection that ended before it: once more');

use_gateway('guarded', "smtp://127.0.0.1:$guarded");
$node->safe_psql('bank', "SELECT mfiauto.set_secret('guarded', 'username', 'mfi'); SELECT mfiauto.set_secret('guarded', 'password', 'wrong')");
my $secret = add_letters('b@far.example');
is_soon($node, 'bank', "SELECT circuit || ' ' || because FROM mfiauto.gateway_status WHERE gateway = 'guarded'", 'stopped SMTP 535, code 5.7.8', 'a wrong password stops the gateway');
$node->safe_psql('bank', "SELECT mfiauto.set_secret('guarded', 'password', 's&cret'); SELECT mfiauto.alter_gateway('guarded')");
is_soon($node, 'bank', state_of($secret), 'sent', 'the right one lets the letter through');
like(slurp_file("$dir/peer.$guarded"), qr/"login", "mechanism": "(?:PLAIN|LOGIN)", "tls": true/, 'told under TLS alone');
my $log = slurp_file($node->logfile);
unlike($log, qr/s&cret|\@far\.example|\@there\.example/, 'neither password nor addresses are in the log');

$node->stop;
done_testing();
