"""faults - a bad key file, a bad line of configuration, a bad signal: said where it stands, and nothing half done."""
import os
import re
import secrets
import signal
import socket
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from case import Bench, see, see_equal, short
from house import SANITIZER, free_port
from rehouse import Rehouse, rehouse_last

bench = Bench()
PASSWORD = "pass-" + secrets.token_hex(12)
START, CHECK = (), ("--check",)


class StartHouse(Rehouse):
    def lines(self, key_file=None):
        """A configuration that a second proxy could run with, as lines."""
        return [
            f"direct_listen = 127.0.0.1:{free_port()}",
            f"listen = 127.0.0.1:{free_port()}",
            f"http_listen = 127.0.0.1:{free_port()}",
            f"key_file = {key_file or self.key_file}",
            f"upstream_ca_file = {self.root.path}",
            f"admin = unix:{self.folder}/second.sock",
            "audit_log = off",
        ]

    def attempt(self, lines, *words):
        """Start osb-proxy with these lines; gives exit code and stderr. One that stays is a failure."""
        self.second = f"{self.folder}/second.conf"
        with open(self.second, "wb") as out:
            out.write(b"\n".join(line if isinstance(line, bytes) else line.encode() for line in lines) + b"\n")
        try:
            done = subprocess.run(
                [f"{self.build}/osb-proxy", "-c", self.second, *words],
                capture_output=True,
                stdin=subprocess.DEVNULL,
                timeout=30,
                env={**os.environ, "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":detect_leaks=0"},
            )
        except subprocess.TimeoutExpired as late:
            see(False, f"it runs on: {short((late.stderr or b'')[-400:], 500)}")
        said = done.stderr.decode(errors="replace")
        see(not SANITIZER.search(done.stderr), said[-2000:])
        see(PASSWORD not in said + done.stdout.decode(errors="replace"), "a password was printed")
        return done.returncode, said


# --- the key file ------------------------------------------------------------------------------------------------


def key_absent(path):
    pass


def key_of(octets, mode):
    def make(path):
        with open(path, "wb") as out:
            out.write(secrets.token_bytes(octets))
        os.chmod(path, mode)

    return make


KEYS = [
    ("absent", key_absent),
    ("empty", key_of(0, 0o600)),
    ("31 octets", key_of(31, 0o600)),
    ("33 octets", key_of(33, 0o600)),
    ("readable by the group", key_of(32, 0o640)),
    ("readable by all", key_of(32, 0o604)),
    ("writable by the group", key_of(32, 0o620)),
    ("a folder", os.mkdir),
    ("a FIFO", os.mkfifo),
    ("a link to nothing", lambda path: os.symlink("/nonexistent/key", path)),
]


@bench.case("a key file that can't be used stops osb-proxy with one clear line", [(n, k, START) for n, k in KEYS])
def key_start(house, make, words):
    path = f"{house.folder}/key-{secrets.token_hex(4)}"
    make(path)
    code, said = house.attempt(house.lines(path), *words)
    see(code in (1, 4), f"the exit code is {code}: {short(said)}")
    see("key_file" in said or path in said, f"the key file is not named: {short(said, 400)}")


@bench.case("--check finds a key file that can't be used, and says on which line", [(n, k, CHECK) for n, k in KEYS])
def key_check(house, make, words):
    path = f"{house.folder}/key-{secrets.token_hex(4)}"
    make(path)
    lines = house.lines(path)
    code, said = house.attempt(lines, *words)
    see_equal(code, 4, f"the exit code ({short(said)})")
    want = f"{house.second}:{1 + [line[:8] for line in lines].index('key_file')}: key_file: "
    see(any(line.startswith(want) and len(line) > len(want) for line in said.splitlines()), f"it said {short(said)}")


@bench.case("keys of two generations, mode 0600, are good", [("64 octets", 64), ("96 octets", 96)])
def key_good(house, octets):
    path = f"{house.folder}/key-good"
    key_of(octets, 0o600)(path)
    code, said = house.attempt(house.lines(path), "--check")
    see_equal((code, said), (0, ""), "exit code and stderr")


# --- the configuration -------------------------------------------------------------------------------------------

LINES = [
    ("an unknown key", ["colour = red"], "colour", "not a key"),
    ("a key in capitals", ["Workers = 1"], None, "not a key"),
    ("no equals sign", ["workers 2"], None, "KEY = VALUE"),
    ("a key twice", ["workers = 1", "workers = 2"], "workers", "twice"),
    ("workers: 0", ["workers = 0"], "workers", "must be"),
    ("workers: a word", ["workers = many"], "workers", "must be"),
    ("a duration of an unknown unit", ["idle_timeout = 5 parsecs"], "idle_timeout", "must be"),
    ("a duration that wraps", ["idle_timeout = 18446744073709551617"], "idle_timeout", "must be"),
    ("a negative duration", ["drain_timeout = -1s"], "drain_timeout", "must be"),
    ("a size below the least", ["head_bytes = 1"], "head_bytes", "must be"),
    ("a size of an unknown unit", ["body_memory = 1MB"], "body_memory", "must be"),
    ("a negative count", ["max_connections = -1"], "max_connections", "must be"),
    ("a listener without an address", ["listen = 8443"], "listen", "must be"),
    ("a listener with port 65536", ["listen = 127.0.0.1:65536"], "listen", "must be"),
    ("a listener of another key", ["direct_listen = 127.0.0.1:7", "listen = 127.0.0.1:7"], "listen", "already"),
    ("off and on", ["http_listen = off"], "http_listen", "off"),
    ("a flag: yes", ["scrub = yes"], "scrub", "must be"),
    ("http: maybe", ["http = maybe"], "http", "must be"),
    ("upstream: any", ["upstream = any"], "upstream", "must be"),
    ("denied_token: drop", ["denied_token = drop"], "denied_token", "must be"),
    ("connect_to without a port", ["connect_to = api.test=127.0.0.1:1"], "connect_to", "must be"),
    ("connect_to without a target", ["connect_to = api.test:443"], "connect_to", "must be"),
    (
        "connect_to for two places",
        ["connect_to = a.b:1=127.0.0.1:1", "connect_to = A.b:1=127.0.0.1:2"],
        "connect_to",
        "two",
    ),
    ("allow_net with host bits", ["allow_net = 10.0.0.1/8"], "allow_net", "must be"),
    ("allow_net /33", ["allow_net = 10.0.0.0/33"], "allow_net", "must be"),
    ("a resolver by name", ["resolver = dns.test"], "resolver", "must be"),
    ("a zone with a blank", ["zone = a b"], "zone", "must be"),
    ("an audit log that is no path", ["audit_log = stdotu"], "audit_log", "must be"),
    ("roots that are absent", ["upstream_ca_file = /nonexistent/ca.pem"], "upstream_ca_file", "can't be opened"),
    ("an admin socket without a path", ["admin = unix:"], "admin", "must be"),
    ("redis: http", ["redis = http://127.0.0.1"], "redis", "must be"),
    (
        "redis: a password without a user's colon",
        [f"redis = redis://{PASSWORD}@127.0.0.1/0"],
        "redis",
        "user:password",
    ),
    ("redis: sentinels without a name", [f"redis = sentinel://u:{PASSWORD}@127.0.0.1:26379"], "redis", "master's name"),
    ("redis: nine servers", [f"redis = unix:/{n}" for n in range(9)], "redis", "too often"),
    ("redis: roots that are absent", ["redis_ca_file = /nonexistent/ca.pem"], "redis_ca_file", "can't be opened"),
    ("redis: a bad port", [f"redis = redis://u:{PASSWORD}@127.0.0.1:0"], "redis", "port"),
    ("CR LF", [b"workers = 1\r"], None, "CR"),
    ("a NUL", [b"workers = 1\0"], None, "control"),
    ("a line of 2,000 octets", ["# " + "x" * 2000], None, "longer"),
    ("a key that holds a password", [f"redis://u:{PASSWORD}@h = 1"], None, "not a key"),
]


def lines_without(house, added):
    """The base, less what the row itself sets."""
    taken = {line.partition("=")[0].strip() for line in added if isinstance(line, str)}
    return [line for line in house.lines() if line.partition("=")[0].strip() not in taken - {"http_listen"}] + added


@bench.case(
    "a mistake in the configuration is said as FILE:LINE: KEY: why, by --check and by a start, with 4",
    [
        (f"{label}, {words or 'start'}", lines, key, why, words)
        for label, lines, key, why in LINES
        for words in (CHECK, START)
    ],
)
def config_line(house, added, key, why, words):
    lines = lines_without(house, added)
    code, said = house.attempt(lines, *words)
    see_equal(code, 4, f"the exit code ({short(said)})")
    want = f"{house.second}:{len(lines)}: " + (f"{key}: " if key else "")
    hits = [line for line in said.splitlines() if line.startswith(want)]
    see(len(hits) == 1 and re.search(why, hits[0][len(want) :]), f"nothing like {want}{why} in {short(said, 400)}")


@bench.case("all mistakes are said at once, each with its line")
def config_all(house):
    lines = house.lines() + ["colour = red", "# fine", "scrub = yes", "workers = 0"]
    code, said = house.attempt(lines, "--check")
    found = [int(n) for n in re.findall(r"^" + re.escape(house.second) + r":(\d+): ", said, re.M)]
    see_equal((code, found), (4, [len(lines) - 3, len(lines) - 1, len(lines)]), f"code and lines ({short(said)})")


@bench.case(
    "the one key without a default is missed, a file that is absent too",
    [("no key_file", "key_file", 4), ("no file", None, 4)],
)
def config_missing(house, key, code):
    if key:
        got, said = house.attempt([line for line in house.lines() if not line.startswith(key)], "--check")
        see(key in said, f"it said {short(said)}")
    else:
        done = subprocess.run(
            [f"{house.build}/osb-proxy", "-c", "/nonexistent/x.conf", "--check"], capture_output=True
        )
        got, said = done.returncode, done.stderr.decode()
        see("/nonexistent/x.conf" in said, f"it said {short(said)}")
    see_equal(got, code, f"the exit code ({short(said)})")


@bench.case(
    "--set is checked like a line, and a good one is no mistake",
    [
        ("a bad value", "scrub=yes", 4, "--set: scrub: "),
        ("an unknown key", "colour=red", 4, "--set: colour: "),
        ("no value", "scrub", 4, "--set: "),
        ("a good one", "scrub=off", 0, ""),
    ],
)
def config_set(house, pair, code, want):
    got, said = house.attempt(house.lines(), "--check", "--set", pair)
    see_equal((got, said.startswith(want)), (code, True), f"exit code and start of {short(said)}")


@bench.case(
    "a usage mistake is 2",
    [("no file", ()), ("an unknown option", ("--nope",)), ("a word too many", ("-c", "x", "y"))],
)
def config_usage(house, words):
    done = subprocess.run([f"{house.build}/osb-proxy", *words], capture_output=True)
    see_equal(done.returncode, 2, f"the exit code ({short(done.stderr)})")
    see(b"usage:" in done.stderr, "no usage on stderr")


@bench.case("an address that another program listens on stops the start with 1 and is named")
def port_taken(house):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        code, said = house.attempt(house.lines() + [f"direct_listen = 127.0.0.1:{port}"])
    see_equal(code, 1, f"the exit code ({short(said)})")
    see(str(port) in said, f"the port is not named: {short(said, 400)}")


@bench.case("USR2 says that it is not there yet, and all goes on with the same workers")
def usr2(house):
    before, said = house.pids(), len(house.proxy.said())
    with house.client(house.a, "api.test") as client:
        see_equal(client.ask(b"GET /usr2 HTTP/1.1\r\nHost: api.test\r\n\r\n").status, 200, "the status before")
        os.kill(house.pid, signal.SIGUSR2)
        house.await_said(lambda: house.proxy.said()[said:].decode(), "SIGUSR2")
        see_equal(client.ask(b"GET /usr2 HTTP/1.1\r\nHost: api.test\r\n\r\n").status, 200, "the status after")
    see_equal(house.pids(), before, "the processes")


rehouse_last(bench)
bench.run(StartHouse)
