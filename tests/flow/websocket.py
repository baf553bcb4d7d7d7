"""websocket - H10 P17: a handshake that both sides must mean, and behind it frames, whose text is a body as any other."""
import json
import os
import signal
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import wspeer
from case import Bench, see, see_equal, short
from house import request
from masks import mask
from origin import CLOSE, CUT, RESET, reply
from refusal import see_refusal
from rehouse import rehouse_last
from wspeer import BINARY, CLOSING, GOODBYE, KEY, MORE, PING, PONG, TEXT, Play, Socket, SocketHouse, accept_of

bench = Bench()
HOSTS = [("h1", "echo.test", "S2"), ("h2", "api.test", "S1")]  # what the host speaks else


def said(opcode, payload=b"", final=True, **more):
    """A client's frame."""
    return wspeer.frame(opcode, payload, final, masked=True, **more)


def of(frames):
    """What they say, without their masks."""
    return [(one.opcode, one.payload, one.final) for one in frames]


def whole(frames):
    """The payloads of one message's frames as one, its control frames left out."""
    return b"".join(one.payload for one in frames if one.opcode < CLOSING)


# --- the handshake ---------------------------------------------------------------------------------------------------------


@bench.case("a WebSocket opens over http/1.1, also where the host speaks HTTP/2, which others go on with", HOSTS)
def opens(house, host, name):
    ordinary = lambda: house.get(house.a, host).status and house.origin.requests[-1].connection
    before = ordinary().tls.selected_alpn_protocol()
    play = Play()
    with house.open(
        play, host, b"Origin: https://a.test", b"Authorization: Bearer " + house.a.tokens[name]
    ) as socket:
        see_equal(socket.answer.get("sec-websocket-accept"), accept_of(KEY).decode(), "Sec-WebSocket-Accept")
        see_equal(
            (socket.answer.all("upgrade"), socket.answer.all("connection")), ([b"websocket"], [b"Upgrade"]), "the hop"
        )
        socket.say(said(TEXT, b"hello"))
        see_equal(of(socket.hear()), [(TEXT, b"hello", True)], "the echo")
        asked = play.request
        see_equal(asked.get("authorization"), f"Bearer {house.value(name).decode()}", "Authorization at the host")
        see_equal((asked.all("upgrade"), asked.all("connection")), ([b"websocket"], [b"Upgrade"]), "the host's hop")
        see_equal((asked.get("origin"), asked.get("host")), ("https://a.test", host), "Origin and Host")
        see_equal(asked.all("content-length") + asked.all("transfer-encoding"), [], "the framing of the request")
        see_equal(asked.connection.tls.selected_alpn_protocol(), "http/1.1", "the protocol to the host")
        socket.say(said(CLOSING, GOODBYE))
    see_equal(before, "h2" if host == "api.test" else "http/1.1", "the protocol of requests before")
    see_equal(ordinary().tls.selected_alpn_protocol(), before, "the protocol of requests afterwards")


@bench.case(
    "extensions that a client offers do not reach the host",
    [("one", [b"permessage-deflate; client_max_window_bits"]), ("two fields", [b"permessage-deflate", b"x; y=1"])],
)
def offered(house, extensions):
    play = Play()
    fields = [b"Sec-WebSocket-Extensions: " + one for one in extensions] + [b"Sec-WebSocket-Protocol: a, b"]
    with house.open(play, "api.test", *fields):
        see_equal(play.request.all("sec-websocket-extensions"), [], "Sec-WebSocket-Extensions at the host")
        see_equal(play.request.get("sec-websocket-protocol"), "a, b", "Sec-WebSocket-Protocol at the host")


@bench.case("a token in the protocol is replaced, and the one that the host takes is said", HOSTS)
def protocols(house, host, name):
    play = Play(fields=[b"Sec-WebSocket-Protocol: realtime"])
    token = b"insecure-api-key." + house.a.tokens[name]
    with house.open(play, host, b"Sec-WebSocket-Protocol: realtime, " + token) as socket:
        want = f"realtime, insecure-api-key.{house.value(name).decode()}"
        see_equal(play.request.get("sec-websocket-protocol"), want, "Sec-WebSocket-Protocol at the host")
        see_equal(socket.answer.get("sec-websocket-protocol"), "realtime", "Sec-WebSocket-Protocol of the answer")


@bench.case(
    "H10 a 101 that does not answer this handshake is 502, and nothing of what follows it comes through",
    [
        ("no Accept", {"accept": None}),
        ("a wrong Accept", {"accept": lambda key: accept_of(b"x" + key)}),
        ("the key as Accept", {"accept": lambda key: key}),
        ("Accept in lower case", {"accept": lambda key: accept_of(key).lower()}),
        ("Accept twice", {"fields": [b"Sec-WebSocket-Accept: " + accept_of(KEY)]}),
        ("an extension", {"fields": [b"Sec-WebSocket-Extensions: permessage-deflate"]}),
        ("an extension of no name", {"fields": [b"Sec-WebSocket-Extensions:"]}),
        ("a protocol that was not asked for", {"fields": [b"Sec-WebSocket-Protocol: other"]}),
        ("two protocols", {"fields": [b"Sec-WebSocket-Protocol: a", b"Sec-WebSocket-Protocol: b"]}),
        ("a length", {"fields": [b"Content-Length: 0"]}),
        ("chunks", {"fields": [b"Transfer-Encoding: chunked"]}),
        ("another protocol", {"answer": b"HTTP/1.1 101 x\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n"}),
        (
            "no Connection",
            {"answer": b"HTTP/1.1 101 x\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: %s\r\n\r\n" % accept_of(KEY)},
        ),
    ],
)
def switched_wrongly(house, how):
    for host in ("api.test", "echo.test"):
        play = Play(wspeer.frame(TEXT, b"smuggled"), **how)
        with Socket(house, house.a, host, house.played(play), b"Sec-WebSocket-Protocol: a, b") as socket:
            see_refusal(house, socket.answer and told(socket.answer), 502, "upstream_protocol")
            socket.client.send(said(TEXT, b"hello"))
            see(b"smuggled" not in socket.client.octets, "what followed the 101 came through")
            see_equal(of(play.await_end()), [], "what the host got")


def told(message):
    """As Client.response gives it."""
    message.status, message.code = wspeer.status_of(message), message.get("x-osb-error")
    return message


@bench.case(
    "P17 a 101 that was not asked for is 502, whatever the request's Upgrade says",
    [
        ("no Upgrade", ()),
        (
            "h2c",
            (b"Upgrade: h2c", b"Connection: Upgrade, HTTP2-Settings", b"HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA"),
        ),
        ("TLS", (b"Upgrade: TLS/1.0", b"Connection: Upgrade")),
        ("websocket and h2c", (b"Upgrade: websocket, h2c", b"Connection: Upgrade")),
        ("twice", (b"Upgrade: websocket", b"Upgrade: websocket", b"Connection: Upgrade")),
        ("not of the hop", (b"Upgrade: websocket",)),
        ("Connection alone", (b"Connection: Upgrade",)),
    ],
)
def switched_unasked(house, upgrade):
    play = Play(b"GET / HTTP/1.1\r\nHost: evil.test\r\n\r\n")
    with Socket(house, house.a, "echo.test", house.played(play), upgrade=upgrade) as socket:
        see_refusal(house, told(socket.answer), 502, "upstream_protocol")
        see_equal(
            play.request.all("upgrade") + play.request.all("http2-settings"), [], "the host's fields of the hop"
        )


@bench.case(
    "a handshake that is none goes on as a request like others",
    [
        ("version 8", b"Sec-WebSocket-Version: 8"),
        ("a second key", b"Sec-WebSocket-Key: " + KEY),
        ("a length", b"Content-Length: 0"),
    ],
)
def no_handshake(house, field):
    with Socket(house, house.a, "echo.test", "/plain", field) as socket:
        see_equal((socket.status, socket.answer.body), (200, b'{"ok":true}'), "the answer")
        see_equal(house.origin.requests[-1].all("upgrade"), [], "Upgrade at the host")


@bench.case(
    "a host that does not switch answers as ever, and the connection serves the next request",
    [(f"{status} of {label}", status, host) for status in (200, 400, 401, 426, 503) for label, host, _ in HOSTS],
)
def not_switched(house, status, host):
    house.origin.scripts["/no"] = [reply(status, b"not here", [(b"Upgrade", b"websocket")], b"No")]
    with Socket(house, house.a, host, "/no") as socket:
        see_equal((socket.status, socket.answer.body), (status, b"not here"), "the answer")
        see_equal(socket.answer.all("upgrade"), [], "Upgrade of the answer")
        answer = socket.client.ask(request("GET", "/next", host))
        see_equal((answer.status, answer.body), (200, b'{"ok":true}'), "the next answer")


# --- what goes up ----------------------------------------------------------------------------------------------------------


def cut(octets, at):
    return octets[:at], octets[at:]


@bench.case("H10 a token in a text frame is replaced, and its value comes back as a mask", HOSTS)
def one_frame(house, host, name):
    play, token, value = Play(), house.a.tokens[name], house.value(name)
    with house.open(play, host) as socket:
        socket.say(said(TEXT, b"key " + token + b" and " + token))
        see_equal(of(play.await_frames(1)), [(TEXT, b"key " + value + b" and " + value, True)], "what the host got")
        hidden = mask(len(value))
        see_equal(of(socket.hear()), [(TEXT, b"key " + hidden + b" and " + hidden, True)], "the echo")
        socket.say(said(CLOSING, GOODBYE))
        see_equal(of(socket.hear()), [(CLOSING, GOODBYE, True)], "the goodbye")
    line = house.audited(socket.path)
    see_equal((line["status"], line["reason"], line["secrets"]), (101, None, [name]), "the audit line")
    see(line["scrubbed"] >= 2, f"{line['scrubbed']} masks")
    see_equal((line["proto"], line["upstream_proto"]), ("h1", "h1"), "the protocols of the audit line")


@bench.case("a token cut by fragments is replaced at every cut, with a ping between them")
def fragments(house):
    token, value = house.a.tokens["S1"], house.value("S1")
    text = b"a " + token + b" z"
    for at in range(len(text) + 1):
        play = Play(echo=False)
        with house.open(play) as socket:
            first, second = cut(text, at)
            socket.say(said(TEXT, first, False) + said(PING, b"now") + said(MORE, second))
            frames = play.await_message()
            see_equal(whole(frames), b"a " + value + b" z", f"the message cut at {at}")
            see_equal([one.payload for one in frames if one.opcode == PING], [b"now"], "the ping between")
            see(frames[-1].opcode != PING, "the ping came behind the message")


@bench.case(
    "a token in pieces of a few octets is replaced, however they are cut",
    [(f"fragments of {n}, {how}", n, how) for n in (1, 7, 42) for how in ("records", "one record")]
    + [(f"segments of {n}", n, "segments") for n in (1, 7, 42)],
)
def pieces(house, n, how):
    play, token, value = Play(), house.a.tokens["S1"], house.value("S1")
    text = b"<" + token + token + b">" + token[:20]
    want = b"<" + value + value + b">" + token[:20]
    with house.open(play) as socket:
        if how == "segments":
            one = said(TEXT, text)
            socket.say(*(one[at : at + n] for at in range(0, len(one), n)))
        else:
            last = (len(text) - 1) // n * n
            frames = [said(TEXT if at == 0 else MORE, text[at : at + n], at == last) for at in range(0, last + 1, n)]
            socket.say(*(frames if how == "records" else [b"".join(frames)]))
        opcode, octets, _ = socket.hear_message()
        hidden = mask(2 * len(value))
        see_equal((opcode, octets), (TEXT, b"<" + hidden + b">" + token[:20]), "the echo")
        see_equal(whole(play.got), want, "what the host got")


@bench.case(
    "in a message that begins as JSON a value is escaped, in others it is as it is",
    [
        ("an object", b'{"key":"%s"}', True),
        ("an array behind blanks", b' \r\n\t["%s"]', True),
        ("plain", b"key=%s", False),
        ("a quoted string", b'"%s"', False),
    ],
)
def escaped(house, form, is_json):
    token = house.a.tokens["QUOTED"]
    for parts in (1, 2):
        play = Play(echo=False)
        with house.open(play) as socket:
            text = form.replace(b"%s", token)
            first, second = cut(text, 10) if parts == 2 else (text, b"")
            socket.say(said(TEXT, first, parts == 1), *([said(MORE, second)] if parts == 2 else []))
            got = whole(play.await_message())
            written = json.dumps(house.quoted.decode())[1:-1].encode() if is_json else house.quoted
            see_equal(got, form.replace(b"%s", written), "what the host got")
            if is_json:
                parsed = json.loads(got)
                see_equal(
                    parsed["key"] if isinstance(parsed, dict) else parsed[0], house.quoted.decode(), "what JSON says"
                )


@bench.case(
    "frames keep their lengths, and binary ones go up verbatim with whatever is in them",
    [(f"{n} octets", n) for n in (0, 1, 125, 126, 16384, 65535, 65536, 3000000)],
)
def binary(house, n):
    play, token = Play(), house.a.tokens["S1"]
    payload = (token + b"\x00\xff" * n)[:n]
    with house.open(play) as socket:
        socket.say(said(BINARY, payload))
        see(of(play.await_frames(1)) == [(BINARY, payload, True)], f"the host got {short(play.got)}")
        see(play.got[0].mask is not None, "it is not masked")
        opcode, octets, _ = socket.hear_message()
        see((opcode, octets) == (BINARY, payload), f"the echo is {opcode}, {short(octets)}")
        socket.say(said(TEXT, b"t" * n))
        opcode, octets, _ = socket.hear_message()
        see((opcode, octets) == (TEXT, b"t" * n), f"the echo of text is {opcode}, {short(octets)}")


@bench.case("masks to the host are fresh ones")
def fresh_masks(house):
    play = Play(echo=False)
    with house.open(play) as socket:
        once, frames = said(BINARY, b"same"), said(TEXT, b"same")
        socket.say(*([once, frames] * 4))
        masks = [one.mask for one in play.await_frames(8)]
        see_equal(len({*masks, once[2:6], frames[2:6]}), 10, "the number of different masks")


@bench.case("a message of 1 MiB with 100 tokens is replaced as it streams, in one frame or in many")
def long_message(house):
    token, value = house.a.tokens["S1"], house.value("S1")
    text = b"".join(b"x" * 10000 + token for _ in range(100))
    for size in (len(text), 50000, 4096):
        play = Play(echo=False)
        with house.open(play) as socket:
            last = (len(text) - 1) // size * size
            for at in range(0, last + 1, size):
                socket.say(said(TEXT if at == 0 else MORE, text[at : at + size], at == last))
            frames = play.await_message()
            see(whole(frames) == text.replace(token, value), f"frames of {size}: {short(whole(frames))}")


# --- tokens that are not for this host ------------------------------------------------------------------------------------


@bench.case("a token that is not for this host goes up unchanged, and is audited")
def denied(house):
    play, token, foreign = Play(), house.a.tokens["S2"], house.b.tokens["S3"]
    with house.open(play) as socket:
        socket.say(said(TEXT, b"a " + token), said(TEXT, b"b " + foreign))
        see_equal(of(socket.hear(2)), [(TEXT, b"a " + token, True), (TEXT, b"b " + foreign, True)], "the echoes")
        socket.say(said(CLOSING, GOODBYE))
        socket.rest()
    line = house.audited(socket.path)
    see_equal((line["status"], line["secrets"]), (101, []), "the audit line")
    see("S2" in line["tokens_denied"] and len(line["tokens_denied"]) == 2, f"denied: {line['tokens_denied']}")


# --- what comes down ------------------------------------------------------------------------------------------------------


@bench.case(
    "L03 a value in a host's frame comes as a mask",
    [
        ("text", TEXT, b"the key is %s."),
        ("binary", BINARY, b"\x00%s\xff"),
        ("twice", TEXT, b"%s,%s"),
        ("a ping", PING, b"%s"),
        ("a pong", PONG, b"x%s"),
        ("a close", CLOSING, GOODBYE + b"no such key: %s"),
    ],
)
def down_frames(house, opcode, form):
    value = house.value("S1")
    payload = form.replace(b"%s", value)
    with house.open(Play(wspeer.frame(opcode, payload))) as socket:
        see_equal(of(socket.hear()), [(opcode, form.replace(b"%s", mask(len(value))), True)], "what the client got")


@bench.case(
    "L03 a value over fragments of a host comes as a mask, at every cut",
    [("text", TEXT, ()), ("binary", BINARY, ()), ("text, with a ping between", TEXT, (wspeer.frame(PING, b"?"),))],
)
def down_fragments(house, opcode, between):
    value = house.value("S1")
    text, says = b"a " + value + b" z", []
    for at in range(len(text) + 1):
        first, second = cut(text, at)
        says += [wspeer.frame(opcode, first, False), *between, wspeer.frame(MORE, second)]
    says += [b"".join(says)] + [
        wspeer.frame(opcode if n == 0 else MORE, text[n : n + 1], n == len(text) - 1) for n in range(len(text))
    ]
    with house.open(Play(*says)) as socket:
        for n in range(2 * (len(text) + 1) + 1):
            got, octets, control = socket.hear_message()
            see_equal((got, octets), (opcode, b"a " + mask(len(value)) + b" z"), f"message {n}")
            pings = len(between) if n < 2 * (len(text) + 1) else 0
            see_equal([one.payload for one in control], [b"?"] * pings, f"what came inside message {n}")


@bench.case("L02 half a value in each of two messages is no value")
def down_halves(house):
    first, second = cut(house.value("S1"), 20)
    with house.open(Play(wspeer.frame(TEXT, first), wspeer.frame(TEXT, second))) as socket:
        see_equal([one.payload for one in socket.hear(2)], [first, second], "the two messages")


@bench.case("a host's frame comes while the next one is still to be said")
def down_at_once(house):
    with house.open(Play()) as socket:
        for n in range(20):
            socket.say(said(TEXT, b"%d" % n))
            see_equal(of(socket.hear()), [(TEXT, b"%d" % n, True)], "the echo")


# --- the end --------------------------------------------------------------------------------------------------------------


@bench.case(
    "the closing handshake goes through, and then both connections end",
    [("as it should", CLOSE), ("no close_notify", CUT)],
)
def closing(house, ends):
    play = Play(ends=ends)
    with house.open(play) as socket:
        socket.say(said(TEXT, b"last"), said(CLOSING, GOODBYE + b"done"))
        see_equal(
            of(socket.hear(2)), [(TEXT, b"last", True), (CLOSING, GOODBYE + b"done", True)], "what the client got"
        )
        see_equal(socket.rest(), b"", "what came behind the goodbye")
        see(socket.client.closed in ("close_notify", "fin"), f"it ended with {socket.client.closed}")
        see_equal(of(play.await_end())[-1], (CLOSING, GOODBYE + b"done", True), "the host's last frame")
    line = house.audited(socket.path)
    see_equal((line["status"], line["reason"]), (101, None), "the status and reason of the audit line")


@bench.case(
    "what a host says last comes through, although it is gone when we look",
    [("no close_notify", CUT), ("as it should", CLOSE)],
)
def closing_unseen(house, how):
    away = threading.Event()
    with house.open(Play(away, wspeer.frame(TEXT, b"last") + wspeer.frame(CLOSING, GOODBYE), how)) as socket:
        pids = house.pids()
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        away.set()
        house.origin.plays[socket.path].await_end()
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
        see_equal(of(socket.hear(2)), [(TEXT, b"last", True), (CLOSING, GOODBYE, True)], "what the client got")
        socket.say(said(CLOSING, GOODBYE))
        socket.rest()
        see(socket.client.closed not in (None, "timeout"), f"it ended with {socket.client.closed}")


@bench.case("a host that says goodbye first is answered")
def closing_by_host(house):
    play = Play(wspeer.frame(CLOSING, GOODBYE))
    with house.open(play) as socket:
        see_equal(of(socket.hear()), [(CLOSING, GOODBYE, True)], "what the client got")
        socket.say(said(CLOSING, GOODBYE))
        socket.rest()
        see_equal(of(play.await_end()), [(CLOSING, GOODBYE, True)], "what the host got")


@bench.case("a client that has ended its half still gets what the host says", HOSTS)
def half_closed(house, host, name):
    value = house.value(name)
    play = Play(last=wspeer.frame(TEXT, b"at last " + value) + wspeer.frame(CLOSING, GOODBYE), echo=False)
    with house.open(play, host) as socket:
        socket.say(said(TEXT, b"all of it"))
        socket.half_close()
        see_equal(of(socket.hear(2))[0], (TEXT, b"at last " + mask(len(value)), True), "what the client got")
        see_equal(of(play.await_end()), [(TEXT, b"all of it", True)], "what the host got")
        socket.rest()
        see(socket.client.closed in ("close_notify", "fin"), f"it ended with {socket.client.closed}")


@bench.case("a host that is gone ends the client's side", [("RST", RESET), ("FIN alone", CUT)])
def host_gone(house, how):
    play = Play(ends=how)
    with house.open(play) as socket:
        play.goes_on = lambda *_: False
        socket.say(said(TEXT, b"leave"))
        socket.rest()
        see(socket.client.closed not in (None, "timeout"), f"it ended with {socket.client.closed}")
    see_equal(house.audited(socket.path)["reason"], "upstream_unreachable", "the reason of the audit line")


@bench.case("a client that is gone ends the host's side", [("RST", "rst"), ("close", "close")])
def client_gone(house, how):
    play = Play()
    socket = house.open(play)
    socket.say(said(TEXT, b"x"))
    socket.hear()
    socket.client.end(how)
    see_equal(len(play.await_end()), 1, "the number of frames that the host got")


# --- outside the grammar --------------------------------------------------------------------------------------------------

LONG = b"\x7f" + b"\xff" * 8
BROKEN = [
    ("RSV1", {"first": b"\xc1"}),
    ("RSV2", {"first": b"\xa1"}),
    ("RSV3", {"first": b"\x92"}),
    ("opcode 3", {"opcode": 3}),
    ("opcode 11", {"opcode": 11}),
    ("16 EiB", {"length": LONG}),
    ("2^63 octets", {"length": b"\x7f\x80" + b"\x00" * 7}),
    ("a length of 5 in two octets", {"length": b"\x7e\x00\x05"}),
    ("a length of 5 in eight", {"length": b"\x7f" + b"\x00" * 7 + b"\x05"}),
    ("a fragmented ping", {"opcode": PING, "final": False}),
    ("a fragmented close", {"opcode": CLOSING, "final": False}),
    ("a ping of 126 octets", {"opcode": PING, "payload": b"p" * 126}),
    ("a close of one octet", {"opcode": CLOSING, "payload": b"x"}),
    ("a continuation of nothing", {"opcode": MORE}),
]


def broken(masked, opcode=TEXT, payload=b"hello", final=True, **more):
    return wspeer.frame(opcode, payload, final, masked=masked, **more)


@bench.case(
    "H10 a client's frame outside RFC 6455 ends it, and does not reach the host",
    [(label, broken(True, **how)) for label, how in BROKEN]
    + [
        ("no mask", broken(False)),
        ("no mask on a ping", broken(False, opcode=PING)),
        ("a message inside a message", said(TEXT, b"a", False) + said(TEXT, b"b")),
        ("a frame behind the goodbye", said(CLOSING, GOODBYE) + said(TEXT, b"b")),
        ("a request", request("GET", "/smuggled", "evil.test")),
    ],
)
def broken_up(house, octets):
    for host in ("api.test", "echo.test"):
        play = Play()
        before = house.origin.counts()[1]
        with house.open(play, host) as socket:
            socket.say(said(TEXT, b"good"))
            see_equal(of(socket.hear()), [(TEXT, b"good", True)], "the echo")
            socket.say(octets)
            socket.rest()
            see(socket.client.closed not in (None, "timeout"), f"it ended with {socket.client.closed}")
            got = [one for one in of(play.await_end()) if one[0] != CLOSING]
            see(got[0] == (TEXT, b"good", True) and got[1:] in ([], [(TEXT, b"a", False)]), f"the host got {got}")
        see_equal(house.audited(socket.path)["reason"], "bad_request", "the reason of the audit line")
        see_equal(house.origin.counts()[1], before + 1, "the number of requests that the host saw")


@bench.case(
    "H10 a host's frame outside RFC 6455 ends it, and does not reach the client",
    [(label, broken(False, **how)) for label, how in BROKEN]
    + [
        ("a mask", broken(True)),
        ("a message inside a message", wspeer.frame(TEXT, b"a", False) + wspeer.frame(TEXT, b"b")),
        ("an answer", reply(200, b"smuggled")),
    ],
)
def broken_down(house, octets):
    with house.open(Play(wspeer.frame(TEXT, b"good"), then=octets)) as socket:
        see_equal(of(socket.hear()), [(TEXT, b"good", True)], "the good frame")
        socket.say(said(TEXT, b"and now?"))
        rest = socket.rest()
        see(socket.client.closed not in (None, "timeout"), f"it ended with {socket.client.closed}")
        see(rest in (b"", wspeer.frame(TEXT, b"a", False)), f"the client got {short(rest)}")
    see_equal(house.audited(socket.path)["reason"], "upstream_protocol", "the reason of the audit line")


@bench.case("a flood of pings and empty fragments is passed on in their order")
def floods(house):
    play = Play(echo=False)
    with house.open(play) as socket:
        many = b"".join(said(PING, b"%d" % n) for n in range(2000))
        socket.say(
            said(TEXT, b"a", False), many, b"".join(said(MORE, b"", False) for _ in range(5000)), said(MORE, b"b")
        )
        frames = play.await_message()
        see_equal(
            [one.payload for one in frames if one.opcode == PING], [b"%d" % n for n in range(2000)], "the pings"
        )
        see_equal(whole(frames), b"ab", "the message")


# --- deadlines and policy -------------------------------------------------------------------------------------------------


@bench.case("a WebSocket on which nothing moves ends after idle_timeout, one with pings goes on")
def idle(house):
    house.again("idle_timeout = 1s")
    play = Play()
    with house.open(play) as socket:
        for _ in range(4):
            time.sleep(0.4)  # longer than the deadline, all in all
            socket.say(said(PING, b"?"))
            see_equal(of(socket.hear()), [(PONG, b"?", True)], "the pong")
        began = time.monotonic()
        see_equal(socket.rest(), b"", "what came behind the last pong")
        took = time.monotonic() - began
        see(0.8 <= took < 4, f"it ended after {took:.1f} s with {socket.client.closed}")
        see(socket.client.closed != "timeout", "it did not end")
        play.await_end()
    see_equal(house.audited(socket.path)["status"], 101, "the status of the audit line")


@bench.case("with denied_token = block a token that is not for this host ends the WebSocket, and does not leave")
def blocked(house):
    house.again("denied_token = block")
    play = Play()
    with house.open(play) as socket:
        socket.say(said(TEXT, b"good"))
        see_equal(of(socket.hear()), [(TEXT, b"good", True)], "the echo")
        socket.say(said(TEXT, b"bad " + house.a.tokens["S2"]))
        socket.rest()
        see(socket.client.closed not in (None, "timeout"), f"it ended with {socket.client.closed}")
        see_equal(len(play.await_end()), 1, "the number of frames that the host got")
    see_equal(house.audited(socket.path)["reason"], "token_denied", "the reason of the audit line")


@bench.case("a sandbox that is deleted loses its WebSockets at once")
def revoked(house):
    house.again()
    play = Play()
    gone = house.sandbox("sbGone", "127.0.0.5", "A")
    with Socket(house, gone, "api.test", house.played(play)) as socket:
        see_equal(socket.status, 101, "the status of the handshake")
        house.ctl("sandbox", "delete", "sbGone")
        socket.rest()
        see(socket.client.closed not in (None, "timeout"), f"it ended with {socket.client.closed}")
        play.await_end()


rehouse_last(bench)
bench.run(SocketHouse)
