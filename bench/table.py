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

ORDER = ["osb", "nginx", "haproxy", "squid", "sslsplit", "mitmproxy"]


def per_request(result):
    return result["cpu_us_per_request"]


def per_mib(result):
    return result["cpu_us_per_request"] * result["requests"] / (result["body_octets"] / 2**20)


def per_connection(result):
    return result["kib_per_connection"]


def median_latency(result):
    return result["latency_us"]["p50"]


# workload: what it is, its figure, the figure's unit, the goal, and the peers of whom the better one is the measure
WORKLOADS = {
    "W1": ("keep-alive POST, tokens in header and body", per_request, "us CPU/request", 0.90, ("nginx", "haproxy")),
    "W2": ("new connection for each request", per_request, "us CPU/request", 0.80, ("haproxy",)),
    "W2n": ("handshake for a name never seen", per_request, "us CPU/handshake", 1.60, ("haproxy",)),
    "W3d": ("one large body down", per_mib, "us CPU/MiB", 0.90, ("nginx", "haproxy")),
    "W3u": ("one large body up, chunked text", per_mib, "us CPU/MiB", 0.90, ("nginx", "haproxy")),
    "W4a": ("idle connections, few", per_connection, "KiB PSS/connection", 0.95, ("nginx", "haproxy")),
    "W4b": ("idle connections, many", per_connection, "KiB PSS/connection", 0.95, ("nginx", "haproxy")),
    "W5": ("one request after another", median_latency, "us added to p50", 0.75, ("nginx", "haproxy")),
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
    figure = WORKLOADS[workload][1]
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
    goal, best_of = WORKLOADS[workload][3:]
    got = ratios(table.get("osb", {}), best_of, table)
    if not got:
        return f"no ratio (goal {goal:.2f})"
    middle = statistics.median(got)
    missing = [name for name in best_of if name not in table]
    return (f"{spread(got)} of {' and '.join(name for name in best_of if name in table)}"
            f" (goal {goal:.2f}, {'met' if middle <= goal else 'not met'})"
            + (f", without {' and '.join(missing)}" if missing else ""))


def rows_of(results):
    rows = []
    for workload in (name for name in WORKLOADS if name in results):
        by_subject = results[workload]
        table = figures(workload, by_subject)
        title, _, unit, _, _ = WORKLOADS[workload]
        rows.append(f"\n{workload}  {title}  [{unit}]")
        for name in (name for name in ORDER if table.get(name)):
            line = f"    {name:<10} {spread(list(table[name].values())):<26}"
            line += extra(list(by_subject[name].values()))
            rows.append(line.rstrip())
        rows.append(f"    ratio: {judge(workload, table)}")
    return rows


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
        _, figure, unit, _, _ = WORKLOADS[workload]
        print(f"{figure(load(sys.argv[2])):.1f} {unit.replace('added to ', '')}")
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
