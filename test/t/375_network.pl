# The network fails in every way between mfiauto and two providers, one that knows messages by their key and one that does not; others go on meanwhile.
# And providers that ask to wait are not asked before the time is over, not even by the worker after a kill.
use strict;
use warnings;
use lib 'test/lib';
use MfiDelivery;
use MfiFaults;
use MfiTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

$PostgreSQL::Test::Utils::timeout_default = 40;
my $each = 12;
my ($known, $blind, $free) = map { start_simulator() } 1 .. 3;
my ($known_way, $blind_way) = (start_proxy($known), start_proxy($blind));
my $mail = start_mail_peer();
my $node = new_server('main', "mfiauto.private_hosts = '127.0.0.1'");
add_database($node, 'bank');
my $patient = { timeout => 1, connect_timeout => 1, concurrency => 16 };
my $calm = { breaker_failures => 1000 };
add_gateway($node, 'bank', 'known', $known_way, '/ok', idempotent => JSON::PP::true, limits => $patient, settings => $calm);
add_gateway($node, 'bank', 'blind', $blind_way, '/ok', channel => 'voice', limits => $patient, settings => $calm);
add_gateway($node, 'bank', 'free', $free, '/ok', channel => 'push');
$node->safe_psql('bank', 'SELECT mfiauto.arm_delivery()');

my $base = 0;
my $doubtful = 0;
my $soon = 'UPDATE mfiauto.outbox SET due_at = mfiauto.now() WHERE lease_until IS NULL AND due_at > mfiauto.now(); SELECT mfiauto._wake_delivery()';

# What becomes of messages that meet this way, and of the two gateways' counts. fate: of those at the gateway without keys; has_come: to it.
sub meet
{
	my ($way, $fate, $has_come, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	$base += 1000;
	ask_simulator($_, '/clear') for $known, $blind;
	# A connection that was good before meets the fault in the middle, a new one from its beginning.
	add_messages($node, 'bank', $base + 301, $base + 301, channel => 'voice');
	is_soon($node, 'bank', states($base + 301, $base + 301), 'sent 1', "$way: before");
	ask_simulator($blind, '/clear');
	set_way($_, $way) for $known_way, $blind_way;
	add_messages($node, 'bank', $base + 1, $base + $each);
	add_messages($node, 'bank', $base + 101, $base + 100 + $each, channel => 'voice');
	add_messages($node, 'bank', $base + 201, $base + 260, channel => 'push');
	is_soon($node, 'bank', states($base + 201, $base + 260), 'sent 60', "$way: others go on");
	# Each meets it once, at least.
	if ($way ne 'stall')
	{
		is_soon($node, 'bank', sprintf(q{SELECT count(*) FROM (SELECT client_id FROM mfiauto.attempt WHERE client_id BETWEEN %d AND %d
			UNION SELECT client_id FROM mfiauto.message WHERE client_id BETWEEN %d AND %d AND state IN ('sent', 'unknown')) a}, ($base + 1, $base + 100 + $each) x 2), 2 * $each, "$way: all have met it");
	}
	else { ok(wait_until(sub { ask_simulator($blind, '/stats')->{taken} == $each }, 30), "$way: all are there"); }
	set_way($_, 'pass') for $known_way, $blind_way;
	wait_until(sub { $node->safe_psql('bank', $soon);
		$node->safe_psql('bank', "SELECT count(*) FROM mfiauto.outbox WHERE channel IN ('sms', 'voice')") eq '0' }, 30);
	is($node->safe_psql('bank', states($base + 1, $base + $each)), "sent $each", "$way: all are sent to who knows their keys");
	is(ask_simulator($known, '/stats')->{keys}, $each, "$way: each once");
	my ($sent, $unknown) = split /\|/, $node->safe_psql('bank', sprintf(q{SELECT count(*) FILTER (WHERE state = 'sent'), count(*) FILTER (WHERE state = 'unknown' AND reason = 'outcome_unknown')
		FROM mfiauto.message WHERE client_id BETWEEN %d AND %d}, $base + 101, $base + 100 + $each));
	is($sent + $unknown, $each, "$way: none is lost");
	# Where not a byte was written, it is safe to try again.
	is($unknown, $fate eq 'sent' ? 0 : $each, "$way: $name") if $way ne 'refuse';
	my $stats = ask_simulator($blind, '/stats');
	is($stats->{doubled}, 0, "$way: none came twice to who does not");
	is($stats->{keys}, $has_come ? $each : $sent, "$way: as many have come as could");
	$doubtful += $unknown;
	return;
}

meet('silent', 'unknown', 0, 'a peer that takes them and never answers');
meet('close', 'unknown', 0, 'a peer that closes');
meet('refuse', 'unknown', 0, 'a peer that resets');
meet('cut', 'unknown', 1, 'a reset in the middle of the answer');
meet('half', 'unknown', 1, 'an end in the middle of the answer');
meet('drip', 'unknown', 1, 'an answer that comes too slowly is none');
$node->safe_psql('bank', q{SELECT mfiauto.alter_gateway('blind', settings => '{"timeout": 20}'); SELECT mfiauto.alter_gateway('known', settings => '{"timeout": 20}')});
meet('drip', 'sent', 1, 'unless there is time for it');
meet('stall', 'sent', 1, 'an answer that comes late, and in time');
is($node->safe_psql('bank', q{SELECT string_agg(gateway || ' ' || unknown, ', ' ORDER BY gateway) FROM mfiauto.gateway_status}), "blind $doubtful, free 0, known 0", 'gateway_status counts what is in doubt');
cmp_ok(ask_simulator($free, '/stats')->{doubled}, '==', 0, 'the one that was always there has nothing twice');

# A letter: before the mail server has it, it can go again; behind its last line, nobody knows.
$node->safe_psql('bank', qq{SELECT mfiauto.create_gateway('post', 'email', 'smtp', settings => '{"url": "smtp://127.0.0.1:$mail", "sender": "MFI <news\@mfi.example>", "tls": "none", "timeout": 3, "breaker_failures": 1000}')});
for my $case ([ 'before', qr/^sent 4$/ ], [ 'after', qr/unknown\/outcome_unknown [1-4]$/ ], [ 'hang_up', qr/^unknown\/outcome_unknown 4$/ ])
{
	my ($way, $fate) = @$case;
	$base += 1000;
	# Connections that the peer closed are not used again after four seconds.
	sleep 5;
	set_way($mail, $way);
	add_messages($node, 'bank', $base + 1, $base + 4, channel => 'email', to => "'c' || i || '\@there.example'");
	is_soon($node, 'bank', sprintf('SELECT count(DISTINCT client_id) FROM mfiauto.attempt WHERE client_id BETWEEN %d AND %d', $base + 1, $base + 4), 4, "mail, $way: all have met it");
	set_way($mail, 'pass');
	wait_until(sub { $node->safe_psql('bank', $soon); $node->safe_psql('bank', "SELECT count(*) FROM mfiauto.outbox WHERE channel = 'email'") eq '0' }, 30);
	# Letters that were not wholly written when time was over go again.
	like($node->safe_psql('bank', states($base + 1, $base + 4)), $fate, "mail, $way: what becomes of them");
	my %come;
	$come{$_}++ for grep { /^c(\d+)@/ && $1 > $base } letters($mail);
	is(join(' ', sort values %come), '1 1 1 1', "mail, $way: each letter came once");
}

# Asked to wait: nothing is asked before the time is over, by this worker nor by the next; others go on.
$node->safe_psql('bank', q{SELECT mfiauto.alter_gateway(gateway, is_enabled => false) FROM mfiauto.gateway WHERE channel IN ('sms', 'voice', 'email')});
my %wait = ('/wait/3' => 3, '/wait_date/3' => 2);
for my $path (sort keys %wait)
{
	$base += 1000;
	ask_simulator($_, '/clear') for $known, $free;
	add_gateway($node, 'bank', 'polite', $known, $path, settings => { concurrency => 1, attempts => 1 });
	my $began = time;
	add_messages($node, 'bank', $base + 1, $base + 5);
	is_soon($node, 'bank', q{SELECT circuit FROM mfiauto.gateway_status WHERE gateway = 'polite'}, 'throttled', "$path: the gateway waits");
	$path =~ /date/ ? kill_worker($node, 'bank') : $node->safe_psql('postgres', q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type LIKE 'mfiauto delivery:%'});
	add_messages($node, 'bank', $base + 201, $base + 240, channel => 'push');
	is_soon($node, 'bank', states($base + 201, $base + 240), 'sent 40', "$path: others go on");
	is_soon($node, 'bank', states($base + 1, $base + 5), 'sent 5', "$path: all leave when the time is over");
	cmp_ok(time - $began, '>=', $wait{$path}, "$path: not sooner");
	my $stats = ask_simulator($known, '/stats');
	is("$stats->{early} $stats->{taken} $stats->{doubled}", '0 5 0', "$path: nothing was asked too early, each came once");
	is($node->safe_psql('bank', q{SELECT failed FROM mfiauto.gateway_status WHERE gateway = 'polite'}), 0, "$path: to wait is not to fail");
	$node->safe_psql('bank', q{SELECT mfiauto.drop_gateway('polite')});
}

# A secret that was wrong is put right while the refusal of the old one is on its way: the gateway stays in use.
$base += 1000;
add_gateway($node, 'bank', 'corrected', $known_way, '/denied', settings => { concurrency => 1, timeout => 20 });
set_way($known_way, 'stall');
ask_simulator($known, '/clear');
add_messages($node, 'bank', $base + 1, $base + 5);
ok(wait_until(sub { ask_simulator($known, '/stats')->{requests} > 0 }, 30), 'a request with what is wrong is on its way');
$node->safe_psql('bank', q{SELECT mfiauto.alter_gateway('corrected', definition => (SELECT replace(definition::text, '/denied', '/ok')::json FROM mfiauto.gateway WHERE gateway = 'corrected'))});
# The worker has it before the refusal comes.
add_messages($node, 'bank', $base + 11, $base + 30, channel => 'push');
is_soon($node, 'bank', states($base + 11, $base + 30), 'sent 20', 'the worker goes on');
select undef, undef, undef, 1.5;
set_way($known_way, 'pass');
is_soon($node, 'bank', states($base + 1, $base + 5), 'sent 5', 'the refusal of the former one does not stop the gateway as it is now');
is($node->safe_psql('bank', 'SELECT count(*) FROM mfiauto.outbox'), '0', 'nothing waits, no lease is left');
$node->stop;
done_testing();
