"""attacks_subst - S01 S02 S09: every token that may be replaced is, however it stands or is cut; nothing else is."""
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from case import Bench, see, see_equal, short
from house import House, request

bench = Bench()
LENGTH = 43
NAMES = (
    "Authorization",
    "X-Api-Key",
    "x-api-key",
    "X-GOOG-API-KEY",
    "Api-Key",
    "Cookie",
    "X-Auth-Token",
    "Private-Token",
    "PRIVATE-TOKEN",
    "X-Amz-Security-Token",
    "DD-API-KEY",
    "Ocp-Apim-Subscription-Key",
    "X-Shopify-Access-Token",
    "X-Vault-Token",
    "Referer",
    "User-Agent",
    "X-Figma-Token",
    "Accept",
    "X-Custom",
    "x",
)
HOP = (b"host", b"content-length", b"transfer-encoding", b"connection", b"accept-encoding", b"keep-alive", b"te")


class SubstHouse(House):
    def furnish(self):
        self.store("A", "api.test", "echo.test", "*.wild.test")
        self.store("B", "api.test")
        self.secret("A", "S1", "api.test")
        self.secret("A", "S2", "echo.test")
        self.secret("A", "S4", "api.test")
        self.secret("B", "S3", "api.test")
        self.a = self.sandbox("sbA", "127.0.0.2", "A")
        self.b = self.sandbox("sbB", "127.0.0.3", "B")


def swapped(house, octets):
    """The reference: what A's request to api.test must become."""
    for name in ("S1", "S4"):
        octets = octets.replace(house.a.tokens[name], house.value(name))
    return octets


def written(house, text):
    """T1, T2, T4 in a text stand for A's tokens."""
    for name in ("1", "2", "4"):
        text = text.replace(b"<T" + name.encode() + b">", house.a.tokens["S" + name])
    return text


def end_to_end(fields):
    return [(name, value) for name, value in fields if name.lower() not in HOP]


def see_fields(house, *fields):
    """Send these field lines; the origin must see each, in order, in its case, with the values swapped."""
    lines = [written(house, field) for field in fields]
    answer = house.get(house.a, "api.test", "/fields", *lines)
    see_equal(answer.status, 200, f"the status ({answer.code})")
    want = [swapped(house, line).split(b": ", 1) for line in lines]
    see_equal(
        end_to_end(house.origin.requests[-1].fields), [tuple(pair) for pair in want], "the fields at the origin"
    )


def see_body(house, body, kind=b"text/plain", pieces=None, chunks=None, wire=None, client=None):
    """Send ${body}; chunks: its parts in chunked framing; pieces: the TLS records that the whole request is cut into."""
    framing = b"Transfer-Encoding: chunked" if chunks else b"Content-Length: %d" % len(body)
    sent = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in chunks if part) + b"0\r\n\r\n" if chunks else body
    octets = request("POST", "/body", "api.test", b"Content-Type: " + kind if kind else b"X-None: 1", framing) + sent
    own = client is None
    client = client or house.client(house.a, "api.test")
    client.send(*cut(octets, pieces), wire=wire)
    answer = client.response()
    see(answer is not None, f"no answer but {client.closed}")
    see_equal(answer.status, 200, f"the status ({answer.code})")
    last = house.origin.requests[-1]
    want = body if kind and kind.startswith((b"application/octet", b"image/")) else swapped(house, body)
    see(last.body == want, f"the origin saw {short(last.body)} ({len(last.body)}), not {short(want)} ({len(want)})")
    if not chunks:
        see_equal(last.all("content-length"), [b"%d" % len(want)], "the length")
    if own:
        client.end()


def cut(octets, pieces):
    """${pieces}: offsets from the end, at which the octets are cut."""
    if not pieces:
        return [octets]
    marks = [0] + [len(octets) - back for back in pieces] + [len(octets)]
    return [octets[a:b] for a, b in zip(marks, marks[1:])]


@bench.case(
    "S01 a token in a field's value becomes the value", [(f"{name}", f"{name}: <T1>".encode()) for name in NAMES]
)
def s01_names(house, field):
    see_fields(house, field)


@bench.case(
    "S01 wherever in the value it stands, and how often",
    [
        ("behind a scheme", b"Authorization: Bearer <T1>"),
        ("twice", b"X-K: <T1> and <T1>"),
        ("adjacent", b"X-K: <T1><T1>"),
        ("two secrets", b"X-K: <T1>;<T4>"),
        ("at the start", b"X-K: <T1>zzz"),
        ("at the end", b"X-K: zzz<T1>"),
        ("hex right behind", b"X-K: <T1>0123abcdef"),
        ("in quotes", b'X-K: token="<T1>", x="y"'),
        ("false starts before", b"X-K: osb_sealed_osb_sealed_osb_<T1>"),
        ("the mark alone", b"X-K: osb_sealed_"),
        ("one digit short", b"X-K: osb_sealed_0123456789abcdef0123456789abcde"),
        ("upper-case hex", b"X-K: osb_sealed_0123456789ABCDEF0123456789ABCDEF"),
        ("upper-case mark", b"X-K: OSB_SEALED_0123456789abcdef0123456789abcdef"),
        ("one that may not go here, beside one that may", b"X-K: <T2> <T1>"),
    ],
)
def s01_places(house, field):
    see_fields(house, field)


@bench.case("S01 fields of one name keep their order and number")
def s01_same(house):
    see_fields(house, b"X-K: 1 <T1>", b"X-Other: <T4>", b"X-K: 2 <T1>", b"x-k: 3", b"X-K: <T2>")


@bench.case("S01 Basic is opened, swapped and closed again")
def s01_basic(house):
    import base64

    house.get(
        house.a, "api.test", "/basic", b"Authorization: Basic " + base64.b64encode(b"user:" + house.a.tokens["S1"])
    )
    got = base64.b64decode(house.origin.requests[-1].get("authorization").split(" ")[1])
    see_equal(got, b"user:" + house.value("S1"), "the credentials at the origin")


@bench.case(
    "S01 a body's tokens are swapped by its type, with a length that is right",
    [
        (f"{label}, {framing}", kind, text, framing == "chunked")
        for framing in ("length", "chunked")
        for label, kind, text in (
            ("text", b"text/plain", b"a <T1> b <T1><T4> c"),
            ("token alone", b"text/plain", b"<T1>"),
            ("no type", None, b"x=<T1>"),
            ("JSON", b"application/json", b'{"k":"<T1>","l":["<T4>","<T2>"],"n":1}'),
            ("form", b"application/x-www-form-urlencoded", b"a=<T1>&b=<T4>&c=<T2>"),
            (
                "multipart",
                b"multipart/form-data; boundary=xx",
                b'--xx\r\nContent-Disposition: form-data; name="k"\r\n\r\n<T1>\r\n--xx--\r\n',
            ),
            ("binary is left alone", b"application/octet-stream", b"\0\1<T1>\xff"),
            ("an image is left alone", b"image/png", b"<T1>"),
            ("no token", b"text/plain", b"plain"),
            ("ends in the mark", b"text/plain", b"x osb_sealed_"),
            ("ends in half a token", b"text/plain", b"x osb_sealed_0123"),
            ("false starts", b"text/plain", b"osb_sealed_" * 50 + b"<T1>"),
        )
    ],
)
def s01_bodies(house, kind, text, in_chunks):
    body = written(house, text)
    see_body(house, body, kind, chunks=[body[:7], body[7:]] if in_chunks else None)


def body_around(house):
    return b"before " + house.a.tokens["S1"] + b" behind"


TAIL = len(b" behind")


@bench.case(
    "S02 a token cut between TLS records, in a body with a length", [(f"at {at}", at) for at in range(LENGTH + 1)]
)
def s02_records(house, at):
    see_body(house, body_around(house), pieces=[TAIL + LENGTH - at])


@bench.case("S02 a token cut between TLS records, in a header", [(f"at {at}", at) for at in range(LENGTH + 1)])
def s02_head(house, at):
    token = house.a.tokens["S1"]
    octets = request("GET", "/head", "api.test", b"X-Key: " + token)
    with house.client(house.a, "api.test") as client:
        answer = client.ask(*cut(octets, [4 + LENGTH - at]))
        see(
            answer is not None and answer.status == 200, f"the answer was {answer and answer.status}, {client.closed}"
        )
    see_equal(house.origin.requests[-1].get("x-key").encode(), house.value("S1"), "the value at the origin")


@bench.case("S02 a token cut between chunks", [(f"at {at}", at) for at in range(LENGTH + 1)])
def s02_chunks(house, at):
    body = body_around(house)
    see_body(house, body, chunks=[body[: 7 + at], body[7 + at :]])


@bench.case("S02 a token cut between chunks and records at once", [(f"at {at}", at) for at in range(LENGTH + 1)])
def s02_both(house, at):
    body = body_around(house)
    see_body(
        house, body, chunks=[body[: 7 + at], body[7 + at :]], pieces=[len(b"\r\n0\r\n\r\n") + TAIL + LENGTH - at]
    )


@bench.case("S02 a record with a token cut between TCP segments", [(f"at {at}", at) for at in range(LENGTH + 1)])
def s02_segments(house, at):
    """The body is a record of its own: 5 octets of header and the token's place behind it."""
    body = body_around(house)
    see_body(house, body, pieces=[len(body)], wire=[5 + 7 + at])


def sweep(house, chunked):
    """The token at every offset around the sizes that buffers and records have; one connection, many requests."""

    def row(house, edge):
        token, client, bad = house.a.tokens["S1"], house.client(house.a, "api.test", seconds=60), []
        for at in range(edge - LENGTH - 1, edge + 2):
            body = b"p" * at + token + b"q" * 100
            chunks = [body[:edge], body[edge:]] if chunked else None
            try:
                see_body(house, body, chunks=chunks, client=client)
            except AssertionError as saw:
                bad.append(f"offset {at}: {saw}")
                break
            house.origin.requests[-1].connection.octets.clear()
            client.octets.clear()
        client.end()
        see(not bad, "; ".join(bad))

    return row


EDGES = [(f"{edge}", edge) for edge in (4096, 8192, 16384, 32768, 65536, 131072)]
bench.case("S02 a token across every edge of buffers and records, with a length", EDGES)(sweep(None, False))
bench.case("S02 a token across every edge of buffers and records, in chunks", EDGES)(sweep(None, True))


@bench.case("S02 octet by octet, with pauses inside the token", [("length", False), ("chunked", True)])
def s02_octets(house, chunked):
    token = house.a.tokens["S1"]
    head = request(
        "POST",
        "/slow",
        "api.test",
        b"Content-Type: text/plain",
        b"Transfer-Encoding: chunked" if chunked else b"Content-Length: %d" % (LENGTH + 4),
        b"X-Key: " + token,
    )
    body = b"b=" + token + b".."
    octets = head + (b"".join(b"1\r\n%c\r\n" % c for c in body) + b"0\r\n\r\n" if chunked else body)
    with house.client(house.a, "api.test") as client:
        for n in range(len(octets)):
            client.send(octets[n : n + 1])
            if n % 50 == 0:
                time.sleep(0.005)  # the test's own subject: time between octets
        answer = client.response()
        see(
            answer is not None and answer.status == 200, f"the answer was {answer and answer.status}, {client.closed}"
        )
    last = house.origin.requests[-1]
    see_equal(
        (last.get("x-key").encode(), last.body),
        (house.value("S1"), b"b=" + house.value("S1") + b".."),
        "what the origin saw",
    )


def with_value(house, value):
    """Rotate S4 to this value; a running sandbox has it at once (contract section 5)."""
    house.secret("A", "S4", "api.test", value=value, canary=False)


@bench.case(
    "S09 a value that can't stand in a header is refused there before anything is sent",
    [
        ("CR LF and a field", b"x\r\nX-Evil: 1"),
        ("LF", b"x\ny-padding-padding"),
        ("CR", b"x\ry-padding-padding"),
        ("NUL", b"x\0y-padding-padding"),
    ],
)
def s09_header(house, value):
    with_value(house, value)
    answer = await_rotated(
        house,
        lambda: house.refused(
            house.a, "api.test", request("GET", "/s09", "api.test", b"X-Key: " + house.a.tokens["S4"]), (502,)
        ),
    )
    see_equal(answer.code, "secret_unusable", "the code")


def await_rotated(house, attempt, seconds=3):
    """A rotation is published; the proxy hears of it a moment later, so the first attempts may still see the old value."""
    end = time.monotonic() + seconds
    while True:
        try:
            return attempt()
        except AssertionError:
            if time.monotonic() > end:
                raise
            time.sleep(0.05)


@bench.case(
    "S09 in a body a value goes as it is",
    [
        ("CR LF and a field", b"x\r\nX-Evil: 1"),
        ("LF", b"x\ny"),
        ("NUL", b"x\0y"),
        ("a leading blank", b" x"),
        ("one octet", b"x"),
        ("above ASCII", b"\xff\xfe\xc3\xa4\x80"),
        ("64 KiB", b"v" * 65536),
        ("the mark", b"osb_sealed_"),
        ("half a token", b"osb_sealed_0123456789abcdef"),
    ],
)
def s09_body(house, value):
    with_value(house, value)
    token = house.a.tokens["S4"]

    def attempt():
        house.ask(
            house.a,
            "api.test",
            request("POST", "/s09", "api.test", b"Content-Type: text/plain", body=b"a " + token + b" b"),
        )
        see(
            house.origin.requests[-1].body == b"a " + value + b" b",
            f"the origin saw {short(house.origin.requests[-1].body)}",
        )
        see_equal(house.origin.requests[-1].all("x-evil"), [], "injected fields")

    await_rotated(house, attempt)


@bench.case(
    "S09 a value that holds a token is not read again",
    [("T1 in T4's value, header", True), ("T1 in T4's value, body", False)],
)
def s09_recursion(house, in_header):
    inner = house.a.tokens["S1"]
    with_value(house, b"v:" + inner + b":v")
    token = house.a.tokens["S4"]

    def attempt():
        if in_header:
            house.get(house.a, "api.test", "/s09", b"X-Key: " + token)
            got = house.origin.requests[-1].get("x-key").encode()
        else:
            house.ask(
                house.a, "api.test", request("POST", "/s09", "api.test", b"Content-Type: text/plain", body=token)
            )
            got = house.origin.requests[-1].body
        see_equal(got, b"v:" + inner + b":v", "the value at the origin")

    await_rotated(house, attempt)


@bench.case("S09 a value of 64 KiB does not fit into a head: refused, nothing sent")
def s09_large(house):
    with_value(house, b"v" * 65536)
    await_rotated(
        house,
        lambda: house.refused(
            house.a,
            "api.test",
            request("GET", "/s09", "api.test", b"X-Key: " + house.a.tokens["S4"]),
            (431, 502, 413),
        ),
    )


@bench.case(
    "S09 osbctl refuses values outside 1 octet to 64 KiB",
    [("empty", b""), ("one LF alone", b"\n"), ("65,537 octets", b"v" * 65537)],
)
def s09_osbctl(house, value):
    house.secret("A", "S4", "api.test", value=value, canary=False, code=4)


bench.run(SubstHouse)
