#!/usr/bin/env bash
# Random inputs, guided by coverage, for everything that reads what strangers write.
#
#   tools/fuzz.sh [HARNESS…]     all of them, FUZZ_SECONDS (30) each; ends with "N harnesses, N findings"
#
# Each harness runs in a single-user server of its own with the sanitizers (doc/architecture.md, "Fuzzing").
# test/fuzz/corpus/HARNESS holds what it starts from. FUZZ_KEEP=1 adds the smallest set of new inputs that
# reach code which nothing there reaches. An input that is a finding is left in ./tmp/findings.
# shellcheck source=tools/throwaway.sh
source "$(dirname "$0")/throwaway.sh"
set -euo pipefail

seconds=${FUZZ_SECONDS:-30}
need_base_packages clang libclang-rt-14-dev
choose_work
bin=$("$top/tools/private_postgres.sh" "$work/postgres")
build=$work/build
make -C "$top/test/fuzz" -s -j"$(nproc)" BUILD="$build" PG_CONFIG="$bin/pg_config" >"$work/build.log" 2>&1 || { cat "$work/build.log"; die "The build failed."; }
runtime=$(clang -print-runtime-dir)
sed "s,LIBRARY,$build/fuzz.so," "$top/test/fuzz/functions.sql" >"$work/functions.sql"
chmod -R a+rX "$build" "$work/functions.sql"
as_postgres "$bin/initdb" -D "$work/data" -A trust -N -U postgres --locale=C.UTF-8 -E UTF8 >"$work/initdb.log"

# single FILE OUT: the statements of a file, one a line, in a single-user server with the sanitizers.
single() {
	(cd "$work" && as_postgres env LD_PRELOAD="$runtime/libclang_rt.asan-x86_64.so $build/quiet.so" LC_ALL=C.UTF-8 \
		ASAN_OPTIONS="detect_leaks=0:allocator_may_return_null=1:detect_odr_violation=0:handle_abort=1" UBSAN_OPTIONS="print_stacktrace=1" \
		timeout "$((seconds * 2 + 60))" "$bin/postgres" --single -D "$work/data" -c fsync=off -c max_stack_depth=4MB -c log_min_messages=fatal -c log_statement=none postgres) <"$1" >"$2" 2>&1
}

ulimit -s 65536 2>/dev/null || true
single "$work/functions.sql" "$work/functions.log" || { cat "$work/functions.log"; die "The server did not take the harnesses."; }
if [ $# -eq 0 ]; then
	for directory in "$top"/test/fuzz/corpus/*/; do set -- "$@" "$(basename "$directory")"; done
fi
findings=0
for harness in "$@"; do
	mkdir -p "$work/$harness/new" "$work/$harness/known" "$work/$harness/found"
	cp -r "$top/test/fuzz/corpus/$harness/." "$work/$harness/known/" 2>/dev/null || true
	chmod -R a+rX "$work/$harness"
	if [ "$(id -u)" = 0 ]; then chown -R "$server_user" "$work/$harness"; fi
	list="'-max_total_time=$seconds','-timeout=10','-rss_limit_mb=3000','-max_len=${FUZZ_LENGTH:-6000}','-print_final_stats=1','-use_value_profile=${FUZZ_PROFILE:-0}','-artifact_prefix=$work/$harness/found/'"
	[ ! -f "$top/test/fuzz/$harness.dict" ] || list="$list,'-dict=$top/test/fuzz/$harness.dict'"
	echo "SELECT fuzz('$harness', ARRAY[$list,'$work/$harness/new','$work/$harness/known']);" >"$work/$harness.sql"
	log=$work/$harness.log
	status=0
	single "$work/$harness.sql" "$log" || status=$?
	runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log" | tail -n 1)
	if [ "$status" != 0 ] || [ -z "$runs" ] || [ -n "$(find "$work/$harness/found" -type f)" ]; then
		findings=$((findings + 1))
		mkdir -p "$top/tmp/findings"
		for file in "$work/$harness"/found/*; do [ ! -f "$file" ] || cp "$file" "$top/tmp/findings/$harness-$(basename "$file")"; done
		cp "$log" "$top/tmp/findings/$harness.log"
		say "$harness: FOUND SOMETHING, see tmp/findings"
		{ grep -aE '==FINDING==|runtime error|ERROR: (AddressSanitizer|libFuzzer)|^ *#[0-9]+ .* in mfi|^FATAL|^ERROR' "$log" | head -n 8; } || tail -n 5 "$log"
	else
		say "$harness: $runs inputs, $(grep -aoE 'cov: [0-9]+' "$log" | tail -n 1), $(find "$work/$harness/new" -type f | wc -l) of them new"
	fi
	if [ -n "${FUZZ_KEEP:-}" ] && [ "$(id -u)" = 0 ]; then
		mkdir -p "$work/$harness/merged" "$top/test/fuzz/corpus/$harness"
		cp -r "$work/$harness/known/." "$work/$harness/merged/"
		chown -R "$server_user" "$work/$harness/merged"
		echo "SELECT fuzz('$harness', ARRAY['-merge=1','-max_len=${FUZZ_KEEP_LENGTH:-2000}','-timeout=10','$work/$harness/merged','$work/$harness/new']);" >"$work/$harness.sql"
		single "$work/$harness.sql" "$log" || tail -n 5 "$log"
		for file in "$work/$harness"/merged/*; do [ -e "$top/test/fuzz/corpus/$harness/$(basename "$file")" ] || cp "$file" "$top/test/fuzz/corpus/$harness/"; done
	fi
done
say "$# harnesses, $findings findings"
[ "$findings" = 0 ]
