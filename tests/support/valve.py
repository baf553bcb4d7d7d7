"""valve - a relay in front of Redis that can hold commands back, or one connection's answers, while announcements pass."""
import secrets
import socket
import threading

from cutter import read_frame


class Valve:
    def __init__(self, redis_socket, folder):
        self.redis_socket, self.path = redis_socket, f"{folder}/valve-{secrets.token_hex(4)}.sock"
        self.open = threading.Event()
        self.open.set()
        self.holds, self.held, self.let_go = threading.Semaphore(0), threading.Event(), threading.Event()
        self.ends = []
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.path)
        self.listener.listen(64)
        threading.Thread(target=self.accept, daemon=True).start()

    def hold_answer(self):
        """The next answer, and what else comes on its connection, until let_go is set; held says that there is one."""
        self.held.clear()
        self.let_go.clear()
        self.holds.release()

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            redis = socket.socket(socket.AF_UNIX)
            redis.connect(self.redis_socket)
            self.ends += [client, redis]
            for work in (self.commands, self.answers):
                threading.Thread(target=work, args=(client, redis), daemon=True).start()

    def commands(self, client, redis):
        """Where it subscribes, no more is held."""
        asked, listens = client.makefile("rb"), False
        try:
            while True:
                octets, words = read_frame(asked)
                listens = listens or words[0].upper() == b"SUBSCRIBE"
                if not listens:
                    self.open.wait()
                redis.sendall(octets)
        except (OSError, EOFError, ValueError):
            self.end(client, redis)

    def answers(self, client, redis):
        try:
            while True:
                octets = redis.recv(65536)
                if not octets:
                    break
                # Three words are ROLE's answer, or an announcement.
                if not octets.startswith(b"*3\r\n") and self.holds.acquire(blocking=False):
                    self.held.set()
                    self.let_go.wait()
                client.sendall(octets)
        except OSError:
            pass
        self.end(client, redis)

    @staticmethod
    def end(*ends):
        for end in ends:
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def close(self):
        self.open.set()
        self.let_go.set()
        self.listener.close()
        self.end(*self.ends)
