"""Real servers on loopback for what Switchyard sends out: one for HTTP, with or without TLS, and one for mail."""

from __future__ import annotations

import base64
import gzip
import socketserver
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import Message
from email.policy import default
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


@dataclass
class Got:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class HttpReceiver:
    """``answers``: (status, headers) for the next requests, then 204 for ever. Paths with meanings: see ``_answer``."""

    port: int = 0
    got: list[Got] = field(default_factory=list)
    answers: list[tuple[int, dict[str, str]]] = field(default_factory=list)
    let_go: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@contextmanager
def http_receiver(tls: ssl.SSLContext | None = None) -> Iterator[HttpReceiver]:
    receiver = HttpReceiver()

    class Handler(BaseHTTPRequestHandler):
        def _take(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            receiver.got.append(Got(self.command, self.path, headers, body))
            self._answer()

        do_GET = do_POST = _take

        def _answer(self) -> None:
            match self.path:
                case "/redirect":
                    self._reply(302, {"Location": f"{receiver.url}/secret"}, b"")
                case "/round":
                    self._reply(302, {"Location": "/round"}, b"")
                case path if path.startswith("/to?"):
                    self._reply(int(path[4:7]), {"Location": path[8:]}, b"moved" * 20_000)
                case "/large":
                    self._reply(200, {}, b"x" * 50_001)
                case "/bomb":
                    self._reply(200, {"Content-Encoding": "gzip"}, gzip.compress(b"\0" * 50_000_000))
                case "/gzip":
                    self._reply(200, {"Content-Encoding": "gzip"}, gzip.compress(b"packed"))
                case "/cut":
                    self._reply(200, {"Content-Encoding": "gzip"}, gzip.compress(b"packed")[:-9])
                case "/stacked":
                    self._reply(200, {"Content-Encoding": "gzip, gzip"}, gzip.compress(gzip.compress(b"x")))
                case "/hang":
                    receiver.let_go.wait(20)
                case "/drip":
                    self.wfile.write(b"HTTP/1.1 200 OK\r\n")
                    while not receiver.let_go.wait(0.05):
                        try:
                            self.wfile.write(b"x-drip: 1\r\n")
                        except OSError:
                            return
                case _:
                    status, headers = receiver.answers.pop(0) if receiver.answers else (204, {})
                    self._reply(status, headers, b"" if status == 204 else b"ok")

        def _reply(self, status: int, headers: dict[str, str], body: bytes) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            if status != 204:
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            try:
                self.wfile.write(body)
            except OSError:
                return  # the client has hung up: it had read enough

        def log_message(self, *_: Any) -> None:
            return

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: Any) -> None:
            return  # clients that refuse our certificate break the handshake off

    with Server(("127.0.0.1", 0), Handler) as server:
        if tls is not None:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        receiver.port = server.server_address[1]
        with _serving(server):
            try:
                yield receiver
            finally:
                receiver.let_go.set()


@dataclass
class MailReceiver:
    """``refuse``: what RCPT is answered with. ``logins``: (user, password, over TLS)."""

    port: int = 0
    mails: list[Message] = field(default_factory=list)
    recipients: list[str] = field(default_factory=list)
    logins: list[tuple[str, str, bool]] = field(default_factory=list)
    encrypted: list[bool] = field(default_factory=list)
    refuse: bytes | None = None


@contextmanager
def mail_receiver(tls: ssl.SSLContext | None = None, *, implicit: bool = False) -> Iterator[MailReceiver]:
    """As much of RFC 5321, 3207 (STARTTLS) and 4954 (AUTH PLAIN) as a client of ours says."""
    receiver = MailReceiver()

    class Session(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.secure = tls is not None and implicit
            if self.secure:
                assert tls is not None
                self.request = tls.wrap_socket(self.request, server_side=True)
            self.file = self.request.makefile("rb")
            self._say(b"220 mail.test")
            while line := self.file.readline():
                if self._obey(line.strip()) is False:
                    return

        def _say(self, line: bytes) -> None:
            self.request.sendall(line + b"\r\n")

        def _obey(self, line: bytes) -> bool | None:
            verb = line[:4].upper()
            if verb == b"EHLO":
                offers = [b"250-mail.test", b"250-AUTH PLAIN"]
                offers += [b"250-STARTTLS"] if tls is not None and not self.secure else []
                self._say(b"\r\n".join([*offers, b"250 SIZE 1000000"]))
            elif verb == b"STAR":
                assert tls is not None
                self._say(b"220 go on")
                self.request = tls.wrap_socket(self.request, server_side=True)
                self.file, self.secure = self.request.makefile("rb"), True
            elif verb == b"AUTH":
                _, user, password = base64.b64decode(line.split()[2]).split(b"\0")
                receiver.logins.append((user.decode(), password.decode(), self.secure))
                self._say(b"235 welcome")
            elif verb == b"RCPT":
                receiver.recipients.append(line.decode())
                self._say(receiver.refuse or b"250 ok")
            elif verb == b"DATA":
                self._say(b"354 go on")
                lines = []
                while (data := self.file.readline()) != b".\r\n":
                    lines.append(data.removeprefix(b".") if data.startswith(b"..") else data)
                receiver.mails.append(message_from_bytes(b"".join(lines), policy=default))  # type: ignore[arg-type]
                receiver.encrypted.append(self.secure)
                self._say(b"250 taken")
            elif verb == b"QUIT":
                self._say(b"221 bye")
                return False
            else:
                self._say(b"250 ok")
            return None

        def finish(self) -> None:
            self.file.close()
            self.request.close()

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        allow_reuse_address = True

        def handle_error(self, *_: Any) -> None:
            return

    with Server(("127.0.0.1", 0), Session) as server:
        receiver.port = server.server_address[1]
        with _serving(server):
            yield receiver


@contextmanager
def _serving(server: socketserver.BaseServer) -> Iterator[None]:
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join(5)


@dataclass(frozen=True)
class Certified:
    server: ssl.SSLContext
    client: ssl.SSLContext


def certified(folder: Path, name: str) -> Certified:
    """A certificate for ``name`` that its client, and nobody else, trusts."""
    key, cert = folder / "key.pem", folder / "cert.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-keyout", str(key), "-out", str(cert), "-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}"],
        check=True, capture_output=True,
    )  # fmt: skip
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(cert, key)
    return Certified(server, ssl.create_default_context(cafile=str(cert)))


Certify = Callable[[str], Certified]
