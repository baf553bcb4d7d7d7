"""h2origin - a TLS origin that speaks HTTP/2 where it is offered, writes down what it was sent and answers as it is told.

Scripts are origin.py's: octets of an HTTP/1.1 answer are said as the same answer in HTTP/2, so one table of tests serves
both; CLOSE, CUT and RESET end the stream then. What only HTTP/2 can say are the steps below. Behind a Head, octets are DATA.
"""
import select
import socket
import ssl
import struct
import threading
import time

from h2client import CANCEL, GOAWAY, INTERNAL_ERROR, NO_ERROR, frame  # first: it finds Debian's packages too

import h2.config
import h2.connection
import h2.events
import h2.exceptions
import h2.settings
from hpack import NeverIndexedHeaderTuple
from origin import CLOSE, KEEP_OCTETS, Origin, Pause
from wire import Message

HOP = (b"connection", b"keep-alive", b"transfer-encoding")


class Head:
    """A status and fields, a 1xx too; end: nothing follows."""

    def __init__(self, status=200, fields=(), end=False):
        self.fields, self.end = [(b":status", b"%d" % status), *fields], end


class Trailers:
    def __init__(self, *fields):
        self.fields = list(fields)


class Reset:
    def __init__(self, code=CANCEL):
        self.code = code


class Goaway:
    """last: the last stream that is dealt with; this one if it is not said."""

    def __init__(self, code=NO_ERROR, last=None):
        self.code, self.last = code, last


class Raw:
    """Octets for the wire, whatever they are."""

    def __init__(self, octets):
        self.octets = octets


class Hangup:
    """The connection ends: CLOSE, CUT or RESET."""

    def __init__(self, how=CLOSE):
        self.how = how


class Early(list):
    """A script that begins at the request's head; others wait for its end."""


class Turns:
    """Scripts for one request after another; the last one stays."""

    def __init__(self, *scripts):
        self.scripts = list(scripts)

    def __iter__(self):
        return iter(self.next())

    def next(self):
        return self.scripts.pop(0) if len(self.scripts) > 1 else self.scripts[0]


class Gone(Exception):
    """The stream or its connection has ended."""


class Request(Message):
    """As if it had come in HTTP/1.1; also: pseudo, names that were never_indexed, and the code of its reset."""

    def __init__(self, fields, number, connection):
        self.pseudo = {name: value for name, value in fields if name.startswith(b":")}
        lines = [self.pseudo.get(b":method", b"") + b" " + self.pseudo.get(b":path", b"") + b" HTTP/2"]
        lines += [b"host: " + self.pseudo[b":authority"]] if b":authority" in self.pseudo else []
        lines += [name + b": " + value for name, value in fields if not name.startswith(b":")]
        super().__init__(b"\r\n".join(lines))
        self.never_indexed = [name for name, *_ in (f for f in fields if isinstance(f, NeverIndexedHeaderTuple))]
        self.number, self.connection, self.sni = number, connection, connection.sni
        self.body, self.complete, self.reset, self.script = bytearray(), False, None, None

    @property
    def path(self):
        return self.pseudo.get(b":path", b"").split(b"?")[0].decode("latin-1")


class Session:
    """One connection: this thread alone reads and writes it; those that answer act on ${h2}, and wake it."""

    def __init__(self, origin, connection):
        self.origin, self.connection, self.tls = origin, connection, connection.tls
        self.h2 = h2.connection.H2Connection(
            h2.config.H2Configuration(
                client_side=False,
                header_encoding=None,
                validate_outbound_headers=False,
                normalize_outbound_headers=False,
            )
        )
        self.h2.local_settings = h2.settings.Settings(client=False, initial_values=dict(origin.settings))
        self.changed, self.streams, self.out = threading.Condition(), {}, b""
        self.hangup, self.gone, self.goaway = None, False, None
        self.awake, self.waker = socket.socketpair()
        for end in (self.awake, self.waker, self.tls):
            end.setblocking(False)

    def act(self, do):
        with self.changed:
            if self.gone:
                raise Gone
            try:
                do(self.h2)
            except (h2.exceptions.ProtocolError, KeyError) as error:
                raise Gone from error
            self.out += self.h2.data_to_send()
        self.wake()

    def say(self, octets, hangup=None):
        """Octets for the wire as they are; then it may be the end."""
        with self.changed:
            self.out, self.hangup = self.out + octets, hangup or self.hangup
        self.wake()

    def wake(self):
        try:
            self.waker.send(b"\0")
        except OSError:
            pass  # it is woken already, or gone

    def change(self, **settings):
        """New SETTINGS, by the names of h2.settings.SettingCodes."""
        codes = {h2.settings.SettingCodes[name]: value for name, value in settings.items()}
        self.act(lambda to: to.update_settings(codes))

    def run(self):
        out = b""
        try:
            self.act(lambda to: to.initiate_connection())
            while True:
                with self.changed:
                    out += self.out + self.h2.data_to_send()
                    self.out, hangup = b"", self.hangup
                out = self.push(out)
                if hangup and not out:
                    self.connection.end(hangup)
                    return
                if not hangup and not self.pull():
                    return
                select.select([self.awake] + ([] if hangup else [self.tls]), [self.tls] if out else [], [], 60)
                self.drain()
        finally:
            with self.changed:
                self.gone = True
                self.changed.notify_all()
            self.awake.close()
            self.waker.close()

    def drain(self):
        try:
            self.awake.recv(4096)
        except BlockingIOError:
            pass

    def push(self, out):
        try:
            while out:
                out = out[self.tls.send(out[:65536]) :]
        except (ssl.SSLWantWriteError, ssl.SSLWantReadError):
            pass
        except OSError as error:
            self.connection.failure = str(error)
            return b""
        return out

    def pull(self):
        """All that is there; False at the end."""
        while True:
            try:
                more = self.tls.recv(65536)
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
                return True
            except OSError as error:
                self.connection.failure = str(error)
                return False
            if not more:
                return False
            with self.changed:
                self.take(more)
                self.changed.notify_all()
            self.wake()  # what the library itself has to say now: credit, acknowledgements

    def take(self, octets):
        try:
            for event in self.h2.receive_data(octets):
                self.dealt(event)
        except h2.exceptions.ProtocolError as error:
            self.connection.failure, self.hangup = f"{type(error).__name__}: {error}", CLOSE

    def keep(self, octets):
        if len(self.connection.octets) < KEEP_OCTETS:
            self.connection.octets += octets

    def dealt(self, event):
        kind, number = type(event), getattr(event, "stream_id", 0)
        if kind is h2.events.RequestReceived:
            request = self.streams[number] = Request(event.headers, number, self.connection)
            self.keep(request.head + b"\r\n")
            self.origin.begins(self, request)
        elif kind is h2.events.DataReceived:
            request = self.streams[number]
            request.body += event.data
            self.keep(event.data)
            if request.path not in self.origin.unread:
                self.h2.acknowledge_received_data(event.flow_controlled_length, number)
        elif kind is h2.events.TrailersReceived:
            self.streams[number].trailers = list(event.headers)
            self.keep(b"".join(name + b": " + value + b"\r\n" for name, value in event.headers))
        elif kind is h2.events.StreamEnded:
            self.origin.ends(self, self.streams[number])
        elif kind is h2.events.StreamReset and event.remote_reset:
            self.streams[number].reset = int(event.error_code)
        elif kind is h2.events.ConnectionTerminated:
            self.goaway = int(event.error_code)


class Speaker:
    """Says a script on one stream. framing: how the octets of an HTTP/1.1 answer are cut, None before its head."""

    def __init__(self, session, request):
        self.session, self.request, self.number = session, request, request.number
        self.held, self.framing, self.left, self.ended = b"", None, 0, False

    def run(self):
        try:
            for step in self.request.script:
                self.step(step)
            if self.framing in ("close", "native"):
                self.end()
        except Gone:
            pass

    def step(self, step):
        if isinstance(step, Pause):
            time.sleep(step.ms / 1000)
        elif isinstance(step, str):
            self.end() if step == CLOSE and self.framing == "close" else self.step(Reset(INTERNAL_ERROR))
        elif isinstance(step, Head):
            self.framing = "native"
            self.fields(step.fields, step.end)
        elif isinstance(step, Trailers):
            self.fields(step.fields, True)
        elif isinstance(step, Reset):
            self.ended = True
            self.session.act(lambda to: to.reset_stream(self.number, step.code))
        elif isinstance(step, Goaway):
            last = self.number if step.last is None else step.last
            # The library's own would end all streams.
            self.step(Raw(frame(GOAWAY, 0, 0, struct.pack(">II", last, step.code))))
        elif isinstance(step, Raw):
            self.session.say(step.octets)
        elif isinstance(step, Hangup):
            self.session.say(b"", step.how)
        elif self.framing == "native":
            self.data(step)
        else:
            self.held += step
            while self.held and not self.ended and self.translate():
                pass

    def fields(self, fields, end):
        self.ended = self.ended or end
        self.session.act(lambda to: to.send_headers(self.number, fields, end_stream=end))

    def end(self):
        if not self.ended:
            self.ended = True
            self.session.act(lambda to: to.end_stream(self.number))

    def data(self, octets):
        while octets:
            with self.session.changed:
                self.session.changed.wait_for(self.may_go, 60)
            size = []
            self.session.act(lambda to: size.append(self.send(to, octets)))
            octets = octets[size[0] :]

    def may_go(self):
        stopped = self.session.gone or self.request.reset is not None
        return stopped or self.session.h2.local_flow_control_window(self.number) > 0

    def send(self, to, octets):
        size = min(len(octets), to.local_flow_control_window(self.number), to.max_outbound_frame_size)
        if size > 0:
            to.send_data(self.number, octets[:size])
        return max(size, 0)

    def translate(self):
        """Say the next piece of what is held; gives whether it was whole."""
        if self.framing is None:
            head, mark, rest = self.held.partition(b"\r\n\r\n")
            if mark:
                self.held = rest
                self.translate_head(Message(head))
            return bool(mark)
        if self.framing == "chunked":
            return self.translate_chunk()
        part = self.held if self.framing == "close" else self.held[: self.left]
        self.held, self.left = self.held[len(part) :], self.left - len(part)
        self.data(part)
        if self.framing == "length" and self.left == 0:
            self.end()
        return True

    def translate_head(self, message):
        status, length = int(message.start.split(b" ")[1]), message.get("content-length")
        fields = [(name.lower(), value) for name, value in message.fields if name.lower() not in HOP]
        bodiless = status in (204, 304) or self.request.start.startswith(b"HEAD ") or length == "0"
        if status >= 200:
            self.framing = "chunked" if message.all("transfer-encoding") else "length" if length else "close"
            self.left = int(length or 0)
        self.fields([(b":status", b"%d" % status), *fields], status >= 200 and bodiless)

    def translate_chunk(self):
        line, mark, rest = self.held.partition(b"\r\n")
        size = int(line.split(b";")[0], 16) if mark else 0
        if not mark or len(rest) < size + 2 or (size == 0 and not (b"\r\n" + rest).count(b"\r\n\r\n")):
            return False
        if size:
            self.held = rest[size + 2 :]
            self.data(rest[:size])
            return True
        pairs = [line.partition(b":") for line in rest.partition(b"\r\n\r\n")[0].split(b"\r\n") if line]
        trailers = [(name.lower(), value.strip(b" \t")) for name, _, value in pairs]
        self.fields(trailers, True) if trailers else self.end()
        return True


class H2Origin(Origin):
    """settings: of its connections, by h2.settings.SettingCodes; unread: paths whose bodies get no more window than they
    had; begun: every request whose head came, whatever became of it. A connection that chose h2 has its session."""

    alpn = ("h2", "http/1.1")

    def __init__(self, cert):
        self.settings, self.unread, self.begun = {}, set(), []
        super().__init__(cert)

    def talk(self, connection):
        if connection.tls.selected_alpn_protocol() != "h2":
            return super().talk(connection)
        connection.session = Session(self, connection)
        return connection.session.run()

    def begins(self, session, request):
        script = self.scripts.get(request.path)
        request.script = script.next() if isinstance(script, Turns) else script
        session.connection.requests.append(request)
        with self.changed:
            self.begun.append(request)
            self.changed.notify_all()
        if isinstance(request.script, Early):
            self.speak(session, request)

    def ends(self, session, request):
        request.body, request.complete = bytes(request.body), True
        with self.changed:
            self.arrived.append(request)
            self.changed.notify_all()
        if not isinstance(request.script, Early):
            request.script = request.script or self.plain(request.path, request)
            self.speak(session, request)

    @staticmethod
    def speak(session, request):
        threading.Thread(target=Speaker(session, request).run, daemon=True).start()

    def await_begun(self, count, seconds=10):
        with self.changed:
            self.changed.wait_for(lambda: len(self.begun) >= count, seconds)
            return list(self.begun)
