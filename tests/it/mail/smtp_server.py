"""A real SMTP server (aiosmtpd) with TLS and AUTH. Says its port, then one line of JSON for each letter that it took."""

import asyncio
import json
import ssl
import sys

from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword

mode, port, certificate, key = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4]


class Handler:
    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith("poison"):
            return "550 5.1.1 no such mailbox"
        if address.startswith("later"):
            return "451 4.7.1 not now"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        letter = {
            "from": envelope.mail_from,
            "to": envelope.rcpt_tos,
            "content": envelope.content.decode("utf-8"),
            "tls": session.ssl is not None or mode == "tls",
            "login": session.who.decode() if getattr(session, "who", None) else None,
        }
        print(json.dumps(letter), flush=True)
        return "250 OK"


def authenticate(server, session, envelope, mechanism, data):
    right = isinstance(data, LoginPassword) and data.password == b"mail password"
    session.who = data.login if right else None
    return AuthResult(success=right, handled=right)


async def main():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    secured = {"starttls": {"tls_context": context, "require_starttls": True}, "tls": {"auth_require_tls": False}}[mode]

    def smtp():
        return SMTP(Handler(), authenticator=authenticate, auth_required=True, hostname="localhost", **secured)

    loop = asyncio.get_running_loop()
    server = await loop.create_server(smtp, "127.0.0.1", port, ssl=context if mode == "tls" else None)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


asyncio.run(main())
