"""zonehouse - sandboxes that are made, cloned, moved and ended: two zones on one Redis, all that a client can have open.

The network is our own where one can be had: addresses of version 6 are added to its loopback, and are gone with us.
"""
import ctypes
import datetime
import json
import os
import socket
import subprocess
import threading
import time

from case import see, see_equal
from client import Client
from h2client import H2Client, get
from house import TOKEN, Sandbox, free_port, request
from neighbour import Neighbour
from wspeer import Play, Socket, SocketHouse, TEXT, frame

CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000
HOST = "echo.test"
HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 2000\r\n\r\n"
HALF = b"x" * 1000
GRACE_S = 1.0  # within which all must have ended


def enter_network(addresses):
    """Gives the addresses that can be used there; in the network that is there, without a right to change it, ::1."""
    user, group = os.getuid(), os.getgid()
    if ctypes.CDLL(None).unshare(CLONE_NEWNET | (CLONE_NEWUSER if user else 0)) != 0:
        print("note  no network of our own can be had: of version 6 there is one address", flush=True)
        return ["::1"]
    if user:
        for name, line in (("setgroups", "deny"), ("uid_map", f"0 {user} 1"), ("gid_map", f"0 {group} 1")):
            with open(f"/proc/self/{name}", "w") as out:
                out.write(line)
    for words in ("link set lo up", *(f"address add {address}/128 dev lo nodad" for address in addresses)):
        subprocess.run(["ip", *words.split()], check=True)
    return addresses


class ZoneHouse(SocketHouse):
    """other: the proxy of zone "other"."""

    def __init__(self, build):
        self.port6, self.count = free_port(), 0
        super().__init__(build, [f"direct_listen = [::1]:{self.port6}"])

    def settle_down(self):
        super().settle_down()
        self.other = Neighbour(self, ["zone = other"]).__enter__()

    def holds(self):
        super().holds()
        self.other.holds()

    def final(self):
        return self.other.final() + super().final()

    def __exit__(self, *how):
        if hasattr(self, "other"):
            self.other.__exit__(*how)
        super().__exit__(*how)

    # --- sandboxes ------------------------------------------------------------------------------------------

    def fresh_ip(self):
        self.count += 1
        return f"127.0.{4 + self.count // 250}.{self.count % 250 + 1}"

    def fresh_id(self, what="sb"):
        self.count += 1
        return f"{what}-{self.count}"

    def files_of(self, name):
        return f"{self.folder}/{name}.env", f"{self.folder}/{name}.ca.pem"

    def words_of(self, verb, name, addresses, *words):
        env_file, ca_file = self.files_of(name)
        addressed = [word for address in addresses for word in ("--ip", address)]
        return ["sandbox", verb, name, *addressed, "--env-file", env_file, "--ca-file", ca_file, *words]

    def known(self, name, address):
        """As its files say."""
        env_file, ca_file = self.files_of(name)
        with open(env_file, "rb") as text:
            pairs = [line.rstrip(b"\n").partition(b"=") for line in text]
        return Sandbox(name, address, ca_file, {k.decode(): v for k, _, v in pairs if TOKEN.fullmatch(v)})

    def make(self, *words, verb="create", addresses=None, said=None):
        """A sandbox that must succeed; said: a list that gets what stderr had."""
        name, addresses = self.fresh_id(), addresses or [self.fresh_ip()]
        done = self.ctl_done(*self.words_of(verb, name, addresses, *words))
        see_equal((done.returncode, done.stdout.decode()), (0, f"{name}\n"), f"{verb}, which said {done.stderr}")
        if said is not None:
            said.append(done.stderr.decode())
        return self.known(name, addresses[0])

    def fork(self, parent, *words, **more):
        return self.make("--from", parent.name, *words, verb="fork", **more)

    def loan(self, *secrets, hosts=("api.test", HOST)):
        """A store of its own with these secrets; gives its name."""
        name = self.fresh_id("store")
        self.store(name, *hosts)
        for secret in secrets:
            self.give(name, secret)
        return name

    def give(self, store, secret):
        """Set it; gives the value."""
        self.secret(store, secret)
        self.secrets[-1].hosts = ("api.test", HOST)  # the store's
        return self.secrets[-1].value

    def refuses(self, code, words, *says):
        """The command ends so and says each of these."""
        done = self.ctl_done(*words)
        see_equal(done.returncode, code, f"the exit code of osbctl {' '.join(words)}, which said {done.stderr}")
        for text in says:
            see(text.encode() in done.stderr, f"stderr does not say {text!r}, but {done.stderr}")

    def end_of(self, sandbox):
        """Its expiresAt, in seconds since 1970."""
        text = json.loads(self.ctl("sandbox", "get", sandbox.name, "--json"))["expiresAt"]
        return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()

    # --- what is answered -----------------------------------------------------------------------------------

    def client(self, sandbox, host, context=None, session=None, seconds=10):
        if ":" not in sandbox.address:
            return super().client(sandbox, host, context, session, seconds)
        self.clients.append(
            Client(("::1", self.port6), sandbox.address, host, context or sandbox.context, session, seconds)
        )
        return self.clients[-1]

    def sends(self, sandbox, token, proxy=None):
        """What the host gets for this token."""
        self.count += 1
        path = f"/sends-{self.count}"
        answer = (proxy or self).get(sandbox, HOST, path, b"X-Key: " + token)
        see_equal(answer.status, 200, f"the status of a request of {sandbox.name} ({answer.code})")
        seen = [seen for seen in self.origin.requests if seen.start.startswith(f"GET {path} ".encode())]
        return seen[-1].get("x-key").encode()

    def see_sends(self, sandbox, proxy=None, **values):
        """Each secret's token, as this sandbox holds it, stands for this value."""
        for name, value in values.items():
            see_equal(
                self.sends(sandbox, sandbox.tokens[name], proxy), value, f"what {sandbox.name} sends for {name}"
            )

    def see_nobody(self, sandbox, proxy=None):
        """Its address is nobody's there."""
        try:
            with (proxy or self).client(sandbox, HOST) as client:
                see(not client.shaken, f"{sandbox.name} was served at {sandbox.address}")
        except OSError:
            pass


def at(sandbox, address):
    """The same files and tokens at another address."""
    return Sandbox(sandbox.name, address, sandbox.ca_file, sandbox.tokens)


class Open:
    """All that a sandbox can have open at a proxy, each read by a thread of its own up to its end."""

    def __init__(self, house, sandbox, proxy=None):
        self.house, proxy = house, proxy or house
        self.ends, self.threads = {}, {}
        path = "/open-" + sandbox.name
        house.gate(path, [HEAD + HALF], [HALF])
        self.idle = proxy.client(sandbox, HOST, seconds=20)
        see_equal(self.idle.ask(request("GET", "/idle", HOST)).status, 200, "the status before")
        self.download = proxy.client(sandbox, HOST, seconds=20).send(request("GET", path, HOST))
        while HALF not in self.download.octets:
            see(self.download.pull(), f"the first half ended with {self.download.closed}")
        self.socket = Socket(proxy, sandbox, HOST, house.played(Play()))
        see_equal(self.socket.status, 101, "the status of the WebSocket")
        self.socket.client.seconds = 20
        self.socket.say(frame(TEXT, b"before", masked=True))
        see_equal(self.socket.hear()[0].payload, b"before", "the echo")
        self.stream = H2Client(("127.0.0.1", proxy.port), sandbox.address, HOST, sandbox.ca_file, seconds=20)
        proxy.clients.append(self.stream)
        self.stream.begin().send(get(1, path.encode(), authority=HOST.encode()))
        see(
            self.stream.until(lambda: self.stream.stream(1).body == HALF), "the first half on the stream did not come"
        )
        self.await_end("idle", self.idle.rest, self.idle)
        self.await_end("download", self.download.rest, self.download)
        self.await_end("WebSocket", self.socket.rest, self.socket.client)
        self.await_end("h2 stream", self.stream.over, self.stream)

    def await_end(self, name, read, client):
        def run():
            read()
            self.ends[name] = (time.time(), client.closed)

        self.threads[name] = threading.Thread(target=run, daemon=True)
        self.threads[name].start()

    def see_alive(self):
        see(not self.ends, f"ended: {self.ends}")

    def see_ended(self, since, until=None):
        """Each after ${since} and before ${until}, times of day; without, GRACE_S from now."""
        until = until or time.time() + GRACE_S
        for thread in self.threads.values():
            thread.join(max(0, until + 3 - time.time()))
        for name in self.threads:
            ended, how = self.ends.get(name, (None, "timeout"))
            see(ended is not None and how != "timeout", f"{name} did not end ({how})")
            see(
                since <= ended <= until, f"{name} ended {ended - since:.2f} s after, not within {until - since:.2f} s"
            )

    def close(self):
        self.house.open_gates()
        for client in (self.idle, self.download, self.socket.client, self.stream):
            try:
                client.socket.shutdown(socket.SHUT_RDWR)  # a thread reads from it
            except OSError:
                pass
        for thread in self.threads.values():
            thread.join()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
