"""main_job - an operator's day from outside: osbctl, osb-proxy and curl, over nothing but the contract."""
import json
import os
import stat
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from case import Bench, see, see_equal
from house import House, await_until

bench = Bench()


class Day(House):
    def curl(self, sandbox, host, path, *words, ca=None, address=None):
        """The status, the head and the body, or None where curl did not get an answer."""
        head, body = f"{self.folder}/head", f"{self.folder}/body"
        for left in (head, body):
            if os.path.exists(left):
                os.unlink(left)
        done = subprocess.run(
            ["curl", "-sS", "--max-time", "10", "--http1.1", "--noproxy", "*", "--interface", address or sandbox.address]
            + ["--cacert", ca or sandbox.ca_file, "--connect-to", f"{host}:443:127.0.0.1:{self.port}"]
            + ["-D", head, "-o", body, "-w", "%{http_code}", f"https://{host}{path}", *words],
            capture_output=True,
        )
        if done.returncode:
            return None
        with open(head, "rb") as text, open(body, "rb") as octets:
            return int(done.stdout), text.read().lower(), octets.read()

    def last(self):
        return self.origin.requests[-1]

    def field(self, name):
        value = self.last().get(name)
        return None if value is None else value.encode()


@bench.case("the key file is private, and what is listed or printed holds no value")
def keys_and_lists(house):
    see_equal(stat.S_IMODE(os.stat(house.key_file).st_mode), 0o600, "the key file's mode")
    listed = house.ctl("secret", "list", "A") + house.ctl("--json", "secret", "get", "A", "S1")
    see("S1" in str(listed), f"S1 is not in {listed!r}")
    see(house.value("S1").decode() not in str(listed), "a value is listed")
    with open(house.a.ca_file, "rb") as a, open(house.b.ca_file, "rb") as b:
        see(a.read() != b.read(), "two sandboxes share a CA")
    see(house.a.tokens["S1"] != house.a.tokens["S2"], "two secrets share a token")


@bench.case("a configuration is accepted whole, or refused with the line")
def configurations(house):
    check = lambda name: subprocess.run(
        [f"{house.build}/osb-proxy", "-c", f"{house.folder}/{name}", "--check"], capture_output=True
    )
    good = check("osb-proxy.conf")
    see_equal(good.returncode, 0, "the exit code for the good one")
    with open(f"{house.folder}/osb-proxy.conf") as lines, open(f"{house.folder}/bad.conf", "w") as bad:
        text = lines.read()
        bad.write(text + "nonsense = 1\n")
    refused = check("bad.conf")
    see_equal(refused.returncode, 4, "the exit code for the bad one")
    see(f"bad.conf:{text.count(chr(10)) + 1}: nonsense".encode() in refused.stderr, f"it said {refused.stderr!r}")


@bench.case("a token becomes the value: in a field, in JSON, deep in a body with a length and in one without")
def tokens(house):
    token, value = house.a.tokens["S1"].decode(), house.value("S1")
    house.curl(house.a, "api.test", "/v1", "-H", f"x-api-key: {token}")
    see_equal(house.field("x-api-key"), value, "the field")
    house.curl(house.a, "api.test", "/v1", "-H", "content-type: application/json", "-d", json.dumps({"k": token, "n": 1}))
    see_equal(json.loads(house.last().body), {"k": value.decode(), "n": 1}, "the JSON")
    see_equal(int(house.field("content-length")), len(house.last().body), "the length")
    whole = f"{house.folder}/whole"
    with open(whole, "wb") as out:
        out.write(b"x" * 300000 + token.encode() + b"y" * 300000)
    want = b"x" * 300000 + value + b"y" * 300000
    for framing, words in (("content-length", ()), ("transfer-encoding", ("-H", "Transfer-Encoding: chunked"))):
        house.curl(house.a, "api.test", "/v1", "-H", "content-type: text/plain", "--data-binary", f"@{whole}", *words)
        see(house.last().body == want, f"{framing}: {len(house.last().body)} octets, not {len(want)}")
        see(house.field(framing) is not None, f"no {framing}")


@bench.case("a secret goes to its own hosts, a request to hosts on the list, and a sandbox has its own tokens")
def hosts(house):
    s1, s2 = house.a.tokens["S1"], house.a.tokens["S2"]
    house.curl(house.a, "echo.test", "/v1", "-H", f"x-api-key: {s1.decode()}", "-H", f"x-other: {s2.decode()}")
    see_equal((house.field("x-api-key"), house.field("x-other")), (s1, house.value("S2")), "the fields")
    house.curl(house.b, "api.test", "/v1", "-H", f"x-api-key: {s1.decode()}")
    see_equal(house.field("x-api-key"), s1, "a neighbour's token")
    house.curl(house.b, "api.test", "/v1", "-H", f"x-api-key: {house.b.tokens['S3'].decode()}")
    see_equal(house.field("x-api-key"), house.value("S3"), "its own")
    see_equal(house.curl(house.a, "a.wild.test", "/")[0], 200, "below a wildcard")
    before = len(house.origin.requests)
    for host in ("wild.test", "evil.test"):
        status, head, body = house.curl(house.a, host, "/", "-H", f"x: {s1.decode()}")
        see_equal((status, json.loads(body)["error"]["code"]), (403, "host_not_allowed"), host)
        see(b"x-osb-error: host_not_allowed" in head, f"{host}: {head!r}")
    see_equal(house.curl(house.a, "api.test", "/", "-H", "Host: echo.test")[0], 421, "a Host that is not the SNI")
    see_equal(len(house.origin.requests), before, "requests that reached an origin")


@bench.case("trust ends at the sandbox: another's CA proves nothing, an unknown source gets no handshake")
def trust(house):
    see_equal(house.curl(house.b, "api.test", "/")[0], 200, "with its own CA")
    see(house.curl(house.b, "api.test", "/", ca=house.a.ca_file) is None, "another's CA was taken")
    see(house.curl(house.b, "api.test", "/", "-k", address="127.0.0.9") is None, "an unknown source was answered")


@bench.case("a new value reaches a running sandbox under the old token, and a deleted sandbox is out")
def changes(house):
    c = house.sandbox("sbC", "127.0.0.4", "A")
    token = c.tokens["S1"].decode()
    house.curl(c, "api.test", "/v1", "-H", f"x-api-key: {token}")
    old = house.field("x-api-key")
    house.secret("A", "S1", "api.test")

    def arrived():
        house.curl(c, "api.test", "/v1", "-H", f"x-api-key: {token}")
        return house.field("x-api-key") == house.value("S1") != old

    await_until(arrived, "the new value", 3)
    house.ctl("sandbox", "delete", "sbC")
    await_until(lambda: house.curl(c, "api.test", "/") is None, "the deleted sandbox is refused", 2)
    del house.sandboxes["sbC"]


@bench.case("the audit log names the secret")
def audited(house):
    house.await_audit(lambda line: line["secrets"] == ["S1"], "a line that names S1")


bench.run(Day)
