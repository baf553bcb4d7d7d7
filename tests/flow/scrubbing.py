"""scrubbing - L01 L02 L03 L05: no whole value comes back, whatever way a host repeats it, and nothing else is touched."""
import os
import random
import secrets
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import h2client as h2
from arriving import Ear, undisturbed
from case import Bench, see, see_equal, short
from h2origin import Hangup, Reset
from house import await_until, request
from masks import FORMS, core, forms, mask, see_masked
from meeting import Paced, each_meeting, see_whole
from origin import CLOSE, CUT, RESET, chunked, reply
from reference import CODINGS
from rehouse import rehouse_last
from scrubhouse import BOTH, FRAMINGS, LONG, LOW, ODD, PEM, TAIL, ScrubHouse, asked, said, see_body

bench = Bench()
case = each_meeting(bench)
TEXTS = {"h1": "latin-1", "h2": "utf-8"}  # how the bench's clients read octets of a field
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"


# --- heads -----------------------------------------------------------------------------------------------------------------


@case(
    "L01 a value in a field of the head comes back as a mask",
    [
        ("Location", b"location", b"https://x.test/?key=%s&b"),
        ("Set-Cookie", b"set-cookie", b"k=%s; HttpOnly"),
        ("WWW-Authenticate", b"www-authenticate", b'Bearer realm="x", error="no %s"'),
        ("X-Echo, alone", b"x-echo", b"%s"),
        ("twice", b"x-echo", b"%s and %s"),
        ("twice, touching", b"x-echo", b"%s%s"),
    ],
)
def fields(meeting, name, form):
    value = form.replace(b"%s", meeting.value)
    answer = see_whole(asked(meeting, [reply(401, b"no", [(name, value)], b"Unauthorized")]), 401, b"no")
    see_masked(answer.get(name.decode()).encode(), value, [meeting.value], name.decode())


@case("L01 in a head every form of a value is masked", [(label, write) for label, write in FORMS.items()])
def fields_forms(meeting, write):
    for value in (meeting.value, ODD) + (() if write(PEM).count(b"\n") else (PEM,)):
        text = b"<" + write(value) + b">"
        answer = see_whole(asked(meeting, [reply(fields=[(b"x-echo", text)])]))
        see_masked(answer.get("x-echo").encode(TEXTS[meeting.versions[0]]), text, [value], "x-echo")


@case("L01 a value that is a field's name comes back as a mask")
def field_names(meeting):
    answer = see_whole(asked(meeting, [reply(fields=[(b"x-before", b"1"), (LOW, b"2"), (b"x-behind", b"3")])]))
    names = [name for name, _ in answer.fields]
    see(LOW.decode() not in names, f"the fields are {names}")
    see(
        mask(len(LOW)).decode() in names and "x-before" in names and "x-behind" in names, f"the fields are {names}"
    )


@case("L01 a value in the reason phrase does not come back")
def reasons(meeting):
    answer = see_whole(asked(meeting, [reply(reason=b"OK " + meeting.value)]), body=b'{"ok":true}')
    if meeting.versions == ("h1", "h1"):
        see(mask(len(meeting.value)) in meeting.talks[-1].client.octets, "the reason phrase has no mask")
    see(meeting.value not in meeting.talks[-1].client.octets, "the value is in the reason phrase")
    see_equal(answer.status, 200, "the status")


@case("L01 a value in a 103 comes back as a mask")
def interim(meeting):
    meeting.script("/said", Paced(b"HTTP/1.1 103 Early Hints\r\nLink: </%s>\r\n\r\n" % meeting.value, reply()))
    talk = meeting.open()
    talk.begin(b"GET", b"/said")
    see(talk.hears_interim(), f"no 103, but {talk.client.closed}")
    meeting.origin.scripts["/said"].go()
    see_whole(talk.answer())
    see(meeting.value not in talk.client.octets, "the value is in the 103")
    see(mask(len(meeting.value)) in talk.client.octets, "no mask is in the 103")


@case("L01 a value in a trailer comes back as a mask, as what it is and in base64", [("plain", 0), ("base64", 1)])
def trailers(meeting, coded):
    value = FORMS["base64, phase 1"](meeting.value) if coded else meeting.value
    last = b"0\r\nX-Sum: 1\r\nX-Echo: a %s b\r\n\r\n" % value
    head = HEAD + b"Transfer-Encoding: chunked\r\nTrailer: X-Sum, X-Echo\r\n\r\n"
    answer = see_whole(
        asked(meeting, [head + chunked(b"body", last=last)], b"GET", (b"te", b"trailers")), body=b"body"
    )
    got = dict(answer.trailers)
    see_equal(got.get("x-sum"), "1", "the other trailer")
    see_masked(got.get("x-echo", "").encode(), b"a %s b" % value, [meeting.value], "the trailer")


@case(
    "L01 an answer without a body has its head masked, and its length left",
    [
        ("HEAD", b"HEAD", b"200 OK", b"Content-Length: 77\r\n", "77"),
        ("HEAD, coded", b"HEAD", b"200 OK", b"Content-Encoding: gzip\r\n", None),
        ("304", b"GET", b"304 Not Modified", b"Content-Length: 77\r\n", "77"),
        ("304, coded", b"GET", b"304 Not Modified", b"Content-Encoding: gzip\r\n", None),
        ("204", b"GET", b"204 No Content", b"", None),
    ],
)
def bodiless(meeting, method, status, fields, length):
    octets = b'HTTP/1.1 %s\r\nX-Echo: %s\r\nETag: "%s"\r\n%s\r\n' % (status, meeting.value, meeting.value, fields)
    answer = see_whole(asked(meeting, [octets], method), int(status[:3]), b"")
    see_masked(answer.get("x-echo").encode(), meeting.value, [meeting.value], "x-echo")
    see_equal(answer.get("content-length"), length, "Content-Length")


# --- bodies ----------------------------------------------------------------------------------------------------------------


@case(
    "L01 a value in a body comes back as a mask of its length",
    [
        (f"{framing}, {status.decode()}", framing, status)
        for framing in FRAMINGS
        for status in (b"200 OK", b"500 No")
    ]
    + [
        (f"length, {status.decode()}", "length", status)
        for status in (b"404 Not Found", b"401 Unauthorized", b"302 Found")
    ],
)
def bodies(meeting, framing, status):
    body = b'{"error":"no such key: %s","k":["%s"]}' % (meeting.value, meeting.value)
    answer = asked(meeting, said(body, framing, (b"content-type", b"application/json"), status=status))
    see_body(meeting, answer, body, int(status[:3]))
    see(framing != "length" or answer.get("content-length") == str(len(body)), "the length is gone")


@case(
    "L01 whatever the body's type is",
    [
        (kind.decode() or "none", kind)
        for kind in (
            b"",
            b"text/html; charset=utf-8",
            b"application/octet-stream",
            b"image/png",
            b"text/event-stream",
            b"application/x-ndjson",
            b"application/grpc+proto",
            b"multipart/mixed; boundary=x",
            b"no type at all",
        )
    ],
)
def types(meeting, kind):
    grpc = kind.startswith(b"application/grpc")
    message = b"\x0a\x05\0\xff" + meeting.value + b"\x12\x00" + ODD
    body = (b"\0" + len(message).to_bytes(4, "big") + message) * 3 if grpc else message * 3
    see_body(meeting, asked(meeting, said(body, "chunks", *([(b"content-type", kind)] if kind else []))), body)


@case("L02 what is merely labelled gRPC can't have a value cut in two by what it says of its messages' lengths")
def labelled(meeting):
    value = meeting.value
    for at in (1, 8, 16, len(value) - 1):
        body = b"\0\0\0\0%cab" % (at + 2) + value + b" and more"
        answer = asked(meeting, said(body, "length", (b"content-type", b"application/grpc")))
        see_body(meeting, answer, body)


@case("L03 in a body every form of a value is masked", [(label, write) for label, write in FORMS.items()])
def bodies_forms(meeting, write):
    for value in (meeting.value, ODD, PEM):
        form = write(value)
        body = b"<%s>\n%s\n,%s%s." % (form, form, form, form)
        half = len(form) // 2 + 1
        see_body(meeting, asked(meeting, said([body[:half], body[half:]], "chunks")), body)


@case("L03 what only begins as a value, or ends as one, is left alone")
def parts(meeting):
    for value in (meeting.value, ODD, core(PEM)):
        body = b" ".join(
            form[:-1] + b"|" + form[1:] + b"|" + form[: len(form) // 2] for form in sorted(forms(value))
        )
        body += b"|" + b"|".join((value[:-1], value[1:], value[:15], value[-15:], value.upper(), value[::-1]))
        see_body(meeting, asked(meeting, said(body, "length")), body, some=False)


@case("L01 values that touch, overlap, repeat themselves or are one of several names are masked wherever they are")
def together(meeting):
    front, behind, own = meeting.house.values[3], meeting.house.values[4], meeting.value
    body = b"\n".join(
        (
            own + own,
            own + ODD + PEM + own,
            front + behind[len(TAIL + b"-shared") :],
            front + behind,
            b"a" * 19 + b"b" + b"a" * 20 + b"b" + b"a" * 45,
            LOW + LOW[:-1] + LOW,
            own[:-1] + own,
            own[:5] + own[5:] + own[:5],
        )
    )
    for framing in FRAMINGS:
        see_body(meeting, asked(meeting, said(body, framing)), body)


@case("L01 values of 16 octets are masked, of 15 not; nor are values that this host may not have")
def least(meeting):
    body = b"short-15-octets least--16-octets " + meeting.house.elsewhere
    see_masked(asked(meeting, said(body, "length")).body, body, [b"least--16-octets"])


@case("L01 a megabyte without a blank comes whole, with the one value that is in it")
def long_words(meeting):
    body = b"w" * 700000 + meeting.value + b"w" * 300000
    for framing in FRAMINGS:
        see_body(meeting, asked(meeting, said(body, framing)), body)


@bench.case("L01 a value of 64 KiB is masked at any offset", [(f"{at}", at) for at in (0, 1, 8191, 16384, 100000)])
def longest(house, at):
    for framing in FRAMINGS:
        body = b"w" * at + LONG + b"w" * 100
        for host in BOTH:
            answer = house.answers(house.l, host, *said(body, framing))
            see(answer.complete, f"the answer ended with {answer.closed}")
            see(answer.body == b"w" * at + mask(len(LONG)) + b"w" * 100, f"the body is {short(answer.body)}")


@bench.case("L01 every answer of a connection is masked", [(host, host) for host in BOTH])
def kept_alive(house, host):
    value = house.value("S1" if host == "api.test" else "S2")
    house.origin.scripts["/said"] = said(b"a " + value, "length", (b"x-echo", value))
    with house.client(house.a, host) as client:
        for _ in range(5):
            answer = client.ask(request("GET", "/said", host))
            see_equal(
                (answer.body, answer.get("x-echo")), (b"a " + mask(len(value)), mask(len(value)).decode()), "it"
            )


# --- cuts ------------------------------------------------------------------------------------------------------------------


def values_to_cut(meeting):
    key = core(PEM)
    return {
        "plain": meeting.value,
        "PEM": key,
        "JSON": FORMS["JSON"](key),
        "base64": FORMS["base64, phase 2"](ODD),
    }


CUT_VALUES = ("plain", "PEM", "JSON", "base64")


@case(
    "L02 a value cut at every octet, where what comes before is there before what follows is sent",
    [(f"{label}, {framing}", label, framing) for label in CUT_VALUES for framing in FRAMINGS],
)
@undisturbed
def every_cut(meeting, label, framing):
    value = values_to_cut(meeting)[label]
    marks = [b"\n#%d\n" % at for at in range(1, len(value))]
    # In one piece: the end of a value, a mark, and the beginning of the next, cut one octet later.
    pieces = [marks[0] + value[:1]]
    pieces += [value[at:] + one + value[: at + 1] for at, one in enumerate(marks[1:], 1)] + [value[-1:] + b"\nend"]
    script = meeting.script("/said", Paced(*said(pieces, framing)))
    talk = meeting.open()
    talk.begin(b"GET", b"/said")
    ear, since = Ear(talk), 0
    script.go()
    for one in marks:
        see(ear.hears(one, since), f"{one} did not come: {talk.client.closed}")
        since = ear.body.find(one, since)
        script.go()
    script.go()
    see_body(meeting, talk.answer(), b"".join(pieces))


@case(
    "L02 a value in pieces of an octet each",
    [(f"{label}, {how}", label, how) for label in CUT_VALUES for how in ("chunks of one record", "records")],
)
@undisturbed
def octet_by_octet(meeting, label, how):
    value = values_to_cut(meeting)[label]
    body = b"a b" + value + value + b"c"
    pieces = said([body[at : at + 1] for at in range(len(body))], "chunks")
    see_body(meeting, asked(meeting, [b"".join(pieces)] if how.startswith("chunks") else pieces), body)


@case(
    "L02 a value across every edge of buffers and records",
    [(f"{edge}", edge) for edge in (4096, 8192, 16384, 32768)],
)
def edges(meeting, edge):
    value = meeting.value
    for at in range(edge - len(value) - 1, edge + 2, 3):
        body = b"p" * at + value + b"q" * 100
        see_body(meeting, asked(meeting, said(body, ("length", "chunks")[at % 2])), body)


SEED = int.from_bytes(os.urandom(4), "big")


def muddle(rng, values):
    """Values in any form, what is nearly one, and what stands between them."""
    texts = [form for value in values for form in sorted(forms(value))]
    parts = []
    for _ in range(rng.randrange(1, 60)):
        text, at = rng.choice(texts), rng.randrange(200)
        parts.append(
            rng.choice(
                (
                    text,
                    text,
                    text[:at],
                    text[at:],
                    text[:at] + text,
                    b" ",
                    b"\n",
                    b"\r\n",
                    b"a" * at,
                    b"w" * at * 9,
                )
            )
        )
    return b"".join(parts)


@case(
    f"L02 random answers come as the reference says (seed {SEED})",
    [(coding or "plain", coding) for coding in (None, *CODINGS)],
)
def random_answers(meeting, coding):
    rng = random.Random(f"{SEED}:{coding}:{meeting.versions}")
    for number in range(30):
        body = muddle(rng, meeting.house.values + [meeting.value])
        octets = CODINGS[coding][0](body) if coding else body
        marks = sorted(rng.randrange(len(octets) + 1) for _ in range(rng.randrange(12)))
        pieces = [octets[a:b] for a, b in zip([0] + marks, marks + [len(octets)]) if a < b]
        fields = [(b"content-encoding", coding.encode())] if coding else []
        steps = said(pieces, rng.choice(FRAMINGS), *fields)
        steps = [b"".join(steps[:-1]), steps[-1]] if rng.random() < 0.5 else steps
        try:
            see_body(meeting, asked(meeting, steps), body, some=False)
        except AssertionError as saw:
            see(False, f"answer {number}: {saw}")


ENDS = {
    "h1": [(how, how) for how in (CLOSE, CUT, RESET)],
    "h2": [(f"RST_STREAM {code}", Reset(code)) for code in (h2.NO_ERROR, h2.INTERNAL_ERROR)]
    + [(f"the connection: {how}", Hangup(how)) for how in (CLOSE, RESET)],
}


@case(
    "L02 of an answer that breaks off within a value, nothing of the value arrives",
    lambda client, upstream: [
        (f"{label}, {framing}, {how}", label, framing, end)
        for label in ("plain", "PEM")
        for framing in FRAMINGS
        for how, end in ENDS[upstream]
        # What has no framing of its own ends well then.
        if not (framing == "close" and (end == CLOSE or isinstance(end, Hangup)))
    ],
)
@undisturbed
def broken_off(meeting, label, framing, end):
    value = values_to_cut(meeting)[label]
    for cut in (1, 16, len(value) - 1):
        steps = said([b"before\n" + value[:cut], b"w" * 9], framing)
        script = meeting.script("/said", Paced(b"".join(steps[:2]), end))
        talk = meeting.open()
        talk.begin(b"GET", b"/said")
        ear = Ear(talk)
        see(ear.hears(b"before\n"), f"what came before did not come: {talk.client.closed}")
        script.go()
        answer = talk.answer()
        see(not answer.clean, "a clean end")
        see_equal(answer.body, b"before\n", f"what came, cut at {cut},")


@case("L02 an answer that is whole within a value's beginning is all delivered", [(f, f) for f in FRAMINGS])
def ends_within(meeting, framing):
    for value in (meeting.value, core(PEM)):
        body = b"before\n" + value[:-1]
        see_body(meeting, asked(meeting, said(body, framing)), body, some=False)


# --- what a request asks for -----------------------------------------------------------------------------------------------

RANGES = (b"range", b"bytes=0-3"), (b"if-range", b'"e"')


@case("L05 where values may come back, Accept-Encoding is identity, and Range and If-Range are not asked for")
def plain_asked(meeting):
    see_whole(
        meeting.ask(b"GET", b"/plain", (b"accept-encoding", b"gzip, br"), (b"accept-encoding", b"zstd"), *RANGES)
    )
    seen = meeting.last()
    see_equal(set(seen.all("accept-encoding")), {b"identity"}, "Accept-Encoding")
    see_equal(seen.all("range") + seen.all("if-range"), [], "Range and If-Range")
    see_whole(meeting.ask(b"GET", b"/plain"))
    see(meeting.last().all("accept-encoding") in ([], [b"identity"]), "Accept-Encoding, where none was said")


@bench.case(
    "L05 at a host without a secret they are left",
    [(f"over {version}", version) for version in ("h1", "h2")],
)
def plain_left(house, version):
    host = {"h1": "a.b.wild.test", "h2": "c.wild.test"}[version]
    lines = [b"Accept-Encoding: gzip, br"] + [name + b": " + value for name, value in RANGES]
    see_equal(house.get(house.a, host, "/left", *lines).status, 200, "the status")
    seen = house.origin.requests[-1]
    see_equal(seen.all("accept-encoding"), [b"gzip, br"], "Accept-Encoding")
    see_equal((seen.get("range"), seen.get("if-range")), ("bytes=0-3", '"e"'), "Range and If-Range")


# --- what is counted, what is left -----------------------------------------------------------------------------------------


@case("each mask is counted, in the metric and in the audit")
def counted(meeting):
    before, value = meeting.house.metric("osb_scrubs_total"), meeting.value
    path = f"/counted-{meeting.versions[0]}"
    meeting.script(
        path, said(b"%s, %s, %s" % (value, ODD, value), "length", (b"x-echo", value), (b"x-other", b"1"))
    )
    see_whole(meeting.ask(b"GET", path.encode()))
    see_equal(meeting.audited(path)["scrubbed"], 4, "scrubbed in the audit")
    await_until(
        lambda: meeting.house.metric("osb_scrubs_total") == before + 4, "osb_scrubs_total has grown by 4", 5
    )
    path += "-nothing"
    meeting.script(path, said(value[:-1], "length"))
    see_whole(meeting.ask(b"GET", path.encode()))
    see_equal(meeting.audited(path)["scrubbed"], 0, "scrubbed in the audit, where nothing was")


@case("digests, validators and Vary of the host are left as they are")
def left(meeting):
    names = (
        "content-digest",
        "repr-digest",
        "digest",
        "content-md5",
        "etag",
        "last-modified",
        "vary",
        "cache-control",
    )
    fields = [(name.encode(), b"x-of-" + name.encode()) for name in names]
    body = b"a " + meeting.value
    answer = see_body(meeting, asked(meeting, said(body, "length", *fields)), body)
    for name in names:
        see_equal(answer.get(name), f"x-of-{name}", name)


# --- whose values ----------------------------------------------------------------------------------------------------------


@bench.case("values of one sandbox are nothing to another at the same host", [(host, host) for host in BOTH])
def others(house, host):
    a, b = house.value("V2"), house.value("B1")
    for sandbox, want in ((house.a, mask(len(a)) + b" " + b), (house.b, a + b" " + mask(len(b)))) * 2:
        answer = house.answers(sandbox, host, *said(a + b" " + b, "length", (b"x-echo", a + b" " + b)))
        see_equal((answer.body, answer.get("x-echo").encode()), (want, want), f"what {sandbox.name} got")
    house.forget()


def got(house, sandbox, host, *values):
    """Which of the values come back as they are."""
    answer = house.answers(sandbox, host, *said(b"\n".join(values), "length"))
    return [value in answer.body for value in values]


@bench.case("a value that was rotated is masked at the next request", [(host, host) for host in BOTH])
def rotated(house, host):
    for n in range(3):
        value = house.secret(
            "C", "C1", *BOTH, canary=False, value=b"rotated-%d-" % n + secrets.token_hex(8).encode()
        ).value
        token = house.c.tokens["C1"]

        def arrived():
            house.get(house.c, host, "/rotated", b"X-Key: " + token)
            return house.origin.requests[-1].get("x-key").encode() == value

        await_until(arrived, "the new value is what arrives", 5)
        see_equal(got(house, house.c, host, value), [False], "whether the new value came back")


@bench.case(
    "scrub = off of a store, in a sandbox that runs, is for that store's values alone", [(h, h) for h in BOTH]
)
def store_off(house, host):
    b, c = house.value("B1"), house.value("C1")
    see_equal(got(house, house.c, host, b, c), [False, False], "what came back before")
    house.ctl("store", "update", "C", "--scrub", "off")
    await_until(lambda: got(house, house.c, host, b, c) == [False, True], "C's value comes back, B's does not", 5)
    house.ctl("store", "update", "B", "--scrub", "off")
    await_until(lambda: got(house, house.c, host, b, c) == [True, True], "both values come back", 5)
    house.get(house.c, host, "/off", b"Accept-Encoding: gzip", b"Range: bytes=0-3")
    seen = house.origin.requests[-1]
    see_equal((seen.get("accept-encoding"), seen.get("range")), ("gzip", "bytes=0-3"), "what is asked for then")
    for store in "BC":
        house.ctl("store", "update", store, "--scrub", "on")
    await_until(lambda: got(house, house.c, host, b, c) == [False, False], "neither comes back", 5)
    house.forget()


@bench.case("scrub = off in the configuration leaves answers and requests alone")
def all_off(house):
    house.again("scrub = off")
    for host, name in (("api.test", "S1"), ("echo.test", "S2")):
        see_equal(got(house, house.a, host, house.value(name), PEM), [True, True], "what came back")
        house.get(house.a, host, "/off", b"Accept-Encoding: gzip", b"Range: bytes=0-3")
        seen = house.origin.requests[-1]
        see_equal((seen.get("accept-encoding"), seen.get("range")), ("gzip", "bytes=0-3"), "what was asked for")
    house.forget()


rehouse_last(bench)
if __name__ == "__main__":
    bench.run(ScrubHouse)
