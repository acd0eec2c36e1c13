# kill -9 of the delivery worker and of the postmaster, each at every stage of a message's way: being claimed, waiting for a token, on its way, answered
# and about to be recorded; by six kinds of gateways at once. And of the backend that takes a receipt, half way. Counted at the peers.
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

$PostgreSQL::Test::Utils::timeout_default = 40;
my $each = 20;
my %simulator = map { $_ => start_simulator() } qw(known blind token);
my %proxy = map { $_ => start_proxy($simulator{$_}) } keys %simulator;
my $mail = start_mail_peer();
my %channel = (known => 'sms', blind => 'voice', token => 'push', post => 'email', app => 'inapp', tables => 'telegram');
our @gateways = sort keys %channel;

my $node = new_server('stages', "mfiauto.private_hosts = '127.0.0.1'", 'max_connections = 40');
add_database($node, 'bank');
$node->safe_psql('bank', q{SELECT mfiauto.arm_delivery(); CREATE TABLE handed (reference text, at timestamptz DEFAULT clock_timestamp())});
add_gateway($node, 'bank', 'known', $proxy{known}, '/ok', idempotent => JSON::PP::true, limits => { timeout => 60 });
add_gateway($node, 'bank', 'blind', $proxy{blind}, '/keyed', channel => 'voice', limits => { timeout => 60 },
	signature => { method => 'token', parameter => 'token', secret => 'receipt_token' },
	receipt => { list => 'told', id => 'id', status => 'status', states => { done => 'delivered', rang => 'undelivered' } },
	inbound => { list => 'said', from => 'from', text => 'text', id => 'id' });
add_gateway($node, 'bank', 'token', $proxy{token}, '/oauth', channel => 'push', limits => { timeout => 60 }, secrets => ['client_secret'],
	auth => { kind => 'oauth2', token_url => "http://127.0.0.1:$proxy{token}/token", client_id => 'me', client_secret => '{{secret.client_secret}}' });
$node->safe_psql('bank', qq{
	SELECT mfiauto.create_gateway('app', 'inapp', 'inapp');
	SELECT mfiauto.create_gateway('tables', 'telegram', definition => \$j\${"sql": {"hand_over": "INSERT INTO public.handed SELECT m.value ->> 'reference' FROM jsonb_array_elements(\$1) m RETURNING reference, reference"}}\$j\$);
	SELECT mfiauto.create_gateway('post', 'email', 'smtp', settings => '{"url": "smtp://127.0.0.1:$mail", "sender": "MFI <news\@mfi.example>", "tls": "none", "timeout": 5}');
	SELECT mfiauto.set_secret('token', 'client_secret', 'hush'); SELECT mfiauto.set_secret('blind', 'receipt_token', 'hush')});

my $base = 0;
my (%first, %letters_before);

# A new batch on every channel, or on some.
sub add_batch
{
	my (@names) = @_;
	$base += 1000;
	ask_simulator($_, '/clear') for values %simulator;
	%letters_before = map { $_ => 1 } letters($mail);
	my $place = 0;
	for my $name (@names)
	{
		$first{$name} = $base + 100 * ++$place;
		add_messages($node, 'bank', $first{$name}, $first{$name} + $each - 1, channel => $channel{$name},
			$name eq 'post' ? (to => "'c' || i || '\@there.example'") : (),
			$name eq 'blind' ? (options => '{"retries": ["10 minutes"]}') : ());
	}
	return;
}

sub worker_waits_for_lock
{
	return wait_until(sub {
		my ($status, $out) = $node->psql('postgres', q{SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'mfiauto delivery:%' AND wait_event_type = 'Lock'});
		return $out eq '1';
	});
}

sub ways { my $way = shift; set_way($_, $way) for values %proxy; set_way($mail, $way eq 'stall' ? 'after' : 'pass'); return; }

sub count_of { my $query = shift; return $node->safe_psql('bank', $query); }

# How many of a batch are sent, how many unknown.
sub fates
{
	my $name = shift;
	return split /\|/, count_of(sprintf q{SELECT count(*) FILTER (WHERE state IN ('sent', 'delivered')), count(*) FILTER (WHERE state = 'unknown' AND reason = 'outcome_unknown')
		FROM mfiauto.message WHERE client_id BETWEEN %d AND %d}, $first{$name}, $first{$name} + $each - 1);
}

# After the kill: nothing is lost, nothing came twice. min_unknown: so many at least cannot be known.
sub all_is_well
{
	my ($what, %doubtful) = @_;
	is_soon($node, 'bank', q{WITH due AS (UPDATE mfiauto.outbox SET due_at = mfiauto.now() WHERE lease_until IS NULL AND due_at > mfiauto.now() RETURNING 1)
		SELECT count(*) FROM mfiauto.outbox}, '0', "$what: the queue is worked off")
		or diag(count_of('SELECT string_agg(s::text, E\'\\n\') FROM mfiauto.gateway_status s') . "\n" . count_of('SELECT string_agg(DISTINCT a.error, E\'\\n\') FROM mfiauto.attempt a'));
	for my $name (@gateways)
	{
		my ($sent, $unknown) = fates($name);
		is($sent + $unknown, $each, "$what: none of gateway $name is lost ($sent sent, $unknown unknown)");
		my $is_doubtful = exists $doubtful{$name};
		if ($is_doubtful) { cmp_ok($unknown, '>=', $doubtful{$name}, "$what: what became of those on their way is not known"); }
		else { is($unknown, 0, "$what: none of gateway $name is in doubt"); }
		if ($simulator{$name})
		{
			my $stats = ask_simulator($simulator{$name}, '/stats');
			is($stats->{doubled}, 0, "$what: none came to $name twice") unless $name eq 'known';
			cmp_ok($stats->{keys}, '>=', $sent, "$what: what is called sent has come to $name");
			cmp_ok($stats->{keys}, '<=', $each, "$what: and no more than was meant");
		}
	}
	my @letters = grep { !$letters_before{$_} } letters($mail);
	my %seen;
	$seen{$_}++ for @letters;
	is(scalar(grep { $_ > 1 } values %seen), 0, "$what: no letter came twice");
	cmp_ok(scalar(keys %seen), '>=', (fates('post'))[0], "$what: each letter called sent has come");
	is(count_of("SELECT count(*) || ' ' || count(DISTINCT i.client_id) FROM mfiauto.inbox i WHERE client_id BETWEEN $first{app} AND $first{app} + $each - 1"), "$each $each", "$what: each is in the inbox once");
	is(count_of("SELECT count(*) || ' ' || count(DISTINCT h.reference) FROM handed h JOIN mfiauto.message_ledger m ON m.message_id = split_part(h.reference, '-', 1)::bigint
		WHERE m.client_id BETWEEN $first{tables} AND $first{tables} + $each - 1"), "$each $each", "$what: each was handed over once");
	return;
}

my %victim = (worker => sub { kill_worker($node, 'bank') }, postmaster => sub { my $pid = shift; kill 'KILL', $pid if $pid; kill_server($node) });
for my $name ('worker', 'postmaster')
{
	# The claim is half done.
	hold_lock($node, 'bank', 'LOCK TABLE mfiauto.suppression');
	add_batch(@gateways);
	ok(worker_waits_for_lock(), "$name, claiming: the claim is half done");
	$victim{$name}->();
	all_is_well("$name, claiming");

	# The token is asked for and does not come: nothing is claimed meanwhile, so nothing is in doubt, and all is sent once there is one.
	set_way($proxy{token}, 'stall');
	$node->safe_psql('bank', q{SELECT mfiauto.set_secret('token', 'client_secret', 'hush'); SELECT mfiauto.alter_gateway('token')});
	$victim{worker}->();    # the token that it has goes with it
	add_batch(@gateways);
	is_soon($node, 'bank', q{SELECT count(*) FROM mfiauto.outbox}, $each, "$name, token: only those wait");
	ok(wait_until(sub { ask_simulator($simulator{token}, '/stats')->{tokens} > 0 }), "$name, token: it is asked for");
	is(count_of('SELECT count(*) FROM mfiauto.outbox WHERE lease_until IS NOT NULL'), 0, "$name, token: nothing is claimed before it is there");
	is(ask_simulator($simulator{token}, '/stats')->{taken}, 0, "$name, token: and nothing has come without it");
	$victim{$name}->();
	ways('pass');
	all_is_well("$name, token");
	is(ask_simulator($simulator{token}, '/stats')->{taken}, $each, "$name, token: all were sent, once");

	# On their way: taken, not answered.
	ways('stall');
	set_way($mail, 'before') if $name eq 'postmaster';
	add_batch(grep { $_ ne 'token' } @gateways);
	$first{token} = 0;
	ok(wait_until(sub { ask_simulator($simulator{blind}, '/stats')->{taken} >= 16 && ask_simulator($simulator{known}, '/stats')->{taken} >= 16
		&& ($name eq 'postmaster' || grep { !$letters_before{$_} } letters($mail)) }), "$name, in flight: they have come and are not answered");
	is_soon($node, 'bank', states($first{app}, $first{app} + $each - 1), "sent $each", "$name, in flight: others go on");
	$victim{$name}->();
	ways('pass');
	{
		local @gateways = grep { $_ ne 'token' } @gateways;
		all_is_well("$name, in flight", blind => 16, post => $name eq 'worker' ? 1 : 0);
		# A worker that has no answer of a gateway claims no more than is on its way.
		is(ask_simulator($simulator{blind}, '/stats')->{keys}, $each, "$name, in flight: of what is in doubt all has come");
	}

	# Answered; the record of it is half done, on every channel.
	hold_lock($node, 'bank', 'LOCK TABLE mfiauto.gateway_state IN SHARE MODE');
	add_batch(@gateways);
	ok(worker_waits_for_lock(), "$name, recording: the record is half done");
	$victim{$name}->();
	all_is_well("$name, recording", blind => 0, token => 0, post => 0);
}

# ---- What comes in ----

# The backend goes first: the death of the server takes the lock that it waits for away, and it could still be done before it notices.

my %kill_backend = (backend => sub { my $pid = shift; $node->psql('postgres', 'SELECT 1'); MfiFaults::kill_process($node, $pid); }, postmaster => sub { my $pid = shift; kill 'KILL', $pid if $pid; kill_server($node) });
for my $name ('backend', 'postmaster')
{
	add_batch('blind');
	my $last = $first{blind} + $each - 1;
	is_soon($node, 'bank', states($first{blind}, $last), "sent $each", "$name, receipts: calls were made");
	my $ids = $node->safe_psql('bank', "SELECT string_agg(provider_id, ' ' ORDER BY client_id) FROM mfiauto.message WHERE client_id BETWEEN $first{blind} AND $last");
	my $n = 0;
	my $body = encode_json({ told => [ map { { id => $_, status => $n++ % 2 ? 'rang' : 'done' } } split / /, $ids ],
		said => [ { id => "in-$base", from => '+22177' . $base, text => 'STOP' } ] });
	my $serve = sub { my $door = shift; return $door eq 'serve'
		? "SELECT status FROM mfiauto.serve('POST', '/w/blind', 'token=hush', '{\"content-type\": \"application/json\"}', convert_to(\$j\$$body\$j\$, 'UTF8'), '127.0.0.1')"
		: "SELECT mfiauto.receive('blind', '{\"x-token\": \"hush\"}', \$j\$$body\$j\$)" };
	hold_lock($node, 'bank', 'LOCK TABLE mfiauto.receipt IN SHARE MODE');
	# To files: a server that is started meanwhile would keep pipes open.
	my $said = PostgreSQL::Test::Utils::tempdir() . '/said';
	my $session = IPC::Run::start([ 'psql', '-XAtqw', '-d', $node->connstr('bank'), '-c', $serve->('serve') ], '<', '/dev/null', '>', $said, '2>', "$said.errors");
	my $pid = wait_until(sub {
		my ($status, $answer) = $node->psql('postgres', q{SELECT pid FROM pg_stat_activity WHERE query LIKE '%mfiauto.serve(%' AND wait_event_type = 'Lock' AND backend_type = 'client backend'}); return $answer; });
	ok($pid, "$name, receipts: half applied");
	$kill_backend{$name}->($pid);
	eval { $session->finish };
	is(slurp_file($said), '', "$name, receipts: they were not answered, so the provider tells them again");
	is(count_of(states($first{blind}, $last)), "sent $each", "$name, receipts: and nothing of them is there");
	is(count_of("SELECT count(*) FROM mfiauto.inbound_log WHERE provider_id = 'in-$base'"), '0', "$name, receipts: nor of what was written");
	is(count_of($serve->('serve')), '200', "$name, receipts: told again");
	my $half = $each / 2;
	my $told = states($first{blind}, $last);
	is(count_of($told), "delivered $half, queued/no_answer $half", "$name, receipts: applied, who was not reached is called again");
	is(count_of($serve->('serve')), '200', "$name, receipts: told a third time");
	is(count_of($told), "delivered $half, queued/no_answer $half", "$name, receipts: changes nothing");
	is(count_of("SELECT count(*) || ' ' || count(DISTINCT (client_id, digest)) FROM mfiauto.receipt WHERE client_id BETWEEN $first{blind} AND $last"), "$each $each", "$name, receipts: each is there once");
	is(count_of("SELECT count(*) FROM mfiauto.inbound_log WHERE provider_id = 'in-$base'"), '1', "$name, receipts: and what was written, once");

	# The second call, on its way.
	set_way($proxy{blind}, 'stall');
	ask_simulator($simulator{blind}, '/clear');
	$node->safe_psql('bank', 'UPDATE mfiauto.outbox SET due_at = mfiauto.now(); SELECT mfiauto._wake_delivery()');
	ok(wait_until(sub { ask_simulator($simulator{blind}, '/stats')->{taken} == $half }), "$name, voice retry: they ring again");
	$victim{ $name eq 'backend' ? 'worker' : 'postmaster' }->();
	set_way($proxy{blind}, 'pass');
	is_soon($node, 'bank', $told, "delivered $half, unknown/outcome_unknown $half", "$name, voice retry: what became of that call is not known");
	is(ask_simulator($simulator{blind}, '/stats')->{requests}, $half, "$name, voice retry: and nobody is called a third time");
	is(count_of("SELECT count(*) FROM mfiauto.outbox"), 0, "$name, voice retry: nothing waits");
}

is(count_of(q{SELECT string_agg(s.gateway || ' ' || s.unknown, ', ' ORDER BY s.gateway) FROM mfiauto.gateway_status s WHERE s.unknown > 0}),
	count_of(q{SELECT string_agg(m.gateway || ' ' || m.n, ', ' ORDER BY m.gateway) FROM (SELECT gateway, count(*) AS n FROM mfiauto.message WHERE state = 'unknown' GROUP BY 1) m}),
	'gateway_status counts each that is in doubt');
is(count_of('SELECT count(*) FROM mfiauto.outbox'), '0', 'no lease is left');
$node->stop;
done_testing();
