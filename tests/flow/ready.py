"""ready - /readyz tells the truth: from its first 200 on every connection of a known sandbox is served."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from case import Bench, see, see_equal
from house import House, request

bench = Bench()


class ReadyHouse(House):
    """Each row starts a proxy anew, with the same stores and sandboxes."""

    all_workers = True

    def is_ready(self):
        return super().is_ready() if self.all_workers else b" 200 " in self.fetch_admin("/readyz")[:16]

    def start_again(self, workers, all_workers):
        see_equal(self.stop_proxy(), 0, "the exit code of the proxy before")
        see(not self.proxy.said().count(b"runtime error"), "the proxy before was not clean")
        self.programs.remove(self.proxy)
        self.workers, self.all_workers = workers, all_workers
        self.start_proxy()


@bench.case(
    "a proxy that says it is ready serves at once",
    [(f"start {n}, {workers} workers", workers) for n in range(4) for workers in (1, 2, 4)],
)
def at_once(house, workers):
    house.start_again(workers, all_workers=False)
    for client in [house.client(house.a, "api.test") for _ in range(8)]:
        see(client.shaken, f"a handshake ended with {client.closed}")
        answer = client.ask(request("GET", "/ready", "api.test"))
        see(answer is not None and answer.status == 200, f"{answer and answer.status}, {client.closed}")
        client.end()


@bench.case("a last start, whose descriptors are the baseline of the checks that follow")
def last(house):
    house.start_again(2, all_workers=True)
    house.settle_down()


bench.run(ReadyHouse)
