"""lives - what happens to a sandbox: it is made, cloned, moved, given more time, and ends; on every host at once.

The proxy of another host stands beside ours, on the same Redis, for zone "other".
"""
import ipaddress
import json
import os
import pty
import re
import secrets
import ssl
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from case import Bench, see, see_equal
from client import client_context
from cutter import Cutter
from house import await_until, request
from zonehouse import GRACE_S, HOST, Open, ZoneHouse, at, enter_network

bench = Bench()
V6 = enter_network(["fd00:a::2", "fd00:a::3"])
OTHER = ("--zone", "other")


# --- fork -------------------------------------------------------------------------------------------------------------


@bench.case(
    "what is no fork is refused",
    [
        ("no parent said", 2, ["--ip", "127.0.3.1"], "--from"),
        ("a parent that is none", 3, ["--from", "none", "--ip", "127.0.3.1"], "no sandbox none"),
        ("no address", 2, ["--from", "sbA"], "--ip"),
        ("what is no address", 4, ["--from", "sbA", "--ip", "127.0.3"], "127.0.3"),
        ("the parent's address", 4, ["--from", "sbA", "--ip", "127.0.0.2"], "in use in zone default, by sandbox sbA"),
        ("a store that is none", 3, ["--from", "sbA", "--ip", "127.0.3.1", "--store", "none"], "no store none"),
        ("no time", 4, ["--from", "sbA", "--ip", "127.0.3.1", "--ttl", "x"], "--ttl"),
    ],
)
def fork_refused(house, code, words, says):
    house.refuses(code, ["sandbox", "fork", "never", *words], says)
    house.refuses(3, ["sandbox", "get", "never"])


@bench.case("a fork with the id of a sandbox that is there is refused, and that one stays as it is")
def fork_exists(house):
    ip = house.fresh_ip()
    house.refuses(4, ["sandbox", "fork", "sbB", "--from", "sbA", "--ip", ip], "there is a sandbox sbB already")
    house.see_nobody(at(house.sandboxes["sbA"], ip))
    house.see_sends(house.sandboxes["sbB"], S3=house.sandboxes["sbB"].tokens["S3"])  # not for this host


@bench.case("a fork has its parent's tokens and CA, and what the stores say now; a rotation reaches both")
def fork(house):
    store = house.loan("ONE", "TWO")
    parent = house.make("--store", store)
    one = house.give(store, "ONE")
    new = house.give(store, "NEW")
    child = house.fork(parent)
    see_equal(
        {name: child.tokens[name] for name in parent.tokens}, parent.tokens, "the tokens that the parent has too"
    )
    see_equal(sorted(child.tokens), ["NEW", "ONE", "TWO"], "the names in the fork's file")
    see_equal(open(child.ca_file).read(), open(parent.ca_file).read(), "the fork's CA file")
    clone = at(parent, child.address)  # all that the clone knows is the parent's
    house.see_sends(clone, ONE=one, TWO=house.value("TWO"))
    see_equal(house.sends(child, child.tokens["NEW"]), new, "the value of the secret that is new")
    see_equal(house.sends(parent, child.tokens["NEW"]), child.tokens["NEW"], "what the parent sends for it")
    two = house.give(store, "TWO")
    for one_of in (parent, clone):
        house.see_sends(one_of, TWO=two)


@bench.case("a store that is layered on top wins a name, and the token stays; each list is added")
def fork_layered(house):
    base, top = house.loan("ONE", "TWO"), house.loan("ONE", "MORE", hosts=(HOST,))
    parent = house.make("--store", base)
    lower, upper = house.secrets[-4].value, house.secrets[-2].value
    child = house.fork(parent, "--store", top)
    see_equal(child.tokens["ONE"], parent.tokens["ONE"], "the token")
    house.see_sends(parent, ONE=lower)
    house.see_sends(at(parent, child.address), ONE=upper, TWO=house.secrets[-3].value)
    house.see_sends(child, MORE=house.value("MORE"))
    again = house.fork(child, "--store", base)  # named again, it counts last
    house.see_sends(at(parent, again.address), ONE=lower)
    listed = json.loads(house.ctl("sandbox", "get", again.name, "--json"))["stores"]
    see_equal(listed, [top, base], "the stores in their order")


@bench.case("of a store that was deleted a fork has nothing, and stderr says so; its token fits a store on top")
def fork_deleted_store(house):
    gone, kept = house.loan("ONE", "LOST"), house.loan("KEPT")
    parent, said = house.make("--store", gone, "--store", kept), []
    house.ctl("store", "delete", gone)
    child = house.fork(parent, said=said)
    see(f"store {gone} of sandbox {parent.name} was deleted" in said[0], f"stderr said {said}")
    see_equal(sorted(child.tokens), ["KEPT"], "the names in the fork's file")
    house.see_sends(at(parent, child.address), ONE=parent.tokens["ONE"], KEPT=house.value("KEPT"))
    top = house.loan("ONE")
    layered = house.fork(parent, "--store", top)
    house.see_sends(at(parent, layered.address), ONE=house.value("ONE"), LOST=parent.tokens["LOST"])


@bench.case("a fork of a fork has the first one's tokens; deleting those before it leaves it alone")
def fork_of_fork(house):
    store = house.loan("ONE")
    first = house.make("--store", store)
    second = house.fork(first)
    third = house.fork(second)
    clone = at(first, third.address)
    with Open(house, clone) as opened:
        for name in (first.name, second.name):
            house.ctl("sandbox", "delete", name)
        house.see_nobody(first)
        house.see_nobody(second)
        house.see_sends(clone, ONE=house.value("ONE"))
        opened.see_alive()
    house.see_sends(clone, ONE=house.give(store, "ONE"))


@bench.case(
    "a TLS session of the parent is not taken up at the fork",
    [(version.name, version) for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)],
)
def fork_session(house, version):
    parent = house.make("--store", "A")
    child, context = house.fork(parent), client_context(parent.ca_file, version=version)

    def resumed(sandbox, session):
        with house.client(sandbox, HOST, context, session) as client:
            see(client.shaken, f"the handshake of {sandbox.name} ended with {client.closed}")
            see_equal(client.ask(request("GET", "/", HOST)).status, 200, "the status")
            return client.tls.session_reused, client.tls.session

    _, session = resumed(parent, None)
    for _ in range(4):  # both workers
        see_equal(resumed(parent, session)[0], True, "whether the parent's own is resumed")
        see_equal(resumed(at(parent, child.address), session)[0], False, "whether it is resumed at the fork")


# --- move -------------------------------------------------------------------------------------------------------------


@bench.case(
    "what is no move is refused, and changes nothing",
    [
        ("a sandbox that is none", 3, ["none", "--ip", "127.0.3.1"], "no sandbox none"),
        ("no address", 2, ["sbA"], "--ip"),
        ("what is no address", 4, ["sbA", "--ip", "::g"], "::g"),
        ("an address in use", 4, ["sbA", "--ip", "127.0.3.1", "--ip", "127.0.0.3"], "default, by sandbox sbB"),
    ],
)
def move_refused(house, code, words, says):
    a, b = house.sandboxes["sbA"], house.sandboxes["sbB"]
    with house.client(a, HOST) as client:
        house.refuses(code, ["sandbox", "move", *words], says)
        see_equal(client.ask(request("GET", "/", HOST)).status, 200, "the status on the connection that was open")
    house.see_sends(a, S2=house.value("S2"))
    house.see_sends(b, S3=b.tokens["S3"])  # not for this host
    house.see_nobody(at(a, "127.0.3.1"))


@bench.case("a move ends all that is open at the old address within a second; at the new one all is as it was")
def move(house):
    store = house.loan("ONE")
    kept, left, new = house.fresh_ip(), house.fresh_ip(), house.fresh_ip()
    sandbox = house.make("--store", store, addresses=[left, kept])
    house.see_nobody(at(sandbox, new))  # which is remembered
    with Open(house, sandbox) as old, Open(house, at(sandbox, kept)) as stays:
        began = time.time()
        done = house.ctl_done("sandbox", "move", sandbox.name, "--ip", new, "--ip", kept)
        see_equal((done.returncode, done.stdout, done.stderr), (0, b"", b""), "what move said")
        old.see_ended(began)
        house.see_sends(at(sandbox, new), ONE=house.value("ONE"))
        house.see_nobody(sandbox)
        stays.see_alive()
    house.see_sends(at(sandbox, new), ONE=house.give(store, "ONE"))
    shown = json.loads(house.ctl("sandbox", "move", sandbox.name, "--ip", left, "--json"))
    see_equal((shown["id"], shown["addresses"]), (sandbox.name, [left]), "the object")
    house.see_sends(sandbox, ONE=house.value("ONE"))
    other = house.make(addresses=[new, kept])  # both are free again
    house.see_nobody(at(sandbox, new))
    house.ctl("sandbox", "delete", other.name)


@bench.case(
    "a move to another zone: the first host ends all within a second and serves nobody, the second one serves"
)
def move_zone(house):
    store = house.loan("ONE")
    sandbox = house.make("--store", store)
    for there, here, words in ((house.other, house, OTHER), (house, house.other, ("--zone", "default"))):
        house.see_nobody(sandbox, there)
        with Open(house, sandbox, here) as opened:
            began = time.time()
            house.ctl("sandbox", "move", sandbox.name, "--ip", sandbox.address, *words)
            opened.see_ended(began)
            house.see_sends(sandbox, there, ONE=house.value("ONE"))
            house.see_nobody(sandbox, here)
        house.see_sends(sandbox, there, ONE=house.give(store, "ONE"))


@bench.case("a move to another zone that is killed at any of its writes and run again is done")
def move_killed(house):
    sandbox, cutter, count = house.make("--store", "A"), Cutter(house.redis_socket, house.folder), 0
    there, here, zone = house.other, house, "other"
    try:
        while cutter.fired or not count:
            count += 1
            words = ["sandbox", "move", sandbox.name, "--ip", sandbox.address, "--zone", zone]
            cutter.arm(count)
            cutter.run(
                [f"{house.build}/osbctl", "--redis", f"unix:{cutter.path}", "--key-file", house.key_file, *words]
            )
            house.ctl(*words)
            house.see_sends(sandbox, there, S2=house.value("S2"))
            house.see_nobody(sandbox, here)
            there, here, zone = here, there, "default" if zone == "other" else "other"
    finally:
        cutter.close()
        os.unlink(cutter.path)
    see(count > 5, f"it had only {count - 1} writes")


@bench.case("a move that names no zone stays in the sandbox's own")
def move_own_zone(house):
    sandbox, new = house.make("--store", "A", *OTHER), house.fresh_ip()
    house.ctl("sandbox", "move", sandbox.name, "--ip", new)
    house.see_sends(at(sandbox, new), house.other, S2=house.value("S2"))
    house.see_nobody(at(sandbox, new))


# --- time -------------------------------------------------------------------------------------------------------------


def made_to_end(house, how, store):
    """A sandbox that ends in two or three seconds; gives it and when."""
    if how == "create":
        sandbox = house.make("--store", store, "--ttl", "2")
    elif how == "fork":
        sandbox = house.fork(house.make("--store", store), "--ttl", "2")
    elif how == "extend to later":
        sandbox = house.make("--store", store, "--ttl", "2")
        house.ctl("sandbox", "extend", sandbox.name, "--ttl", "3")
    else:
        sandbox = house.make("--store", store, *(["--ttl", "60"] if how == "extend to sooner" else []))
        house.ctl("sandbox", "extend", sandbox.name, "--ttl", "2")
    return sandbox, house.end_of(sandbox)


@bench.case(
    "a sandbox is served up to its last moment, and not a second longer: what is open ends, nothing new begins",
    [(how, how) for how in ("create", "fork", "extend to later", "extend to sooner", "extend from never")],
)
def ends(house, how):
    sandbox, end = made_to_end(house, how, "A")
    with Open(house, sandbox) as opened:
        served = refused = 0
        with house.client(sandbox, HOST) as busy:
            while not refused and time.time() < end + 3:
                answer = busy.ask(request("GET", "/busy", HOST))
                if answer is not None and answer.status == 200:
                    served = time.time()
                else:
                    refused = time.time()
        see(end - 0.3 < served, f"it was last served {end - served:.2f} s before its end")
        see(end <= refused <= end + GRACE_S, f"it was refused {refused - end:.2f} s after its end")
        opened.see_ended(end, end + GRACE_S + 0.1)
    house.see_nobody(sandbox)


@bench.case("an expired sandbox can be forked, and extended while its address is free; once taken the owner is named")
def expired(house):
    store = house.loan("ONE")
    old = house.make("--store", store, "--ttl", "1")
    end = house.end_of(old)
    await_until(lambda: time.time() > end, "its end")
    house.see_nobody(old)
    child = house.fork(old)
    house.see_sends(at(old, child.address), ONE=house.value("ONE"))
    house.ctl("sandbox", "extend", old.name, "--ttl", "60")
    house.see_sends(old, ONE=house.value("ONE"))
    house.ctl("sandbox", "extend", old.name, "--ttl", "1")
    end = house.end_of(old)
    await_until(lambda: time.time() > end, "its new end")
    new = house.make("--store", store, addresses=[old.address])
    house.see_sends(new, ONE=house.value("ONE"))
    house.refuses(
        4, ["sandbox", "extend", old.name, "--ttl", "60"], f"{old.address} is in use", f"sandbox {new.name}"
    )
    see_equal(house.sends(new, old.tokens["ONE"]), old.tokens["ONE"], "what the new owner sends for the old token")
    house.ctl("sandbox", "delete", new.name)
    house.ctl("sandbox", "extend", old.name, "--ttl", "60")
    house.see_sends(old, ONE=house.value("ONE"))


@bench.case("a delete ends all that is open within a second, on that sandbox alone")
def delete(house):
    doomed, other = house.make("--store", "A"), house.make("--store", "A")
    with Open(house, doomed) as opened, Open(house, other) as stays:
        began = time.time()
        house.ctl("sandbox", "delete", doomed.name)
        opened.see_ended(began)
        house.see_nobody(doomed)
        stays.see_alive()
    house.refuses(3, ["sandbox", "delete", doomed.name], "no sandbox")


# --- addresses --------------------------------------------------------------------------------------------------------


@bench.case("one sandbox at several addresses of both versions is served at each, at no other, and only there")
def several(house):
    first, second = house.fresh_ip(), house.fresh_ip()
    sandbox = house.make("--store", "A", addresses=[first, V6[0], second, *V6[1:]])
    for address in (first, second, *V6):
        house.see_sends(at(sandbox, address), S2=house.value("S2"))
    house.see_nobody(at(sandbox, house.fresh_ip()))
    spelt = ipaddress.ip_address(V6[0]).exploded.upper()
    house.refuses(4, ["sandbox", "create", "late", "--ip", spelt], f"{V6[0]} is in use", f"by sandbox {sandbox.name}")
    house.ctl("sandbox", "move", sandbox.name, "--ip", V6[-1])
    house.see_nobody(sandbox)
    house.see_sends(at(sandbox, V6[-1]), S2=house.value("S2"))
    house.ctl("sandbox", "delete", sandbox.name)
    house.see_nobody(at(sandbox, V6[-1]))


@bench.case(
    "an address in use in the same zone is refused with the owner's id, and of the refused nothing stays",
    [("create", "create", []), ("fork", "fork", ["--from", "sbA"])],
)
def in_use(house, verb, more):
    free = house.fresh_ip()
    words = ["sandbox", verb, "late", "--ip", free, "--ip", "127.0.0.3", "--store", "A", *more]
    house.refuses(4, words, "127.0.0.3 is in use in zone default, by sandbox sbB")
    house.refuses(3, ["sandbox", "get", "late"])
    see("late" not in house.ctl("sandbox", "list"), "it is in the list")
    house.see_nobody(at(house.sandboxes["sbA"], free))
    house.see_sends(house.sandboxes["sbB"], S3=house.sandboxes["sbB"].tokens["S3"])


@bench.case("two zones use the same addresses side by side, each for its own sandbox")
def side_by_side(house):
    one, two, ip = house.loan("ONE"), house.loan("ONE"), house.fresh_ip()
    here = house.make("--store", one, addresses=[ip])
    there = house.make("--store", two, *OTHER, addresses=[ip])
    mine, yours = (secret.value for secret in house.secrets[-2:])
    house.see_sends(here, ONE=mine)
    house.see_sends(there, house.other, ONE=yours)
    for sandbox, proxy in ((here, house.other), (there, house)):
        with proxy.client(sandbox, HOST, client_context()) as client:  # its CA is not the one there
            see(client.shaken, f"the handshake ended with {client.closed}")
            client.ask(request("GET", "/strange", HOST, b"X-Key: " + sandbox.tokens["ONE"]))
        seen = [seen for seen in house.origin.requests if seen.start.startswith(b"GET /strange ")][-1]
        see_equal(seen.get("x-key").encode(), sandbox.tokens["ONE"], "what a token of the other zone stands for")
    house.refuses(4, ["sandbox", "move", here.name, "--ip", ip, *OTHER], f"in zone other, by sandbox {there.name}")
    with Open(house, here) as stays, Open(house, there, house.other) as opened:
        began = time.time()
        house.ctl("sandbox", "delete", there.name)
        opened.see_ended(began)
        house.see_nobody(there, house.other)
        stays.see_alive()
    house.see_sends(here, ONE=mine)
    house.ctl("sandbox", "move", here.name, "--ip", ip, *OTHER)
    house.see_sends(here, house.other, ONE=mine)


# --- several commands at once ------------------------------------------------------------------------------------------


def at_once(house, orders):
    """The exit codes, of commands that run at the same time."""
    done = [None] * len(orders)

    def run(n):
        done[n] = house.ctl_done(*orders[n])

    threads = [threading.Thread(target=run, args=(n,)) for n in range(len(orders))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [one.returncode for one in done]


@bench.case(
    "of commands that make the same sandbox at once one succeeds, and its files say what is there",
    [("create", "create", []), ("fork", "fork", ["--from", "sbA"])],
)
def made_at_once(house, verb, more):
    name, ip = house.fresh_id(), house.fresh_ip()
    orders = [house.words_of(verb, name, [ip], "--store", "A", *more) for _ in range(5)]
    for n, words in enumerate(orders):  # each has files of its own
        words[words.index("--env-file") + 1] += f".{n}"
        words[words.index("--ca-file") + 1] += f".{n}"
    codes = at_once(house, orders)
    see_equal((codes.count(0), set(codes) <= {0, 1, 4}), (1, True), f"one of the exit codes {codes} is 0")
    for path, suffixed in zip(house.files_of(name), (f".{codes.index(0)}",) * 2):
        os.rename(path + suffixed, path)
    house.see_sends(house.known(name, ip), S2=house.value("S2"))
    house.refuses(4, house.words_of(verb, name, [ip], "--store", "A", *more), f"there is a sandbox {name} already")
    house.see_sends(house.known(name, ip), S2=house.value("S2"))


@bench.case("of moves to the same address at once one succeeds, and that sandbox is served there")
def moved_at_once(house):
    ip, sandboxes = house.fresh_ip(), [house.make("--store", house.loan("ONE")) for _ in range(4)]
    values = [secret.value for secret in house.secrets[-4:]]
    codes = at_once(house, [["sandbox", "move", sandbox.name, "--ip", ip] for sandbox in sandboxes])
    see_equal((codes.count(0), set(codes)), (1, {0, 4}), f"one of the exit codes {codes} is 0")
    winner = codes.index(0)
    house.see_sends(at(sandboxes[winner], ip), ONE=values[winner])
    for n, sandbox in enumerate(sandboxes):
        house.ctl("sandbox", "move", sandbox.name, "--ip", sandbox.address)
        house.see_sends(sandbox, ONE=values[n])


@bench.case("moves, extensions and a rotation of one sandbox at once all hold")
def changed_at_once(house):
    store, there = house.loan("ONE"), house.fresh_ip()
    sandbox = house.make("--store", store)
    for _ in range(3):
        value = f"{house.folder}/value-at-once"
        with open(value, "wb") as out:
            out.write(secrets.token_hex(20).encode())
        move = ["sandbox", "move", sandbox.name, "--ip"]
        orders = [move + [there], move + [sandbox.address], ["sandbox", "extend", sandbox.name, "--ttl", "900"]]
        see_equal(
            at_once(house, orders + [["secret", "set", store, "ONE", "--value-file", value]]),
            [0] * 4,
            "the exit codes",
        )
        shown = json.loads(house.ctl("sandbox", "get", sandbox.name, "--json"))
        see(shown["addresses"] in ([there], [sandbox.address]), f"it is at {shown['addresses']}")
        see(shown["expiresAt"], "it has no end")
        with open(value, "rb") as text:
            house.see_sends(at(sandbox, shown["addresses"][0]), ONE=text.read())


# --- many -------------------------------------------------------------------------------------------------------------


@bench.case(
    "a list is sorted, comes in pages, and shows how far it is where stderr is a terminal",
    [("text", [], 30000, True), ("JSON, too few for a bar", ["--json"], 1200, False)],
)
def listed(house, more, count, bar):
    want = sorted(house.ctl("sandbox", "list").splitlines())
    names = [f"gone-{n}" for n in range(count)]  # of records that are there no more
    house.redis("ZADD", "osb:sandboxes", *(word for name in names for word in ("+inf", name)))
    slow = Cutter(house.redis_socket, house.folder)  # it cuts nothing, but has its own pace
    ours, theirs = pty.openpty()
    try:
        command = [f"{house.build}/osbctl", "--redis", f"unix:{slow.path}", "--key-file", house.key_file]
        done = subprocess.run(command + ["sandbox", "list", *more], stdout=subprocess.PIPE, stderr=theirs, timeout=60)
        os.close(theirs)
        shown = read_terminal(ours)
    finally:
        os.close(ours)
        slow.close()
        os.unlink(slow.path)
        house.redis("ZREM", "osb:sandboxes", *names)
    see_equal(done.returncode, 0, f"the exit code, which said {shown}")
    ids = [one["id"] for one in json.loads(done.stdout)] if more else done.stdout.decode().splitlines()
    see_equal(ids, [line.split("\t")[0] for line in want] if more else want, "the list")
    if bar:
        see_bar(shown, count + len(want))


def see_bar(shown, whole):
    bars = re.findall(r"\rlisting  ([\d,]+) of ([\d,]+) \[(#*)(-*)\] (\d+) %\x1b\[K", shown)
    see(bars, f"no bar was shown, but {shown!r}")
    see_equal({of for _, of, *_ in bars}, {f"{whole:,}"}, "of how many")
    counts = [int(count.replace(",", "")) for count, *_ in bars]
    see(counts == sorted(counts) and counts[0] % 500 == 0, f"the bar went {counts}")
    for _, _, full, rest, percent in bars:
        see_equal((len(full), len(full + rest)), (int(percent) // 5, 20), f"the marks at {percent} %")
    see(shown.endswith("\r\x1b[K"), f"the bar stays: {shown[-80:]!r}")


def read_terminal(end):
    """What was written to the other end, which is closed."""
    parts = []
    try:
        while part := os.read(end, 65536):
            parts.append(part)
    except OSError:
        pass
    return b"".join(parts).decode()


bench.run(ZoneHouse)
