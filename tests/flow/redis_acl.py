"""redis_acl - all of both programs as the users that `osbctl redis-acl` prints, the user of everybody being off.

On a pair, under Sentinels and on a Cluster. That each right is needed is read from the servers' own counts of commands; that
the proxy's user can't write, from Redis' list of commands that do.
"""
import os
import re
import secrets
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from case import Bench, see, see_equal, short
from house import await_until
from load import Load, LoadOrigin
from redises import Cluster, Pair, Watched
from redishouse import RedisesHouse
from rehouse import rehouse_last
from resp import Resp

bench = Bench()
USERS = ("osb-proxy", "osbctl")
ACL = re.compile(r"ACL SETUSER (\S+) (.+)")


class AclHouse(RedisesHouse):
    kind_of_origin = LoadOrigin

    def __init__(self, build):
        super().__init__(build, lines=["store_timeout = 500ms", "cache_ttl = 1s", "cache_stale = 60s"])

    def make_redises(self, folder):
        printed = dict(ACL.findall(self.ctl_bare("redis-acl")))
        see_equal(tuple(printed), USERS, "the users that are printed")
        self.rules, self.password = {name: rules.split() for name, rules in printed.items()}, secrets.token_hex(16)
        return self.guarded(Pair(folder, admin=True))

    def ctl_bare(self, *words):
        self.redis_lines, self.key_file = [], f"{self.folder}/key"
        return self.ctl(*words)

    def guarded(self, redises, default="off"):
        """As an operator would: the printed lines with a password each, on every server, and nobody else."""
        for redis in redises.servers():
            for name, rules in self.rules.items():
                redis("ACL", "SETUSER", name, *rules, f">{self.password}")
            redis("ACL", "SETUSER", "default", default)
        return redises

    def user(self, name):
        return f"{name}:{self.password}@"

    def urls(self, name, redises=None, db=""):
        return [redis.url(self.user(name), db=db) for redis in (redises or self.redises).servers()[:3]]

    def addresses(self):
        return self.urls("osb-proxy")

    def tell(self, *urls, **more):
        """The proxy's; osbctl has the same places and its own user."""
        super().tell(*urls, **more)
        self.ctl_lines = [line.replace("osb-proxy:", "osbctl:") for line in self.redis_lines]

    def ctl_options(self):
        lines, self.redis_lines = self.redis_lines, getattr(self, "ctl_lines", [])
        try:
            return super().ctl_options()
        finally:
            self.redis_lines = lines

    def furnish(self):
        super().furnish()
        self.c = self.sandbox("sbC", "127.0.0.4", "A")

    # --- what was asked of Redis ----------------------------------------------------------------------------

    def forget(self, redises):
        for redis in redises.servers():
            redis("CONFIG", "RESETSTAT")

    def called(self, redises):
        """Commands that were called since, by whoever."""
        texts = [redis("INFO", "commandstats").decode() for redis in redises.servers()]
        return {name for text in texts for name in re.findall(r"^cmdstat_([a-z]+):calls=[1-9]", text, re.M)}

    def rights(self, name):
        return {rule[1:] for rule in self.rules[name] if rule[0] == "+"}


def whole_life(house, prefix=""):
    """Every verb of osbctl that talks to Redis, each more than once where that makes a difference."""
    store, one, two = f"{prefix}life", f"{prefix}life-1", f"{prefix}life-2"
    value = lambda: f"canary-LIFE-{secrets.token_hex(12)}".encode()
    house.ctl("store", "create", store, "--egress-allow", "api.test")
    for _ in range(2):
        house.ctl("secret", "set", store, "LIFE", "--value-file", "-", "--in", "header", octets=value())
    house.ctl("sandbox", "create", one, "--ip", "127.0.6.1", "--store", store, "--ttl", "600")
    house.ctl("secret", "set", store, "LIFE", "--value-file", "-", "--allow-host", "api.test", octets=value())
    house.ctl("sandbox", "fork", two, "--from", one, "--ip", "127.0.6.2", "--ip", "127.0.6.3", "--store", "A")
    house.ctl("sandbox", "move", two, "--ip", "127.0.6.4")
    house.ctl("sandbox", "extend", two, "--ttl", "900")
    for words in (["list"], ["get", two], ["env", two], ["ca", two]):
        house.ctl("sandbox", *words)
    for words in (["store", "list"], ["store", "get", store], ["secret", "list", store], ["secret", "get", store, "LIFE"]):
        house.ctl(*words)
    house.ctl("check", "--sandbox", two, "--host", "api.test", "--secret", "LIFE")
    house.ctl_done("status")
    house.ctl("store", "update", store, "--name", f"{store}-b", "--egress-allow", "api.test", "--egress-allow", "echo.test")
    kept = house.ctl("backup").encode()
    house.ctl("sandbox", "delete", one)
    house.ctl("restore", octets=kept)
    house.ctl("sandbox", "get", one)
    house.ctl("key", "rotate", "--stage")
    house.ctl("key", "rotate")
    keys = [line.split("\t")[0] for line in house.ctl("key", "list").splitlines()]
    if not prefix:  # records elsewhere lie under it still
        house.ctl("key", "drop", keys[-1])
    house.ctl("secret", "delete", f"{store}-b", "LIFE")
    house.ctl("sandbox", "delete", one)
    house.ctl("sandbox", "delete", two)
    house.ctl("sandbox", "delete", two, code=3)
    house.ctl("store", "delete", f"{store}-b", "--revoke")


# --- what they may ----------------------------------------------------------------------------------------------------


def flags(redis, name):
    (said,) = redis("COMMAND", "INFO", name)
    return {flag.decode() for flag in said[2]} if said else {"unknown"}


@bench.case("the proxy's user can write nothing, and neither user more than what is printed")
def least(house):
    redis = house.redises.one
    for name in house.rights("osb-proxy"):
        see(not flags(redis, name) & {"write", "admin", "dangerous", "unknown"}, f"{name} is {flags(redis, name)}")
    for name in house.rights("osbctl"):
        see(not flags(redis, name) & {"admin", "unknown"}, f"{name} is {flags(redis, name)}")
    for user in USERS:
        said = redis("ACL", "GETUSER", user)
        said = dict(zip(said[::2], said[1::2]))
        granted = {word[1:] for word in said[b"commands"].decode().split() if word[0] == "+"}
        see_equal(granted, house.rights(user), f"what {user} may")
        see_equal(said[b"channels"], b"&osb:changes", f"the channels of {user}")
        see(said[b"keys"] in (b"%R~osb:*", b"~osb:*"), f"the keys of {user} are {said[b'keys']}")


@bench.case(
    "what is not theirs is refused",
    [
        ("the proxy writes", "osb-proxy", ["SET", "osb:x", "1"]),
        ("the proxy removes", "osb-proxy", ["DEL", "osb:sandbox:{sbA}"]),
        ("the proxy runs a script", "osb-proxy", ["EVAL", "return 1", "0"]),
        ("the proxy tells of a change", "osb-proxy", ["PUBLISH", "osb:changes", "x"]),
        ("the proxy hears another channel", "osb-proxy", ["SUBSCRIBE", "other"]),
        ("the proxy reads another's key", "osb-proxy", ["GET", "other"]),
        ("the proxy lists keys", "osb-proxy", ["KEYS", "*"]),
        ("osbctl reads another's key", "osbctl", ["GET", "other"]),
        ("osbctl's script writes another's key", "osbctl", ["EVAL", "return redis.call('SET', 'other', 1)", "0"]),
        ("osbctl's script empties the server", "osbctl", ["EVAL", "return redis.call('FLUSHALL')", "0"]),
        ("osbctl changes users", "osbctl", ["ACL", "SETUSER", "x", "on"]),
        ("osbctl changes the server", "osbctl", ["CONFIG", "SET", "dir", "/tmp"]),
        ("osbctl makes it a replica", "osbctl", ["REPLICAOF", "127.0.0.1", "1"]),
        ("osbctl empties it", "osbctl", ["FLUSHALL"]),
        ("nobody at all", None, ["GET", "osb:sandbox:{sbA}"]),
    ],
)
def refused(house, user, words):
    resp = Resp(house.redises.one.socket)
    if user:
        resp("AUTH", user, house.password)
    try:
        got = resp(*words)
    except RuntimeError as error:
        see(re.search("NOPERM|NOAUTH|can't (run|access)|permission", str(error)), f"it said {error}")
        return
    see(False, f"it was done: {short(got)}")


# --- all of it --------------------------------------------------------------------------------------------------------


@bench.case("a master is killed under load, its replica promoted, and back: all with no other right")
def pair(house):
    one, two = house.redises.one, house.redises.two
    with Load(house) as load:
        load.steady()
        with load.trouble():
            one.kill()
            load.await_refusal()
            house.redises.promote(two)
        load.steady()
        one.start("--replicaof", "127.0.0.1", str(two.port))
        house.redises.await_pair()
        house.guarded(house.redises)  # the one that came back had forgotten its users
        load.steady()
        two("FAILOVER", "TO", "127.0.0.1", str(one.port))
        with load.trouble():
            await_until(lambda: one.role() == "master" and two.role() == "slave", "they have changed places")
        load.steady()
    house.redises.await_pair()


@bench.case("each of osbctl's rights is needed by a verb, but for those of other databases and of a Cluster")
def osbctl_needs(house):
    house.redises.await_pair()
    house.stop_proxy()
    try:
        house.forget(house.redises)
        whole_life(house)
        called = house.called(house.redises)
    finally:
        house.again()
    idle = house.rights("osbctl") - called
    see_equal(idle - {"select", "asking", "readwrite", "ping"}, set(), "what was never asked")


@bench.case("each of the proxy's rights is needed, but for those of a Cluster; another database is as good")
def proxy_needs(house):
    house.redises.await_pair()
    house.tell(*house.urls("osb-proxy", db="/3"))
    try:
        house.store("Db", "api.test")
        house.secret("Db", "INDB", "api.test")
        made = house.sandbox("sbDb", "127.0.6.9", "Db")
        house.again("store_timeout = 100ms")
        house.forget(house.redises)
        house.redises.one.cut()
        house.redises.two.cut()
        house.await_served(made)
        idle = lambda: house.rights("osb-proxy") - house.called(house.redises) - {"asking", "readwrite"}
        await_until(lambda: not idle(), f"all was asked, but {idle()}", 4)
    finally:
        house.sandboxes.pop("sbDb", None)
        house.tell(*house.addresses())
        house.again()


@bench.case(
    "without one of the proxy's rights it says which, serves nobody unknown, and heals when it is given",
    [(right, right) for right in ("get", "hgetall", "subscribe", "role")],
)
def dropped(house, right):
    house.again()
    house.await_served(house.a)
    since = len(house.proxy.said())
    for redis in house.redises.all:
        redis("ACL", "SETUSER", "osb-proxy", f"-{right}")
        redis.cut()
    try:
        words = b"NOPERM.*'%s'" % right.encode()

        def said_so():
            served = house.served(house.c)
            return re.search(words, house.proxy.said()[since:]) and (not served or right == "subscribe")

        await_until(said_so, f"the log says {words}, and somebody unknown is turned away", 4)
    finally:
        for redis in house.redises.all:
            redis("ACL", "SETUSER", "osb-proxy", f"+{right}")
    house.await_served(house.c)
    house.see_at(house.redises.await_pair()[0])


def elsewhere(house, make, urls):
    """The same house over other servers: what it had is brought there by backup and restore."""
    kept, folder = house.ctl("backup").encode(), f"{house.folder}/{secrets.token_hex(4)}"
    os.mkdir(folder)
    others = house.guarded(make(folder))
    own, house.redises = house.redises, others
    house.tell(*urls(others))
    house.ctl("restore", octets=kept)
    see_equal(house.set_load()[0].returncode, 0, "the exit code")
    return own


@bench.case("the same under Sentinels, before and behind a failover of theirs")
def sentinels(house):
    own = elsewhere(house, lambda folder: Watched(folder, admin=True), lambda w: [w.url(house.user("osb-proxy"))])
    try:
        house.again()
        with Load(house) as load:
            load.steady()
            with load.trouble():
                house.redises.one.kill()
                house.redises.await_failover(house.redises.one)
            load.steady()
        whole_life(house, "sentinel-")
    finally:
        house.redises.end()
        house.redises = own
        house.tell(*house.addresses())
        house.again()


@bench.case("the same on a Cluster whose slots move and whose masters change; nothing printed is left unused")
def cluster(house):
    make = lambda folder: Cluster(folder, admin=True)
    own = elsewhere(house, make, lambda nodes: house.urls("osb-proxy", nodes))
    try:
        nodes, key = house.redises, f"osb:sandbox:{{{house.loaded[0].name}}}"
        replicas = [node for node in nodes.all if node.role() == "slave"]
        house.tell(*[node.url(house.user("osb-proxy")) for node in replicas])
        house.forget(nodes)
        house.again()
        slot, old = nodes.slot(key), nodes.owner(key)
        new = next(node for node in nodes.masters() if node is not old)
        with Load(house) as load:
            load.steady()
            nodes.begin_move(slot, old, new)
            nodes.move_keys(slot, old, new)
            load.steady()
            nodes.end_move(slot, old, new)
            load.steady()
            see(not load.unserved, f"{len(load.unserved)} requests were refused")
        whole_life(house, "cluster-")
        idle = (house.rights("osb-proxy") | house.rights("osbctl")) - house.called(nodes) - {"select"}
        see_equal(idle, set(), "what was never asked")
    finally:
        house.redises.end()
        house.redises = own
        house.tell(*house.addresses())
        house.again()


rehouse_last(bench)
bench.run(AclHouse)
