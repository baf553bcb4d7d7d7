"""lifecycle - ending, reloading, dying, rotating, deleting, expiring: when it should, nothing else along."""
import base64
import os
import pwd
import re
import signal
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from case import Bench, see, see_equal, short
from house import TOKEN, Sandbox, await_until, request
from refusal import see_refusal
from rehouse import Rehouse, rehouse_last

bench = Bench()
GET = request("GET", "/life", "api.test")
HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n"
HALF = b"x" * 100000
FEW = request("GET", "/few", "api.test", *["X: y"] * 20)


class LifeHouse(Rehouse):
    kills_workers = True

    def short_lived(self, name, address, *words):
        """A sandbox made with more options than the fixture's."""
        env, ca = f"{self.folder}/{name}.env", f"{self.folder}/{name}.ca.pem"
        self.ctl(
            "sandbox", "create", name, "--ip", address, "--store", "A", "--env-file", env, "--ca-file", ca, *words
        )
        with open(env, "rb") as text:
            pairs = [line.rstrip(b"\n").partition(b"=") for line in text]
        return Sandbox(name, address, ca, {k.decode(): v for k, _, v in pairs if TOKEN.fullmatch(v)})

    def download(self, sandbox):
        """A client that has got the first half of an answer, and the gate of the second."""
        gate = self.gate("/download", [HEAD + HALF], [HALF])
        client = self.client(sandbox, "api.test", seconds=20).send(request("GET", "/download", "api.test"))
        while len(client.octets) < len(HALF):
            see(client.pull(), f"the first half ended with {client.closed}")
        client.reader.held = bytes(client.octets)
        return client, gate

    def idle(self, sandbox):
        client = self.client(sandbox, "api.test", seconds=20)
        see_equal(client.ask(GET).status, 200, f"a request of {sandbox.name}")
        return client

    def turned_away(self, sandbox):
        try:
            with self.client(sandbox, "api.test") as client:
                return not client.shaken
        except OSError:
            return True

    def holds(self):
        self.open_gates()  # a row that failed must not keep a worker draining
        super().holds()

    def a_sends(self, token):
        """What the origin gets for this token on a connection of its own."""
        self.get(self.a, "api.test", "/sends", b"X-Key: " + token)
        return [r for r in self.origin.requests if r.start.startswith(b"GET /sends ")][-1].get("x-key").encode()

    def workers_now(self):
        return [pid for pid in self.pids() if pid != self.pid]

    def await_workers(self, count=2, seconds=40):
        await_until(
            lambda: len(self.workers_now()) == count and self.metric("osb_workers_ready") == count,
            f"{count} workers are ready",
            seconds,
        )


class Load:
    """Threads that ask without a pause, on new connections and on kept ones; failures holds what was not served."""

    def __init__(self, house, threads=4):
        self.house, self.ended, self.failures, self.done = house, threading.Event(), [], []
        self.threads = [threading.Thread(target=self.run, args=(n % 2 == 0,)) for n in range(threads)]

    def run(self, kept):
        client, fresh = None, True
        while not self.ended.is_set():
            try:
                if client is None:
                    client, fresh = self.house.client(self.house.a, "api.test", seconds=20), True
                answer = client.ask(GET) if client.shaken else None
            except OSError as error:
                self.failures.append(f"connecting: {error}")
                return
            # A kept connection may be ended just when it is used (RFC 9112 s.9.3.1): then the client goes to a new one.
            if answer is None and (fresh or client.octets and not client.closed):
                self.failures.append(f"a new connection: shaken {client.shaken}, {client.closed}")
                return
            if answer is not None and (answer.status != 200 or not answer.complete):
                self.failures.append(f"{answer.status} {answer.code}")
                return
            if answer is not None:
                self.done.append(1)
            fresh = False
            if answer is None or not kept or client.closed or (answer.get("connection") or "") == "close":
                client.end()
                client = None
        if client:
            client.end()

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        self.more()
        return self

    def more(self, count=40):
        have = len(self.done)
        await_until(lambda: len(self.done) > have + count or self.failures, "the load goes on", 20)
        see(not self.failures, f"requests failed: {self.failures[:4]}")

    def __exit__(self, *_):
        self.ended.set()
        for thread in self.threads:
            thread.join(30)


# --- TERM --------------------------------------------------------------------------------------------------------


@bench.case("TERM lets a running download end, closes what is idle, takes nothing new, and leaves with 0")
def term(house):
    client, gate = house.download(house.a)
    idle = [house.idle(house.b) for _ in range(4)]
    house.proxy.child.terminate()
    for one in idle:
        one.rest()
        see_equal(one.closed, "close_notify", "how an idle connection ended")
    await_until(lambda: house.turned_away(house.b), "new connections are refused")
    see(house.proxy.child.poll() is None, "the proxy did not wait for the download")
    gate.open()
    answer = client.response()
    see(answer and answer.complete and answer.body == HALF * 2, f"the download ended with {client.closed}")
    client.rest()
    see_equal(client.closed, "close_notify", "how its connection ended")
    see_equal(house.stop_proxy(), 0, "the exit code")
    house.again()


@bench.case(
    "what does not end within drain_timeout is cut, and the exit code is 0 all the same",
    [("a download", False), ("half a request", True)],
)
def term_late(house, half):
    house.again("drain_timeout = 1s")
    client, _ = (house.idle(house.a).send(b"GET / HTTP/1.1\r\n"), None) if half else house.download(house.a)
    began = time.monotonic()
    house.proxy.child.terminate()
    see_equal(house.stop_proxy(), 0, "the exit code")
    took = time.monotonic() - began
    see(took < 4, f"it took {took:.1f} s")
    answer = client.response()
    see(answer is None or not answer.complete, "the answer looks whole")
    house.again()


# --- HUP ---------------------------------------------------------------------------------------------------------


@bench.case("HUP with a good file takes effect, and no request of a running load fails")
def reload(house):
    see_equal(house.ask(house.a, "api.test", FEW).status, 200, "the status with 20 fields before")
    client, gate = house.download(house.b)
    with Load(house) as load:
        house.rewrite("head_fields", "head_fields = 10")
        house.await_said(house.hang_up(), "the configuration is reloaded")
        load.more()
        await_until(lambda: house.ask(house.a, "api.test", FEW).status == 431, "the new limit is seen")
        load.more()
    see(not load.failures, f"requests failed: {load.failures[:4]}")
    gate.open()
    answer = client.response()
    see(answer and answer.complete, f"a download over the reload ended with {client.closed}")
    client.end()
    house.await_workers()


@bench.case(
    "HUP with a bad file changes nothing, and the log says which line",
    [
        ("a bad value", "workers = many", "workers"),
        ("an unknown key", "colour = red", "colour"),
        ("a key file that is gone", "key_file = /nonexistent/key", "key_file"),
        ("a listener that is taken", "direct_listen = 127.0.0.1:{}", "direct_listen"),
    ],
)
def reload_bad(house, line, key):
    house.open_gates()
    house.await_workers()
    before = house.workers_now()
    with open(house.config_file) as text:
        kept = text.read()
    number = house.rewrite(key + " ", line.replace("{}", str(house.http_port())))
    since = house.hang_up()
    try:
        house.await_said(since, "the configuration from before stays in use")
        see(f"{house.config_file}:{number}: {key}: " in since(), f"the line is not named: {short(since(), 400)}")
        see_equal(house.workers_now(), before, "the workers")
        see_equal(house.get(house.a, "api.test").status, 200, "the status")
        see_equal(house.ask(house.a, "api.test", FEW).status, 431, "the status of what the old limit refuses")
    finally:
        with open(house.config_file, "w") as out:
            out.write(kept)
    house.await_said(house.hang_up(), "the configuration is reloaded")
    house.await_workers()


@bench.case("a reload whose listener another program has fails as a whole, and the old ones serve on")
def reload_taken(house):
    house.again()
    with open(house.config_file) as text:
        kept = text.read()
    house.rewrite("admin", f"admin = 127.0.0.1:{house.origin.port}")
    house.await_said(house.hang_up(), "the configuration from before stays in use")
    see_equal(house.get(house.a, "api.test").status, 200, "the status")
    with open(house.config_file, "w") as out:
        out.write(kept)
    house.await_said(house.hang_up(), "the configuration is reloaded")
    house.await_workers()


@bench.case("HUP twenty times under load: no request fails, descriptors and processes are as many as before")
def reload_often(house):
    house.again()
    house.settle_down()
    before = house.descriptors()
    with Load(house) as load:
        for turn in range(20):
            house.await_said(house.hang_up(), "the configuration is reloaded")
            load.more(5)
    see(not load.failures, f"requests failed: {load.failures[:4]}")
    house.await_workers()
    house.settle_down()
    await_until(lambda: house.descriptors() <= before, f"descriptors are back at {before}, not {house.descriptors()}")


@bench.case("HUP reopens the audit log, as log rotation asks for")
def reload_audit(house):
    os.rename(house.audit_file, house.audit_file + ".1")
    house.await_said(house.hang_up(), "the configuration is reloaded")
    house.await_workers()
    house.get(house.a, "api.test", "/rotated")
    house.await_audit(lambda line: line["path"] == "/rotated", "a line in the new file")


# --- a worker dies -----------------------------------------------------------------------------------------------


@bench.case(
    "a worker that is killed is replaced, and what it counted is counted no more", [(f"{n}", n) for n in range(2)]
)
def killed(house, n):
    if n == 0:
        house.again("sandbox_connections = 4")
    clients = [house.idle(house.a) for _ in range(4)]
    before = house.workers_now()
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    for client in clients:
        client.rest()
        see(client.closed in ("fin", "rst"), f"its connection ended with {client.closed}")
    house.await_workers()
    see(not set(before) & set(house.workers_now()), "the same processes")
    see_equal(house.metric("osb_connections_active"), 0, "open connections")
    clients = [house.idle(house.a) for _ in range(4)]
    for client in clients:
        client.end()
    see(b"a worker was killed" in house.proxy.said(), "the log says nothing of it")


@bench.case("a proxy whose master is killed leaves no worker behind")
def orphaned(house):
    workers = house.workers_now()
    os.kill(house.pid, signal.SIGKILL)
    house.proxy.child.wait(10)
    alive = lambda: [pid for pid in workers if os.path.exists(f"/proc/{pid}/exe") and os.readlink(f"/proc/{pid}/exe")]
    await_until(lambda: not alive(), "the workers end", 10)
    house.again()


# --- what osbctl changes -----------------------------------------------------------------------------------------


@bench.case("sandbox delete ends an idle connection and a running download within a second, a neighbour's not")
def delete(house):
    doomed = house.short_lived("sbDoomed", "127.0.0.9")
    idle = [house.idle(doomed) for _ in range(3)]
    client, _ = house.download(doomed)
    other = house.idle(house.b)
    house.ctl("sandbox", "delete", "sbDoomed")
    began = time.monotonic()
    for one in idle + [client]:
        one.rest()
        see(one.closed not in (None, "timeout"), f"a connection stayed: {one.closed}")
    took = time.monotonic() - began
    see(took < 1, f"it took {took:.2f} s")
    see(house.turned_away(doomed), "a new connection was served")
    see_equal(other.ask(GET).status, 200, "the neighbour's status")
    other.end()
    house.open_gates()
    house.origin.drop_all()
    await_until(lambda: house.metric("osb_connections_active") == 0, "nothing is counted any more")


@bench.case("a secret that is rotated while a body streams: that body ends with the old value, the next has the new")
def rotate(house):
    token = house.a.tokens["S1"]
    part = lambda octets: b"%x\r\n%s\r\n" % (len(octets), octets)
    old = house.value("S1")
    with house.client(house.a, "api.test", seconds=20) as client:
        have = len(house.origin.requests)
        client.send(request("POST", "/rotate", "api.test", b"X-Key: " + token, "Transfer-Encoding: chunked"))
        client.send(part(b"first " + token + b" " * 100))
        await_until(lambda: any(old in c.octets for c in house.origin.connections), "the first part has arrived")
        house.secret("A", "S1", "api.test")
        new = house.value("S1")
        await_until(lambda: house.a_sends(token) == new, "others have the new one", 3)
        client.send(part(b" second " + token + b" " * 100), b"0\r\n\r\n")
        see_equal(client.response().status, 200, "the status")
        seen = [r for r in house.origin.await_requests(have + 1) if r.start.startswith(b"POST /rotate ")][-1]
        see_equal(
            (seen.get("x-key").encode(), seen.body.count(old), new in seen.body), (old, 2, False), "the old request"
        )
        see_equal(client.ask(request("GET", "/next", "api.test", b"X-Key: " + token)).status, 200, "the next status")
        see_equal(house.origin.requests[-1].get("x-key").encode(), new, "the next request")


@bench.case("an egress list that becomes narrower: the next request of a live connection gets 403, wider again: 200")
def narrower(house):
    with house.client(house.a, "api.test") as client:
        see_equal(client.ask(GET).status, 200, "the status before")
        house.ctl("store", "update", "A", "--egress-allow", "echo.test", "--egress-allow", "*.wild.test")
        began, before = time.monotonic(), house.origin.counts()
        answer = client.ask(GET)
        see_refusal(house, answer, 403, "host_not_allowed")
        see(time.monotonic() - began < 1, "it took longer than a second")
        see_equal(house.origin.counts(), before, "what the origin saw")
        house.ctl(
            "store",
            "update",
            "A",
            "--egress-allow",
            "api.test",
            "--egress-allow",
            "echo.test",
            "--egress-allow",
            "*.wild.test",
        )
        await_until(lambda: client.ask(GET).status == 200, "it is allowed again", 2)


@bench.case("a secret's hosts that become narrower: its token stays a token there, at once")
def narrower_secret(house):
    token = house.a.tokens["S2"]
    with house.client(house.a, "echo.test") as client:
        ask = (
            lambda: client.ask(request("GET", "/narrow", "echo.test", b"X-Key: " + token))
            and house.origin.requests[-1]
        )
        see_equal(ask().get("x-key").encode(), house.value("S2"), "what the origin saw before")
        path = f"{house.folder}/same"
        with open(path, "wb") as out:
            out.write(house.value("S2"))
        house.ctl("secret", "set", "A", "S2", "--value-file", path, "--allow-host", "a.wild.test")
        os.unlink(path)
        await_until(lambda: ask().get("x-key").encode() == token, "the token stays a token", 1)
        house.secret("A", "S2", "echo.test")
        await_until(lambda: ask().get("x-key").encode() == house.value("S2"), "the new value is sent", 1)


@bench.case("a sandbox with --ttl ends on time: what it has open too, and nothing new begins")
def ttl(house):
    began = time.time()
    mortal = house.short_lived("sbMortal", "127.0.0.12", "--ttl", "3")
    idle, (client, _) = house.idle(mortal), house.download(mortal)
    asked = 0
    with house.client(mortal, "api.test") as busy:
        while time.time() < began + 2.8:
            answer = busy.ask(GET)
            see(
                answer is not None and answer.status == 200,
                f"before its time: {answer and answer.status}, {busy.closed}",
            )
            asked += 1
    for one in (idle, client):
        one.rest()
        ended = time.time() - began
        see(one.closed not in (None, "timeout") and 2.9 < ended < 4.6, f"{one.closed} after {ended:.2f} s")
    see(house.turned_away(mortal), "a new connection was served")
    see(asked > 3, "too few requests to say anything")


# --- what can be seen --------------------------------------------------------------------------------------------

FAMILIES = """osb_connections_active osb_connections_total osb_requests_total osb_request_seconds osb_added_seconds
    osb_substitutions_total osb_tokens_denied_total osb_scrubs_total osb_leaf_mints_total osb_leaf_cache_hits_total
    osb_tls_handshakes_total osb_upstream_connections osb_store_fetches_total osb_store_seconds osb_bytes_total
    osb_faults_total osb_build_info""".split()
HANDSHAKES = 'osb_tls_handshakes_total{side="client",resumed="no",result="ok"}'


def counted(house):
    names = [
        'osb_requests_total{result="forward"}',
        'osb_requests_total{result="block"}',
        'osb_requests_total{result="error"}',
        'osb_substitutions_total{place="header"}',
        'osb_substitutions_total{place="basic"}',
        'osb_substitutions_total{place="body"}',
        'osb_tokens_denied_total{reason="unknown"}',
        'osb_tokens_denied_total{reason="host"}',
        'osb_connections_total{result="served"}',
        'osb_connections_total{result="unknown_source"}',
        'osb_faults_total{code="host_not_allowed"}',
        'osb_faults_total{code="upstream_protocol"}',
        "osb_request_seconds_count",
        HANDSHAKES,
    ]
    return [house.metric(name) for name in names]


@bench.case("/metrics counts exactly what happened")
def metrics(house):
    house.origin.scripts["/nonsense"] = [b"nonsense\r\n\r\n"]
    s1, s2, s3 = house.a.tokens["S1"], house.a.tokens["S2"], house.b.tokens["S3"]
    before = [count or 0 for count in counted(house)]
    ask = [
        ("api.test", request("GET", "/m", "api.test", b"X-One: " + s1, b"X-Two: " + s1)),
        ("api.test", request("POST", "/m", "api.test", "Content-Type: text/plain", body=s1 + b" " + s1 + b" " + s1)),
        ("api.test", request("GET", "/m", "api.test", b"X-One: " + s2, b"X-Two: " + s3)),
        ("api.test", request("GET", "/nonsense", "api.test")),
        ("evil.test", request("GET", "/m", "evil.test")),
    ]
    for host, octets in ask:
        house.ask(house.a, host, octets)
    stranger = Sandbox("nobody", "127.0.0.77", house.a.ca_file, {})
    see(house.turned_away(stranger), "an unknown source was served")
    want = [3, 1, 1, 2, 0, 3, 1, 1, 5, 1, 1, 1, 5, 5]
    got = lambda: [(now or 0) - then for now, then in zip(counted(house), before)]
    await_until(lambda: sum(got()) >= sum(want), f"the counts are {want}, seen {got()}", 3)
    see_equal(got(), want, "the counts")


@bench.case("/metrics has every family of the contract, each with its help and type, and no label of a guest's")
def metrics_form(house):
    text = house.fetch_admin("/metrics").decode().partition("\r\n\r\n")[2]
    missing = [
        f for f in FAMILIES if not all(re.search(rf"^# {word} {f} \S", text, re.M) for word in ("HELP", "TYPE"))
    ]
    see_equal(missing, [], "what has no HELP and TYPE")
    for line in text.splitlines():
        see(
            re.fullmatch(r"# (HELP|TYPE) .+|[a-z_]+(\{[a-z]+=\"[^\"]*\"(,[a-z]+=\"[^\"]*\")*\})? \S+", line),
            f"the line {line!r}",
        )
    labels = " ".join(re.findall(r"\{(.*)\}", text))
    for word in list(house.names) + ["sbA", "sbB", "127.0.0", "osb_sealed_", "S1"]:
        see(word not in labels, f"{word} is in a label")


@bench.case(
    "/healthz and /readyz say it by their status, others are 404 and 405",
    [(path, path, 200) for path in ("/healthz", "/readyz", "/metrics")]
    + [(path, path, 404) for path in ("/", "/metrics/x")],
)
def admin(house, path, status):
    see_equal(int(house.fetch_admin(path).split(b" ")[1]), status, "the status")


def confined(pid, uid):
    with open(f"/proc/{pid}/limits") as text:
        line = next(line for line in text if line.startswith("Max core file size"))
    see_equal(line.split()[4:6], ["0", "0"], f"the core limits of {pid}")
    see_equal(os.stat(f"/proc/{pid}/environ").st_uid, 0, f"the owner of /proc/{pid} (root: it is not dumpable)")
    with open(f"/proc/{pid}/status") as text:
        status = text.read()
    see_equal(int(re.search(r"^Uid:\s+(\d+)", status, re.M).group(1)), uid, f"the user of {pid}")
    see_equal(re.search(r"^NoNewPrivs:\s+(\d)", status, re.M).group(1), "1", f"NoNewPrivs of {pid}")


@bench.case("no core can be made of master or worker; a worker is the configured user and gains nothing")
def cores(house):
    if os.geteuid() != 0:
        for pid in house.pids():
            see_equal(
                os.stat(f"/proc/{pid}/environ").st_uid, 0, f"the owner of /proc/{pid} (root: it is not dumpable)"
            )
        return
    nobody = pwd.getpwnam("nobody").pw_uid
    os.chmod(house.folder, 0o755)
    os.chmod(house.redis_socket, 0o777)
    house.again("user = nobody")
    for pid in house.workers_now():
        confined(pid, nobody)
    with open(f"/proc/{house.pid}/limits") as text:
        see("Max core file size        0                    0" in text.read(), "the master's core limits")
    see_equal(house.get(house.a, "api.test").status, 200, "the status")
    victim = house.workers_now()[0]
    os.kill(victim, signal.SIGABRT)  # no sanitizer has a handler for this one
    await_until(lambda: victim not in house.workers_now(), "it is gone")
    house.await_workers()
    see(not [name for name in os.listdir(house.folder) + os.listdir(".") if name.startswith("core")], "a core file")
    house.again()


@bench.case("after a mixed run no value is in Redis, logs, metrics, audit, command lines or environments")
def canaries(house):
    tokens = list(house.a.tokens.values()) + list(house.b.tokens.values())
    with Load(house, threads=2):
        for sandbox in (house.a, house.b):
            for token in tokens:
                basic = base64.b64encode(b"user:" + token)
                for host in ("api.test", "echo.test", "evil.test"):
                    fields = (b"X-Key: " + token, b"Authorization: Basic " + basic, b"Content-Type: application/json")
                    body = b'{"k":"' + token + b'"}'
                    house.ask(
                        sandbox, host, request("POST", b"/p/" + token + b"?q=" + token, host, *fields, body=body)
                    )
        house.await_said(house.hang_up(), "the configuration is reloaded")
    house.await_workers()
    house.see_store_clean()
    house.see_logs_clean()
    house.see_audit_clean()
    for pid in house.pids():
        with open(f"/proc/{pid}/environ", "rb") as text:
            house.see_absent(text.read(), "an environment", tokens=True)


rehouse_last(bench)
bench.run(LifeHouse)
