#!/usr/bin/env bash
# Speed as ratios, each measured side by side in one run on a throw-away server:
#
#   tools/bench.sh [capture] [engine] [delivery] [receipts] [kannel] [reminders] [segments] [idle]      default: all
#
# One line a figure: bench <name> <ratio> <what over what>. The machine may be busy: rounds are
# interleaved and the median is printed. ROUNDS (5) and SCALE (1) make a run longer or larger.
set -euo pipefail
# shellcheck source=tools/throwaway.sh
. "$(dirname "$0")/throwaway.sh"
cd "$top"
rounds=${ROUNDS:-5}
scale=${SCALE:-1}
wanted=" $* "
is_wanted() { [ "$wanted" = '  ' ] || [[ $wanted == *" $1 "* ]]; }

median() { sort -g | awk '{v[NR] = $1} END {print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2}'; }
ratio() { awk -v a="$1" -v b="$2" 'BEGIN {printf "%.2f", a / b}'; }
line() { printf 'bench %-28s %8s  %s\n' "$1" "$2" "$3"; }

# seconds SQL-FILE-OR-COMMAND: what the server itself says that a statement took.
seconds() { psql_server -qAt -d bench -c '\timing on' -c "$1" | sed -n 's/^Time: \([0-9.]*\) ms.*/\1/p' | tail -n 1; }

# transactions FILE: pgbench's rate, one row a transaction, prepared statements.
transactions() {
	as_postgres "$bin/pgbench" -n -h "$sockets" -p "$port" -U postgres -M prepared -c 2 -j 2 -T "$((3 * scale))" -f "$1" bench 2>/dev/null |
		sed -n 's/^tps = \([0-9.]*\).*/\1/p'
}

# ---- capture: what a write costs with our trigger, with none, with a plpgsql jsonb outbox ----
bench_capture() {
	local table kind round
	psql_server -qd bench -f test/bench/capture.sql >/dev/null
	for table in bare captured outbox; do
		printf 'INSERT INTO bench.%s SELECT r.* FROM bench.row(nextval('"'bench.id'"')) r;\n' "$table" >"$work/insert.$table.sql"
		printf '\\set id random(1, 20000)\nUPDATE bench.%s SET paid = coalesce(paid, 0) + 1 WHERE id = :id;\n' "$table" >"$work/update.$table.sql"
		printf '\\set id random(1, 20000)\nUPDATE bench.%s SET note = note || %s WHERE id = :id;\n' "$table" "''" >"$work/idle.$table.sql"
	done
	chmod a+r "$work"/*.sql
	for ((round = 1; round <= rounds; round++)); do
		for kind in insert update idle; do
			for table in bare captured outbox; do
				transactions "$work/$kind.$table.sql" >>"$work/capture.$kind.$table"
			done
		done
		for table in bare captured outbox; do
			psql_server -qd bench -c "TRUNCATE bench.$table" -c CHECKPOINT
			seconds "INSERT INTO bench.$table SELECT r.* FROM generate_series(1, 20000) n, bench.row(n) r" >>"$work/capture.bulk.$table"
			psql_server -qd bench -c "SELECT bench.forget_journal()" >/dev/null
		done
	done
	for kind in insert update idle; do
		line "capture_$kind" "$(ratio "$(median <"$work/capture.$kind.captured")" "$(median <"$work/capture.$kind.bare")")" \
			"rate of single-row $kind with the capture trigger over without"
		line "outbox_$kind" "$(ratio "$(median <"$work/capture.$kind.outbox")" "$(median <"$work/capture.$kind.bare")")" \
			"the same with a plpgsql trigger that inserts a jsonb row"
	done
	local bare captured outbox
	bare=$(median <"$work/capture.bulk.bare"); captured=$(median <"$work/capture.bulk.captured"); outbox=$(median <"$work/capture.bulk.outbox")
	line capture_added_time "$(awk -v b="$bare" -v c="$captured" -v o="$outbox" 'BEGIN {printf "%.3f", (c - b) / (o - b)}')" \
		"time the capture trigger adds to a row over what the plpgsql outbox adds (bulk INSERT)"
	line capture_added_us "$(awk -v b="$bare" -v c="$captured" 'BEGIN {printf "%.2f", (c - b) / 20}')" \
		"microseconds a row, bulk INSERT of 20,000 rows (not a ratio; this machine)"
}

# ---- engine: events consumed, enrollments advanced, against one bare statement on as many rows ----
bench_engine() {
	local round
	psql_server -qd bench -f test/bench/engine.sql >/dev/null
	for ((round = 1; round <= rounds; round++)); do
		psql_server -qAtd bench -v rows="$((20000 * scale))" -f test/bench/engine_round.sql >>"$work/engine.rounds"
	done
	local name
	for name in consume advance; do
		line "engine_$name" "$(ratio "$(sed -n "s/^${name}_bare //p" "$work/engine.rounds" | median)" "$(sed -n "s/^${name} //p" "$work/engine.rounds" | median)")" \
			"$(case $name in
				consume) echo 'rate of committed writes turned into events over one bare INSERT … SELECT of as many rows' ;;
				advance) echo 'rate of due enrollments advanced, with composed messages, over one bare UPDATE and INSERT … SELECT' ;;
			esac)"
	done
	psql_server -qAtd bench -c 'SELECT * FROM mfiauto.run_engine()' -c 'SELECT mfiauto._rotate_journal(0)' -c 'SELECT mfiauto._rotate_journal(0)' -c '\timing on' -c 'SELECT * FROM mfiauto.run_engine()' | sed -n 's/^Time: \([0-9.]*\) ms.*/\1/p' |
		{ read -r idle; line engine_idle_ms "$idle" "milliseconds of a pass with nothing to do (not a ratio; this machine)"; }
}

# ---- reminders: a day on which a million installments fall due, in batches as the worker does them ----
bench_reminders() {
	local rows=${REMINDERS:-$((1000000 * scale))} script=$work/reminders.sql
	psql_server -qd bench -f test/bench/engine.sql >/dev/null
	psql_server -qAtd bench -v rows="$rows" -f test/bench/reminder_day.sql >"$work/reminders.out"
	{
		printf '%s\n' "SELECT mfiauto.set_clock('2027-03-03 09:00+00') \\g /dev/null" 'SELECT clock_timestamp() AS t \gset'
		seq "$((rows / 10000 + 3))" | sed 's#.*#SELECT mfiauto._run_engine_batch() \\g /dev/null#'
		printf '%s\n' "SELECT 'advance ' || extract(epoch FROM clock_timestamp() - :'t');" \
			"SELECT 'messages ' || count(*) FROM mfiauto.outbox;" 'SELECT clock_timestamp() AS t \gset' \
			"INSERT INTO bench.bare_message SELECT * FROM mfiauto.message_ledger WHERE created_at = mfiauto.now();" \
			"SELECT 'bare ' || extract(epoch FROM clock_timestamp() - :'t');"
	} >"$script"
	psql_server -qAtd bench -f "$script" >>"$work/reminders.out"
	[ "$(sed -n 's/^messages //p' "$work/reminders.out")" = "$rows" ] || { echo "not all reminders were made:"; cat "$work/reminders.out"; return 1; }
	line reminder_day "$(ratio "$(sed -n 's/^bare //p' "$work/reminders.out")" "$(sed -n 's/^advance //p' "$work/reminders.out")")" \
		"rate of $rows enrollments advanced, texts composed, over one bare INSERT … SELECT of as many messages"
	line reminder_us "$(awk -v n="$rows" '/^advance / {printf "%.0f", $2 * 1e6 / n}' "$work/reminders.out")" \
		"microseconds an advanced enrollment (not a ratio; this machine)"
}

# ---- idle: what a pass costs when two hundred workflows are active and nothing is due ----
bench_idle() {
	local round pass="SELECT mfiauto._run_engine_batch()" few many pid before after
	psql_server -qd bench -f test/bench/engine.sql >/dev/null
	for ((round = 1; round <= 20; round++)); do echo "$pass;"; done >"$work/passes.sql"
	psql_server -qAtd bench -c 'SELECT * FROM mfiauto.run_engine()' >/dev/null
	few=$(psql_server -qAtd bench -c '\timing on' -f "$work/passes.sql" | sed -n 's/^Time: \([0-9.]*\) ms.*/\1/p' | median)
	psql_server -qAtd bench -v rows="$((100000 * scale))" -f test/bench/idle.sql >/dev/null
	many=$(psql_server -qAtd bench -c '\timing on' -f "$work/passes.sql" | sed -n 's/^Time: \([0-9.]*\) ms.*/\1/p' | median)
	line idle_pass "$(ratio "$many" "$few")" "time of a pass with 200 active workflows and nothing due over one with a single workflow"
	line idle_pass_ms "$many" "milliseconds of it (not a ratio; this machine)"
	psql_server -qc "ALTER DATABASE bench SET mfiauto.workers = on" -c "SELECT pg_reload_conf()" >/dev/null
	for ((round = 1; round <= 100; round++)); do
		pid=$(psql_server -qAtc "SELECT pid FROM pg_stat_activity WHERE backend_type = 'mfiauto engine: bench'")
		[ -n "$pid" ] && break
		sleep 0.1
	done
	sleep 3
	before=$(awk '{print $14 + $15}' "/proc/$pid/stat")
	sleep 20
	after=$(awk '{print $14 + $15}' "/proc/$pid/stat")
	psql_server -qc "ALTER DATABASE bench SET mfiauto.workers = off" -c "SELECT pg_reload_conf()" >/dev/null
	psql_server -qAtd bench -c "SELECT mfiauto.archive_workflow(name) FROM mfiauto.workflow WHERE name LIKE 'idle_%'" >/dev/null
	line idle_cpu "$(awk -v t="$((after - before))" -v h="$(getconf CLK_TCK)" 'BEGIN {printf "%.3f", t / h / 20}')" \
		"share of one core that the idle engine worker uses, same workflows, over 20 seconds"
}

# ---- segments: a full and an incremental refresh over a million clients, beside the bare query ----
bench_segments() {
	local rows=${CLIENTS:-$((1000000 * scale))}
	psql_server -qd bench -f test/bench/engine.sql >/dev/null
	psql_server -qAtd bench -v rows="$rows" -f test/bench/segments.sql >/dev/null
	local bare round
	for ((round = 1; round <= rounds; round++)); do
		psql_server -qAtd bench -v round="$round" -f test/bench/segments_round.sql >>"$work/segments.out"
	done
	bare=$(sed -n 's/^bare //p' "$work/segments.out" | median)
	line segment_full "$(ratio "$(sed -n 's/^full //p' "$work/segments.out" | median)" "$bare")" \
		"time of a full refresh of a segment over $rows clients over its bare query"
	line segment_incremental "$(awk -v a="$(sed -n 's/^incremental //p' "$work/segments.out" | median)" -v b="$bare" 'BEGIN {printf "%.4f", a / b}')" \
		"time of the refresh after 0.1 % of the clients changed over the full bare query"
}

# ---- delivery: durable messages a second against the bare libcurl loop on the same requests ----
start_nginx() {
	mkdir "$work/nginx"; if [ "$(id -u)" = 0 ]; then chown "$server_user" "$work/nginx"; fi
	sed "s#@DIR@#$work/nginx#g; s#@PORT@#$1#" test/bench/nginx.conf >"$work/nginx.conf"
	as_postgres nginx -e "$work/nginx/start.log" -c "$work/nginx.conf" &
}
stop_nginx() { as_postgres nginx -e "$work/nginx/start.log" -c "$work/nginx.conf" -s stop; rm -rf "$work/nginx"; }

# deliver ROWS: seconds until that many messages were delivered and recorded; and in how many of them all but what one gateway hangs on.
deliver() {
	psql_server -qAtd bench -v rows="$1" -f test/bench/delivery_round.sql >"$work/delivery.out"
}

bench_delivery() {
	local round http=18981 silent=18982 requests=$((20000 * scale))
	cc -O2 -Wall -Wextra -o "$work/raw_multi" test/bench/raw_multi.c -lcurl
	start_nginx "$http"
	perl -MIO::Socket::INET -e 'my $s = IO::Socket::INET->new(LocalAddr => "127.0.0.1", LocalPort => shift, Listen => 128, ReuseAddr => 1) or die; sleep 3600' "$silent" &
	local silent_pid=$!
	psql_server -qd bench -v http="$http" -v silent="$silent" -f test/bench/delivery.sql >/dev/null
	for ((round = 1; round <= rounds; round++)); do
		"$work/raw_multi" "http://127.0.0.1:$http/" "$requests" 64 >"$work/raw.out"
		awk '{print $2}' "$work/raw.out" >>"$work/delivery.raw"
		psql_server -qAtd bench -c "SELECT bench.use_gateways(1)" -c "SELECT bench.use_silence(false)" >/dev/null
		deliver "$requests"
		sed -n 's/^seconds //p' "$work/delivery.out" >>"$work/delivery.one"
		psql_server -qAtd bench -c "SELECT bench.use_gateways(50)" >/dev/null
		deliver "$requests"
		sed -n 's/^seconds //p' "$work/delivery.out" >>"$work/delivery.fifty"
		psql_server -qAtd bench -c "SELECT bench.use_silence(true)" >/dev/null
		deliver "$requests"
		sed -n 's/^seconds_of_sent //p' "$work/delivery.out" >>"$work/delivery.silent"
	done
	kill "$silent_pid"
	stop_nginx
	line delivery_rate "$(ratio "$(median <"$work/delivery.raw")" "$(median <"$work/delivery.one")")" \
		"durable messages delivered a second over the bare libcurl multi loop, same requests, 64 connections"
	line delivery_50 "$(ratio "$(median <"$work/delivery.one")" "$(median <"$work/delivery.fifty")")" \
		"rate with 50 gateways over the rate with one"
	line delivery_silent "$(ratio "$(median <"$work/delivery.fifty")" "$(median <"$work/delivery.silent")")" \
		"rate of the others when one more gateway accepts and never answers, over the rate without it"
}

# ---- receipts: applied a second, against a bare UPDATE of the same rows ----
bench_receipts() {
	local round rows=$((20000 * scale)) kind
	psql_server -qd bench -f test/bench/receipts.sql >/dev/null
	for ((round = 1; round <= rounds; round++)); do
		psql_server -qAtd bench -v rows="$rows" -f test/bench/receipts_round.sql >>"$work/receipts.out"
		psql_server -qAtd bench -c "SELECT bench.make_sent(30000)" >/dev/null
		printf 'UPDATE bench.bare SET state = %s, finished_at = now() WHERE message_id = (SELECT nextval(%s));\n' "'delivered'" "'bench.bare_next'" >"$work/one_update.sql"
		printf 'SELECT bench.receive_one();\n' >"$work/one_receipt.sql"
		chmod a+r "$work"/one_*.sql
		transactions "$work/one_update.sql" >>"$work/receipts.update"
		transactions "$work/one_receipt.sql" >>"$work/receipts.one"
	done
	for kind in 1000 100; do
		line "receipts_$kind" "$(ratio "$(sed -n 's/^bare //p' "$work/receipts.out" | median)" "$(sed -n "s/^array_$kind //p" "$work/receipts.out" | median)")" \
			"receipts applied a second in webhooks of $kind over rows a second of a bare UPDATE of the ledger"
	done
	line receipts_single "$(ratio "$(median <"$work/receipts.one")" "$(median <"$work/receipts.update")")" \
		"webhooks of one receipt a second over single-row updates a second, two connections, each durable"
}

# ---- kannel: its sendsms kept busy by us, against the load tool ----
bench_kannel() {
	local round requests=$((4000 * scale)) kannel=$work/kannel
	mkdir "$kannel"; if [ "$(id -u)" = 0 ]; then chown "$server_user" "$kannel"; fi
	sed "s#@DIR@#$kannel#g; s#@ADMIN@#18991#; s#@BOX@#18992#; s#@SENDSMS@#18993#; s#@SMPP@#18994#; s#@FRONT@#18995#" test/lib/kannel.conf >"$kannel.conf"
	as_postgres perl test/lib/smsc_simulator.pl 18994 18996 "$kannel/smsc.log" >/dev/null 2>&1 &
	sleep 1; as_postgres bearerbox "$kannel.conf" >/dev/null 2>&1 &
	sleep 2; as_postgres smsbox "$kannel.conf" >/dev/null 2>&1 &
	sleep 2
	psql_server -qd bench -f test/bench/kannel.sql >/dev/null
	for ((round = 1; round <= rounds; round++)); do
		ab -q -k -c 32 -n "$requests" "http://127.0.0.1:18993/cgi-bin/sendsms?username=mfi&password=secret&from=MFI&to=%2B221770000008&text=Bonjour%2C+votre+echeance+de+12+500+FCFA+est+le+5+janvier+2026.&charset=UTF-8&coding=0" |
			sed -n 's/^Time taken for tests: *\([0-9.]*\).*/\1/p' >>"$work/kannel.ab"
		deliver "$requests"
		sed -n 's/^seconds //p' "$work/delivery.out" >>"$work/kannel.ours"
	done
	# All three have the directory's name among their arguments.
	as_root pkill -f "$kannel" || true
	wait
	line kannel_rate "$(ratio "$(median <"$work/kannel.ab")" "$(median <"$work/kannel.ours")")" \
		"messages a second through Kannel by us over its sendsms called by ab, 32 connections each"
}

need_base_packages nginx-light kannel apache2-utils perl
build_and_install
start_server "synchronous_commit = on" "fsync = on" "mfiauto.private_hosts = '127.0.0.1'" "shared_buffers = 512MB" "max_wal_size = 4GB" "autovacuum = on"
psql_server -q -c 'CREATE DATABASE bench' -c "ALTER DATABASE bench SET mfiauto.workers = off"
psql_server -qd bench -c "CREATE EXTENSION mfiauto" -c "SELECT mfiauto.install()" >/dev/null 2>&1
if is_wanted capture; then bench_capture; fi
if is_wanted engine; then bench_engine; fi
if is_wanted delivery; then bench_delivery; fi
if is_wanted receipts; then bench_receipts; fi
if is_wanted kannel; then bench_kannel; fi
if is_wanted idle; then bench_idle; fi
if is_wanted reminders; then bench_reminders; fi
if is_wanted segments; then bench_segments; fi
