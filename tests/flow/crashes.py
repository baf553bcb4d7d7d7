"""crashes - osbctl is killed, or loses Redis, at each of its writes: every sandbox is then as before or as after.

What a sandbox is, is what its proxies send to hosts in place of its tokens, and what `sandbox get` says. Two proxies look:
one reads the record for each request, and so sees what Redis holds; the other reads again only what is announced, and so
shows that the command, run again, completes the announcements too. OSB_SOAK=1: at each command, also those that only read.
"""
import json
import os
import secrets
import sys
import time
from datetime import datetime

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from case import Bench, see, see_equal
from cutter import WRITES, Cutter
from house import TOKEN, Sandbox, Secret, await_until
from neighbour import Line, TwoHosts

bench = Bench()
BOTH = ("api.test", "echo.test")
COUNTED = None if os.environ.get("OSB_SOAK") else WRITES
NOBODY = "nobody"
HOWS = [("killed before it", "kill"), ("its link cut behind it", "cut")]


class CrashHouse(TwoHosts):
    def __init__(self, build):
        super().__init__(build, ["cache_ttl = 1ms"], ["cache_ttl = 10m"], workers=1)
        self.count, self.second = 0, "B"  # the name that the second store has now

    def start_redis(self):
        super().start_redis()
        self.cutter = Cutter(self.redis_socket, self.folder)

    def furnish(self):
        self.store("A", *BOTH)
        self.store("B", "api.test", "wild.test")
        for store, name in (("A", "S1"), ("B", "S2")):
            self.ctl("secret", "set", store, name, "--value-file", self.canary(name)[1])
        self.a, self.b = self.sandbox("sbA", "127.0.0.2", "A"), self.sandbox("sbB", "127.0.0.3", "A", "B")

    def __exit__(self, *how):
        if hasattr(self, "cutter"):
            self.cutter.close()
        super().__exit__(*how)

    def number(self):
        self.count += 1
        return self.count

    def cut(self, words, octets=None):
        options = ["--redis", f"unix:{self.cutter.path}", "--key-file", self.key_file]
        return self.cutter.run([f"{self.build}/osbctl", *options, *words], self.environment, octets)

    # --- what a sandbox is --------------------------------------------------------------------------------------

    def got(self, name):
        """What `sandbox get` says; None: there is none."""
        done = self.ctl_done("--json", "sandbox", "get", name)
        see(done.returncode in (0, 3), f"sandbox get {name} left with {done.returncode}: {done.stderr[-300:]}")
        return json.loads(done.stdout) if done.returncode == 0 else None

    def sent(self, proxy, sandbox):
        """What becomes of each of its tokens at each host."""
        found = {}
        for host in BOTH:
            with Line(proxy, sandbox, host, None) as line:
                if not line.client.shaken:
                    return NOBODY
                for name, line.token in sandbox.tokens.items():
                    found[name, host] = line.ask()
                    if not isinstance(found[name, host], tuple):
                        line.renew()  # a refusal ends it
        return found

    def view(self, sandbox):
        """As the store holds it, and as each proxy serves it."""
        return [self.got(sandbox.name)] + [self.sent(proxy, sandbox) for proxy in self.proxies]

    def canary(self, name):
        """A fresh value that the checks know, and a file of it."""
        made = Secret(name, f"canary-{name}-{secrets.token_hex(12)}".encode(), BOTH, True)
        self.secrets.append(made)
        path = f"{self.folder}/value-{secrets.token_hex(4)}"
        with open(path, "wb") as out:
            out.write(made.value)
        return made.value, path

    def address(self, n):
        return f"127.3.{n // 250}.{n % 250 + 1}"

    def lodger(self, *stores):
        """A sandbox of one point."""
        n = self.number()
        return self.sandbox(f"lodger-{n}", self.address(n), *stores)

    def leave(self, sandbox):
        self.ctl_done("sandbox", "delete", sandbox.name)
        self.sandboxes.pop(sandbox.name, None)


class Trial:
    """One command, tried at each point. words, octets: of the command. sandboxes: whom it concerns; stays: the same at the
    next point, which finds them as they were left. codes: of the command that is run again. prepare(): what it needs, once a
    point; expect(before, after): what is seen of each sandbox when it is done."""

    octets, codes, stays, last = None, (0,), True, None

    def __init__(self, house):
        self.house, self.sandboxes = house, [house.a, house.b]

    def prepare(self):
        pass

    def see_between(self):
        pass

    def see_done(self):
        pass

    def views(self):
        return [self.house.view(sandbox) for sandbox in self.sandboxes]

    def see_views(self, before, between, after):
        for sandbox, *views in zip(self.sandboxes, before, between, after):
            for what, old, seen, new in zip(("sandbox get", "the proxy that asks", "the one that listens"), *views):
                see(seen in (old, new), f"{sandbox.name}, {what}: {seen}, neither {old} nor {new}")


def try_at(house, trial, how, at):
    """One point; gives whether the command had so many."""
    trial.prepare()
    before = trial.last or trial.views()
    house.cutter.arm(at, how, how == "cut", COUNTED)
    code, _, err = house.cut(trial.words, trial.octets)
    place = f"point {at} ({house.cutter.commands[-1] if house.cutter.commands else 'none'})"
    if house.cutter.fired and how == "cut":
        see(code == 1 and err, f"{place}: it left with {code}: {err[-300:]}")
    elif not house.cutter.fired:
        see_equal(code, 0, f"the exit code of the whole command ({err[-300:]})")
    between = trial.views()
    trial.see_between()
    if house.cutter.fired:
        done = house.ctl_done(*trial.words, octets=trial.octets)
        see(done.returncode in trial.codes, f"{place}: run again, it left with {done.returncode}: {done.stderr[-300:]}")
    trial.see_done()
    after = trial.views()
    trial.see_views(before, between, after)
    trial.expect(before, after)
    trial.last = after if trial.stays else None
    return house.cutter.fired


def crashes(sentence, codes=(0,)):
    """A class of trials is a case; its rows are the ways in which a command ends early."""

    def keep(kind):
        kind.codes = codes

        def run(house, how):
            trial, at = kind(house), 1
            while True:
                try:
                    more = try_at(house, trial, how, at)
                except Exception as error:
                    raise type(error)(f"at point {at}, {' '.join(house.cutter.commands)}: {error}") from error
                if not more:
                    break
                at += 1
            see(at > 1, "it has written nothing")

        bench.case(sentence, HOWS)(run)
        return kind

    return keep


# --- secrets -----------------------------------------------------------------------------------------------------------


@crashes("secret set, a rotation: the old value or the new one")
class Rotation(Trial):
    def prepare(self):
        self.value, path = self.house.canary("S1")
        self.words = ["secret", "set", "A", "S1", "--value-file", path]

    def expect(self, before, after):
        for _, *proxies in after:
            for sent in proxies:
                for host in BOTH:
                    see_equal(sent["S1", host][0], self.value, f"what {host} is sent")


@crashes("secret set, value and hosts and places at once: all old or all new")
class Reshaping(Rotation):
    turn = 0

    def prepare(self):
        super().prepare()
        Reshaping.turn += 1
        self.host, self.place = (("api.test", "header"), ("echo.test", "url"))[Reshaping.turn % 2]
        self.words += ["--allow-host", self.host, "--in", self.place]

    def expect(self, before, after):
        for sandbox, (_, *proxies) in zip(self.sandboxes, after):
            token = sandbox.tokens["S1"]
            want = (self.value, token, token) if self.place == "header" else (token, self.value, token)
            for sent in proxies:
                for host in BOTH:
                    see_equal(sent["S1", host], want if host == self.host else (token,) * 3, f"what {host} is sent")


@crashes("secret set, a new name: running sandboxes see nothing of it, and it is there when the command was run again")
class NewName(Trial):
    def prepare(self):
        self.name = f"NEW_{self.house.number()}"
        self.words = ["secret", "set", self.house.second, self.name, "--value-file", self.house.canary(self.name)[1]]

    def see_done(self):
        self.house.ctl("secret", "get", self.house.second, self.name)

    def expect(self, before, after):
        see_equal(after, before, "what the sandboxes are")


class Lodgers(Trial):
    """Each point has a store and a sandbox of its own, which leaves when the point is done."""

    stays = False

    def prepare(self):
        self.store = f"store-{self.house.number()}"
        self.house.store(self.store, *BOTH)
        self.house.ctl("secret", "set", self.store, "GOES", "--value-file", self.house.canary("GOES")[1])
        self.sandboxes = [self.house.lodger(self.store)]

    def leave(self):
        self.house.leave(self.sandboxes[0])
        self.house.ctl_done("store", "delete", self.store)

    def see_all(self, after, want):
        for _, *proxies in after:
            for sent in proxies:
                for answer in sent.values():
                    see_equal(answer, want, "what becomes of its token")


@crashes("secret delete: it is in force, or not yet", codes=(0, 3))
class Deletion(Lodgers):
    def prepare(self):
        super().prepare()
        self.words = ["secret", "delete", self.store, "GOES"]

    def expect(self, before, after):
        self.see_all(after, (self.sandboxes[0].tokens["GOES"],) * 3)
        see_equal(after[0][0]["secrets"], [], "its secrets")
        self.leave()


# --- stores ------------------------------------------------------------------------------------------------------------


@crashes("store create: there is none or one of the name", codes=(0, 4))
class StoreCreation(Trial):
    def prepare(self):
        self.sandboxes, self.name = [], f"made-{self.house.number()}"
        self.words = ["store", "create", self.name, "--egress-allow", "api.test"]

    def expect(self, before, after):
        names = [store["name"] for store in json.loads(self.house.ctl("--json", "store", "list"))]
        see_equal(names.count(self.name), 1, f"the stores of the name {self.name}")
        self.house.ctl("secret", "set", self.name, "S", "--value-file", self.house.canary("S")[1])
        self.house.ctl("store", "delete", self.name)


@crashes("store update, another list: each sandbox has the old one or the new one")
class Listing(Trial):
    def prepare(self):
        narrow = Listing.narrow = not getattr(Listing, "narrow", False)
        self.hosts = BOTH[:1] if narrow else BOTH
        self.words = ["store", "update", "A", *(word for host in self.hosts for word in ("--egress-allow", host))]

    def expect(self, before, after):
        for _, *proxies in after:
            for sent in proxies:
                refused = sent["S1", "echo.test"] == "host_not_allowed"
                see_equal(refused, self.hosts == BOTH[:1], "that the other host is refused")


@crashes("store update, another name: one of both names finds it")
class Renaming(Trial):
    def prepare(self):
        self.old, self.name = self.house.second, f"B-{self.house.number()}"
        self.id = json.loads(self.house.ctl("--json", "store", "get", self.old))["id"]
        self.words = ["store", "update", self.id, "--name", self.name]

    def see_between(self):
        found = [self.house.ctl_done("--json", "store", "get", name) for name in (self.old, self.name)]
        see(any(done.returncode == 0 for done in found), "neither name finds it")

    def expect(self, before, after):
        see_equal(json.loads(self.house.ctl("--json", "store", "get", self.name))["id"], self.id, "its id")
        self.house.ctl("store", "get", self.old, code=3)
        self.house.second = self.name


@crashes("store delete: sandboxes keep what they have", codes=(0, 3))
class StoreDeletion(Lodgers):
    def prepare(self):
        super().prepare()
        self.words = ["store", "delete", self.store]

    def expect(self, before, after):
        see_equal(after, before, "the sandbox")
        self.house.ctl("store", "get", self.store, code=3)
        self.leave()


@crashes("store delete --revoke: each sandbox has all that came from it, or nothing", codes=(0, 3))
class Revocation(Lodgers):
    def prepare(self):
        super().prepare()
        self.words = ["store", "delete", self.store, "--revoke"]

    def expect(self, before, after):
        self.see_all(after, "host_not_allowed")
        see_equal((after[0][0]["stores"], after[0][0]["secrets"]), ([], []), "what it is bound to")
        self.house.ctl("store", "get", self.store, code=3)
        self.leave()


# --- sandboxes ---------------------------------------------------------------------------------------------------------


class Birth(Trial):
    """A sandbox that is not there before: its files say what it is."""

    stays = False

    def name_it(self):
        n = self.house.number()
        self.name, self.ip = f"born-{n}", self.house.address(n)
        self.env, self.ca = f"{self.house.folder}/{self.name}.env", f"{self.house.folder}/{self.name}.ca.pem"
        return ["--ip", self.ip, "--env-file", self.env, "--ca-file", self.ca]

    def sandbox(self):
        """Of the files, where they are there; else one that trusts another CA and would be refused by none."""
        if not os.path.exists(self.env) or not os.path.exists(self.ca):
            return Sandbox(self.name, self.ip, self.house.a.ca_file, self.house.a.tokens)
        with open(self.env, "rb") as text:
            pairs = [line.rstrip(b"\n").partition(b"=") for line in text]
        tokens = {key.decode(): value for key, _, value in pairs if TOKEN.fullmatch(value)}
        return Sandbox(self.name, self.ip, self.ca, tokens)

    def views(self):
        self.sandboxes = [self.sandbox()]
        return super().views()

    def see_done(self):
        listens = self.house.neighbour  # who asked too early hears "nobody" for a second, if no announcement comes
        await_until(lambda: self.house.sent(listens, self.sandbox()) != NOBODY, f"{self.name} is served", 2)

    def expect(self, before, after):
        see_equal(before[0], [None, NOBODY, NOBODY], "it, before")
        for sent in after[0][1:]:
            for name in ("S1", "S2"):
                see_equal(sent[name, "api.test"][0], self.house.value(name), f"what is sent in place of {name}")
        self.house.leave(self.sandboxes[0])


@crashes("sandbox create: it is not there, or whole, with the files that it was to have", codes=(0, 4))
class Creation(Birth):
    def prepare(self):
        files = self.name_it()
        self.words = ["sandbox", "create", self.name, "--store", "A", "--store", self.house.second, *files]


@crashes("sandbox fork: it is not there, or whole", codes=(0, 4))
class Fork(Birth):
    def prepare(self):
        files = self.name_it()
        self.words = ["sandbox", "fork", self.name, "--from", "sbB", *files]

    def expect(self, before, after):
        tokens = self.sandboxes[0].tokens
        see_equal({name: tokens.get(name) for name in self.house.b.tokens}, self.house.b.tokens, "its tokens")
        super().expect(before, after)


class Movable:
    """What a sandbox is at one of two addresses."""

    def __init__(self, sandbox, address):
        self.__dict__.update(sandbox.__dict__, address=address)


@crashes("sandbox move: it is at one address or at the other")
class Move(Trial):
    stays = False

    def __init__(self, house):
        super().__init__(house)
        self.lodger = house.lodger("A")
        self.addresses = [self.lodger.address, house.address(house.number())]

    def prepare(self):
        self.addresses.reverse()  # the first is the new one: who looks there first learns where it is
        self.words = ["sandbox", "move", self.lodger.name, "--ip", self.addresses[0]]

    def views(self):
        places = [Movable(self.lodger, address) for address in self.addresses]
        self.sandboxes = [self.lodger]
        served = [[self.house.sent(proxy, place) for place in places] for proxy in self.house.proxies]
        return [[self.house.got(self.lodger.name)] + served]

    def expect(self, before, after):
        see_equal(after[0][0]["addresses"], self.addresses[:1], "its addresses")
        for new, old in after[0][1:]:
            see_equal(old, NOBODY, "what is at the old address")
            see(new != NOBODY, "nobody is at the new address")
        self.lodger.address = self.addresses[0]


@crashes("sandbox extend: it ends then or now")
class Extension(Trial):
    ttl = 10000

    def prepare(self):
        self.sandboxes = [self.house.a]
        Extension.ttl += 1000
        self.words = ["sandbox", "extend", "sbA", "--ttl", str(Extension.ttl)]

    def views(self):
        (got, *served), = super().views()
        ends = got["expiresAt"]
        if ends:
            left = datetime.fromisoformat(ends.replace("Z", "+00:00")).timestamp() - time.time()
            got["expiresAt"] = round(left / 1000) * 1000
        return [[got, *served]]

    def expect(self, before, after):
        see_equal(after[0][0]["expiresAt"], Extension.ttl, "the seconds that it has left")


@crashes("sandbox delete: it is there or it is gone, and its address is free", codes=(0, 3))
class End(Trial):
    stays = False

    def prepare(self):
        self.sandboxes = [self.house.lodger("A")]
        self.words = ["sandbox", "delete", self.sandboxes[0].name]

    def expect(self, before, after):
        see_equal(after[0], [None, NOBODY, NOBODY], "it, after")
        gone = self.house.sandboxes.pop(self.sandboxes[0].name)
        heir = self.house.sandbox(f"heir-of-{gone.name}", gone.address, "A")
        see(NOBODY not in self.house.view(heir), "its address can't be had by another")
        self.house.leave(heir)


# --- keys and backups --------------------------------------------------------------------------------------------------


@crashes("key rotate: nothing changes for a sandbox, and the old key can go when the command was run again")
class KeyRotation(Trial):
    words = ["key", "rotate"]

    def expect(self, before, after):
        see_equal(after, before, "the sandboxes")
        keys = json.loads(self.house.ctl("--json", "key", "list"))
        for key in keys[1:]:
            self.house.ctl("key", "drop", key["id"])
        see_equal(self.views(), before, "the sandboxes, under the new key alone")


@crashes("restore: what was missing is not there, or as it was")
class Restoration(Lodgers):
    words = ["restore"]

    def prepare(self):
        if not self.octets:
            super().prepare()
            self.was = self.views()
            self.octets = self.house.ctl("backup").encode()
        self.house.ctl("sandbox", "delete", self.sandboxes[0].name)
        self.house.ctl("store", "delete", self.store)

    def expect(self, before, after):
        see_equal(before[0], [None, NOBODY, NOBODY], "it, before")
        see_equal(after, self.was, "it, after")
        if self.house.cutter.fired:
            return
        self.house.ctl("secret", "set", self.store, "GOES", "--value-file", self.house.canary("GOES")[1])
        see_equal(self.views()[0][1]["GOES", "api.test"][0], self.house.value("GOES"), "its value, rotated")
        self.leave()


def last(house):
    """Nothing expires any more while the checks at the end look."""
    house.cutter.arm(0)
    house.settle_down()


bench.case("a last look, whose descriptors are the baseline of the checks that follow")(last)
bench.run(CrashHouse)
