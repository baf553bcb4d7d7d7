# npm.sh token|auth [REGISTRY]: publish a package of one file, install it, and say what is in it.
registry=${2:-https://npm.test/} number=1.0.$$
case $1 in
token) echo "${registry#https:}:_authToken=\${NPM_TOKEN}" ;; # npm itself puts the variable in
auth) echo "${registry#https:}:_auth=$(printf 'octo:%s' "$NPM_PASSWORD" | base64 -w 0)" ;;
esac >.npmrc
npm=(npm --globalconfig "$PWD/none" --registry "$registry" --fetch-retries 0 --loglevel error) # not this machine's settings
npm+=(--no-update-notifier --no-audit --no-fund)
rm -rf mine yours .npm && mkdir mine yours && echo '{}' >yours/package.json &&
    echo 'module.exports = "welcome";' >mine/mine.js &&
    echo "{\"name\":\"osb-mine\",\"version\":\"$number\",\"main\":\"mine.js\"}" >mine/package.json &&
    (cd mine && "${npm[@]}" publish) >.said 2>&1 && (cd yours && "${npm[@]}" install "osb-mine@$number") >.said 2>&1 &&
    (cd yours && node -p 'require("osb-mine")') || { cat .said; exit 1; }
