"""model - what osbctl was told, and what must therefore become of a request: plain Python, without Redis and proxy.

A World is all of it at one moment; each change makes another one. A Timeline knows which worlds may be in force when, and
when something was broken; what it allows of a request is the union over them, and nothing else.
"""
import contextlib
import threading
import time
from dataclasses import dataclass, field, replace

from reference import json_string, percent, raw

DEFAULT_PLACES = ("header", "basic", "body")
# Where a probe puts a token: the places that let a value in there, and how it is written.
SLOTS = {
    "header": ({"header"}, raw),
    "basic": ({"basic"}, raw),
    "url": ({"url"}, percent),
    "whole": ({"body", "field"}, json_string),
    "text": ({"body"}, json_string),
}
SLACK_MS = 20  # between what we say the time is and what the turn of a worker does
KEPT_S = 60  # what was over so long ago concerns no request any more


@dataclass(frozen=True)
class Secret:
    """hosts: none means all of its store's."""

    value: bytes
    hosts: tuple = ()
    places: tuple = DEFAULT_PLACES


@dataclass(frozen=True)
class Store:
    """egress: none means any host."""

    id: str
    name: str
    egress: tuple = ()
    secrets: dict = field(default_factory=dict)


@dataclass(frozen=True)
class Held:
    """A sandbox's own copy of a secret."""

    token: bytes
    store: str
    secret: Secret


@dataclass(frozen=True)
class Entry:
    """A sandbox's own copy of a store."""

    id: str
    name: str
    egress: tuple


@dataclass(frozen=True)
class Sandbox:
    """expires: when at the earliest and when at the latest, in ms; None: never. ca: None while only osbctl knows it."""

    id: str
    zone: str
    addresses: tuple
    stores: tuple
    held: dict
    ca: str = None
    expires: tuple = None

    def may_live(self, first_ms, last_ms):
        return self.expires is None or first_ms < self.expires[1] + SLACK_MS

    def must_live(self, first_ms, last_ms):
        return self.expires is None or last_ms < self.expires[0] - SLACK_MS

    def allows(self, host):
        egress = [pattern for entry in self.stores for pattern in entry.egress]
        return bool(self.stores) and (not egress or covers(egress, host))

    def grants(self, held, host):
        if held.secret.hosts:
            return covers(held.secret.hosts, host)
        egress = next(entry.egress for entry in self.stores if entry.id == held.store)
        return not egress or covers(egress, host)

    def written(self, slot, token, host):
        """What arrives of a token."""
        places, write = SLOTS[slot]
        for held in self.held.values():
            if held.token == token and self.grants(held, host) and places & set(held.secret.places):
                return write(held.secret.value)
        return token


def covers(patterns, host):
    return any(host == p or (p[:2] == "*." and host.endswith(p[1:])) for p in patterns)


# --- worlds ----------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class World:
    """stores by name, sandboxes by id, those that have expired too."""

    stores: dict = field(default_factory=dict)
    sandboxes: dict = field(default_factory=dict)

    def store(self, id):
        return next(store for store in self.stores.values() if store.id == id)

    def with_store(self, store):
        """It is as given now, whatever its name was."""
        stores = {other.name: other for other in self.stores.values() if other.id != store.id}
        return replace(self, stores={**stores, store.name: store})

    def with_sandbox(self, sandbox):
        return replace(self, sandboxes={**self.sandboxes, sandbox.id: sandbox})

    def without_sandbox(self, id):
        return replace(self, sandboxes={key: s for key, s in self.sandboxes.items() if key != id})

    def without_store(self, id, revoke):
        world = replace(self, stores={s.name: s for s in self.stores.values() if s.id != id})
        return world.spread(replace(self.store(id), secrets={}), gone=True) if revoke else world

    def spread(self, store, gone=False):
        """Every sandbox that was made from it has what it says now."""
        return replace(self, sandboxes={id: carried(s, store, gone) for id, s in self.sandboxes.items()})

    def changed(self, id, **changes):
        store = replace(self.store(id), **changes)
        return self.with_store(store).spread(store)

    def with_secret(self, id, name, secret):
        """None: it is deleted."""
        secrets = {key: other for key, other in self.store(id).secrets.items() if key != name}
        return self.changed(id, secrets={**secrets, name: secret} if secret else secrets)

    def owners(self, zone, address, first_ms, last_ms):
        """Who may have the address in that time: sandboxes, and None where it may be nobody's."""
        found = [s for s in self.sandboxes.values() if s.zone == zone and address in s.addresses]
        found = [s for s in found if s.may_live(first_ms, last_ms)]
        return found if any(s.must_live(first_ms, last_ms) for s in found) else found + [None]

    def holder(self, zone, address, now_ms):
        """Who has the address; None: nobody. To be asked only where nobody expires just now."""
        owners = self.owners(zone, address, now_ms, now_ms)
        return owners[0]

    def joined(self, ids, tokens):
        """What a sandbox of these stores gets: its entries, and its secrets by name, of the last store that has the name."""
        stores = [self.store(id) for id in ids]
        held = {n: Held(tokens.get(n), store.id, secret) for store in stores for n, secret in store.secrets.items()}
        return tuple(Entry(s.id, s.name, s.egress) for s in stores), held


def carried(sandbox, store, gone):
    if all(entry.id != store.id for entry in sandbox.stores):
        return sandbox
    entries = tuple(Entry(e.id, store.name, store.egress) if e.id == store.id else e for e in sandbox.stores)
    held = {}
    for name, one in sandbox.held.items():
        if one.store != store.id:
            held[name] = one
        elif name in store.secrets:
            held[name] = replace(one, secret=store.secrets[name])
    if gone:
        entries = tuple(entry for entry in entries if entry.id != store.id)
    return replace(sandbox, stores=entries, held=held)


# --- requests --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Probe:
    """A request: whose CA the client trusts, from where, to where, and its tokens by slot."""

    ca: str
    zone: str
    address: str
    host: str
    tokens: dict


class Allowed:
    """What may become of a probe: kinds of ends ("200", "403 host_not_allowed", "reset", "other CA"), and of one that is
    served, by slot, what may have arrived."""

    def __init__(self, probe):
        self.probe, self.ends, self.slots = probe, set(), {slot: set() for slot in probe.tokens}

    def add(self, owner):
        if owner is None:
            self.ends.add("reset")
        elif owner.ca != self.probe.ca:
            self.ends.add("other CA")
        elif not owner.allows(self.probe.host):
            # Leaves for hosts that are not allowed are made so many a second; without one there is an alert.
            self.ends |= {"403 host_not_allowed", "alert TLSV1_UNRECOGNIZED_NAME"}
        else:
            self.ends.add("200")
            for slot, token in self.probe.tokens.items():
                self.slots[slot].add(owner.written(slot, token, self.probe.host))

    def faults(self, end, arrived):
        """What is wrong with what was seen; nothing: it is as it must be."""
        if end not in self.ends:
            return [f"the end is {end!r}, allowed: {sorted(self.ends)}"]
        if end != "200":
            return []
        return [
            f"{slot}: {arrived.get(slot)!r} arrived, allowed: {sorted(allowed)}"
            for slot, allowed in self.slots.items()
            if arrived.get(slot) not in allowed
        ]


# --- time ------------------------------------------------------------------------------------------------------------------


class Moment:
    def __init__(self):
        self.s, self.ms = time.monotonic(), time.time() * 1000


@dataclass
class Epoch:
    world: World
    begins: float
    ends: float = None


@dataclass
class Trouble:
    """away: Redis is, for some worker; else connections may end, and that is all."""

    away: bool
    begins: float
    ends: float = None


def during(spans, first, last):
    return [span for span in spans if span.begins <= last.s and (span.ends is None or span.ends >= first.s)]


class Timeline:
    """One thread changes the world, others ask what may be."""

    def __init__(self):
        self.epochs, self.troubles, self.lock = [Epoch(World(), 0.0)], [], threading.Lock()
        self.changing = False

    @property
    def now(self):
        """What is in force, or will be when the command that runs now has ended."""
        return self.epochs[-1].world

    def begin(self, world):
        """From now on this may be in force."""
        with self.lock:
            self.epochs.append(Epoch(world, time.monotonic()))
            self.changing = True

    def amend(self, world):
        """The same change, now that more is known of it."""
        with self.lock:
            self.epochs[-1].world = world

    def over(self):
        """The command has said that it is done: what was before ends, unless a worker may not have heard of it."""
        with self.lock:
            self.changing = False
            self.settle()

    def settle(self):
        now = time.monotonic()
        if self.changing or any(trouble.away and trouble.ends is None for trouble in self.troubles):
            return
        for epoch in self.epochs[:-1]:
            epoch.ends = now if epoch.ends is None else epoch.ends
        old = now - KEPT_S
        self.epochs = [e for e in self.epochs if e.ends is None or e.ends > old]
        self.troubles = [t for t in self.troubles if t.ends is None or t.ends > old]

    @contextlib.contextmanager
    def trouble(self, away):
        with self.lock:
            trouble = Trouble(away, time.monotonic())
            self.troubles.append(trouble)
        yield
        with self.lock:
            trouble.ends = time.monotonic()
            self.settle()

    def allowed(self, probe, first, last):
        """Gives what may become of it between two Moments, and whether that is certain: nothing changed or was broken."""
        with self.lock:
            worlds = [epoch.world for epoch in during(self.epochs, first, last)]
            troubles = during(self.troubles, first, last)
        allowed = Allowed(probe)
        for world in worlds:
            for owner in world.owners(probe.zone, probe.address, first.ms, last.ms):
                allowed.add(owner)
        if troubles:
            allowed.ends.add("reset")
        if any(trouble.away for trouble in troubles):
            allowed.ends.add("503 store_unavailable")
        return allowed, len(worlds) == 1 and not troubles

    def owners(self, probe, first, last):
        """Who may have had the probe's address."""
        with self.lock:
            worlds = [epoch.world for epoch in during(self.epochs, first, last)]
        return [one for world in worlds for one in world.owners(probe.zone, probe.address, first.ms, last.ms)]

    def may_end(self, zone, address, opened, last):
        """May a connection that was opened then have been ended since?"""
        with self.lock:
            worlds = [epoch.world for epoch in during(self.epochs, opened, last)]
            troubles = during(self.troubles, opened, last)
        owners = [owner for world in worlds for owner in world.owners(zone, address, opened.ms, last.ms)]
        return bool(troubles) or None in owners or len({owner.id for owner in owners}) > 1
