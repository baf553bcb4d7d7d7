"""explain - osbctl says why: check which rule decides, as the proxy does, status what is not well, top who is busy."""
import json
import os
import pty
import re
import secrets
import select
import shutil
import signal
import socket
import subprocess
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from case import Bench, see, see_equal, short
from house import SANITIZER, TOKEN, await_until, request
from redises import Cluster, Watched
from rehouse import Rehouse, rehouse_last

bench = Bench()
PASSWORD = "pass-" + secrets.token_hex(12)


class ExplainHouse(Rehouse):
    def furnish(self):
        super().furnish()
        self.ctl("store", "create", "any", "--egress-any")
        self.secret("any", "FREE", canary=False)
        self.store("listed", "api.test", "127.0.0.9")
        self.secret("listed", "FOLLOWS", canary=False)
        self.secret("listed", "URL", "api.test", places=("url",), canary=False)
        self.c = self.sandbox("sbC", "127.0.0.4", "A", "listed")
        self.free = self.sandbox("sbAny", "127.0.0.5", "any")
        self.bare = self.sandbox("sbNone", "127.0.0.6")
        self.sandbox("sbLate", "127.0.0.7", "A")
        self.ctl("sandbox", "extend", "sbLate", "--ttl", "1")

    def osbctl(self, *words):
        """With these words alone: (exit code, stdout, stderr)."""
        environment = {k: v for k, v in os.environ.items() if not k.startswith("OSB_")}
        done = subprocess.run(
            [f"{self.build}/osbctl", *words], capture_output=True, timeout=30, env=environment, stdin=subprocess.DEVNULL
        )
        out, err = done.stdout.decode(), done.stderr.decode(errors="replace")
        see(not SANITIZER.search(done.stderr), f"osbctl {' '.join(words)}: {err[-2000:]}")
        see(not TOKEN.search(done.stdout + done.stderr), f"osbctl {' '.join(words)} shows a token")
        return done.returncode, out, err

    def explained(self, *words):
        return self.osbctl("-c", self.config_file, *words)

    def sandboxes_page(self):
        head, _, body = self.fetch_admin("/sandboxes").partition(b"\r\n\r\n")
        see(b" 200 " in head[:16] and b"application/json" in head, f"/sandboxes began with {short(head)}")
        return body


# --- check ----------------------------------------------------------------------------------------------------------------

NOT, YES = 4, 0
# label, sandbox, "HOST SECRET PLACE...", exit code, sentence, "DECIDED-BY STORE PATTERN"
RULES = [
    ("no store", "sbNone", "api.test", NOT, r"has no store", "store - -"),
    ("no list", "sbA", "evil.test", NOT, r"evil\.test is in no egress list .*: A$", "egress - -"),
    ("no list of two", "sbC", "evil.test", NOT, r"in no egress list .*: A, listed$", "egress - -"),
    ("the name above a wildcard", "sbA", "wild.test", NOT, r"in no egress list", "egress - -"),
    ("an address that no list has", "sbC", "127.0.0.8", NOT, r"an address only if", "egress - -"),
    ("an address and an empty list", "sbAny", "127.0.0.9", NOT, r"an address only if", "egress - -"),
    ("expired", "sbLate", "api.test", NOT, r"has expired at 20..-", "expiry - -"),
    ("its own hosts", "sbA", "echo.test S1", NOT, r"S1 does not go to echo\.test \(its own hosts\)$", "hosts - -"),
    (
        "its store's hosts",
        "sbC",
        "echo.test FOLLOWS",
        NOT,
        r"FOLLOWS does not go to echo\.test \(it has no hosts of its own: the egress list of store listed\)$",
        "hosts listed -",
    ),
    (
        "a place",
        "sbA",
        "api.test S1 url",
        NOT,
        r"S1 is not put into url: its places are header, basic, body$",
        "place - -",
    ),
    ("one place of two", "sbA", "api.test S1 header url", NOT, r"S1 is not put into url:", "place - -"),
    ("another place", "sbC", "api.test URL header", NOT, r"its places are url$", "place - -"),
    ("a name", "sbA", "api.test", YES, r"^allowed: api\.test in the egress list of store A$", "egress A api.test"),
    (
        "a wildcard",
        "sbA",
        "a.b.wild.test",
        YES,
        r"^allowed: \*\.wild\.test in the egress list of store A$",
        "egress A *.wild.test",
    ),
    ("a host as it may be written", "sbA", "API.test.", YES, r"^allowed: api\.test in", "egress A api.test"),
    ("the other store's list", "sbC", "a.wild.test", YES, r"of store A$", "egress A *.wild.test"),
    (
        "an address that is listed",
        "sbC",
        "127.0.0.9",
        YES,
        r"127\.0\.0\.9 in the egress list of store listed$",
        "egress listed 127.0.0.9",
    ),
    ("an empty list", "sbAny", "evil.test", YES, r"every name, .*: any$", "egress - -"),
    (
        "own hosts",
        "sbA",
        "api.test S1",
        YES,
        r"; S1 goes to api\.test \(its own hosts\) in header, basic, body$",
        "hosts - api.test",
    ),
    ("own hosts and a place", "sbA", "api.test S1 header", YES, r"\(its own hosts\) in header$", "hosts - api.test"),
    (
        "the store's hosts",
        "sbC",
        "api.test FOLLOWS",
        YES,
        r"FOLLOWS goes to api\.test \(.*the egress list of store listed\) in",
        "hosts listed api.test",
    ),
    (
        "the store's empty list",
        "sbAny",
        "api.test FREE",
        YES,
        r"FREE goes to api\.test \(.*the empty egress list of store any\)",
        "hosts any -",
    ),
    ("the url", "sbC", "api.test URL url", YES, r"\(its own hosts\) in url$", "hosts - api.test"),
]


def asked(text):
    """HOST SECRET PLACE... as (host, secret or None, places)."""
    host, *rest = text.split()
    return host, rest[0] if rest else None, rest[1:]


def question(sandbox, text):
    host, secret, places = asked(text)
    words = ["check", "--sandbox", sandbox, "--host", host]
    words += ["--secret", secret] if secret else []
    return words + [word for place in places for word in ("--in", place)]


def see_proxy_agrees(house, name, text, allowed):
    """The same question, asked with a request. An address can't be named here, and a body is the matter of others."""
    sandbox, (host, secret, places) = house.sandboxes[name], asked(text)
    token = sandbox.tokens[secret].decode() if secret else ""
    path, fields = (f"/{token}", []) if places == ["url"] else ("/", [f"x-key: {token}"])
    answer = house.get(sandbox, host.rstrip(".").lower(), path, *fields)
    if not secret:
        see_equal(answer.status, 200 if allowed else 403, "the proxy's status")
        return
    seen = house.origin.requests[-1]
    arrived = seen.start.decode() if places == ["url"] else seen.get("x-key")
    value = house.value(secret).decode()
    see_equal((value in arrived, token in arrived), (allowed, not allowed), f"value and token in {short(arrived)}")


@bench.case("check names the rule that decides, as text and as JSON, and the proxy does as it says", RULES)
def rules(house, name, text, code, sentence, rule):
    if name == "sbLate":
        await_until(lambda: house.explained(*question(name, text))[0] == NOT, "it has expired")
    got, out, err = house.explained(*question(name, text))
    said = out if code == YES else err
    see_equal((got, said.count("\n")), (code, 1), f"exit code and lines ({short(out + err)})")
    see((out == "") == (code == NOT), f"stdout is {short(out)}")
    see(re.search(sentence, said.rstrip("\n")), f"it says {said!r}")
    got, out, _ = house.explained("--json", *question(name, text))
    answer = json.loads(out)
    see_equal((got, answer["allowed"]), (code, code == YES), "exit code and allowed")
    see(answer["reason"] in said, f"the reason is {answer['reason']!r}, the text said {said!r}")
    found = answer["rule"]
    named = " ".join(found[key] or "-" for key in ("decidedBy", "store", "pattern"))
    see_equal((named, found["secret"]), (rule, asked(text)[1]), f"the rule and its secret ({short(found)})")
    if not text.startswith("127.") and name != "sbLate" and len(text.split()) < 4:
        see_proxy_agrees(house, name, text, code == YES)


@bench.case(
    "check has no answer for what is not there, nor for half a question",
    [
        ("no sandbox", ("--sandbox", "none", "--host", "api.test"), 3, "no sandbox none"),
        ("no id", ("--sandbox", "-x y", "--host", "api.test"), 3, "no sandbox"),
        ("no secret", ("--sandbox", "sbA", "--host", "api.test", "--secret", "S9"), 3, "has no secret S9"),
        ("another's secret", ("--sandbox", "sbB", "--host", "api.test", "--secret", "S1"), 3, "has no secret S1"),
        ("no host", ("--sandbox", "sbA"), 2, "--host HOST"),
        ("a pattern", ("--sandbox", "sbA", "--host", "*.test"), 4, "is no host's name"),
        ("a place alone", ("--sandbox", "sbA", "--host", "api.test", "--in", "url"), 2, "--in needs --secret"),
        ("no place", ("--sandbox", "sbA", "--host", "api.test", "--secret", "S1", "--in", "x"), 4, "x"),
    ],
)
def half_questions(house, words, code, sentence):
    got, out, err = house.explained("check", *words)
    see_equal((got, out), (code, ""), f"exit code and stdout ({short(err)})")
    see(sentence in err, f"it says {err!r}")


@bench.case("check names the key that a record lies under and the key file lacks")
def check_wrong_key(house):
    other = f"{house.folder}/other-key"
    house.osbctl("key", "init", other)
    code, out, err = house.explained("--key-file", other, *question("sbA", "api.test"))
    see_equal((code, out), (1, ""), "exit code and stdout")
    see(
        re.search(r"sandbox sbA: sealed under key [0-9a-f]{16}, which \S+/other-key does not hold", err),
        f"it says {err!r}",
    )
    os.unlink(other)


# --- status ---------------------------------------------------------------------------------------------------------------


def status(house, *words, config=None):
    """(exit code, {part: (ok or FAILED, sentence)}, stderr) as text, and the JSON, which must say the same."""
    words = ["-c", config or house.config_file, *words]
    code, out, err = house.osbctl(*words, "status")
    lines = [line.split("\t") for line in out.splitlines()]
    see(all(len(line) == 3 for line in lines), f"lines are not of three columns: {short(out, 600)}")
    parts = {name: (well, says) for name, well, says in lines}
    see_equal(list(parts), ["redis", "keys", "records", "proxy"], "the parts")
    again, out, _ = house.osbctl("--json", *words, "status")
    found = json.loads(out)
    see_equal((again, found["well"]), (code, code == 0), "exit code and well with --json")
    for name, (well, _) in parts.items():
        see_equal(found[name]["well"], well == "ok", f"{name} with --json")
    return code, parts, err, found


def see_unwell(got, names):
    code, parts, err, _ = got
    bad = [name for name, (well, _) in parts.items() if well != "ok"]
    see_equal((code, bad), (1, names), f"exit code and what is FAILED ({short(parts, 800)}, {short(err)})")
    see(err.splitlines()[-1] == f"osbctl: not well: {', '.join(names)}", f"the last line is {err.splitlines()[-1]!r}")


@bench.case("where all is well, status says so with 0, and its numbers are right")
def status_well(house):
    house.get(house.a, "api.test")
    house.get(house.a, "evil.test")
    code, parts, err, found = status(house)
    see_equal((code, err), (0, ""), f"exit code and stderr ({short(parts, 800)})")
    see(
        re.match(rf"{house.redis_socket}, version [0-9.]+, master, replicas 0, \d+\.\d\d ms$", parts["redis"][1]),
        parts["redis"][1],
    )
    see(re.match(r"[0-9a-f]{16} seals$", parts["keys"][1]), parts["keys"][1])
    see_equal(
        (found["records"]["stores"], found["records"]["sandboxes"]), (4, 6), "stores, and sandboxes or their names"
    )
    proxy, result = found["proxy"], 'osb_requests_total{result="%s"}'
    see_equal(proxy["workers"], 2, "workers")
    for key, word in (("forwarded", "forward"), ("blocked", "block"), ("errors", "error")):
        see_equal(proxy[key], house.metric(result % word), key)
    see(proxy["forwarded"] > 0 and proxy["blocked"] > 0, f"the proxy's numbers are {short(proxy)}")
    see(
        f", ready, workers 2, connections 0, requests forwarded {proxy['forwarded']}," in parts["proxy"][1],
        parts["proxy"][1],
    )


@bench.case("with Redis away, status says where it looked, and still tells of the rest")
def status_redis(house):
    house.redis_away()
    try:
        got = status(house)
    finally:
        house.redis_back()
    see_unwell(got, ["redis", "records"])
    see(f"not to be used: unix:{house.redis_socket}" in got[1]["redis"][1], got[1]["redis"][1])
    await_until(lambda: status(house)[0] == 0, "all is well again")


@bench.case("an address of Redis is shown without its password")
def status_password(house):
    got = status(house, "--redis", f"redis://user:{PASSWORD}@127.0.0.1:1/3")
    see_unwell(got, ["redis", "records"])
    see("redis://127.0.0.1:1/3" in got[1]["redis"][1], got[1]["redis"][1])
    see(PASSWORD not in str(got), f"the password is in {short(str(got), 800)}")


@bench.case("a Redis that may evict records is not well")
def status_evicts(house):
    house.redis("CONFIG", "SET", "maxmemory", "100mb")
    house.redis("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    try:
        got = status(house)
    finally:
        house.redis("CONFIG", "SET", "maxmemory-policy", "noeviction")
        house.redis("CONFIG", "SET", "maxmemory", "0")
    see_unwell(got, ["redis"])
    see("its maxmemory-policy is allkeys-lru, not noeviction" in got[1]["redis"][1], got[1]["redis"][1])


@bench.case("with the proxy away, status says so, and where it should be")
def status_proxy(house):
    see_equal(house.stop_proxy(), 0, "the exit code of the proxy")
    got = status(house)
    code, out, err = house.explained("top")
    house.again()
    see_unwell(got, ["proxy"])
    see(got[1]["proxy"][1].startswith(f"unix:{house.admin}: it can't be reached: "), got[1]["proxy"][1])
    see_equal((code, out), (1, ""), "exit code and stdout of top")
    see(f"the proxy at unix:{house.admin}: it can't be reached" in err, f"top says {err!r}")


@bench.case("a proxy that never reached Redis is not ready, and status says what it lacks")
def status_not_ready(house):
    house.redis_away()
    try:
        house.again(awaits_redis=False)
        got = status(house)
    finally:
        house.redis_back()
    see_unwell(got, ["redis", "records", "proxy"])
    see("not ready: No worker reaches Redis" in got[1]["proxy"][1], got[1]["proxy"][1])
    await_until(house.is_ready, "the proxy is ready")


@bench.case("with a key file that is not the records', status names the key that is missing")
def status_wrong_key(house):
    other = f"{house.folder}/other-key"
    mine = status(house)[3]["keys"]["ids"][0]
    house.osbctl("key", "init", other)
    got = status(house, "--key-file", other)
    os.unlink(other)
    see_unwell(got, ["records"])
    see(
        re.search(
            rf"10 of those looked at are sealed under a key that \S+/other-key does not hold: {mine}$",
            got[1]["records"][1],
        ),
        got[1]["records"][1],
    )


@bench.case("a key that is staged is named, and a key file that was not copied yet is not well")
def status_staged(house):
    before = f"{house.folder}/key-before"
    shutil.copy(house.key_file, before)
    staged = house.ctl("key", "rotate", "--stage").strip()
    there, lacking = status(house), status(house, "--key-file", before)
    house.ctl("key", "drop", staged)
    os.unlink(before)
    see_equal((there[0], there[3]["keys"]["staged"]), (0, staged), "exit code, and the key that is staged")
    see(f"; staged is {staged}: osbctl key rotate goes on" in there[1]["keys"][1], there[1]["keys"][1])
    see_unwell(lacking, ["keys"])
    see(f"key {staged} is staged, and {before} does not hold it" in lacking[2], f"it says {lacking[2]!r}")
    see("staged" not in status(house)[1]["keys"][1], "it is still staged")


@bench.case("without a key file, status tells of all that needs none")
def status_no_key(house):
    got = status(house, "--key-file", f"{house.folder}/none")
    see_unwell(got, ["keys"])
    see("no keys can be read" in got[1]["keys"][1], got[1]["keys"][1])
    see_equal(got[3]["records"]["stores"], 4, "stores")


@bench.case(
    "status finds Redis as osbctl does, with osbctl's rights, and says what it found",
    [
        ("by Sentinel", Watched, lambda watched, user: watched.url(user), r"master by Sentinel, replicas 1, "),
        ("in a Cluster", Cluster, lambda cluster, user: cluster.all[0].url(user), r"master in a cluster, replicas 1, "),
    ],
)
def status_redises(house, kind, url, sentence):
    folder = f"{house.folder}/{kind.__name__}"
    os.mkdir(folder)
    redises = kind(folder)
    try:
        _, acl, _ = house.osbctl("redis-acl")
        rights = next(line.split()[2:] for line in acl.splitlines() if line.split()[2] == "osbctl")
        for server in redises.servers():
            server("ACL", "SETUSER", *rights, "on", f">{PASSWORD}")
        words = ["--redis", url(redises, f"osbctl:{PASSWORD}@")]
        house.explained(*words, "store", "create", "there", "--egress-any")
        code, parts, err, found = status(house, *words)
        see_equal((code, err), (0, ""), f"exit code and stderr ({short(parts, 800)})")
        see(re.search(sentence, parts["redis"][1]), parts["redis"][1])
        see_equal((found["records"]["stores"], found["records"]["sandboxes"]), (1, 0), "stores and sandboxes")
        see(PASSWORD not in str(parts), short(parts, 800))
    finally:
        redises.end()
        shutil.rmtree(folder)


# --- who is busy ----------------------------------------------------------------------------------------------------------


class Busy:
    """Requests of these sandboxes to these hosts, one after the other, as long as the test looks."""

    def __init__(self, house, *pairs):
        self.house, self.pairs, self.over, self.failed = house, pairs, threading.Event(), None
        self.thread = threading.Thread(target=self.ask)

    def ask(self):
        try:
            while not self.over.is_set():
                for sandbox, host in self.pairs:
                    self.house.get(sandbox, host, "/busy", f"x-key: {list(sandbox.tokens.values())[0].decode()}")
        except Exception as error:
            self.failed = error

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()
        see(self.failed is None, f"the requests that are to be seen failed: {self.failed}")


@bench.case("top shows the requests of the sandbox that made them, blocked ones as blocked, and nobody else")
def top_now(house):
    with Busy(house, (house.a, "api.test"), (house.a, "echo.test"), (house.b, "evil.test")):
        code, out, err = house.explained("top")
        _, listed, _ = house.explained("--json", "top")
    see_equal((code, err), (0, ""), f"exit code and stderr ({short(out)})")
    rows = {line.split("\t")[0]: [int(n) for n in line.split("\t")[1:]] for line in out.splitlines()}
    see_equal(list(rows), ["sbA", "sbB"], "who is shown, the busiest first")
    for name, blocked in (("sbA", False), ("sbB", True)):
        requests, refused, failed, opened, octets_in, octets_out = rows[name]
        see(requests > 0 and opened > 0, f"{name}: {rows[name]}")
        see_equal((refused, failed), (requests if blocked else 0, 0), f"blocked and failed of {name} ({rows[name]})")
    objects = {one["id"]: one for one in json.loads(listed)}
    see_equal(sorted(objects), ["sbA", "sbB"], "who is shown with --json")
    see(objects["sbA"]["requests"] > objects["sbA"]["perSecond"]["requests"] > 0, short(objects["sbA"], 400))
    see_equal(objects["sbB"]["blocked"], objects["sbB"]["requests"], "blocked of sbB")


@bench.case("where nobody does anything, top shows nobody")
def top_quiet(house):
    see_equal(house.explained("top"), (0, "", ""), "top")
    see_equal(house.explained("top", "--json"), (0, "[]\n", ""), "top --json")


@bench.case("on a terminal top goes on each second until it is ended")
def top_live(house):
    ours, its = pty.openpty()
    child = subprocess.Popen(
        [f"{house.build}/osbctl", "-c", house.config_file, "top"],
        stdin=its,
        stdout=its,
        stderr=its,
        start_new_session=True,
    )
    os.close(its)
    seen = b""
    try:
        with Busy(house, (house.a, "api.test"), (house.b, "evil.test")):
            while seen.count(b"REQUESTS/S") < 2 and select.select([ours], [], [], 10)[0]:
                seen += os.read(ours, 65536)
        see_equal(seen.count(b"\x1b[H\x1b[J"), 2, f"how often it was drawn ({short(seen, 600)})")
        see(re.search(rb"\nsbA +[1-9]", seen) and re.search(rb"\nsbB +[1-9]\d* +[1-9]", seen), short(seen, 800))
        see(child.poll() is None, f"it left with {child.poll()}")
    finally:
        child.send_signal(signal.SIGINT)
        child.wait(10)
        os.close(ours)


@bench.case("/sandboxes has each sandbox once, what the audit log says of it, and no token, value or host")
def page(house):
    house.again()  # counts, and an audit log, from here on
    os.truncate(house.audit_file, 0)
    house.secret("A", "S1", "api.test")
    for path, sandbox, host in (
        ("/1", house.a, "api.test"),
        ("/2", house.a, "evil.test"),
        ("/3", house.b, "echo.test"),
    ):
        for token in sandbox.tokens.values():
            house.ask(
                sandbox, host, request("POST", path, host, b"x-key: " + token, b"Content-Type: text/plain", body=token)
            )
    house.ask(house.a, "api.test", b"GET / HTTP/9.9\r\n\r\n")
    counted, keys = {}, ("requests", "blocked", "errors", "bytesIn", "bytesOut")

    def settled():
        body = json.loads(house.sandboxes_page())
        counted.clear()
        counted.update({one["id"]: one for one in body})
        see_equal(len(body), len(counted), "objects")
        logged = {}
        for line in house.audit():
            row = logged.setdefault(line["sandbox"], [0] * 5)
            for i, n in enumerate(
                (1, line["action"] == "block", line["action"] == "error", line["bytes_in"], line["bytes_out"])
            ):
                row[i] += n
        return logged == {name: [one[key] for key in keys] for name, one in counted.items() if one["requests"]}

    await_until(settled, "the page says what the audit log says")
    see(counted["sbA"]["blocked"] > 0 and counted["sbB"]["bytesIn"] > 0, short(counted, 600))
    octets = house.sandboxes_page()
    see(not TOKEN.search(octets) and b".test" not in octets, f"the page is {short(octets, 600)}")
    house.see_absent(octets, "/sandboxes")
    see_equal(set(json.loads(octets)[0]), {"id", "connections", *keys}, "the keys")


# --- an admin that is none ------------------------------------------------------------------------------------------------


class Stranger:
    """Answers every connection with these octets; None: with nothing, for as long as it lives."""

    def __init__(self, path, octets):
        self.octets, self.kept = octets, []
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(path)
        self.listener.listen(8)
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        try:
            while True:
                client, _ = self.listener.accept()
                if self.octets is None:
                    self.kept.append(client)
                    continue
                client.recv(4096)
                client.sendall(self.octets)
                client.close()
        except OSError:
            pass

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


def said(body, status=b"200 OK", length=None):
    return b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n%s" % (status, len(body) if length is None else length, body)


ONE = b'{"id":"%s","connections":1,"requests":1,"blocked":0,"errors":0,"bytesIn":1,"bytesOut":%s}'
ODD = "does not say what its sandboxes do"


@bench.case(
    "what is no proxy's page is refused in one line, and none of its octets reach the terminal",
    [
        ("silence", None, "does not answer"),
        ("nothing", b"", "does not answer as a proxy does"),
        ("no HTTP", b"\x1b[31mhello\r\n\r\n", "does not answer as a proxy does"),
        ("no length", b"HTTP/1.1 200 OK\r\n\r\n[]", "does not answer as a proxy does"),
        ("cut off", said(b"[]", length=3), "broke off"),
        ("too much", said(b"[]", length=1), "broke off"),
        ("another page", said(b"[]", status=b"404 Not Found"), ODD),
        ("no JSON", said(b"\x1b[31m["), ODD),
        ("no array", said(b"{}"), ODD),
        ("no objects", said(b"[1]"), ODD),
        ("an id that is none", said(b"[" + ONE % (b"\\u001b[31m", b"1") + b"]"), ODD),
        ("a number that is none", said(b"[" + ONE % (b"sbA", b'"\\u001b[31m"') + b"]"), ODD),
    ],
)
def strangers(house, octets, sentence):
    path, config = f"{house.folder}/stranger.sock", f"{house.folder}/stranger.conf"
    with open(config, "w") as out:
        out.write(f"redis = unix:{house.redis_socket}\nkey_file = {house.key_file}\nadmin = unix:{path}\n")
    stranger = Stranger(path, octets)
    try:
        code, out, err = house.osbctl("-c", config, "top")
        see_equal((code, out, err.count("\n")), (1, "", 1), f"exit code, stdout and lines of stderr ({err!r})")
        see(sentence in err and "\x1b" not in err, f"it says {err!r}")
        if octets:
            got = status(house, config=config)
            see("\x1b" not in str(got[1]) + got[2], f"status shows {short(got, 800)}")
    finally:
        stranger.close()
        os.unlink(path)


rehouse_last(bench)
bench.run(ExplainHouse)
