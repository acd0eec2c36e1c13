# A copy says nothing to anybody: a TEMPLATE copy, a restored dump, a copied data directory and a point-in-time restore send no message by whatever kind of
# gateway, ask no provider what is new, ask for no token, hand nothing over to tables; a promoted standby that may goes on with all of it.
use strict;
use warnings;
use lib 'test/lib';
use MfiDelivery;
use MfiFaults;
use MfiTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

$PostgreSQL::Test::Utils::timeout_default = 60;
my $port = start_simulator();
my $mail = start_mail_peer();
my $node = PostgreSQL::Test::Cluster->new('main');
$node->init(has_archiving => 1, allows_streaming => 1, extra => [ '--locale=C.UTF-8', '--encoding=UTF8' ]);
configure_server($node, "mfiauto.private_hosts = '127.0.0.1'");
$node->start;
add_database($node, 'bank');
$node->safe_psql('bank', q{CREATE TABLE handed (reference text); CREATE TABLE told (reference text, provider_id text, status text)});
add_gateway($node, 'bank', 'plain', $port, '/ok', settings => { timeout => 2 });
add_gateway($node, 'bank', 'token', $port, '/bearer', channel => 'push', secrets => ['client_secret'],
	auth => { kind => 'oauth2', token_url => "http://127.0.0.1:$port/token", client_id => 'me', client_secret => '{{secret.client_secret}}' });
add_gateway($node, 'bank', 'asking', $port, '/ok', channel => 'voice', receipt => { list => 'told', id => 'id', state => 'delivered' },
	poll => { every => '1 s', request => { url => "http://127.0.0.1:$port/polled" } });
$node->safe_psql('bank', qq{
	SELECT mfiauto.create_gateway('tables', 'telegram', definition => \$j\${"sql": {"hand_over": "INSERT INTO public.handed SELECT m.value ->> 'reference' FROM jsonb_array_elements(\$1) m RETURNING reference, reference",
	  "inbound": "DELETE FROM public.told RETURNING 'x', 'y', status, provider_id, now()"}}\$j\$);
	SELECT mfiauto.create_gateway('app', 'inapp', 'inapp');
	SELECT mfiauto.create_gateway('post', 'email', 'smtp', settings => '{"url": "smtp://127.0.0.1:$mail", "sender": "MFI <news\@mfi.example>", "tls": "none"}');
	SELECT mfiauto.set_secret('token', 'client_secret', 'hush')});
my %channel = (plain => 'sms', token => 'push', asking => 'voice', tables => 'telegram', app => 'inapp', post => 'email');

# The armed database sends and asks.
$node->safe_psql('bank', 'SELECT mfiauto.arm_delivery()');
my $base = 0;

sub add_batch
{
	my ($server, $database) = @_;
	$base += 1000;
	my $place = 0;
	add_messages($server, $database, $base + 10 * ++$place, $base + 10 * $place + 4, channel => $channel{$_}, $_ eq 'post' ? (to => "'c' || i || '\@there.example'") : ()) for sort keys %channel;
	$server->safe_psql($database, q{INSERT INTO told VALUES ('r', 'p', 'Bonjour')});
	return;
}

sub goes_on
{
	my ($server, $database, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	is_soon($server, $database, states($base, $base + 999), 'sent 30', "$name: all are sent");
	is_soon($server, $database, 'SELECT count(*) FROM told', '0', "$name: tables are read");
	my $polled = ask_simulator($port, '/stats')->{paths}{'/polled'} // 0;
	ok(wait_until(sub { (ask_simulator($port, '/stats')->{paths}{'/polled'} // 0) > $polled }, 20), "$name: the provider is asked what is new");
	return;
}

# Other databases of the same queue: their workers look, and do nothing.
sub is_silent
{
	my ($server, $database, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my @letters = letters($mail);
	ask_simulator($port, '/clear');
	my $handed = $server->safe_psql($database, 'SELECT count(*) FROM handed');
	my $inbox = $server->safe_psql($database, 'SELECT count(*) FROM mfiauto.inbox');
	add_batch($server, $database);
	workers_are($server, $database, 'delivery,engine', "$name: it has workers");
	# Longer than a look at the gateways, and than the time between two questions.
	$server->safe_psql($database, 'UPDATE mfiauto.poll_state SET next_at = now(); SELECT mfiauto._wake_delivery()');
	select undef, undef, undef, 3.5;
	is($server->safe_psql($database, states($base, $base + 999)), 'queued 30', "$name: nothing is sent");
	is($server->safe_psql($database, q{SELECT count(*) FROM mfiauto.outbox WHERE lease_until IS NOT NULL}), '0', "$name: nothing is claimed");
	is($server->safe_psql($database, 'SELECT claimed + sent FROM mfiauto.run_delivery()'), '0', "$name: nor by run_delivery()");
	for my $gateway (sort keys %channel)
	{
		my ($status, $out, $err) = $server->psql($database, "SELECT outcome FROM mfiauto.test_gateway('$gateway', '+221770000000', 'essai')");
		unlike($out, qr/sent/, "$name: nor by test_gateway() of $gateway");
	}
	my $stats = ask_simulator($port, '/stats');
	is("$stats->{requests} $stats->{tokens}", '0 0', "$name: no gateway, no token server, no provider was asked anything");
	is(scalar(letters($mail)), scalar(@letters), "$name: no letter was written");
	is($server->safe_psql($database, 'SELECT count(*) FROM handed'), $handed, "$name: nothing was handed over");
	is($server->safe_psql($database, 'SELECT count(*) FROM told'), '1', "$name: no table was read");
	is($server->safe_psql($database, 'SELECT count(*) FROM mfiauto.inbox'), $inbox, "$name: nothing came into the inbox");
	return;
}

add_batch($node, 'bank');
goes_on($node, 'bank', 'the original');
$node->safe_psql('bank', q{SELECT mfiauto.hold_delivery('as a copy is made')});
my $dump = PostgreSQL::Test::Utils::tempdir() . '/bank.dump';
$node->command_ok([ 'pg_dump', '-Fc', '-f', $dump, '-d', $node->connstr('bank') ], 'pg_dump');
$node->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'base', has_streaming => 1);
$standby->start;
$node->safe_psql('bank', sprintf q{SELECT mfiauto.allow_node('%s')}, $standby->safe_psql('bank', 'SELECT mfiauto.this_node()'));
$node->safe_psql('bank', q{SELECT mfiauto.release_delivery(); SELECT pg_create_restore_point('then')});
$node->safe_psql('bank', 'SELECT pg_switch_wal()');

# The original rests: what is heard now, a copy says.
$node->safe_psql('postgres', 'ALTER DATABASE bank SET mfiauto.workers = off');
workers_are($node, 'bank', '', 'the original rests');
$node->safe_psql('postgres', 'CREATE DATABASE copy TEMPLATE bank');
is_silent($node, 'copy', 'a TEMPLATE copy');
$node->safe_psql('copy', 'SELECT mfiauto.arm_delivery()');
is_soon($node, 'copy', states($base, $base + 999), 'sent 30', 'once armed, it sends');
$node->safe_psql('postgres', 'DROP DATABASE copy WITH (FORCE)');
$node->safe_psql('postgres', 'CREATE DATABASE restored');
$node->command_ok([ 'pg_restore', '--exit-on-error', '-d', $node->connstr('restored'), $dump ], 'pg_restore');
$node->safe_psql('restored', q{SELECT mfiauto.release_delivery(); SELECT mfiauto.set_secret('token', 'client_secret', 'hush')});
is_silent($node, 'restored', 'a restored dump');
$node->safe_psql('postgres', 'DROP DATABASE restored WITH (FORCE); ALTER DATABASE bank RESET mfiauto.workers');
workers_are($node, 'bank', 'delivery,engine', 'the original works again');
$node->wait_for_catchup($standby, 'replay', $node->lsn('write'));
$node->stop;

my $copied = copy_server($node, 'copied');
is_silent($copied, 'bank', 'a copied data directory');
$copied->stop;

my $restored = PostgreSQL::Test::Cluster->new('restored');
$restored->init_from_backup($node, 'base', has_restoring => 1, standby => 0);
$restored->append_conf('postgresql.conf', "recovery_target_name = 'then'\nrecovery_target_action = 'promote'\narchive_mode = off\n");
$restored->start;
$restored->poll_query_until('postgres', 'SELECT NOT pg_is_in_recovery()');
is_silent($restored, 'bank', 'a point-in-time restore');
$restored->stop;

# The standby was silent while it followed; promoted, it goes on.
ask_simulator($port, '/clear');
$standby->promote;
workers_are($standby, 'bank', 'delivery,engine', 'the promoted standby has workers');
add_batch($standby, 'bank');
goes_on($standby, 'bank', 'the promoted standby');
cmp_ok(ask_simulator($port, '/stats')->{tokens}, '>=', 1, 'the promoted standby: with a token of its own');
$standby->stop;
done_testing();
