#!/usr/bin/env bash
# 030-clients.sh BUILD_DIR: real clients over HTTP/2, redirected by the rules that osbctl prints or told of connect_listen.
# Each trusts the CA in the way that its users are told to, by the sandbox' env file where it reads one. Wants redis-server,
# nginx, curl, nghttp2-client, python3-httpx, python3-h2, openssl, iproute2, iptables; Node and git where they are. With
# OSB_CLIENTS=full (run.sh --clients full) those must be there, and so must Go and Java.
# Prints a line a check and 'N passed, N failed' last; exits 0 when all hold.
#
#   red   10.97.1.2 --- red  .1  \  host: proxy, Redis, and on its loopback the Internet:
#   told  10.97.2.2 --- told .1  /  203.0.113.10 two.test (nginx with HTTP/2), 203.0.113.11 one.test (without)
. "$(dirname "$0")/stage.sh.inc"

# --- the stage --------------------------------------------------------------------------------------------------------------
make_internet two.test one.test
mkdir www
yes 'a line of sixty-three octets, so that 16384 of them are one MiB' | head -n 16384 >www/down
make_repository() { # three commits as plain files: what a clone over HTTPS needs least
    local line
    export GIT_CONFIG_GLOBAL=$PWD/gitconfig GIT_CONFIG_NOSYSTEM=1 GIT_{AUTHOR,COMMITTER}_{NAME,EMAIL}=someone
    git init -q tree || return 1
    for line in 1 2 3; do git -C tree commit -q --allow-empty -m "commit-$line" || return 1; done
    git clone -q --bare tree www/repo.git && git -C www/repo.git update-server-info
}
! command -v git >/dev/null || make_repository || give_up "no repository"
start_nginx '
    log_format seen "$request_uri $server_protocol key=$http_x_api_key";
    access_log origin.seen seen;
    root www;
    server {
        listen 203.0.113.10:443 ssl http2;
        listen 203.0.113.11:443 ssl;
        rewrite ^/[a-z0-9_-]+/(.*)$ /$1;
        location = /get { return 200 "hello\n"; }
        location = /post { proxy_pass http://127.0.0.1:81; } # so that it is read to its end before the answer
        location / { }
    }
    server {
        listen 127.0.0.1:81;
        access_log off;
        location / { return 200 "got $content_length\n"; }
    }'
start_redis
real=sk-real-$(openssl rand -hex 20)
osbctl store create agent --egress-allow one.test --egress-allow two.test >/dev/null &&
    printf %s "$real" | osbctl secret set agent API_KEY --value-file - >/dev/null 2>&1 || give_up "no store"
make_sandbox red 1 agent "$scenario/clients"
make_sandbox told 2 agent "$scenario/clients"
redirect red 1
iptables -A INPUT -i told -p tcp --dport 3128 -j ACCEPT && iptables -A INPUT -i told -j DROP || give_up "no rules"
echo HTTPS_PROXY=http://10.97.2.1:3128 >>told/env
echo https_proxy=http://10.97.2.1:3128 >>told/env
start_proxy "connect_listen = 10.97.2.1:3128"

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
if [ -n "$full" ] && there go; then
    check "Go compiles" env HOME="$PWD" GOPROXY=off GOFLAGS= go build -o red/go-client "$scenario/clients/client.go"
    cp red/go-client told/
    for sandbox in red told; do asks go $sandbox h2 3 "$(three h2)" ./go-client {}; done
fi
if [ -n "$full" ] && there java; then
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
end_proxy
finish
