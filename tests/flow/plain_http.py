"""plain_http - http_listen: upgraded, denied or passed on; never with a value in it, and under the same policy."""
import base64
import os
import socket
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from case import Bench, see, see_equal
from client import status_of
from house import request
from masks import mask
from origin import chunked, reply
from refusal import see_refusal
from rehouse import Rehouse, rehouse_last
from wire import Reader

bench = Bench()
BIG = b"b" * 3000000


class PlainOrigin:
    """An HTTP server without TLS that keeps what it gets; scripts: by path, as origin.py's, of octets alone."""

    def __init__(self):
        self.requests, self.count, self.scripts = [], 0, {}
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                peer = self.socket.accept()[0]
            except OSError:
                return
            self.count += 1
            threading.Thread(target=self.talk, args=(peer,), daemon=True).start()

    def talk(self, peer):
        reader = Reader(lambda: peer.recv(65536))
        try:
            while (message := reader.message()) is not None and message.complete:
                self.requests.append(message)
                path = message.start.split(b" ")[1].decode("latin-1")
                peer.sendall(b"".join(self.scripts.get(path, [reply(body=message.head + b"\r\n\r\n" + message.body)])))
        except OSError:
            pass
        peer.close()


class PlainClient:
    """A TCP client; octets: all that came back."""

    def __init__(self, house, source):
        self.octets, self.closed = bytearray(), None
        try:
            self.socket = socket.create_connection(("127.0.0.1", house.http_port()), 10, source_address=(source, 0))
        except ConnectionResetError:  # it was over before connect() came back
            self.socket, self.closed = socket.socket(), "rst"
        self.reader = Reader(self.pull)

    def pull(self):
        if self.closed:
            return b""
        try:
            more = self.socket.recv(65536)
        except OSError as error:
            self.closed = "timeout" if isinstance(error, socket.timeout) else "rst"
            return b""
        if not more:
            self.closed = "fin"
        self.octets += more
        return more

    def ask(self, octets, head_only=False):
        try:
            self.socket.sendall(octets)
        except OSError:
            pass  # what came back tells more
        message = self.reader.message(bodiless=lambda m: head_only or status_of(m) in (204, 304), until_close=True)
        if message is not None:
            message.status, message.code = status_of(message), message.get("x-osb-error")
        return message

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()


class PlainHouse(Rehouse):
    def furnish(self):
        super().furnish()
        self.plain = PlainOrigin()
        self.store("P", "api.test", "private.dns.test", "127.0.0.1", "nothing.dns.test")
        self.secret("P", "S4", "api.test", places=("header", "basic", "body", "url", "field"))
        self.p = self.sandbox("sbP", "127.0.0.5", "P")
        self.nameserver.addresses["private.dns.test"] = ["192.168.7.7"]
        self.always += [f"connect_to = api.test:80=127.0.0.1:{self.plain.port}"]
        self.config = list(self.always)

    def plainly(self, sandbox, octets, head_only=False):
        with PlainClient(self, sandbox.address) as client:
            answer = client.ask(octets, head_only)
            self.clients.append(client)
            see(answer is not None, f"no answer but {client.closed}")
            return answer

    def seen(self):
        return self.origin.counts(), self.plain.count, len(self.plain.requests)


def mode(house, word):
    line = f"http = {word}"
    if line not in house.config:
        house.again(line)


def tokens_everywhere(token):
    basic = base64.b64encode(b"user:" + token)
    return request(
        "POST",
        b"/p/" + token + b"?q=" + token,
        "api.test",
        b"X-Key: " + token,
        b"Authorization: Basic " + basic,
        b"Content-Type: application/json",
        body=b'{"k":"' + token + b'"}',
    )


def see_untouched(seen, token):
    see_equal(seen.start, b"POST /p/" + token + b"?q=" + token + b" HTTP/1.1", "the request line")
    see_equal(seen.get("x-key").encode(), token, "a header field")
    see_equal(base64.b64decode(seen.get("authorization")[6:]), b"user:" + token, "Basic")
    see_equal(seen.body, b'{"k":"' + token + b'"}', "the body")


@bench.case("upgrade, the default: the request goes on over TLS to port 443, and a token in it stays a token")
def upgrade(house):
    token = house.p.tokens["S4"]
    before = house.seen()
    answer = house.plainly(house.p, tokens_everywhere(token))
    see_equal(answer.status, 200, "the status")
    seen = house.origin.requests[-1]
    see_untouched(seen, token)
    see_equal((seen.sni, seen.get("host")), ("api.test", "api.test"), "server name and Host")
    see_equal(house.seen()[1:], before[1:], "what the plain origin saw")
    line = house.await_audit(lambda line: line["sandbox"] == "sbP" and line["status"] == 200, "an audit line")
    see_equal((line["host"], line["action"], line["secrets"]), ("api.test", "forward", []), "what was audited")


@bench.case("pass: the request goes on as it is, to port 80 and without TLS, and a token in it stays a token")
def passed(house):
    mode(house, "pass")
    token = house.p.tokens["S4"]
    before = house.origin.counts()
    see_equal(house.plainly(house.p, tokens_everywhere(token)).status, 200, "the status")
    see_untouched(house.plain.requests[-1], token)
    see_equal(house.plain.requests[-1].get("host"), "api.test", "Host")
    see_equal(house.origin.counts(), before, "what the TLS origin saw")


@bench.case(
    "L01 a value that an answer repeats is masked, with and without TLS to the host",
    [(f"{word}, {framing}", word, framing) for word in ("upgrade", "pass") for framing in ("length", "chunked")],
)
def masked(house, word, framing):
    mode(house, word)
    value = house.value("S4")
    origin = {"upgrade": house.origin, "pass": house.plain}[word]
    body = b"a " + value + b" b"
    framed = {"length": b"Content-Length: %d\r\n\r\n%s" % (len(body), body)}
    framed["chunked"] = b"Transfer-Encoding: chunked\r\n\r\n" + chunked(body[:9], body[9:])
    origin.scripts["/said"] = [b"HTTP/1.1 200 OK\r\nX-Echo: %s\r\n" % value + framed[framing]]
    answer = house.plainly(house.p, request("GET", "/said", "api.test", b"Accept-Encoding: gzip"))
    hidden = mask(len(value))
    see_equal((answer.get("x-echo").encode(), answer.body), (hidden, b"a " + hidden + b" b"), "field and body")
    see_equal(origin.requests[-1].all("accept-encoding"), [b"identity"], "Accept-Encoding")


@bench.case("deny: 403 plain_http_denied with the advice to use https, whatever host it is that is allowed")
def deny(house):
    mode(house, "deny")
    before = house.seen()
    see_refusal(house, house.plainly(house.p, request("GET", "/", "api.test")), 403, "plain_http_denied", "https")
    see_refusal(house, house.plainly(house.p, tokens_everywhere(house.p.tokens["S4"])), 403, "plain_http_denied")
    see_equal(house.seen(), before, "what the origins saw")


REFUSED = [
    ("a host that is not allowed", request("GET", "/", "evil.test"), 403, "host_not_allowed"),
    ("a name below an allowed one", request("GET", "/", "a.api.test"), 403, "host_not_allowed"),
    ("an address literal", request("GET", "/", "203.0.113.1"), 403, "host_not_allowed"),
    ("an IPv6 literal", request("GET", "/", "[::1]"), 403, "host_not_allowed"),
    ("the metadata service", request("GET", "/latest", "169.254.169.254"), 403, "host_not_allowed"),
    ("a name that is none", request("GET", "/", "a_b..test"), 403, "host_not_allowed"),
    ("no Host", b"GET / HTTP/1.1\r\nX: y\r\n\r\n", 400, "bad_request"),
    ("an empty Host", b"GET / HTTP/1.1\r\nHost:\r\n\r\n", 400, "bad_request"),
    ("two Hosts", b"GET / HTTP/1.1\r\nHost: api.test\r\nHost: evil.test\r\n\r\n", 400, "bad_request"),
    ("two Hosts that agree", b"GET / HTTP/1.1\r\nHost: api.test\r\nHost: api.test\r\n\r\n", 400, "bad_request"),
    ("no Host in HTTP/1.0", b"GET / HTTP/1.0\r\n\r\n", 400, "bad_request"),
    ("user and password", request("GET", "/", "api.test@evil.test"), 0, None),
    ("another port", request("GET", "/", "api.test:8080"), 421, "host_mismatch"),
    ("port 443", request("GET", "/", "api.test:443"), 421, "host_mismatch"),
    ("absolute, of another host", request("GET", "http://evil.test/", "api.test"), 0, None),
    ("absolute, Host of another", request("GET", "http://api.test/", "evil.test"), 0, None),
    ("absolute, https", request("GET", "https://api.test/", "api.test"), 421, "host_mismatch"),
    ("absolute, ftp", request("GET", "ftp://api.test/", "api.test"), 0, None),
    ("absolute, another port", request("GET", "http://api.test:81/", "api.test"), 0, None),
    ("CONNECT", b"CONNECT api.test:443 HTTP/1.1\r\nHost: api.test:443\r\n\r\n", 405, "method_not_allowed"),
    ("TRACE", request("TRACE", "/", "api.test"), 405, "method_not_allowed"),
    ("a private address behind an allowed name", request("GET", "/", "private.dns.test"), 403, "address_not_allowed"),
    ("an allowed literal of our own host", request("GET", "/", "127.0.0.1"), 403, "address_not_allowed"),
    ("a name that does not exist", request("GET", "/", "nothing.dns.test"), 502, "upstream_unreachable"),
]


@bench.case(
    "what TLS connections are refused, plain ones are too",
    [
        (f"{label}, {word}", word, octets, status, code)
        for word in ("upgrade", "pass")
        for label, octets, status, code in REFUSED
    ],
)
def refused(house, word, octets, status, code):
    mode(house, word)
    before = house.seen()
    answer = house.plainly(house.p, octets)
    if code:
        see_refusal(house, answer, status, code)
    else:  # more than one refusal is right
        see(answer.status in (400, 403, 421), f"the status is {answer.status}")
        see_refusal(house, answer, answer.status, answer.code)
    see_equal(house.seen(), before, "what the origins saw")


@bench.case(
    "every form that means an allowed host arrives as origin-form with the canonical name",
    [
        ("plain", request("GET", "/x?y", "api.test")),
        ("upper case", request("GET", "/x?y", "API.Test")),
        ("the port", request("GET", "/x?y", "api.test:80")),
        ("a dot at the end", request("GET", "/x?y", "api.test.")),
        ("absolute", request("GET", "http://api.test/x?y", "api.test")),
        ("absolute with the port", request("GET", "http://api.test:80/x?y", "api.test:80")),
        ("absolute, its scheme in upper case", request("GET", "HTTP://api.test/x?y", "api.test")),
        ("absolute, its host in upper case", request("GET", "http://API.TEST/x?y", "api.test")),
        ("HTTP/1.0 with Host", b"GET /x?y HTTP/1.0\r\nHost: api.test\r\n\r\n"),
    ],
)
def forms(house, octets):
    mode(house, "pass")
    see_equal(house.plainly(house.p, octets).status, 200, "the status")
    seen = house.plain.requests[-1]
    see_equal((seen.start, seen.all("host")), (b"GET /x?y HTTP/1.1", [b"api.test"]), "what the origin saw")


@bench.case("each request of a connection is judged by itself")
def each(house):
    with PlainClient(house, house.a.address) as client:
        for host, status in (("api.test", 200), ("evil.test", 403), ("api.test", 200)):
            answer = client.ask(request("GET", "/", host))
            see_equal(answer.status if answer else client.closed, status, f"the status of {host}")


@bench.case("a source that is no sandbox is reset, and TLS on the plain port is 400 or an end, never a request")
def strangers(house):
    before = house.seen()
    with PlainClient(house, "127.0.0.99") as client:
        see(
            client.ask(request("GET", "/", "api.test")) is None and client.closed == "rst", f"closed: {client.closed}"
        )
    with PlainClient(house, house.a.address) as client:
        answer = client.ask(b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03" + b"\0" * 160 + b"\r\n\r\n")
        see(answer is None or answer.status == 400, f"the status is {answer and answer.status}")
    see_equal(house.seen(), before, "what the origins saw")


@bench.case("a client that closes its half after the request still gets the whole answer")
def half_closed(house):
    mode(house, "upgrade")
    house.origin.scripts["/big"] = [reply(body=BIG)]
    with PlainClient(house, house.a.address) as client:
        client.socket.sendall(request("GET", "/big", "api.test"))
        client.socket.shutdown(socket.SHUT_WR)
        answer = client.ask(b"")
        see(answer is not None, f"no answer but {client.closed}")
        see(answer.complete and answer.body == BIG, f"{len(answer.body)} of {len(BIG)} octets, then {client.closed}")


rehouse_last(bench)
bench.run(PlainHouse)
