"""h2client - a raw HTTP/2 client: frames as they are told, octet by octet, and what came back by stream.

Fields are written as plain literals, so that any octets can stand in them; what comes back is decoded with python3-hpack.
"""
import select
import struct
import sys

try:
    import hpack
except ImportError:  # another python than Debian's
    sys.path.append("/usr/lib/python3/dist-packages")
    import hpack

from client import Client, client_context

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM, ACK, END_HEADERS, PADDED, PRIORITIZED = 1, 1, 4, 8, 32
(
    NO_ERROR,
    PROTOCOL_ERROR,
    INTERNAL_ERROR,
    FLOW_CONTROL_ERROR,
    SETTINGS_TIMEOUT,
    STREAM_CLOSED,
    FRAME_SIZE_ERROR,
    REFUSED_STREAM,
    CANCEL,
    COMPRESSION_ERROR,
    CONNECT_ERROR,
    ENHANCE_YOUR_CALM,
    INADEQUATE_SECURITY,
    HTTP_1_1_REQUIRED,
) = range(14)
HEADER_TABLE_SIZE, ENABLE_PUSH, MAX_CONCURRENT_STREAMS, INITIAL_WINDOW_SIZE, MAX_FRAME_SIZE, MAX_HEADER_LIST_SIZE = range(
    1, 7
)


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def length(n):
    """An integer with a 7-bit prefix, RFC 7541 s.5.1."""
    if n < 127:
        return bytes([n])
    out, n = [127], n - 127
    while n >= 128:
        out.append(n % 128 + 128)
        n //= 128
    return bytes(out + [n])


def block(*fields):
    """Literals without indexing, not Huffman-coded."""
    return b"".join(b"\0" + length(len(name)) + name + length(len(value)) + value for name, value in fields)


def pseudo(method=b"GET", path=b"/", authority=b"api.test", scheme=b"https"):
    return [(b":method", method), (b":scheme", scheme), (b":authority", authority), (b":path", path)]


def headers(stream, fields, end=True, flags=0, payload=None):
    octets = block(*fields) if payload is None else payload
    return frame(HEADERS, flags | END_HEADERS | (END_STREAM if end else 0), stream, octets)


def get(stream, path=b"/", *fields, **more):
    return headers(stream, pseudo(path=path, **more) + list(fields))


def post(stream, path, *fields, **more):
    return headers(stream, pseudo(b"POST", path, **more) + list(fields), end=False)


def data(stream, octets=b"", end=False, pad=None):
    flags = (END_STREAM if end else 0) | (0 if pad is None else PADDED)
    return frame(DATA, flags, stream, octets if pad is None else bytes([pad]) + octets + bytes(pad))


def settings(*pairs):
    return frame(SETTINGS, 0, 0, b"".join(struct.pack(">HI", key, value) for key, value in pairs))


def rst(stream, code=CANCEL):
    return frame(RST_STREAM, 0, stream, struct.pack(">I", code))


def window(stream, octets):
    return frame(WINDOW_UPDATE, 0, stream, struct.pack(">I", octets))


def ping(octets=b"12345678", flags=0):
    return frame(PING, flags, 0, octets)


class Stream:
    """What came on one stream: heads are lists of fields, the 1xx in ${interim}; reset: the code of RST_STREAM."""

    def __init__(self):
        self.interim, self.fields, self.trailers, self.body, self.reset, self.ended = [], None, None, b"", None, False

    def get(self, name):
        return dict(reversed(self.fields or ())).get(name.lower())

    @property
    def status(self):
        return int(self.get(":status") or 0)

    @property
    def code(self):
        return self.get("x-osb-error")

    def head(self, fields):
        if self.fields is not None:
            self.trailers = fields
        elif dict(fields).get(":status", "").startswith("1"):
            self.interim.append(fields)
        else:
            self.fields = fields


class H2Client(Client):
    """goaway: (last stream, code) or None; credit: give back what DATA takes, at once."""

    def __init__(self, to, source, sni, ca_file, seconds=10, credit=True):
        super().__init__(to, source, sni, client_context(ca_file, alpn=("h2",)), seconds=seconds)
        self.decoder, self.streams, self.goaway, self.goaways = hpack.Decoder(), {}, None, []
        self.credit, self.settings, self.acks, self.pongs, self.fields = credit, {}, 0, [], b""

    def begin(self, *pairs):
        return self.send(PREFACE + settings(*pairs))

    def stream(self, number):
        return self.streams.setdefault(number, Stream())

    def next(self):
        """The next frame as (kind, flags, stream, payload), dealt with; None at the end."""
        front, whole = self.reader.exactly(9)
        if not whole:
            return None
        payload, whole = self.reader.exactly(int.from_bytes(front[:3], "big"))
        if not whole:
            return None
        kind, flags, number = struct.unpack(">BBI", front[3:])
        self.take(kind, flags, number, payload)
        return kind, flags, number, payload

    def take(self, kind, flags, number, payload):
        if kind in (HEADERS, CONTINUATION):
            self.fields += payload
            if flags & END_HEADERS:
                self.stream(number).head(self.decode())
        elif kind == DATA:
            self.stream(number).body += payload
            if self.credit and payload:
                self.send(window(0, len(payload)) + (b"" if flags & END_STREAM else window(number, len(payload))))
        elif kind == RST_STREAM:
            self.stream(number).reset = struct.unpack(">I", payload)[0]
        elif kind == GOAWAY:
            self.goaway = struct.unpack(">II", payload[:8])
            self.goaways.append(self.goaway)
        elif kind == SETTINGS and flags & ACK:
            self.acks += 1
        elif kind == SETTINGS:
            for at in range(0, len(payload), 6):
                key, value = struct.unpack(">HI", payload[at : at + 6])
                self.settings[key] = value
            self.send(frame(SETTINGS, ACK, 0))
        elif kind == PING and flags & ACK:
            self.pongs.append(payload)
        if kind in (HEADERS, DATA) and flags & END_STREAM:
            self.stream(number).ended = True

    def decode(self):
        octets, self.fields = self.fields, b""
        fields = self.decoder.decode(octets)
        self.octets += repr(fields).encode()  # the house looks for values in it
        return fields

    def until(self, holds):
        """Read frames until it holds; False when the connection ended instead."""
        while not holds():
            if self.next() is None:
                return holds()
        return True

    def flood(self, octets, most):
        """Say it again and again, reading what comes meanwhile, until a GOAWAY; gives how often."""
        for count in range(most):
            self.send(octets(count))
            while self.reader.held or select.select([self.socket], [], [], 0)[0]:
                if self.next() is None or self.goaway:
                    return count
        return most

    def answer(self, number):
        """The stream when it is over; what is missing then is in it."""
        it = self.stream(number)
        self.until(lambda: it.ended or it.reset is not None)
        return it

    def over(self):
        """Everything up to the end of the connection."""
        self.until(lambda: False)
        return self.closed

    def pong(self):
        """What was sent before is dealt with when this comes back; False when the connection ended instead."""
        count = len(self.pongs)
        self.send(ping())
        return self.until(lambda: len(self.pongs) > count)
