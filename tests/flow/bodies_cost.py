"""bodies_cost - S12 D: what a body may cost: coded ones that say too much, values that add too much, many held at once."""
import hashlib
import json
import os
import sys
import threading
import zlib

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from bodyhouse import BOTH, JSON, KIB, LIMITS, MIB, SPOOL, TEXT, BodiesHouse, padded, said, say, see_body, see_framed
from case import Bench, see, see_equal
from house import request
from meeting import CHUNKED, Early, Meeting, each_meeting, see_whole
from origin import reply
from reference import CODINGS
from rehouse import rehouse_last

bench = Bench()
case = each_meeting(bench)
PURSE_MEMORY = 128 * MIB  # what a sandbox' bodies may hold of a worker
DENSE = 256 * MIB
GROWN = 48 * MIB  # of the worker, while little of a body may be held: an instrumented build keeps what was freed
SOAK = os.environ.get("OSB_SOAK") == "1"


# --- bombs -----------------------------------------------------------------------------------------------------------------


def bomb(octets, coding):
    """So many zeros, and what begins and ends them."""
    return CODINGS[coding][0](b"begins" + bytes(octets) + b"ends")


BOMBS = {coding: bomb(64 * MIB, coding) for coding in ("gzip", "deflate", "br", "zstd")}
BOMBS.update({f"{coding}, within body_spool": bomb(SPOOL - 100, coding) for coding in ("gzip", "br", "zstd")})
BOMBS["gzip, nothing at all, often"] = zlib.compress(b"", 9, 31) * 30000
BOMBS["zstd, frames to be skipped"] = b"\x50\x2a\x4d\x18\0\0\0\0" * 60000


@case(
    "D a coded body that says too much goes on as it is, and the worker stays as small as it was",
    [(f"{name}, {'a' if counts else 'no'} length", name, counts) for name in BOMBS for counts in (True, False)],
)
def bombs(meeting, name, counts):
    packed, field = BOMBS[name], (b"content-encoding", name.split(",")[0].encode())
    before = meeting.house.resident()
    for _ in range(3):
        seen = said(meeting, b"/bomb", JSON, field, body=packed, counted=counts)
        see_body(seen, packed)
        see_equal(seen.all("content-encoding"), [field[1]], "Content-Encoding")
    grown = meeting.house.resident() - before
    see(grown < GROWN, f"the worker grew by {grown >> 20} MiB")


def at_once(count, do):
    """Run do(n) for each n at once; the first failure is ours."""
    failures = []

    def run(n):
        try:
            do(n)
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=run, args=(n,)) for n in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


@bench.case("D twenty bombs at once", [(coding, coding) for coding in ("gzip", "br", "zstd")])
def bombs_at_once(house, coding):
    before = house.resident()

    def one(n):
        with Meeting(house, ("h1", "h2")[n % 2], "h1") as meeting:
            answer = meeting.ask(b"POST", b"/sink", JSON, (b"content-encoding", coding.encode()), body=BOMBS[coding])
            if answer.status != 503:
                sums = {"octets": len(BOMBS[coding]), "sha256": hashlib.sha256(BOMBS[coding]).hexdigest()}
                see_equal(json.loads(see_whole(answer).body), sums, "what the host had")

    at_once(20, one)
    # The codings' windows are accounted too, and an instrumented build keeps freed ones in its quarantine.
    grown = house.resident() - before
    see(grown < GROWN + 2 * PURSE_MEMORY, f"the worker grew by {grown >> 20} MiB")


# --- what values may add ---------------------------------------------------------------------------------------------------


@case(
    "S12 values may add body_spool octets to a body with a length, and no more: 413, and nothing is sent",
    [
        ("as many as fit", "LONG", TEXT, None, 64, True),
        ("one too many", "LONG", TEXT, None, 65, False),
        ("a thousand too many", "LONG", TEXT, None, 3000, False),
        ("as many as fit, escaped", "QUOTES", JSON, None, 64, True),
        ("one too many, escaped", "QUOTES", JSON, None, 65, False),
        ("opened, as many as fit", "LONG", TEXT, "gzip", 64, True),
        ("opened, one too many", "LONG", TEXT, "gzip", 65, False),
    ],
)
def expands(meeting, name, kind, coding, tokens, fits):
    token, value = meeting.house.a.tokens[name], meeting.house.value(name)
    body, count = b'"%s"' % b" ".join([token] * tokens), len(meeting.origin.begun)
    fields = [kind] + ([(b"content-encoding", coding.encode())] if coding else [])
    packed, talk = CODINGS[coding][0](body) if coding else body, meeting.open()
    talk.begin(b"POST", b"/expand", *fields, framing=len(packed))
    say(talk, packed, end=True)
    answer = talk.answer()
    if fits:
        want = body.replace(token, json.dumps(value.decode())[1:-1].encode() if kind is JSON else value)
        see_whole(answer)
        see_body(meeting.last(), want)
        see_framed(meeting, meeting.last(), len(want))
        return
    see_equal((answer.status, answer.code), (413, "too_large"), "status and code")
    see_equal(len(meeting.origin.begun), count, "requests that the host knows of")


@case(
    "S12 where the body streams, one value too many ends the exchange",
    [("as many as fit", 64, True), ("one too many", 65, False), ("many too many", 2000, False)],
)
def expands_streaming(meeting, tokens, fits):
    token, value, count = meeting.house.a.tokens["LONG"], meeting.house.value("LONG"), len(meeting.origin.requests)
    talk, body = meeting.open(), b" ".join([token] * tokens)
    talk.begin(b"POST", b"/expand", TEXT, framing=CHUNKED)
    say(talk, body, end=True)
    answer = talk.answer()
    if fits:
        see_whole(answer)
        see_body(meeting.last(), body.replace(token, value))
        return
    see(answer.status in (0, 413), f"status {answer.status}")
    see(answer.status == 0 or answer.code == "too_large", f"code {answer.code}")
    see_equal(len(meeting.origin.requests), count, "whole requests at the host")


@case("S12 a head that values make too long is a 431, and nothing is sent")
def expands_head(meeting):
    count, token = len(meeting.origin.begun), meeting.house.a.tokens["LONG"]
    answer = meeting.ask(b"POST", b"/expand", (b"x-key", b" ".join([token] * 500)), TEXT, body=b"x")
    see_equal((answer.status, answer.code), (431, "too_large"), "status and code")
    see_equal(len(meeting.origin.begun), count, "requests that the host knows of")


BIG = b"\1" * 64 * KIB  # six times as long in JSON


class CostHouse(BodiesHouse):
    def furnish(self):
        super().furnish()
        self.secret("A", "BIG", *BOTH, value=BIG, canary=False)
        self.big = self.sandbox("sbBig", "127.0.0.4", "A")


@bench.case(
    "D while a body is counted that grows much, others are answered",
    [(f"{client}, {how}", client, how) for client, how in (("h1", "plain"), ("h1", "gzip"), ("h2", "gzip"))],
)
def dense(house, client, how):
    if f"body_spool = {DENSE}" not in house.config:
        house.again(f"body_spool = {DENSE}", workers=1)
    first, house.a = house.a, house.big
    ask = request("GET", "/beside", "echo.test")
    try:
        with Meeting(house, client, "h1") as meeting, house.client(house.b, "echo.test") as other:
            body = b'["%s"]' % b'","'.join([house.big.tokens["BIG"]] * 500)
            packed = body if how == "plain" else CODINGS[how][0](body)
            meeting.script("/dense", Early([reply(413, b"seen")]))  # what it becomes is not to be sent
            see_whole(meeting.ask(b"GET", b"/before"))  # so that both have a connection to the host
            see_equal(other.ask(ask).status, 200, "the other's status before")
            count, talk = len(meeting.origin.begun), meeting.open()
            fields = [JSON] + ([(b"content-encoding", how.encode())] if how != "plain" else [])
            talk.begin(b"POST", b"/dense", *fields, framing=len(packed))
            talk.send(packed, end=True)
            see_equal(other.ask(ask).status, 200, "the other's status")
            begun = [seen.start for seen in meeting.origin.begun[count:]]
            see(not any(b"/dense" in start for start in begun), f"the other one had to wait: {begun}")
            see_whole(talk.answer(), 413, b"seen")
    finally:
        house.a = first


# --- many at once ----------------------------------------------------------------------------------------------------------


def hold(meeting, size):
    """A body of which all but the last octet is said."""
    talk = meeting.open()
    talk.begin(b"POST", b"/hold", TEXT, framing=size)
    talk.send(padded(size - 1, meeting.token))
    return talk


def held_bodies(house, client, size, room):
    """One sandbox holds as many bodies as it has room for; one more is refused, a neighbour served; then all end well."""
    with Meeting(house, client, "h1") as meeting:
        count, talks = len(meeting.origin.begun), [hold(meeting, size) for _ in range(room)]
        for _ in range(3):
            talk = meeting.open()
            talk.begin(b"POST", b"/hold", TEXT, framing=size)
            say(talk, padded(size - 1))
            answer = talk.answer()
            see_equal((answer.status, answer.code), (503, "overloaded"), f"status and code ({answer.ending})")
        neighbour = house.b
        body = padded(size, neighbour.tokens["S3"])
        fields = b"POST /sink HTTP/1.1\r\nHost: echo.test\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n"
        answer = house.ask(neighbour, "echo.test", fields % len(body), body, seconds=60)
        want = body.replace(neighbour.tokens["S3"], house.value("S3"))
        see_equal(json.loads(answer.body)["sha256"], hashlib.sha256(want).hexdigest(), "the neighbour's digest")
        see_equal(
            len([r for r in meeting.origin.begun[count:] if b"/hold" in r.start]), 0, "requests of the held ones"
        )
        for talk in talks:
            talk.send(b"z", end=True)
            see_whole(talk.answer())


@bench.case(
    "one sandbox' held bodies are accounted: one too many is a 503, a neighbour is served, and what ends is repaid",
    [(f"{client}, time {n}", client, n) for n, client in enumerate(("h1", "h2", "h1"))],
)
def purse_memory(house, client, n):
    if n == 0:
        house.again("body_memory = 16MiB", "body_spool = 16MiB", workers=1)
    held_bodies(house, client, 16 * MIB, PURSE_MEMORY // (16 * MIB))


@bench.case("and so is what they hold of the disk", [("1 GiB", 256 * MIB)] if SOAK else [])
def purse_disk(house, size):
    house.again("body_memory = 64KiB", "body_spool = 256MiB", workers=1)
    held_bodies(house, "h1", size, 4)


rehouse_last(bench, *LIMITS)
bench.run(lambda build: CostHouse(build, workers=1))
