"""prober - a client that asks as random sandboxes of a live house, and holds what becomes of it against the model."""
import base64
import collections
import itertools
import re
import ssl
import threading

from client import Client, client_context
from house import request
from livehouse import MARK
from model import SLOTS, Moment, Probe

HOSTS = ("api.test", "echo.test", "a.wild.test", "evil.test")
KEPT_MOST = 12
SECONDS = 10  # of one request: what takes longer hangs
BODY = re.compile(rb'\{"whole":"(.*)","text":"a (.*) b"\}', re.S)
numbers = itertools.count()


class Identity:
    """What a sandbox was given: its CA, and every token that it ever had; and where it ever was."""

    def __init__(self, name, ca, ca_file):
        self.name, self.ca, self.context = name, ca, client_context(ca_file)
        self.tokens, self.homes = set(), []


class Differs(Exception):
    """What was seen is not what the model says."""


def octets_of(probe, path):
    """The request of a probe. Each slot has its place, which arrived() finds again."""
    tokens = probe.tokens
    target, fields, body = path, [], None
    if "url" in tokens:
        target += b"?k=" + tokens["url"]
    if "header" in tokens:
        fields.append(b"X-Key: " + tokens["header"])
    if "basic" in tokens:
        fields.append(b"Authorization: Basic " + base64.b64encode(b"user:" + tokens["basic"]))
    if "whole" in tokens or "text" in tokens:
        fields.append(b"Content-Type: application/json")
        body = b'{"whole":"%s","text":"a %s b"}' % (tokens.get("whole", b""), tokens.get("text", b""))
    return request("POST" if body else "GET", target, probe.host, *fields, body=body)


def arrived(asked):
    """By slot, what the origin got; the slots that have no token are empty."""
    field = lambda name: (asked.get(name) or "").encode("latin-1")
    whole, text = BODY.fullmatch(asked.body).groups() if asked.body else (b"", b"")
    basic = base64.b64decode(field("authorization").removeprefix(b"Basic ")).removeprefix(b"user:")
    url = asked.start.split(b" ")[1].partition(b"?k=")[2]
    return {"url": url, "header": field("x-key"), "basic": basic, "whole": whole, "text": text}


class Prober:
    """One thread's: its connections are its own. identities: all that ever were, a list that grows."""

    def __init__(self, house, identities, rng):
        self.house, self.timeline, self.identities, self.rng = house, house.timeline, identities, rng
        self.kept, self.tally = {}, collections.Counter()

    # --- what to ask ----------------------------------------------------------------------------------------

    def random(self, focus=None):
        """focus: an identity to ask as."""
        rng = self.rng
        world = self.timeline.now
        live = [one for one in self.identities[-60:] if one.name in world.sandboxes]
        me = focus or rng.choice(live if live and rng.random() < 0.8 else self.identities[-30:])
        zone, address = rng.choice(me.homes)
        if me.name in world.sandboxes and rng.random() < 0.9:
            mine = world.sandboxes[me.name]
            zone, address = mine.zone, rng.choice(mine.addresses)
        other = rng.choice(self.identities)
        owner = next((s for s in world.sandboxes.values() if s.zone == zone and address in s.addresses), None)
        likely = [host for host in HOSTS if owner and owner.allows(host)] or HOSTS
        host = rng.choice(likely if rng.random() < 0.8 else HOSTS)
        strange = [b"osb_sealed_" + rng.randbytes(16).hex().encode()]
        tokens = {}
        for slot in rng.sample(sorted(SLOTS), rng.choice((1, 1, 2, 3, 5))):
            whose = rng.choices((me.tokens, other.tokens, strange), (16, 2, 1))[0]
            tokens[slot] = rng.choice(sorted(whose) or strange)
        return me, Probe(me.ca, zone, address, host, tokens)

    # --- asking ---------------------------------------------------------------------------------------------

    def once(self, focus=None):
        """One request, on a kept connection if there is one and the dice say so; raises Differs."""
        if not self.identities:
            return
        me, probe = self.random(focus)
        key = (me.name, probe.zone, probe.address, probe.host)
        client, opened = self.kept.pop(key, (None, None)) if self.rng.random() < 0.7 else (None, None)
        end = "gone"
        if client:
            end = self.exchange(client, probe, opened, key)
            if end == "gone":
                self.see_may_end(probe, opened, client)
        if end == "gone":
            first = Moment()
            client = self.connect(me, probe)
            end = (
                self.exchange(client, probe, first, key, fresh=True)
                if client
                else self.judge(probe, first, "other CA")
            )
        self.tally[end] += 1

    def connect(self, me, probe):
        """None: the leaf is of another CA than the sandbox knows."""
        port = self.house.proxies[probe.zone].port
        try:
            return Client(("127.0.0.1", port), probe.address, probe.host, me.context, seconds=SECONDS)
        except ssl.SSLCertVerificationError:
            return None

    def exchange(self, client, probe, opened, key, fresh=False):
        """Gives the end, judged; "gone", not judged: a kept connection was over before it was asked."""
        first, before = opened if fresh else Moment(), len(client.octets)
        path = b"/live/%d" % next(numbers)
        answer = client.ask(octets_of(probe, path)) if client.shaken else None
        _, asked = self.house.origin.fetch(path)
        if client.closed and (client.closed == "timeout" or client.closed.startswith("alert")):
            end = client.closed
        elif answer is None and not fresh and len(client.octets) == before:
            client.end()
            return "gone"
        elif answer is None or not answer.complete:
            end = "reset"
        else:
            end = f"{answer.status} {answer.code}" if answer.code else f"{answer.status}"
        got = arrived(asked) if asked and end == "200" else {}
        self.judge(probe, first, end, got, bytes(client.octets[before:]))
        if client.closed is None and answer and (answer.get("connection") or "").lower() != "close":
            self.keep(key, client, opened)
        else:
            client.end()
        return end

    def keep(self, key, client, opened):
        if len(self.kept) >= KEPT_MOST:
            old, _ = self.kept.pop(self.rng.choice(sorted(self.kept)))
            old.end()
        if key in self.kept:
            self.kept.pop(key)[0].end()
        del client.octets[:]
        self.kept[key] = (client, opened)

    # --- judging --------------------------------------------------------------------------------------------

    def judge(self, probe, first, end, got=None, octets=b""):
        last = Moment()
        allowed, certain = self.timeline.allowed(probe, first, last)
        faults = allowed.faults(end, got or {})
        if certain and end == "200":
            faults += [
                f"{slot}: its value came back" for slot, said in got.items() if MARK in said and said in octets
            ]
        if faults:
            self.differ(probe, faults, first, last, f"end {end!r}, arrived {got}")
        return end

    def see_may_end(self, probe, opened, client):
        last = Moment()
        if not self.timeline.may_end(probe.zone, probe.address, opened, last):
            fault = f"a kept connection was ended ({client.closed}), though nothing had happened since it was opened"
            self.differ(probe, [fault], opened, last, "nothing")

    def differ(self, probe, faults, first, last, seen):
        owners = [f"may be: {owner}" for owner in self.timeline.owners(probe, first, last)]
        lines = [f"at {first.s:.3f} to {last.s:.3f}: {probe}", *owners, f"seen: {seen}", *faults]
        raise Differs("\n".join(lines))

    def end(self):
        for client, _ in self.kept.values():
            client.end()
        self.kept.clear()


class Asking(threading.Thread):
    """A prober that asks until it is told to end; differs: what it saw that must not be."""

    def __init__(self, prober, ended):
        super().__init__(daemon=True)
        self.prober, self.ended, self.differs = prober, ended, None

    def run(self):
        try:
            while not self.ended.wait(0.002):
                self.prober.once()
        except Exception as error:  # also of the prober's own making: a thread that ends unseen would find nothing
            self.differs = f"{type(error).__name__}: {error}" if not isinstance(error, Differs) else str(error)
            self.ended.set()
        self.prober.end()
