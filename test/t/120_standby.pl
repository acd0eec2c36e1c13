# A standby has no workers; a promoted one gets them without a restart, and sends only if its node was allowed.
use strict;
use warnings;
use lib 'test/lib';
use MfiTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $primary = new_server('primary');
add_database($primary, 'bank');
my $refusal = q{SELECT coalesce(mfiauto._delivery_refusal(), 'may send')};
$primary->safe_psql('bank', 'SELECT mfiauto.arm_delivery()');
is($primary->safe_psql('bank', $refusal), 'may send', 'the armed server may send');
$primary->backup('base');

sub new_standby
{
	my ($name) = @_;
	my $standby = PostgreSQL::Test::Cluster->new($name);
	$standby->init_from_backup($primary, 'base', has_streaming => 1);
	$standby->start;
	return $standby;
}

my $allowed = new_standby('allowed');
my $stranger = new_standby('stranger');
my $node_name = $allowed->safe_psql('bank', 'SELECT mfiauto.this_node()');
isnt($node_name, $primary->safe_psql('bank', 'SELECT mfiauto.this_node()'), 'a standby says its own node');
$primary->safe_psql('bank', "SELECT mfiauto.allow_node('$node_name')");
is($allowed->safe_psql('postgres', q{SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'mfiauto%'}), '0', 'no process of mfiauto on a standby');
my ($status, $out, $err) = $allowed->psql('bank', 'SELECT mfiauto.arm_delivery()');
like($err, qr/recovery is in progress|read-only/, 'a standby cannot be armed');

$primary->wait_for_catchup($allowed, 'replay', $primary->lsn('write'));
$primary->wait_for_catchup($stranger, 'replay', $primary->lsn('write'));
$primary->stop('immediate');

$allowed->promote;
workers_are($allowed, 'bank', 'delivery,engine', 'promotion brings the workers');
is($allowed->safe_psql('bank', $refusal), 'may send', 'an allowed node goes on sending after promotion');
ok($allowed->wait_for_log(qr/mfiauto may send/), 'and says so');

$stranger->promote;
workers_are($stranger, 'bank', 'delivery,engine', 'any promoted server gets workers');
like($stranger->safe_psql('bank', $refusal), qr/not one that was armed/, 'but one that was not allowed sends nothing');
ok($stranger->wait_for_log(qr/mfiauto sends nothing: this machine or data directory is not one that was armed/), 'and says so in the log');
is($stranger->safe_psql('bank', q{SELECT state FROM mfiauto.status WHERE item = 'delivery'}), 'error', 'and in the status');
$allowed->stop;
$stranger->stop;

done_testing();
