"""house - all that a case needs, started in one folder and ended with it: Redis, origin, name server, osb-proxy.

Sandboxes are source addresses on loopback, seen through direct_listen. holds() checks the invariants that are cheap enough
for each row, final() the rest: the proxy lives, no sanitizer spoke, no value lies where it must not, no descriptor stays.
"""
import ctypes
import json
import os
import random
import re
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time

from case import see, see_equal, short
from client import Client, client_context
from nameserver import Nameserver
from origin import Origin
from pki import Pki
from resp import Monitor, Resp

TOKEN = re.compile(rb"osb_sealed_[0-9a-f]{32}")
NAMES = (
    "api.test",
    "echo.test",
    "evil.test",
    "wild.test",
    "a.wild.test",
    "a.b.wild.test",
    "evilwild.test",
    "a.wild.test.evil.test",
    "a.evil.test",
)
SANITIZER = re.compile(
    rb"ERROR: (Address|Leak)Sanitizer|SUMMARY: |runtime error|LeakSanitizer has encountered|stack smashing"
)


def await_until(holds, what, seconds=10):
    """Ask until it holds; the pauses only keep the asking cheap."""
    end = time.monotonic() + seconds
    while not holds():
        see(time.monotonic() < end, f"{what}: not within {seconds} s")
        time.sleep(0.01)


def free_port():
    """Below the range that outgoing connections draw from, so that nobody takes it in between."""
    for _ in range(200):
        port = random.randrange(10000, 32000)
        with socket.socket() as probe:
            try:
                probe.bind(("0.0.0.0", port))
                return port
            except OSError:
                continue
    raise RuntimeError("no free port")


def die_with_us(by=signal.SIGTERM):
    """PR_SET_PDEATHSIG: a test that is killed leaves nobody behind."""
    ctypes.CDLL(None).prctl(1, by)


class Program:
    """A child with its output in a file."""

    def __init__(self, log, *words, environment=None, dies_by=signal.SIGTERM):
        self.log = log
        with open(log, "ab") as out:
            self.child = subprocess.Popen(
                words,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                env={**os.environ, **(environment or {})},
                start_new_session=True,
                preexec_fn=lambda: die_with_us(dies_by),
            )

    def said(self):
        with open(self.log, "rb") as text:
            return text.read()

    def end(self, seconds=40):
        """Gives the exit code; a child that does not leave is killed, and the code is then negative."""
        if self.child.poll() is None:
            self.child.terminate()
        try:
            return self.child.wait(seconds)
        except subprocess.TimeoutExpired:
            os.killpg(self.child.pid, 9)
            return self.child.wait()


class Secret:
    """A value that must never be seen but at its hosts; canary False: the test puts it where the checks would see it."""

    def __init__(self, name, value, hosts, canary):
        self.name, self.value, self.hosts, self.canary = name, value, hosts, canary

    def may_reach(self, host):
        return any(
            host == want or (want.startswith("*.") and host and host.endswith(want[1:])) for want in self.hosts
        )


class Sandbox:
    def __init__(self, name, address, ca_file, tokens):
        self.name, self.address, self.ca_file, self.tokens = name, address, ca_file, tokens
        self.context = client_context(ca_file)
        self.received = []


class House:
    """kills_workers: the suite does that itself; else one that was killed is a crash."""

    kind_of_origin = Origin
    kills_workers = False

    def __init__(self, build, config=(), environment=None, workers=2, names=NAMES):
        self.build, self.config, self.environment, self.workers = (
            os.path.abspath(build),
            list(config),
            environment,
            workers,
        )
        self.folder = tempfile.mkdtemp(prefix="osb-house-")
        self.programs, self.sandboxes, self.secrets, self.clients = [], {}, [], []
        self.proxy = self.redis_program = None
        self.names, self.looked_at, self.baseline = names, {}, None

    # --- up and down ----------------------------------------------------------------------------------------

    def __enter__(self):
        try:
            self.pki = Pki(f"{self.folder}/pki")
            self.root = self.pki.root()
            self.good = self.pki.leaf(self.root, *(f"DNS:{name}" for name in self.names))
            self.origin, self.nameserver = self.kind_of_origin(self.good), Nameserver()
            self.start_redis()
            self.key_file = f"{self.folder}/key"
            self.ctl("key", "init", self.key_file)
            self.furnish()
            self.start_proxy()
            self.settle_down()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def furnish(self):
        """Two stores and two sandboxes: the fixture of all batteries. Others override it."""
        self.store("A", "api.test", "echo.test", "*.wild.test")
        self.store("B", "api.test", "echo.test")
        self.secret("A", "S1", "api.test")
        self.secret("A", "S2", "echo.test")
        self.secret("B", "S3", "api.test")
        self.a = self.sandbox("sbA", "127.0.0.2", "A")
        self.b = self.sandbox("sbB", "127.0.0.3", "B")

    def start_redis(self):
        self.redis_socket = f"{self.folder}/redis.sock"
        self.redis_program = Program(
            f"{self.folder}/redis.log",
            "redis-server",
            "--port",
            "0",
            "--unixsocket",
            self.redis_socket,
            "--save",
            "",
            "--appendonly",
            "no",
            "--rdbcompression",
            "no",
            "--daemonize",
            "no",
            "--dir",
            self.folder,
        )
        self.programs.append(self.redis_program)
        await_until(self.redis_answers, "Redis answers")
        self.monitor = Monitor(self.redis_socket)
        self.redis_lines = [f"redis = unix:{self.redis_socket}"]

    def redis_answers(self):
        """Its socket has a name before anybody listens there."""
        try:
            self.redis = Resp(self.redis_socket)
            return True
        except (FileNotFoundError, ConnectionRefusedError):
            return False

    def start_proxy(self):
        self.port, self.admin = free_port(), f"{self.folder}/admin.sock"
        self.audit_file = f"{self.folder}/audit.jsonl"
        lines = [
            f"direct_listen = 127.0.0.1:{self.port}",
            f"listen = 127.0.0.1:{free_port()}",
            f"http_listen = 127.0.0.1:{free_port()}",
            f"workers = {self.workers}",
            *self.redis_lines,
            f"key_file = {self.key_file}",
            f"upstream_ca_file = {self.root.path}",
            f"audit_log = {self.audit_file}",
            f"admin = unix:{self.admin}",
            f"resolver = 127.0.0.1:{self.nameserver.port}",
        ]
        lines += [f"connect_to = {name}:443=127.0.0.1:{self.origin.port}" for name in self.names] + self.config
        self.config_file = f"{self.folder}/osb-proxy.conf"
        with open(self.config_file, "w") as out:
            out.write("\n".join(lines) + "\n")
        environment = dict(self.environment or {})
        if os.geteuid() != 0:
            # LeakSanitizer attaches to the process at its end, which PR_SET_DUMPABLE 0 lets only root do.
            environment["ASAN_OPTIONS"] = os.environ.get("ASAN_OPTIONS", "") + ":detect_leaks=0"
            print("note  leaks of osb-proxy are looked for by root only: it is not dumpable", flush=True)
        self.proxy = Program(
            f"{self.folder}/proxy.log", f"{self.build}/osb-proxy", "-c", self.config_file, environment=environment
        )
        self.programs.append(self.proxy)

        await_until(self.is_ready, "osb-proxy is ready", 30)

    def is_ready(self):
        """All workers, not only the first: where they come up one by one is the matter of ready.py."""
        see(
            self.proxy.child.poll() is None,
            f"osb-proxy left with {self.proxy.child.poll()}: {short(self.proxy.said()[-1500:], 1600)}",
        )
        return b" 200 " in self.fetch_admin("/readyz")[:16] and self.metric("osb_workers_ready") == self.workers

    def stop_proxy(self):
        return self.proxy.end()

    def __exit__(self, *_):
        for program in reversed(self.programs):
            program.end(10)
        for part in ("origin", "nameserver"):
            if hasattr(self, part):
                getattr(self, part).close()
        keep = os.environ.get("OSB_KEEP")
        if keep:
            shutil.copytree(
                self.folder,
                f"{keep}/{os.path.basename(self.folder)}",
                symlinks=True,
                ignore=shutil.ignore_patterns("*.sock"),
            )
        shutil.rmtree(self.folder, ignore_errors=True)

    # --- osbctl ---------------------------------------------------------------------------------------------

    def ctl_options(self):
        return ["--redis", f"unix:{self.redis_socket}", "--key-file", self.key_file]

    def ctl_done(self, *words, octets=None):
        """Whatever its exit code: returncode, stdout, stderr."""
        done = subprocess.run(
            [f"{self.build}/osbctl", *self.ctl_options(), *words],
            capture_output=True,
            input=octets,
            timeout=30,
            env={**os.environ, **(self.environment or {})},
        )
        see(
            not SANITIZER.search(done.stderr),
            f"osbctl {' '.join(words)}: {done.stderr.decode(errors='replace')[-2000:]}",
        )
        return done

    def ctl(self, *words, code=0, octets=None):
        done = self.ctl_done(*words, octets=octets)
        said = short(done.stderr[-2500:], 2600)
        see(done.returncode == code, f"osbctl {' '.join(words)} left with {done.returncode}: {said}")
        return done.stdout.decode()

    def store(self, name, *allow):
        self.ctl("store", "create", name, *(word for host in allow for word in ("--egress-allow", host)))

    def secret(self, store, name, *hosts, value=None, places=(), canary=True, code=0):
        """Set a secret; without a value it is a canary of this run."""
        octets = value if value is not None else f"canary-{name}-{secrets.token_hex(12)}".encode()
        words = [word for host in hosts for word in ("--allow-host", host)]
        words += [word for place in places for word in ("--in", place)]
        path = f"{self.folder}/value"
        with open(path, "wb") as out:
            out.write(octets)
        self.ctl("secret", "set", store, name, "--value-file", path, *words, code=code)
        os.unlink(path)
        made = Secret(name, octets, hosts, canary and len(octets) >= 16)
        if code == 0:
            self.secrets.append(made)
        return made

    def value(self, name):
        return [secret for secret in self.secrets if secret.name == name][-1].value

    def sandbox(self, name, address, *stores):
        env_file, ca_file = f"{self.folder}/{name}.env", f"{self.folder}/{name}.ca.pem"
        self.ctl(
            "sandbox",
            "create",
            name,
            "--ip",
            address,
            *(word for store in stores for word in ("--store", store)),
            "--env-file",
            env_file,
            "--ca-file",
            ca_file,
        )
        with open(env_file, "rb") as text:
            pairs = [line.rstrip(b"\n").partition(b"=") for line in text]
        tokens = {key.decode(): value for key, _, value in pairs if TOKEN.fullmatch(value)}
        self.sandboxes[name] = Sandbox(name, address, ca_file, tokens)
        return self.sandboxes[name]

    # --- asking ---------------------------------------------------------------------------------------------

    def client(self, sandbox, host, context=None, session=None, seconds=10):
        client = Client(("127.0.0.1", self.port), sandbox.address, host, context or sandbox.context, session, seconds)
        self.clients.append(client)
        return client

    def ask(self, sandbox, host, *records, head_only=False, seconds=10):
        """One request on a connection of its own; the answer also says how the connection stood afterwards."""
        with self.client(sandbox, host, seconds=seconds) as client:
            see(client.shaken, f"the handshake for {host} ended with {client.closed}")
            answer = client.ask(*records, head_only=head_only)
            see(answer is not None, f"no answer but {client.closed}")
            answer.closed = client.closed
            return answer

    def get(self, sandbox, host, path="/", *fields):
        return self.ask(sandbox, host, request("GET", path, host, *fields))

    def refused(self, sandbox, sni, octets, statuses, code=None, closes=False):
        """Say ${octets}; the answer must be one of ${statuses}, the origin must see neither request nor connection."""
        before = self.origin.counts()
        with self.client(sandbox, sni) as client:
            see(client.shaken, f"the handshake ended with {client.closed}")
            answer = client.ask(*([octets] if isinstance(octets, bytes) else octets))
            got = answer.status if answer else 0
            see(got in statuses, f"status {got} ({answer.code if answer else client.closed}), not {statuses}")
            see(
                not answer or code is None or answer.code == code, f"code {answer.code if answer else ''}, not {code}"
            )
            if closes:
                rest = client.rest()
                see(client.closed != "timeout", "the connection stayed open")
                see(rest == b"", f"more came after the refusal: {short(rest)}")
        after = self.origin.counts()
        see(after == before, f"the origin saw {after[0] - before[0]} connections, {after[1] - before[1]} requests")
        return answer

    def fetch_admin(self, path):
        try:
            with socket.socket(socket.AF_UNIX) as admin:
                admin.settimeout(5)
                admin.connect(self.admin)
                admin.sendall(f"GET {path} HTTP/1.1\r\nHost: admin\r\nConnection: close\r\n\r\n".encode())
                parts = []
                while True:
                    part = admin.recv(65536)
                    if not part:
                        return b"".join(parts)
                    parts.append(part)
        except OSError:
            return b""

    def metric(self, line):
        """The value of one line of /metrics, "family{labels}" or "family"."""
        for text in self.fetch_admin("/metrics").decode().splitlines():
            key, _, value = text.rpartition(" ")
            if key == line:
                return float(value)
        return None

    def audit(self):
        """All lines so far, parsed: a line that is not JSON is a failure."""
        with open(self.audit_file, "rb") as text:
            return [json.loads(line) for line in text.read().split(b"\n")[:-1]]

    def await_audit(self, holds, what):
        """The line that ${holds}; the proxy writes at the end of its turn, so it may come after the answer."""
        found = []

        def look():
            found[:] = [line for line in self.audit() if holds(line)]
            return bool(found)

        await_until(look, what, 5)
        return found[-1]

    # --- invariants -----------------------------------------------------------------------------------------

    def canaries(self):
        return [secret for secret in self.secrets if secret.canary]

    def holds(self):
        """After each row: the proxy lives; no value went to a sandbox, or to an origin that may not have it."""
        see(
            self.proxy.child.poll() is None,
            f"osb-proxy left with {self.proxy.child.poll()}: {short(self.proxy.said()[-3000:], 3000)}",
        )
        clients, self.clients = self.clients, []  # what one row saw is no failure of the next
        for client in clients:
            for secret in self.canaries():
                see(secret.value not in client.octets, f"the value of {secret.name} came back to a sandbox")
        with self.origin.changed:
            news = [c for c in self.origin.connections if self.looked_at.get(id(c)) != len(c.octets)]
            for connection in news:
                self.looked_at[id(connection)] = len(connection.octets)
                for secret in self.canaries():
                    see(
                        secret.may_reach(connection.sni) or secret.value not in connection.octets,
                        f"the value of {secret.name} reached {connection.sni}",
                    )

    def ticks(self):
        """Processor time of the proxy so far, in hundredths of a second."""
        total = 0
        for pid in self.pids():
            with open(f"/proc/{pid}/stat") as stat:
                total += sum(int(n) for n in stat.read().rpartition(")")[2].split()[11:13])
        return total

    def pids(self):
        """The proxy's master and its workers."""
        found, todo = [], [self.proxy.child.pid]
        parents = {}
        for entry in os.listdir("/proc"):
            if entry.isdigit():
                try:
                    with open(f"/proc/{entry}/stat") as stat:
                        parents[int(entry)] = int(stat.read().rpartition(")")[2].split()[1])
                except OSError:
                    continue
        while todo:
            pid = todo.pop()
            found.append(pid)
            todo += [child for child, parent in parents.items() if parent == pid]
        return sorted(found)

    def descriptors(self):
        """Open ones of all processes; None where the kernel does not let us look (not root: they are not dumpable)."""
        try:
            return sum(len(os.listdir(f"/proc/{pid}/fd")) for pid in self.pids())
        except PermissionError:
            return None

    def clean(self):
        """A plain request of the first two sandboxes, served within a second (I7)."""
        for sandbox in list(self.sandboxes.values())[:2]:
            began = time.monotonic()
            answer = self.get(sandbox, "api.test", "/clean")
            see_equal(answer.status, 200, f"the status of a clean request of {sandbox.name}")
            took = time.monotonic() - began
            see(took < 1, f"a clean request of {sandbox.name} took {took:.2f} s")

    def settle_down(self):
        """What is open when nothing happens: the baseline of the count of descriptors."""
        for _ in range(4):
            self.clean()
        self.origin.drop_all()
        await_until(lambda: self.metric("osb_connections_active") == 0, "no client connection stays")
        self.baseline = self.descriptors()

    def final(self):
        """The checks at the end, as (sentence, function); the last one ends the proxy."""
        return [
            ("the proxy still serves both sandboxes", self.clean),
            ("no connection and no descriptor stays", self.see_baseline),
            ("no value is in Redis, in what it was told, or in a command line", self.see_store_clean),
            ("no value and no whole token is in the proxy's log, audit or metrics", self.see_logs_clean),
            ("every line of the audit log is one JSON object of printable ASCII", self.see_audit_clean),
            ("no name was asked for that no allowlist holds", self.see_questions),
            ("TERM ends the proxy with 0", self.see_end),
            ("no worker was killed, by an assertion or a crash", self.see_workers_lived),
            ("no sanitizer has spoken", self.see_sanitizers),
        ]

    def see_baseline(self):
        self.origin.drop_all()
        await_until(lambda: self.metric("osb_connections_active") == 0, "no client connection is open")
        await_until(
            lambda: (self.metric('osb_upstream_connections{state="busy"}') or 0) == 0,
            "no upstream connection is busy",
        )
        if self.baseline is None:
            print("note  descriptors are not counted: /proc/PID/fd of the proxy can be read by root only", flush=True)
            return
        await_until(
            lambda: self.descriptors() <= self.baseline,
            f"descriptors are back at {self.baseline}, the last count was {self.descriptors()}",
        )

    def see_absent(self, octets, where, tokens=False):
        for secret in self.canaries():
            see(secret.value not in octets, f"the value of {secret.name} is in {where}")
        if tokens:
            hit = TOKEN.search(octets)
            see(
                hit is None,
                f"a whole token is in {where}: {short(octets[max(0, hit.start() - 80):hit.end()]) if hit else ''}",
            )

    def see_store_clean(self):
        self.see_absent(self.redis.dump(), "Redis")
        self.see_absent(bytes(self.monitor.octets), "a command to Redis")
        for pid in self.pids():
            with open(f"/proc/{pid}/cmdline", "rb") as text:
                self.see_absent(text.read(), "a command line", tokens=True)

    def see_logs_clean(self):
        self.see_absent(self.proxy.said(), "the proxy's log", tokens=True)
        self.see_absent(self.fetch_admin("/metrics"), "the metrics", tokens=True)
        with open(self.audit_file, "rb") as text:
            self.see_absent(text.read(), "the audit log", tokens=True)

    def see_audit_clean(self):
        with open(self.audit_file, "rb") as text:
            octets = text.read()
        odd = re.search(rb"[^\x20-\x7e\n]", octets)
        see(odd is None, f"octet {short(odd.group()) if odd else ''} in the audit log")
        lines = self.audit()
        see(len(lines) > 0, "nothing was audited")
        for line in lines:
            for key in ("method", "path"):
                see("\0" not in (line[key] or ""), f"{key} {short(line[key])}: not what was sent, but wiped memory")

    def see_questions(self):
        odd = [
            name
            for name in self.nameserver.questions
            if name in ("evil.test", "a.evil.test", "wild.test", "evilwild.test")
        ]
        see(not odd, f"the proxy asked for {odd}")

    def see_end(self):
        see_equal(self.stop_proxy(), 0, "the exit code")

    def see_workers_lived(self):
        killed = re.search(rb"[^\n]*a worker was killed[^\n]*", self.proxy.said())
        see(
            killed is None or self.kills_workers, f"the log says: {short(killed.group(), 300) if killed else ''}"
        )

    def see_sanitizers(self):
        hit = SANITIZER.search(self.proxy.said())
        see(
            hit is None,
            self.proxy.said()[max(0, hit.start() - 200) : hit.start() + 3000].decode(errors="replace") if hit else "",
        )


def request(method, path, host, *fields, body=None, framing=None):
    """A request's octets; fields: octets without line ends; body adds a Content-Length unless framing says otherwise."""
    encode = lambda text: text if isinstance(text, bytes) else text.encode()
    lines = [encode(method) + b" " + encode(path) + b" HTTP/1.1", b"Host: " + encode(host)] + [
        encode(f) for f in fields
    ]
    if body is not None:
        lines.append(framing if framing else b"Content-Length: %d" % len(body))
    return b"\r\n".join(lines) + b"\r\n\r\n" + (body or b"")
