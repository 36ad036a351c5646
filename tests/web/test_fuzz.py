"""Whatever is sent, the server answers with a sentence of its own, and goes on."""

import http.client
import json
import random
import socket
from urllib.parse import quote, urlencode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from serving import Server

NAMES = ["paper-1", "paper-2", "last", "last~1", "1", "simulate-5", "~5", "sim_0.csv", "source.csv"]
NASTY = [
    "../../etc/passwd",
    "..%2f",
    "\x00",
    "%00",
    "%",
    "<script>",
    "' OR 1=1 --",
    "\ud800",
    "x" * 3000,
    "🙂",
    "~99999999999999999999",
    "last~99999999999999",
    "-1",
    "1e9",
    "*",
    "[",
    "[a",
    "?",
]
TEXT = st.one_of(st.sampled_from(NAMES), st.sampled_from(NASTY), st.text(max_size=30))


@pytest.fixture(scope="module")
def described(server):
    return json.loads(server.ask("/api/v1/openapi.json").text)


def spelled(text):
    return quote(text, safe="", errors="surrogatepass")


def value_for(data, schema):
    if data.draw(st.integers(0, 3)) == 0:
        return data.draw(TEXT)
    if "enum" in schema:
        return data.draw(st.sampled_from(schema["enum"]))
    if schema["type"] == "integer":
        return str(data.draw(st.integers(schema.get("minimum", 0), min(schema.get("maximum", 99), 10**12))))
    if schema["type"] == "boolean":
        return data.draw(st.sampled_from(["0", "1", "true", "false", ""]))
    return data.draw(TEXT)


@settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_every_documented_request_is_answered_as_documented(server, described, data):
    path = data.draw(st.sampled_from([path for path in described["paths"] if not path.endswith("events")]))
    (method, operation), *_ = described["paths"][path].items()
    query = {}
    for parameter in operation.get("parameters", ()):
        if parameter["in"] == "path":
            path = path.replace("{" + parameter["name"] + "}", spelled(data.draw(TEXT)) or "x")
        elif parameter["in"] == "query" and data.draw(st.booleans()):
            query[parameter["name"]] = value_for(data, parameter["schema"])
    body, headers, token = None, {}, True
    if method == "post":
        token = data.draw(st.sampled_from([True, server.action_token]))
        headers = {"Content-Type": "application/json"}
        body = data.draw(
            st.sampled_from(['{"run": true}', '{"tasks": ["simulate-1"]}', "{}", "[]", "nul", '{"run": 1}', "\x00"])
        )
    target = path + ("?" + urlencode(query, errors="surrogatepass") if query else "")
    answer = server.ask(target, method=method.upper(), token=token, headers=headers, body=body)
    assert str(answer.status) in operation["responses"], (target, answer.text)
    if answer.headers["Content-Type"].startswith("application/json"):
        document = json.loads(answer.text)
        assert ("error" in document) == (answer.status >= 400)
        assert "Traceback" not in answer.text


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_every_page_answers_whatever_stands_in_its_address(server, data):
    steps = data.draw(st.sampled_from([("r",), ("r", "t"), ("files",), ("p",), ()]))
    parts = [spelled(data.draw(TEXT)) for _ in steps]
    target = "/" + "/".join(f"{step}/{part}" for step, part in zip(steps, parts, strict=True))
    if data.draw(st.booleans()):
        target += "?" + urlencode(
            {data.draw(st.sampled_from(["q", "state", "offset"])): data.draw(TEXT)}, errors="surrogatepass"
        )
    answer = server.ask(target)
    assert answer.status in (200, 303, 400, 404, 414), target
    assert "Traceback" not in answer.text


def malformed(random_, token):
    """Return the bytes of one request that is wrong in a way of its own."""
    good = f"GET /r/last HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\r\n".encode()
    kind = random_.randrange(9)
    if kind == 0:
        return random_.randbytes(random_.randrange(1, 400))
    if kind == 1:  # a byte changed somewhere
        at = random_.randrange(len(good))
        return good[:at] + random_.randbytes(1) + good[at + 1 :]
    if kind == 2:
        return good.replace(
            b"GET", random_.choice([b"PUT", b"TRACE", b"CONNECT", b"X" * 100, b"get", b"OPTIONS", b"DELETE"])
        )
    if kind == 3:
        return good.replace(b"Host", b"X" * random_.randrange(1, 20_000))
    if kind == 4:
        return good.replace(
            b"\r\n\r\n",
            b"\r\nContent-Length: " + random_.choice([b"-1", b"9" * 30, b"x", b"5\r\nContent-Length: 6"]) + b"\r\n\r\n",
        )
    if kind == 5:
        return good.replace(
            b"\r\n\r\n",
            b"\r\nTransfer-Encoding: chunked\r\n\r\n" + random_.choice([b"zz\r\n", b"-1\r\n", b"FFFFFFFFFFFFFFFF\r\n"]),
        )
    if kind == 6:
        return good.replace(
            b"/r/last",
            b"/"
            + random_.randbytes(20).hex().encode()
            + random_.choice([b"%", b"%zz", b"\xff", b"//", b"?", b"#", b"\x00"]),
        )
    if kind == 7:
        return good.replace(
            b"\r\n\r\n", b"\r\n" + b"".join(b"X-%d: y\r\n" % n for n in range(random_.randrange(300))) + b"\r\n"
        )
    return good.replace(b"\r\n", random_.choice([b"\n", b"\r", b"\r\n ", b"\x00\r\n"]))


def test_what_is_no_http_gets_no_word_of_what_was_sent_or_of_what_we_are_made_of(project):
    random_ = random.Random(7)
    with Server(project) as server:
        server.ask("/")
        files, memory = server.open_files, server.memory_bytes
        for _ in range(1500):
            sock = socket.create_connection(("127.0.0.1", server.port), timeout=10)
            try:
                sock.sendall(malformed(random_, server.token))
                sock.shutdown(socket.SHUT_WR)
                answer = sock.recv(65536)
            except OSError:
                answer = b""
            finally:
                sock.close()
            assert not answer.startswith((b"HTTP/1.1 5", b"HTTP/1.0 5")), answer
            assert b"aiohttp" not in answer
            assert b"Traceback" not in answer
            assert server.token.encode() not in answer
        assert server.ask("/r/last").status == 200
        assert server.open_files <= files + 5
        assert server.memory_bytes - memory < 40 * 2**20
    assert "Traceback" not in server.said
    assert server.token not in server.said.split("Ctrl-C")[1]


def test_a_body_that_is_too_long_is_refused_before_it_is_read(server):
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    connection.putrequest("POST", "/api/v1/runs/last/cancel")
    connection.putheader("Authorization", f"Bearer {server.action_token}")
    connection.putheader("Content-Type", "application/json")
    connection.putheader("Content-Length", str(10**12))
    connection.endheaders()
    try:
        for _ in range(40):
            connection.send(b"x" * 65536)
    except OSError:
        pass
    answer = connection.getresponse()
    assert answer.status == 413
    connection.close()
