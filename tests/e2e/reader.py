#!/usr/bin/python3
"""Readers that a shell has no words for:  reader.py WAY FILE RIGHT [SEED [COUNT]]
Each compares what it reads of FILE with the local file RIGHT and fails at the first difference.

  random   pread of random length at random places
  mmap     pages in random order, then the whole
  sparse   COUNT reads of 4 KiB at random places, without readahead
  reopened the same, and the file is opened anew for each
  alarm    read(2) by way of libc while SIGALRM interrupts with a handler and without SA_RESTART, so that an
           EINTR or a short read is not hidden by Python
  direct   the same with O_DIRECT, whose reads the kernel does interrupt
"""
import ctypes
import errno
import mmap
import os
import random
import signal
import sys
import time

CHUNK = 64 * 1024


def check(part, whole, offset, what):
    if bytes(part) != whole[offset:offset + len(part)]:
        sys.exit(f'{what}: wrong bytes in [{offset}, {offset + len(part)})')


def read_random(path, right):
    file = os.open(path, os.O_RDONLY)
    for _ in range(150):
        offset = random.randrange(len(right) + 100)
        size = random.randrange(1, 300_000)
        part = os.pread(file, size, offset)
        if len(part) != max(0, min(size, len(right) - offset)):
            sys.exit(f'pread({size}, {offset}) gave {len(part)} bytes')
        check(part, right, offset, 'pread')


def read_sparse(path, right, is_reopened=False):
    count = int(sys.argv[5])
    file = os.open(path, os.O_RDONLY)
    os.posix_fadvise(file, 0, 0, os.POSIX_FADV_RANDOM)
    for _ in range(count):
        offset = random.randrange(len(right) - 4096)
        check(os.pread(file, 4096, offset), right, offset, 'pread')
        if is_reopened:
            os.close(file)
            file = os.open(path, os.O_RDONLY)
            os.posix_fadvise(file, 0, 0, os.POSIX_FADV_RANDOM)


def read_mmap(path, right):
    with open(path, 'rb') as file:
        view = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
    places = list(range(0, len(right), mmap.PAGESIZE))
    for offset in random.sample(places, min(200, len(places))):
        check(view[offset:offset + 100], right, offset, 'mmap')
    check(view[:], right, 0, 'mmap')


def read_alarm(path, right, flags=0):
    alarms = 0

    def on_alarm(_number, _frame):
        nonlocal alarms
        alarms += 1

    signal.signal(signal.SIGALRM, on_alarm)
    signal.siginterrupt(signal.SIGALRM, True)
    libc = ctypes.CDLL(None, use_errno=True)
    libc.read.restype = ctypes.c_ssize_t
    file = os.open(path, os.O_RDONLY | flags)
    memory = mmap.mmap(-1, CHUNK) # aligned, for O_DIRECT
    address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    began = time.monotonic()
    signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)
    offset = 0
    while offset < len(right):
        n = libc.read(file, ctypes.c_void_p(address), ctypes.c_size_t(CHUNK))
        if n < 0:
            sys.exit(f'read at {offset}: {errno.errorcode[ctypes.get_errno()]}')
        if n != min(CHUNK, len(right) - offset):
            sys.exit(f'read at {offset}: short, {n} bytes')
        check(memory[:n], right, offset, 'read')
        offset += n
    signal.setitimer(signal.ITIMER_REAL, 0)
    # Those that come during one read are delivered as one.
    if alarms < 5 or time.monotonic() - began < 0.5:
        sys.exit(f'only {alarms} alarms: the read was too fast to prove anything')


def main():
    way, path, right_path = sys.argv[1:4]
    seed = int(sys.argv[4]) if len(sys.argv) > 4 else 1
    random.seed(seed)
    with open(right_path, 'rb') as file:
        right = file.read()
    {'random': read_random, 'mmap': read_mmap, 'alarm': read_alarm, 'sparse': read_sparse,
     'reopened': lambda p, r: read_sparse(p, r, True),
     'direct': lambda p, r: read_alarm(p, r, os.O_DIRECT)}[way](path, right)


main()
