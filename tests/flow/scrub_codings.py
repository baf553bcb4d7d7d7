"""scrub_codings - L03: coded answers of hosts that may have values are opened, masked, and delivered in the plain."""
import gzip
import os
import random
import sys
import zlib

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from arriving import Ear, undisturbed
from case import Bench, see, see_equal
from meeting import Paced, each_meeting, see_whole
from origin import reply
from reference import CODINGS
from scrubhouse import FRAMINGS, ODD, PEM, ScrubHouse, asked, said, see_body

bench = Bench()
case = each_meeting(bench)


def raw_deflate(octets):
    made = zlib.compressobj(wbits=-15)
    return made.compress(octets) + made.flush()


def members(octets):
    half = len(octets) // 2
    return gzip.compress(octets[:half]) + gzip.compress(octets[half:])


def frames(octets):
    """A skippable frame is none of the body (RFC 8878 s.3.1.2)."""
    code, half = CODINGS["zstd"][0], len(octets) // 2
    return code(octets[:half]) + b"\x50\x2a\x4d\x18\x03\0\0\0abc" + code(octets[half:])


CODED = [(name, name.encode(), code) for name, (code, _) in CODINGS.items()] + [
    ("deflate, raw", b"deflate", raw_deflate),
    ("gzip in capitals", b"GZIP", CODINGS["gzip"][0]),
    ("gzip, two members", b"gzip", members),
    ("zstd, two frames", b"zstd", frames),
]


def see_plain(answer):
    see_equal(answer.get("content-encoding"), None, "Content-Encoding")
    see_equal(answer.get("vary"), "Accept-Encoding", "Vary")
    return answer


def coded(body, coding, framing, *more):
    return said(body, framing, (b"content-encoding", coding), (b"vary", b"Accept-Encoding"), *more)


@case(
    "a coded answer is opened, masked, and delivered without the coding and with a framing that is right",
    [(f"{label}, {framing}", coding, code, framing) for label, coding, code in CODED for framing in FRAMINGS],
)
def opened(meeting, coding, code, framing):
    body = (
        b"<%s>\n" % meeting.value * 9
        + ODD
        + PEM
        + random.Random(5).randbytes(3000).hex().encode() * 9
        + meeting.value
    )
    see_plain(see_body(meeting, asked(meeting, coded(code(body), coding, framing)), body))


@case(
    "a coded answer without a value is opened all the same",
    [(label, coding, code) for label, coding, code in CODED],
)
def opened_plain(meeting, coding, code):
    see_plain(
        see_body(
            meeting, asked(meeting, coded(code(b"nothing " * 99), coding, "length")), b"nothing " * 99, some=False
        )
    )


@case(
    "a coded answer that arrives octet by octet is opened",
    [(label, coding, code) for label, coding, code in CODED],
)
@undisturbed
def opened_slowly(meeting, coding, code):
    body = b"a " + meeting.value + b" b\n" + meeting.value
    octets = code(body)
    pieces = [octets[at : at + 1] for at in range(len(octets))]
    see_plain(see_body(meeting, asked(meeting, coded(pieces, coding, "chunks")), body))


@case("what a coded answer has said so far arrives before the rest is sent")
def opened_as_it_comes(meeting):
    made = zlib.compressobj(wbits=31)
    pieces = [made.compress(b"data: %d\n\n" % n) + made.flush(zlib.Z_SYNC_FLUSH) for n in range(4)] + [
        made.flush()
    ]
    kind = (b"content-type", b"text/event-stream")
    script = meeting.script("/said", Paced(*coded(pieces, b"gzip", "chunks", kind)))
    talk = meeting.open()
    talk.begin(b"GET", b"/said")
    ear = Ear(talk)
    for n in range(4):
        script.go()
        see(ear.hears(b"data: %d\n\n" % n), f"event {n} did not come: {talk.client.closed}")
    script.go()
    script.go()
    answer = see_whole(talk.answer(), body=b"".join(b"data: %d\n\n" % n for n in range(4)))
    see_plain(answer)


@case("an empty body of some coding, with a length of 0, is an empty body")
def empty(meeting):
    see_whole(asked(meeting, coded(b"", b"gzip", "length")), body=b"")


@case("identity is no coding")
def identity(meeting):
    body = b"a " + meeting.value
    answer = see_body(meeting, asked(meeting, coded(body, b"identity", "length")), body)
    see_equal(answer.get("content-length"), str(len(body)), "Content-Length")


UNKNOWN = (
    b"compress",
    b"gzip, gzip",
    b"gzip, br",
    b"br, identity, gzip",
    b"aes128gcm",
    b"gzip;q=1",
    b"zip",
    b"*",
    b"g zip",
)


@case(
    "a coding that can't be opened, or more than one, is a 502 that says so, and nothing of the body arrives",
    [(coding.decode(), (coding,)) for coding in UNKNOWN] + [("in two fields", (b"gzip", b"br"))],
)
def unknown(meeting, codings):
    body = b"what is not to be seen " * 20
    fields = [(b"content-encoding", coding) for coding in codings]
    answer = asked(meeting, said(body, "length", *fields))
    see_equal((answer.status, answer.code), (502, "upstream_protocol"), "status and code")
    see(b"not to be seen" not in answer.body, "the body came")
    line = meeting.audited(meeting.path)
    see_equal((line["action"], line["reason"]), ("error", "upstream_protocol"), "action and reason in the audit")


def broken(octets):
    """label, octets: what no decoder takes for whole."""
    flipped = bytearray(octets)
    flipped[len(octets) // 2] ^= 0x55
    return [
        ("cut short by an octet", octets[:-1]),
        ("cut in the middle", octets[: len(octets) // 2]),
        ("its first octets alone", octets[:3]),
        ("something else", b"this is no coded body at all " * 9),
        ("more behind it", octets + b"behind"),
        ("an octet changed", bytes(flipped)),
    ]


@case(
    "a coded body that is broken breaks off for the client too",
    [
        (f"{label}, {how}, {framing}", coding, octets, framing)
        for label, coding, code in CODED[:1] + CODED[2:5]
        for how, octets in broken(code(random.Random(6).randbytes(20000).hex().encode()))
        for framing in ("length", "chunks")
        # Nothing in it tells: brotli and plain deflate have no check, as long as the codes go on.
        if not (how == "an octet changed" and label in ("br", "zstd"))
    ],
)
def breaks_off(meeting, coding, octets, framing):
    answer = asked(meeting, coded(octets, coding, framing))
    # Where it was broken from the beginning, not even the head need have come.
    refused = (answer.status, answer.code) == (502, "upstream_protocol")
    see(refused or not answer.clean, f"{answer.status}, {len(answer.body)} octets and a clean end")
    see(refused or answer.ending not in ("timeout", "RST_STREAM 0"), f"the client was told {answer.ending}")
    line = meeting.audited(meeting.path)
    see_equal((line["action"], line["reason"]), ("error", "upstream_protocol"), "action and reason in the audit")


@bench.case(
    "from a host without a secret a coded answer comes as it is", [(c.decode(), c) for c in (b"gzip", *UNKNOWN)]
)
def untouched(house, coding):
    body = gzip.compress(b"what is coded " + PEM)
    for host in ("c.wild.test", "a.b.wild.test"):
        answer = house.answers(house.a, host, reply(body=body, fields=[(b"content-encoding", coding)]))
        see_equal((answer.body, answer.get("content-encoding")), (body, coding.decode()), "what came")


bench.run(ScrubHouse)
