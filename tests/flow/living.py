"""living - a soak against a model: random commands, killed commands, broken Redis, dead workers; every answer is predicted.

60 seconds; with OSB_SOAK=1 20 minutes; OSB_LIVING_S says another number. --seed N makes the same commands again.
"""
import datetime
import hashlib
import json
import os
import random
import re
import sys
import threading
import time
from dataclasses import replace

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
SEED = int(sys.argv.pop(sys.argv.index("--seed") + 1)) if "--seed" in sys.argv else random.randrange(1 << 32)
sys.argv = [word for word in sys.argv if word != "--seed"]
SECONDS = float(os.environ.get("OSB_LIVING_S") or (1200 if os.environ.get("OSB_SOAK") == "1" else 60))
from case import Bench, Seen, see, see_equal
from house import TOKEN
from livehouse import ZONES, LiveHouse
from model import Sandbox, Secret, Store
from prober import HOSTS, Asking, Differs, Identity, Prober
from steward import Busy, Change, Steward

bench = Bench()
UNMADE = "alert TLSV1_UNRECOGNIZED_NAME"
ASKING = 3  # threads that ask all the time
PLACES = ("header", "basic", "body", "field", "url")
MOST_STORES, MOST_SECRETS, MOST_SANDBOXES, MOST_RECORDS = 6, 5, 14, 40
ODDS = {  # what is done, and how often
    "store_create": 5,
    "store_update": 10,
    "store_delete": 2,
    "secret_set": 22,
    "secret_delete": 4,
    "sandbox_create": 12,
    "sandbox_fork": 8,
    "sandbox_move": 8,
    "sandbox_extend": 4,
    "sandbox_delete": 6,
    "race": 10,
    "refusals": 5,
    "lists": 5,
    "explain": 4,
    "key_rotate": 2,
    "backup_and_restore": 1,
    "worker_dies": 1,
    "hangs_up": 1,
    "redis_dies": 1,
    "redis_hangs": 1,
    "links_are_cut": 2,
}


def words_of(option, values):
    return [word for value in values for word in (option, value)]


def ms_of(text):
    """What osbctl prints of a time; None: never."""
    return text and datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp() * 1000


class Life(Steward):
    """What an operator may do to a live house: a method gives a Change that is to be made, or does all of it by itself."""

    def once(self):
        what = self.rng.choices(list(ODDS), list(ODDS.values()))[0]
        try:
            made = getattr(self, what)()
            if made:
                self.change(made)
        except Busy:
            return
        self.counts[what] += 1
        self.look(made.concerned if made else ())

    def of_store(self, id):
        return [s.id for s in self.world.sandboxes.values() if any(entry.id == id for entry in s.stores)]

    # --- stores and secrets ---------------------------------------------------------------------------------

    def egress_words(self, egress):
        return words_of("--egress-allow", egress) or ["--egress-any"]

    def store_create(self):
        if len(self.world.stores) >= MOST_STORES:
            raise Busy
        self.made += 1
        name, egress = f"store{self.made}", self.hosts()
        made = lambda id: lambda world: world.with_store(Store(id, name, egress))

        def amend(done):
            if done.returncode == 0:
                return made(done.stdout.decode().strip())
            return made(json.loads(self.run("store", "get", name, "--json").stdout)["id"])

        words = ["store", "create", name, *self.egress_words(egress)]
        return Change(words, made("?"), again=(4,), amend=amend)

    def a_store(self):
        if not self.world.stores:
            raise Busy
        return self.world.stores[self.pick(self.world.stores)]

    def store_update(self, store=None):
        store = store or self.a_store()
        words, changes = [], {}
        if self.rng.random() < 0.8:
            changes["egress"] = self.hosts()
            words += self.egress_words(changes["egress"])
        if not words or self.rng.random() < 0.2:
            self.made += 1
            changes["name"] = f"store{self.made}"
            words += ["--name", changes["name"]]
        made = lambda world: world.changed(store.id, **changes)
        return Change(["store", "update", store.id, *words], made, concerned=self.of_store(store.id))

    def store_delete(self):
        store, revoke = self.a_store(), self.rng.random() < 0.3
        words = ["store", "delete", store.name] + (["--revoke"] if revoke else [])
        made = lambda world: world.without_store(store.id, revoke)
        return Change(words, made, again=(3,), concerned=self.of_store(store.id))

    def secret_set(self, store=None, name=None):
        store = store or self.a_store()
        name = name or (
            self.pick(store.secrets) if self.rng.random() < 0.7 else f"K{self.rng.randrange(MOST_SECRETS)}"
        )
        name, words = name or "K0", []
        secret = replace(store.secrets.get(name, Secret(b"")), value=self.value())
        if self.rng.random() < 0.3:
            secret = replace(secret, hosts=self.hosts())
            words += words_of("--allow-host", secret.hosts) or ["--any-host"]
        if self.rng.random() < 0.3 or name not in store.secrets and self.rng.random() < 0.5:
            secret = replace(secret, places=tuple(self.rng.sample(PLACES, self.rng.choice((1, 2, 5)))))
            words += words_of("--in", secret.places)
        words = ["secret", "set", store.id, name, "--value-file", "-", *words]
        made = lambda world: world.with_secret(store.id, name, secret)
        return Change(words, made, octets=secret.value, concerned=self.of_store(store.id))

    def secret_delete(self):
        store = self.a_store()
        name = self.pick(store.secrets)
        if not name:
            raise Busy
        made = lambda world: world.with_secret(store.id, name, None)
        words = ["secret", "delete", store.name, name]
        return Change(words, made, again=(3,), concerned=self.of_store(store.id))

    # --- sandboxes ------------------------------------------------------------------------------------------

    def lasting(self):
        """A time to live, mostly none; as words, and as when that ends."""
        if self.rng.random() < 0.7:
            return [], None
        ttl_s = self.rng.choice((2, 3, 5, 3600))
        now_ms = time.time() * 1000
        return ["--ttl", str(ttl_s)], (now_ms + ttl_s * 1000, now_ms + ttl_s * 1000 + 60000)

    def make(self, verb, names, words, parent=None):
        """create and fork: a sandbox of these stores; the parent's tokens by their names, and its CA."""
        if len(self.live()) >= MOST_SANDBOXES or len(self.world.sandboxes) >= MOST_RECORDS:
            raise Busy
        (zone, addresses), (ttl, expires) = self.free_home(), self.lasting()
        self.made += 1
        id = f"sb{self.made}"
        env_file, ca_file = f"{self.house.folder}/{id}.env", f"{self.house.folder}/{id}.pem"
        words = ["--zone", zone, "sandbox", verb, id, *words, *words_of("--ip", addresses), *ttl]
        words += ["--env-file", env_file, "--ca-file", ca_file, "--json"]
        tokens, ca = {}, parent and parent.ca
        if parent:
            tokens = {name: held.token for name, held in parent.held.items()}

        def made(tokens, ca=None, expires=expires):
            """The stores may be changed at the same time, and are then as they are in that world."""
            return lambda world: world.with_sandbox(
                Sandbox(id, zone, addresses, *world.joined(names, tokens), ca, expires)
            )

        def amend(done):
            with open(env_file, "rb") as text:
                pairs = [line.rstrip(b"\n").partition(b"=") for line in text]
            got = {name.decode(): token for name, _, token in pairs if TOKEN.fullmatch(token)}
            see_equal(sorted(got), sorted(wanted), f"the names in the environment of {id}")
            for name, token in tokens.items():
                see_equal(got.get(name, token), token, f"the token of {name} that {id} has of its parent")
            with open(ca_file, "rb") as pem:
                digest = hashlib.sha256(pem.read()).hexdigest()[:12]
            see_equal(digest, ca or digest, f"the CA of {id}, as that of its parent,")
            said = self.get(id)
            see_equal(expires is None, said["expiresAt"] is None, f"whether {id} expires")
            one = Identity(id, digest, ca_file)
            one.tokens.update(got.values())
            one.homes += [(zone, address) for address in addresses]
            self.newcomers.append(one)
            end = said["expiresAt"] and (ms_of(said["expiresAt"]),) * 2
            return made(got, digest, end)

        _, wanted = self.world.joined(names, tokens)
        return Change(words, made(tokens, ca), again=(4,), amend=amend, concerned=[id])

    def get(self, id):
        done = self.run("sandbox", "get", id, "--json")
        see(done.returncode == 0, f"osbctl sandbox get {id} left with {done.returncode}: {done.stderr!r}")
        return json.loads(done.stdout)

    def sandbox_create(self, store=None):
        if len(self.world.stores) < 2 and self.rng.random() < 0.9:
            raise Busy
        ids = self.rng.sample(
            sorted(s.id for s in self.world.stores.values()),
            min(len(self.world.stores), self.rng.choice((1, 1, 2, 2, 3))),
        )
        ids += [store.id] if store and store.id not in ids else []
        return self.make("create", ids, words_of("--store", ids))

    def sandbox_fork(self, parent=None):
        parent = parent or self.world.sandboxes.get(self.pick(self.world.sandboxes))
        if not parent or not self.has["sandbox fork"]:
            raise Busy
        there = sorted(store.id for store in self.world.stores.values())
        more = self.rng.sample(there, min(len(there), self.rng.choice((0, 0, 1, 2))))
        kept = [entry.id for entry in parent.stores if entry.id in there and entry.id not in more]
        return self.make("fork", kept + more, ["--from", parent.id, *words_of("--store", more)], parent)

    def sandbox_move(self, id=None):
        id = id or self.pick(self.live())
        if not id or not self.has["sandbox move"]:
            raise Busy
        zone, addresses = self.free_home()
        sandbox = self.world.sandboxes[id]
        if zone == sandbox.zone and self.rng.random() < 0.5:
            addresses = (*addresses, self.rng.choice(sandbox.addresses))  # keeps one
        one = next(one for one in self.identities if one.name == id)
        one.homes += [(zone, address) for address in addresses]
        made = lambda world: world.with_sandbox(replace(world.sandboxes[id], zone=zone, addresses=addresses))
        return Change(["--zone", zone, "sandbox", "move", id, *words_of("--ip", addresses)], made, concerned=[id])

    def sandbox_extend(self, id=None):
        id = id or self.pick([s.id for s in self.world.sandboxes.values() if s.expires])
        sandbox = self.world.sandboxes.get(id)
        if not sandbox or not self.calm(sandbox):
            raise Busy
        for address in sandbox.addresses:
            if self.owner(sandbox.zone, address) not in (None, sandbox):
                raise Busy
        ttl_s, now_ms = self.rng.choice((2, 4, 3600)), time.time() * 1000
        made = lambda ends: lambda world: world.with_sandbox(replace(world.sandboxes[id], expires=ends))
        amend = lambda done: made((ms_of(self.get(id)["expiresAt"]),) * 2)
        first = (now_ms + ttl_s * 1000, now_ms + ttl_s * 1000 + 60000)
        return Change(["sandbox", "extend", id, "--ttl", str(ttl_s)], made(first), amend=amend, concerned=[id])

    def sandbox_delete(self):
        id = self.pick(self.world.sandboxes)
        if not id:
            raise Busy
        made = lambda world: world.without_sandbox(id)
        return Change(["sandbox", "delete", id], made, again=(3,), concerned=[id])

    def race(self):
        """Several commands at once, all about one store, that leave the same world in whatever order they come."""
        store = self.a_store()
        mine = [id for id in self.live() if id in self.of_store(store.id)]
        one = self.pick(mine)
        ways = [lambda name=name: self.secret_set(store, name) for name in sorted(store.secrets)[:2]]
        ways += [lambda: self.store_update(store), lambda: self.sandbox_create(store)]
        if one:
            ways += [lambda: self.sandbox_move(one), lambda: self.sandbox_extend(one)]
            ways += [lambda: self.sandbox_fork(self.world.sandboxes[one])]
        changes, self.taken = [], set()
        for way in self.rng.sample(ways, min(len(ways), self.rng.choice((2, 3, 4)))):
            try:
                changes.append(way())
            except Busy:
                continue
        self.taken = set()
        if len(changes) < 2:
            raise Busy
        rotates = self.has["key rotate"] and self.rng.random() < 0.2
        if rotates:
            self.change(Change(["key", "rotate", "--stage"]))
            self.house.copy_key()
            changes.append(Change(["key", "rotate"]))
        self.change_at_once(changes)
        if rotates:
            self.house.copy_key()
        self.look([id for change in changes for id in change.concerned])

    # --- what changes nothing -------------------------------------------------------------------------------

    def refusals(self):
        """One that must be refused, by a sentence."""
        live = [id for id in self.live() if self.calm(self.world.sandboxes[id])]
        taken = self.world.sandboxes[self.pick(live)] if live else None
        free = "127.0.7.1"
        rows = [
            (3, "nosuch", "store", "delete", "nosuch"),
            (3, "nosuch", "sandbox", "delete", "nosuch"),
            (3, "nosuch", "sandbox", "create", "sbX", "--ip", free, "--store", "nosuch"),
        ]
        if taken:
            use = ["--zone", taken.zone, "sandbox"]
            ip = ["--ip", self.rng.choice(taken.addresses)]
            rows.append((4, f"in use.*{taken.id}", *use, "create", "sbX", *ip))
            rows.append((4, taken.id, "sandbox", "create", taken.id, "--ip", free))
            if self.has["sandbox fork"]:
                rows.append((4, f"in use.*{taken.id}", *use, "fork", "sbX", "--from", self.pick(live), *ip))
            others = [id for id in live if id != taken.id]
            if others and self.has["sandbox move"]:
                rows.append((4, f"in use.*{taken.id}", *use, "move", self.pick(others), *ip))
        name = self.pick(self.world.stores)
        if name:
            rows.append((4, name, "store", "create", name, "--egress-any"))
            rows.append((3, "NOSUCH", "secret", "delete", name, "NOSUCH"))
        self.refused(*self.rng.choice(rows))

    def told(self, *words):
        done = self.run(*words, "--json")
        self.note(words, done)
        see(done.returncode == 0, f"osbctl {' '.join(words)} left with {done.returncode}: {done.stderr!r}")
        return json.loads(done.stdout)

    def lists(self):
        """All that osbctl tells of stores, secrets and sandboxes."""
        world = self.world
        said = {s["name"]: (s["id"], sorted(s["egressAllowlist"])) for s in self.told("store", "list")}
        see_equal(said, {s.name: (s.id, sorted(s.egress)) for s in world.stores.values()}, "what store list says")
        for store in world.stores.values():
            said = {
                s["name"]: (sorted(s["allowedHosts"]), sorted(s["places"]))
                for s in self.told("secret", "list", store.id)
            }
            want = {name: (sorted(s.hosts), sorted(s.places)) for name, s in store.secrets.items()}
            see_equal(said, want, f"what secret list {store.name} says")
        said = {s["id"]: s for s in self.told("sandbox", "list")}
        see_equal(sorted(said), sorted(world.sandboxes), "the sandboxes of sandbox list")
        for id, sandbox in world.sandboxes.items():
            self.see_said(said[id], sandbox)

    def see_said(self, said, sandbox):
        tokens = {secret["name"]: secret["token"].encode() for secret in said["secrets"]}
        see_equal(tokens, {name: held.token for name, held in sandbox.held.items()}, f"the tokens of {sandbox.id}")
        see_equal(sorted(said["addresses"]), sorted(sandbox.addresses), f"the addresses of {sandbox.id}")
        see_equal(said["stores"], [entry.name for entry in sandbox.stores], f"the stores of {sandbox.id}")
        see_equal(ms_of(said["expiresAt"]), sandbox.expires and sandbox.expires[0], f"the end of {sandbox.id}")

    def explain(self):
        """osbctl check says what the model says."""
        live = [id for id in self.live() if self.calm(self.world.sandboxes[id])]
        if not live:
            raise Busy
        sandbox, host = self.world.sandboxes[self.pick(live)], self.rng.choice(HOSTS)
        words, name = ["check", "--sandbox", sandbox.id, "--host", host], self.pick(sandbox.held)
        want = sandbox.allows(host)
        if name and self.rng.random() < 0.8:
            place, held = self.rng.choice(PLACES), sandbox.held[name]
            words += ["--secret", name, "--in", place]
            want = want and sandbox.grants(held, host) and place in held.secret.places
        done = self.run(*words, "--json")
        self.note(words, done)
        see(done.returncode in (0, 4), f"osbctl {' '.join(words)} left with {done.returncode}: {done.stderr!r}")
        see_equal(json.loads(done.stdout)["allowed"], want, f"what osbctl {' '.join(words)} says")

    # --- keys and copies ------------------------------------------------------------------------------------

    def key_rotate(self):
        """As README says it: staged, copied to the other host, rotated, copied again; then the old one goes."""
        if not self.has["key rotate"]:
            raise Busy
        self.change(Change(["key", "rotate", "--stage"]))
        self.house.copy_key()
        self.change(Change(["key", "rotate"]))
        self.house.copy_key()
        done = self.run("key", "list")
        self.note(("key", "list"), done)
        ids = re.findall(r"^([0-9a-f]{16})\b", done.stdout.decode(), re.M)
        see(len(ids) >= 2, f"osbctl key list says {done.stdout!r}, {done.stderr!r}")
        for id in ids[1:]:
            self.change(Change(["key", "drop", id], again=(3,)))
        self.house.copy_key()

    def backup_and_restore(self):
        """Redis loses everything, and what was backed up comes back."""
        if not self.has["backup"]:
            raise Busy
        done = self.run("backup")
        see(done.returncode == 0, f"osbctl backup left with {done.returncode}: {done.stderr!r}")
        now_ms, world = time.time() * 1000, self.world
        with self.timeline.trouble(away=True):
            self.house.disk("FLUSHALL")
            # What has expired is left out, and what does so just now may be.
            back = self.persist("restore", octets=done.stdout)
            ids = {s["id"] for s in self.told("sandbox", "list")}
            for sandbox in world.sandboxes.values():
                if sandbox.id not in ids:
                    see(
                        not sandbox.must_live(now_ms, time.time() * 1000),
                        f"{sandbox.id} did not come back: {back.stderr!r}",
                    )
                    world = world.without_sandbox(sandbox.id)
            self.timeline.begin(world)
        self.timeline.over()

    # --- what befalls the house -----------------------------------------------------------------------------

    def befalls(self, what, away):
        self.log.append(f"{time.monotonic():.3f} {what.__name__}")
        with self.timeline.trouble(away):
            what(self.rng)
            if away:
                self.house.await_linked()
        self.log.append(f"{time.monotonic():.3f} ... all is well again")

    def worker_dies(self):
        self.befalls(self.house.worker_dies, False)

    def hangs_up(self):
        self.befalls(self.house.hangs_up, False)

    def redis_dies(self):
        self.befalls(self.house.redis_dies, True)

    def redis_hangs(self):
        self.befalls(self.house.redis_hangs, True)

    def links_are_cut(self):
        self.befalls(self.house.links_are_cut, True)


def story(life, steps, why):
    """All that is needed to look for the fault."""
    lines = [f"seed {SEED}, step {steps}; the last commands:", *life.log, "and then:", why]
    return "\n".join(lines)


@bench.case(
    f"{SECONDS:.0f} s of commands and accidents: every answer to every client is the one that the model has predicted"
)
def living(house):
    life, ended, steps = Life(house, random.Random(SEED)), threading.Event(), 0
    off = [verb for verb, there in life.has.items() if not there]
    print(f"note  seed {SEED}" + (f"; not there in this build: {', '.join(off)}" if off else ""), flush=True)
    while len(life.identities) < 4:  # somebody to ask as
        life.once()
    asking = [Asking(Prober(house, life.identities, random.Random(SEED + n + 1)), ended) for n in range(ASKING)]
    for one in asking:
        one.start()
    end, why = time.monotonic() + SECONDS, None
    try:
        while time.monotonic() < end and not ended.is_set():
            steps += 1
            life.once()
        life.lists()
    except (Seen, Differs) as saw:
        why = str(saw)
    finally:
        ended.set()
        for one in asking:
            one.join(30)
        life.prober.end()
    why = why or next((one.differs for one in asking if one.differs), None)
    ends = sum((one.prober.tally for one in asking), life.prober.tally)
    print(f"note  {steps} steps: {dict(life.counts.most_common())}", flush=True)
    print(f"note  {sum(ends.values())} requests: {dict(ends.most_common())}", flush=True)
    print(f"note  links to Redis were back after at most {house.recovered_s:.2f} s", flush=True)
    see(why or ends[UNMADE] <= 1 + sum(ends.values()) / 100, f"{ends[UNMADE]} handshakes ended for want of a leaf")
    if why:
        print(story(life, steps, why), flush=True)
        see(False, f"seed {SEED}, step {steps}: {why[:300]}")


bench.run(LiveHouse)
