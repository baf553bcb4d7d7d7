# pip.sh url|netrc [HOST]: install a wheel from an index that asks for a password, and say what is in it. Why an index can't be
# read pip says only with -vv.
host=${2:-pypi.org}
case $1 in
url) index=https://octo:$PIP_TOKEN@$host/simple/ ;;
netrc)
    index=https://$host/simple/
    echo "machine $host login octo password $PIP_TOKEN" >.netrc
    ;;
esac
export PIP_CONFIG_FILE=/dev/null # not this machine's
rm -rf site
/usr/bin/python3 -m pip -vv --no-cache-dir --disable-pip-version-check --retries 0 install --root-user-action ignore --no-deps \
    --target site --index-url "$index" osb-mine >.said 2>&1 &&
    PYTHONPATH=site /usr/bin/python3 -c 'import osb_mine; print(osb_mine.SAYS)' || { cat .said; false; }
code=$?
rm -rf site .netrc
exit $code
