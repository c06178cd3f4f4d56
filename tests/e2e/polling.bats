#!/usr/bin/env bats
# poll(2), select(2) and epoll(7) on the mount.
load helper

setup() { start_world; J=$MNT/jobs; }
teardown() { end_world; }

# S-POLL-1: poll(2), select(2) and epoll(7) report a generated file as readable until it was read to its end, and
#   again (POLLIN and POLLPRI) when its content has changed. Reading it again from the beginning then returns the new
#   content.
@test "S-POLL-1: a generated file is readable when it has become another" {
    mount_fs
    mkdir "$J/cat"
    python '
import select, selectors, asyncio
J = M + "jobs/cat/"
def read(fd):
    os.lseek(fd, 0, 0)
    return os.read(fd, 100000).decode()
fds = {name: os.open(J + name, os.O_RDONLY) for name in ("status", "status.json", "progress", "log")}
poll = select.poll()
epoll = select.epoll()
for fd in fds.values():
    poll.register(fd, select.POLLIN | select.POLLPRI)
    epoll.register(fd, select.EPOLLIN | select.EPOLLPRI)
assert len(poll.poll(0)) == len(epoll.poll(0)) == 4     # not yet read
os.read(fds["status"], 3)
assert len(poll.poll(0)) == 4                           # not to its end
texts = {name: read(fd) for name, fd in fds.items()}
assert poll.poll(200) == epoll.poll(0.2) == [], "readable without a change"
assert select.select(list(fds.values()), [], list(fds.values()), 0.2) == ([], [], [])
os.lseek(fds["status"], 0, 0)
assert poll.poll(0) == []                               # looking is no change
# A change that is none of this job, and one that leaves the word as it is.
os.mkdir(M + "jobs/other")
os.rename(M + "jobs/cat", M + "jobs/lion")
changed = {fd for fd, mask in poll.poll(5000)}
assert changed == {fds["status.json"], fds["log"]}, changed
for fd in fds.values():
    read(fd)
child = subprocess.Popen(["sh", "-c", "sleep 0.5; echo \"{\\\"prompt\\\": \\\"x [[seconds=1]]\\\"}\" >$0jobs/lion/prompt.json", M])
ready = dict(poll.poll(20000))
assert ready and all(mask == select.POLLIN | select.POLLPRI for mask in ready.values()), ready
assert dict(epoll.poll(5))
# The whole story, by each way of waiting; status alone.
fd = fds["status"]
states = []
ways = [lambda: select.select([fd], [], [], 20)[0], lambda: select.select([], [], [fd], 20)[2]]
one = select.poll(); one.register(fd, select.POLLPRI | select.POLLERR)
ways.append(lambda: one.poll(20000))
edge = select.epoll(); edge.register(fd, select.EPOLLIN | select.EPOLLET)
ways.append(lambda: edge.poll(20))
selector = selectors.DefaultSelector(); selector.register(fd, selectors.EVENT_READ)
ways.append(lambda: selector.select(20))
while "succeeded" not in states:
    assert ways[len(states) % len(ways)](), states
    word = read(fd).strip()
    assert not states or word != states[-1], (word, states)
    states.append(word)
assert states[-1] == "succeeded" and len(states) >= 3, states
child.wait()
# Several who wait for one file, in threads of one process and in two processes: none of them is forgotten.
import threading
os.mkdir(M + "jobs/crowd")
woken = []
def wait_one(fd):
    poll = select.poll()
    poll.register(fd, select.POLLPRI)
    if poll.poll(20000):
        woken.append(fd)
crowd = [os.open(M + "jobs/crowd/status", os.O_RDONLY) for _ in range(6)]
for fd in crowd:
    read(fd)
    os.read(fd, 100)
threads = [threading.Thread(target=wait_one, args=(fd,)) for fd in crowd for _ in range(2)]
twin = os.fork()
if twin == 0:
    fd = os.open(M + "jobs/crowd/status", os.O_RDONLY)
    read(fd)
    wait_one(fd)
    os._exit(len(woken) != 1)
for thread in threads:
    thread.start()
import time
time.sleep(0.3)
open(M + "jobs/crowd/prompt.json", "w").write("{\"prompt\": \"crowd\"}")
for thread in threads:
    thread.join()
assert sorted(woken) == sorted(crowd * 2), (woken, crowd)
assert os.waitpid(twin, 0)[1] == 0
'
}

@test "S-POLL-1: whoever polls the progress of a task sees it go on" {
    mount_fs
    echo '{"prompt": "x [[seconds=30]]"}' >"$J/cat/prompt.json"
    wait_status cat running
    python '
import select
fd = os.open(M + "jobs/cat/status.json", os.O_RDONLY)
poll = select.poll()
poll.register(fd, select.POLLPRI)
seen = set()
while len(seen) < 3:
    os.lseek(fd, 0, 0)
    status = json.loads(os.read(fd, 100000))
    assert status["state"] == "running"
    seen.add(status["progress"]["fraction"])
    assert poll.poll(10000)
'
}

@test "S-POLL-1: whoever polls the progress of a video that is fetched sees it go on" {
    slow_video cat
    J=$MNT/jobs
    cat "$J/cat/output.mp4" >/dev/null 3>&- &
    reader=$!
    python '
import select
fds = [os.open(M + "jobs/cat/" + name, os.O_RDONLY) for name in ("progress", "status.json")]
seen = [set(), set()]
poll = select.poll()
for fd in fds:
    poll.register(fd, select.POLLPRI)
while min(map(len, seen)) < 3:
    for fd, texts in zip(fds, seen):
        os.lseek(fd, 0, 0)
        texts.add(os.read(fd, 100000))
    assert poll.poll(20000), seen
'
    wait "$reader"
}

# S-POLL-2: They report `wait` as readable when a read would not wait any more, and `events` when it has lines that
#   were not read from this descriptor.
@test "S-POLL-2: wait and events" {
    mount_fs
    mkdir "$J/cat"
    python '
import select
J = M + "jobs/cat/"
wait = os.open(J + "wait", os.O_RDONLY)
events = os.open(M + "events", os.O_RDONLY)
removed = os.open(J + "status", os.O_RDONLY); os.read(removed, 100); os.read(removed, 100)
poll = select.epoll()
poll.register(wait, select.EPOLLIN)
poll.register(events, select.EPOLLIN)
assert dict(poll.poll(0)) == {events: select.EPOLLIN}
os.read(events, 1)
assert dict(poll.poll(0)) == {events: select.EPOLLIN}
os.read(events, 100000)
assert poll.poll(0.2) == []
open(J + "prompt.json", "w").write("{\"prompt\": \"x [[seconds=1]]\"}")
states = []
while True:
    ready = dict(poll.poll(20))
    assert ready
    if events in ready:
        states += [json.loads(line)["state"] for line in os.read(events, 100000).splitlines()]
    if wait in ready:
        assert os.read(wait, 100) == b"succeeded\n" and os.read(wait, 100) == b""
        break
while states[-1] != "succeeded":
    states += [json.loads(line)["state"] for line in os.read(events, 100000).splitlines()]
assert states == ["waiting", "submitting", "queued", "running", "succeeded"], states
# What has always been readable stays so, and a removed job says that nothing will come.
plain = [os.open(J + name, os.O_RDONLY) for name in ("prompt.json", "output.mp4")] + [os.open(M + "README.txt", os.O_RDONLY)]
assert select.select(plain, [], [], 5)[0] == plain
ctl = os.open(J + "ctl", os.O_WRONLY)
assert select.select([], [ctl], [], 5)[1] == [ctl]
gone = select.poll(); gone.register(removed, select.POLLIN); gone.poll(0); os.lseek(removed, 0, 0); os.read(removed, 100)
assert gone.poll(100) == []
child = subprocess.Popen(["sh", "-c", "sleep 0.3; rm -r $0", J])
assert gone.poll(20000)[0][1] & select.POLLHUP
child.wait()
'
}

@test "S-POLL-2: epoll instances come, go and outlive what they watch; nothing is left behind" {
    mount_fs
    mkdir "$J/cat"
    rss() { awk '/^VmRSS/ { print $2 }' "/proc/$FS_PID/status"; }
    python '
import select
J = M + "jobs/cat/"
for i in range(300):
    fd = os.open(J + "status", os.O_RDONLY)
    os.read(fd, 100); os.read(fd, 100)
    epoll = select.epoll()
    epoll.register(fd, select.EPOLLIN)
    assert epoll.poll(0) == []
    if i % 3 == 0:
        os.close(fd)
    if i % 3 == 1:
        epoll.unregister(fd)
    if i % 2:
        epoll.close()
    if i % 3:
        os.close(fd)
'
    fds=$(ls "/proc/$FS_PID/fd" | wc -l)
    make_job cat
    [ "$(cat "$J/cat/status")" = succeeded ]
    [ "$(ls "/proc/$FS_PID/fd" | wc -l)" -le $((fds + 8)) ]
    # A mount that goes away while somebody polls.
    "$PYTHON" -c 'import os, select, sys
fd = os.open(sys.argv[1], os.O_RDONLY)
os.read(fd, 100); os.read(fd, 100)
p = select.poll(); p.register(fd, select.POLLIN)
print(p.poll(20000), flush=True)' "$J/cat/status" >"$DIR/polled" 3>&- &
    poller=$!
    sleep 0.3
    kill "$FS_PID"
    wait_until 10 process_is_gone "$FS_PID"
    wait_until 10 process_is_gone $poller
    has '[(' "$DIR/polled"
}
