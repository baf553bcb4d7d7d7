#!/usr/bin/env bash
# Every .c and .h is as clang-format writes it.
cd "$(dirname "$0")/../.." || exit 1
. tests/lint/files.sh.inc
passed=0 failed=0
while read -r file; do
    if said=$(clang-format --dry-run --Werror "$file" 2>&1); then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "FAIL  $file: $(grep -c 'error:' <<<"$said") places, the first: $(grep -m 1 -oE ':[0-9]+:[0-9]+: error.*' <<<"$said")"
    fi
done < <(files '*.c' '*.h')
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
