"""One HTTP request with a limit on all of it, from a thread of the caller's.

Knows the standard library only. Follows no redirects, and sends no token where others could read it on the way.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    import http.client
    from collections.abc import Mapping

_MOST_ANSWER = 1024 * 1024
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


class PostFailed(Exception):
    """The request was not answered well; ``status`` is 0 when it was not answered at all."""

    def __init__(self, text: str, status: int = 0) -> None:
        super().__init__(text)
        self.status = status


def post(url: str, body: bytes, headers: Mapping[str, str], timeout_s: float, *, method: str = "POST") -> bytes:
    """Send ``body`` and return what was answered, at most 1 MB of it.

    Raises:
        PostFailed: no connection, no whole answer within ``timeout_s``, or an answer that is no 2xx. Its text names
            neither the path nor a token.
    """
    import socket
    import threading

    connection, path, host = _connection(url, headers, timeout_s)
    late = False

    def cut() -> None:
        nonlocal late
        late = True
        if connection.sock is not None:
            try:
                connection.sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                connection.sock.close()

    timer = threading.Timer(timeout_s, cut)  # a socket's own limit starts anew with every byte
    timer.daemon = True
    timer.start()
    try:
        connection.request(method, path, body, dict(headers))
        answer = connection.getresponse()
        content = answer.read(_MOST_ANSWER)
    except Exception as error:
        if late or isinstance(error, TimeoutError):
            raise PostFailed(f"{host} did not answer within {timeout_s:g} s") from error
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise PostFailed(f"{host} cannot be reached: {reason}") from error
    finally:
        timer.cancel()
        connection.close()
    if late:
        raise PostFailed(f"{host} did not answer within {timeout_s:g} s")
    if not 200 <= answer.status < 300:
        raise PostFailed(f"{host} answered {answer.status} {answer.reason}", answer.status)
    return content


def _connection(url: str, headers: Mapping[str, str], timeout_s: float) -> tuple[http.client.HTTPConnection, str, str]:
    """Return a connection, the path to ask for, and how the other end is called in messages."""
    import http.client
    from urllib.parse import urlsplit

    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise PostFailed("the address cannot be read") from error
    if parts.scheme not in ("http", "https") or not host:
        raise PostFailed("the address is no http(s)://HOST/...")
    if parts.scheme == "http" and host not in _LOOPBACK and "Authorization" in headers:
        raise PostFailed(f"a token is not sent to {host} over plain http; use https")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    return kind(host, port, timeout=timeout_s), path, host if port is None else f"{host}:{port}"
