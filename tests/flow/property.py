"""property - S03 S13: for random requests of any kind, framing, coding and cut, what arrives is what the reference says.

  property.py BUILD_DIR [--seed N] [--case M]      OSB_CASES: how many (10,000)
"""
import json
import os
import random
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from case import Bench, see, short
from house import House, die_with_us

PLAYERS = 3
MEMORY, SPOOL = 16 << 10, 1 << 20  # small, so that some bodies are longer than each
CASES = int(os.environ.get("OSB_CASES", "10000"))


def option(name, otherwise):
    """A word of our own, taken out of the command line."""
    if name not in sys.argv:
        return otherwise
    at = sys.argv.index(name)
    word = int(sys.argv[at + 1])
    del sys.argv[at : at + 2]
    return word


SEED = option("--seed", int.from_bytes(os.urandom(4), "big"))
ONE = option("--case", None)
bench = Bench()
PEM = b"-----BEGIN PRIVATE KEY-----\n%s\n%s\n-----END PRIVATE KEY-----\n"


def printable(rng, count):
    return bytes(rng.choice(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789") for _ in range(count))


def secrets_of(seed):
    """name: (value, places, whether the hosts of the test may have it). The empty places are the default."""
    rng = random.Random(seed)
    return {
        "PLAIN": (b"sk-" + printable(rng, 40), (), True),
        "SIGNS": (b"a\"b\\c<d>&e='f'/g+h%20 i;\xc3\xa9\xff" + printable(rng, 8), ("header", "body", "url"), True),
        "PEM": (PEM % (printable(rng, 64), printable(rng, 50)), ("body", "field"), True),
        "CONTROLS": (bytes(range(32)) + b"\x7f\x80" + printable(rng, 4), ("body",), True),
        "FIELD": (b'f"' + printable(rng, 24), ("field",), True),
        "HEADER": (b"h-" + printable(rng, 24), ("header",), True),
        "BASIC": (b"b:" + printable(rng, 24), ("basic",), True),
        "URL": (b"u/?&" + printable(rng, 24), ("url", "field"), True),
        "ELSEWHERE": (b"e-" + printable(rng, 24), (), False),
        "MARK": (b"osb_sealed_", (), True),
        "HALF": (b"osb_sealed_" + printable(rng, 8) + b" osb_sealed_0123456789abcdef", (), True),
        "LONG": (printable(rng, 5000) + b'"\n' + printable(rng, 3000), ("body",), True),
        "ONE": (b'"', ("body", "field"), True),
    }


class PropertyHouse(House):
    """Hosts and clients are programs of their own: a player has two hosts, one of each version."""

    def furnish(self):
        self.secrets_here = secrets_of(SEED)
        self.hosts = [f"h{version}-{n}.test" for n in range(PLAYERS) for version in (1, 2)]
        self.store("A", "api.test", *self.hosts)
        self.store("B", "api.test", *self.hosts)
        for name, (value, places, here) in self.secrets_here.items():
            self.secret("A", name, *(self.hosts if here else ["api.test"]), value=value, places=places)
        self.secret("B", "FOREIGN", *self.hosts)
        self.a = self.sandbox("sbA", "127.0.0.2", "A")
        self.b = self.sandbox("sbB", "127.0.0.3", "B")
        self.config += [f"body_memory = {MEMORY}", f"body_spool = {SPOOL}"]
        self.begin_players()

    def begin_players(self):
        cert = self.pki.leaf(self.root, *(f"DNS:{host}" for host in self.hosts))
        player = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support", "player.py")
        self.players = [
            subprocess.Popen(
                [sys.executable, player, cert.chain, cert.key, str(n)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                preexec_fn=die_with_us,
            )
            for n in range(PLAYERS)
        ]
        for player in self.players:
            for host, port in json.loads(player.stdout.readline()).items():
                self.config.append(f"connect_to = {host}:443=127.0.0.1:{port}")

    def job(self, first, last, step):
        tokens = {name: token.decode() for name, token in self.a.tokens.items()}
        tokens["FOREIGN"] = self.b.tokens["FOREIGN"].decode()
        here = self.secrets_here
        return {
            "port": self.port,
            "address": self.a.address,
            "ca_file": self.a.ca_file,
            "tokens": tokens,
            "values": {name: value.hex() for name, (value, _, _) in here.items()},
            "places": {name: places or ("header", "basic", "body") for name, (_, places, _) in here.items()},
            "here": {name: is_here for name, (_, _, is_here) in here.items()},
            "spool": SPOOL,
            "seed": SEED,
            "first": first,
            "last": last,
            "step": step,
        }

    def play(self):
        """Every player its share; gives how many cases there were, and the failures."""
        jobs = (
            [self.job(ONE, ONE + 1, 1)] if ONE is not None else [self.job(n, CASES, PLAYERS) for n in range(PLAYERS)]
        )
        for player, job in zip(self.players, jobs):
            player.stdin.write(json.dumps(job).encode() + b"\n")
            player.stdin.flush()
        said = [player.stdout.readline() for player, _ in zip(self.players, jobs)]
        see(all(said), "a player left without a word")
        said = [json.loads(line) for line in said]
        return sum(one["count"] for one in said), [text for one in said for text in one["failures"]]

    def __exit__(self, *how):
        for player in getattr(self, "players", ()):
            player.kill()
            player.wait()
            player.stdin.close()
            player.stdout.close()
        super().__exit__(*how)


@bench.case(f"S03 random requests arrive as the reference says (seed {SEED})")
def arrives(house):
    count, failures = house.play()
    print(f"note  seed {SEED}: {count} requests, {len(failures)} wrong", flush=True)
    for text in failures:
        print(f"FAIL  {text}", flush=True)
    see(
        not failures,
        f"{len(failures)} of {count} are wrong, the first: {short(failures[0], 300) if failures else ''}",
    )
    if count > 10 * 10000:
        os.truncate(house.audit_file, 0)  # what is checked at the end is read at once
    see(count == (1 if ONE is not None else CASES), f"only {count} requests were made")


bench.run(PropertyHouse)
