# git.sh URL: clone what lies there as plain files, one request after another; git itself tells no protocol.
rm -rf clone
git -c "http.extraHeader=X-Api-Key: $API_KEY" clone -q "$1/repo.git" clone &&
    git -C clone log --format=%s | sort | paste -sd ' '
