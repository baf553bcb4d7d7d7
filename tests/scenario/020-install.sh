#!/usr/bin/env bash
# 020-install.sh BUILD_DIR: what `cmake --install` puts where, and that the programs start from there.
# Wants cmake and redis-server; no root. Prints a line a check and 'N passed, N failed' last; exits 0 when all hold.
set -u
export LC_ALL=C.UTF-8
build=$(cd "${1:?build directory}" && pwd) || exit 1
cd "$(dirname "$0")/../.." || exit 1
work=$(mktemp -d) root=$work/root pids=()
trap 'kill "${pids[@]}" 2>/dev/null; wait 2>/dev/null; rm -rf "$work"' EXIT
trap 'exit 143' INT TERM HUP

passed=0 failed=0
check() { # SENTENCE CONDITION...
    local sentence=$1 said
    shift
    if said=$("$@" 2>&1); then
        passed=$((passed + 1))
        echo "ok    $sentence"
    else
        failed=$((failed + 1))
        echo "FAIL  $sentence"
        [ -z "$said" ] || sed 's/^/      /' <<<"$said" | tail -n 12
    fi
}
finish() { echo "$passed passed, $failed failed"; [ "$failed" = 0 ]; exit; }
await() {
    local end=$((SECONDS + 10))
    until "$@" >/dev/null 2>&1; do
        [ $SECONDS -lt $end ] || return 1
        sleep 0.02
    done
    return 0
}
code_of() { "$@" >/dev/null 2>&1; echo $?; }
is() { [ "$1" = "$2" ] || { echo "$1, not $2"; return 1; }; }

check "it installs into a folder of its own" cmake --install "$build" --prefix "$root/usr"
if [ "$failed" != 0 ]; then finish; fi

# --- what lies where ----------------------------------------------------------------------------------------------------
installed=$(cd "$root" && find . -type f -printf '%P\n' | sort)
found() { # NAME MODE: the one file of this name
    local path
    path=$(grep -E "(^|/)$1\$" <<<"$installed") || { echo "missing; there are:"; echo "$installed"; return 1; }
    is "$(wc -l <<<"$path")" 1 && is "$(stat -c %a "$root/$path")" "$2"
}
check "osb-proxy, for all to run" found usr/bin/osb-proxy 755
check "osbctl, for all to run" found usr/bin/osbctl 755
check "the example configuration" found etc/osb/osb-proxy.conf 644
check "the page of osb-proxy" found share/man/man8/osb-proxy.8 644
check "the page of osbctl" found share/man/man1/osbctl.1 644
check "the service" found lib/systemd/system/osb-proxy.service 644
check "the README" found 'share/doc/[^/]*/README.md' 644
check "and nothing else" is "$(wc -l <<<"$installed")" 7
check "nothing that was built here is named inside" bash -c '! grep -rlI -F -e "$1" -e "$2" "$0"' "$root" "$build" "$work"
for page in man8/osb-proxy.8 man1/osbctl.1; do
    check "$page names itself" grep -qiE "^\.(TH|Dt) \"?$(basename "${page%.*}")" "$root/usr/share/man/$page"
done
conf=$root/$(grep 'osb-proxy\.conf$' <<<"$installed")
service=$root/$(grep '\.service$' <<<"$installed")
check "the service starts what is installed" grep -q '^ExecStart=/usr/bin/osb-proxy -c /etc/osb/osb-proxy.conf$' "$service"
if command -v systemd-analyze >/dev/null; then
    here=$work/osb-proxy.service
    sed "s|/usr/bin/osb-proxy|$root/usr/bin/osb-proxy|; /^User=/d; /^Group=/d; /^SupplementaryGroups=/d; /^Documentation=/d" "$service" >"$here"
    check "the service is what systemd understands" bash -c '! systemd-analyze verify "$0" 2>&1 | grep -F osb-proxy.service' "$here"
fi

# --- the programs, from there ---------------------------------------------------------------------------------------------
proxy=$root/usr/bin/osb-proxy ctl=$root/usr/bin/osbctl
cd "$work" || exit 1
unset OSB_REDIS_URL OSB_KEY_FILE OSB_ZONE
for program in "$proxy" "$ctl"; do
    check "$(basename "$program") says its version" bash -c '"$0" --version | grep -qE "^$(basename "$0") [0-9]+\.[0-9]+"' "$program"
    check "$(basename "$program") says how it is used" bash -c '"$0" --help | grep -q "$(basename "$0")"' "$program"
    check "$(basename "$program") finds its libraries" bash -c '! ldd "$0" | grep "not found"' "$program"
done
check "osbctl makes a key" "$ctl" key init "$work/key"
check "the example as it is: the key file is missing, 4" is "$(code_of "$proxy" -c "$conf" --check)" "$([ -e /etc/osb/key ] && echo 0 || echo 4)"
sed "s|^key_file = .*|key_file = $work/key|" "$conf" >own.conf
check "the example with a key file of its own passes --check" "$proxy" -c own.conf --check
# Every key stands in it with its default, commented out: all of them at once are the defaults too.
sed -nE 's/^#?([a-z_]+ = .*)/\1/p' own.conf | grep -vE '^(connect_to|allow_net|resolver|user|group|upstream_ca_file) ' >all.conf
check "with all its defaults spelled out too" "$proxy" -c all.conf --check
for key in listen direct_listen http_listen connect_listen workers zone redis key_file upstream resolver connect_to allow_net \
    upstream_ca_file http denied_token scrub store_timeout cache_ttl cache_stale admin audit_log user group max_connections \
    sandbox_connections sandbox_requests_per_s head_bytes head_fields body_memory body_spool handshake_timeout head_timeout \
    idle_timeout connect_timeout drain_timeout; do
    check "it speaks of $key" grep -qE "^#?$key = ?" "$conf"
done
sed 's|^#workers = .*|workers = none|' own.conf >bad.conf
check "a mistake in it is found: 4" is "$(code_of "$proxy" -c bad.conf --check)" 4
check "... and its line said" bash -c '"$0" -c bad.conf --check 2>&1 | grep -E "bad.conf:$(grep -n "^workers" bad.conf | cut -d: -f1): workers: "' "$proxy"

redis-server --port 0 --unixsocket "$work/redis.sock" --save '' --daemonize no >redis.log 2>&1 &
pids+=($!)
await redis-cli -s redis.sock ping
"$proxy" -c own.conf --set redis="unix:$work/redis.sock" --set admin="unix:$work/admin.sock" \
    --set listen=127.0.0.1:$((20000 + RANDOM % 10000)) --set http_listen=off --set workers=1 >proxy.log 2>&1 &
pids+=($!)
check "the proxy starts from there and gets ready" await curl -sf --unix-socket admin.sock http://proxy/readyz
check "osbctl reaches the same Redis" "$ctl" --redis "unix:$work/redis.sock" --key-file key store list
kill -TERM "${pids[1]}"
wait "${pids[1]}"
check "TERM ends it with 0" is $? 0
[ "$failed" = 0 ] || tail -n 5 proxy.log
finish
