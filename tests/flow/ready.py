"""ready - /readyz tells the truth: from its first 200 on every connection of a known sandbox is served."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from case import Bench, see, see_equal
from house import House, await_until, request

bench = Bench()


class ReadyHouse(House):
    """Each row starts a proxy of its own beside the usual one's stores."""

    def start_again(self, workers):
        see_equal(self.stop_proxy(), 0, "the exit code of the proxy before")
        self.programs.remove(self.proxy)
        os.rename(self.proxy.log, self.proxy.log + ".before")
        self.workers, self.whole = workers, False
        self.start_proxy()

    whole = True

    def is_ready(self):
        return b" 200 " in self.fetch_admin("/readyz")[:16] and (not self.whole or super().is_ready())


@bench.case("a proxy that says it is ready serves at once", [(f"start {n}, {w} workers", w) for n in range(5) for w in (1, 2, 4)])
def at_once(house, workers):
    house.start_again(workers)
    clients = [house.client(house.a, "api.test") for _ in range(8)]
    for client in clients:
        see(client.shaken, f"a handshake ended with {client.closed}")
        answer = client.ask(request("GET", "/ready", "api.test"))
        see(answer is not None and answer.status == 200, f"{answer and answer.status}, {client.closed}")
        client.end()


@bench.case("it is ready again, and serves, once Redis is back")
def redis_back(house):
    house.whole = True
    house.start_again(2)
    house.redis_program.end()
    house.programs.remove(house.redis_program)
    await_until(lambda: house.metric("osb_workers_ready") is not None, "the admin page is served without Redis", 5)
    house.start_redis(fresh=False)
    house.ctl("sandbox", "list")
    await_until(house.is_ready, "every worker has found Redis again", 10)


def settle(house):
    house.settle_down()


bench.case("the baseline of this last proxy")(settle)
bench.run(ReadyHouse)
