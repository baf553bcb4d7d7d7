"""meddled - osbctl, between any two of whose steps another osbctl comes: what both leave in Redis fits together.

No proxy: what one makes of the same is in other suites. The second command runs whole, in front of each write of the first.
"""
import json
import os
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from case import Bench, see, see_equal, short
from cutter import WRITES, Cutter
from house import SANITIZER
from redises import Redis

bench = Bench()
GRACE_MS = 86400 * 1000  # for which Redis keeps an expired record


class Meddler(Cutter):
    """In front of the commands that were chosen ${meddle} is called; then all goes on."""

    def begin(self, plan, meddle):
        """plan: what ${meddle} is called with, by the number of the write."""
        self.arm(min(plan), counted=WRITES)
        self.plan, self.meddle = dict(plan), meddle

    def take(self, words):
        if super().take(words):
            self.meddle(self.plan.pop(self.at))
            self.at = min(self.plan, default=0)
        return False


class Place:
    def __init__(self, build):
        self.build = build

    def __enter__(self):
        self.folder = tempfile.mkdtemp(prefix="osb-place-")
        self.key = f"{self.folder}/key"
        self.redis = Redis(self.folder, "one").start()
        self.meddler = Meddler(self.redis.socket, self.folder)
        self.ctl("key", "init", self.key)
        return self

    def __exit__(self, *_):
        self.meddler.close()
        self.redis.kill()
        shutil.rmtree(self.folder)

    def words(self, socket, words):
        return [f"{self.build}/osbctl", "--redis", f"unix:{socket}", "--key-file", self.key, *words]

    def code(self, *words, octets=b"a value of sixteen octets"):
        done = subprocess.run(self.words(self.redis.socket, words), input=octets, capture_output=True, timeout=30)
        see(not SANITIZER.search(done.stderr), done.stderr.decode(errors="replace")[-2000:])
        return done.returncode

    def ctl(self, *words):
        see_equal(self.code(*words), 0, f"the exit code of osbctl {' '.join(words)}")

    def backup(self):
        return subprocess.run(self.words(self.redis.socket, ["backup"]), capture_output=True, check=True).stdout

    def meddled(self, prepare, first, plan, octets=None):
        """From a fresh state; gives the exit codes of all. None: the first has not so many writes."""
        self.redis("FLUSHALL")
        prepare(self)
        stdin = octets(self) if octets else b"another value of sixteen"
        codes, again = [], {"octets": stdin} if octets else {}
        self.meddler.begin(plan, lambda seconds: codes.extend(self.code(*words, **again) for words in seconds))
        code, _, _ = self.meddler.run(self.words(self.meddler.path, first), octets=stdin)
        if self.meddler.plan:
            return None
        misfits = list(self.misfits())
        see(not misfits, f"in front of {list(plan)}, which ended with {[code, *codes]}: {short(misfits, 500)}")
        return [code, *codes]

    def at_each(self, prepare, first, seconds, octets=None):
        """In front of each write, from the same state; gives the codes each time."""
        at = 1
        while codes := self.meddled(prepare, first, {at: seconds}, octets):
            yield at, codes
            at += 1
        see(at > 2, f"osbctl {first} has only {at - 1} writes")

    # --- what must fit --------------------------------------------------------------------------------------

    def policies(self, kind):
        keys = [key for key in self.redis("KEYS", f"osb:{kind}:*") if key.endswith(b"}")]
        policies = [json.loads(self.redis("HGET", key, "policy")) for key in keys]
        return {policy["id"]: policy for policy in policies}

    def record(self, name):
        return self.policies("sandbox").get(name)

    def ends(self, key):
        """-1: never; -2: it is not there."""
        return self.redis("PEXPIRETIME", key)

    def misfits(self):
        stores, sandboxes = self.policies("store"), self.policies("sandbox")
        flat = [octets.decode() for octets in self.redis("HGETALL", "osb:stores")]
        see_equal(dict(zip(flat[::2], flat[1::2])), {s["name"]: id for id, s in stores.items()}, "osb:stores")
        for name, policy in sandboxes.items():
            yield from self.sandbox_misfits(name, policy, stores)

    def sandbox_misfits(self, name, policy, stores):
        ends = policy["expiresAt"] + GRACE_MS if policy["expiresAt"] else -1
        if "draft" in policy:
            yield f"{name} is a draft"
            return
        if self.ends(f"osb:sandbox:{{{name}}}") != ends:
            yield f"the record of {name} ends at another time than it says"
        sets = ["osb:sandboxes", *(f"osb:store:{{{store['id']}}}:sandboxes" for store in policy["stores"])]
        for score in (self.redis("ZSCORE", key, name) for key in sets):
            if score is None or (score != b"inf" and (ends == -1 or float(score) < ends)):
                yield f"{name} stands in a set until {score}"
        for address in policy["addresses"]:
            key = f"osb:ip:{policy['zone']}:{{{address}}}"
            if self.redis("GET", key) != name.encode() or self.ends(key) != ends:
                yield f"{address} of {name} leads to {self.redis('GET', key)}, and does so until {self.ends(key)}"
        for secret in policy["secrets"]:
            if secret["store"] not in stores:
                continue  # it was deleted; its sandboxes stay as they are
            now = [s["version"] for s in stores[secret["store"]]["secrets"] if s["name"] == secret["name"]]
            if now != [secret["version"]]:
                yield f"{secret['name']} of {name} is of version {secret['version']}, in the store {now}"

    def holds(self):
        pass

    def final(self):
        return []


def furnish(place):
    place.ctl("store", "create", "S", "--egress-any")
    place.ctl("secret", "set", "S", "KEY", "--value-file", "-")


def sandbox(place, name, address, *words):
    place.ctl("sandbox", "create", name, "--ip", address, "--store", "S", *words)


@bench.case(
    "a move to an address that another takes meanwhile is done, or is refused and leaves the sandbox where it was",
    [
        ("moved there", ["sandbox", "move", "two", "--ip", "10.0.0.9"]),
        ("made there", ["sandbox", "create", "new", "--ip", "10.0.0.9"]),
    ],
)
def moved(place, second):
    def prepare(place):
        furnish(place)
        sandbox(place, "one", "10.0.0.1")
        sandbox(place, "two", "10.0.0.2")

    for at, codes in place.at_each(
        prepare, ["sandbox", "move", "one", "--ip", "10.0.0.9", "--ip", "10.0.0.8"], [second]
    ):
        see_equal(sorted(codes), [0, 4], f"the exit codes in front of write {at}")
        where = ["10.0.0.9", "10.0.0.8"] if codes[0] == 0 else ["10.0.0.1"]
        see_equal(place.record("one")["addresses"], where, f"where it is, in front of write {at}")


@bench.case(
    "of two ends that are given at once, record, names and addresses have the same",
    [("first the nearer", "900", "9000"), ("first the later", "9000", "900")],
)
def extended(place, one, other):
    def prepare(place):
        furnish(place)
        sandbox(place, "one", "10.0.0.1", "--ttl", "5000")

    first, second = ["sandbox", "extend", "one", "--ttl", one], ["sandbox", "extend", "one", "--ttl", other]
    for at, codes in place.at_each(prepare, first, [second]):
        see_equal(codes, [0, 0], f"the exit codes in front of write {at}")


@bench.case(
    "of two that make the same sandbox one does, and it stays as that made it",
    [("for a time, and without end", ["--ttl", "900"], []), ("without end, and for a time", [], ["--ttl", "900"])],
)
def made(place, one, other):
    words = ["sandbox", "create", "one", "--ip", "10.0.0.1", "--store", "S"]
    for at, codes in place.at_each(furnish, words + one, [words + other]):
        see(
            codes[1] == 0 and codes[0] in (1, 4) or codes == [0, 4],
            f"the exit codes are {codes} in front of write {at}",
        )


@bench.case("a sandbox that is made again while it is deleted misses no rotation")
def made_again(place):
    def prepare(place):
        furnish(place)
        sandbox(place, "one", "10.0.0.1")

    make, give = (
        ["sandbox", "create", "one", "--ip", "10.0.0.1", "--store", "S"],
        ["secret", "set", "S", "KEY", "--value-file", "-"],
    )
    first = 2  # in front of 1 it is there still
    while codes := place.meddled(prepare, ["sandbox", "delete", "one"], {first: [make, give]}):
        later = first
        while codes:
            see_equal(codes, [0, 0, 0], f"the exit codes in front of write {first} and {later}")
            later += 1
            codes = place.meddled(prepare, ["sandbox", "delete", "one"], {first: [make], later: [give]})
        first += 1
    see(first > 3, "a deletion has hardly any writes")


@bench.case(
    "a name leads to the store that is called so, whoever takes or leaves it meanwhile",
    [
        ("renamed, and deleted", ["store", "update", "S", "--name", "N"], ["store", "delete", "S"]),
        ("renamed, and another is made", ["store", "update", "S", "--name", "N"], ["store", "create", "N"]),
        ("made, and made again", ["store", "create", "N"], ["store", "create", "N"]),
        ("restored, and made anew", ["restore"], ["store", "create", "S"]),
        ("restored, and restored", ["restore"], ["restore"]),
    ],
)
def named(place, first, second):
    backups = []

    def prepare(place):
        furnish(place)
        sandbox(place, "one", "10.0.0.1")
        if "restore" in first:
            backups[:] = [place.backup()]
            place.redis("FLUSHALL")

    for at, codes in place.at_each(prepare, first, [second], (lambda _: backups[0]) if first == ["restore"] else None):
        see(
            set(codes) <= {0, 1 if first == second == ["restore"] else 0, 3, 4},
            f"the exit codes are {codes} in front of write {at}",
        )


bench.run(Place)
