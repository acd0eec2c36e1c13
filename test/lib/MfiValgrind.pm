# Programs under valgrind's memcheck, and what it says of our own code.
#
# The packaged PostgreSQL is not built for valgrind: of palloc'd memory it sees the blocks that malloc() gave, not each chunk. So a byte too far within
# a block, and the use of what was pfree'd, are not seen here; the fuzz build sees them (doc/architecture.md). Seen is all that happens in malloc'd memory
# (libcurl's, OpenSSL's, jansson's, our own buffers for them), the use of what was never written, and descriptors.
package MfiValgrind;

use strict;
use warnings;
use Exporter 'import';
use PostgreSQL::Test::Utils;

our @EXPORT = qw(valgrind_command start_checked one_session reports_of faults leaks kept descriptors_left);

# Whose a line of a stack is. Our code is built with -g: its lines name source and number.
my $modules = join '|', map { s{.*/}{}r } grep { -d } glob 'src/*';
my $own_line = qr{\((?:\S*/)?(?:src/(?:$modules)/|src/mfiauto|contrib/receiver/)\w*(?:\.c)?:\d+\)|\((?:in )?\S+/(?:mfiauto\.so|mfiauto-receiver)\)};
my $called_line = qr{\(in \S+/lib(?:curl|jansson|crypto|ssl|nghttp2|microhttpd|pq)\b[^/]*\)};
my $server_line = qr{\(in \S+/bin/postgres\)|\bsrc/backend/};

# The beginning of a command; each process writes what there is to say of it to PID.valgrind.
sub valgrind_command
{
	my $dir = shift;
	return ('valgrind', '--quiet', '--leak-check=full', '--show-leak-kinds=all', '--track-fds=yes', '--error-limit=no', '--num-callers=30',
		'--fullpath-after=', '--suppressions=test/lib/valgrind.supp', "--log-file=$dir/%p.valgrind");
}

# Starts a server that was made and stopped before: the postmaster under valgrind, and so all that it forks.
sub start_checked
{
	my ($node, $dir) = @_;
	my $wrapper = "$dir/postgres_under_valgrind";
	my $postgres = $node->config_data('--bindir') . '/postgres';
	append_to_file($wrapper, "#!/bin/sh\nexec " . join(' ', valgrind_command($dir)) . qq( $postgres "\$@"\n));
	chmod 0755, $wrapper or die "chmod: $!";
	system_or_bail('pg_ctl', '-s', '-w', '-p', $wrapper, '-D', $node->data_dir, '-l', $node->logfile, '-o', '--cluster-name=' . $node->name, 'start');
	$node->_update_pid(1);
	return;
}

# The server as one session, in the place of a node for is_soon() and the like: another one would take seconds to begin.
sub one_session
{
	my ($node, $database) = @_;
	my $psql = $node->background_psql($database);
	$psql->set_query_timer_restart;
	return bless { psql => $psql }, __PACKAGE__;
}
sub safe_psql { my ($self, undef, $query) = @_; return $self->{psql}->query_safe($query); }
# What is asked until it is so: less often, the workers need the processor.
sub psql { select undef, undef, undef, 0.5; return (0, safe_psql(@_), ''); }
sub quit { return $_[0]{psql}->quit; }

# All that was said of a process (of all without one): texts of a title and its stacks.
sub reports_of
{
	my ($dir, $pid) = @_;
	my @reports;
	for my $file (glob "$dir/" . ($pid // '*') . '.valgrind')
	{
		my $text = slurp_file($file);
		$text =~ s/^==\d+== ?//mg;
		$text =~ s/^FILE DESCRIPTORS: .*\n//m;
		push @reports, grep { /\S/ } split /\n\s*\n/, $text;
	}
	return @reports;
}

sub is_ours { my $report = shift; return $report =~ $own_line || $report =~ $called_line; }
sub is_ours_alone { my $report = shift; return is_ours((split $server_line, $report)[0]); }
sub is_memory { my $report = shift; return $report =~ /\A.* in loss record /; }
sub is_descriptor { my $report = shift; return $report =~ /\AOpen /; }

# Reads, writes and decisions that should not be, somewhere below our code or in a library that it called.
sub faults { return grep { !is_memory($_) && !is_descriptor($_) && is_ours($_) } @_; }

# What nobody can free any more.
sub leaks { return grep { /\A.* (?:definitely|indirectly) lost in / && is_ours($_) } @_; }

# What is malloc'd by us, or a library for us, and still there at the end: what points to it may itself be in palloc'd memory that nobody uses any more.
sub kept { return grep { is_memory($_) && is_ours_alone($_) } @_; }

# Descriptors that we, or a library for us, opened. What the server opened while it worked for us is its own to close.
sub descriptors_left { return grep { is_descriptor($_) && is_ours_alone($_) } @_; }

1;
