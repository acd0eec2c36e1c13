#!/usr/bin/env bash
# Builds the extension's install script on standard output.
#
# sql/code/order and sql/schema/order name the parts, one a line. Code parts
# are run by CREATE EXTENSION as they stand. Schema parts become the rows of
# mfiauto._schema_part(), which install() executes as the installation's owner.
set -euo pipefail
[ $# -eq 1 ] || { echo "usage: build_extension_sql.sh VERSION" >&2; exit 2; }
cd "$(dirname "$0")/.."
parts() { grep -v '^#' "$1" | grep -v '^$'; }

printf '%s\n' '\echo Use "CREATE EXTENSION mfiauto" to load this file. \quit'
cat <<'HEAD'
-- Pinned first: nothing below may be captured by objects of other schemas.
SET LOCAL search_path TO pg_catalog, pg_temp;
HEAD
cat <<'HEAD'

CREATE FUNCTION mfiauto._schema_part(OUT part_no integer, OUT part text, OUT sql text)
RETURNS SETOF record LANGUAGE sql IMMUTABLE AS $mfi_parts$
VALUES
HEAD
position=0
for part in $(parts sql/schema/order); do
	[ $position -eq 0 ] || echo ","
	position=$((position + 1))
	if grep -q 'mfi_part' "sql/schema/$part"; then
		echo "sql/schema/$part uses the quoting tag of the build" >&2; exit 1
	fi
	printf "(%d, '%s'::text, \$mfi_part\$\n" "$position" "$part"
	cat "sql/schema/$part"
	printf "\$mfi_part\$::text)"
done
echo
echo "\$mfi_parts\$;"

# sql/upgrade/schema_N.sql raises the tables from version N-1 to N; migrate() runs them.
cat <<'HEAD'

CREATE FUNCTION mfiauto._schema_step(OUT version integer, OUT sql text)
RETURNS SETOF record LANGUAGE sql IMMUTABLE AS $mfi_steps$
SELECT NULL::integer, NULL::text WHERE false
HEAD
for step in sql/upgrade/schema_*.sql; do
	[ -e "$step" ] || continue
	version_to=${step##*schema_}
	printf "UNION ALL SELECT %d, \$mfi_step\$\n" "${version_to%.sql}"
	cat "$step"
	printf "\$mfi_step\$::text\n"
done
echo "\$mfi_steps\$;"

# baked FUNCTION TYPE DIRECTORY: what ships as data, one file each, as a function that gives (name, content).
baked() {
	local separator="" file
	printf '\nCREATE FUNCTION mfiauto.%s(OUT %s text, OUT content %s)\n' "$1" "${1#_}" "$2" | sed 's/OUT gateway_preset/OUT preset/'
	printf 'RETURNS SETOF record LANGUAGE sql IMMUTABLE AS $mfi_baked$\nVALUES\n'
	for file in "$3"/*.json; do
		if grep -q 'mfi_file\|mfi_baked' "$file"; then
			echo "$file uses the quoting tag of the build" >&2; exit 1
		fi
		printf "%s('%s'::text, \$mfi_file\$%s\$mfi_file\$::%s)" "$separator" "$(basename "$file" .json)" "$(cat "$file")" "$2"
		separator=$',\n'
	done
	printf '\n$mfi_baked$;\n'
}
baked _gateway_preset jsonb contrib/gateways
# The order of keys is the author's.
baked _recipe json contrib/recipes
for part in $(parts sql/code/order); do
	printf '\n-- ---- %s ----\n' "$part"
	cat "sql/code/$part"
done
