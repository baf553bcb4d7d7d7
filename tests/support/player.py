"""player - a program that says random requests and is also the host that they are for, and compares what arrives with what
the reference says. property.py starts several of them beside one proxy.

On its standard output: its hosts' ports as a line of JSON; then, for each line of JSON it is given, one that says the
failures. Both ends are in one process, so that each request is over before the next is made.
"""
import json
import random
import re
import sys
from types import SimpleNamespace

import h2client as h2
from client import Client, client_context
from h2client import H2Client
from h2origin import H2Origin
from origin import Origin
from reference import Reference, Sealed
from soup import Soup, cut

OURS = (b"host", b"content-length", b"transfer-encoding", b"connection", b"te", b"trailer", b"keep-alive")
KEPT_FAILURES, VIEW = 5, 60


class Differs(Exception):
    pass


def differ(got, want, what):
    if got == want:
        return
    if isinstance(got, bytes) and isinstance(want, bytes):
        at = next((n for n, (a, b) in enumerate(zip(got, want)) if a != b), min(len(got), len(want)))
        view = slice(max(0, at - VIEW), at + VIEW)
        raise Differs(
            f"{what}: {len(got)} octets, not {len(want)}; from {at} on:\n  got  {got[view]!r}\n  want {want[view]!r}"
        )
    raise Differs(f"{what}:\n  got  {got!r}\n  want {want!r}")


class H1Way:
    """A connection of HTTP/1.1 that stays open."""

    def __init__(self, job, host):
        self.client = Client(("127.0.0.1", job.port), job.address, host, client_context(job.ca_file), seconds=20)
        self.host, self.leaving = host.encode(), False

    def say(self, rng, sent, near):
        lines = [b"POST " + sent.target + b" HTTP/1.1", b"host: " + self.host]
        lines += [name + b": " + value for name, value in sent.fields]
        if sent.counted:
            lines += [b"content-length: %d" % len(sent.body)]
            tail = sent.body
        else:
            lines += [b"transfer-encoding: chunked"]
            parts = cut(rng, sent.body, 12, near)
            tail = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n"
            tail += b"".join(name + b": " + value + b"\r\n" for name, value in sent.trailers) + b"\r\n"
        head = b"\r\n".join(lines) + b"\r\n\r\n"
        records = cut(rng, head + tail, rng.choice((0, 0, 3, 12)), [len(head) + at for at in near])
        if rng.random() < 0.03:
            at = int(rng.random() * len(head + tail))
            octets = (head + tail)[at : at + 90]
            records = (
                [(head + tail)[:at]] + [octets[n : n + 1] for n in range(len(octets))] + [(head + tail)[at + 90 :]]
            )
        self.client.send(*records, wire=[rng.randrange(1, 80) for _ in range(rng.choice((0, 0, 1, 4)))])

    def answer(self):
        message = self.client.response()
        if message is None:
            raise Differs(f"no answer, but {self.client.closed}")
        self.leaving = self.client.closed or (message.get("connection") or "").lower() == "close"
        return message.status, message.code, message.complete


class H2Way:
    """A connection of HTTP/2: a stream for each request."""

    def __init__(self, job, host):
        self.client = H2Client(("127.0.0.1", job.port), job.address, host, job.ca_file, 20)
        self.host, self.number, self.left = host.encode(), -1, {0: 65535}
        take = self.client.take

        def note(kind, flags, stream, payload):
            if kind == h2.WINDOW_UPDATE and stream in self.left:
                self.left[stream] += int.from_bytes(payload, "big")
            take(kind, flags, stream, payload)

        self.client.take = note
        self.client.begin()
        self.client.until(lambda: self.client.settings)

    @property
    def leaving(self):
        return self.client.closed or self.client.goaway

    def say(self, rng, sent, near):
        self.number += 2
        self.left[self.number] = self.client.settings.get(h2.INITIAL_WINDOW_SIZE, 65535)
        fields = h2.pseudo(b"POST", sent.target, self.host) + sent.fields
        fields += [(b"content-length", b"%d" % len(sent.body))] if sent.counted else []
        frames, own_end = [h2.headers(self.number, fields, end=False)], sent.trailers or rng.random() < 0.3
        parts = cut(rng, sent.body, 12, near) or [b""]
        for n, part in enumerate(parts):
            pad = rng.choice((None, None, None, 0, 9))
            for at in range(0, max(len(part), 1), 16000):
                piece, last = part[at : at + 16000], n == len(parts) - 1 and at + 16000 >= len(part)
                if not self.credit(len(piece) + (0 if pad is None else pad + 1), frames):
                    return
                frames.append(h2.data(self.number, piece, last and not own_end, pad))
        if sent.trailers:
            frames.append(h2.headers(self.number, sent.trailers, end=True))
        elif own_end:
            frames.append(h2.data(self.number, end=True))
        self.go(rng, frames)

    def credit(self, octets, frames):
        """Wait until so much may be said; what is said before must be out by then. False: no more is wanted."""
        while min(self.left[0], self.left[self.number]) < octets:
            self.client.send(b"".join(frames))
            frames.clear()
            if self.client.stream(self.number).reset is not None or self.client.next() is None:
                return False
        self.left[0] -= octets
        self.left[self.number] -= octets
        return True

    def go(self, rng, frames):
        octets = b"".join(frames)
        self.client.send(
            *cut(rng, octets, rng.choice((0, 0, 3, 12))),
            wire=[rng.randrange(1, 80) for _ in range(rng.choice((0, 0, 1, 4)))],
        )

    def answer(self):
        stream = self.client.answer(self.number)
        del self.left[self.number], self.client.streams[self.number]
        if stream.status == 0:
            raise Differs(f"no answer, but {self.client.closed or f'RST_STREAM {stream.reset}'}")
        return stream.status, stream.code, stream.ended


class Player:
    def __init__(self, cert, number):
        self.origins = {f"h1-{number}.test": Origin(cert), f"h2-{number}.test": H2Origin(cert)}
        self.ways = {}

    def begin(self, job):
        self.job = job
        self.tokens = {name: token.encode() for name, token in job.tokens.items()}
        self.job_values = {name: bytes.fromhex(value) for name, value in job.values.items()}
        self.references = {}
        for host in self.origins:
            sealed = [
                Sealed(self.tokens[name], value, [host] if job.here[name] else [], job.places[name])
                for name, value in self.job_values.items()
            ]
            self.references[host] = Reference(sealed, host, job.spool)

    def way(self, rng, kind, host):
        """A connection that stays open, but is now and then a new one."""
        way = self.ways.get((kind, host))
        if way is None or way.leaving or rng.random() < 0.01:
            if way:
                way.client.end()
            way = self.ways[kind, host] = kind(self.job, host)
            if not way.client.shaken:
                raise Differs(f"the handshake ended with {way.client.closed}")
        return way

    def play(self, number):
        """One case; raises Differs."""
        rng = random.Random(f"{self.job.seed}:{number}")
        kind = H2Way if rng.random() < 0.3 else H1Way
        host = list(self.origins)[1 if rng.random() < 0.15 else 0]
        origin, sent = self.origins[host], Soup(rng, self.tokens, self.job.spool + rng.randrange(1, 99999)).sent()
        near = [hit.start() for hit in re.finditer(b"osb_", sent.body)][:40]
        want, way = self.references[host].arrives(sent), self.way(rng, kind, host)
        came = len(origin.requests)
        try:
            way.say(rng, sent, near)
            status, code, complete = way.answer()
            if (want.grown or 0) > self.job.spool:
                differ(
                    (status, code, len(origin.requests)), (413, "too_large", came), "what becomes of too many values"
                )
                return
            differ((status, code, complete), (200, None, True), "status, code and whether the answer is whole")
            differ(len(origin.requests), came + 1, "requests at the host")
            self.compare(sent, want, origin.requests[-1])
            for name, value in self.job_values.items():
                if len(value) >= 16 and value in way.client.octets:
                    raise Differs(f"the value of {name} came back")
        except Differs:
            way.client.end()
            del self.ways[kind, host]
            raise
        finally:
            way.client.octets.clear()
            self.forget(origin)

    @staticmethod
    def forget(origin):
        with origin.changed:
            origin.arrived.clear()
            origin.connections = [connection for connection in origin.connections if not connection.gone]
            for connection in origin.connections:
                connection.octets.clear()
                connection.requests.clear()
                streams = connection.session.streams if hasattr(connection, "session") else {}
                for number in [number for number, request in streams.items() if request.complete]:
                    del streams[number]
            if hasattr(origin, "begun"):
                origin.begun.clear()

    @staticmethod
    def compare(sent, want, seen):
        differ(seen.body, want.body, "the body")
        differ(seen.start.split(b" ")[:2], [b"POST", want.target], "method and target")
        differ([(n, v) for n, v in seen.fields if n.lower() not in OURS], want.fields, "the fields")
        differ(seen.trailers, want.trailers, "the trailers")
        if sent.counted:
            differ(seen.all("content-length"), [b"%d" % len(want.body)], "Content-Length")
        elif not sent.coding:
            differ(seen.all("content-length"), [], "Content-Length of a body without a length")


def main():
    chain, key, number = sys.argv[1:]
    player = Player(SimpleNamespace(chain=chain, key=key), number)
    print(json.dumps({host: origin.port for host, origin in player.origins.items()}), flush=True)
    job = SimpleNamespace(**json.loads(sys.stdin.readline()))
    player.begin(job)
    failures, count = [], 0
    for number in range(job.first, job.last, job.step):
        try:
            player.play(number)
        except Differs as saw:
            failures.append(f"--seed {job.seed} --case {number}: {saw}")
        except Exception as error:  # of the test's own: it must go on, and say so
            failures.append(f"--seed {job.seed} --case {number}: {type(error).__name__}: {error}")
        count += 1
        if len(failures) >= KEPT_FAILURES:
            break
    for way in player.ways.values():
        way.client.end()
    print(json.dumps({"count": count, "failures": failures}), flush=True)
    for origin in player.origins.values():
        origin.close()


if __name__ == "__main__":
    main()
