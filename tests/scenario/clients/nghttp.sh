# nghttp.sh URL: it speaks HTTP/2 or nothing; a certificate that it can't verify it only warns of, so warnings are printed.
head -c 299957 /dev/zero | tr '\0' x >body
printf %s "$API_KEY" >>body
ask() { # NAME ARGUMENTS...
    local name=$1 code got
    shift
    nghttp -s "$@" -H "x-api-key: $API_KEY" "$url/$name" >said 2>&1 || { tail -n 5 said; return 1; }
    grep -a WARNING said
    code=$(grep -aE "^ +13 .* /" said | awk '{ print $5 }') # its first stream, in the table behind the body
    sed '/^\*\*\*\*\* Statistics/,$d' said >"$name.out"
    if [ "$name" = down ]; then got=$(wc -c <down.out); else got=$(head -n 1 "$name.out"); fi
    echo "$name $code h2 $got"
}
url=$1
ask get && ask post -d body && ask down
