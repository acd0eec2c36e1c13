#!/usr/bin/env bash
# Makes a private copy of the installed PostgreSQL programs, so that the
# extension can be installed and run without touching the machine's own
# clusters or their library directory.
#
#   tools/private_postgres.sh DIR     -> DIR/usr/lib/postgresql/15/bin/...
#
# PostgreSQL finds its share and library directories relative to its programs,
# so a copy under another root is a complete installation of its own. It costs
# about 20 MB and a second; an existing copy is kept.
set -euo pipefail
target=${1:?usage: private_postgres.sh DIR}
major=${PG_MAJOR:-15}
if [ ! -x "$target/usr/lib/postgresql/$major/bin/postgres" ]; then
	mkdir -p "$target/usr/lib/postgresql" "$target/usr/share/postgresql" "$target/usr/include"
	cp -a "/usr/lib/postgresql/$major" "$target/usr/lib/postgresql/"
	rm -rf "$target/usr/lib/postgresql/$major/lib/bitcode"
	cp -aL "/usr/share/postgresql/$major" "$target/usr/share/postgresql/"
	ln -sfn /usr/include/postgresql "$target/usr/include/postgresql"
fi
chmod -R a+rX "$target"
echo "$target/usr/lib/postgresql/$major/bin"
