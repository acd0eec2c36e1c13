#!/bin/sh
# Hands a letter from a mail server to mfiauto: standard input is the letter, the argument the e-mail gateway.
#
# Postfix, master.cf (doc/email.md has the rest):
#   mfiauto unix - n n - 4 pipe flags=DORq user=mfimail argv=/usr/local/lib/mfiauto/receive_mail.sh post
#
# The connection comes from libpq's own settings (PGSERVICE, PGHOST, ~/.pgpass …) of the user that
# runs it; its role needs grant_access(role, 'receiver') and, as everybody has by default, TEMP on the database. What cannot be delivered now
# is answered with 75 (EX_TEMPFAIL), so that the mail server keeps the letter and tries again.
set -u
gateway=${1:?usage: receive_mail.sh GATEWAY}
case $gateway in *[!a-z0-9_]*) echo "gateway name is not valid" >&2; exit 64 ;; esac
# Reports bring their letters back: their beginning is enough.
bytes_max=1048576

letter=$(head -c "$bytes_max" | base64 -w 0) || exit 75
cat >/dev/null
# By COPY: neither a list of processes, nor the server's log of statements and of those that fail, has the letter.
result=$(printf '%s\n' \
	'BEGIN; CREATE TEMP TABLE letter (content text) ON COMMIT DROP; COPY pg_temp.letter FROM STDIN;' "$letter" '\.' \
	"SELECT mfiauto.receive_mail('$gateway', decode(content, 'base64')) FROM pg_temp.letter; COMMIT;" |
	psql -X -q -A -t -v ON_ERROR_STOP=1 2>&1) && exit 0
printf '%s\n' "$result" | head -n 1 >&2
exit 75
