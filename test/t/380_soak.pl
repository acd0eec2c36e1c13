# A day's traffic in minutes (MFI_SOAK_MINUTES, 2 unless told): seven kinds of gateways, some of which fail, throttle or change; receipts, texts and reloads
# in between. Then: every message is in one final state and at its peer as often as that says; memory and descriptors of the workers stay, queues do not bloat.
use strict;
use warnings;
use lib 'test/lib';
use JSON::PP;
use MfiDelivery;
use MfiFaults;
use MfiTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

$PostgreSQL::Test::Utils::timeout_default = 60;
my $seconds = 60 * ($ENV{MFI_SOAK_MINUTES} // 2);
my %simulator = map { $_ => start_simulator() } qw(told blind flaky throttled down);
my $mail = start_mail_peer();
# What is freed goes back to the system at once: else a worker's size tells of its largest pass, not of what it keeps.
@ENV{qw(MALLOC_TRIM_THRESHOLD_ MALLOC_MMAP_THRESHOLD_)} = (65536, 65536);
# Autovacuum as often as an hour of this day is long.
my $node = new_server('soak', "mfiauto.private_hosts = '127.0.0.1'", "mfiauto.engine_interval = '200ms'", 'autovacuum_naptime = 2s', 'log_statement = none', 'shared_buffers = 64MB');
add_database($node, 'bank');
add_payments($node, 'bank', 500);
$node->safe_psql('bank', <<'S');
SET client_min_messages = error;
CREATE TABLE handed (reference text);
SELECT mfiauto.create_template('thanks', channel => 'sms', body => 'Merci {{client.name}}');
SELECT mfiauto.create_workflow('thanks', '{"trigger": {"event": "Payment Received"}, "class": "transactional", "reentry": "always", "steps": [{"send": "thanks"}]}');
SELECT mfiauto.activate_workflow('thanks');
SELECT mfiauto.create_gateway('app', 'inapp', 'inapp');
SELECT mfiauto.create_gateway('tables', 'telegram', definition => '{"sql": {"hand_over": "INSERT INTO public.handed SELECT m.value ->> ''reference'' FROM jsonb_array_elements($1) m RETURNING reference, reference"}}');
S
add_gateway($node, 'bank', 'down', $simulator{down}, '/down', priority => 10);
add_gateway($node, 'bank', 'told', $simulator{told}, '/keyed', priority => 20, signature => { method => 'token', parameter => 'token', secret => 'receipt_token' },
	receipt => { list => 'told', id => 'id', status => 'status', states => { done => 'delivered', lost => 'undelivered' } },
	inbound => { list => 'said', from => 'from', text => 'text', id => 'id' });
add_gateway($node, 'bank', 'blind', $simulator{blind}, '/broken_once', channel => 'voice', settings => { breaker_failures => 100000 });
add_gateway($node, 'bank', 'flaky', $simulator{flaky}, '/reset_once', channel => 'push', idempotent => JSON::PP::true, settings => { breaker_failures => 100000 });
add_gateway($node, 'bank', 'throttled', $simulator{throttled}, '/busy', channel => 'webhook', settings => { attempts => 3 });
$node->safe_psql('bank', qq{SELECT mfiauto.set_secret('told', 'receipt_token', 'hush');
	SELECT mfiauto.create_gateway('post', 'email', 'smtp', settings => '{"url": "smtp://127.0.0.1:$mail", "sender": "MFI <news\@mfi.example>", "tls": "none"}')});

my %pid = map { my $kind = $_; $kind => wait_until(sub { $node->safe_psql('postgres', "SELECT pid FROM pg_stat_activity WHERE backend_type LIKE 'mfiauto $kind:%'") }) } qw(engine delivery);

# What a process has of its own: pages that it does not share (shared buffers that it touched are not its growth), and open descriptors.
sub own_kilobytes { my $pid = shift; my (undef, $resident, $shared) = split / /, slurp_file("/proc/$pid/statm"); return 4 * ($resident - $shared); }
sub descriptors { my $pid = shift; my @open = glob "/proc/$pid/fd/*"; return scalar @open; }

my @queues = qw(outbox waiting_receipt worker_state gateway_state journal_1 journal_2 journal_3 journal_4);
sub queue_kilobytes { return $node->safe_psql('bank', "SELECT sum(pg_table_size('mfiauto.' || t)) / 1024 FROM unnest('{" . join(',', @queues) . "}'::text[]) t") + 0; }

my ($client, $round, $added) = (1000, 0, 0);
my $began = time;
my (%memory, %open, @bloat);
while (time - $began < $seconds)
{
	$round++;
	$node->safe_psql('bank', 'INSERT INTO bank.payment (client_id) SELECT 1 + (random() * 499)::int FROM generate_series(1, 60)');
	for my $channel ([ voice => 15 ], [ push => 15 ], [ webhook => 2 ], [ inapp => 15 ], [ telegram => 15 ], [ email => 5 ])
	{
		add_messages($node, 'bank', $client + 1, $client + $channel->[1], channel => $channel->[0], $channel->[0] eq 'email' ? (to => "'c' || i || '\@there.example'") : ());
		$client += $channel->[1];
		$added += $channel->[1];
	}
	# Receipts of what was sent, some of them twice; what people write.
	my $ids = $node->safe_psql('bank', q{SELECT string_agg(provider_id, ' ') FROM (SELECT provider_id FROM mfiauto.message WHERE gateway = 'told' AND state = 'sent' LIMIT 200) m});
	my $n = 0;
	my @told = map { { id => $_, status => $n++ % 10 ? 'done' : 'lost' } } split / /, $ids;
	my $body = encode_json({ told => [ @told, @told[0 .. ($#told > 5 ? 5 : -1)] ], said => [ map { { id => "in-$round-$_", from => '+2217700' . sprintf('%05d', $_), text => 'Bonjour' } } 1 .. 5 ] });
	$node->safe_psql('bank', "SELECT status FROM mfiauto.serve('POST', '/w/told', 'token=hush', '{\"content-type\": \"application/json\"}', convert_to(\$j\$$body\$j\$, 'UTF8'), '127.0.0.1')");
	# What waits for another try is brought forward; settings and policies change.
	$node->safe_psql('bank', 'UPDATE mfiauto.outbox SET due_at = mfiauto.now() WHERE lease_until IS NULL AND due_at > mfiauto.now()');
	$node->safe_psql('bank', q{SELECT mfiauto.alter_gateway('told', settings => json_build_object('timeout', 20 + } . $round % 5 . q{))}) if $round % 2;
	$node->safe_psql('bank', q{UPDATE mfiauto.policy SET cap_count = cap_count}) if $round % 3 == 0;
	for my $kind (keys %pid) { push @{ $memory{$kind} }, own_kilobytes($pid{$kind}); push @{ $open{$kind} }, descriptors($pid{$kind}); }
	push @bloat, queue_kilobytes();
	select undef, undef, undef, 0.3;
}
my $payments = $node->safe_psql('bank', 'SELECT count(*) FROM bank.payment');
is_soon($node, 'bank', q{SELECT count(*) FROM mfiauto.message WHERE workflow IS NOT NULL}, $payments, "$payments payments, a message each");
is_soon($node, 'bank', q{WITH due AS (UPDATE mfiauto.outbox SET due_at = mfiauto.now() WHERE lease_until IS NULL AND due_at > mfiauto.now() RETURNING 1)
	SELECT count(*) FROM mfiauto.outbox}, '0', 'the queue is worked off, no lease is left');
my $total = $payments + $added;
note("$total messages, " . scalar(@bloat) . ' rounds');

# States.
my %fate = map { split / /, $_, 2 } split /\n/, $node->safe_psql('bank', q{SELECT channel || ' ' || string_agg(state || ' ' || n, ', ' ORDER BY state) FROM (SELECT channel, state, count(*) AS n FROM mfiauto.message GROUP BY 1, 2) m GROUP BY channel});
is($node->safe_psql('bank', 'SELECT count(*) FROM mfiauto.message'), $total, 'every message is there');
like($fate{sms}, qr/^delivered \d+(, sent \d+)?, undelivered \d+$/, "sms: $fate{sms}");
like($fate{voice}, qr/^unknown \d+$/, "voice: $fate{voice}");
like($fate{$_}, qr/^sent \d+$/, "$_: $fate{$_}") for qw(push webhook inapp telegram email);
my %count = map { split / / } split /\n/, $node->safe_psql('bank', q{SELECT channel || ' ' || count(*) FROM mfiauto.message GROUP BY channel});
is(ask_simulator($simulator{told}, '/stats')->{taken}, $count{sms}, 'sms: each once at its peer');
my $blind = ask_simulator($simulator{blind}, '/stats');
is("$blind->{taken} $blind->{doubled}", "$count{voice} 0", 'voice: each once at its peer, whatever it answered');
is($node->safe_psql('bank', q{SELECT unknown FROM mfiauto.gateway_status WHERE gateway = 'blind'}), $count{voice}, 'and each counted as in doubt');
is(ask_simulator($simulator{flaky}, '/stats')->{keys}, $count{push}, 'push: each key once at its peer');
is(ask_simulator($simulator{throttled}, '/stats')->{taken}, $count{webhook}, 'webhook: each once at its peer');
my %letter = map { $_ => 1 } letters($mail);
is(scalar(keys %letter) . ' ' . scalar(letters($mail)), "$count{email} $count{email}", 'email: each letter once');
is($node->safe_psql('bank', 'SELECT count(*) FROM mfiauto.inbox'), $count{inapp}, 'inapp: each once in the inbox');
is($node->safe_psql('bank', q{SELECT count(*) || ' ' || count(DISTINCT reference) FROM handed}), "$count{telegram} $count{telegram}", 'tables: each handed over once');
is($node->safe_psql('bank', 'SELECT count(*) FROM mfiauto.inbound_log'), 5 * $round, 'what was written is there once');

# The workers: after the first third, caches and partitions are known. A leak of one small memory context a message would be 1 kB each: 1 MB for every thousand.
sub middle { my @sorted = sort { $a <=> $b } @_; return $sorted[ $#sorted / 2 ]; }
for my $kind (sort keys %pid)
{
	is($node->safe_psql('postgres', "SELECT pid FROM pg_stat_activity WHERE backend_type LIKE 'mfiauto $kind:%'"), $pid{$kind}, "$kind: the same process all the time");
	my $third = int(@{ $memory{$kind} } / 3);
	my @memory = (middle(@{ $memory{$kind} }[ $third .. 2 * $third - 1 ]), middle(@{ $memory{$kind} }[ 2 * $third .. 3 * $third - 1 ]));
	my $allowed = 512 + $total / 3 / 4;
	cmp_ok($memory[1] - $memory[0], '<', $allowed, sprintf "$kind: memory stays, from %d kB to %d kB (less than 512 kB and a quarter of a kB a message)", @memory);
	my @open = (middle(@{ $open{$kind} }[ $third .. 2 * $third - 1 ]), middle(@{ $open{$kind} }[ 2 * $third .. 3 * $third - 1 ]));
	cmp_ok($open[1] - $open[0], '<=', 4, "$kind: descriptors stay, from $open[0] to $open[1]");
}
my $third = int(@bloat / 3);
my @size = (middle(@bloat[ $third .. 2 * $third - 1 ]), middle(@bloat[ 2 * $third .. 3 * $third - 1 ]));
cmp_ok($size[1], '<', 1.5 * $size[0] + 256, "queues do not bloat, from $size[0] kB to $size[1] kB while a third of all went through");
$node->stop;
done_testing();
