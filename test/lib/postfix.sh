#!/usr/bin/env bash
# A Postfix of its own in a directory of its own, for test/t/350_postfix.pl: started and stopped by tools/test.sh, since its master must be root.
#
#   postfix.sh start DIR USER     DIR/ports has the ports: Postfix's own, and that of the peer it relays to
#   postfix.sh stop DIR
#
# The machine's own Postfix, its queue and /etc are not touched.
set -euo pipefail
dir=${2:?usage: postfix.sh start|stop DIR USER}

stop() {
	[ ! -s "$dir/queue/pid/master.pid" ] || postfix -c "$dir/config" stop >/dev/null 2>&1 || true
}

case $1 in
	stop) stop; exit 0 ;;
	start) user=${3:?usage: postfix.sh start DIR USER} ;;
	*) exit 2 ;;
esac

command -v postfix >/dev/null || { echo 'Postfix is not installed' >&2; exit 1; }
mkdir -p "$dir/config" "$dir/queue" "$dir/data" "$dir/mail" "$dir/tls"
chmod 755 "$dir" "$dir/config" "$dir/queue"
chown postfix "$dir/data"
chown "$user" "$dir/mail"
read -r port peer < <(/usr/bin/python3 -c '
import socket
held = [socket.socket() for _ in range(2)]
for s in held: s.bind(("127.0.0.1", 0))
print(*[s.getsockname()[1] for s in held])')

# A certificate of a throw-away authority.
(
	cd "$dir/tls"
	openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj '/CN=mfiauto test authority' -keyout ca.key -out ca.pem
	openssl req -newkey rsa:2048 -nodes -subj '/CN=localhost' -keyout server.key -out server.csr
	printf 'subjectAltName=DNS:localhost,IP:127.0.0.1\n' >extensions
	openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile extensions -out server.pem
) >"$dir/tls.log" 2>&1
# The tests' own peers use the same.
chown "$user" "$dir/tls/server.key"

cat >"$dir/config/main.cf" <<CONF
compatibility_level = 3.6
queue_directory = $dir/queue
data_directory = $dir/data
maillog_file = $dir/mail.log
maillog_file_prefixes = $dir
myhostname = mail.mfi.example
mydestination =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
alias_maps =
local_recipient_maps =
smtp_dns_support_level = disabled
virtual_mailbox_domains = there.example
virtual_mailbox_base = $dir/mail
virtual_mailbox_maps = inline:{ {ok@there.example = ok/} }
virtual_uid_maps = static:$(id -u "$user")
virtual_gid_maps = static:$(id -g "$user")
virtual_minimum_uid = 1
relay_domains = far.example, b.mfi.example
transport_maps = inline:{ {far.example = smtp:[127.0.0.1]:$peer}, {b.mfi.example = mfiauto:} }
mfiauto_destination_recipient_limit = 1
recipient_delimiter = +
smtpd_recipient_restrictions = check_recipient_access inline:{ {later@there.example = 451 4.7.1 come back later}, {busy@there.example = 421 4.7.0 too many} },
  permit_mynetworks, reject_unauth_destination
smtpd_tls_security_level = encrypt
smtpd_tls_cert_file = $dir/tls/server.pem
smtpd_tls_key_file = $dir/tls/server.key
minimal_backoff_time = 1s
maximal_backoff_time = 2s
queue_run_delay = 1s
CONF
cat >"$dir/config/master.cf" <<CONF
127.0.0.1:$port inet n - n - - smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
error unix - - n - - error
retry unix - - n - - error
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
mfiauto unix - n n - 2 pipe flags=DORq user=$user argv=$dir/handover
CONF
# How letters are handed over is known when the server of the test is: until then they wait.
printf '#!/bin/sh\n[ -x %s/mail/handover ] || exit 75\nexec %s/mail/handover\n' "$dir" "$dir" >"$dir/handover"
chmod 755 "$dir/handover"
postfix -c "$dir/config" start >"$dir/start.log" 2>&1 || { cat "$dir/start.log" >&2; exit 1; }
echo "$port $peer" >"$dir/ports"
