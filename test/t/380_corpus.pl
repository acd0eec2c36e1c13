# Every input that fuzzing keeps, given to the SQL functions of a running server: no crash, no internal error, no memory that grows.
use strict;
use warnings;
use lib 'test/lib';
use MfiTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_server('main', 'mfiauto.workers = off');
add_database($node, 'bank');

# The parts of an input, as SQL expressions over a text array p and a bytea array b.
my %calls = (
	mustache => 'mfiauto.render(p[1], p[2]::jsonb, p[3]::jsonb)',
	escape => q{mfiauto.render('{{a}}', jsonb_build_object('a', p[1]), NULL, e)},
	sms => 'mfiauto.sms_parts(p[1]), mfiauto.sms_transliterate(p[1]), (SELECT count(*) FROM mfiauto._split_sms(p[1], false))',
	phone => q{mfiauto.normalize_phone(p[1], p[2]), mfiauto._read_address('email', p[1], p[2]), mfiauto._normalize_locale(p[1])},
	token => 'mfiauto._read_link_token(p[1]), mfiauto._has_link_marker(p[1])',
	gateway => q{mfiauto._build_request('sms', p[1], p[2], p[3]::jsonb, jsonb_build_object('to', p[4], 'text', p[5]), false, false)},
	jwt => q{mfiauto._sign_jwt('RS256', b[1], p[2])},
	form => 'mfiauto._read_form(p[1])',
	mail => 'mfiauto._parse_mail(b[1])',
	webhook => q{(SELECT count(*) FROM mfiauto._read_webhook(p[1], 'POST', p[3], p[2]::jsonb, b[4]))},
	signature => q{mfiauto._check_webhook('none', p[1], 'POST', 'https://mfi.example/w/none', p[3], p[2]::jsonb, b[4], mfiauto.now())},
);
$node->safe_psql('bank', <<'SQL');
CREATE FUNCTION as_texts(b bytea[]) RETURNS text[] LANGUAGE plpgsql AS $$
DECLARE texts text[]; one bytea;
BEGIN
  FOREACH one IN ARRAY b LOOP
    BEGIN texts := texts || convert_from(one, 'UTF8');
    EXCEPTION WHEN others THEN texts := texts || convert_from(one, 'LATIN1'); END;
  END LOOP;
  RETURN texts;
EXCEPTION WHEN others THEN RETURN NULL;  -- a zero byte: no text
END $$;
CREATE TABLE input (id integer GENERATED ALWAYS AS IDENTITY, harness text, name text, b bytea[], p text[]);
CREATE TABLE answer (id integer, sqlstate text);
CREATE FUNCTION replay(call text, wanted text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE i record;
BEGIN
  FOR i IN SELECT * FROM input WHERE harness = wanted ORDER BY id LOOP
    BEGIN
      EXECUTE 'SELECT ' || call || $q$ FROM (SELECT $1 AS b, $2 AS p) x, unnest('{html,json,url,xml,none}'::text[]) e$q$ USING i.b, i.p;
      INSERT INTO answer VALUES (i.id, '00000');
    EXCEPTION WHEN others THEN INSERT INTO answer VALUES (i.id, SQLSTATE); END;
  END LOOP;
END $$;
SQL

my @harnesses = sort map { m{([^/]+)/*$} } glob 'test/fuzz/corpus/*/';
my ($rows, $count) = ('', 0);
for my $harness (grep { $calls{$_} } @harnesses)
{
	for my $file (sort glob "test/fuzz/corpus/$harness/*")
	{
		my @parts = split /\n%%\n/, slurp_file($file), -1;
		push @parts, '' while @parts < 6;
		my $list = join ',', map { "'\\x" . unpack('H*', $_) . "'::bytea" } @parts;
		$rows .= "INSERT INTO input (harness, name, b) VALUES ('$harness', '" . ($file =~ m{([^/]+)$})[0] . "', ARRAY[$list]);\n";
		$count++;
	}
}
cmp_ok($count, '>', 100, 'there is a corpus');
$node->safe_psql('bank', "BEGIN;\n${rows}UPDATE input SET p = as_texts(b); COMMIT;");
my $started = $node->safe_psql('bank', 'SELECT pg_postmaster_start_time()');
my $calls = join '', map { my $call = $calls{$_}; $call =~ s/'/''/g; "SELECT replay('$call', '$_');\n" } sort keys %calls;
# Both rounds in one session, so that memory that is never given back shows.
my $resident = q{SELECT 'resident ' || (regexp_match(pg_read_file('/proc/self/status'), 'VmRSS:\s+(\d+)'))[1];} . "\n";
my $out = $node->safe_psql('bank', $calls x 2 . $resident . $calls x 5 . $resident);
my ($before, $after) = $out =~ /resident (\d+)/g;
cmp_ok($after - $before, '<', 8000, 'memory does not grow (kB)');
is($node->safe_psql('bank', 'SELECT count(*) FROM answer'), $count * 7, 'every input has its answer');
is($node->safe_psql('bank', q{SELECT DISTINCT i.harness, i.name, a.sqlstate FROM answer a JOIN input i USING (id) WHERE a.sqlstate ~ '^(XX|58|53)'}),
	'', 'no internal error');
is($node->safe_psql('bank', 'SELECT pg_postmaster_start_time()'), $started, 'the server lives');
is($node->safe_psql('bank', q{SELECT harness FROM input JOIN answer USING (id) GROUP BY 1 HAVING bool_and(sqlstate <> '00000') ORDER BY 1}),
	'', 'of each kind some can be read');
done_testing();
