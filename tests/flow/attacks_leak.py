"""attacks_leak - L07 U01 U02 (samples of U03 U04) T03 R01: values stay with us, the right host, the right sandbox."""
import os
import ssl
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from case import Bench, see, see_equal
from client import client_context, hello
from house import NAMES, House, Program, await_until, free_port, request
from origin import Origin
from pki import dns_san

bench = Bench()
SCRATCH = tempfile.TemporaryDirectory(prefix="osb-leak-")
KEYLOG, HOSTILE = f"{SCRATCH.name}/keys.log", f"{SCRATCH.name}/openssl.cnf"
# Were it read, no algorithm would be left: every handshake would fail.
with open(HOSTILE, "w") as out:
    out.write(
        "openssl_conf = a\n[a]\nproviders = p\nssl_conf = s\n[p]\nnull = n\n[n]\nactivate = 1\n[s]\nsystem_default = d\n"
        "[d]\nMinProtocol = TLSv1\nCipherString = ALL:eNULL:@SECLEVEL=0\nVerifyMode = None\n"
    )


class LeakHouse(House):
    """The proxy runs in a hostile environment; a sandbox at the proxy's own address lets it meet itself."""

    def __init__(self, build):
        super().__init__(
            build,
            environment={"SSLKEYLOGFILE": KEYLOG, "OPENSSL_CONF": HOSTILE, "SSL_CERT_FILE": "/dev/null"},
            names=NAMES + ("sealed.wild.test",),
        )

    def __enter__(self):
        super().__enter__()
        self.unknown = self.pki.root("Unknown Root")
        self.middle = self.pki.intermediate(self.root, "Middle")
        return self

    def ctl(self, *words, **more):
        kept, self.environment = self.environment, None
        try:
            return super().ctl(*words, **more)
        finally:
            self.environment = kept

    def shows(self, name, cert):
        """From now on the origin shows this certificate for ${name}, on new connections."""
        self.origin.contexts[name] = Origin.context(cert, lax=True)
        self.origin.drop_all()


@bench.case("L07 SSLKEYLOGFILE and OPENSSL_CONF of the environment are not honoured")
def l07_environment(house):
    see_equal(house.get(house.a, "api.test", "/l07", b"X-Key: " + house.a.tokens["S1"]).status, 200, "the status")
    see(not os.path.exists(KEYLOG) or os.path.getsize(KEYLOG) == 0, "keys were logged")


@bench.case(
    "L07 octets of a sandbox can't forge a line of the log",
    [
        ("path with CR LF, encoded", b"GET /a%0d%0a{%22x%22:1} HTTP/1.1\r\nHost: api.test\r\n\r\n"),
        ("path with ESC", b"GET /\x1b[31m HTTP/1.1\r\nHost: api.test\r\n\r\n"),
        ("path above ASCII", b"GET /\xc3\xa4\xff HTTP/1.1\r\nHost: api.test\r\n\r\n"),
        ("path with a quote", b'GET /"x HTTP/1.1\r\nHost: api.test\r\n\r\n'),
        ("Host with ESC", b"GET / HTTP/1.1\r\nHost: \x1b]0;x\x07\r\n\r\n"),
        ("method with ESC", b"\x1bGET / HTTP/1.1\r\nHost: api.test\r\n\r\n"),
        ("a long method", b"M" * 3000 + b" / HTTP/1.1\r\nHost: api.test\r\n\r\n"),
        ("a path of 30 KiB", b"GET /" + b"p" * 30000 + b" HTTP/1.1\r\nHost: api.test\r\n\r\n"),
    ],
)
def l07_lines(house, octets):
    with house.client(house.a, "api.test") as client:
        client.ask(octets)
    house.see_audit_clean()


@bench.case(
    "L07 a server name's octets do not reach the log raw",
    [("ESC", b"\x1b[31mred.test"), ("LF", b"x.test\n{}"), ("0x9b", b"\x9b31m.test")],
)
def l07_names(house, name):
    hello(("127.0.0.1", house.port), house.a.address, name)
    house.see_audit_clean()
    see(b"\x1b" not in house.proxy.said() and b"\x9b" not in house.proxy.said(), "a control octet in the log")


@bench.case(
    "L07 the audit names secrets, cuts tokens and leaves queries out",
    [
        ("token in the path", "/x/{S1}/y", "/x/{cut}/y", "S1"),
        ("token in the query", "/q?key={S1}&q=canary-in-a-query", "/q", "S1"),
        ("another host's token in the path", "/x/{S2}", "/x/{cut}", "S2"),
    ],
)
def l07_audit(house, path, want, name):
    token = {name: value.decode() for name, value in house.a.tokens.items()}
    before = len(house.audit())
    house.get(house.a, "api.test", path.format(**token), b"X-Key: " + house.a.tokens["S1"])
    # A refused handshake of the case before may be written later than it was seen.
    requests = lambda: [line for line in house.audit()[before:] if line["method"]]
    await_until(requests, "an audit line", 5)
    line = requests()[0]
    want = want.format(cut=token[name][:15])
    see_equal((line["method"], line["path"], line["secrets"]), ("GET", want, ["S1"]), "what was audited")
    house.see_logs_clean()


@bench.case("L07 every line has the fields that the contract names")
def l07_fields(house):
    want = (
        "ts request_id sandbox src dst host method path proto upstream_proto status action reason secrets "
        "tokens_denied scrubbed bytes_in bytes_out ms upstream_ms"
    ).split()
    for line in house.audit():
        see_equal(list(line), want, "the fields")


def certs():
    """label, host, make(house), accepted."""

    def chain(house, length):
        issuer = house.root
        for n in range(length):
            issuer = house.pki.intermediate(issuer, f"Deep {n}")
        return house.pki.leaf(issuer, "DNS:api.test")

    def sans(house, *names, **rest):
        return house.pki.leaf(house.root, *names, **rest)

    def sandbox_like(house):
        """An authority with the sandbox CA's own subject and extensions but not its key."""
        return house.pki.leaf(house.pki.root("osb sandbox sbA"), "DNS:api.test")

    many = [f"DNS:n{n}.other.test" for n in range(10000)]
    api, wild = "api.test", "a.wild.test"
    return [
        ("U01 good", api, lambda h: sans(h, "DNS:api.test"), True),
        ("U01 good, by an intermediate", api, lambda h: h.pki.leaf(h.middle, "DNS:api.test"), True),
        ("U01 self-signed", api, lambda h: h.pki.leaf(None, "DNS:api.test"), False),
        ("U01 unknown CA", api, lambda h: h.pki.leaf(h.unknown, "DNS:api.test"), False),
        (
            "U01 unknown CA, its root sent too",
            api,
            lambda h: (lambda leaf: leaf.chain_of(leaf, h.unknown))(h.pki.leaf(h.unknown, "DNS:api.test")),
            False,
        ),
        (
            "U01 missing intermediate",
            api,
            lambda h: (lambda leaf: leaf.chain_of(leaf))(h.pki.leaf(h.middle, "DNS:api.test")),
            False,
        ),
        ("U01 tampered signature", api, lambda h: h.pki.tampered(sans(h, "DNS:api.test")), False),
        ("U01 an authority named like the sandbox's", api, sandbox_like, False),
        ("U01 chain of 12", api, lambda h: chain(h, 11), False),
        ("U01 chain of 4", api, lambda h: chain(h, 3), True),
        ("U02 wrong host", api, lambda h: sans(h, "DNS:echo.test"), False),
        ("U02 CN only", api, lambda h: sans(h, subject="/CN=api.test"), False),
        ("U02 CN right, SAN wrong", api, lambda h: sans(h, "DNS:echo.test", subject="/CN=api.test"), False),
        ("U02 *.test", api, lambda h: sans(h, "DNS:*.test"), False),
        ("U02 a*.test", api, lambda h: sans(h, "DNS:a*.test"), False),
        ("U02 *i.test", api, lambda h: sans(h, "DNS:*i.test"), False),
        ("U02 *", api, lambda h: sans(h, "DNS:*"), False),
        ("U02 *.*.test", wild, lambda h: sans(h, "DNS:*.*.test"), False),
        ("U02 a.*.test", wild, lambda h: sans(h, "DNS:a.*.test"), False),
        ("U02 *.wild.test", wild, lambda h: sans(h, "DNS:*.wild.test"), True),
        ("U02 *.wild.test for two labels", "a.b.wild.test", lambda h: sans(h, "DNS:*.wild.test"), False),
        ("U02 NUL in the SAN", api, lambda h: sans(h, dns_san(b"api.test\0.evil.test")), False),
        ("U02 NUL at the SAN's end", api, lambda h: sans(h, dns_san(b"api.test\0")), False),
        ("U02 IP SAN for a name", api, lambda h: sans(h, "IP:127.0.0.1"), False),
        ("U02 U-label SAN", api, lambda h: sans(h, dns_san("\u0430pi.test".encode())), False),
        ("U02 trailing dot", api, lambda h: sans(h, dns_san(b"api.test.")), False),
        ("U02 leading dot", wild, lambda h: sans(h, dns_san(b".wild.test")), False),
        ("U02 blank behind", api, lambda h: sans(h, dns_san(b"api.test ")), False),
        ("U02 upper case", api, lambda h: sans(h, "DNS:API.TEST"), True),
        ("U02 10,000 others", api, lambda h: sans(h, *many), False),
        (
            "U03 expired leaf",
            api,
            lambda h: sans(h, "DNS:api.test", start="20200101000000Z", end="20210101000000Z"),
            False,
        ),
        (
            "U03 leaf of tomorrow",
            api,
            lambda h: sans(h, "DNS:api.test", start="20490101000000Z", end="20491231000000Z"),
            False,
        ),
        ("U04 EKU clientAuth", api, lambda h: sans(h, "DNS:api.test", usage="clientAuth"), False),
        (
            "U04 unknown critical extension",
            api,
            lambda h: sans(h, "DNS:api.test", more="1.2.3.4.5=critical,DER:0500"),
            False,
        ),
        (
            "U04 issuer without CA:TRUE",
            api,
            lambda h: h.pki.leaf(h.pki.intermediate(h.root, "No CA", "critical,CA:FALSE"), "DNS:api.test"),
            False,
        ),
        (
            "U04 pathlen exceeded",
            api,
            lambda h: h.pki.leaf(
                h.pki.intermediate(h.pki.intermediate(h.root, "Short", "critical,CA:TRUE,pathlen:0"), "Below"),
                "DNS:api.test",
            ),
            False,
        ),
        (
            "U04 name constraints violated",
            api,
            lambda h: h.pki.leaf(
                h.pki.intermediate(h.root, "Bound", more="nameConstraints=critical,permitted;DNS:other.test"),
                "DNS:api.test",
            ),
            False,
        ),
        (
            "U04 RSA-1024",
            api,
            lambda h: sans(
                h, "DNS:api.test", key=h.pki.new_key("-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:1024")
            ),
            False,
        ),
        ("U04 SHA-1 signature", api, lambda h: sans(h, "DNS:api.test", digest="sha1"), False),
    ]


@bench.case(
    "U01 U02 U03 U04 the origin's certificate is proved by chain and name before a request octet is sent", certs()
)
def upstream_certs(house, host, make, accepted):
    house.shows(host, make(house))
    fields = [b"X-Key: " + house.a.tokens["S1"]]
    first = len(house.origin.connections)
    try:
        answer = house.get(house.a, host, "/u01", *fields)
        if accepted:
            see_equal(answer.status, 200, f"the status ({answer.body[:200]})")
            return
        see_equal((answer.status, answer.code), (502, "upstream_tls"), "the answer")
        for connection in house.origin.connections[first:]:
            see_equal(bytes(connection.octets), b"", "what the origin could read")
    finally:
        house.shows(host, house.good)


@bench.case("U01 a leaf of our own sandbox CA proves nothing upstream: the proxy does not trust itself")
def upstream_self(house):
    """A second proxy, of the same Redis, is sent to the first, which answers 127.0.0.1 as sbLoop, with sbLoop's CA."""
    house.sandbox("sbLoop", "127.0.0.1", "A")
    first, admin = house.port, house.admin
    port, log = free_port(), f"{house.folder}/second.log"
    with open(house.config_file) as text:
        lines = [
            line
            for line in text.read().splitlines()
            if not line.startswith(("direct_listen", "listen", "http_listen", "admin", "audit_log"))
        ]
    lines = [line for line in lines if not line.startswith("connect_to = api.test:")] + [
        f"direct_listen = 127.0.0.1:{port}",
        f"listen = 127.0.0.1:{free_port()}",
        f"http_listen = 127.0.0.1:{free_port()}",
        f"admin = unix:{house.folder}/second.sock",
        "audit_log = off",
        f"connect_to = api.test:443=127.0.0.1:{first}",
    ]
    config = f"{house.folder}/second.conf"
    with open(config, "w") as out:
        out.write("\n".join(lines) + "\n")
    second = Program(log, f"{house.build}/osb-proxy", "-c", config)
    try:
        house.admin, house.port = f"{house.folder}/second.sock", port
        await_until(lambda: b" 200 " in house.fetch_admin("/readyz")[:20], "the second proxy is ready", 30)
        answer = house.get(house.a, "api.test", "/loop", b"X-Key: " + house.a.tokens["S1"])
        see_equal((answer.status, answer.code), (502, "upstream_tls"), "the answer")
    finally:
        house.port, house.admin = first, admin
        see_equal(second.end(), 0, "the second proxy's exit code")


def session_of(house, sandbox, host, context):
    """A session that this sandbox was given for ${host}."""
    with house.client(sandbox, host, context=context) as client:
        see(client.shaken, f"the handshake ended with {client.closed}")
        see_equal(client.ask(request("GET", "/t03", host)).status, 200, "the status")
        return client.tls.session, client.tls.getpeercert(True)


@bench.case(
    "T03 a session belongs to one sandbox and one name",
    [
        (f"{label} offers A's session for {host}, {version.name}", version, label, host, resumes)
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)
        for label, host, resumes in (("A", "api.test", True), ("B", "api.test", False), ("A", "echo.test", False))
    ],
)
def t03(house, version, who, host, resumes):
    context = client_context(None, version=version)
    session, leaf_of_a = session_of(house, house.a, "api.test", context)
    see(session is not None, "no session was given")
    for _ in range(8):  # both workers
        with house.client(house.a if who == "A" else house.b, host, context=context, session=session) as client:
            see(client.shaken, f"the handshake ended with {client.closed}")
            see_equal(client.tls.session_reused, resumes, "whether it was resumed")
            if who == "B":
                see(client.tls.getpeercert(True) != leaf_of_a, "B was shown A's leaf")
            see_equal(
                client.ask(request("GET", "/t03", host, b"X-Key: " + house.a.tokens["S1"])).status, 200, "the status"
            )
        want = house.value("S1") if who == "A" and host == "api.test" else house.a.tokens["S1"]
        see_equal(house.origin.requests[-1].get("x-key").encode(), want, "what the origin saw")


@bench.case(
    "T03 the session of a deleted sandbox is worth nothing to the next one at its address",
    [
        (version.name, version, f"127.0.0.{7 + n}")
        for n, version in enumerate((ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3))
    ],
)
def t03_deleted(house, version, address):
    context = client_context(None, version=version)
    old = house.sandbox(f"old-{version.name.replace('_', '-')}", address, "A")
    session, leaf = session_of(house, old, "api.test", context)
    house.ctl("sandbox", "delete", old.name)

    def gone():
        try:
            with house.client(old, "api.test", context=context, session=session) as client:
                return not client.shaken
        except OSError:
            return True

    await_until(gone, "the deleted sandbox is refused", 3)
    new = house.sandbox(f"new-{version.name.replace('_', '-')}", address, "B")

    def served():
        with house.client(new, "api.test", context=context, session=session) as client:
            if not client.shaken:
                return False
            see(not client.tls.session_reused, "the session was resumed")
            see(client.tls.getpeercert(True) != leaf, "the old leaf was shown")
            return client.ask(request("GET", "/new", "api.test")).status == 200

    await_until(served, "the new sandbox is served", 3)


def told(house, sandbox):
    """Tell every proxy that the record changed, as osbctl does."""
    house.redis("PUBLISH", "osb:changes", f"sandbox {sandbox.name}")


def meddled(house, change, sandbox=None):
    """Run ${change} on Redis, look what becomes of both tokens, and put everything back."""
    records = {s.name: house.redis.hash("osb:sandbox:{%s}" % s.name) for s in (house.a, house.b)}
    see(all(records.values()), "no record under osb:sandbox:{ID}")
    try:
        change(house, {name: dict(fields) for name, fields in records.items()})
        for s in (house.a, house.b):
            told(house, s)
        for _ in range(6):
            for s, host, names in (
                (house.a, "api.test", ("S1", "S2")),
                (house.a, "echo.test", ("S1", "S2")),
                (house.b, "api.test", ("S3",)),
                (house.a, "evil.test", ("S1",)),
            ):
                probe(house, s, host, names)
    finally:
        for s in (house.a, house.b):
            house.redis("SET", "osb:ip:default:{%s}" % s.address, s.name)
            house.redis("PUBLISH", "osb:changes", f"ip default {s.address}")
            key = "osb:sandbox:{%s}" % s.name
            house.redis("DEL", key)
            house.redis("HSET", key, *(octets for pair in records[s.name].items() for octets in pair))
            told(house, s)
        await_until(lambda: works(house), "both sandboxes work again", 5)


def probe(house, sandbox, host, names):
    """Whatever the record says now: a token becomes its own value at its own host, or stays, or nothing is served."""
    seen = len(house.origin.requests)
    try:
        with house.client(sandbox, host) as client:
            if client.shaken:
                client.ask(
                    request("GET", "/r01", host, *(b"X-%s: %s" % (n.encode(), sandbox.tokens[n]) for n in names))
                )
    except (OSError, ssl.SSLCertVerificationError):
        pass  # a refusal of any form is right
    for got in house.origin.requests[seen:]:
        see(got.sni != "evil.test", "evil.test was reached")
        for name in names:
            allowed = [sandbox.tokens[name]]
            if [s for s in house.secrets if s.name == name][-1].may_reach(host):
                allowed.append(house.value(name))
            see(got.get(f"X-{name}").encode() in allowed, f"{name} became {got.get(f'X-{name}')} at {host}")


def works(house):
    try:
        for s, name in ((house.a, "S1"), (house.b, "S3")):
            if house.get(s, "api.test", "/works", b"X-Key: " + s.tokens[name]).status != 200:
                return False
            if house.origin.requests[-1].get("x-key").encode() != house.value(name):
                return False
        return True
    except (AssertionError, OSError, ssl.SSLError):
        return False


def put(house, name, **fields):
    house.redis(
        "HSET",
        "osb:sandbox:{%s}" % name,
        *(octets for key, value in fields.items() for octets in (key.replace("__", ":"), value)),
    )


def flip(octets, at=-1):
    changed = bytearray(octets)
    changed[at] ^= 1
    return bytes(changed)


def edited(records, old, new):
    policy = records["sbA"][b"policy"]
    see(old in policy, f"{old} is not in the policy")
    return policy.replace(old, new)


@bench.case(
    "R01 R02 whoever writes to Redis can't move a value or widen a list",
    [
        (
            "A's two values swapped",
            lambda h, r: put(h, "sbA", value__S1=r["sbA"][b"value:S2"], value__S2=r["sbA"][b"value:S1"]),
        ),
        ("A's value under B's name", lambda h, r: put(h, "sbB", value__S3=r["sbA"][b"value:S1"])),
        ("B's value under A's name", lambda h, r: put(h, "sbA", value__S1=r["sbB"][b"value:S3"])),
        (
            "A's whole record under B's key",
            lambda h, r: put(h, "sbB", **{k.decode().replace(":", "__"): v for k, v in r["sbA"].items()}),
        ),
        ("A's CA under B's key", lambda h, r: put(h, "sbB", ca=r["sbA"][b"ca"])),
        ("a value's last bit flipped", lambda h, r: put(h, "sbA", value__S1=flip(r["sbA"][b"value:S1"]))),
        ("a value's first bit flipped", lambda h, r: put(h, "sbA", value__S1=flip(r["sbA"][b"value:S1"], 0))),
        ("a value cut short", lambda h, r: put(h, "sbA", value__S1=r["sbA"][b"value:S1"][:-1])),
        ("a value emptied", lambda h, r: put(h, "sbA", value__S1=b"")),
        (
            "evil.test in the allowlist",
            lambda h, r: put(h, "sbA", policy=edited(r, b'"*.wild.test"', b'"evil.test"')),
        ),
        (
            "echo.test in S1's hosts",
            lambda h, r: put(h, "sbA", policy=edited(r, b'"hosts":["api.test"]', b'"hosts":["echo.test"]')),
        ),
        ("S1's hosts emptied", lambda h, r: put(h, "sbA", policy=edited(r, b'"hosts":["api.test"]', b'"hosts":[]'))),
        ("the tag's last bit flipped", lambda h, r: put(h, "sbA", tag=flip(r["sbA"][b"tag"]))),
        (
            "B's policy and tag under A's key",
            lambda h, r: put(h, "sbA", policy=r["sbB"][b"policy"], tag=r["sbB"][b"tag"]),
        ),
        ("the address index turned to B", lambda h, r: h.redis("SET", "osb:ip:default:{127.0.0.2}", "sbB") and None),
        ("a policy that is no JSON", lambda h, r: put(h, "sbA", policy=b"{")),
        ("a field of 1 MiB", lambda h, r: put(h, "sbA", value__S9=b"x" * (1 << 20))),
    ],
)
def r01(house, change):
    meddled(house, change)


bench.run(LeakHouse)
