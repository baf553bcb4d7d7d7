"""origin - a TLS origin that writes down exactly what it was sent and answers as it is told.

Every connection keeps its decrypted octets and the whole requests that were in them. Replies are scripts by path: a list
of octets and of steps; what has no script is answered by /echo, /sse, /sink or {"ok":true}.
"""
import hashlib
import json
import socket
import ssl
import struct
import threading
import time

from wire import Reader

KEEP_OCTETS = 64 << 20


class Pause:
    """Let this much time pass on the wire before the next octets."""

    def __init__(self, ms):
        self.ms = ms


CLOSE, CUT, RESET = "close_notify, then FIN", "FIN alone", "RST"


def reply(status=200, body=b'{"ok":true}', fields=(), reason=b"OK"):
    lines = b"".join(name + b": " + value + b"\r\n" for name, value in fields)
    return b"HTTP/1.1 %d %s\r\n%sContent-Length: %d\r\n\r\n%s" % (status, reason, lines, len(body), body)


def chunked(*parts, last=b"0\r\n\r\n"):
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + last


class Connection:
    def __init__(self, raw, peer):
        self.raw, self.peer, self.tls = raw, peer, None
        self.sni, self.shaken, self.failure = None, False, None
        self.octets, self.requests, self.gone = bytearray(), [], False

    def pull(self):
        try:
            more = self.tls.recv(65536)
        except (OSError, ValueError) as error:
            self.failure = str(error)
            return b""
        if len(self.octets) < KEEP_OCTETS:
            self.octets += more
        return more

    def end(self, how):
        if how == RESET:
            self.tls.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        elif how == CLOSE:
            try:
                self.tls.setblocking(False)
                self.tls.unwrap()
            except (OSError, ValueError):
                pass  # close_notify is out; the peer's is not awaited
        self.tls.close()


class Origin:
    """contexts: server name to SSLContext; what is not in it gets the default certificate."""

    alpn = ("http/1.1",)

    def __init__(self, cert):
        self.connections, self.arrived, self.scripts, self.contexts = [], [], {}, {}
        self.changed = threading.Condition()
        self.default = self.context(cert)
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    @classmethod
    def context(cls, cert, lax=False):
        """lax: let openssl load what no sane server would show."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        if lax:
            context.set_ciphers("ALL:@SECLEVEL=0")
        context.load_cert_chain(cert.chain, cert.key)
        context.set_alpn_protocols(list(cls.alpn))
        return context

    def accept(self):
        while True:
            try:
                raw, peer = self.listener.accept()
            except OSError:
                return
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection = Connection(raw, peer)
            with self.changed:
                self.connections.append(connection)
                self.changed.notify_all()
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        def choose(tls, name, _):
            connection.sni = name
            tls.context = self.contexts.get(name, self.default)

        try:
            raw = connection.raw
            raw.settimeout(60)
            front = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            front.set_ciphers("ALL:@SECLEVEL=0")
            front.set_alpn_protocols(list(self.alpn))
            front.sni_callback = choose
            connection.tls = front.wrap_socket(raw, server_side=True)
            connection.shaken = True
            self.talk(connection)
        except (OSError, ValueError) as error:
            connection.failure = str(error)
        finally:
            (connection.tls or connection.raw).close()
            with self.changed:
                connection.gone = True
                self.changed.notify_all()

    def talk(self, connection):
        reader = Reader(connection.pull)
        while True:
            request = reader.message()
            if request is None or not request.complete:
                return
            request.sni, request.connection = connection.sni, connection
            with self.changed:
                connection.requests.append(request)
                self.arrived.append(request)
                self.changed.notify_all()
            if not self.answer(connection, request):
                return

    def answer(self, connection, request):
        parts = request.start.split(b" ")
        path = parts[1].split(b"?")[0].decode("latin-1") if len(parts) > 1 else ""
        for step in self.scripts.get(path) or self.plain(path, request):
            if isinstance(step, Pause):
                time.sleep(step.ms / 1000)
            elif isinstance(step, str):
                connection.end(step)
                return False
            else:
                connection.tls.sendall(step)
        return (request.get("connection") or "").lower() != "close"

    @staticmethod
    def plain(path, request):
        if path == "/echo":
            said = request.head + b"\r\n\r\n" + request.body
            return [
                reply(
                    body=said,
                    fields=[(b"X-Reflected", request.get("x-probe").encode("latin-1"))]
                    if request.get("x-probe")
                    else (),
                )
            ]
        if path == "/sink":
            return [
                reply(
                    body=json.dumps(
                        {"octets": len(request.body), "sha256": hashlib.sha256(request.body).hexdigest()}
                    ).encode()
                )
            ]
        if path == "/sse":
            events = [b"%x\r\ndata: %d\n\n\r\n" % (len(b"data: %d\n\n" % n), n) for n in range(3)]
            return [
                b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n",
                events[0],
                Pause(100),
                events[1],
                Pause(100),
                events[2],
                b"0\r\n\r\n",
            ]
        return [reply(body=b"" if request.start.startswith(b"HEAD ") else b'{"ok":true}')]

    @property
    def requests(self):
        """Whole requests of all connections in the order of their arrival."""
        with self.changed:
            return list(self.arrived)

    def counts(self):
        """Connections and whole requests so far: equal before and after means that nothing reached us."""
        with self.changed:
            return len(self.connections), len(self.arrived)

    def await_requests(self, count, seconds=10):
        with self.changed:
            self.changed.wait_for(lambda: len(self.arrived) >= count, seconds)
        return self.requests

    def drop_all(self):
        """End every open connection, so that no pool holds one over into the next case."""
        with self.changed:
            for connection in self.connections:
                if not connection.gone:
                    try:
                        (connection.tls or connection.raw).shutdown(socket.SHUT_RDWR)
                    except OSError:
                        pass
            self.changed.wait_for(lambda: all(c.gone for c in self.connections), 5)

    def close(self):
        self.listener.close()
        self.drop_all()
