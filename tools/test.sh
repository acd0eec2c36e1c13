#!/usr/bin/env bash
# Runs every test on throw-away servers; the last line is "N passed, N failed".
#
#   tools/test.sh              everything: regress, isolation, TAP, house rules
#   tools/test.sh NAME…        only the tests of these names
#   ACCEPT=1 tools/test.sh N   writes what came out to expected/ (look at it first)
#   KEEP=1 tools/test.sh …     leaves the servers' logs and results behind
#
# A test says in its first lines what it needs beyond PostgreSQL:  # packages: kannel …   # node: smpp@0.5.1 …
# and which program of test/lib must be started beside it as root:  # beside: test/lib/postfix.sh
#
# A regress test or isolation spec gets a new database of its own on one server whose workers
# are off; a TAP test makes its own servers.
set -euo pipefail
# shellcheck source=tools/throwaway.sh
. "$(dirname "$0")/throwaway.sh"
cd "$top"

passed=0
failed=0
wanted=" $* "
is_wanted() { [ "$wanted" = '  ' ] || [[ $wanted == *" $1 "* ]]; }

# report KIND NAME STATUS SECONDS
report() {
	if [ "$3" = 0 ]; then
		passed=$((passed + 1)); printf 'ok      %-9s %-28s %4d s\n' "$1" "$2" "$4"
	else
		failed=$((failed + 1)); printf 'FAILED  %-9s %-28s %4d s\n' "$1" "$2" "$4"
	fi
}

# run_compared KIND NAME: pg_regress or its isolation twin, which compare with expected/NAME.out.
run_compared() {
	local kind=$1 name=$2 program status=0 began=$SECONDS out=$work/$1.$2.log
	case $kind in
		regress) program=$pgxs/test/regress/pg_regress ;;
		isolation) program=$pgxs/test/isolation/pg_isolation_regress ;;
	esac
	(cd "$suite" && as_postgres "$program" --inputdir=test --outputdir=. --bindir="$bin" --host="$sockets" --port="$port" \
		--user=postgres --dbname="${kind}_$name" --launcher="env PGTZ=UTC PGDATESTYLE=ISO,MDY" "$name") >"$out" 2>&1 || status=$?
	report "$kind" "$name" "$status" $((SECONDS - began))
	if [ "$status" != 0 ]; then
		if [ -s "$suite/regression.diffs" ]; then head -n 200 "$suite/regression.diffs"; else tail -n 20 "$out"; fi
	fi
	rm -f "$suite/regression.diffs"
	if [ -n "${ACCEPT:-}" ] && [ -e "$suite/results/$name.out" ]; then cp "$suite/results/$name.out" "expected/$name.out"; fi
	psql_server -qc "DROP DATABASE IF EXISTS ${kind}_$name" >/dev/null 2>&1 || true
}

# Some peers must be started as root: into a directory of their own, which the test finds in MFI_BESIDE. Who cannot be root does without.
beside=
start_beside() {
	local program
	program=$(sed -n '1,5s/^# beside: //p' "test/t/$1.pl")
	[ -n "$program" ] || return 0
	[ "$(id -u)" = 0 ] || sudo -n true 2>/dev/null || return 0
	beside=$(mktemp -d /tmp/mfi.XXXXXX)
	beside_program=$top/$program
	as_root "$beside_program" start "$beside" "$server_user" >"$beside/start.out" 2>&1 || true
}
stop_beside() {
	local status=$?
	if [ -n "$beside" ]; then
		as_root "$beside_program" stop "$beside" || true
		if [ -n "${KEEP:-}" ]; then say "kept: $beside"; else as_root rm -rf "${beside:?}"; fi
		beside=
	fi
	return "$status"
}

run_tap() {
	local name=$1 status=0 began=$SECONDS out=$work/tap.$1.log
	start_beside "$name"
	(cd "$suite" && as_postgres env MFI_BESIDE="$beside" NODE_PATH="${NODE_PATH:-}" TESTDIR="$suite" PG_REGRESS="$pgxs/test/regress/pg_regress" PG_TEST_PORT_DIR="$suite/ports" \
		PERL5LIB="$pgxs/test/perl:$suite/test/lib" PGTZ=UTC prove -v "test/t/$name.pl") >"$out" 2>&1 || status=$?
	stop_beside || true
	report tap "$name" "$status" $((SECONDS - began))
	[ "$status" = 0 ] || { grep -E '^(not ok|#|Bail|Dubious|  )|error|ERROR' "$out" | head -n 60; tail -n 5 "$out"; }
}

run_rules() {
	local status=0 began=$SECONDS
	tools/lint.sh rules >"$work/rules.log" 2>&1 || status=$?
	report lint rules "$status" $((SECONDS - began))
	[ "$status" = 0 ] || cat "$work/rules.log"
}

# The demo, a week of it: its provider, its callbacks and its report are nobody else's.
run_demo() {
	local status=0 began=$SECONDS
	DAYS=8 CLIENTS=150 tools/demo.sh >"$work/demo.log" 2>&1 || status=$?
	report demo short_demo "$status" $((SECONDS - began))
	[ "$status" = 0 ] || tail -n 30 "$work/demo.log"
}

# wanted_needs WORD: what the wanted tests' lines "# WORD: …" (in SQL "-- WORD: …") name.
wanted_needs() {
	local file
	for file in test/sql/*.sql test/specs/*.spec test/t/*.pl; do
		if is_wanted "$(basename "${file%.*}")"; then head -n 5 "$file" | sed -n "s/^\(#\|--\) $1: *//p"; fi
	done | tr -s ' ' '\n' | sort -u
}

mapfile -t packages < <(wanted_needs packages)
mapfile -t node_packages < <(wanted_needs node)
need_base_packages git perl libipc-run-perl "${packages[@]}"
need_node "${node_packages[@]}"
build_and_install
trap 'stop_beside; clean_up' EXIT
pgxs=$(dirname "$("$bin/pg_config" --pgxs)")/..
pgxs=$(cd "$pgxs" && pwd)

# The tests run as the server's user, in a copy that it may write to.
suite=$work/suite
mkdir "$suite"
tar -C "$top" --exclude=./tmp --exclude=./.git --exclude='*.o' -cf - . | tar -C "$suite" -xf -
mkdir -p "$suite/ports" "$suite/results"
if [ "$(id -u)" = 0 ]; then chown -R "$server_user" "$suite"; fi

if is_wanted rules; then run_rules; fi
if is_wanted short_demo; then run_demo; fi
for file in test/sql/*.sql test/specs/*.spec; do
	[ -e "$file" ] || continue
	name=$(basename "${file%.*}")
	is_wanted "$name" || continue
	if [ -z "${data:-}" ]; then start_server "port = 5432"; fi
	case $file in *.sql) run_compared regress "$name" ;; *) run_compared isolation "$name" ;; esac
done
stop_server
for file in test/t/*.pl; do
	[ -e "$file" ] || continue
	name=$(basename "$file" .pl)
	if is_wanted "$name"; then run_tap "$name"; fi
done

printf '%d passed, %d failed\n' "$passed" "$failed"
[ "$failed" = 0 ]
