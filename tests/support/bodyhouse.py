"""bodyhouse - a house for what becomes of bodies: small limits, and one worker whose memory and files are looked at."""
import os
import re
import secrets

from case import Seen, see, see_equal
from house import await_until
from meeting import MeetingHouse, see_whole
from origin import Origin
from rehouse import Rehouse

BOTH = ("api.test", "echo.test")
KIB, MIB = 1 << 10, 1 << 20
MEMORY, SPOOL = 64 * KIB, MIB
LIMITS = [f"body_memory = {MEMORY}", f"body_spool = {SPOOL}"]
TEXT, JSON, BINARY = [(b"content-type", kind) for kind in (b"text/plain", b"application/json", b"image/png")]


class BodiesHouse(MeetingHouse, Rehouse):
    """One worker, whose memory and files are looked at; small limits, so that bodies are soon longer."""

    def furnish(self):
        self.origin.contexts["echo.test"] = Origin.context(self.good)
        self.store("A", *BOTH, "*.wild.test")
        self.store("B", *BOTH)
        self.secret("A", "S1", "api.test")
        self.secret("A", "S2", "echo.test")
        self.secret("A", "LONG", *BOTH, value=secrets.token_hex(8 * KIB).encode())
        self.secret("A", "QUOTES", *BOTH, value=b'"' * (8 * KIB))
        self.secret("B", "S3", *BOTH)
        self.a, self.b = self.sandbox("sbA", "127.0.0.2", "A"), self.sandbox("sbB", "127.0.0.3", "B")
        self.spools = f"{self.folder}/spools"
        os.mkdir(self.spools)
        self.environment = {"TMPDIR": self.spools}
        self.config += LIMITS

    def worker(self):
        return self.pids()[-1]

    def resident(self):
        with open(f"/proc/{self.worker()}/status") as text:
            return int(re.search(r"VmRSS:\s*(\d+)", text.read()).group(1)) * KIB

    def files(self):
        """The worker's files without a name: [(link, path to read it by)]."""
        found = []
        for pid in self.pids():
            for number in os.listdir(f"/proc/{pid}/fd"):
                path = f"/proc/{pid}/fd/{number}"
                try:
                    link = os.readlink(path)
                except OSError:
                    continue  # closed meanwhile
                if link.endswith("(deleted)") and "/#" in link:
                    found.append((link, path))
        return found

    def see_no_files(self):
        if is_root():
            await_until(lambda: not self.files(), "no spool is left open")
            see_equal(os.listdir(self.spools), [], "names in the folder of spools")

    def final(self):
        return [("no spool is left", self.see_no_files)] + super().final()


def is_root():
    if os.geteuid() != 0:
        print("note  the proxy's files are looked at by root only", flush=True)
    return os.geteuid() == 0


def padded(size, token=b"", at=0.5):
    """${size} octets of text with the token in them."""
    before = int((size - len(token)) * at)
    return b"x" * before + token + b"y" * (size - len(token) - before)


def said(meeting, path, *fields, body, counted=True, **more):
    see_whole(meeting.ask(b"POST", path, *fields, body=body, counted=counted, **more))
    return meeting.last()


def see_framed(meeting, seen, length):
    """length None: there is none; else it is said once."""
    see_equal(seen.all("content-length"), [] if length is None else [b"%d" % length], "Content-Length")
    if meeting.upstream == "h1":
        see_equal(seen.all("transfer-encoding"), [b"chunked"] if length is None else [], "Transfer-Encoding")


def see_body(seen, want):
    if seen.body != want:
        at = next((n for n, (a, b) in enumerate(zip(seen.body, want)) if a != b), min(len(seen.body), len(want)))
        see(
            False,
            f"{len(seen.body)} octets, not {len(want)}; at {at} {seen.body[at:at + 60]!r}, not {want[at:at + 60]!r}",
        )


def say(talk, octets, end=False):
    """As send(), but an answer may come first: then no more is said."""
    try:
        talk.send(octets, end)
    except Seen as saw:
        see(talk.stream.status, str(saw))
