"""failover - a master and its replica, both in the list: killed, promoted, demoted, hung and gone, under load.

What the two of them are changes from case to case, as in life; each begins where one is the other's replica.
"""
import os
import secrets
import socket
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from case import Bench, see, see_equal
from house import await_until, request
from load import GRACE_S, Load, LoadOrigin
from redises import Pair
from redishouse import RedisesHouse, see_said
from refusal import see_refusal
from rehouse import rehouse_last

bench = Bench()
GET = request("GET", "/store", "api.test")
LINES = ["store_timeout = 500ms", "cache_ttl = 1s", "cache_stale = 60s"]
LINKS = 4  # of both workers


class PairHouse(RedisesHouse):
    kind_of_origin = LoadOrigin

    def __init__(self, build):
        super().__init__(build, lines=LINES)

    def make_redises(self, folder):
        return Pair(folder)

    def furnish(self):
        super().furnish()
        self.c = self.sandbox("sbC", "127.0.0.4", "A")  # never asks before a case says so

    def pair(self):
        """The master and its replica, as they are now."""
        return self.redises.await_pair()

    def sent(self, sandbox):
        """The value that a request of this sandbox has at its host."""
        path = f"/load/by-hand-{secrets.token_hex(4)}"
        answer = self.ask(
            sandbox, "api.test", request("GET", path, "api.test", b"X-Key: " + sandbox.tokens["LOAD"])
        )
        see_equal(answer.status, 200, "the status")
        return self.origin.told.pop(path)[1].encode()

    def cached_only(self, *lines):
        """A new start that knows the load's sandboxes and sbA, and has never heard of sbC."""
        self.again(*lines)
        self.warm(self.a, *self.loaded)


@bench.case("a replica that is first in the list is passed over, by the proxy and by osbctl")
def replica_first(house):
    master, replica = house.pair()
    house.tell(replica.url(), master.url())
    house.again()
    house.see_at(master)
    house.see_nobody_at(replica)
    done, value = house.set_load()
    see_equal(done.returncode, 0, f"the exit code (it said {done.stderr!r})")
    await_until(lambda: house.sent(house.loaded[0]) == value, "the new value is sent", 1)


@bench.case("of several addresses those where nobody is, or hangs, are passed over")
def dead_first(house):
    master, replica = house.pair()
    replica.stop()
    try:
        house.tell(f"unix:{house.folder}/nobody.sock", replica.url(), "redis://127.0.0.1:1", master.url())
        house.again()
        house.see_at(master)
        house.ctl("store", "list")  # five seconds for the one that hangs
    finally:
        replica.go_on()
        house.tell(replica.url(), master.url())
    house.again()


# --- the master changes -----------------------------------------------------------------------------------------------


def killed(house, load):
    """The master dies and its replica is promoted by hand."""
    old, new = house.pair()
    with load.trouble():
        old.kill()
        load.await_refusal()
        load.hold(1)
        house.redises.promote(new)
    load.steady()
    house.see_at(new)


def back(house, load):
    """The one that was killed comes back as a replica, wherever in the list: nobody goes there."""
    new = next(redis for redis in (house.redises.one, house.redises.two) if redis.alive())
    old = house.redises.two if new is house.redises.one else house.redises.one
    old.start("--replicaof", "127.0.0.1", str(new.port))
    house.pair()
    load.steady()
    house.see_nobody_at(old)


def handed_over(house, load):
    """A planned change: the master hands over to its replica, and stays there as one."""
    old, new = house.pair()
    with load.trouble():
        old("FAILOVER", "TO", "127.0.0.1", str(new.port), "TIMEOUT", "5000")
        await_until(lambda: new.role() == "master" and old.role() == "slave", "they have changed places")
    load.steady()
    house.see_at(new)
    house.see_nobody_at(old)


def promoted_under(house, load):
    """The replica is promoted while the master lives on, and then demoted: for a moment there are two."""
    old, new = house.pair()
    with load.trouble():
        old("CLIENT", "PAUSE", "5000", "WRITE")
        await_until(lambda: new("ROLE")[4] == old("ROLE")[1], "the replica has all")
        house.redises.promote(new)
        house.redises.follow(new, old)
        old("CLIENT", "UNPAUSE")
    load.steady()
    house.see_at(new)
    house.see_nobody_at(old)


@bench.case(
    "clients are served while the master changes, no value is old or lost, and all follow",
    [
        ("killed, its replica promoted; back as a replica", [killed, back]),
        ("handed over, there and back", [handed_over, handed_over]),
        ("demoted while all are connected", [promoted_under]),
    ],
)
def changes(house, steps):
    with Load(house) as load:
        load.steady()
        for step in steps:
            step(house, load)


@bench.case("a master is killed again and again while the cache is asked for each time")
def killed_often(house):
    house.again("cache_ttl = 50ms")
    with Load(house, kept=2, fresh=2) as load:
        for _ in range(2):
            load.steady()
            killed(house, load)
            back(house, load)
    house.again()


# --- a replica that hangs -----------------------------------------------------------------------------------------------


@bench.case(
    "where the replica hangs osbctl says that none has confirmed and exits 1; run again, it is done",
    [
        ("secret set", ["secret", "set", "L", "LOAD", "--value-file", "-"]),
        ("store create", ["store", "create", "Unconfirmed", "--egress-allow", "api.test"]),
        ("store update", ["store", "update", "L", "--egress-allow", "api.test", "--egress-allow", "echo.test"]),
        ("sandbox extend", ["sandbox", "extend", "sbC", "--ttl", "5000"]),
        ("secret delete", ["secret", "delete", "A", "S2"]),
    ],
)
def unconfirmed(house, words):
    master, replica = house.pair()
    house.tell(master.url(), replica.url())
    value = f"canary-LOAD-{secrets.token_hex(12)}".encode()
    octets = value if "-" in words else None
    if octets:
        house.keep_watch("LOAD", value)
    replica.stop()
    try:
        began = time.monotonic()
        done = house.ctl_done(*words, octets=octets)
        see_said(done, 1, "no replica has confirmed")
        see(time.monotonic() - began < 4, f"it took {time.monotonic() - began:.1f} s")
    finally:
        replica.go_on()
    house.pair()
    again = house.ctl_done(*words, octets=octets)
    see(again.returncode in (0, 3) if "delete" in words else again.returncode == 0, f"again: {again.stderr!r}")
    if octets:
        await_until(lambda: house.sent(house.loaded[0]) == value, "the value is sent", 1)


@bench.case("a server that is listed twice, and has no replica, is not waited for as its own")
def twice(house):
    master, replica = house.pair()
    replica.kill()
    house.tell(f"unix:{master.socket}", master.url())
    try:
        await_until(lambda: master.replicas() == 0, "the master has noticed")
        house.ctl("store", "update", "L", "--egress-allow", "api.test", "--egress-allow", "echo.test")
    finally:
        replica.start("--replicaof", "127.0.0.1", str(master.port))
        house.tell(master.url(), replica.url())
    house.pair()


# --- nobody answers -----------------------------------------------------------------------------------------------------


def hang(house):
    for redis in house.redises.all:
        redis.stop()


def vanish(house):
    """Both are killed; what they hold lies on disk."""
    for redis in house.redises.all:
        redis("SAVE")
        redis.kill()


def wake(house):
    for redis in house.redises.all:
        redis.go_on()


def come_back(house):
    """As they were: the second one still the first one's replica."""
    one, two = house.redises.all
    one.start()
    two.start("--replicaof", "127.0.0.1", str(one.port))


def as_at_first(house):
    """One is the master, so that both come back from what is on disk as what they were."""
    master, replica = house.pair()
    if master is not house.redises.one:
        house.redises.promote(replica)
        house.redises.follow(replica, master)
        house.pair()


AWAY = [("they hang", hang, wake), ("they were killed", vanish, come_back)]


@bench.case("both away: cached records serve through cache_stale, then 503 and resets; back within a second", AWAY)
def stale(house, go, come):
    as_at_first(house)
    house.cached_only("store_timeout = 300ms", "cache_ttl = 100ms", "cache_stale = 1s")
    with house.client(house.a, "api.test") as live:
        see_equal(live.ask(GET).status, 200, "the status before")
        go(house)
        began = time.monotonic()
        try:
            answers = []

            def turned():
                answers.append(live.ask(GET))
                return answers[-1] is None or answers[-1].status != 200

            await_until(turned, "it ends", 5)
            took_s = time.monotonic() - began
            see_refusal(house, answers[-1], 503, "store_unavailable")
            see(0.7 < took_s < 2.5, f"records were stale after {took_s:.1f} s, not 1 s")
            for sandbox in (house.a, house.c):
                see(not house.served(sandbox), f"a new connection of {sandbox.name} is served")
            await_until(lambda: house.readyz() == 503, "/readyz is 503", 3)
        finally:
            come(house)
        began = time.monotonic()
        house.await_served(house.a)
        house.await_served(house.c)
        took_s = time.monotonic() - began
        see(took_s < GRACE_S, f"it took {took_s:.2f} s until all were served")
        print(f"note  served again after {took_s:.2f} s", flush=True)
    house.pair()
    await_until(lambda: house.metric("osb_workers_ready") == 2, "both workers are ready", 4)


@bench.case("both away: who is known is served on, without waiting for those who are not", AWAY)
def loop(house, go, come):
    as_at_first(house)
    house.cached_only("cache_ttl = 60s")
    ended, turned = threading.Event(), []

    def knock():
        while not ended.is_set():
            with house.client(house.c, "api.test", seconds=5) as client:
                turned.append(client.closed if not client.shaken else "served")

    threads = [threading.Thread(target=knock) for _ in range(4)]
    with Load(house, changes=False) as load:
        go(house)
        try:
            for thread in threads:
                thread.start()
            load.steady(100)
            await_until(lambda: len(turned) >= 8, "those who are not known were turned away", 6)
        finally:
            ended.set()
            for thread in threads:
                thread.join(10)
            come(house)
        see(set(turned) <= {"rst", "fin"}, f"those who are not known: {set(turned)}")
        see(load.slowest_s < 0.5, f"a request took {load.slowest_s:.2f} s")
        house.await_served(house.c)
    house.pair()


@bench.case("both away: osbctl says in one line which addresses it has tried, and why not, and exits 1")
def unreachable(house):
    as_at_first(house)
    vanish(house)
    try:
        done = house.ctl_done("store", "list")
        said = see_said(done, 1, "refused")
        for redis in house.redises.all:
            see(str(redis.port) in said, f"nothing of port {redis.port} in {said!r}")
        see_equal((done.stdout, said.count("\n")), (b"", 1), "what it printed, and the count of lines")
    finally:
        come_back(house)
    house.pair()


# --- coming back ---------------------------------------------------------------------------------------------------------


class Counter:
    """A listener that ends each connection at once, and remembers when it came."""

    def __init__(self, port):
        self.times, self.listener = [], socket.create_server(("127.0.0.1", port), backlog=512)
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.times.append(time.monotonic())
            connection.close()

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


def see_no_storm(times, began):
    """At one address, of all links: after 50 ms, then the double, up to 500 ms, a quarter more or less."""
    in_second = lambda first: len([t for t in times if first <= t < first + 1])
    most, last = max(in_second(t) for t in times), in_second(began + 3)
    print(f"note  {len(times)} connections in 4 s, at most {most} in one second, {last} in the last one", flush=True)
    see(most <= LINKS * 8, f"{most} connections in one second")
    see(0 < last <= LINKS * 4, f"{last} connections in the fourth second")
    late = [t for t in times if t > began + 1]
    steps = [b - a for a, b in zip(late, late[1:])]
    alone = len([step for step in steps if step > 0.002])
    see(alone >= len(steps) / 2, f"only {alone} of {len(steps)} come by themselves: no jitter")


@bench.case("where all are refused the links come back spread and seldom, and are there within a second of Redis")
def storm(house):
    as_at_first(house)
    house.again()
    house.warm(house.a)
    vanish(house)
    counters = [Counter(redis.port) for redis in house.redises.all]
    began = time.monotonic()
    try:
        await_until(lambda: time.monotonic() > began + 4, "four seconds have passed", 6)
    finally:
        for counter in counters:
            counter.close()
    come_back(house)
    began_back = time.monotonic()
    house.see_at(house.redises.one)
    took_s = time.monotonic() - began_back
    house.pair()
    see(took_s < GRACE_S, f"all links were back after {took_s:.2f} s")
    for counter in counters:
        see_no_storm(counter.times, began)


rehouse_last(bench)
bench.run(PairHouse)
