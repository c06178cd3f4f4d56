# What a response can be like, in the form of fault_rows.py. The last column is what a user reads, of a create and
# of a poll alike; a word with a $ stands for one of its WORDS.

redirects() {
    cat <<'END'
s300|{"status":300,"headers":{"Location":"/api/v1/videos/generations"}}|$redirect
same-301|{"status":301,"headers":{"Location":"/api/v1/videos/generations"}}|$redirect
same-302|{"status":302,"headers":{"Location":"/api/v1/videos/generations"},"accept":true}|$redirect
same-303|{"status":303,"headers":{"Location":"/api/v1/videos/generations"}}|$redirect
loop-307|{"status":307,"headers":{"Location":"/api/v1/videos/generations"}}|$redirect
loop-308|{"status":308,"headers":{"Location":"http://127.0.0.1:{{api_port}}/api/v1/videos/generations"}}|$redirect
other-302|{"status":302,"headers":{"Location":"http://127.0.0.1:{{media_port}}/media/x.mp4"}}|$redirect
other-307|{"status":307,"headers":{"Location":"http://localhost:{{media_port}}/"}}|$redirect
slashes|{"status":307,"headers":{"Location":"//127.0.0.1:{{media_port}}/"}}|$redirect
file|{"status":302,"headers":{"Location":"file:///etc/passwd"}}|$redirect
gopher|{"status":307,"headers":{"Location":"gopher://127.0.0.1:{{media_port}}/_POST"}}|$redirect
s304|{"raw":"HTTP/1.1 304 Not Modified\r\n\r\n"}|$redirect
nowhere|{"status":302,"body":"<html>moved</html>"}|$redirect
long|{"status":302,"headers":{"Location":"@LONG@"}}|$bad
END
}

# Connections that end behind the request: before, inside or behind the headers or the body of a response.
broken_connections() {
    cat <<'END'
reset-before-headers|{"reset_at":"request_body"}|$broke
close-before-headers|{"cut_at":"request_body"}|$broke
accepted-and-reset|{"reset_at":"request_body","accept":true}|$broke
accepted-and-closed|{"cut_at":"request_body","accept":true}|$broke
reset-inside-headers|{"reset_at":"headers"}|$broke
close-inside-headers|{"cut_at":"headers"}|$broke
reset-after-headers|{"reset_at":"body","cut_after_bytes":0}|$broke
close-after-headers|{"cut_at":"body","cut_after_bytes":0}|$broke
reset-inside-body|{"reset_at":"body"}|$broke
close-inside-body|{"cut_at":"body"}|$broke
close-in-status-line|{"raw":"HTTP/1.1 2"}|$broke
close-before-last-line|{"raw":"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n"}|$broke
reset-in-refusal|{"status":400,"reset_at":"body","cut_after_bytes":0}|$broke
close-in-refusal|{"status":404,"cut_at":"body"}|$broke
END
}

# More than the length says. Of a create nothing is believed then; of a poll the surplus goes with the connection (RFC
# 9112, 6.3), and what came before is read.
surplus_bytes() {
    sed "s/WORDS/$1/" <<'END'
too-short-by-1|{"raw":"HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\n{\"id\":\"cgt-1\"}"}|WORDS
too-many-bytes|{"raw":"HTTP/1.1 200 OK\r\nContent-Length: 14\r\n\r\n{\"id\":\"cgt-1\"}more"}|WORDS
END
}

# Whether libcurl sees that there is more than the length says depends on how the bytes arrive; where the part up to
# the length makes no sense either, the words may be those of either.
bad_lengths() {
    cat <<'END'
truncated|{"cut_after_bytes":20}|$broke
truncated-by-1|{"body":"{\"id\":\"cgt-1\"}","cut_after_bytes":13}|$broke
truncated-no-length|{"raw":"HTTP/1.1 200 OK\r\n\r\n{\"id\":\"cgt-1\",\"sta"}|$early
too-long|{"content_length":99999}|$broke
too-short|{"content_length":5}|HTTP 200, but 
doubled|{"headers":{"Content-Length":["14","15"]},"body":"{\"id\":\"cgt-1\"}"}|$bad
list|{"content_length":"14, 14","body":"{\"id\":\"cgt-1\"}"}|$bad
negative|{"content_length":-1}|$bad
huge|{"content_length":"999999999999999999"}|$large
beyond-int64|{"content_length":"99999999999999999999"}|$bad
junk|{"content_length":"nonsense"}|$bad
hexadecimal|{"content_length":"0xe","body":"{\"id\":\"cgt-1\"}"}|$bad
bad-chunk|{"chunked":"bad"}|$broke
huge-chunk|{"raw":"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n{}"}|$broke
negative-chunk|{"raw":"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-2\r\n{}\r\n0\r\n\r\n"}|$broke
last-chunk-missing|{"raw":"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\ne\r\n{\"id\":\"cgt-1\"}\r\n"}|$broke
END
}

bad_headers() {
    cat <<'END'
line-of-1-MB|{"raw":"HTTP/1.1 200 OK\r\nX: ","raw_repeat":{"text":"a","count":1000000},"raw_end":"@TAIL@"}|$bad
headers-100000|{"raw":"HTTP/1.1 200 OK","raw_repeat":{"text":"\r\nX: a","count":100000},"raw_end":"@TAIL@"}|$bad
headers-for-ever|{"raw":"HTTP/1.1 200 OK","raw_repeat":{"text":"\r\nX: a","count":100000000}}|$bad
nul|{"raw_bytes":"HTTP/1.1 200 OK\r\nX: a\u0000b@TAIL@"}|$bad
nul-in-name|{"raw_bytes":"HTTP/1.1 200 OK\r\nX\u0000Y: b@TAIL@"}|$bad
cr|{"raw":"HTTP/1.1 200 OK\r\nX: a\rb@TAIL@"}|$bad
lf|{"raw":"HTTP/1.1 200 OK\r\nX: a\nb@TAIL@"}|$bad
folded|{"raw":"HTTP/1.1 200 OK\r\nX: a\r\n b@TAIL@"}|$bad
no-colon|{"raw":"HTTP/1.1 200 OK\r\nX@TAIL@"}|$bad
no-status-line|{"raw":"{\"id\":\"cgt-1\",\"status\":\"queued\"}"}|$bad
not-http|{"raw":"220 mail.example ESMTP\r\n"}|$bad
http09|{"raw":"<html>{\"id\":\"cgt-1\"}</html>"}|$bad
bad-status|{"raw":"HTTP/1.1 20 OK@TAIL@"}|$bad
long-status|{"raw":"HTTP/1.1 2000 OK@TAIL@"}|$bad
END
}

# Nobody asks for compressed responses. The bomb is 10 MB that unpack to 10 GB.
compressed() {
    "$PYTHON" - "$DIR/bomb.gz" <<'END'
import sys, zlib
packer = zlib.compressobj(9, zlib.DEFLATED, 31)
block = bytes(10 << 20)
packer.compress(block)
head = packer.flush(zlib.Z_FULL_FLUSH)
again = packer.compress(block) + packer.flush(zlib.Z_FULL_FLUSH)
with open(sys.argv[1], "wb") as f:
    f.write(head + again * 1000)
END
    cat <<'END'
gzip|{"gzip":true}|$bad
bomb|{"headers":{"Content-Encoding":"gzip"},"body_file":"@DIR@/bomb.gz"}|$bad
bomb-in-transfer|{"headers":{"Transfer-Encoding":"gzip"},"body_file":"@DIR@/bomb.gz"}|$bad
bomb-in-chunks|{"headers":{"Content-Encoding":"gzip"},"chunked":true,"body_file":"@DIR@/bomb.gz"}|$bad
bomb-unannounced|{"body_file":"@DIR@/bomb.gz"}|$large
deflate|{"headers":{"Content-Encoding":"deflate"}}|$bad
br|{"headers":{"Content-Encoding":"br"}}|$bad
END
}

# A 2xx that is whole as HTTP and has no task in it that can be used.
no_tasks() {
    cat <<'END'
html|{"body":"<html>Welcome</html>"}|$json
empty|{"body":""}|$early
blank|{"body":" \n"}|$early
no-content|{"status":204,"body":""}|$early
no-id|{"body":"{\"status\":\"queued\"}"}|$no_task
says-error|{"body":"{\"error\":{\"code\":\"Busy\",\"message\":\"Try later.\"}}"}|Try later.
id-empty|{"body":"{\"id\":\"\"}"}|$no_task
id-null|{"body":"{\"id\":null}"}|$no_task
id-number|{"body":"{\"id\":7,\"status\":\"queued\"}"}|$no_task
id-bool|{"body":"{\"id\":true}"}|$no_task
id-object|{"body":"{\"id\":{\"id\":\"cgt-1\"}}"}|$no_task
id-array|{"body":"{\"id\":[\"cgt-1\"]}"}|$no_task
id-path|{"body":"{\"id\":\"../../x\"}"}|$no_task
id-query|{"body":"{\"id\":\"cgt-1?x=y\"}"}|$no_task
id-newline|{"body":"{\"id\":\"cgt\\n1\"}"}|$no_task
id-not-ascii|{"body":"{\"id\":\"cgt-\\u00e9\"}"}|$no_task
id-case|{"body":"{\"ID\":\"cgt-1\"}"}|$no_task
array|{"body":"[{\"id\":\"cgt-1\"}]"}|$no_task
string|{"body":"\"cgt-1\""}|$no_task
number|{"body":"7"}|$no_task
null|{"body":"null"}|$no_task
url-number|{"body":"{\"id\":\"cgt-1\",\"data\":[{\"video_url\":7}]}"}|$no_task
END
}

bad_json() {
    "$PYTHON" - "$DIR" <<'END'
import sys
def make(name, *parts):
    with open(sys.argv[1] + "/" + name, "wb") as f:
        f.writelines(parts)
make("64M", b'{"id":"cgt-1","pad":"', b"a" * (64 << 20), b'"}')
make("wide", b'{"id":"cgt-1","a":[0', b",0" * (1 << 19), b"]}")
make("deep", b'{"id":"cgt-1","a":', b"[" * 100000, b"]" * 100000, b"}")
make("deep-open", b'{"id":"cgt-1","a":', b"[" * 100000)
END
    cat <<'END'
size-64-MiB|{"body_file":"@DIR@/64M"}|$large
size-64-MiB-chunks|{"body_file":"@DIR@/64M","chunked":true}|$large
wide|{"body_file":"@DIR@/wide"}|$limit
depth-100000|{"body_file":"@DIR@/deep"}|$limit
depth-100000-open|{"body_file":"@DIR@/deep-open"}|$limit
nul|{"bytes":"{\"id\":\"cgt-1\u0000\"}"}|$json
nul-behind|{"bytes":"{\"id\":\"cgt-1\"}\u0000"}|$json
nul-escaped|{"bytes":"{\"id\":\"cgt-1\\u0000\"}"}|$json
nul-in-key|{"bytes":"{\"id\\u0000x\":\"cgt-1\"}"}|$json
utf8-bad|{"bytes":"{\"id\":\"cgt-1\",\"model\":\"\u00ff\"}"}|$json
utf8-overlong|{"bytes":"{\"id\":\"cgt-1\",\"model\":\"\u00c0\u00af\"}"}|$json
utf8-cut|{"bytes":"{\"id\":\"cgt-1\",\"model\":\"\u00e2\u0082\"}"}|$json
surrogate|{"bytes":"{\"id\":\"cgt-1\",\"model\":\"\\ud800\"}"}|$json
bom|{"bytes":"\u00ef\u00bb\u00bf{\"id\":\"cgt-1\"}"}|$json
utf16|{"bytes":"\u00ff\u00fe{\u0000}\u0000"}|$json
two-ids|{"body":"{\"id\":\"cgt-1\",\"id\":\"cgt-2\"}"}|$json
two-ids-escaped|{"body":"{\"id\":\"cgt-1\",\"\\u0069d\":\"cgt-2\"}"}|$json
two-deep|{"body":"{\"id\":\"cgt-1\",\"usage\":{\"a\":1,\"a\":1}}"}|$json
junk-behind|{"body":"{\"id\":\"cgt-1\"} x"}|$json
two-values|{"body":"{\"id\":\"cgt-1\"}{\"id\":\"cgt-2\"}"}|$json
infinite|{"body":"{\"id\":\"cgt-1\",\"created\":1e999}"}|$json
nan|{"body":"{\"id\":\"cgt-1\",\"created\":NaN}"}|$json
comma|{"body":"{\"id\":\"cgt-1\",}"}|$json
single-quotes|{"body":"{'id':'cgt-1'}"}|$json
comment|{"body":"{\"id\":\"cgt-1\"} // ok"}|$json
control|{"bytes":"{\"id\":\"cgt-1\",\"model\":\"\u0001\"}"}|$json
open|{"body":"{\"id\":\"cgt-1\""}|$early
END
}
