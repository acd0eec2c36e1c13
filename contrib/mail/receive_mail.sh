#!/bin/sh
# Hands a letter from a mail server to mfiauto: standard input is the letter, the argument the e-mail gateway.
#
# Postfix, master.cf (doc/email.md has the rest):
#   mfiauto unix - n n - 4 pipe flags=DORq user=mfimail argv=/usr/local/lib/mfiauto/receive_mail.sh post
#
# The connection comes from libpq's own settings (PGSERVICE, PGHOST, ~/.pgpass …) of the user that
# runs it; its role needs grant_access(role, 'receiver') and nothing more. What cannot be delivered now
# is answered with 75 (EX_TEMPFAIL), so that the mail server keeps the letter and tries again.
set -u
gateway=${1:?usage: receive_mail.sh GATEWAY}
case $gateway in *[!a-z0-9_]*) echo "gateway name is not valid" >&2; exit 64 ;; esac
# Reports bring their letters back: their beginning is enough.
bytes_max=1048576

letter=$(head -c "$bytes_max" | base64 -w 0) || exit 75
cat >/dev/null
# On standard input of psql, so that no letter stands in a list of processes.
result=$(printf "SELECT mfiauto.receive_mail('%s', decode('%s', 'base64'));\n" "$gateway" "$letter" |
	psql -X -q -A -t -v ON_ERROR_STOP=1 2>&1) && exit 0
printf '%s\n' "$result" | head -n 1 >&2
exit 75
