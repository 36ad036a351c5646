"""Notes by mail: text, and where there is markup also that, with its pictures inside the message."""

from __future__ import annotations

import os
import threading
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from hashlib import sha256
from mimetypes import guess_type

from scriptflow.core.machine import host_name
from scriptflow.notices.channel import Channel

TYPE_CHECKING = False
if TYPE_CHECKING:
    import smtplib

    from scriptflow.notices.note import Note

_TLS = ("auto", "starttls", "tls", "none")
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


class MailChannel(Channel):
    """Sends mail through an SMTP server."""

    kind = "mail"
    options = {  # noqa: RUF012 (typed in the base)
        "to": (str, list), "from": (str,), "host": (str,), "port": (int,), "user": (str,), "password": (str,),
        "tls": (str,),
    }  # fmt: skip
    required = ("to", "host")

    def send(self, note: Note) -> str:
        """Hand one message to the server, for all addresses at once."""
        import socket

        message = self._message(note)
        server = self._connect()
        late = threading.Event()

        def cut() -> None:
            late.set()
            if server.sock is not None:
                server.sock.shutdown(socket.SHUT_RDWR)

        timer = threading.Timer(self.timeout_s, cut)
        timer.daemon = True
        timer.start()
        try:
            self._greet(server)
            refused = server.send_message(message)
            server.quit()
        except Exception:
            if late.is_set():
                raise TimeoutError(f"{self.option('host')} did not take the mail within {self.timeout_s:g} s") from None
            raise
        finally:
            timer.cancel()
            server.close()
        return f"refused for {', '.join(refused)}" if refused else "accepted"

    def _connect(self) -> smtplib.SMTP:
        import smtplib
        import ssl

        host = self.text("host")
        tls = self.option("tls", "auto")
        if tls not in _TLS:
            self._refuse(f"`tls` is {tls!r}", do=f"one of {', '.join(_TLS)}")
        port = int(self.option("port", 465 if tls == "tls" else 587 if self.option("user") else 25))
        if tls == "tls" or (tls == "auto" and port == 465):
            return smtplib.SMTP_SSL(host, port, timeout=self.timeout_s, context=ssl.create_default_context())
        return smtplib.SMTP(host, port, timeout=self.timeout_s)

    def _greet(self, server: smtplib.SMTP) -> None:
        """Encrypt where that is wanted or possible, and log in."""
        import smtplib
        import ssl

        server.ehlo()
        encrypted = isinstance(server, smtplib.SMTP_SSL)
        tls = self.option("tls", "auto")
        if not encrypted and (tls == "starttls" or (tls == "auto" and server.has_extn("starttls"))):
            server.starttls(context=ssl.create_default_context())
            server.ehlo()
            encrypted = True
        if self.option("user"):
            if not encrypted and self.text("host") not in _LOOPBACK:
                raise ConnectionError("the server offers no encryption, and a password is not sent in the clear")
            server.login(self.text("user"), self.text("password"))

    def _message(self, note: Note) -> EmailMessage:
        message = EmailMessage()
        to = self.option("to")
        message["Subject"] = " ".join(note.title.split())
        message["From"] = self.text("from") or f"scriptflow@{host_name() or 'localhost'}"
        message["To"] = to if isinstance(to, str) else ", ".join(str(one) for one in to)
        message["Date"] = formatdate(note.at)
        message["Message-ID"] = make_msgid(domain="scriptflow.invalid")
        if note.thread:  # all mails about one run in one thread
            message["References"] = f"<{sha256(note.thread.encode()).hexdigest()[:24]}@scriptflow.invalid>"
            message["In-Reply-To"] = message["References"]
        message.set_content(note.text or note.title)
        if note.html or note.images:
            _add_html(message, note)
        return message


def _add_html(message: EmailMessage, note: Note) -> None:
    """Add the markup; a picture that it names by its file name stands there, the others below."""
    html = note.as_html()
    parts = []
    for path in note.images:
        try:
            with open(path, "rb") as file:  # noqa: PTH123 (plain strings all through)
                content = file.read()
        except OSError:
            continue  # the words arrive without it
        name = os.path.basename(path)  # noqa: PTH119 (the same)
        number = make_msgid(domain="scriptflow.invalid")
        if f"cid:{name}" in html:
            html = html.replace(f"cid:{name}", f"cid:{number[1:-1]}")
        else:
            html += f'\n<p><img src="cid:{number[1:-1]}" alt=""></p>'
        parts.append((content, guess_type(name)[0] or "application/octet-stream", number, name))
    message.add_alternative(html, subtype="html")
    body = message.get_payload()[-1]  # type: ignore[index]  # an alternative has a list of parts
    for content, kind, number, name in parts:
        main, _, sub = kind.partition("/")
        body.add_related(content, main, sub, cid=number, filename=name, disposition="inline")  # type: ignore[union-attr]  # as above
