"""guessing - L02 L05: a sandbox has its guesses said back, and learns from masks, from delays and from lengths: nothing.

Each round of the game is two messages through a host that says back at once what it hears: a number and a guess; then, when
the number has come back, what ends the line. What a player sees of a round is the length of each piece that came, how much
was there before the end of the line was sent, and what it said. That must be the same for right and wrong guesses.
"""
import os
import re
import secrets
import select
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from arriving import Echo, MirrorOrigin, undisturbed
from case import Bench, see, see_equal, short
from masks import FORMS, core, mask
from meeting import H2Talk, MeetingHouse, each_meeting, see_whole
from origin import Origin, reply

bench = Bench()
case = each_meeting(bench)
BOTH = ("api.test", "echo.test")
LINES = [secrets.token_urlsafe(48).encode() for _ in range(2)] + [secrets.token_urlsafe(9).encode()]
PEM = b"-----BEGIN PRIVATE KEY-----\n%s\n-----END PRIVATE KEY-----\n" % b"\n".join(LINES)
PHRASE = b"correct horse " + secrets.token_hex(4).encode() + b" battery\tstaple"
ALPHABET = b'0123456789abcdefxyz-_/\\"%'
TYPES = (b"text/plain", b"text/event-stream", b"application/octet-stream")


class GuessHouse(MeetingHouse):
    """At a.wild.test and a.b.wild.test the sandbox has values of several words and lines, at the others of one."""

    kind_of_origin = MirrorOrigin
    wordy = {"h1": "a.b.wild.test", "h2": "a.wild.test"}

    def furnish(self):
        for host in ("echo.test", self.wordy["h1"]):
            self.origin.contexts[host] = Origin.context(self.good)
        self.store("A", *BOTH, "*.wild.test")
        for name, host in (("S1", "api.test"), ("S2", "echo.test")):
            self.secret("A", name, host, value=b"sk-live-" + secrets.token_hex(14).encode())
        self.secret("A", "LINES", *self.wordy.values(), value=PEM)
        self.secret("A", "PHRASE", *self.wordy.values(), value=PHRASE)
        self.store("B", *BOTH)
        self.a, self.b = self.sandbox("sbA", "127.0.0.2", "A"), self.sandbox("sbB", "127.0.0.3", "B")


class Player:
    """One exchange, many rounds."""

    def __init__(self, meeting, kind=b"text/plain", close=False, host=None):
        self.echo, self.round = Echo(meeting, kind, close, host), 0
        self.play(b"warm up")

    def play(self, guess, behind=b"", between=b"\n"):
        """What is seen of a guess, with each octet of it taken for any other; behind: said with the end of the line."""
        ear, pieces, at = self.echo.ear, len(self.echo.ear.pieces), len(self.echo.ear.body)
        self.round += 1
        number = b"%06d" % self.round
        self.echo.say(number + between + guess)
        self.hears(number + between, at)
        early = len(ear.body) - at
        self.echo.say(behind + b"\n" + number + b".\n")
        self.hears(number + b".\n", at)
        said = ear.body[at:]
        see(
            len(said) == 15 + len(between) + len(guess + behind),
            f"{short(said)} came back of {short(guess + behind)}",
        )
        lengths = tuple(len(piece) for piece in ear.pieces[pieces:])
        return early, lengths, self.told(said, number, guess)

    def told(self, said, number, guess):
        """What the masks tell: the text, but for what is this round's own."""
        return (
            said.replace(number, b"#").replace(guess, b"?" * len(guess)) if guess else said.replace(number, b"#")
        )

    def hears(self, octets, since):
        see(self.echo.ear.hears(octets, since), f"{octets} did not come back: {self.echo.talk.client.closed}")

    @undisturbed
    def see_alike(self, right, wrong, what, **more):
        """Both guesses must be seen alike; gives what was seen."""
        one, other = self.play(right, **more), self.play(wrong, **more)
        see(one == other, f"{what}: {short(right)} is seen as {short(one)}, {short(wrong)} as {short(other)}")
        return one


def other(octet):
    """One that it is not."""
    return bytes([ALPHABET[ALPHABET.find(octet) - 1]])


def wrong(octets):
    """The last octet is another."""
    return octets[:-1] + other(octets[-1:])


def all_wrong(octets):
    """Nothing of it is right, but it breaks where it broke."""
    return re.sub(rb"[^\r\n]", b"z", octets)


WAYS = [
    (f"{kind.decode()}{', until it closes' * close}", kind, close) for kind in TYPES for close in (False, True)
]


def ways(client, upstream):
    """Only HTTP/1.1 has answers that end with their connection."""
    return [way for way in WAYS if upstream == "h1" or not way[2]]


@case("the beginning of a value, of any length, is seen like any other text", ways)
def beginnings(meeting, kind, close):
    key = meeting.value
    player = Player(meeting, kind, close)
    for length in range(1, len(key)):
        player.see_alike(key[:length], wrong(key[:length]), f"{length} octets")
        player.see_alike(key[:length], all_wrong(key[:length]), f"{length} octets, and none")
        player.see_alike(b"x" + key[:length], b"x" + wrong(key[:length]), f"{length} octets in a word")
        player.see_alike(key[:length], wrong(key[:length]), f"{length} octets, another behind", behind=b"x" * 40)


@case("so is the end of one, and a part of its middle")
def ends(meeting):
    key = meeting.value
    player = Player(meeting)
    for length in range(1, len(key)):
        right, middle = key[-length:], key[length // 2 : length // 2 + length // 2 + 1]
        player.see_alike(right, all_wrong(right), f"the last {length} octets")
        player.see_alike(right, other(right[:1]) + right[1:], f"the last {length} octets but one")
        if middle != key:
            player.see_alike(middle, all_wrong(middle), f"{len(middle)} octets of the middle")


@case("so is the beginning of its other forms", [(label, write) for label, write in FORMS.items()])
def other_forms(meeting, write):
    key = meeting.value
    form = write(key)
    player = Player(meeting)
    for length in range(1, len(form)):
        player.see_alike(form[:length], wrong(form[:length]), f"{length} octets")


@case("no wall of text behind a guess makes a difference", [(kind.decode(), kind) for kind in TYPES])
def walls(meeting, kind):
    key = meeting.value
    player = Player(meeting, kind)
    for length in (1, 2, 8, 15, 16, 17, len(key) - 1):
        for wall in (b"w" * 30, b"w" * 500, b"w" * 9000):
            player.see_alike(
                key[:length] + wall, wrong(key[:length]) + wall, f"{length} octets and {len(wall)} behind"
            )
            player.see_alike(
                wall + key[:length], wall + wrong(key[:length]), f"{len(wall)} octets and {length} behind"
            )


@case(
    "nor does it matter where in the line the guess is, or how the line ends",
    [(repr(end), end) for end in (b"\n", b"\r")],
)
@undisturbed
def places(meeting, end):
    key = meeting.value
    player = Player(meeting)
    for length in (1, 9, 16, 20, len(key) - 1):
        for before in (b"", b" ", b"\t", b'"', b"key=", b"w" * 200, b"some words "):
            one = player.play(before + key[:length], behind=end + b"x", between=end)
            two = player.play(before + wrong(key[:length]), behind=end + b"x", between=end)
            see(one == two, f"{length} octets behind {before}: {short(one)} and {short(two)}")


@case(
    "octet by octet, with any number of them held back, nothing is told",
    [(kind.decode(), kind) for kind in TYPES[:2]],
)
@undisturbed
def piecemeal(meeting, kind):
    """Each octet of the guess is a message of its own; none can be waited for, since none may come."""
    key = meeting.value
    player, seen = Player(meeting, kind), set()
    for guess in (key[:-1], wrong(key[:-1]), all_wrong(key[:-1]), key[:5] + all_wrong(key[:-1])[5:]):
        ear, at = player.echo.ear, len(player.echo.ear.body)
        player.echo.say(b"begin\n")
        player.hears(b"begin\n", at)
        pieces = len(ear.pieces)
        for octet in guess:
            player.echo.say(bytes([octet]))
        player.echo.say(b"\nend\n")
        player.hears(b"\nend\n", at)
        seen.add(tuple(len(piece) for piece in ear.pieces[pieces:]))
        see(ear.body[at:] == b"begin\n" + guess + b"\nend\n", f"{short(ear.body[at:])} came back")
    see_equal(len(seen), 1, f"the count of ways in which they arrived: {seen}")


@case("who tries every octet in turn learns none of the value but the last, which makes it whole")
def every_octet(meeting):
    player, key = Player(meeting), meeting.value

    @undisturbed
    def see_octet(at):
        views = {}
        for octet in ALPHABET:
            seen = player.play(key[:at] + bytes([octet]))
            views.setdefault(seen if at + 1 < len(key) else seen[:2], []).append(octet)
        see_equal(len(views), 1, f"the number of ways in which guesses of octet {at} arrive ({views})")

    for at in range(len(key)):
        see_octet(at)


@case("a whole value is a mask, wherever it is guessed", [(kind.decode(), kind) for kind in TYPES])
@undisturbed
def control(meeting, kind):
    key = meeting.value
    player = Player(meeting, kind)
    for before, behind in ((b"", b""), (b"key=", b"&x"), (b"w" * 200, b"w" * 200)):
        early, lengths, told = player.play(before + key, behind)
        see(key not in told and mask(len(key)) in told, f"what came back is {short(told)}")
        blind = player.play(before + all_wrong(key), behind)
        see_equal((early, lengths), blind[:2], "when and how long what came back was")


# --- silence ---------------------------------------------------------------------------------------------------------------


def there(ear):
    """What has come by now."""
    client, frames = ear.talk.client, isinstance(ear.talk, H2Talk)
    held = lambda: client.incoming.pending or client.tls.pending() or (frames and client.reader.held)
    while (held() or select.select([client.socket], [], [], 0)[0]) and ear.next():
        pass
    return ear.body


# Where a delay may tell whether all octets so far are right: so many at once are no guess (scrub.h).
STEPS = (8, 32)


@case("what is not ended comes after a silence, and that tells of no octet by itself")
def silence(meeting):
    """Whoever waits longer than another, who began later, waits for what is to come."""
    key, games = meeting.value, []
    for length in range(1, len(key)):
        guesses = [key[:length], wrong(key[:length])] if length not in STEPS else []
        for guess in guesses + [all_wrong(key[:length])] * (length < STEPS[0]):
            games.append((length, Echo(meeting)))
            games[-1][1].say(b"begin\n" + guess)
    for length, echo in games:
        see(echo.ear.hears(b"begin\n"), f"the beginning did not come back: {echo.talk.client.closed}")
    fence = Echo(meeting)
    for n in range(2):
        fence.say(b"fence %d." % n)
        see(fence.ear.hears(b"fence %d." % n), f"what is not ended did not come: {fence.talk.client.closed}")
    views = {}
    for length, echo in games:
        views.setdefault(length, set()).add(len(there(echo.ear)) - len(b"begin\n"))
    for length, came in views.items():
        see(len(came) == 1, f"of {length} octets, by whether the last was right, as many came: {sorted(came)}")
    see_equal(
        [came for length, came in views.items() if length < STEPS[0]],
        [{n} for n in range(1, STEPS[0])],
        "what came",
    )


# --- values of several lines -----------------------------------------------------------------------------------------------


@case("of a value of several lines, nothing is told of a line that is not all guessed, nor of one that is short")
def lines(meeting):
    key = meeting.value
    player = Player(meeting, host=meeting.house.wordy[meeting.upstream])
    before = b"-----BEGIN PRIVATE KEY-----\n"
    for number, line in enumerate(LINES):
        for length in range(1, len(line) + (len(line) < 16)):
            right = before + line[:length]
            player.see_alike(right, wrong(right), f"{length} octets of line {number}")
        before += line + b"\n"
    # All but the last octet; what is left over then is a few steps of many octets each.
    player.see_alike(core(PEM)[:-1], wrong(core(PEM)[:-1]), "all but an octet")


@case("of a line that is all guessed but for one octet, with its end, nothing is told")
@undisturbed
def whole_lines(meeting):
    key = meeting.value
    player = Player(meeting, host=meeting.house.wordy[meeting.upstream])
    before = b"-----BEGIN PRIVATE KEY-----\n"
    line = LINES[0]
    views = {
        player.play(before + line[:at] + other(line[at : at + 1]) + line[at + 1 :] + b"\n")[:2]
        for at in range(len(line))
    }
    see_equal(len(views), 1, f"the number of ways in which they arrive ({views})")


@case("of a value of several words nothing is told by the word")
def words(meeting):
    player = Player(meeting, host=meeting.house.wordy[meeting.upstream])
    for length in range(1, len(PHRASE)):
        player.see_alike(PHRASE[:length], all_wrong(PHRASE[:length]), f"{length} octets")
        player.see_alike(PHRASE[:length], wrong(PHRASE[:length]), f"{length} octets but one")


@case("values of several lines and words are masked when they are whole")
def wordy_control(meeting):
    player = Player(meeting, host=meeting.house.wordy[meeting.upstream])
    for value in (core(PEM), PHRASE, FORMS["JSON"](core(PEM))):
        told = player.play(b"<" + value, behind=b">")[2]
        see(value not in told and mask(len(value)) in told, f"what came back is {short(told)}")


# --- heads and messages ----------------------------------------------------------------------------------------------------


@case("in the fields of a head a part of a value comes back as it is, and lengths tell nothing")
def heads(meeting):
    key = meeting.value
    for length in (1, 8, 15, 16, len(key) - 1):
        for guess in (key[:length], wrong(key[:length]), key[-length:]):
            meeting.script("/head", [reply(fields=[(b"x-echo", b"a " + guess)], body=guess)])
            answer = see_whole(meeting.ask(b"GET", b"/head"), body=guess)
            see_equal(
                (answer.get("x-echo"), answer.get("content-length")), ("a " + guess.decode(), str(length)), "it"
            )


@case(
    "in messages of gRPC nothing is told either, however they are cut",
    lambda client, upstream: [("",)] if client == upstream == "h2" else [],
)
@undisturbed
def messages(meeting):
    key = meeting.value
    echo = Echo(meeting, b"application/grpc")
    seen = set()
    for guess in (key[:-1], wrong(key[:-1]), all_wrong(key[:-1])):
        ear, at, pieces = echo.ear, len(echo.ear.body), len(echo.ear.pieces)
        whole = lambda octets: b"\0" + len(octets).to_bytes(4, "big") + octets
        message = whole(b"xy" + guess + b"z")
        for part in (whole(b"first") + message[:9], message[9:] + whole(b"last!")):
            echo.say(part)
            # What ends a message may go; what is behind it may not be waited for.
            mark = b"first" if part.endswith(message[:9]) else b"last!"
            see(ear.hears(mark, at), f"{mark} did not come back: {echo.talk.client.closed}")
        seen.add(tuple(len(piece) for piece in ear.pieces[pieces:]))
        see_equal(
            ear.body[at:].replace(guess, b"?"),
            whole(b"first") + message.replace(guess, b"?") + whole(b"last!"),
            "it",
        )
    see_equal(len(seen), 1, f"the count of ways in which they arrived: {seen}")


bench.run(GuessHouse)
