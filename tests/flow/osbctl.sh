#!/usr/bin/env bash
# osbctl from outside, against a Redis of its own: osbctl.sh BUILD_DIR
# Prints a line a check and 'N passed, N failed' last; exits 0 when all hold. The rules are loaded for real where a
# network namespace can be had, else those checks are left out, aloud.
set -u
bin=$(cd "${1:?build directory}" && pwd)/osbctl
w=$(mktemp -d)
passed=0 failed=0
trap 'kill $redis_pid 2>/dev/null; wait 2>/dev/null; rm -rf "$w"' EXIT
cd "$w" || exit 1

redis-server --port 0 --unixsocket "$w/redis.sock" --save '' --daemonize no --logfile redis.log &
redis_pid=$!
for _ in $(seq 200); do redis-cli -s redis.sock ping >/dev/null 2>&1 && break; sleep 0.05; done
# All of it with the rights that osbctl asks for, and no more: they are given to the user that needs no password.
rights=$("$bin" redis-acl 2>/dev/null | sed -n 's/^ACL SETUSER osbctl //p')
redis-cli -s redis.sock ACL SETUSER test on '>test' '~*' '&*' +@all >/dev/null
# shellcheck disable=SC2086 # words
redis-cli -s redis.sock ACL SETUSER default ${rights:?} nopass >/dev/null
export OSB_REDIS_URL="unix:$w/redis.sock" OSB_KEY_FILE="$w/key"
unset OSB_ZONE

r() { redis-cli -s "$w/redis.sock" --user test --pass test --no-auth-warning "$@"; }
ctl() { "$bin" "$@" >out 2>err; }
report() { # name, 0 when it holds
    if [ "$2" = 0 ]; then passed=$((passed + 1)); echo "ok    $1"; else
        failed=$((failed + 1)); echo "FAIL  $1"; sed 's/^/      out: /' out; sed 's/^/      err: /' err
    fi
}
gives() { # name, exit code, osbctl's arguments
    local name=$1 want=$2 got; shift 2
    ctl "$@"; got=$?
    [ "$got" = "$want" ] || echo "      exit $got, not $want: osbctl $*"
    [ "$want" = 0 ] || [ "$(grep -c . err)" = 1 ] && [ -z "$(grep -v '^osbctl: ' err)" ] && [ "$got" = "$want" ]
    report "$name" $?
}
holds() { # name, condition
    local name=$1; shift
    "$@"; report "$name" $?
}
says() { grep -q -e "$1" out; }
advises() { grep -q -e "$1" err; }
query() { jq -e "$@" out >/dev/null; }
version() { r hget "osb:sandbox:{$1}" policy | jq .version; }
uuid() { "$bin" store get "$1" --json | jq -r .id; }

# --- usage comes first
gives "no verb" 2
gives "a verb that is not there" 2 store make x
gives "an option that is not there" 2 store list --nonsense
gives "an option of another verb" 2 store list --ip 1.2.3.4
gives "an option twice" 2 secret get a b --zone x --zone y
gives "a value missing" 2 store list --zone
gives "an argument too many" 2 store get a b
gives "help" 0 --help
gives "version, behind a verb" 0 store list --version
holds "... is a version" says '^osbctl [0-9]'

# --- the key file
gives "key init" 0 key init key
holds "the key file is private and 32 octets" [ "$(stat -c '%a %s' key)" = "600 32" ]
gives "key init never overwrites" 4 key init key
OSB_KEY_FILE= gives "no key file" 2 store list
cp key wide; chmod 644 wide
gives "a key file others can read" 1 store list --key-file wide
gives "Redis away" 1 store list --redis "unix:$w/none"
holds "... is said in one line" advises "can't be reached"
gives "an address of Redis that is none" 2 store list --redis http://x

# --- stores
gives "hosts that are refused" 4 store create bad --egress-allow '*.com'
for host in '*.co.uk' '*.test' https://a.test a.test:443 a.test/x 'a.*.test' ''; do
    gives "egress $host is refused" 4 store create bad --egress-allow "$host"
done
gives "any and a list exclude each other" 2 store create bad --egress-any --egress-allow a.test
gives "a name that is none" 4 store create '../x'
gives "a name like an id" 4 store create 01234567-89ab-4def-8123-456789abcdef
gives "store create" 0 store create agent --egress-allow API.test. --egress-allow '*.bücher.test'
holds "... prints the id alone" says '^[0-9a-f-]\{36\}$'
gives "a name in use" 4 store create agent
gives "store create without a list" 0 store create open
holds "... says that it means any" advises "any host"
gives "store create --egress-any" 0 store create quiet --egress-any
holds "... says nothing" [ ! -s err ]
gives "a private suffix" 0 store create wide --egress-allow '*.github.io'
holds "... is warned of" advises "github.io"
gives "store get" 0 store get agent --json
holds "... gives canonical hosts and the SDK's keys" query '.name == "agent" and .egressAllowlist ==
    ["api.test", "*.xn--bcher-kva.test"] and (.createdAt | endswith("Z")) and .updatedAt == .createdAt and .id'
gives "store get by id" 0 store get "$(uuid agent)"
gives "store get of none" 3 store get none
gives "store get of an id that is none" 3 store get 01234567-89ab-4def-8123-456789abcdef
gives "store list" 0 store list
holds "... is sorted, with TABs, the name first" [ "$(cut -f1 out | paste -sd' ')" = "agent open quiet wide" ]
gives "store list as JSON" 0 --json store list
holds "... is an array" query 'map(.name) == ["agent", "open", "quiet", "wide"]'
gives "store update of nothing" 2 store update wide
gives "store update --name to one in use" 4 store update wide --name agent
gives "store update --name, refused for another reason" 4 store update wide --name free --scrub maybe
gives "store update --name of none" 3 store update 01234567-89ab-4def-8123-456789abcdef --name free
holds "... leave the name free" [ -z "$(r hget osb:stores free)" ]
gives "store update --name" 0 store update wide --name wider
gives "... the old name is gone" 3 store get wide
gives "... the new one leads there" 0 store get wider
gives "scrub can be turned off" 0 store update wider --scrub off --json
holds "... and is" query '.scrub == false'
r hset osb:stores forged "$(uuid agent)" >/dev/null
gives "a name that Redis invented" 1 store get forged
r hdel osb:stores forged >/dev/null

# --- secrets
printf 'sk-real-value-of-the-key\n' >v1
printf short >v2
: >empty
printf '\n' >lf
printf 'two\nlines\n' >two
head -c 65536 /dev/zero | tr '\0' x >max
{ cat max; echo; } >maxlf
{ cat max; printf x; } >over
{ cat max; printf '\n\n'; } >over2
gives "no value" 2 secret set agent KEY
gives "a value that is not there" 1 secret set agent KEY --value-file none
for f in empty lf over over2; do gives "a value that is $f" 4 secret set agent KEY --value-file $f; done
for name in 1x a-b '' PATH LD_PRELOAD NODE_OPTIONS SSL_CERT_FILE NODE_EXTRA_CA_CERTS CURL_CA_BUNDLE; do
    gives "the name '$name'" 4 secret set agent "$name" --value-file v1
done
gives "a place that is none" 4 secret set agent KEY --value-file v1 --in footer
gives "a host that is none" 4 secret set agent KEY --value-file v1 --allow-host 'http://x'
gives "hosts and any host" 2 secret set agent KEY --value-file v1 --allow-host a.test --any-host
gives "a store that is none" 3 secret set none KEY --value-file v1
gives "secret set" 0 secret set agent KEY --value-file v1 --allow-host api.test
holds "... prints the id alone" says '^[0-9a-f-]\{36\}$'
holds "... advises on places" advises "in field"
gives "secret set again" 0 secret set agent KEY --value-file v1
holds "... advises nothing" [ ! -s err ]
gives "hosts and places stay" 0 secret get agent KEY --json
holds "... as they were, with the SDK's keys" query '.allowedHosts == ["api.test"] and .places ==
    ["header", "basic", "body"] and .name == "KEY" and .storeId and .id and .createdAt and .updatedAt'
gives "a short value" 0 secret set agent SHORT --value-file - --in url --in field <v2
holds "... is warned of" advises "16 octets"
gives "a value of two lines" 0 secret set agent LINES --value-file two
holds "... is warned of" advises "line break"
for f in max maxlf; do gives "the longest value ($f)" 0 secret set agent BIG --value-file $f; done
holds "the last LF was dropped" [ "$(r hstrlen "osb:store:{$(uuid agent)}" value:BIG)" = $((65536 + 48)) ]
gives "a value from another descriptor" 0 secret set open OTHER --value-file <(printf another-value-that-is-long)
gives "secret list" 0 secret list agent
holds "... names, no values" [ "$(cut -f1 out | paste -sd' ')" = "BIG KEY LINES SHORT" ]
gives "secret get of none" 3 secret get agent NONE
gives "secret delete of none" 3 secret delete agent NONE
gives "secret delete" 0 secret delete agent BIG
clear_in_redis() { for k in $(r --scan); do r dump "$k"; r hgetall "$k"; r zrange "$k" 0 -1; r get "$k"; done 2>/dev/null; }
holds "Redis holds no value in the clear" bash -c '! grep -qaE "real-value|another-value"' < <(clear_in_redis)

# --- sandboxes
gives "no address" 2 sandbox create s1
gives "an address that is none" 4 sandbox create s1 --ip 1.2.3
gives "an id that is none" 4 sandbox create ../s1 --ip 10.0.0.1
gives "a ttl that is none" 4 sandbox create s1 --ip 10.0.0.1 --ttl 0
gives "a store that is none, and no sandbox" 3 sandbox create s1 --ip 10.0.0.1 --store none
gives "a path for the sandbox that would break the line" 4 sandbox create s1 --ip 10.0.0.1 --ca-path $'/a\nX=1'
gives "a file that can't be written, and no sandbox" 1 sandbox create s1 --ip 10.0.0.1 --env-file none/env
gives "... there is none" 3 sandbox get s1
for set in osb:sandboxes "osb:store:{$(uuid agent)}:sandboxes"; do r zadd "$set" 1000 ended >/dev/null; done
gives "sandbox create" 0 sandbox create s1 --ip 10.0.0.1 --ip ::ffff:10.0.0.1 --ip FD00::1 --store agent --store open \
    --env-file env --ca-file ca.pem --bundle-file bundle.pem --ca-path /etc/osb/ca.pem --bundle-path /etc/osb/all.pem
holds "... prints the id alone" [ "$(cat out)" = s1 ]
holds "... takes out the names of those that have ended" [ "$(r zrange osb:sandboxes 0 -1
    r zrange "osb:store:{$(uuid agent)}:sandboxes" 0 -1)" = $'s1\ns1' ]
holds "the env file is private" [ "$(stat -c %a env)" = 600 ]
holds "... holds a token" grep -qxE 'KEY=osb_sealed_[0-9a-f]{32}' env
holds "... a token each" [ "$(grep -c =osb_sealed_ env)" = "$(sort -u -t= -k2 env | grep -c =osb_sealed_)" ]
holds "... the CA for those that add" grep -qx NODE_EXTRA_CA_CERTS=/etc/osb/ca.pem env
holds "... the bundle for those that replace" grep -qx SSL_CERT_FILE=/etc/osb/all.pem env
holds "the CA is one" bash -c 'openssl x509 -in ca.pem -noout -text | grep -q CA:TRUE'
holds "the bundle is the system's roots and the CA" [ "$(grep -c BEGIN bundle.pem)" = \
    $(($(grep -c BEGIN /etc/ssl/certs/ca-certificates.crt) + 1)) ]
holds "no other file is left" [ -z "$(ls | grep -E '\.[A-Za-z0-9]{6}$')" ]
holds "the index leads there" [ "$(r get 'osb:ip:default:{10.0.0.1}') $(r get 'osb:ip:default:{fd00::1}')" = "s1 s1" ]
gives "the id again" 4 sandbox create s1 --ip 10.0.0.9
gives "the address again" 4 sandbox create s2 --ip 10.0.0.1
holds "... names the owner" advises "sandbox s1"
gives "... left no sandbox" 3 sandbox get s2
gives "the address in another zone" 0 sandbox create s2 --ip 10.0.0.1 --zone other --store agent --ttl 3600
holds "an end is an end for Redis too" [ "$(r ttl 'osb:sandbox:{s2}')" -gt 3600 ]
gives "sandbox get" 0 sandbox get s1 --json
holds "... has the SDK's keys" query '.id == "s1" and .addresses == ["10.0.0.1", "fd00::1"] and .stores ==
    ["agent", "open"] and (.secrets | length) == 4 and .secrets[0].token and .createdAt and .expiresAt == null'
gives "sandbox list" 0 sandbox list
holds "... the id first" [ "$(cut -f1 out | paste -sd' ')" = "s1 s2" ]
gives "sandbox env" 0 sandbox env s1
holds "... the lines again" cmp -s out <(grep =osb_sealed_ env)
gives "sandbox ca" 0 sandbox ca s1
holds "... the certificate again" cmp -s out ca.pem
gives "sandbox get of none" 3 sandbox get none
gives "check" 0 check --sandbox s1 --host api.test --secret KEY --in header
gives "check another place" 4 check --sandbox s1 --host api.test --secret KEY --in url
gives "check another host of the secret" 4 check --sandbox s1 --host x.xn--bcher-kva.test --secret KEY
gives "check another host" 4 check --sandbox s1 --host evil.test
gives "check a secret that is none" 3 check --sandbox s1 --host api.test --secret NONE
gives "check a sandbox that is none" 3 check --sandbox none --host api.test
r hset 'osb:sandbox:{s2}' policy "$(r hget 'osb:sandbox:{s1}' policy)" >/dev/null
gives "a record that was tampered with" 1 sandbox get s2
gives "... does not hide the others" 1 sandbox list
holds "... which are listed" says '^s1'
gives "... can be deleted all the same" 0 sandbox delete s2
gives "... and its address taken over" 0 sandbox create s3 --ip 10.0.0.1 --zone other --store agent --ttl 3600

# --- changes reach running sandboxes
r subscribe osb:changes >heard & hearer=$!
for _ in $(seq 100); do grep -q subscribe heard && break; sleep 0.02; done
before=$(version s1); box=$(r hget 'osb:sandbox:{s1}' value:KEY | md5sum)
gives "a rotation" 0 secret set agent KEY --value-file max --in header
holds "... reaches the record" [ "$(r hstrlen 'osb:sandbox:{s1}' value:KEY)" = $((65536 + 48)) ]
holds "... which is newer" [ "$(version s1)" -gt "$before" ]
holds "... is told" bash -c 'for _ in $(seq 100); do grep -qx "sandbox s1" heard && grep -qx "sandbox s3" heard && exit 0; sleep 0.02; done; exit 1'
gives "... and opens" 0 check --sandbox s1 --host api.test --secret KEY --in header
gives "... narrower" 4 check --sandbox s1 --host api.test --secret KEY --in body
gives "... with its token" 0 sandbox env s1
holds "... unchanged" cmp -s out <(grep =osb_sealed_ env)
gives "a new name" 0 secret set agent LATER --value-file v1
gives "... joins at the next create only" 3 check --sandbox s1 --host api.test --secret LATER
gives "a later store's secret of the same name" 0 secret set open KEY --value-file v1
gives "... leaves the winner" 4 check --sandbox s1 --host any.test --secret KEY
gives "a wider list" 0 store update agent --egress-allow api.test --egress-allow new.test
gives "... is in force" 0 check --sandbox s1 --host new.test
gives "a new name of the store" 0 store update agent --name agents
gives "... is in the record" 0 sandbox get s1 --json
holds "... indeed" query '.stores == ["agents", "open"]'
gives "secret delete" 0 secret delete agents LINES
gives "... reaches the record" 3 check --sandbox s1 --host api.test --secret LINES
holds "... where nothing of it is left" [ "$(r hexists 'osb:sandbox:{s1}' value:LINES)" = 0 ]
gives "a store deleted" 0 store delete open
gives "... leaves the record as it is" 0 check --sandbox s1 --host api.test --secret OTHER
id=$(uuid agents)
gives "a store revoked" 0 store delete agents --revoke
gives "... takes its secrets along" 3 check --sandbox s1 --host api.test --secret KEY
gives "... and from the other sandbox" 0 sandbox env s3
holds "... all of them" [ ! -s out ]
gives "... which may reach nothing now" 4 check --sandbox s3 --host api.test
gives "... and is gone" 3 store delete "$id"
kill $hearer 2>/dev/null; wait $hearer 2>/dev/null

# --- ends
gives "extend" 0 sandbox extend s3 --ttl 7200 --json
holds "... moves the end" query '.expiresAt > .createdAt'
gives "extend past the CA's end" 4 sandbox extend s3 --ttl 315360000
gives "extend by nothing" 2 sandbox extend s3
gives "extend none" 3 sandbox extend none --ttl 1
gives "sandbox delete" 0 sandbox delete s1
gives "... twice" 3 sandbox delete s1
holds "nothing of it is left" [ -z "$(r keys '*s1*')$(r keys 'osb:ip:default:*')$(r zrange osb:sandboxes 0 -1 | grep -x s1)" ]

# --- a command that died half way
gives "a store for it" 0 store create half --egress-any
gives "a secret for it" 0 secret set half KEY --value-file v1
gives "a sandbox for it" 0 sandbox create h1 --ip 10.1.0.1 --store half
r del 'osb:sandbox:{h1}' >/dev/null
gives "delete, run again" 0 sandbox delete h1
gives "the address of one half deleted" 0 sandbox create h2 --ip 10.1.0.1 --store half
id=$(uuid half)
r del "osb:store:{$id}" >/dev/null
gives "revoke, run again" 0 store delete half --revoke
gives "... reaches the record" 0 sandbox env h2
holds "... indeed" [ ! -s out ]
gives "the name is free" 0 store create half --egress-any

# --- several at once lose nothing
for i in $(seq 8); do "$bin" secret set half "PART_$i" --value-file v1 >/dev/null 2>&1 & parts[i]=$!; done
wait "${parts[@]}"
gives "eight commands at once" 0 secret list half
holds "... all arrived" [ "$(grep -c ^PART_ out)" = 8 ]
for i in $(seq 6); do "$bin" sandbox create "race$i" --ip 10.2.0.1 --store half >"race$i" 2>/dev/null & parts[i]=$!; done
wait "${parts[@]}"
holds "one address goes to one of six" [ "$(cat race? | grep -c race)" = 1 ]
holds "... the one that the index names" [ "$(cat race?)" = "$(r get 'osb:ip:default:{10.2.0.1}')" ]

# --- a command that dies after any of its N commands to Redis is completed by running it again
cat >cut.py <<'P'
import os, socket, sys, threading
real, mine = sys.argv[1:]
server = socket.socket(socket.AF_UNIX); server.bind(mine); server.listen(8)
while True:  # the file "limit" says after how many commands the link of the next client is cut
    client = server.accept()[0]; limit = int(open("limit").read())
    redis = socket.socket(socket.AF_UNIX); redis.connect(real)
    count = 0
    while count < limit:
        ask = client.recv(1 << 20)
        if not ask: break
        count += 1; redis.sendall(ask); client.sendall(redis.recv(1 << 20))
    client.close(); redis.close()
P
python3 cut.py redis.sock cut.sock & cutter=$!
for _ in $(seq 100); do [ -S cut.sock ] && break; sleep 0.05; done
survives() { # name, what must hold at the end, osbctl's arguments
    local name=$1 check=$2 limit; shift 2
    for limit in $(seq 1 60); do
        echo "$limit" >limit
        "$bin" --redis "unix:$w/cut.sock" "$@" >out 2>err && break
        ctl "$@"; local got=$?
        { [ $got = 0 ] || [ $got = 3 ] || { [ $got = 4 ] && grep -q already err; }; } && bash -c "$check" ||
            { echo "      cut after $limit, exit $got"; report "$name" 1; return; }
        bash -c "$undo" >/dev/null
    done
    [ "$limit" -gt 5 ]; report "$name (cut at each of $limit)" $?
}
export bin w; export -f r
gives "a store to die with" 0 store create dying --egress-any
gives "a secret" 0 secret set dying KEY --value-file v1
gives "a sandbox to die with" 0 sandbox create d0 --ip 10.4.0.9 --store dying
undo='$bin sandbox delete d1' survives "sandbox create" '[ "$($bin sandbox env d1)" = "$(cat env.d1)" ] && [ "$(r get "osb:ip:default:{10.4.0.1}")" = d1 ] &&
    $bin sandbox list | grep -q ^d1 && $bin check --sandbox d1 --host a.test --secret KEY >/dev/null' \
    sandbox create d1 --ip 10.4.0.1 --store dying --env-file env.d1
ctl sandbox create d1 --ip 10.4.0.1 --store dying
undo='$bin sandbox create d1 --ip 10.4.0.1 --store dying' survives "sandbox delete" '! $bin sandbox get d1 2>/dev/null &&
    ! $bin sandbox list | grep -q ^d1' sandbox delete d1
undo=: survives "secret set" '[ "$(r hget "osb:sandbox:{d0}" policy | jq .secrets[0].version)" = \
    "$(r hget "osb:store:{$($bin store get dying --json | jq -r .id)}" policy | jq .secrets[0].version)" ]' \
    secret set dying KEY --value-file v1
undo='$bin secret set dying KEY --value-file v1; $bin sandbox delete d0; $bin sandbox create d0 --ip 10.4.0.9 --store dying' \
    survives "secret delete" '[ -z "$($bin sandbox env d0)" ]' secret delete dying KEY
undo='$bin store update dies --name dying' survives "store update" '$bin store get dies >/dev/null' store update dying --name dies
undo='$bin store delete born' survives "store create" '$bin store get born >/dev/null' store create born --egress-any
kill $cutter; wait $cutter 2>/dev/null

# --- settings
printf '# of the proxy\nlisten = [::]:8443\nredis = unix:%s\nkey_file = %s\nzone = filed\n' "$w/redis.sock" "$w/key" >conf
OSB_REDIS_URL= OSB_KEY_FILE= gives "settings from the proxy's file" 0 -c conf sandbox create f1 --ip 10.0.0.77
holds "... the zone too" [ "$(r get 'osb:ip:filed:{10.0.0.77}')" = f1 ]
OSB_ZONE=env gives "the environment beats the file" 0 sandbox create f2 --ip 10.0.0.77 -c conf
OSB_ZONE=env gives "an option beats both" 4 sandbox create f3 --ip 10.0.0.77 -c conf --zone=filed

# --- a record of large values, up to 7 MiB
ctl store create large --egress-any
for n in $(seq 20); do ctl secret set large "V$n" --value-file max; done
gives "a sandbox of large values" 0 sandbox create large --ip 10.0.7.1 --store large
gives "... is checked" 0 check --sandbox large --host a.test --secret V20

# --- rules
gives "rules without an interface" 2 rules nft --ip 10.0.0.1
gives "an interface that is none" 4 rules nft --sandbox-if 'a;b' --ip 10.0.0.1
gives "a port that is none" 4 rules nft --sandbox-if veth0 --ip 10.0.0.1 --port 65536
in_namespace() { # commands: as root of a network namespace of their own
    XTABLES_LOCKFILE="$w/lock" unshare -Urn bash -c 'set -e; ip link set lo up
        saved() { { iptables-save; ip6tables-save; } | grep -v "^[#:]"; }; '"$1" >out 2>err
}
rules=(--sandbox-if veth-a.1 --ip 10.0.0.1 --ip 10.0.0.2 --ip fd00::1 --port 9443 --http-port 9080)
for dns in "" "--dns 10.0.0.53" "--dns fd00::53"; do
    gives "rules nft $dns" 0 rules nft "${rules[@]}" $dns; cp out nft.rules
    gives "rules iptables $dns" 0 rules iptables "${rules[@]}" $dns; cp out ipt.sh
    if ! unshare -Urn true 2>/dev/null; then echo "left out: no network namespace"; continue; fi
    holds "nft takes them, twice" in_namespace 'nft -c -f nft.rules && nft -f nft.rules && nft -f nft.rules &&
        [ "$(nft list ruleset | grep -c "hook")" = 3 ]'
    holds "iptables takes them, twice" in_namespace 'sh ipt.sh && saved >a && sh ipt.sh && saved >b &&
        cmp a b && grep -q REDIRECT a'
done

# From a sandbox's namespace: what gets through, and what does not, under each of the two rule sets.
cat >packets.sh <<'P'
rules=$1
sysctl -qw net.ipv4.ip_forward=1 2>/dev/null || true
unshare -n sleep 60 & sandbox=$!
trap 'kill $sandbox $servers 2>/dev/null' EXIT
until [ "$(readlink /proc/$sandbox/ns/net)" != "$(readlink /proc/self/ns/net)" ]; do sleep 0.02; done
inside() { nsenter -t $sandbox -n "$@"; }
ip link add veth0 type veth peer name eth0 netns $sandbox
ip addr add 10.9.0.1/24 dev veth0; ip -6 addr add fd09::1/64 dev veth0 nodad; ip link set veth0 up
inside ip addr add 10.9.0.2/24 dev eth0; inside ip addr add 10.9.0.3/24 dev eth0
inside ip -6 addr add fd09::2/64 dev eth0 nodad; inside ip link set eth0 up
inside ip route add default via 10.9.0.1; inside ip -6 route add default via fd09::1
python3 -c '
import socket, threading
for port in (8443, 8080, 22, 53):
    s = socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True)
    def serve(s=s, port=port):
        while True:
            c = s.accept()[0]; c.sendall(str(port).encode()); c.close()
    threading.Thread(target=serve).start()
open("listening", "w").close()' & servers=$!
until [ -e listening ]; do sleep 0.02; done
try() { # source, address, port: what answers, or why nothing does
    inside python3 -c '
import socket, sys
source, address, port, kind = sys.argv[1:]
s = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, getattr(socket, "SOCK_" + kind))
s.settimeout(0.5)
try:
    s.bind((source, 0)); s.connect((address, int(port)))
    if kind == "DGRAM": s.send(b"x")
    print(s.recv(9).decode())
except ConnectionRefusedError: print("refused")
except OSError: print("nothing")' "$1" "$2" "$3" "${4:-STREAM}"
}
$rules
while read -r want arguments; do
    got=$(try $arguments)
    [ "$got" = "$want" ] || { echo "$arguments: $got, not $want"; exit 1; }
done <<'T'
8443 10.9.0.2 192.0.2.1 443
8080 10.9.0.2 192.0.2.1 80
8443 10.9.0.2 10.9.0.1 443
8443 fd09::2 2001:db8::1 443
53 10.9.0.2 10.9.0.1 53
nothing fd09::2 fd09::1 53
nothing 10.9.0.3 192.0.2.1 443
nothing 10.9.0.2 10.9.0.1 8443
nothing 10.9.0.2 10.9.0.1 22
nothing fd09::2 fd09::1 22
nothing 10.9.0.2 192.0.2.1 53
refused 10.9.0.2 10.9.0.1 443 DGRAM
refused fd09::2 fd09::1 443 DGRAM
T
P
rules=(--sandbox-if veth0 --ip 10.9.0.2 --ip fd09::2 --dns 10.9.0.1)
if unshare -Urn true 2>/dev/null; then
    gives "rules nft for packets" 0 rules nft "${rules[@]}"; cp out nft.rules
    gives "rules iptables for packets" 0 rules iptables "${rules[@]}"; cp out ipt.sh
    for set in "nft -f nft.rules" "sh ipt.sh"; do
        rm -f listening
        holds "$set leads, and drops, packets" in_namespace "set -- '$set'; . ./packets.sh"
    done
fi

echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
