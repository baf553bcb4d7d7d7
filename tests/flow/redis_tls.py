"""redis_tls - Redis behind TLS: its certificate proves the name in the address, or nothing is sent to it.

The proxy and osbctl have to agree on each. The CA is Redis' own, so that the one for hosts proves nothing here.
"""
import os
import re
import socket
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from case import Bench, see, see_equal, short
from house import await_until
from load import Load, LoadOrigin
from redises import Cluster, Pair
from redishouse import RedisesHouse, see_said
from rehouse import rehouse_last

bench = Bench()


class TlsHouse(RedisesHouse):
    kind_of_origin = LoadOrigin

    def __init__(self, build):
        super().__init__(build, lines=["store_timeout = 1s", "cache_ttl = 1s", "cache_stale = 60s"])

    def make_redises(self, folder):
        self.redis_root = self.pki.root("Redis Root")
        self.proven = self.pki.leaf(self.redis_root, "DNS:localhost", "IP:127.0.0.1")
        return Pair(folder, cert=self.proven, ca_file=self.redis_root.path)

    def addresses(self):
        return [self.redises.one.url(), self.redises.two.url()]

    def tell(self, *urls, ca_file=None):
        super().tell(*urls, lines=[f"redis_ca_file = {ca_file or self.redis_root.path}"])

    def certs(self):
        pki, root = self.pki, self.redis_root
        return {
            "name": pki.leaf(root, "DNS:other.test"),
            "only a name": pki.leaf(root, "DNS:localhost"),
            "only an address": pki.leaf(root, "IP:127.0.0.1"),
            "address as a name": pki.leaf(root, "DNS:127.0.0.1"),
            "common name": pki.leaf(root, subject="/CN=127.0.0.1"),
            "expired": pki.leaf(root, "IP:127.0.0.1", start="20200101000000Z", end="20210101000000Z"),
            "future": pki.leaf(root, "IP:127.0.0.1", start="20400101000000Z", end="20410101000000Z"),
            "unknown CA": pki.leaf(pki.root("Unknown Root"), "IP:127.0.0.1"),
            "CA of hosts": pki.leaf(self.root, "IP:127.0.0.1"),
            "self-signed": pki.leaf(None, "IP:127.0.0.1"),
            "for clients": pki.leaf(root, "IP:127.0.0.1", usage="clientAuth"),
        }

    def furnish(self):
        super().furnish()
        self.shown = self.certs()
        self.c = self.sandbox("sbC", "127.0.0.4", "A")

    def show(self, cert):
        for redis in self.redises.all:
            redis.show(cert)

    def see_refused(self, says, since):
        """By osbctl with a sentence, by the proxy with a line in its log that has it too, and with nobody served by it."""
        see_said(self.ctl_done("store", "list"), 1, says)
        await_until(lambda: says_so(self.proxy.said()[since:], says), f"the log says {says}", 4)
        for redis in self.redises.all:
            see_equal([c for c in redis.clients() if c["cmd"] != "NULL"], [], f"who has said a command to {redis.name}")
        see(not self.served(self.c), "somebody unknown is served")


def says_so(octets, pattern):
    return re.search(pattern.encode(), octets, re.I) is not None


@bench.case(
    "a name or an address that the certificate proves is as good as without TLS",
    [("an address", "127.0.0.1"), ("a name", "localhost")],
)
def proven(house, host):
    one, two = house.redises.one, house.redises.two
    house.tell(two.url(host=host), one.url(host=host))
    house.again()
    house.see_at(one)
    house.see_nobody_at(two)
    with Load(house) as load:
        load.steady()
    house.tell(*house.addresses())
    house.again()


@bench.case(
    "a certificate that does not prove where we are is refused in a sentence, and nothing is said to such a server",
    [
        ("another name", "name", "name|match"),
        ("a name, where an address was said", "only a name", "name|address|match"),
        ("the address, as a name", "address as a name", "name|address|match"),
        ("a common name", "common name", "name|address|match"),
        ("expired", "expired", "expired"),
        ("not valid yet", "future", "not yet valid"),
        ("an unknown CA", "unknown CA", "issuer|self.signed|trust"),
        ("the CA of the hosts", "CA of hosts", "issuer|self.signed|trust"),
        ("self-signed", "self-signed", "self.signed"),
        ("for clients only", "for clients", "purpose"),
    ],
)
def unproven(house, kind, says):
    house.warm(house.a)
    since = len(house.proxy.said())
    house.show(house.shown[kind])
    try:
        house.see_refused(says, since)
        house.warm(house.a)  # who is known is served on
    finally:
        house.show(house.proven)
    house.see_at(house.redises.one)


@bench.case("an address, where a name was said, is refused as well")
def named(house):
    house.tell(house.redises.one.url(host="localhost"))
    house.again()
    house.show(house.shown["only an address"])
    try:
        house.see_refused("name|match", 0)
    finally:
        house.show(house.proven)
        house.tell(*house.addresses())
    house.again()


class Silent:
    """Where TLS is awaited: what it is told, and never a word of TLS."""

    def __init__(self, octets):
        self.octets, self.told = octets, bytearray()
        self.listener = socket.create_server(("127.0.0.1", 0))
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
        try:
            connection.settimeout(10)
            more = connection.recv(65536)
            self.told += more
            connection.sendall(self.octets)
            while self.octets and more:
                more = connection.recv(65536)
                self.told += more
        except OSError:
            pass
        finally:
            connection.close()

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


@bench.case(
    "a server that speaks no TLS where it is said to is refused, and hears no password",
    [("it is a Redis without TLS", b"-ERR unknown command\r\n"), ("it closes", b""), ("it sends zeros", b"\0" * 300)],
)
def no_tls(house, octets):
    silent = Silent(octets)
    house.tell(f"rediss://osb:a-password-of-ours@127.0.0.1:{silent.port}")
    try:
        see_said(house.ctl_done("store", "list"), 1, "TLS|SSL|handshake")
        house.again(awaits_redis=False)
        await_until(lambda: says_so(house.proxy.said(), "TLS|SSL|handshake"), "the log says it", 4)
        see_equal(house.readyz(), 503, "the status of /readyz")
        see(b"a-password" not in silent.told, f"it was told {short(bytes(silent.told))}")
        see(b"a-password" not in house.proxy.said(), "the log has the password")
    finally:
        silent.close()
        house.tell(*house.addresses())
        house.again()


@bench.case("redis:// to a server that speaks TLS is a sentence too")
def tls_unasked(house):
    house.tell(*[url.replace("rediss:", "redis:") for url in house.addresses()])
    try:
        see_said(house.ctl_done("store", "list"), 1, "redis|went away|closed")
    finally:
        house.tell(*house.addresses())


@bench.case(
    "a CA file that is not there, or is none, is said in one line that names it",
    [("missing", None), ("no PEM", b"x")],
)
def no_roots(house, octets):
    path = f"{house.folder}/roots.pem"
    if octets:
        with open(path, "wb") as out:
            out.write(octets)
    house.tell(*house.addresses(), ca_file=path)
    try:
        said = house.ctl_done("store", "list")
        see(said.returncode in (1, 4), f"the exit code is {said.returncode}")
        see(b"roots.pem" in said.stderr and said.stderr.count(b"\n") == 1, f"it said {said.stderr!r}")
    finally:
        house.tell(*house.addresses())
        if octets:
            os.unlink(path)


@bench.case("without redis_ca_file the roots are those for hosts")
def roots_of_hosts(house):
    RedisesHouse.tell(house, *house.addresses(), lines=[f"upstream_ca_file = {house.root.path}"])
    house.show(house.shown["CA of hosts"])
    try:
        house.ctl("store", "list")
    finally:
        house.tell(*house.addresses())
        house.show(house.proven)
    house.see_at(house.redises.one)


@bench.case("a master behind TLS is killed under load: its replica is found, and no value is old or lost")
def failover(house):
    one, two = house.redises.one, house.redises.two
    with Load(house) as load:
        load.steady()
        with load.trouble():
            one.kill()
            load.await_refusal()
            house.redises.promote(two)
        load.steady()
        house.see_at(two)
    one.start("--replicaof", "127.0.0.1", str(two.port))
    house.redises.await_pair()


@bench.case("nodes of a Cluster behind TLS are found by its redirections, and each proves its address")
def cluster(house):
    folder = f"{house.folder}/nodes"
    os.mkdir(folder)
    # Nodes show their certificate to each other, at both ends of a connection.
    cert = house.pki.leaf(house.redis_root, "IP:127.0.0.1", usage="serverAuth,clientAuth")
    nodes = Cluster(folder, cert=cert, ca_file=house.redis_root.path)
    try:
        house.tell(nodes.all[0].url())
        for n in range(4):
            store = house.ctl("store", "create", f"over-tls-{n}", "--egress-allow", "api.test").strip()
            house.ctl("store", "update", store, "--egress-allow", "echo.test")
        see_equal(len(house.ctl("store", "list").splitlines()), 4, "the count of stores")
        made = [house.sandbox(f"sbT{n}", f"127.0.5.{n + 1}", f"over-tls-{n % 4}") for n in range(6)]
        house.ctl("store", "update", "over-tls-0", "--egress-allow", "api.test")
        house.again()
        for sandbox in made:
            with house.client(sandbox, "api.test") as client:
                see(client.shaken, f"{sandbox.name} has no record")
    finally:
        nodes.end()
        for n in range(6):
            house.sandboxes.pop(f"sbT{n}", None)
        house.tell(*house.addresses())
        house.again()


rehouse_last(bench)
bench.run(TlsHouse)
