# What TAP tests share: a preloaded server, databases with mfiauto, and waiting until something is so.
package MfiTest;

use strict;
use warnings;
use Exporter 'import';
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::RecursiveCopy;
use PostgreSQL::Test::Utils;
use Test::More;

our @EXPORT = qw(new_server configure_server copy_server add_database install_mfiauto add_payments is_soon workers_are);

# A running server with mfiauto preloaded; further arguments are lines of its configuration. Workers run.
sub new_server
{
	my ($name, @lines) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name);
	$node->init(allows_streaming => 1, extra => [ '--locale=C.UTF-8', '--encoding=UTF8' ]);
	configure_server($node, @lines);
	$node->start;
	return $node;
}

sub configure_server
{
	my ($node, @lines) = @_;
	$node->append_conf('postgresql.conf', join("\n",
		"shared_preload_libraries = 'pg_cron,mfiauto'",
		"cron.database_name = 'postgres'",
		"max_worker_processes = 16",
		"max_prepared_transactions = 10",
		"timezone = 'UTC'",
		"fsync = off",
		# The library's own clusters stay down after a crash.
		"restart_after_crash = on",
		@lines) . "\n");
	return;
}

# A server on a copy of the data directory of one that is stopped.
sub copy_server
{
	my ($node, $name) = @_;
	my $copied = PostgreSQL::Test::Cluster->new($name);
	PostgreSQL::Test::RecursiveCopy::copypath($node->data_dir, $copied->data_dir);
	chmod 0700, $copied->data_dir;
	$copied->append_conf('postgresql.conf', 'port = ' . $copied->port . "\nunix_socket_directories = '" . $copied->host . "'\narchive_mode = off\n");
	$copied->start;
	return $copied;
}

# A new database with mfiauto installed by the superuser.
sub add_database
{
	my ($node, $database) = @_;
	$node->safe_psql('postgres', qq{CREATE DATABASE "$database"});
	install_mfiauto($node, $database);
	return;
}

sub install_mfiauto
{
	my ($node, $database) = @_;
	$node->safe_psql($database,
		"SET client_min_messages = error; CREATE EXTENSION mfiauto; SELECT mfiauto.install()");
	return;
}

# Clients, whose number is given, and their payments, bound; delivery is armed.
sub add_payments
{
	my ($node, $database, $clients) = @_;
	$node->safe_psql($database, qq{
		SET client_min_messages = error;
		SELECT mfiauto.arm_delivery();
		CREATE SCHEMA bank;
		CREATE TABLE bank.client (id bigint PRIMARY KEY, name text, phone text);
		CREATE TABLE bank.payment (id bigserial PRIMARY KEY, client_id bigint, paid_at timestamptz DEFAULT now(), amount numeric DEFAULT 10);
		INSERT INTO bank.client SELECT i, 'Client ' || i, '+2217700' || lpad(i::text, 5, '0') FROM generate_series(1, $clients) i;
		SELECT mfiauto.bind('client', 'bank.client', '{"client_id": "id", "name": "name", "phone": "phone"}');
		SELECT mfiauto.bind('payment', 'bank.payment', '{"payment_id": "id", "client_id": "client_id", "paid_at": "paid_at", "amount": "amount"}')});
	return;
}

# Polls until a query gives the expected text; says what it gave last when time is up.
sub is_soon
{
	my ($node, $database, $query, $expected, $name, $timeout_s) = @_;
	my $until = time + ($timeout_s // $PostgreSQL::Test::Utils::timeout_default);
	my $got = '';
	while (time <= $until)
	{
		my ($status, $out, $err) = $node->psql($database, $query);
		$got = $status == 0 ? $out : $err;
		last if ref $expected ? $got =~ $expected : $got eq $expected;
		select(undef, undef, undef, 0.1);
	}
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return ref $expected ? like($got, $expected, $name) : is($got, $expected, $name);
}

# Waits until the workers connected to a database are these, as one text: 'delivery,engine'; none: ''.
sub workers_are
{
	my ($node, $database, $expected, $name, $timeout_s) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return is_soon($node, 'postgres', qq{
		SELECT coalesce(string_agg(substring(backend_type FROM 'mfiauto (.*):'), ',' ORDER BY backend_type), '')
		  FROM pg_stat_activity
		 WHERE datname = '$database' AND backend_type LIKE 'mfiauto %' AND backend_type NOT LIKE 'mfiauto scout%'},
		$expected, $name, $timeout_s);
}

1;
