"""backups - what osbctl backup wrote comes back whole: same tokens, CA and values; nothing that is there is undone.

Each row begins with the fixture, and ends with it: a backup of the whole Redis is put back where a row emptied it.
"""
import itertools
import json
import os
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from case import Bench, see, see_equal, short
from cutter import Cutter
from house import await_until, request
from keyhouse import KeyHouse
from load import Load
from redishouse import see_said
from rehouse import rehouse_last

bench = Bench()


class BackupHouse(KeyHouse):
    def backup(self):
        done = self.ctl_done("backup")
        see_equal((done.returncode, done.stderr), (0, b""), "the exit code and complaints of backup")
        self.see_absent(done.stdout, "a backup")
        return done.stdout

    def restore(self, octets, **numbers):
        """What it says that it did; numbers: what it must say, 0 where nothing else is asked."""
        done = self.ctl_done("--json", "restore", octets=octets)
        see(done.returncode == 0, f"restore left with {done.returncode}: {short(done.stderr, 400)}")
        if numbers:
            want = dict.fromkeys(("stores", "sandboxes", "kept", "expired", "refused"), 0) | numbers
            see_equal(json.loads(done.stdout), want, "what restore did")

    def empty(self):
        self.redis("FLUSHALL")

    def state(self):
        """All that Redis holds but for what each write draws anew: tags, boxes, versions."""
        found = {}
        for key in sorted(self.redis("KEYS", "*")):
            kind = self.redis("TYPE", key)
            if kind == b"string":
                found[key] = self.redis("GET", key)
            elif kind == b"zset":
                found[key] = self.redis("ZRANGE", key, "0", "-1", "WITHSCORES")
            elif key == b"osb:stores":
                found[key] = self.redis.hash(key)
            else:
                fields = self.redis.hash(key)
                policy = json.loads(fields[b"policy"])
                del policy["version"]
                found[key] = (policy, sorted(fields))
            found[key, "ends"] = self.redis("PEXPIRETIME", key)
        return found

    def sent(self, sandbox, token="LOAD"):
        """The value that a request of this sandbox has at its host."""
        path = f"/load/sent-{os.urandom(4).hex()}"
        answer = self.ask(sandbox, "api.test", request("GET", path, "api.test", b"X-Key: " + sandbox.tokens[token]))
        see_equal(answer.status, 200, "the status")
        return self.origin.told.pop(path)[1].encode()

    def await_sent(self, sandbox, value):
        await_until(lambda: self.sent(sandbox) == value, f"{sandbox.name} sends {value.decode()}", 3)

    def rotate(self):
        return self.secret("L", "LOAD", "api.test").value


def see_same(now, before):
    for key in sorted(set(now) | set(before), key=str):
        see_equal(now.get(key), before.get(key), f"{key} in Redis")


def kept(function):
    """The row may do to Redis and to the key file what it likes: both are put back."""

    def run(house, *more):
        keys, before = house.key_octets(), house.backup()
        value, secrets = house.value("LOAD"), len(house.secrets)
        try:
            function(house, *more)
        finally:
            house.write_keys(keys)
            house.empty()
            house.restore(before)
            for sandbox in (house.a, house.b, *house.loaded):
                house.await_served(sandbox)
            house.await_sent(house.loaded[0], value)
            house.secrets.append(next(s for s in house.secrets[:secrets] if s.value == value))

    return run


# --- back -------------------------------------------------------------------------------------------------------


@bench.case("backup, FLUSHALL, restore: the same names, tokens, CA, addresses, ends and values; a proxy takes them at once")
@kept
def whole(house):
    house.ctl("sandbox", "create", "ending", "--ip", "127.0.6.1", "--ip", "fd00::1", "--store", "L", "--ttl", "5000")
    before, octets, count = house.state(), house.backup(), len(house.records())
    value = house.value("LOAD")
    newer = house.rotate()  # which the workers see: what comes back must be newer still
    house.await_sent(house.loaded[0], newer)
    house.ctl("store", "update", "A", "--egress-allow", "api.test")
    house.empty()
    await_until(lambda: not house.served(house.loaded[0]), "nothing is served from an empty Redis")
    house.restore(octets, stores=3, sandboxes=count - 3)
    see_same(house.state(), before)
    for sandbox in (house.a, house.b, *house.loaded):
        see(house.served(sandbox), f"{sandbox.name} is not served at once, under the CA and the address that it had")
        see(all(token in house.ctl("sandbox", "env", sandbox.name).encode() for token in sandbox.tokens.values()), "a token")
    see_equal(house.sent(house.loaded[0]), value, "the value that is sent")
    house.restore(octets, kept=count)
    see_same(house.state(), before)
    value = house.rotate()  # the index and the sets are whole: a change reaches every sandbox
    for sandbox in house.loaded:
        see_equal(house.sent(sandbox), value, "the value that is sent after a rotation")


@bench.case("what is there stays as it is: a value that was rotated after the backup, a list that was made narrower")
@kept
def stays(house):
    octets, count = house.backup(), len(house.records())
    value = house.rotate()
    house.ctl("store", "update", "A", "--egress-allow", "api.test")
    house.ctl("sandbox", "create", "later", "--ip", "127.0.6.1", "--store", "L")
    before = house.redis.dump()
    house.restore(octets, kept=count)
    see_equal(house.redis.dump() == before, True, "whether Redis holds what it held")
    see_equal(house.sent(house.loaded[0]), value, "the value that is sent")


@bench.case("a sandbox that comes back to stores that went on gets what they say now, not what it had")
@kept
def caught_up(house):
    octets, count = house.backup(), len(house.records())
    value = house.rotate()
    house.ctl("store", "update", "L", "--egress-allow", "api.test")
    house.ctl("sandbox", "delete", "sbL0")
    house.ctl("sandbox", "delete", "filler-0")
    house.restore(octets, sandboxes=2, kept=count - 2)
    see_equal(house.sent(house.loaded[0]), value, "the value that is sent")
    answer = house.get(house.loaded[0], "echo.test")
    see_equal((answer.status, answer.code), (403, "host_not_allowed"), "a host that its store has lost")


@bench.case("restored under load what is there is served on: not one request fails")
@kept
def under_load(house):
    octets = house.backup()
    with Load(house, changes=False) as load:
        load.steady(5)
        for number in range(4):
            house.ctl("sandbox", "delete", f"filler-{number}")
        house.restore(octets)
        house.backup()
        load.steady(5)
    see(not load.unserved, f"requests failed: {load.unserved[:3]}")


@bench.case("what expired since is left out; what may not come back is named, and does not keep the rest away")
@kept
def partly(house):
    house.ctl("sandbox", "create", "short", "--ip", "127.0.6.1", "--store", "L", "--ttl", "1")
    octets, count = house.backup(), len(house.records())
    house.ctl("sandbox", "delete", "filler-0")
    house.ctl("sandbox", "create", "other", "--ip", "127.0.5.1")
    b = house.ctl("store", "get", "B")
    house.ctl("store", "delete", "B")
    house.ctl("store", "create", "B")
    ends_ms = json.loads(house.redis("HGET", "osb:sandbox:{short}", "policy"))["expiresAt"]
    await_until(lambda: time.time() * 1000 > ends_ms, "the short one has expired", 3)
    house.redis("DEL", "osb:sandbox:{short}")
    done = house.ctl_done("restore", octets=octets)
    said = see_said(done, 4, "127.0.5.1 is in use in zone default, by sandbox other")
    for words in ("sandbox filler-0 is not restored", "there is a store B already", "store B is not restored"):
        see(words in said, f"it does not say {words!r}: {said}")
    want = f"stores\t0\nsandboxes\t0\nkept\t{count - 3}\nexpired\t1\nrefused\t2\n"
    see_equal(done.stdout.decode(), want, "what restore did")
    see(house.redis("EXISTS", "osb:sandbox:{filler-0}") == 0, "the sandbox without its address is there")
    see(house.ctl("store", "get", "B") != b, "the other store B is gone")


@bench.case("a backup under a dropped key is refused, with its id; under one that is held it comes back under the new one")
@kept
def dropped(house):
    octets, old = house.backup(), house.keys()[0]
    house.ctl("key", "rotate")
    both = house.key_octets()
    house.drop_old()
    house.empty()
    said = see_said(house.ctl_done("restore", octets=octets), 1, f"key {old}, which {house.key_file} does not hold")
    see("nothing was written" in said, f"it says {said}")
    see_equal(house.redis("DBSIZE"), 0, "how many keys are in Redis")
    house.write_keys(both)
    house.restore(octets)
    house.see_rotated(2)
    house.see_all_open()
    house.drop_old()
    house.see_all_open()
    see(house.served(house.loaded[0]), "it is not served")


@bench.case("a record that does not open is named and left out; the rest is a backup")
@kept
def broken(house):
    count, key = len(house.records()), "osb:sandbox:{filler-1}"
    house.redis("HSET", key, "tag", os.urandom(48))
    done = house.ctl_done("backup")
    see_said(done, 1, "sandbox filler-1")
    house.empty()
    house.restore(done.stdout, stores=3, sandboxes=count - 4)


# --- refused as a whole -----------------------------------------------------------------------------------------


def lines_of(octets):
    return octets.splitlines(keepends=True)


def line_edit(at, edit):
    """Line ${at} as JSON, changed, and written as before."""

    def change(octets, older):
        lines = lines_of(octets)
        line = json.loads(lines[at])
        edit(line)
        lines[at] = json.dumps(line, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"
        return b"".join(lines)

    return change


def lines_edit(edit):
    def change(octets, older):
        lines = lines_of(octets)
        edit(lines)
        return b"".join(lines)

    return change


def end_counts(lines, more):
    end = json.loads(lines[-1])
    end["end"] += more
    lines[-1] = json.dumps(end, separators=(",", ":")).encode() + b"\n"


def without_one(lines):
    del lines[3]
    end_counts(lines, -1)


def twice(lines):
    lines.insert(3, lines[3])
    end_counts(lines, 1)


def swapped(lines):
    lines[2], lines[3] = lines[3], lines[2]


def of_older(octets, older):
    """A sandbox' line from an older backup: all of it authentic, and with the value that was rotated away."""
    lines, old = lines_of(octets), lines_of(older)
    at = next(n for n, line in enumerate(lines) if b'"id":"sbL0"' in line)
    lines[at] = next(line for line in old if b'"id":"sbL0"' in line)
    see(lines[at] not in octets, "the older line is not another one")
    return b"".join(lines)


def flip(name):
    def edit(line):
        text = line["fields"][name]
        line["fields"][name] = text[:20] + ("B" if text[20] == "A" else "A") + text[21:]

    return edit


def put(line, name, value):
    line["fields"][name] = value


def swap_boxes(line):
    fields = line["fields"]
    fields["value:S1"], fields["value:S2"] = fields["value:S2"], fields["value:S1"]


EDITS = [
    ("it is empty", lambda octets, older: b""),
    ("it is something else", lambda octets, older: b"hello\n"),
    ("it is JSON of something else", lambda octets, older: b'{"osb":"restore"}\n'),
    ("it is of a later version", line_edit(0, lambda line: line.update(version=2))),
    ("its head has another date", line_edit(0, lambda line: line.update(createdAt="2020-01-01T00:00:00.000Z"))),
    ("it has no head", lines_edit(lambda lines: lines.pop(0))),
    ("it has only a head", lines_edit(lambda lines: lines.__delitem__(slice(1, None)))),
    ("its end is missing", lines_edit(lambda lines: lines.pop())),
    ("its end is half there", lambda octets, older: octets[:-20]),
    ("its last line has no end", lambda octets, older: octets[:-1]),
    ("it is cut within a line", lambda octets, older: octets[: len(octets) // 2]),
    ("more follows", lambda octets, older: octets + b"\n"),
    ("it is there twice", lambda octets, older: octets * 2),
    ("a line is missing", lines_edit(lambda lines: lines.pop(4))),
    ("a line is missing, and its count is right", lines_edit(without_one)),
    ("a line is there twice, and its count is right", lines_edit(twice)),
    ("two lines are swapped", lines_edit(swapped)),
    ("a line is of an older backup", of_older),
    ("the end is of an older backup", lambda octets, older: b"".join(lines_of(octets)[:-1] + lines_of(older)[-1:])),
    ("a NUL is in a line", lambda octets, older: octets.replace(b'"kind"', b'"ki\0nd"', 1)),
    ("a line is longer than any", lambda octets, older: octets.replace(b'"kind"', b" " * (17 << 20) + b'"kind"', 1)),
    ("a blank is added", lambda octets, older: octets.replace(b'"kind"', b' "kind"', 1)),
    ("an id is another", line_edit(1, lambda line: line.update(id="someone"))),
    ("an id is no id", line_edit(1, lambda line: line.update(id="../x"))),
    ("a kind is another", line_edit(1, lambda line: line.update(kind="store"))),
    ("a policy is edited", line_edit(1, lambda line: put(line, "policy", line["fields"]["policy"].replace("echo", "evil")))),
    ("a policy is no text", line_edit(1, lambda line: put(line, "policy", 1))),
    ("a tag is edited", line_edit(1, flip("tag"))),
    ("a tag is gone", line_edit(1, lambda line: line["fields"].pop("tag"))),
    ("a tag is no base64", line_edit(1, lambda line: put(line, "tag", "*"))),
    ("a CA's key is edited", line_edit(1, flip("ca"))),
    ("a CA's key is gone", line_edit(1, lambda line: line["fields"].pop("ca"))),
    ("a box is too short", line_edit(1, lambda line: put(line, "ca", "AAAA"))),
    ("a box is of nobody", line_edit(1, lambda line: put(line, "value:X", line["fields"]["ca"]))),
    ("two values are swapped", line_edit(1, swap_boxes)),
    ("the seal is edited", line_edit(-1, lambda line: line.update(seal=line["seal"][:-8] + "AAAA" + line["seal"][-4:]))),
    ("the seal is gone", line_edit(-1, lambda line: line.pop("seal"))),
]


@bench.case("a backup that is cut short or edited in any way is refused before anything is written")
@kept
def edited(house):
    older = house.backup()
    house.rotate()
    octets = house.backup()
    house.empty()
    for label, edit in EDITS:
        bad = edit(octets, older)
        see(bad != octets, f"{label}: it is not edited")
        done = house.ctl_done("restore", octets=bad)
        said = short(done.stderr, 300)
        see(done.returncode in (1, 4) and done.stdout == b"", f"{label}: it left with {done.returncode}: {said}")
        see(len(done.stderr.splitlines()) in (1, 2), f"{label}: it says {said}")
        see_equal(house.redis("DBSIZE"), 0, f"{label}: how many keys are in Redis")
        house.see_absent(done.stderr, f"what restore said where {label}")
    house.restore(octets)


@bench.case("an octet changed anywhere in a backup is seen")
@kept
def any_octet(house):
    octets = house.backup()
    house.empty()
    step = len(octets) // 60
    for at in range(7, len(octets), step):
        bad = bytearray(octets)
        bad[at] ^= 1
        done = house.ctl_done("restore", octets=bytes(bad))
        see(done.returncode in (1, 4), f"octet {at}: it left with {done.returncode}")
        see_equal(house.redis("DBSIZE"), 0, f"octet {at}: how many keys are in Redis")
    house.restore(octets)


# --- interrupted ------------------------------------------------------------------------------------------------


WRITES = (1, 2, 3, 4, 9, 14, 16, 17, 18, 60, 140)  # of the three stores, of the first sandboxes, of later ones


@bench.case(
    "a restore that is interrupted anywhere is completed by running it again",
    [(f"{how} at write {at}", how, at) for at, how in zip(WRITES, itertools.cycle(("kill", "kill", "cut")))],
)
@kept
def interrupted(house, how, at):
    before, octets = house.state(), house.backup()
    house.empty()
    cutter = Cutter(house.redis_socket, house.folder)
    try:
        cutter.arm(at, how, at % 2 == 0)
        options = ["--redis", f"unix:{cutter.path}", "--key-file", house.key_file]
        code, _, said = cutter.run([f"{house.build}/osbctl", *options, "restore"], octets=octets)
        see(cutter.fired, f"it was not interrupted: {cutter.commands}")
        see_equal(code, -9 if how == "kill" else 1, f"the exit code (it said {said!r})")
    finally:
        cutter.close()
        os.unlink(cutter.path)
    house.restore(octets)
    see_same(house.state(), before)
    house.see_all_open()


@bench.case("a backup that lost Redis half-way has no end, and is refused")
@kept
def backup_cut(house):
    cutter = Cutter(house.redis_socket, house.folder)
    try:
        cutter.arm(5, "cut", counted=(b"HGETALL",))
        options = ["--redis", f"unix:{cutter.path}", "--key-file", house.key_file]
        code, octets, said = cutter.run([f"{house.build}/osbctl", *options, "backup"])
        see(cutter.fired, f"it was not interrupted: {cutter.commands}")
        see_equal(code, 1, f"the exit code (it said {said!r})")
    finally:
        cutter.close()
        os.unlink(cutter.path)
    house.empty()
    see_said(house.ctl_done("restore", octets=octets), 4, "cut short")
    see_equal(house.redis("DBSIZE"), 0, "how many keys are in Redis")


@bench.case("a backup whose file is full is a failure")
def full(house):
    with open("/dev/full", "wb") as out:
        done = subprocess.run(
            [f"{house.build}/osbctl", *house.ctl_options(), "backup"], stdout=out, stderr=subprocess.PIPE, timeout=30
        )
    see_equal(done.returncode, 1, f"the exit code (it said {done.stderr!r})")


rehouse_last(bench)
bench.run(BackupHouse)
