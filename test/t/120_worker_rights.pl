# A worker is connected as the superuser, but what the installation's owner leaves behind never runs as one. And no
# secret, phone number or text is in a dump's secrets or in the log.
use strict;
use warnings;
use lib 'test/lib';
use MfiTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_server('rights', q{log_statement = 'none'});

$node->safe_psql('postgres', 'CREATE DATABASE bank; CREATE ROLE books');
$node->safe_psql('bank', q{
	CREATE EXTENSION mfiauto;
	SELECT mfiauto.install('books');
	CREATE TABLE client (id bigint PRIMARY KEY, name text, phone text);
	GRANT SELECT, TRIGGER ON client TO books;
	SELECT mfiauto.bind('client', 'client', '{"client_id": "id", "name": "name", "phone": "phone"}');
	SELECT mfiauto.create_template('hello', body => 'Bonjour {{client.name}}, un mot pour vous', class => 'transactional');
	SELECT mfiauto.create_gateway('box', channel => 'sms', preset => 'sandbox');
	SELECT mfiauto.create_gateway('tw', channel => 'sms', preset => 'twilio', settings => '{"sender": "+15005550006"}', priority => 900);
	SELECT mfiauto.set_secret('tw', 'auth_token', 'very-secret-token');
	SELECT mfiauto.create_workflow('hello', '{"trigger": {"event": "Hello"}, "class": "transactional", "steps": [{"send": "hello"}]}');
	SELECT mfiauto.activate_workflow('hello');
	SELECT mfiauto.set_policy(class => 'transactional', contact_from => '00:00', contact_until => '24:00', weekdays => '{1,2,3,4,5,6,7}', skips_holidays => false);
	SELECT mfiauto.arm_delivery();
	INSERT INTO client VALUES (1, 'Awa', '+221770000001');
});
workers_are($node, 'bank', 'delivery,engine', 'workers run');
$node->safe_psql('bank', q{SELECT mfiauto.track('Hello', 1)});
is_soon($node, 'bank', q{SELECT state FROM mfiauto.message}, 'sent', 'a message was sent');

# The owner may put triggers on the tables: the workers' commit must not run them with the superuser's rights.
$node->safe_psql('bank', q{
	CREATE SCHEMA theirs AUTHORIZATION books;
	SET ROLE books;
	CREATE TABLE theirs.ran (as_role text);
	CREATE FUNCTION theirs.run() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO theirs.ran VALUES (current_user); RETURN NULL; END $$;
	CREATE CONSTRAINT TRIGGER later AFTER INSERT ON mfiauto.event_log DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION theirs.run();
});
$node->safe_psql('bank', q{INSERT INTO client VALUES (2, 'Binta', '+221770000002')});
is_soon($node, 'bank', q{SELECT count(*) FROM mfiauto.worker_state WHERE last_error ~ 'deferred trigger'}, '1', 'a deferred trigger of the owner is refused, and status can say so');
is($node->safe_psql('bank', q{SELECT count(*) FROM theirs.ran WHERE as_role <> 'books'}), '0', 'it never ran as anybody else');
$node->safe_psql('bank', 'DROP TRIGGER later ON mfiauto.event_log');
is_soon($node, 'bank', q{SELECT count(*) > 0 FROM mfiauto.event WHERE client_id = 2}, 't', 'and when it is gone the work is done');

my ($dump, $errors) = run_command([ 'pg_dump', '--host', $node->host, '--port', $node->port, 'bank' ]);
like($dump, qr/un mot pour vous/, 'a dump holds the ledger');
unlike($dump, qr/very-secret-token/, 'and no secret');
my $log = slurp_file($node->logfile);
unlike($log, qr/very-secret-token|22177000000|Bonjour Awa/, 'the log holds no secret, no phone number and no text');

$node->stop;
done_testing();
