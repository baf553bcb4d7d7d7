"""attacks_policy - P01 P02 P03 P05 P06 P10 P13 P16 I01: the server name decides who may reach what, and nothing else."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from case import Bench, see, see_equal
from client import hello
from house import House, request

bench = Bench()
PRIVATE = (
    "127.0.0.1",
    "127.8.8.8",
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.1",
    "10.255.255.254",
    "172.16.0.1",
    "172.31.255.254",
    "192.168.1.1",
    "100.64.0.1",
    "100.127.255.254",
    "169.254.169.254",
    "192.0.0.192",
    "198.18.0.1",
    "198.19.255.254",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "::1",
    "::",
    "fe80::1",
    "fc00::1",
    "fd12:3456::1",
    "ff02::1",
    "::ffff:10.0.0.1",
    "::ffff:127.0.0.1",
    "::10.0.0.1",
    "64:ff9b::a00:1",
    "64:ff9b:1::1",
    "2002:a00:1::1",
    "2001:0:a00:1::f5ff:fffe",
    "100::1",
)


class PolicyHouse(House):
    """The fixture; more sandboxes, so that no row runs into the mint budget of another; names that only DNS knows."""

    def furnish(self):
        super().furnish()
        self.wild = self.sandbox("sbWild", "127.0.0.4", "A")
        self.store("D", *(f"n{row}.dns.test" for row in range(len(PRIVATE) + 2)))
        self.d = self.sandbox("sbDns", "127.0.0.5", "D")


def bearer(house):
    return f"Authorization: Bearer {house.a.tokens['S1'].decode()}"


@bench.case(
    "P01 the Host must name the server name's host",
    [
        ("SNI api.test, Host echo.test", "api.test", "echo.test", (421,), "host_mismatch"),
        ("SNI echo.test, Host api.test", "echo.test", "api.test", (421,), "host_mismatch"),
        ("SNI api.test, Host evil.test", "api.test", "evil.test", (421,), "host_mismatch"),
        ("SNI evil.test, Host api.test", "evil.test", "api.test", (403,), "host_not_allowed"),
        ("SNI evil.test, Host evil.test", "evil.test", "evil.test", (403,), "host_not_allowed"),
    ],
)
def p01(house, sni, host, statuses, code):
    answer = house.refused(house.a, sni, request("GET", "/", host, bearer(house)), statuses, code)
    for name in ("X-Request-Id", "Proxy-Status"):
        see(answer.get(name), f"no {name} in the answer")
    see_equal(answer.get("X-Should-Retry"), "false", "X-Should-Retry")
    see_equal(answer.get("Cache-Control"), "no-store", "Cache-Control")


@bench.case(
    "P02 what is dialled is the server name's host, not what the client reached or says it wanted",
    [
        ("an answer comes from api.test, the name server is not asked", ()),
        (
            "X-Forwarded-Host and Forwarded are another's",
            ("X-Forwarded-Host: evil.test", "Forwarded: host=evil.test"),
        ),
        (
            "X-Original-URL and X-Rewrite-URL are another's",
            ("X-Original-URL: https://evil.test/", "X-Rewrite-URL: /evil"),
        ),
    ],
)
def p02(house, fields):
    house.nameserver.addresses["api.test"] = ["203.0.113.66"]
    asked = len(house.nameserver.questions)
    answer = house.get(house.a, "api.test", "/p02", bearer(house), *fields)
    see_equal(answer.status, 200, "the status")
    last = house.origin.requests[-1]
    see_equal(
        (last.sni, last.get("host"), last.get("authorization").encode()),
        ("api.test", "api.test", b"Bearer " + house.value("S1")),
        "what the origin saw",
    )
    see_equal(len(house.nameserver.questions), asked, "the number of questions asked")


@bench.case(
    "P03 a server name that is not on the list gets a sentence and nothing else",
    [("evil.test", "evil.test"), ("a.evil.test", "a.evil.test"), ("the origin's own second name", "wild.test")],
)
def p03(house, name):
    asked = len(house.nameserver.questions)
    house.refused(house.b, name, request("GET", "/", name, bearer(house)), (403,), "host_not_allowed")
    house.await_audit(
        lambda line: line["host"] == name and line["action"] == "block" and line["reason"] == "host_not_allowed",
        f"an audit line for {name}",
    )
    see_equal(len(house.nameserver.questions), asked, "the number of questions asked")


@bench.case(
    "P03 a server name with octets that are no host's is refused before a leaf is made",
    [
        ("ESC and a colour", b"\x1b[31mevil.test"),
        ("LF", b"api.test\nx"),
        ("NUL inside", b"api.test\0.evil.test"),
        ("NUL at the end", b"api.test\0"),
        ("0xFF", b"\xffapi.test"),
        ("a blank", b"api test"),
        ("a quote", b'api".test'),
        ("an asterisk", b"*.wild.test"),
        ("a leading dot", b".wild.test"),
        ("two dots", b"api..test"),
        ("a colon", b"api.test:443"),
        ("a label of 64", b"a" * 64 + b".wild.test"),
        ("brackets", b"[api.test]"),
        ("a label that begins with a hyphen", b"-a.wild.test"),
    ],
)
def p03_octets(house, name):
    before, mints = house.origin.counts(), house.metric("osb_leaf_mints_total")
    got = hello(("127.0.0.1", house.port), house.b.address, name)
    see(got.startswith("alert") or got in ("fin", "rst"), f"the handshake ended with {got}")
    see_equal(house.metric("osb_leaf_mints_total"), mints, "the number of leaves")
    see_equal(house.origin.counts(), before, "what the origin saw")


@bench.case(
    "P05 of all forms of Host only api.test and api.test:443 pass",
    [
        ("plain", b"Host: api.test", True),
        ("with the port", b"Host: api.test:443", True),
        ("upper case", b"Host: API.TeSt", True),
        ("absent", b"X: y", False),
        ("empty", b"Host:", False),
        ("twice the same", b"Host: api.test\r\nHost: api.test", False),
        ("twice, different", b"Host: api.test\r\nHost: evil.test", False),
        ("twice, different, reversed", b"Host: evil.test\r\nHost: api.test", False),
        ("a list", b"Host: api.test, evil.test", False),
        ("user api.test", b"Host: api.test@evil.test", False),
        ("user evil.test", b"Host: evil.test@api.test", False),
        ("a fragment", b"Host: api.test#evil", False),
        ("a path", b"Host: api.test/evil", False),
        ("a query", b"Host: api.test?evil", False),
        ("another port", b"Host: api.test:8443", False),
        ("port 80", b"Host: api.test:80", False),
        ("a port with letters", b"Host: api.test:443abc", False),
        ("an empty port", b"Host: api.test:", False),
        ("port 0443", b"Host: api.test:0443", False),
        ("a port that wraps", b"Host: api.test:65979", False),
        ("brackets", b"Host: [api.test]", False),
        ("a NUL", b"Host: api.test\0", False),
        ("a backslash", b"Host: api.test\\evil", False),
        ("a blank inside", b"Host: api.test evil.test", False),
        ("two dots at the end", b"Host: api.test..", False),
        ("folded", b"Host: api.test\r\n .evil.test", False),
    ],
)
def p05(house, field, passes):
    octets = b"GET /p05 HTTP/1.1\r\n" + field + b"\r\n" + bearer(house).encode() + b"\r\n\r\n"
    if not passes:
        house.refused(house.a, "api.test", octets, (400, 421))
        return
    see_equal(house.ask(house.a, "api.test", octets).status, 200, "the status")
    see_equal(house.origin.requests[-1].all("host"), [b"api.test"], "the Host that the origin saw")


@bench.case(
    "P05 blanks around a Host never reach the origin",
    [
        ("a second SP", b"Host:  api.test"),
        ("a tab behind", b"Host: api.test\t"),
        ("a tab before", b"Host:\tapi.test"),
    ],
)
def p05_blanks(house, field):
    answer = house.ask(house.a, "api.test", b"GET /p05 HTTP/1.1\r\n" + field + b"\r\n\r\n")
    see(answer.status in (200, 400, 421), f"status {answer.status}")
    if answer.status == 200:
        see_equal(
            house.origin.requests[-1].head.split(b"\r\n")[1], b"Host: api.test", "the Host line that the origin saw"
        )


@bench.case(
    "P06 the second request of a connection is judged like the first",
    [
        ("Host echo.test", "echo.test", (421,)),
        ("Host evil.test", "evil.test", (421,)),
        ("Host api.test:8443", "api.test:8443", (421,)),
    ],
)
def p06(house, host, statuses):
    with house.client(house.a, "api.test") as client:
        see_equal(client.ask(request("GET", "/p06", "api.test")).status, 200, "the first status")
        before = house.origin.counts()
        answer = client.ask(request("GET", "/p06b", host, bearer(house)))
        see(answer and answer.status in statuses, f"status {answer.status if answer else client.closed}")
        see_equal(house.origin.counts(), before, "what the origin saw")
        if client.closed is None:
            again = client.ask(request("GET", "/p06c", "api.test"))
            see(again is None or again.status == 200, f"the third status {again.status if again else ''}")


@bench.case(
    "P10 a wildcard is one or more labels below its name, and no more",
    [
        ("a.wild.test", "a.wild.test", True),
        ("a.b.wild.test", "a.b.wild.test", True),
        ("A.WILD.TEST", "A.WILD.TEST", True),
        ("wild.test itself", "wild.test", False),
        ("evilwild.test", "evilwild.test", False),
        ("a name that goes on", "a.wild.test.evil.test", False),
    ],
)
def p10(house, name, passes):
    if passes:
        answer = house.get(house.wild, name, "/p10")
        see_equal(answer.status, 200, "the status")
        see_equal(house.origin.requests[-1].get("host"), name.lower(), "the Host that the origin saw")
    else:
        house.refused(house.wild, name, request("GET", "/p10", name), (403,), "host_not_allowed")


@bench.case(
    "P10 osbctl refuses a pattern that could mean more than it says",
    [
        ("a public suffix", "*.com", 4),
        ("a public suffix of two labels", "*.co.uk", 4),
        ("a single label", "*.test", 4),
        ("an inner wildcard", "a.*.test", 4),
        ("a part of a label", "*wild.test", 4),
        ("a label's end", "wild*.test", 4),
        ("two wildcards", "*.*.test", 4),
        ("a scheme", "https://api.test", 4),
        ("a path", "api.test/x", 4),
        ("a port", "api.test:443", 4),
        ("nothing", "", 4),
        ("254 octets", ".".join(["a" * 49] * 5) + ".test", 4),
        ("a label of 64", "a" * 64 + ".test", 4),
        ("an empty label", "a..test", 4),
        ("a blank", "api test", 4),
        ("a line end", "api.test\n", 4),
        ("an asterisk alone, legal", "*", 0),
        ("a wildcard, legal", "*.wild.test", 0),
        ("a U-label, converted", "b\u00fccher.test", 0),
    ],
)
def p10_osbctl(house, pattern, code):
    name = f"p10-{abs(hash(pattern))}"
    house.ctl("store", "create", name, "--egress-allow", pattern, code=code)
    listed = house.ctl("store", "list")
    see_equal(name in listed, code == 0, f"whether {name} is listed")
    if "b\u00fc" in pattern:
        see("xn--bcher-kva.test" in house.ctl("--json", "store", "get", name), "no A-label in the store")


@bench.case(
    "P10 * never means an address literal",
    [("Host 203.0.113.10 without SNI", "203.0.113.10"), ("Host [::1] without SNI", "[::1]")],
)
def p10_literal(house, host):
    before = house.origin.counts()
    with house.client(house.a, None) as client:
        answer = client.ask(request("GET", "/", host)) if client.shaken else None
        see(answer is None or answer.status in (400, 403, 421), f"status {answer.status if answer else ''}")
    see_equal(house.origin.counts(), before, "what the origin saw")


@bench.case(
    "P13 an answer of the name server that is not public is never dialled",
    [(address, f"n{row}.dns.test", address) for row, address in enumerate(PRIVATE)],
)
def p13(house, name, address):
    house.nameserver.addresses[name] = [address]
    house.refused(house.d, name, request("GET", "/", name), (403,), "address_not_allowed")


@bench.case("P13 a name that does not exist is unreachable, not forbidden")
def p13_none(house):
    name = f"n{len(PRIVATE)}.dns.test"
    house.refused(house.d, name, request("GET", "/", name), (502,), "upstream_unreachable")


@bench.case(
    "P16 no CONNECT and no TRACE inside the connection",
    [
        ("CONNECT evil.test:443", b"CONNECT evil.test:443 HTTP/1.1\r\nHost: api.test\r\n\r\n"),
        ("CONNECT evil.test:443, Host alike", b"CONNECT evil.test:443 HTTP/1.1\r\nHost: evil.test:443\r\n\r\n"),
        ("CONNECT api.test:443", b"CONNECT api.test:443 HTTP/1.1\r\nHost: api.test\r\n\r\n"),
        (
            "CONNECT with a hello behind",
            b"CONNECT api.test:443 HTTP/1.1\r\nHost: api.test\r\n\r\n\x16\x03\x01\x02\x00\x01",
        ),
        ("TRACE", b"TRACE / HTTP/1.1\r\nHost: api.test\r\n\r\n"),
        ("TRACK", b"TRACK / HTTP/1.1\r\nHost: api.test\r\n\r\n"),
    ],
)
def p16(house, octets):
    house.refused(house.a, "api.test", octets, (405,), "method_not_allowed", closes=octets.startswith(b"CONNECT"))


@bench.case(
    "I01 another sandbox's token stays a token and is audited as unknown",
    [("B sends A's token", "S1", "b", "api.test"), ("A sends B's token", "S3", "a", "api.test")],
)
def i01(house, name, who, host):
    owner, sender = (house.a, house.b) if who == "b" else (house.b, house.a)
    token = owner.tokens[name]
    answer = house.get(sender, host, "/i01", b"Authorization: Bearer " + token)
    see_equal(answer.status, 200, "the status")
    see_equal(house.origin.requests[-1].get("authorization").encode(), b"Bearer " + token, "what the origin saw")
    line = house.await_audit(lambda line: line["path"] == "/i01" and line["sandbox"] == sender.name, "an audit line")
    see_equal((line["tokens_denied"], line["secrets"]), (["unknown"], []), "what was audited")


@bench.case("I01 the owner's token works, before and after another's attempt")
def i01_own(house):
    for _ in range(2):
        for sandbox, name in ((house.a, "S1"), (house.b, "S3")):
            house.get(sandbox, "api.test", "/own", b"Authorization: Bearer " + sandbox.tokens[name])
            see_equal(
                house.origin.requests[-1].get("authorization").encode(),
                b"Bearer " + house.value(name),
                "what the origin saw",
            )
            house.get(
                sandbox,
                "api.test",
                "/other",
                b"Authorization: Bearer "
                + (house.b if sandbox is house.a else house.a).tokens["S3" if name == "S1" else "S1"],
            )


@bench.case(
    "I01 a secret goes to its own hosts only, and says nothing of it elsewhere",
    [
        ("S1 at echo.test", "S1", "echo.test"),
        ("S2 at api.test", "S2", "api.test"),
        ("S1 at a.wild.test", "S1", "a.wild.test"),
    ],
)
def i01_host(house, name, host):
    token = house.a.tokens[name]
    answer = house.get(house.a, host, "/host", b"X-Key: " + token)
    see_equal(answer.status, 200, "the status")
    see_equal(house.origin.requests[-1].get("x-key").encode(), token, "what the origin saw")


bench.run(PolicyHouse)
