"""events - what a host says bit by bit arrives bit by bit, though values are looked for: each before the next is there."""
import os
import secrets
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from arriving import Ear, undisturbed
from case import Bench, see, see_equal
from masks import mask
from meeting import Early, MeetingHouse, Paced, each_meeting, see_whole
from origin import Origin
from scrubhouse import FRAMINGS, said

bench = Bench()
case = each_meeting(bench)
PEM = b"-----BEGIN PRIVATE KEY-----\n%s\n-----END PRIVATE KEY-----\n" % b"\n".join(
    secrets.token_urlsafe(48).encode() for _ in range(24)
)
MIB = 1 << 20


class EventHouse(MeetingHouse):
    """At the names below wild.test the sandbox has a key of many lines too."""

    wordy = {"h1": "a.b.wild.test", "h2": "a.wild.test"}

    def __init__(self, build):
        # What is freed goes back at once: else AddressSanitizer's quarantine is all that is measured.
        options = os.environ.get("ASAN_OPTIONS", "") + ":quarantine_size_mb=0:thread_local_quarantine_size_kb=0"
        super().__init__(build, environment={"ASAN_OPTIONS": options})

    def furnish(self):
        for host in ("echo.test", self.wordy["h1"]):
            self.origin.contexts[host] = Origin.context(self.good)
        self.store("A", *self.names)
        self.secret("A", "S1", "api.test")
        self.secret("A", "S2", "echo.test")
        self.secret("A", "LINES", *self.wordy.values(), value=PEM)
        self.store("B", *self.names)
        self.a, self.b = self.sandbox("sbA", "127.0.0.2", "A"), self.sandbox("sbB", "127.0.0.3", "B")

    def rss(self):
        """Resident memory of all processes of the proxy, in octets."""
        total = 0
        for pid in self.pids():
            with open(f"/proc/{pid}/status") as text:
                total += sum(int(line.split()[1]) * 1024 for line in text if line.startswith("VmRSS:"))
        return total


def one_by_one(meeting, steps, wants, host=None, method=b"GET", fields=()):
    """Each of ${steps} but the first (the head) is sent when what the one before makes of the body is there."""
    script = meeting.script("/events", Paced(*steps))
    talk = meeting.open(host)
    talk.begin(method, b"/events", *fields)
    ear, body = Ear(talk), b""
    for number, want in enumerate(wants):
        script.go()
        body += want
        while len(ear.body) < len(body):
            see(ear.next(), f"piece {number} did not come: {talk.client.closed}, {ear.body[-80:]!r}")
        see_equal(ear.body, body, f"what is there with piece {number}")
    for _ in steps[len(wants) :]:
        script.go()
    return see_whole(talk.answer(), body=body)


STREAMS = [
    ("server-sent events", b"text/event-stream", b"event: message\ndata: %d\n\n"),
    ("server-sent events, CR LF", b"text/event-stream", b"id: 7\r\ndata: %d\r\n\r\n"),
    ("server-sent events, CR", b"text/event-stream", b"data: %d\r\r"),
    ("lines of JSON", b"application/x-ndjson", b'{"n":%d,"text":"some words"}\n'),
    ("lines of a log", b"text/plain", b"line %d of it\n"),
    ("lines without a type", b"", b"%d\n"),
    ("parts", b"multipart/x-mixed-replace; boundary=b", b"--b\r\nContent-Type: text/plain\r\n\r\nsome %d\r\n"),
]
WORDS = [("words", b"text/plain", b"w%d "), ("columns", b"text/csv", b"some,%d\t")]


@case(
    "each event comes before the next is sent",
    [
        (f"{label}, {framing}{', a key of lines allowed' * keyed}", kind, form, framing, keyed)
        for keyed in (False, True)
        for label, kind, form in (STREAMS if keyed else STREAMS + WORDS)
        for framing in FRAMINGS
    ],
)
def each(meeting, kind, form, framing, keyed):
    pieces = [form % n for n in range(5)]
    steps = said(pieces, framing, *([(b"content-type", kind)] if kind else []))
    one_by_one(meeting, steps, pieces, meeting.house.wordy[meeting.upstream] if keyed else None)


@case("an event with a value in it comes masked before the next is sent", [(f, f) for f in FRAMINGS])
def masked(meeting, framing):
    form = b'data: {"error":"no %s","n":%d}\n\n'
    pieces = [form % (meeting.value, n) for n in range(5)]
    wants = [form % (mask(len(meeting.value)), n) for n in range(5)]
    one_by_one(meeting, said(pieces, framing, (b"content-type", b"text/event-stream")), wants)


@case("an event sent in two halves comes when the second is there, be the cut within a value or not")
@undisturbed
def halves(meeting):
    form, value = b"data: %s %d\n\n", meeting.value
    cuts = (1, 6, 7, 20, len(value), len(value) + 6, len(form % (value, 0)) - 1)
    events = [(form % (value, n), form % (mask(len(value)), n), at) for n, at in enumerate(cuts)]
    pieces, wants = [events[0][0][: cuts[0]]], []
    # The second half of one and the first of the next are one piece.
    for number, (event, want, at) in enumerate(events):
        following = events[number + 1][0][: cuts[number + 1]] if number + 1 < len(events) else b""
        pieces.append(event[at:] + following)
        wants.append(want)
    script = meeting.script("/events", Paced(*said(pieces, "chunks", (b"content-type", b"text/event-stream"))))
    talk = meeting.open()
    talk.begin(b"GET", b"/events")
    ear = Ear(talk)
    script.go()
    for number in range(len(events)):
        script.go()
        there = b"".join(wants[: number + 1])
        see(ear.hears(there), f"event {number} did not come: {talk.client.closed}, {ear.body[-80:]!r}")
    script.go()
    see_whole(talk.answer(), body=b"".join(wants))


# --- gRPC ------------------------------------------------------------------------------------------------------------------


def message(octets, flag=0):
    return bytes([flag]) + len(octets).to_bytes(4, "big") + octets


def grpc(meeting, pieces, wants):
    kind = (b"content-type", b"application/grpc+proto")
    end = b"0\r\ngrpc-status: 0\r\n\r\n"
    steps = said(pieces, "chunks", kind)[:-1] + [end]
    answer = one_by_one(meeting, steps, wants, method=b"POST", fields=(kind, (b"te", b"trailers")))
    see_equal(answer.trailers, [("grpc-status", "0")], "the trailers")


def both_h2(*variants):
    return lambda client, upstream: variants if client == upstream == "h2" else []


SIZES = (0, 1, 9, 10, 13, 32, 300, 2570, 20000)


@case("each message of gRPC comes before the next is sent", both_h2(*((f"{size} octets", size) for size in SIZES)))
def messages(meeting, size):
    pieces = [message(b"\x0a" + bytes([65 + n]) * (size - 1) if size else b"") for n in range(4)]
    grpc(meeting, pieces, pieces)


@case(
    "so does one that came with the beginning of the next", both_h2(*((f"{at} octets", at) for at in range(1, 9)))
)
@undisturbed
def messages_cut(meeting, at):
    all_of = [message(b"\x0a\x05hello%d" % n) for n in range(4)]
    pieces = [all_of[0] + all_of[1][:at]]
    pieces += [all_of[n][at:] + all_of[n + 1][:at] for n in (1, 2)] + [all_of[3][at:]]
    # Of the next, what is its envelope may come too.
    script = meeting.script("/events", Paced(*said(pieces, "chunks", (b"content-type", b"application/grpc"))))
    talk = meeting.open()
    talk.begin(b"POST", b"/events", (b"content-type", b"application/grpc"), (b"te", b"trailers"))
    ear = Ear(talk)
    for number in range(4):
        script.go()
        there = b"".join(all_of[: number + 1])
        see(ear.hears(there), f"message {number} did not come: {talk.client.closed}, {ear.body[-80:]!r}")
    script.go()
    see_whole(talk.answer(), body=b"".join(all_of))


@case("a value in a message is masked, also where frames cut it", both_h2(("",)))
def messages_masked(meeting):
    value = meeting.value
    for at in (0, 6, 9, 12, 20, len(value), len(value) + 6):
        one, two = message(b"\x0a\x05" + value + b"\x12"), message(b"last")
        want = message(b"\x0a\x05" + mask(len(value)) + b"\x12") + two
        script = said(
            [one[:at], one[at:] + two] if at else [one + two], "chunks", (b"content-type", b"application/grpc")
        )
        meeting.script("/said", script)
        answer = meeting.ask(
            b"POST", b"/said", (b"content-type", b"application/grpc"), (b"te", b"trailers"), body=b""
        )
        see_whole(answer, body=want)


# --- without an end --------------------------------------------------------------------------------------------------------


class Endless(Early):
    """Events for as long as somebody listens."""

    def __init__(self):
        super().__init__([said([], "chunks", (b"content-type", b"text/event-stream"))[0]])

    def __iter__(self):
        yield from super().__iter__()
        number = 0
        while True:
            event = b"event: message\ndata: %d %s\n\n" % (number, b"x" * (number % 200))
            yield b"%x\r\n%s\r\n" % (len(event), event)
            number += 1


@case("memory stays as it was over thousands of events", [("one value", False), ("a key of lines allowed", True)])
def endless(meeting, keyed):
    meeting.script("/endless", Endless())
    talk = meeting.open(meeting.house.wordy[meeting.upstream] if keyed else None, seconds=60)
    talk.begin(b"GET", b"/endless")
    ear, seen = Ear(talk), []
    for goal in (1500, 4500):
        while ear.body.count(b"\n\n") < goal:
            for _ in range(200):
                see(ear.next(), f"the stream ended with {talk.client.closed}")
        seen.append(meeting.house.rss())
    talk.client.end("rst")
    see(seen[1] - seen[0] < 2 * MIB, f"memory grew from {seen[0] / MIB:.1f} MiB to {seen[1] / MIB:.1f} MiB")


bench.run(EventHouse)
