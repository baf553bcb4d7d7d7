"""bodies - S04 S11 S13 S14: how long a body gets, where it is kept until that is known, and that it ends as it was said."""
import os
import secrets
import stat
import sys
import time
import zlib

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from bodyhouse import BINARY, JSON, LIMITS, MEMORY, MIB, KIB, SPOOL, TEXT, BodiesHouse
from bodyhouse import is_root, padded, said, say, see_body, see_framed
from case import Bench, see, see_equal
from house import await_until
from meeting import CHUNKED, VERSIONS, Early, Meeting, each_meeting, see_whole
from origin import reply
from reference import CODINGS, DIGESTS, zstandard
from rehouse import rehouse_last

bench = Bench()
IDLE_S = 3
case = each_meeting(bench)

# --- lengths ---------------------------------------------------------------------------------------------------------------

SIZES = (1, 42, 43, 44, 16383, 16384, 16385, MEMORY - 1, MEMORY, MEMORY + 1, SPOOL - 1, SPOOL, SPOOL + 1)


@case(
    "S11 without a token a body keeps its octets and its framing, whatever its size",
    [
        (f"{size} octets, {'a' if counts else 'no'} length", size, counts)
        for size in SIZES
        for counts in (True, False)
    ],
)
def untouched(meeting, size, counts):
    body = padded(size, b"osb_sealed_0123"[:size])
    seen = said(meeting, b"/none", TEXT, body=body, counted=counts)
    see_body(seen, body)
    see_framed(meeting, seen, size if counts else None)


@case(
    "S11 with a token the length is exact up to body_spool, and beyond it the body goes on as it is",
    [(f"{size} octets, at {at}", size, at) for size in SIZES if size >= 43 for at in (0, 0.5, 1)],
)
def counted(meeting, size, at):
    body = padded(size, meeting.token, at)
    seen, want = said(meeting, b"/some", TEXT, body=body), padded(size, meeting.token, at)
    want = want.replace(meeting.token, meeting.value) if size <= SPOOL else body
    see_body(seen, want)
    see_framed(meeting, seen, len(want))


@case("S11 a thousand tokens, with a length and without", [("a length", True), ("no length", False)])
def thousand(meeting, counts):
    body = b"".join(b"%d %s\n" % (n, meeting.token) for n in range(1000))
    seen, want = said(meeting, b"/many", TEXT, body=body, counted=counts), body.replace(meeting.token, meeting.value)
    see_body(seen, want)
    see_framed(meeting, seen, len(want) if counts else None)


@case("S14 what streams is replaced however long it is", [("text", TEXT), ("JSON", JSON)])
def streamed(meeting, kind):
    body = b'{"k":"' + b"".join(padded(64 * KIB + n, meeting.token) for n in range(-43, 5)) + b'"}'
    seen = said(meeting, b"/long", kind, body=body, counted=False)
    see_body(seen, body.replace(meeting.token, meeting.value))
    see_framed(meeting, seen, None)


def arrived(request):
    """What the host has of it, framing and all, while it is not whole."""
    return bytes(request.connection.octets).rpartition(request.start)[2]


@case("what streams is not held but for what may become a token", [("text", TEXT), ("no type", None)])
def passes_at_once(meeting, kind):
    count = len(meeting.origin.begun)
    talk = meeting.open()
    talk.begin(b"POST", b"/at-once/" + secrets.token_hex(4).encode(), *([kind] if kind else []), framing=CHUNKED)
    for n, (part, comes) in enumerate(
        ((b"one.", b"one."), (b"two." + meeting.token[:20], b"two."), (meeting.token[20:], meeting.value))
    ):
        talk.send(part)
        seen = meeting.origin.await_begun(count + 1)[count:]
        await_until(lambda: comes in arrived(seen[0]), f"part {n} at the host")
    see(meeting.token[:20] not in arrived(seen[0]), "a piece of a token went on before it was whole")
    talk.finish()
    see_whole(talk.answer())
    see_equal(meeting.last().body, b"one.two." + meeting.value, "the body")


@case(
    "methods that seldom have a body may have one",
    [
        (f"{m}, {f}", m.encode(), f == "a length")
        for m in ("GET", "HEAD", "DELETE", "PUT")
        for f in ("a length", "no length")
    ],
)
def methods(meeting, method, counts):
    see_whole(meeting.ask(method, b"/method", JSON, body=b'{"k":"%s"}' % meeting.token, counted=counts))
    seen, want = meeting.last(), b'{"k":"%s"}' % meeting.value
    see_equal((seen.start.split(b" ")[0], seen.body), (method, want), "method and body")
    see_framed(meeting, seen, len(want) if counts else None)


# --- the spool -------------------------------------------------------------------------------------------------------------


def see_spool(house, tokens, values, folder):
    """One file is open: it is in ${folder}, has no name, nobody else may read it, and holds what the sandbox said."""
    await_until(lambda: len(house.files()) == 1, "one spool is open")
    link, path = house.files()[0]
    see(link.startswith(folder), f"the spool is {link}")
    see_equal(stat.S_IMODE(os.stat(path).st_mode), 0o600, "its mode")
    see_equal(os.stat(path).st_nlink, 0, "its links")
    see_equal(os.listdir(house.spools), [], "names in the folder of spools")
    with open(path, "rb") as octets:
        held = octets.read()
    for token in tokens:
        see(token in held, f"no token in the {len(held)} octets of the spool")
    for value in values:
        see(value not in held, "a value is in the spool")
    return len(held)


@case(
    "a body that is held lies in a file without a name, and no value is ever in it",
    [("plain", None), ("gzip", "gzip")],
)
def spooled(meeting, coding):
    if not is_root():
        return
    body = b"".join(b"%s %s\n" % (meeting.token, secrets.token_hex(2000).encode()) for _ in range(200))
    packed = CODINGS[coding][0](body) if coding else body
    meeting.house.see_no_files()
    gate = meeting.house.gate("/spool", [], [reply()])
    count, tokens = len(meeting.origin.begun), [] if coding else [meeting.token]
    talk = meeting.open()
    fields = [TEXT] + ([(b"content-encoding", coding.encode())] if coding else [])
    talk.begin(b"POST", b"/spool", *fields, framing=len(packed))
    talk.send(packed[:-1000])
    see_spool(meeting.house, tokens, [meeting.value], meeting.house.spools)
    see_equal(len(meeting.origin.begun), count, "requests that the host knows of")
    talk.send(packed[-1000:], end=True)
    see(meeting.origin.await_begun(count + 1)[count:], "the request did not reach the host")
    if meeting.house.files():  # it is kept while it may have to be said again
        see_spool(meeting.house, tokens, [meeting.value], meeting.house.spools)
    gate.open()
    see_whole(talk.answer())
    see_body(meeting.last(), body.replace(meeting.token, meeting.value))
    meeting.house.see_no_files()


@case("a spool ends with its client", [(how, how) for how in ("close", "rst", "take back")])
def spool_ends(meeting, how):
    if not is_root():
        return
    seen = len(meeting.origin.begun)
    talk = meeting.open()
    talk.begin(b"POST", b"/gone", TEXT, framing=SPOOL)
    talk.send(padded(SPOOL // 2, meeting.token, 0))
    see_spool(meeting.house, [meeting.token], [meeting.value], meeting.house.spools)
    talk.take_back() if how == "take back" else talk.client.end(how)
    meeting.house.see_no_files()
    see_equal(len(meeting.origin.begun), seen, "requests that the host knows of")


@bench.case("where TMPDIR is no folder the spool lies elsewhere", [("/var/tmp or /tmp", ("/var/tmp/", "/tmp/"))])
def spool_elsewhere(house, folders):
    if not is_root():
        return
    house.environment = {"TMPDIR": f"{house.folder}/none"}
    house.again(*LIMITS, workers=1)
    with Meeting(house, "h1", "h1") as meeting:
        talk = meeting.open()
        talk.begin(b"POST", b"/else", TEXT, framing=SPOOL)
        talk.send(padded(SPOOL - 1, meeting.token, 0))
        see_spool(house, [meeting.token], [meeting.value], folders)
        talk.send(b"z", end=True)
        see_whole(talk.answer())
    house.environment = {"TMPDIR": house.spools}
    house.again(*LIMITS, workers=1)


# --- codings ---------------------------------------------------------------------------------------------------------------


def raw_deflate(octets):
    packer = zlib.compressobj(6, zlib.DEFLATED, -15)
    return packer.compress(octets) + packer.flush()


def zstd_frames(octets):
    """Two frames, a skippable one between them."""
    pack, half = CODINGS["zstd"][0], len(octets) // 2
    return pack(octets[:half]) + b"\x50\x2a\x4d\x18\x04\0\0\0skip" + pack(octets[half:])


PACKED = {
    "gzip": ("gzip", CODINGS["gzip"][0]),
    "GZip": ("GZip", CODINGS["gzip"][0]),
    "x-gzip": ("x-gzip", CODINGS["gzip"][0]),
    "gzip of several members": (
        "gzip",
        lambda octets: b"".join(CODINGS["gzip"][0](octets[n : n + 20]) for n in range(0, len(octets), 20)),
    ),
    "gzip, stored": ("gzip", lambda octets: zlib.compress(octets, 0, 31)),
    "deflate": ("deflate", zlib.compress),
    "deflate without its wrapping": ("deflate", raw_deflate),
    "br": ("br", CODINGS["br"][0]),
    "zstd": ("zstd", CODINGS["zstd"][0]),
    "zstd of several frames": ("zstd", zstd_frames),
    "identity": ("identity", lambda octets: octets),
}
BROKEN = {
    "gzip cut short": ("gzip", lambda octets: CODINGS["gzip"][0](octets)[:-5]),
    "gzip and more": ("gzip", lambda octets: CODINGS["gzip"][0](octets) + b"more"),
    "a wrong checksum": ("gzip", lambda octets: CODINGS["gzip"][0](octets)[:-8] + bytes(8)),
    "deflate cut short": ("deflate", lambda octets: zlib.compress(octets)[:-1]),
    "br cut short": ("br", lambda octets: CODINGS["br"][0](octets)[:-1]),
    "br and more": ("br", lambda octets: CODINGS["br"][0](octets) + b"more"),
    "zstd cut short": ("zstd", lambda octets: CODINGS["zstd"][0](octets)[:-1]),
    "zstd of a large window": ("zstd", lambda octets: zstd_window(octets, 27)),
    "not coded at all": ("gzip", lambda octets: octets),
    "nothing but the name": ("br", lambda octets: b"\0"),
    "compress": ("compress", lambda octets: octets),
    "two codings": ("gzip, br", lambda octets: CODINGS["br"][0](CODINGS["gzip"][0](octets))),
    "the same twice": ("gzip, gzip", lambda octets: CODINGS["gzip"][0](CODINGS["gzip"][0](octets))),
}


def zstd_window(octets, log):
    parameters = zstandard.ZstdCompressionParameters.from_level(3, window_log=log)
    packer = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    return packer.compress(octets) + packer.flush()


def packed_rows(table):
    return [(f"{name}, {'a' if counts else 'no'} length", name, counts) for name in table for counts in (True, False)]


@case("S13 a coded body with a token goes on uncoded, its value in it", packed_rows(PACKED))
def opened(meeting, name, counts):
    coding, pack = PACKED[name]
    body = b'{"a":"%s","k":"%s"}' % (secrets.token_hex(20000).encode(), meeting.token)
    seen, want = said(
        meeting, b"/open", JSON, (b"content-encoding", coding.encode()), body=pack(body), counted=counts
    ), body.replace(meeting.token, meeting.value)
    see_body(seen, want)
    see(seen.all("content-encoding") in ([], [b"identity"]), f"Content-Encoding {seen.all('content-encoding')}")
    see_framed(meeting, seen, len(want) if counts else None)


@case("S13 a coded body without a token of its own goes on as it is", packed_rows(PACKED))
def not_opened(meeting, name, counts):
    coding, pack = PACKED[name]
    body = pack(b'{"a":"%s","k":"%s"}' % (secrets.token_hex(20000).encode(), meeting.denied[:-1]))
    seen = said(meeting, b"/open", JSON, (b"content-encoding", coding.encode()), body=body, counted=counts)
    see_body(seen, body)
    see_equal(seen.all("content-encoding"), [coding.encode()], "Content-Encoding")
    see_framed(meeting, seen, len(body) if counts else None)


@case("what is not of its coding, or of one that nobody opens, goes on as it is", packed_rows(BROKEN))
def broken(meeting, name, counts):
    coding, pack = BROKEN[name]
    body = pack(b'{"k":"%s","a":"%s"}' % (meeting.token, secrets.token_hex(20000).encode()))
    path, long = "/broken/" + secrets.token_hex(4), meeting.house.a.tokens["LONG"]
    fields = [JSON, (b"content-encoding", coding.encode()), (b"x-key", long)]
    seen = said(meeting, path.encode(), *fields, body=body, counted=counts)
    see_body(seen, body)
    see_equal(seen.all("content-encoding"), [coding.encode()], "Content-Encoding")
    see_framed(meeting, seen, len(body) if counts else None)
    see_equal(meeting.audited(path)["secrets"], ["LONG"], "the secrets that were used, in the head alone")


@case(
    "of two types readers may choose either: nothing is put into such a body",
    [
        (f"{how}, {order}", how, order)
        for how in ("with a length", "gzip, with a length", "streaming")
        for order in ("JSON first", "text first", "the same twice")
    ],
)
def two_types(meeting, how, order):
    coding, counts = HOW[how]
    types = {"JSON first": [JSON, TEXT], "text first": [TEXT, JSON], "the same twice": [JSON, JSON]}[order]
    body, path = b'{"k":"%s"}' % meeting.token, "/types/" + secrets.token_hex(4)
    packed = CODINGS[coding][0](body) if coding else body
    fields = types + ([(b"content-encoding", coding.encode())] if coding else [])
    seen = said(meeting, path.encode(), *fields, body=packed, counted=counts)
    see_body(seen, packed)
    see_equal(seen.all("content-type"), [kind for _, kind in types], "Content-Type")
    see_framed(meeting, seen, len(packed) if counts else None)
    see_equal(meeting.audited(path)["secrets"], [], "the secrets that were used")


@bench.case("a coded body that comes slowly is waited for, though it says nothing yet", [("gzip", "gzip")])
def comes_slowly(house, coding):
    house.again(*LIMITS, f"idle_timeout = {IDLE_S}s", workers=1)
    talks = [Meeting(house, client, "h1").open() for client in VERSIONS]
    packed = CODINGS[coding][0](b"k " + house.a.tokens["S2"])
    packed = packed[:3] + b"\x08" + packed[4:10] + b"name" * 4 + b"\0" + packed[10:]  # RFC 1952 s.2.3: FNAME
    for talk in talks:
        talk.begin(b"POST", b"/slow", TEXT, (b"content-encoding", coding.encode()), framing=len(packed))
        talk.send(packed[:10])
    for at in range(10, 10 + 2 * IDLE_S + 2):
        time.sleep(0.5)  # here the time is what is tested: an octet in each, of a name that is longer than idle_timeout
        for talk in talks:
            talk.send(packed[at : at + 1])
    for talk in talks:
        talk.send(packed[at + 1 :], end=True)
        see_whole(talk.answer())
        see_equal(house.origin.requests[-1].body, b"k " + house.value("S2"), "the body")
        talk.client.end()
    house.again(*LIMITS, workers=1)


# --- digests ---------------------------------------------------------------------------------------------------------------

HOW = {  # coding, framing, whether the head can still be changed when a token is seen
    "with a length": (None, True),
    "gzip, with a length": ("gzip", True),
    "gzip, streaming": ("gzip", False),
    "zstd, streaming": ("zstd", False),
    "streaming": (None, False),
}


@case(
    "the client's own digests are dropped with a body that was substituted, and with no other",
    [(f"{what}, {how}", what, how) for how in HOW for what in ("substituted", "denied", "no token", "binary")],
)
def digests(meeting, what, how):
    coding, counts = HOW[how]
    token = {"substituted": meeting.token, "denied": meeting.denied, "binary": meeting.token}.get(what, b"none")
    body = b'{"k":"%s"}' % token
    kind = BINARY if what == "binary" else JSON
    packed = CODINGS[coding][0](body) if coding else body
    sums = [(name, b"sha-256=:AAAA:") for name in DIGESTS]
    fields = [kind, *sums] + ([(b"content-encoding", coding.encode())] if coding else [])
    seen = said(meeting, b"/digest", *fields, body=packed, counted=counts)
    kept = [(name.lower(), value) for name, value in seen.fields if name.lower() in DIGESTS]
    if what == "substituted":
        see_equal((kept, seen.all("content-encoding")), ([], []), "digests and coding")
        see_equal(seen.body, body.replace(meeting.token, meeting.value), "the body")
        return
    see_equal(seen.body, packed, "the body")
    see_equal(seen.all("content-encoding"), [coding.encode()] if coding else [], "the coding")
    # A body that streams is not looked at before its head has gone: there they go in any case.
    if how != "streaming" or what == "binary":
        see_equal(kept, sums, "the digests")


@case(
    "a digest in the trailers of a body that was substituted is dropped, of another kept",
    [("substituted", True), ("no token", False)],
)
def digest_trailer(meeting, substituted):
    body, sums = b"k " + (meeting.token if substituted else b"none"), [
        (b"content-digest", b"sha-256=:AAAA:"),
        (b"x-key", b"1"),
    ]
    seen = said(meeting, b"/digest", TEXT, body=body, counted=False, trailers=sums)
    see_equal(seen.trailers, sums[substituted:], "the trailers")


# --- Expect ----------------------------------------------------------------------------------------------------------------

HELD = {"in memory": (JSON, None, MEMORY), "spooled": (JSON, None, SPOOL), "opened": (JSON, "gzip", MEMORY)}


@case("a body that is held gets its 100 from the proxy, before the host knows of it", [(name, name) for name in HELD])
def expects(meeting, name):
    kind, coding, size = HELD[name]
    body = b'{"k":"%s","a":"%s"}' % (meeting.token, b"a" * (size - 100))
    packed, count = CODINGS[coding][0](body) if coding else body, len(meeting.origin.begun)
    talk = meeting.open()
    fields = [kind, (b"expect", b"100-continue")] + ([(b"content-encoding", coding.encode())] if coding else [])
    talk.begin(b"POST", b"/expect", *fields, framing=len(packed))
    see(talk.hears_interim(), f"no 100, but {talk.client.closed}")
    see_equal(len(meeting.origin.begun), count, "requests that the host knows of")
    talk.send(packed, end=True)
    see_equal(see_whole(talk.answer()).interim, [100], "the interim answers")
    see_equal(meeting.last().body, body.replace(meeting.token, meeting.value), "the body")
    see_equal(meeting.last().all("expect"), [], "Expect at the host")


@case(
    "what is not held awaits the host's word: its refusal comes before a body was said",
    [("streaming", TEXT, CHUNKED), ("binary", BINARY, MIB), ("beyond body_spool", TEXT, SPOOL + 1)],
)
def expects_host(meeting, kind, framing):
    meeting.script("/expect", Early([reply(417, b"no")]))
    talk = meeting.open()
    talk.begin(b"POST", b"/expect", kind, (b"expect", b"100-continue"), framing=framing)
    see_equal(see_whole(talk.answer(), 417, b"no").interim, [], "interim answers")


@case("another expectation is a 400", [("200-maybe", b"200-maybe"), ("two", b"100-continue, 200-maybe")])
def expects_else(meeting, value):
    seen = len(meeting.origin.begun)
    answer = meeting.ask(b"POST", b"/expect", TEXT, (b"expect", value), body=b"x")
    see_equal(
        (answer.status, answer.code, len(meeting.origin.begun) - seen),
        (400, "bad_request", 0),
        "status, code, requests",
    )


# --- ends ------------------------------------------------------------------------------------------------------------------

LARGE = {  # kind, coding, whether it has a length: none of these is ever whole in sockets' buffers
    "streaming": (TEXT, None, False),
    "streaming JSON": (JSON, None, False),
    "binary": (BINARY, None, True),
    "beyond body_spool": (TEXT, None, True),
    "opened, beyond body_spool": (TEXT, "gzip", False),
}


@case("a host that answers before it reads is heard, whatever becomes of the body", [(name, name) for name in LARGE])
def answers_early(meeting, name):
    kind, coding, counts = LARGE[name]
    meeting.script("/early", Early([reply(413, b"too much")]))
    fields = [kind] + ([(b"content-encoding", coding.encode())] if coding else [])
    talk = meeting.open()
    talk.begin(b"POST", b"/early", *fields, framing=64 * MIB if counts else CHUNKED)
    octets = b"".join(secrets.token_bytes(64 * KIB) for _ in range(20))
    say(talk, CODINGS[coding][0](octets.hex().encode()) if coding else octets)
    see_whole(talk.answer(), 413, b"too much")
    see_equal(meeting.ask(b"GET", b"/after").status, 200, "the status of the next request")


@case(
    "a host that answers a held body early, and then hangs up or not, is heard",
    [("spooled", SPOOL), ("in memory", MEMORY)],
)
def answers_early_held(meeting, size):
    meeting.script("/early", Early([reply(413, b"too much")]))
    answer = meeting.ask(b"POST", b"/early", TEXT, body=padded(size, meeting.token))
    see_whole(answer, 413, b"too much")


CUT_SHORT = {  # kind, coding, framing, whether the host hears of it at all
    "held in memory": (TEXT, None, MEMORY, False),
    "spooled": (TEXT, None, SPOOL, False),
    "opened": (TEXT, "gzip", MEMORY, False),
    "opened, streaming": (TEXT, "gzip", CHUNKED, False),
    "streaming": (TEXT, None, CHUNKED, True),
    "beyond body_spool": (TEXT, None, SPOOL + 1, True),
    "binary": (BINARY, None, MEMORY, True),
}


@case(
    "S04 an upload that is cut short is never a whole request for the host",
    [(f"{name}, {how}", name, how) for name in CUT_SHORT for how in ("close", "rst", "take back")],
)
def cut_short(meeting, name, how):
    kind, coding, framing, heard = CUT_SHORT[name]
    path = b"/cut/" + secrets.token_hex(4).encode()
    fields = [kind] + ([(b"content-encoding", coding.encode())] if coding else [])
    count, body = len(meeting.origin.begun), padded(20 * KIB, meeting.token) + b" " + meeting.token[:30]
    talk = meeting.open()
    talk.begin(b"POST", path, *fields, framing=framing)
    talk.send(CODINGS[coding][0](body) if coding else body)
    if heard:
        seen = meeting.origin.await_begun(count + 1)[count:]
        see(seen, "the request did not reach the host")
    elif meeting.versions[0] == "h2":
        talk.client.pong()  # it is known to the proxy: else it may never be begun
    talk.take_back() if how == "take back" else talk.client.end(how)
    if heard:
        await_until(lambda: meeting.origin.told(seen[0]), "the host is told", 5)
    talk.client.end()
    await_until(lambda: meeting.house.metric("osb_connections_active") == 0, "the connection has ended")
    see_equal(len(meeting.origin.begun) - count, int(heard), "requests that the host knows of")
    see(
        not [r for r in meeting.origin.requests if r.start.split(b" ")[1] == path], "the request is whole at the host"
    )


rehouse_last(bench, *LIMITS)
bench.run(lambda build: BodiesHouse(build, workers=1))
