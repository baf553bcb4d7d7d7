"""answers - what is held back of an answer goes when its time has come, and what is searched for costs no other sandbox.

Values are searched for in what a host says; the host may wait for an answer to what it has said, the client may have no room
for it, labels and lengths may be chosen so that a value is cut, and a record may hold more values than can be searched for.
"""
import os
import re
import secrets
import struct
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from arriving import SILENCE_S, Ear, undisturbed
from case import Bench, see, see_equal, short
from client import status_of
from h2client import H2Client, get, window
from house import await_until, request
from masks import mask
from meeting import CHUNKED, MeetingHouse, Paced, each_meeting, see_whole
from reference import CODINGS
from scrubhouse import FRAMINGS, said

bench = Bench()
case = each_meeting(bench)
THERE = 62  # connect_to may say so many beside the two
MANY = [f"h{n}.many.test" for n in range(200)]
FAILED_S = 5  # scrubcache.h
LARGE, LARGES = 65536, 12  # more than SCRUBS_MOST


class AnswersHouse(MeetingHouse):
    """sbM has another secret for each of many hosts, of which most can't be reached; sbL too many large ones for one."""

    def __init__(self, build):
        super().__init__(build, workers=1, names=("api.test", "echo.test", *MANY[:THERE]))

    def furnish(self):
        super().furnish()
        self.store("M", "*.many.test")
        for host in MANY:
            self.secret("M", host.split(".")[0].upper(), host)
        self.store("L", "api.test", "echo.test")
        for n in range(LARGES):
            self.secret("L", f"L{n}", "api.test", value=os.urandom(LARGE // 2).hex().encode(), canary=False)
        self.m, self.l = self.sandbox("sbM", "127.0.0.4", "M"), self.sandbox("sbL", "127.0.0.5", "L")

    def served(self, sandbox, host="api.test"):
        """Gives how long it took."""
        began = time.monotonic()
        see_equal(self.get(sandbox, host).status, 200, f"the status of {sandbox.name} at {host}")
        return time.monotonic() - began


def see_soon(began, what):
    """Before the host goes on by itself, which it does after ten seconds."""
    took = time.monotonic() - began
    see(took < 5, f"{what} came after {took:.1f} s")


# --- who waits -------------------------------------------------------------------------------------------------------------


@case(
    "a host that talks in turns, without words or lines, is heard each time after a silence",
    [(framing, framing) for framing in ("chunks", "close")],
)
def turns(meeting, framing):
    value = meeting.value
    pieces = [b"0" * 19 + b";", b"1" * 60 + b";", b"2" * 30 + value + b";", b"3;"]
    script = meeting.script("/turns", Paced(*said(pieces, framing)))
    talk = meeting.open()
    talk.begin(b"GET", b"/turns")
    ear, body = Ear(talk), b""
    for number, piece in enumerate(pieces):
        began = time.monotonic()
        script.go()
        body += piece.replace(value, mask(len(value)))
        see(ear.hears(body), f"turn {number} was not heard: {talk.client.closed}, {short(ear.body[-80:])}")
        see_soon(began, f"turn {number}")
        see_equal(ear.body, body, f"what is there with turn {number}")
        time.sleep(1.5 * SILENCE_S)  # it thinks
    script.go()
    see_whole(talk.answer(), body=body)


# How much of an answer is on its way while the client gives back no window: the window, and what waits for more.
ROOM = 65535 + 16384


@bench.case(
    "what is held while the client has no room for it goes when it has",
    [
        (f"{host}, about {free} octets free", host, free)
        for host in ("api.test", "echo.test")
        for free in (0, 1, 2, 3, 5, 8, 13, 25, 60, 9000)
    ],
)
def no_room(house, host, free):
    filler = b"0123456789abcde\n" * ((ROOM - free) // 16)
    filler += b"\n" * (ROOM - free - len(filler))
    pieces = [filler + b"What", b"-is-your-name, please? Tell-me:"]
    script = house.origin.scripts["/room"] = Paced(*said(pieces, "chunks"))
    client = H2Client(("127.0.0.1", house.port), house.a.address, host, house.a.ca_file, 15, credit=False)
    house.clients.append(client)
    with client:
        client.begin()
        client.send(get(1, b"/room", authority=host.encode()))
        stream = client.stream(1)
        script.go()
        script.go()
        see(client.until(lambda: len(stream.body) >= 65535), f"the window did not fill: {client.closed}")
        time.sleep(2 * SILENCE_S)  # the silence passes
        client.send(window(0, 1 << 20) + window(1, 1 << 20))
        began = time.monotonic()
        see(
            client.until(lambda: stream.body.endswith(b"Tell-me:")),
            f"what was held did not come: {client.closed}, {short(stream.body[-60:])}",
        )
        see_soon(began, "what was held")
        see_equal(stream.body, b"".join(pieces), "what came")
        script.go()
        see(client.answer(1).ended, f"the end did not come: {client.closed}")


# --- labels and lengths that cut -------------------------------------------------------------------------------------------

GRPC = b"content-type", b"application/grpc"
STEP = 8  # octets of a value, less than which may get out


def cut_by_length(value, at):
    """A message that ends within the value; what stands behind it is taken for another."""
    return b"\0" + struct.pack(">I", 12 + at) + b"x" * 12 + value + b"-and-more\n"


def see_cut(answer, body, value, at):
    see_whole(answer)
    start = body.find(value)
    bare, masked = answer.body[start : start + at], mask(len(value))
    see(
        bare == masked[:at] or (at < STEP and bare == value[:at]),
        f"of the value cut behind {at} octets there is {short(bare)}",
    )
    want = body[: start + at] + masked[at:] + body[start + len(value) :]
    see_equal(answer.body[: start] + want[start : start + at] + answer.body[start + at :], want, "the rest")


@case(
    "a value that the length of a gRPC message cuts is masked, whatever the framing, asked for as gRPC or not",
    [
        (f"{framing}, {'gRPC' if own else 'a plain request'}", framing, own)
        for framing in FRAMINGS
        for own in (True, False)
    ],
)
def cut(meeting, framing, own):
    value = meeting.value
    for at in (0, 1, STEP - 1, STEP, STEP + 1, len(value) // 2, len(value) - 1, len(value)):
        body = cut_by_length(value, at)
        meeting.script("/cut", said(body, framing, GRPC))
        fields = (GRPC, (b"te", b"trailers")) if own else ()
        see_cut(meeting.ask(b"POST" if own else b"GET", b"/cut", *fields, body=b"" if own else None), body, value, at)


def ask_cut(meeting, pieces, framing):
    """As gRPC; what is not yet sent waits for the script's go()."""
    script = meeting.script("/cut", Paced(*said(pieces, framing, GRPC)))
    talk = meeting.open()
    talk.begin(b"POST", b"/cut", GRPC, (b"te", b"trailers"), framing=CHUNKED)
    talk.finish()
    return script, Ear(talk)


@case(
    "of one that the end of a message cuts, and whose rest comes later, less than a step is there with that end",
    [(framing, framing) for framing in ("chunks", "close")],
)
@undisturbed
def cut_in_time(meeting, framing):
    value = meeting.value
    for at in (0, 1, STEP - 1, STEP, len(value) - 1, len(value)):
        body = cut_by_length(value, at)
        first = body[: body.find(value) + at]
        there = first.replace(value, mask(at)) if at < STEP or at == len(value) else first[:-at]
        script, ear = ask_cut(meeting, [first, body[len(first) :]], framing)
        began = time.monotonic()
        script.go()
        see(ear.hears(there), f"the message did not come: {ear.talk.client.closed}, {short(ear.body)}")
        took = time.monotonic() - began
        see(took < SILENCE_S, f"the message came after {took:.3f} s")
        see_equal(ear.body, there, f"what is there with the end of the message behind {at} octets")
        script.go()
        script.go()
        see_cut(ear.talk.answer(), body, value, at)


@case(
    "so is one in a body that is coded",
    [(f"{coding}, {framing}", coding, framing) for coding in CODINGS for framing in ("length", "close")],
)
def cut_coded(meeting, coding, framing):
    value = meeting.value
    for at in (STEP - 1, STEP, len(value) - 1):
        body = cut_by_length(value, at)
        fields = GRPC, (b"content-encoding", coding.encode())
        meeting.script("/cut", said(CODINGS[coding][0](body), framing, *fields))
        see_cut(meeting.ask(b"GET", b"/cut"), body, value, at)


# --- many sets of values ---------------------------------------------------------------------------------------------------


def many(house, hosts, rounds=1):
    """Each host asked in turn; gives the answers' statuses and the last refusal."""
    clients = {host: house.client(house.m, host, seconds=30) for host in hosts}
    statuses, refusal = [], None
    for _ in range(rounds):
        for host in hosts:
            answer = clients[host].ask(request("GET", "/", host))
            statuses.append(status_of(answer))
            refusal = answer if statuses[-1] not in (200, 502) else refusal
            if clients[host].closed:
                clients[host] = house.client(house.m, host, seconds=30)
    for client in clients.values():
        client.end()
    return statuses, refusal


@bench.case("some sixty hosts with secrets of their own are served in turn, again and again: what is made for each is kept")
def kept(house):
    statuses, refusal = many(house, MANY[:THERE], 6)  # from the third round on it would be too many
    see(set(statuses) == {200}, f"{statuses.count(200)} of {len(statuses)} were served: {refusal and refusal.code}")


@bench.case("a sandbox that has more made than it may is told to wait, others are not, and what is made serves on")
def too_many_builds(house):
    statuses, refusal = many(house, MANY[::-1], 3)
    see(429 in statuses, f"of {len(statuses)} requests at {len(MANY)} hosts none was too many")
    see(set(statuses) <= {200, 502, 429}, f"the statuses are {set(statuses)}")
    see_equal((refusal.status, refusal.code), (429, "too_many_requests"), "status and code")
    wait = int(refusal.get("retry-after") or 0)
    see(0 < wait <= 2, f"Retry-After is {wait}")
    for sandbox in (house.a, house.b):
        see(house.served(sandbox) < 1, f"{sandbox.name} waited")
    await_until(lambda: house.get(house.m, MANY[0]).status == 200, "it is served again", 5)


@bench.case("a change of the record makes nothing anew before it is asked for")
def anew(house):
    house.secret("M", "H0", MANY[0])
    await_until(lambda: house.get(house.m, MANY[0]).status == 200, "it is served", 5)
    value = house.value("H0")
    house.origin.scripts["/said"] = said(value, "length")

    def masked():
        body = house.get(house.m, MANY[0], "/said").body
        house.clients = []  # it may come before the change is known
        return body == mask(len(value))

    await_until(masked, "the new value is masked", 5)


# --- too much to search for ------------------------------------------------------------------------------------------------

CANNOT = re.compile(rb"[^\n]*answers of a host can't be scrubbed[^\n]*")


@bench.case("a host that has too many large values is refused, nothing reaches it, and it is cheap to ask again")
def too_large(house):
    said_before, before = len(house.proxy.said()), house.origin.counts()
    began = time.monotonic()
    for _ in range(100):
        answer = house.get(house.l, "api.test")
        see_equal((answer.status, answer.code), (503, "overloaded"), "status and code")
    took = time.monotonic() - began
    see_equal(house.origin.counts(), before, "what the host saw of it")
    lines = CANNOT.findall(house.proxy.said()[said_before:])
    most = 1 + int(took / FAILED_S) + 1
    see(1 <= len(lines) <= most, f"{len(lines)} lines of the log in {took:.1f} s")
    see(b"sbL" in lines[0], f"the log says {lines[0]}")
    see(house.served(house.l, "echo.test") < 1, "its other host waited")


@bench.case("meanwhile other sandboxes are served")
def others_served(house):
    stop, failed = threading.Event(), []

    def ask_on():
        while not stop.is_set():
            answer = house.get(house.l, "api.test")
            failed.extend([answer.status] * (answer.status != 503))

    asking = [threading.Thread(target=ask_on) for _ in range(3)]
    for thread in asking:
        thread.start()
    try:
        slowest = max(house.served(sandbox) for _ in range(20) for sandbox in (house.a, house.b))
    finally:
        stop.set()
        for thread in asking:
            thread.join()
    see(not failed, f"what asked was answered with {failed}")
    see(slowest < 1, f"a request took {slowest:.2f} s")


@bench.case("with fewer of them it is served, and they are masked")
def fewer(house):
    for n in range(2, LARGES):
        house.ctl("secret", "delete", "L", f"L{n}")
    await_until(lambda: house.get(house.l, "api.test").status == 200, "it is served", 10)
    value = house.value("L0")
    house.origin.scripts["/said"] = said(b"a " + value + b" b", "length")
    answer = house.get(house.l, "api.test", "/said")
    see(answer.body == b"a " + mask(LARGE) + b" b", f"the body is {short(answer.body)}")


bench.run(AnswersHouse)
