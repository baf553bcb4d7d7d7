"""scrubhouse - a house whose sandbox has awkward values for both hosts; their answers, made and looked at."""
import secrets

from case import see
from house import NAMES
from masks import see_masked
from meeting import MeetingHouse, see_whole
from origin import CLOSE, Origin, chunked
from rehouse import Rehouse

BOTH = ("api.test", "echo.test")
TAIL = secrets.token_hex(8).encode()
ODD = b"odd \"q\\b/<t>&'a\xc3\xbc\xe2\x82\xac+%=~\t" + TAIL
PEM = b"-----BEGIN PRIVATE KEY-----\n%s\n%s\n-----END PRIVATE KEY-----\n" % (TAIL * 4, TAIL[::-1] * 2)
LOW = b"low-" + TAIL + b"-as-a-name"
LONG = secrets.token_hex(32768).encode()


class ScrubHouse(MeetingHouse, Rehouse):
    """values: all that sbA has for both hosts; B and C have others there; sbL one of 64 KiB."""

    def __init__(self, build):
        super().__init__(build, names=NAMES + ("c.wild.test",))
        self.asked = 0

    def furnish(self):
        for host in ("echo.test", "a.b.wild.test"):
            self.origin.contexts[host] = Origin.context(self.good)
        self.store("A", *BOTH, "*.wild.test")
        self.secret("A", "S1", "api.test")
        self.secret("A", "S2", "echo.test")
        self.values = [ODD, PEM, LOW, b"front-" + TAIL + b"-shared", TAIL + b"-shared-behind", b"a" * 20]
        for n, value in enumerate(self.values):
            self.secret("A", f"V{n}", *BOTH, value=value)
        self.secret("A", "SAME", *BOTH, value=LOW)
        self.secret("A", "SHORT", *BOTH, value=b"short-15-octets")
        self.secret("A", "LEAST", *BOTH, value=b"least--16-octets")
        self.elsewhere = self.secret("A", "ELSEWHERE", "a.wild.test", canary=False).value
        self.values.append(b"least--16-octets")
        self.store("B", *BOTH)
        self.secret("B", "B1", *BOTH, canary=False)
        self.store("C", *BOTH)
        self.secret("C", "C1", *BOTH, canary=False)
        self.store("L", *BOTH)
        self.secret("L", "L1", *BOTH, value=LONG)
        self.a, self.b = self.sandbox("sbA", "127.0.0.2", "A"), self.sandbox("sbB", "127.0.0.3", "B")
        self.c, self.l = self.sandbox("sbC", "127.0.0.4", "B", "C"), self.sandbox("sbL", "127.0.0.5", "L")

    def answers(self, sandbox, host, *steps):
        """What a sandbox gets over HTTP/1.1 where the host answers so."""
        self.origin.scripts["/said"] = list(steps)
        return self.get(sandbox, host, "/said")

    def forget(self):
        """What the last row has seen is no value that may not be seen."""
        self.clients = []


def said(body, framing, *fields, status=b"200 OK"):
    """The steps of an answer with this body, which may be a list of pieces."""
    pieces = [body] if isinstance(body, bytes) else body
    head = b"HTTP/1.1 " + status + b"\r\n" + b"".join(name + b": " + value + b"\r\n" for name, value in fields)
    if framing == "length":
        return [head + b"Content-Length: %d\r\n\r\n" % len(b"".join(pieces)), *pieces]
    if framing == "close":
        return [head + b"Connection: close\r\n\r\n", *pieces, CLOSE]
    return [
        head + b"Transfer-Encoding: chunked\r\n\r\n",
        *(chunked(piece, last=b"") for piece in pieces),
        b"0\r\n\r\n",
    ]


FRAMINGS = ("length", "chunks", "close")


def see_body(meeting, answer, body, status=200, some=True):
    """Whole, masked and of a length that is right."""
    see_whole(answer, status)
    see_masked(answer.body, body, meeting.house.values + [meeting.value], some=some)
    length = answer.get("content-length")
    see(length in (None, str(len(body))), f"Content-Length is {length}, not {len(body)}")
    return answer


def asked(meeting, steps, method=b"GET", *fields):
    """The answer of a host that says ${steps}; meeting.path: its own, so that its audit line can't be an earlier one's."""
    meeting.house.asked += 1
    meeting.path = f"/said-{meeting.house.asked}"
    meeting.script(meeting.path, steps)
    talk = meeting.open()
    talk.begin(method, meeting.path.encode(), *fields)
    return talk.answer()
