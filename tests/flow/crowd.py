"""crowd - more sandboxes than a worker's locked memory holds at once: those that nobody speaks for make room."""
import os
import resource
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from case import Bench, see, see_equal
from house import House, request

bench = Bench()
CROWD, SECRETS, VALUE_KIB, LOCKED_MIB = 60, 4, 8, 2  # with what is made of its values each takes about 240 KiB


class CrowdHouse(House):
    def __init__(self, build):
        super().__init__(build, workers=1)

    def furnish(self):
        super().furnish()
        self.store("crowd", "echo.test")
        self.many = [
            self.secret("crowd", f"LONG_{i}", "echo.test", value=os.urandom(VALUE_KIB * 512).hex().encode(), canary=False)
            for i in range(SECRETS)
        ]
        self.crowd = [self.sandbox(f"sb-{n}", f"127.0.2.{n + 1}", "crowd") for n in range(CROWD)]


def served(house, sandbox):
    answer = house.get(sandbox, "echo.test", "/", b"X-Long: " + sandbox.tokens["LONG_0"])
    see_equal(answer.status, 200, f"the status for {sandbox.name}")
    see_equal(house.origin.requests[-1].get("x-long"), house.many[0].value.decode(), f"what came from {sandbox.name}")


@bench.case("each of a crowd is served, one after the other, twice", [(turn, turn) for turn in ("first", "again")])
def one_by_one(house, _):
    for sandbox in house.crowd:
        served(house, sandbox)


@bench.case("who keeps its connection open is not forgotten for the others", [("-", None)])
def kept(house, _):
    first = house.crowd[0]
    with house.client(first, "echo.test") as client:
        see(client.ask(request("GET", "/", "echo.test")).status == 200, "the first request")
        for sandbox in house.crowd[1:]:
            served(house, sandbox)
        answer = client.ask(request("GET", "/", "echo.test"))
        see(answer is not None and answer.status == 200, f"the kept connection: {answer and answer.status}")


resource.setrlimit(resource.RLIMIT_MEMLOCK, (LOCKED_MIB << 20, LOCKED_MIB << 20))
bench.run(CrowdHouse)
