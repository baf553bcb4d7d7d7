#!/usr/bin/env bash
# symbols.sh [BUILD_DIR]: a global of our libraries is declared in a header, begins with a noun of its folder, is defined
# once, and is no name that a linked library exports: two of one name replace each other without a word.
cd "$(dirname "$0")/../.." || exit 1
build=${1:-build/debug}
if ! ls "$build"/libbase.a >/dev/null 2>&1; then
    echo "FAIL  $build holds no libraries: build first"
    echo "0 passed, 1 failed"
    exit 1
fi
python3 - "$build" <<'PY'
import glob, os, re, subprocess, sys

build = sys.argv[1]
FOLDERS = {"base": "proxy/base", "policy": "policy", "ca": "ca", "codec": "proxy/codec", "flow": "proxy/flow"}

def run(*words):
    return subprocess.run(words, capture_output=True, text=True).stdout

def declared(folder):
    """Text and nouns of a folder's headers: file names, the folder's own, and the first words of its types."""
    text = "".join(open(path, encoding="utf-8").read() for path in sorted(glob.glob(f"{folder}/*.h")))
    nouns = {os.path.basename(path)[:-2] for path in glob.glob(f"{folder}/*.h")} | {os.path.basename(folder)}
    nouns |= {name.split("_")[0] for name in re.findall(r"\b(?:struct|enum) (\w+)", text)}
    return text, nouns

foreign = {}
for path in run("ldd", f"{build}/osb-proxy").split():
    if path.startswith("/") and ".so" in path and "san.so" not in path:
        for line in run("nm", "-D", "--defined-only", path).splitlines():
            foreign.setdefault(line.split()[-1].split("@")[0], os.path.basename(path))

passed, bad, owner = 0, [], {}
for name, folder in FOLDERS.items():
    text, nouns = declared(folder)
    current = None
    for line in run("nm", "-g", "--defined-only", f"{build}/lib{name}.a").splitlines():
        if line.endswith(":"):
            current = line[:-1]
            continue
        words = line.split()
        if len(words) != 3 or not os.path.exists(f"{folder}/{(current or '').removesuffix('.o')}"):
            continue                                      # llhttp's sources lie in libcodec too
        if words[2].startswith(("__asan", "__odr_asan")):
            continue
        symbol, where, before = words[2], f"{folder}/{current.removesuffix('.o')}", len(bad)
        if not re.search(rf"\b{symbol}\b", text):
            bad.append(f"{where}: {symbol} is in no header of {folder}: make it static")
        if not any(symbol == noun or symbol.startswith(noun + "_") for noun in nouns):
            bad.append(f"{where}: {symbol} does not begin with a noun of {folder}")
        if symbol in foreign:
            bad.append(f"{where}: {symbol} is exported by {foreign[symbol]} too")
        if symbol in owner:
            bad.append(f"{where}: {symbol} is defined in {owner[symbol]} too")
        owner[symbol] = where
        passed += len(bad) == before
if not foreign:
    print("note  osb-proxy is not built: names of linked libraries were not compared")
for text in bad:
    print("FAIL ", text)
print(f"{passed} passed, {len(bad)} failed")
sys.exit(bool(bad))
PY
