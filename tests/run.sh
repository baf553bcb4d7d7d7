#!/usr/bin/env bash
# Builds everything and runs every test: bash tests/run.sh [--quick] [--soak] [--clients full] [--fuzz SECONDS] [--keep] [PATTERN]
#   --quick    the debug build is only compiled; no scenarios and no fuzzers
#   --soak     tests take their long forms (OSB_SOAK=1): flow/living 20 minutes, flow/scale 100,000 records, flow/soak a GiB
#   --clients  quick: the real clients that are here (the default). full, or nothing: Go, Java, Node, npm, Ruby, PHP, pip, wget and
#              the npm packages are installed too, and scenario/030 and 040 run their whole matrix (OSB_CLIENTS=full)
#   --fuzz N   seconds for each fuzzer (5; 0: none)
#   --keep     what the flow tests leave behind stays in build/logs/kept
#   PATTERN    only parts whose name matches this extended regular expression, such as flow/ or unit-asan/check_h1
# Each part writes to build/logs; the last line is 'N passed, N failed', and 0 is the exit code only if nothing failed. Two parts run
# at a time, unless one measures time or memory, or counts what belongs to the whole machine: that one runs alone.
set -u
cd "$(dirname "$0")/.." || exit 1

quick='' soak='' clients='' keep='' fuzz_s=5 pattern=''
while [ $# -gt 0 ]; do
    case $1 in
    --quick) quick=1 ;;
    --soak) soak=1 ;;
    --clients)
        clients=full
        case ${2:-} in quick | full) clients=${2#quick}; shift ;; esac
        ;;
    --keep) keep=1 ;;
    --fuzz) fuzz_s=${2:?--fuzz SECONDS}; shift ;;
    -h | --help) sed -n '2,11s/^# \{0,1\}//p' tests/run.sh; exit 0 ;;
    -*) echo "run.sh: unknown option $1" >&2; exit 2 ;;
    *) pattern=$1 ;;
    esac
    shift
done
case $fuzz_s in '' | *[!0-9]*) echo "run.sh: --fuzz takes a number of seconds" >&2; exit 2 ;; esac

logs=$PWD/build/logs
mkdir -p "$logs"
passed=0 failed=0
lanes=2 names=() pids=() # what has begun and is not counted yet, oldest first
declare -A codes         # pid to exit code, of those of them that have ended
export ASAN_OPTIONS=detect_leaks=1:abort_on_error=1:detect_stack_use_after_return=1
export UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1
export CK_DEFAULT_TIMEOUT=60 PYTHONDONTWRITEBYTECODE=1 LC_ALL=C.UTF-8
flow_s=900
[ -n "$soak" ] && export OSB_SOAK=1 flow_s=7200
[ -n "$clients" ] && export OSB_CLIENTS=full
if [ -n "$keep" ]; then
    export OSB_KEEP=$logs/kept
    mkdir -p "$OSB_KEEP"
fi

stop() { # whatever ends this script ends the parts that run, and what these have started
    local pid
    for pid in "${pids[@]}"; do
        [ -n "${codes[$pid]:-}" ] || kill -TERM -- "-$pid" 2>/dev/null
    done
    for pid in "${pids[@]}"; do
        [ -n "${codes[$pid]:-}" ] || wait "$pid" 2>/dev/null
    done
    pids=()
    [ -n "${policy_rc:-}" ] && $sudo rm -f "$policy_rc"
}
trap 'stop; exit 130' INT TERM HUP
trap stop EXIT

# --- packages ----------------------------------------------------------------------------------------------------------
packages="build-essential cmake ninja-build pkg-config libssl-dev libev-dev libsodium-dev libhiredis-dev libnghttp2-dev
    libc-ares-dev libpsl-dev libidn2-dev libjansson-dev zlib1g-dev libbrotli-dev libzstd-dev uthash-dev node-llhttp
    check clang-format clang libclang-rt-14-dev
    redis-server nginx-light iproute2 iptables nftables curl openssl python3 python3-h2 python3-hpack
    python3-hyperframe python3-grpcio python3-brotli python3-zstandard python3-httpx nghttp2-client publicsuffix
    ca-certificates procps git fcgiwrap"
[ -n "$clients" ] && packages="$packages golang-go openjdk-17-jdk-headless nodejs npm ruby php-cli php-curl
    python3-pip python3-requests wget"
sudo=''
[ "$(id -u)" = 0 ] || sudo='sudo -n'

is_there() { # nginx comes in several builds, and npm with some of Node
    case $1 in nginx-light | npm) command -v "${1%-light}" >/dev/null && return 0 ;; esac
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

install_missing() {
    local package missing=()
    for package in $packages; do
        is_there "$package" || missing+=("$package")
    done
    [ ${#missing[@]} = 0 ] && return 0
    echo "installing ${missing[*]}"
    # Installing a server must not start it: Debian asks this file.
    if [ ! -e /usr/sbin/policy-rc.d ]; then
        policy_rc=/usr/sbin/policy-rc.d
        printf '#!/bin/sh\nexit 101\n' | $sudo tee "$policy_rc" >/dev/null && $sudo chmod 755 "$policy_rc"
    fi
    { $sudo apt-get -o DPkg::Lock::Timeout=600 -q update &&
        $sudo env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=600 -q -y --no-install-recommends \
            install "${missing[@]}"; } >"$logs/install.log" 2>&1
    local code=$?
    [ -n "${policy_rc:-}" ] && $sudo rm -f "$policy_rc" && policy_rc=''
    [ $code = 0 ] || tail -n 20 "$logs/install.log"
    return $code
}

# The npm packages among the clients, once, where scenario/040 looks for them. What npm leaves half done is no cache.
fetch_npm() {
    local wanted=tests/scenario/logins/package.json folder=build/packages
    cmp -s $wanted $folder/package.json && return 0
    echo "fetching npm packages"
    rm -rf $folder && mkdir -p $folder/new && cp $wanted $folder/new &&
        (cd $folder/new && timeout 600 npm install --no-audit --no-fund --ignore-scripts --no-package-lock) >"$logs/npm.log" 2>&1 &&
        mv $folder/new/node_modules $folder && mv $folder/new/package.json $folder && return 0
    tail -n 10 "$logs/npm.log"
    return 1
}

# --- parts -------------------------------------------------------------------------------------------------------------
count() { # NAME CODE LOG: add what a part has counted: its own last line, Check's lines, or else its exit code
    local name=$1 code=$2 log=$3 good=0 bad=0 line
    line=$(grep -aE '^[0-9]+ passed, [0-9]+ failed$' "$log" | tail -n 1)
    if [ -n "$line" ]; then
        good=${line%% *} bad=${line#*, } bad=${bad%% *}
    elif grep -aqE '^[0-9]+%: Checks: ' "$log"; then
        read -r good bad < <(sed -nE 's/^[0-9]+%: Checks: ([0-9]+), Failures: ([0-9]+), Errors: ([0-9]+).*/\1 \2 \3/p' "$log" |
            awk '{ good += $1 - $2 - $3; bad += $2 + $3 } END { print good, bad }')
    elif [ "$code" = 0 ]; then
        good=1
    fi
    if [ "$code" != 0 ] && [ "$bad" = 0 ]; then
        bad=1
    fi
    if grep -aqE 'ERROR: (Address|Leak)Sanitizer|runtime error: ' "$log" && [ "$bad" = 0 ]; then
        bad=1
    fi
    passed=$((passed + good)) failed=$((failed + bad))
    printf '%-5s %s: %s passed, %s failed\n' "$([ "$bad" = 0 ] && echo ok || echo FAIL)" "$name" "$good" "$bad"
    grep -aE '^(note|skip) ' "$log" | head -n 20
    if [ "$bad" != 0 ]; then
        grep -aE '^FAIL' "$log" | cut -c1-400 | head -n 40
        echo "----- the end of $log (exit code $code)"
        grep -avE '^(FAIL|ok) ' "$log" | tail -n 25 | cut -c1-400
        echo "-----"
    fi
}

begin() { # NAME SECONDS COMMAND...: start it in a process group of its own, at most so long
    local name=$1 seconds=$2
    shift 2
    setsid timeout -k 60 "$seconds" "$@" >"$(log_of "$name")" 2>&1 </dev/null &
    names+=("$name") pids+=("$!")
}

log_of() { echo "$logs/${1//\//-}.log"; }

settle() { # MOST: wait until at most so many run, and count those that have ended in the order in which they began
    local pid code log running
    while :; do
        running=()
        for pid in "${pids[@]}"; do
            [ -n "${codes[$pid]:-}" ] || running+=("$pid")
        done
        [ ${#running[@]} -gt "$1" ] || break
        wait -n -p pid "${running[@]}"
        code=$?
        if [ -z "${pid:-}" ]; then # it had ended before it was waited for
            pid=${running[0]}
            wait "$pid"
            code=$?
        fi
        codes[$pid]=$code
    done
    while [ ${#pids[@]} -gt 0 ] && [ -n "${codes[${pids[0]}]:-}" ]; do
        code=${codes[${pids[0]}]} log=$(log_of "${names[0]}")
        [ "$code" = 124 ] && echo "FAIL  ${names[0]} was not done in its time" >>"$log"
        count "${names[0]}" "$code" "$log"
        unset "codes[${pids[0]}]"
        names=("${names[@]:1}") pids=("${pids[@]:1}")
    done
}

part() { # NAME SECONDS COMMAND...: run it with nothing beside it
    [[ $1 =~ $pattern ]] || return 0
    settle 0
    begin "$@"
    settle 0
}

beside() { # NAME SECONDS COMMAND...: run it beside another
    [[ $1 =~ $pattern ]] || return 0
    settle $((lanes - 1))
    begin "$@"
}

build() { # PRESET: the one thing that is never left out by a pattern
    local preset=$1 log=$logs/build-$1.log
    settle 0
    if cmake -G Ninja -B "build/$preset" -DOSB_PRESET="$preset" >"$log" 2>&1 && cmake --build "build/$preset" >>"$log" 2>&1; then
        echo "ok    build $preset"
        return 0
    fi
    failed=$((failed + 1))
    echo "FAIL  build $preset"
    grep -E 'error|FAILED' "$log" | head -n 20
    tail -n 10 "$log"
    return 1
}

finish() {
    settle 0
    echo "$passed passed, $failed failed"
    [ "$failed" = 0 ]
    exit
}

install_missing || { failed=$((failed + 1)); echo "FAIL  packages are missing and can't be installed"; finish; }
[ -z "$clients" ] || fetch_npm || { failed=$((failed + 1)); echo "FAIL  the npm packages can't be fetched"; }

# Flow tests whose rows measure no time and no memory, and which signal nothing but what is their own; the longest first.
calm="crashes withdrawn lives osbctl h2_client grpc explain bodies meddled osbctl_redis redis_acl meetings property
    faults_upstream h2_line keys backups h2_conform h2_upstream redis_tls scrubbing websocket h2_upstream_bodies attacks_framing
    connect places scrub_codings master ready attacks_block attacks_leak attacks_policy attacks_subst faults main_job plain_http"

is_calm() { # FILE
    [[ " ${calm//[[:space:]]/ } " == *" $(basename "${1%.*}") "* ]]
}

flow() { # part|beside FILE
    local run=$1 file=$2 with=python3
    [ -f "$file" ] || return 0
    [ "${file##*.}" = sh ] && with=bash
    "$run" "flow/$(basename "${file%.*}")" "$flow_s" $with "$file" build/asan
}

built=''
build debug && built="debug"
build asan && built="$built asan"

for lint in tests/lint/*.sh; do
    beside "lint/$(basename "$lint" .sh)" 300 bash "$lint" build/debug
done

for preset in $built; do
    [ -n "$quick" ] && [ "$preset" = debug ] && continue
    for unit in build/"$preset"/unit/check_*; do
        [ -x "$unit" ] && [ -f "$unit" ] && beside "unit-$preset/$(basename "$unit")" 600 "$unit"
    done
done

case $built in
*asan*)
    for flow in $calm; do
        flow beside "$(echo tests/flow/"$flow".*)"
    done
    for flow in tests/flow/*.sh tests/flow/*.py; do
        is_calm "$flow" || flow part "$flow"
    done
    for scenario in tests/scenario/*.sh; do
        if [ -z "$quick" ] && [ -f "$scenario" ]; then
            part "scenario/$(basename "$scenario" .sh)" 1800 bash "$scenario" build/asan
        fi
    done
    ;;
esac

if [ -z "$quick" ]; then
    part demo 600 bash proxy/demo.sh
    part bench/quick 600 bash bench/compare.sh --quick --peers nginx --only W1,W3d --out build/bench/quick
fi

if [ -z "$quick" ] && [ "$fuzz_s" != 0 ] && [[ fuzz/ =~ ${pattern%%/*} ]]; then
    if build fuzz; then
        for fuzzer in build/fuzz/fuzz/fuzz_*; do
            [ -x "$fuzzer" ] && [ -f "$fuzzer" ] || continue
            name=$(basename "$fuzzer")
            corpus=build/corpus/$name
            mkdir -p "$corpus"
            seeds=()
            [ -d "tests/fuzz/corpus/$name" ] && seeds=("tests/fuzz/corpus/$name")
            beside "fuzz/$name" $((fuzz_s + 120)) "$fuzzer" -max_total_time="$fuzz_s" -timeout=10 -rss_limit_mb=2048 \
                -artifact_prefix="$logs/$name-" "$corpus" "${seeds[@]}"
        done
    fi
fi
finish
