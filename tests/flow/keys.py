"""keys - the operator's keys change under load: staged, rotated, killed half-way, dropped, lost; no request ever fails."""
import fcntl
import itertools
import os
import resource
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from case import Bench, see, see_equal
from cutter import Cutter
from house import await_until
from keyhouse import KeyHouse
from load import Load
from neighbour import Neighbour
from redishouse import see_said
from rehouse import rehouse_last

bench = Bench()


# --- the key file ------------------------------------------------------------------------------------------------


@bench.case(
    "a key file that is not the owner's alone, or not whole keys, is refused by osbctl and by the proxy",
    [
        ("its group may read it", lambda path: os.chmod(path, 0o640), "chmod 600"),
        ("others may read it", lambda path: os.chmod(path, 0o604), "chmod 600"),
        ("it is empty", lambda path: os.truncate(path, 0), "empty"),
        ("an octet is missing", lambda path: os.truncate(path, 31), "whole number"),
        ("it is gone", os.unlink, "no key file"),
    ],
)
def refused(house, spoil, says):
    kept = house.key_octets()
    spoil(house.key_file)
    try:
        for words in (("sandbox", "list"), ("key", "rotate"), ("key", "list")):
            see(house.key_file in see_said(house.ctl_done(*words), 1, says), "the file is not named")
        started = subprocess.run(
            [f"{house.build}/osb-proxy", "-c", house.config_file, "--check"], capture_output=True, timeout=30
        )
        see(started.returncode != 0, "osb-proxy --check finds nothing")
    finally:
        house.write_keys(kept)


@bench.case("one osbctl at a time is at work on a key file")
def alone(house):
    folder = os.open(os.path.dirname(house.key_file), os.O_RDONLY)
    fcntl.flock(folder, fcntl.LOCK_EX)
    before = house.key_octets()
    try:
        for words in (("key", "rotate"), ("key", "rotate", "--stage"), ("key", "drop", "0" * 16)):
            see_said(house.ctl_done(*words), 1, "another osbctl is at work")
        house.ctl("key", "list")
    finally:
        os.close(folder)
    see_equal(house.key_octets(), before, "the key file")
    see_equal(house.redis("GET", "osb:staged"), None, "osb:staged")


@bench.case("its owner and mode stay, a link to it stays a link, and what a dead command left beside it is swept up")
def file_kept(house):
    link = house.key_file + ".link"
    os.symlink(house.key_file, link)
    with open(house.key_file + ".new", "wb") as out:
        out.write(b"half a key")
    if os.geteuid() == 0:
        os.chown(house.key_file, 12345, 23456)
    os.chmod(house.key_file, 0o400)
    before = os.stat(house.key_file)
    kept, house.key_file = house.key_file, link
    try:
        house.ctl("key", "rotate")
    finally:
        house.key_file = kept
    after = os.stat(house.key_file)
    see_equal((after.st_uid, after.st_gid, after.st_mode), (before.st_uid, before.st_gid, before.st_mode), "its rights")
    see(os.path.islink(link), "the link has become a file")
    see(not os.path.exists(house.key_file + ".new"), "the half file is still there")
    os.unlink(link)
    if os.geteuid() == 0:
        os.chown(house.key_file, 0, 0)
    os.chmod(house.key_file, 0o600)
    house.see_rotated(2)
    house.drop_old()


@bench.case(
    "where the key file can't be written whole it stays as it was, and a second try completes the rotation",
    [("the command dies within it", True, -signal.SIGXFSZ), ("the disk is full", False, 1)],
)
def file_whole(house, dies, code):
    """A limit on a file's size stands for a full disk, or, where its signal is not ignored, for a kill."""
    before = house.key_octets()
    done = subprocess.run(
        [f"{house.build}/osbctl", *house.ctl_options(), "key", "rotate"],
        capture_output=True,
        timeout=30,
        restore_signals=dies,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (40, 40)),
    )
    see_equal(done.returncode, code, f"the exit code (it said {done.stderr!r})")
    see(dies or house.key_file.encode() in done.stderr, f"it said {done.stderr!r}")
    see_equal(house.key_octets(), before, "the key file")
    see_equal(os.path.exists(house.key_file + ".new"), dies, "whether something lies beside it")
    house.see_all_open()
    house.ctl("key", "rotate")
    house.see_rotated(2)
    see(not os.path.exists(house.key_file + ".new"), "something still lies beside it")
    house.drop_old()


@bench.case("keys that may not go stay: the first, one that something lies under, one that the file does not hold")
def drop_refused(house):
    first = house.keys()[0]
    before = house.key_octets()
    see_said(house.ctl_done("key", "drop", first), 4, f"key {first} seals")
    see_said(house.ctl_done("key", "drop", "0123456789abcdef"), 3, "holds no key 0123456789abcdef")
    see_said(house.ctl_done("key", "drop", first.upper()), 3, "holds no key")
    house.write_keys(os.urandom(32) + before)
    see_said(house.ctl_done("key", "drop", first), 4, rf"[1-9]\d* stores and sandboxes lie under key {first}")
    house.write_keys(before + b"".join(os.urandom(32) for _ in range(15)))
    for words in (("key", "rotate"), ("key", "rotate", "--stage")):
        see_said(house.ctl_done(*words), 4, "16 keys already")
    see_equal(len(house.keys()), 16, "how many keys the file holds")
    house.drop_old()
    see_equal(house.key_octets(), before, "the key file at the end")


@bench.case(
    "a record that does not open may lie under a key: that key stays",
    [("its tag is altered", b"tag"), ("it has no tag", None)],
)
def drop_unreadable(house, field):
    first = house.keys()[0]
    key, kept = "osb:sandbox:{filler-0}", house.redis.hash("osb:sandbox:{filler-0}")
    house.write_keys(os.urandom(32) + house.key_octets())
    try:
        house.ctl("key", "rotate", code=0)
        altered = bytearray(house.redis.hash(key)[b"tag"])
        altered[-1] ^= 1
        house.redis("HSET", key, "tag", bytes(altered)) if field else house.redis("HDEL", key, "tag")
        see_said(house.ctl_done("key", "drop", first), 1, "sandbox filler-0")
        see(first in house.keys(), "the key is gone")
        see_said(house.ctl_done("key", "rotate"), 1, "sandbox filler-0")
        see(house.redis("GET", "osb:staged") is not None, "the rotation counts as done")
    finally:
        house.redis("DEL", key)
        house.redis("HSET", key, *(octets for pair in kept.items() for octets in pair))
    house.ctl("key", "rotate")  # that one, to its end
    house.see_rotated()
    house.drop_old()


# --- rotation under load -----------------------------------------------------------------------------------------


@bench.case("rotated again and again under load, while osbctl changes things: not one request fails, nor an osbctl")
def under_load(house):
    with Load(house) as load:
        load.steady(5)
        for _ in range(4):  # each within a second of the one before: a proxy that read the file just now reads it again
            before = house.keys()
            house.ctl("key", "rotate")
            see_equal(house.keys()[1:], before, "the keys behind the new one")
        load.steady(5)
    see(not load.unserved, f"requests failed: {load.unserved[:3]}")
    see_equal(load.refusals, 0, "how many osbctl failed")
    house.see_all_open()
    house.ctl("key", "rotate")  # with nobody else at work: all of it lies under the first
    house.see_rotated(6)
    with Load(house) as load:
        house.drop_old()
        house.see_rotated(1)
        load.steady(5)
    see(not load.unserved, f"requests failed: {load.unserved[:3]}")


@bench.case("a command that waits while the keys are rotated seals by the new key")
def waiting(house):
    waiting = subprocess.Popen(
        [f"{house.build}/osbctl", *house.ctl_options(), "secret", "set", "B", "S3", "--value-file", "-"],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    name = f"/proc/{waiting.pid}/wchan"
    await_until(lambda: b"pipe" in open(name, "rb").read(), "osbctl waits for the value")
    house.ctl("key", "rotate")
    value = b"canary-S3-after-the-rotation"
    house.keep_watch("S3", value)
    _, said = waiting.communicate(value, timeout=20)
    see_equal(waiting.returncode, 0, f"the exit code (it said {said!r})")
    house.see_rotated(2)
    house.drop_old()


# --- two hosts ---------------------------------------------------------------------------------------------------


class OtherHost(Neighbour):
    """With a key file of its own, a copy."""

    keep_watch, served, await_served = KeyHouse.keep_watch, KeyHouse.served, KeyHouse.await_served

    def __init__(self, house):
        super().__init__(house, house.always)
        self.loaded = house.loaded
        os.mkdir(f"{self.folder}/keys", 0o700)
        self.key_file = f"{self.folder}/keys/key"
        self.copy_keys()

    def copy_keys(self, in_place=False):
        if in_place:  # as cp does: there is a moment without a whole key in it
            with open(self.key_file, "wb") as out:
                out.write(self.house.key_octets())
        else:
            self.house.write_keys(self.house.key_octets(), self.key_file)

    def end(self):
        for _, check in self.final():
            check()


@bench.case("staged, copied to the other host, rotated: both serve on, and the old key goes when all is done")
def staged(house):
    with OtherHost(house) as other:
        old = house.keys()[0]
        here, there = Load(house), Load(other, changes=False)
        there.history, there.numbers = here.history, itertools.count(10**6)  # one origin, one secret
        with here, there:
            here.steady(5)
            new = house.ctl("key", "rotate", "--stage").strip()
            see_equal(house.keys(), [old, new], "the key file after staging")
            see_equal(house.ctl("key", "rotate", "--stage").strip(), new, "the key that is staged a second time")
            see_equal(house.lying_under(), {old}, "what records lie under after staging")
            listed = [line.split("\t")[:2] for line in house.ctl("key", "list").splitlines()]
            see_equal(listed, [[old, "seals"], [new, "staged"]], "key list")
            see_said(house.ctl_done("key", "drop", old), 4, "seals")
            other.copy_keys(in_place=True)
            here.steady(5)
            see_equal(house.ctl("key", "rotate").strip(), new, "the key that seals now")
            there.steady(5)
            here.steady(5)
            other.copy_keys()
            house.ctl("key", "rotate", "--stage")  # and another, whose marker must not be taken for the first one's
            see_equal(len(house.keys()), 3, "how many keys the file holds")
            house.ctl("key", "drop", house.keys()[2])
            there.steady(5)
        see(not here.unserved and not there.unserved, f"failed: {here.unserved[:3]}, {there.unserved[:3]}")
        see_equal(here.refusals, 0, "how many osbctl failed")
        house.ctl("key", "drop", old)
        other.ctl("key", "drop", old)
        for proxy in (house, other):
            see(proxy.served(proxy.loaded[0]), "it does not serve on")
        house.see_rotated(1)
        other.end()


@bench.case(
    "a host that lacks the key says which, and from which file, and serves as soon as it has it",
    [("copied by rename", False), ("copied in place", True)],
)
def lacks(house, in_place):
    with OtherHost(house) as other:
        see(other.served(other.loaded[0]), "the other host does not serve before")
        house.ctl("key", "rotate")
        new = house.keys()[0]
        await_until(lambda: not other.served(other.loaded[0]), "the other host refuses what it can't open")
        see(house.served(house.loaded[0]), "the first host does not serve")
        house.await_log(other, f'key="{new}"', f'file="{other.key_file}"', f'sandbox="{other.loaded[0].name}"')
        for words in (("sandbox", "get", "sbL0"), ("sandbox", "list"), ("store", "list")):
            see_said(other.ctl_done(*words), 1, f"key {new}.*{other.key_file}")
        said = see_said(other.ctl_done("secret", "set", "L", "LOAD", "--value-file", "-", octets=b"x" * 20), 1, new)
        see("x" * 20 not in said, "the value is in the message")
        other.copy_keys(in_place)
        began = time.monotonic()
        other.await_served(other.loaded[0], 3)
        see(time.monotonic() - began < 1.5, "it took longer than a second")
        other.ctl("sandbox", "list")
        other.end()
    house.drop_old()


@bench.case("with another key file altogether nothing is served, and both programs name the key that is missing")
def wrong(house):
    with OtherHost(house) as other:
        house.write_keys(os.urandom(32), other.key_file)
        other.again()
        need = house.keys()[0]
        see(not other.served(other.loaded[0]), "it is served under a wrong key")
        house.await_log(other, f'key="{need}"', f'file="{other.key_file}"')
        see_said(other.ctl_done("sandbox", "env", "sbL0"), 1, f"key {need}.*{other.key_file}")
        see_said(other.ctl_done("key", "rotate"), 1, f"key {need}")
        other.copy_keys()
        other.await_served(other.loaded[0], 3)
        other.end()
    house.redis("DEL", "osb:staged")


# --- interrupted -------------------------------------------------------------------------------------------------


POINTS = [
    (f"{how}, {counted or 'command'} {at}, {'behind' if behind else 'before'} it", how, counted, at, behind)
    for how, counted, at, behind in [
        ("kill", None, 2, False),
        ("kill", None, 4, True),
        ("kill", (b"SET",), 1, False),
        ("kill", (b"SET",), 1, True),
        ("kill", (b"HVALS",), 1, False),
        ("kill", (b"EVAL",), 1, False),
        ("kill", (b"EVAL",), 1, True),
        ("cut", (b"EVAL",), 4, True),
        ("kill", (b"EVAL",), 7, False),
        ("cut", (b"EVAL",), 15, False),
        ("kill", (b"ZSCAN",), 2, False),
        ("cut", (b"DEL",), 1, False),
        ("kill", (b"DEL",), 1, False),
        ("kill", (b"DEL",), 1, True),
    ]
]


@bench.case("a rotation that is interrupted anywhere is completed by running it again; all is readable all the time", POINTS)
def interrupted(house, how, counted, at, behind):
    old = house.keys()[0]
    cutter = Cutter(house.redis_socket, house.folder)
    try:
        with Load(house, changes=False) as load:
            cutter.arm(at, how, behind, counted)
            options = ["--redis", f"unix:{cutter.path}", "--key-file", house.key_file]
            code, _, said = cutter.run([f"{house.build}/osbctl", *options, "key", "rotate"])
            see(cutter.fired, f"it was not interrupted: {cutter.commands}")
            see_equal(code, -9 if how == "kill" else 1, f"the exit code (it said {said!r})")
            house.see_all_open()
            load.steady(3)
            if old in house.lying_under() and house.keys()[0] != old:
                see_said(house.ctl_done("key", "drop", old), 4, f"lie under key {old}")
            house.ctl("key", "rotate")
            house.see_rotated()
            see(old != house.keys()[0], "the old key seals")
            house.see_all_open()
            house.drop_old()
            load.steady(3)
        see(not load.unserved, f"requests failed: {load.unserved[:3]}")
    finally:
        cutter.close()
        os.unlink(cutter.path)


# --- who may say that a key is staged ----------------------------------------------------------------------------


@bench.case("a key that was staged elsewhere and is not held is named, and can be forgotten")
def staged_elsewhere(house):
    kept = house.key_octets()
    new = house.ctl("key", "rotate", "--stage").strip()
    house.write_keys(kept)
    for words in (("key", "rotate"), ("key", "rotate", "--stage"), ("key", "list")):
        see_said(house.ctl_done(*words), 1, f"key {new} is staged, and {house.key_file} does not hold it")
    see_equal(house.key_octets(), kept, "the key file")
    house.ctl("key", "drop", new)
    see_equal(house.redis("GET", "osb:staged"), None, "osb:staged")
    house.ctl("key", "rotate")
    house.see_rotated(2)
    house.drop_old()


@bench.case(
    "what somebody else writes into osb:staged rotates nothing",
    [
        ("noise", lambda old, first: os.urandom(48)),
        ("nothing", lambda old, first: b""),
        ("long noise", lambda old, first: os.urandom(100000)),
        ("a key's id and noise", lambda old, first: bytes.fromhex(first) + os.urandom(40)),
        ("the marker of an earlier rotation", lambda old, first: old),
    ],
)
def staged_forged(house, make):
    house.ctl("key", "rotate", "--stage")
    old = house.redis("GET", "osb:staged")
    house.ctl("key", "rotate")
    house.ctl("key", "rotate")
    before = house.key_octets()
    house.redis("SET", "osb:staged", make(old, house.keys()[0]))
    try:
        for words in (("key", "rotate"), ("key", "rotate", "--stage")):
            see_said(house.ctl_done(*words), 1, "staged")
        see_equal(house.key_octets(), before, "the key file")
        house.see_all_open()
    finally:
        house.redis("DEL", "osb:staged")
    house.drop_old()


rehouse_last(bench)
bench.run(KeyHouse)
