# What the delivery tests share: the gateway simulator, a gateway at one of its paths, messages in the queue.
package MfiDelivery;

use strict;
use warnings;
use Exporter 'import';
use IO::Socket::INET;
use JSON::PP;
use MfiProcess;
use PostgreSQL::Test::Utils;
use Test::More;

our @EXPORT = qw(start_simulator ask_simulator add_gateway add_messages states);

sub start_simulator { return start_peer('gateway_simulator.pl'); }

# GET of /stats or /clear.
sub ask_simulator
{
	my ($port, $path) = @_;
	my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port, Timeout => 10) or die "connect: $!";
	print $socket "GET $path HTTP/1.1\r\nHost: localhost\r\n\r\n";
	my ($length, $body) = (0, '');
	while (defined(my $line = <$socket>))
	{
		$length = $1 if $line =~ /^Content-Length: (\d+)/;
		last if $line eq "\r\n";
	}
	read $socket, $body, $length;
	return $path eq '/stats' ? decode_json($body) : $body;
}

# A gateway on channel sms at a path of the simulator; the hash adds to or replaces members of the definition.
sub add_gateway
{
	my ($node, $database, $name, $port, $path, %more) = @_;
	my $settings = delete $more{settings} // {};
	my $priority = delete $more{priority} // 100;
	my $channel = delete $more{channel} // 'sms';
	my $definition = encode_json({
		request => { method => 'POST', url => "http://127.0.0.1:$port$path",
			headers => { 'X-Sender' => '{{sender}}' },
			body => { kind => 'json', json => { to => '{{to}}', text => '{{text}}', key => '{{key}}' } } },
		response => { success => { status => '2xx' }, id => { path => 'id' } },
		idempotency_header => 'Idempotency-Key',
		limits => { timeout => 2, connect_timeout => 1, concurrency => 16 }, %more });
	my $written = encode_json($settings);
	$node->safe_psql($database, "SELECT mfiauto.create_gateway('$name', '$channel', definition => \$d\$$definition\$d\$, settings => \$d\$$written\$d\$, priority => $priority)");
	return;
}

# Messages due now, without workflow: clients $from to $to of the class.
sub add_messages
{
	my ($node, $database, $from, $to, %with) = @_;
	my $class = $with{class} // 'transactional';
	my $channel = $with{channel} // 'sms';
	my $text = $with{text} // "'bonjour ' || i";
	my $address = $with{to} // "'+2217700' || lpad(i::text, 5, '0')";
	my $options = $with{options} ? "'$with{options}'::jsonb" : 'NULL';
	$node->safe_psql($database, qq{
		WITH made AS (
		  INSERT INTO mfiauto.message_ledger (client_id, created_at, due_at, expires_at, state, class, channel, to_address, body, parts, options, next_channels)
		  SELECT i, mfiauto.now(), mfiauto.now(), mfiauto.now() + interval '1 day', 'queued', '$class', '$channel', $address, $text, 1, $options,
		         @{[ $with{next_channels} // 'NULL' ]}
		    FROM generate_series($from, $to) i RETURNING *)
		INSERT INTO mfiauto.outbox (client_id, message_id, created_at, channel, priority, due_at, expires_at)
		SELECT m.client_id, m.message_id, m.created_at, m.channel, c.priority, m.due_at, m.expires_at
		  FROM made m JOIN mfiauto.message_class c ON c.class = m.class;
		SELECT mfiauto._wake_delivery()});
	return;
}

# How many messages of clients $from to $to are in each state and why: 'failed/gateway_rejected 2, sent 3'.
sub states
{
	my ($from, $to) = @_;
	return qq{SELECT coalesce(string_agg(s || ' ' || n, ', ' ORDER BY s), '') FROM (
		SELECT state || coalesce('/' || reason, '') AS s, count(*) AS n FROM mfiauto.message WHERE client_id BETWEEN $from AND $to GROUP BY 1) x};
}

1;
