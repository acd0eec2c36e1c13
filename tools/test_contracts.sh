#!/usr/bin/env bash
# Holds the presets against the providers' own OpenAPI documents: the product sends what test/contracts says to mocks made of
# them (prism, from npm), and each mock must also refuse the same thing broken. Ends with "N passed, N failed, N skipped".
#
#   tools/test_contracts.sh                    needs the network: npm, and github.com for the documents
#   MFI_SPEC_DIR=DIR tools/test_contracts.sh   takes the documents from clones (bare ones will do) in DIR/OWNER/NAME
#   KEEP=1 tools/test_contracts.sh             leaves documents and logs behind
#
# The documents are other people's work: they are fetched for the run and never kept. test/openapi.json names them.
# A preset whose document cannot be had is skipped, with the reason.
set -euo pipefail
# shellcheck source=tools/throwaway.sh
. "$(dirname "$0")/throwaway.sh"
cd "$top"

# newest_file OWNER/NAME FILE TARGET: a file of a repository's newest commit; where it cannot be had, TARGET.reason says why.
newest_file() {
	local repository=$1 file=$2 target=$3 clone
	mkdir -p "$(dirname "$target")"
	if [ -n "${MFI_SPEC_DIR:-}" ]; then
		clone=$MFI_SPEC_DIR/$repository
		if [ ! -d "$clone" ]; then echo "MFI_SPEC_DIR has no such clone" >"$target.reason"; return; fi
	else
		clone=$work/clones/$repository
		# Without files: the one that is wanted comes when it is looked at.
		if [ ! -d "$clone" ] && ! GIT_TERMINAL_PROMPT=0 timeout 120 git clone -q --bare --depth 1 --filter=blob:none "https://github.com/$repository" "$clone" 2>"$work/clone.log"; then
			mkdir -p "$work/clones/$repository"
			echo "it could not be cloned: $(tail -n 1 "$work/clone.log")" >"$clone/reason"
		fi
		if [ -f "$clone/reason" ]; then cp "$clone/reason" "$target.reason"; return; fi
	fi
	if GIT_TERMINAL_PROMPT=0 timeout 120 git -c safe.directory='*' -C "$clone" show "HEAD:$file" >"$target.part" 2>"$work/clone.log"; then
		mv "$target.part" "$target"
		printf '%-34s %s  %s\n' "$repository" "$(git -c safe.directory='*' -C "$clone" log -1 --format=%cs)" "$file"
	else
		rm -f "$target.part"
		echo "no such file in its newest commit: $(tail -n 1 "$work/clone.log")" >"$target.reason"
	fi
}

need_base_packages git
need_node @stoplight/prism-cli@5.14.2

# The server's user runs it, from a copy that he may read.
run=$work/contracts
mkdir -p "$run/documents"
cp -r test/openapi.json test/lib/openapi.js test/contracts "$run"
say "fetching the documents"
node -e 'for (const d of require(process.argv[1]).documents) console.log(d.repository + " " + d.file)' "$run/openapi.json" |
	while read -r repository file; do newest_file "$repository" "$file" "$run/documents/$repository/$file" </dev/null; done
chmod -R a+rX "$run"

say "building mfiauto"
build_and_install
start_server "port = 5432" "mfiauto.private_hosts = '127.0.0.1'"
psql_server -qc 'CREATE DATABASE contracts'
psql_server -q -d contracts -v ON_ERROR_STOP=1 -o /dev/null <<'SQL'
SET client_min_messages = error;
CREATE EXTENSION mfiauto;
CREATE ROLE keeper;
SELECT mfiauto.install(owner => 'keeper');
SELECT mfiauto.arm_delivery();
SELECT mfiauto.set_institution(public_url => 'https://m.mfi.example');
SQL

status=0
as_postgres env NODE_PATH="$NODE_PATH" PGHOST="$sockets" PGPORT="$port" PGUSER=postgres PGDATABASE=contracts \
	node "$run/openapi.js" "$run/openapi.json" "$run/contracts" "$run/documents" || status=$?
exit "$status"
