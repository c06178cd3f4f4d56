#!/usr/bin/python3
"""200 readers of a media host that never answers, and everybody else:  stalls.py DIRECTORY

Commands that only look, a cached video, killed readers, the end of the daemon: nothing may wait for the host. The
targets (50 ms for a command, 250 ms for a killed reader, 2 s for the end) are printed beside what was measured;
what fails the test is a multiple of what the same took on the same machine before, so that a slow or busy
machine does not.
"""
import os
import signal
import statistics
import subprocess
import sys
import threading
import time

from world import Broken, Mount, Simulator, wait_until

READERS = 200
SAMPLES = 20
VIDEO_BYTES = 20 << 20
# A process that waits for a page in page cache shows the state D, but dies at once when it is killed (TASK_KILLABLE).
KILLABLE = ('folio_wait_bit_common', 'folio_wait_bit_killable', '__folio_lock_killable', 'wait_on_page_bit_common',
            'wait_on_page_bit_killable', '0')


def seconds_of(call):
    began = time.monotonic()
    call()
    return time.monotonic() - began


def proc(pid, name):
    try:
        with open(f'/proc/{pid}/{name}', encoding='ascii', errors='replace') as file:
            return file.read()
    except OSError:
        return ''


def state_of(pid):
    return proc(pid, 'stat').rpartition(') ')[2][:1]


class Watch:
    """Looks ten times a second for processes that are in state D all the time and could not be killed."""

    def __init__(self, pids):
        self.pids = pids
        self.since = {}
        self.worst = {}
        self.is_over = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        while not self.is_over.wait(0.1):
            for pid in list(self.pids):
                where = proc(pid, 'wchan') or '0'
                if state_of(pid) != 'D' or where in KILLABLE:
                    self.since.pop(pid, None)
                    continue
                lasted = time.monotonic() - self.since.setdefault(pid, time.monotonic())
                if lasted > self.worst.get(where, 0):
                    self.worst[where] = lasted

    def end(self):
        self.is_over.set()
        self.thread.join()
        for where, lasted in self.worst.items():
            if lasted > 1:
                raise Broken(f'a process was in state D for {lasted:.1f} s, in {where}')


class Stalls:
    def __init__(self, directory):
        self.simulator = Simulator(directory, '--video-bytes', str(VIDEO_BYTES))
        self.mount = Mount(self.simulator, os.path.join(directory, 'mount'))
        self.readers = []
        self.scratch = os.path.join(directory, 'copy')
        for name in ('cached', 'hung'):
            self.mount.create(name)
            self.mount.wait_succeeded(name)
            wait_until('the size', lambda name=name: os.path.exists(self.mount.video(name)))
        self.right = self.simulator.video(self.mount.task('cached'))
        self.read_cached()

    def commands(self):
        return [['cat', self.mount.job('hung', 'status')], ['ls', '-l', self.mount.job('hung')],
                ['stat', self.mount.video('hung')], ['df', self.mount.path]]

    def read_cached(self):
        """By another process, which can be given up; nothing of it is in the page cache."""
        file = os.open(self.mount.video('cached'), os.O_RDONLY)
        os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(file)
        try:
            subprocess.run(['cp', self.mount.video('cached'), self.scratch], check=True, timeout=60)
        except subprocess.TimeoutExpired as error:
            raise Broken('a cached video cannot be read while others stall') from error
        with open(self.scratch, 'rb') as copy:
            if copy.read() != self.right:
                raise Broken('the cached video is wrong')

    def measure(self):
        """The median seconds of each command, and of the cached video."""
        times = {' '.join(command[:-1]): statistics.median(
            seconds_of(lambda command=command: subprocess.run(
                command, check=True, timeout=60, stdout=subprocess.DEVNULL)) for _ in range(SAMPLES))
                 for command in self.commands()}
        times['a cached video of 20 MiB'] = statistics.median(seconds_of(self.read_cached) for _ in range(5))
        return times

    def is_stalled(self, reader):
        if reader.poll() is not None:
            raise Broken(f'a reader has ended with {reader.returncode}')
        words = proc(reader.pid, 'syscall').split()
        if len(words) < 2 or not words[1].startswith('0x'):
            return False
        try:
            return os.readlink(f'/proc/{reader.pid}/fd/{int(words[1], 16)}').startswith(self.mount.path)
        except OSError:
            return False

    def begin(self):
        """Half of them by way of the page cache, half directly; here and there in the video."""
        self.simulator.play({'kind': 'video', 'prompt_contains': 'hung', 'response': {'silence_at': 'headers'}})
        for i in range(READERS):
            # Neither the head nor the tail, which may be cached.
            command = ['dd', f'if={self.mount.video("hung")}', 'bs=64k', f'skip={i + 40}', 'status=none']
            self.readers.append(subprocess.Popen(command + ['iflag=direct'] * (i % 2), stdout=subprocess.DEVNULL,
                                                 stderr=subprocess.DEVNULL))
        for reader in self.readers:
            wait_until('a reader to stall', lambda reader=reader: self.is_stalled(reader))

    def threads(self):
        return int(proc(self.mount.process.pid, 'status').split('Threads:')[1].split()[0])

    def kill_some(self):
        sleeper = subprocess.Popen(['sleep', '1000'])
        ordinary = seconds_of(lambda: (sleeper.kill(), sleeper.wait()))
        times = []
        for _ in range(SAMPLES):
            reader = self.readers.pop()
            times.append(seconds_of(lambda reader=reader: (reader.kill(), reader.wait(60))))
        self.check('a killed reader', statistics.median(times), ordinary, 0.25)
        self.check('the slowest of 20 killed readers', max(times), ordinary, 1)

    @staticmethod
    def check(what, took, before, target):
        print(f'{what}: {took * 1000:.0f} ms, target {target * 1000:.0f}, before {before * 1000:.0f}')
        if took > 10 * before + target:
            raise Broken(f'{what} took {took * 1000:.0f} ms instead of {before * 1000:.0f}')

    def end_daemon(self, how, begin_end):
        """The daemon and all readers end, nobody is left waiting."""
        began = time.monotonic()
        begin_end()
        code = self.mount.process.wait(60)
        self.check(f'the end by {how} with {len(self.readers)} readers', time.monotonic() - began, 0, 2)
        if code != 0:
            raise Broken(f'the daemon ended with {code}')
        for reader in self.readers:
            reader.wait(10)
        self.readers.clear()

    def run(self):
        before = self.measure()
        threads = self.threads()
        self.begin()
        watched = [reader.pid for reader in self.readers] + [self.mount.process.pid]
        watch = Watch(watched)
        while_stalled = self.measure()
        for what, took in while_stalled.items():
            self.check(what, took, before[what], 0.05)
        # libcurl resolves names in threads that end by themselves; here there is nothing to resolve.
        if self.threads() > threads:
            raise Broken(f'{self.threads()} threads with {READERS} readers instead of {threads}')
        self.kill_some()
        if not all(self.is_stalled(reader) for reader in self.readers):
            raise Broken('some readers did not stay')
        watch.end()
        self.end_daemon('SIGTERM', lambda: self.mount.process.send_signal(signal.SIGTERM))
        self.mount.start()
        if os.geteuid() != 0:
            return # `umount -f` is for root
        self.begin()
        self.end_daemon('umount -f', lambda: subprocess.run(['umount', '-f', self.mount.path], check=False,
                                                            stderr=subprocess.DEVNULL))

    def end(self):
        self.mount.end()
        for reader in self.readers:
            reader.kill()
            reader.wait()
        self.simulator.stop()


def main():
    stalls = Stalls(sys.argv[1])
    try:
        stalls.run()
    except (Broken, OSError, subprocess.SubprocessError) as error:
        print(f'{type(error).__name__}: {error}', file=sys.stderr)
        return 1
    finally:
        stalls.end()
    return 0


sys.exit(main())
