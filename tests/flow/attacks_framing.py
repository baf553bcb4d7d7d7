"""attacks_framing - F01 F03 F08 F11 F15 and the sixteen framings: one reading of a message, or none."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from case import Bench, see, see_equal, short
from house import House, request
from origin import CLOSE, CUT, chunked, reply

bench = Bench()
SECOND = b"GET /smuggled HTTP/1.1\r\nHost: api.test\r\n\r\n"
HOST = b"Host: api.test\r\n"


def post(fields, body=b""):
    return b"POST /f HTTP/1.1\r\n" + HOST + fields + b"\r\n" + body


def in_chunks(body):
    return post(b"Transfer-Encoding: chunked\r\nContent-Type: text/plain\r\n", body)


@bench.case(
    "the sixteen framings are refused, all sixteen",
    [
        ("CL+TE", post(b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", b"0\r\n\r\n" + SECOND), (400,)),
        ("obs-fold", b"GET / HTTP/1.1\r\n" + HOST + b"X: a\r\n b\r\n\r\n", (400,)),
        ("bare LF headers", b"GET / HTTP/1.1\nHost: api.test\n\n", (400,)),
        ("bare CR in a value", b"GET / HTTP/1.1\r\n" + HOST + b"X: a\rb\r\n\r\n", (400,)),
        ("two Host", b"GET / HTTP/1.1\r\n" + HOST + HOST + b"\r\n", (400,)),
        ("no Host", b"GET / HTTP/1.1\r\nX: y\r\n\r\n", (400,)),
        ("chunk-size line ended by LF", in_chunks(b"1\na\r\n0\r\n\r\n"), (400, 0)),
        ("absolute-form of another host", b"GET http://b/ HTTP/1.1\r\n" + HOST + b"\r\n", (421,)),
        ("HTTP/0.9", b"GET /\r\n\r\n", (400, 0)),
        ("differing lengths", post(b"Content-Length: 5\r\nContent-Length: 6\r\n", b"aaaaaa"), (400,)),
        ("a blank before the colon", post(b"Transfer-Encoding : chunked\r\n", b"0\r\n\r\n"), (400,)),
        ("NUL", b"GET / HTTP/1.1\r\n" + HOST + b"X: a\0b\r\n\r\n", (400,)),
        ("0x chunk", in_chunks(b"0x1\r\na\r\n0\r\n\r\n"), (400, 0)),
        ("xchunked", post(b"Transfer-Encoding: xchunked\r\n", b"0\r\n\r\n"), (400,)),
        ("empty length", post(b"Content-Length:\r\n", SECOND), (400,)),
        ("+ length", post(b"Content-Length: +5\r\n", b"aaaaa"), (400,)),
    ],
)
def sixteen(house, octets, statuses):
    unread(house, octets, statuses)


def unread(house, octets, statuses):
    """Refused, closed, and no whole request of it at the origin. A head with a streamed body may have been dialled for."""
    before = house.origin.counts()[1]
    with house.client(house.a, "api.test") as client:
        answer = client.ask(octets)
        got = answer.status if answer else 0
        see(got in statuses, f"status {got} ({answer.code if answer else client.closed}), not {statuses}")
        rest = client.rest()
        if got != 421:
            see(client.closed not in (None, "timeout"), "the connection stayed open")
        see(b"HTTP/1." not in rest, f"a second answer came: {short(rest)}")
    see_equal(house.origin.counts()[1] - before, 0, "the number of requests at the origin")


@bench.case(
    "F01 length and coding together are refused",
    [
        ("CL first", post(b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", b"0\r\n\r\n" + SECOND), (400,)),
        ("TE first", post(b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", b"0\r\n\r\n" + SECOND), (400,)),
        (
            "with close",
            post(b"Connection: close\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n", b"0\r\n\r\n" + SECOND),
            (400,),
        ),
        ("CL 0", post(b"Content-Length: 0\r\nTransfer-Encoding: chunked\r\n", b"0\r\n\r\n" + SECOND), (400,)),
        ("under 1.0", b"POST /f HTTP/1.0\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", (400,)),
    ],
)
def f01(house, octets, statuses):
    unread(house, octets, statuses)


@bench.case("HTTP/0.9 without an empty line ends with the head's deadline, not with an answer of the origin")
def version_0_9(house):
    unread(house, b"GET /\r\n", (400, 408, 0))


@bench.case(
    "F03 a length is plain digits, once",
    [
        ("two differing", b"Content-Length: 5\r\nContent-Length: 6\r\n"),
        ("two equal", b"Content-Length: 5\r\nContent-Length: 5\r\n"),
        ("5, 5", b"Content-Length: 5, 5\r\n"),
        ("5,6", b"Content-Length: 5,6\r\n"),
        ("empty", b"Content-Length: \r\n"),
        ("+5", b"Content-Length: +5\r\n"),
        ("-1", b"Content-Length: -1\r\n"),
        ("-48", b"Content-Length: -48\r\n"),
        ("0x5", b"Content-Length: 0x5\r\n"),
        ("5 5", b"Content-Length: 5 5\r\n"),
        ("5_0", b"Content-Length: 5_0\r\n"),
        ("5 and NUL", b"Content-Length: 5\0\r\n"),
        ("2^63", b"Content-Length: 9223372036854775808\r\n"),
        ("2^64", b"Content-Length: 18446744073709551616\r\n"),
        ("2^64+5", b"Content-Length: 18446744073709551621\r\n"),
        ("20 nines", b"Content-Length: " + b"9" * 20 + b"\r\n"),
        ("300 digits", b"Content-Length: " + b"1" * 300 + b"\r\n"),
    ],
)
def f03(house, fields):
    unread(house, post(fields, b"aaaaa" + SECOND), (400, 413))


@bench.case(
    "F03 a length that passes is written canonically", [("5", b"5", True), ("05", b"05", False), ("0", b"0", True)]
)
def f03_passes(house, text, must):
    body = b"a" * int(text)
    answer = house.ask(house.a, "api.test", post(b"Content-Length: " + text + b"\r\n", body))
    see(answer.status == 200 or not must and answer.status == 400, f"status {answer.status}")
    if answer.status == 200:
        last = house.origin.requests[-1]
        see_equal((last.all("content-length"), last.body), ([b"%d" % len(body)], body), "what the origin saw")


@bench.case(
    "F08 a chunk's size line is hexadecimal digits and CR LF",
    [
        ("0x1", b"0x1\r\na\r\n"),
        ("+1", b"+1\r\na\r\n"),
        ("-0", b"-0\r\n\r\n"),
        ("blank before", b" 1\r\na\r\n"),
        ("blank behind", b"1 \r\na\r\n"),
        ("1_0", b"1_0\r\n" + b"a" * 16 + b"\r\n"),
        ("empty", b"\r\na\r\n"),
        ("g", b"g\r\na\r\n"),
        ("17 digits", b"0" * 16 + b"1\r\na\r\n"),
        ("2^64-1", b"F" * 16 + b"\r\na\r\n"),
        ("LF behind an extension", b"1;a=b\na\r\n"),
        ("CR CR LF", b"1\r\r;x\r\na\r\n"),
        ("CR X", b"1\rX\r\na\r\n"),
        ("64 KiB of extension", b"1;" + b"e" * 65536 + b"\r\na\r\n"),
        ("a quoted extension with CR LF", b'1;a="\r\nb"\r\na\r\n'),
        ("a quoted extension with LF", b'1;a="\nb"\r\na\r\n'),
        ("a NUL", b"1;\0\r\na\r\n"),
        ("octets behind the data", b"1\r\naXX\r\n"),
        ("LF behind the data", b"1\r\na\n"),
        ("nothing behind the data", b"1\r\na1\r\na\r\n"),
    ],
)
def f08(house, octets):
    unread(house, in_chunks(octets + b"0\r\n\r\n" + SECOND), (400, 0))


@bench.case(
    "F08 extensions are dropped and chunks written anew",
    [
        ("an extension", b"5;a=b\r\nhello\r\n0\r\n\r\n", b"hello"),
        ("a quoted one", b'5;a="b c"\r\nhello\r\n0\r\n\r\n', b"hello"),
        ("leading zeros", b"005\r\nhello\r\n0000\r\n\r\n", b"hello"),
        ("upper case", b"A\r\nhellohello\r\n0\r\n\r\n", b"hellohello"),
        ("none", b"0\r\n\r\n", b""),
    ],
)
def f08_passes(house, octets, body):
    see_equal(house.ask(house.a, "api.test", in_chunks(octets)).status, 200, "the status")
    last = house.origin.requests[-1]
    see_equal(last.body, body, "the body")
    octets = bytes(last.connection.octets)
    see(b"a=b" not in octets and b'"b c"' not in octets, "an extension reached the origin")


def pipelined(house, octets, wants, closes=False):
    """wants: (status, path that the origin must see, or None) in order."""
    seen = len(house.origin.requests)
    with house.client(house.a, "api.test") as client:
        client.send(*octets)
        for status, _ in wants:
            answer = client.response()
            see(answer is not None, f"the connection ended with {client.closed}, not {status}")
            see_equal(answer.status, status, "the status")
        if closes:
            see_equal(client.rest(), b"", "what followed")
    paths = [r.start.split(b" ")[1] for r in house.origin.requests[seen:]]
    see_equal(sorted(paths), sorted(path for _, path in wants if path), "the paths that the origin saw")


GET1, GET2 = request("GET", "/one", "api.test"), request("GET", "/two", "api.test")


@bench.case(
    "F11 requests that come at once are answered in order",
    [
        ("two in one record", [GET1 + GET2], [(200, b"/one"), (200, b"/two")], False),
        (
            "the first with a body",
            [request("POST", "/one", "api.test", body=b"x" * 5000) + GET2],
            [(200, b"/one"), (200, b"/two")],
            False,
        ),
        (
            "the first with a chunked body",
            [b"POST /one HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n" + GET2],
            [(200, b"/one"), (200, b"/two")],
            False,
        ),
        ("the second denied", [GET1 + request("GET", "/two", "evil.test")], [(200, b"/one"), (421, None)], False),
        ("100 in one record", [GET1 * 100], [(200, b"/one")] * 100, False),
        ("garbage behind a valid one", [GET1 + b"\x00\x01\x02 garbage\r\n\r\n"], [(200, b"/one"), (400, None)], True),
        ("a second cut in two", [GET1 + GET2[:20], GET2[20:]], [(200, b"/one"), (200, b"/two")], False),
        (
            "a body that looks like a request",
            [request("GET", "/one", "api.test", body=SECOND) + GET2],
            [(200, b"/one"), (200, b"/two")],
            False,
        ),
    ],
)
def f11(house, octets, wants, closes):
    pipelined(house, octets, wants, closes)


POISON = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\nX-Poison: yes\r\n\r\nPOISON"
OK = b"HTTP/1.1 200 OK\r\n"
CODED = OK + b"Transfer-Encoding: chunked\r\n\r\n"


@bench.case(
    "F15 an answer that can be read in two ways is a 502 or an abort, and nothing of it reaches the next",
    [
        ("CL+TE", [OK + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + POISON], (502,)),
        ("TE+CL", [OK + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n" + POISON], (502,)),
        ("two lengths", [OK + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\naaaaa" + POISON], (502,)),
        ("two equal lengths", [OK + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\naaaaa" + POISON], (502,)),
        ("length -1", [OK + b"Content-Length: -1\r\n\r\naaaaa"], (502,)),
        ("length +5", [OK + b"Content-Length: +5\r\n\r\naaaaa"], (502,)),
        ("an empty length", [OK + b"Content-Length:\r\n\r\naaaaa"], (502,)),
        ("a coding that is not last", [OK + b"Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n" + POISON], (502,)),
        ("xchunked", [OK + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" + POISON], (502,)),
        ("chunk 0x1", [CODED + b"0x1\r\na\r\n0\r\n\r\n"], (502, "cut")),
        ("chunk +1", [CODED + b"+1\r\na\r\n0\r\n\r\n"], (502, "cut")),
        ("chunk of 2^64-1", [CODED + b"F" * 16 + b"\r\na\r\n0\r\n\r\n"], (502, "cut")),
        ("chunk line ended by LF", [CODED + b"1\na\r\n0\r\n\r\n"], (502, "cut")),
        ("octets behind chunk data", [CODED + b"1\r\naXX\r\n0\r\n\r\n"], (502, "cut")),
        ("a body cut short", [OK + b"Content-Length: 9\r\n\r\nabc", CLOSE], ("cut",)),
        ("chunks cut short", [CODED + b"3\r\nabc\r\n", CLOSE], ("cut",)),
        ("obs-fold", [OK + b"X: a\r\n b\r\nContent-Length: 0\r\n\r\n"], (502,)),
        ("NUL", [OK + b"X: a\0b\r\nContent-Length: 0\r\n\r\n"], (502,)),
        ("bare CR", [OK + b"X: a\rb\r\nContent-Length: 0\r\n\r\n"], (502,)),
        ("bare LF", [b"HTTP/1.1 200 OK\nContent-Length: 0\n\n"], (502,)),
        ("a head of 2 MiB", [OK + b"X: " + b"a" * (2 << 20) + b"\r\n\r\n"], (502,)),
        ("status 2000", [b"HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n"], (502,)),
        ("status 099", [b"HTTP/1.1 099 OK\r\nContent-Length: 0\r\n\r\n"], (502,)),
        ("HTTP/0.9", [b"just octets, no head\r\n\r\n", CLOSE], (502,)),
        (
            "101 that nobody asked for",
            [b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: foo\r\nConnection: Upgrade\r\n\r\n" + POISON],
            (502,),
        ),
        ("nothing at all", [CUT], (502,)),
        ("a second answer behind the first", [reply(body=b"first") + POISON], (200,)),
        ("octets behind a 204", [b"HTTP/1.1 204 No Content\r\n\r\n" + POISON], (204, 502)),
        ("octets behind a 304", [b"HTTP/1.1 304 Not Modified\r\n\r\n" + POISON], (304, 502)),
        ("a 204 with a length", [b"HTTP/1.1 204 No Content\r\nContent-Length: 6\r\n\r\nPOISON"], (204, 502)),
        ("a second answer behind chunks", [CODED + chunked(b"first") + POISON], (200,)),
    ],
)
def f15(house, script, wants):
    house.origin.scripts["/f15"] = script
    with house.client(house.a, "api.test") as client:
        answer = client.ask(request("GET", "/f15", "api.test"))
        if answer is None:
            see("cut" in wants and client.closed in ("fin", "rst"), f"no answer but {client.closed}")
        else:
            got = "cut" if answer.status == 200 and not answer.complete else answer.status
            see(got in wants, f"{got} ({answer.code}), not {wants}")
            see(answer.get("X-Poison") is None, "the poison's head was delivered")
        see(b"POISON" not in client.octets, "octets behind the answer were delivered")
        if client.closed is None:
            again = client.ask(request("GET", "/after", "api.test"))
            see(
                again is None or (again.status == 200 and again.body == b'{"ok":true}'),
                f"the next answer was {again and short(again.body)}",
            )
        see(b"POISON" not in client.octets, "the next answer was the poison")
    for sandbox in (house.a, house.b):
        answer = house.get(sandbox, "api.test", "/after")
        see_equal(
            (answer.status, answer.body, answer.get("X-Poison")),
            (200, b'{"ok":true}', None),
            f"{sandbox.name}'s next answer",
        )


@bench.case("F15 the body of an answer to HEAD is never read as the next answer")
def f15_head(house):
    house.origin.scripts["/head"] = [OK + b"Content-Length: %d\r\n\r\n" % len(POISON) + POISON]
    with house.client(house.a, "api.test") as client:
        see_equal(client.ask(request("HEAD", "/head", "api.test"), head_only=True).status, 200, "the status")
        again = client.ask(request("GET", "/after", "api.test"))
        see(again is None or again.get("X-Poison") is None, "the next answer was the poison")
        see(b"POISON" not in client.octets, "the poison was delivered")


@bench.case(
    "F15 equal framings pass: what an origin may send is delivered whole",
    [
        ("a length", [reply(body=b"hello")], b"hello"),
        ("chunks", [CODED + chunked(b"hel", b"lo")], b"hello"),
        ("until close", [OK + b"\r\nhello", CLOSE], b"hello"),
        ("chunks octet by octet", [CODED] + [bytes([c]) for c in chunked(b"hel", b"lo")], b"hello"),
        ("100 first", [b"HTTP/1.1 100 Continue\r\n\r\n" + reply(body=b"hello")], b"hello"),
        ("103 first", [b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + reply(body=b"hello")], b"hello"),
    ],
)
def f15_passes(house, script, body):
    house.origin.scripts["/fine"] = script
    answer = house.get(house.a, "api.test", "/fine")
    see_equal((answer.status, answer.body, answer.complete), (200, body, True), "the answer")


bench.run(lambda build: House(build, config=["head_timeout = 3s"]))
