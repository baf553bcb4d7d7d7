"""limits - a sandbox has so many connections, requests and leaves, the proxy so many clients; who has more is told."""
import os
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from case import Bench, see, see_equal
from client import hello
from house import await_until, request
from refusal import see_refusal
from rehouse import Rehouse, rehouse_last

bench = Bench()
GET = request("GET", "/limits", "api.test")
LIMITED = 'osb_connections_total{result="limited"}'
MOST = 4  # connections of a sandbox
TOLD = MOST // 8 + 8  # so many more get a sentence; what comes beyond is reset


class LimitHouse(Rehouse):
    def furnish(self):
        super().furnish()
        self.store("M", "api.test", "*.mint.test")
        self.c = self.sandbox("sbC", "127.0.0.4", "M")
        self.d = self.sandbox("sbD", "127.0.0.5", "M")
        self.e = self.sandbox("sbE", "127.0.0.6", "M")

    def await_none(self):
        await_until(lambda: self.metric("osb_connections_active") == 0, "no connection is counted any more")


def opened(house, sandbox, count):
    return [house.client(sandbox, "api.test") for _ in range(count)]


def end_all(house, clients):
    for client in clients:
        client.end()
    house.await_none()


# --- connections -------------------------------------------------------------------------------------------------


def burst(house):
    """MOST are served, TOLD more are told, the rest is reset; all of them are open at once."""
    clients = opened(house, house.a, MOST)
    try:
        for client in clients:
            see(client.shaken, f"the handshake of one within the limit ended with {client.closed}")
            see_equal(client.ask(GET).status, 200, "the status of one within the limit")
        before, limited = house.origin.counts()[1], house.metric(LIMITED)
        told = opened(house, house.a, TOLD)
        clients += told
        see_equal([client.shaken for client in told], [True] * TOLD, f"the handshakes of {TOLD} too many")
        beyond = opened(house, house.a, 10)
        clients += beyond
        see_equal(
            [c.closed for c in beyond if c.shaken or c.closed not in ("rst", "fin")], [], "far too many, not reset"
        )
        for client in told:
            line = see_refusal(house, client.ask(GET), 429, "too_many_connections")
            see_equal((line["sandbox"], line["secrets"]), ("sbA", []), "sandbox and secrets in the audit line")
            client.rest()
            see_equal(client.closed, "close_notify", "how it ended")
        see_equal(house.origin.counts()[1], before, "the number of requests that the origin saw")
        see_equal(house.metric(LIMITED) - limited, TOLD + 10, "what was counted as limited")
        for client in clients[:MOST]:
            see_equal(client.ask(GET).status, 200, "the status of one within the limit, afterwards")
        see_equal(house.get(house.b, "api.test").status, 200, "the neighbour's status")
    finally:
        end_all(house, clients)


@bench.case(
    "more connections than sandbox_connections are told 429, far more are reset, and afterwards it is as before",
    [(f"burst {n}", n) for n in range(3)],
)
def connections(house, n):
    if n == 0:
        house.again(f"sandbox_connections = {MOST}")
    burst(house)


@bench.case("connections that end in any way are counted no more")
def connections_any(house):
    for how in ("close", "rst", "close"):
        for client in opened(house, house.a, MOST):
            if how == "rst":
                client.send(b"GET / HTTP/1.1\r\nHost: api.test\r\n")
            client.end(how)
        house.await_none()
    for _ in range(MOST):  # a hello that ends with the connection: no handshake
        hello(("127.0.0.1", house.port), house.a.address, b"api.test")
    house.await_none()
    burst(house)


@bench.case("one that ends makes room for one, at once")
def connections_room(house):
    clients = opened(house, house.a, MOST)
    for _ in range(8):
        clients.pop(0).end()
        await_until(lambda: house.metric("osb_connections_active") == MOST - 1, "the ended one is counted no more")
        clients += opened(house, house.a, 1)
        see_equal(clients[-1].ask(GET).status, 200, "the status of the newest")
    end_all(house, clients)


# --- requests ----------------------------------------------------------------------------------------------------

RATE = 20


def asked(clients, enough):
    """Requests in turn over these connections until enough(statuses); gives statuses, the last refusal, the time."""
    began, statuses, refused = time.monotonic(), [], None
    while not enough(statuses):
        client = clients[len(statuses) % len(clients)]
        answer = client.ask(GET)
        see(answer is not None, f"request {len(statuses)}: {client.closed}")
        statuses.append(answer.status)
        refused = answer if answer.status == 429 else refused
    return statuses, refused, time.monotonic() - began


@bench.case("sandbox_requests_per_s holds over all workers; who waits as told is served")
def rate(house):
    house.again(f"sandbox_requests_per_s = {RATE}")
    clients = opened(house, house.a, 8)
    for _ in range(2):
        statuses, refused, took = asked(clients, lambda statuses: statuses.count(200) >= 3 * RATE)
        see_equal(set(statuses), {200, 429}, "the statuses")
        see_equal(statuses[:RATE], [200] * RATE, "the first second's worth")
        see(3 * RATE <= RATE + RATE * took + 1, f"{3 * RATE} were served in {took:.2f} s")
        line = see_refusal(house, refused, 429, "too_many_requests")
        see_equal((line["sandbox"], line["secrets"], line["upstream_ms"]), ("sbA", [], None), "what was audited")
        see_equal(house.get(house.b, "api.test").status, 200, "the neighbour's status")
        wait_until = time.monotonic() + int(refused.get("retry-after"))
        await_until(lambda: time.monotonic() > wait_until, "Retry-After has passed")
        see_equal(clients[0].ask(GET).status, 200, "the status after Retry-After")
        wait_until = time.monotonic() + 1.2
        await_until(lambda: time.monotonic() > wait_until, "a second has passed: the rate is whole again")
    end_all(house, clients)


@bench.case("a request that is not allowed anyway costs nothing of the rate")
def rate_denied(house):
    await_until(lambda: house.get(house.a, "api.test").status == 200, "the rate is free again", 3)
    with house.client(house.a, "evil.test") as client:
        for _ in range(3 * RATE):
            see_equal(client.ask(request("GET", "/", "evil.test")).status, 403, "the status")


# --- the whole proxy ---------------------------------------------------------------------------------------------


@bench.case(
    "beyond max_connections clients wait, and are served as soon as others leave",
    [("one worker", 1), ("two workers", 2)],
)
def maximum(house, workers):
    house.again("max_connections = 8", workers=workers)
    held, results = [], []

    def visit():
        try:
            with house.client(house.b, "api.test", seconds=30) as client:
                answer = client.ask(GET) if client.shaken else None
                results.append(answer.status if answer else client.closed)
        except Exception as error:
            results.append(repr(error))

    if workers == 1:  # with two, who fills one worker's share waits although the other has room
        held = opened(house, house.a, 8)
    threads = [threading.Thread(target=visit) for _ in range(40)]
    for thread in threads:
        thread.start()
    if held:
        see_equal([c.ask(GET).status for c in held], [200] * 8, "the statuses of those within")
        see_equal(
            (house.metric("osb_connections_active"), results), (8, []), "open ones, and results of those who wait"
        )
        end = held
        for client in end:
            client.end()
    for thread in threads:
        thread.join(40)
    see_equal(results, [200] * 40, "what those who waited got")
    house.await_none()


@bench.case("a max_connections that files don't allow is lowered, and said")
def maximum_clamped(house):
    said = len(house.proxy.said())
    house.again("max_connections = 10000000")
    see(b"max_connections is lowered" in house.proxy.said()[said:], "the log says nothing of it")
    see_equal(house.get(house.a, "api.test").status, 200, "the status")


# --- leaves ------------------------------------------------------------------------------------------------------


def minted(house, sandbox, names):
    """How each handshake began, and how long all took."""
    began = time.monotonic()
    got = [hello(("127.0.0.1", house.port), sandbox.address, name.encode()) for name in names]
    return got, time.monotonic() - began


@bench.case("the 21st denied name of a burst gets alert 112; allowed names, known names and the neighbour's go on")
def mint(house):
    house.again(workers=1)
    names = [f"d{n}.denied.test" for n in range(60)]
    got, took = minted(house, house.c, names)
    good = got.count("handshake")
    see_equal(set(got), {"handshake", "alert 112"}, "how the handshakes began")
    see_equal(got[:20], ["handshake"] * 20, "the first twenty")
    see(good <= 20 + 2 * took + 1, f"{good} denied names got a leaf in {took:.2f} s")
    see_equal(minted(house, house.c, names[:20])[0], ["handshake"] * 20, "the same twenty again")
    see_equal(minted(house, house.c, [f"a{n}.mint.test" for n in range(60)])[0], ["handshake"] * 60, "allowed names")
    see_equal(house.get(house.c, "api.test").status, 200, "the status at an allowed host")
    see_equal(minted(house, house.d, names[:20])[0], ["handshake"] * 20, "the neighbour's denied names")
    later = [f"l{n}.denied.test" for n in range(400)]
    await_until(lambda: minted(house, house.c, [later.pop()])[0] == ["handshake"], "a later one gets a leaf", 2)


@bench.case("a denied name within the budget reads a sentence, beyond it the audit log has one line")
def mint_told(house):
    see_refusal(house, house.get(house.e, "x.denied.test"), 403, "host_not_allowed")
    minted(house, house.e, [f"y{n}.denied.test" for n in range(24)])
    house.await_audit(lambda line: line["reason"] == "name_refused" and line["sandbox"] == "sbE", "an audit line")


@bench.case("allowed names have a budget too, and others go on meanwhile")
def mint_wild(house):
    got, took = minted(house, house.e, [f"w{n}.mint.test" for n in range(400)])
    good = got.count("handshake")
    see(good >= 200 or took > 10, f"{good} of 400 names got a leaf in {took:.1f} s")
    see_equal(house.get(house.d, "api.test").status, 200, "the neighbour's status")


@bench.case("the budget is the sandbox's, however many workers there are")
def mint_workers(house):
    house.again(workers=2)
    got, took = minted(house, house.c, [f"v{n}.denied.test" for n in range(100)])
    good = got.count("handshake")
    see(good <= 20 + 2 * took + 2, f"{good} denied names got a leaf in {took:.2f} s")


rehouse_last(bench)
bench.run(LimitHouse)
