"""soup - random requests that are hard to read right: bodies full of tokens, of what is nearly one, and of what bounds them.

All is drawn from one generator in one order, and tokens are all of one length: a seed gives the same request in every run,
whatever the tokens of that run are.
"""
import json

from reference import CODINGS, Sent

MARK = b"osb_sealed_"
WORDS = (
    b"key",
    b"a",
    b" ",
    b"the quick",
    b"0",
    b"deadbeef",
    b"\xc3\xa9",
    b"\xe2\x82\xac",
    b"%20",
    b"+",
    b"/",
    b"\t",
    b"_",
)
SIGNS = (
    b'"',
    b"\\",
    b'\\"',
    b"<",
    b">",
    b"&",
    b"=",
    b"'",
    b"\r\n",
    b"\n",
    b"<![CDATA[",
    b"]]>",
    b"--",
    b",",
    b":",
    b"{",
    b"}",
)
KINDS = {
    "text": (None, b"text/plain", b"text/plain; charset=utf-8", b"text/csv", b"application/graphql"),
    "json": (
        b"application/json",
        b"Application/JSON; charset=utf-8",
        b"application/vnd.api+json",
        b"application/x-ndjson",
    ),
    "form": (b"application/x-www-form-urlencoded", b"application/x-www-form-urlencoded;charset=UTF-8"),
    "xml": (b"application/xml", b"text/xml; charset=utf-8", b"text/html", b"application/soap+xml"),
    "multipart": (
        b"multipart/form-data; boundary=%s",
        b'multipart/mixed; boundary="%s"',
        b"Multipart/Form-Data;boundary=%s",
    ),
    "binary": (
        b"application/octet-stream",
        b"image/png",
        b"application/zip",
        b"application/grpc+proto",
        b"font/woff2",
    ),
}
PART_KINDS = (
    None,
    b"text/plain",
    b"application/json",
    b"application/x-www-form-urlencoded",
    b"text/xml",
    b"image/png",
)


def cut(rng, octets, most, near=()):
    """${octets} in up to ${most} + 1 pieces, none of them empty; half of the cuts lie within 44 octets behind ${near}."""
    marks = set()
    for _ in range(rng.randrange(most + 1)):
        at = int(rng.random() * len(octets))
        place, back = int(rng.random() * len(near)), rng.randrange(45)
        marks.add(near[place] + back if near and rng.random() < 0.5 else at)
    marks = sorted(at for at in marks if 0 < at < len(octets))
    return [octets[a:b] for a, b in zip([0] + marks, marks + [len(octets)]) if a < b]


class Soup:
    """tokens: those that may stand in it, by name; large: more than any spool takes."""

    def __init__(self, rng, tokens, large):
        self.rng, self.tokens, self.large = rng, [tokens[name] for name in sorted(tokens)], large

    def token(self):
        return self.rng.choice(self.tokens)

    def hex(self, count=32):
        return b"%0*x" % (count, self.rng.getrandbits(4 * count))

    def nearly(self):
        """A token with a flaw, or what only begins as one."""
        rng, token = self.rng, self.token()
        at = rng.randrange(43)
        return rng.choice(
            (
                token[:at],
                token[:at] + b"g" + token[at + 1 :],
                token[:at] + token[at + 1 :],
                token[1:],
                MARK + token[11:].upper()[:31] + b"F",
                MARK + self.hex(),
                MARK * rng.randrange(1, 9),
                MARK * rng.randrange(1, 5) + token,
                token[:at] + token,
                token + self.hex(rng.randrange(1, 40)),
                token + token,
            )
        )

    def piece(self):
        kind = self.rng.randrange(100)
        if kind < 30:
            return self.token()
        if kind < 50:
            return self.nearly()
        if kind < 80:
            return self.rng.choice(WORDS)
        if kind < 95:
            return self.rng.choice(SIGNS)
        return self.hex(self.rng.choice((8, 32, 32, 64, 400)))

    def soup(self, octets):
        """About so many; in a long one there is more between the tokens."""
        parts, have = [], 0
        while have < octets:
            parts.append(self.piece() if octets < 6000 or self.rng.random() < 0.3 else self.hex(1200))
            have += len(parts[-1])
        return b"".join(parts)

    def octets(self):
        """How long a body is to be."""
        rng, kind = self.rng, self.rng.randrange(1000)
        for below, least, most in (
            (20, 0, 1),
            (600, 1, 500),
            (860, 500, 4000),
            (970, 4000, 30000),
            (998, 30000, 120000),
        ):
            if kind < below:
                return rng.randrange(least, most)
        return self.large

    def text(self, most=60):
        """What stands in one string, value or element: often a token alone."""
        kind = self.rng.randrange(10)
        return self.token() if kind < 4 else b"" if kind == 4 else self.soup(self.rng.randrange(1, most))

    # --- bodies of a kind -------------------------------------------------------------------------------------------------

    def body(self, kind, octets, boundary):
        if kind in ("text", "binary") or self.rng.random() < 0.2:
            return self.soup(octets)
        parts, have = [], 0
        while have < octets:
            part = {"json": self.json, "form": self.form, "xml": self.xml, "multipart": self.part}[kind](boundary)
            filled = octets >= 6000 and self.rng.random() < 0.7
            parts.append(part[:-2] + self.hex(1200) + part[-2:] if filled else part)
            have += len(parts[-1])
        body = b"".join(parts)
        if kind == "multipart":
            body = self.rng.choice((b"", b"preamble\r\n", self.token() + b"\r\n")) + body
            body += self.rng.choice(
                (b"", b"--" + boundary + b"--\r\n", b"--" + boundary + b"--", b"--" + boundary + b"--\r\nend")
            )
        if self.rng.random() < 0.2:
            at = int(self.rng.random() * len(body))
            body = body[:at] + self.piece() + body[at:]
        return body[: int(self.rng.random() * len(body))] if self.rng.random() < 0.05 else body

    def json(self, _):
        write = lambda octets: json.dumps(octets.decode("latin-1"), ensure_ascii=False).encode("latin-1")
        key, value = write(self.text()), write(self.text(200))
        blank = self.rng.choice((b"", b" ", b"\n"))
        forms = (b"{%s:%s%s}", b"[%s,%s%s]", b'{"a":{%s:[1,%s,null]}}%s', b"%s%s%s")
        return self.rng.choice(forms) % (key, value, blank) + self.rng.choice((b"\n", b",", b""))

    def form(self, _):
        plain = lambda octets: octets.replace(b"&", b"%26") if self.rng.random() < 0.9 else octets
        return plain(self.text()) + self.rng.choice((b"=", b"=", b"=", b"==", b"")) + plain(self.text()) + b"&"

    def xml(self, _):
        name, forms = self.rng.choice((b"a", b"b:c")), (
            b"<%s>%s</%s>",
            b"<%s> %s </%s>",
            b"<%s><![CDATA[%s]]></%s>",
            b'<%s k="%s"></%s>',
            b"<%s><!-- %s --></%s>",
            b"<%s><i/>%s</%s>\n",
        )
        return self.rng.choice(forms) % (name, self.text(), name)

    def part(self, boundary):
        rng = self.rng
        kind, head = rng.choice(PART_KINDS), b'Content-Disposition: form-data; name="%s"\r\n' % self.rng.choice(
            (b"k", self.token())
        )
        if kind:
            head += rng.choice((b"Content-Type: %s\r\n", b"content-type:%s; charset=utf-8\r\n")) % kind
        if rng.random() < 0.1:
            head += b"Content-Transfer-Encoding: %s\r\n" % rng.choice((b"8bit", b"binary", b"base64", b"7bit"))
        inner = {
            b"application/json": self.json,
            b"text/xml": self.xml,
            b"application/x-www-form-urlencoded": self.form,
        }.get(kind)
        text = inner(boundary) if inner and rng.random() < 0.7 else self.text(200)
        alike = rng.choice((b"\r\n--", b"\r\n--" + boundary[:-1], b"\n--" + boundary, b"--" + boundary, b"\r\n-"))
        text = text + alike + b" " if rng.random() < 0.1 else text
        return b"--%s%s\r\n%s\r\n%s\r\n" % (boundary, rng.choice((b"", b"", b"", b" ", b"\t ")), head, text)

    # --- a request --------------------------------------------------------------------------------------------------------

    def value(self):
        """Of a field: printable, and nothing that a reader of fields may trim."""
        text = b"".join(
            self.rng.choice((self.token(), self.nearly(), b"x", b'a="b"', b", ", b"Bearer ")) for _ in range(3)
        )
        return text.strip(b" ,") or b"-"

    def sent(self):
        rng = self.rng
        kind = rng.choice(("text", "json", "json", "form", "xml", "multipart", "multipart", "binary"))
        boundary = rng.choice((b"xx", b"----WebKitFormBoundary7MA4YWxkTrZu0gW", b"a'()+_,-./:=?", b"-"))
        media = rng.choice(KINDS[kind])
        if media and b"%s" in media:
            quoted = (
                boundary if media.count(b'"') or boundary.isalnum() or b"=" not in boundary else b'"%s"' % boundary
            )
            media = media % quoted
        body, coding = self.body(kind, self.octets(), boundary), None
        if rng.random() < 0.35:
            coding = rng.choice(
                ("gzip", "gzip", "x-gzip", "deflate", "br", "zstd", "identity", "compress", "gzip, br")
            )
            body = CODINGS[coding][0](body) if coding in CODINGS else body
        counted = rng.random() < 0.55
        fields = [(b"x-case", b"%d" % rng.getrandbits(31))]
        fields += [(b"content-type", media)] if media else []
        fields += [(b"content-encoding", coding.encode())] if coding else []
        if rng.random() < 0.2:
            fields += [(rng.choice((b"x-key", b"authorization", b"x-other")), self.value())]
        if rng.random() < 0.1:
            fields += [
                (rng.choice((b"content-md5", b"digest", b"content-digest", b"repr-digest")), b"sha-256=:AAAA:")
            ]
        if rng.random() < 0.1:
            fields += [(b"accept-encoding", b"gzip, br"), (b"range", b"bytes=0-9")]
        target = b"/" + (b"p?q=" + self.nearly() + b"&" + self.token() if rng.random() < 0.1 else b"case")
        trailers = [(b"x-trailer", self.value())] if not counted and rng.random() < 0.15 else []
        return Sent(target, fields, body, media, coding, counted, trailers)
