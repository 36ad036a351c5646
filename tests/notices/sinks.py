"""Real listeners on loopback: an HTTP server that answers as it is told, and an SMTP server that keeps what it gets."""

import http.server
import json
import threading
import time


def until(question, limit_s=20.0):
    """Ask until the answer is true; return it."""
    end = time.monotonic() + limit_s
    while not (answer := question()):
        assert time.monotonic() < end, f"not within {limit_s} s"
        time.sleep(0.01)
    return answer


class HttpSink:
    """Keeps every request; answers with ``status``, or while ``hangs`` not at all."""

    def __init__(self, status=200, *, hangs=False):
        self.status = status
        self.requests = []
        self.open = threading.Event()
        if not hangs:
            self.open.set()
        sink = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                sink.requests.append((self.path, dict(self.headers), body))
                sink.open.wait(60)
                try:
                    self.send_response(sink.status)
                    self.end_headers()
                    self.wfile.write(b"{}")
                except OSError:
                    pass

            def log_message(self, *_words):
                pass

        class Server(http.server.ThreadingHTTPServer):
            def handle_error(self, *_words):
                pass

        self.server = Server(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def notes(self):
        return [json.loads(body) for _, _, body in list(self.requests)]

    def events(self):
        return [note["event"] for note in self.notes()]

    def close(self):
        self.open.set()
        self.server.shutdown()
        self.server.server_close()


class Letters:
    """Keeps the mails that an SMTP server gets."""

    def __init__(self):
        self.letters = []

    async def handle_DATA(self, _server, _session, envelope):  # noqa: N802 (aiosmtpd's name)
        self.letters.append((envelope.rcpt_tos, envelope.content))
        return "250 taken"
