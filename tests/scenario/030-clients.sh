#!/usr/bin/env bash
# 030-clients.sh BUILD_DIR: real clients over HTTP/2, redirected by the rules that osbctl prints or told of connect_listen.
# Each trusts the CA in the way that its users are told to, by the sandbox' env file where it reads one. Wants redis-server,
# nginx, curl, nghttp2-client, python3-httpx, python3-h2, openssl, iproute2, iptables; Node and git where they are. With
# OSB_CLIENTS=1 (run.sh --clients) those must be there, and so must Go and Java. No root where user namespaces may be made.
# Prints a line a check and 'N passed, N failed' last; exits 0 when all hold.
#
#   red   10.97.1.2 --- red  .1  \  host: proxy, Redis, and on its loopback the Internet:
#   told  10.97.2.2 --- told .1  /  203.0.113.10 two.test (nginx with HTTP/2), 203.0.113.11 one.test (without)
set -u
export LC_ALL=C.UTF-8 PATH=$PATH:/usr/sbin:/sbin
bin=$(cd "${1:?build directory}" && pwd) || exit 1
clients=$(cd "$(dirname "$0")/clients" && pwd) || exit 1
if [ "${2:-}" != --inside ]; then
    apart="unshare -Urnmp --fork --kill-child --mount-proc"
    $apart true 2>/dev/null || apart="unshare -nmp --fork --kill-child --mount-proc"
    if ! $apart true; then
        echo "FAIL  no namespaces can be made here"
        echo "0 passed, 1 failed"
        exit 1
    fi
    exec $apart bash "$0" "$bin" --inside
fi
trap 'exit 143' INT TERM HUP # the first process of a namespace hears only what it listens for; all others end with it

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
        printf '%s\n' "$said" | sed 's/^/      /' | cut -c1-300 | tail -n 12
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
finish() {
    [ "$failed" = 0 ] || { echo "----- the proxy's log"; tail -n 15 proxy.log; }
    echo "$passed passed, $failed failed"
    [ "$failed" = 0 ]
    exit
}
give_up() { echo "FAIL  $*"; tail -n 5 ./*.log 2>/dev/null; failed=$((failed + 1)); finish; }
is() { [ "$1" = "$2" ] || { printf 'it was:\n%s\nand not:\n%s\n' "$1" "$2"; return 1; }; }

# --- the stage --------------------------------------------------------------------------------------------------------------
mount -t tmpfs -o mode=755 none /run && mkdir /run/w && cd /run/w || exit 1
printf '127.0.0.1 localhost\n203.0.113.10 two.test\n203.0.113.11 one.test\n' >hosts
mount --bind hosts /etc/hosts || give_up "no mounts"
ip link set lo up
for n in 10 11; do ip address add "203.0.113.$n/32" dev lo; done
echo 0 >/proc/sys/net/ipv4/ip_forward

openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -out ca.pem -days 2 -subj "/CN=Root" 2>/dev/null
openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout origin.key -out origin.csr -subj "/CN=origin" 2>/dev/null
openssl x509 -req -in origin.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -out origin.pem \
    -extfile <(printf 'subjectAltName=DNS:one.test,DNS:two.test\nextendedKeyUsage=serverAuth\n') 2>/dev/null
mkdir www
yes 'a line of sixty-three octets, so that 16384 of them are one MiB' | head -n 16384 >www/down
make_repository() { # three commits as plain files: what a clone over HTTPS needs least
    local line
    export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_NOSYSTEM=1 GIT_{AUTHOR,COMMITTER}_{NAME,EMAIL}=someone
    git init -q tree || return 1
    for line in 1 2 3; do git -C tree commit -q --allow-empty -m "commit-$line" || return 1; done
    git clone -q --bare tree www/repo.git && git -C www/repo.git update-server-info
}
! command -v git >/dev/null || make_repository || give_up "no repository"

cat >nginx.conf <<'NGINX'
user root root;
daemon off;
master_process off;
pid nginx.pid;
events {}
http {
    log_format seen '$request_uri $server_protocol key=$http_x_api_key';
    access_log origin.seen seen;
    client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi; scgi_temp_path scgi;
    ssl_certificate origin.pem;
    ssl_certificate_key origin.key;
    root www;
    server {
        listen 203.0.113.10:443 ssl http2;
        listen 203.0.113.11:443 ssl;
        rewrite ^/[a-z0-9_-]+/(.*)$ /$1;
        location = /get { return 200 'hello\n'; }
        location = /post { proxy_pass http://127.0.0.1:81; } # so that it is read to its end before the answer
        location / { }
    }
    server {
        listen 127.0.0.1:81;
        access_log off;
        location / { return 200 'got $content_length\n'; }
    }
}
NGINX
nginx -p "$PWD" -c nginx.conf -e nginx.log >nginx.out.log 2>&1 &
await bash -c 'exec 3<>/dev/tcp/203.0.113.10/443' || give_up "nginx does not start"
redis-server --port 0 --unixsocket "$PWD/redis.sock" --save '' --daemonize no >redis.log 2>&1 &
await redis-cli -s redis.sock ping || give_up "Redis does not start"

export OSB_REDIS_URL=unix:$PWD/redis.sock OSB_KEY_FILE=$PWD/key
osbctl() { "$bin/osbctl" "$@"; }
real=sk-real-$(openssl rand -hex 20)
osbctl key init key && osbctl store create agent --egress-allow one.test --egress-allow two.test >/dev/null &&
    printf %s "$real" | osbctl secret set agent API_KEY --value-file - >/dev/null 2>&1 || give_up "no store"
cat >proxy.conf <<CONF
redis = unix:$PWD/redis.sock
key_file = $PWD/key
upstream_ca_file = $PWD/ca.pem
allow_net = 203.0.113.0/24
connect_listen = 10.97.2.1:3128
audit_log = $PWD/audit.jsonl
admin = unix:$PWD/admin.sock
workers = 2
CONF

# A sandbox: a network namespace with one cable to the host, and a view of the files that ends at /mnt. It believes that
# every name is at 198.51.100.1, where nobody is.
make_sandbox() { # NAME NUMBER
    local name=$1 net=10.97.$2
    mkdir "$name" && cp "$clients"/* "$name" || give_up "no folder"
    printf '127.0.0.1 localhost %s\n198.51.100.1 one.test two.test\n' "$(uname -n)" >"$name/hosts" # git asks for its own name
    osbctl sandbox create "$name" --ip "$net.2" --store agent --env-file "$name/env" --ca-file "$name/ca.pem" \
        --ca-path /mnt/ca.pem --bundle-file "$name/bundle.pem" --bundle-path /mnt/bundle.pem >/dev/null || give_up "no sandbox $name"
    ip link add "$name" type veth peer name inside || give_up "no veth"
    unshare -nm sleep infinity &
    eval "pid_$name=$!"
    await bash -c '[ "$(readlink /proc/$0/ns/net)" != "$(readlink /proc/self/ns/net)" ]' $! || give_up "no network namespace"
    ip link set inside netns $! || give_up "no cable"
    nsenter -t $! -n -m bash -c "
        mount --bind /run/w/$name /mnt && mount -t tmpfs none /run && mount --bind /mnt/hosts /etc/hosts &&
            ip link set lo up && ip address add $net.2/24 dev inside && ip link set inside up" || give_up "no sandbox $name"
    ip address add "$net.1/24" dev "$name"
    ip link set "$name" up
    nsenter -t $! -n ip route add default via "$net.1"
}
run_in() { # NAME COMMAND...: with the environment that the sandbox was given, and no other
    local pid=pid_$1
    shift
    timeout 120 nsenter -t "${!pid}" -n -m bash -c 'cd /mnt && mapfile -t given <env &&
        exec env -i PATH="$PATH" HOME=/mnt "${given[@]}" "$@"' _ "$@" 2>&1
}
make_sandbox red 1
make_sandbox told 2
osbctl rules iptables --sandbox-if red --ip 10.97.1.2 >red.rules && sh red.rules || give_up "no rules"
iptables -A INPUT -i told -p tcp --dport 3128 -j ACCEPT && iptables -A INPUT -i told -j DROP || give_up "no rules"
echo HTTPS_PROXY=http://10.97.2.1:3128 >>told/env
echo https_proxy=http://10.97.2.1:3128 >>told/env

"$bin/osb-proxy" -c proxy.conf >proxy.log 2>&1 &
proxy=$!
await curl -sf --unix-socket admin.sock http://proxy/readyz || give_up "the proxy does not get ready"

# --- what is looked at ------------------------------------------------------------------------------------------------------
audited() { # PATTERN-OF-PATH: what the lines of these requests differ in
    grep -E "\"path\":\"$1\"" audit.jsonl |
        sed -E 's/.*"(proto":[^,]*),"(upstream_proto":[^,]*),"status":([^,]*),.*"secrets":(\[[^]]*\]).*/\1 \2 \3 \4/; s/"//g' |
        sort | uniq -c | sed 's/^ *//'
}
arrived() { grep -E "^$1 " origin.seen | cut -d' ' -f2- | sort | uniq -c | sed 's/^ *//'; } # likewise, what the origin saw
has_arrived() { [ "$(grep -cE "^$1 " origin.seen)" -ge "$2" ] && [ "$(grep -cE "\"path\":\"$1\"" audit.jsonl)" -ge "$2" ]; }

declare -A speaks=([two]=HTTP/2.0 [one]=HTTP/1.1) writes=([two]=h2 [one]=h1) comes=([red]=redirected [told]='by CONNECT')
asks() { # CLIENT SANDBOX PROTO REQUESTS WANT COMMAND...: of both hosts; {} in COMMAND is the URL
    local client=$1 sandbox=$2 proto=$3 requests=$4 want=$5 host path sentence
    shift 5
    for host in two one; do
        path=/$client-$sandbox-$host
        sentence="$client, ${comes[$sandbox]}, $proto, the origin speaks ${writes[$host]}"
        check "$sentence: it gets its answers" is "$(run_in "$sandbox" "${@//\{\}/https://$host.test$path}")" "$want"
        await has_arrived "$path/.*" "$requests"
        check "$sentence: the origin gets the value" is "$(arrived "$path/.*")" "$requests ${speaks[$host]} key=$real"
        check "$sentence: it is audited so" is "$(audited "$path/.*")" \
            "$requests proto:$proto upstream_proto:${writes[$host]} 200 [API_KEY]"
    done
}
three() { printf '%s\n' "get 200 $1 hello" "post 200 $1 got 300005" "down 200 $1 1048576"; } # PROTO: what each program says
there() { # PROGRAM: is it here? Only with OSB_CLIENTS must it be.
    command -v "$1" >/dev/null && return 0
    [ -z "${OSB_CLIENTS:-}" ] || check "$1 is there" false
    [ -n "${OSB_CLIENTS:-}" ] || echo "skip  $1 is not there"
    return 1
}

# --- the clients ------------------------------------------------------------------------------------------------------------
for sandbox in red told; do
    check "nobody trusts the proxy who is not told to (curl, ${comes[$sandbox]})" \
        is "$(run_in $sandbox env -u CURL_CA_BUNDLE -u SSL_CERT_FILE curl -s https://two.test/get; echo $?)" 60
    asks curl $sandbox h2 3 "$(three h2)" bash curl.sh --http2 {}
    asks curl_h1 $sandbox h1 3 "$(three h1)" bash curl.sh --http1.1 {}
    asks httpx $sandbox h2 3 "$(three h2)" /usr/bin/python3 httpx_client.py {}
done
asks nghttp red h2 3 "$(three h2)" bash nghttp.sh {}
asks h2load red h2 1000 "$(printf '%s\n' 'Application protocol: h2' 'status codes: 1000 2xx, 0 3xx, 0 4xx, 0 5xx')" \
    bash -c 'h2load -n 1000 -c 10 -m 10 -H "x-api-key: $API_KEY" "$0/get" | grep -E "^(status codes|Application protocol):"' {}
if there node; then
    asks node_http2 red h2 3 "$(three h2)" node node_http2.js {}
    asks node_http2 told h2 3 "$(three h2)" node node_http2.js {}
    asks node_fetch red h1 3 "$(three h1)" node node_fetch.js {}
fi
if there git; then
    for sandbox in red told; do asks git $sandbox h2 5 "commit-1 commit-2 commit-3" bash git.sh {}; done
fi
if [ -n "${OSB_CLIENTS:-}" ] && there go; then
    check "Go compiles" env HOME="$PWD" GOPROXY=off GOFLAGS= go build -o red/go-client "$clients/client.go"
    cp red/go-client told/
    for sandbox in red told; do asks go $sandbox h2 3 "$(three h2)" ./go-client {}; done
fi
if [ -n "${OSB_CLIENTS:-}" ] && there java; then
    for sandbox in red told; do
        check "Java's keytool takes the CA of $sandbox" \
            run_in $sandbox keytool -importcert -noprompt -alias osb -file ca.pem -keystore trust.p12 -storepass changeit
    done
    java=(java -Djavax.net.ssl.trustStore=trust.p12 -Djavax.net.ssl.trustStorePassword=changeit)
    asks java red h2 3 "$(three h2)" "${java[@]}" Client.java {}
    asks java told h2 3 "$(three h2)" "${java[@]}" -Dhttps.proxyHost=10.97.2.1 -Dhttps.proxyPort=3128 Client.java {}
fi

# --- after all --------------------------------------------------------------------------------------------------------------
tokens=$(sed -n 's/^API_KEY=//p' red/env told/env | paste -sd '|')
check "no value and no whole token in audit or log" bash -c '! grep -nE -e "$0" audit.jsonl proxy.log' "$real|$tokens"
kill -TERM $proxy
wait $proxy
check "TERM ends the proxy with 0" is $? 0
check "nothing was wrong with memory" bash -c '! grep -E "ERROR: |runtime error: |assert" proxy.log'
finish
