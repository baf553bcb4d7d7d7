"""h2_client - HTTP/2 towards the sandbox: every stream is a request like any other, and no stream is another's business."""
import hashlib
import os
import random
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import h2client as h2
from case import Bench, see, see_equal
from early import behind_head
from h2client import H2Client, data, frame, get, headers, post, pseudo, rst, window
from house import House, await_until
from origin import Pause, chunked, reply

bench = Bench()
TEXT, BINARY = (b"content-type", b"text/plain"), (b"content-type", b"application/octet-stream")


class H2House(House):
    def h2(self, host="api.test", sandbox=None, begin=True, **more):
        sandbox = sandbox or self.a
        client = H2Client(("127.0.0.1", self.port), sandbox.address, host, sandbox.ca_file, **more)
        self.clients.append(client)
        see(client.shaken, f"the handshake ended with {client.closed}")
        see_equal(client.tls.selected_alpn_protocol(), "h2", "the protocol")
        return client.begin() if begin else client

    def last(self):
        return self.origin.requests[-1]


def token(house, name="S1"):
    return house.a.tokens[name]


def see_status(stream, status, code=None):
    see(stream.reset is None or stream.status, f"the stream was reset with {stream.reset}")
    see_equal((stream.status, stream.code), (status, code), "status and code")
    return stream


# --- a request and its answer ------------------------------------------------------------------------------------------


@bench.case("a GET is served, and its field's token is replaced", [("cold", 1), ("the third on its connection", 5)])
def get_token(house, number):
    with house.h2() as client:
        for n in range(1, number + 1, 2):
            client.send(get(n, b"/got", (b"authorization", b"Bearer " + token(house))))
            it = see_status(client.answer(n), 200)
            see(it.ended and it.reset is None, f"ended {it.ended}, reset {it.reset}")
            see_equal(it.body, b'{"ok":true}', "the body")
        seen = house.last()
        see_equal(seen.get("authorization"), "Bearer " + house.value("S1").decode(), "the field at the origin")
        see_equal(seen.get("host"), "api.test", "Host at the origin")
        see(not seen.get("te") and not seen.get("connection"), f"a hop's field: {seen.fields}")
    line = house.await_audit(lambda line: line["path"] == "/got" and line["secrets"] == ["S1"], "its line")
    see_equal((line["proto"], line["upstream_proto"], line["status"]), ("h2", "h1", 200), "protocols and status")


@bench.case(
    "a body meets an h1 host with an exact length where it had one, else in chunks; tokens in text are replaced",
    [
        (f"{kind}, {'a' if counted else 'no'} length, {len(front)} octets before the token", field, counted, front)
        for kind, field in (("text", TEXT), ("binary", BINARY))
        for counted in (True, False)
        for front in (b"", b"x" * 40000, b"y" * 300000)
    ],
)
def body_token(house, field, counted, front):
    house.secret("A", "S1", "api.test", value=house.value("S1"), places=("header", "basic", "body"))
    body = front + b"<" + token(house) + b">" + b"z" * 100
    want = body.replace(token(house), house.value("S1")) if field == TEXT else body
    with house.h2() as client:
        fields = (field, (b"content-length", b"%d" % len(body))) if counted else (field,)
        client.send(post(1, b"/sink", *fields))
        send_body(client, 1, body)
        it = see_status(client.answer(1), 200)
        see(hashlib.sha256(want).hexdigest().encode() in it.body, f"the origin got {it.body}")
        see_equal(house.last().framing, "length" if counted else "chunked", "the framing at the origin")


def send_body(client, number, body, end=True):
    """As fast as the windows allow; a peer's initial windows are the protocol's."""
    left = {0: 65535, number: 65535}
    at, sizes = 0, (16384,)
    take = client.take

    def note(kind, flags, stream, payload):
        if kind == h2.WINDOW_UPDATE and stream in left:
            left[stream] += int.from_bytes(payload, "big")
        take(kind, flags, stream, payload)

    client.take = note
    while at < len(body):
        room = min(left[0], left[number], *sizes, len(body) - at)
        if room == 0:
            see(client.next() is not None, f"the connection ended with {client.closed} at {at}")
            see(client.stream(number).reset is None, f"reset with {client.stream(number).reset} at {at}")
            continue
        client.send(data(number, body[at : at + room], end and at + room == len(body)))
        left[0] -= room
        left[number] -= room
        at += room
    client.take = take


@bench.case("a token that is cut over DATA frames, with and without padding, is replaced: every cut")
def cut_token(house):
    house.secret("A", "S1", "api.test", value=house.value("S1"), places=("header", "basic", "body"))
    mark = token(house)
    body = b"a=" + mark + b"&b"
    want = hashlib.sha256(body.replace(mark, house.value("S1"))).hexdigest().encode()
    with house.h2(seconds=30) as client:
        number = 1
        for cut in range(1, len(body)):
            pad = None if cut % 2 else cut * 5
            client.send(post(number, b"/sink", TEXT) + data(number, body[:cut], pad=pad) + data(number, b"", pad=0))
            client.send(data(number, body[cut:], end=True, pad=pad))
            see(want in see_status(client.answer(number), 200).body, f"another body at cut {cut}")
            number += 2


@bench.case("a token in a field that is cut over CONTINUATION, Huffman-coded or from the table is replaced")
def coded_token(house):
    import hpack

    value = b"Bearer " + token(house)
    with house.h2() as client:
        octets = h2.block(*pseudo(path=b"/got"), (b"authorization", value))
        for n, cut in enumerate((1, 20, len(octets) - 30, len(octets) - 1)):
            client.send(frame(h2.HEADERS, h2.END_STREAM, 2 * n + 1, octets[:cut]))
            client.send(frame(h2.CONTINUATION, h2.END_HEADERS, 2 * n + 1, octets[cut:]))
            see_status(client.answer(2 * n + 1), 200)
            see_equal(house.last().get("authorization"), "Bearer " + house.value("S1").decode(), f"cut at {cut}")
        encoder = hpack.Encoder()
        for number in (11, 13, 15):  # first Huffman-coded into the table, then out of it
            block = encoder.encode(pseudo(path=b"/got") + [(b"authorization", value)], huffman=True)
            client.send(headers(number, None, payload=block))
            see_status(client.answer(number), 200)
            see_equal(house.last().get("authorization"), "Bearer " + house.value("S1").decode(), f"stream {number}")


@bench.case("trailers go both ways, and a token in one is replaced")
def trailers(house):
    house.origin.scripts["/trailers"] = [
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n"
        + chunked(b"abc", b"def", last=b"0\r\nX-Sum: 6\r\n\r\n")
    ]
    with house.h2() as client:
        client.send(post(1, b"/trailers", (b"te", b"trailers"), TEXT), data(1, b"body"))
        client.send(headers(1, [(b"x-token", token(house)), (b"x-plain", b"1")]))
        it = see_status(client.answer(1), 200)
        see_equal((it.body, it.trailers), (b"abcdef", [("x-sum", "6")]), "body and trailers")
        seen = dict(house.last().trailers)
        see_equal((seen.get(b"x-token"), seen.get(b"x-plain")), (house.value("S1"), b"1"), "the trailers there")


@bench.case("crumbs of a cookie are one field for an h1 host")
def crumbs(house):
    with house.h2() as client:
        client.send(get(1, b"/got", (b"cookie", b"a=1"), (b"x-y", b"z"), (b"cookie", b"b=" + token(house))))
        see_status(client.answer(1), 200)
        see_equal(house.last().all("cookie"), [b"a=1; b=" + house.value("S1")], "Cookie at the origin")


@bench.case("100-continue and 103 come as heads of their own", [("100", 100), ("103", 103)])
def interim(house, status):
    house.origin.scripts["/hints"] = [b"HTTP/1.1 103 Early Hints\r\nLink: <a>\r\n\r\n", reply()]
    with house.h2() as client:
        if status == 103:
            client.send(get(1, b"/hints"))
        else:
            client.send(post(1, b"/sink", TEXT, (b"expect", b"100-continue"), (b"content-length", b"4")))
            see(client.until(lambda: client.stream(1).interim), f"no 100, but {client.closed}")
            client.send(data(1, b"body", end=True))
        it = see_status(client.answer(1), 200)
        see_equal([dict(fields)[":status"] for fields in it.interim], [str(status)], "the interim heads")


@bench.case(
    "an answer without a body ends with its head, and keeps its length where it has one",
    [("HEAD", b"HEAD", 200, "7"), ("204", b"GET", 204, None), ("304", b"GET", 304, "9")],
)
def bodiless(house, method, status, length):
    octets = {
        200: b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n",
        204: b"HTTP/1.1 204 No Content\r\n\r\n",
        304: b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n",
    }
    house.origin.scripts["/bodiless"] = [octets[status]]
    with house.h2() as client:
        client.send(headers(1, pseudo(method, b"/bodiless")))
        it = see_status(client.answer(1), status)
        see_equal((it.get("content-length"), it.body, it.ended), (length, b"", True), "length, body, end")


@bench.case("large answers come whole, several at once", [("1 of 4 MB", 1, 4 << 20), ("20 of 300 kB", 20, 300000)])
def large(house, count, octets):
    body = random.Random(1).randbytes(octets)
    house.origin.scripts["/large"] = [reply(body=body)]
    with house.h2(seconds=30) as client:
        client.send(b"".join(get(2 * n + 1, b"/large") for n in range(count)))
        for n in range(count):
            it = see_status(client.answer(2 * n + 1), 200)
            see(it.body == body, f"stream {2 * n + 1}: {len(it.body)} octets, reset {it.reset}")


@bench.case("a hundred streams at once are served, and then others; one more at once breaks the protocol")
def hundred(house):
    house.origin.scripts["/wait"] = [Pause(300), reply()]
    with house.h2(seconds=30) as client:
        see(client.pong(), "no answer to a PING")
        see_equal(client.settings.get(h2.MAX_CONCURRENT_STREAMS), 100, "MAX_CONCURRENT_STREAMS")
        for first in (1, 201):
            client.send(b"".join(get(first + 2 * n, b"/wait") for n in range(100)))
            for n in range(100):
                see_status(client.answer(first + 2 * n), 200)
        client.send(b"".join(get(401 + 2 * n, b"/wait") for n in range(101)))
        client.until(lambda: client.goaway or client.stream(601).reset is not None)
        got = client.goaway[1] if client.goaway else client.stream(601).reset
        see(got in (h2.PROTOCOL_ERROR, h2.REFUSED_STREAM), f"code {got}, {client.closed}")


# --- streams side by side ----------------------------------------------------------------------------------------------


@bench.case("a slow reader on one stream stalls neither its neighbours nor us, and holds no more than its window")
def slow_reader(house):
    house.origin.scripts["/slow"] = [reply(body=b"s" * 4000000)]
    with house.h2(credit=False) as client:
        client.send(window(0, 1 << 24), get(1, b"/slow"))
        see(client.until(lambda: len(client.stream(1).body) >= 65535), "the window was not filled")
        for number in range(3, 43, 2):
            client.send(get(number))
            see_status(client.answer(number), 200)
        see_equal(len(client.stream(1).body), 65535, "octets of the slow one")
        client.send(window(1, 1 << 24))
        see_equal(len(see_status(client.answer(1), 200).body), 4000000, "octets of the slow one")


@bench.case("an upload that the host does not take stops at its window, beside others that flow")
def slow_host(house):
    stop = threading.Event()

    def stuck(connection, head):
        stop.wait(10)
        return False

    with behind_head(house, b"POST /stuck", stuck), house.h2() as client:
        client.send(post(1, b"/stuck", BINARY), data(1, b"u" * 16384) * 3)
        for number in range(3, 23, 2):
            client.send(get(number))
            see_status(client.answer(number), 200)
        stop.set()
        client.send(rst(1))


@bench.case("an answer before the body is whole ends its stream, and the client is told that no more is wanted")
def early(house):
    def refuse(connection, head):
        connection.tls.sendall(reply(413, b"too much"))
        while connection.pull():
            pass

    with behind_head(house, b"POST /early", refuse), house.h2() as client:
        client.send(post(1, b"/early", BINARY), data(1, b"first"))
        it = see_status(client.answer(1), 413)
        see(client.until(lambda: it.reset is not None), "no reset")
        see_equal((it.body, it.ended, it.reset), (b"too much", True, h2.NO_ERROR), "body, end, reset")
        client.send(data(1, b"on its way", end=True), get(3))
        see_status(client.answer(3), 200)


@bench.case(
    "a client's reset ends the request, the host is told, and the connection goes on",
    [("in a streamed body", BINARY, True), ("while the host thinks", BINARY, False), ("in a counted body", TEXT, True)],
)
def reset(house, field, in_body):
    gone = threading.Event()

    def watch(connection, head):
        while connection.pull():
            pass
        gone.set()

    before, old = len(house.audit()), len(house.origin.connections)
    with behind_head(house, b"POST /reset", watch), house.h2() as client:
        fields = (field, (b"content-length", b"5000")) if field == TEXT else (field,)
        client.send(post(1, b"/reset", *fields), data(1, b"part", end=not in_body))
        client.pong()
        if field == BINARY:
            await_until(lambda: any(b"part" in c.octets for c in house.origin.connections[old:]), "the host has a part")
        client.send(rst(1), get(3))
        see_status(client.answer(3), 200)
        if field == BINARY:
            see(gone.wait(5), "the host was not told")
        line = house.await_audit(lambda line: line["path"] == "/reset" and line["reason"], "its line")
        see_equal(line["reason"], "client_gone", "the reason")
    see_equal(len([line for line in house.audit()[before:] if line["path"] == "/reset"]), 1, "lines of it")


@bench.case(
    "a host that fails in the middle of its answer ends that stream alone",
    [
        ("it closes", b"Content-Length: 9\r\n\r\nabc"),
        ("it sends no chunk", b"Transfer-Encoding: chunked\r\n\r\n3\r\nabcX"),
    ],
)
def host_fails(house, octets):
    house.origin.scripts["/fails"] = [b"HTTP/1.1 200 OK\r\n" + octets, Pause(50), "RST"]
    with house.h2() as client:
        client.send(get(1, b"/fails"))
        it = client.answer(1)
        see_equal((it.status, it.reset, it.ended), (200, h2.INTERNAL_ERROR, False), "status, reset, end")
        client.send(get(3))
        see_status(client.answer(3), 200)


# --- refusals ----------------------------------------------------------------------------------------------------------

REFUSED = [
    ("another host", get(1, authority=b"echo.test"), 421, "host_mismatch"),
    ("a host that is not allowed", get(1, authority=b"evil.test"), 421, "host_mismatch"),
    ("another port", get(1, authority=b"api.test:8443"), 421, "host_mismatch"),
    ("userinfo", get(1, authority=b"a@api.test"), 400, "bad_request"),
    ("host that differs", get(1, b"/", (b"host", b"echo.test")), 421, "host_mismatch"),
    ("the scheme http", get(1, scheme=b"http"), 421, "host_mismatch"),
    ("CONNECT", headers(1, [(b":method", b"CONNECT"), (b":authority", b"api.test:443")]), 405, "method_not_allowed"),
    ("TRACE", headers(1, pseudo(b"TRACE")), 405, "method_not_allowed"),
    ("# in the target", get(1, b"/a#b"), 400, "bad_request"),
    ("a target that is too long", get(1, b"/" + b"a" * 70000), None, "too_large"),
    ("too many fields", get(1, b"/", *[(b"a%d" % n, b"1") for n in range(200)]), 431, "too_large"),
    ("too many crumbs", get(1, b"/", *[(b"cookie", b"a=1")] * 200), 431, "too_large"),
    ("an expectation", get(1, b"/", (b"expect", b"wonders")), 400, "bad_request"),
]


@bench.case("what is refused is told on its stream alone, and nothing reaches the host", REFUSED)
def refused(house, octets, status, code):
    before = house.origin.counts()
    with house.h2() as client:
        if len(octets) > 16384 + 9:  # one frame is too small for it
            block = octets[9:]
            octets = frame(h2.HEADERS, h2.END_STREAM, 1, block[:16384])
            for at in range(16384, len(block), 16384):
                rest = block[at : at + 16384]
                octets += frame(h2.CONTINUATION, h2.END_HEADERS if at + 16384 >= len(block) else 0, 1, rest)
        client.send(octets)
        it = client.answer(1)
        if status is None:
            see(it.status in (414, 431) or client.goaway, f"status {it.status}, {client.closed}")
            return
        see_status(it, status, code)
        see_equal(it.reset, None, "the reset")
        see_equal(house.origin.counts(), before, "what the origin saw")
        client.send(get(3))
        see_status(client.answer(3), 200)


@bench.case("host beside :authority that says the same, or in its place, is served", [("both", True), ("host", False)])
def host_field(house, both):
    fields = pseudo(path=b"/got") if both else [f for f in pseudo(path=b"/got") if f[0] != b":authority"]
    with house.h2() as client:
        client.send(headers(1, fields + [(b"host", b"api.test")]))
        see_status(client.answer(1), 200)
        see_equal(house.last().all("host"), [b"api.test"], "Host at the origin")


@bench.case("a gRPC call that is refused is told in one frame, status 200 with grpc-status")
def grpc_refused(house):
    with house.h2() as client:
        client.send(post(1, b"/a.B/C", (b"content-type", b"application/grpc"), authority=b"echo.test"))
        client.send(data(1, b"\0\0\0\0\2hi", end=True))
        kinds = []
        while not client.stream(1).ended:
            got = client.next()
            see(got is not None, f"the connection ended with {client.closed}")
            if got[2] == 1:
                kinds.append((got[0], got[1] & h2.END_STREAM))
        it = see_status(client.stream(1), 200, "host_mismatch")
        see_equal((kinds[:1], it.get("grpc-status")), ([(h2.HEADERS, 1)], "7"), "frames, grpc-status")


@bench.case("another host's token in a body goes on as it is")
def denied(house):
    house.secret("A", "S1", "api.test", value=house.value("S1"), places=("header", "basic", "body"))
    with house.h2() as client:
        client.send(post(1, b"/sink", TEXT), data(1, token(house, "S2") + b" " * 60, end=True))
        see_status(client.answer(1), 200)
        see_equal(house.last().body, token(house, "S2") + b" " * 60, "the body at the origin")


# --- the life of a connection ----------------------------------------------------------------------------------------------


@bench.case(
    "a client that leaves with streams open leaves nothing behind", [(how, how) for how in ("close", "rst", "goaway")]
)
def leaves(house, how):
    house.origin.scripts["/large"] = [reply(body=b"l" * 3000000)]
    client = house.h2(credit=False)
    client.send(*(get(n, b"/large") for n in range(1, 41, 2)), post(41, b"/sink", BINARY), data(41, b"part"))
    client.send(frame(h2.HEADERS, 0, 43, b"\x82"))
    time.sleep(0.1)
    if how == "goaway":
        client.send(frame(h2.GOAWAY, 0, 0, b"\0" * 8))
        time.sleep(0.05)
    client.end("rst" if how == "rst" else "close")
    await_until(lambda: house.metric("osb_connections_active") == 0, "the connection is gone", 5)


@bench.case("a sandbox that is deleted ends its streams, with a line for each")
def revoked(house):
    gone = house.sandbox("gone", "127.0.0.4", "A")
    house.origin.scripts["/events"] = [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"] + [
        Pause(100),
        b"1\r\nx\r\n",
    ] * 30
    with house.h2(sandbox=gone) as client:
        client.send(*(get(n, b"/events") for n in (1, 3, 5)))
        client.until(lambda: all(client.stream(n).body for n in (1, 3, 5)))
        house.ctl("sandbox", "delete", "gone")
        client.over()
        see(client.closed != "timeout", "the connection stayed open")
    lines = [line for line in house.audit() if line["path"] == "/events"]
    see_equal([line["reason"] for line in lines], ["revoked"] * 3, "the reasons")
    del house.sandboxes["gone"]


@bench.case(
    "no state spins",
    [
        ("idle", b""),
        ("in a head", frame(h2.HEADERS, 0, 1, b"\x82")),
        ("in a body", post(1, b"/sink", BINARY) + data(1, b"x")),
        ("the host is silent", get(1, b"/silent") + get(3, b"/silent")),
        ("the answers are not read", b"".join(get(n, b"/large") for n in range(1, 41, 2))),
        ("the window is 0", h2.settings((4, 0)) + get(1, b"/large")),
    ],
)
def spins(house, octets):
    house.origin.scripts["/silent"] = [Pause(1500)]
    house.origin.scripts["/large"] = [reply(body=b"l" * 3000000)]
    clients = [house.h2(credit=False).send(octets) for _ in range(4)]
    time.sleep(0.3)
    before = house.ticks()
    time.sleep(1)
    spent = house.ticks() - before
    for client in clients:
        client.end("rst")
    see(spent <= 20, f"{spent} hundredths of a second in one second")
    house.origin.drop_all()
    await_until(lambda: house.metric("osb_connections_active") == 0, "the connections are gone", 5)


@bench.case("TERM: a stream that is under way ends whole, one that was sent before the goodbye is served, then it ends")
def drain(house):
    with H2House(house.build) as mine:
        mine.origin.scripts["/slow"] = [b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabcde", Pause(600), b"fghij"]
        with mine.h2() as client, mine.h2() as idle:
            client.send(get(1, b"/slow"))
            client.until(lambda: client.stream(1).body)
            mine.proxy.child.terminate()
            see(client.until(lambda: client.goaway), f"no GOAWAY, {client.closed}")
            see_equal(client.goaway, (0x7FFFFFFF, 0), "the first GOAWAY")
            client.send(get(3))
            see_status(client.answer(3), 200)
            see_equal(see_status(client.answer(1), 200).body, b"abcdefghij", "the body")
            client.over()
            see_equal((client.goaways[-1], client.closed), ((3, 0), "close_notify"), "the last GOAWAY and the end")
            idle.over()
            see_equal((idle.goaways[-1], idle.closed), ((0, 0), "close_notify"), "those of an idle one")
        see_equal(mine.proxy.end(), 0, "the exit code")
        mine.see_sanitizers()


@bench.case("deadlines: no stream, a head that does not end, a body that does not come, an answer that is not read")
def deadlines(house):
    with H2House(house.build, config=["idle_timeout = 700ms", "head_timeout = 600ms"]) as mine:
        mine.origin.scripts["/large"] = [reply(body=b"l" * 300000)]
        with mine.h2(seconds=5) as client:
            client.over()
            see_equal((client.goaway, client.closed), ((0, 0), "close_notify"), "idle: GOAWAY and end")
        with mine.h2(seconds=5) as client:
            client.send(frame(h2.HEADERS, 0, 1, b"\x82"))
            client.over()
            see(client.goaway and client.closed == "close_notify", f"in a head: {client.goaway}, {client.closed}")
        with mine.h2(seconds=5) as client:
            client.send(post(1, b"/sink", BINARY), data(1, b"x"))
            see_status(client.answer(1), 408, "request_timeout")
        with mine.h2(seconds=5, credit=False) as client:
            client.send(get(1, b"/large"))
            see_equal(client.answer(1).reset, h2.CANCEL, "unread: the reset")
        mine.await_audit(lambda line: line["reason"] == "client_slow" and line["path"] == "/large", "its line")
        see_equal(mine.proxy.end(), 0, "the exit code")
        mine.see_sanitizers()


@bench.case("more connections than allowed are told so on their streams, then GOAWAY")
def limited(house):
    with H2House(house.build, config=["sandbox_connections = 2"]) as mine:
        with mine.h2() as one, mine.h2() as two, mine.h2() as three:
            for client in (one, two):
                client.send(get(1))
                see_status(client.answer(1), 200)
            three.send(get(1))
            it = see_status(three.answer(1), 429, "too_many_connections")
            see_equal(it.get("retry-after"), "1", "retry-after")
            three.over()
            see(three.goaway and three.closed == "close_notify", f"{three.goaway} {three.closed}")
        await_until(lambda: mine.metric("osb_connections_active") == 0, "they are gone")
        with mine.h2(seconds=20) as client:
            mine.origin.scripts["/silent"] = [Pause(2000), reply()]
            client.send(*(get(n, b"/silent") for n in range(1, 23, 2)))
            client.until(lambda: all(client.stream(n).reset == h2.REFUSED_STREAM for n in (17, 19, 21)))
            see_equal(client.closed, None, "a sandbox' ninth stream, with two connections allowed: the end")
        see_equal(mine.proxy.end(), 0, "the exit code")
        mine.see_sanitizers()


# --- clients that people use -----------------------------------------------------------------------------------------------


def run(house, *words, seconds=120):
    done = subprocess.run(words, capture_output=True, timeout=seconds)
    return done.returncode, done.stdout, done.stderr


@bench.case("curl speaks h2 to it: a GET, a POST with a token, an upload, a download")
def curl(house):
    house.secret("A", "S1", "api.test", value=house.value("S1"), places=("header", "basic", "body"))
    big = f"{house.folder}/big"
    with open(big, "wb") as out:
        out.write(os.urandom(2000000))
    house.origin.scripts["/large"] = [reply(body=b"l" * 3000000)]
    to = ["--http2", "--cacert", house.a.ca_file, "--interface", house.a.address, "-sS"]
    to += ["--resolve", f"api.test:{house.port}:127.0.0.1", "--connect-to", f"api.test:443:127.0.0.1:{house.port}"]
    for words, want in (
        (["https://api.test/", "-w", "%{http_version}"], b'{"ok":true}2'),
        (["https://api.test/echo", "-d", "t=" + token(house).decode()], b"t=osb_redacted*"),
        (["https://api.test/sink", "-T", big], hashlib.sha256(open(big, "rb").read()).hexdigest().encode()),
        (["https://api.test/large"], b"l" * 3000000),
    ):
        code, out, said = run(house, "curl", *to, *words)
        see_equal(code, 0, f"curl's code for {words[0]}, {said}")
        see(want in out, f"{words[0]}: {len(out)} octets, {out[:200]}")
        if "-d" in words:
            see_equal(house.last().body, b"t=" + house.value("S1"), "the body at the origin")


def load(house, *words):
    code, out, said = run(
        house, "h2load", f"--connect-to=127.0.0.1:{house.port}", *words, "https://api.test/", seconds=300
    )
    see_equal(code, 0, f"h2load's code, {said[-300:]}")
    see(b"Application protocol: h2" in out, out[:300].decode())
    return out


@bench.case("h2load: 100 connections of 100 streams, each request refused on its own; then fewer of them served")
def loaded(house):
    with H2House(house.build, config=["sandbox_connections = 0"]) as mine:
        mine.sandbox("here", "127.0.0.1", "A")  # h2load can't choose its address
        out = load(mine, "-n20000", "-c100", "-m100", "-H:authority: echo.test")
        see(b"20000 done, 0 succeeded, 20000 failed, 0 errored, 0 timeout" in out, out[-700:].decode())
        see(b"0 2xx, 0 3xx, 20000 4xx, 0 5xx" in out, out[-700:].decode())
        out = load(mine, "-n6000", "-c20", "-m10")
        see(b"6000 succeeded, 0 failed, 0 errored" in out, out[-700:].decode())
        see_equal(mine.proxy.end(), 0, "the exit code")
        mine.see_sanitizers()


if __name__ == "__main__":
    bench.run(H2House)
