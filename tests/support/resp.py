"""resp - a few Redis commands over a unix socket, and a tap that keeps all that MONITOR shows."""
import socket
import threading


class Resp:
    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(path)
        self.file = self.socket.makefile("rb")

    def __call__(self, *words):
        words = [word.encode() if isinstance(word, str) else word for word in words]
        self.socket.sendall(b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in words))
        return self.read()

    def read(self):
        line = self.file.readline().rstrip(b"\r\n")
        kind, rest = line[:1], line[1:]
        if not kind:
            raise EOFError("Redis ended the connection")
        if kind == b"-":
            raise RuntimeError(f"Redis: {rest.decode()}")
        if kind == b":":
            return int(rest)
        if kind == b"$":
            return None if rest == b"-1" else self.file.read(int(rest) + 2)[:-2]
        if kind == b"*":
            return [self.read() for _ in range(int(rest))]
        return rest

    def hash(self, key):
        flat = self("HGETALL", key)
        return dict(zip(flat[::2], flat[1::2]))

    def dump(self):
        """Every key's serialised form and, where it is a hash, its fields as they are."""
        parts = []
        for key in self("KEYS", "*"):
            parts += [key, self("DUMP", key) or b""]
            if self("TYPE", key) == b"hash":
                parts += [octets for pair in self.hash(key).items() for octets in pair]
        return b"\n".join(parts)


class Monitor:
    def __init__(self, path, *before):
        self.octets, self.resp = bytearray(), Resp(path)
        for words in (*before, ("MONITOR",)):
            self.resp(*words)
        threading.Thread(target=self.listen, daemon=True).start()

    def listen(self):
        try:
            while True:
                line = self.resp.file.readline()
                if not line:
                    return
                self.octets += line
        except (OSError, ValueError):
            return
