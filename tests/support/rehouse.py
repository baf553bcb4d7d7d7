"""rehouse - a house whose proxy starts anew with other lines of configuration, and whose Redis can go away and come back."""
import os
import re
import signal
import threading

from case import see, see_equal, short
from house import SANITIZER, House, await_until


class Gate:
    """A script of the origin whose second half waits for open(): the test, not a clock, says when it goes on."""

    def __init__(self, before, after, seconds=60):
        self.before, self.after, self.seconds, self.opened = list(before), list(after), seconds, threading.Event()

    def __iter__(self):
        yield from self.before
        self.opened.wait(self.seconds)
        yield from self.after

    def open(self):
        self.opened.set()


class Rehouse(House):
    """lines: what every start has; again() adds to them."""

    def __init__(self, build, lines=(), **more):
        super().__init__(build, config=lines, **more)
        self.always, self.gates, self.awaits_redis = list(lines), [], True

    def start_proxy(self):
        super().start_proxy()
        self.pid = self.proxy.child.pid

    def is_ready(self):
        if self.awaits_redis:
            return super().is_ready()
        see(self.proxy.child.poll() is None, f"osb-proxy left: {short(self.proxy.said()[-1500:], 1600)}")
        return b" 200 " in self.fetch_admin("/healthz")[:16] and len(self.pids()) == self.workers + 1

    def again(self, *lines, workers=2, awaits_redis=True):
        """End the proxy, cleanly, and start it with these lines as well."""
        if self.proxy.child.poll() is None:
            see_equal(self.stop_proxy(), 0, "the exit code of the proxy before")
        self.see_sanitizers()
        self.programs.remove(self.proxy)
        self.workers, self.awaits_redis = workers, awaits_redis
        self.config = self.always + list(lines)
        self.start_proxy()
        self.awaits_redis = True

    def rewrite(self, pattern, line):
        """Replace the line that matches in the configuration, or add one; the proxy is not told."""
        with open(self.config_file) as text:
            lines = text.read().splitlines()
        kept = [old for old in lines if not re.match(pattern, old)] + [line]
        with open(self.config_file, "w") as out:
            out.write("\n".join(kept) + "\n")
        return len(kept)

    def hang_up(self):
        """HUP; gives a function that says what was logged since."""
        said = len(self.proxy.said())
        os.kill(self.pid, signal.SIGHUP)
        return lambda: self.proxy.said()[said:].decode(errors="replace")

    def await_said(self, since, words, seconds=20):
        await_until(lambda: words in since(), f"the log says {words!r}", seconds)

    def http_port(self):
        with open(self.config_file) as text:
            return int(re.search(r"^http_listen = .*:(\d+)$", text.read(), re.M).group(1))

    def gate(self, path, before, after):
        made = Gate(before, after)
        self.origin.scripts[path] = made
        self.gates.append(made)
        return made

    def open_gates(self):
        while self.gates:
            self.gates.pop().open()

    # --- Redis ----------------------------------------------------------------------------------------------

    def redis_away(self):
        """Its socket is gone and the proxy's connections are cut; what it holds stays."""
        os.rename(self.redis_socket, self.redis_socket + ".away")
        mine = self.redis("CLIENT", "ID")
        for line in self.redis("CLIENT", "LIST").decode().splitlines():
            client = dict(word.partition("=")[::2] for word in line.split(" "))
            if int(client["id"]) != mine and "O" not in client["flags"]:
                try:
                    self.redis("CLIENT", "KILL", "ID", client["id"])
                except RuntimeError:
                    pass  # it left by itself

    def redis_back(self):
        if os.path.exists(self.redis_socket + ".away"):
            os.rename(self.redis_socket + ".away", self.redis_socket)

    def redis_signal(self, number):
        self.redis_program.child.send_signal(number)

    def __exit__(self, *rest):
        self.open_gates()
        if self.redis_program and self.redis_program.child.poll() is None:
            self.redis_signal(signal.SIGCONT)
        super().__exit__(*rest)

    def see_sanitizers(self):
        hit = SANITIZER.search(self.proxy.said())
        if hit:
            see(False, self.proxy.said()[max(0, hit.start() - 200) : hit.start() + 2000].decode(errors="replace"))


def rehouse_last(bench, *lines):
    """The last case of a battery that restarts: the baseline of the count of descriptors is taken anew."""

    def last(house):
        house.open_gates()
        house.redis_back()
        house.origin.drop_all()
        house.again(*lines)
        house.settle_down()

    # Whatever pattern was asked for.
    bench.cases.append(("a last start, whose descriptors are the baseline of the checks that follow", last, [("",)]))
