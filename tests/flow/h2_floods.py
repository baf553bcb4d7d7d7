"""h2_floods - frames that ask for nothing, and games with windows: who plays them ends alone.

attacks.md H05 to H08. Beside each flood a second connection of the same sandbox is served, and the memory of the workers
stays where it was.
"""
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import h2client as h2
from case import Bench, see, see_equal
from h2_client import H2House, see_status
from h2client import block, data, frame, get, headers, post, pseudo, rst, window
from house import await_until
from origin import Pause, reply

bench = Bench()
CALM = h2.ENHANCE_YOUR_CALM
SPARE_OCTETS = 48 << 20  # what a flood may leave with the allocator, and a sanitizer's quarantine


def resident(house):
    total = 0
    for pid in house.pids():
        with open(f"/proc/{pid}/statm") as text:
            total += int(text.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return total


class Calm:
    """Around a flood: a neighbour that is served before, in the midst and after it; memory; one line for the flood."""

    def __init__(self, house, *reasons):
        self.house, self.reasons = house, reasons

    def __enter__(self):
        self.before, self.lines_before = resident(self.house), self.count()
        self.neighbour = self.house.h2()
        self.number = 1
        self.look()
        return self

    def count(self):
        """Of connections: the lines of requests have a path, or say that their client has gone."""
        return len([line for line in self.house.audit() if line["reason"] in self.reasons and not line["path"]])

    def look(self):
        self.neighbour.send(get(self.number))
        see_status(self.neighbour.answer(self.number), 200)
        self.number += 2

    def __exit__(self, kind, *_):
        if kind:
            return
        self.look()
        self.neighbour.end()
        grown = resident(self.house) - self.before
        see(grown < SPARE_OCTETS, f"{grown >> 20} MiB more in memory")
        await_until(lambda: self.count() > self.lines_before, f"a line says one of {self.reasons}", 5)
        if len(self.reasons) == 1:
            see_equal(self.count() - self.lines_before, 1, "lines that say so")


def see_calm(client, code=CALM):
    client.over()
    see(client.closed != "timeout", "the connection stayed open")
    see(client.goaway or client.closed == "rst", f"no GOAWAY but {client.closed}")
    if client.goaway:
        see_equal(client.goaway[1], code, "the code of GOAWAY")


FLOODS = [
    ("H05 rapid reset", lambda n: get(2 * n + 1) + rst(2 * n + 1), 2000),
    ("H05 reset of large requests", lambda n: post(2 * n + 1, b"/sink") + data(2 * n + 1, b"x") + rst(2 * n + 1), 2000),
    ("H05 MadeYouReset: WINDOW_UPDATE 0", lambda n: get(2 * n + 1, b"/slow") + window(2 * n + 1, 0), 2000),
    (
        "H05 MadeYouReset: a window that overflows",
        lambda n: get(2 * n + 1, b"/slow") + window(2 * n + 1, 0x7FFFFFFF),
        2000,
    ),
    ("H05 MadeYouReset: malformed heads", lambda n: headers(2 * n + 1, pseudo() + [(b"te", b"x")]), 2000),
    (
        "H05 MadeYouReset: a body beyond its length",
        lambda n: post(2 * n + 1, b"/sink", (b"content-length", b"1")) + data(2 * n + 1, b"xx"),
        2000,
    ),
    ("H07 PING", lambda n: h2.ping() * 10, 2000),
    ("H07 acknowledged PING", lambda n: h2.ping(flags=h2.ACK) * 10, 2000),
    ("H07 SETTINGS", lambda n: h2.settings((4, 65535 - n % 2)) * 10, 2000),
    ("H07 empty SETTINGS", lambda n: h2.settings() * 10, 2000),
    ("H07 PRIORITY", lambda n: frame(h2.PRIORITY, 0, 2 * n + 1, b"\0\0\0\0\0") * 10, 2000),
    ("H07 PRIORITY that depends on itself", lambda n: frame(h2.PRIORITY, 0, 9, b"\0\0\0\x09\0") * 10, 2000),
    ("H07 unknown frames", lambda n: frame(0x42, 0, 0, b"12345") * 10, 2000),
    ("H07 unknown frames without octets", lambda n: frame(0xFF, 0xFF, 2 * n + 1) * 10, 2000),
    ("H07 empty DATA", lambda n: (post(1, b"/sink") if n == 0 else b"") + data(1) * 10, 2000),
    ("H07 padding alone", lambda n: (post(1, b"/sink") if n == 0 else b"") + data(1, pad=255) * 10, 2000),
    ("H07 WINDOW_UPDATE", lambda n: window(0, 1) * 10, 2000),
    ("H07 GOAWAY", lambda n: (get(1, b"/slower") if n == 0 else b"") + frame(h2.GOAWAY, 0, 0, b"\0" * 8) * 10, 2000),
    ("H07 DATA on a stream that is over", lambda n: (get(1) + rst(1) if n == 0 else b"") + data(1, b"") * 10, 2000),
    (
        "H06 CONTINUATION without octets",
        lambda n: (frame(h2.HEADERS, 1, 1, b"\x82") if n == 0 else b"") + frame(h2.CONTINUATION, 0, 1) * 10,
        2000,
    ),
    (
        "H06 CONTINUATION with fields",
        lambda n: (frame(h2.HEADERS, 1, 1, block(*pseudo())) if n == 0 else b"")
        + frame(h2.CONTINUATION, 0, 1, block((b"a", b"b")) * 100),
        2000,
    ),
]


# Where nghttp2 calls it an error of the protocol before we call it a flood.
WRONG = ("MadeYouReset",)
ROWS = [
    (*row, "client_flood", *(("bad_request",) if any(word in row[0] for word in WRONG) else ())) for row in FLOODS
]


@bench.case("a flood is ended with GOAWAY and one line; its sandbox' other connection is served", ROWS)
def flood(house, octets, most, *reasons):
    house.origin.scripts["/slow"] = [Pause(20), reply()]
    house.origin.scripts["/slower"] = [Pause(1000), reply()]
    with Calm(house, *reasons) as calm, house.h2(seconds=20) as client:
        client.pong()  # the SETTINGS of both are through: no acknowledgement comes in between
        count = client.flood(octets, most)
        calm.look()
        client.over()
        see(count < most, f"said {most} times, and still no GOAWAY")
        see(client.closed != "timeout", "the connection stayed open")
        got = client.goaway and client.goaway[1]
        see(got == CALM or (got == 1 and len(reasons) == 2), f"the code {got} ({client.closed}, after {count})")


@bench.case("H05: requests that are reset before the host answered cost it few connections, and all of them end")
def dials(house):
    before = house.origin.counts()[0]
    with house.h2(seconds=20) as client:
        client.flood(lambda n: get(2 * n + 1) + rst(2 * n + 1), 2000)
    dialled = house.origin.counts()[0] - before
    see(dialled <= 300, f"{dialled} connections to the host")
    await_until(
        lambda: (house.metric('osb_upstream_connections{state="busy"}') or 0) == 0, "no upstream connection is busy"
    )


INDEXED = 62  # the newest entry of the dynamic table


def bomb(n):
    """One field of 4,000 octets into the table, then one octet for each time that it is meant."""
    put = b"\x40" + h2.length(6) + b"cookie" + h2.length(4000) + b"c" * 4000
    return headers(2 * n + 1, None, payload=block(*pseudo()) + put + bytes([0x80 | INDEXED]) * 12000)


@bench.case(
    "H06: heads that unfold to more than is allowed are refused, and memory stays flat",
    [
        ("HPACK bomb", bomb, 20),
        ("table size oscillation", lambda n: headers(2 * n + 1, None, payload=b"\x20\x3f\xe1\x1f" * 2000), 20),
        ("cookie crumbs", lambda n: headers(2 * n + 1, None, payload=block(*pseudo()) + b"\x60\0" * 7000), 20),
        ("fields without octets", lambda n: headers(2 * n + 1, None, payload=block(*pseudo()) + b"\x0f\x04\0" * 5000), 20),
    ],
)
def heads(house, octets, most):
    before = resident(house)
    with house.h2(seconds=20) as client:
        count = client.flood(octets, most)
        client.pong()
        told = [it.status for it in client.streams.values() if it.fields]
        see(client.goaway or set(told) <= {400, 431}, f"answers {told}")
        see(client.goaway or told or any(it.reset for it in client.streams.values()), f"nothing after {count}")
        if client.goaway:
            see(client.goaway[1] in (CALM, h2.COMPRESSION_ERROR), f"code {client.goaway[1]}")
    grown = resident(house) - before
    see(grown < SPARE_OCTETS, f"{grown >> 20} MiB more in memory")


@bench.case("H07: acknowledgements that the client does not read are few, and the connection ends")
def unread(house):
    house.origin.scripts["/large"] = [reply(body=b"l" * 4000000)]
    with Calm(house, "client_flood"), house.h2(seconds=20, credit=False) as client:
        client.send(h2.settings((4, 0x7FFFFFFF)), window(0, 0x7FFF0000 - 65535))
        client.send(*(get(n, b"/large") for n in range(1, 41, 2)))
        time.sleep(0.2)  # nothing is read: what lies between is full
        client.socket.settimeout(3)
        for n in range(20):
            client.send(h2.ping() * 100)
        client.socket.settimeout(20)
        see_calm(client)


@bench.case(
    "H08: windows are kept, however small, and a stream that may not send holds nobody up",
    [("0", 0, 0), ("1", 1, 1), ("1,000", 1000, 1000)],
)
def windows(house, initial, step):
    house.origin.scripts["/small"] = [reply(body=b"w" * 60)]
    with house.h2(seconds=20, credit=False) as client:
        client.send(h2.settings((4, initial)), get(1, b"/small"), get(3, b"/small"))
        it = client.stream(1)
        see(client.until(lambda: it.fields), f"no head, {client.closed}")
        client.pong()
        see_equal(len(it.body), min(initial, 60), "octets before any credit")
        if initial == 0:
            client.send(h2.settings((4, 60)))
        while step and not it.ended and len(it.body) < 60:
            have = len(it.body)
            client.send(window(1, step))
            client.until(lambda: it.ended or len(it.body) > have)
            see(len(it.body) <= have + step, f"{len(it.body)} octets for {have + step}")
        see_equal(client.answer(1).body, b"w" * 60, "the body")
        client.send(window(3, 60) if initial else b"")
        see_equal(client.answer(3).body, b"w" * 60, "the body of its neighbour")


@bench.case("H08: a window that SETTINGS make negative is a window all the same")
def negative(house):
    house.origin.scripts["/large"] = [reply(body=b"n" * 100000)]
    with house.h2(seconds=20, credit=False) as client:
        client.send(window(0, 1 << 20), get(1, b"/large"))
        it = client.stream(1)
        client.until(lambda: len(it.body) == 65535)
        client.send(h2.settings((4, 10)))
        client.pong()
        client.send(window(1, 60000))  # -65525 + 60000 is still below 0
        client.pong()
        see_equal(len(it.body), 65535, "octets while the window is below 0")
        client.send(window(1, 65525 - 60000 + 100000))
        see_equal(len(client.answer(1).body), 100000, "octets")


if __name__ == "__main__":
    bench.run(H2House)
