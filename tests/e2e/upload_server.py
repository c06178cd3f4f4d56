"""A place for files in the manner of S3, for what uploads references:

    upload_server.py --port-file FILE [--directory DIR] [--log FILE] [--port N]
                     [--fail-puts N] [--delay-ms N] [--die-with-parent]

    PUT /BUCKET/NAME?X-Amz-Signature=...   stores the body as DIR/BUCKET/NAME, whole or not at all
    GET, HEAD /BUCKET/NAME?...             gives it back; 404 if there is none
    PUT /BUCKET without a body, GET /BUCKET?list-type=2   a bucket is always there; rclone wants to know
    POST /-/settings?fail_puts=2&delay_ms=500   changes the switches while it runs

It listens on 127.0.0.1, on a free port unless told, and writes "PORT\\n" to --port-file when it is ready.
--fail-puts: the next N PUTs of files are answered with 500 and store nothing. --delay-ms: waits so long before
each response. Signatures are neither needed nor checked.
Each request but those to /-/ is a line of JSON in the log, written before its response: method, path (never the
query), signed (there is an X-Amz-Signature, or an Authorization), status, bytes (of the body that was received,
or is sent). status 0: the client went away before its body was complete.
"""
import argparse
import ctypes
import hashlib
import http.server
import json
import mimetypes
import os
import pathlib
import signal
import tempfile
import threading
import time
import urllib.parse

BODY_MAX = 256 << 20

parser = argparse.ArgumentParser(usage=__doc__)
parser.add_argument("--port", type=int, default=0)
parser.add_argument("--port-file")
parser.add_argument("--directory", default=".")
parser.add_argument("--log")
parser.add_argument("--fail-puts", type=int, default=0)
parser.add_argument("--delay-ms", type=int, default=0)
parser.add_argument("--die-with-parent", action="store_true")
options = parser.parse_args()
directory = pathlib.Path(options.directory).resolve()
lock = threading.Lock()  # of the switches and the log


class Gone(Exception):
    """The client has closed before its body was complete."""


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def read_exactly(self, count):
        data = self.rfile.read(count)
        if len(data) < count:
            raise Gone
        return data

    def read_chunked(self):
        body = b""
        while True:
            size = int(self.rfile.readline().split(b";")[0] or b"-1", 16)
            if size < 0 or len(body) + size > BODY_MAX:
                raise Gone
            body += self.read_exactly(size) if size else b""
            while size == 0 and self.rfile.readline() not in (b"\r\n", b"\n", b""):
                pass
            if size == 0:
                return body
            self.rfile.readline()

    def read_body(self):
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            return self.read_chunked()
        length = int(self.headers.get("Content-Length") or 0)
        if length > BODY_MAX:
            raise Gone
        return self.read_exactly(length)

    # Everything but /-/ is noted before the response is sent.
    def respond(self, status, body=b"", headers=(), received=None):
        parts = urllib.parse.urlsplit(self.path)
        is_signed = "X-Amz-Signature=" in parts.query or "Authorization" in self.headers
        if options.log and not parts.path.startswith("/-/"):
            line = {"method": self.command, "path": parts.path, "signed": is_signed, "status": status,
                    "bytes": len(body) if received is None else received}
            with lock, open(options.log, "a", encoding="utf-8") as log:
                log.write(json.dumps(line) + "\n")
        if status == 0:
            self.close_connection = True
            return
        time.sleep(options.delay_ms / 1000)
        try:
            self.send_response(status)
            for name, value in headers:
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)
        except OSError:
            self.close_connection = True

    # The file that the request names. None: that leads out of the directory.
    def target(self):
        name = urllib.parse.unquote(urllib.parse.urlsplit(self.path).path).strip("/")
        path = (directory / name.replace("\0", "/../..")).resolve()
        return path if directory in path.parents else None

    def is_bucket(self):
        parts = urllib.parse.urlsplit(self.path)
        return "/" not in parts.path.strip("/") and (self.command == "PUT" or "list-type=" in parts.query)

    def do_PUT(self):
        try:
            body = self.read_body()
        except (Gone, OSError, ValueError):
            return self.respond(0, received=0)
        if self.is_bucket() and not body:
            return self.respond(200, received=0)
        path = self.target()
        if path is None or path.is_dir():
            return self.respond(403, received=len(body))
        with lock:
            fails = options.fail_puts > 0
            options.fail_puts -= fails
        if fails:
            return self.respond(500, b"<Error><Code>InternalError</Code></Error>", received=len(body))
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".upload-", delete=False) as file:
            file.write(body)
        os.replace(file.name, path)
        etag = '"' + hashlib.md5(body).hexdigest() + '"'
        return self.respond(200, headers=[("ETag", etag)], received=len(body))

    def do_GET(self):
        path = self.target()
        if path is not None and path.is_file():
            body = path.read_bytes()
            return self.respond(200, body, [
                ("Content-Type", mimetypes.guess_type(path.name)[0] or "application/octet-stream"),
                ("Last-Modified", self.date_time_string(path.stat().st_mtime)),
                ("ETag", '"' + hashlib.md5(body).hexdigest() + '"')])
        if self.is_bucket():
            return self.respond(200, b"<ListBucketResult/>")
        return self.respond(404, b"<Error><Code>NoSuchKey</Code></Error>")

    do_HEAD = do_GET

    def do_POST(self):
        parts = urllib.parse.urlsplit(self.path)
        if parts.path != "/-/settings":
            return self.respond(404)
        with lock:
            for name, value in urllib.parse.parse_qsl(parts.query):
                if name in ("fail_puts", "delay_ms"):
                    setattr(options, name, int(value))
        return self.respond(200)


if options.die_with_parent:
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG
directory.mkdir(parents=True, exist_ok=True)
server = http.server.ThreadingHTTPServer(("127.0.0.1", options.port), Handler)
server.daemon_threads = True
if options.port_file:
    pathlib.Path(options.port_file + ".new").write_text(f"{server.server_port}\n", encoding="ascii")
    os.replace(options.port_file + ".new", options.port_file)
print(f"listening on http://127.0.0.1:{server.server_port}", flush=True)
server.serve_forever()
