"""attacks_block - I01 S07 S08 S10 with denied_token = block: one answer for each token that may not be used, or not there;
and what becomes of the same ones without it.
"""
import gzip
import os
import re
import secrets
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from case import Bench, see, see_equal
from house import request
from rehouse import Rehouse, rehouse_last

bench = Bench()
BLOCK = "denied_token = block"
UNKNOWN = b"osb_sealed_" + b"0123456789abcdef" * 2
KINDS = [
    ("another sandbox's", lambda house: house.b.tokens["S3"]),
    ("nobody's", lambda house: UNKNOWN),
    ("its own, of another host", lambda house: house.a.tokens["S2"]),
]


def at_origin(house, token):
    return sum(bytes(connection.octets).count(token) for connection in house.origin.connections)


def plain(answer):
    """An answer without what differs from request to request."""
    return re.sub(rb"[0-9a-f]{16}", b"ID", answer.head + answer.body)


@bench.case("I01 S07 S08 a token in a header that may not be used is a 403", [(kind, token) for kind, token in KINDS])
def header(house, token):
    answer = house.refused(
        house.a, "api.test", request("GET", "/b", "api.test", b"X-Key: " + token(house)), (403,), "token_denied"
    )
    see(b"osb_sealed_" not in answer.head + answer.body, "the answer quotes the token")


@bench.case(
    "S07 one denied token stops the request, also beside one that is allowed",
    [(kind, token) for kind, token in KINDS],
)
def beside(house, token):
    fields = (b"X-One: " + house.a.tokens["S1"], b"X-Two: " + token(house))
    house.refused(house.a, "api.test", request("GET", "/b", "api.test", *fields), (403,), "token_denied")
    house.refused(house.a, "api.test", request("GET", "/b", "api.test", *reversed(fields)), (403,), "token_denied")


@bench.case("S07 a denied token in a body with a length is a 403", [(kind, token) for kind, token in KINDS])
def body(house, token):
    octets = request("POST", "/b", "api.test", b"Content-Type: text/plain", body=b"a " + token(house) + b" b")
    house.refused(house.a, "api.test", octets, (403,), "token_denied")


@bench.case(
    "S07 a denied token in a chunked body is a 403, or the exchange is aborted",
    [(f"{kind}, {n} octets before", token, n) for kind, token in KINDS for n in (0, 200000)],
)
def chunked_body(house, token, before):
    text = b"p" * before + token(house) + b" b"
    head = request("POST", "/b", "api.test", b"Content-Type: text/plain", b"Transfer-Encoding: chunked")
    seen, tokens = len(house.origin.requests), at_origin(house, token(house))
    with house.client(house.a, "api.test", seconds=5) as client:
        answer = client.ask(head + b"%x\r\n%s\r\n0\r\n\r\n" % (len(text), text))
        see(answer is None or answer.status == 403, f"status {answer and answer.status}")
        client.rest()
        see(client.closed != "timeout", "the connection stayed open behind its last answer")
    see_equal(len(house.origin.requests), seen, "the number of whole requests at the origin")
    see_equal(at_origin(house, token(house)), tokens, "how often the origin has seen the token")


@bench.case("S08 a body is scanned for hosts without a secret too", [("a.wild.test", "a.wild.test")])
def other_host(house, host):
    octets = request("POST", "/b", host, b"Content-Type: text/plain", body=house.a.tokens["S1"])
    house.refused(house.a, host, octets, (403,), "token_denied")


@bench.case("S08 the answers to all kinds of denied tokens are the same octets")
def same(house):
    answers = {
        plain(house.refused(house.a, "api.test", request("GET", "/b", "api.test", b"X-Key: " + token(house)), (403,)))
        for _, token in KINDS
    }
    see_equal(len(answers), 1, "the number of different answers")


@bench.case("what is no token, and a token that is allowed, still pass")
def passes(house):
    near = b"osb_sealed_0123456789ABCDEF0123456789ABCDEF"
    answer = house.get(house.a, "api.test", "/b", b"X-Key: " + house.a.tokens["S1"], b"X-Near: " + near)
    see_equal(answer.status, 200, "the status")
    see_equal(house.origin.requests[-1].get("x-near").encode(), near, "the near miss at the origin")



# --- where no value may stand ----------------------------------------------------------------------------------------------

TOKENS = {  # of sbA at api.test, and as the audit names them
    "its own": (lambda house: house.a.tokens["S1"], "S1"),
    "its own, of another host": (lambda house: house.a.tokens["S2"], "S2"),
    "another sandbox's": (lambda house: house.b.tokens["S3"], "unknown"),
    "nobody's": (lambda house: UNKNOWN, "unknown"),
}
PART, ENDS = b"--cut\r\nContent-Disposition: form-data\r\n", b"\r\n--cut--\r\n"
MULTIPART, JSON = b"multipart/form-data; boundary=cut", b"application/json"
BARRED = {
    "a part's head": (MULTIPART, PART + b"X-Key: %s\r\n\r\nv" + ENDS),
    "a name in a part's head": (MULTIPART, PART + b"%s: v\r\n\r\nv" + ENDS),
    "the preamble": (MULTIPART, b"a %s b\r\n" + PART + b"\r\nv" + ENDS),
    "the epilogue": (MULTIPART, PART + b"\r\nv" + ENDS + b"a %s b"),
    "a binary part": (MULTIPART, PART + b"Content-Type: application/octet-stream\r\n\r\na %s b" + ENDS),
    "a part of two types": (MULTIPART, PART + b"Content-Type: text/plain\r\n" * 2 + b"\r\na %s b" + ENDS),
    "a base64 part": (MULTIPART, PART + b"Content-Transfer-Encoding: base64\r\n\r\na %s b" + ENDS),
    "behind a doubtful delimiter": (MULTIPART, b"--cutlery\r\n\r\na %s b" + ENDS),
    "behind a bare LF in a part's head": (MULTIPART, PART + b"X: y\n\r\n\r\na %s b" + ENDS),
    "behind a backslash of JSON": (JSON, b'{"k":"\\%s"}'),
    "behind a backslash in a part of JSON": (MULTIPART, PART + b"Content-Type: " + JSON + b'\r\n\r\n"\\%s"' + ENDS),
}
FRAMINGS = {
    "a length": lambda body: ([b"Content-Length: %d" % len(body)], body),
    "chunked": lambda body: ([b"Transfer-Encoding: chunked"], b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)),
    "gzip": lambda body: packed(body, "a length"),
    "gzip, chunked": lambda body: packed(body, "chunked"),
}


def packed(body, framing):
    fields, octets = FRAMINGS[framing](gzip.compress(body, mtime=0))
    return fields + [b"Content-Encoding: gzip"], octets


def post(where, token, framing):
    """A request with the token there; gives its path, its octets and those of the body."""
    kind, body = BARRED[where]
    fields, octets = FRAMINGS[framing](body.replace(b"%s", token))
    path = "/barred/" + secrets.token_hex(4)
    return path, request("POST", path, "api.test", b"Content-Type: " + kind, *fields) + octets, octets


def see_denied(house, path, name, reason):
    """What the audit says of it."""
    line = house.await_audit(lambda line: line["path"].startswith(path), f"the audit line of {path}")
    got = (line["reason"], line["secrets"], line["tokens_denied"])
    see_equal(got, (reason, [], [name]), "reason, secrets and tokens_denied")


def blocked(house, path, octets, name, streams=False):
    """403, or where a part may have gone the end; the origin has neither a whole request nor the token."""
    if streams:
        seen = len(house.origin.requests)
        with house.client(house.a, "api.test", seconds=5) as client:
            answer = client.ask(octets)
            see(answer is None or (answer.status, answer.code) == (403, "token_denied"), f"{answer and answer.status}")
            client.rest()
            see(client.closed != "timeout", "the connection stayed open")
        see_equal(len(house.origin.requests), seen, "the number of whole requests at the origin")
    else:
        house.refused(house.a, "api.test", octets, (403,), "token_denied")
    see_denied(house, path, name, "token_denied")


def passing(house):
    if BLOCK in house.config:
        house.again()


@bench.case(
    "S07 a token where no value may stand is a 403, whosever it is, and audited",
    [
        (f"{where}, {framing}, {whose}", where, framing, whose)
        for where in BARRED
        for framing in FRAMINGS
        for whose in (TOKENS if framing == "a length" else ["its own"])
    ],
)
def barred(house, where, framing, whose):
    token, name = TOKENS[whose][0](house), TOKENS[whose][1]
    path, octets, _ = post(where, token, framing)
    before = at_origin(house, token)
    blocked(house, path, octets, name, streams=framing == "chunked")
    see_equal(at_origin(house, token), before, "how often the origin has seen the token")


FIXED = {  # no token is replaced there; and whether it goes on to a host whose answers are scrubbed
    "a field's name": (b"%s: v", True),
    "a parameter of Content-Type": (b"Content-Type: text/plain; x=%s", True),
    "a boundary": (b"Content-Type: multipart/form-data; boundary=%s", True),
    "Content-Encoding": (b"Content-Encoding: %s", True),
    "Trailer": (b"Trailer: %s", True),
    "Range": (b"Range: bytes=%s", False),
    "Sec-WebSocket-Key": (b"Sec-WebSocket-Key: %s", True),
}
TARGETS = {"the path": "/fixed/{}/{}", "the query": "/fixed/{}?k={}", "a name in the query": "/fixed/{}?{}=v"}
ROWS = [(f"{where}, {whose}", where, whose) for where in {**FIXED, **TARGETS} for whose in TOKENS]


def ask_of(where, token):
    """Gives the path and the request's octets."""
    path = secrets.token_hex(4)
    if where in TARGETS:
        return f"/fixed/{path}", request("GET", TARGETS[where].format(path, token.decode()), "api.test")
    return f"/fixed/{path}", request("GET", f"/fixed/{path}", "api.test", FIXED[where][0].replace(b"%s", token))


@bench.case("S10 a token in a name, in a field that is fixed or in the target is a 403 and audited", ROWS)
def fixed(house, where, whose):
    token, name = TOKENS[whose][0](house), TOKENS[whose][1]
    path, octets = ask_of(where, token)
    blocked(house, path, octets, name)


@bench.case(
    "S10 and so it is in a trailer's name",
    [(f"{framing}, {whose}", framing, whose) for framing in ("chunked", "gzip, chunked") for whose in TOKENS],
)
def trailer_name(house, framing, whose):
    token, name = TOKENS[whose][0](house), TOKENS[whose][1]
    fields, octets = FRAMINGS[framing](b"plain")
    path = "/trailer/" + secrets.token_hex(4)
    head = request("POST", path, "api.test", b"Content-Type: text/plain", *fields)
    blocked(house, path, head + octets[:-2] + token + b": v\r\n\r\n", name, streams=True)


# --- denied_token = pass ---------------------------------------------------------------------------------------------------


@bench.case(
    "S10 without denied_token = block a token where no value may stand goes on as it is, and is audited",
    [
        (f"{where}, {framing}, {whose}", where, framing, whose)
        for where in BARRED
        for framing in FRAMINGS
        for whose in (TOKENS if framing == "a length" else ["its own"])
    ],
)
def barred_passes(house, where, framing, whose):
    passing(house)
    token, name = TOKENS[whose][0](house), TOKENS[whose][1]
    path, octets, body = post(where, token, framing)
    see_equal(house.ask(house.a, "api.test", octets).status, 200, "the status")
    seen = house.origin.requests[-1]
    want = gzip.compress(BARRED[where][1].replace(b"%s", token), mtime=0) if "gzip" in framing else None
    see_equal(seen.body, want or BARRED[where][1].replace(b"%s", token), "the body")
    see_equal(seen.all("content-encoding"), [b"gzip"] if want else [], "Content-Encoding")
    see_equal(seen.all("content-length"), [] if "chunked" in framing else [b"%d" % len(body)], "Content-Length")
    see_denied(house, path, name, None)


@bench.case("S10 and so it does in a name, in a field that is fixed and in the target", ROWS)
def fixed_passes(house, where, whose):
    passing(house)
    token, name = TOKENS[whose][0](house), TOKENS[whose][1]
    path, octets = ask_of(where, token)
    see_equal(house.ask(house.a, "api.test", octets).status, 200, "the status")
    seen = house.origin.requests[-1]
    if where in TARGETS:
        see_equal(seen.start, octets.partition(b"\r\n")[0], "the request line")
    else:
        field, goes_on = FIXED[where]
        line = field.replace(b"%s", token).lower()
        got = [f"{key.decode()}: {value.decode()}".encode().lower() for key, value in seen.fields]
        see_equal(line in got, goes_on, f"whether {line} is among the fields")
    see(house.value("S1") not in seen.head, "the value is in the head")
    see_denied(house, path, name, None)


class BlockHouse(Rehouse):
    def __init__(self, build):
        super().__init__(build)
        self.config = [BLOCK]  # of the first start alone


rehouse_last(bench)
bench.run(BlockHouse)
