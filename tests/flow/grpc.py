"""grpc - real clients and a real server: metadata tokens replaced, messages as they are, ends and refusals as gRPC's own.

The clients and the server are programs of their own (support/grpc_*): python3-grpcio, and @grpc/grpc-js where npm has it.
"""
import json
import os
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from case import Bench, see, see_equal, short
from house import House, Program, await_until, free_port

bench = Bench()
SUPPORT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support")
PYTHON = "/usr/bin/python3"  # Debian's, which python3-grpcio belongs to
HOST, DOWN = "grpc.test", "down.test"
CANCELLED, DEADLINE_EXCEEDED, PERMISSION_DENIED, FAILED_PRECONDITION, UNAVAILABLE = 1, 4, 7, 9, 14


def js_client(folder):
    """Its words, once npm has put it there; else none."""
    why = "there is no npm"
    if shutil.which("node") and shutil.which("npm"):
        shutil.copytree(f"{SUPPORT}/grpc-js", folder, dirs_exist_ok=True)
        npm = [
            "timeout",
            "120",
            "npm",
            "install",
            "--no-audit",
            "--no-fund",
            "--ignore-scripts",
            "--no-package-lock",
        ]
        done = subprocess.run(npm, cwd=folder, capture_output=True)
        if done.returncode == 0:
            return {"js": ["node", f"{folder}/client.js"]}
        why = f"npm left with {done.returncode}: {short(done.stderr[-200:])}"
    print(f"skip  calls by @grpc/grpc-js: {why}", flush=True)
    return {}


FOLDER = tempfile.TemporaryDirectory(prefix="osb-grpc-js-")
CLIENTS = {"python": [PYTHON, f"{SUPPORT}/grpc_client.py"]} | js_client(FOLDER.name)


class GrpcHouse(House):
    """The sandbox of the calls is 127.0.0.1: these clients can't choose where they come from."""

    def furnish(self):
        super().furnish()
        self.store("G", HOST, DOWN)
        self.secret("G", "S4", HOST, DOWN)
        self.secret("G", "S5", "other.test")
        self.g = self.sandbox("sbG", "127.0.0.1", "G")
        leaf = self.pki.leaf(self.root, f"DNS:{HOST}")
        self.server = Program(f"{self.folder}/grpc.log", PYTHON, f"{SUPPORT}/grpc_server.py", leaf.chain, leaf.key)
        self.programs.append(self.server)
        await_until(self.said, "the gRPC server", 20)
        self.config = [f"connect_to = {HOST}:443=127.0.0.1:{self.said()[0]['port']}"]
        self.config += [f"connect_to = {DOWN}:443=127.0.0.1:{free_port()}", "denied_token = block"]

    def see_baseline(self):
        self.server.end()  # the proxy keeps connections to it
        super().see_baseline()

    def said(self):
        see(self.server.child.poll() is None, f"the gRPC server has left: {short(self.server.said()[-500:], 600)}")
        return [json.loads(line) for line in self.server.said().split(b"\n")[:-1] if line.startswith(b"{")]

    def call(self, client, method, messages=(b"m",), host=HOST, token="S4", **more):
        """What the client has heard, and what the server was told since then."""
        bearer = f"Bearer {self.g.tokens[token].decode()}"
        call = {"target": f"127.0.0.1:{self.port}", "ca": self.g.ca_file, "host": host, "method": method}
        call |= {"metadata": {"authorization": bearer}, "messages": [m.hex() for m in messages], **more}
        self.before = len(self.said())
        done = subprocess.run(CLIENTS[client], input=json.dumps(call).encode(), capture_output=True, timeout=60)
        see(done.returncode == 0, f"the client left with {done.returncode}: {short(done.stderr[-1500:], 1600)}")
        for secret in self.canaries():
            see(secret.value not in done.stdout, f"the value of {secret.name} came back to the client")
        return json.loads(done.stdout)

    def await_said(self, word, method):
        """The server's lines of this kind since the last call began; at least one."""
        news = lambda: [line for line in self.said()[self.before :] if line.get(word) == method]
        await_until(news, f"the server: {word} {method}", 5)
        return news()


def case(sentence, variants=(("",),)):
    """Register it for each client and variant."""
    rows = [
        (f"{client}{', ' * bool(label)}{label}", client, *more) for client in CLIENTS for label, *more in variants
    ]
    return bench.case(sentence, rows)


def see_status(said, code, details=""):
    see_equal(said["code"], code, f"the status ({short(said['details'])})")
    see(details in said["details"], f"the details are {said['details']!r}")
    return said


LARGE = os.urandom(3 << 20)


@case(
    "a call's token is replaced in its metadata, its messages stay as they are, its trailers arrive",
    [
        (f"{method}, {label}", method, sent, heard)
        for label, one in (("a token in each message", b"a"), ("empty messages", b""), ("3 MiB", LARGE))
        for method, sent, heard in (
            ("Unary", [one], [one]),
            ("Client", [one, b"2", b"3"], [one + b"23"]),
            ("Server", [one], [one] * 3),
            ("Bidi", [one, b"2", one], [one, b"2", one]),
        )
        if one is not LARGE or method in ("Unary", "Server")
    ],
)
def calls(house, client, method, sent, heard):
    mark = house.g.tokens["S4"]
    full = lambda messages: [
        message.replace(b"a", b"<" + mark + b">") if len(message) < 10 else message for message in messages
    ]
    sent, heard = full(sent), full(heard)
    said = see_status(house.call(client, method, sent), 0)
    see_equal(said["messages"], [message.hex() for message in heard], "the messages that came back")
    see_equal(said["initial"].get("x-initial"), "1", "the initial metadata")
    see_equal(
        (said["trailing"].get("x-trailing"), said["trailing"].get("x-octets-bin")), ("2", "00ff"), "the trailers"
    )
    fields = dict(house.await_said("began", method)[0]["metadata"])
    see_equal(fields["authorization"], "Bearer " + house.value("S4").decode(), "the metadata at the server")
    got = [line["message"] for line in house.await_said("got", method)]
    see_equal(got, [message.hex() for message in (sent * 3 if method == "Server" else sent)], "the messages there")
    line = house.await_audit(lambda line: line["path"] == f"/osb.Test/{method}", "the audit line")
    see_equal(
        (line["proto"], line["upstream_proto"], line["secrets"]), ("h2", "h2", ["S4"]), "protocols and secrets"
    )


@case("a server's own status comes with its message and its trailers", [("behind a message", "Fail")])
def failed(house, client, method):
    said = see_status(house.call(client, method), FAILED_PRECONDITION)
    see_equal(said["details"], "not so: 50 % \u00e9\n", "the details")
    see_equal((said["messages"], said["trailing"].get("x-trailing")), ([b"m".hex()], "2"), "message and trailers")


@case("a method that the server does not have is its status, without a message before")
def unknown(house, client):
    see_status(house.call(client, "None"), 12)


@case("a deadline is told to the server, and over for both")
def deadline(house, client):
    see_status(house.call(client, "Wait", deadline=0.7), DEADLINE_EXCEEDED)
    remaining = house.await_said("began", "Wait")[0]["remaining"]
    see(remaining is not None and 0 < remaining <= 0.7, f"the server knew of {remaining} s")
    house.await_said("ended", "Wait")


@case("a call that its client cancels is over for the server")
def cancelled(house, client):
    see_status(house.call(client, "Wait", cancel=True), CANCELLED)
    house.await_said("ended", "Wait")
    line = house.await_audit(lambda line: line["path"] == "/osb.Test/Wait", "the audit line")
    see_equal(line["reason"], "client_gone", "the audit's reason")


@case(
    "a refusal is a status that a program understands, with a message that a person does",
    [
        ("a token of another host", {"token": "S5"}, PERMISSION_DENIED, "sealed token"),
        ("a host that is not allowed", {"host": "evil.test"}, PERMISSION_DENIED, "evil.test"),
        ("a host that is not the connection's", {"authority": DOWN}, PERMISSION_DENIED, "TLS server name"),
        ("a host that is not there", {"host": DOWN}, UNAVAILABLE, "down.test"),
    ],
)
def refused(house, client, more, code, details):
    for method in ("Unary", "Bidi"):
        said = see_status(house.call(client, method, **more), code, details)
        see_equal(said["messages"], [], f"{method}: the messages")
        see(not house.said()[house.before :], f"{method}: the server was told of it")


bench.run(GrpcHouse)
