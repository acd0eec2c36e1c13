#!/usr/bin/env bash
# House rules and static checks; no output and status 0 is success.
#
#   tools/lint.sh          house rules, then shellcheck, codespell and cppcheck where they are installed
#   tools/lint.sh rules    house rules alone: what doc/architecture.md promises and a reviewer would look for
# A search that finds nothing is no failure here: no -e, no pipefail.
set -u
# complain counts in this shell, not in a pipe's.
shopt -s lastpipe
cd "$(dirname "$0")/.." || exit 1
problems=0

# complain RULE: prints what comes on standard input, if anything, under the rule that it breaks.
complain() {
	local found
	found=$(cat)
	[ -z "$found" ] && return
	problems=$((problems + 1))
	printf '%s\n' "$1" "$found" | sed '2,$s/^/    /'
}

# A clone may belong to somebody else than who looks at it.
git() { command git -c safe.directory='*' "$@"; }

files() { git ls-files -co --exclude-standard -- "$@" 2>/dev/null | while read -r file; do [ -f "$file" ] && echo "$file"; done; }
in_files() { local pattern=$1; shift; files "$@" | xargs -r grep -nE "$pattern" 2>/dev/null || true; }

[ -n "$(files 'src/*.c')" ] || echo 'run it in a git clone' | complain 'no files to look at'

# A planted object must make the install fail, not be adopted (CVE-2022-2625).
in_files '^ *CREATE OR REPLACE|^ *CREATE [A-Z ]+ IF NOT EXISTS' 'sql/code/*.sql' 'sql/schema/*.sql' |
	complain 'install scripts create, they never replace or adopt'

in_files '\bGENERATED\b.*\bIDENTITY\b|\b(big|small)?serial\b' 'sql/schema/*.sql' | complain 'sequences are explicit bigint ones, never IDENTITY or serial'

in_files 'PG_VERSION_NUM' 'src/*.[ch]' | grep -v '^src/base/compat.h:' | complain 'only base/compat.h asks for the version of PostgreSQL'

in_files '#include <curl/' 'src/*.[ch]' | grep -v '^src/delivery/exchange\.h:' | complain 'only delivery/http.c knows curl, with exchange.c, smtp.c and mail_thread.c beside it'
in_files '#include "delivery/exchange\.h"' 'src/*.[ch]' | grep -vE '^src/delivery/(http|exchange|smtp|mail_thread)\.[ch]:' | complain 'only delivery/http.c knows curl, with exchange.c, smtp.c and mail_thread.c beside it'

in_files '\b(sprintf|strcpy|strcat|gets|system|popen|usleep|pg_usleep|sleep|atoi|atol|strtok|rand|alloca)\(' 'src/*.[ch]' | complain 'banned calls'

in_files '\b(WaitLatch|WaitLatchOrSocket|WaitEventSetWait)\(' 'src/*.c' | grep -vE '^src/(worker/(loop|roster)\.c|delivery/(oneshot|delivery)\.c):' | complain 'only worker/loop.c waits (and sessions that wait for a worker)'

# Flow: stages meet in tables, never in headers.
for stage in capture segment engine message gateway delivery receive measure predict; do
	case $stage in
		capture | segment) allowed="base|$stage" ;;
		delivery | receive) allowed="base|message|gateway|$stage" ;;
		*) allowed="base|message|$stage" ;;
	esac
	in_files '^#include "(capture|segment|engine|message|gateway|delivery|receive|measure|predict|worker)/' "src/$stage/*.[ch]" |
		grep -vE "#include \"($allowed)/" | complain "$stage includes another stage"
done
in_files '^#include "(capture|segment|engine|message|gateway|delivery|receive|measure|predict|worker)/' 'src/base/*.[ch]' | complain 'base includes a stage'

files 'src/*.c' 'contrib/*.c' | while read -r file; do
	lines=$(wc -l <"$file")
	[ "$lines" -lt 600 ] || echo "$file: $lines lines"
done | complain 'files stay under 600 lines: look for the second noun'

files 'src/*.c' | while read -r file; do
	awk -v file="$file" '/^\{/ { start = NR } /^\}/ { if (start && NR - start > 80) print file ":" start ": " NR - start " lines"; start = 0 }' "$file"
done | complain 'functions stay under 80 lines'

files 'src/*.[ch]' | while read -r file; do
	head -n 3 "$file" | grep -q "^ \* $(basename "$file")\$" || echo "$file"
done | complain 'every file begins with its name and why it exists'

# Personal data and machine paths.
in_files '(^|[^A-Za-z0-9_.])/(work|root|home)/' ':!tools/lint.sh' '*' | grep -vE '^(tmp|expected/\.)' | complain 'a path of somebody'"'"'s machine'
in_files '\b(TO''DO|FIX''ME|XX''X)\b' 'src/*' 'sql/*' 'test/*' 'tools/*' 'contrib/*' 'doc/*' '*.md' | complain 'unfinished'

# Tests: each has its expected output, and each output its test.
for file in $(files 'test/sql/*.sql' 'test/specs/*.spec'); do
	name=$(basename "${file%.*}")
	[ -f "expected/$name.out" ] || echo "$file"
done | complain 'tests without expected output'
for file in $(files 'expected/*.out'); do
	name=$(basename "$file" .out)
	name=${name%_[0-9]}
	[ -f "test/sql/$name.sql" ] || [ -f "test/specs/$name.spec" ] || echo "$file"
done | complain 'expected output without a test'

# What the product owes on triggers (t01 to t17), workflow mechanics (w01 to w12), segmentation (s01 to s16) and channels (c01 to c14): a test a row.
for row in t{01..17} w{01..12} s{01..16} c{01..14}; do
	[ -n "$(files "test/sql/${row}_*.sql")" ] || echo "$row"
done | complain 'rows without a test of their name'

# Whoever looks for a function finds it on a page; what a view stands on (read_…) is found by the view.
functions=$({
	files 'sql/code/*.sql' | xargs grep -hoE "_open_door\('mfiauto\._\w+" | sed 's/.*\._//'
	files 'sql/code/*.sql' | xargs grep -hoE '^CREATE FUNCTION mfiauto\.[a-z]\w+' | sed 's/.*\.//'
} | grep -vE '^read_(status|segment|unusable_phones|workflow_health|open_tasks|conversations|own_\w+)$' | sort -u)
pages=$(files '*.md' | grep -v '^CHANGELOG' | xargs grep -hoE '\w+' | sort -u)
comm -23 <(echo "$functions") <(echo "$pages") | complain 'public functions that no page names'
files 'contrib/gateways/*.json' 'contrib/recipes/*.json' | sed 's/.*\///; s/\.json$//' | sort | comm -23 - <(echo "$pages") | complain 'presets and recipes that no page names'

# C functions for SQL are named in SQL, and the other way round.
c_names=$(files 'src/*.c' | xargs grep -hoE '^PG_FUNCTION_INFO_V1\(\w+' | sed 's/.*(//' | sort -u)
sql_names=$(files 'sql/code/*.sql' | xargs grep -hoE "'MODULE_PATHNAME', *'mfiauto_[a-z0-9_]+'" | sed "s/.*, *'//; s/'\$//" | sort -u)
comm -23 <(echo "$c_names") <(echo "$sql_names") | grep -v '^mfiauto_door$' | complain 'C functions that no SQL names'
comm -13 <(echo "$c_names") <(echo "$sql_names") | complain 'SQL names C functions that do not exist'

# PostgreSQL 15 modules export every non-static symbol into the server.
if [ -f mfiauto.so ]; then
	nm -D --defined-only mfiauto.so | awk '{ print $3 }' | grep -vE '^(mfi_|mfiauto_|pg_finfo_mfiauto_|_PG_init$|Pg_magic_func$|_init$|_fini$)' | complain 'symbols without the prefix'
fi

if [ "${1:-}" != rules ]; then
	if command -v shellcheck >/dev/null; then files '*.sh' '.ci/run' | xargs -r shellcheck -x -s bash -e SC2016,SC2028,SC2317 2>&1 | complain shellcheck; fi
	if command -v codespell >/dev/null; then files '*.md' '*.sql' '*.c' '*.h' '*.sh' '*.pl' '*.pm' | xargs -r codespell -L ans,te 2>&1 | complain codespell; fi
	if command -v cppcheck >/dev/null; then
		cppcheck -q --std=c11 --enable=warning,portability --suppress=nullPointerRedundantCheck --suppress=nullPointerArithmeticRedundantCheck --inline-suppr \
			--suppress=unknownMacro --suppress=nullPointer --suppress=uninitvar -DPG_TRY= -I src src 2>&1 | complain cppcheck
	fi
fi
[ "$problems" -eq 0 ]
