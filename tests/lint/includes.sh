#!/usr/bin/env bash
# Layers point down: each folder includes only what lies below it, outside libraries stand where they belong, no cycles.
cd "$(dirname "$0")/../.." || exit 1
. tests/lint/files.sh.inc
files '*.c' '*.h' '*.def' | grep -E '^(proxy|policy|ca)/' | python3 -c '
import collections, os, re, sys

BELOW = {
    "proxy/base": {"proxy/base"},
    "policy": {"policy", "proxy/base"},
    "ca": {"ca", "proxy/base"},
    "proxy/codec": {"proxy/codec", "proxy/base"},
    "proxy/flow": {"proxy/flow", "proxy/codec", "policy", "ca", "proxy/base"},
    "policy/ctl": {"policy/ctl", "proxy/codec", "policy", "ca", "proxy/base"},
    "proxy": {"proxy", "proxy/flow", "proxy/codec", "policy", "ca", "proxy/base"},
}
LIBRARIES = [  # header, the folders that may know it
    (r"ev\.h|ev\+\+\.h", {"proxy/flow", "proxy"}),
    (r"hiredis/.*", {"proxy/flow", "policy/ctl"}),
    (r"ares.*\.h", {"proxy/flow"}),
    (r"llhttp\.h|nghttp2/.*|zlib\.h|brotli/.*|zstd\.h", {"proxy/codec"}),
    (r"jansson\.h", {"policy", "policy/ctl"}),
    (r"libpsl\.h|idn2\.h", {"policy", "policy/ctl"}),
    (r"openssl/.*", {"ca", "proxy/codec", "proxy/flow", "policy/ctl", "proxy"}),
    (r"netdb\.h|sys/epoll\.h|poll\.h|sys/select\.h", {"proxy/flow", "policy/ctl", "proxy"}),
]
files = [line.strip() for line in sys.stdin]
home = collections.defaultdict(list)
for path in files:
    home[os.path.basename(path)].append(path)
passed, bad, graph = 0, [], {}
for path in files:
    layer, wrong = os.path.dirname(path), []
    if layer not in BELOW:
        wrong.append("no layer has this folder")
    graph[path] = []
    for number, line in enumerate(open(path, encoding="utf-8"), 1):
        hit = re.match(r"\s*#\s*include\s*([<\"])([^>\"]+)[>\"]", line)
        if not hit or wrong[:1] == ["no layer has this folder"]:
            continue
        kind, name = hit.groups()
        if kind == "\"":
            found = [f for f in home.get(os.path.basename(name), []) if os.path.dirname(f) in BELOW[layer]]
            if "/" in name:
                wrong.append(f"line {number}: {name} has a folder in it")
            elif not found:
                wrong.append(f"line {number}: {name} is not in a layer below")
            else:
                graph[path].append(sorted(found, key=lambda f: os.path.dirname(f) != layer)[0])
        elif name == "uthash.h" and path != "proxy/base/table.h":
            wrong.append(f"line {number}: uthash.h is for table.h alone")
        else:
            for pattern, layers in LIBRARIES:
                if re.fullmatch(pattern, name) and layer not in layers:
                    wrong.append(f"line {number}: <{name}> does not belong into {layer}")
    passed += not wrong
    bad += [f"{path}: {text}" for text in wrong]

done, stack = set(), []
def visit(path):
    if path in stack:
        return stack[stack.index(path):] + [path]
    if path in done:
        return None
    stack.append(path)
    for other in graph.get(path, []):
        ring = visit(other)
        if ring:
            return ring
    stack.pop()
    done.add(path)
    return None

ring = None
for path in files:
    ring = visit(path)
    if ring:
        bad.append("a ring of includes: " + " > ".join(ring))
        break
passed += ring is None
for text in bad:
    print("FAIL ", text)
print(f"{passed} passed, {len(bad)} failed")
sys.exit(bool(bad))
'
