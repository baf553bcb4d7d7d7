"""steward - runs osbctl on a live house, in good times and bad, and tells the timeline what it changes.

A command may be killed and run again, or run while Redis goes away: what it prints and how it ends is part of the model.
"""
import collections
import contextlib
import functools
import itertools
import re
import subprocess
import time
from dataclasses import dataclass

from case import see, short
from house import SANITIZER
from livehouse import MARK, ZONES
from prober import Prober

PATTERNS = ("api.test", "echo.test", "*.wild.test", "evil.test")
ODD = (b"", b"", b"/+==", b'"q"\\', b"&a=b;c", b" %41")
ADDRESSES = [f"127.0.6.{n}" for n in range(1, 13)]
CALM_MS = 1500  # a sandbox that expires so soon, or did so just now, is nobody's business but the clients'


@dataclass
class Change:
    """A command, and the world that it makes of another one. again: how it may end when it is run once more and the first
    try had done it all. amend(done): the same, where only its output tells all. concerned: ids of sandboxes."""

    words: list
    world: object = lambda world: world
    octets: bytes = None
    again: tuple = ()
    amend: object = None
    concerned: list = ()


class Busy(Exception):
    """There is nothing of the kind to do now."""


class Steward:
    def __init__(self, house, rng):
        self.house, self.timeline, self.rng = house, house.timeline, rng
        self.identities, self.newcomers = [], []
        self.log, self.counts = collections.deque(maxlen=40), collections.Counter()
        self.prober = Prober(house, self.identities, rng)
        self.made, self.taken = 0, set()  # numbers of names and values; homes that a race has given away
        self.has = {verb: self.answers(verb) for verb in ("sandbox fork", "sandbox move", "key rotate", "backup")}

    @property
    def world(self):
        return self.timeline.now

    # --- running osbctl -------------------------------------------------------------------------------------

    def answers(self, verb):
        """Is the verb there in this build? None of these does anything."""
        words = {"key rotate": ["--redis", "unix:/nonexistent", "key", "rotate"], "backup": ["backup", "x"]}
        done = self.run(*words.get(verb, [*verb.split(" "), "x", "--ip", "127.9.9.9"]))
        return b"not there yet" not in done.stderr and b"usage: osbctl [" not in done.stderr

    def start(self, *words):
        return subprocess.Popen(
            [f"{self.house.build}/osbctl", *self.house.ctl_options(), *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def finish(self, child, octets, seconds=60):
        """What became of it; a code of -9 where it was killed because the time was over."""
        try:
            out, err = child.communicate(octets, seconds)
        except subprocess.TimeoutExpired:
            child.kill()
            out, err = child.communicate()
        see(not SANITIZER.search(err), f"osbctl: {err.decode(errors='replace')[-2000:]}")
        return subprocess.CompletedProcess(child.args, child.returncode, out, err)

    def run(self, *words, octets=None, seconds=60):
        return self.finish(self.start(*words), octets, seconds)

    def note(self, words, done, how="", octets=None):
        text = " ".join(words) + (f" < {short(octets, 100)}" if octets else "")
        said = (done.stdout[:60] + b" " + done.stderr[:160]).decode(errors="replace").replace("\n", " ")
        self.log.append(f"{time.monotonic():.3f} {how}{text}: {done.returncode} {said}")

    def persist(self, *words, octets=None, again=()):
        """The command, to its end, in whatever way the dice say."""
        way = self.rng.choices(("calm", "killed", "broken"), (78, 16, 6))[0]
        if way == "calm":
            done = self.run(*words, octets=octets)
            self.note(words, done, "", octets)
            see(done.returncode == 0, f"osbctl {' '.join(words)} left with {done.returncode}: {done.stderr!r}")
            return done
        done = self.killed(words, octets) if way == "killed" else self.broken(words, octets)
        self.note(words, done, f"({way}) ", octets)
        if done.returncode == 0:
            return done
        see(
            done.returncode in ((-9,) if way == "killed" else (1,)),
            f"{way}, it left with {done.returncode}: {done.stderr!r}",
        )
        self.counts[f"{way} half-way"] += 1
        for _ in range(self.rng.choice((0, 1, 3))):
            self.prober.once()
        done = self.run(*words, octets=octets)
        self.note(words, done, "(again) ")
        see(
            done.returncode in (0, *again),
            f"osbctl {' '.join(words)}, run again, left with {done.returncode}: {done.stderr!r}",
        )
        return done

    def killed(self, words, octets):
        return self.run(*words, octets=octets, seconds=self.rng.uniform(0, 0.03))

    def broken(self, words, octets):
        befalls = self.rng.choice((self.house.redis_dies, self.house.redis_hangs, self.house.links_are_cut))
        with self.timeline.trouble(away=True):
            child = self.start(*words)
            time.sleep(self.rng.uniform(0, 0.02))
            befalls(self.rng)
            done = self.finish(child, octets)
            self.house.await_linked()
        return done

    def change(self, made):
        self.taken = set()
        before = self.world
        self.timeline.begin(made.world(before))
        done = self.persist(*made.words, octets=made.octets, again=made.again)
        if made.amend:
            self.timeline.amend(made.amend(done)(before))
        self.over()

    def change_at_once(self, changes):
        """Until all are done any of them may be; then all are."""
        before = self.world
        for some in (some for n in range(len(changes)) for some in itertools.combinations(changes, n + 1)):
            self.timeline.begin(functools.reduce(lambda world, change: change.world(world), some, before))
        children = [self.start(*change.words) for change in changes]
        for change, child in zip(changes, children):
            with contextlib.suppress(BrokenPipeError):  # it has left, and its exit code tells more
                child.stdin.write(change.octets or b"")
                child.stdin.close()
            child.stdin = None
        after = before
        for change, child in zip(changes, children):
            done = self.finish(child, None)
            self.note(change.words, done, "(at once) ", change.octets)
            see(done.returncode == 0, f"osbctl {' '.join(change.words)} left with {done.returncode}: {done.stderr!r}")
            after = (change.amend(done) if change.amend else change.world)(after)
        self.timeline.amend(after)
        self.over()

    def over(self):
        self.timeline.over()
        self.identities += self.newcomers  # not before the timeline knows their tokens
        self.newcomers.clear()

    def look(self, ids):
        """Requests of those that a change concerned, right behind it, and of one that it did not."""
        concerned = [one for one in self.identities if one.name in ids]
        for one in self.rng.sample(concerned, min(3, len(concerned))):
            self.prober.once(one)
        self.prober.once()

    def refused(self, code, pattern, *words, octets=None):
        """A command that changes nothing, and says why."""
        done = self.run(*words, octets=octets)
        self.note(words, done, "(refused) ")
        see(
            done.returncode == code,
            f"osbctl {' '.join(words)} left with {done.returncode}, not {code}: {done.stderr!r}",
        )
        said = done.stderr.decode(errors="replace")
        see(re.search(pattern, said), f"osbctl {' '.join(words)} said {said!r}, and nothing like {pattern!r}")

    # --- dice -----------------------------------------------------------------------------------------------

    def hosts(self, most=3):
        return tuple(self.rng.sample(PATTERNS, self.rng.randrange(0, most + 1)))

    def pick(self, things):
        return self.rng.choice(sorted(things)) if things else None

    def value(self):
        self.made += 1
        return MARK + b"%d-" % self.made + self.rng.randbytes(12).hex().encode() + self.rng.choice(ODD)

    def calm(self, sandbox):
        """It does not expire just now."""
        now_ms = time.time() * 1000
        ends = sandbox.expires or (now_ms - 2 * CALM_MS, now_ms - 2 * CALM_MS)
        return not (ends[0] - CALM_MS < now_ms < ends[1] + CALM_MS)

    def live(self):
        now_ms = time.time() * 1000
        return [s.id for s in self.world.sandboxes.values() if self.calm(s) and s.may_live(now_ms, now_ms)]

    def owner(self, zone, address):
        """Who has it; None: nobody. Raises Busy where that changes by itself just now."""
        claim = [s for s in self.world.sandboxes.values() if s.zone == zone and address in s.addresses]
        if not all(self.calm(s) for s in claim):
            raise Busy
        return self.world.holder(zone, address, time.time() * 1000)

    def free_home(self):
        """A zone, and one or two of its addresses that nobody has."""
        zone = self.rng.choice(ZONES)
        free = [a for a in ADDRESSES if (zone, a) not in self.taken and self.is_free(zone, a)]
        if not free:
            raise Busy
        addresses = tuple(self.rng.sample(free, min(len(free), self.rng.choice((1, 1, 1, 2)))))
        self.taken |= {(zone, address) for address in addresses}
        return zone, addresses

    def is_free(self, zone, address):
        try:
            return self.owner(zone, address) is None
        except Busy:
            return False
