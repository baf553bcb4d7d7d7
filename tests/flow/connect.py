"""connect - connect_listen: a CONNECT says where to, the server name inside must agree, and then all is as everywhere."""
import os
import socket
import struct
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from case import Bench, see, see_equal, short
from client import Client, client_context, status_of
from house import House, await_until, free_port, request
from origin import Origin
from refusal import see_refusal
from wire import Reader

bench = Bench()
GRANTED = b"HTTP/1.1 200 Connection established\r\n\r\n"
STRANGER = "127.0.0.99"
MOST = 8  # connections of a sandbox


def connect(target, *fields, host=None, version="1.1"):
    lines = [f"CONNECT {target} HTTP/{version}", f"Host: {host or target}", *fields]
    return "".join(line + "\r\n" for line in lines).encode() + b"\r\n"


class ProxyClient(Client):
    """A client that says its CONNECT first. answer: what came back for it; TLS begins only behind a 200."""

    def __init__(self, house, sandbox, head, sni, session=None):
        self.head, self.answer = head, None
        super().__init__(("127.0.0.1", house.connect_port), sandbox.address, sni, sandbox.context, session)
        house.clients.append(self)

    def step(self, call):
        if self.answer is None and self.closed is None and not self.greet():
            return False
        return super().step(call)

    def greet(self):
        """Ask; gives whether TLS can begin. An answer of the proxy's own is read to its end."""
        reader = Reader(self.pull_plain)
        try:
            self.socket.sendall(self.head)
        except OSError:
            pass  # what came back tells more
        message = reader.message(bodiless=lambda m: status_of(m) == 200, until_close=True)
        if message is None:
            return False
        message.status, message.code = status_of(message), message.get("x-osb-error")
        self.answer = message
        if message.status == 200:
            see_equal(bytes(self.octets), GRANTED, "what grants it")
            return True
        while self.pull_plain():
            pass
        return False

    def pull_plain(self):
        if self.closed:
            return b""
        try:
            more = self.socket.recv(65536)
        except OSError as error:
            self.closed = "timeout" if isinstance(error, socket.timeout) else "rst"
            return b""
        self.octets += more
        self.closed = None if more else "fin"
        return more


class ConnectHouse(House):
    def furnish(self):
        super().furnish()
        self.connect_port = free_port()
        self.config += [
            f"connect_listen = 127.0.0.1:{self.connect_port}",
            "head_timeout = 1s",
            f"sandbox_connections = {MOST}",
            f"connect_to = api.test:8443=127.0.0.1:{self.origin.port}",
            f"connect_to = 127.0.0.1:443=127.0.0.1:{self.origin.port}",
        ]
        self.origin.contexts[None] = Origin.context(self.pki.leaf(self.root, "IP:127.0.0.1"))
        self.store("L", "127.0.0.1", "*.dns.test")
        self.l = self.sandbox("sbL", "127.0.0.5", "L")
        self.m = self.sandbox("sbM", "127.0.0.6", "A")

    def through(self, sandbox, target, sni, **more):
        """A client behind a granted CONNECT, its TLS done."""
        client = ProxyClient(self, sandbox, connect(target, **more), sni)
        see(client.shaken, f"CONNECT {target} got {client.answer and client.answer.status}, then {client.closed}")
        return client

    def traces(self):
        """What a refusal must leave as it was: leaves, names that were asked for, the origin."""
        leaves = [self.metric(f"osb_leaf_{what}_total") for what in ("mints", "cache_hits")]
        return leaves, len(self.nameserver.questions), self.origin.counts()


def see_refused(house, sandbox, octets, status, code, says=""):
    """Told in plain HTTP, then closed, and nothing was done for it. Gives the audit line."""
    before = house.traces()
    with ProxyClient(house, sandbox, octets, "api.test") as client:
        see(not client.shaken, "the handshake was done after all")
        line = see_refusal(house, client.answer, status, code, says)
        see(client.closed == "fin", f"then {client.closed}")
    see_equal(house.traces(), before, "leaves, questions and what the origin saw")
    see_equal((line["sandbox"], line["dst"], line["upstream_proto"]), (sandbox.name, None, None), "what was audited")
    return line


# --- refused ---------------------------------------------------------------------------------------------------


@bench.case(
    "a host that is not allowed is told 403 on its CONNECT: no leaf, no question, no dial",
    [
        ("another name", "evil.test:443", "evil.test"),
        ("a name below an allowed one", "a.api.test:443", "a.api.test"),
        ("another port does not help", "evil.test:8443", "evil.test"),
        ("upper case and a dot", "EVIL.test.:443", "evil.test"),
        ("an address", "203.0.113.1:443", "203.0.113.1"),
        ("the metadata service", "169.254.169.254:443", "169.254.169.254"),
        ("the proxy's own host", "127.0.0.1:443", "127.0.0.1"),
        ("an address of IPv6", "[::1]:443", "::1"),
    ],
)
def denied(house, target, host):
    line = see_refused(house, house.a, connect(target), 403, "host_not_allowed", "allowlist")
    see_equal(line["host"], host, "the host that was audited")


REFUSED = [
    ("a plain request", request("GET", "/", "api.test"), 405, "method_not_allowed"),
    ("a plain request, absolute", request("GET", "http://api.test/", "api.test"), 405, "method_not_allowed"),
    ("a POST without its body", request("POST", "/", "api.test", body=b"").strip() + b"\r\n\r\n", 405, None),
    ("no port", connect("api.test"), 400, "bad_request"),
    ("an empty port", connect("api.test:"), 400, "bad_request"),
    ("port 0", connect("api.test:0"), 400, "bad_request"),
    ("port 0443", connect("api.test:0443"), 400, "bad_request"),
    ("port 65536", connect("api.test:65536"), 400, "bad_request"),
    ("a service's name", connect("api.test:https"), 400, "bad_request"),
    ("no host", connect(":443"), 400, "bad_request"),
    ("a name that is none", connect("a_b..test:443"), 400, "bad_request"),
    ("an address in another spelling", connect("2130706433:443"), 400, "bad_request"),
    ("IPv6 without brackets", connect("::1:443"), 400, "bad_request"),
    ("a name in brackets", connect("[api.test]:443"), 400, "bad_request"),
    ("user and password", connect("me:pw@api.test:443"), 400, "bad_request"),
    ("an absolute target", connect("https://api.test:443", host="api.test:443"), 400, "bad_request"),
    ("another Host", connect("api.test:443", host="echo.test:443"), 400, "bad_request"),
    ("a Host with another port", connect("api.test:443", host="api.test:8443"), 400, "bad_request"),
    ("two Hosts", connect("api.test:443", "Host: api.test:443"), 400, "bad_request"),
    ("no Host", b"CONNECT api.test:443 HTTP/1.1\r\nX: y\r\n\r\n", 400, "bad_request"),
    ("a body of no octets", connect("api.test:443", "Content-Length: 0"), 400, "bad_request"),
    ("a body", connect("api.test:443", "Content-Length: 5") + b"hello", 400, "bad_request"),
    ("chunks", connect("api.test:443", "Transfer-Encoding: chunked") + b"0\r\n\r\n", 400, "bad_request"),
    ("octets behind the head", connect("api.test:443") + b"\x16\x03\x01", 400, "bad_request"),
    ("two of them", connect("api.test:443") * 2, 400, "bad_request"),
    ("an LF alone", connect("api.test:443").replace(b"\r\n", b"\n"), 400, "bad_request"),
    ("a folded line", connect("api.test:443", " folded"), 400, "bad_request"),
    ("HTTP/2.0", connect("api.test:443", version="2.0"), 400, "bad_request"),
    ("TLS at once", b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03", 400, "bad_request"),
    ("a head that is too large", connect("api.test:443", "X: " + "x" * 8192), 431, "too_large"),
    ("a head without end", b"CONNECT " + b"x" * 8192, 431, "too_large"),
    ("half a head, then nothing", connect("api.test:443")[:-2], 408, "request_timeout"),
    ("nothing at all", b"", 408, "request_timeout"),
]


@bench.case("what is no CONNECT is told so, and nothing is done for it", REFUSED)
def refused(house, octets, status, code):
    see_refused(house, house.a, octets, status, code or "method_not_allowed")


def dial(house, sandbox):
    return socket.create_connection(("127.0.0.1", house.connect_port), 10, source_address=(sandbox.address, 0))


@bench.case("a head that trickles in is whole when it is whole, and late by the clock of its beginning")
def trickles(house):
    with dial(house, house.a) as raw:
        for octet in connect("api.test:443"):
            raw.sendall(bytes((octet,)))
        see_equal(raw.recv(4096), GRANTED, "the answer")
    with dial(house, house.a) as raw:
        raw.sendall(connect("api.test:443", "X: ")[:-4])
        began, got = time.monotonic(), b""
        raw.settimeout(0.05)
        while not got:
            see(time.monotonic() - began < 5, "it went on for 5 s")
            try:
                got = raw.recv(4096)
            except socket.timeout:
                raw.sendall(b"x")
        see(got.startswith(b"HTTP/1.1 408 "), f"the answer is {short(got)}")


@bench.case(
    "the server name inside must be the CONNECT's host: else alert 112, and no leaf is made",
    [
        ("another allowed name", "api.test:443", "echo.test"),
        ("a denied name", "api.test:443", "evil.test"),
        ("a name below", "api.test:443", "a.api.test"),
        ("none", "api.test:443", None),
        ("a name behind an address", "127.0.0.1:443", "n.dns.test"),
    ],
)
def disagrees(house, target, sni):
    sandbox = house.l if target[0].isdigit() else house.a
    before = house.traces()
    with ProxyClient(house, sandbox, connect(target), sni) as client:
        see_equal(client.answer and client.answer.status, 200, "the status of the CONNECT")
        see(not client.shaken, "the handshake was done")
        see("UNRECOGNIZED_NAME" in str(client.closed).upper(), f"it ended with {client.closed}")
    see_equal(house.traces(), before, "leaves, questions and what the origin saw")
    line = house.audit()[-1]
    want = (sandbox.name, "name_refused", target.rpartition(":")[0])
    see_equal((line["sandbox"], line["reason"], line["host"]), want, "what was audited")


@bench.case("P16 a CONNECT inside is 405, and the Host of a request must be the CONNECT's, with its port or none")
def inside(house):
    before = house.origin.counts()
    for octets, status, code in (
        (connect("api.test:443"), 405, "method_not_allowed"),
        (connect("evil.test:443"), 405, "method_not_allowed"),
        (request("GET", "/", "echo.test"), 421, "host_mismatch"),
        (request("GET", "/", "api.test:8443"), 421, "host_mismatch"),
        (request("GET", "http://api.test/", "api.test"), 421, "host_mismatch"),
    ):
        with house.through(house.a, "api.test:443", "api.test") as client:
            see_refusal(house, client.ask(octets), status, code)
    with house.through(house.a, "api.test:8443", "api.test") as client:
        see_refusal(house, client.ask(request("GET", "/", "api.test:443")), 421, "host_mismatch")
    see_equal(house.origin.counts(), before, "what the origin saw")


@bench.case("a source that is no sandbox is reset, whatever it says, its credentials too")
def strangers(house):
    stranger = type("Stranger", (), {"address": STRANGER, "context": client_context()})
    credentials = "Proxy-Authorization: Basic c2JBOnNiQQ=="
    with ProxyClient(house, stranger, connect("api.test:443", credentials), "api.test") as client:
        see(client.answer is None, f"it was told {client.answer and client.answer.start}")
        see_equal(client.closed, "rst", "how it ended")


@bench.case("one connection more than the sandbox may have is told 429 on its CONNECT")
def too_many(house):
    await_until(lambda: house.metric("osb_connections_active") == 0, "nothing else is open")
    held = [dial(house, house.m) for _ in range(MOST)]
    try:
        await_until(lambda: (house.metric("osb_connections_active") or 0) >= MOST, "they are all held")
        see_refused(house, house.m, connect("api.test:443"), 429, "too_many_connections")
    finally:
        for raw in held:
            raw.close()


@bench.case("who leaves in the middle of a CONNECT leaves nothing behind")
def leaves(house):
    before = house.traces()
    for octets in (b"", b"CONN", connect("api.test:443")[:-1]):
        for how in (struct.pack("ii", 1, 0), struct.pack("ii", 0, 0)):
            with dial(house, house.a) as raw:
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, how)
                raw.sendall(octets)
    await_until(lambda: house.metric("osb_connections_active") == 0, "no client connection stays")
    see_equal(house.traces(), before, "leaves, questions and what the origin saw")


# --- granted ---------------------------------------------------------------------------------------------------


@bench.case(
    "behind a granted CONNECT tokens are replaced, request after request, and the audit says where to",
    [
        ("as curl says it", "api.test:443", {}),
        ("a Host without the port", "api.test:443", {"host": "api.test"}),
        ("HTTP/1.0", "api.test:443", {"version": "1.0"}),
        ("upper case and a dot", "API.Test.:443", {}),
        ("another port", "api.test:8443", {}),
    ],
)
def granted(house, target, how):
    port = target.rpartition(":")[2]
    token, value = house.a.tokens["S1"], house.value("S1")
    with house.through(house.a, target, "api.test", **how) as client:
        before = house.origin.counts()[1]
        for turn in range(3):
            answer = client.ask(
                request("POST", f"/turn/{turn}", "api.test", b"Authorization: Bearer " + token, body=b"k=" + token)
            )
            see_equal(answer.status if answer else client.closed, 200, f"the status of request {turn}")
        seen = house.origin.await_requests(before + 3)[-1]
        see_equal(seen.get("authorization").encode(), b"Bearer " + value, "the field that the origin saw")
        see_equal(seen.body, b"k=" + value, "the body that it saw")
        see_equal(seen.get("host"), "api.test" if port == "443" else f"api.test:{port}", "the Host that it saw")
        see_equal(len({id(r.connection) for r in house.origin.requests[-3:]}), 1, "the connections to the origin")
        line = house.await_audit(lambda line: line["path"] == "/turn/2", "an audit line")
    got = {key: line[key] for key in ("sandbox", "dst", "host", "proto", "status", "action", "reason", "secrets")}
    want = ("sbA", None, "api.test", "h1", 200, "forward", None, ["S1"])
    see_equal(got, dict(zip(got, want)), "what was audited")


@bench.case("credentials for the proxy are passed over, and go nowhere")
def credentials(house):
    with house.through(house.a, "api.test:443", "api.test") as client:
        see_equal(client.ask(request("GET", "/", "api.test")).status, 200, "the status without")
    head = connect("api.test:443", "Proxy-Authorization: Basic " + "c2JCOnNiQg==", "Proxy-Connection: keep-alive")
    with ProxyClient(house, house.a, head, "api.test") as client:
        see_equal(client.ask(request("GET", "/who", "api.test")).status, 200, "the status with")
    see(b"c2JC" not in house.origin.requests[-1].head, "they reached the origin")
    see_equal(house.await_audit(lambda line: line["path"] == "/who", "an audit line")["sandbox"], "sbA", "the sandbox")


@bench.case("an address that is listed is served without a server name")
def literal(house):
    context = client_context()
    sandbox = type("Nameless", (), {"address": house.l.address, "context": context})
    with ProxyClient(house, sandbox, connect("127.0.0.1:443"), None) as client:
        see(client.shaken, f"the handshake ended with {client.closed}")
        see_equal(client.ask(request("GET", "/", "127.0.0.1")).status, 200, "the status")


@bench.case("a TLS session is resumed behind another CONNECT for the same host, and none for another host")
def resumed(house):
    with house.through(house.a, "api.test:443", "api.test") as client:
        see_equal(client.ask(request("GET", "/", "api.test")).status, 200, "the status")
        session = client.tls.session
    for host, again in (("api.test", True), ("echo.test", False)):
        with ProxyClient(house, house.a, connect(f"{host}:443"), host, session=session) as client:
            see(client.shaken, f"the handshake for {host} ended with {client.closed}")
            see_equal(client.tls.session_reused, again, f"whether the session was resumed for {host}")
            see_equal(client.ask(request("GET", "/", host)).status, 200, f"the status of {host}")


def curl(house, *words):
    return subprocess.run(
        ["curl", "-sS", "--interface", house.a.address, "--cacert", house.a.ca_file, "--max-time", "20"]
        + ["-x", f"http://127.0.0.1:{house.connect_port}", "-w", "%{http_connect} %{http_code} %{num_connects}\n"]
        + [*words],
        capture_output=True,
        env={"PATH": os.environ["PATH"], "HOME": house.folder},
    )


@bench.case("curl -x: two requests on one connection, a refusal it can name, and no plain HTTP")
def by_curl(house):
    bearer = "Authorization: Bearer " + house.a.tokens["S1"].decode()
    done = curl(house, "--http1.1", "-o", "/dev/null", "-o", "/dev/null", "-H", bearer, *["https://api.test/curl"] * 2)
    see_equal((done.returncode, done.stdout), (0, b"200 200 1\n000 200 0\n"), f"what it said ({short(done.stderr)})")
    see_equal(house.origin.requests[-1].get("authorization").encode(), b"Bearer " + house.value("S1"), "what arrived")
    done = curl(house, "https://evil.test/")
    see_equal((done.returncode, done.stdout), (56, b"403 000 1\n"), f"what it said ({short(done.stderr)})")
    done = curl(house, "-o", "/dev/null", "http://api.test/")
    see_equal((done.returncode, done.stdout), (0, b"000 405 1\n"), f"what it said ({short(done.stderr)})")


@bench.case("curl -x --http2: HTTP/2 inside a CONNECT is HTTP/2 as everywhere")
def by_curl_http2(house):
    bearer = "Authorization: Bearer " + house.a.tokens["S1"].decode()
    done = curl(house, "--http2", "-H", bearer, "-o", "/dev/null", "-w", "%{http_version}\n", "https://api.test/http2")
    see_equal((done.returncode, done.stdout), (0, b"2\n"), f"what it said ({short(done.stderr)})")
    see_equal(house.origin.requests[-1].get("authorization").encode(), b"Bearer " + house.value("S1"), "what arrived")
    line = house.await_audit(lambda line: line["path"] == "/http2", "an audit line")
    see_equal((line["proto"], line["host"], line["secrets"]), ("h2", "api.test", ["S1"]), "what was audited")


bench.run(ConnectHouse)
