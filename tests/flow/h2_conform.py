"""h2_conform - what RFC 9113 says that a server must refuse, sentence by sentence (sections 3 to 6 and 8), frame by frame.

Each row: the octets of a client, whether the stream or the connection must end, and the codes that may say so.
"""
import os
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import h2client as h2
from case import Bench, see, see_equal
from early import behind_head
from h2_client import BINARY, H2House, see_status
from h2client import data, frame, get, headers, post, pseudo, rst, window
from origin import Pause, reply

bench = Bench()

BIG = b"x" * 16385
STREAM, CONNECTION = "stream", "connection"
GOOD = get(1)


def with_field(name, value, front=()):
    return headers(1, list(front) + pseudo() + [(name, value)])


def replaced(name, value):
    return headers(1, [(n, value if n == name else v) for n, v in pseudo()])


MUST = [
    # 3.4, 4.1, 4.2
    ("3.4 an invalid preface", "RAW", b"GET / HTTP/1.1\r\nHost: api.test\r\n\r\n", CONNECTION, (1,)),
    ("3.4 no SETTINGS first", "RAW", h2.PREFACE + GOOD, CONNECTION, (1,)),
    ("4.2 a DATA frame larger than SETTINGS_MAX_FRAME_SIZE", post(1, b"/") + data(1, BIG), CONNECTION, (6,)),
    ("4.2 HEADERS likewise", headers(1, None, payload=h2.block((b"a", BIG))), CONNECTION, (6,)),
    ("4.2 SETTINGS likewise", frame(4, 0, 0, b"\0\x63\0\0\0\0" * 2732), CONNECTION, (6,)),
    # 4.3
    ("4.3 a block that does not decompress", headers(1, None, payload=b"\xff\xff\xff\xff\xff\xff"), CONNECTION, (9,)),
    ("4.3 an index beyond the tables", headers(1, None, payload=b"\xfe"), CONNECTION, (9,)),
    ("4.3 a table size above what was said", headers(1, None, payload=b"\x3f\xff\xff\x7f\x82"), CONNECTION, (9,)),
    ("4.3 a frame between HEADERS and CONTINUATION", frame(1, 1, 1, b"\x82") + h2.ping(), CONNECTION, (1,)),
    ("4.3 another stream's CONTINUATION", frame(1, 1, 1, b"\x82") + frame(9, 4, 3, b"\x87"), CONNECTION, (1,)),
    # 5.1
    ("5.1 DATA on an idle stream", data(1, b"x"), CONNECTION, (1,)),
    ("5.1 RST_STREAM on an idle stream", rst(1), CONNECTION, (1,)),
    ("5.1 WINDOW_UPDATE on an idle stream", window(1, 9), CONNECTION, (1,)),
    ("5.1 CONTINUATION on an idle stream", frame(9, 4, 1, b"\x82"), CONNECTION, (1,)),
    ("5.1 DATA on a half-closed stream", "WAIT", get(1, b"/wait") + data(1, b"x"), STREAM, (5, 1)),
    ("5.1 HEADERS on a half-closed stream", "WAIT", get(1, b"/wait") + headers(1, [(b"a", b"b")]), STREAM, (5, 1)),
    ("5.1 CONTINUATION on a half-closed stream", get(1, b"/wait") + frame(9, 4, 1, b"\x82"), CONNECTION, (1, 5)),
    ("5.1.1 an even stream", get(2), CONNECTION, (1,)),
    ("5.1.1 a lower stream than the last one", get(5, b"/wait") + get(3), CONNECTION, (1,)),
    ("5.1.1 stream 0", get(0), CONNECTION, (1,)),
    # 5.5
    ("5.5 an extension's frame amid a block", frame(1, 1, 1, b"\x82") + frame(0x16, 0, 0, b"z"), CONNECTION, (1,)),
    # 6.1
    ("6.1 DATA on stream 0", data(0, b"x"), CONNECTION, (1,)),
    ("6.1 padding as long as the payload", post(1, b"/") + frame(0, 8, 1, b"\x05abcd"), CONNECTION, (1,)),
    # 6.2
    ("6.2 padding longer than the fields", frame(1, 0xD, 1, b"\x09\x82\x87"), CONNECTION, (1,)),
    # 6.3
    ("6.3 PRIORITY on stream 0", frame(2, 0, 0, b"\0\0\0\1\0"), CONNECTION, (1,)),
    ("6.3 PRIORITY of 4 octets", get(1, b"/wait") + frame(2, 0, 1, b"\0\0\0\0"), None, (6,)),
    # 6.4
    ("6.4 RST_STREAM on stream 0", rst(0), CONNECTION, (1,)),
    ("6.4 RST_STREAM of 3 octets", get(1, b"/wait") + frame(3, 0, 1, b"\0\0\0"), CONNECTION, (6,)),
    # 6.5
    ("6.5 SETTINGS on a stream", frame(4, 0, 1), CONNECTION, (1,)),
    ("6.5 an acknowledgement with a payload", frame(4, 1, 0, b"\0\4\0\0\0\1"), CONNECTION, (6,)),
    ("6.5 SETTINGS of 5 octets", frame(4, 0, 0, b"\0\4\0\0\0"), CONNECTION, (6,)),
    ("6.5.2 ENABLE_PUSH 2", h2.settings((2, 2)), CONNECTION, (1,)),
    ("6.5.2 a window of 2^31", h2.settings((4, 1 << 31)), CONNECTION, (3,)),
    ("6.5.2 MAX_FRAME_SIZE 16383", h2.settings((5, 16383)), CONNECTION, (1,)),
    ("6.5.2 MAX_FRAME_SIZE 2^24", h2.settings((5, 1 << 24)), CONNECTION, (1,)),
    # 6.6
    ("6.6 PUSH_PROMISE from a client", frame(5, 4, 1, b"\0\0\0\2\x82"), CONNECTION, (1,)),
    ("8.4 PUSH_PROMISE on an open stream", get(1, b"/wait") + frame(5, 4, 1, b"\0\0\0\2\x82"), CONNECTION, (1,)),
    # 6.7
    ("6.7 PING on a stream", frame(6, 0, 1, b"12345678"), CONNECTION, (1,)),
    ("6.7 PING of 7 octets", frame(6, 0, 0, b"1234567"), CONNECTION, (6,)),
    # 6.8
    ("6.8 GOAWAY on a stream", frame(7, 0, 1, b"\0" * 8), CONNECTION, (1,)),
    # 6.9
    ("6.9 WINDOW_UPDATE 0 on the connection", window(0, 0), CONNECTION, (1,)),
    ("6.9 WINDOW_UPDATE 0 on a stream", get(1, b"/wait") + window(1, 0), STREAM, (1,)),
    ("6.9 WINDOW_UPDATE of 3 octets", frame(8, 0, 0, b"\0\0\1"), CONNECTION, (6,)),
    ("6.9.1 a connection's window beyond 2^31-1", window(0, 0x7FFFFFFF), CONNECTION, (3,)),
    ("6.9.1 a stream's window beyond 2^31-1", get(1, b"/wait") + window(1, 0x7FFFFFFF), STREAM, (3,)),
    (
        "6.9.2 SETTINGS that make a window too large",
        get(1, b"/wait") + window(1, 0x70000000) + h2.settings((4, 0x7FFFFFFF)),
        None,
        (3,),
    ),
    # 6.10
    ("6.10 CONTINUATION behind END_HEADERS", get(1, b"/wait") + frame(9, 4, 1), CONNECTION, (1, 5)),
    ("6.10 CONTINUATION on stream 0", frame(9, 4, 0), CONNECTION, (1,)),
    # 8.1
    ("8.1 a second block without END_STREAM", post(1, b"/") + headers(1, [(b"a", b"b")], end=False), STREAM, (1,)),
    ("8.1.1 content-length above the DATA", post(1, b"/", (b"content-length", b"5")) + data(1, b"1234", True), STREAM, (1,)),
    ("8.1.1 content-length below the DATA", post(1, b"/", (b"content-length", b"3")) + data(1, b"1234", True), STREAM, (1,)),
    ("8.1.1 content-length without a body", get(1, b"/", (b"content-length", b"3")), STREAM, (1,)),
    ("8.1.1 content-length twice", get(1, b"/", (b"content-length", b"0"), (b"content-length", b"0")), STREAM, (1,)),
    ("8.1.1 content-length that is no number", post(1, b"/", (b"content-length", b"1x")), STREAM, (1,)),
    # 8.2
    ("8.2.1 a name in capitals", with_field(b"X-Name", b"1"), STREAM, (1,)),
    ("8.2.1 a name with a blank", with_field(b"x name", b"1"), STREAM, (1,)),
    ("8.2.1 a name with a colon", with_field(b"x:y", b"1"), STREAM, (1,)),
    ("8.2.1 a name above ASCII", with_field(b"x\xc3\xa4", b"1"), STREAM, (1,)),
    ("8.2.1 a name that is empty", with_field(b"", b"1"), STREAM, (1,)),
    ("8.2.1 a value with NUL", with_field(b"x", b"a\0b"), STREAM, (1,)),
    ("8.2.1 a value with CR", with_field(b"x", b"a\rb"), STREAM, (1,)),
    ("8.2.1 a value with LF", with_field(b"x", b"a\nb"), STREAM, (1,)),
    ("8.2.1 a value that begins with a blank", with_field(b"x", b" a"), STREAM, (1,)),
    ("8.2.1 a value that ends with a tab", with_field(b"x", b"a\t"), STREAM, (1,)),
    ("8.2.2 connection", with_field(b"connection", b"close"), STREAM, (1,)),
    ("8.2.2 keep-alive", with_field(b"keep-alive", b"1"), STREAM, (1,)),
    ("8.2.2 proxy-connection", with_field(b"proxy-connection", b"close"), STREAM, (1,)),
    ("8.2.2 transfer-encoding", with_field(b"transfer-encoding", b"chunked"), STREAM, (1,)),
    ("8.2.2 upgrade", with_field(b"upgrade", b"h2c"), STREAM, (1,)),
    ("8.2.2 te other than trailers", with_field(b"te", b"gzip"), STREAM, (1,)),
    # 8.3
    ("8.3 an unknown pseudo-field", headers(1, pseudo() + [(b":wonder", b"1")]), STREAM, (1,)),
    ("8.3 a response's pseudo-field", headers(1, pseudo() + [(b":status", b"200")]), STREAM, (1,)),
    ("8.3 a pseudo-field behind another", headers(1, [(b"a", b"b")] + pseudo()), STREAM, (1,)),
    ("8.3 a pseudo-field among trailers", post(1, b"/") + headers(1, [(b":path", b"/")]), STREAM, (1,)),
    *[
        (f"8.3 {name.decode()} twice", headers(1, pseudo() + [(name, value)]), STREAM, (1,))
        for name, value in pseudo()
    ],
    *[
        (f"8.3.1 no {name.decode()}", headers(1, [f for f in pseudo() if f[0] != name]), STREAM, (1,))
        for name in (b":method", b":scheme", b":path", b":authority")
    ],
    ("8.3.1 an empty :path", replaced(b":path", b""), STREAM, (1,)),
    ("8.3.1 a :path that does not begin with /", replaced(b":path", b"index"), STREAM, (1,)),
    ("8.3.1 an absolute :path", replaced(b":path", b"http://evil.test/"), STREAM, (1,)),
    ("8.3.1 a :path with a blank", replaced(b":path", b"/a b"), STREAM, (1,)),
    ("8.3.1 a :path with a line", replaced(b":path", b"/ HTTP/1.1\r\nX: y"), STREAM, (1,)),
    ("8.3.1 a :method that is a line", replaced(b":method", b"GET / HTTP/1.1\r\nHost: evil.test"), STREAM, (1,)),
    ("8.3.1 a :scheme that is a URL", replaced(b":scheme", b"https://evil/"), STREAM, (1,)),
    ("8.3.1 * without OPTIONS", replaced(b":path", b"*"), STREAM, (1,)),
    ("8.3.1 host twice", headers(1, pseudo() + [(b"host", b"api.test")] * 2), STREAM, (1,)),
    ("8.5 CONNECT with :path", headers(1, pseudo(b"CONNECT")), STREAM, (1,)),
    ("RFC 8441 :protocol", headers(1, pseudo(b"CONNECT") + [(b":protocol", b"websocket")]), STREAM, (1,)),
]


def must_rows():
    for row in MUST:
        label, rest = row[0], list(row[1:])
        mode = rest.pop(0) if isinstance(rest[0], str) else ""
        first = rest.pop(0)
        second = rest.pop(0) if mode == "AFTER" else b""
        yield (label, mode, first, second, *rest)


@bench.case("what RFC 9113 says must be refused is refused, and nothing of it reaches the host", list(must_rows()))
def must(house, mode, first, second, scope, codes):
    house.origin.scripts["/wait"] = [Pause(200), reply()]
    before = house.origin.counts()
    with house.h2(begin=mode != "RAW", seconds=5) as client:
        client.send(first)
        if second:
            see_status(client.answer(1), 200)
            client.send(second)
        it = client.stream(1)
        client.until(lambda: client.goaway or it.reset is not None or (it.ended and it.status in (400, 421)))
        see(client.closed != "timeout", "nothing was said for 5 s")
        got = (STREAM, it.reset) if it.reset is not None else (CONNECTION, client.goaway and client.goaway[1])
        if it.ended and it.status in (400, 421):  # an answer is the milder form of a stream error (RFC 9113 s.8.1.1)
            got = (STREAM, 1)
        see(scope in (None, got[0]) or got[0] == CONNECTION, f"an error of the {got[0]}, {got[1]}, {client.closed}")
        see(got[1] in codes or client.closed == "rst", f"code {got[1]} of the {got[0]} ({client.closed})")
        if got[0] == STREAM:
            client.send(get(9, b"/wait"))
            see_status(client.answer(9), 200)
        else:
            client.over()
            see(client.closed != "timeout", "the connection stayed open")
    if mode != "AFTER" and GOOD not in first:
        seen = [r.start for r in house.origin.requests[before[1] :] if b"/wait" not in r.start]
        see(not seen, f"the origin saw {seen}")


@bench.case(
    "what nghttp2 ignores where an error is asked for is not served",
    [
        ("5.1 HEADERS on a closed stream", 1),
    ],
)
def ignored(house, number):
    with house.h2() as client:
        client.send(get(1), get(5))
        see_status(client.answer(1), 200)
        see_status(client.answer(5), 200)
        before = house.origin.counts()
        client.send(get(number, b"/ghost"))
        if not client.pong():
            return  # better still
        see_equal(house.origin.counts(), before, "what the origin saw")
        client.send(get(7))
        see_status(client.answer(7), 200)


@bench.case("6.9 DATA beyond the window of a stream that nobody takes is refused")
def overrun(house):
    stop = threading.Event()

    def stuck(connection, head):
        stop.wait(10)

    with behind_head(house, b"POST /stuck", stuck), house.h2() as client:
        client.send(post(1, b"/stuck", BINARY))
        for _ in range(1000):
            client.send(data(1, b"x" * 16384))
        it = client.stream(1)
        client.until(lambda: client.goaway or it.reset is not None)
        stop.set()
        see_equal(client.goaway[1] if client.goaway else it.reset, h2.FLOW_CONTROL_ERROR, "the code")


if __name__ == "__main__":
    bench.run(H2House)
