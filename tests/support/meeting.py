"""meeting - the same request where HTTP/1.1 and HTTP/2 meet: one way to say it, one shape of what is heard, for both.

A client of either version asks a host that speaks either; the origin is one for all, and scripts are origin.py's.
"""
import socket
import ssl
import threading

import h2client as h2
from case import see, see_equal
from client import status_of
from h2client import H2Client
from h2origin import Early, H2Origin
from house import House
from origin import Origin
from wire import Reader

CHUNKED = "no length is said before"
VERSIONS = ("h1", "h2")


class Paced(Early):
    """Begins at the request's head; each step but the first waits for go()."""

    def __init__(self, *steps):
        super().__init__(steps)
        self.turns = threading.Semaphore(0)

    def go(self):
        self.turns.release()

    def __iter__(self):
        for number, step in enumerate(list.__iter__(self)):
            if number:
                self.turns.acquire(timeout=10)
            yield step


class Never(Early):
    """No answer, whatever comes."""


class MeetingOrigin(H2Origin):
    """Where HTTP/1.1 is spoken, a request is also known, and may be answered, as soon as its head is there."""

    def talk(self, connection):
        if connection.tls.selected_alpn_protocol() == "h2":
            super().talk(connection)
            return
        reader = connection.reader = Reader(connection.pull)
        while True:
            request = reader.message(bodiless=lambda message: self.h1_begins(connection, message))
            if request is None or not request.complete:
                return
            request.sni = connection.sni
            with self.changed:
                connection.requests.append(request)
                self.arrived.append(request)
                self.changed.notify_all()
            if not (request.goes_on if isinstance(request.script, Early) else self.answer(connection, request)):
                return

    def h1_begins(self, connection, request):
        """An early script is said before the body is read."""
        path = request.start.split(b" ")[1].split(b"?")[0].decode("latin-1")
        request.connection, request.script, request.goes_on = connection, self.scripts.get(path), False
        with self.changed:
            self.begun.append(request)
            self.changed.notify_all()
        if isinstance(request.script, Never):
            while connection.pull():
                pass
        elif isinstance(request.script, Early):
            request.goes_on = self.answer(connection, request)
        return False

    @staticmethod
    def told(request):
        """Does the origin know that nobody waits for this any more?"""
        return request.connection.gone or getattr(request, "reset", None) is not None


class MeetingHouse(House):
    """api.test speaks h2 where it is offered, echo.test http/1.1 alone."""

    kind_of_origin = MeetingOrigin
    hosts = {"h1": ("echo.test", "S2"), "h2": ("api.test", "S1")}

    def furnish(self):
        super().furnish()
        self.origin.contexts["echo.test"] = Origin.context(self.good)


class Answer:
    """interim: the statuses of 1xx; fields in lower case; clean: it came to its end; ending: how it ended else."""

    def __init__(self, status, fields, body, trailers, interim, clean, ending=None):
        self.status, self.fields, self.body, self.trailers = status, fields, bytes(body), trailers
        self.interim, self.clean, self.ending = interim, clean, ending

    def get(self, name):
        return dict(reversed(self.fields)).get(name)

    @property
    def code(self):
        return self.get("x-osb-error")


def texts(pairs):
    return [
        tuple(part.decode("latin-1") if isinstance(part, bytes) else part for part in pair) for pair in pairs or ()
    ]


class H1Talk:
    def __init__(self, house, host, seconds):
        self.client, self.host, self.interim = house.client(house.a, host, seconds=seconds), host, []
        self.framing = self.head_only = None

    def begin(self, method, path, *fields, framing=None, authority=None):
        lines = [method + b" " + path + b" HTTP/1.1", b"host: " + (authority or self.host.encode())]
        lines += [name + b": " + value for name, value in fields]
        lines += [b"connection: te" for name, _ in fields if name == b"te"]
        if framing is not None:
            lines.append(b"transfer-encoding: chunked" if framing is CHUNKED else b"content-length: %d" % framing)
        self.framing, self.head_only = framing, method == b"HEAD"
        self.client.send(b"\r\n".join(lines) + b"\r\n\r\n")

    def send(self, octets, end=False):
        self.client.send(b"%x\r\n%s\r\n" % (len(octets), octets) if self.framing is CHUNKED and octets else octets)
        if end:
            self.finish()

    def finish(self, *trailers):
        if self.framing is CHUNKED:
            lines = b"".join(name + b": " + value + b"\r\n" for name, value in trailers)
            self.client.send(b"0\r\n" + lines + b"\r\n")

    def hears(self, octets):
        """Read until they have come; False at the end."""
        reader = self.client.reader
        while octets not in reader.held:
            more = self.client.pull()
            if not more:
                return False
            reader.held += more
        return True

    def hears_interim(self):
        message = self.client.reader.message(bodiless=lambda message: True)
        status = status_of(message)
        see(100 <= status < 200, f"status {status} ({self.client.closed}), not an interim one")
        self.interim.append(status)
        return True

    def answer(self):
        while True:
            message = self.client.reader.message(
                bodiless=lambda m: self.head_only or status_of(m) in (204, 304) or status_of(m) < 200,
                until_close=True,
            )
            status = status_of(message)
            if not 100 <= status < 200:
                break
            self.interim.append(status)
        if message is None:
            return Answer(0, [], b"", [], self.interim, False, self.client.closed)
        fields = [(name.lower(), value) for name, value in texts(message.fields)]
        whole = message.complete and (message.framing != "close" or self.client.closed == "close_notify")
        trailers = [(name.lower(), value) for name, value in texts(message.trailers)]
        return Answer(status, fields, message.body, trailers, self.interim, whole, self.client.closed)

    def take_back(self):
        self.client.end("rst")

    def half_close(self):
        """Nothing more is said; what comes is read."""
        try:
            self.client.tls.unwrap()
        except ssl.SSLError:
            pass  # the other side has more to say
        self.client.flush()
        self.client.socket.shutdown(socket.SHUT_WR)


class H2Talk:
    def __init__(self, house, host, seconds):
        self.client, self.host = (
            H2Client(("127.0.0.1", house.port), house.a.address, host, house.a.ca_file, seconds),
            host,
        )
        house.clients.append(self.client)
        see(self.client.shaken, f"the handshake ended with {self.client.closed}")
        see_equal(self.client.tls.selected_alpn_protocol(), "h2", "the client's protocol")
        self.client.begin()
        self.stream, self.left, take = self.client.stream(1), {0: 65535, 1: 65535}, self.client.take

        def note(kind, flags, stream, payload):
            if kind == h2.WINDOW_UPDATE and stream in self.left:
                self.left[stream] += int.from_bytes(payload, "big")
            take(kind, flags, stream, payload)

        self.client.take = note

    def begin(self, method, path, *fields, framing=None, authority=None):
        fields = h2.pseudo(method, path, authority or self.host.encode()) + list(fields)
        if framing not in (None, CHUNKED):
            fields.append((b"content-length", b"%d" % framing))
        self.headers(fields, end=framing is None)

    def headers(self, fields, end):
        octets = h2.block(*fields)
        pieces = [octets[at : at + 16384] for at in range(0, len(octets), 16384)]
        last = len(pieces) - 1
        frames = [
            h2.frame(
                h2.CONTINUATION if n else h2.HEADERS,
                (h2.END_HEADERS if n == last else 0) | (h2.END_STREAM if end and not n else 0),
                1,
                piece,
            )
            for n, piece in enumerate(pieces)
        ]
        self.client.send(b"".join(frames))

    def send(self, octets, end=False):
        at = 0
        while at < len(octets):
            room = min(self.left[0], self.left[1], 16384, len(octets) - at)
            if room == 0:
                see(
                    self.client.next() is not None, f"the connection ended with {self.client.closed} at octet {at}"
                )
                see(self.stream.reset is None, f"the stream was reset with {self.stream.reset} at octet {at}")
                continue
            self.client.send(h2.data(1, octets[at : at + room], end and at + room == len(octets)))
            self.left = {0: self.left[0] - room, 1: self.left[1] - room}
            at += room
        if end and not octets:
            self.finish()

    def finish(self, *trailers):
        if trailers:
            self.headers(list(trailers), end=True)
        else:
            self.client.send(h2.data(1, end=True))

    def hears(self, octets):
        return self.client.until(lambda: octets in self.stream.body)

    def hears_interim(self):
        count = len(self.stream.interim)
        return self.client.until(lambda: len(self.stream.interim) > count)

    def answer(self):
        it = self.client.answer(1)
        interim = [int(dict(fields)[":status"]) for fields in it.interim]
        fields = [pair for pair in texts(it.fields) if pair[0] != ":status"]
        ending = f"RST_STREAM {it.reset}" if it.reset is not None else self.client.closed
        return Answer(it.status, fields, it.body, texts(it.trailers), interim, it.ended, ending)

    def take_back(self):
        self.client.send(h2.rst(1))

    def half_close(self):
        """END_STREAM has said it."""


class Meeting:
    """A client of one version and a host of one; token and value: of the secret that this host may have."""

    def __init__(self, house, client, upstream):
        self.house, self.origin, self.versions = house, house.origin, (client, upstream)
        self.host, name = house.hosts[upstream]
        self.token, self.value = house.a.tokens[name], house.value(name)
        self.denied = next(token for other, token in house.a.tokens.items() if other != name)
        self.upstream, self.talks = upstream, []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for talk in self.talks:
            talk.client.end()

    def script(self, path, steps):
        self.origin.scripts[path] = steps
        return steps

    def open(self, host=None, seconds=20):
        kind = H1Talk if self.versions[0] == "h1" else H2Talk
        self.talks.append(kind(self.house, host or self.host, seconds))
        return self.talks[-1]

    def ask(self, method, path, *fields, body=None, counted=True, trailers=(), **more):
        """One request on a connection of its own, said whole."""
        talk = self.open()
        talk.begin(
            method, path, *fields, framing=None if body is None else len(body) if counted else CHUNKED, **more
        )
        if body:
            talk.send(body, end=not trailers)
        if body is not None and (trailers or not body):
            talk.finish(*trailers)
        answer = talk.answer()
        see(answer.status, f"no answer, but {answer.ending}")
        return answer

    def last(self):
        return self.origin.requests[-1]

    def audited(self, path):
        """The line of the last request for this path; its protocols are those that were spoken."""
        holds = lambda line: (line["path"], line["proto"], line["host"]) == (path, self.versions[0], self.host)
        line = self.house.await_audit(holds, f"the audit line of {path}")
        see_equal((line["proto"], line["upstream_proto"]), self.versions, "proto and upstream_proto")
        return line


def each_meeting(bench):
    """bench.case for all four meetings: case(sentence, variants) registers a row for each meeting and variant, or those
    that variants(client, upstream) gives; the function gets the meeting and the variant."""

    def case(sentence, variants=(("",),)):
        those = variants if callable(variants) else lambda client, upstream: variants
        rows = [
            (f"{client} to {upstream}{', ' * bool(label)}{label}", client, upstream, *more)
            for client in VERSIONS
            for upstream in VERSIONS
            for label, *more in those(client, upstream)
        ]

        def keep(function):
            def run(house, client, upstream, *more):
                with Meeting(house, client, upstream) as meeting:
                    function(meeting, *more)

            return bench.case(sentence, rows)(run)

        return keep

    return case


def see_whole(answer, status=200, body=None):
    see_equal((answer.status, answer.code), (status, None), "status and code")
    see(answer.clean, f"the answer is not whole: {len(answer.body)} octets, {answer.ending}")
    see(body is None or answer.body == body, f"the body is {answer.body[:80]!r} ({len(answer.body)} octets)")
    return answer
