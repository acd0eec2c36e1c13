# The whole way, by the workers themselves: a row is committed, a message leaves; nothing leaves before arming.
use strict;
use warnings;
use lib 'test/lib';
use MfiTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_server('main');
$node->safe_psql('postgres', 'CREATE ROLE mfi_owner; CREATE ROLE teller LOGIN');
$node->safe_psql('postgres', 'CREATE DATABASE bank');
$node->safe_psql('bank', <<'S');
CREATE EXTENSION mfiauto;
SELECT mfiauto.install('mfi_owner');
CREATE SCHEMA core;
CREATE TABLE core.client (id bigint PRIMARY KEY, name text, phone text);
CREATE TABLE core.card (id bigint PRIMARY KEY, client_id bigint NOT NULL, blocked boolean NOT NULL DEFAULT false);
GRANT USAGE ON SCHEMA core TO mfi_owner, teller;
GRANT SELECT, TRIGGER ON ALL TABLES IN SCHEMA core TO mfi_owner;
GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA core TO teller;
SELECT mfiauto.bind('client', 'core.client', '{"client_id": "id", "name": "name", "phone": "phone"}');
SELECT mfiauto.watch('Card Blocked', 'core.card', 'UPDATE', condition => 'NEW.blocked AND NOT OLD.blocked', client => 'client_id', subject => 'id');
SELECT mfiauto.create_gateway('training', channel => 'sms', preset => 'sandbox', settings => '{}');
SELECT mfiauto.create_template('card_blocked', channel => 'sms', locale => 'fr', class => 'security', body => 'Bonjour {{client.name}}, votre carte est bloquee.');
SELECT mfiauto.create_workflow('card_blocked', '{"trigger": {"event": "Card Blocked"}, "class": "security", "reentry": "always", "steps": [{"send": "card_blocked"}]}');
SELECT mfiauto.activate_workflow('card_blocked');
INSERT INTO core.client SELECT i, 'Awa', '+22177000' || lpad(i::text, 4, '0') FROM generate_series(1, 200) i;
INSERT INTO core.card (id, client_id) SELECT i, i FROM generate_series(1, 200) i;
S
my $states = q{SELECT string_agg(state || ' ' || n, ', ' ORDER BY state) FROM (SELECT state, count(*) AS n FROM mfiauto.message GROUP BY state) s};

# The teller has no grant on anything of ours.
sub block_cards
{
	my ($from, $to) = @_;
	$node->safe_psql('bank', "UPDATE core.card SET blocked = true WHERE id BETWEEN $from AND $to", extra_params => [ '-U', 'teller' ]);
	return;
}
$node->append_conf('pg_hba.conf', "local all all trust\n");
$node->reload;

block_cards(1, 1);
is_soon($node, 'bank', $states, 'queued 1', 'a committed change becomes a message by itself');
ok($node->wait_for_log(qr/mfiauto sends nothing: never armed/), 'which does not leave before arm_delivery()');
is($node->safe_psql('bank', 'SELECT count(*) FROM mfiauto.sandbox_message'), '0', 'nothing left');
$node->safe_psql('bank', 'SELECT mfiauto.arm_delivery()');
is_soon($node, 'bank', 'SELECT count(*) FROM mfiauto.sandbox_message', '1', 'and does after it');
is($node->safe_psql('bank', 'SELECT body FROM mfiauto.sandbox_message'), 'Bonjour Awa, votre carte est bloquee.', 'as it was written');

# How long it takes from the teller's commit to the gateway, the workers' own intervals left as they are.
my $began = time;
block_cards(2, 2);
is_soon($node, 'bank', 'SELECT count(*) FROM mfiauto.sandbox_message', '2', 'the next one leaves');
cmp_ok(time - $began, '<', 10, 'within seconds');

# A crowd, with a restart in the middle: each exactly once.
block_cards(3, 200);
$node->restart('immediate');
is_soon($node, 'bank', 'SELECT count(*) || \' \' || count(DISTINCT message_id) FROM mfiauto.sandbox_message', '200 200', 'a crowd leaves, across a crash of the server, each once');
is($node->safe_psql('bank', 'SELECT count(*) FROM mfiauto.outbox'), '0', 'the queue is empty');

# Held and released.
$node->safe_psql('bank', q{SELECT mfiauto.hold_delivery('training day', gateway => 'training'); UPDATE core.card SET blocked = false WHERE id = 1});
block_cards(1, 1);
is_soon($node, 'bank', q{SELECT count(*) FROM mfiauto.outbox}, '1', 'a message waits while its gateway is held');
is($node->safe_psql('bank', q{SELECT state FROM mfiauto.status WHERE item = 'delivery'}), 'warning', 'the status says that something is held');
$node->safe_psql('bank', q{SELECT mfiauto.release_delivery(stale => 'send')});
is_soon($node, 'bank', q{SELECT count(*) FROM mfiauto.outbox}, '0', 'and leaves when it is released');

# Everything goes at once, with work in hand.
block_cards(1, 100);
$node->safe_psql('postgres', 'DROP DATABASE bank');
is($node->safe_psql('postgres', q{SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE '%: bank'}), '0', 'a busy database can be dropped');
ok(slurp_file($node->logfile) !~ /22177000\d{4}/, 'no telephone number in the log');
$node->stop;

done_testing();
