"""places - S01 S10 S13: each place that a value may go to, how it is written there, and that it goes nowhere else.

What arrives is read by parsers of Python's library, not by ours: a value must come out of them octet by octet.
"""
import base64
import email
import html
import json
import os
import re
import secrets
import sys
import urllib.parse
import xml.etree.ElementTree as tree

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from case import Bench, see, see_equal
from house import await_until
from meeting import Meeting, MeetingHouse, each_meeting, see_whole
from origin import Origin
from reference import CODINGS, FIXED
from rehouse import Rehouse, rehouse_last

bench = Bench()
case = each_meeting(bench)
BOTH = ("api.test", "echo.test")
PLACES = ("header", "basic", "body", "field", "url")
TAIL = secrets.token_hex(10).encode()
SIGNS = b"&=?#/%%25+ ;:@\"\\<>'{}[]|^`~,$!()*" + TAIL  # whatever some place reserves
PEM = b"-----BEGIN PRIVATE KEY-----\n%s\n%s\n-----END PRIVATE KEY-----\n" % (TAIL * 3, TAIL[::-1] * 2)
UNKNOWN = b"osb_sealed_" + b"0123456789abcdef" * 2
TEXT, JSON = (b"content-type", b"text/plain"), (b"content-type", b"application/json")
FORM, XML = (b"content-type", b"application/x-www-form-urlencoded"), (b"content-type", b"application/xml")
MULTIPART = (b"content-type", b"multipart/form-data; boundary=cut")


class PlacesHouse(MeetingHouse, Rehouse):
    """One secret for each place, named by it; S1 and S2 have the default places."""

    def furnish(self):
        self.origin.contexts["echo.test"] = Origin.context(self.good)
        self.store("A", *BOTH, "*.wild.test")
        self.secret("A", "S1", "api.test")
        self.secret("A", "S2", "echo.test")
        for place in PLACES:
            self.secret("A", place.upper(), *BOTH, value=place.encode() + SIGNS, places=(place,))
        self.secret("A", "ANY", *BOTH, value=b"any" + SIGNS, places=PLACES)
        self.secret("A", "PEM", *BOTH, value=PEM, places=PLACES)
        self.secret("A", "LONG", *BOTH, value=b"l" * 65536, places=("url",))
        self.secret("A", "ELSEWHERE", "a.wild.test")
        self.store("B", "api.test")
        self.secret("B", "S3", "api.test")
        self.a, self.b = self.sandbox("sbA", "127.0.0.2", "A"), self.sandbox("sbB", "127.0.0.3", "B")


def percent(value):
    return urllib.parse.quote(value, safe="").encode()


def said(meeting, path, *fields, body=None, **more):
    """One request, answered with 200; gives what the host saw, whose length must be right."""
    see_whole(meeting.ask(b"GET" if body is None else b"POST", path, *fields, body=body, **more))
    seen = meeting.last()
    if body is not None and more.get("counted", True):
        see_equal(seen.all("content-length"), [b"%d" % len(seen.body)], "Content-Length")
    return seen


def basic(credentials):
    return (b"authorization", b"Basic " + base64.b64encode(credentials))


# --- each place alone ------------------------------------------------------------------------------------------------------


def in_header(meeting, token):
    return said(meeting, b"/in", (b"x-key", b"Bearer " + token)).get("x-key").encode("latin-1"), b"Bearer %s", bytes


def in_basic(meeting, token):
    seen = said(meeting, b"/in", basic(b"user:" + token)).get("authorization")
    return base64.b64decode(seen.split(" ")[1]), b"user:%s", bytes


def in_body(meeting, token):
    return said(meeting, b"/in", TEXT, body=b"a " + token + b" b").body, b"a %s b", bytes


def in_field(meeting, token):
    body = said(meeting, b"/in", JSON, body=b'{"k": "%s", "l": 1}' % token).body
    return body, b'{"k": %s, "l": 1}', lambda value: json.dumps(value.decode()).encode()


def in_path(meeting, token):
    return said(meeting, b"/in/" + token + b"/x").start.split(b" ")[1], b"/in/%s/x", percent


def in_query(meeting, token):
    return said(meeting, b"/in?a=1&k=" + token + b"&b").start.split(b" ")[1], b"/in?a=1&k=%s&b", percent


WAYS = {  # where it is said, and the places of a secret that let it in there
    "a field of the head": (in_header, ("header",)),
    "Basic": (in_basic, ("basic",)),
    "text": (in_body, ("body",)),
    "a whole string of JSON": (in_field, ("body", "field")),
    "the path": (in_path, ("url",)),
    "the query": (in_query, ("url",)),
}


@case(
    "S01 a secret for one place goes there and nowhere else",
    [(f"{place}, said in {where}", place, where) for place in PLACES for where in WAYS],
)
def one_place(meeting, place, where):
    way, lets = WAYS[where]
    token, value = meeting.house.a.tokens[place.upper()], meeting.house.value(place.upper())
    seen, around, written = way(meeting, token)
    want = around % (written(value) if place in lets else b'"%s"' % token if way is in_field else token)
    see_equal(seen, want, "what the host saw")


@case(
    "S01 without places a secret goes to header, basic and body, and not into the URL",
    [(where, where) for where in WAYS],
)
def default_places(meeting, where):
    way, lets = WAYS[where]
    seen, around, written = way(meeting, meeting.token)
    want = written(meeting.value) if set(lets) & {"header", "basic", "body"} else meeting.token
    see_equal(seen, around % want, "what the host saw")


@bench.case("each substitution is counted by its place, and audited by its name", [(where, where) for where in WAYS])
def counted(house, where):
    way, lets = WAYS[where]
    place, other = lets[-1], "basic" if lets == ("header",) else "header"
    family, asked = f'osb_substitutions_total{{place="{place}"}}', len(house.audit())
    lines = lambda: [line for line in house.audit()[asked:] if line["path"].startswith("/in")]
    before = house.metric(family)
    with Meeting(house, "h1", "h1") as meeting:
        way(meeting, house.a.tokens[place.upper()])
        way(meeting, house.a.tokens[other.upper()])
    await_until(lambda: lines() and lines()[-1]["tokens_denied"] == [other.upper()], "the second line in the audit")
    see_equal(house.metric(family) - before, 1, f"what {family} has grown by")
    names = [(line["secrets"], line["tokens_denied"]) for line in lines()[-2:]]
    see_equal(names, [([place.upper()], []), ([], [other.upper()])], "secrets and tokens_denied")


# --- keys of many lines ----------------------------------------------------------------------------------------------------


@case("a PEM key in a body comes out of the host's parser as it is", [("with a length", True), ("streaming", False)])
def pem_bodies(meeting, counts):
    token = meeting.house.a.tokens["PEM"]
    seen = said(meeting, b"/pem", JSON, body=json.dumps({"key": token.decode(), "n": 1}).encode(), counted=counts)
    see_equal(json.loads(seen.body), {"key": PEM.decode(), "n": 1}, "the JSON")
    seen = said(meeting, b"/pem", FORM, body=b"a=1&key=" + token + b"&b=", counted=counts)
    pairs = urllib.parse.parse_qs(seen.body.decode(), keep_blank_values=True)
    see_equal(pairs, {"a": ["1"], "key": [PEM.decode()], "b": [""]}, "the form")
    seen = said(meeting, b"/pem", XML, body=b"<a><key>" + token + b"</key></a>", counted=counts)
    see_equal(tree.fromstring(seen.body).find("key").text, PEM.decode(), "the XML")
    seen = said(meeting, b"/pem", TEXT, body=b"key: " + token, counted=counts)
    see_equal(seen.body, b"key: " + PEM, "the text")


@case(
    "a PEM key in a field of the head is secret_unusable, and nothing is sent",
    [("alone", b""), ("behind text", b"Bearer ")],
)
def pem_header(meeting, before):
    seen, token = len(meeting.origin.requests), meeting.house.a.tokens["PEM"]
    answer = meeting.ask(b"POST", b"/pem", (b"x-key", before + token), TEXT, body=b"hello")
    see_equal((answer.status, answer.code), (502, "secret_unusable"), "status and code")
    see_equal(len(meeting.origin.requests), seen, "requests at the host")
    see(token not in answer.body and b"BEGIN" not in answer.body, "the answer quotes it")


@case("a PEM key in Basic, in a path and in a query is written so that it can stand there")
def pem_elsewhere(meeting):
    token = meeting.house.a.tokens["PEM"]
    for way in (in_basic, in_path, in_query):
        seen, around, written = way(meeting, token)
        see_equal(seen, around % written(PEM), f"what the host saw: {way.__name__}")


@case("a PEM key in a trailer ends the exchange: the host never has a whole request")
def pem_trailer(meeting):
    seen, token = len(meeting.origin.requests), meeting.house.a.tokens["PEM"]
    answer = meeting.ask(b"POST", b"/pem", TEXT, body=b"hello", counted=False, trailers=[(b"x-key", token)])
    see_equal((answer.status, answer.code), (502, "secret_unusable"), "status and code")
    see_equal(len(meeting.origin.requests), seen, "requests at the host")


# --- Basic -----------------------------------------------------------------------------------------------------------------


@case(
    "S13 Basic is opened, substituted and closed again, wherever in it the token stands",
    [
        ("the password", b"user:%s"),
        ("the user", b"%s:x-oauth-basic"),
        ("user and password", b"%s:%s"),
        ("no colon", b"%s"),
        ("in the middle", b"user:a-%s-b:c"),
    ],
)
def basic_places(meeting, form):
    token, value = meeting.house.a.tokens["BASIC"], meeting.house.value("BASIC")
    seen = said(meeting, b"/basic", basic(form.replace(b"%s", token))).get("authorization")
    see_equal(base64.b64decode(seen.split(" ")[1], validate=True), form.replace(b"%s", value), "the credentials")
    see(seen.startswith("Basic "), f"the scheme is {seen[:6]!r}")


@case(
    "S13 what is no Basic with a token in it goes on as it was",
    [
        ("no token", b"Basic dXNlcjpwYXNz"),
        ("not base64", b"Basic !!!!"),
        ("bits left over", b"Basic dXNlcjpwYXN="),
        ("nothing", b"Basic"),
        ("another scheme", b"Bearer " + base64.b64encode(b"user:%s")),
        ("in another field", None),
    ],
)
def basic_not(meeting, text):
    name = b"authorization" if text else b"x-auth"
    text = text or b"Basic " + base64.b64encode(b"user:%s")
    if text.endswith(base64.b64encode(b"user:%s")):
        text = text.split(b" ")[0] + b" " + base64.b64encode(b"user:" + meeting.house.a.tokens["ANY"])
    see_equal(said(meeting, b"/basic", (name, text)).all(name.decode()), [text], "the field")


# --- URL -------------------------------------------------------------------------------------------------------------------


@case(
    "a value in the URL is decoded by the host to its exact octets, and the audit knows neither value nor token",
    [
        ("a segment", b"/u1/%s/z"),
        ("the last segment", b"/u2/%s"),
        ("in the middle of one", b"/u3/bot%s/send"),
        ("a query's value", b"/u4?key=%s&x=1"),
        ("a query's name", b"/u5?%s"),
        ("twice", b"/u6/%s?k=%s"),
        ("a bare slash before", b"/%s"),
    ],
)
def url_exact(meeting, form):
    token, value = meeting.house.a.tokens["ANY"], meeting.house.value("ANY")
    seen, count = said(meeting, form.replace(b"%s", token)).start.split(b" ")[1], form.count(b"%s")
    see_equal(seen, form.replace(b"%s", percent(value)), "the target")
    see_equal(urllib.parse.unquote_to_bytes(seen), form.replace(b"%s", value), "the target, decoded")
    see(count == 1 or seen.count(b"?") == 1, f"a second query in {seen}")
    cut = form.split(b"?")[0].replace(b"%s", token[:15]).decode()
    line = meeting.house.await_audit(lambda line: line["path"].startswith(cut[:15]), f"a line for {cut}")
    see_equal((line["path"], line["secrets"]), (cut, ["ANY"]), "path and secrets in the audit")
    see(TAIL.decode() not in json.dumps(line), f"the value is in {line}")


@bench.case("an absolute target has its value too", [("path and query", b"/abs/%s?k=%s")])
def url_absolute(house, form):
    token, value = house.a.tokens["ANY"], house.value("ANY")
    answer = house.get(house.a, "echo.test", b"https://echo.test" + form.replace(b"%s", token))
    see_equal(answer.status, 200, f"the status ({answer.code})")
    see_equal(house.origin.requests[-1].start.split(b" ")[1], form.replace(b"%s", percent(value)), "the target")


@case("a value of 64 KiB does not fit into a target: 414, and nothing is sent")
def url_long(meeting):
    seen = len(meeting.origin.requests)
    answer = meeting.ask(b"GET", b"/long?k=" + meeting.house.a.tokens["LONG"])
    see_equal((answer.status, answer.code), (414, "too_large"), "status and code")
    see_equal(len(meeting.origin.requests), seen, "requests at the host")


@case(
    "S13 a token that is percent-encoded itself, and one that may not go into a URL, go on as they are",
    [
        ("encoded", lambda token: token.replace(b"_", b"%5F")),
        ("cut short", lambda token: token[:-1]),
        ("unknown", lambda _: UNKNOWN),
    ],
)
def url_untouched(meeting, spell):
    target = b"/not/" + spell(meeting.house.a.tokens["ANY"]) + b"?k=" + meeting.token
    see_equal(said(meeting, target).start.split(b" ")[1], target, "the target")


# --- field: only where it stands alone -------------------------------------------------------------------------------------

PART = b'--cut\r\nContent-Disposition: form-data; name="k"\r\n%s\r\n'
ALONE = {
    "JSON: a value": (JSON, b'{"k":"%s"}', True),
    "JSON: in an array": (JSON, b'[1, "%s"]', True),
    "JSON: all of it": (JSON, b'"%s"', True),
    "JSON: text before it": (JSON, b'{"k":"a %s"}', False),
    "JSON: text behind it": (JSON, b'{"k":"%s\\n"}', False),
    "JSON: a blank behind it": (JSON, b'{"k":"%s "}', False),
    "JSON: in no string": (JSON, b'{"k":%s}', False),
    "JSON: between two strings": (JSON, b'{"k":""%s""}', False),
    "JSON: between escaped quotes": (JSON, b'{"k":"\\"%s\\""}', False),
    "JSON: an escaped quote behind it": (JSON, b'{"k":"%s\\""}', False),
    "JSON: another token behind it": (JSON, b'{"k":"%s' + UNKNOWN + b'"}', False),
    "NDJSON": ((b"content-type", b"application/x-ndjson"), b'{"a":1}\n{"k":"%s"}\n', True),
    "form: a value": (FORM, b"a=1&k=%s", True),
    "form: between others": (FORM, b"k=%s&a=1", True),
    "form: text before it": (FORM, b"k=a%s&a=1", False),
    "form: text behind it": (FORM, b"k=%s+&a=1", False),
    "form: an = behind it": (FORM, b"k=%s=&a=1", False),
    "form: a ; behind it": (FORM, b"k=%s;a=1", False),
    "XML: a text": (XML, b"<a><k>%s</k></a>", True),
    "XML: a blank before it": (XML, b"<a><k> %s</k></a>", False),
    "XML: a blank behind it": (XML, b"<a><k>%s\n</k></a>", False),
    "XML: an attribute": (XML, b'<a k="%s"></a>', False),
    "XML: a name": (XML, b"<%s/>", False),
    "XML: a comment": (XML, b"<a><!--%s--></a>", False),
    "XML: behind a comment": (XML, b"<a>say <!-- -->%s</a>", False),
    "XML: before a comment": (XML, b"<a>%s<!-- --> aloud</a>", False),
    "XML: behind an instruction": (XML, b"<a><?x?>%s</a>", False),
    "XML: between pieces of CDATA": (XML, b"<a><![CDATA[say ]]>%s<![CDATA[ aloud]]></a>", False),
    "XML: before another element": (XML, b"<a>%s<b/></a>", False),
    "XML: behind another element": (XML, b"<a><b/>%s</a>", False),
    "HTML: a text": ((b"content-type", b"text/html"), b"<p><b>%s</b></p>", True),
    "multipart: a part": (MULTIPART, PART % b"" + b"%s\r\n--cut--\r\n", True),
    "multipart: between others": (
        MULTIPART,
        PART % b"" + b"1\r\n" + PART % b"" + b"%s\r\n" + PART % b"" + b"2\r\n--cut--",
        True,
    ),
    "multipart: a line end behind it": (MULTIPART, PART % b"" + b"%s\r\n\r\n--cut--\r\n", False),
    "multipart: a line end before it": (MULTIPART, PART % b"" + b"\r\n%s\r\n--cut--\r\n", False),
    "multipart: in a part of JSON": (
        MULTIPART,
        PART % b"Content-Type: application/json\r\n" + b'{"k":"%s"}\r\n--cut--\r\n',
        True,
    ),
    "multipart: text in a part of JSON": (
        MULTIPART,
        PART % b"Content-Type: application/json\r\n" + b'{"k":"a%s"}\r\n--cut--\r\n',
        False,
    ),
    "multipart: what looks like an end": (MULTIPART, PART % b"" + b"%s\r\n--cutlery\r\n--cut--\r\n", False),
    "text: all of it": (TEXT, b"%s", False),
    "no type: all of it": (None, b"%s", False),
}


@case(
    "a secret for field goes where its token stands alone, and nowhere else in a body",
    [(f"{where}, {how}", where, how == "counted") for where in ALONE for how in ("counted", "streaming")],
)
def field_alone(meeting, where, counts):
    (kind, body, alone), token = ALONE[where], meeting.house.a.tokens["FIELD"]
    fields, body = [kind] if kind else [], body.replace(b"%s", token)
    seen = said(meeting, b"/alone", *fields, body=body, counted=counts).body
    if not alone:
        see_equal(seen, body, "the body")
        return
    see(token not in seen, f"the token is still in {seen}")
    see(TAIL in seen, f"no value in {seen}")
    before, _, behind = body.partition(token)
    see(seen.startswith(before) and seen.endswith(behind), f"around it: {seen}")


# --- bodies by their type --------------------------------------------------------------------------------------------------


@case(
    "a value of all signs comes out of the host's parser as it is",
    [
        (f"{kind}, {how}", kind, how == "counted")
        for how in ("counted", "streaming")
        for kind in (
            "application/json",
            "application/vnd.api+json; charset=utf-8",
            "application/x-ndjson",
            "application/x-www-form-urlencoded",
            "application/xml",
            "application/soap+xml",
            "text/html",
            "text/plain",
        )
    ],
)
def parsed(meeting, kind, counts):
    token, value = meeting.house.a.tokens["BODY"], meeting.house.value("BODY").decode()
    field, text = (b"content-type", kind.encode()), f"x {token.decode()} y"
    want = f"x {value} y"
    if "json" in kind:
        lines = [json.dumps({"k": text, "l": [text, 1]})] * (2 if "nd" in kind else 1)
        seen = said(meeting, b"/parsed", field, body="\n".join(lines).encode(), counted=counts).body
        for line in seen.split(b"\n"):
            see_equal(json.loads(line), {"k": want, "l": [want, 1]}, "the JSON")
    elif "form" in kind:
        body = urllib.parse.urlencode({"k": text, text: "v"}).encode()
        seen = said(meeting, b"/parsed", field, body=body, counted=counts).body
        see_equal(urllib.parse.parse_qs(seen.decode()), {"k": [want], want: ["v"]}, "the form")
    elif "xml" in kind:
        body = f'<a k="{text}"><b>{text}</b><!-- {token.decode()} --></a>'.encode()
        seen = tree.fromstring(said(meeting, b"/parsed", field, body=body, counted=counts).body)
        see_equal((seen.get("k"), seen.find("b").text), (want, want), "the XML")
    elif "html" in kind:
        seen = said(meeting, b"/parsed", field, body=f"<p>{text}</p>".encode(), counted=counts).body.decode()
        see_equal(html.unescape(re.fullmatch("<p>([^<>]*)</p>", seen).group(1)), want, "the HTML")
    else:
        seen = said(meeting, b"/parsed", field, body=text.encode(), counted=counts).body
        see_equal(seen, want.encode(), "the text")


PARTS = [  # name, more of the head, the part, whether its tokens are replaced
    ("text", "", "x <T> y", True),
    ("json", "Content-Type: application/json\r\n", '{"k":"<T>"}', True),
    ("folded", "Content-Type:\r\n application/json\r\n", '{"k":"<T>"}', True),
    ("form", "CONTENT-TYPE: application/x-www-form-urlencoded; charset=utf-8\r\n", "k=<T>&l=1", True),
    ("xml", "Content-Type: text/xml\r\n", "<a><T></a>", True),
    ("alone", "", "<T>", True),
    ("8bit", "Content-Transfer-Encoding: 8bit\r\n", "<T>", True),
    ("image", "Content-Type: image/png\r\n", "PNG <T>", False),
    ("packed", "Content-Type: application/octet-stream\r\n", "<T>", False),
    ("base64", "Content-Transfer-Encoding: base64\r\n", "<T>", False),
    ("quoted", "Content-Transfer-Encoding: quoted-printable\r\n", "<T>", False),
    ("two types", "Content-Type: application/json\r\nContent-Type: image/png\r\n", "<T>", False),
]


@case(
    "multipart parts are written by their own type, and the rest of it stays as it was",
    [
        (f"{boundary}, {how}", boundary, how == "counted")
        for boundary in ("cut", '"a (b)"', "-", "b'()+_,-./:?")
        for how in ("counted", "streaming")
    ],
)
def multipart(meeting, boundary, counts):
    token, value = meeting.house.a.tokens["ANY"].decode(), meeting.house.value("ANY").decode()
    mark = boundary.strip('"')
    parts = [
        f'--{mark}\r\nContent-Disposition: form-data; name="{name}"; filename="{token}"\r\n{head}\r\n{part}\r\n'
        for name, head, part, _ in PARTS
    ]
    body = (
        (f"preamble {token}\r\n" + "".join(parts) + f"--{mark}--\r\nepilogue {token}")
        .replace("<T>", token)
        .encode("latin-1")
    )
    kind = (b"content-type", f"multipart/form-data; boundary={boundary}".encode())
    seen = said(meeting, b"/parts", kind, body=body, counted=counts).body
    read = email.message_from_bytes(b'Content-Type: multipart/mixed; boundary="%s"\r\n\r\n' % mark.encode() + seen)
    see_equal(
        (read.preamble.strip(), read.epilogue), (f"preamble {token}", f"epilogue {token}"), "preamble and epilogue"
    )
    see_equal(len(read.get_payload()), len(PARTS), "the number of parts")
    written = {
        "json": json.dumps(value)[1:-1],
        "folded": json.dumps(value)[1:-1],
        "form": percent(value).decode(),
        "xml": html.escape(value).replace("&#x27;", "&#39;"),
    }
    for (name, _, part, replaced), got in zip(PARTS, read.get_payload()):
        see_equal(got.get_filename(), token, f"the file name of {name}")
        want = part.replace("<T>", written.get(name, value) if replaced else token).encode("latin-1")
        see_equal(got.get_payload().encode("ascii", "surrogateescape"), want, f"the part {name}")


# --- names and fixed fields ------------------------------------------------------------------------------------------


@case("S10 a token that is a name stays one", [("a field's name", False), ("a trailer's name", True)])
def names(meeting, trails):
    pair = [(meeting.house.a.tokens["ANY"], b"v")]
    fields, trailers = ([], pair) if trails else (pair, [])
    seen = said(meeting, b"/name", *fields, TEXT, body=b"hello", counted=False, trailers=trailers)
    seen = seen.trailers if trails else seen.fields
    see_equal([(name.lower(), value) for name, value in seen if value == b"v" or TAIL in name], pair, "the field")


@case(
    "S10 nothing is put into a field whose octets say how the message is read",
    lambda client, upstream: [
        (name.decode(), name)
        for name in FIXED
        if name not in (b"transfer-encoding", b"host", b"content-length")
        # HTTP/2 has none of these (RFC 9113 s.8.2.2).
        and not (client == "h2" and name in (b"connection", b"upgrade", b"te"))
    ],
)
def fixed(meeting, name):
    token = meeting.house.a.tokens["ANY"]
    value = {b"content-type": b"text/plain; x=" + token, b"connection": b"close, " + token}.get(name, token)
    answer = meeting.ask(b"POST", b"/fixed", (name, value), body=b"hello")
    if answer.status == 200:
        seen = meeting.last()
        see_equal([v for v in seen.all(name.decode()) if v != value], [], "other values of the field at the host")
        see_equal(seen.body, b"hello", "the body")
    else:
        see_equal((answer.status, answer.code), (400, "bad_request"), "status and code")


@case("a token in a trailer becomes the value", [("x-key", b"x-key"), ("x-sum", b"x-sum")])
def trailer(meeting, name):
    token, value = meeting.house.a.tokens["HEADER"], meeting.house.value("HEADER")
    seen = said(meeting, b"/trailer", TEXT, body=b"hello", counted=False, trailers=[(name, b"a " + token)])
    see_equal(seen.trailers, [(name, b"a " + value)], "the trailers")


# --- denied_token = block --------------------------------------------------------------------------------------------------

GZIP = (b"content-encoding", b"gzip")


def blocked(meeting, method, path, *fields, body=None, **more):
    """403 token_denied; the host has not seen a whole request, nor the token."""
    before = len(meeting.origin.requests)
    answer = meeting.ask(method, path, *fields, body=body, **more)
    see_equal((answer.status, answer.code), (403, "token_denied"), "status and code")
    see_equal(len(meeting.origin.requests), before, "requests at the host")
    see(b"osb_sealed_" not in answer.body, "the answer quotes the token")


BLOCKED = {
    "header": lambda m, t: blocked(m, b"GET", b"/b", (b"x-key", t("URL"))),
    "basic": lambda m, t: blocked(m, b"GET", b"/b", basic(b"user:" + t("HEADER"))),
    "path": lambda m, t: blocked(m, b"GET", b"/b/" + t("HEADER")),
    "query": lambda m, t: blocked(m, b"GET", b"/b?k=" + t("BODY")),
    "query, by default": lambda m, t: blocked(m, b"GET", b"/b?k=" + m.token),
    "body": lambda m, t: blocked(m, b"POST", b"/b", TEXT, body=b"a " + t("URL")),
    "body, not alone": lambda m, t: blocked(m, b"POST", b"/b", JSON, body=b'{"k":"a %s"}' % t("FIELD")),
    "body, opened": lambda m, t: blocked(m, b"POST", b"/b", TEXT, GZIP, body=CODINGS["gzip"][0](b"a " + t("HEADER"))),
    "body, opened, streaming": lambda m, t: blocked(
        m, b"POST", b"/b", TEXT, GZIP, body=CODINGS["gzip"][0](b"a " + t("HEADER")), counted=False
    ),
    "body, behind a megabyte": lambda m, t: blocked(m, b"POST", b"/b", TEXT, body=b"a" * (3 << 20) + t("HEADER")),
    "body, elsewhere's": lambda m, t: blocked(m, b"POST", b"/b", TEXT, body=t("ELSEWHERE")),
    "body, a neighbour's": lambda m, t: blocked(m, b"POST", b"/b", TEXT, body=m.house.b.tokens["S3"]),
    "body, nobody's": lambda m, t: blocked(m, b"POST", b"/b", TEXT, body=UNKNOWN),
    "multipart, a part": lambda m, t: blocked(
        m, b"POST", b"/b", MULTIPART, body=PART % b"" + t("URL") + b"\r\n--cut--"
    ),
    "multipart, a part's head": lambda m, t: blocked(
        m, b"POST", b"/b", MULTIPART, body=PART % (b"X: " + t("URL") + b"\r\n") + b"x\r\n--cut--"
    ),
}


@case(
    "S07 with denied_token = block a token is a 403 in each place that it may not go to",
    [(where, where) for where in BLOCKED],
)
def block(meeting, where):
    if "denied_token = block" not in meeting.house.config:
        meeting.house.again("denied_token = block")
    BLOCKED[where](meeting, lambda name: meeting.house.a.tokens[name])


@case(
    "S07 and what is allowed goes on",
    [(f"{place}, said in {where}", place, where) for where in WAYS for place in PLACES if place in WAYS[where][1]],
)
def block_passes(meeting, place, where):
    one_place_of(meeting, place, where)


def one_place_of(meeting, place, where):
    seen, around, written = WAYS[where][0](meeting, meeting.house.a.tokens[place.upper()])
    see_equal(seen, around % written(meeting.house.value(place.upper())), "what the host saw")


rehouse_last(bench)
bench.run(PlacesHouse)
