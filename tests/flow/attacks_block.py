"""attacks_block - I01 S07 S08 with denied_token = block: one answer for each token that may not be used."""
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from case import Bench, see, see_equal
from house import House, request

bench = Bench()
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


bench.run(lambda build: House(build, config=["denied_token = block"]))
