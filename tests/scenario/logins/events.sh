# events.sh: a streamed message by curl alone; of each piece the origin is told, by the pipe 'got', before it may send the next.
curl -sSN https://api.anthropic.com/v1/messages -H "x-api-key: $ANTHROPIC_API_KEY" -H 'content-type: application/json' \
    -d "{\"stream\":true,\"messages\":[{\"role\":\"user\",\"content\":\"my key is $ANTHROPIC_API_KEY\"}]}" |
    while read -r line; do
        piece=$(sed -n 's/.*"text_delta", "text": "\([a-z]*\)".*/\1/p' <<<"$line")
        [ -z "$piece" ] || { printf . >got; echo "$piece"; }
    done | paste -sd ' '
