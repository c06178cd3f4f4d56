"""A service manager as far as notifications go: notify.py SOCKET OUT COMMAND...

Listens on SOCKET ("@NAME" is of the abstract namespace), runs COMMAND with $NOTIFY_SOCKET, writes each message as
"PID-IS-THE-COMMAND'S message with | for newlines" into OUT, and ends with the command's exit code once it has ended.
SIGTERM goes on to the command.
"""
import os
import select
import signal
import socket
import struct
import subprocess
import sys

name, out_path, *command = sys.argv[1:]
listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
listener.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
listener.bind("\0" + name[1:] if name.startswith("@") else name)
child = subprocess.Popen(command, env={**os.environ, "NOTIFY_SOCKET": name})
signal.signal(signal.SIGTERM, lambda *_: child.send_signal(signal.SIGTERM))
with open(out_path, "a", buffering=1) as out:
    while True:
        code = child.poll()
        while select.select([listener], [], [], 0 if code is not None else 0.05)[0]:
            data, control, _, _ = listener.recvmsg(4096, socket.CMSG_SPACE(12))
            pid = struct.unpack("3i", control[0][2])[0]
            out.write(f"{pid == child.pid} {data.decode()}".replace("\n", "|") + "\n")
        if code is not None:
            sys.exit(code)
