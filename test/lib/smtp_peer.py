# A mail server that does what the receiver's name asks for: dead, full, slow (keeps the answer to DATA back), drop (hangs up instead of taking DATA).
#
#   smtp_peer.py PORT LOG [CERTIFICATE KEY]    with a certificate: STARTTLS and a login (mfi, s&cret) are needed
import json
import ssl
import sys
import time

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword

port, log = int(sys.argv[1]), open(sys.argv[2], 'a', buffering=1)
tls = None
if len(sys.argv) > 3:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(sys.argv[3], sys.argv[4])


def note(**what):
    log.write(json.dumps(what) + '\n')


class Peer:
    async def handle_EHLO(self, server, session, envelope, hostname, responses):
        session.host_name = hostname
        note(event='hello', name=hostname)
        return responses

    async def handle_MAIL(self, server, session, envelope, address, options):
        note(event='mail', address=address)
        envelope.mail_from = address
        return '250 2.1.0 Ok'

    async def handle_RCPT(self, server, session, envelope, address, options):
        who = address.split('@')[0]
        if who.startswith('dead'):
            return '550 5.1.1 <%s>: no such user' % address
        if who.startswith('full'):
            return '552 5.2.2 mailbox is full'
        if who.startswith('drop'):
            server.transport.close()
        envelope.rcpt_tos.append(address)
        return '250 2.1.5 Ok'

    async def handle_DATA(self, server, session, envelope):
        note(event='letter', to=envelope.rcpt_tos[0], bytes=len(envelope.content))
        if envelope.rcpt_tos[0].startswith('slow'):
            import asyncio
            await asyncio.sleep(30)
        return '250 2.0.0 Ok: queued as PEER%08d' % len(envelope.content)


def authenticate(server, session, envelope, mechanism, data):
    note(event='login', mechanism=mechanism, tls=session.ssl is not None)
    good = isinstance(data, LoginPassword) and data.login == b'mfi' and data.password == b's&cret'
    # handled=False: a refusal is answered for us.
    return AuthResult(success=good, handled=False)


more = dict(tls_context=tls, require_starttls=True, authenticator=authenticate, auth_required=True) if tls else {}
Controller(Peer(), hostname='127.0.0.1', port=port, **more).start()
while True:
    time.sleep(3600)
