"""reference - what of a request must arrive at its host (contract section 3), the slow and plain way: all of it is at hand,
every question is asked of the whole text, and nothing is kept from one to the next. It shares no thought with the proxy.
"""
import base64
import binascii
import re
import sys
import zlib
from functools import lru_cache

try:
    import brotli
    import zstandard
except ImportError:  # another python than Debian's
    sys.path.append("/usr/lib/python3/dist-packages")
    import brotli
    import zstandard

TOKEN = re.compile(rb"osb_sealed_[0-9a-f]{32}")
FIXED = (
    b"host content-length transfer-encoding content-type content-encoding connection upgrade te trailer expect range "
    b"sec-websocket-key"
).split()
DIGESTS = b"content-md5 digest content-digest repr-digest".split()
BINARY = rb"(image|audio|video|font)/.*|application/(zip|octet-stream|protobuf|x-protobuf|grpc.*)"
JSON = rb".*[/+]json|.*/(x-)?ndjson"
FORM = rb"application/x-www-form-urlencoded"
XML = rb".*[/+]xml|text/html"
FIELD_OCTETS = 256  # of a field in a part's head: no more is looked at
UNRESERVED = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"
XML_NAMES = {b"&": b"&amp;", b"<": b"&lt;", b">": b"&gt;", b'"': b"&quot;", b"'": b"&#39;"}
JSON_NAMES = {b'"': b'\\"', b"\\": b"\\\\", b"\b": b"\\b", b"\t": b"\\t", b"\n": b"\\n", b"\f": b"\\f", b"\r": b"\\r"}


class Sealed:
    """A secret as the sandbox has it: hosts are exact names."""

    def __init__(self, token, value, hosts, places=("header", "basic", "body")):
        self.token, self.value, self.hosts, self.places = token, value, hosts, places


class Sent:
    """What a sandbox says. kind and coding are also among the fields; counted: the body's length is said before it."""

    def __init__(self, target, fields, body=b"", kind=None, coding=None, counted=True, trailers=()):
        self.target, self.fields, self.body = target, list(fields), body
        self.kind, self.coding, self.counted, self.trailers = kind, coding, counted, list(trailers)


class Arrived:
    """grown: the octets of values that were put into the body, which then is of no coding, and whose digests say nothing any
    more; None: none was. Where they are more than the spool's, nothing may arrive."""

    def __init__(self, target, fields, body, grown, trailers):
        self.target, self.fields, self.body, self.grown, self.trailers = target, fields, body, grown, trailers


# --- how a value is written ------------------------------------------------------------------------------------------------


def raw(value):
    return value


def octet_by_octet(write):
    return lru_cache(lambda value: b"".join(write(value[at : at + 1]) for at in range(len(value))))


percent = octet_by_octet(lambda one: one if one in UNRESERVED else b"%%%02X" % one[0])
xml = octet_by_octet(lambda one: XML_NAMES.get(one, one))
json_string = octet_by_octet(lambda one: JSON_NAMES.get(one, b"\\u%04x" % one[0] if one < b" " else one))


# --- where a token stands --------------------------------------------------------------------------------------------------
# A document is a row of pieces that joined are the document: (octets, how a value is written in them, bounded). A token that
# is all of a bounded piece is alone. No way to write (None): nothing may be put there. ends: the document's end bounds too.


def text_pieces(text, ends):
    yield text, raw, False


def json_pieces(text, ends):
    for hit in re.finditer(rb'"((?:[^"\\]+|\\.)*)("|\\?\Z)|(?:[^"\\]+|\\.)+\\?|\\\Z', text, re.S):
        string, quote = hit.group(1), hit.group(2)
        if string is None:
            yield hit.group(), raw, False
            continue
        yield b'"', raw, False
        for part in re.split(rb"(\\.)", string, flags=re.S):  # what a backslash stands before is taken by it
            yield part, json_string, part == string and quote == b'"'
        yield quote, raw, False


def form_pieces(text, ends):
    pairs = text.split(b"&")
    for number, pair in enumerate(pairs):
        name, equals, value = pair.partition(b"=")
        over = ends or number < len(pairs) - 1
        yield (b"&" if number else b""), raw, False
        yield name, percent, over or equals == b"="
        yield equals, raw, False
        yield value, percent, over


START_TAG = re.compile(rb"<[A-Za-z_:\x80-\xff][^<]*(?<![-/?\]])>\Z")


def xml_pieces(text, ends):
    for hit in re.finditer(rb"<!\[CDATA\[.*?(?:\]\]>|\Z)|[<>]|[^<>]+", text, re.S):
        if hit.group().startswith(b"<![CDATA["):
            yield hit.group(), raw, False
            continue
        before, behind = text[: hit.start()], text[hit.end() :][:2]
        begins = not before or START_TAG.search(before)
        yield hit.group(), xml, bool(begins) and (behind == b"</" or (behind == b"" and ends))


# What is between a delimiter and a part: padding, fields, an empty line.
HEAD = re.compile(rb"[ \t]*\r\n((?:[^:\r\n]{0,%d}:[^\r\n]*\r\n(?:[ \t][^\r\n]*\r\n)*)*)\r\n" % (FIELD_OCTETS - 1))


def multipart_pieces(boundary):
    def pieces(text, ends):
        delimiter = re.compile(rb"(?:\A|\r\n)--" + re.escape(boundary))
        at, found = 0, delimiter.search(text)
        while found:
            head = HEAD.match(text, found.end())
            if head is None:  # the last one, or what readers may read in two ways: nothing is put in from here on
                break
            found = delimiter.search(text, head.end() - 2)  # that line's end may be a delimiter's beginning
            over = found.start() if found else len(text)
            begin = min(head.end(), over)
            yield text[at:begin], None, False
            clean = found is not None and text[found.end() :][:2] in (b"\r\n", b"--")
            yield from part_pieces(head.group(1), text[begin:over], clean, found is None)
            at = over
        yield text[at:], None, False

    return pieces


def part_pieces(head, part, clean, last):
    """clean: a delimiter stands behind it that all readers see; last: nothing stands behind it."""
    fields = re.findall(rb"([^:\r\n]*):((?:[^\r\n]|\r\n[ \t])*)\r\n", head)
    values = lambda name: [
        (key + b":" + value.replace(b"\r\n", b""))[:FIELD_OCTETS].partition(b":")[2].strip(b" \t")
        for key, value in fields
        if key.strip().lower() == name
    ]
    long = any(  # what is behind that may be what some reader goes by
        key.strip().lower() in (b"content-type", b"content-transfer-encoding")
        and len(key + b":" + value.replace(b"\r\n", b"")) >= FIELD_OCTETS
        for key, value in fields
    )
    kinds, codings = values(b"content-type"), values(b"content-transfer-encoding")
    pieces = pieces_of(kinds[0] if kinds else None, nested=True)
    if (
        len(kinds) > 1
        or long
        or any(coding.lower() not in (b"7bit", b"8bit", b"binary") for coding in codings)
        or pieces is None
    ):
        yield part, None, False
        return
    for text, how, bounded in pieces(part, clean or last):
        yield text, how, bounded or (text == part and clean)


def pieces_of(kind, nested=False):
    """The function that gives the pieces of a body of this Content-Type; None: it is not text."""
    if kind is None:
        return text_pieces
    plain = kind.partition(b";")[0].strip().lower()
    boundary = re.search(rb';\s*boundary=(?:"([^"]{1,70})"|([^\s;"]{1,70}))', kind, re.I)
    if plain.startswith(b"multipart/") and boundary and not nested:
        return multipart_pieces(boundary.group(1) or boundary.group(2))
    for pattern, pieces in ((BINARY, None), (JSON, json_pieces), (FORM, form_pieces), (XML, xml_pieces)):
        if re.fullmatch(pattern, plain):
            return pieces
    return text_pieces


# --- codings ---------------------------------------------------------------------------------------------------------------


def inflate(octets):
    try:
        return zlib.decompress(octets)
    except zlib.error:
        return zlib.decompress(octets, -15)


CODINGS = {  # name: (to code, to open)
    "gzip": (lambda octets: zlib.compress(octets, 6, 31), lambda octets: zlib.decompress(octets, 31)),
    "x-gzip": (lambda octets: zlib.compress(octets, 1, 31), lambda octets: zlib.decompress(octets, 31)),
    "deflate": (zlib.compress, inflate),
    "br": (lambda octets: brotli.compress(octets, quality=4), brotli.decompress),
    "zstd": (
        lambda octets: zstandard.ZstdCompressor(level=3).compress(octets),
        lambda octets: zstandard.ZstdDecompressor().decompressobj().decompress(octets),
    ),
}


# --- a whole request -------------------------------------------------------------------------------------------------------


class Reference:
    """secrets: all that the sandbox has; spool: the most octets of a body with a length that are looked at."""

    def __init__(self, secrets, host, spool=64 << 20):
        self.mine = {secret.token: secret for secret in secrets if host in secret.hosts}
        self.spool = spool

    def put(self, text, place, how=raw):
        """One pass: what was put in is not looked at again."""

        def value(hit):
            secret = self.mine.get(hit.group())
            return how(secret.value) if secret and place in secret.places else hit.group()

        return TOKEN.sub(value, text)

    def field(self, name, value):
        if name.lower() in FIXED:
            return value
        basic = re.fullmatch(rb"(basic) ([A-Za-z0-9+/]+=*)", value, re.I)
        if name.lower() == b"authorization" and basic and not TOKEN.search(value):
            try:
                opened = base64.b64decode(basic.group(2), validate=True)
            except binascii.Error:
                return value
            put = self.put(opened, "basic")
            return b"Basic " + base64.b64encode(put) if TOKEN.search(opened) else value
        return self.put(value, "header")

    def text(self, body, pieces):
        """The body with its values, and the octets of these as they stand there; None where there are none."""
        parts, put = [], []
        pieces = list(pieces(body, True))
        assert b"".join(text for text, _, _ in pieces) == body
        for text, how, bounded in pieces:

            def value(hit):
                secret, alone = self.mine.get(hit.group()), bounded and hit.group() == text
                if how is None or secret is None or not {"body", "field" if alone else "body"} & set(secret.places):
                    return hit.group()
                put.append(len(how(secret.value)))
                return how(secret.value)

            parts.append(TOKEN.sub(value, text))
        return b"".join(parts), sum(put) if put else None

    def looks(self, sent):
        """The function that gives the pieces of its body, or None: it goes on as it is."""
        opens = any({"body", "field"} & set(secret.places) for secret in self.mine.values())
        known = sent.coding in (None, "identity", *CODINGS)
        fits = not sent.counted or len(sent.body) <= self.spool
        return pieces_of(sent.kind) if opens and known and fits else None

    def body(self, sent):
        """The body, and the octets of values in it."""
        pieces = self.looks(sent)
        opened = CODINGS[sent.coding][1](sent.body) if sent.coding in CODINGS and sent.body else sent.body
        if pieces is None:
            return sent.body, None
        if sent.coding in CODINGS and max(len(opened), len(sent.body)) > self.spool:
            # Too many values are heard of on the way to where it proves too long.
            grown = self.text(opened[: self.spool], pieces)[1]
            return sent.body, grown if (grown or 0) > self.spool else None
        body, grown = self.text(opened, pieces)
        return (sent.body if grown is None else body), grown

    def arrives(self, sent):
        body, grown = self.body(sent)
        # The head of a body that streams has gone before its tokens are seen.
        drops = grown is not None or (self.looks(sent) and not sent.counted and sent.coding not in CODINGS)
        fields = []
        for name, value in sent.fields:
            if name.lower() in DIGESTS and drops:
                continue
            if name.lower() == b"content-encoding" and grown is not None and sent.coding in CODINGS:
                continue
            if name.lower() in (b"range", b"if-range") and self.scrubs():
                continue
            if name.lower() == b"accept-encoding" and self.scrubs():
                value = b"identity"
            fields.append((name, self.field(name, value)))
        trailers = [(name, self.field(name, value)) for name, value in sent.trailers]
        return Arrived(self.put(sent.target, "url", percent), fields, body, grown, trailers)

    def scrubs(self):
        return any(len(secret.value) >= 16 for secret in self.mine.values())
