#!/bin/sh
# The program around the workers: arguments, exit codes, signals, reloading, rights, the admin server.
#
#   tests/flow/master.sh BUILD_DIR   needs curl; sees readiness with redis-server, the change of user as root
set -u

proxy=${1:?usage: master.sh BUILD_DIR}/osb-proxy
work=$(mktemp -d)
chmod 755 "$work"
conf=$work/conf
log=$work/log
admin=$work/admin.sock
passed=0
failed=0
master=
redis=

finish()
{
    [ -n "$master" ] && kill -KILL "$master" 2>/dev/null
    [ -n "$redis" ] && kill "$redis" 2>/dev/null
    rm -rf "$work"
}
trap finish EXIT

# check SENTENCE WANT GOT
check()
{
    if [ "$2" = "$3" ]; then
        passed=$((passed + 1))
        echo "ok: $1"
    else
        failed=$((failed + 1))
        echo "FAILED: $1: wanted '$2', got '$3'"
        [ -f "$log" ] && tail -n 5 "$log" | sed 's/^/    /'
    fi
}

# within SECONDS COMMAND...: until it succeeds
within()
{
    tries=$(($1 * 20))
    shift
    while ! "$@" >/dev/null 2>&1; do
        tries=$((tries - 1))
        [ "$tries" -gt 0 ] || return 1
        sleep 0.05
    done
}

yes_no()
{
    if "$@" >/dev/null 2>&1; then echo yes; else echo no; fi
}

code_of()
{
    "$@" >"$work/out" 2>"$work/err"
    echo $?
}

status_of()
{
    curl -s -o "$work/body" -w '%{http_code}' -m 10 --unix-socket "$admin" "$@"
}

is_status()
{
    want=$1
    shift
    [ "$(status_of "$@")" = "$want" ]
}

workers()
{
    tr ' ' '\n' <"/proc/$master/task/$master/children" | sed '/^$/d' | sort -n
}

worker_count_is()
{
    [ "$(workers | wc -l)" = "$1" ]
}

workers_changed()
{
    [ "$(workers)" != "$1" ] && worker_count_is "$2"
}

said()
{
    grep -q -- "$1" "$log"
}

# Nobody of the old generation is left and as many new ones run.
renewed()
{
    for old in $1; do
        [ -d "/proc/$old" ] && return 1
    done
    worker_count_is "$2"
}

listens()
{
    cat /proc/net/tcp /proc/net/tcp6 2>/dev/null | awk -v want="$(printf '%04X' "$1")" \
        '$4 == "0A" { n = split($2, at, ":"); if (at[n] == want) found = 1 } END { exit !found }'
}

sockets_at()
{
    cat /proc/net/tcp /proc/net/tcp6 2>/dev/null | awk -v want="$(printf '%04X' "$1")" \
        '$4 == "0A" { n = split($2, at, ":"); if (at[n] == want) print $10 }' | sort
}

port=$((20000 + $$ % 20000))
while listens $port || listens $((port + 1)) || listens $((port + 2)); do
    port=$((port + 3))
done
http=$((port + 1))
other=$((port + 2))

write_conf()
{
    {
        echo "listen = 127.0.0.1:$port"
        echo "http_listen = 127.0.0.1:${HTTP:-$http}"
        echo "workers = ${WORKERS:-2}"
        echo "key_file = $work/key"
        echo "redis = unix:$work/redis.sock"
        echo "admin = unix:$admin"
        echo "audit_log = off"
        for line in "$@"; do echo "$line"; done
    } >"$conf"
}

start()
{
    : >"$log" # not by the redirection alone, which comes after the fork
    sh -c '[ -z "$0" ] || ulimit -n "$0"; exec "$@"' "${NOFILE:-}" "$proxy" -c "$conf" >"$log" 2>&1 &
    master=$!
    within 10 said ': running'
}

stop()
{
    kill "-${1:-TERM}" "$master"
    wait "$master"
    ended=$?
    master=
}

head -c 32 /dev/urandom >"$work/key"
chmod 600 "$work/key"
write_conf

# --- arguments --------------------------------------------------------------------------------
check "no configuration is a usage error" 2 "$(code_of "$proxy")"
check "an unknown option is a usage error" 2 "$(code_of "$proxy" -c "$conf" --nonsense)"
check "a stray argument is a usage error" 2 "$(code_of "$proxy" -c "$conf" stray)"
check "--help exits 0" 0 "$(code_of "$proxy" --help)"
check "--version exits 0" 0 "$(code_of "$proxy" --version)"
check "--version says the name" yes "$(yes_no grep -q '^osb-proxy [0-9]' "$work/out")"
check "--check of a good file exits 0" 0 "$(code_of "$proxy" -c "$conf" --check)"
check "--check says ok" "$conf: ok" "$(cat "$work/out")"
write_conf 'nonsense = 1'
check "--check of a bad file exits 4" 4 "$(code_of "$proxy" --check -c "$conf")"
check "--check says the line" yes "$(yes_no grep -q "^$conf:8: nonsense" "$work/err")"
check "a bad file does not start" 4 "$(code_of "$proxy" -c "$conf")"
write_conf
check "a bad --set is refused" 4 "$(code_of "$proxy" -c "$conf" --check --set nonsense=1)"
check "--check of no file exits 4" 4 "$(code_of "$proxy" --check -c "$work/none")"
check "no file does not start" 1 "$(code_of "$proxy" -c "$work/none")"

# --- serving --------------------------------------------------------------------------------
start
check "it runs" yes "$(yes_no kill -0 "$master")"
check "there are two workers" 2 "$(workers | wc -l)"
check "each worker has a socket of its own at an address" 2 "$(sockets_at $port | wc -l)"
check "healthz answers" 200 "$(status_of http://x/healthz)"
check "metrics answer" 200 "$(status_of http://x/metrics)"
check "metrics have the version" yes "$(yes_no grep -q '^osb_build_info{version=' "$work/body")"
check "another page is 404" 404 "$(status_of http://x/other)"
check "a page with a query is 404" 404 "$(status_of 'http://x/metrics?x')"
check "another method is 405" 405 "$(status_of -X POST http://x/metrics)"
check "a method outside the grammar is 400" 400 "$(status_of -X 'g' http://x/metrics)"
long=$(head -c 5000 /dev/zero | tr '\0' x)
check "a head of over 4 KiB is 400" 400 "$(status_of -H "X-Long: $long" http://x/healthz)"
check "the admin socket is not for others" 660 "$(stat -c %a "$admin")"
check "not ready without Redis" 503 "$(status_of http://x/readyz)"
check "and says why" yes "$(yes_no grep -q Redis "$work/body")"
for pid in $master $(workers); do
    check "no core file of $pid" "0 0" "$(awk '/^Max core/ { print $5, $6 }' "/proc/$pid/limits")"
done
for pid in $(workers); do
    check "worker $pid gains no rights" 1 "$(awk '/^NoNewPrivs/ { print $2 }' "/proc/$pid/status")"
done
files=$(awk '/^Max open files/ { print $4 == $5 }' "/proc/$master/limits")
check "the limit of open files is raised" 1 "$files"

# --- a second one --------------------------------------------------------------------------------
check "a second proxy at the address does not start" 1 "$(code_of "$proxy" -c "$conf")"
check "and says the address" yes "$(yes_no grep -q "127.0.0.1:$port.*EADDRINUSE" "$work/err")"
sed "s/:$port/:$other/; /^http_listen/d; \$ahttp_listen = 127.0.0.1:$((other + 1))" "$conf" >"$work/conf2"
check "a second proxy at the admin socket does not start" 1 "$(code_of "$proxy" -c "$work/conf2")"
check "and says that it is in use" yes "$(yes_no grep -q 'in use' "$work/err")"
check "the first still answers" 200 "$(status_of http://x/healthz)"

# --- a worker dies --------------------------------------------------------------------------------
before=$(workers)
sockets=$(sockets_at $port)
kill -KILL "$(echo "$before" | head -n 1)"
within 5 workers_changed "$before" 2
check "a killed worker is replaced" yes "$(yes_no worker_count_is 2)"
check "its end is said" yes "$(yes_no said 'a worker was killed.*signal=9')"
check "its listener is the same socket" "$sockets" "$(sockets_at $port)"

# --- reload --------------------------------------------------------------------------------
before=$(workers)
write_conf 'nonsense = 1'
kill -HUP "$master"
within 5 said 'the reload failed'
check "a bad file changes nothing" "$before" "$(workers)"
check "the mistake is said" yes "$(yes_no said 'conf:8: nonsense')"
write_conf
mv "$work/key" "$work/key.away"
kill -HUP "$master"
sleep 0.5
check "a missing key file changes nothing" "$before" "$(workers)"
mv "$work/key.away" "$work/key"
HTTP=$other WORKERS=3 write_conf
kill -HUP "$master"
within 15 renewed "$before" 3
check "a reload renews the workers" yes "$(yes_no renewed "$before" 3)"
kept=$(sockets_at $port | grep -cxF "$sockets")
check "a kept address keeps its sockets" 2 "$kept"
check "a new worker has one more" 3 "$(sockets_at $port | wc -l)"
check "a new address is listened on" yes "$(yes_no listens $other)"
check "a removed address is not" no "$(yes_no listens $http)"
before=$(workers)
WORKERS=1 write_conf
kill -HUP "$master"
within 15 renewed "$before" 1
check "fewer workers keep all queues" 3 "$(sockets_at $port | wc -l)"
check "the way back works" "yes no" "$(yes_no listens $http) $(yes_no listens $other)"
kill -USR2 "$master"
within 5 said 'not built yet'
check "USR2 is refused with a sentence" yes "$(yes_no said 'not built yet')"

# --- the end --------------------------------------------------------------------------------
stop
check "TERM ends it with 0" 0 $ended
check "nothing listens any more" "no no" "$(yes_no listens $port) $(yes_no listens $http)"
check "the admin socket's name is gone" no "$(yes_no test -e "$admin")"
write_conf
start
kids=$(workers)
kill -KILL "$master"
wait "$master" 2>/dev/null
master=
gone()
{
    for pid in $kids; do [ -d "/proc/$pid" ] && ! grep -q '^State:.Z' "/proc/$pid/status" && return 1; done
    return 0
}
within 5 gone
check "workers do not outlive a killed master" yes "$(yes_no gone)"
start
check "a stale admin socket is no hindrance" 200 "$(status_of http://x/healthz)"
stop INT
check "INT ends it with 0" 0 $ended
echo precious >"$admin"
check "an admin name that is no socket is refused" 1 "$(code_of "$proxy" -c "$conf")"
check "and left alone" precious "$(cat "$admin")"
rm -f "$admin" "$work/key"
check "workers that can't start are an error" yes "$(yes_no test "$(code_of "$proxy" -c "$conf")" -ne 0)"
head -c 32 /dev/urandom >"$work/key"
chmod 600 "$work/key"
write_conf 'max_connections = 501'
NOFILE=1000 start
lowered=$(yes_no said 'warning: max_connections is lowered.*used=500')
check "too high a max_connections is lowered with a warning" yes "$lowered"
stop
check "it ends" 0 $ended
write_conf
"$proxy" -c "$conf" <&- >&- 2>&- &
master=$!
within 10 is_status 200 http://x/healthz
check "closed standard descriptors are no hindrance" 200 "$(status_of http://x/healthz)"
stderr=$(readlink "/proc/$master/fd/2")
check "no socket takes their place" /dev/null "$stderr"
stop
write_conf 'user = no-such-user-here'
check "an unknown user is refused" 1 "$(code_of "$proxy" -c "$conf")"

if [ "$(id -u)" = 0 ]; then
    write_conf 'user = nobody'
    start
    want="$(id -u nobody)"
    for pid in $(workers); do
        uids=$(awk '/^Uid/ { print $2, $3, $4, $5 }' "/proc/$pid/status")
        caps=$(awk '/^CapPrm/ { print $2 }' "/proc/$pid/status")
        check "worker $pid is nobody, all ways" "$want $want $want $want" "$uids"
        check "worker $pid has no capability" 0000000000000000 "$caps"
        check "worker $pid is not dumpable" 0 "$(stat -c %u "/proc/$pid/maps")"
    done
    kids=$(workers)
    kill -KILL "$master"
    wait "$master" 2>/dev/null
    master=
    within 5 gone
    check "nor do workers of another user outlive it" yes "$(yes_no gone)"
fi

# --- readiness --------------------------------------------------------------------------------
if command -v redis-server >/dev/null; then
    redis-server --port 0 --unixsocket "$work/redis.sock" --save '' --dir "$work" >/dev/null &
    redis=$!
    within 5 test -S "$work/redis.sock"
    write_conf
    start
    within 5 is_status 200 http://x/readyz
    check "ready with Redis" 200 "$(status_of http://x/readyz)"
    n=0
    while [ $n -lt 20 ]; do
        kill -HUP "$master"
        [ "$(status_of http://x/readyz)" = 200 ] || break
        n=$((n + 1))
    done
    check "ready through twenty reloads" 20 $n
    within 15 worker_count_is 2
    check "two workers remain" 2 "$(workers | wc -l)"
    stop
    check "TERM ends it with 0 after them" 0 $ended
fi

echo "$passed passed, $failed failed"
[ $failed -eq 0 ]
