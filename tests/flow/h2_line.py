"""h2_line - who waits for a stream of a host's HTTP/2 connection, and what a request that is sent again still counts."""
import contextlib
import os
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import h2client as h2
import h2origin
from case import Bench, see, see_equal
from h2house import H2UpstreamHouse, burst, see_all
from h2origin import Early, Reset, Turns
from house import request
from origin import CUT, Pause, reply

bench = Bench()


@contextlib.contextmanager
def sessions(**changed):
    """The origin's sessions do these things in another way, meanwhile."""
    before = {name: getattr(h2origin.Session, name) for name in changed}
    for name, function in changed.items():
        setattr(h2origin.Session, name, function)
    try:
        yield before
    finally:
        for name, function in before.items():
            setattr(h2origin.Session, name, function)


def chunk(octets):
    return b"%x\r\n%s\r\n" % (len(octets), octets)


def chunked(method, path, host):
    head = request(method, path, host, b"Content-Type: text/plain", b"Transfer-Encoding: chunked")
    return head + chunk(b"hello")


@bench.case("who waits behind a connection that is lost before it said its limits gets another one at once")
def last_hope(house):
    host, lost = house.fresh(), threading.Event()
    plain = h2origin.Session.run

    def run(session):
        if not lost.is_set():
            lost.wait(20)
            return session.connection.end(CUT)
        return plain(session)

    with sessions(run=run), house.client(house.a, host) as first, house.client(house.a, host) as second:
        first.send(request("GET", "/first", host))
        second.send(request("GET", "/second", host))
        see_equal(house.get(house.a, "echo.test").status, 200, "who asks another host meanwhile")
        lost.set()
        see_equal({first.response().status, second.response().status} - {502}, {200}, "the answers")
    house.connected(2)


@bench.case("those in line come before those who ask again and again")
def fair(house):
    host = house.fresh()
    house.origin.settings = {h2.MAX_CONCURRENT_STREAMS: 1}
    house.origin.scripts["/slow"] = [Pause(20), reply()]
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(house.client(house.a, host, seconds=20)) for _ in range(10)]
        for client in clients:
            client.send(request("GET", "/slow", host) * 120)
        for client in clients:
            see_equal(client.response().status, 200, "the first answer of a client")
        see_all(burst(house, host, 2, "/slow").done(), 200, 2)
        late = sum(client.response().status == 200 for client in clients for _ in range(119))
        see_equal(late, 1190, "the answers to those who asked again and again")


@bench.case("a further connection that the host does not take costs nobody his place in line")
def capped(house):
    host = house.fresh()
    house.origin.settings = {h2.MAX_CONCURRENT_STREAMS: 1}
    house.origin.scripts["/slow"] = [Pause(200), reply()]
    house.served(host)
    serve = house.origin.serve

    def refuse(connection):
        connection.raw.close()
        connection.gone = True

    house.origin.serve = refuse
    try:
        see_all(burst(house, host, 4, "/slow").done(), 200, 4)
    finally:
        house.origin.serve = serve


@bench.case("a host's limit counts from its SETTINGS on, also where these come in pieces")
def settings_in_pieces(house):
    host, met, whole = house.fresh(), set(), threading.Event()
    house.origin.settings = {h2.MAX_CONCURRENT_STREAMS: 1}
    house.origin.scripts["/slow"] = [Pause(20), reply()]
    plain = h2origin.Session.push

    def push(session, out):
        if id(session) not in met and out:
            met.add(id(session))
            plain(session, out[:9])
            whole.wait(20)
            out = out[9:]
        return plain(session, out)

    with sessions(push=push):
        askers = burst(house, host, 6, "/slow")
        see_equal(house.get(house.a, "echo.test").status, 200, "who asks another host meanwhile")
        whole.set()
        see_all(askers.done(), 200, 6)
    see(not any(c.failure for c in house.origin.connections), "the origin saw more than one at a time")


@bench.case("a connection on which nothing comes any more, not even for who gave up, is left alone")
def silent(house):
    host = house.fresh()
    house.served(host)
    house.origin.connections[0].session.pull = lambda: True  # as when a firewall between has forgotten it
    with house.client(house.a, host, seconds=2) as client:
        client.send(request("GET", "/lost", host))
        see(client.response() is None, "the dead connection gave an answer")
    house.served(host)
    house.connected(2)


@bench.case(
    "what comes behind a first try that was refused is counted: it is all that the host gets to see",
    [("a secret", "S1", ["S1"], []), ("another host's secret", "S2", [], ["S2"])],
)
def counted(house, name, used, denied):
    house.fresh()
    path = f"/again-{name}"
    house.origin.scripts[path] = Turns(Early([Reset(h2.REFUSED_STREAM)]), [reply()])
    with house.client(house.a, "api.test") as client:
        client.send(chunked("POST", path, "api.test"))
        house.await_begun(path, 2)
        client.send(chunk(house.a.tokens[name]) + b"0\r\n\r\n")
        see_equal(client.response().status, 200, "the status")
    line = house.await_audit(lambda line: line["path"] == path, "its line")
    see_equal((line["secrets"], line["tokens_denied"]), (used, denied), "what was audited")


bench.run(H2UpstreamHouse)
