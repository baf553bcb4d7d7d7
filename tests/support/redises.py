"""redises - real Redis processes, private to a test: a master with a replica, Sentinels over them, a Cluster, any with TLS.

All lie in one folder, listen on loopback only and end with the test, also one that is stopped at that moment. To be started
by the main thread: the kernel ends a child with the thread that made it.
"""
import os
import signal
import socket

from case import see
from house import Program, await_until, free_port
from resp import Monitor, Resp

QUIET = ("--save", "", "--appendonly", "no", "--rdbcompression", "no", "--daemonize", "no")
BRISK = ("--repl-diskless-sync-delay", "0", "--repl-ping-replica-period", "1", "--repl-backlog-size", "4mb")
SLOTS = 16384
NAME = "house"  # of the master that Sentinels watch
ADMIN = ("AUTH", "test", "of-the-test")


def hold_port():
    """A free port as a socket that is bound to it and does not listen: nobody else draws it while the test lasts, also not
    while a server that was killed is away. Who sets SO_REUSEADDR, as Redis does, may listen there all the same."""
    while True:
        held = socket.socket()
        try:
            held.bind(("0.0.0.0", free_port()))
        except OSError:  # somebody was faster
            held.close()
            continue
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # now, so that the binding itself was exclusive
        return held


class Redis:
    """A redis-server. It stays what it is through kill() and start(): its folder, its ports, its words on the command line.

    cert: it speaks TLS and nothing else; admin: it has ADMIN beside the users that a test adds.
    """

    has_monitor = True

    def __init__(self, folder, name, *words, cert=None, ca_file=None, admin=False):
        self.name, self.folder, self.socket = name, f"{folder}/{name}", f"{folder}/{name}.sock"
        self.log = f"{folder}/{name}.log"
        self.held = [hold_port()]
        self.port, self.admin, self.tls = self.held[0].getsockname()[1], admin, cert is not None
        self.words = ["--bind", "127.0.0.1", "--unixsocket", self.socket, "--dir", self.folder, *words]
        self.words += ["--port", "0", "--tls-port", str(self.port)] if cert else ["--port", str(self.port)]
        if cert:
            self.words += ["--tls-cert-file", cert.chain, "--tls-key-file", cert.key, "--tls-ca-cert-file", ca_file]
            self.words += ["--tls-auth-clients", "no", "--tls-replication", "yes", "--tls-cluster", "yes"]
        if admin:
            self.words += ["--user", ADMIN[1], "on", f">{ADMIN[2]}", "~*", "&*", "+@all"]
            self.words += ["--masteruser", ADMIN[1], "--masterauth", ADMIN[2]]
        self.program, self.monitors, self.stopped = None, [], False
        os.mkdir(self.folder)

    def command(self):
        return ["redis-server", *self.words, *QUIET, *BRISK]

    def start(self, *more):
        """more: words of this start alone."""
        if os.path.exists(self.socket):
            os.unlink(self.socket)
        self.program = Program(self.log, *self.command(), *more, dies_by=signal.SIGKILL)
        await_until(self.answers, f"{self.name} answers")
        return self

    def answers(self):
        """Its socket has a name before anybody listens there."""
        see(self.alive(), f"{self.name} left: {self.program.said()[-600:].decode(errors='replace')}")
        try:
            self.connect()
            return True
        except (FileNotFoundError, ConnectionError, EOFError):
            return False

    def connect(self):
        login = [ADMIN] if self.admin else []
        self.resp = Resp(self.socket)
        self.resp.socket.settimeout(10)
        for words in login:
            self.resp(*words)
        if self.has_monitor:
            self.monitors.append(Monitor(self.socket, *login))

    def __call__(self, *words):
        """Sentinel cuts all connections of a server that it promotes or demotes, ours as well."""
        try:
            return self.resp(*words)
        except (ConnectionError, EOFError):
            self.connect()
            return self.resp(*words)

    def url(self, user="", host="127.0.0.1", db=""):
        """user: "name:password@"."""
        return f"redis{'s' if self.tls else ''}://{user}{host}:{self.port}{db}"

    def show(self, cert):
        """Another certificate, for connections that come from now on; those of others than the test are cut."""
        self("CONFIG", "SET", "tls-cert-file", cert.chain, "tls-key-file", cert.key)
        self.cut()

    def cut(self):
        for client in self.clients():
            try:
                self("CLIENT", "KILL", "ID", client["id"])
            except RuntimeError:
                pass  # it left by itself

    # --- what befalls it ------------------------------------------------------------------------------------

    def alive(self):
        return self.program is not None and self.program.child.poll() is None

    def kill(self):
        """At once; what it held is lost."""
        if self.alive():
            os.killpg(self.program.child.pid, signal.SIGKILL)
            self.program.child.wait()
        self.stopped = False

    def let_go(self):
        while self.held:
            self.held.pop().close()

    def stop(self):
        """It hangs: connections are accepted, and nothing is answered."""
        self.program.child.send_signal(signal.SIGSTOP)
        self.stopped = True

    def go_on(self):
        if self.stopped and self.alive():
            self.program.child.send_signal(signal.SIGCONT)
        self.stopped = False

    # --- what it says ---------------------------------------------------------------------------------------

    def role(self):
        """master, slave or sentinel; "" while it can't say."""
        try:
            return self("ROLE")[0].decode()
        except (RuntimeError, OSError):
            return ""

    def caught_up(self):
        """A replica that has all that its master has said."""
        said = self("ROLE")
        return said[0] == b"slave" and said[3] == b"connected"

    def replicas(self):
        """How many it counts as such: one that has just been fed counts from its first word on, up to a second later."""
        said = self("ROLE")
        return len(said[2]) if said[0] == b"master" else 0

    def clients(self):
        """Connections of the proxy and of osbctl: a list of what CLIENT LIST says of each."""
        lines = self("CLIENT", "LIST").decode().splitlines()
        clients = [dict(word.partition("=")[::2] for word in line.split(" ")) for line in lines]
        ours = lambda c: c["addr"].startswith(self.socket) or c["name"].startswith("sentinel-")
        return [c for c in clients if not ours(c) and not set(c["flags"]) & set("SMO")]

    def octets(self):
        """Everything that it holds and that it was told."""
        told = b"".join(bytes(monitor.octets) for monitor in self.monitors)
        return told + (self.resp.dump() if self.alive() and self.role() == "master" else b"")


class Sentinel(Redis):
    has_monitor = False

    def __init__(self, folder, name, master):
        super().__init__(folder, name)
        self.file = f"{self.folder}/sentinel.conf"
        with open(self.file, "w") as out:
            out.write(f"port {self.port}\nbind 127.0.0.1\nunixsocket {self.socket}\ndir {self.folder}\n")
            out.write(f"sentinel monitor {NAME} 127.0.0.1 {master.port} 2\n")
            if master.admin:
                out.write(f"sentinel auth-user {NAME} {ADMIN[1]}\nsentinel auth-pass {NAME} {ADMIN[2]}\n")
            out.write(f"sentinel down-after-milliseconds {NAME} 500\nsentinel failover-timeout {NAME} 3000\n")

    def command(self):
        return ["redis-server", self.file, "--sentinel"]

    def start(self):
        super().start()
        # Its own rhythms are for servers that are far away: up to ten seconds until it looks at a replica again. While the
        # master is down, what it knows of a replica is asked for once a second, and believed for five pings.
        self("SENTINEL", "DEBUG", "info-period", "300", "publish-period", "200", "ask-period", "200", "ping-period", "300")
        return self

    def octets(self):
        return b""

    def master(self):
        """The port that it says is the master's."""
        said = self("SENTINEL", "GET-MASTER-ADDR-BY-NAME", NAME)
        return int(said[1]) if said else 0

    def knows_all(self, others):
        """Itself would take its replica for no good one before it has asked that one how it is."""
        pairs = lambda flat: dict(zip(flat[::2], flat[1::2]))
        said = pairs(self("SENTINEL", "MASTER", NAME))
        replicas = [pairs(flat) for flat in self("SENTINEL", "REPLICAS", NAME)]
        well = [r for r in replicas if r[b"flags"] == b"slave" and r[b"master-link-status"] == b"ok"]
        return (int(said[b"num-other-sentinels"]), len(well), said[b"flags"]) == (others, 1, b"master")


class Redises:
    """Some of them, by name; what they are told comes to them together."""

    def __init__(self, folder):
        self.folder, self.all = folder, []

    def add(self, name, *words, **how):
        self.all.append(Redis(self.folder, name, *words, **how))
        return self.all[-1].start()

    def port(self, port):
        return next(redis for redis in self.all if redis.port == port)

    def masters(self):
        return [redis for redis in self.servers() if redis.alive() and not redis.stopped and redis.role() == "master"]

    def servers(self):
        return [redis for redis in self.all if not isinstance(redis, Sentinel)]

    def heal(self):
        for redis in self.all:
            redis.go_on()

    def end(self):
        for redis in self.all:
            redis.kill()
            redis.let_go()

    def octets(self):
        return b"".join(redis.octets() for redis in self.all)


class Pair(Redises):
    """one, a master, and two, its replica."""

    def __init__(self, folder, **how):
        super().__init__(folder)
        self.one = self.add("one", **how)
        self.two = self.add("two", "--replicaof", "127.0.0.1", str(self.one.port), **how)
        self.await_pair()

    def await_pair(self):
        """One of them is the other's replica and has caught up; gives both, the master first."""
        await_until(lambda: "slave" in (self.one.role(), self.two.role()), "one of them is a replica")
        replica = next(redis for redis in (self.one, self.two) if redis.role() == "slave")
        master = self.two if replica is self.one else self.one
        await_until(lambda: replica.caught_up() and master.replicas() == 1, f"{replica.name} has caught up")
        return master, replica

    def follow(self, master, replica):
        replica("REPLICAOF", "127.0.0.1", str(master.port))

    def promote(self, replica):
        replica("REPLICAOF", "NO", "ONE")


class Watched(Pair):
    """The same, under three Sentinels."""

    def __init__(self, folder, **how):
        super().__init__(folder, **how)
        self.sentinels = [Sentinel(folder, f"sentinel{n}", self.one) for n in range(3)]
        self.all += self.sentinels
        for sentinel in self.sentinels:
            sentinel.start()
        self.await_watched(self.one)

    def await_watched(self, master):
        """All agree on the master, know each other and its replica, which has caught up."""
        awake = [s for s in self.sentinels if s.alive() and not s.stopped]
        for sentinel in awake:
            await_until(
                lambda: sentinel.knows_all(len(self.sentinels) - 1) and sentinel.master() == master.port,
                f"{sentinel.name} knows the others",
                20,
            )
        await_until(lambda: master.replicas() == 1, "the master has its replica", 20)
        self.await_pair()

    def await_failover(self, old):
        """The other one is the master, and each Sentinel says so; gives it."""
        new = self.two if old is self.one else self.one
        await_until(lambda: new.role() == "master", "a replica was promoted", 20)
        awake = [s for s in self.sentinels if s.alive() and not s.stopped]
        await_until(lambda: all(s.master() == new.port for s in awake), "all Sentinels say so", 20)
        return new

    def url(self, user="", name=NAME, first=0):
        places = self.sentinels[first:] + self.sentinels[:first]
        return f"sentinel://{user}{','.join(f'127.0.0.1:{s.port}' for s in places)}/{name}"


class Node(Redis):
    """One of a Cluster."""

    def __init__(self, folder, name, *words, **how):
        clustered = ["--cluster-enabled", "yes", "--cluster-config-file", "nodes.conf", "--cluster-node-timeout", "500"]
        clustered += ["--cluster-replica-validity-factor", "0", "--cluster-allow-replica-migration", "no"]
        super().__init__(folder, name, *clustered, *words, **how)
        self.held.append(hold_port())
        self.bus = str(self.held[1].getsockname()[1])
        self.words += ["--cluster-port", self.bus]

    def id(self):
        return self("CLUSTER", "MYID")

    def state(self):
        pairs = (line.partition(":") for line in self("CLUSTER", "INFO").decode().split())
        return {key: value for key, _, value in pairs}

    def settled(self, count):
        said = self.state()
        return (said["cluster_state"], said["cluster_known_nodes"], said["cluster_slots_ok"]) == (
            "ok",
            str(count),
            str(SLOTS),
        )


    def knows_replicas(self, count):
        lines = self("CLUSTER", "NODES").decode().splitlines()
        return [line.split()[2].split(",")[-1] for line in lines].count("slave") == count


class Cluster(Redises):
    """Three masters, each with a third of the slots, and a replica of each."""

    def __init__(self, folder, **how):
        super().__init__(folder)
        self.all = [Node(folder, f"node{n}", **how) for n in range(6)]
        for node in self.all:
            node.start()
        for epoch, node in enumerate(self.all, 1):
            node("CLUSTER", "SET-CONFIG-EPOCH", str(epoch))
        for one in self.all:
            for other in self.all:
                one("CLUSTER", "MEET", "127.0.0.1", str(other.port), other.bus)
        for n, node in enumerate(self.all[:3]):
            node("CLUSTER", "ADDSLOTSRANGE", str(SLOTS * n // 3), str(SLOTS * (n + 1) // 3 - 1))
        self.await_settled()
        for n, node in enumerate(self.all[3:]):
            node("CLUSTER", "REPLICATE", self.all[n].id())
        self.await_replicas()

    def awake(self):
        return [node for node in self.all if node.alive() and not node.stopped]

    def await_settled(self):
        for node in self.awake():
            await_until(lambda: node.settled(len(self.all)), f"{node.name} sees all slots and nodes", 20)

    def await_replicas(self):
        """All nodes live and agree, and each master has a replica that has caught up."""
        self.await_settled()
        for node in self.all:
            await_until(lambda: node.knows_replicas(3), f"{node.name} knows all replicas", 20)
            await_until(lambda: node.role() == "master" or node.caught_up(), f"{node.name} has caught up", 20)
        for node in self.masters():
            await_until(lambda: node.replicas() == 1, f"{node.name} has its replica", 20)

    def slot(self, key):
        return self.awake()[0]("CLUSTER", "KEYSLOT", key)

    def owner(self, key):
        """The master that has this key's slot, as a node that is awake says."""
        slot = self.slot(key)
        for first, last, master, *_ in self.awake()[0]("CLUSTER", "SLOTS"):
            if first <= slot <= last:
                return self.port(master[1])
        raise RuntimeError(f"nobody has slot {slot}")

    def replica_of(self, master):
        said = master("ROLE")[2]
        return self.port(int(said[0][1]))

    def begin_move(self, slot, old, new):
        """From here on ${old} asks others to ASK ${new} for what it does not have."""
        new("CLUSTER", "SETSLOT", str(slot), "IMPORTING", old.id())
        old("CLUSTER", "SETSLOT", str(slot), "MIGRATING", new.id())

    def move_keys(self, slot, old, new, most=1000000):
        """Gives how many went."""
        keys = old("CLUSTER", "GETKEYSINSLOT", str(slot), str(most))
        if keys:
            login = ["AUTH2", *ADMIN[1:]] if old.admin else []
            old("MIGRATE", "127.0.0.1", str(new.port), "", "0", "5000", *login, "KEYS", *keys)
        return len(keys)

    def end_move(self, slot, old, new):
        for node in [new, old] + [other for other in self.masters() if other not in (old, new)]:
            node("CLUSTER", "SETSLOT", str(slot), "NODE", new.id())

    def await_failover(self, old_replica):
        """This replica has become a master, and all who live say that the cluster is well."""
        await_until(lambda: old_replica.role() == "master", f"{old_replica.name} was promoted", 20)
        for node in self.awake():
            await_until(lambda: node.state()["cluster_state"] == "ok", f"{node.name} says that all is well", 20)
