"""scale - many sandboxes: made side by side, listed, all given one new value, and expired; and nothing of them is lost.

300 of them; with OSB_SOAK=1 100,000, of which 10,000 are one host's. What each step took and the memory of all who
take part is printed at each size, so that growth can be seen; OSB_RELEASE_DIR names a build without sanitizers to measure.
"""
import json
import os
import random
import secrets
import socket
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
FULL = os.environ.get("OSB_SOAK") == "1"
RELEASE = os.environ.get("OSB_RELEASE_DIR")
if RELEASE and len(sys.argv) > 1:
    sys.argv[1] = RELEASE
from case import Bench, see, see_equal
from client import client_context
from house import House, Sandbox, Secret, await_until, request
from livehouse import LiveOrigin

bench = Bench()
SIZES = (1000, 10000, 100000) if FULL else (100, 300)
LOCAL = 10000 if FULL else 200  # the first so many are this host's
SAMPLE = 500 if FULL else 40
SIDE_BY_SIDE = 4
WORKERS = 4 if FULL else 1  # where only 8 MiB may be locked, one can't hold 10,000
KEY_OCTETS = 32  # of a worker's locked memory, the one thing there that is no sandbox'


class ScaleHouse(House):
    """have: so many sandboxes are made; local: those of this host."""

    kind_of_origin = LiveOrigin

    def __init__(self, build):
        super().__init__(build, ["zone = here"], workers=WORKERS)
        self.have, self.local = 0, []

    def furnish(self):
        for store in ("local", "others"):
            self.store(store, "api.test")
            self.secret(store, "SHARED", "api.test").name = f"SHARED-{store}"
        self.anyone = client_context()

    def start_redis(self):
        super().start_redis()
        if FULL:  # all that it is told would be kept, and slow it down
            self.monitor.resp.socket.shutdown(socket.SHUT_RDWR)

    def settle_down(self):
        pass

    def final(self):
        """Nobody is left who could be served, and what 100,000 records are is not read octet by octet."""
        asking = (self.clean, self.see_baseline, *((self.see_store_clean,) if FULL else ()))
        return [(sentence, check) for sentence, check in super().final() if check not in asking]

    # --- many commands --------------------------------------------------------------------------------------

    def many(self, lines):
        """A command of osbctl for each line, several at a time; gives the seconds that they took."""
        began = time.monotonic()
        done = subprocess.run(
            ["xargs", "-P", str(SIDE_BY_SIDE), "-L", "1", f"{self.build}/osbctl", *self.ctl_options()],
            input="\n".join(lines).encode() + b"\n",
            capture_output=True,
        )
        see_equal(done.returncode, 0, f"the exit code of xargs ({done.stderr[-600:]!r})")
        return time.monotonic() - began

    def measured(self, *words, octets=None):
        """Gives what it printed, its seconds, and the most memory that it was seen to have, in MiB."""
        began, out, most = time.monotonic(), f"{self.folder}/out", 0
        with open(out, "wb") as file:
            child = subprocess.Popen(
                [f"{self.build}/osbctl", *self.ctl_options(), *words], stdin=subprocess.PIPE, stdout=file
            )
            child.stdin.write(octets or b"")
            child.stdin.close()
            while child.poll() is None:
                most = max(most, status_kib(child.pid, "VmHWM"))
                time.sleep(0.002)
        took = time.monotonic() - began
        see_equal(child.returncode, 0, f"the exit code of osbctl {' '.join(words)}")
        with open(out, "rb") as file:
            return file.read(), took, most / 1024

    def place(self, n):
        """The name, zone and address of the sandbox that is made as the nth."""
        octets = f"{n // 250 % 250}.{n % 250 + 1}"
        return (
            (f"sb{n}", "here", f"127.{10 + n // 62500}.{octets}")
            if n < LOCAL
            else (f"sb{n}", "far", f"10.{n // 62500}.{octets}")
        )

    def redis_mib(self):
        text = self.redis("INFO", "memory").decode()
        return int(next(line for line in text.splitlines() if line.startswith("used_memory:")).split(":")[1]) / (
            1 << 20
        )

    def workers_mib(self):
        """Of all workers together."""
        return sum(status_kib(pid, "VmRSS") for pid in self.pids() if pid != self.proxy.child.pid) / 1024

    # --- asking ---------------------------------------------------------------------------------------------

    def ask_all(self, sandboxes, value):
        """Each of them asks once, and that value arrives; value None: nobody is answered."""
        left, failures, lock = list(sandboxes), [], threading.Lock()

        def run():
            while not failures:
                with lock:
                    if not left:
                        return
                    one = left.pop()
                saw = self.asked(one, value)
                if saw:
                    failures.append(f"{one.name}: {saw}")

        threads = [threading.Thread(target=run) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.clients.clear()
        see(not failures, "; ".join(failures[:3]))

    def asked(self, one, value):
        path = f"/{one.name}-{random.randrange(1 << 30)}"
        with self.client(one, "api.test", context=self.anyone, seconds=20) as client:
            asked = request("GET", path, "api.test", b"X-Key: " + one.tokens["SHARED"])
            answer = client.ask(asked) if client.shaken else None
        if value is None:
            return answer and f"it is answered {answer.status}"
        if not answer or answer.status != 200:
            return f"{answer and answer.status}, {client.closed}"
        _, asked = self.origin.fetch(path.encode())
        got = asked.get("x-key").encode()
        return None if got == value else f"{got!r} arrived"


def status_kib(pid, name):
    """A line of what the kernel says of a process; 0: it is over."""
    with open(f"/proc/{pid}/status") as text:
        return sum(int(line.split()[1]) for line in text if line.startswith(name))


def known(name, address, tokens):
    made = Sandbox.__new__(Sandbox)  # its CA lies in no file
    made.name, made.address, made.tokens = name, address, tokens
    return made


def table(what, **numbers):
    print(f"note  {what}: " + ", ".join(f"{name} {number}" for name, number in numbers.items()), flush=True)


@bench.case(
    "made side by side, each is in the list once, with a token of its own", [(f"{n} sandboxes", n) for n in SIZES]
)
def made(house, size):
    lines = []
    for n in range(house.have, size):
        name, zone, address = house.place(n)
        store = "local" if zone == "here" else "others"
        lines.append(f"--zone {zone} sandbox create {name} --ip {address} --store {store}")
    took = house.many(lines)
    out, listed_s, listed_mib = house.measured("sandbox", "list", "--json")
    said = json.loads(out)
    see_equal(len(said), size, "the length of the list")
    see_equal({one["id"] for one in said}, {house.place(n)[0] for n in range(size)}, "its ids")
    tokens = {one["secrets"][0]["token"] for one in said}
    see_equal(len(tokens), size, "different tokens")
    for one in said:
        if one["stores"] == ["local"] and int(one["id"][2:]) >= house.have:
            token = one["secrets"][0]["token"].encode()
            house.local.append(known(one["id"], one["addresses"][0], {"SHARED": token}))
    see_equal(len(house.local), min(size, LOCAL), "those of this host")
    table(
        f"{size} sandboxes",
        create=f"{1000 * took / len(lines):.2f} s per 1,000",
        list=f"{1000 * listed_s / size:.3f} s per 1,000",
        osbctl=f"{listed_mib:.0f} MiB",
        redis=f"{house.redis_mib():.1f} MiB ({1024 * house.redis_mib() / size:.2f} KiB each)",
    )
    house.have = size


@bench.case("each of this host asks once, and its value arrives")
def asks(house):
    before = house.workers_mib()
    house.ask_all(house.local[:10], house.value("SHARED-local"))
    began, first = time.monotonic(), house.workers_mib()
    house.ask_all(house.local, house.value("SHARED-local"))
    took, after = time.monotonic() - began, house.workers_mib()
    await_until(
        lambda: house.metric("osb_sandboxes_known") >= len(house.local), "the workers count all that it knows"
    )
    table(
        f"{len(house.local)} asked",
        workers=f"{after:.0f} MiB, {first:.0f} before ({1024 * (after - first) / len(house.local):.1f} KiB each)",
        locked=f"{house.metric('osb_secret_arena_octets') / (1 << 20):.1f} MiB",
        took=f"{took:.1f} s",
    )


@bench.case("a value that all of this host share is rotated by one command, and each has it at the next request")
def rotated(house):
    value = f"canary-SHARED-{secrets.token_hex(12)}".encode()
    house.secrets.append(Secret("SHARED-local", value, ("api.test",), True))
    _, took, mib = house.measured("secret", "set", "local", "SHARED", "--value-file", "-", octets=value)
    house.ask_all(random.sample(house.local, SAMPLE), value)
    table(
        f"rotated for {len(house.local)}",
        took=f"{1000 * took / len(house.local):.2f} s per 1,000",
        osbctl=f"{mib:.0f} MiB",
    )


@bench.case("they expire: nobody is answered any more, and nothing of them stays in the workers")
def expired(house):
    took = house.many([f"sandbox extend {one.name} --ttl 1" for one in house.local])
    time.sleep(1)
    house.ask_all(random.sample(house.local, SAMPLE), None)
    await_until(lambda: house.metric("osb_sandboxes_known") == 0, "the workers have forgotten them", 10)
    await_until(
        lambda: house.metric("osb_secret_arena_octets") == WORKERS * KEY_OCTETS, "no value lies in locked memory", 10
    )
    table(
        f"{len(house.local)} expired",
        extend=f"{1000 * took / len(house.local):.2f} s per 1,000",
        workers=f"{house.workers_mib():.0f} MiB",
    )


@bench.case("they are deleted, and the list has the others")
def deleted(house):
    took = house.many([f"sandbox delete {one.name}" for one in house.local])
    out, _, _ = house.measured("sandbox", "list")
    see_equal(len(out.splitlines()), house.have - len(house.local), "the length of the list")
    table(
        f"{len(house.local)} deleted",
        delete=f"{1000 * took / len(house.local):.2f} s per 1,000",
        redis=f"{house.redis_mib():.1f} MiB",
    )


bench.run(ScaleHouse)
