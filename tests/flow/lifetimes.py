"""lifetimes - what begins also ends: either side closing in any state, retries, drains, Redis away; and nothing spins."""
import os
import socket
import ssl
import struct
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from case import Bench, see, see_equal
from house import House, await_until, request
from origin import CUT, Pause, chunked, reply

bench = Bench()
BINARY, TEXT = b"Content-Type: application/octet-stream\r\n", b"Content-Type: text/plain\r\n"


def post(path, fields, length, method=b"POST"):
    return method + b" " + path + b" HTTP/1.1\r\nHost: api.test\r\n" + fields + b"Content-Length: %d\r\n\r\n" % length


def half_close(client):
    """close_notify, with the connection left open for what is still to come."""
    try:
        client.tls.unwrap()
    except ssl.SSLError:
        pass
    client.flush()


def see_gone(house, what, seconds=3):
    await_until(lambda: house.metric("osb_connections_active") == 0, f"{what}: the connection is gone", seconds)


@bench.case(
    "a client that leaves in the middle of a request leaves nothing behind",
    [
        (f"{how} {label}", how, octets)
        for how in ("close", "rst", "fin")
        for label, octets in (
            ("in a head", b"GET / HT"),
            ("in a small counted body", post(b"/", TEXT, 100) + b"{"),
            ("in a large counted body", post(b"/", TEXT, 100000) + b"x" * 50000),
            ("in a streamed body", post(b"/", BINARY, 100000) + b"x" * 50000),
        )
    ],
)
def client_leaves(house, how, octets):
    client = house.client(house.a, "api.test")
    client.send(octets)
    time.sleep(0.05)
    if how == "fin":
        client.socket.close()
    else:
        client.end(how)
    see_gone(house, how)


@bench.case("a client that closed its own half still gets the whole answer", [("small", 20), ("large", 300000)])
def half_closed(house, length):
    house.origin.scripts["/half"] = [Pause(100), reply(body=b"x" * length)]
    client, got = house.client(house.a, "api.test"), 0
    client.send(request("GET", "/half", "api.test"))
    half_close(client)
    while more := client.socket.recv(65536):
        got += len(more)
    client.socket.close()
    see(got > length, f"{got} octets of ciphertext for a body of {length}")


@bench.case("to a 1.0 client that keeps alive, a body without a length ends with the connection")
def stream_to_1_0(house):
    house.origin.scripts["/stream"] = [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(b"abc")]
    with house.client(house.a, "api.test", seconds=3) as client:
        client.send(b"GET /stream HTTP/1.0\r\nHost: api.test\r\nConnection: keep-alive\r\n\r\n")
        see_equal(client.response().body, b"abc", "the body")
        see_equal(client.closed, "close_notify", "the end")


@bench.case(
    "a pooled upstream that dies behind the whole body: sent again as it was or refused, never with what follows",
    [
        (f"{kind} {length}", fields, length)
        for kind, fields in (("verbatim", BINARY), ("counted", TEXT))
        for length in (1000, 15000, 100000)
    ],
)
def upstream_dies(house, fields, length):
    deaths, answer, body = [], house.origin.answer, b"z" * length
    before = len(house.origin.requests)

    def die_once(connection, got):
        if got.start.startswith(b"PUT /die ") and not deaths:
            deaths.append(1)
            connection.end(CUT)
            return False
        return answer(connection, got)

    house.origin.drop_all()
    with house.client(house.a, "api.test", seconds=5) as client:
        see_equal(client.ask(request("GET", "/warm", "api.test")).status, 200, "the status that fills the pool")
        house.origin.answer = die_once
        try:
            pipelined = request("GET", "/pipelined", "api.test")
            got = client.ask(post(b"/die", fields, length, b"PUT") + body + pipelined)
        finally:
            house.origin.answer = answer
        see(got is not None and got.status in (200, 502), f"{got and got.status} {client.closed}")
        for seen in house.origin.requests[before:]:
            if seen.start.startswith(b"PUT /die "):
                see_equal(seen.body, body, "the body at the origin")


@bench.case("interim answers that find no room are not counted twice, and trailers find room at the end")
def no_room(house):
    trailer = b"X-T: " + b"t" * 30000
    house.origin.scripts["/room"] = (
        [b"HTTP/1.1 103 Early Hints\r\nLink: " + b"l" * 12000 + b"\r\n\r\n"] * 6
        + [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-T\r\n\r\n"]
        + [chunked(b"c" * 3000000, last=b"0\r\n" + trailer + b"\r\n\r\n")]
    )
    with house.client(house.a, "api.test") as client:
        client.send(request("GET", "/room", "api.test"))
        time.sleep(0.3)  # so that every buffer on the way is full
        got = client.response()
        see(got is not None and got.complete, f"cut off after {got and len(got.body)}: {client.closed}")
        see_equal(len(got.body), 3000000, "the length of the body")
        see_equal(got.trailers, [(b"X-T", b"t" * 30000)], "the trailers")


@bench.case(
    "no state spins",
    [
        (label, octets)
        for label, octets in (
            ("in a head", b"GET / HT"),
            ("in a counted body", post(b"/", TEXT, 50) + b"{"),
            ("the upstream is silent", request("GET", "/silent", "api.test")),
            ("requests pile up behind it", request("GET", "/silent", "api.test") * 400),
            ("the answer is not read", request("GET", "/large", "api.test")),
            ("the answer is not read, and cut off", request("GET", "/cut", "api.test")),
            ("we linger", b"BAD\r\n\r\n"),
        )
    ],
)
def spins(house, octets):
    house.origin.scripts["/silent"] = [Pause(1500)]
    house.origin.scripts["/large"] = [reply(body=b"l" * 8000000)]
    house.origin.scripts["/cut"] = [b"HTTP/1.1 200 OK\r\n\r\n" + b"l" * 3000000, CUT]
    clients = [house.client(house.a, "api.test") for _ in range(6)]
    for n, client in enumerate(clients):
        client.send(octets)
        if n % 2:
            half_close(client)
    time.sleep(0.3)
    before = house.ticks()
    time.sleep(1)
    spent = house.ticks() - before
    for client in clients:
        # A reset: that a client which ended its half has gone altogether can't be seen before something is written to it.
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.socket.close()
    see(spent <= 20, f"{spent} hundredths of a second in one second")
    house.origin.drop_all()
    see_gone(house, "afterwards", 5)


def cut_links(house, flags=b"PN"):
    """The proxy's own connections to Redis: P subscribes, N asks. What the house holds is left alone."""
    for line in house.redis("CLIENT", "LIST").splitlines():
        words = dict(word.partition(b"=")[::2] for word in line.split())
        ours = words[b"cmd"] in (b"subscribe", b"ping", b"get", b"hgetall")
        if ours and words[b"flags"].strip(b"U") in (flags[:1], flags[-1:]):
            house.redis("CLIENT", "KILL", "ID", words[b"id"])


@bench.case("a live connection is served while both links to Redis come back")
def links_flap(house):
    with house.client(house.a, "api.test") as client:
        for _ in range(5):
            cut_links(house)
            end = time.monotonic() + 0.3
            while time.monotonic() < end:
                got = client.ask(request("GET", "/", "api.test"))
                see(got and got.status == 200, f"{got and got.code} {client.closed}")


@bench.case("a sandbox that is deleted while the link for changes is away ends its streaming connection all the same")
def deleted_meanwhile(house):
    gone = house.sandbox("gone", "127.0.0.4", "A")
    house.origin.scripts["/events"] = [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"] + [
        Pause(200),
        b"1\r\nx\r\n",
    ] * 40
    with house.client(gone, "api.test") as client:
        client.send(request("GET", "/events", "api.test"))
        client.pull()
        cut_links(house, b"P")
        house.ctl("sandbox", "delete", "gone")
        began = time.monotonic()
        client.rest()
        took = time.monotonic() - began
        see(client.closed != "timeout" and took < 4, f"{client.closed} after {took:.1f} s")
    del house.sandboxes["gone"]


def drained(build):
    """TERM ends the proxy, so this one has a house of its own."""
    with House(build) as house:
        house.origin.scripts["/slow"] = [
            b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabcde",
            Pause(600),
            b"fghij",
        ]
        with house.client(house.a, "api.test") as client, house.client(house.a, "api.test") as idle:
            client.send(request("GET", "/slow", "api.test"))
            time.sleep(0.3)
            house.proxy.child.terminate()
            see_equal(client.response().body, b"abcdefghij", "the body of an answer that was under way")
            idle.rest()
            see_equal(idle.closed, "close_notify", "the end of an idle connection")
        see_equal(house.proxy.end(), 0, "the exit code")
        house.see_sanitizers()


@bench.case("TERM lets an answer that is under way end whole, and an idle connection end cleanly")
def drain(house):
    drained(house.build)


if __name__ == "__main__":
    bench.run(House)
