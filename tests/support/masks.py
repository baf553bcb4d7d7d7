"""masks - what may not come back of a value: each promised form, found the slow and plain way, and how a mask looks."""
import base64
import re

from case import see, short
from reference import JSON_NAMES, UNRESERVED, json_string, octet_by_octet, percent, xml

LEAST = 16


def mask(octets):
    """What touches or overlaps is under one mask."""
    return (b"osb_redacted" + b"*" * octets)[:octets]


# --- the forms -------------------------------------------------------------------------------------------------------------


def json_ascii(value):
    """Non-ASCII as UTF-16 code units, as Python's json.dumps says it."""
    text = value.decode()
    units = text.encode("utf-16-be")
    parts = [units[at : at + 2] for at in range(0, len(units), 2)]
    return b"".join(
        json_string(part[1:]) if part[0] == 0 and part[1] < 128 else b"\\u" + part.hex().encode() for part in parts
    )


def json_html(value):
    """As Go's encoding/json says it."""
    return re.sub(rb"[<>&]", lambda hit: b"\\u%04x" % hit.group()[0], json_string(value))


def percent_but(kept, blank=b"%20"):
    return octet_by_octet(
        lambda one: blank if one == b" " else one if one in UNRESERVED + kept else b"%%%02X" % one[0]
    )


def lower(write):
    return lambda value: re.sub(rb"%[0-9A-F]{2}", lambda hit: hit.group().lower(), write(value))


def base64_of(phase, alphabet=b"+/"):
    """What stands in base64 by the value alone, where ${phase} octets (modulo 3) are before it."""

    def write(value):
        text = base64.b64encode(bytes(phase) + value, alphabet)
        return text[(0, 2, 3)[phase] : (phase + len(value)) * 4 // 3]

    return write


FORMS = {
    "as it is": lambda value: value,
    "JSON": json_string,
    "JSON, / escaped": lambda value: json_string(value).replace(b"/", b"\\/"),
    "JSON, ASCII": json_ascii,
    "JSON, safe in HTML": json_html,
    "percent": percent,
    "percent, lower hex": lower(percent),
    "percent, encodeURIComponent": percent_but(b"!'()*"),
    "percent, a path": percent_but(b"/"),
    "percent, a form": percent_but(b"", b"+"),
    "XML": xml,
    "base64, phase 0": base64_of(0),
    "base64, phase 1": base64_of(1),
    "base64, phase 2": base64_of(2),
    "base64url, phase 0": base64_of(0, b"-_"),
    "base64url, phase 1": base64_of(1, b"-_"),
    "base64url, phase 2": base64_of(2, b"-_"),
}
assert set(JSON_NAMES) >= {b'"', b"\\", b"\n"}


def core(value):
    """Without blanks and line ends around it, which many a reader cuts off."""
    bare = value.strip(b" \t\r\n")
    return bare if len(bare) >= LEAST else value


def forms(value):
    """Every form of a value that is long enough, each once."""
    return {write(core(value)) for write in FORMS.values()} if len(value) >= LEAST else set()


# --- the look of a mask ----------------------------------------------------------------------------------------------------


def hits(text, values):
    """The places of all forms of all values, united where they touch: [(start, end)]."""
    found = []
    for form in {form for value in values for form in forms(value)}:
        at = text.find(form)
        while at >= 0:
            found.append((at, at + len(form)))
            at = text.find(form, at + 1)
    united = []
    for start, end in sorted(found):
        if united and start <= united[-1][1]:
            united[-1] = (united[-1][0], max(end, united[-1][1]))
        else:
            united.append((start, end))
    return united


def see_masked(got, text, values, what="the body", some=True):
    """${got} is ${text} with each whole value masked, and nothing else. some: there must be one."""
    see(len(got) == len(text), f"{what} has {len(got)} octets, not {len(text)}: {short(got)}")
    at, places = 0, hits(text, values)
    see(places or not some, f"the test's own: no value in {what}")
    for start, end in places + [(len(text), len(text))]:
        see(
            got[at:start] == text[at:start],
            f"{what} has {short(got[at:start])} at {at}, not {short(text[at:start])}",
        )
        see(got[start:end] == mask(end - start), f"{what} has {short(got[start:end])} at {start}, not a mask")
        at = end
