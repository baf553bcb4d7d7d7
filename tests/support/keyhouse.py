"""keyhouse - a house whose key file changes: what lies under which key, seen in Redis itself."""
import hashlib
import os
import re

from case import see, see_equal
from house import await_until
from load import LoadOrigin
from redishouse import RedisesHouse
from rehouse import Rehouse

ID_OCTETS, KEY_OCTETS = 8, 32
FILLERS = 12


class KeyHouse(Rehouse):
    """loaded: the sandboxes that a load asks for. Records are fetched for each request, so that none is missed."""

    kind_of_origin = LoadOrigin
    keep_watch, served, await_served, warm = (
        RedisesHouse.keep_watch,
        RedisesHouse.served,
        RedisesHouse.await_served,
        RedisesHouse.warm,
    )

    def __init__(self, build, lines=("cache_ttl = 1ms",)):
        super().__init__(build, lines)

    def furnish(self):
        os.chmod(self.folder, 0o700)
        super().furnish()
        self.store("L", "api.test", "echo.test")
        self.secret("L", "LOAD", "api.test")
        self.loaded = [self.sandbox(f"sbL{n}", f"127.0.2.{n + 1}", "L") for n in range(4)]
        for n in range(FILLERS):
            self.ctl("sandbox", "create", f"filler-{n}", "--ip", f"127.0.5.{n + 1}", "--store", "A", "--store", "B")

    # --- keys -----------------------------------------------------------------------------------------------

    def keys(self, path=None):
        """The ids of the key file's keys, in its order."""
        with open(path or self.key_file, "rb") as text:
            octets = text.read()
        see(octets and len(octets) % KEY_OCTETS == 0, f"a key file of {len(octets)} octets")
        whole = [octets[at : at + KEY_OCTETS] for at in range(0, len(octets), KEY_OCTETS)]
        return [hashlib.blake2b(key, digest_size=32).hexdigest()[: 2 * ID_OCTETS] for key in whole]

    def write_keys(self, octets, path=None):
        """By rename, as osbctl does."""
        path = path or self.key_file
        with open(os.open(path + ".test", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as out:
            out.write(octets)
        os.rename(path + ".test", path)

    def key_octets(self, path=None):
        with open(path or self.key_file, "rb") as text:
            return text.read()

    def records(self):
        return [key.decode() for key in self.redis("KEYS", "osb:*") if re.fullmatch(rb"osb:(store|sandbox):\{[^}]*\}", key)]

    def lying_under(self):
        """The ids of all keys that a box in Redis is under."""
        ids = set()
        for key in self.records():
            fields = self.redis.hash(key)
            ids |= {box[:ID_OCTETS].hex() for field, box in fields.items() if field != b"policy"}
        return ids

    def see_rotated(self, kept=None):
        """All under the first key of the file, and nothing is staged. kept: how many keys the file holds."""
        keys = self.keys()
        see_equal(self.lying_under(), {keys[0]}, "the keys that records lie under")
        see_equal(self.redis("GET", "osb:staged"), None, "osb:staged")
        if kept is not None:
            see_equal(len(keys), kept, "how many keys the file holds")

    def drop_old(self):
        """All keys but the first."""
        for key in self.keys()[1:]:
            self.ctl("key", "drop", key)

    def see_all_open(self):
        """osbctl reads every record; it says so of one that it can't."""
        done = self.ctl_done("sandbox", "list")
        see_equal((done.returncode, done.stderr), (0, b""), "the exit code and complaints of sandbox list")
        see_equal(len(done.stdout.splitlines()), len([key for key in self.records() if "sandbox" in key]), "the sandboxes")

    def await_log(self, proxy, *words):
        for word in words:
            await_until(lambda: word.encode() in proxy.proxy.said(), f"the log says {word!r}", 5)
