#!/usr/bin/env bash
# Calls, comments and names that this house does not use.
cd "$(dirname "$0")/../.." || exit 1
. tests/lint/files.sh.inc
files '*.c' '*.h' '*.def' | python3 -c '
import os, re, sys

DATA = r"^(proxy/|policy/[^/]+$|ca/)"                      # what meets the octets of peers
OURS = r"^(proxy|policy|ca|bench)/"
LIBRARY = r"^(proxy/codec/|policy/[^/]+$|ca/)"
def call(names):
    return r"(?<![\w>.])(?:" + names + r")\s*\("
RULES = [  # where, unless, what, why
    (OURS, None, call("strcpy|strcat|strncat|strncpy|stpcpy|sprintf|vsprintf|gets|strtok|scanf|sscanf|fscanf|alloca"), "has no bound, or hides it"),
    (OURS, None, call("atoi|atol|atoll|atof"), "does not say when it fails"),
    (DATA, None, call("strtol|strtoul|strtoll|strtoull|strtod|strtof|strtoimax|strtoumax"), "takes signs, blanks and overflow: slice_number"),
    (OURS, None, call("system|popen|mktemp|tmpnam|tempnam"), "starts a shell or races for a name"),
    (OURS, None, call("rand|srand|random|srandom|drand48"), "is not random"),
    (OURS, None, call("gmtime|localtime|asctime|ctime|inet_ntoa|gethostbyname"), "keeps its result in shared memory, or blocks"),
    (DATA, r"^proxy/flow/redishosts\.c$", call("getaddrinfo"), "blocks the loop: names are resolved by resolve"),
    (LIBRARY, None, call("printf|fprintf|vprintf|vfprintf|dprintf|puts|fputs|perror|syslog"), "a library prints nothing: diag is told by flow"),
    (r"^proxy/base/", r"^proxy/base/(diag|metric)\.c$", call("printf|fprintf|dprintf|puts|fputs|perror"), "prints: that is diag"),
    (DATA, None, call("assert") + r"[^;]*(\+\+|--|[^=!<>]=[^=])", "an assertion with an effect"),
    (OURS, None, r"\btypedef\s+(?:struct|union|enum)\b[^(]*$", "structs, unions and enums go by their own name"),
    (OURS, None, r"\bmemset\s*\([^,]*(?:secret|value|key|pass)", "a wipe that the compiler may drop: sodium_memzero"),
    (OURS, None, r"\bSSL_VERIFY_NONE\b", "nothing turns the check of a certificate off"),
    (r"", None, r"//", "comments are /* */"),
]
WORDS = {"util", "utils", "common", "data", "info", "mgr", "manager", "misc", "helper", "helpers", "stuff"}
EMPTY = re.compile(r"/\*.*?\*/|\"(?:\\.|[^\"\\\n])*\"|\x27(?:\\.|[^\x27\\\n])+\x27", re.S)

def bare(text):
    """The code without comments, strings and characters; lines stay where they are."""
    def blank(hit):
        found = hit.group()
        if found.startswith("/*"):
            return "\n" * found.count("\n")
        return found[0] + found[0]
    return EMPTY.sub(blank, text)

passed, bad = 0, []
for path in (line.strip() for line in sys.stdin):
    before = len(bad)
    code = bare(open(path, encoding="utf-8").read())
    lines = code.split("\n")
    for where, unless, what, why in RULES:
        if not re.search(where, path) or unless and re.search(unless, path):
            continue
        for number, line in enumerate(lines, 1):
            hit = re.search(what, line)
            if hit and not line.lstrip().startswith("#include"):
                bad.append(f"{path}:{number}: {hit.group().strip()}: {why}")
    if path.endswith(".h") and not re.match(r"#pragma once\n", code.lstrip()):
        bad.append(f"{path}: does not begin with #pragma once")
    if set(re.split(r"[_.-]", os.path.basename(path).lower())) & WORDS:
        bad.append(f"{path}: the name says nothing")
    passed += len(bad) == before
for text in bad:
    print("FAIL ", text)
print(f"{passed} passed, {len(bad)} failed")
sys.exit(bool(bad))
'
