# Push over HTTP with the preset for FCM as it ships: a token by a signed assertion, one for many messages; a device that the provider does not know any
# more is retired, the others are left alone.
use strict;
use warnings;
use lib 'test/lib';
use MfiDelivery;
use MfiTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_server('main', "mfiauto.private_hosts = '127.0.0.1'", 'mfiauto.workers = off');
my $port = start_simulator();
add_database($node, 'bank');
$node->safe_psql('bank', 'SELECT mfiauto.arm_delivery()');

my ($key) = slurp_file('test/lib/keys.sql') =~ /^\\set rsa '([^']+)'/m;
my $dir = PostgreSQL::Test::Utils::tempdir();
append_to_file("$dir/key.pem", $key =~ s/\\n/\n/gr);
chmod 0600, "$dir/key.pem";

# Pushes to clients $from to $to through a gateway whose provider answers at $path.
sub push_through
{
	my ($path, $from, $to) = @_;
	ask_simulator($port, '/clear');
	$node->safe_psql('bank', qq{
		SELECT mfiauto.create_gateway('fcm', 'push', 'fcm', settings => '{"project_id": "mfi", "base_url": "http://127.0.0.1:$port$path", "token_url": "http://127.0.0.1:$port/token"}');
		SELECT mfiauto.set_secret('fcm', 'client_email', 'push\@mfi.example'), mfiauto.set_secret('fcm', 'private_key', file => '$dir/key.pem');
		INSERT INTO mfiauto.client_address (client_id, channel, address, added_at, seen_at)
		SELECT i, 'push', '+2217700' || lpad(i::text, 5, '0'), now(), now() FROM generate_series($from, $to) i});
	add_messages($node, 'bank', $from, $to, channel => 'push');
	my $counts = $node->safe_psql('bank', 'SELECT sent, failed, retrying FROM mfiauto.run_delivery()');
	$node->safe_psql('bank', q{SELECT mfiauto.drop_gateway('fcm')});
	return $counts;
}

my $live = q{SELECT count(*) FILTER (WHERE retired_at IS NULL), count(*) FILTER (WHERE retired_at IS NOT NULL) FROM mfiauto.client_address WHERE client_id BETWEEN %s AND %s};

is(push_through('/fcm', 1, 20), '20|0|0', 'devices that are there get their message');
is($node->safe_psql('bank', states(1, 20)), 'sent 20', 'and the ledger says so');
is($node->safe_psql('bank', 'SELECT count(DISTINCT provider_id) FROM mfiauto.message WHERE client_id <= 20'), '20', 'each with the id that FCM gave, the last part of its name');
is($node->safe_psql('bank', sprintf $live, 1, 20), '20|0', 'no device is retired');
my $stats = ask_simulator($port, '/stats');
is($stats->{tokens}, 1, 'one token for all of them');

is(push_through('/unregistered', 21, 30), '0|10|0', 'devices that are gone');
is($node->safe_psql('bank', states(21, 30)), 'failed/recipient_rejected 10', 'are refused for good');
is($node->safe_psql('bank', sprintf $live, 21, 30), '0|10', 'and retired');
is($node->safe_psql('bank', sprintf $live, 1, 20), '20|0', 'nobody else is');
is($node->safe_psql('bank', q{SELECT count(*) FROM mfiauto._context(ARRAY(SELECT generate_series(21::bigint, 30)), 'client', ARRAY(SELECT generate_series(21::bigint, 30)), 'w') WHERE addresses IS NOT NULL}),
	'0', 'nothing is written to them any more');

done_testing();
