#!/usr/bin/env bash
# 010-redirect.sh BUILD_DIR: sandboxes, host and Internet as network namespaces, joined by the rules that osbctl prints.
# Wants redis-server, nginx, curl, openssl, python3, iproute2, nftables, iptables; no root where user namespaces may be
# made. Prints a line a check and 'N passed, N failed' last; exits 0 when all hold.
#
#   a 10.200.1.2 fd00:200:1::2 --- a0 .1 ::1 \                               / 203.0.113.10 2001:db8::10  the origin
#                                              host: proxy, Redis --- net0 ---  203.0.113.66 2001:db8::66  the attacker's
#   b 10.200.2.2 fd00:200:2::2 --- b0 .1 ::1 /                               \ 203.0.113.53               a name server
#
# The host forwards: what does not arrive was stopped by the rules and by nothing else.
set -u
export LC_ALL=C.UTF-8 PATH=$PATH:/usr/sbin:/sbin
bin=$(cd "${1:?build directory}" && pwd) || exit 1
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

passed=0 failed=0 rules=none
check() { # SENTENCE CONDITION...
    local sentence="$rules: $1" said
    shift
    if said=$("$@" 2>&1); then
        passed=$((passed + 1))
        echo "ok    $sentence"
    else
        failed=$((failed + 1))
        echo "FAIL  $sentence"
        printf '%s\n' "      was: ${*:0:200}" "$said" | cut -c1-300
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
is() { [ "$1" = "$2" ] || { echo "      $1, not $2"; return 1; }; }
has() { [[ $1 == *"$2"* ]] || { echo "      '$2' is not in: $1"; return 1; }; }

# --- the stage --------------------------------------------------------------------------------------------------------------
mount -t tmpfs -o mode=755 none /run && mkdir /run/w && cd /run/w || exit 1
cat >hosts <<'END'
127.0.0.1 localhost
203.0.113.10 api.test
203.0.113.10 other.test
2001:db8::10 six.test
203.0.113.66 evil.test
END
mount --bind hosts /etc/hosts || give_up "no mounts"
for key in default all; do
    echo 0 >/proc/sys/net/ipv6/conf/$key/accept_dad
    echo 1 >/proc/sys/net/ipv6/conf/$key/forwarding
done
echo 1 >/proc/sys/net/ipv4/ip_forward
ip link set lo up

quick_icmp() { # refusals are looked for one after another: none may be left out for being many
    echo 0 >/proc/sys/net/ipv4/icmp_ratelimit
    echo 0 >/proc/sys/net/ipv6/icmp/ratelimit
}
quick_icmp
declare -A pid
in_space() { local name=$1; shift; nsenter -t "${pid[$name]}" -n "$@"; }
make_space() { # NAME LINK OWN GATEWAY...: each as v4 and v6
    local name=$1 link=$2
    unshare -n sleep infinity &
    pid[$name]=$!
    await bash -c '[ "$(readlink /proc/$0/ns/net)" != "$(readlink /proc/self/ns/net)" ]' $! || give_up "no network namespace"
    ip link add "$link" type veth peer name eth0 netns $! || give_up "no veth"
    ip address add "$5" dev "$link" && ip address add "$6" dev "$link" nodad && ip link set "$link" up || give_up "no $link"
    in_space "$name" sh -c "ip link set lo up; ip address add $3 dev eth0; ip address add $4 dev eth0 nodad
        ip link set eth0 up; ip route add default via ${5%/*}; ip -6 route add default via ${6%/*}
        $(declare -f quick_icmp | sed 's/^quick_icmp ()/quick_icmp()/'); quick_icmp" || give_up "no $name"
}
make_space a a0 10.200.1.2/24 fd00:200:1::2/64 10.200.1.1/24 fd00:200:1::1/64
make_space b b0 10.200.2.2/24 fd00:200:2::2/64 10.200.2.1/24 fd00:200:2::1/64
make_space net net0 203.0.113.10/24 2001:db8::10/64 203.0.113.1/24 2001:db8::1/64
for ip in 203.0.113.66/24 203.0.113.53/24 2001:db8::66/64; do in_space net ip address add "$ip" dev eth0 nodad 2>/dev/null; done

# What is seen where: came, before any rule; stray, behind all of them on the host; let_out, past it.
nft -f - <<'END' || give_up "no nft"
table inet watch {
    counter came { }
    counter stray { }
    chain before { type filter hook prerouting priority -300; iifname { a0, b0 } meta l4proto != ipv6-icmp counter name came; }
    chain behind {
        type filter hook input priority 300
        iifname { a0, b0 } meta l4proto != ipv6-icmp ct status & dnat != dnat counter name stray
    }
}
END
in_space net nft -f - <<'END' || give_up "no nft"
table inet watch {
    counter syn_evil { }
    counter let_out { }
    counter names { }
    chain before {
        type filter hook prerouting priority -300
        ip daddr 203.0.113.66 tcp flags syn counter name syn_evil
        ip6 daddr 2001:db8::66 tcp flags syn counter name syn_evil
        ip saddr 10.200.0.0/16 ip daddr 203.0.113.53 meta l4proto { tcp, udp } th dport 53 counter name names accept
        ip saddr 10.200.0.0/16 counter name let_out
        ip6 saddr fd00:200::/32 counter name let_out
    }
}
END
counted() { sed -n 's/.*packets \([0-9]*\) .*/\1/p'; }
came() { nft list counter inet watch came | counted; }
stray() { nft list counter inet watch stray | counted; }
net_counter() { in_space net nft list counter inet watch "$1" | counted; }

openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -out ca.pem -days 2 -subj "/CN=Root" 2>/dev/null
openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout origin.key -out origin.csr -subj "/CN=origin" 2>/dev/null
names=DNS:api.test,DNS:other.test,DNS:six.test,DNS:evil.test,IP:203.0.113.10,IP:2001:db8::10,IP:203.0.113.66
openssl x509 -req -in origin.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -out origin.pem \
    -extfile <(printf 'subjectAltName=%s\nextendedKeyUsage=serverAuth\n' "$names") 2>/dev/null
cat >nginx.conf <<'END'
user root root;
daemon off;
master_process off;
pid nginx.pid;
events {}
http {
    log_format seen '$server_addr $scheme $http_host key=$http_x_api_key';
    access_log origin.seen seen;
    client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi; scgi_temp_path scgi;
    ssl_certificate origin.pem;
    ssl_certificate_key origin.key;
    server {
        listen 80;
        listen [::]:80;
        listen 443 ssl;
        listen [::]:443 ssl;
        location / { return 200 'hello\n'; }
    }
}
END
in_space net nginx -p "$PWD" -c nginx.conf -e nginx.log >nginx.out.log 2>&1 &
await in_space net bash -c 'exec 3<>/dev/tcp/203.0.113.10/443' || give_up "nginx does not start"
redis-server --port 0 --unixsocket "$PWD/redis.sock" --save '' --daemonize no >redis.log 2>&1 &
await redis-cli -s redis.sock ping || give_up "Redis does not start"

export OSB_REDIS_URL=unix:$PWD/redis.sock OSB_KEY_FILE=$PWD/key
osbctl() { "$bin/osbctl" "$@"; }
real=sk-real-$(openssl rand -hex 20)
osbctl key init key && osbctl store create agent --egress-allow api.test --egress-allow six.test --egress-allow other.test \
    --egress-allow 203.0.113.10 --egress-allow 2001:db8::10 >/dev/null &&
    printf %s "$real" | osbctl secret set agent KEY --value-file - --allow-host api.test --allow-host six.test >/dev/null 2>&1 ||
    give_up "no store"
for n in 1 2; do
    name=$(echo ab | cut -c$n)
    osbctl sandbox create "$name" --ip 10.200.$n.2 --ip fd00:200:$n::2 --store agent --env-file "$name.env" --ca-file "$name.pem" \
        >/dev/null || give_up "no sandbox"
done
# c lives on another cable; a will put c's addresses on its own interface.
osbctl sandbox create c --ip 10.200.1.99 --ip fd00:200:1::99 --store agent --env-file c.env --ca-file c.pem >/dev/null || give_up "no sandbox"
token_a=$(sed -n 's/^KEY=//p' a.env) token_b=$(sed -n 's/^KEY=//p' b.env)

write_conf() { # HTTP_MODE
    cat >proxy.conf <<END
redis = unix:$PWD/redis.sock
key_file = $PWD/key
upstream_ca_file = $PWD/ca.pem
allow_net = 203.0.113.0/24
allow_net = 2001:db8::/32
audit_log = $PWD/audit.jsonl
admin = unix:$PWD/admin.sock
workers = 2
http = $1
END
}
write_conf upgrade
"$bin/osb-proxy" -c proxy.conf >proxy.log 2>&1 &
proxy=$!
await curl -sf --unix-socket admin.sock http://proxy/readyz || give_up "the proxy does not get ready"

# --- what the clients do ------------------------------------------------------------------------------------------------------
call() { # SANDBOX URL DIAL CURL-ARGUMENTS...: prints the status; 000 when there was no answer
    local name=$1 url=$2 dial=$3 port=443
    shift 3
    [[ $url == https:* ]] || port=80
    rm -f answer
    in_space "$name" curl -sS --noproxy '*' --max-time 5 --cacert "$name.pem" --connect-to "::$dial:$port" -o answer \
        -w '%{http_code}' "$@" "$url" 2>curl.err
}
seen() { wc -l <origin.seen; }
seen_next() { await bash -c '[ "$(wc -l <origin.seen)" -gt "$0" ]' "$1"; tail -n 1 origin.seen; }
asks() { # SENTENCE SANDBOX URL DIAL WHAT-THE-ORIGIN-SEES CURL-ARGUMENTS...
    local sentence=$1 name=$2 url=$3 dial=$4 want=$5 before
    shift 5
    before=$(seen)
    check "$sentence: answered" is "$(call "$name" "$url" "$dial" "$@")" 200
    check "$sentence: as the origin sees it" is "$(seen_next "$before")" "$want"
}
refused() { # SENTENCE CODE REASON SANDBOX URL DIAL CURL-ARGUMENTS...
    local sentence=$1 code=$2 reason=$3 before
    shift 3
    before=$(seen)
    check "$sentence: $code" is "$(call "$@" -D head)" "$code"
    check "$sentence: says why" grep -qi "^x-osb-error: $reason" head
    check "$sentence: the origin hears nothing" is "$(seen)" "$before"
}
audited() { await grep -qE "$1" audit.jsonl; }

cat >end.py <<'END'
"""end ADDRESS PORT: how does a connection end on which we say nothing?"""
import socket, sys
try:
    with socket.create_connection((sys.argv[1], int(sys.argv[2])), 2) as s:
        s.settimeout(5)
        print("FIN" if s.recv(1) == b"" else "octets")
except ConnectionResetError:
    print("RST")
except ConnectionRefusedError:
    print("refused")
except TimeoutError:
    print("silence")
END
cat >datagram.py <<'END'
"""datagram ADDRESS PORT: is a UDP datagram refused aloud?"""
import socket, sys
family = socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET
s = socket.socket(family, socket.SOCK_DGRAM)
s.settimeout(1)
s.connect((sys.argv[1], int(sys.argv[2])))
try:
    s.send(b"?")
    s.recv(1)
    print("answered")
except ConnectionRefusedError:
    print("refused")
except TimeoutError:
    print("silence")
END
cat >doors.py <<'END'
"""doors SOURCE ADDRESS...: one packet of each kind that should not get through; prints how many were sent."""
import socket, sys
sent, kept = 0, []
source = sys.argv[1]
for to in sys.argv[2:]:
    family = socket.AF_INET6 if ":" in to else socket.AF_INET
    for port in (22, 25, 53, 444, 853, 6379, 8080, 8443, 9090):
        s = socket.socket(family, socket.SOCK_STREAM)
        s.setblocking(False)
        if source != "-":
            s.bind((source, 0))
        s.connect_ex((to, port))
        kept.append(s)
        sent += 1
    for port in (53, 67, 123, 5353):
        s = socket.socket(family, socket.SOCK_DGRAM)
        if source != "-":
            s.bind((source, 0))
        s.sendto(b"?" * 12, (to, port))
        sent += 1
    for protocol, packet in ((132, bytes(16)), (47, bytes(8)), (50, bytes(16)), (4, bytes(20)), (136, bytes(16))):
        s = socket.socket(family, socket.SOCK_RAW, protocol)
        if source != "-":
            s.bind((source, 0))
        s.sendto(packet, (to, 0))
        sent += 1
    if family == socket.AF_INET:
        s = socket.socket(family, socket.SOCK_RAW, socket.IPPROTO_ICMP)
        s.sendto(b"\x08\x00\xf7\xff" + bytes(4), (to, 0))
        sent += 1
print(sent)
END

# --- without rules: what they have to stop does work --------------------------------------------------------------------------
opened() { # SANDBOX SOURCE ADDRESS...: 0 if each packet came and some got through
    local name=$1 before_came before_out sent
    got_through='' # is read by those who call
    shift
    before_came=$(came) before_out=$(($(stray) + $(net_counter let_out)))
    sent=$(in_space "$name" python3 doors.py "$@") || return 1
    await more came $((before_came + sent - 1)) || { echo "      $(came) came, $before_came before, $sent sent"; return 1; }
    got_through=$(($(stray) + $(net_counter let_out) - before_out))
    [ "$got_through" -gt 0 ] || { echo "      none of $sent got through"; return 1; }
}
more() { [ "$("$1")" -gt "$2" ]; }
shut() {
    opened "$@"
    [ "${got_through:-none came}" = 0 ] || { echo "      $got_through got through"; return 1; }
}

borrow() { # ADDRESS: a puts it on its own interface; deprecated, or a's other connections would come from it
    case $1 in
    *:*) in_space a ip address add "$1/128" dev eth0 nodad preferred_lft 0 ;;
    *) in_space a ip address add "$1/32" dev eth0 ;;
    esac
}
give_back() { case $1 in *:*) in_space a ip address del "$1/128" dev eth0 ;; *) in_space a ip address del "$1/32" dev eth0 ;; esac }

before_rules() {
    for where in 10.200.1.1 fd00:200:1::1; do
        check "a connection to the redirect listener itself is reset ($where)" is "$(in_space a python3 end.py $where 8443)" RST
    done
    for where in 127.0.0.1 ::1; do
        check "also from the host ($where)" is "$(python3 end.py $where 8443)" RST
    done
    for source in '10\.200\.1\.2:' '\[fd00:200:1::2\]:' '127\.0\.0\.1:' '\[::1\]:'; do
        check "and audited ($source)" audited "\"src\":\"${source}[0-9]+\".*\"status\":null,\"action\":\"block\",\"reason\":\"not_redirected\""
    done
    check "without rules everything gets out" opened a - 10.200.1.1 203.0.113.66 fd00:200:1::1 2001:db8::66
    check "and a name server is reached" is "$(in_space a python3 datagram.py 203.0.113.53 53)" refused

    borrow 10.200.1.99
    borrow fd00:200:1::99
    nft -f - <<'END'
table inet bare {
    chain before { type nat hook prerouting priority dstnat; iifname a0 tcp dport 443 redirect to :8443; }
}
END
    cp a.pem a.own && cp c.pem a.pem
    for source in 10.200.1.99 fd00:200:1::99; do
        dial=203.0.113.66
        [[ $source == *:* ]] && dial='[2001:db8::66]'
        check "a bare redirect believes a neighbour's address ($source)" \
            is "$(call a https://api.test/ "$dial" --interface "$source")" 200
    done
    mv a.own a.pem
    nft delete table inet bare
    give_back 10.200.1.99
    give_back fd00:200:1::99
}

# --- with them ------------------------------------------------------------------------------------------------------------------
load() { # SANDBOX LINK DNS IP...
    local name=$1 link=$2 dns=$3 options=() ip
    shift 3
    for ip; do options+=(--ip "$ip"); done
    osbctl rules "$rules" --sandbox-if "$link" --dns "$dns" "${options[@]}" >"$name.rules" || return 1
    if [ "$rules" = nft ]; then nft -f "$name.rules"; else sh "$name.rules"; fi
}
unload() {
    if [ "$rules" = nft ]; then
        nft 'delete table inet osb_a0; delete table inet osb_b0'
    else
        for tool in iptables ip6tables; do
            for table in filter nat; do $tool -w -t $table -F && $tool -w -t $table -X; done
        done
    fi
}

the_way_out() {
    local before code
    before=$(net_counter syn_evil)
    asks "v4, dialled at the attacker's address" a https://api.test/ 203.0.113.66 \
        "203.0.113.10 https api.test key=$real" -H "x-api-key: $token_a"
    asks "v6, dialled at the attacker's address" a https://api.test/ '[2001:db8::66]' \
        "203.0.113.10 https api.test key=$real" -H "x-api-key: $token_a"
    asks "a name that has v6 alone, dialled by v4" a https://six.test/ 203.0.113.66 \
        "2001:db8::10 https six.test key=$real" -H "x-api-key: $token_a"
    asks "at the host's own address" a https://api.test/ 10.200.1.1 "203.0.113.10 https api.test key=-"
    asks "at an address of the host's other side" a https://api.test/ 203.0.113.1 "203.0.113.10 https api.test key=-"
    asks "no server name: the original address, listed (v4)" a https://203.0.113.10/ 203.0.113.10 \
        "203.0.113.10 https 203.0.113.10 key=$token_a" -H "x-api-key: $token_a"
    asks "no server name: the original address, listed (v6)" a 'https://[2001:db8::10]/' '[2001:db8::10]' \
        "2001:db8::10 https [2001:db8::10] key=$token_a" -H "x-api-key: $token_a"
    refused "no server name, an address that is not listed (v4)" 403 host_not_allowed a https://203.0.113.66/ 203.0.113.66
    refused "no server name, an address that is not listed (v6)" 403 host_not_allowed a 'https://[2001:db8::66]/' '[2001:db8::66]'
    refused "no server name, a listed address in the request alone" 403 host_not_allowed a https://203.0.113.66/ 203.0.113.66 \
        -H 'Host: 203.0.113.10'
    refused "no server name, at the proxy's own address" 403 host_not_allowed a https://10.200.1.1/ 10.200.1.1
    refused "a name that is not listed" 403 host_not_allowed a https://evil.test/ 203.0.113.10 -H "x-api-key: $token_a"
    asks "a token at another listed host stays a token" a https://other.test/ 203.0.113.66 \
        "203.0.113.10 https other.test key=$token_a" -H "x-api-key: $token_a"
    asks "a's token is nothing in b" b https://api.test/ 203.0.113.66 "203.0.113.10 https api.test key=$token_a" \
        -H "x-api-key: $token_a"
    asks "b's own is" b https://api.test/ '[2001:db8::66]' "203.0.113.10 https api.test key=$real" -H "x-api-key: $token_b"

    code=$(seen)
    check "octets in clear to 443: no answer of an origin" bash -c '! grep -qa hello' < <(in_space a bash -c \
        'exec 3<>/dev/tcp/203.0.113.10/443; printf "GET / HTTP/1.1\r\nHost: api.test\r\n\r\n" >&3; timeout 5 cat <&3' 2>/dev/null)
    check "TLS to 80 is no way" bash -c '! "$@"' _ nsenter -t "${pid[a]}" -n curl -sk --max-time 5 \
        --connect-to ::203.0.113.10:80 https://api.test/
    check "neither reaches the origin" is "$(seen)" "$code"
    check "the attacker's addresses saw no SYN" is "$(net_counter syn_evil)" "$before"
}

the_side_doors() {
    local where out
    check "nothing else gets out: from a" shut a - 10.200.1.1 203.0.113.66 203.0.113.1 10.200.2.2 fd00:200:1::1 2001:db8::66 fd00:200:2::2
    check "nothing else gets out: from b" shut b - 10.200.2.1 203.0.113.66 10.200.1.2 2001:db8::66 fd00:200:1::1
    check "the listener can't be reached without a redirect" is "$(in_space a python3 end.py 10.200.1.1 8443)" silence
    for where in 10.200.1.1 203.0.113.66 fd00:200:1::1 2001:db8::66; do
        check "UDP 443 is refused aloud ($where)" is "$(in_space a python3 datagram.py $where 443)" refused
    done
    check "port 53 of the one name server, past the host" is "$(in_space a python3 datagram.py 203.0.113.53 53)" refused
    out=$(net_counter names)
    check "also by TCP" is "$(in_space a python3 end.py 203.0.113.53 53)" refused
    check "... which it got" [ "$(net_counter names)" -gt "$out" ]
    check "port 53 of the one name server, on the host" is "$(in_space b python3 datagram.py fd00:200:2::1 53)" refused
    check "also by TCP, on the host" is "$(in_space b python3 end.py fd00:200:2::1 53)" refused
    check "no other port of it" is "$(in_space a python3 datagram.py 203.0.113.53 54)" silence
    check "not for another sandbox" is "$(in_space b python3 datagram.py 203.0.113.53 53)" silence
    check "no other name server" is "$(in_space a python3 datagram.py 203.0.113.66 53)" silence

    for source in 10.200.1.99 10.200.2.2 fd00:200:1::99; do
        borrow "$source"
        if [[ $source == *:* ]]; then where="fd00:200:1::1 2001:db8::66"; else where="10.200.1.1 203.0.113.66"; fi
        check "a neighbour's address on a's interface gets nothing through ($source)" shut a "$source" $where
        # shellcheck disable=SC2086
        for to in $where; do
            [[ $to == *:* ]] && to="[$to]"
            check "... and is not redirected, dialling $to" is \
                "$(call a https://api.test/ "$to" --interface "$source" --connect-timeout 0.5 -k)" 000
        done
        give_back "$source"
    done
}

plain_http() { # with the rules that are loaded
    local to
    for to in 203.0.113.66 '[2001:db8::66]'; do
        asks "http = upgrade, $to" a http://api.test/ "$to" "203.0.113.10 https api.test key=$token_a" -H "x-api-key: $token_a"
        refused "http = upgrade, a name that is not listed, $to" 403 host_not_allowed a http://evil.test/ "$to"
    done
}
turn_http() { # HTTP_MODE CONDITION...: reload, ask until the answer shows it, and until nobody is left who gave the old one
    local before
    before=$(pgrep -P $proxy)
    write_conf "$1"
    shift
    kill -HUP $proxy
    await "$@" && await gone $before
}
gone() { # PID...
    ! kill -0 "$@" 2>/dev/null
}
passes() { call a http://api.test/ 203.0.113.66 && tail -n 1 origin.seen | grep -q ' http '; }
denies() { [ "$(call a http://api.test/ 203.0.113.66)" = 403 ]; }
plain_http_modes() {
    check "http = pass arrives by HUP" turn_http pass passes
    asks "http = pass" a http://api.test/ 203.0.113.66 "203.0.113.10 http api.test key=$token_a" -H "x-api-key: $token_a"
    check "http = deny arrives by HUP" turn_http deny denies
    refused "http = deny" 403 plain_http_denied a http://api.test/ 203.0.113.66 -H "x-api-key: $token_a"
    asks "https is as before" a https://api.test/ 203.0.113.66 "203.0.113.10 https api.test key=$real" -H "x-api-key: $token_a"
}

before_rules
for rules in nft iptables; do
    for time in first second; do # loading again replaces
        check "the rules load, the $time time" load a a0 203.0.113.53 10.200.1.2 fd00:200:1::2
        check "for b too, the $time time" load b b0 fd00:200:2::1 10.200.2.2 fd00:200:2::2
    done
    the_way_out
    the_side_doors
    plain_http
    [ $rules = nft ] || plain_http_modes
    check "the rules can be taken back" unload
done

# --- after all --------------------------------------------------------------------------------------------------------------------
rules=after
check "no value and no whole token in audit or log" \
    bash -c '[ -s audit.jsonl ] && ! grep -nF -e "$0" -e "$1" -e "$2" audit.jsonl proxy.log' "$real" "$token_a" "$token_b"
check "a's and b's requests are audited as theirs" \
    bash -c 'grep -q "\"sandbox\":\"a\",\"src\":\"10.200.1.2:" audit.jsonl && grep -q "\"sandbox\":\"b\",\"src\":\"\[fd00:200:2::2\]:" audit.jsonl'
check "dst is where the client dialled" grep -q '"dst":"203.0.113.66:443","host":"api.test"' audit.jsonl
kill -TERM $proxy
wait $proxy
check "TERM ends the proxy with 0" is $? 0
check "nothing was wrong with memory" bash -c '! grep -E "ERROR: |runtime error: |assert" proxy.log'
finish
