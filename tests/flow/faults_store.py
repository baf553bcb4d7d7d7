"""faults_store - Redis away, hung, or written to by an attacker: cached records serve on, nothing is let through."""
import os
import signal
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from case import Bench, see, see_equal, short
from house import await_until, request
from refusal import see_refusal
from rehouse import Rehouse, rehouse_last
from valve import Valve

bench = Bench()
GET = request("GET", "/store", "api.test")


class StoreHouse(Rehouse):
    def furnish(self):
        super().furnish()
        self.c = self.sandbox("sbC", "127.0.0.4", "A")  # never asks before a case says so

    def warm(self, *sandboxes):
        """Every worker knows these: the kernel spreads connections by their source port."""
        for sandbox in sandboxes:
            for _ in range(12):
                see_equal(self.get(sandbox, "api.test").status, 200, f"a request of {sandbox.name}")

    def turned_away(self, sandbox):
        """A new connection is ended before any handshake; gives how long that took."""
        began = time.monotonic()
        with self.client(sandbox, "api.test", seconds=15) as client:
            see(not client.shaken, "the handshake was completed")
            see(client.closed in ("rst", "fin"), f"the connection ended with {client.closed}")
        return time.monotonic() - began

    def served(self, sandbox):
        with self.client(sandbox, "api.test") as client:
            answer = client.ask(GET) if client.shaken else None
            return answer is not None and answer.status == 200

    def await_served(self, sandbox, seconds=4):
        await_until(lambda: self.served(sandbox), f"{sandbox.name} is served", seconds)

    def readyz(self):
        return int(self.fetch_admin("/readyz").split(b" ")[1])

    def subscribers(self):
        return len(self.redis("CLIENT", "LIST", "TYPE", "pubsub").splitlines())

    def reads(self, message):
        """Publish a change, as osbctl does after a write."""
        see(self.redis("PUBLISH", "osb:changes", message) >= 1, "nobody is subscribed")


@bench.case("Redis away at the start: not ready, connections are reset, and all heals by itself when it comes")
def away_at_start(house):
    house.redis_away()
    try:
        house.again(awaits_redis=False)
        see_equal(house.readyz(), 503, "the status of /readyz")
        for _ in range(4):
            see(house.turned_away(house.a) < 1, "the reset took a second")
        see(b"Redis is away" in house.proxy.said(), "the log does not say that Redis is away")
    finally:
        house.redis_back()
    began = time.monotonic()
    await_until(lambda: house.metric("osb_workers_ready") == 2 and house.readyz() == 200, "both workers are ready", 4)
    see(house.served(house.a), "a new connection is not served")
    see(time.monotonic() - began < 1, f"it took {time.monotonic() - began:.2f} s")
    see(b"Redis answers again" in house.proxy.said(), "the log does not say that Redis answers again")


@bench.case(
    "a cached sandbox notices nothing of a Redis that goes; an unknown one is reset within the timeout",
    [
        ("its socket is gone, records are fresh", True, "30s"),
        ("its socket is gone, records are asked for each time", True, "1ms"),
        ("it hangs, records are fresh", False, "30s"),
        ("it hangs, records are asked for each time", False, "1ms"),
    ],
)
def away_later(house, gone, ttl):
    house.again("store_timeout = 500ms", f"cache_ttl = {ttl}", "cache_stale = 60s")
    house.warm(house.a)
    with house.client(house.a, "api.test") as live:
        see_equal(live.ask(GET).status, 200, "the status before")
        house.redis_away() if gone else house.redis_signal(signal.SIGSTOP)
        try:
            for _ in range(6):
                began = time.monotonic()
                see_equal(live.ask(GET).status, 200, "the status on the live connection")
                see(house.served(house.a), "a new connection of a cached sandbox")
                see(time.monotonic() - began < 2.5, f"two requests took {time.monotonic() - began:.1f} s")
                see(house.turned_away(house.c) < 1.5, "the unknown sandbox waited longer than the timeout")
            see_equal(house.readyz(), 200, "/readyz with a warm cache")
        finally:
            house.redis_back() if gone else house.redis_signal(signal.SIGCONT)
        see_equal(live.ask(GET).status, 200, "the status after")
    await_until(lambda: house.served(house.c), "the unknown sandbox is served", 5)
    await_until(lambda: house.metric("osb_workers_ready") == 2, "both workers are ready", 4)


@bench.case("a running load notices nothing of Redis going and coming, three times")
def load_through(house):
    house.again("store_timeout = 500ms", "cache_stale = 60s")
    house.warm(house.a)
    ended, failures, done = threading.Event(), [], []

    def load():
        with house.client(house.a, "api.test") as client:
            while not ended.is_set():
                answer = client.ask(GET)
                if answer is None or answer.status != 200:
                    failures.append(f"{answer.status} {answer.code}" if answer else client.closed)
                    return
                done.append(1)

    threads = [threading.Thread(target=load) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(3):
            house.redis_away()
            have = len(done)
            await_until(lambda: len(done) > have + 20 or failures, "the load goes on")
            house.redis_back()
            await_until(lambda: house.subscribers() == 2, "both workers are back", 6)
            have = len(done)
            await_until(lambda: len(done) > have + 20 or failures, "the load goes on")
    finally:
        house.redis_back()
        ended.set()
        for thread in threads:
            thread.join(20)
    see(not failures, f"requests failed: {failures}")


@bench.case("within a second after Redis is back live connections are served, new ones, and sandboxes that were never seen")
def recovery(house):
    house.again("store_timeout = 300ms", "cache_ttl = 100ms", "cache_stale = 400ms")
    house.warm(house.a)
    with house.client(house.a, "api.test") as live:
        for n in range(3):
            see_equal(live.ask(GET).status, 200, "the status before")
            house.redis_away()
            try:
                await_until(lambda: house.readyz() == 503, "records are too old", 3)
                see_refusal(house, live.ask(GET), 503, "store_unavailable")
                await_until(lambda: house.proxy.said().count(b"Redis is away") > n, "the log says so", 3)
            finally:
                house.redis_back()
            began = time.monotonic()
            await_until(lambda: live.ask(GET).status == 200, "the live connection is served")
            house.await_served(house.a)
            house.await_served(house.c)
            see(time.monotonic() - began < 1, f"round {n} took {time.monotonic() - began:.2f} s")


@bench.case(
    "what was announced while nobody listened is known at once when the proxy listens again, to idle connections too",
    [("deleted", True), ("changed", False)],
)
def missed(house, deleted):
    house.again("cache_ttl = 10m")
    sandbox = house.sandbox("sbM", "127.0.0.6", "A")
    reads = lambda: house.metric('osb_store_fetches_total{result="found"}')
    with house.client(sandbox, "api.test") as idle:
        see_equal(idle.ask(GET).status, 200, "the status before")
        house.redis("ACL", "SETUSER", "default", "-subscribe")
        try:
            house.redis("CLIENT", "KILL", "TYPE", "pubsub")
            before = reads()
            if deleted:
                house.ctl("sandbox", "delete", "sbM")
            else:
                house.secret("A", "S2", "echo.test")
            see_equal(idle.ask(GET).status, 200, "the status while nobody listens")
        finally:
            house.redis("ACL", "SETUSER", "default", "+subscribe")
        began = time.monotonic()
        if deleted:
            see_equal(idle.rest(), b"", "what came")
            see(idle.closed != "timeout", "the connection stayed open")
        else:
            await_until(lambda: reads() > before, "the record of an idle connection's sandbox is read again")
            see_equal(idle.ask(GET).status, 200, "the status after")
        see(time.monotonic() - began < 1, f"it took {time.monotonic() - began:.2f} s")
    if not deleted:
        house.ctl("sandbox", "delete", "sbM")
    del house.sandboxes["sbM"]


@bench.case("where a change was announced and Redis hangs, a request waits for store_timeout, is refused, and heals")
def hangs_on_news(house):
    valve, lines = Valve(house.redis_socket, house.folder), house.redis_lines
    house.redis_lines = [f"redis = unix:{valve.path}"]
    try:
        house.again("store_timeout = 400ms", "cache_stale = 60s")
        house.warm(house.a)
        with house.client(house.a, "api.test") as live:
            see_equal(live.ask(GET).status, 200, "the status before")
            valve.open.clear()
            house.secret("A", "S1", "api.test")
            for bounds in ((0.3, 0.8), (0, 0.5), (0, 0.5)):  # then it is known that Redis hangs
                began = time.monotonic()
                see_refusal(house, live.ask(GET), 503, "store_unavailable")
                took = time.monotonic() - began
                see(bounds[0] < took < bounds[1], f"the request waited for {took:.2f} s")
            valve.open.set()
            began = time.monotonic()
            await_until(lambda: live.ask(GET).status == 200, "it heals")
            see(time.monotonic() - began < 1, f"it took {time.monotonic() - began:.2f} s")
    finally:
        house.redis_lines = lines
        valve.close()
        house.again()


@bench.case("a worker that reads slowly takes no answer for one that was brought back, because another has read a newer one")
def outrun(house):
    valve, lines = Valve(house.redis_socket, house.folder), house.redis_lines
    house.redis_lines = [f"redis = unix:{valve.path}"]

    def ask(client, answers):
        with client:
            answer = client.ask(GET) if client.shaken else None
            answers.append(answer.status if answer else client.closed)

    def ask_all(clients, answers):
        for client in clients:
            threading.Thread(target=ask, args=(client, answers), daemon=True).start()

    try:
        house.again("store_timeout = 20s", "cache_ttl = 1ms")
        house.warm(house.a)
        early, late = [[house.client(house.a, "api.test", seconds=20) for _ in range(12)] for _ in range(2)]
        before, after = [], []
        valve.hold_answer()
        ask_all(early, before)
        see(valve.held.wait(5), "no answer is held")
        await_until(lambda: before, "the other worker has answered")
        house.secret("A", "S1", "api.test")
        ask_all(late, after)
        await_until(lambda: after, "the other worker has read the newer record")
        see(len(before) < len(early), "nobody waits for the answer that is held")
        valve.let_go.set()
        await_until(lambda: len(before + after) == len(early + late), f"all are answered, not {before} and {after} alone")
        see_equal(set(before + after), {200}, "what came")
        see(b"older than one" not in house.proxy.said(), "an answer was taken for one that was brought back")
    finally:
        house.redis_lines = lines
        valve.close()
        house.again()


@bench.case("past cache_stale a live connection is told 503, a new one is reset, and both heal")
def stale(house):
    house.again("store_timeout = 300ms", "cache_ttl = 100ms", "cache_stale = 1s")
    house.warm(house.a)
    with house.client(house.a, "api.test") as live:
        see_equal(live.ask(GET).status, 200, "the status before")
        house.redis_away()
        began = time.monotonic()
        try:
            answers = []
            await_until(
                lambda: answers.append(live.ask(GET)) or not answers[-1] or answers[-1].status != 200, "it ends", 5
            )
            took = time.monotonic() - began
            see_refusal(house, answers[-1], 503, "store_unavailable")
            see(0.7 < took < 2.5, f"records were stale after {took:.1f} s, not 1 s")
            before = house.origin.counts()
            if live.closed is None:
                see_refusal(house, live.ask(GET), 503, "store_unavailable")
            house.turned_away(house.a)
            house.turned_away(house.a)
            see_equal(house.origin.counts(), before, "what the origin saw")
            await_until(lambda: house.readyz() == 503, "/readyz is 503", 3)
        finally:
            house.redis_back()
        house.await_served(house.a)
        if live.closed is None:
            await_until(lambda: live.ask(GET).status == 200, "the old connection is served, by its own worker", 4)


# --- an attacker who can write to Redis --------------------------------------------------------------------------

KEY = "osb:sandbox:{sbA}"


def flipped(field, at):
    """One bit of one octet; at: a part of the length."""

    def forge(house, kept):
        value = bytearray(kept[field])
        value[int((len(value) - 1) * at)] ^= 1
        house.redis("HSET", KEY, field, bytes(value))

    return forge


def swapped(one, other):
    def forge(house, kept):
        house.redis("HSET", KEY, one, kept[other], other, kept[one])

    return forge


def without(field):
    return lambda house, kept: house.redis("HDEL", KEY, field)


def put(field, octets):
    return lambda house, kept: house.redis("HSET", KEY, field, octets)


def widened(house, kept):
    house.redis("HSET", KEY, "policy", kept[b"policy"].replace(b'"echo.test"', b'"evil.test"'))


def of_b(*fields):
    """The neighbour's own sealed fields, copied over."""

    def forge(house, kept):
        other = house.redis.hash("osb:sandbox:{sbB}")
        for field in fields or other:
            house.redis("HSET", KEY, field, other[field])

    return forge


FIELDS = (b"policy", b"tag", b"ca", b"value:S1", b"value:S2")
FORGERIES = [(f"{f.decode()}, octet at {int(at * 100)} %", flipped(f, at)) for f in FIELDS for at in (0, 0.5, 1)]
FORGERIES += [(f"{f.decode()} is gone", without(f)) for f in FIELDS]
FORGERIES += [(f"{f.decode()} is empty", put(f, b"")) for f in FIELDS]
FORGERIES += [
    ("two values swapped", swapped(b"value:S1", b"value:S2")),
    ("a list widened", widened),
    ("the neighbour's whole record", of_b()),
    ("the neighbour's CA key", of_b(b"ca")),
    ("the neighbour's policy and tag", of_b(b"policy", b"tag")),
]


def see_refused(house, kept):
    """On a connection that lives, on new ones of both workers; and it heals when the record is what it was."""
    # The forger's change reaches each worker by itself, so the first answers may still be of the record before.
    try:
        await_until(lambda: not house.served(house.a), "the record is refused", 3)
        before = house.origin.counts()
        for _ in range(6):
            see(not house.served(house.a), "one worker still serves")
        see_equal(house.origin.counts(), before, "what the origin saw")
        see(b"is refused" in house.proxy.said(), "the log says nothing of it")
        see_equal(house.get(house.b, "api.test").status, 200, "the neighbour's status")
    finally:
        house.redis("DEL", KEY)
        house.redis("HSET", KEY, *(octets for pair in kept.items() for octets in pair))
        house.reads("sandbox sbA")
    house.await_served(house.a)


@bench.case("a record that was written to by another than osbctl is refused as a whole, and said so", FORGERIES)
def forged(house, forge):
    if house.config:
        house.again()
    house.warm(house.a)
    kept = house.redis.hash(KEY)
    refused = house.metric('osb_store_fetches_total{result="refused"}')
    with house.client(house.a, "api.test") as live:
        see_equal(live.ask(GET).status, 200, "the status before")
        forge(house, kept)
        house.reads("sandbox sbA")
        answers = []
        await_until(
            lambda: answers.append(live.ask(GET)) or not answers[-1] or answers[-1].status != 200, "refused", 3
        )
        if answers[-1]:
            see_refusal(house, answers[-1], 503, "store_unavailable")
        see_refused(house, kept)
    see(house.metric('osb_store_fetches_total{result="refused"}') > refused, "no refused fetch was counted")
    house.see_logs_clean()


@bench.case(
    "an older version that is put back is refused",
    [
        ("by workers that have read the newer one", lambda house: None),
        ("by workers of a later reload", lambda house: house.await_said(house.hang_up(), "is reloaded")),
    ],
)
def older(house, between):
    house.again()
    kept = house.redis.hash(KEY)
    house.secret("A", "S1", "api.test")
    house.warm(house.a)
    newer = house.redis.hash(KEY)
    see(newer != kept, "the rotation did not reach the record")
    house.redis("DEL", KEY)
    house.redis("HSET", KEY, *(octets for pair in kept.items() for octets in pair))
    between(house)
    house.reads("sandbox sbA")
    see_refused(house, newer)
    see(b"older than one that was seen before" in house.proxy.said(), "the log does not say what is wrong")


@bench.case("an older version that was put back is taken again when a command has changed it")
def older_heals(house):
    house.again()
    kept = house.redis.hash(KEY)
    house.secret("A", "S1", "api.test")
    house.warm(house.a)
    with house.client(house.a, "api.test") as live:
        see_equal(live.ask(GET).status, 200, "the status before")
        house.redis("DEL", KEY)
        house.redis("HSET", KEY, *(octets for pair in kept.items() for octets in pair))
        house.reads("sandbox sbA")
        await_until(lambda: not house.served(house.a), "the record is refused", 3)
        house.secret("A", "S1", "api.test")
        for _ in range(6):
            see(house.served(house.a), "a new connection is not served")


@bench.case("a key that is added to the key file is read when the first record needs it, without a restart")
def key_added(house):
    house.again()
    house.warm(house.a)
    with open(house.key_file, "rb") as old:
        keys = os.urandom(32) + old.read()  # the first seals, all open
    fresh = house.key_file + ".new"
    with open(os.open(fresh, os.O_WRONLY | os.O_CREAT, 0o600), "wb") as out:
        out.write(keys)
    os.rename(fresh, house.key_file)
    d = house.sandbox("sbD", "127.0.0.5", "A")
    house.warm(d, house.a)


@bench.case("the index decides nothing: an address that points to a neighbour's record has none")
def index(house):
    house.warm(house.a, house.b)
    key = "osb:ip:default:{127.0.0.2}"
    kept = house.redis("GET", key)
    for other in (b"sbB", b"nobody", b"../x", b"", b"x" * 200):
        house.redis("SET", key, other)
        house.reads("ip default 127.0.0.2")
        try:
            await_until(lambda: not house.served(house.a), f"index {short(other)} is refused", 3)
            for _ in range(6):
                house.turned_away(house.a)
        finally:
            house.redis("SET", key, kept)
            house.reads("ip default 127.0.0.2")
        house.await_served(house.a)


@bench.case("keys of another type than ours are an error of the store, not an empty record")
def types(house):
    house.warm(house.a)
    kept = house.redis.hash(KEY)
    house.redis("DEL", KEY)
    house.redis("SET", KEY, "x")
    house.reads("sandbox sbA")
    house.redis("PING")
    try:
        see_equal(house.get(house.b, "api.test").status, 200, "the neighbour's status")
    finally:
        house.redis("DEL", KEY)
        house.redis("HSET", KEY, *(octets for pair in kept.items() for octets in pair))
        house.reads("sandbox sbA")
    house.await_served(house.a)


rehouse_last(bench)
bench.run(StoreHouse)
