#!/usr/bin/env bash
# A file has at most 600 lines, a function at most 60 between its braces. There is no list of exceptions.
cd "$(dirname "$0")/../.." || exit 1
. tests/lint/files.sh.inc
files '*.c' '*.h' '*.sh' '*.py' | python3 -c '
import re, sys

FILE, FUNCTION = 600, 60
passed, bad = 0, []
for path in (line.strip() for line in sys.stdin):
    lines = open(path, encoding="utf-8").read().split("\n")
    if len(lines) - 1 > FILE:
        bad.append(f"{path}: {len(lines) - 1} lines, not {FILE}")
    else:
        passed += 1
    if not path.endswith((".c", ".h")):
        continue
    begin = None
    for number, line in enumerate(lines, 1):      # clang-format has put the braces of a function into the first column
        if line == "{":
            begin = number
        elif line == "}" and begin:
            name = next((hit.group(1) for back in range(begin - 2, max(0, begin - 12), -1)
                         for hit in [re.match(r"^(?:\w[^;={(]*[\s*])?(\w+)\(", lines[back])] if hit), "?")
            if number - begin - 1 > FUNCTION:
                bad.append(f"{path}:{begin}: {name} has {number - begin - 1} lines, not {FUNCTION}")
            else:
                passed += 1
            begin = None
for text in bad:
    print("FAIL ", text)
print(f"{passed} passed, {len(bad)} failed")
sys.exit(bool(bad))
'
