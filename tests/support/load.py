"""load - clients that go on asking while osbctl rotates, makes and removes, and Redis breaks: each answer is judged.

A request carries a token; its path is its own, so the origin knows which value came with it. A value is right if it was
current at some moment of the request, or was until GRACE_S before; at a host that it is not for, the token is. What is not
served must be a 503 of store_unavailable or, on a new connection, a reset, while there is trouble or within GRACE_S of its
end. What osbctl reported done is there at the end, and what it removed is gone.

Who may be refused in a trouble though its record is known: one of whom a change was announced just before, and not read yet.
"""
import contextlib
import itertools
import os
import re
import secrets
import threading
import time

from case import see, short
from house import TOKEN, Sandbox, await_until, request
from origin import Origin

HOST, OTHER_HOST = "api.test", "echo.test"  # the secret is for the first, both are on the store's list
GRACE_S = 1.5  # a second, as promised, and a half for a machine that does other things
SLOWEST_S = 4  # of one request, whatever happens: store_timeout, and again for another server
PACE_S = 0.01
ROTATION_S = 0.2  # a worker takes about four new sets of values a second for one sandbox
TRIES_S = 20


class LoadOrigin(Origin):
    """Remembers by path which server name and which value came."""

    def __init__(self, cert):
        self.told = {}
        super().__init__(cert)

    def plain(self, path, asked):
        if path.startswith("/load/"):
            self.told[path] = (asked.sni, asked.get("x-key"))
        return Origin.plain(path, asked)


class History:
    """What a secret may be at a time: each value with when its command began and when it was reported done."""

    def __init__(self, value):
        self.steps, self.lock, self.worst_s = [[value, 0.0, 0.0]], threading.Lock(), 0.0

    def begin(self, value):
        with self.lock:
            self.steps.append([value, time.monotonic(), None])

    def done(self):
        with self.lock:
            self.steps[-1][2] = time.monotonic()

    def fault(self, value, began, ended):
        """What is wrong with this value in a request of that time, or None."""
        with self.lock:
            steps = [tuple(step) for step in self.steps]
        at = next((n for n, step in enumerate(steps) if step[0] == value), None)
        if at is None:
            return f"no value that ever was: {short(value, 60)}"
        if steps[at][1] > ended:
            return "a value before its time"
        late = [step[2] for step in steps[at + 1 :] if step[2] is not None]
        lag_s = began - late[0] if late else 0.0
        if lag_s > GRACE_S:
            return f"a value {lag_s:.2f} s after its rotation was reported done"
        self.worst_s = max(self.worst_s, lag_s)
        return None


class Load:
    """kept, fresh: clients on connections that they keep, and on a new one for each request."""

    def __init__(self, house, kept=3, fresh=1, changes=True):
        self.house, self.ended, self.lock = house, threading.Event(), threading.Lock()
        self.history = History(house.value("LOAD"))
        self.answers, self.wrong, self.unserved, self.troubles = [0] * (kept + fresh), [], [], []
        self.rotations = self.turns = self.refusals = 0
        self.slowest_s, self.gone, self.numbers = 0.0, [], itertools.count()
        names = house.loaded
        runs = [(self.ask_on, n, names[n % len(names)], n < kept) for n in range(kept + fresh)]
        if changes:
            runs += [(self.rotate,), (self.make_and_remove,)]
        self.threads = [threading.Thread(target=self.guarded, args=run, daemon=True) for run in runs]
        self.changes = changes

    def guarded(self, function, *arguments):
        try:
            function(*arguments)
        except Exception as error:  # a thread that ends unseen would be a load that says nothing
            self.note_wrong(f"{function.__name__}: {type(error).__name__}: {error}")

    def note_wrong(self, text):
        with self.lock:
            self.wrong.append(text)

    # --- clients --------------------------------------------------------------------------------------------

    def ask_on(self, number, sandbox, keeps):
        client = None
        while not self.ended.wait(PACE_S):
            began = time.monotonic()
            if client is None:
                host = OTHER_HOST if not keeps and self.answers[number] % 4 == 3 else HOST
                client = self.house.client(sandbox, host, seconds=SLOWEST_S)
                began = time.monotonic() if keeps and client.shaken else began
            if self.ask(client, sandbox, began, host):
                self.answers[number] += 1
            if not keeps or client.closed:
                client.end()
                client = None
        if client:
            client.end()

    def ask(self, client, sandbox, began, host):
        """One request, judged; True where it was served."""
        path = f"/load/{next(self.numbers)}"
        asked = request("GET", path, host, b"X-Key: " + sandbox.tokens["LOAD"])
        answer = client.ask(asked) if client.shaken else None
        ended = time.monotonic()
        self.slowest_s = max(self.slowest_s, ended - began)
        if answer and answer.status == 200:
            sni, value = self.house.origin.told.pop(path, (None, ""))
            value = value.encode("latin-1")
            if host == HOST:
                fault = self.history.fault(value, began, ended)
            else:
                fault = None if value == sandbox.tokens["LOAD"] else f"{short(value)} is no token"
            if fault or sni != host:
                self.note_wrong(f"{sandbox.name} for {host} at {sni}: {fault}")
            return True
        if answer and (answer.status, answer.code) == (503, "store_unavailable"):
            self.note_unserved(began, ended, "503")
        elif answer is None and not client.shaken and client.closed in ("rst", "fin"):
            self.note_unserved(began, ended, "reset")
        else:
            how = f"{answer.status} {answer.code}" if answer else f"ended with {client.closed}, shaken {client.shaken}"
            self.note_wrong(f"{sandbox.name}: {how} after {ended - began:.2f} s")
        return False

    def note_unserved(self, began, ended, what):
        with self.lock:
            self.unserved.append((began, ended, what))

    # --- changes --------------------------------------------------------------------------------------------

    def persist(self, what, *words, octets=None, also=(), after=None):
        """Run it until it says that it is done, as an operator would; gives when that was. after: what else to do first."""
        end = time.monotonic() + TRIES_S
        while True:
            done = self.house.ctl_done(*words, octets=octets)
            if done.returncode == 0 or done.returncode in also and self.refusals:
                return time.monotonic()
            text = done.stderr.decode(errors="replace").strip()
            self.refusals += 1
            see(done.returncode == 1, f"{what} left with {done.returncode}: {text}")
            see(time.monotonic() < end, f"{what} fails for {TRIES_S} s: {text}")
            if after:
                after()
            if self.ended.wait(PACE_S) and time.monotonic() > end:
                see(False, f"{what} did not succeed: {text}")

    def rotate(self):
        while not self.ended.wait(ROTATION_S):
            value = f"canary-LOAD-{secrets.token_hex(12)}".encode()
            self.house.keep_watch("LOAD", value)
            self.history.begin(value)
            self.persist("secret set", "secret", "set", "L", "LOAD", "--value-file", "-", octets=value)
            self.history.done()
            self.rotations += 1

    def make_and_remove(self):
        for number in itertools.count():
            if self.ended.wait(PACE_S):
                return
            name, address = f"sbT{id(self) % 1000}-{number}", f"127.0.3.{number % 250 + 1}"
            remove = lambda: self.persist("sandbox delete", "sandbox", "delete", name, also=(3,))
            files = [f"{self.house.folder}/{name}.{end}" for end in ("env", "ca.pem")]
            words = ["--ip", address, "--store", "L", "--env-file", files[0], "--ca-file", files[1]]
            # One that no replica has confirmed is there all the same, and the next try would be told so.
            self.persist("sandbox create", "sandbox", "create", name, *words, after=remove)
            with open(files[0], "rb") as text:
                sandbox = Sandbox(name, address, files[1], {"LOAD": TOKEN.search(text.read()).group()})
            for path in files:
                os.unlink(path)
            for _ in range(3):
                self.ask_once(sandbox)
            remove()
            self.gone.append(sandbox)
            await_until(lambda: not self.house.served(sandbox), f"{name} is gone", GRACE_S)
            self.turns += 1

    def persisted(self, *words):
        """What a reading osbctl prints, once one can read."""
        texts = []

        def read():
            done = self.house.ctl_done(*words)
            see(done.returncode in (0, 1), f"{' '.join(words)} left with {done.returncode}: {done.stderr!r}")
            texts.append(done.stdout.decode())
            return done.returncode == 0

        await_until(read, f"osbctl {' '.join(words)}", TRIES_S)
        return texts[-1]

    def ask_once(self, sandbox):
        began = time.monotonic()
        with self.house.client(sandbox, HOST, seconds=SLOWEST_S) as client:
            self.ask(client, sandbox, began, HOST)

    # --- how it went ----------------------------------------------------------------------------------------

    def steady(self, rounds=20):
        """Everybody gets on: each client was served so often, a rotation and a sandbox's whole life were done."""
        answers, rotations, turns = list(self.answers), self.rotations, self.turns

        def gets_on():
            see(not self.wrong, "; ".join(self.wrong[:5]))
            return (
                all(now >= then + rounds for now, then in zip(self.answers, answers))
                and (not self.changes or self.rotations > rotations + 1 and self.turns > turns + 1)
            )

        await_until(gets_on, "all clients are served, and osbctl changes things", TRIES_S)

    def await_refusal(self):
        """An osbctl has failed since."""
        refusals = self.refusals
        await_until(lambda: self.refusals > refusals, "an osbctl that fails", TRIES_S)

    def hold(self, seconds):
        """Let it go on for so long."""
        end = time.monotonic() + seconds
        await_until(lambda: time.monotonic() > end, "time passes", 2 * seconds)

    @contextlib.contextmanager
    def trouble(self):
        """Requests may be refused from here to the end of the block, and GRACE_S beyond."""
        began = time.monotonic()
        self.troubles.append([began, float("inf")])
        yield
        self.troubles[-1][1] = time.monotonic()

    def see_unserved(self):
        """Only in a trouble or right behind it."""
        for began, ended, what in self.unserved:
            inside = any(first <= ended and began <= last + GRACE_S for first, last in self.troubles)
            see(inside, f"a {what} with no trouble at hand")

    def see_gone(self):
        for sandbox in self.gone[-8:]:
            see(not self.house.served(sandbox), f"{sandbox.name} is served, though it was deleted")

    def see_kept(self):
        """What osbctl says is what it reported done."""
        listed = re.findall(r"^[^\t\n]+", self.persisted("sandbox", "list"), re.M)
        for sandbox in self.house.loaded:
            see(sandbox.name in listed, f"{sandbox.name} is lost")
            see(self.house.served(sandbox), f"{sandbox.name} is not served")
        for sandbox in self.gone:
            see(sandbox.name not in listed, f"{sandbox.name} is listed, though it was deleted")

    def said(self):
        spans = [(began, ended) for began, ended, _ in self.unserved]
        span_s = max(e for _, e in spans) - min(b for b, _ in spans) if spans else 0
        kinds = [what for _, _, what in self.unserved]
        return (
            f"{sum(self.answers)} served, {kinds.count('503')} told 503 and {kinds.count('reset')} reset "
            f"within {span_s:.2f} s; slowest {self.slowest_s * 1000:.0f} ms; {self.rotations} rotations, "
            f"the old value at most {self.history.worst_s * 1000:.0f} ms later; "
            f"{self.turns} sandboxes; osbctl failed {self.refusals} times"
        )

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, kind, *_):
        self.ended.set()
        for thread in self.threads:
            thread.join(2 * TRIES_S)
        if kind:
            return
        print(f"note  {self.said()}", flush=True)
        see(not any(thread.is_alive() for thread in self.threads), "a client hangs")
        see(not self.wrong, "; ".join(self.wrong[:5]))
        self.see_unserved()
        if self.changes:
            self.see_gone()
            self.see_kept()
