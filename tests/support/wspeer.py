"""wspeer - both ends of a WebSocket, octet by octet: frames, a host that plays what it is told, a client that may lie."""
import base64
import collections
import hashlib
import os
import struct
import threading

from case import see, see_equal, short
from client import status_of
from meeting import H1Talk, MeetingHouse, MeetingOrigin
from origin import CLOSE
from rehouse import Rehouse
from wire import Reader

MORE, TEXT, BINARY, CLOSING, PING, PONG = 0, 1, 2, 8, 9, 10
KEY = b"dGhlIHNhbXBsZSBub25jZQ=="
GOODBYE = struct.pack(">H", 1000)


def accept_of(key):
    return base64.b64encode(hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())


def under(mask, octets):
    key = (mask * (len(octets) // 4 + 1))[: len(octets)]
    return (int.from_bytes(octets, "big") ^ int.from_bytes(key, "big")).to_bytes(len(octets), "big")


def frame(opcode, payload=b"", final=True, masked=False, first=None, length=None):
    """As a peer writes it. first, length: its octet, and what stands behind it, where they shall be wrong."""
    count, mask = len(payload), os.urandom(4) if masked else b""
    if length is None:
        length = bytes([count]) if count < 126 else b"\x7e" + count.to_bytes(2, "big") if count < 65536 else None
        length = length or b"\x7f" + count.to_bytes(8, "big")
    head = bytes([opcode | (128 if final else 0)]) if first is None else first
    return (
        head
        + bytes([length[0] | (128 if masked else 0)])
        + length[1:]
        + mask
        + (under(mask, payload) if masked else payload)
    )


Frame = collections.namedtuple("Frame", "opcode payload final mask")


def read_frame(reader):
    """The next frame, None at the end; exact, and without repair."""
    head, whole = reader.exactly(2)
    if not whole:
        return None
    see(head[0] & 0x70 == 0, f"RSV bits: {head}")
    size = head[1] & 127
    least, kind = {126: (126, ">H"), 127: (65536, ">Q")}.get(size, (0, None))
    if kind:
        size = struct.unpack(kind, reader.exactly(struct.calcsize(kind))[0])[0]
        see(size >= least, f"a length of {size} in {kind}")
    mask = reader.exactly(4)[0] if head[1] & 128 else None
    payload, whole = reader.exactly(size)
    see(whole, f"a frame of {size} octets is cut off")
    return Frame(head[0] & 15, under(mask, payload) if mask else payload, head[0] > 127, mask)


class Play:
    """What a host does with one handshake: switch (or what it ${answer}s); say each of ${says}, octets or a way to end, or
    wait for an event; keep what it gets and, if it shall, ${echo} it (then: say this instead); at the closing handshake
    or the client's end say ${last} and end as ${ends} says."""

    def __init__(self, *says, echo=True, then=None, fields=(), accept=accept_of, answer=None, last=b"", ends=CLOSE):
        self.says, self.echo, self.then, self.fields, self.accept = says, echo, then, list(fields), accept
        self.answer, self.last, self.ends = answer, last, ends
        self.got, self.request, self.ended, self.failure = [], None, False, None
        self.changed = threading.Condition()

    def run(self, connection, request):
        self.request = request
        try:
            self.switch(connection, request)
            reader = Reader(connection.pull)
            goes_on = all(self.step(connection, step) for step in self.says)
            while goes_on:
                one = read_frame(reader)
                goes_on = one is not None and self.goes_on(connection, one)
            if not connection.ended:
                self.step(connection, self.last)
                self.step(connection, self.ends)
        except Exception as error:  # the test looks at it
            self.failure = f"{type(error).__name__}: {error}"
        with self.changed:
            self.ended = True
            self.changed.notify_all()

    def switch(self, connection, request):
        lines = [b"HTTP/1.1 101 Switching Protocols", b"Upgrade: websocket", b"Connection: Upgrade"]
        accept = self.accept((request.get("sec-websocket-key") or "").encode()) if self.accept else None
        lines += [b"Sec-WebSocket-Accept: " + accept] if accept is not None else []
        connection.ended = False
        self.step(connection, self.answer or b"\r\n".join(lines + self.fields) + b"\r\n\r\n")

    @staticmethod
    def step(connection, step):
        """Octets are said; else it is the end, and False."""
        if isinstance(step, bytes):
            connection.tls.sendall(step)
            return True
        if isinstance(step, threading.Event):
            return step.wait(10)
        connection.ended = True
        connection.end(step)
        return False

    def goes_on(self, connection, one):
        with self.changed:
            self.got.append(one)
            self.changed.notify_all()
        if one.opcode == CLOSING:
            connection.tls.sendall(frame(CLOSING, one.payload))
            return False
        if self.then is not None:
            connection.tls.sendall(self.then)
        elif self.echo and one.opcode != PONG:
            connection.tls.sendall(frame(PONG if one.opcode == PING else one.opcode, one.payload, one.final))
        return True

    def await_frames(self, count, seconds=10):
        with self.changed:
            self.changed.wait_for(lambda: len(self.got) >= count or self.ended, seconds)
            see(len(self.got) >= count, f"the host got {len(self.got)} frames, not {count}; {self.failure}")
            return list(self.got)

    def await_message(self):
        """All frames up to the end of the first message."""
        ends = lambda one: one.final and one.opcode < CLOSING
        frames = self.await_frames(1)
        while not any(map(ends, frames)):
            frames = self.await_frames(len(frames) + 1)
        return frames

    def await_end(self, seconds=10):
        with self.changed:
            see(self.changed.wait_for(lambda: self.ended, seconds), "the host's side did not end")
            return list(self.got)


class SocketOrigin(MeetingOrigin):
    """plays: by path; what has none is answered as by any origin."""

    def __init__(self, cert):
        self.plays = {}
        super().__init__(cert)

    def answer(self, connection, request):
        play = self.plays.get(request.start.split(b" ")[1].split(b"?")[0].decode("latin-1"))
        if play is None:
            return super().answer(connection, request)
        play.run(connection, request)
        return False


class Socket:
    """A client's end. answer: what came for the handshake."""

    half_close = H1Talk.half_close

    def __init__(
        self,
        house,
        sandbox,
        host,
        path,
        *fields,
        key=KEY,
        upgrade=(b"Upgrade: websocket", b"Connection: Upgrade"),
        early=b"",
    ):
        lines = [b"GET " + path.encode() + b" HTTP/1.1", b"Host: " + host.encode(), *upgrade]
        lines += [b"Sec-WebSocket-Version: 13", b"Sec-WebSocket-Key: " + key, *fields]
        self.client, self.path, self.host = house.client(sandbox, host), path, host
        see(self.client.shaken, f"the handshake of TLS ended with {self.client.closed}")
        self.client.send(b"\r\n".join(lines) + b"\r\n\r\n" + early)
        self.answer = self.client.reader.message(bodiless=lambda message: status_of(message) == 101)
        self.status = status_of(self.answer)

    def say(self, *frames):
        """Each argument is a record of TLS by itself."""
        self.client.send(*frames)

    def hear(self, count=1):
        frames = [read_frame(self.client.reader) for _ in range(count)]
        see(None not in frames, f"the connection ended with {self.client.closed} after {short(frames)}")
        see(all(one.mask is None for one in frames), f"the host's frames are masked: {short(frames)}")
        return frames

    def hear_message(self):
        """The next message, joined: opcode, octets, and the control frames that came in between."""
        opcode, octets, between = None, b"", []
        while True:
            (one,) = self.hear()
            if one.opcode >= CLOSING:
                between.append(one)
                continue
            see(one.opcode == (MORE if opcode is not None else one.opcode), f"a message of {short(one)}")
            opcode = one.opcode if opcode is None else opcode
            octets += one.payload
            if one.final:
                return opcode, octets, between

    def rest(self):
        """All that still comes; how it ended is in client.closed."""
        return self.client.rest()

    def end(self):
        self.client.end()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()


class SocketHouse(MeetingHouse, Rehouse):
    """As MeetingHouse; QUOTED is a value that must be escaped in JSON, for both hosts."""

    kind_of_origin = SocketOrigin

    def furnish(self):
        super().furnish()
        self.quoted = b'canary"\\\n\t-' + os.urandom(8).hex().encode()
        self.secret("A", "QUOTED", "api.test", "echo.test", value=self.quoted)
        self.a = self.sandbox("sbS", "127.0.0.4", "A")
        self.turn = 0

    def played(self, play):
        """A path of its own, where the origin plays this."""
        self.turn += 1
        path = f"/socket-{self.turn}"
        self.origin.plays[path] = play
        return path

    def open(self, play, host="api.test", *fields, **more):
        """A WebSocket that is open."""
        socket = Socket(self, self.a, host, self.played(play), *fields, **more)
        see_equal(
            socket.status, 101, f"the status of the handshake ({socket.answer and socket.answer.get('x-osb-error')})"
        )
        return socket

    def audited(self, path):
        return self.await_audit(lambda line: line["path"] == path, f"the audit line of {path}")
