"""rotation - a change by osbctl is in force at the next request on every host: two proxies, one Redis, one key file.

No row waits: the first request that is sent after the command has returned is answered by what it changed. The proxies read
a record again only when a change is announced, so that nothing else can have told them.
"""
import os
import secrets
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from case import Bench, see, see_equal
from house import await_until
from meeting import CHUNKED, H1Talk, H2Talk
from neighbour import Line, TwoHosts, last_of
from rehouse import rehouse_last

bench = Bench()
BOTH = ("api.test", "echo.test")
TTL = "cache_ttl = 10m"
TOKEN = "its token"


class RotationHouse(TwoHosts):
    def __init__(self, build):
        super().__init__(build, [TTL], [TTL])
        self.rows = 0

    def furnish(self):
        self.store("A", *BOTH)
        self.store("B", *BOTH)
        self.secret("A", "S1")
        self.secret("B", "S2")
        self.a, self.b = self.sandbox("sbA", "127.0.0.2", "A"), self.sandbox("sbB", "127.0.0.3", "B")

    def anew(self, line):
        """Both proxies, with this line of configuration in place of ours."""
        for proxy in self.proxies:
            proxy.again(line)


class Bound:
    """A row's own store and two sandboxes that are bound to it, the second also to another store."""

    def __init__(self, house):
        house.rows += 1
        n = self.number = house.rows
        self.house, self.store, self.other = house, f"store-{n}", f"other-{n}"
        self.value = {}
        house.store(self.store, *BOTH)
        house.store(self.other, "echo.test")
        self.set("NAME")
        self.set("KEPT", store=self.other)
        self.sandboxes = [
            house.sandbox(f"one-{n}", f"127.0.{n}.2", self.store),
            house.sandbox(f"two-{n}", f"127.0.{n}.3", self.store, self.other),
        ]

    def set(self, name, *hosts, store=None, value=None, places=()):
        made = self.house.secret(store or self.store, name, *hosts, value=value, places=places)
        made.hosts = BOTH
        self.value[name] = made.value
        return made.value

    def again(self, *hosts, places=()):
        """Set NAME to the value that it has."""
        return self.set("NAME", *hosts, value=self.value["NAME"], places=places)

    def ctl(self, *words, **more):
        return self.house.ctl(*words, **more)

    def end(self):
        for sandbox in self.sandboxes:
            self.house.ctl("sandbox", "delete", sandbox.name)
            del self.house.sandboxes[sandbox.name]


def bound(function):
    """The row has a store and sandboxes of its own, known to both proxies."""

    def run(house, *more):
        row = Bound(house)
        try:
            function(house, row, *more)
        finally:
            row.end()

    return run


# --- what a host is sent -------------------------------------------------------------------------------------------------


class Named(Line):
    """ask() says which of the row's values arrived in each of the three places."""

    def __init__(self, row, proxy, sandbox, host="api.test", name="NAME"):
        super().__init__(proxy, sandbox, host, sandbox.tokens[name])
        self.row = row

    def meaning(self, octets):
        names = [name for name, value in self.row.value.items() if value == octets]
        return TOKEN if octets == self.token else names[0] if names else f"something else: {octets!r}"

    def ask(self):
        arrived = super().ask()
        return tuple(self.meaning(part) for part in arrived) if isinstance(arrived, tuple) else arrived


def see_next(row, lines, want, what):
    """The first request on each."""
    for n, line in enumerate(lines):
        see_equal(line.ask(), want, f"{what}: what {line.host} is sent on connection {n}")


def lines_of(row, host="api.test", sandboxes=None, each=3, name="NAME"):
    """Several of each sandbox at each proxy: the kernel spreads them over the workers."""
    places = [(p, s) for p in row.house.proxies for s in sandboxes or row.sandboxes for _ in range(each)]
    return [Named(row, proxy, sandbox, host, name) for proxy, sandbox in places]


PUT, TAKEN = ("NAME", TOKEN, "NAME"), (TOKEN, TOKEN, TOKEN)


# --- a new value ---------------------------------------------------------------------------------------------------------


@bench.case("a new value is in every running sandbox' next request on both hosts, ten times in a row, tokens unchanged")
@bound
def rotated(house, row):
    lines = lines_of(row)
    see_next(row, lines, PUT, "before")
    before = [house.ctl("sandbox", "env", s.name) for s in row.sandboxes]
    for n in range(10):
        row.set("NAME")
        began = time.monotonic()
        see_next(row, lines, PUT, f"rotation {n}")
        took = time.monotonic() - began
        see(took < 1, f"the requests took {took:.2f} s")
    see_next(row, lines_of(row, each=1), PUT, "new connections")
    see_equal([house.ctl("sandbox", "env", s.name) for s in row.sandboxes], before, "their environments")


@bench.case("a new value is in the first request of a sandbox that neither proxy has heard of for the last changes")
@bound
def rotated_unheard(house, row):
    for line in lines_of(row):
        see_equal(line.ask(), PUT, "before")
        line.client.end()
    for proxy in house.proxies:
        await_until(lambda: proxy.metric("osb_connections_active") == 0, "no connection is open")
    for _ in range(3):
        row.set("NAME")
    see_next(row, lines_of(row), PUT, "after")


OPEN = {  # kind of client, framing, what is said before the change and behind it
    "a body of known length, held": (H1Talk, 400, b"one %s two %s", 300),
    "a body that streams": (H1Talk, CHUNKED, b"one %s two %s" + b" " * 300, 300),
    "a body on an open HTTP/2 stream": (H2Talk, CHUNKED, b"one %s two %s" + b" " * 300, 300),
    "a body of known length on an HTTP/2 stream": (H2Talk, 400, b"one %s two %s", 300),
}


class Open:
    """A request that has begun: head and half of its body are said."""

    def __init__(self, row, proxy, sandbox, kind):
        talk, framing, body, self.cut = OPEN[kind]
        self.row, self.path, self.token = row, "/open/" + secrets.token_hex(6), sandbox.tokens["NAME"]
        self.body = body.replace(b"%s", self.token).ljust(400)
        proxy.a = sandbox  # whom a talk is of
        self.talk = talk(proxy, "api.test", 10)
        self.talk.begin(
            b"POST", self.path.encode(), (b"x-key", self.token), (b"content-type", b"text/plain"), framing=framing
        )
        self.talk.send(self.body[: self.cut])

    def finish(self):
        """What arrived: the header's value and the body."""
        self.talk.send(self.body[self.cut :], end=True)
        answer = self.talk.answer()
        see_equal(answer.status, 200, f"the status of the open request ({answer.ending})")
        seen = last_of(self.row.house.origin, self.path)
        return seen.get("x-key").encode(), seen.body


@bench.case("a request that is open finishes with the value it began with, on both hosts", [(k, k) for k in OPEN])
@bound
def rotated_open(house, row, kind):
    first, metric = house.a, 'osb_substitutions_total{place="body"}'
    before = [proxy.metric(metric) or 0 for proxy in house.proxies]
    try:
        opened = [Open(row, proxy, sandbox, kind) for proxy in house.proxies for sandbox in row.sandboxes]
    finally:
        house.a = house.neighbour.a = first
    for proxy, count in zip(house.proxies, before):
        await_until(lambda: (proxy.metric(metric) or 0) >= count + 4, "the tokens are counted")
    old = row.value["NAME"]
    for _ in range(2):
        row.set("NAME")
    see_next(row, lines_of(row, each=1), PUT, "the next request")
    for request_ in opened:
        value, body = request_.finish()
        see_equal((value, body), (old, request_.body.replace(request_.token, old)), "what the open request brought")
        request_.talk.client.end()


# --- hosts, places, lists, deletion ----------------------------------------------------------------------------------------


def update(row, *hosts):
    row.ctl("store", "update", row.store, *(word for host in hosts for word in ("--egress-allow", host)))


# What is done; what api.test and echo.test are then sent, of the sandbox that is bound to one store and of that with two.
BLOCKED = "host_not_allowed"
CHANGES = {
    "deleted": (lambda row: row.ctl("secret", "delete", row.store, "NAME"), TAKEN, TAKEN, TAKEN),
    "for one host": (lambda row: row.again("echo.test"), TAKEN, PUT, PUT),
    "for the query alone": (lambda row: row.again(places=("url",)), (TOKEN, "NAME", TOKEN), *[(TOKEN, "NAME", TOKEN)] * 2),
    "its store for one host": (lambda row: update(row, "echo.test"), BLOCKED, PUT, PUT),
    "its store for another host": (lambda row: update(row, "wild.test"), BLOCKED, BLOCKED, TAKEN),
    "its store deleted and revoked": (
        lambda row: row.ctl("store", "delete", row.store, "--revoke"),
        BLOCKED,
        BLOCKED,
        TAKEN,
    ),
    "its store deleted": (lambda row: row.ctl("store", "delete", row.store), PUT, PUT, PUT),
    "a new name beside it": (lambda row: row.set("NEW"), PUT, PUT, PUT),
    "its store renamed": (lambda row: row.ctl("store", "update", row.store, "--name", f"new-{row.number}"), PUT, PUT, PUT),
}


@bench.case(
    "what is taken away or given is so at the next request on both hosts, on connections that live and on new ones",
    [(how, how) for how in CHANGES],
)
@bound
def changed(house, row, how):
    change, api, echo, echo_of_two = CHANGES[how]
    one, two = row.sandboxes
    groups = [
        (lines_of(row, "api.test"), api),
        (lines_of(row, "echo.test", [one]), echo),
        (lines_of(row, "echo.test", [two]), echo_of_two),
    ]
    for lines, _ in groups:
        see_next(row, lines, PUT, "before")
    change(row)
    for lines, want in groups:
        see_next(row, lines, want, "live")
    news = (("api.test", None, api), ("echo.test", [one], echo), ("echo.test", [two], echo_of_two))
    for host, sandboxes, want in news:
        if want is not BLOCKED:
            see_next(row, lines_of(row, host, sandboxes, each=1), want, "new")


@bench.case(
    "what was narrowed is given back at the next request",
    [("a secret's hosts", "secret"), ("a store's list", "store")],
)
@bound
def widened(house, row, what):
    lines = lines_of(row)
    see_next(row, lines, PUT, "before")
    narrow = (lambda: row.again("echo.test")) if what == "secret" else (lambda: update(row, "echo.test"))
    widen = (lambda: row.again(*BOTH)) if what == "secret" else (lambda: update(row, *BOTH))
    for _ in range(3):
        narrow()
        see_next(row, lines, TAKEN if what == "secret" else BLOCKED, "narrowed")
        if what == "store":
            lines = lines_of(row)  # a refusal of a body ends its connection
        widen()
        see_next(row, lines, PUT, "widened")


@bench.case("hosts and places stay as they are at a rotation that does not give them, and are replaced by one that does")
@bound
def kept(house, row):
    row.again("echo.test", places=("header", "url"))
    lines, others = lines_of(row, "echo.test", each=1), lines_of(row, each=1)
    for want, change in (
        (("NAME", "NAME", TOKEN), lambda: row.set("NAME")),
        (("NAME", "NAME", TOKEN), lambda: row.set("NAME", "echo.test")),
        ((TOKEN, TOKEN, "NAME"), lambda: row.set("NAME", places=("body",))),
        ((TOKEN, TOKEN, "NAME"), lambda: row.set("NAME")),
    ):
        change()
        see_next(row, lines, want, "echo.test")
        see_next(row, others, TAKEN, "api.test")


@bench.case("a sandbox that is deleted ends on both hosts within a second, though it asks nothing")
@bound
def deleted(house, row):
    lines = lines_of(row)
    see_next(row, lines, PUT, "before")
    one, two = row.sandboxes
    house.ctl("sandbox", "delete", one.name)
    began = time.monotonic()
    for line in lines:
        if line.token == one.tokens["NAME"]:
            see_equal(line.client.rest(), b"", "what came")
            see(line.client.closed != "timeout", "the connection stayed open")
    see(time.monotonic() - began < 1, f"it took {time.monotonic() - began:.2f} s")
    for proxy in house.proxies:
        with proxy.client(one, "api.test") as client:
            see(not client.shaken, "a new connection was served")
    see_next(row, [line for line in lines if line.token == two.tokens["NAME"]], PUT, "the other sandbox")
    row.sandboxes.remove(one)
    del house.sandboxes[one.name]


@bench.case("a sandbox that is made anew under the same id and address is served by both hosts at once")
@bound
def made_again(house, row):
    one = row.sandboxes[0]
    for n in range(3):
        see_next(row, lines_of(row, sandboxes=[one], each=2), PUT, f"round {n}")
        house.ctl("sandbox", "delete", one.name)
        for proxy in house.proxies:
            with proxy.client(one, "api.test") as client:
                see(not client.shaken, "it was served after its end")
        row.sandboxes[0] = one = house.sandbox(one.name, one.address, row.store)


# --- announcements that are lost -------------------------------------------------------------------------------------------


def cut_off(house):
    """The proxies hear of no change any more, and can't listen again."""
    house.redis("ACL", "SETUSER", "default", "-subscribe")
    house.redis("CLIENT", "KILL", "TYPE", "pubsub")


def await_put(row, lines, seconds):
    """Each connection's requests have the new value in the end, and the old one until then; gives how long it took."""
    old, began = {}, time.monotonic()
    for line in lines:
        asked = []
        await_until(lambda: asked.append(line.ask()) or asked[-1] == PUT, "the new value arrives", seconds)
        odd = [answer for answer in asked[:-1] if not isinstance(answer, tuple) or TOKEN in (answer[0], answer[2])]
        see(not odd, f"in between: {odd[:3]}")
    return time.monotonic() - began


@bench.case("a lost announcement costs at most cache_ttl")
def lost(house):
    house.anew("cache_ttl = 1s")
    row = Bound(house)
    try:
        lines = lines_of(row)
        see_next(row, lines, PUT, "before")
        cut_off(house)
        row.set("NAME")
        took = await_put(row, lines, 4)
        see(took < 2, f"it took {took:.2f} s")
    finally:
        house.redis("ACL", "SETUSER", "default", "+subscribe")
        row.end()
        house.anew(TTL)


@bench.case("listeners that were killed find out what they missed when they listen again, long before cache_ttl")
@bound
def killed(house, row):
    lines = lines_of(row)
    see_next(row, lines, PUT, "before")
    for n in range(5):
        if n % 2:
            house.redis("CLIENT", "KILL", "TYPE", "pubsub")
            row.set("NAME")
        else:
            cut_off(house)
            row.set("NAME")
            house.redis("ACL", "SETUSER", "default", "+subscribe")
        took = await_put(row, lines, 3)
        see(took < 1.5, f"it took {took:.2f} s")


# --- many at once ----------------------------------------------------------------------------------------------------------

MANY = 2000 if os.environ.get("OSB_SOAK") else 400
BUSY = 24


def each_of(things, work, threads=4):
    """Work on all of them; a failure is the caller's."""
    failures, left = [], list(things)

    def run():
        while left and not failures:
            try:
                work(left.pop())
            except Exception as error:  # told below
                failures.append(error)

    workers = [threading.Thread(target=run) for _ in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    if failures:
        raise failures[0]


@bench.case(f"a value that {MANY} connected sandboxes share is changed without a failed request, and is new in all of them")
@bound
def shared(house, row):
    made, lines, failures, done = [], [], [], threading.Event()
    each_of(
        range(MANY),
        lambda n: made.append(house.sandbox(f"many-{n}", f"127.2.{n // 250}.{n % 250 + 1}", row.store)),
    )
    try:
        each_of(made, lambda s: lines.append(Named(row, secrets.choice(house.proxies), s)))
        each_of(lines, lambda line: see_equal(line.ask(), PUT, "before"))

        def ask_on(line):
            while not done.is_set():
                answer = line.ask()
                if not isinstance(answer, tuple) or TOKEN in (answer[0], answer[2]):
                    failures.append(answer)
                    return

        askers = [threading.Thread(target=ask_on, args=(line,)) for line in lines[:BUSY]]
        for asker in askers:
            asker.start()
        for _ in range(3):
            row.set("NAME")
            see(not failures, f"while the value changed: {failures[:3]}")
        each_of(lines[BUSY:], lambda line: see_equal(line.ask(), PUT, "after"))
        done.set()
        for asker in askers:
            asker.join()
        see(not failures, f"while the value changed: {failures[:3]}")
        see_next(row, lines[:BUSY], PUT, "after")
    finally:
        done.set()
        for line in lines:
            line.client.end()
        each_of(made, lambda s: (house.ctl("sandbox", "delete", s.name), house.sandboxes.pop(s.name)))


rehouse_last(bench)
bench.run(RotationHouse)
