"""soak - much of everything: a long body, many connections, readers that don't read: memory stays as it was.

Small by default; --full or OSB_SOAK=1 is the real size. OSB_RELEASE_DIR names a build without sanitizers: then memory is
measured there, and strictly; with sanitizers the bounds are wide, since freed memory stays in quarantine.
"""
import hashlib
import json
import os
import socket
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
FULL = "--full" in sys.argv or os.environ.get("OSB_SOAK") == "1"
sys.argv = [word for word in sys.argv if word != "--full"]
RELEASE = os.environ.get("OSB_RELEASE_DIR")
if RELEASE and len(sys.argv) > 1:
    sys.argv[1] = RELEASE
from case import Bench, see, see_equal
from house import await_until, request
from origin import Origin, reply
from rehouse import Rehouse, rehouse_last
from wire import Message, Reader

bench = Bench()
MIB = 1 << 20
BODY = (1024 if FULL else 96) * MIB
CONNECTIONS = 10000 if FULL else 1000
READERS = 64 if FULL else 16
STEP, JITTER = 65536, 43
STRICT = RELEASE is not None


class SinkOrigin(Origin):
    """Counts and hashes bodies instead of keeping them; /flood answers with octets until nobody takes them."""

    def talk(self, connection):
        def pull():
            try:
                return connection.tls.recv(262144)
            except (OSError, ValueError):
                return b""

        reader = Reader(pull)
        while (head := reader.until(b"\r\n\r\n")) is not None:
            if head.startswith(b"GET /flood"):
                return self.flood(connection)
            chunked = Message(head).all("transfer-encoding")
            octets, digest = self.chunks(reader) if chunked else self.counted(reader, head)
            said = json.dumps({"octets": octets, "sha256": digest.hexdigest()}).encode()
            connection.tls.sendall(reply(body=said))

    @staticmethod
    def counted(reader, head):
        digest = hashlib.sha256()
        octets = left = int(Message(head).get("content-length") or 0)
        while left:
            part, _ = reader.exactly(min(left, 262144))
            digest.update(part)
            left -= len(part)
        return octets, digest

    @staticmethod
    def chunks(reader):
        digest, octets = hashlib.sha256(), 0
        while True:
            size = int(reader.until(b"\r\n") or b"0", 16)
            part, _ = reader.exactly(size + 2)
            if size == 0:
                return octets, digest
            digest.update(part[:size])
            octets += size

    def flood(self, connection):
        """As much as is taken: the count says how much that was."""
        connection.tls.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1099511627776\r\n\r\n")
        part = b"f" * 65536
        connection.flooded = 0
        while True:
            connection.tls.sendall(part)
            connection.flooded += len(part)


class SoakHouse(Rehouse):
    def __init__(self, build):
        # What is freed goes back at once: else AddressSanitizer's quarantine is all that is measured.
        options = os.environ.get("ASAN_OPTIONS", "") + ":quarantine_size_mb=0:thread_local_quarantine_size_kb=0"
        super().__init__(build, environment={"ASAN_OPTIONS": options})

    def furnish(self):
        super().furnish()
        self.store("K", "sink.test", "api.test")
        self.secret("K", "BIG", "sink.test", value=b"v" * 16 + os.urandom(24).hex().encode())
        self.k = self.sandbox("sbK", "127.0.0.5", "K")
        self.sink = SinkOrigin(self.pki.leaf(self.root, "DNS:sink.test"))
        self.always += ["sandbox_connections = 0", "body_spool = 2GiB"]
        self.always += [f"connect_to = sink.test:443=127.0.0.1:{self.sink.port}"]
        self.config = list(self.always)

    def rss(self):
        """Resident memory of all processes of the proxy, in octets."""
        total = 0
        for pid in self.pids():
            with open(f"/proc/{pid}/status") as text:
                total += sum(int(line.split()[1]) * 1024 for line in text if line.startswith("VmRSS:"))
        return total

    def busy(self):
        return self.metric('osb_upstream_connections{state="busy"}') or 0


def megs(octets):
    return f"{octets / MIB:.1f} MiB"


class Watch:
    """The largest RSS seen while it watches."""

    def __init__(self, house):
        self.house, self.before = house, house.rss()
        self.most = self.before
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)

    def run(self):
        while not self.ended.wait(0.05):
            self.most = max(self.most, self.house.rss())

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.thread.join(5)

    def see_growth(self, most):
        grown = self.most - self.before
        print(f"note  memory grew by {megs(grown)} of {megs(most)} allowed, from {megs(self.before)}", flush=True)
        see(grown < most, f"memory grew by {megs(grown)}, {megs(most)} is the most")


# --- a long body -------------------------------------------------------------------------------------------------


def places(octets):
    """Where tokens stand: about every STEP octets, by turns up to JITTER before and behind a round number."""
    turn, at = 0, STEP
    while at + JITTER + 43 < octets:
        yield at + (turn * 7) % (2 * JITTER + 1) - JITTER
        turn, at = turn + 1, at + STEP


def body_parts(octets, token):
    """The body in parts of about STEP; what stands between tokens is text that no two parts share."""
    have, turn = 0, 0
    filler = bytes(32 + (n * 37) % 95 for n in range(STEP + 4 * JITTER))
    for at in places(octets):
        yield b"%08d" % turn + filler[: at - have - 8]
        yield token
        have, turn = at + len(token), turn + 1
    while have < octets:
        part = filler[: min(STEP, octets - have)]
        have += len(part)
        yield part


def upload(client, parts):
    """Chunks of odd sizes, so that tokens lie across chunks and records."""
    held, sizes, turn = bytearray(), (16384, 1, 4093, 40000, 21, 65521), 0
    for part in parts:
        held += part
        while len(held) > 70000:
            size = sizes[turn % len(sizes)]
            client.send(b"%x\r\n%s\r\n" % (size, held[:size]))
            see(client.closed is None, f"the connection ended with {client.closed}")
            del held[:size]
            turn += 1
    client.send(b"%x\r\n%s\r\n0\r\n\r\n" % (len(held), held))


def expected(token, value):
    """Octets that are sent, octets that arrive, and their digest."""
    want, sent, octets = hashlib.sha256(), 0, 0
    for part in body_parts(BODY, token):
        sent += len(part)
        part = value if part is token else part
        want.update(part)
        octets += len(part)
    return sent, octets, want.hexdigest()


def counted_upload(client, parts):
    for part in parts:
        client.send(part)
        see(client.closed is None, f"the connection ended with {client.closed}")


def uploaded(house, counted, token, value):
    """Seconds that a body took whose tokens are ${token}."""
    sent, octets, digest = expected(token, value)
    framing = f"Content-Length: {sent}" if counted else "Transfer-Encoding: chunked"
    with house.client(house.k, "sink.test", seconds=300) as client:
        began = time.monotonic()
        client.send(request("POST", "/long", "sink.test", "Content-Type: text/plain", framing))
        (counted_upload if counted else upload)(client, body_parts(BODY, token))
        answer = client.response()
        took = time.monotonic() - began
        see(answer is not None and answer.status == 200, f"{answer and answer.status}, {client.closed}")
    got = json.loads(answer.body)
    see_equal((got["octets"], got["sha256"]), (octets, digest), "octets and digest at the origin")
    return took


@bench.case(
    f"{megs(BODY)} with a token about every 64 KiB arrive with every value in its place, in little memory",
    [("in chunks", False), ("with a length", True)],
)
def long_body(house, counted):
    token, value = house.k.tokens["BIG"], house.value("BIG")
    for _ in range(4):  # what a worker allocates once is not growth
        see_equal(house.get(house.k, "sink.test", "/").status, 200, "the status of a small request")
    with Watch(house) as watch:
        took = uploaded(house, counted, token, value)
    plain = uploaded(house, counted, b"x" * len(token), b"x" * len(token))
    print(f"note  {took:.1f} s; without tokens {plain:.1f} s: {plain / took:.2f} of its throughput", flush=True)
    watch.see_growth(8 * MIB if STRICT else 64 * MIB)


# --- many connections --------------------------------------------------------------------------------------------


@bench.case(f"{CONNECTIONS} connections, each used once: memory and descriptors are as before")
def connections(house):
    def some(count):
        for _ in range(count):
            with house.client(house.a, "api.test", seconds=30) as client:
                answer = client.ask(request("GET", "/soak", "api.test"))
                if answer is None or answer.status != 200:
                    failures.append(f"{answer and answer.status}, {client.closed}")
                    return
            house.clients.clear()

    def many(count):
        threads = [threading.Thread(target=some, args=(count // 8,)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        see(not failures, f"failed: {failures[:3]}")
        house.origin.drop_all()
        await_until(lambda: house.metric("osb_connections_active") == 0 and house.busy() == 0, "all have ended")

    failures = []
    many(400)  # caches and pools are filled
    descriptors, rss = house.descriptors(), house.rss()
    many(CONNECTIONS)
    await_until(lambda: (house.descriptors() or 0) <= (descriptors or 0), f"descriptors are back at {descriptors}")
    allowed, grown = 2 * MIB if STRICT else 64 * MIB, house.rss() - rss
    print(f"note  memory grew by {megs(grown)} of {megs(allowed)} allowed, from {megs(rss)}", flush=True)
    see(grown < allowed, f"memory grew by {megs(grown)}")


# --- slow readers ------------------------------------------------------------------------------------------------


@bench.case(f"{READERS} readers that stop reading a flood: the flood stops too, and memory stays bounded")
def slow_readers(house):
    house.get(house.k, "sink.test", "/")
    with Watch(house) as watch:
        clients = [house.client(house.k, "sink.test", seconds=30) for _ in range(READERS)]
        for client in clients:
            client.send(request("GET", "/flood", "sink.test"))
            client.pull()
        floods = lambda: [c.flooded for c in house.sink.connections if hasattr(c, "flooded") and not c.gone]
        seen = []

        def still():
            """No flood has moved between two looks."""
            seen.append((time.monotonic(), floods()))
            old = [counts for at, counts in seen if at < seen[-1][0] - 0.5]
            return bool(old) and len(old[-1]) == READERS and old[-1] == seen[-1][1]

        await_until(still, "the floods stand still", 60)
        most = max(floods())
        see(house.get(house.a, "api.test").status == 200, "another sandbox is not served meanwhile")
    # Kernel buffers of two sockets on loopback, on each side of the proxy, are up to 6 MiB and more each.
    print(f"note  each flood was taken up to {megs(most)}", flush=True)
    watch.see_growth((READERS * 128 * 1024 if STRICT else READERS * MIB) + 4 * MIB)
    for client in clients:
        client.end("rst")
    house.clients.clear()
    await_until(lambda: house.metric("osb_connections_active") == 0 and house.busy() == 0, "all have ended")


@bench.case("a reader with a small window gets every octet, in order")
def slow_reader(house):
    body = bytes(n % 251 for n in range(4 * MIB))
    house.origin.scripts["/slow"] = [reply(body=body)]
    with house.client(house.a, "api.test", seconds=60) as client:
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32768)
        answer = client.ask(request("GET", "/slow", "api.test"))
        see(
            answer and answer.complete and answer.body == body,
            f"{answer and len(answer.body)} octets, {client.closed}",
        )


rehouse_last(bench)
bench.run(SoakHouse)
