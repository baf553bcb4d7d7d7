#!/usr/bin/env python3
"""Medians and ratios out of the results of compare.sh.

  table.py DIR             the table
  table.py --figure FILE   one result in a few words
"""

import glob
import json
import os
import statistics
import sys

ORDER = ["osb", "nginx", "haproxy", "squid", "sslsplit", "mitmproxy", "few", "many", "warm", "cold"]


def per_request(result):
    return result["cpu_us_per_request"]


def per_mib(result):
    return result["cpu_us_per_request"] * result["requests"] / (result["body_octets"] / 2**20)


def per_connection(result):
    return result["kib_per_connection"]


def median_latency(result):
    return result["latency_us"]["p50"]


def per_body_mib(result):
    return result["cpu_us_per_request"] / (result["plan"]["body_octets"] / 2**20)


def per_sandbox(result):
    return result["kib_per_sandbox"]


def first_request(result):
    waited = result["redis_round_trip_us"] if result["fetches"] else 0
    return result["latency_us"]["p99"] - waited


class Workload:
    """What it is, its figure and the figure's unit; whom the ratio is of, the better one of whom it is to, and the goal."""

    def __init__(self, title, figure, unit, goal, best_of, ours="osb"):
        self.title, self.figure, self.unit, self.goal, self.best_of, self.ours = title, figure, unit, goal, best_of, ours


def growth(title, figure=per_request, unit="us CPU/request"):
    return Workload(title, figure, unit, 1.10, ("few",), "many")


PEERS = ("nginx", "haproxy")
WORKLOADS = {
    "W1": Workload("keep-alive POST, tokens in header and body", per_request, "us CPU/request", 0.90, PEERS),
    "W2": Workload("new connection for each request", per_request, "us CPU/request", 0.80, ("haproxy",)),
    "W2n": Workload("handshake for a name never seen", per_request, "us CPU/handshake", 1.60, ("haproxy",)),
    "W3d": Workload("one large body down", per_mib, "us CPU/MiB", 0.90, PEERS),
    "W3u": Workload("one large body up, chunked text", per_mib, "us CPU/MiB", 0.90, PEERS),
    "W4a": Workload("idle connections, few", per_connection, "KiB PSS/connection", 0.95, PEERS),
    "W4b": Workload("idle connections, many", per_connection, "KiB PSS/connection", 0.95, PEERS),
    "W5": Workload("one request after another", median_latency, "us added to p50", 0.75, PEERS),
    "W6s": growth("sandboxes registered, W1 from one"),
    "W6k": growth("secrets of a sandbox, all for the host of W1"),
    "W6a": growth("hosts on the allowlist, W1 to the last"),
    "W6t": growth("tokens in a chunked body of 10 MiB", per_body_mib, "us CPU/MiB"),
    "W6c": growth("open connections taking turns, 64 requests of W1 in flight"),
    "W6i": growth("W1 over 64 connections, idle ones beside"),
    "W6m": Workload("memory of an active sandbox between its connections", per_sandbox, "KiB PSS/sandbox", 48, ()),
    "W7": Workload("the first request of all sandboxes at once, record not cached, and the second", first_request,
                   "us p99, less a Redis round trip", 1.50, ("warm",), "cold"),
}


def load(path):
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def read(folder):
    """{workload: {subject: {round: result}}}"""
    results = {}
    for path in glob.glob(os.path.join(glob.escape(folder), "W*.json")):
        workload, subject, turn, _ = os.path.basename(path).split(".")
        results.setdefault(workload, {}).setdefault(subject, {})[int(turn)] = load(path)
    return results


def figures(workload, by_subject):
    """{subject: {round: figure}}; of W5, what is added to going direct in the same round."""
    figure = WORKLOADS[workload].figure
    out = {name: {turn: figure(result) for turn, result in rounds.items()} for name, rounds in by_subject.items()}
    if workload != "W5":
        return out
    direct = out.pop("direct", {})
    return {name: {turn: value - direct[turn] for turn, value in rounds.items() if turn in direct}
            for name, rounds in out.items()}


def spread(values):
    middle = statistics.median(values)
    digits = 0 if middle >= 100 else 1 if middle >= 10 else 2
    text = f"{middle:.{digits}f}"
    if len(values) > 1:
        text += f" ({min(values):.{digits}f}-{max(values):.{digits}f})"
    return text


def ratios(ours, best_of, table):
    """Ours to the better one of best_of, of each round that has all of them: pairs, as noise moves them alike."""
    theirs = [table[name] for name in best_of if name in table]
    return [ours[turn] / min(peer[turn] for peer in theirs) for turn in sorted(ours)
            if theirs and all(peer.get(turn, 0) > 0 for peer in theirs)]


def judge(workload, table):
    row = WORKLOADS[workload]
    got = ratios(table.get(row.ours, {}), row.best_of, table)
    if not row.best_of:
        got = list(table.get(row.ours, {}).values())
        return f"goal: {row.goal:.0f}, {'met' if got and statistics.median(got) <= row.goal else 'not met'}"
    if not got:
        return f"no ratio (goal {row.goal:.2f})"
    middle = statistics.median(got)
    missing = [name for name in row.best_of if name not in table]
    to = " and ".join(name for name in row.best_of if name in table)
    if row.ours != "osb":
        to = f"{row.ours} to {to}"
    return (f"ratio: {spread(got)} of {to}"
            f" (goal {row.goal:.2f}, {'met' if middle <= row.goal else 'not met'})"
            + (f", without {' and '.join(missing)}" if missing else ""))


def title_of(rounds):
    return rounds[0]["label"].rsplit(":", 1)[1]


def rows_of(results):
    rows = []
    for workload in (name for name in WORKLOADS if name in results):
        by_subject = {name: list(rounds.values()) for name, rounds in results[workload].items()}
        table = figures(workload, results[workload])
        rows.append(f"\n{workload}  {WORKLOADS[workload].title}  [{WORKLOADS[workload].unit}]")
        for name in (name for name in ORDER if table.get(name)):
            line = f"    {title_of(by_subject[name]):<16} {spread(list(table[name].values())):<26}"
            line += extra(by_subject[name])
            rows.append(line.rstrip())
        rows.append(f"    {judge(workload, table)}{apart(by_subject)}")
    return rows


def median_of(rounds, name):
    return statistics.median(one[name] for one in rounds)


def apart(by_subject):
    """What lies between few and many beside the ratio: of one more."""
    few, many = by_subject.get("few", []), by_subject.get("many", [])
    if not few or not many:
        return ""
    if "sandboxes" in many[0]:
        more = median_of(many, "sandboxes") - median_of(few, "sandboxes")
        return f"; a registered sandbox more: {(median_of(many, 'pss_kib') - median_of(few, 'pss_kib')) / more:+.3f} KiB PSS"
    if "tokens" in many[0]:
        more = median_of(many, "cpu_us_per_request") - median_of(few, "cpu_us_per_request")
        return f"; a token more: {more * 1000 / median_of(many, 'tokens'):+.0f} ns CPU"
    return ""


def extra(rounds):
    """What stands beside the figure, and decides nothing."""
    words = []
    if any("requests_per_s" in one for one in rounds) and "body_octets" not in rounds[0]:
        words.append(f"{statistics.median(one.get('requests_per_s', 0) for one in rounds):.0f}/s")
    if "latency_us" in rounds[0] and "body_octets" not in rounds[0]:
        for rank in ("p50", "p99"):
            words.append(f"{rank} {statistics.median(one['latency_us'][rank] for one in rounds):.0f} us")
    if "memory_growth_kib" in rounds[0]:
        words.append(f"memory +{max(one['memory_growth_kib'] for one in rounds)} KiB")
    if "left_kib_per_sandbox" in rounds[0]:
        words.append(f"after eviction {median_of(rounds, 'left_kib_per_sandbox'):.1f}")
    if "fetches" in rounds[0]:
        words.append(f"CPU {median_of(rounds, 'cpu_us_per_request'):.0f} us/request")
        words.append(f"{median_of(rounds, 'fetches') / rounds[0]['sandboxes']:.2f} fetches a record")
        words.append(f"Redis round trip {median_of(rounds, 'redis_round_trip_us'):.0f} us")
    if any(one.get("errors") for one in rounds):
        words.append(f"ERRORS {sum(one.get('errors', 0) for one in rounds)}")
    return "  ".join(words)


def lines_of(folder, name):
    path = os.path.join(folder, name)
    if not os.path.exists(path):
        return []
    with open(path, encoding="utf-8") as file:
        return file.read().splitlines()


def main():
    if len(sys.argv) == 3 and sys.argv[1] == "--figure":
        workload = os.path.basename(sys.argv[2]).split(".")[0]
        row = WORKLOADS[workload]
        print(f"{row.figure(load(sys.argv[2])):.1f} {row.unit.split(',')[0].replace('added to ', '')}")
        return 0
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    results = read(sys.argv[1])
    if not results:
        print("table.py: no results", file=sys.stderr)
        return 1
    for line in lines_of(sys.argv[1], "machine.txt") + rows_of(results):
        print(line)
    notes = lines_of(sys.argv[1], "notes.txt")
    if notes:
        print("\nleft out:")
        for line in notes:
            print(f"    {line}")
    return 0


sys.exit(main())
