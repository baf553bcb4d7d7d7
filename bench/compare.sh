#!/usr/bin/env bash
# Measures osb-proxy and its peers on this machine, one after another, against one origin: bash bench/compare.sh [OPTION]...
#   --quick          one short round, for CI: must run, judges no figure (under two minutes)
#   --rounds N       rounds of each workload (3); --seconds N: of each timed run (5)
#   --only LIST      workloads, as W1,W3d: W1 W2 W2n W3d W3u W4a W4b W5; of osb alone W6s W6k W6a W6t W6c W6i W6m W7
#   --peers LIST     of nginx haproxy squid sslsplit mitmproxy; osb always takes part
#   --micro          also build and run the micro bench, with instruction counts where valgrind is there
#   --install        install missing peers, with sudo if need be (root installs without being asked; --quick only nginx and haproxy)
#   --build DIR      take the programs from there and build nothing;  --out DIR  results go there (build/bench/DATE)
# What the workloads are and how to read the table: bench/README.md. Exits 1 only when something did not work.
set -u
export LC_ALL=C.UTF-8 PATH=$PATH:/usr/sbin:/sbin PYTHONDONTWRITEBYTECODE=1
cd "$(dirname "$0")/.." || exit 1
here=$PWD
ours='^(osb|few|many|warm|cold)$' # subjects that are osb-proxy: the last four are ends of W6 and W7

quick='' rounds=3 seconds=5 only='' peers="nginx haproxy squid sslsplit mitmproxy" micro='' install='' build='' out=''
usage() { sed -n '2,10s/^# \{0,1\}//p' "$here/bench/compare.sh"; }
while [ $# -gt 0 ]; do
    case $1 in
    --quick) quick=1 rounds=1 seconds=1 ;;
    --rounds) rounds=${2:?--rounds N}; shift ;;
    --seconds) seconds=${2:?--seconds N}; shift ;;
    --only) only=,${2:?--only LIST},; shift ;;
    --peers) peers=${2?--peers LIST}; peers=${peers//,/ }; shift ;;
    --micro) micro=1 ;;
    --install) install=1 ;;
    --build) build=${2:?--build DIR}; shift ;;
    --out) out=${2:?--out DIR}; shift ;;
    -h | --help) usage; exit 0 ;;
    *) usage >&2; exit 2 ;;
    esac
    shift
done
case "$rounds$seconds" in *[!0-9]*) echo "compare.sh: --rounds and --seconds take numbers" >&2; exit 2 ;; esac
for peer in $peers; do
    case $peer in nginx | haproxy | squid | sslsplit | mitmproxy) ;; *) echo "compare.sh: no peer is called $peer" >&2; exit 2 ;; esac
done
out=${out:-build/bench/$(date +%Y%m%d-%H%M%S)}
mkdir -p "$out" && out=$(cd "$out" && pwd) || exit 1
work=$(mktemp -d "${TMPDIR:-/tmp}/osb-compare.XXXXXX") && chmod 711 "$work" || exit 1

# --- ends: whatever ends this script ends all that it has started --------------------------------------------------------
started=() no_start='' bad=0
tree() { # PID: it and all that descends from it
    local child
    echo "$1"
    for child in $(pgrep -P "$1" 2>/dev/null); do tree "$child"; done
}
end_tree() { # PID: gently, then not
    local all pid tries=0
    all=$(tree "$1")
    kill -TERM $all 2>/dev/null
    while kill -0 $all 2>/dev/null && [ $tries -lt 40 ]; do sleep 0.05; tries=$((tries + 1)); done
    for pid in $all; do kill -KILL "$pid" 2>/dev/null; done
    wait "$1" 2>/dev/null
}
finish() {
    local pid
    trap '' INT TERM HUP
    for pid in "${started[@]}"; do kill -0 "$pid" 2>/dev/null && end_tree "$pid"; done
    [ -z "$no_start" ] || as_root rm -f "$no_start"
    rm -rf "$work"
}
trap 'finish; trap - EXIT; exit 130' INT TERM HUP
trap finish EXIT
give_up() {
    echo "compare.sh: $*" >&2
    for log in "$work"/*.log "$work"/*/*.log; do [ -s "$log" ] && { echo "--- ${log##*/}"; tail -n 5 "$log"; } >&2; done
    exit 1
}
as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi; }
attend() { # PID: wait for what runs in the background, so that a signal is heard at once
    local code
    started+=("$1")
    wait "$1"
    code=$?
    unset 'started[-1]'
    return $code
}
await() { # SECONDS COMMAND...: until it succeeds
    local end=$((SECONDS + $1))
    shift
    until "$@" >/dev/null 2>&1; do
        [ $SECONDS -lt $end ] || return 1
        sleep 0.02
    done
}

# --- packages ---------------------------------------------------------------------------------------------------------------
is_installed() { [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }
fetch() { # PACKAGE...: installed, but not started
    local code
    echo "installing $*"
    if [ ! -e /usr/sbin/policy-rc.d ]; then
        no_start=/usr/sbin/policy-rc.d
        printf '#!/bin/sh\nexit 101\n' | as_root tee "$no_start" >/dev/null && as_root chmod 755 "$no_start" || return 1
    fi
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=600 -qq -y --no-install-recommends install "$@" \
        >"$work/install.log" 2>&1 ||
        { as_root apt-get -o DPkg::Lock::Timeout=600 -qq update && as_root env DEBIAN_FRONTEND=noninteractive apt-get \
            -o DPkg::Lock::Timeout=600 -qq -y --no-install-recommends install "$@"; } >"$work/install.log" 2>&1
    code=$?
    [ -z "$no_start" ] || as_root rm -f "$no_start"
    no_start=''
    return $code
}
declare -A program=([nginx]=nginx [haproxy]=haproxy [squid]=squid [sslsplit]=sslsplit [mitmproxy]=mitmdump)
declare -A package=([nginx]=nginx-light [haproxy]=haproxy [squid]=squid-openssl [sslsplit]=sslsplit [mitmproxy]=mitmproxy)
declare -A reason # why a peer does not take part
settle_peer() { # NAME
    local name=$1
    if ! command -v "${program[$name]}" >/dev/null; then
        if [ -n "$install" ] || { [ "$(id -u)" = 0 ] && [[ -z $quick || $name =~ ^(nginx|haproxy)$ ]]; }; then
            fetch "${package[$name]}" || { reason[$name]="its package ${package[$name]} can't be installed"; return; }
        else
            reason[$name]="not installed (--install does it)"
            return
        fi
    fi
    if [ "$name" = squid ] && ! squid -v 2>/dev/null | grep -q openssl; then
        reason[squid]="this squid was built without OpenSSL (squid-openssl was not)"
    fi
}

# --- programs ---------------------------------------------------------------------------------------------------------------
make_programs() {
    local need="build-essential cmake ninja-build pkg-config libssl-dev libev-dev libsodium-dev libhiredis-dev libnghttp2-dev
        libc-ares-dev libpsl-dev libidn2-dev libjansson-dev zlib1g-dev libbrotli-dev libzstd-dev uthash-dev node-llhttp
        redis-server openssl curl python3 procps"
    local one missing=() targets="osb-proxy osbctl osb-bench ${micro:+osb-micro}"
    for one in $need; do is_installed "$one" || missing+=("$one"); done
    [ ${#missing[@]} = 0 ] || [ -n "$build" ] || fetch "${missing[@]}" || give_up "the packages can't be installed"
    if [ -z "$build" ]; then
        build=$here/build/release
        echo "building into ${build#"$here"/}"
        { cmake -G Ninja -B "$build" -DOSB_PRESET=release -DOSB_TESTS=OFF && cmake --build "$build" --target $targets
        } >"$work/build.log" 2>&1 &
        attend $! || { grep -m 5 -E 'error|FAILED' "$work/build.log" >&2; give_up "the build failed"; }
    fi
    build=$(cd "$build" && pwd) || give_up "no such build"
    for one in $targets; do [ -x "$build/$one" ] || give_up "$build has no $one"; done
    PATH=$build:$PATH
}

# --- the stage: certificates, secrets, an origin --------------------------------------------------------------------------
next_port=$((20000 + RANDOM % 8000))
free_port() { # -> port
    while next_port=$((next_port + 1)); (exec 3<>"/dev/tcp/127.0.0.1/$next_port") 2>/dev/null; do :; done
    port=$next_port
}
background() { # DIR COMMAND...: -> pid
    local dir=$1
    shift
    (cd "$dir" && exec "$@") >"$dir/out.log" 2>"$dir/err.log" </dev/null &
    pid=$!
    started+=("$pid")
}
listens() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }
make_leaf() { # NAME SUBJECT
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$1.key" -out "$1.csr" -subj "/CN=$2" 2>/dev/null
    openssl x509 -req -in "$1.csr" -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -out "$1.pem" -extfile <(printf '%s\n' \
        'subjectAltName=DNS:api.bench.test,DNS:*.bench.test' 'extendedKeyUsage=serverAuth' 'keyUsage=digitalSignature' \
        'basicConstraints=CA:FALSE' 'authorityKeyIdentifier=keyid' 'subjectKeyIdentifier=hash') 2>/dev/null
}
make_pki() { # one CA: of the origin, and of what the peers show to the clients; ours makes its own for each sandbox
    pki=$work/pki
    mkdir "$pki" && chmod 755 "$pki" && cd "$pki" || give_up "no folder"
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -out ca.pem -days 2 -subj "/CN=bench CA" \
        -addext 'keyUsage=critical,keyCertSign,cRLSign' 2>/dev/null
    make_leaf origin origin && make_leaf leaf api.bench.test || give_up "no certificates"
    cat leaf.pem leaf.key >leaf-and-key.pem
    chmod 644 ./*.key # of this run alone; squid reads them as another user
    cd "$here" || exit 1
}
make_origin() {
    mkdir "$work/origin"
    free_port
    origin_port=$port
    background "$work/origin" osb-bench origin --listen "127.0.0.1:$origin_port" --cert "$pki/origin.pem" --key "$pki/origin.key" \
        --answer 300 --expect "$secret_value"
    origin_pid=$pid
    await 10 listens "$origin_port" || give_up "the origin does not start"
}
mint_sandboxes=7
make_secrets() { # one sandbox at 127.0.0.2 for the load; others for W2n, each with a budget of mints of its own
    local i
    secret_value=sk-bench-$(openssl rand -hex 20)
    mkdir "$work/redis"
    background "$work/redis" redis-server --port 0 --unixsocket "$work/redis/sock" --save '' --daemonize no
    export OSB_REDIS_URL=unix:$work/redis/sock OSB_KEY_FILE=$work/key
    await 10 redis-cli -s "$work/redis/sock" ping || give_up "Redis does not start"
    { osbctl key init "$work/key" && osbctl store create bench --egress-allow api.bench.test --egress-allow '*.bench.test' &&
        printf %s "$secret_value" | osbctl secret set bench API_KEY --value-file - --allow-host api.bench.test &&
        osbctl sandbox create load --ip 127.0.0.2 --store bench --env-file "$work/load.env" --ca-file "$work/load-ca.pem" &&
        for ((i = 1; i <= mint_sandboxes; i++)); do
            osbctl sandbox create "mint$i" --ip "127.0.1.$i" --store bench --ca-file "$work/mint$i-ca.pem" || exit 1
        done
    } >"$work/osbctl.log" 2>&1 || give_up "no secrets"
    act_as load 127.0.0.2
    [ -n "$token" ] || give_up "no token"
}
act_as() { # SANDBOX ADDRESS -> from ca token
    from=$2 ca=$work/$1-ca.pem token=$(sed -n 's/^API_KEY=//p' "$work/$1.env")
}

# --- subjects: what is measured, each with one worker ----------------------------------------------------------------------
fill() { # FILE BUFFERING: a peer's configuration
    local user=root
    [ "$(id -u)" = 0 ] && user=proxy || user=$(id -un)
    sed -e "s|@port@|$port|g; s|@origin_port@|$origin_port|g; s|@pki@|$pki|g; s|@dir@|$dir|g; s|@buffering@|$2|g; s|@user@|$user|g" \
        "bench/peers/$1" >"$dir/$1"
}
write_osb_conf() {
    cat >"$dir/osb.conf" <<-CONF
	direct_listen = 127.0.0.1:$port
	listen = off
	http_listen = off
	redis = unix:$store/sock
	key_file = $work/key
	upstream_ca_file = $pki/ca.pem
	connect_to = api.bench.test:443=127.0.0.1:$upstream_port
	audit_log = $dir/audit.jsonl
	admin = unix:$dir/admin.sock
	workers = 1
	max_connections = 8000
	sandbox_connections = 0
	$conf
	CONF
}
begin() { # SUBJECT WORKLOAD: start it afresh -> pid port, and as whom it is called; fails with ${why}
    local subject=$1 buffering=on
    why='' pid='' store=$work/redis upstream_port=$origin_port conf=''
    act_as load 127.0.0.2
    [[ $subject =~ $ours ]] || ca=$pki/ca.pem
    [[ $2 == W3* ]] && buffering=off
    if [ "$subject" = direct ]; then port=$origin_port; return 0; fi
    dir=$work/$subject
    rm -rf "$dir" && mkdir -m 755 "$dir" && free_port
    case $subject in
    osb | few | many | warm | cold) stage "$2" "$subject" && write_osb_conf && background "$dir" osb-proxy -c "$dir/osb.conf" ;;
    nginx) fill nginx.conf $buffering && background "$dir" nginx -p "$dir" -c "$dir/nginx.conf" -e "$dir/error.log" ;;
    haproxy) fill haproxy.cfg - && background "$dir" haproxy -db -f "$dir/haproxy.cfg" ;;
    squid) fill squid.conf - && { [ "$(id -u)" != 0 ] || chown proxy "$dir"; } && background "$dir" squid -N -f "$dir/squid.conf" ;;
    sslsplit) fill sslsplit.conf - && SSL_CERT_FILE=$pki/ca.pem background "$dir" sslsplit -f "$dir/sslsplit.conf" ;;
    mitmproxy)
        cat "$pki/ca.key" "$pki/ca.pem" >"$dir/mitmproxy-ca.pem" # it signs with the key that its leaves have: P-256 too
        background "$dir" mitmdump --mode "reverse:https://127.0.0.1:$origin_port" --listen-host 127.0.0.1 -p "$port" \
            -s "$here/bench/peers/mitmproxy.py" --set "confdir=$dir" --set keep_host_header=true --set http2=false \
            --set connection_strategy=lazy \
            --set "ssl_verify_upstream_trusted_ca=$pki/ca.pem" --set tls_version_client_min=TLS1_3 \
            --set "swap_token=$token" --set "swap_value=$secret_value" ;;
    esac
    await 20 listens "$port" || { why="does not start"; keep_logs; return 1; }
    await 5 answers || { why="gives no answer: $(answers 2>&1 | tail -n 1)"; keep_logs; return 1; }
}
keep_logs() { # of one that failed: beside the results, and its last line in ${why}
    end
    [ "$subject" = direct ] && return
    mkdir -p "$out/logs/$subject" && cp "$dir"/*.log "$out/logs/$subject/" 2>/dev/null
    why+="; the last of its log: $(tail -qn 1 "$dir"/{out,err,error,cache}.log 2>/dev/null | grep . | tail -n 1 | cut -c 1-160)"
}
answers() { # one request from end to end, certificates checked on both sides
    curl -sSf -m 5 --interface "$from" --cacert "$ca" --connect-to "::127.0.0.1:$port" -o /dev/null https://api.bench.test/
}
end() {
    local one left=()
    [ -n "$pid" ] || return 0
    end_tree "$pid"
    for one in "${started[@]}"; do [ "$one" = "$pid" ] || left+=("$one"); done
    started=("${left[@]}") pid=''
}

# --- the kernel's accounting, for what osb-bench load does not run itself ---------------------------------------------------
cpu_ns() { # PID: processor time of the tree
    local one files=()
    for one in $(tree "$1"); do files+=(/proc/"$one"/task/*/schedstat); done
    cat "${files[@]}" 2>/dev/null | awk '{ n += $1 } END { printf "%.0f\n", n }'
}
memory_kib() { # PID Pss|VmHWM|VmRSS: of the tree
    local one files=()
    for one in $(tree "$1"); do
        if [ "$2" = Pss ]; then files+=("/proc/$one/smaps_rollup"); else files+=("/proc/$one/status"); fi
    done
    cat "${files[@]}" 2>/dev/null | awk -v "key=$2:" '$1 == key { n += $2 } END { print n + 0 }'
}

. bench/growth.sh
# --- workloads: each leaves one JSON file in ${out}, named WORKLOAD.SUBJECT.ROUND.json ---------------------------------------
big=$((256 * 1024 * 1024)) idle_few=1000 idle_many=5000 contacts=150 warmup=1 settle_s=5
[ -z "$quick" ] || { big=$((32 * 1024 * 1024)) idle_few=200 idle_many=0 contacts=20 settle_s=3; }

crowd=() # for many callers at once: their addresses, roots and tokens
load() { # OPTION...: osb-bench load at the subject, its words kept for when it fails
    local as=("${crowd[@]}")
    [ ${#as[@]} != 0 ] || as=(--ca "$ca" --from "$from")
    ${pinned:-} osb-bench load --connect "127.0.0.1:$port" "${as[@]}" ${pid:+--pid "$pid"} --label "$label" --json "$result" "$@" \
        >"$work/load.log" 2>&1 </dev/null &
    attend $! && return 0
    why=$(grep -m 1 . "$work/load.log" | sed 's/.*; errors/errors/')
    return 1
}
json() { # NAME NUMBER...: a result of our own
    local text="{\"label\":\"$label\",\"errors\":0"
    while [ $# -gt 1 ]; do text+=",\"$1\":$2"; shift 2; done
    echo "$text}" >"$result"
}
also() { # NAME NUMBER...: goes into the result as well
    local text=''
    while [ $# -gt 1 ]; do text+="\"$1\":$2,"; shift 2; done
    sed -i "1s/{/{$text/" "$result"
}
url=https://api.bench.test
values_seen() { # how many values have reached the origin
    curl -sf -m 5 --cacert "$pki/ca.pem" --connect-to "::127.0.0.1:$upstream_port" "$url/stats" |
        sed -n 's/.*"value_seen": *\([0-9]*\).*/\1/p'
}
run_W1() { posts "$1" --connections 64 --warmup ${warmup}s; }
posts() { # SUBJECT OPTION...: one that swaps must have swapped two tokens in each request
    local before requests subject=$1
    shift
    before=$(values_seen)
    load --url $url/v1/messages --method POST --fields 5 --body 300 --token "$token" --token-in header \
        --token "$token" --token-in body --duration "${seconds}s" "$@" || return 1
    [[ $subject =~ $ours || $subject == mitmproxy ]] || return 0
    requests=$(sed -n 's/^ *"requests": *\([0-9]*\).*/\1/p' "$result" | head -n 1)
    [ $(($(values_seen) - before)) -ge $((2 * requests)) ] && return 0
    why="of $requests requests with two tokens each, $(($(values_seen) - before)) values arrived"
    return 1
}
run_W2() {
    load --url $url/ --keepalive off --token "$token" --connections 16 --warmup ${warmup}s --duration "${seconds}s"
}
contact() { # SUBJECT NUMBER: one handshake, from one of the sandboxes kept for this
    local n=$(($2 % mint_sandboxes + 1))
    [ "$1" != osb ] || ca=$work/mint$n-ca.pem
    openssl s_client -connect "127.0.0.1:$port" -bind "127.0.1.$n" -servername "w$2.bench.test" -verify_hostname \
        "w$2.bench.test" -CAfile "$ca" -verify_return_error </dev/null >/dev/null 2>"$work/contact.log"
}
run_W2n() { # handshakes for names never seen; a request would add the same to all, and needs an upstream for each name
    local before after i failed=0
    for ((i = 0; i < mint_sandboxes; i++)); do contact "$1" "$i"; done # each sandbox' record is read, and not counted
    before=$(cpu_ns "$pid")
    for ((; i < mint_sandboxes + contacts; i++)); do contact "$1" "$i" || failed=$((failed + 1)); done
    sleep 0.1
    after=$(cpu_ns "$pid")
    [ $failed = 0 ] || { why="$failed of $contacts handshakes failed: $(grep -m 1 -i -E 'error|alert' "$work/contact.log")"; return 1; }
    json requests $contacts cpu_us_per_request "$(((after - before) / contacts / 1000))"
}
run_W3() { # OPTION...: one body of ${big} octets
    local before
    before=$(memory_kib "$pid" VmRSS)
    load --requests 1 --timeout 60s "$@" || return 1
    memory_growth=$(($(memory_kib "$pid" VmHWM) - before))
    [ $memory_growth -gt 0 ] || memory_growth=0
    also memory_growth_kib $memory_growth body_octets "$big"
}
run_W3d() { run_W3 --url "$url/source/$big" --download; }
run_W3u() { run_W3 --url "$url/sink" --method POST --body "$big" --body-type text --chunked; }
beside_idle() { # N COMMAND...: while N idle connections are held
    local n=$1 failed='' loader
    shift
    osb-bench load --url $url/ --connect "127.0.0.1:$port" --ca "$ca" --from "$from" --idle --connections "$n" \
        >"$work/idle.log" 2>&1 </dev/null &
    loader=$!
    started+=("$loader")
    await 120 bash -c 'grep -q READY "$0" || ! kill -0 $1' "$work/idle.log" "$loader"
    if grep -q "READY $n of" "$work/idle.log"; then
        "$@" || failed=$why
    else
        failed="no $n idle connections: $(tail -n 1 "$work/idle.log")"
    fi
    kill -0 "$loader" 2>/dev/null || failed+=" (the idle ones have ended)"
    end_tree "$loader"
    unset 'started[-1]'
    why=$failed
    [ -z "$failed" ]
}
settled_kib() { # -> kib. Idle means that it lasts: what a subject frees after a while counts as freed
    sleep $settle_s
    kib=$(memory_kib "$pid" Pss)
}
run_idle() { # N: what one idle connection keeps of the subject's memory
    local n=$1 before after kib
    before=$(memory_kib "$pid" Pss)
    beside_idle "$n" settled_kib || return 1
    after=$kib
    json connections "$n" pss_kib $((after - before)) pss_kib_before "$before" pss_kib_after "$after" \
        kib_per_connection "$(awk "BEGIN { printf \"%.2f\", ($after - $before) / $n }")"
}
run_W4a() { run_idle $idle_few; }
run_W4b() { run_idle $idle_many; }
run_W5() { # the subject on one core, the others on another: else the scheduler decides what a wake-up costs, anew each time
    local failed=0
    pin 0 "$origin_pid"
    [ -z "$pid" ] || pin 1 "$pid"
    pinned='taskset -c 0' load --url $url/ --sequential --warmup ${warmup}s --duration "${seconds}s" || failed=1
    pin "0-$(($(nproc) - 1))" "$origin_pid"
    return $failed
}
pin() { # CORES PID: it and all that descends from it; a single core stays one for all
    local one
    [ "$(nproc)" -gt 1 ] || return 0
    for one in $(tree "$2"); do taskset -acp "$1" "$one" >/dev/null; done
}

takes_part() { # WORKLOAD SUBJECT: else ${why} says why not
    why=''
    [ -z "${gave_up[$1:$2]:-}" ] || return 2 # it failed in an earlier round
    case $1:$2 in
    W[1-4]*:direct) return 2 ;; # only the floor of W5
    W4b:mitmproxy | W4b:sslsplit | W4b:squid) why="W4b is for osb, nginx and haproxy" ;;
    W*:squid | W*:sslsplit | W*:mitmproxy) [ -n "$quick" ] && [ "$1" != W1 ] && why="with --quick it runs W1 only" ;;
    esac
    [ -z "$why" ]
}
declare -A noted gave_up
note() { # SUBJECT TEXT: once each
    [ -n "${noted[$1$2]:-}" ] && return
    noted[$1$2]=1
    printf '%s: %s\n' "$1" "$2" | tee -a "$out/notes.txt"
}

measure() { # WORKLOAD SUBJECT ROUND
    local workload=$1 subject=$2 label result=$out/$1.$2.$3.json failed='' figure=''
    label=$1:$(title_of "$1" "$2")
    takes_part "$workload" "$subject" || { [ -z "$why" ] || note "$subject" "$why"; return; }
    printf '[%3d/%d] %-4s round %s  %-10s ' "$done_runs" "$all_runs" "$workload" "$3" "$subject"
    if ! begin "$subject" "$workload"; then
        failed=$why
    else
        "run_$workload" "$subject" || { keep_logs; failed=$why; }
        end
    fi
    [ -z "$failed" ] && figure=$(python3 bench/table.py --figure "$result" 2>&1)
    if [ -n "$failed" ]; then
        printf 'failed\n'
        note "$subject" "$workload: $failed"
        gave_up[$1:$2]=1 all_runs=$((all_runs - rounds + $3))
        rm -f "$result"
        [[ $subject =~ $ours ]] && bad=1
    else
        local to_go=$(((all_runs - done_runs) * (SECONDS - began) / done_runs))
        printf '%-28s about %dm%02ds to go\n' "$figure" $((to_go / 60)) $((to_go % 60))
    fi
}

compare() {
    local workload round subject i n workloads=()
    for workload in W1 W2 W2n W3d W3u W4a W4b W5 W6s W6k W6a W6t W6c W6i W6m W7; do
        [ "$workload" = W4b ] && [ $idle_many = 0 ] && continue
        [[ $workload == W6[ci] ]] && [ $many_connections = 0 ] && continue
        [ -z "$only" ] || [[ $only == *",$workload,"* ]] && workloads+=("$workload")
    done
    everybody=(osb)
    for subject in $peers; do
        if [ -n "${reason[$subject]:-}" ]; then note "$subject" "${reason[$subject]}"; else everybody+=("$subject"); fi
    done
    everybody+=(direct)
    [[ " ${workloads[*]}" != *" W"[67]* ]] || make_growth
    done_runs=0 all_runs=0 began=$SECONDS
    for workload in "${workloads[@]}"; do
        subjects_of "$workload"
        for subject in "${subjects[@]}"; do takes_part "$workload" "$subject" && all_runs=$((all_runs + rounds)); done
    done
    for workload in "${workloads[@]}"; do
        subjects_of "$workload"
        n=${#subjects[@]}
        for ((round = 1; round <= rounds; round++)); do
            for ((i = 0; i < n; i++)); do # each round begins with another subject, so that none is always the first
                subject=${subjects[(i + round - 1) % n]}
                takes_part "$workload" "$subject" && done_runs=$((done_runs + 1))
                measure "$workload" "$subject" "$round"
            done
        done
    done
}

count_instructions() { # NAME TIMES: of one, by callgrind
    local times counts=()
    for times in "$2" $((2 * $2)); do # so that what is done once, at first, falls out
        counts+=("$(valgrind --tool=callgrind --callgrind-out-file=/dev/null "$build/osb-micro" --callgrind "$times" "$1" 2>&1 |
            sed -n 's/.*Collected : \([0-9]*\).*/\1/p')")
    done
    [ -n "${counts[0]}" ] && [ -n "${counts[1]}" ] && echo "$1 instructions=$(((counts[1] - counts[0]) / $2))"
}
run_micro() {
    local name floor
    echo
    { "$build/osb-micro" && if command -v valgrind >/dev/null; then
        "$build/osb-micro" --list | while read -r name floor; do
            [ "$floor" = - ] && continue
            count_instructions "$name" 50
        done
    else
        echo "(no valgrind: no instruction counts)"
    fi; } | tee "$out/micro.txt"
    [ "${PIPESTATUS[0]}" = 0 ] || bad=1
}

machine() {
    echo "$(date -u +%Y-%m-%dT%H:%MZ), $(nproc) cores of$(sed -n 's/^model name[^:]*://p' /proc/cpuinfo | head -n 1), $(uname -sr)," \
        "load before: $(cut -d ' ' -f 1-3 /proc/loadavg), commit $(git rev-parse --short HEAD 2>/dev/null || echo unknown)"
}

ulimit -n 65536 2>/dev/null || ulimit -n "$(ulimit -Hn)"
[ "$(ulimit -n)" -ge 16384 ] || { idle_many=0 many_connections=0; note "W4b, W6c, W6i" "need 16384 open files, $(ulimit -n) may be"; }
rm -f "$out"/W*.json "$out"/notes.txt # of an earlier run into the same folder
machine >"$out/machine.txt"
for peer in $peers; do settle_peer "$peer"; done
make_programs
make_pki
make_secrets
make_origin
compare
echo
python3 bench/table.py "$out" | tee "$out/table.txt"
[ "${PIPESTATUS[0]}" = 0 ] || bad=1
[ -z "$micro" ] || run_micro
osb-bench report --out "$out/report.html" --title "osb-proxy and its peers" --note "$(cat "$out/machine.txt")" "$out"/W*.json || bad=1
echo "results: ${out#"$here"/}"
exit $bad
