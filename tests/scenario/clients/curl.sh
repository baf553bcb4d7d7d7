# curl.sh --http2|--http1.1 URL: three requests on one connection.
head -c 299957 /dev/zero | tr '\0' x >body
printf %s "$API_KEY" >>body
say='%{http_code} h%{http_version} '
common=(-sS "$1" -H "X-Api-Key: $API_KEY")
curl "${common[@]}" -o get.out -w "get $say\n" "$2/get" \
    --next "${common[@]}" -o post.out -w "post $say%{num_connects}\n" --data-binary @body "$2/post" \
    --next "${common[@]}" -o down.out -w "down $say%{num_connects}\n" "$2/down" >said || exit 1
while read -r name code proto connects; do
    [ "${connects:-0}" = 0 ] || echo "another connection for $name"
    if [ "$name" = down ]; then got=$(wc -c <down.out); else got=$(cat "$name.out"); fi
    echo "$name $code ${proto/h1.1/h1} $got"
done <said
