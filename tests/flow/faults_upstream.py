"""faults_upstream - a host that is away, silent, untrusted or talks nonsense: which sentence the sandbox reads."""
import os
import select
import socket
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from case import Bench, see, see_equal, short
from house import NAMES, await_until, request
from origin import CLOSE, CUT, RESET, Origin, Pause, chunked, reply
from refusal import see_refusal
from rehouse import Rehouse, rehouse_last

bench = Bench()
CERTS = ("wrongname", "expired", "future", "selfsigned", "unknownca", "noname", "clientonly", "broken", "oldtls")
DNS = ("private", "nothing", "silent", "nodata")
RAW = ("refused", "full", "mute", "plaintext", "closes", "resets")
LINES = ("idle_timeout = 1s", "head_timeout = 1s", "connect_timeout = 600ms", "handshake_timeout = 5s")


class Listener:
    """A TCP server that is none for TLS: it says ${octets} and then ends, or stays mute."""

    def __init__(self, octets=None, how="stay"):
        self.octets, self.how, self.kept = octets, how, []
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                peer = self.socket.accept()[0]
            except OSError:
                return
            if self.octets:
                peer.sendall(self.octets)
            if self.how == "stay":
                self.kept.append(peer)
            elif self.how == "close":
                peer.recv(65536)  # so that it is a FIN
                peer.close()
            else:
                peer.close()  # with the hello unread: RST


class UpstreamHouse(Rehouse):
    def __init__(self, build):
        super().__init__(build, names=NAMES + tuple(f"{name}.cert.test" for name in CERTS))

    def furnish(self):
        super().furnish()
        hosts = [f"{name}.cert.test" for name in CERTS] + [f"{name}.dns.test" for name in DNS]
        hosts += [f"{name}.raw.test" for name in RAW]
        self.store("F", "api.test", *hosts)
        self.secret("F", "LINE", "api.test", value=b"first line of a key\nsecond line of a key")
        self.secret("F", "RETURN", "api.test", value=b"the value's end is a CR\r")
        self.secret("F", "ZERO", "api.test", value=b"a NUL \0 in the middle")
        self.secret("F", "FINE", "api.test")
        self.f = self.sandbox("sbF", "127.0.0.5", "F")
        self.open_raw()
        self.always += LINES
        self.config = list(self.always)
        self.show_certs()
        self.nameserver.silent.add("silent.dns.test")
        self.nameserver.addresses.update({"private.dns.test": ["10.1.2.3", "fd00::1"], "nodata.dns.test": []})

    def open_raw(self):
        with socket.create_server(("127.0.0.1", 0)) as gone:
            refused = gone.getsockname()[1]
        self.full = socket.socket()
        self.full.bind(("127.0.0.1", 0))
        self.full.listen(0)
        self.waiting = []
        for _ in range(3):  # the queue is full then: the kernel drops what else comes
            self.waiting.append(socket.socket())
            self.waiting[-1].setblocking(False)
            self.waiting[-1].connect_ex(self.full.getsockname())
        self.raw = {
            "mute": Listener(),
            "plaintext": Listener(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"),
            "closes": Listener(how="close"),
            "resets": Listener(how="reset"),
        }
        ports = {"refused": refused, "full": self.full.getsockname()[1]}
        ports.update((name, listener.port) for name, listener in self.raw.items())
        self.always += [f"connect_to = {name}.raw.test:443=127.0.0.1:{port}" for name, port in ports.items()]

    def show_certs(self):
        pki, name = self.pki, lambda kind: f"DNS:{kind}.cert.test"
        certs = {
            "wrongname": pki.leaf(self.root, "DNS:another.cert.test"),
            "expired": pki.leaf(self.root, name("expired"), start="20200101000000Z", end="20210101000000Z"),
            "future": pki.leaf(self.root, name("future"), start="20400101000000Z", end="20410101000000Z"),
            "selfsigned": pki.leaf(None, name("selfsigned")),
            "unknownca": pki.leaf(pki.root("Unknown Root"), name("unknownca")),
            "noname": pki.leaf(self.root, subject="/CN=noname.cert.test"),
            "clientonly": pki.leaf(self.root, name("clientonly"), usage="clientAuth"),
            "broken": pki.tampered(pki.leaf(self.root, name("broken"))),
        }
        for kind, cert in certs.items():
            self.origin.contexts[f"{kind}.cert.test"] = Origin.context(cert, lax=True)

    def scripted(self, steps, path="/fault"):
        self.origin.scripts[path] = steps
        return path


def see_code(house, host, status, code, says="", path="/", *fields):
    answer = house.get(house.f, host, path, *fields)
    return see_refusal(house, answer, status, code, says)


# --- getting there -----------------------------------------------------------------------------------------------


@bench.case(
    "a host that can't be reached is 502, one that does not answer in time 504",
    [
        ("the port is closed", "refused.raw.test", 502, "upstream_unreachable", "refused"),
        ("NXDOMAIN", "nothing.dns.test", 502, "upstream_unreachable", "resolve"),
        ("the name has no address", "nodata.dns.test", 502, "upstream_unreachable", ""),
        ("the name server is silent", "silent.dns.test", 504, "upstream_timeout", ""),
        ("its address is private", "private.dns.test", 403, "address_not_allowed", "private"),
        ("nobody accepts", "full.raw.test", 504, "upstream_timeout", "connecting"),
        ("it accepts and says nothing", "mute.raw.test", 504, "upstream_timeout", "handshake"),
        ("it speaks no TLS", "plaintext.raw.test", 502, "upstream_tls", ""),
        ("it closes in the handshake", "closes.raw.test", 502, "upstream_tls", ""),
        ("it resets in the handshake", "resets.raw.test", 502, "upstream_tls", ""),
    ],
)
def reach(house, host, status, code, says):
    line = see_code(house, host, status, code, says)
    see_equal((line["host"], line["sandbox"], line["secrets"]), (host, "sbF", []), "host, sandbox, secrets")


@bench.case("the failed host costs nothing: the same connection serves, or another, and no upstream stays busy")
def reach_after(house):
    see_equal(house.get(house.f, "api.test").status, 200, "the status")
    await_until(lambda: house.metric('osb_upstream_connections{state="busy"}') == 0, "no upstream is busy")


@bench.case(
    "a certificate that does not prove the name is 502, and the answer says which check failed",
    [
        ("another name", "wrongname", "name"),
        ("expired", "expired", "expired"),
        ("not valid yet", "future", "not yet valid"),
        ("self-signed", "selfsigned", "self.signed"),
        ("an unknown CA", "unknownca", "issuer|self.signed|trust"),
        ("a common name only", "noname", "name"),
        ("for clients only", "clientonly", "purpose"),
        ("a broken signature", "broken", "signature"),
    ],
)
def cert(house, kind, says):
    before = house.origin.counts()[1]
    see_code(house, f"{kind}.cert.test", 502, "upstream_tls", says, "/", b"X-Key: " + house.f.tokens["FINE"])
    see_equal(house.origin.counts()[1], before, "the number of requests that the origin saw")
    await_until(lambda: house.metric('osb_upstream_connections{state="busy"}') == 0, "no upstream is busy")


# --- what it answers ---------------------------------------------------------------------------------------------

GOOD = b"HTTP/1.1 200 OK\r\n"
NONSENSE = [
    ("octets that are none", [b"\x00\x01\x02\x03\xff\r\n\r\n"]),
    ("another protocol", [b"SSH-2.0-OpenSSH_9.2\r\n\r\n"]),
    ("HTTP/2.0", [b"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n"]),
    ("a status of two digits", [b"HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n"]),
    ("a status of letters", [b"HTTP/1.1 abc OK\r\nContent-Length: 0\r\n\r\n"]),
    ("two lengths", [GOOD + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab"]),
    ("a negative length", [GOOD + b"Content-Length: -1\r\n\r\n"]),
    ("a length and chunks", [GOOD + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"]),
    ("an unknown transfer coding", [GOOD + b"Transfer-Encoding: zip\r\n\r\n"]),
    ("a NUL in a field", [GOOD + b"X: a\0b\r\nContent-Length: 0\r\n\r\n"]),
    ("a bare LF", [b"HTTP/1.1 200 OK\nContent-Length: 0\n\n"]),
    ("a folded line", [GOOD + b"X: a\r\n b\r\nContent-Length: 0\r\n\r\n"]),
    ("a name with a blank", [GOOD + b"X : a\r\nContent-Length: 0\r\n\r\n"]),
    ("a head of 200 KiB", [GOOD + b"X: " + b"x" * 204800 + b"\r\nContent-Length: 0\r\n\r\n"]),
    ("500 fields", [GOOD + b"X: y\r\n" * 500 + b"Content-Length: 0\r\n\r\n"]),
    ("1xx without end", [b"HTTP/1.1 103 Early Hints\r\n\r\n" * 40, CLOSE]),
    (
        "101 that nobody asked for",
        [b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", CLOSE],
    ),
]


@bench.case("an answer outside the grammar is 502 upstream_protocol, and nothing of it is used", NONSENSE)
def nonsense(house, steps):
    path = house.scripted(steps)
    see_code(house, "api.test", 502, "upstream_protocol", "", path, b"X-Key: " + house.f.tokens["FINE"])
    await_until(lambda: house.origin.connections[-1].gone, "the connection to the host is ended")


@bench.case(
    "a host that ends before it answers is 502 upstream_unreachable",
    [
        ("cleanly", [CLOSE]),
        ("without close_notify", [CUT]),
        ("by RST", [RESET]),
        ("in the head", [GOOD + b"X: ", CLOSE]),
    ],
)
def ends(house, steps):
    house.origin.drop_all()
    answer = house.ask(house.f, "api.test", request("POST", house.scripted(steps), "api.test", body=b"x"))
    see_refusal(house, answer, 502, "upstream_unreachable")


@bench.case(
    "a host that never answers is 504 after idle_timeout",
    [
        ("nothing at all", []),
        ("half a head", [GOOD + b"X: y\r\n"]),
        ("an interim answer only", [b"HTTP/1.1 103 H\r\n\r\n"]),
    ],
)
def silent(house, before):
    house.gate("/silent", before, [CUT])
    line = see_code(house, "api.test", 504, "upstream_timeout", "", "/silent")
    house.open_gates()
    see(800 <= line["ms"] < 3000, f"it took {line['ms']} ms, and idle_timeout is 1 s")


HALF = [
    ("a length", GOOD + b"Content-Length: 1000\r\n\r\n" + b"x" * 400),
    ("chunks", GOOD + b"Transfer-Encoding: chunked\r\n\r\n" + chunked(b"x" * 400, last=b"")),
    ("inside a chunk", GOOD + b"Transfer-Encoding: chunked\r\n\r\n190\r\n" + b"x" * 200),
    (
        "trailers without an end",
        GOOD + b"Transfer-Encoding: chunked\r\n\r\n" + chunked(b"x" * 400, last=b"0\r\nX: y\r\n"),
    ),
    ("a bad chunk size", GOOD + b"Transfer-Encoding: chunked\r\n\r\n" + chunked(b"x" * 400, last=b"zz\r\n")),
]


@bench.case(
    "an answer that is cut short is cut short for the client too: never a clean end, never a whole message",
    [(f"{label}, {how}", head, how) for label, head in HALF for how in (CLOSE, CUT, RESET)]
    + [("until close, without close_notify", GOOD + b"Connection: close\r\n\r\n" + b"x" * 400, CUT)]
    + [("until close, by RST", GOOD + b"Connection: close\r\n\r\n" + b"x" * 400, RESET)],
)
def cut(house, octets, how):
    with house.client(house.f, "api.test") as client:
        answer = client.ask(request("GET", house.scripted([octets, how], "/cut"), "api.test"))
        client.rest()
        if answer is not None and answer.status == 502:  # it was cut before the head had gone: that is told
            see_refusal(house, answer, 502, answer.code)
            return
        see(client.closed in ("fin", "rst"), f"the connection ended with {client.closed}")
        see(answer is None or not answer.complete, "the client takes the message for a whole one")
    line = house.await_audit(lambda line: line["path"] == "/cut", "an audit line")
    see(line["action"] == "error" and line["reason"], f"audited as {line['action']}, {line['reason']}")


@bench.case("an answer that takes longer than idle_timeout, but never pauses so long, is served whole")
def trickled(house):
    steps = [GOOD + b"Content-Length: 6\r\n\r\n"] + [step for _ in range(6) for step in (Pause(300), b"x")]
    answer = house.get(house.f, "api.test", house.scripted(steps, "/trickled"))
    see_equal((answer.status, answer.body), (200, b"x" * 6), "status and body")


@bench.case("an answer that is silent in its middle is aborted after idle_timeout")
def middle(house):
    house.gate("/middle", [GOOD + b"Content-Length: 10\r\n\r\nhalf"], [CUT])
    with house.client(house.f, "api.test") as client:
        answer = client.ask(request("GET", "/middle", "api.test"))
        see(answer is None or not answer.complete, "the answer is whole")
        see(client.closed in ("fin", "rst"), f"the connection ended with {client.closed}")
    house.open_gates()


# --- what the request brings with it -----------------------------------------------------------------------------


@bench.case(
    "a value that can't stand in a header is 502 secret_unusable, and nothing is sent",
    [
        ("LF", "LINE", "X-Key: {}"),
        ("LF, Bearer", "LINE", "Authorization: Bearer {}"),
        ("CR", "RETURN", "X-Key: {}"),
        ("NUL", "ZERO", "X-Key: {}"),
        ("LF, behind a good one", "LINE", "X-Key: {fine}\r\nX-Other: {}"),
    ],
)
def unusable(house, name, field):
    house.origin.drop_all()
    before = house.origin.counts()
    text = field.replace("{fine}", house.f.tokens["FINE"].decode()).replace("{}", house.f.tokens[name].decode())
    line = see_code(house, "api.test", 502, "secret_unusable", "line breaks", "/unusable", text)
    see_equal(house.origin.counts(), before, "what the origin saw")
    see_equal(line["upstream_ms"], None, "upstream_ms")


@bench.case("the same value in a plain body is no matter")
def usable(house):
    body = b"key=" + house.f.tokens["LINE"]
    answer = house.ask(
        house.f, "api.test", request("POST", "/usable", "api.test", "Content-Type: text/plain", body=body)
    )
    see_equal(answer.status, 200, "the status")
    seen = house.origin.requests[-1].body
    see_equal(seen, b"key=first line of a key\nsecond line of a key", "the body that the origin saw")


# --- a client that takes its time or too much --------------------------------------------------------------------


def trickle(client, octets):
    """An octet each tenth of a second, until something comes back."""
    for at in range(len(octets)):
        client.send(octets[at : at + 1])
        if select.select([client.socket], [], [], 0.1)[0]:
            return


@bench.case(
    "a client's head or body that does not come in time is 408",
    [
        ("half a head", b"GET /slow HTTP/1.1\r\nHost: api.test\r\n", None),
        ("an octet now and then", b"GET /slow HTTP/1.1\r\n", b"Host: api.test\r\nX-Long: " + b"x" * 60),
        ("half a body", request("POST", "/slow", "api.test", body=b"", framing=b"Content-Length: 9") + b"half", None),
        (
            "half a body that is measured first",
            request("POST", "/slow", "api.test", "Content-Type: text/plain", body=b"", framing=b"Content-Length: 9")
            + b"half",
            None,
        ),
        (
            "chunks without an end",
            request("POST", "/slow", "api.test", "Transfer-Encoding: chunked") + b"4\r\nhalf\r\n",
            None,
        ),
    ],
)
def slow(house, octets, slowly):
    with house.client(house.f, "api.test") as client:
        client.send(octets)
        if slowly:
            trickle(client, slowly)
        see_refusal(house, client.response(), 408, "request_timeout")
        client.rest()
        see(client.closed == "close_notify", f"the connection ended with {client.closed}")


@bench.case(
    "what is larger than the limits is told so, and the origin sees nothing",
    [
        ("a head of 70 KiB", request("GET", "/", "api.test", "X: " + "x" * 71680), 431),
        ("129 fields", request("GET", "/", "api.test", *["X: y"] * 130), 431),
        ("300 fields", request("GET", "/", "api.test", *["X: y"] * 300), 431),
        ("a target of 70 KiB", request("GET", "/" + "x" * 71680, "api.test"), 414),
    ],
)
def large(house, octets, status):
    before = house.origin.counts()
    with house.client(house.f, "api.test") as client:
        see_refusal(house, client.ask(octets), status, "too_large")
        client.rest()
        see(client.closed == "close_notify", f"the connection ended with {client.closed}")
    see_equal(house.origin.counts(), before, "what the origin saw")


# --- the answer's form -------------------------------------------------------------------------------------------


@bench.case(
    "an error is text/plain for git and for who asks for it, else JSON",
    [
        ("nothing said", (), False),
        ("curl", ("User-Agent: curl/8.0", "Accept: */*"), False),
        ("an SDK", ("Accept: application/json",), False),
        ("both, JSON first", ("Accept: application/json, text/plain",), False),
        ("git", ("User-Agent: git/2.39.2", "Accept: */*"), True),
        ("text/plain", ("Accept: text/plain",), True),
        ("text/plain; q=0.5", ("Accept: text/plain;q=0.5, */*;q=0.1",), True),
    ],
)
def form(house, fields, plain):
    for host, status, code in (
        ("evil.test", 403, "host_not_allowed"),
        ("nothing.dns.test", 502, "upstream_unreachable"),
    ):
        see_refusal(house, house.get(house.f, host, "/", *fields), status, code, plain=plain)


@bench.case("HEAD gets an error's head alone, a gRPC call its trailers alone")
def form_head(house):
    answer = house.ask(house.f, "evil.test", request("HEAD", "/", "evil.test"), head_only=True)
    see_equal((answer.status, answer.code, answer.body), (403, "host_not_allowed", b""), "HEAD")
    answer = house.ask(
        house.f, "evil.test", request("POST", "/s/M", "evil.test", "Content-Type: application/grpc", body=b"")
    )
    see_equal((answer.status, answer.get("grpc-status"), answer.body), (200, "7", b""), "gRPC")
    see(answer.get("grpc-message"), "no grpc-message")


@bench.case("an error on a connection that lives does not end it, where the request was read whole")
def goes_on(house):
    with house.client(house.f, "api.test") as client:
        for path, steps, status in (("/a", None, 200), ("/b", [b"nonsense\r\n\r\n"], 502), ("/c", [reply()], 200)):
            if steps:
                house.scripted(steps, path)
            answer = client.ask(request("GET", path, "api.test"))
            see_equal(answer.status if answer else client.closed, status, f"the status of {path}")


rehouse_last(bench)
bench.run(UpstreamHouse)
