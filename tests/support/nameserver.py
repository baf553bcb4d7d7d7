"""nameserver - a DNS server on loopback that answers from a table and keeps the questions."""
import ipaddress
import socket
import struct
import threading


class Nameserver:
    """addresses: name to list of texts, v4 and v6 mixed; a name that is absent does not exist; silent: never answered."""

    def __init__(self):
        self.addresses, self.questions, self.silent = {}, [], set()
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                query, peer = self.socket.recvfrom(4096)
                answer = self.answer(query)
                if self.questions[-1] not in self.silent:
                    self.socket.sendto(answer, peer)
            except OSError:
                return

    def answer(self, query):
        labels, at = [], 12
        while query[at]:
            labels.append(query[at + 1 : at + 1 + query[at]].decode("latin-1"))
            at += query[at] + 1
        kind = struct.unpack("!H", query[at + 1 : at + 3])[0]
        name = ".".join(labels).lower()
        self.questions.append(name)
        known = self.addresses.get(name)
        parsed = [ipaddress.ip_address(text) for text in known or ()]
        wanted = [ip for ip in parsed if (ip.version, kind) in ((4, 1), (6, 28))]
        head = query[:2] + struct.pack("!HHHHH", 0x8180 | (0 if known is not None else 3), 1, len(wanted), 0, 0)
        records = b"".join(
            b"\xc0\x0c" + struct.pack("!HHIH", kind, 1, 0, len(ip.packed)) + ip.packed for ip in wanted
        )
        return head + query[12 : at + 5] + records

    def close(self):
        self.socket.close()
