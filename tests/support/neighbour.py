"""neighbour - the proxy of another host: a second osb-proxy with a configuration and an audit log of its own.

It shares Redis, the key file, the origin and the name server with the house that it stands beside; sandboxes too, since
their addresses lie on this machine's loopback.
"""
import secrets

from house import request
from rehouse import Rehouse

SHARED = ("pki", "root", "good", "origin", "nameserver", "redis", "redis_lines", "redis_socket", "key_file")


class Neighbour(Rehouse):
    """lines: of its configuration; without "zone = ..." it serves the same sandboxes."""

    def __init__(self, house, lines=(), workers=2):
        super().__init__(house.build, lines, environment=house.environment, workers=workers, names=house.names)
        self.house = house
        for part in SHARED:
            setattr(self, part, getattr(house, part))
        self.sandboxes, self.secrets = house.sandboxes, house.secrets
        self.looked_at = house.looked_at

    def __enter__(self):
        try:
            self.start_proxy()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, *how):
        for part in ("origin", "nameserver"):  # which are the house's to close
            if hasattr(self, part):
                delattr(self, part)
        super().__exit__(*how)

    def final(self):
        """What the house does not look at; the last one ends the proxy."""
        checks = (
            ("no value and no whole token is in its log, audit or metrics", self.see_logs_clean),
            ("every line of its audit log is one JSON object of printable ASCII", self.see_audit_clean),
            ("TERM ends it with 0", self.see_end),
            ("none of its workers was killed, by an assertion or a crash", self.see_workers_lived),
            ("no sanitizer has spoken there", self.see_sanitizers),
        )
        return [(f"the other host's proxy: {sentence}", function) for sentence, function in checks]


class TwoHosts(Rehouse):
    """This house's proxy and a neighbour's, which starts with it; mine, theirs: their lines of configuration."""

    def __init__(self, build, mine, theirs, **more):
        super().__init__(build, **more)
        self.config, self.theirs, self.neighbour = list(mine), list(theirs), None

    def start_proxy(self):
        super().start_proxy()
        if not self.neighbour:
            self.neighbour = Neighbour(self, workers=self.workers)
            self.neighbour.config = self.theirs
            self.neighbour.__enter__()

    @property
    def proxies(self):
        return (self, self.neighbour)

    def __exit__(self, *how):
        if self.neighbour:
            self.neighbour.__exit__(*how)
        super().__exit__(*how)

    def holds(self):
        for holds in (super().holds, self.neighbour.holds):
            holds()

    def final(self):
        mine = super().final()
        return mine[:-3] + self.neighbour.final() + mine[-3:]


class Line:
    """A connection of a sandbox to a host through one proxy; ask() says what of a token arrived there, or why none did."""

    def __init__(self, proxy, sandbox, host, token):
        self.proxy, self.sandbox, self.host, self.token = proxy, sandbox, host, token
        self.client = proxy.client(sandbox, host)

    def renew(self):
        self.client.end()
        self.client = self.proxy.client(self.sandbox, self.host)

    def ask(self):
        """(header's field, query, body), or the code of the refusal, or how the connection ended."""
        if not self.client.shaken:
            return self.client.closed
        path = "/seen/" + secrets.token_hex(6)
        answer = self.client.ask(
            request(
                "POST",
                f"{path}?q={self.token.decode()}",
                self.host,
                b"x-key: " + self.token,
                b"content-type: text/plain",
                body=b"b " + self.token,
            )
        )
        if answer is None:
            return self.client.closed
        if answer.status != 200:
            return answer.code
        seen = last_of(self.proxy.origin, path)
        return seen.get("x-key").encode(), seen.start.split(b" ")[1].split(b"?q=")[1], seen.body[2:]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.client.end()


def last_of(origin, path):
    """The last request for this path, as it arrived."""
    with origin.changed:
        return next(r for r in reversed(origin.arrived) if r.start.split(b" ")[1].startswith(path.encode()))
