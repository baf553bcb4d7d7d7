"""h2_upstream - HTTP/2 towards hosts: one connection for many, its limits and goodbyes, what is refused, reset or lost."""
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import h2client as h2
from case import Bench, see, see_equal
from h2house import CONNECT_S, Askers, H2UpstreamHouse, burst, post, see_all, see_refused
from h2origin import Early, Goaway, Hangup, Head, Raw, Reset, Turns
from house import await_until, request
from origin import CUT, Pause, reply
from rehouse import Gate

bench = Bench()
FIRST, SECOND = reply(body=b"first"), reply(body=b"second")


# --- one connection for many -------------------------------------------------------------------------------------------


@bench.case("fifty requests for a name that nobody knows are one connection, where it speaks h2")
def one_dial(house):
    host = house.fresh()
    for _ in range(2):
        see_all(burst(house, host, 50).done(), 200, 50)
        house.connected(1)
    line = house.await_audit(lambda line: line["host"] == host, "its line")
    see_equal((line["proto"], line["upstream_proto"]), ("h1", "h2"), "the protocols")


@bench.case("a name that speaks http/1.1 alone is served as ever, each request at once on a connection of its own")
def h1_alone(house):
    house.h1_origin.drop_all()
    before = len(house.h1_origin.connections)
    see_all(burst(house, "echo.test", 30).done(), 200, 30)
    see(len(house.h1_origin.connections) - before <= 30, "more connections than requests")
    line = house.await_audit(lambda line: line["host"] == "echo.test", "its line")
    see_equal(line["upstream_proto"], "h1", "the audit's upstream_proto")


@bench.case("a name that can't be connected to is told so to all who wait for it, at once")
def nobody_there(house):
    host = house.fresh()
    began = time.monotonic()
    see_all(burst(house, "nothing.wild.test", 20).done(), 502, 20)
    see(time.monotonic() - began < 2, f"it took {time.monotonic() - began:.1f} s")
    house.served(host)


@bench.case(
    "a host that takes N streams at a time gets no more, and all are served",
    [("one", 1, 12), ("three", 3, 20), ("forty", 40, 60)],
)
def streams_limited(house, most, count):
    host = house.fresh()
    house.origin.settings = {h2.MAX_CONCURRENT_STREAMS: most}
    house.origin.scripts["/slow"] = [Pause(20), reply()]
    see_all(burst(house, host, count, "/slow").done(), 200, count)
    see(len(house.origin.connections) <= 8, f"{len(house.origin.connections)} connections")
    for connection in house.origin.connections:  # the library ends a connection with more streams than it allows
        see(not connection.failure, f"the origin's fault: {connection.failure}")


def limit(count):
    """The host's word for how many streams it takes, without the library's enforcing it."""
    return Raw(h2.settings((h2.MAX_CONCURRENT_STREAMS, count)))


@bench.case("a host that takes no stream is waited for as long as a connection, and there is no storm of connections")
def no_streams(house):
    host = house.fresh()
    house.origin.scripts["/none"] = Early([limit(0), Reset(h2.REFUSED_STREAM)])
    for _ in range(5):
        began = time.monotonic()
        statuses = burst(house, host, 20, "/none").done()
        see(all(status in (502, 504) for status in statuses), f"{statuses}")
        see(time.monotonic() - began < CONNECT_S * 3, f"it took {time.monotonic() - began:.1f} s")
        see(len(house.origin.connections) <= 8, f"{len(house.origin.connections)} connections")
    see_equal(statuses, [504] * 20, "the statuses when nothing can be sent any more")


@bench.case("a limit below what is open lets that go on; when it is raised, those in line do")
def raised(house):
    host, gate = house.fresh(), Gate([limit(0)], [reply(), limit(50)])
    house.origin.scripts["/hold"] = gate
    first = burst(house, host, 3, "/hold")
    house.origin.await_requests(3)
    more = burst(house, host, 4, "/hold")
    time.sleep(0.2)
    gate.open()
    see_all(first.done() + more.done(), 200, 7)
    see(len(house.origin.connections) <= 8, f"{len(house.origin.connections)} connections")


# --- goodbyes ----------------------------------------------------------------------------------------------------------


@bench.case(
    "GOAWAY lets what was seen end, and the next goes elsewhere; what was not seen goes elsewhere itself",
    [
        ("before it was looked at", [Goaway(last=0)], b"second"),
        ("before the answer", [Goaway(), FIRST], b"first"),
        ("a notice, then the last word", [Goaway(last=2**31 - 1), Pause(50), Goaway(), FIRST], b"first"),
        ("in the answer's body", [FIRST[:-2], Goaway(), Pause(50), FIRST[-2:]], b"first"),
        ("between two requests", [FIRST, Goaway()], b"first"),
    ],
)
def goodbye(house, script, body):
    for method in ("GET", "POST"):
        host = house.fresh()
        house.origin.scripts["/bye"] = Turns(script, [SECOND])
        octets = post("/bye", host, b"x" * 1000) if method == "POST" else request("GET", "/bye", host)
        with house.client(house.a, host) as client:
            answer = client.ask(octets)
            see_equal((answer.status, answer.body), (200, body), f"{method}: the first answer")
            time.sleep(0.05)
            answer = client.ask(octets)
            see_equal((answer.status, answer.body), (200, b"second"), f"{method}: the second answer")
        house.connected(2)
        connection = house.origin.connections[0]
        await_until(lambda: connection.gone, f"{method}: the connection is closed behind its last stream")


@bench.case(
    "a request that meets one goodbye after another is served, but not tried for ever",
    [("three", 3, 200), ("without end", 20, 502)],
)
def goodbyes(house, count, status):
    host = house.fresh()
    house.origin.scripts["/bye"] = Turns(*[[Goaway(last=0)]] * count, [reply()])
    see_equal(house.ask(house.a, host, post("/bye", host, b"x")).status, status, "the status")
    see(len(house.origin.connections) <= 5, f"{len(house.origin.connections)} connections")


@bench.case(
    "a stream that was refused unseen goes once more, whatever its method; then 502",
    [
        (f"{method} refused {times} times", method, times, status)
        for method in ("GET", "POST")
        for times, status in ((1, 200), (2, 502))
    ],
)
def refused(house, method, times, status):
    host = house.fresh()
    house.origin.scripts["/refuse"] = Turns(*[[Reset(h2.REFUSED_STREAM)]] * times, [reply()])
    octets = post("/refuse", host, b"x" * 3000) if method == "POST" else request("GET", "/refuse", host)
    with house.client(house.a, host) as client:
        see_refused(client.ask(octets), status, "upstream_unreachable" if status == 502 else None)
    calls = house.begun("/refuse")
    see_equal(len(calls), 2, "the count of streams")
    if method == "POST":
        see_equal([call.body for call in calls], [b"x" * 3000] * 2, "the bodies")
    house.connected(1)


@bench.case("a counted text body with a token is refused once and then complete, its value right")
def refused_text(house):
    house.fresh()
    house.origin.scripts["/retext"] = Turns([Reset(h2.REFUSED_STREAM)], [reply()])
    body = b'{"key":"%s"}' % house.a.tokens["S1"]
    octets = request("POST", "/retext", "api.test", "Content-Type: application/json", body=body)
    see_equal(house.ask(house.a, "api.test", octets).status, 200, "the status")
    calls = house.begun("/retext")
    see_equal([call.body for call in calls], [b'{"key":"%s"}' % house.value("S1")] * 2, "the bodies")
    see_equal([int(call.get("content-length")) for call in calls], [len(calls[0].body)] * 2, "content-length")
    line = house.await_audit(lambda line: line["path"] == "/retext", "its line")
    see_equal(line["secrets"], ["S1"], "the audit's secrets")


@bench.case(
    "HTTP_1_1_REQUIRED is obeyed, at once and from then on",
    [
        ("on the stream", Reset(h2.HTTP_1_1_REQUIRED)),
        ("on the connection", Goaway(h2.HTTP_1_1_REQUIRED, last=0)),
    ],
)
def h1_required(house, step):
    host = house.fresh()
    house.unused.remove(host)  # it will not speak h2 any more
    house.origin.scripts["/one"] = Turns([step], [reply()])
    for n in range(3):
        answer = house.ask(house.a, host, post("/one", host, b"x"))
        see_equal(answer.status, 200, f"the status of {n}")
    starts = [seen.start for seen in house.origin.requests]
    see_equal(starts, [b"POST /one HTTP/2"] + [b"POST /one HTTP/1.1"] * 3, "what came")


# --- resets and losses -------------------------------------------------------------------------------------------------


@bench.case(
    "a stream that the host resets before it answers is 502, is not sent again, and its connection goes on",
    [
        ("INTERNAL_ERROR", h2.INTERNAL_ERROR, "upstream_unreachable"),
        ("CANCEL", h2.CANCEL, "upstream_unreachable"),
        ("NO_ERROR", h2.NO_ERROR, "upstream_unreachable"),
        ("PROTOCOL_ERROR", h2.PROTOCOL_ERROR, "upstream_protocol"),
    ],
)
def reset_before(house, code, reason):
    host = house.fresh()
    house.origin.scripts["/reset"] = [Reset(code)]
    house.served(host)
    see_refused(house.get(house.a, host, "/reset"), 502, reason)
    house.served(host)
    house.connected(1)
    see_equal(len(house.begun("/reset")), 1, "the count of its streams")


@bench.case("a stream that the host resets in its answer is cut for the client, and no other")
def reset_in_body(house):
    host = house.fresh()
    house.origin.scripts["/half"] = [reply(body=b"0123456789")[:-5], Pause(50), Reset(h2.INTERNAL_ERROR)]
    answer = house.get(house.a, host, "/half")
    see((answer.body, answer.complete) == (b"01234", False), f"{answer.body}, complete: {answer.complete}")
    house.served(host)
    house.connected(1)


@bench.case("an early answer is whole, what is left of the request is cancelled, and the connection goes on")
def early(house):
    host = house.fresh()
    house.origin.scripts["/early"] = Early([reply(413, body=b"enough")])
    with house.client(house.a, host) as client:
        client.send(post("/early", host, b"x" * 100000)[:20000])
        answer = client.response()
        see_equal((answer.status, answer.body), (413, b"enough"), "the answer")
    call = house.begun("/early")[0]
    await_until(lambda: call.reset is not None, "the stream was reset")
    house.served(host)
    house.connected(1)


@bench.case("a client that leaves cancels its stream, and no other")
def client_leaves(house):
    host, gate, never = house.fresh(), Gate([], [reply()]), Gate([], [])
    house.origin.scripts.update({"/hold": gate, "/left": never})
    other = burst(house, host, 1, "/hold")
    house.origin.await_requests(1)
    with house.client(house.a, host) as client:
        client.send(request("GET", "/left", host))
        house.origin.await_requests(2)
        client.end("rst")
    call = house.begun("/left")[0]
    await_until(lambda: call.reset is not None, "the stream was reset")
    see_equal(call.reset, h2.CANCEL, "the code")
    gate.open()
    never.open()
    see_all(other.done(), 200, 1)
    house.connected(1)


@bench.case("requests that are cancelled while their connection opens cause no other connection")
def cancelled_dials(house):
    host = house.fresh()
    for _ in range(30):
        with house.client(house.a, host) as client:
            client.send(request("GET", "/gone", host))
            client.end("rst")
    house.served(host)
    house.connected(1)


@bench.case("when a connection is lost, those who may go once more do, others are told 502")
def lost(house):
    host, never = house.fresh(), Gate([], [])
    house.origin.scripts["/lost"] = Turns(*[never] * 40, [reply()])
    house.served(host)
    asked = Askers(
        house,
        host,
        [request("GET", "/lost", host) for _ in range(20)] + [post("/lost", host, b"x") for _ in range(20)],
    )
    await_until(lambda: sum(call.complete for call in house.begun("/lost")) == 40, "all are there")
    house.origin.connections[0].session.say(b"", CUT)
    statuses = asked.done()
    never.open()
    see_all(statuses[:20], 200, 20)
    see_all(statuses[20:], 502, 20)
    house.connected(2)


BROKEN = [
    ("a frame on stream 0", h2.frame(h2.DATA, 0, 0, b"x")),
    ("PUSH_PROMISE", h2.frame(h2.PUSH_PROMISE, h2.END_HEADERS, 3, b"\0\0\0\2\x82\x87\x84\x41\x01x")),
    ("a frame too large", b"\xff\xff\xff" + b"\0" * 6),
    ("HEADERS that can't be decoded", h2.frame(h2.HEADERS, h2.END_HEADERS, 3, b"\xff\xff\xff\xff\xff\xff")),
    ("a flood of PING", h2.ping() * 20000),
    ("a flood of SETTINGS", h2.settings((h2.INITIAL_WINDOW_SIZE, 100)) * 5000),
    ("a window beyond 2^31-1", h2.window(0, 2**31 - 1)),
]


@bench.case("a host that breaks the rules loses its connection, its requests are 502, and the next is served", BROKEN)
def rules(house, octets):
    host = house.fresh()
    house.origin.scripts["/rules"] = Turns([Raw(octets)], [reply()])
    with house.client(house.a, host) as client:
        see_equal(client.ask(request("GET", "/", host)).status, 200, "the status before")
        see_refused(client.ask(post("/rules", host, b"x")), 502, "upstream_protocol")
    connection = house.origin.connections[0]
    await_until(lambda: connection.gone, "the connection is closed")
    see_equal(house.ask(house.a, host, post("/rules", host, b"x")).status, 200, "the status of the next")
    see_equal(house.origin.requests[-1].start, b"POST /rules HTTP/2", "the next")


@bench.case("a host that breaks them before its first answer is spoken to in http/1.1 from then on")
def strange(house):
    host = house.fresh()
    house.unused.remove(host)
    house.origin.scripts["/strange"] = Turns([Raw(BROKEN[0][1])], [reply()])
    see_refused(house.ask(house.a, host, post("/strange", host, b"x")), 502, "upstream_protocol")
    for _ in range(2):
        see_equal(house.ask(house.a, host, post("/strange", host, b"x")).status, 200, "the status of the next")
        see_equal(house.origin.requests[-1].start, b"POST /strange HTTP/1.1", "the next")


@bench.case("a host that hangs up at once, or says nothing, is 502 or waited for, as over http/1.1")
def silent(house):
    host = house.fresh()
    house.origin.scripts["/hangup"] = [Hangup(CUT)]
    see_refused(house.ask(house.a, host, post("/hangup", host, b"x")), 502, "upstream_unreachable")
    house.served(host)


def headless(*fields, end=True):
    head = Head(end=end)
    head.fields = list(fields)
    return [head]


@bench.case(
    "an answer outside the grammar is 502, its connection goes on",
    [
        ("no status", headless((b"x", b"y"))),
        ("status twice", headless((b":status", b"200"), (b":status", b"200"))),
        ("status 101", [Head(101)]),
        ("an upper-case name", [Head(200, [(b"X-Up", b"y")], end=True)]),
        ("connection", [Head(200, [(b"connection", b"close")], end=True)]),
        ("LF in a value", [Head(200, [(b"x", b"a\nb: c")], end=True)]),
        ("200 fields", [Head(200, [(b"x", b"y")] * 200, end=True)]),
        ("more octets than announced", [Head(200, [(b"content-length", b"2")]), b"12345"]),
    ],
)
def grammar(house, script):
    host = house.fresh()
    house.origin.scripts["/bad"] = script
    house.served(host)
    answer = house.get(house.a, host, "/bad")
    if answer.status != 200:  # else it was the body that is wrong
        see_refused(answer, 502, "upstream_protocol")
    see(answer.status == 502 or not answer.complete, "the answer was taken for a whole one")
    house.served(host)
    house.connected(1)


bench.run(H2UpstreamHouse)
