"""livehouse - a house that lives: a Redis that keeps what it acknowledged, proxies in two zones, an origin that forgets, and
what may befall them. living.py changes it and asks it."""
import os
import signal
import time

from case import see, short
from house import Secret, await_until
from model import Timeline
from neighbour import Neighbour
from origin import Origin, reply
from redises import Redis, Redises
from redishouse import RedisesHouse
from wire import Reader

WORKERS = 2
RECOVERY_S = 1.5  # a second, as promised, and a half for a machine that does other things
SOCKETS_S = 0.1  # for a worker to read what Redis has sent it
MARK = b"canary-live-"  # is in every value
LINES = {  # of a host that trusts its cache for long, and of one that does not
    "east": [
        "zone = east",
        "store_timeout = 500ms",
        "cache_ttl = 3s",
        "cache_stale = 60s",
        "sandbox_connections = 0",
    ],
    "west": [
        "zone = west",
        "store_timeout = 300ms",
        "cache_ttl = 200ms",
        "cache_stale = 1s",
        "sandbox_connections = 0",
    ],
}
ZONES = tuple(LINES)


class Durable(Redis):
    """What it has acknowledged outlives kill -9."""

    has_monitor = False

    def command(self):
        return [*super().command(), "--appendonly", "yes", "--appendfsync", "always"]


class LiveOrigin(Origin):
    """Keeps the last request of each path until it is fetched; says it back, so that values would come back too."""

    def __init__(self, cert):
        self.told = {}
        super().__init__(cert)

    def talk(self, connection):
        reader = Reader(lambda: connection.tls.recv(65536))
        while (asked := reader.message()) is not None and asked.complete:
            path = asked.start.split(b" ")[1].partition(b"?")[0]
            self.told[path] = (connection.sni, asked)
            connection.tls.sendall(reply(body=asked.head + b"\r\n\r\n" + asked.body))
        with self.changed:
            self.connections.remove(connection)

    def fetch(self, path):
        return self.told.pop(path, (None, None))


class LiveHouse(RedisesHouse):
    kind_of_origin = LiveOrigin
    kills_workers = True

    def __init__(self, build):
        super().__init__(build, lines=LINES["east"], workers=WORKERS)
        self.timeline, self.recovered_s = Timeline(), 0.0

    def make_redises(self, folder):
        redises = Redises(folder)
        self.disk = self.redis = Durable(folder, "disk")
        self.redis_socket = self.disk.socket
        redises.all.append(self.disk.start())
        return redises

    def furnish(self):
        self.secrets.append(Secret("all of them", MARK, (), True))

    def start_proxy(self):
        super().start_proxy()
        self.proxies = {"east": self}
        if not hasattr(self, "west"):
            self.west = Neighbour(self, lines=LINES["west"], workers=WORKERS)
            self.west.kills_workers = True
            # A host of its own has a key file of its own.
            self.west.key_file = f"{self.west.folder}/key"
            self.copy_key()
            self.west.start_proxy()
        self.proxies["west"] = self.west

    def settle_down(self):
        pass

    def ctl_options(self):
        """One file, for several commands may run at once."""
        if not hasattr(self, "options"):
            self.options = super().ctl_options()
        return self.options

    def copy_key(self):
        """As an operator does: whole or not at all."""
        with open(self.key_file, "rb") as source:
            octets = source.read()
        fresh = self.west.key_file + ".new"
        with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as out:
            out.write(octets)
        os.rename(fresh, self.west.key_file)

    # --- what befalls it ------------------------------------------------------------------------------------

    def linked(self):
        """Each worker of both proxies has its two links, and no more."""
        try:
            kinds = ["P" in client["flags"] for client in self.disk.clients()]
        except (OSError, RuntimeError, EOFError):
            return False
        return kinds.count(True) == len(ZONES) * WORKERS and kinds.count(False) == len(ZONES) * WORKERS

    def await_linked(self):
        """To be called when Redis can answer again."""
        began = time.monotonic()
        await_until(lambda: self.linked() and self.linked(), "all workers have their links to Redis", 10)
        took = time.monotonic() - began
        self.recovered_s = max(self.recovered_s, took)
        see(took < RECOVERY_S, f"the workers had their links again after {took:.2f} s, not {RECOVERY_S} s")
        time.sleep(SOCKETS_S)

    def redis_dies(self, rng):
        self.disk.kill()
        time.sleep(rng.choice((0, 0.05, 0.3, 1.0)))
        self.disk.start()

    def redis_hangs(self, rng):
        self.disk.stop()
        time.sleep(rng.choice((0.02, 0.1, 0.4, 0.8, 1.5)))
        self.disk.go_on()

    def links_are_cut(self, rng):
        for client in self.disk.clients():
            if rng.random() < 0.6:
                try:
                    self.disk("CLIENT", "KILL", "ID", client["id"])
                except RuntimeError:
                    pass  # it left by itself

    def worker_dies(self, rng):
        house = rng.choice(list(self.proxies.values()))
        pid = rng.choice([pid for pid in house.pids() if pid != house.pid])
        os.kill(pid, signal.SIGKILL)
        await_until(lambda: pid not in house.pids(), "the master has seen that its worker is dead", 10)
        self.await_workers(house)

    def hangs_up(self, rng):
        house = rng.choice(list(self.proxies.values()))
        since = house.hang_up()
        house.await_said(since, "the configuration is reloaded")
        self.await_workers(house)

    @staticmethod
    def await_workers(house):
        """As many as there are to be, and none that only drains."""
        await_until(
            lambda: len(house.pids()) == WORKERS + 1 and house.metric("osb_workers_ready") == WORKERS,
            f"{WORKERS} workers are ready",
            40,
        )

    # --- what holds throughout ------------------------------------------------------------------------------

    def canaries(self):
        return self.secrets

    def holds(self):
        for zone, house in self.proxies.items():
            left = house.proxy.child.poll()
            see(left is None, f"the proxy of {zone} left with {left}: {short(house.proxy.said()[-3000:], 3000)}")
            house.see_sanitizers()

    def final(self):
        """Of the house's own, what still means something here; then the other proxy's."""
        checks = [
            ("no value is in Redis, in its file of all that it was told, or in a command line", self.see_store_clean),
            ("no value and no whole token is in the proxy's log, audit or metrics", self.see_logs_clean),
            ("every line of the audit log is one JSON object of printable ASCII", self.see_audit_clean),
            ("TERM ends the proxy with 0", self.see_end),
            ("no sanitizer has spoken", self.see_sanitizers),
        ]
        return checks + self.west.final()

    def see_store_clean(self):
        super().see_store_clean()
        for folder, _, names in os.walk(self.disk.folder):
            for name in names:
                with open(f"{folder}/{name}", "rb") as text:
                    self.see_absent(text.read(), f"Redis' {name}")

    def __exit__(self, *rest):
        if hasattr(self, "west"):
            self.west.__exit__(*rest)
        super().__exit__(*rest)
