"""A server on loopback for whom nothing is meant:  tls_server.py MODE CERTIFICATE PORT_FILE LOG

MODE: `tls` speaks TLS with the certificate (and its key in the same file) and answers a request with 404;
`close`, `reset`: ends each connection at once; `close-hello`, `reset-hello`: behind the first bytes of the
handshake; `plain`: answers the handshake with HTTP; `silent`: never says anything. Each connection is a line of
the log: "connected", and "request N" for N bytes that came through TLS.
"""
import os
import re
import socket
import ssl
import struct
import sys
import threading

mode, certificate, port_file, log = sys.argv[1:]
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
if mode == "tls":
    context.load_cert_chain(certificate)


def note(text):
    with open(log, "a", encoding="utf-8") as f:
        f.write(text + "\n")


def end(connection):
    if mode.startswith("reset"):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def is_whole(request):
    head, end_of_head, body = request.partition(b"\r\n\r\n")
    length = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
    return bool(end_of_head) and len(body) >= (int(length[1]) if length else 0)


def serve(connection):
    note("connected")
    if mode.endswith("-hello") or mode == "plain":
        connection.recv(1, socket.MSG_PEEK)
    if mode == "plain":
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 14\r\n\r\n" + b'{"id":"cgt-1"}')
    if mode == "silent":
        connection.recv(1 << 20)
        connection.recv(1)  # until the client has had enough
    if mode != "tls":
        end(connection)
        return
    try:
        with context.wrap_socket(connection, server_side=True) as tls:
            # All of it, a body too: what is unread when a connection ends makes it a reset.
            request = b""
            while not is_whole(request) and (piece := tls.recv(1 << 16)):
                request += piece
            if request:
                note(f"request {len(request)}")
                tls.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
    except OSError:
        pass


listener = socket.create_server(("127.0.0.1", 0))
with open(port_file + ".new", "w", encoding="utf-8") as f:
    f.write(str(listener.getsockname()[1]))
os.rename(port_file + ".new", port_file)
while True:
    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
