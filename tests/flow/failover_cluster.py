"""failover_cluster - a Cluster of three masters and their replicas: slots move and masters die, under load.

Sandboxes lie on all masters, and so do stores, addresses and the lists of names, each somewhere.
"""
import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from case import Bench, see, see_equal
from load import Load, LoadOrigin
from redises import Cluster
from redishouse import RedisesHouse
from rehouse import rehouse_last

bench = Bench()


class ClusterHouse(RedisesHouse):
    kind_of_origin = LoadOrigin

    def __init__(self, build):
        super().__init__(build, lines=["store_timeout = 500ms", "cache_ttl = 200ms", "cache_stale = 60s"])

    def make_redises(self, folder):
        return Cluster(folder)

    def addresses(self):
        return [node.url() for node in self.redises.all[:3]]

    def furnish(self):
        """A store and a sandbox on each master, at least."""
        super().furnish()
        self.stores, self.everywhere = {}, {}
        for n in range(30):
            if len(self.everywhere) == 3:
                break
            sandbox = self.sandbox(f"sbE{n}", f"127.0.4.{n + 1}", "A", "B")
            self.everywhere.setdefault(self.redises.owner(f"osb:sandbox:{{{sandbox.name}}}").name, sandbox)
        for n in range(30):
            if len(self.stores) == 3:
                break
            made = self.ctl("store", "create", f"E{n}", "--egress-allow", "api.test").strip()
            self.stores.setdefault(self.redises.owner(f"osb:store:{{{made}}}").name, made)

    def store_id(self, name):
        return json.loads(self.ctl("--json", "store", "get", name))["id"]


@bench.case("stores and sandboxes lie on all masters, and all are served, listed, changed and removed")
def everywhere(house):
    see_equal(len(house.everywhere), 3, "the count of masters that have a sandbox")
    see_equal(len(house.stores), 3, "the count of masters that have a store")
    for sandbox in house.everywhere.values():
        house.warm(sandbox)
    listed = house.ctl("sandbox", "list")
    see(all(sandbox.name + "\t" in listed for sandbox in house.sandboxes.values()), f"listed are {listed}")
    stores = house.ctl("store", "list")
    see(all(store in stores for store in house.stores.values()), f"listed are {stores}")
    for store in house.stores.values():
        house.ctl("secret", "set", store, "X", "--value-file", "-", octets=b"sixteen octets, or more")
        house.ctl("store", "update", store, "--egress-allow", "echo.test")
        house.ctl("store", "delete", store, "--revoke")


KEYS = [
    ("a sandbox's", lambda house: f"osb:sandbox:{{{house.loaded[0].name}}}"),
    ("an address's", lambda house: f"osb:ip:default:{{{house.loaded[0].address}}}"),
    ("a store's", lambda house: f"osb:store:{{{house.store_id('L')}}}"),
    ("the names of sandboxes", lambda house: "osb:sandboxes"),
    ("the names of stores", lambda house: "osb:stores"),
]


@bench.case("a slot moves under load, stopping at each step: nobody is refused, and no value is old", KEYS)
def moves(house, key_of):
    key, cluster = key_of(house), house.redises
    slot, old = cluster.slot(key), cluster.owner(key)
    new = next(node for node in cluster.masters() if node is not old)
    with Load(house) as load:
        load.steady()
        cluster.begin_move(slot, old, new)
        load.steady()
        while cluster.move_keys(slot, old, new, 1):
            load.steady(5)
        load.steady()
        while cluster.move_keys(slot, old, new):  # what was made since
            pass
        cluster.end_move(slot, old, new)
        load.steady()
        see_equal(cluster.owner(key).name, new.name, "who has the slot")
        see(not load.unserved, f"{len(load.unserved)} requests were refused")
        see_equal(load.refusals, 0, "how often osbctl failed")


def killed(house, load, old):
    """Its replica takes over by itself."""
    new = house.redises.replica_of(old)
    with load.trouble():
        old.kill()
        house.redises.await_failover(new)
    load.steady()
    old.start()
    house.redises.await_replicas()
    load.steady()


def handed_over(house, load, old):
    """By hand, with both alive: nothing is lost and nobody refused."""
    new = house.redises.replica_of(old)
    with load.trouble():
        new("CLUSTER", "FAILOVER")
        house.redises.await_failover(new)
    load.steady()
    house.redises.await_replicas()


@bench.case(
    "clients are served while a master dies or hands over, no value is old or lost, and all follow",
    [
        ("it has a sandbox, and is killed", killed, KEYS[0][1]),
        ("it has the store, and is killed", killed, KEYS[2][1]),
        ("it has a sandbox, and hands over", handed_over, KEYS[0][1]),
    ],
)
def failover(house, step, key_of):
    house.redises.await_replicas()
    with Load(house) as load:
        load.steady()
        step(house, load, house.redises.owner(key_of(house)))
    for sandbox in house.everywhere.values():
        house.await_served(sandbox)


@bench.case("the first address may be a node that is dead, or any replica")
def any_node(house):
    cluster = house.redises
    house.redises.await_replicas()
    replicas = [node for node in cluster.all if node.role() == "slave"]
    for urls in ([replicas[0].url()], ["redis://127.0.0.1:1", replicas[1].url(), replicas[2].url()]):
        house.tell(*urls)
        try:
            house.again()
            for sandbox in house.everywhere.values():
                house.await_served(sandbox)
            with Load(house) as load:
                load.steady()
        finally:
            house.tell(*house.addresses())
    house.again()


@bench.case("the node that the proxy came by is killed: others are asked, and changes are heard of, by the other addresses")
def seed_dies(house):
    house.redises.await_replicas()
    seed, *others = house.redises.masters()
    heir = house.redises.replica_of(seed)
    house.tell(*[node.url() for node in (seed, *others)])
    house.again()
    with Load(house) as load:
        load.steady()
        with load.trouble():
            seed.kill()
            house.redises.await_failover(heir)
        load.steady()
        seed.start()
        house.redises.await_replicas()
        load.steady()
    house.tell(*house.addresses())


rehouse_last(bench)
bench.run(ClusterHouse)
