#!/usr/bin/env bash
# What a reader would stumble over: trailing blanks, promises, paths of one machine, tabs, a last line without an end.
cd "$(dirname "$0")/../.." || exit 1
. tests/lint/files.sh.inc
files '*.c' '*.h' '*.def' '*.sh' '*.inc' '*.py' '*.md' '*.txt' '*.conf' '*.service' '.ci/run' '*.1' '*.8' | python3 -c '
import re, sys

# Written with a gap so that this file does not find itself.
PROMISE = re.compile(r"\b(?:TO" r"DO|FIX" r"ME|X" r"XX|HA" r"CK)\b")
MACHINE = re.compile(r"(?<![\w.$}])/(?:wo" r"rk|ro" r"ot|ho" r"me/\w+|tmp/bu" r"ild)\b/?")
COLUMNS = {".c": 125, ".h": 125, ".py": 125}  # code is held to 110 by clang-format; tables and comments may be wider
passed, bad = 0, []
for path in (line.strip() for line in sys.stdin):
    text, before = open(path, encoding="utf-8").read(), len(bad)
    most = next((n for end, n in COLUMNS.items() if path.endswith(end)), 0)
    for number, line in enumerate(text.split("\n"), 1):
        if line != line.rstrip():
            bad.append(f"{path}:{number}: blanks at the end of the line")
        if PROMISE.search(line):
            bad.append(f"{path}:{number}: a promise: {line.strip()[:60]}")
        if MACHINE.search(line):
            bad.append(f"{path}:{number}: a path of one machine: {line.strip()[:60]}")
        if "\t" in line and path.endswith((".c", ".h", ".py", ".def")):
            bad.append(f"{path}:{number}: a tab")
        if most and len(line) > most:
            bad.append(f"{path}:{number}: {len(line)} columns, not {most}")
    if text and not text.endswith("\n"):
        bad.append(f"{path}: the last line has no end")
    passed += len(bad) == before
for text in bad:
    print("FAIL ", text)
print(f"{passed} passed, {len(bad)} failed")
sys.exit(bool(bad))
'
