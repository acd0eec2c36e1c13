#!/usr/bin/python3
"""A provider that checks who sends, with other people's implementations: PyJWT for tokens, botocore for AWS signatures.

   auth_peer.py DIR     makes keys and certificates in DIR, listens on a free port of 127.0.0.1, writes its number to DIR/port

   /token        a new token for basic me:pssst, slowly; the ones before go on being good
   /google       the same for an assertion that the key in DIR/rsa.key signed, with issuer, scope and audience
   /busy         as /token, but at first 429 with Retry-After: 1
   /tokenless    200 without a token         /odd   200 with a token that no header can hold
   /send         200 if the newest token or one of those before comes along, else 401
   /rs256, /es256, /hs256   200 if a token comes along that our own key signed and that is not too old, else 401
   /renew        as /es256, but the first token ever seen is refused: 403 {"reason": "ExpiredProviderToken"}
   /oidc?PORT    200 if the token was issued by the OpenID provider at PORT, by its published keys
   /never        401, whatever comes
   /ses          200 if botocore comes to the same signature
   /revoke       what was issued is good no more     /stats   what was asked, as JSON     /clear   forgets that
"""
import base64
import datetime
import http.server
import ipaddress
import json
import os
import sys
import threading
import time
import urllib.parse

import botocore.auth
import botocore.awsrequest
import botocore.credentials
import jwt
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

directory = sys.argv[1]
lock = threading.Lock()
good, counts, problems, seen = set(), {}, [], []
issued = 0


def keep(name, data):
    with open(os.path.join(directory, name), 'wb') as file:
        file.write(data)


def private_pem(key):
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


def certificate(subject, key, issuer, issuer_key, is_authority):
    now = datetime.datetime.utcnow()
    builder = (x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key.public_key()).serial_number(x509.random_serial_number())
               .not_valid_before(now - datetime.timedelta(days=1)).not_valid_after(now + datetime.timedelta(days=2))
               .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True))
    if not is_authority:
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName('localhost'), x509.IPAddress(ipaddress.ip_address('127.0.0.1'))]), critical=False)
    return builder.sign(issuer_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def name_of(text):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


rsa_key = rsa.generate_private_key(65537, 2048)
ec_key = ec.generate_private_key(ec.SECP256R1())
shared_key = 'a shared key of more than thirty-two bytes'
ca_key = ec.generate_private_key(ec.SECP256R1())
server_key = ec.generate_private_key(ec.SECP256R1())
keep('rsa.key', private_pem(rsa_key))
keep('ec.key', private_pem(ec_key))
keep('hs.key', shared_key.encode())
keep('ca.pem', certificate(name_of('test authority'), ca_key, name_of('test authority'), ca_key, True))
keep('server.key', private_pem(server_key))
keep('server.pem', certificate(name_of('localhost'), server_key, name_of('test authority'), ca_key, False))


def check_sigv4(handler, body):
    """botocore's signature of the same request at the same time, over the headers that the sender says he signed."""
    parts = dict(p.strip().split('=', 1) for p in handler.headers['Authorization'].split(' ', 1)[1].split(','))
    signed = parts['SignedHeaders'].split(';')
    if 'host' not in signed or 'x-amz-date' not in signed:
        return 'host and x-amz-date must be signed'
    request = botocore.awsrequest.AWSRequest(handler.command, 'http://' + handler.headers['Host'] + handler.path, data=body,
                                             headers={name: handler.headers[name] for name in signed})
    signer = botocore.auth.SigV4Auth(botocore.credentials.Credentials('AKIDEXAMPLE', 'aws-secret-key'), 'ses', 'eu-west-1')
    request.context['timestamp'] = handler.headers['X-Amz-Date']
    expected = signer.signature(signer.string_to_sign(request, signer.canonical_request(request)), request)
    if parts['Credential'] != 'AKIDEXAMPLE/' + handler.headers['X-Amz-Date'][:8] + '/eu-west-1/ses/aws4_request':
        return 'credential scope'
    return None if expected == parts['Signature'] else 'signature differs'


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'

    def log_message(self, *arguments):
        pass

    def answer(self, status, body, *headers):
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header('Content-Type', 'application/json')
        self.send_header('Content-Length', str(len(data)))
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def issue(self, lifetime):
        global issued
        time.sleep(0.3)
        with lock:
            issued += 1
            token = 'token-%d' % issued
            good.add(token)
        self.answer(200, {'access_token': token, 'token_type': 'Bearer', 'expires_in': lifetime})

    def refuse(self, status, reason):
        with lock:
            problems.append(reason)
        self.answer(status, {'reason': reason})

    def serve(self):
        global issued
        body = self.rfile.read(int(self.headers.get('Content-Length') or 0))
        path, _, query = self.path.partition('?')
        bearer = (self.headers.get('Authorization') or '').removeprefix('Bearer ')
        form = dict(urllib.parse.parse_qsl(body.decode())) if path in ('/token', '/busy', '/google') else {}
        if path == '/stats':
            return self.answer(200, {'counts': counts, 'problems': problems, 'seen': seen, 'issued': issued})
        with lock:
            counts[path] = counts.get(path, 0) + 1
            if path == '/revoke':
                good.clear()
            if path == '/clear':
                counts.clear(), problems.clear(), seen.clear()
                issued = 0
        try:
            if path in ('/revoke', '/clear'):
                return self.answer(200, {})
            if path == '/busy' and counts[path] == 1:
                return self.answer(429, {}, ('Retry-After', '1'))
            if path in ('/token', '/busy'):
                is_known = (self.headers.get('Authorization') == 'Basic ' + base64.b64encode(b'me:pssst').decode() or
                            (form.get('client_id'), form.get('client_secret')) == ('me', 'pssst'))
                if form.get('grant_type') != 'client_credentials' or not is_known:
                    return self.refuse(400, 'invalid_client')
                return self.issue(3600)
            if path == '/tokenless':
                return self.answer(200, {'token': 'x'})
            if path == '/odd':
                return self.answer(200, {'access_token': 'x\r\nX-Evil: 1', 'expires_in': 3600})
            if path == '/google':
                if form.get('grant_type') != 'urn:ietf:params:oauth:grant-type:jwt-bearer' or self.headers.get('Authorization'):
                    return self.refuse(400, 'unsupported_grant_type')
                claims = jwt.decode(form['assertion'], rsa_key.public_key(), algorithms=['RS256'], audience='https://token.example', issuer='robot@x.example',
                                    options={'require': ['exp', 'iat', 'iss', 'aud']})
                if claims['scope'] != 'https://x.example/messaging' or claims['exp'] - claims['iat'] > 3600:
                    return self.refuse(400, 'invalid_scope')
                return self.issue(3600)
            if path == '/send':
                return self.answer(200, {'id': 'm'}) if bearer in good else self.answer(401, {})
            if path == '/never':
                return self.answer(401, {})
            if path in ('/rs256', '/es256', '/hs256', '/renew'):
                key = {'/rs256': rsa_key.public_key(), '/hs256': shared_key}.get(path, ec_key.public_key())
                algorithm = {'/renew': 'ES256'}.get(path, path[1:].upper())
                claims = jwt.decode(bearer, key, algorithms=[algorithm], options={'require': ['iat', 'iss']})
                header = jwt.get_unverified_header(bearer)
                if claims['iss'] != 'TEAM' or header.get('kid') != 'KEY1' or abs(claims['iat'] - time.time()) > 3600:
                    return self.refuse(401, 'claims')
                with lock:
                    if bearer not in seen:
                        seen.append(bearer)
                    is_first = seen[0] == bearer
                if path == '/renew' and is_first:
                    return self.answer(403, {'reason': 'ExpiredProviderToken'})
                return self.answer(200, {'id': claims.get('jti', 'm')})
            if path == '/oidc':
                key = jwt.PyJWKClient('http://127.0.0.1:%s/jwks' % query).get_signing_key_from_jwt(bearer).key
                jwt.decode(bearer, key, algorithms=['RS256'], options={'verify_aud': False})
                return self.answer(200, {'id': 'm'})
            if path == '/ses':
                problem = check_sigv4(self, body)
                return self.refuse(403, problem) if problem else self.answer(200, {'MessageId': 'ses-1'})
            return self.refuse(404, 'path')
        except Exception as error:
            return self.refuse(401, '%s: %s' % (type(error).__name__, error))

    do_GET = do_POST = serve


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256


server = Server(('127.0.0.1', 0), Handler)
keep('port.new', b'%d\n' % server.server_port)
os.rename(os.path.join(directory, 'port.new'), os.path.join(directory, 'port'))
server.serve_forever()
