# Sourced by compare.sh: W6, what growth costs osb-proxy, and W7, a cold start. Peers take no part: a workload has two ends,
# measured in turn in each round, and its ratio is that of one end to the other.
many_sandboxes=10000 many_active=1000 many_secrets=100 many_hosts=1000 many_connections=5000 opening_s=10
growth_body=$((10 * 1024 * 1024)) growth_tokens=10000
everyone=() # the options that make osb-bench load call from all active sandboxes
[ -z "$quick" ] || { many_sandboxes=500 many_active=100 many_connections=500 opening_s=2; }

subjects_of() { # WORKLOAD -> subjects
    case $1 in
    W6m) subjects=(osb) ;;
    W6*) subjects=(few many) ;;
    W7) subjects=(warm cold) ;;
    *) subjects=("${everybody[@]}") ;;
    esac
}
title_of() { # WORKLOAD SUBJECT: the subject as the table and the page call it
    case $1:$2 in
    W6s:few) echo "10 sandboxes" ;;
    W6s:many) echo "$((many_sandboxes + 10)) sandboxes" ;;
    W6k:few) echo "1 secret" ;;
    W6k:many) echo "$many_secrets secrets" ;;
    W6a:few) echo "2 hosts" ;;
    W6a:many) echo "$many_hosts hosts" ;;
    W6t:few) echo "no token" ;;
    W6t:many) echo "$growth_tokens tokens" ;;
    W6c:few) echo "64 in turn" ;;
    W6c:many) echo "$many_connections in turn" ;;
    W6i:few) echo "64 alone" ;;
    W6i:many) echo "and $((many_connections - 64)) idle" ;;
    *) echo "$2" ;;
    esac
}

# --- the stage: records, a second Redis, an origin that pools and resumes nothing ---------------------------------------------
grow_one() { # NAME ADDRESS STORE-OPTION...: a store of its own with the secret, and a sandbox with both
    local name=$1 address=$2
    shift 2
    osbctl store create "$name" "$@" --egress-allow api.bench.test &&
        printf %s "$secret_value" | osbctl secret set "$name" API_KEY --value-file - --allow-host api.bench.test || return 1
    [ "$name" != secrets ] || more_secrets || return 1
    osbctl sandbox create "$name" --ip "$address" --store "$name" --env-file "$work/$name.env" --ca-file "$work/$name-ca.pem"
}
more_secrets() { # all for the same host
    local i
    for ((i = 1; i < many_secrets; i++)); do
        printf 'sk-growth-%030d' $i | osbctl secret set secrets "KEY_$i" --value-file - --allow-host api.bench.test || return 1
    done
}
address_of() { # NUMBER -> address
    address=127.$((2 + $1 / 62500)).$(($1 / 250 % 250)).$(($1 % 250 + 1))
}
grow_many() { # thousands of sandboxes, of which those that will call leave their root and token in files
    local i address files
    for ((i = 0; i < many_sandboxes; i++)); do
        address_of $i
        files=" --ca-file $work/crowd/$i.pem --env-file $work/crowd/$i.env"
        [ $i -lt $many_active ] || files=''
        echo "g$i --ip $address$files" # a blank at the end would join it to the next
    done | OSB_REDIS_URL=unix:$work/redis-many/sock xargs -P "$(nproc)" -L 1 osbctl sandbox create --store bench
}
make_growth() {
    local i address hosts=()
    echo "writing $many_sandboxes sandboxes"
    for ((i = 2; i < many_hosts; i++)); do hosts+=(--egress-allow "h$i.growth.test"); done
    mkdir "$work/redis-many" "$work/crowd" "$work/closing"
    { grow_one secrets 127.0.0.3 && grow_one hosts 127.0.0.4 --egress-allow '*.growth.test' "${hosts[@]}" &&
        redis-cli -s "$work/redis/sock" save && cp "$work/redis/dump.rdb" "$work/redis-many/"
    } >"$work/growth.log" 2>&1 || give_up "no sandboxes for W6 and W7"
    # The second Redis begins as a copy of the first, so that who calls is the same at both ends of W6s.
    background "$work/redis-many" redis-server --port 0 --unixsocket "$work/redis-many/sock" --save '' --daemonize no
    await 10 redis-cli -s "$work/redis-many/sock" ping || give_up "the second Redis does not start"
    grow_many >>"$work/growth.log" 2>&1 &
    attend $! || give_up "no $many_sandboxes sandboxes"
    for ((i = 0; i < many_active; i++)); do
        address_of $i
        everyone+=(--from "$address" --ca "$work/crowd/$i.pem" --env "$work/crowd/$i.env")
    done
    free_port
    closing_port=$port
    background "$work/closing" osb-bench origin --listen "127.0.0.1:$closing_port" --cert "$pki/origin.pem" \
        --key "$pki/origin.key" --expect "$secret_value" --keepalive off --resume off
    await 10 listens "$closing_port" || give_up "the second origin does not start"
}
stage() { # WORKLOAD SUBJECT: which records there are, as whom the load calls, and whom osb-proxy calls
    case $1:$2 in
    W6s:many) store=$work/redis-many ;;
    W6k:many) act_as secrets 127.0.0.3 ;;
    W6a:many) act_as hosts 127.0.0.4 ;;
    W6m:*) store=$work/redis-many upstream_port=$closing_port conf="cache_stale = 60s" ;; # evicted after a minute
    W7:*) store=$work/redis-many upstream_port=$closing_port conf="cache_ttl = 1h" ;;     # fetched once, never again
    esac
}

# --- W6: W1 from both ends --------------------------------------------------------------------------------------------------
run_W6s() {
    run_W1 "$1" && also sandboxes "$(redis-cli -s "$store/sock" --raw eval "return #redis.call('keys', 'osb:sandbox:*')" 0)"
}
run_W6k() { run_W1 "$1"; }
run_W6a() { run_W1 "$1"; }
run_W6t() { # one body after another; every token of the first must arrive as a value
    local body=(--url "$url/sink" --method POST --body "$growth_body" --body-type text --chunked) before seen
    [ "$1" = few ] || body+=(--token "$token" --token-in none --token-every 1KiB)
    before=$(values_seen)
    load --requests 1 "${body[@]}" || return 1
    seen=$(($(values_seen) - before))
    [ "$1" = few ] || [ $seen -ge $growth_tokens ] || { why="only $seen values arrived"; return 1; }
    load --sequential --warmup ${warmup}s --duration "${seconds}s" "${body[@]}" || return 1
    also tokens $seen
}
run_W6c() { # all connections are open when it begins to count
    local n=64
    [ "$1" = few ] || n=$many_connections
    posts "$1" --connections $n --in-flight 64 --opening 16 --warmup ${opening_s}s || return 1
    grep -q '"handshakes": *0' "$result" && return 0
    why="after $opening_s s not all $n connections were open"
    return 1
}
run_W6i() {
    if [ "$1" = few ]; then run_W1 "$1"; else beside_idle $((many_connections - 64)) run_W1 "$1"; fi
}

# --- W6m and W7: many sandboxes, one request each ---------------------------------------------------------------------------
everyone_calls() { # OPENING: at the same time; each with its own token
    local crowd=("${everyone[@]}") before
    before=$(values_seen)
    load --url $url/ --once --connections $many_active --opening "$1" --token @API_KEY || return 1
    [ $(($(values_seen) - before)) = $many_active ] && return 0
    why="$(($(values_seen) - before)) of $many_active values arrived"
    return 1
}
known() { # NUMBER: so many records are in osb-proxy's memory
    curl -sf -m 5 --unix-socket "$dir/admin.sock" http://admin/metrics | grep -q "^osb_sandboxes_known $1\$"
}
run_W6m() { # what a sandbox keeps of memory between its connections, and what is left of that when it is forgotten
    local before kib after left=()
    before=$(memory_kib "$pid" Pss)
    everyone_calls 16 && settled_kib || return 1
    after=$kib
    known $((many_active + 1)) || { why="not all $many_active sandboxes are known"; return 1; }
    if [ -z "$quick" ]; then # with --quick nobody waits for that
        await 90 known 0 || { why="the sandboxes are not forgotten"; return 1; }
        settled_kib
        left=(left_kib_per_sandbox "$(share $((kib - before)))")
    fi
    json sandboxes $many_active kib_per_sandbox "$(share $((after - before)))" "${left[@]}"
}
share() { awk "BEGIN { printf \"%.2f\", $1 / $many_active }"; } # KIB: of one active sandbox
fetched() { # how often a record was read from Redis
    local calls
    calls=$(redis-cli -s "$store/sock" info commandstats | sed -n 's/^cmdstat_hgetall:calls=\([0-9]*\),.*/\1/p')
    echo "${calls:-0}"
}
run_W7() { # the first request of all at once; warm: the second one
    local before fetches
    [ "$1" = cold ] || everyone_calls $many_active || return 1
    before=$(fetched)
    everyone_calls $many_active || return 1
    fetches=$(($(fetched) - before))
    also sandboxes $many_active fetches $fetches \
        redis_round_trip_us "$(redis-cli -s "$store/sock" --latency --raw -i 1 | awk '{ print $3 * 1000 }')"
}
