"""arriving - an answer as it comes, piece by piece; and an origin that says back what it hears, as it hears it."""
import functools
import time

import h2client as h2
from case import Seen
from client import status_of
from h2origin import Head
from meeting import CHUNKED, Early, H1Talk, MeetingOrigin
from origin import CLOSE
from wire import Message


SILENCE_S = 0.2  # after which the proxy lets go of what it can't judge yet


def undisturbed(play):
    """For what is timed by events: where it fails, and the machine was silent so long meanwhile, it is played again."""

    @functools.wraps(play)
    def run(*arguments, **more):
        for left in reversed(range(5)):
            began = time.monotonic()
            try:
                return play(*arguments, **more)
            except Seen:
                if left == 0 or time.monotonic() - began < SILENCE_S / 2:
                    raise

    return run


class Unframed:
    """Takes an answer of HTTP/1.1 as it comes; body: what is there of it, also of a chunk that is not whole."""

    def __init__(self):
        self.held, self.body, self.framing, self.left = b"", b"", None, 0

    def take(self, octets):
        self.held += octets
        while self.held and self.step():
            pass

    def step(self):
        """Deal with what is held; gives whether more can be dealt with."""
        if self.framing is None:
            head, mark, rest = self.held.partition(b"\r\n\r\n")
            if mark:
                self.held, message = rest, Message(head)
                if status_of(message) >= 200:
                    self.framing = "chunked" if message.all("transfer-encoding") else "plain"
            return bool(mark)
        if self.framing == "plain":
            self.body, self.held = self.body + self.held, b""
        elif self.left > 2:
            part = self.held[: self.left - 2]
            self.body, self.held, self.left = self.body + part, self.held[len(part) :], self.left - len(part)
        elif self.left:
            part = self.held[: self.left]
            self.held, self.left = self.held[len(part) :], self.left - len(part)
        else:
            line, mark, rest = self.held.partition(b"\r\n")
            size = int(line, 16) if mark else 0
            if size == 0:
                return False
            self.held, self.left = rest, size + 2
        return True


class Ear:
    """pieces: what the client got, one a TLS record of HTTP/1.1, framing and all, or one a DATA frame of HTTP/2."""

    def __init__(self, talk):
        self.talk, self.pieces, self.unframed = talk, [], Unframed()

    def next(self):
        """Wait for more; False at the end."""
        client = self.talk.client
        if isinstance(self.talk, H1Talk):
            piece = client.pull()
            client.reader.held += piece
            self.unframed.take(piece)
            self.pieces += [piece] if piece else []
            return bool(piece)
        frame = client.next()
        self.pieces += [frame[3]] if frame and frame[0] == h2.DATA and frame[3] else []
        return frame is not None and self.talk.stream.reset is None

    @property
    def body(self):
        return self.unframed.body if isinstance(self.talk, H1Talk) else bytes(self.talk.stream.body)

    def hears(self, octets, since=0):
        """Until they have come, at or behind ${since}; False when the answer ended instead."""
        while self.body.find(octets, since) < 0:
            if not self.next():
                return False
        return True

    def ends(self):
        """How the answer ended, read to its end."""
        return self.talk.answer()


class Mirrored(Early):
    """What comes on a stream of HTTP/2, said back."""

    def __init__(self, session, request):
        super().__init__()
        self.session, self.request = session, request

    def __iter__(self):
        request, said = self.request, 0
        yield Head(200, [(b"content-type", request.get("x-kind").encode())])
        while True:
            with self.session.changed:
                self.session.changed.wait_for(
                    lambda: len(request.body) > said or request.complete or self.session.gone, 60
                )
                part = bytes(request.body[said:])
            if not part:
                return
            said += len(part)
            yield part


class MirrorOrigin(MeetingOrigin):
    """POST /mirror is answered with its own body, as the type that X-Kind says; /mirror?close has no framing."""

    def begins(self, session, request):
        if request.path == "/mirror":
            self.scripts["/mirror"] = Mirrored(session, request)
        super().begins(session, request)

    def h1_begins(self, connection, request):
        if not request.start.startswith(b"POST /mirror"):
            return super().h1_begins(connection, request)
        reader, close = connection.reader, b"?close" in request.start
        framing = b"Connection: close" if close else b"Transfer-Encoding: chunked"
        kind = request.get("x-kind").encode()
        connection.tls.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: %s\r\n%s\r\n\r\n" % (kind, framing))
        while True:
            size = int(reader.until(b"\r\n") or b"0", 16)
            part = reader.exactly(size + 2)[0]
            if size == 0:
                break
            connection.tls.sendall(part[:-2] if close else b"%x\r\n%s" % (size, part))
        if not close:
            connection.tls.sendall(b"0\r\n\r\n")
        connection.end(CLOSE)
        return False


class Echo:
    """One exchange with /mirror: what is said comes back."""

    def __init__(self, meeting, kind=b"text/plain", close=False, host=None):
        self.talk = meeting.open(host, seconds=60)
        # Verbatim on its way there, whatever is in it: only the way back is looked at.
        own = kind if kind == b"application/grpc" else b"application/octet-stream"
        fields = (b"content-type", own), (b"te", b"trailers"), (b"x-kind", kind)
        self.talk.begin(b"POST", b"/mirror?close" if close else b"/mirror", *fields, framing=CHUNKED)
        self.ear = Ear(self.talk)

    def say(self, octets):
        self.talk.send(octets)
