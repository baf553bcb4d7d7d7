"""osbctl_redis - osbctl alone before several servers, Sentinels and a Cluster: whom it finds and waits for, what it says.

What proxies make of the same is in failover*.py; that a command may die anywhere is in other suites, on one server.
"""
import concurrent.futures
import json
import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from case import Bench, see, see_equal, short
from cutter import Cutter
from house import SANITIZER, await_until
from redises import NAME, Cluster, Watched
from redishouse import see_said
from resp import Resp

bench = Bench()
MANY = 140  # sandboxes of one store: more than are under way at once
DEAD = "redis://127.0.0.1:1"


class Place:
    def __init__(self, build):
        self.build = build

    def __enter__(self):
        self.folder = tempfile.mkdtemp(prefix="osb-place-")
        self.key = f"{self.folder}/key"
        for name in ("pair", "cluster"):
            os.mkdir(f"{self.folder}/{name}")
        self.redises = []
        self.redises.append(Watched(f"{self.folder}/pair"))
        self.redises.append(Cluster(f"{self.folder}/cluster"))
        self.pair, self.cluster = self.redises
        self.one, self.two = self.pair.one, self.pair.two
        self.ctl([], "key", "init", self.key)
        self.ctl([self.one.url()], "store", "create", "S", "--egress-any")
        return self

    def __exit__(self, *_):
        for redises in self.redises:
            redises.end()
        shutil.rmtree(self.folder)

    def words(self, urls, *words):
        path = f"{self.folder}/conf.{len(os.listdir(self.folder))}.{os.urandom(4).hex()}"
        with open(path, "w") as out:
            out.write("".join(f"redis = {url}\n" for url in urls))
        return [f"{self.build}/osbctl", "-c", path, "--key-file", self.key, *words]

    def done(self, urls, *words, octets=b""):
        done = subprocess.run(self.words(urls, *words), input=octets, capture_output=True, timeout=30)
        see(not SANITIZER.search(done.stderr), done.stderr.decode(errors="replace")[-2000:])
        return done

    def ctl(self, urls, *words, octets=b""):
        done = self.done(urls, *words, octets=octets)
        see(done.returncode == 0, f"osbctl {' '.join(words)} left with {done.returncode}: {short(done.stderr, 500)}")
        return done.stdout.decode()

    def said(self, urls, pattern, *words):
        """It fails, with one line."""
        text = see_said(self.done(urls, *words), 1, pattern)
        see_equal(text.count("\n"), 1, f"the count of lines of {text!r}")
        return text

    def sandboxes(self, urls, store, prefix, count, network):
        make = lambda n: self.ctl(urls, "sandbox", "create", f"{prefix}{n}", "--ip", f"{network}.{n}", "--store", store)
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            list(pool.map(make, range(count)))

    def rotate(self, urls, store, value):
        self.ctl(urls, "secret", "set", store, "KEY", "--value-file", "-", octets=value)

    def holds(self):
        pass

    def final(self):
        return []


def policy(redis, key):
    return json.loads(redis("HGET", key, "policy"))


def versions(redis_of, store_id, names):
    """Of the store's one secret, and those that the records hold of it."""
    key = f"osb:store:{{{store_id}}}"
    store = policy(redis_of(key), key)["secrets"][0]["version"]
    keys = [f"osb:sandbox:{{{name}}}" for name in names]
    return store, {policy(redis_of(k), k)["secrets"][0]["version"] for k in keys}


# --- several addresses ------------------------------------------------------------------------------------------------


@bench.case("without a master it says of each address why not, in one line")
def nobody(place):
    one, two = place.one, place.two
    place.said([DEAD], r"127\.0\.0\.1:1: Connection refused", "store", "list")
    text = place.said([DEAD, two.url(), f"unix:{place.folder}/none"], "is a replica", "store", "list")
    see("refused; " in text and "none: No such file" in text, f"it said {text}")
    place.said([f"redis://127.0.0.1:{place.pair.sentinels[0].port}"], "say sentinel://", "store", "list")
    place.said([one.url(user="x:wrong@")], "WRONGPASS", "store", "list")
    place.said([one.url(db="/99")], "out of range", "store", "list")
    place.said([place.pair.url(name="other")], r"\(Sentinel\): knows no master", "store", "list")
    place.said(["sentinel://127.0.0.1:1,127.0.0.1:2/x"], r"127.0.0.1:1 \(Sentinel\): .*127.0.0.1:2 \(Sent", "store", "list")
    place.said([f"sentinel://127.0.0.1:{one.port}/{NAME}"], r"\(Sentinel\): ERR unknown command", "store", "list")


@bench.case(
    "the first that can be written to is used",
    [
        ("behind a dead one", lambda p: [DEAD, p.one.url()]),
        ("behind a replica", lambda p: [p.two.url(), p.one.url()]),
        ("by a name of several addresses", lambda p: [p.one.url(host="localhost")]),
        ("named by a Sentinel", lambda p: [p.pair.url()]),
        ("by the second Sentinel", lambda p: [p.pair.url().replace("sentinel://", "sentinel://127.0.0.1:1,")]),
        ("behind Sentinels that know nothing", lambda p: [p.pair.url(name="other"), p.one.url()]),
    ],
)
def found(place, urls):
    see_equal(place.ctl(urls(place), "store", "list").split("\t")[0], "S", "the list")


@bench.case("it may log in, choose a database, and tells its password to a Sentinel only where that asks")
def logs_in(place):
    rights = place.ctl([DEAD], "redis-acl").splitlines()[1].split()[2:]
    for redis in (place.one, place.two):
        redis("ACL", "SETUSER", *rights, ">pass word@%")
    login = "osbctl:pass%20word%40%25@"
    see_equal(place.ctl([place.one.url(user=login)], "store", "list").split("\t")[0], "S", "the list")
    see_equal(place.ctl([place.pair.url(user=login)], "store", "list").split("\t")[0], "S", "the list")
    see_equal(place.ctl([place.one.url(user=login, db="/3")], "store", "list"), "", "the list of another database")


# --- servers that are none --------------------------------------------------------------------------------------------


def frame_end(octets):
    """Where the first command in it ends; 0: it is not whole."""
    lines = octets.split(b"\r\n")
    count = 1 + 2 * int(lines[0][1:] or b"0")
    return sum(len(line) + 2 for line in lines[:count]) if len(lines) > count else 0


class Forger:
    """A server that calls itself a master, and then says what it is told to: a function of itself gives each answer.

    asked: the commands, each as its words."""

    def __init__(self, answer):
        self.asked, self.answer, self.listener = [], answer, socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        octets = b""
        try:
            while True:
                got = connection.recv(65536)
                if not got:
                    return
                octets += got
                while octets and (end := frame_end(octets)):
                    role = octets[:end].endswith(b"\r\nROLE\r\n")
                    self.asked.append(octets[:end].split(b"\r\n")[2::2])
                    octets = octets[end:]
                    answer = b"*3\r\n$6\r\nmaster\r\n:0\r\n*0\r\n" if role else self.answer(self)
                    if answer is None:
                        return
                    connection.sendall(answer)
        except (OSError, ValueError):  # a box may have line ends in it
            pass
        finally:
            connection.close()


@bench.case(
    "a server that answers with something else is left with one line",
    [
        ("a node that sends to itself without end", "MOVED", lambda f: b"-MOVED 7 127.0.0.1:%d\r\n" % f.port),
        ("as the same, by ASK", "ASK", lambda f: b"-ASK 7 :%d\r\n" % f.port),
        ("a slot that is none", "MOVED 16384", lambda f: b"-MOVED 16384 127.0.0.1:1\r\n"),
        ("a node that is dead", "of the cluster, can't be reached", lambda f: b"-MOVED 7 127.0.0.1:1\r\n"),
        ("a node whose name is none", "MOVED 7", lambda f: b"-MOVED 7 a..b:1\r\n"),
        ("no Redis", "is not Redis'", lambda f: b"HTTP/1.1 200 OK\r\n\r\n"),
        ("an end in the middle", "the connection ended", lambda f: None),
        ("an answer without an end", "has no end", lambda f: b"$400000000\r\n" + bytes(70 << 20)),
        ("an error with line ends in it", "refuses", lambda f: b"-ERR a\x1b[2Jb\x00c\r\n"),
    ],
)
def forged(place, pattern, answer):
    forger = Forger(answer)
    try:
        place.said([f"redis://127.0.0.1:{forger.port}"], pattern, "store", "list")
    finally:
        forger.listener.close()


@bench.case("a list of names that moves to another server between two pages is read there from its beginning")
def list_moves(place):
    page = lambda cursor, *names: b"*2\r\n$1\r\n%d\r\n*%d\r\n" % (cursor, 2 * len(names)) + b"".join(
        b"$1\r\n%s\r\n$3\r\ninf\r\n" % name for name in names
    )
    scans = lambda forger: [words[2] for words in forger.asked if words[0] == b"ZSCAN"]
    new = Forger(lambda f: b"*0\r\n" if f.asked[-1][0] != b"ZSCAN" else page(0, *([b"b"] if len(scans(f)) == 2 else [])))
    old = Forger(lambda f: page(7, b"a") if scans(f) == [b"0"] else b"-MOVED 1 127.0.0.1:%d\r\n" % new.port)
    try:
        place.ctl([f"redis://127.0.0.1:{old.port}"], "sandbox", "list")
    finally:
        old.listener.close()
        new.listener.close()
    see_equal(scans(new), [b"7", b"0"], "the cursors that the new server was asked with")
    read = {words[1] for words in old.asked + new.asked if words[0] == b"HGETALL"}
    see_equal(read, {b"osb:sandbox:{a}", b"osb:sandbox:{b}"}, "the records that were read")


@bench.case("whatever a server answers, a command ends with one of its codes")
def any_answer(place):
    draw = random.Random(6)
    simple = [b"+OK\r\n", b":1\r\n", b":-1\r\n", b"$-1\r\n", b"*-1\r\n", b"*0\r\n", b"$0\r\n\r\n", b"$1\r\n0\r\n"]
    simple += [b"$2\r\ns1\r\n", b"$6\r\npolicy\r\n", b"$3\r\ntag\r\n", b"-WRONGTYPE x\r\n", b"$2\r\n\x00\xff\r\n"]
    simple += [b"$36\r\n01234567-89ab-4def-8123-456789abcdef\r\n"]

    def answer(_, depth=3):
        if depth and draw.random() < 0.4:
            parts = [answer(_, depth - 1) for _ in range(draw.randrange(1, 6))]
            return b"*%d\r\n" % len(parts) + b"".join(parts)
        return draw.choice(simple)

    verbs = [("store", "list"), ("store", "get", "s1"), ("store", "create", "n"), ("store", "delete", "s1", "--revoke")]
    verbs += [("secret", "set", "s1", "K", "--value-file", "-"), ("sandbox", "list"), ("sandbox", "delete", "s1")]
    verbs += [("sandbox", "create", "s1", "--ip", "10.9.9.9"), ("sandbox", "extend", "s1", "--ttl", "9")]
    verbs += [("store", "update", "s1", "--name", "n")]
    forger = Forger(answer)
    for n in range(8 * len(verbs)):
        done = place.done([f"redis://127.0.0.1:{forger.port}"], *verbs[n % len(verbs)], octets=b"a value")
        see(0 <= done.returncode <= 4, f"{verbs[n % len(verbs)]} left with {done.returncode}: {short(done.stderr, 500)}")
    forger.listener.close()


# --- a replica has it too ---------------------------------------------------------------------------------------------


@bench.case("done means that a replica has it; without its word the proxies are told all the same, and it is said once")
def confirmed(place):
    place.sandboxes([place.one.url()], "S", "w", 2, "10.1.0")
    place.ctl([place.one.url()], "secret", "set", "S", "KEY", "--value-file", "-", octets=b"the first value of KEY")
    ear = Resp(place.one.socket)
    ear("SUBSCRIBE", "osb:changes")
    ear.socket.settimeout(5)
    place.two.stop()
    try:
        urls = [place.one.url()]
        text = place.said(urls, "no replica has confirmed it in time", "store", "update", "S", "--egress-allow", "a.test")
        see("run the command again" in text, f"it said {text}")
        told = {ear.read()[2] for _ in range(2)}
        see_equal(told, {b"sandbox w0", b"sandbox w1"}, "who was told of")
        place.said(urls, "no replica has confirmed it in time", "store", "create", "T", "--egress-any")
    finally:
        place.two.go_on()
    place.pair.await_pair()
    place.ctl([place.one.url()], "store", "update", "S", "--egress-allow", "a.test")
    place.ctl([place.one.url()], "store", "create", "T", "--egress-any")


@bench.case("a master that is demoted under a command ends it with one line, and the next finds the other")
def demoted(place):
    one, two = place.one, place.two
    child = subprocess.Popen(
        place.words([one.url(), two.url()], "secret", "set", "S", "NEW", "--value-file", "-"),
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    await_until(lambda: any(c["cmd"] == "role" for c in one.clients()), "osbctl is at its master")
    for sentinel in place.pair.sentinels:
        sentinel.stop()  # it would mend this
    two("REPLICAOF", "NO", "ONE")
    one("REPLICAOF", "127.0.0.1", str(two.port))
    try:
        await_until(one.caught_up, "the demoted one has caught up")
        _, err = child.communicate(b"value of the new one", timeout=20)
        see_equal(child.returncode, 1, "the exit code")
        see(b"READONLY" in err and err.count(b"\n") == 1, f"it said {err}")
        place.ctl([one.url(), two.url()], "secret", "set", "S", "NEW", "--value-file", "-", octets=b"value of the new one")
        see("NEW" in place.ctl([two.url()], "secret", "list", "S"), "the other one does not have it")
        place.ctl([two.url()], "secret", "delete", "S", "NEW")
    finally:
        one("REPLICAOF", "NO", "ONE")
        two("REPLICAOF", "127.0.0.1", str(one.port))
        await_until(two.caught_up, "the replica has caught up")
        for sentinel in place.pair.sentinels:
            sentinel.go_on()


@bench.case("a master that is lost under a rotation of many ends it with one line; run again, it is completed")
def lost(place):
    urls = [place.one.url()]
    store = place.ctl(urls, "store", "create", "M", "--egress-any").strip()
    place.ctl(urls, "secret", "set", "M", "KEY", "--value-file", "-", octets=b"the first value of KEY")
    place.sandboxes(urls, "M", "m", MANY, "10.2.0")
    names = [f"m{n}" for n in range(MANY)]
    cutter = Cutter(place.one.socket, place.folder)
    for at in (3, 5, 50, 140, 160):
        cutter.arm(at, how="cut")
        words = place.words([f"unix:{cutter.path}"], "secret", "set", "M", "KEY", "--value-file", "-")
        code, _, err = cutter.run(words, octets=b"value number %d of KEY" % at)
        see(cutter.fired, f"osbctl had only {cutter.count} to write")
        see_equal(code, 1, "the exit code")
        see(b"went away" in err and err.count(b"\n") == 1, f"it said {err}")
        place.rotate(urls, "M", b"value number %d of KEY" % at)
        wanted, held = versions(lambda _: place.one, store, names)
        see_equal(held, {wanted}, "the versions that the sandboxes hold")
    cutter.close()


# --- a Cluster --------------------------------------------------------------------------------------------------------


def urls_of(place):
    replica = next(node for node in place.cluster.all if node.role() == "slave")
    return [DEAD, replica.url()]


@bench.case("a Cluster does all that one server does, whichever node is asked first")
def cluster(place):
    urls = urls_of(place)
    store = place.ctl(urls, "store", "create", "C", "--egress-any").strip()
    place.ctl(urls, "secret", "set", "C", "KEY", "--value-file", "-", octets=b"the first value of KEY")
    place.sandboxes(urls, "C", "c", MANY, "10.3.0")
    names = [f"c{n}" for n in range(MANY)]
    listed = place.ctl(urls, "sandbox", "list").splitlines()
    see_equal(len(listed), MANY, "how many are listed")
    place.rotate(urls, "C", b"the second value of KEY")
    wanted, held = versions(place.cluster.owner, store, names)
    see_equal(held, {wanted}, "the versions that the sandboxes hold")
    owners = {place.cluster.owner(f"osb:sandbox:{{{name}}}").name for name in names}
    see_equal(len(owners), 3, "how many masters have sandboxes")


@bench.case("keys that are moving are found on either side, also many at once")
def asked(place):
    urls, cluster = urls_of(place), place.cluster
    store = json.loads(place.ctl(urls, "--json", "store", "get", "C"))["id"]
    slots = {cluster.slot(f"osb:sandbox:{{c{n}}}") for n in range(20)} | {cluster.slot(f"osb:store:{{{store}}}")}
    moving = []
    for slot in sorted(slots):
        old = cluster.port(next(m for a, b, m, *_ in cluster.all[0]("CLUSTER", "SLOTS") if a <= slot <= b)[1])
        new = next(node for node in cluster.masters() if node is not old)
        cluster.begin_move(slot, old, new)
        moving.append((slot, old, new))
        if slot % 2:
            cluster.move_keys(slot, old, new)
    place.rotate(urls, "C", b"the third value of KEY")
    for slot, old, new in moving:
        while cluster.move_keys(slot, old, new):
            pass
        cluster.end_move(slot, old, new)
    wanted, held = versions(cluster.owner, store, [f"c{n}" for n in range(MANY)])
    see_equal(held, {wanted}, "the versions that the sandboxes hold")
    place.rotate(urls, "C", b"the fourth value of KEY")
    wanted, held = versions(cluster.owner, store, [f"c{n}" for n in range(MANY)])
    see_equal(held, {wanted}, "the versions that the sandboxes hold afterwards")


@bench.case("one node of a Cluster without its replica's word, and one that is dead, are said by their addresses")
def node_dead(place):
    cluster, urls = place.cluster, urls_of(place)
    owner = cluster.owner("osb:stores")
    replica = cluster.replica_of(owner)
    replica.stop()
    try:
        text = place.said([owner.url()], "no replica has confirmed", "store", "create", "D", "--egress-any")
        see(f"127.0.0.1:{owner.port}" in text, f"it said {text}")
    finally:
        replica.go_on()
    cluster.await_replicas()
    other = next(node for node in cluster.masters() if node is not owner)
    owner.kill()
    try:
        place.said([other.url()], rf"127\.0\.0\.1:{owner.port}.*Connection refused|CLUSTERDOWN", "store", "list")
        cluster.await_failover(replica)
        place.ctl([other.url()], "store", "list")
    finally:
        owner.start()
        cluster.await_replicas()


bench.run(Place)
