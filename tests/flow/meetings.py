"""meetings - one table for all four meetings: a client of HTTP/1.1 or HTTP/2, and a host of HTTP/1.1 or HTTP/2."""
import hashlib
import json
import os
import random
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import h2client as h2
from case import Bench, see, see_equal
from h2origin import Early, Hangup, Reset
from house import await_until, free_port
from meeting import CHUNKED, MeetingHouse, Never, Paced, each_meeting, see_whole
from origin import CLOSE, CUT, RESET, chunked, reply

bench = Bench()
SENT = 'osb_bytes_total{side="upstream",direction="out"}'
TEXT, BINARY = (b"content-type", b"text/plain"), (b"content-type", b"application/octet-stream")
LARGE = random.Random(8).randbytes(8 << 20)
DOWN = "down.wild.test"  # allowed, and nobody is there
case = each_meeting(bench)


def see_refused(answer, status, code):
    """What a program needs is in the fields, what a person needs in the body, over both versions alike."""
    see_equal((answer.status, answer.code), (status, code), "status and code")
    see(answer.clean, f"the refusal is not whole: {answer.body!r}, {answer.ending}")
    said = json.loads(answer.body)
    see_equal(said["error"]["code"], code, "the code in the body")
    see_equal(said["request_id"], answer.get("x-request-id"), "the request id in the body")
    see(len(said["message"]) > 20, f"the message is {said['message']!r}")
    see_equal(answer.get("content-length"), str(len(answer.body)), "Content-Length")


# --- heads -------------------------------------------------------------------------------------------------------------


@case("a GET gets its answer, its token's value arrives, and the audit says which versions met")
def get(meeting):
    see_whole(
        meeting.ask(b"GET", b"/get?x=1", (b"authorization", b"Bearer " + meeting.token)), body=b'{"ok":true}'
    )
    seen = meeting.last()
    see_equal(seen.start.split(b" ")[:2], [b"GET", b"/get?x=1"], "method and target at the origin")
    see_equal(seen.get("authorization"), "Bearer " + meeting.value.decode(), "Authorization at the origin")
    see_equal(seen.all("host"), [meeting.host.encode()], "Host at the origin")
    see_equal((seen.body, seen.all("content-length")), (b"", []), "body and length at the origin")
    line = meeting.audited("/get")
    see_equal(
        (line["status"], line["secrets"]), (200, [meeting.house.hosts[meeting.upstream][1]]), "status and secrets"
    )


@case(
    "an answer without a body ends with its head, and keeps its length where it has one",
    [
        ("HEAD", b"HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n", 200, "7"),
        ("204", b"GET", b"HTTP/1.1 204 No Content\r\n\r\n", 204, None),
        ("304", b"GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", 304, "9"),
    ],
)
def bodiless(meeting, method, octets, status, length):
    meeting.script("/bodiless", [octets])
    answer = see_whole(meeting.ask(method, b"/bodiless"), status, b"")
    see_equal(answer.get("content-length"), length, "Content-Length")


@case("a head of 40 KiB passes in both directions, its token replaced")
def large_head(meeting):
    fill = [(b"x-fill-%d" % n, b"%d" % n * 4096) for n in range(10)]
    meeting.script("/large-head", [reply(fields=fill)])
    answer = see_whole(meeting.ask(b"GET", b"/large-head", *fill, (b"x-token", meeting.token)))
    for name, value in fill:
        see_equal(meeting.last().all(name.decode()), [value], f"{name} at the origin")
        see_equal(answer.get(name.decode()), value.decode(), f"{name} at the client")
    see_equal(meeting.last().get("x-token"), meeting.value.decode(), "x-token at the origin")


@case("two cookies are one field in the order in which they were said, their token replaced")
def cookies(meeting):
    cookie = b"a=1", b"b=" + meeting.token
    crumbs = [b"; ".join(cookie)] if meeting.versions[0] == "h1" else cookie
    see_whole(meeting.ask(b"GET", b"/got", *((b"cookie", crumb) for crumb in crumbs)))
    see_equal(meeting.last().all("cookie"), [b"a=1; b=" + meeting.value], "Cookie at the origin")


@case("te: trailers arrives, and nothing else of what belongs to the connection")
def te_trailers(meeting):
    see_whole(meeting.ask(b"GET", b"/got", (b"te", b"trailers")))
    seen, h1 = meeting.last(), meeting.upstream == "h1"
    see_equal(seen.all("te"), [b"trailers"], "TE at the origin")
    see_equal(
        [value.lower() for value in seen.all("connection")], [b"te"] if h1 else [], "Connection at the origin"
    )
    for name in ("keep-alive", "transfer-encoding", "upgrade", "http2-settings"):
        see(not seen.all(name), f"{name}: {seen.all(name)}")


@case(
    "100-continue is asked for and given before the body is sent",
    [("by the proxy, for a text that it holds", TEXT), ("by the host", BINARY)],
)
def continued(meeting, kind):
    body = b"what was waited for " + meeting.token
    script = Paced(b"HTTP/1.1 100 Continue\r\n\r\n", reply()) if kind == BINARY else None
    meeting.script("/continued", script)
    talk = meeting.open()
    talk.begin(b"POST", b"/continued", kind, (b"expect", b"100-continue"), framing=len(body))
    see(talk.hears_interim(), f"no 100, but {talk.client.closed}")
    sent = meeting.house.metric(SENT)
    talk.send(body, end=True)
    if script:  # an answer that comes before the body has gone ends the request
        await_until(lambda: meeting.house.metric(SENT) >= sent + len(body), "the body has gone to the host")
        script.go()
    see_equal(see_whole(talk.answer()).interim, [100], "the interim answers")
    want = body.replace(meeting.token, meeting.value) if kind == TEXT else body
    await_until(lambda: meeting.last().body == want, "the body at the origin")


@case("103 comes before the answer, with its fields")
def hints(meeting):
    script = meeting.script("/hints", Paced(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", reply()))
    talk = meeting.open()
    talk.begin(b"GET", b"/hints")
    see(talk.hears_interim(), f"no 103, but {talk.client.closed}")
    script.go()
    see_equal(see_whole(talk.answer()).interim, [103], "the interim answers")


# --- bodies ------------------------------------------------------------------------------------------------------------


@case(
    "a body arrives with an exact length where it had one, else without; a token in a text is replaced",
    [
        (f"{label}, {'a' if counted else 'no'} length, {size} octets", kind, counted, size)
        for label, kind in (("text", TEXT), ("binary", BINARY))
        for counted in (True, False)
        for size in (0, 200000)
    ],
)
def posted(meeting, kind, counted, size):
    body = b"x" * size + b"<" + meeting.token + b">y"
    want = body.replace(meeting.token, meeting.value) if kind == TEXT else body
    token = b"Bearer " + meeting.token
    see_whole(meeting.ask(b"POST", b"/sink", kind, (b"authorization", token), body=body, counted=counted))
    seen = meeting.last()
    see(
        seen.body == want,
        f"{len(seen.body)} octets at the origin, not {len(want)}, or others: {seen.body[-120:]!r}",
    )
    see_equal(seen.get("authorization"), "Bearer " + meeting.value.decode(), "Authorization at the origin")
    see_equal(seen.all("content-length"), [b"%d" % len(want)] if counted else [], "Content-Length at the origin")


@case("an empty POST arrives as one", [("length 0", 0), ("no length", CHUNKED), ("no body", None)])
def empty(meeting, framing):
    talk = meeting.open()
    talk.begin(b"POST", b"/sink", framing=framing)
    if framing is not None:
        talk.finish()
    see_whole(talk.answer())
    seen = meeting.last()
    see_equal((seen.body, seen.complete), (b"", True), "the body at the origin")
    see(seen.all("content-length") in ([], [b"0"]), f"Content-Length {seen.all('content-length')}")
    if meeting.upstream == "h1" and framing is not CHUNKED:
        see_equal(seen.all("content-length"), [b"0"], "Content-Length at the origin")


@case(
    "what is large goes up whole, and a length stays exact when a token in it is replaced",
    [
        (f"{len(body) >> 20} MiB of {label}, {'a' if counted else 'no'} length", kind, body, counted)
        for label, kind, body in (("octets", BINARY, LARGE), ("text", TEXT, LARGE.hex().encode()[: 7 << 20]))
        for counted in (True, False)
    ],
)
def large_up(meeting, kind, body, counted):
    body = body[: 4 << 20] + meeting.token + body[4 << 20 :]
    answer = see_whole(meeting.ask(b"POST", b"/sink", kind, body=body, counted=counted))
    want = body.replace(meeting.token, meeting.value) if kind == TEXT else body
    see_equal(
        json.loads(answer.body), {"octets": len(want), "sha256": hashlib.sha256(want).hexdigest()}, "what came"
    )
    length = [b"%d" % len(want)] if counted else []
    see_equal(meeting.last().all("content-length"), length, "Content-Length at the origin")


@case(
    "8 MiB come down whole",
    [
        ("a length", [reply(body=LARGE)]),
        (
            "no length",
            [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", chunked(LARGE[:5000], LARGE[5000:])],
        ),
        ("until it closes", [b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + LARGE, CLOSE]),
    ],
)
def large_down(meeting, steps):
    meeting.script("/large", steps)
    answer = see_whole(meeting.ask(b"GET", b"/large"))
    see_equal(hashlib.sha256(answer.body).hexdigest(), hashlib.sha256(LARGE).hexdigest(), "the digest")


@case("trailers go both ways, and a token in one is replaced")
def trailers(meeting):
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n"
    meeting.script("/trailers", [head + chunked(b"abc", b"def", last=b"0\r\nX-Sum: 6\r\n\r\n")])
    said = (b"x-token", meeting.token), (b"x-plain", b"1")
    answer = meeting.ask(b"POST", b"/trailers", (b"te", b"trailers"), body=b"body", counted=False, trailers=said)
    see_whole(answer, body=b"abcdef")
    see_equal(answer.trailers, [("x-sum", "6")], "the trailers at the client")
    seen = sorted((name.lower(), value) for name, value in meeting.last().trailers)
    see_equal(seen, [(b"x-plain", b"1"), (b"x-token", meeting.value)], "the trailers at the origin")


@case("events come one by one, each before the next is there")
def events(meeting):
    event = lambda n: b"%x\r\ndata: %d\n\n\r\n" % (len(b"data: %d\n\n" % n), n)
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    script = meeting.script("/events", Paced(head, *map(event, range(5)), b"0\r\n\r\n"))
    talk = meeting.open()
    talk.begin(b"GET", b"/events")
    for n in range(5):
        script.go()
        see(talk.hears(b"data: %d\n\n" % n), f"event {n} did not come: {talk.client.closed}")
    script.go()
    see_whole(talk.answer(), body=b"".join(b"data: %d\n\n" % n for n in range(5)))


@case("both talk in turns: an answer goes on while the request does, and ends after it")
def turns(meeting):
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    said = [b"<%d>" % n for n in range(4)]
    script = meeting.script("/turns", Paced(head, *(b"3\r\n%s\r\n" % part for part in said), b"0\r\n\r\n"))
    talk = meeting.open()
    talk.begin(b"POST", b"/turns", BINARY, framing=CHUNKED)
    for part in said:
        talk.send(b"ask")
        script.go()
        see(talk.hears(part), f"{part} did not come: {talk.client.closed}")
    talk.finish()
    script.go()
    see_whole(talk.answer(), body=b"".join(said))


# --- ends that are not the usual ones ----------------------------------------------------------------------------------


@case(
    "an answer that ends before the body is whole is the answer",
    [
        (f"{label}, {then}", framing, then)
        for label, framing in (("a length", 1 << 20), ("no length", CHUNKED))
        for then in ("and no word more", "and no more is wanted")
    ],
)
def early(meeting, framing, then):
    last = {"h1": CLOSE, "h2": Reset(h2.NO_ERROR)}[meeting.upstream]
    meeting.script("/early", Early([reply(413, b"too much")] + [last] * (then == "and no more is wanted")))
    talk = meeting.open()
    talk.begin(b"POST", b"/early", BINARY, framing=framing)
    talk.send(b"the first part")
    see_whole(talk.answer(), 413, b"too much")
    meeting.audited("/early")


ENDS = {
    "h1": [(how, how) for how in (CLOSE, CUT, RESET)],
    "h2": [(f"RST_STREAM {code}", Reset(code)) for code in (h2.NO_ERROR, h2.CANCEL, h2.INTERNAL_ERROR)]
    + [(f"the connection: {how}", Hangup(how)) for how in (CLOSE, CUT, RESET)],
}
HALVES = [
    ("a length", b"Content-Length: 10\r\n\r\nhalf!"),
    ("no length", b"Transfer-Encoding: chunked\r\n\r\n5\r\nhalf!\r\n"),
]


@case(
    "an answer that breaks off breaks off for the client too, never with a clean end",
    lambda client, upstream: [
        (f"{label}, {how}", head, end) for label, head in HALVES for how, end in ENDS[upstream]
    ],
)
def broken_off(meeting, head, end):
    script = meeting.script("/broken", Paced(b"HTTP/1.1 200 OK\r\n" + head, end))
    talk = meeting.open()
    talk.begin(b"GET", b"/broken")
    see(talk.hears(b"half!"), f"the first half did not come: {talk.client.closed}")
    script.go()
    answer = talk.answer()
    see(not answer.clean, "a clean end")
    see(answer.ending not in (None, "timeout", "RST_STREAM 0"), f"the client was told {answer.ending}")
    see_equal(answer.body, b"half!", "what came")
    line = meeting.audited("/broken")
    see_equal((line["status"], line["action"]), (200, "error"), "status and action in the audit")


@case("a connection that breaks before the answer is a 502 that says so", [("GET", b"GET"), ("POST", b"POST")])
def no_answer(meeting, method):
    meeting.script("/broken", Early([{"h1": RESET, "h2": Hangup(RESET)}[meeting.upstream]]))
    see_refused(
        meeting.ask(method, b"/broken", body=None if method == b"GET" else b"x"), 502, "upstream_unreachable"
    )


@case(
    "a client that goes away, or takes its request back, is heard of at the host",
    lambda client, upstream: [
        (f"{label}, {how}", framing, how)
        for label, framing in (
            ("in a body with a length", 1 << 20),
            ("in a body without", CHUNKED),
            ("while it thinks", None),
        )
        for how in ("close", "rst", "take back")
        # A whole request of HTTP/1.1 and then a clean end is one that still wants its answer.
        if not (client == "h1" and framing is None and how == "close")
    ],
)
def client_gone(meeting, framing, how):
    meeting.script("/gone", Never())
    count = len(meeting.origin.begun)
    talk = meeting.open()
    talk.begin(b"GET" if framing is None else b"POST", b"/gone", BINARY, framing=framing)
    if framing is not None:
        talk.send(b"the first part")
    seen = meeting.origin.await_begun(count + 1)[count:]
    see(seen, "the request did not reach the origin")
    talk.take_back() if how == "take back" else talk.client.end(how)
    await_until(lambda: meeting.origin.told(seen[0]), "the host is told", 5)
    see(not seen[0].complete or framing is None, "the request is whole at the origin")
    if meeting.upstream == "h2":
        see_equal(seen[0].reset, h2.CANCEL, "the code of RST_STREAM")
    see_equal(meeting.audited("/gone")["reason"], "client_gone", "the audit's reason")


@case("a client that has nothing more to say hears the answer all the same")
def half_closed(meeting):
    script = meeting.script("/half", Paced(b"", reply(body=b"late")))
    count = len(meeting.origin.begun)
    talk = meeting.open()
    talk.begin(b"POST", b"/half", BINARY, framing=4)
    talk.send(b"done", end=True)
    talk.half_close()
    meeting.origin.await_begun(count + 1)
    script.go()
    see_whole(talk.answer(), body=b"late")


# --- refusals ----------------------------------------------------------------------------------------------------------


@case(
    "a token that the host may not have is a 403, and nothing reaches the host",
    [("in a field", False, False), ("in a text with a length", True, True), ("in a text without", True, False)],
)
def denied(meeting, in_body, counted):
    before, fields = len(meeting.origin.requests), [] if in_body else [
        (b"authorization", b"Bearer " + meeting.denied)
    ]
    body = b"<" + meeting.denied + b">" if in_body else None
    path = f"/denied-{len(meeting.house.audit())}"  # each row's own: an earlier row's line would do for it
    answer = meeting.ask(b"POST", path.encode(), TEXT, *fields, body=body, counted=counted)
    see_refused(answer, 403, "token_denied")
    see_equal(len(meeting.origin.requests), before, "the count of whole requests at the origin")
    line = meeting.house.await_audit(lambda line: line["path"] == path, "its audit line")
    see_equal(
        (line["proto"], line["action"], line["reason"]), (meeting.versions[0], "block", "token_denied"), "the line"
    )


@case("a request for another host than the connection's is a 421")
def mismatch(meeting):
    other = {"api.test": b"echo.test", "echo.test": b"api.test"}[meeting.host]
    see_refused(meeting.ask(b"GET", b"/other", authority=other), 421, "host_mismatch")


@case(
    "what the proxy says itself can be read",
    [
        ("a host that is not allowed", "evil.test", b"/", 0, 403, "host_not_allowed"),
        ("a host that is not there", DOWN, b"/", 0, 502, "upstream_unreachable"),
        ("a target that is too long", None, b"/" + b"x" * 50000, 0, 414, "too_large"),
        ("a head that is too large", None, b"/", 56000, 431, "too_large"),
    ],
)
def told(meeting, host, path, fill, status, code):
    talk = meeting.open(host)
    fields = [(b"x-fill-%d" % n, b"x" * 7000) for n in range(fill // 7000)]
    talk.begin(b"GET", path, *fields)
    see_refused(talk.answer(), status, code)


class House(MeetingHouse):
    def furnish(self):
        super().furnish()
        self.config = [
            f"connect_to = {DOWN}:443=127.0.0.1:{free_port()}",
            "denied_token = block",
            "head_bytes = 48KiB",
            "body_memory = 8MiB",
        ]


if __name__ == "__main__":
    bench.run(House)
