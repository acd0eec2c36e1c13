# Sourced by the tools that need a PostgreSQL of their own: tests, demo, bench.
#
#   need_packages NAME…        installs Debian packages that are missing (root or sudo)
#   need_node NAME@VERSION…    installs Node packages for this run and sets NODE_PATH
#   build_and_install          a private copy of PostgreSQL with mfiauto in it; sets $bin
#   start_server [LINE…]       a throw-away server with test/postgresql.conf and the given lines
#   psql_server …              psql on it;  as_postgres …: any command as the server's user
#   stop_server                stops it and deletes its data; also done at exit
#
# The machine's own clusters and their library directory are never touched. Everything lies
# under $work: ./tmp when the server's user can reach it, else a new directory under /tmp.
# shellcheck shell=bash

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
PG_MAJOR=${PG_MAJOR:-15}
server_user=postgres
unset MAKEFLAGS MAKELEVEL MFLAGS PGHOST PGPORT PGUSER PGDATABASE PGOPTIONS

say() { printf '%s\n' "$*"; }
die() { printf '%s\n' "$*" >&2; exit 1; }

as_root() {
	if [ "$(id -u)" = 0 ]; then "$@"
	elif command -v sudo >/dev/null 2>&1; then sudo "$@"
	else die "This needs root or sudo: $*"; fi
}

# initdb and the server refuse root. Their user may not be able to stand where root stands.
as_postgres() (
	if [ -n "${is_out_of_reach:-}" ] && [[ $PWD/ == "$top"/* ]]; then cd "$work" || exit; fi
	if [ "$(id -u)" = 0 ]; then runuser -u "$server_user" -- "$@"; else "$@"; fi
)

need_packages() {
	local package missing=()
	for package in "$@"; do
		[ "$(dpkg-query -W -f '${db:Status-Abbrev}' "$package" 2>/dev/null)" = 'ii ' ] || missing+=("$package")
	done
	[ ${#missing[@]} -eq 0 ] && return
	say "installing ${missing[*]}"
	as_root env DEBIAN_FRONTEND=noninteractive apt-get update -qq >/dev/null || say "apt-get update failed, trying with the lists that are here"
	as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null ||
		die "These packages could not be installed: ${missing[*]}"
}

# Into this run's own directory; the package manager's cache makes it quick the next time.
need_node() {
	[ $# -eq 0 ] && return
	choose_work
	command -v node >/dev/null 2>&1 && command -v npm >/dev/null 2>&1 || need_packages nodejs npm
	say "installing $*"
	npm install --prefix "$work/node" --no-audit --no-fund --prefer-offline --loglevel=error "$@" >"$work/node.log" 2>&1 ||
		{ tail -n 5 "$work/node.log"; die "These Node packages could not be installed: $*"; }
	chmod -R a+rX "$work/node"
	export NODE_PATH=$work/node/node_modules
}

# What building and running need; each tool adds its own.
need_base_packages() {
	need_packages gcc libc6-dev make "postgresql-$PG_MAJOR" "postgresql-server-dev-$PG_MAJOR" "postgresql-$PG_MAJOR-cron" \
		libcurl4-openssl-dev libjansson-dev libssl-dev "$@"
}

choose_work() {
	[ -n "${work:-}" ] && return
	mkdir -p "$top/tmp"
	if as_postgres test -x "$top/tmp"; then
		work=$(mktemp -d "$top/tmp/run.XXXXXX")
	else
		work=$(mktemp -d "${TMPDIR:-/tmp}/mfiauto.XXXXXX")
		is_out_of_reach=yes
	fi
	# The path of a socket must be short.
	sockets=$(mktemp -d /tmp/mfi.XXXXXX)
	if [ "$(id -u)" = 0 ]; then chown "$server_user" "$work" "$sockets"; fi
	chmod 755 "$work"
	trap clean_up EXIT
	trap 'exit 130' INT TERM
}

build_and_install() {
	choose_work
	local log=$work/build.log
	bin=$("$top/tools/private_postgres.sh" "$work/postgres")
	if ! { make -C "$top" -s -j"$(nproc)" PG_CONFIG="$bin/pg_config" all && make -C "$top" -s PG_CONFIG="$bin/pg_config" install; } >"$log" 2>&1; then
		cat "$log"; die "The build failed."
	fi
	chmod -R a+rX "$work/postgres"
	export PATH=$bin:$PATH
}

start_server() {
	choose_work
	data=$work/data
	port=5432
	as_postgres "$bin/initdb" -D "$data" -A trust -N -U postgres --locale=C.UTF-8 -E UTF8 >"$work/initdb.log" 2>&1 || { cat "$work/initdb.log"; die "initdb failed."; }
	{
		cat "$top/test/postgresql.conf"
		printf "listen_addresses = ''\nunix_socket_directories = '%s'\n" "$sockets"
		[ $# -eq 0 ] || printf '%s\n' "$@"
	} | as_postgres tee -a "$data/postgresql.conf" >/dev/null
	as_postgres "$bin/pg_ctl" -D "$data" -l "$work/server.log" -w start >/dev/null || { tail -n 20 "$work/server.log"; die "The server did not start."; }
}

psql_server() {
	as_postgres "$bin/psql" -X -h "$sockets" -p "$port" -U postgres "$@"
}

stop_server() {
	[ -n "${data:-}" ] || return 0
	as_postgres "$bin/pg_ctl" -D "$data" -m immediate stop >/dev/null 2>&1 || true
	rm -rf "$data"
	data=
}

clean_up() {
	local status=$?
	trap - EXIT
	stop_server
	if [ -n "${KEEP:-}" ]; then say "kept: $work"; else rm -rf "${work:?}" "${sockets:?}"; fi
	exit "$status"
}
