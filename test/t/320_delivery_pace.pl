# Rate, failover, circuit breaker, throttling, priority, fallback to the next channel: with live workers.
use strict;
use warnings;
use lib 'test/lib';
use MfiDelivery;
use MfiTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

$PostgreSQL::Test::Utils::timeout_default = 60;

my $port = start_simulator();
my $other_port = start_simulator();
my $node = new_server('main', "mfiauto.private_hosts = '127.0.0.1'");
add_database($node, 'bank');
$node->safe_psql('bank', 'SELECT mfiauto.arm_delivery()');

# A rate is kept: 60 messages at 20 a second take between 2.5 and, on a busy machine, more seconds.
add_gateway($node, 'bank', 'slow', $port, '/ok', settings => { rate_per_second => 20 });
my $began = time;
add_messages($node, 'bank', 1, 60);
is_soon($node, 'bank', states(1, 60), 'sent 60', 'all leave');
cmp_ok(time - $began, '>=', 2.5, 'and not faster than the gateway may');
is($node->safe_psql('bank', q{SELECT count(*) FROM mfiauto.message_ledger m WHERE client_id <= 60 AND attempts <> 1}), '0', 'with one attempt each');

# Urgent classes first: a hundred that are not urgent wait for one that is.
$node->safe_psql('bank', q{SELECT mfiauto.hold_delivery('until all is there')});
add_messages($node, 'bank', 101, 200, class => 'legal');
$node->safe_psql('bank', q{UPDATE mfiauto.outbox SET due_at = due_at - interval '1 minute'});
add_messages($node, 'bank', 201, 201, class => 'security');
$node->safe_psql('bank', q{UPDATE mfiauto.message_class SET honors_contact_hours = false; DELETE FROM mfiauto.policy WHERE class <> '*'});
$node->safe_psql('bank', q{SELECT mfiauto.release_delivery(stale => 'send')});
is_soon($node, 'bank', states(201, 201), 'sent 1', 'the urgent one has left');
cmp_ok($node->safe_psql('bank', q{SELECT count(*) FROM mfiauto.message WHERE client_id BETWEEN 101 AND 200 AND state = 'queued'}), '>=', 40, 'before most of the others');
$node->safe_psql('bank', q{SELECT mfiauto.alter_gateway('slow', settings => '{"rate_per_second": null}')});
is_soon($node, 'bank', states(101, 200), 'sent 100', 'which follow, faster once the rate is lifted');

# Failover: the first gateway is down, the second takes over; the breaker leaves the first alone.
$node->safe_psql('bank', q{SELECT mfiauto.drop_gateway('slow')});
ask_simulator($port, '/clear');
add_gateway($node, 'bank', 'first', $port, '/down', priority => 10, settings => { breaker_failures => 3, concurrency => 1 });
add_gateway($node, 'bank', 'second', $other_port, '/ok', priority => 20);
add_messages($node, 'bank', 301, 340);
is_soon($node, 'bank', states(301, 340), 'sent 40', 'messages leave by the second gateway');
is($node->safe_psql('bank', q{SELECT string_agg(DISTINCT gateway, ',') FROM mfiauto.message WHERE client_id BETWEEN 301 AND 340}), 'second', 'all of them');
is_soon($node, 'bank', q{SELECT circuit IN ('open', 'half_open') FROM mfiauto.gateway_status WHERE gateway = 'first'}, 't', 'the first one\'s circuit is open');
cmp_ok(ask_simulator($port, '/stats')->{requests}, '<=', 6, 'it was not asked for each message');
my $stats = ask_simulator($other_port, '/stats');
is("$stats->{taken} $stats->{keys}", '40 40', 'each was taken once');
# It comes back: the next probe closes the circuit.
$node->safe_psql('bank', qq{SELECT mfiauto.alter_gateway('first', definition => (SELECT replace(definition::text, '/down', '/ok')::json FROM mfiauto.gateway WHERE gateway = 'first'))});
add_messages($node, 'bank', 341, 350);
is_soon($node, 'bank', states(341, 350), 'sent 10', 'the next ones leave');
is($node->safe_psql('bank', q{SELECT string_agg(DISTINCT gateway, ',') FROM mfiauto.message WHERE client_id BETWEEN 341 AND 350}), 'first', 'by the first gateway again');

# A refusal by the first is tried at the second; refused by both, it is the step's next channel's turn.
$node->safe_psql('bank', qq{SELECT mfiauto.alter_gateway('first', definition => (SELECT replace(definition::text, '/ok', '/refused')::json FROM mfiauto.gateway WHERE gateway = 'first'))});
add_messages($node, 'bank', 351, 355);
is_soon($node, 'bank', states(351, 355), 'sent 5', 'what the first refuses the second may take');
$node->safe_psql('bank', qq{SELECT mfiauto.alter_gateway('second', definition => (SELECT replace(definition::text, '/ok', '/refused')::json FROM mfiauto.gateway WHERE gateway = 'second'))});
add_messages($node, 'bank', 361, 362, next_channels => q{'{voice}'});
is_soon($node, 'bank', states(361, 362), 'failed/gateway_rejected 2', 'refused by both');
is($node->safe_psql('bank', q{SELECT count(*) FROM mfiauto.attempt WHERE client_id BETWEEN 361 AND 362}), '4', 'after an attempt at each');

# Asked to wait: the gateway pauses, and the queue goes on afterwards, nothing counted as a failure.
$node->safe_psql('bank', q{SELECT mfiauto.drop_gateway('first'); SELECT mfiauto.drop_gateway('second')});
ask_simulator($port, '/clear');
add_gateway($node, 'bank', 'busy', $port, '/busy', settings => { concurrency => 1, attempts => 1 });
add_messages($node, 'bank', 401, 403);
is_soon($node, 'bank', states(401, 403), 'sent 3', 'all leave after their pauses');
is($node->safe_psql('bank', q{SELECT count(*) FROM mfiauto.attempt WHERE client_id BETWEEN 401 AND 403 AND outcome = 'throttle'}), '3', 'each was asked to wait once');
$stats = ask_simulator($port, '/stats');
is("$stats->{requests} $stats->{taken}", '6 3', 'and asked again once');
is($node->safe_psql('bank', q{SELECT failed || ' ' || sent FROM mfiauto.gateway_status}), '0 3', 'no failure is counted');

# A setting that is not good any more stops its own gateway alone.
add_gateway($node, 'bank', 'bad', $port, '/ok', channel => 'voice');
$node->safe_psql('bank', q{UPDATE mfiauto.gateway_config SET definition = '{"request": {"url": 7}}' WHERE gateway = 'bad'});
is_soon($node, 'bank', q{SELECT circuit FROM mfiauto.gateway_status WHERE gateway = 'bad'}, 'stopped', 'a definition that cannot be read stops its gateway');
add_messages($node, 'bank', 411, 411);
is_soon($node, 'bank', states(411, 411), 'sent 1', 'and no other');
$node->stop;
done_testing();
