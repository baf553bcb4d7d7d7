"""failover_sentinel - a master and its replica under three Sentinels: they are asked where it is, and followed.

A master that was killed comes back as it was, empty, and takes itself for one: nobody may go there but Sentinel.
"""
import itertools
import os
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from case import Bench, see, see_equal
from house import await_until
from load import Load, LoadOrigin
from redises import NAME, Watched
from redishouse import RedisesHouse, see_said
from rehouse import rehouse_last

bench = Bench()


class SentinelHouse(RedisesHouse):
    kind_of_origin = LoadOrigin

    def __init__(self, build):
        super().__init__(build, lines=["store_timeout = 500ms", "cache_ttl = 1s", "cache_stale = 60s"])

    def make_redises(self, folder):
        return Watched(folder)

    def addresses(self):
        return [self.redises.url()]

    def furnish(self):
        super().furnish()
        self.c = self.sandbox("sbC", "127.0.0.4", "A")  # never asks before a case says so

    def await_all(self, sentinels=3):
        """Everybody lives, and knows it; gives the master and the replica."""
        master, replica = self.redises.await_pair()
        self.redises.await_watched(master)
        return master, replica


@bench.case("the master is where Sentinel says it is, and nobody goes to the replica")
def asked(house):
    master, replica = house.await_all()
    house.see_at(master)
    house.see_nobody_at(replica)
    house.ctl("store", "list")


def killed(house, load):
    """It dies, and comes back empty, as a master in its own eyes, until Sentinel makes it a replica."""
    old, _ = house.await_all()
    with load.trouble():
        old.kill()
        new = house.redises.await_failover(old)
    load.steady()
    house.see_at(new)
    old.start()
    load.steady()
    house.await_all()
    house.see_nobody_at(old)


def hung(house, load):
    """It hangs until another one is the master, and still takes itself for one when it goes on."""
    old, _ = house.await_all()
    with load.trouble():
        old.stop()
        new = house.redises.await_failover(old)
    load.steady()
    old.go_on()
    load.steady()
    house.see_at(new)
    house.await_all()
    house.see_nobody_at(old)


def planned(house, load):
    """SENTINEL FAILOVER: the old one lives, and nobody's connection to it breaks but by Sentinel's hand."""
    old, _ = house.await_all()
    with load.trouble():
        house.redises.sentinels[0]("SENTINEL", "FAILOVER", NAME)
        new = house.redises.await_failover(old)
    load.steady()
    house.see_at(new)
    house.await_all()
    house.see_nobody_at(old)


@bench.case(
    "clients are served while Sentinel makes another one the master, no value is old or lost, and all follow",
    [("killed", killed), ("hung", hung), ("planned", planned)],
)
def failover(house, step):
    with Load(house) as load:
        load.steady()
        step(house, load)


@bench.case("what osbctl reports done while Sentinel hands over is there afterwards, to the last one")
def handing_over(house):
    old, _ = house.await_all()
    done, ended = [], threading.Event()

    def create():
        for number in itertools.count():
            if ended.wait(0.02):
                return
            name = f"over-{number}"
            if house.ctl_done("store", "create", name, "--egress-allow", "api.test").returncode == 0:
                done.append(name)

    creator = threading.Thread(target=create)
    creator.start()
    try:
        await_until(lambda: len(done) > 2, "stores are made")
        house.redises.sentinels[0]("SENTINEL", "FAILOVER", NAME)
        house.redises.await_failover(old)
        await_until(lambda: old.role() == "slave", "the old one is a replica", 20)
        count = len(done)
        await_until(lambda: len(done) > count + 2, "stores are made again", 20)
    finally:
        ended.set()
        creator.join(20)
    listed = {line.split("\t")[0] for line in house.ctl("store", "list").splitlines()}
    lost = [name for name in done if name not in listed]
    see(not lost, f"{len(lost)} of {len(done)} stores are lost, the first is {lost[:1]}")
    print(f"note  {len(done)} stores were made", flush=True)
    for name in done:
        house.ctl("store", "delete", name)
    house.await_all()


@bench.case("a Sentinel that is dead or hangs is passed over", [("dead", "kill"), ("hung", "stop")])
def one_away(house, how):
    first = house.redises.sentinels[0]
    master, _ = house.await_all()
    getattr(first, how)()
    try:
        house.again()
        house.see_at(master)
        house.ctl("store", "list")
    finally:
        first.start() if how == "kill" else first.go_on()
    house.await_all()


@bench.case("no Sentinel at all: who is connected stays, who comes later is not ready; all heals when they are back")
def all_away(house):
    master, _ = house.await_all()
    for sentinel in house.redises.sentinels:
        sentinel.kill()
    try:
        with Load(house, changes=False) as load:
            load.steady()
        house.await_served(house.c)
        see_said(house.ctl_done("store", "list"), 1, "sentinel")
        house.again(awaits_redis=False)
        see_equal(house.readyz(), 503, "the status of /readyz")
        see(not house.served(house.a), "it is served, though nobody could say where its record is")
    finally:
        for sentinel in house.redises.sentinels:
            sentinel.start()
    house.await_served(house.a)
    await_until(lambda: house.metric("osb_workers_ready") == 2, "both workers are ready", 4)
    house.see_at(master)
    house.await_all()


@bench.case("a name that Sentinel does not know is said, by the proxy's log and by osbctl")
def unknown_name(house):
    master, _ = house.await_all()
    house.tell(house.redises.url(name="nobody"))
    try:
        see_said(house.ctl_done("store", "list"), 1, "no master of this name")
        house.again(awaits_redis=False)
        await_until(lambda: b"no master of this name" in house.proxy.said(), "the log says it", 5)
        see_equal(house.readyz(), 503, "the status of /readyz")
    finally:
        house.tell(house.redises.url())
    house.again()
    house.see_at(master)


@bench.case("behind Sentinels that know nothing of a name, the next address of the list is taken")
def next_address(house):
    master, _ = house.await_all()
    house.tell(house.redises.url(name="nobody"), master.url())
    try:
        house.again()
        house.see_at(master)
        house.ctl("store", "list")
    finally:
        house.tell(house.redises.url())
    house.again()


rehouse_last(bench)
bench.run(SentinelHouse)
