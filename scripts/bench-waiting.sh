#!/bin/bash
# How soon those who wait learn of a transition, with 1,000 jobs of which 100 are under way: a read of `wait`, a reader of
# `events`, poll(2) on `status` and inotify on videos/, each against the time that the event itself carries; beside it a
# pipe between two processes, and reading `status` in a loop, which is what it replaces.
#   bench-waiting.sh BUILD_DIRECTORY
# shellcheck source=scripts/bench-common.bash
source "$(dirname "$0")/bench-common.bash"
start_world
mount_fs --poll-interval 0.2 --log-level warn
"$PYTHON" - "$MNT" <<'P' >"$DIR/figures"
import ctypes, json, os, select, struct, sys, threading, time
from datetime import datetime
M = sys.argv[1]
for i in range(900):
    os.mkdir(f"{M}/jobs/rest{i}")
names = [f"job{i}" for i in range(100)]
happened, heard = {}, {"wait": {}, "events": {}, "poll": {}, "inotify": {}}

def waits(name):
    with open(f"{M}/jobs/{name}/wait") as f:
        f.read()
    heard["wait"][name] = time.time()

def polls():
    fds, poll = {}, select.epoll()
    for name in names:
        fd = os.open(f"{M}/jobs/{name}/status", os.O_RDONLY)
        while os.read(fd, 100):
            pass
        poll.register(fd, select.EPOLLIN)
        fds[fd] = name
    ready.release()
    while len(heard["poll"]) < len(names):
        for fd, _ in poll.poll():
            now = time.time()
            os.lseek(fd, 0, 0)
            if os.read(fd, 100) == b"succeeded\n":
                heard["poll"][fds[fd]] = now
                poll.unregister(fd)
            else:
                os.read(fd, 100)

def inotifies():
    libc = ctypes.CDLL(None)
    fd = libc.inotify_init()
    libc.inotify_add_watch(fd, f"{M}/videos".encode(), 0x100)
    ready.release()
    while len(heard["inotify"]) < len(names):
        data, now, at = os.read(fd, 65536), time.time(), 0
        while at < len(data):
            length = struct.unpack_from("iIII", data, at)[3]
            name = data[at + 16:at + 16 + length].rstrip(b"\0").decode()
            heard["inotify"].setdefault(name[:-len(".mp4")], now)
            at += 16 + length

def events():
    ready.release()
    with open(f"{M}/events") as f:
        for line in f:
            now, event = time.time(), json.loads(line)
            if event["state"] == "succeeded":
                happened[event["job"]] = datetime.fromisoformat(event["time"].replace("Z", "+00:00")).timestamp()
                heard["events"][event["job"]] = now
                if len(heard["events"]) == len(names):
                    return

ready = threading.Semaphore(0)
for name in names:
    os.mkdir(f"{M}/jobs/{name}")
threads = [threading.Thread(target=f) for f in (polls, inotifies, events)]
threads += [threading.Thread(target=waits, args=(name,)) for name in names]
for thread in threads:
    thread.start()
for _ in range(3):
    ready.acquire()
for name in names:
    with open(f"{M}/jobs/{name}/prompt.json", "w") as f:
        f.write('{"prompt": "%s [[seconds=2]]"}' % name)
    time.sleep(0.05)
for thread in threads:
    thread.join(120)
r, w = os.pipe()
pipes = []
if os.fork() == 0:
    for _ in range(200):
        os.write(w, struct.pack("d", time.time()))
        time.sleep(0.005)
    os._exit(0)
for _ in range(200):
    sent = struct.unpack("d", os.read(r, 8))[0]
    pipes.append(time.time() - sent)
def centile(values, share):
    return sorted(values)[min(len(values) - 1, int(len(values) * share))] * 1000
for way, times in heard.items():
    late = [times[name] - happened[name] for name in names]
    # The time of an event is a whole millisecond, cut.
    print(way, f"{centile(late, 0.5):.2f} {centile(late, 0.99):.2f} {centile(pipes, 0.5):.2f}")
P
table_head
while read -r way middle worst pipe; do
    row "$way, 1,000 jobs: told after, median" "$middle" ms most 50 "a pipe between two processes" "$pipe"
    row "$way, 1,000 jobs: 99 of 100" "$worst" ms most 50 "" ""
done <"$DIR/figures"
table_end
