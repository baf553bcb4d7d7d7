#!/usr/bin/env bash
# 040-logins.sh BUILD_DIR: real clients, each let in by real servers with a token, in the way that its users log in. Of the
# sandbox' variables each is given the tokens and the one that makes it trust the CA, so that the sentences here say which; the
# README's table is theirs. Wants redis-server, nginx, curl, openssl, python3, python3-httpx, iproute2, iptables; git (with
# fcgiwrap) and Node where they are. With OSB_CLIENTS=full (run.sh --clients full, which installs them) all, and each is also
# seen to trust nobody without that variable, and by the system's store where it reads it.
# Prints a line a check and 'N passed, N failed' last; exits 0 when all hold.
#
#   red  10.97.1.2 --- red .1  \  host: proxy, Redis, and on its loopback the Internet: api.test, github.com, pypi.org ...,
#   sys  10.97.2.2 --- sys .1  /  which bear the names that clients know by themselves. sys has the CA in its system's store.
. "$(dirname "$0")/stage.sh.inc"

# --- the stage --------------------------------------------------------------------------------------------------------------
make_internet api.test github.com pypi.org npm.test api.openai.com api.anthropic.com api.stripe.com evil.test
packages=$scenario/../../build/packages/node_modules
full_node=''
[ -z "$full" ] || ! there node || ! there npm || full_node=1
start_redis
osbctl store create agent $(printf -- '--egress-allow %s ' "${names[@]:0:7}") >/dev/null || give_up "no store" # all but the last
declare -A real host_of
values=()
give() { # SECRET HOST VALUE [--in PLACE]...
    local secret=$1
    host_of[$secret]=$2 real[$secret]=$3
    shift 3
    printf %s "${real[$secret]}" | osbctl secret set agent "$secret" --value-file - \
        --allow-host "${host_of[$secret]}" "$@" >/dev/null 2>&1 || give_up "no $secret"
    values+=(-e "${real[$secret]}" -e "$(printf 'octo:%s' "${real[$secret]}" | base64 -w 0)")
}
fresh() { echo "$1$(openssl rand -hex 20)"; }
users() { printf 'octo:%s\n' "$(openssl passwd -apr1 "${real[$1]}")" >"users.$1"; } # SECRET: those who know it are octo
give API_TOKEN api.test "$(fresh api-)"
give GIT_TOKEN github.com "$(fresh 'g:h/p @%')"
give PIP_TOKEN pypi.org "$(fresh 'p:y/p@%"')" --in basic
give OPENAI_API_KEY api.openai.com "$(fresh sk-proj-)" --in header
give ANTHROPIC_API_KEY api.anthropic.com "$(fresh sk-ant-)" --in header
give STRIPE_API_KEY api.stripe.com "$(fresh sk_test_)" --in header --in basic
give NPM_PASSWORD npm.test "$(fresh 'n&p<m')" --in basic

# --- the servers --------------------------------------------------------------------------------------------------------------
mkdir www git
echo welcome >www/basic
for secret in API_TOKEN GIT_TOKEN PIP_TOKEN NPM_PASSWORD; do users $secret; done
/usr/bin/python3 "$scenario/logins/wheel.py" www || give_up "no wheel"
start_git() {
    export GIT_CONFIG_GLOBAL=$PWD/gitconfig GIT_CONFIG_NOSYSTEM=1
    export GIT_{AUTHOR,COMMITTER}_{NAME,EMAIL}=someone
    git init -q -b main tree && git -C tree commit -q --allow-empty -m first && git clone -q --bare tree git/repo.git &&
        git -C git/repo.git config http.receivepack true || return 1
    fcgiwrap -s "unix:$PWD/git.sock" >fcgiwrap.log 2>&1 &
    await test -S git.sock
}
mkfifo got
printf '{"openai":"%s","anthropic":"%s","stripe":"%s"}' \
    "${real[OPENAI_API_KEY]}" "${real[ANTHROPIC_API_KEY]}" "${real[STRIPE_API_KEY]}" >keys
/usr/bin/python3 "$scenario/logins/models.py" 8001 keys got prompts >models.log 2>&1 &
listens 127.0.0.1 8001 || give_up "no models"
start_registry() { # a real one; who logs in there gets the token
    cat >verdaccio.yaml <<YAML
storage: $PWD/npm
auth: { htpasswd: { file: $PWD/users.NPM_PASSWORD, max_users: -1 } }
packages: { '**': { access: \$authenticated, publish: \$authenticated } }
log: { type: stdout, level: warn }
YAML
    (cd / && HOME=/run/w exec node "$packages/verdaccio/bin/verdaccio" -c /run/w/verdaccio.yaml -l 127.0.0.1:8002) \
        >verdaccio.log 2>&1 &
    listens 127.0.0.1 8002 || return 1
    local login
    login=$(printf '{"name":"octo","password":"%s"}' "${real[NPM_PASSWORD]}" |
        curl -s -u "octo:${real[NPM_PASSWORD]}" -X PUT --json @- http://127.0.0.1:8002/-/user/org.couchdb.user:octo)
    give NPM_TOKEN npm.test "$(sed -n 's/.*"token": *"\([^"]*\)".*/\1/p' <<<"$login")" --in header
}
if [ -n "$full_node" ]; then
    check "the npm packages are there" test -d "$packages/verdaccio"
    start_registry || give_up "no registry"
    NODE_PATH=$packages node "$scenario/logins/ws_server.js" 8003 >ws.log 2>&1 &
    listens 127.0.0.1 8003 || give_up "no WebSocket server"
fi
start_nginx "
    log_format seen '\$host|\$http_authorization|\$http_x_api_key';
    access_log origin.seen seen;
    root www;
    client_max_body_size 0;
    proxy_http_version 1.1;
    proxy_buffering off;
    proxy_set_header Host \$host;
    proxy_set_header X-Forwarded-Proto https;
    server {
        listen 203.0.113.10:443 ssl;
        location = /bearer {
            if (\$http_authorization != 'Bearer ${real[API_TOKEN]}') { return 401; }
            return 200 'welcome\n';
        }
        location = /basic { auth_basic api; auth_basic_user_file users.API_TOKEN; }
        location = /socket {
            proxy_pass http://127.0.0.1:8003;
            proxy_set_header Upgrade \$http_upgrade;
            proxy_set_header Connection upgrade;
        }
    }
    server {
        listen 203.0.113.11:443 ssl http2;
        auth_basic git;
        auth_basic_user_file users.GIT_TOKEN;
        location / {
            fastcgi_pass unix:git.sock;
            fastcgi_param SCRIPT_FILENAME /usr/lib/git-core/git-http-backend;
            fastcgi_param GIT_PROJECT_ROOT $PWD/git;
            fastcgi_param GIT_HTTP_EXPORT_ALL 1;
            fastcgi_param PATH_INFO \$uri;
            fastcgi_param REMOTE_USER \$remote_user;
            fastcgi_param QUERY_STRING \$query_string;
            fastcgi_param REQUEST_METHOD \$request_method;
            fastcgi_param CONTENT_TYPE \$content_type;
            fastcgi_param CONTENT_LENGTH \$content_length;
            fastcgi_param HTTP_CONTENT_ENCODING \$http_content_encoding;
            fastcgi_param HTTP_GIT_PROTOCOL \$http_git_protocol;
        }
    }
    server {
        listen 203.0.113.12:443 ssl http2;
        auth_basic pypi;
        auth_basic_user_file users.PIP_TOKEN;
        types { text/html html; }
    }
    server { listen 203.0.113.13:443 ssl http2; location / { proxy_pass http://127.0.0.1:8002; } }
    server {
        listen 203.0.113.14:443 ssl http2;
        listen 203.0.113.15:443 ssl http2;
        listen 203.0.113.16:443 ssl http2;
        location / { proxy_pass http://127.0.0.1:8001; }
    }
    server { listen 203.0.113.17:443 ssl http2; return 200 'out\n'; }"

# --- the sandboxes ------------------------------------------------------------------------------------------------------------
make_sandbox red 1 agent "$scenario/logins"
make_sandbox sys 2 agent "$scenario/logins"
redirect red 1
redirect sys 2
for sandbox in red sys; do ln got $sandbox/got; done
fill_store() { # what update-ca-certificates does in sys with a CA: the bundle, a name by hash, and Java's file
    cp -a /etc/ssl/certs store && cp sys/ca.pem store/osb.pem && cat sys/ca.pem >>store/ca-certificates.crt &&
        ln -s osb.pem "store/$(openssl x509 -hash -noout -in sys/ca.pem).0" || return 1
    ! command -v keytool >/dev/null || [ ! -e store/java/cacerts ] ||
        keytool -importcert -noprompt -alias osb -file sys/ca.pem -keystore store/java/cacerts -storepass changeit \
            >/dev/null 2>&1 || return 1
    mv store sys/store && nsenter -t "$pid_sys" -m mount --bind /mnt/store /etc/ssl/certs
}
fill_store || give_up "no store of the system's"
start_proxy

# --- what is looked at --------------------------------------------------------------------------------------------------------
# Of its environment the tokens and the variable TRUST; an option in place of a variable is what {} becomes.
with() { # SANDBOX TRUST COMMAND...
    local pid=pid_$1 trust=$2 words=() word
    shift 2
    for word; do
        if [ "$word" != '{}' ]; then words+=("$word"); elif [ "${trust#-}" != "$trust" ]; then words+=($trust); fi
    done
    timeout 120 nsenter -t "${!pid}" -n -m bash -c 'cd /mnt && mapfile -t given < <(grep -E "=osb_sealed_|^$0=" env) &&
        exec env -i PATH="$PATH" HOME=/mnt "${given[@]}" "$@"' "$trust" "${words[@]}" 2>&1 | tee -a said
}
lines() { wc -l <"$1"; }
seen_since() { # LINE HOST: the credentials that came, each once, Basic decoded
    local host authorization key
    tail -n "+$(($1 + 1))" origin.seen | while IFS='|' read -r host authorization key; do
        [ "$host" = "$2" ] || continue
        case $authorization in
        [Bb]asic\ *) echo "Basic $(base64 -d <<<"${authorization#?asic }")" ;;
        -) ;;
        *) echo "$authorization" ;;
        esac
        [ "$key" = - ] || echo "x-api-key $key"
    done | sort -u
}
saw_since() { [ "$(seen_since "$1" "$2")" = "$3" ]; }
audited_since() { # LINE HOST: the secrets that were put in, each once
    tail -n "+$(($1 + 1))" audit.jsonl | grep -F "\"host\":\"$2\"" | sed -nE 's/.*"secrets":\["([^]]*)"\].*/\1/p' | sort -u
}
has_audited() { [ "$(audited_since "$1" "$2")" = "$3" ]; }
touch origin.seen audit.jsonl
says() { grep -qiE "$1" <<<"$2" || { echo "$2"; return 1; }; }

enters() { # SENTENCE SANDBOX TRUST SECRET SEEN WANT COMMAND...
    local sentence=$1 sandbox=$2 trust=$3 secret=$4 seen=$5 want=$6 host=${host_of[$4]} said_at audit_at
    said_at=$(lines origin.seen) audit_at=$(lines audit.jsonl)
    shift 6
    check "$sentence" is "$(with "$sandbox" "$trust" "$@")" "$want"
    await saw_since "$said_at" "$host" "$seen"
    check "$sentence: the origin gets the value" is "$(seen_since "$said_at" "$host")" "$seen"
    await has_audited "$audit_at" "$host" "$secret"
    check "$sentence: it is audited" is "$(audited_since "$audit_at" "$host")" "$secret"
}
distrusts() { # SENTENCE SANDBOX WANT COMMAND...: it says why, and no request comes
    local sentence=$1 sandbox=$2 want=$3 seen=$(lines origin.seen) told
    shift 3
    told=$(with "$sandbox" '' "$@")
    check "$sentence" says 'certificate|SSL|TLS|PKIX|self.signed' "$told"
    check "$sentence: nothing comes to the origin" is "$(lines origin.seen)" "$seen"
}
login() { # CLIENT TRUST SYSTEM SECRET SEEN WANT COMMAND...: SYSTEM is yes where it reads the system's store
    local client=$1 trust=$2 system=$3 secret=$4 seen=$5 want=$6 name
    name=$(sed -E 's/^(--|-[Dd])//; s/=.*//' <<<"$2")
    shift 6
    enters "$client trusts by $name, and is let in" red "$trust" "$secret" "$seen" "$want" "$@"
    [ -n "$full" ] || return
    distrusts "$client without it trusts nobody" red "$want" "$@"
    if [ "$system" = yes ]; then
        enters "$client trusts by the system's store, and is let in" sys '' "$secret" "$seen" "$want" "$@"
    else
        distrusts "$client does not read the system's store" sys "$want" "$@"
    fi
}
refused() { # CLIENT TRUST SENTENCE COMMAND...: which asks for evil.test, and shows the sentence, or at least the reason phrase
    local client=$1 trust=$2 sentence=$3 told
    shift 3
    told=$(with red "$trust" "$@")
    check "$client shows why a host is refused" says "$sentence" "$told"
    told=$(grep -m 1 -E "$sentence" <<<"$told") && echo "      ${told::200}"
}
why='The egress allowlist of this sandbox does not include this host: evil.test' phrase='Egress to evil.test is blocked'
bearer="Bearer ${real[API_TOKEN]}" basic="Basic octo:${real[API_TOKEN]}"
two() { # CLIENT TRUST SYSTEM WANT REFUSAL PROGRAM...: of those that take 'bearer|basic URL'
    local client=$1 trust=$2 system=$3 want=$4 refusal=$5
    shift 5
    login "$client with a bearer token" "$trust" "$system" API_TOKEN "$bearer" "$want" "$@" bearer https://api.test/bearer
    login "$client with Basic" "$trust" "$system" API_TOKEN "$basic" "$want" "$@" basic https://api.test/basic
    refused "$client" "$trust" "$refusal" "$@" bearer https://evil.test/
}
for kind in "$scenario"/logins/*.sh.inc; do . "$kind"; done

# --- after all ------------------------------------------------------------------------------------------------------------------
check "prompts that quote the environment came as they were" \
    bash -c '[ -s prompts ] && ! grep -vnE "^my key is osb_sealed_[0-9a-f]{32}$" prompts'
check "nothing came to the host that is not on the list" bash -c '! grep -n "^evil" origin.seen'
check "no client was told a value, and none has it in its files" bash -c '! grep -rnF "$@" said red sys' _ "${values[@]}"
tokens=$(grep -ohE 'osb_sealed_[0-9a-f]{32}' red/env sys/env | sort -u | sed 's/^/-e /')
check "no value and no whole token in audit or log" bash -c '! grep -nF "$@" audit.jsonl proxy.log' _ "${values[@]}" $tokens
end_proxy
finish
