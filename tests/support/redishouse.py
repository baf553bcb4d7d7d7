"""redishouse - a house over several Redis processes, which are killed, stopped, promoted and brought back under it."""
import os
import re
import secrets
import threading

from case import see, see_equal, short
from house import Secret, await_until
from rehouse import Rehouse

LOADED = 4  # sandboxes that a load asks for, all of store L


class RedisesHouse(Rehouse):
    """make_redises(folder) starts them, addresses() is what the proxy and osbctl are told of them, in its order."""

    def start_redis(self):
        folder = f"{self.folder}/redises"
        os.mkdir(folder)
        self.redises = self.make_redises(folder)
        self.tell(*self.addresses())

    def addresses(self):
        return [redis.url() for redis in self.redises.servers()]

    def tell(self, *urls, lines=()):
        """The next start of the proxy, and each osbctl from now on, has these addresses."""
        self.redis_lines = [f"redis = {url}" for url in urls] + list(lines)

    def ctl_options(self):
        path = f"{self.folder}/osbctl.{threading.get_ident()}.conf"
        with open(path, "w") as out:
            out.write("\n".join([f"key_file = {self.key_file}", *self.redis_lines]) + "\n")
        return ["-c", path]

    def again(self, *lines, **how):
        """These lines in the place of what every start has for the same keys."""
        keys, always = [line.split(" = ")[0] for line in lines], self.always
        self.always = [line for line in always if line.split(" = ")[0] not in keys]
        try:
            super().again(*lines, **how)
        finally:
            self.always = always

    def furnish(self):
        """Beside the two that all have: store L, and its sandboxes for a load."""
        super().furnish()
        self.store("L", "api.test", "echo.test")
        self.secret("L", "LOAD", "api.test")
        self.loaded = [self.sandbox(f"sbL{n}", f"127.0.2.{n + 1}", "L") for n in range(LOADED)]

    def keep_watch(self, name, octets):
        """A value that is about to be set: it is looked for from now on."""
        self.secrets.append(Secret(name, octets, ("api.test",), True))

    def set_load(self):
        """A rotation by hand; gives what osbctl did, and the value."""
        value = f"canary-LOAD-{secrets.token_hex(12)}".encode()
        self.keep_watch("LOAD", value)
        return self.ctl_done("secret", "set", "L", "LOAD", "--value-file", "-", octets=value), value

    # --- one request ----------------------------------------------------------------------------------------

    def served(self, sandbox, seconds=5):
        """On a connection of its own; a reset is a no."""
        with self.client(sandbox, "api.test", seconds=seconds) as client:
            answer = client.ask(b"GET /served HTTP/1.1\r\nHost: api.test\r\n\r\n") if client.shaken else None
            return answer is not None and answer.status == 200

    def await_served(self, sandbox, seconds=4):
        await_until(lambda: self.served(sandbox), f"{sandbox.name} is served", seconds)

    def warm(self, *sandboxes):
        """Every worker knows these: the kernel spreads connections by their source port."""
        for sandbox in sandboxes:
            for _ in range(12):
                see(self.served(sandbox), f"{sandbox.name} is not served")

    def readyz(self):
        return int((self.fetch_admin("/readyz").split(b" ") + [b"0", b"0"])[1])

    def see_at(self, redis, seconds=4):
        """Every worker has both of its links there; an osbctl may be there as well."""

        def all_there():
            kinds = [("P" in client["flags"]) for client in redis.clients()]
            return kinds.count(True) == self.workers and kinds.count(False) >= self.workers

        await_until(all_there, f"all workers are at {redis.name}, where {len(redis.clients())} are", seconds)

    def see_nobody_at(self, redis, seconds=4):
        """An osbctl that looks in is gone in a moment."""
        await_until(lambda: not redis.clients(), f"nobody is at {redis.name}", seconds)

    # --- for all --------------------------------------------------------------------------------------------

    def redis_back(self):
        self.redises.heal()

    def see_store_clean(self):
        self.see_absent(self.redises.octets(), "a Redis, or a command to one")
        for pid in self.pids():
            with open(f"/proc/{pid}/cmdline", "rb") as text:
                self.see_absent(text.read(), "a command line", tokens=True)

    def __exit__(self, *rest):
        super().__exit__(*rest)
        if hasattr(self, "redises"):
            self.redises.end()


def see_said(done, code, pattern):
    """An osbctl that left with this code and one line or more that say why."""
    text = done.stderr.decode(errors="replace")
    see_equal(done.returncode, code, f"the exit code (it said {short(text, 300)})")
    see(re.search(pattern, text, re.I), f"it said {short(text, 400)}, and nothing like {pattern!r}")
    return text
