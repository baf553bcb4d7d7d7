"""client - a raw TLS client: bound to a source address, exact octets in chosen pieces, and it says what closed."""
import re
import socket
import ssl
import struct
import time

from wire import Reader


def client_context(ca_file=None, alpn=("http/1.1",), version=None):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if ca_file:
        context.load_verify_locations(ca_file)
    else:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if alpn:
        context.set_alpn_protocols(list(alpn))
    if version:
        context.minimum_version = context.maximum_version = version
    return context


def status_of(message):
    """The status as a number; 0 where there is no status line."""
    hit = re.fullmatch(rb"HTTP/1\.[01] ([0-9]{3})(?: .*)?", message.start) if message else None
    return int(hit.group(1)) if hit else 0


class Client:
    """closed: None while open, else close_notify, fin, rst, timeout or "alert NAME"; octets: all that was received."""

    def __init__(self, to, source, sni, context, session=None, seconds=10):
        self.closed, self.octets, self.deadline = None, bytearray(), time.monotonic() + seconds
        self.seconds = seconds
        try:
            self.socket = socket.create_connection(to, seconds, source_address=(source, 0))
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except ConnectionResetError:  # it was over before connect() came back
            self.socket, self.closed = socket.socket(), "rst"
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        if sni is None:
            context.check_hostname = False
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_hostname=sni, session=session)
        self.reader = Reader(self.pull)
        self.shaken = self.step(self.tls.do_handshake) is not False and self.closed is None

    def step(self, call):
        """Run an OpenSSL call until it has what it needs; False when the connection ended instead."""
        while self.closed is None:
            try:
                done = call()
                self.flush()
                return True if done is None else done
            except ssl.SSLWantReadError:
                self.flush()
                self.fill()
            except ssl.SSLZeroReturnError:
                self.closed = "close_notify"
            except ssl.SSLEOFError:
                self.closed = self.closed or "fin"
            except ssl.SSLCertVerificationError:
                raise
            except ssl.SSLError as error:
                self.flush()
                self.closed = f"alert {error.reason}"
        return False

    def flush(self, pieces=None):
        """Send what OpenSSL has written; pieces: sizes of the writes to the socket, the last one for all the rest."""
        octets = self.outgoing.read()
        try:
            for size in pieces or ():
                self.socket.sendall(octets[:size])
                octets = octets[size:]
            if octets:
                self.socket.sendall(octets)
        except OSError:
            pass  # what came back before tells more: it is read next

    def fill(self):
        if time.monotonic() > self.deadline:
            self.closed = "timeout"
            return
        try:
            more = self.socket.recv(65536)
        except socket.timeout:
            self.closed = "timeout"
        except OSError:
            self.closed = "rst"
        else:
            self.incoming.write(more) if more else self.incoming.write_eof()

    def pull(self):
        got = self.step(lambda: self.tls.read(65536))
        if got == b"":
            self.closed = "close_notify"
        if got is False:
            return b""
        self.octets += got
        return got

    def send(self, *records, wire=None):
        """Each argument is one TLS record (or more beyond 16 KiB), flushed by itself."""
        self.deadline = time.monotonic() + self.seconds
        for octets in records:
            if self.closed or not octets:
                continue
            self.tls.write(octets)
            self.flush(wire)
        return self

    def response(self, head_only=False):
        """The next final response, or None; 1xx are skipped."""
        while True:
            message = self.reader.message(
                bodiless=lambda m: head_only or status_of(m) in (204, 304) or 100 <= status_of(m) < 200,
                until_close=True,
            )
            if message is None or not 100 <= status_of(message) < 200:
                break
        if message is not None:
            message.status, message.code = status_of(message), message.get("x-osb-error")
            if message.framing == "close":
                message.complete = self.closed == "close_notify"
        return message

    def ask(self, *records, head_only=False):
        return self.send(*records).response(head_only)

    def rest(self):
        """Everything up to the end; closed says how it ended."""
        while self.pull():
            pass
        octets, self.reader.held = self.reader.held, b""
        return octets

    def end(self, how="close"):
        try:
            if how == "rst":
                self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            elif self.closed is None and self.shaken:
                self.tls.unwrap()
        except (ssl.SSLError, ValueError):
            pass
        self.flush()
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()


ALERTS = {
    40: "handshake_failure",
    112: "unrecognized_name",
    80: "internal_error",
    50: "decode_error",
    120: "no_application_protocol",
}


def hello(to, source, name, seconds=5):
    """Say a ClientHello with this server name, any octets; gives "alert N", "handshake", "fin", "rst" or "timeout"."""
    count = len(name)
    stand_in = "".join("." if n % 60 == 59 and n + 1 < count else "q" for n in range(count))
    outgoing = ssl.MemoryBIO()
    tls = client_context().wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname=stand_in)
    try:
        tls.do_handshake()
    except ssl.SSLWantReadError:
        pass
    octets = outgoing.read()
    assert octets.count(stand_in.encode()) == 1
    with socket.create_connection(to, seconds, source_address=(source, 0)) as raw:
        try:
            raw.sendall(octets.replace(stand_in.encode(), name))
            got = b""
            while len(got) < 7:
                more = raw.recv(4096)
                if not more:
                    return "fin"
                got += more
        except socket.timeout:
            return "timeout"
        except OSError:
            return "rst"
    return f"alert {got[6]}" if got[0] == 21 else "handshake"
