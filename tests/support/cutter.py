"""cutter - a relay between osbctl and Redis that ends one of the two at a command of its choice.

It understands as much of Redis' protocol as is needed to count commands, and lets through one at a time, however they were
sent: whatever comes behind the chosen one has not reached Redis.
"""
import os
import socket
import subprocess
import threading

from case import see
from house import SANITIZER

# Whatever can change a key, or tells of a change.
WRITES = set(b"SET DEL UNLINK HSET HDEL HSETNX ZADD ZREM ZREMRANGEBYSCORE PEXPIREAT PERSIST EVAL EVALSHA PUBLISH".split())


def read_frame(file):
    """One value as its octets and, taken apart, as bytes or a list."""
    line = file.readline()
    if not line.endswith(b"\n"):
        raise EOFError
    kind, rest = line[:1], line[1:-2]
    if kind == b"$" and int(rest) >= 0:
        body = file.read(int(rest) + 2)
        if len(body) != int(rest) + 2:
            raise EOFError
        return line + body, body[:-2]
    if kind == b"*" and int(rest) > 0:
        parts = [read_frame(file) for _ in range(int(rest))]
        return line + b"".join(raw for raw, _ in parts), [value for _, value in parts]
    return line, rest


class Cutter:
    """at: which of the commands that are counted; how: "kill" (osbctl, by SIGKILL) or "cut" (the link); behind: Redis has
    executed it, but osbctl has not heard so."""

    def __init__(self, redis_socket, folder):
        self.redis_socket, self.path = redis_socket, f"{folder}/cutter.sock"
        self.lock, self.started = threading.Lock(), threading.Event()
        self.arm(0)
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.path)
        self.listener.listen(16)
        threading.Thread(target=self.accept, daemon=True).start()

    def arm(self, at, how="kill", behind=False, counted=WRITES):
        self.at, self.how, self.behind, self.counted = at, how, behind, counted
        self.count, self.fired, self.commands = 0, False, []
        self.child = None
        self.started.clear()

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            if self.fired:
                client.close()  # the link stays cut
                continue
            threading.Thread(target=self.relay, args=(client,), daemon=True).start()

    def relay(self, client):
        redis = socket.socket(socket.AF_UNIX)
        try:
            redis.connect(self.redis_socket)
            asked, answered = client.makefile("rb"), redis.makefile("rb")
            while not self.fired:
                octets, words = read_frame(asked)
                cut_here = self.take(words)
                if not cut_here or self.behind:
                    redis.sendall(octets)
                    answer, _ = read_frame(answered)
                if cut_here:
                    self.cut(client)
                elif not self.fired:
                    client.sendall(answer)
        except (OSError, EOFError, ValueError):
            pass
        finally:
            for end in (client, redis):
                try:
                    end.shutdown(socket.SHUT_RDWR)  # the files hold the descriptors open
                except OSError:
                    pass
                end.close()

    def take(self, words):
        word = words[0].upper()
        with self.lock:
            self.commands.append(word.decode())
            if self.counted is not None and word not in self.counted:
                return False
            self.count += 1
            return self.count == self.at

    def cut(self, client):
        self.fired = True
        self.started.wait(10)
        if self.how == "kill":
            self.child.kill()
            self.child.wait()

    def run(self, words, environment=None, octets=None):
        """osbctl with these words; gives the exit code (negative: it was killed) and what it said on stdout and stderr."""
        self.child = subprocess.Popen(
            words,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, **(environment or {})},
        )
        self.started.set()
        out, err = self.child.communicate(octets, timeout=60)
        see(not SANITIZER.search(err), f"{' '.join(words)}: {err.decode(errors='replace')[-2000:]}")
        return self.child.returncode, out, err

    def close(self):
        self.listener.close()
