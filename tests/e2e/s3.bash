# Signed requests to the simulator's object store, for tests. Needs $API_PORT; works in the present directory.

# presign METHOD PATH [QUERY] [HEADER]...: the address, signed as AWS documents it. Nothing is shared with src/. PATH
# and QUERY are not encoded; each header ("name: value") is signed. AGE, EXPIRES, KEY_ID and SECRET are read if set.
presign() {
    /usr/bin/python3 - "http://127.0.0.1:$API_PORT" "$@" <<'END'
import hashlib, hmac, os, sys, time, urllib.parse
base, method, path, query, *headers = (sys.argv[1:] + [''])[:4] + sys.argv[5:]
now = time.gmtime(time.time() - float(os.environ.get('AGE', 0)))
date = time.strftime('%Y%m%dT%H%M%SZ', now)
scope = [date[:8], 'auto', 's3', 'aws4_request']
lines = dict([['host', base.split('/')[2]]] + [header.split(': ', 1) for header in headers])
names = ';'.join(sorted(lines))
quote = lambda text, safe='': urllib.parse.quote(text, safe=safe + '-_.~')
pairs = [pair.partition('=')[::2] for pair in query.split('&') if pair]
pairs += [('X-Amz-Algorithm', 'AWS4-HMAC-SHA256'), ('X-Amz-Date', date), ('X-Amz-SignedHeaders', names),
          ('X-Amz-Credential', '/'.join([os.environ.get('KEY_ID', 'SIMKEY')] + scope)),
          ('X-Amz-Expires', os.environ.get('EXPIRES', '600'))]
encoded = '&'.join(sorted(quote(name) + '=' + quote(value) for name, value in pairs))
canonical = '\n'.join([method, quote(path, '/'), encoded] + ['%s:%s' % line for line in sorted(lines.items())]
                      + ['', names, 'UNSIGNED-PAYLOAD'])
text = '\n'.join(['AWS4-HMAC-SHA256', date, '/'.join(scope), hashlib.sha256(canonical.encode()).hexdigest()])
key = ('AWS4' + os.environ.get('SECRET', 'sim-secret')).encode()
for part in scope + [text]:
    key = hmac.new(key, part.encode(), hashlib.sha256).digest()
print('%s%s?%s&X-Amz-Signature=%s' % (base, quote(path, '/'), encoded, key.hex()))
END
}

# s3 METHOD KEY [HEADER]... [-- CURL_ARGUMENT...]: one signed request; the status comes out. See `body` and `headers`.
s3() {
    local method=$1 key=$2 signed=() arguments=("${upload[@]}")
    shift 2
    while (($# > 0)) && [[ $1 != -- ]]; do
        signed+=("$1")
        arguments+=(-H "$1")
        shift
    done
    shift $(($# > 0 ? 1 : 0))
    [[ $method = HEAD ]] && arguments+=(-I) || arguments+=(-X "$method")
    curl -s -m 20 -D headers -o body -w '%{http_code}' --path-as-is "${arguments[@]}" "$@" \
        "$(presign "$method" "/${BUCKET-seedance}/$key" '' "${signed[@]}")"
}

# s3_put KEY FILE [HEADER]... [-- CURL_ARGUMENT...]
s3_put() {
    local upload=(-T "$2")
    s3 PUT "$1" "${@:3}"
}
