"""h2house - a house whose hosts speak HTTP/2, but for echo.test; one worker, so that connections can be counted."""
import threading

from case import see, see_equal
from h2origin import H2Origin
from house import House, await_until, request
from origin import Origin

NAMES = tuple(f"n{n}.wild.test" for n in range(60))
CONNECT_S = 2


class H2UpstreamHouse(House):
    kind_of_origin = H2Origin

    def __init__(self, build):
        super().__init__(build, names=("api.test",) + NAMES, workers=1)
        self.unused = list(NAMES)

    def furnish(self):
        super().furnish()
        self.h1_origin = Origin(self.pki.leaf(self.root, "DNS:echo.test"))
        self.config += [f"connect_to = echo.test:443=127.0.0.1:{self.h1_origin.port}"]
        self.config += [f"connect_timeout = {CONNECT_S}s", "sandbox_connections = 0"]

    def settle_down(self):
        super().settle_down()
        self.fresh()

    def see_baseline(self):
        self.h1_origin.drop_all()
        super().see_baseline()

    def __exit__(self, *how):
        if hasattr(self, "h1_origin"):
            self.h1_origin.close()
        super().__exit__(*how)

    def fresh(self, host=None):
        """A name that nobody is connected to, and an origin that remembers nothing."""
        self.origin.drop_all()
        with self.origin.changed:
            self.origin.connections, self.origin.arrived, self.origin.begun = [], [], []
        self.origin.settings, self.origin.unread = {}, set()
        self.unused.append(self.unused.pop(0))
        return host or self.unused[-1]

    def connected(self, count):
        """How many connections there were since fresh()."""
        see_equal(len(self.origin.connections), count, "the count of connections")

    def begun(self, path):
        with self.origin.changed:
            return [seen for seen in self.origin.begun if seen.path == path]

    def await_begun(self, path, count):
        await_until(lambda: len(self.begun(path)) >= count, f"{count} requests for {path} at the host")

    def served(self, host, path="/"):
        see_equal(self.get(self.a, host, path).status, 200, "the status of another request")


def post(path, host, body, *fields):
    return request("POST", path, host, b"Content-Type: application/octet-stream", *fields, body=body)


class Askers:
    """Requests at the same time, each on a client's connection of its own."""

    def __init__(self, house, host, octets, seconds=20):
        self.answers = [None] * len(octets)
        self.threads = [
            threading.Thread(target=self.ask, args=(house, host, n, one, seconds)) for n, one in enumerate(octets)
        ]
        for thread in self.threads:
            thread.start()

    def ask(self, house, host, n, octets, seconds):
        with house.client(house.a, host, seconds=seconds) as client:
            self.answers[n] = client.ask(octets) if client.shaken else None

    def done(self):
        for thread in self.threads:
            thread.join()
        return [answer.status if answer else 0 for answer in self.answers]


def burst(house, host, count, path="/"):
    return Askers(house, host, [request("GET", f"{path}?{n}", host) for n in range(count)])


def see_all(statuses, status, count):
    see_equal({s: statuses.count(s) for s in statuses}, {status: count}, "the statuses")


def see_refused(answer, status, code):
    see(answer is not None, "no answer")
    see_equal((answer.status, answer.code), (status, code), "status and code")
