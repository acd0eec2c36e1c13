#!/usr/bin/env bash
# The main job end to end, on a throw-away server: a small bank's books in, reminders out over HTTP to a
# provider that runs here, four weeks of payments, and what came of it.
#
#   tools/demo.sh               CLIENTS=500 START=2026-01-05 (a Monday) SEED=teranga DAYS=28
#   KEEP=1 tools/demo.sh        leaves the server's files behind, too
#
# Ends with status 0 only if what the ledger says left is what the provider saw, and nobody was
# reminded of what he had paid.
set -euo pipefail
# shellcheck source=tools/throwaway.sh
. "$(dirname "$0")/throwaway.sh"

clients=${CLIENTS:-500}
start=${START:-2026-01-05}
seed=${SEED:-teranga}
days=${DAYS:-28}
database=demo_bank
[[ $clients =~ ^[0-9]+$ && $days =~ ^[0-9]+$ && $start =~ ^[0-9]{4}-[0-9]{2}-[0-9]{2}$ ]] || die "CLIENTS and DAYS are numbers, START a date like 2026-01-05."

need_base_packages perl
say "building mfiauto"
build_and_install
began=$SECONDS

# The server's user reads the demo from its own copy: the source tree may be private.
cp -r "$top/contrib/demo" "$work/demo"
if [ "$(id -u)" = 0 ]; then chown -R "$server_user" "$work/demo"; fi
chmod -R a+rX "$work/demo"
cd "$work/demo"

say "starting a server and a message provider, both only for this demo"
start_server "mfiauto.workers = off" "mfiauto.private_hosts = '127.0.0.1'" "shared_buffers = 64MB" "jit = off"
as_postgres perl gateway.pl "$work/demo/port" "$work/demo/provider.log" >/dev/null &
provider=$!
# The provider goes first, the server and its files after it, with the status that was.
# shellcheck disable=SC2317 # the trap calls it
end_demo() {
	local status=$?
	set +e
	kill "$provider"
	wait "$provider"
	mkdir -p "$top/tmp" && cp "$work/server.log" "$top/tmp/demo-server.log" && cp "$work/demo/provider.log" "$top/tmp/demo-provider.log"
	(exit "$status")
	clean_up
} 2>/dev/null
trap end_demo EXIT
for _ in $(seq 100); do [ -s port ] && break; sleep 0.1; done
[ -s port ] || die "The provider did not start."
gateway_port=$(cat port)

demo_psql() { psql_server -d "$database" -q -v ON_ERROR_STOP=1 -v clients="$clients" -v start="$start" -v seed="$seed" -v port="$gateway_port" "$@"; }

say "loading a bank of $clients clients"
psql_server -qc "CREATE DATABASE $database"
demo_psql -o /dev/null -f bank.sql -f data.sql -f install.sql -f play.sql

say "$days days, one by one"
{
	echo '\set QUIET on'
	echo '\pset tuples_only on'
	echo '\pset format unaligned'
	for day in $(seq 0 $((days - 1))); do
		printf "\\\\set day '%s'\n\\\\i day.sql\n" "$(date -u -d "$start + $day days" +%F)"
	done
} >days.sql
if [ "$(id -u)" = 0 ]; then chown "$server_user" days.sql; fi
GATEWAY="perl gateway.pl --ask $gateway_port" demo_psql -f days.sql
demo_psql -f report.sql

# What the provider counted against what the ledger says.
read -r requests accepted refused throttled unavailable <<<"$(perl gateway.pl --ask "$gateway_port" /count)"
in_ledger=$(demo_psql -Atc "SELECT count(*) FROM mfiauto.message_ledger WHERE gateway = 'demo_sms' AND provider_id IS NOT NULL")
after_payment=$(demo_psql -Atf check.sql)
say "The provider saw $requests HTTP requests: $accepted accepted, $refused refused, $throttled told to wait, $unavailable turned away."
say "The ledger has $in_ledger messages with the provider's number, $after_payment of them for an installment already paid."
say "The whole took $((SECONDS - began)) seconds."
status=0
[ "$in_ledger" = "$accepted" ] || { say "The ledger and the provider do not agree."; status=1; }
[ "$after_payment" = 0 ] || { say "Somebody was reminded of what he had paid."; status=1; }
[ "$accepted" -gt 0 ] || { say "Nothing was sent."; status=1; }
say "Logs: tmp/demo-server.log, tmp/demo-provider.log"
exit "$status"
