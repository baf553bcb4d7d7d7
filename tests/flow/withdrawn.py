"""withdrawn - what is taken away while a request is open is put into it no more; a new value is the next request's.

Each row has a store, a sandbox and secrets of its own. There is one worker, which reads a record again only when a change is
announced: its count of fetches says when it knows, and no other request has to tell it.
"""
import os
import secrets
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import wspeer
from bodyhouse import JSON, KIB, LIMITS, TEXT, see_body, see_framed
from case import Bench, see, see_equal
from house import await_until
from masks import mask
from meeting import CHUNKED, each_meeting, see_whole
from reference import CODINGS
from rehouse import rehouse_last
from wspeer import Play, SocketHouse

bench = Bench()
case = each_meeting(bench)
BOTH = ("api.test", "echo.test")
FETCHES = 'osb_store_fetches_total{result="found"}'
PUT = 'osb_substitutions_total{place="body"}'
GAP = b" " * 200  # more than what is held back in case that it becomes a token


class Loan:
    """A sandbox and its secrets: TAKEN follows its store's list, OTHER is for another host, KEPT is another store's."""

    def __init__(self, house, number):
        self.house, self.store, self.kept_store = house, f"taken-{number}", f"kept-{number}"
        house.store(self.store, *BOTH, "a.wild.test")
        self.rotate_other()
        house.store(self.kept_store, *BOTH)
        self.value, self.kept_value = self.made(self.store, "TAKEN"), self.made(self.kept_store, "KEPT", *BOTH)
        self.sandbox = house.sandbox(f"sb-{number}", f"127.0.1.{number % 250 + 1}", self.store, self.kept_store)
        self.token, self.kept = self.sandbox.tokens["TAKEN"], self.sandbox.tokens["KEPT"]

    def made(self, store, name, *hosts):
        made = self.house.secret(store, name, *hosts)
        made.hosts = BOTH  # the store's
        return made.value

    def rotate(self):
        return self.made(self.store, "TAKEN")

    def rotate_other(self):
        self.house.secret(self.store, "OTHER", "a.wild.test")

    def known(self, change):
        """Make the change; the worker has read what it made of the record."""
        before = self.house.metric(FETCHES)
        change()
        await_until(lambda: self.house.metric(FETCHES) > before, "the change is known to the worker")

    def take(self, how):
        self.known(lambda: CHANGES[how](self))

    def same(self, *hosts, places=()):
        self.house.secret(self.store, "TAKEN", *hosts, value=self.value, places=places, canary=False)

    def filled(self, octets):
        """As it arrives where nothing was taken away."""
        return octets.replace(self.token, self.value).replace(self.kept, self.kept_value)


CHANGES = {
    "deleted": lambda loan: loan.house.ctl("secret", "delete", loan.store, "TAKEN"),
    "for another host": lambda loan: loan.same("a.wild.test"),
    "for another place": lambda loan: loan.same(places=("url",)),
    "its store for another host": lambda loan: loan.house.ctl(
        "store", "update", loan.store, "--egress-allow", "a.wild.test"
    ),
}
HOWS = [(how, how) for how in CHANGES]


class WithdrawnHouse(SocketHouse):
    def __init__(self, build):
        super().__init__(build, LIMITS + ["cache_ttl = 10m"], workers=1)
        self.lent = 0

    def put(self):
        return self.metric(PUT) or 0


def lent(function):
    """The row has a loan, whose sandbox asks as long as it lasts."""

    def run(place, *more):
        house = getattr(place, "house", place)
        first, house.lent = house.a, house.lent + 1
        loan = Loan(house, house.lent)
        house.a = loan.sandbox
        try:
            function(place, loan, *more)
        finally:
            house.a = first
            house.ctl("sandbox", "delete", loan.sandbox.name)
            del house.sandboxes[loan.sandbox.name]

    return run


def see_audited(house, path, used, denied):
    line = house.await_audit(lambda line: line["path"] == path, f"the audit line of {path}")
    see_equal((sorted(line["secrets"]), line["tokens_denied"]), (used, denied), "secrets and tokens_denied")


def fresh_path():
    return "/open/" + secrets.token_hex(4)


def see_next(meeting, loan, value):
    """What the next request has."""
    see_whole(meeting.ask(b"POST", b"/next", (b"x-key", loan.token), TEXT, body=b"a " + loan.token))
    seen = meeting.last()
    see_equal((seen.get("x-key").encode(), seen.body), (value, b"a " + value), "the next request's field and body")


# --- a body that streams ---------------------------------------------------------------------------------------------------


def stream(meeting, loan, change):
    """A body with a token before the change, one across it and one behind it, and one in a trailer; gives what arrived."""
    path, count = fresh_path(), len(meeting.origin.begun)
    talk = meeting.open()
    talk.begin(b"POST", path.encode(), (b"x-key", loan.token), TEXT, framing=CHUNKED)
    talk.send(b"one " + loan.token + GAP + b"two " + loan.token[:20])
    (seen,) = meeting.origin.await_begun(count + 1)[count:]
    await_until(lambda: seen.connection.octets.count(loan.value) == 2, "the value in the head and that in the body")
    change()
    talk.send(loan.token[20:] + GAP + b"three " + loan.token + b" " + loan.kept)
    talk.finish((b"x-key", loan.token))
    see_whole(talk.answer())
    seen = meeting.last()
    see_equal(seen.get("x-key").encode(), loan.value, "the field of the head")
    return path, seen


@case("what is taken away while a body streams goes on as its token from there on, in its trailers too", HOWS)
@lent
def streams(meeting, loan, how):
    path, seen = stream(meeting, loan, lambda: loan.take(how))
    first, rest = b"one " + loan.value + GAP, b"two " + loan.token + GAP + b"three " + loan.token
    see_body(seen, first + rest + b" " + loan.kept_value)
    see_equal(seen.trailers, [(b"x-key", loan.token)], "the trailers")
    see_audited(meeting.house, path, ["KEPT", "TAKEN"], ["TAKEN"])
    see_next(meeting, loan, loan.token)


@case("where no list has the host any more nothing is put into what is open, though its secret names the host")
@lent
def streams_nowhere(meeting, loan):
    path, count = fresh_path(), len(meeting.origin.begun)
    talk = meeting.open()
    talk.begin(b"POST", path.encode(), TEXT, framing=CHUNKED)
    talk.send(b"one " + loan.kept + GAP)
    (seen,) = meeting.origin.await_begun(count + 1)[count:]
    await_until(lambda: loan.kept_value in seen.connection.octets, "the value in the body")
    for store in (loan.store, loan.kept_store):
        loan.known(lambda: meeting.house.ctl("store", "update", store, "--egress-allow", "a.wild.test"))
    talk.send(b"two " + loan.kept)
    talk.finish((b"x-key", loan.kept))
    see_whole(talk.answer())
    seen = meeting.last()
    see_body(seen, b"one " + loan.kept_value + GAP + b"two " + loan.kept)
    see_equal(seen.trailers, [(b"x-key", loan.kept)], "the trailers")
    see_audited(meeting.house, path, ["KEPT"], ["KEPT"])


@case("a body that streams while its secret is rotated goes on with the old value")
@lent
def streams_rotated(meeting, loan):
    path, seen = stream(meeting, loan, lambda: loan.known(loan.rotate))
    body = b"one " + loan.token + GAP + b"two " + loan.token + GAP + b"three " + loan.token + b" " + loan.kept
    see_body(seen, loan.filled(body))
    see_equal(seen.trailers, [(b"x-key", loan.value)], "the trailers")
    see_audited(meeting.house, path, ["KEPT", "TAKEN"], [])
    see_next(meeting, loan, meeting.house.value("TAKEN"))


# --- a body that is held ---------------------------------------------------------------------------------------------------

HELD = {  # octets, coding, whether it has a length, octets that come behind the change
    "beside its head": (300, None, True, 100),
    "in memory": (40 * KIB, None, True, 100),
    "on disk": (200 * KIB, None, True, 100),
    "opened": (40 * KIB, "gzip", True, 100),
    "opened, no length": (40 * KIB, "gzip", False, 100),
    "opened, no length, all but its end": (40 * KIB, "gzip", False, 0),
    "opened, on disk": (200 * KIB, "gzip", True, 100),
}


def hold(meeting, loan, held, tokens, change):
    """A body whose ${tokens} are counted before the change, and which is whole behind it; gives its path, itself, how it was
    said, and what arrived."""
    size, coding, counts, rest = HELD[held]
    path, before = fresh_path(), meeting.house.put()
    body = b'{"k":"%s","r":"%s"}' % (b" ".join(tokens), secrets.token_hex(size).encode()[:size])
    packed = CODINGS[coding][0](body) if coding else body
    fields = [JSON] + ([(b"content-encoding", coding.encode())] if coding else [])
    talk = meeting.open()
    talk.begin(b"POST", path.encode(), *fields, framing=len(packed) if counts else CHUNKED)
    talk.send(packed[: len(packed) - rest])
    await_until(lambda: meeting.house.put() == before + len(tokens), "its tokens are counted")
    change()
    talk.send(packed[len(packed) - rest :], end=True)
    see_whole(talk.answer())
    return path, body, packed, meeting.last()


def see_held(seen, meeting, held, want, coding):
    see_body(seen, want)
    see_framed(meeting, seen, len(want) if HELD[held][2] else None)
    see_equal(seen.all("content-encoding"), [coding.encode()] if coding else [], "Content-Encoding")


@case(
    "what is taken away while a body is held is not put into it, others are, and its length is right",
    [(f"{held}, {how}", held, how) for held in HELD for how in CHANGES],
)
@lent
def holds(meeting, loan, held, how):
    path, body, _, seen = hold(meeting, loan, held, [loan.token, loan.kept, loan.token], lambda: loan.take(how))
    see_held(seen, meeting, held, body.replace(loan.kept, loan.kept_value), None)
    see_audited(meeting.house, path, ["KEPT"], ["TAKEN"])
    see_next(meeting, loan, loan.token)


@case("a held body that nothing is put into any more goes on as it was said", [(held, held) for held in HELD])
@lent
def holds_nothing(meeting, loan, held):
    path, _, packed, seen = hold(meeting, loan, held, [loan.token], lambda: loan.take("deleted"))
    see_held(seen, meeting, held, packed, HELD[held][1])
    see_audited(meeting.house, path, [], ["TAKEN"])


@case("a held body goes on with the value that its secret had when it began", [(held, held) for held in HELD])
@lent
def holds_rotated(meeting, loan, held):
    rotate = lambda: meeting.house.secret(loan.store, "TAKEN", value=secrets.token_hex(40).encode(), canary=False)
    path, body, _, seen = hold(meeting, loan, held, [loan.token, loan.kept], lambda: loan.known(rotate))
    see_held(seen, meeting, held, loan.filled(body), None)
    see_audited(meeting.house, path, ["KEPT", "TAKEN"], [])
    see_next(meeting, loan, meeting.house.value("TAKEN"))


# --- WebSocket -------------------------------------------------------------------------------------------------------------


def text(octets):
    return wspeer.frame(wspeer.TEXT, octets, masked=True)


ROTATED = {"rotated": Loan.rotate}


@bench.case(
    "a WebSocket ends when its host may not have the same values any more, whoever speaks next",
    [
        (f"{how}, {who} to {host}", host, how, who)
        for how in CHANGES | ROTATED
        for host in BOTH
        for who in ("the client", "the host")
    ],
)
@lent
def socket_ends(house, loan, host, how, who):
    speaks = threading.Event()
    play = Play(speaks, wspeer.frame(wspeer.TEXT, b"late"), echo=False) if who == "the host" else Play(echo=False)
    with house.open(play, host, b"X-Key: " + loan.token) as socket:
        if who == "the client":
            socket.say(text(b"one " + loan.token))
            see_equal(play.await_frames(1)[0].payload, b"one " + loan.value, "the message before")
        loan.known(lambda: (CHANGES | ROTATED)[how](loan))
        if who == "the client":
            socket.say(text(b"two " + loan.token + b" " + loan.kept))
        speaks.set()
        see_equal(socket.rest(), b"", "what still came")
        see(socket.client.closed != "timeout", "it did not end")
        got = b"".join(frame.payload for frame in play.await_end())
        see_equal(got, b"" if who == "the host" else b"one " + loan.value, "what the host got")
    line = house.audited(socket.path)
    see_equal((line["reason"], line["secrets"], line["tokens_denied"]), ("revoked", ["TAKEN"], []), "the audit line")


@bench.case("a WebSocket goes on when what is changed is not its host's", [(host, host) for host in BOTH])
@lent
def socket_goes_on(house, loan, host):
    with house.open(Play(), host, b"X-Key: " + loan.token) as socket:
        for message in (b"one ", b"two "):
            socket.say(text(message + loan.token))
            see_equal(socket.hear()[0].payload, message + mask(len(loan.value)), "the echo")
            loan.known(loan.rotate_other)


# --- a head that waits for its body ----------------------------------------------------------------------------------------


@case("what is taken away while a body is held is not in the head that goes out with it", HOWS)
@lent
def holds_head(meeting, loan, how):
    before, path = meeting.house.put(), fresh_path()
    talk, body = meeting.open(), b"a " + loan.kept + b"b" * 300
    talk.begin(b"POST", path.encode(), (b"x-key", loan.token), TEXT, framing=len(body))
    talk.send(body[:-100])
    await_until(lambda: meeting.house.put() == before + 1, "the body's token is counted")
    loan.take(how)
    talk.send(body[-100:], end=True)
    see_whole(talk.answer())
    see_equal(meeting.last().get("x-key").encode(), loan.token, "the field")


rehouse_last(bench)
bench.run(WithdrawnHouse)
