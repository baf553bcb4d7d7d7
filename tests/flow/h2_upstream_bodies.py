"""h2_upstream_bodies - HTTP/2 towards hosts: messages as they were, bodies at their readers' pace, no value left behind."""
import hashlib
import json
import os
import random
import re
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from case import Bench, see, see_equal
from h2house import H2UpstreamHouse, post
from h2origin import Head, Trailers
from hpack import Encoder
from house import await_until, request
from origin import chunked, reply
from rehouse import Gate

bench = Bench()
BIG = random.Random(7).randbytes(24 << 20)
GROWN_KIB = 24000  # of the worker while a large body passes: windows, buffers, and what an instrumented build keeps


# --- messages ----------------------------------------------------------------------------------------------------------


@bench.case("what is said to an h2 host is what was asked, without what belongs to one hop")
def as_asked(house):
    host = house.fresh()
    fields = ("X-Mixed-Case: Yes", "Connection: keep-alive, X-Hop", "X-Hop: gone", "TE: trailers", "Cookie: a=1; b=2")
    octets = request("POST", "/as?x=1", host, *fields, "Content-Type: text/plain", body=b"hello")
    see_equal(house.ask(house.a, host, octets).status, 200, "the status")
    seen = house.origin.requests[-1]
    pseudo = [(b":method", b"POST"), (b":scheme", b"https"), (b":authority", host.encode()), (b":path", b"/as?x=1")]
    see_equal(list(seen.pseudo.items()), pseudo, "the pseudo-fields")
    names = [name for name, _ in seen.fields[1:]]  # the first is the authority
    for absent in (b"host", b"connection", b"x-hop", b"keep-alive", b"transfer-encoding"):
        see(absent not in names, f"{absent} is in {names}")
    see(all(name == name.lower() for name in names), f"upper case in {names}")
    for name, value in (("x-mixed-case", "Yes"), ("te", "trailers"), ("cookie", "a=1; b=2"), ("content-length", "5")):
        see_equal(seen.get(name), value, name)
    see_equal(seen.body, b"hello", "the body")


@bench.case("trailers go both ways, and 103 goes down")
def trailers(house):
    host = house.fresh()
    house.origin.scripts["/trail"] = [Head(103, [(b"link", b"</a>")]), Head(), b"abc", Trailers((b"x-sum", b"7"))]
    with house.client(house.a, host) as client:
        octets = request(
            "POST", "/trail", host, "TE: trailers", "Content-Type: application/grpc", "Transfer-Encoding: chunked"
        )
        answer = client.ask(octets + chunked(b"hello", last=b"0\r\nX-Mine: 3\r\n\r\n"))
        see_equal((answer.status, answer.body), (200, b"abc"), "the answer")
        see(client.octets.startswith(b"HTTP/1.1 103 "), "no 103 came before it")
        see(any(value == b"7" for _, value in answer.trailers), f"trailers {answer.trailers}")
    seen = house.origin.requests[-1]
    see_equal((seen.body, seen.trailers), (b"hello", [(b"x-mine", b"3")]), "body and trailers")


@bench.case("HEAD, 204 and 304 have no body, and the connection goes on")
def bodiless(house):
    host, long = house.fresh(), [(b"content-length", b"500")]
    house.origin.scripts.update(
        {"/head": [Head(200, long, end=True)], "/204": [Head(204, end=True)], "/304": [Head(304, long, end=True)]}
    )
    with house.client(house.a, host) as client:
        answer = client.ask(request("HEAD", "/head", host), head_only=True)
        see_equal((answer.status, answer.get("content-length")), (200, "500"), "HEAD")
        for path in ("/204", "/304"):
            see_equal(client.ask(request("GET", path, host)).status, int(path[1:]), "the status")
        see_equal(client.ask(request("GET", "/", host)).status, 200, "the status after")
    house.connected(1)


# --- bodies ------------------------------------------------------------------------------------------------------------


def resident(house):
    """KiB of the worker."""
    with open(f"/proc/{house.pids()[-1]}/status") as status:
        return int(re.search(r"VmRSS:\s*(\d+)", status.read()).group(1))


@bench.case(
    "a large body goes through unchanged, and memory does not grow with it",
    [(f"{way}, {how}", way, how) for way in ("up", "down") for how in ("with a length", "without")],
)
def large_body(house, way, how):
    host, digest, length = house.fresh(), hashlib.sha256(BIG).hexdigest(), how == "with a length"
    house.origin.scripts["/big"] = [Head(200, [(b"content-length", b"%d" % len(BIG))] if length else ()), BIG]
    before = resident(house)
    with house.client(house.a, host, seconds=60) as client:
        if way == "down":
            answer = client.ask(request("GET", "/big", host))
            see_equal(hashlib.sha256(answer.body).hexdigest(), digest, "the digest")
        else:
            framing = b"Content-Length: %d" % len(BIG) if length else b"Transfer-Encoding: chunked"
            client.send(request("POST", "/sink", host, "Content-Type: application/octet-stream", framing))
            for at in range(0, len(BIG), 100000):
                part = BIG[at : at + 100000]
                client.send(part if length else b"%x\r\n%s\r\n" % (len(part), part))
            said = json.loads(client.ask(b"" if length else b"0\r\n\r\n").body)
            see_equal((said["octets"], said["sha256"]), (len(BIG), digest), "octets and digest")
        client.octets.clear()
    grown = resident(house) - before
    see(grown < GROWN_KIB, f"the worker grew by {grown} KiB")


class Counted:
    """A body in pieces, and how many of them have gone."""

    def __init__(self):
        self.gone = 0

    def __iter__(self):
        yield Head()
        for at in range(0, len(BIG), 65536):
            yield BIG[at : at + 65536]
            self.gone += 1


@bench.case("a client that does not read stops its own stream alone, and holds no more than a window")
def slow_reader(house):
    host, body = house.fresh(), Counted()
    house.origin.scripts["/slow"] = body
    before = resident(house)
    with house.client(house.a, host) as client:
        client.send(request("GET", "/slow", host))
        await_until(lambda: body.gone > 0, "the first octets")
        count = -1
        while count != body.gone:
            count = body.gone
            time.sleep(0.3)
        see(count * 65536 < len(BIG), "all of it was taken")
        for n in range(5):
            house.served(host, f"/fast{n}")
        grown = resident(house) - before
        see(grown < GROWN_KIB, f"the worker grew by {grown} KiB")
        client.end("rst")
    house.connected(1)


@bench.case("a host that gives no credit stops its own stream alone")
def slow_origin(house):
    host = house.fresh()
    house.origin.unread = {"/stuck"}
    with house.client(house.a, host, seconds=5) as client:
        client.send(post("/stuck", host, BIG)[:200000])
        await_until(lambda: house.begun("/stuck") and len(house.begun("/stuck")[0].body) >= 65535, "a window's worth")
        # The connection's window is spent too: only what needs none of it goes on.
        house.served(host, "/fast")
        see_equal(len(house.begun("/stuck")[0].body), 65535, "octets without credit")
        client.end("rst")


# --- values ------------------------------------------------------------------------------------------------------------


@bench.case("a value is in the field it belongs to, and HPACK is told never to index it")
def never_indexed(house):
    house.fresh()
    token, value = house.a.tokens["S1"], house.value("S1").decode()
    for _ in range(3):
        answer = house.get(house.a, "api.test", "/token", b"X-Key: " + token, b"Authorization: Bearer " + token)
        see_equal(answer.status, 200, "the status")
    for seen in house.origin.requests:
        see_equal((seen.get("x-key"), seen.get("authorization")), (value, "Bearer " + value), "the values")
        see({b"x-key", b"authorization"} <= set(seen.never_indexed), f"never indexed: {seen.never_indexed}")


def memory(pid):
    """All that a process can write, without the arena, which forks wipe: there values may be."""
    with open(f"/proc/{pid}/smaps") as maps, open(f"/proc/{pid}/mem", "rb", 0) as octets:
        region = None
        for line in maps:
            hit = re.match(r"([0-9a-f]+)-([0-9a-f]+) (\S+)", line)
            if hit:
                region = (int(hit[1], 16), int(hit[2], 16)) if hit[3].startswith("rw") else None
            elif line.startswith("Rss:") and region and int(line.split()[1]) == 0:
                region = None
            elif line.startswith("VmFlags:") and region and " wf" not in line and region[1] - region[0] < 1 << 28:
                octets.seek(region[0])
                yield octets.read(region[1] - region[0])


@bench.case("L09 a value that went over h2 and came back is nowhere in memory a while later, also Huffman-coded")
def residue(house):
    house.fresh()
    token, value = house.a.tokens["S1"], house.value("S1")
    coded = Encoder().huffman_coder.encode(value)[4:-1]
    fields = (b"X-Key: " + token, b"X-Probe: " + token, "Content-Type: application/json")
    with house.client(house.a, "api.test") as client:
        for _ in range(100):
            answer = client.ask(request("POST", "/echo", "api.test", *fields, body=b'{"k":"%s"}' % token))
            see(b"osb_redacted" in answer.body, f"nothing was masked in {answer.body[:200]}")
        house.clients.remove(client)  # what comes back is not taken out yet
    connection, pid = house.origin.connections[0], house.pids()[-1]

    def clean():
        return not any(value in octets or coded in octets for octets in memory(pid))

    if os.geteuid() != 0:
        print("note  the proxy's memory is looked at by root only", flush=True)
        return
    await_until(clean, "no value is in memory", 8)
    see(not connection.gone, "the connection has been closed meanwhile")


# --- the end of a sandbox ----------------------------------------------------------------------------------------------


@bench.case("when a sandbox is deleted its h2 connections end with it, idle or not")
def revoked(house):
    idle, busy, never = house.fresh(), house.unused[0], Gate([], [])
    sandbox = house.sandbox("sbGone", "127.0.0.9", "A")
    house.origin.scripts["/never"] = never
    see_equal(house.get(sandbox, idle).status, 200, "the status")
    with house.client(sandbox, busy, seconds=5) as client:
        client.send(request("GET", "/never", busy))
        await_until(lambda: house.begun("/never"), "the request")
        house.ctl("sandbox", "delete", "sbGone")
        client.rest()
        see(client.closed not in (None, "timeout"), f"the client's end: {client.closed}")
    never.open()
    await_until(lambda: all(c.gone for c in house.origin.connections), "all connections are closed")
    house.connected(2)


bench.run(H2UpstreamHouse)
