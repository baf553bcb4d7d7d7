# push.sh url|store|header REPOSITORY: clone, commit, push a branch, clone it: it is the same. Each keeps its password in another
# way (by the last, as CI does, it is sent unasked), and each pushes in another: a short pack with its length over HTTP/2, 3 MiB
# chunked over HTTP/1.1, 3 MiB with their length over HTTP/2. Chunked over HTTP/2 is left out: git with libcurl 7.88 reads its
# input once more behind its end, and so waits forever, whenever a server's window was full at the end, with this proxy or without.
how=$1 branch=$1-$$ host=${2%%/*} url=https://$2
export GIT_CONFIG_GLOBAL=$HOME/.gitconfig GIT_CONFIG_NOSYSTEM=1 GIT_TERMINAL_PROMPT=0 GIT_{AUTHOR,COMMITTER}_{NAME,EMAIL}=someone
case $how in
url) url=https://octo:$GIT_TOKEN@$2 octets=65536 ;;
store)
    octets=3145728
    echo "https://octo:$GIT_TOKEN@$host" >.git-credentials
    git config --global credential.helper store
    git config --global http.version HTTP/1.1
    ;;
header)
    octets=3145728
    git config --global "http.https://$host/.extraheader" "AUTHORIZATION: basic $(printf 'octo:%s' "$GIT_TOKEN" | base64 -w 0)"
    git config --global http.postBuffer 16777216
    ;;
esac
rm -rf one two
git clone -q --single-branch -b main "$url" one && head -c $octets /dev/urandom >one/large && git -C one add large &&
    git -C one commit -q -m "by $how" && git -C one push -q origin "HEAD:$branch" &&
    git clone -q --single-branch -b "$branch" "$url" two && cmp one/large two/large && git -C two log -1 --format=%s
code=$?
rm -rf .git-credentials .gitconfig one two
exit $code
