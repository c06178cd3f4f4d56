#!/usr/bin/python3
"""Random reads against known bytes while everything else goes wrong:  read_model.py DIRECTORY READERS READS SEED

READERS is the program of read_model.c. Meanwhile the media host plays faults, URLs expire after two
seconds, the daemon is killed and started again, the page cache is dropped, and what was cached is evicted or
lost. In the end, with everything well again, each video is right from its first byte to its last, nothing was
created beside them, and the reads that were asked for have all been right.
"""
import os
import random
import subprocess
import sys
import time

from world import DEADLINE_S, Broken, Mount, Simulator, wait_until

VIDEOS = 8
THREADS = 64
READS_PER_ACTION = 2000
READS_SECONDS = 120 # for so many reads at the most, without faults
FAULTS_MAX_S = 1

# Those that heal by themselves: what is read is right in the end.
RESPONSES = [
    {'shift': 65536}, {'shift': -65536}, {'shift': 1}, {'short': 1}, {'short': 70000}, {'ignore_range': True},
    {'no_content_range': True}, {'content_range': 'bytes 0-65535/2000000'}, {'content_range': 'bytes */1'},
    {'headers': {'ETag': None}}, {'etag': '"other"'}, {'status': 503}, {'status': 403}, {'status': 404},
    {'status': 429, 'headers': {'Retry-After': '1'}}, {'content_length': '100'}, {'content_length': '9999999'},
    {'reset_at': 'headers'}, {'reset_at': 'body'}, {'cut_at': 'body'}, {'cut_after_bytes': 70001},
    {'cut_after_bytes': 0}, {'chunked': True}, {'chunked': 'bad'}, {'gzip': True}, {'delay_ms': 300}, {'rate': 300000},
    {'status': 200, 'headers': {'Content-Type': 'text/html'}, 'body': '<html>'}, {'body': ''},
    {'status': 302, 'headers': {'Location': '{{video_path}}'}, 'body': ''},
    # Not `bytes 0-9/10`: with the size unknown, after another ETag, that is the response for a video of ten bytes.
    {'raw': 'HTTP/1.1 206 OK\r\nContent-Range: bytes 7-16/17\r\nContent-Length: 10\r\n\r\n0123456789'},
]


class Model:
    def __init__(self, directory, seed):
        self.random = random.Random(seed)
        self.directory = directory
        self.simulator = Simulator(directory, '--rate', '4M', '--url-expires', '2')
        self.mount = Mount(self.simulator, os.path.join(directory, 'mount'), '--archive', 'never',
                           '--cache-size', '12M')
        self.names = [f'video{i}' for i in range(VIDEOS)]
        self.readers = None
        self.deck = []
        self.done = {}

    def rights(self):
        """Pairs of a video and a file with what it must hold."""
        for name in self.names:
            self.mount.create(name, f'[[video_bytes={self.random.randrange(1_000_000, 6_000_000)}]] {name}')
        for name in self.names:
            self.mount.wait_succeeded(name)
            wait_until(f'the size of {name}', lambda name=name: os.path.exists(self.mount.video(name)))
            path = os.path.join(self.directory, name)
            with open(path, 'wb') as file:
                file.write(self.simulator.video(self.mount.task(name)))
            yield self.mount.video(name)
            yield path

    # What is done meanwhile.

    def faults(self):
        rules = []
        for _ in range(self.random.randrange(1, 4)):
            if not self.deck: # each has its turn
                self.deck = self.random.sample(RESPONSES, len(RESPONSES))
            response = self.deck.pop()
            rule = {'kind': 'video', 'every': self.random.randrange(1, 5), 'response': response}
            if self.random.random() < 0.5:
                rule['task'] = self.random.randrange(1, VIDEOS + 1)
            rules.append(rule)
        self.simulator.play(*rules)
        return ', '.join(f'{rule["response"]} every {rule["every"]}' for rule in rules)

    def calm(self):
        self.simulator.play()

    def silence(self):
        self.simulator.play({'kind': 'video', 'times': 2, 'response': {'silence_at': 'body', 'cut_after_bytes': 9}})

    def start(self):
        self.mount.start()

    def kill(self):
        self.mount.kill()
        self.start()

    def stop(self):
        self.mount.stop()
        self.start()

    def lose(self):
        self.mount.kill()
        self.mount.forget_cache()
        self.start()

    def drop(self):
        for name in self.names:
            try:
                file = os.open(self.mount.video(name), os.O_RDONLY)
            except OSError:
                continue
            os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(file)

    def drop_all(self):
        try:
            with open('/proc/sys/vm/drop_caches', 'w', encoding='ascii') as file:
                file.write('1')
        except OSError:
            self.drop()

    def evict(self):
        name = self.random.choice(self.names)
        try:
            with open(self.mount.job(name, 'ctl'), 'w', encoding='ascii') as file:
                file.write('evict\n')
        except OSError:
            pass # it is being read

    def act(self):
        actions = [(self.faults, 12), (self.calm, 4), (self.kill, 4), (self.stop, 1), (self.lose, 4), (self.drop, 4),
                   (self.drop_all, 1), (self.evict, 4), (self.silence, 1)]
        action, = self.random.choices([a for a, _ in actions], [weight for _, weight in actions])
        self.done[action.__name__] = self.done.get(action.__name__, 0) + 1
        detail = action()
        return action.__name__ + (f': {detail}' if detail else '')

    def tell(self, reads, what):
        """How many reads were right by now."""
        self.readers.stdin.write(f'{reads} {what[:400]}\n')
        self.readers.stdin.flush()
        line = self.readers.stdout.readline()
        if not line:
            raise Broken('the readers have ended')
        return int(line)

    def wait_reads(self, wanted):
        """Under some faults nothing that is not cached can be read: they end after a while."""
        end = time.monotonic() + FAULTS_MAX_S
        while self.tell(wanted, '') < wanted:
            if time.monotonic() > end:
                self.calm()
                wait_until(f'{wanted} right reads', lambda: self.tell(wanted, '') >= wanted, READS_SECONDS)
            time.sleep(0.01)

    def whole(self, name):
        def is_right():
            try:
                with open(self.mount.video(name), 'rb') as video, \
                        open(os.path.join(self.directory, name), 'rb') as right:
                    if video.read() != right.read():
                        raise Broken(f'{name} is wrong in the end')
                return True
            except OSError:
                return False
        wait_until(f'{name} to be right in the end', is_right, DEADLINE_S, 0.2)

    def run(self, program, reads, seed):
        began = time.monotonic()
        self.readers = subprocess.Popen([program, str(seed), str(THREADS), *self.rights()],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        wanted = 0
        while wanted < reads:
            wanted = min(reads, wanted + READS_PER_ACTION)
            self.tell(wanted, self.act())
            time.sleep(self.random.random() * 0.4)
            self.wait_reads(wanted)
        self.calm()
        self.readers.stdin.close()
        if self.readers.wait(2 * DEADLINE_S) != 0:
            raise Broken('the readers have failed')
        for _ in range(2):
            for name in self.names:
                self.whole(name)
            self.stop()
            self.drop()
        creates = self.simulator.count('create')
        if creates != VIDEOS:
            raise Broken(f'{creates} creates for {VIDEOS} jobs')
        print(f'{time.monotonic() - began:.0f} s; {self.simulator.count("video")} requests, '
              f'{self.simulator.count("poll")} polls; ' + ', '.join(f'{n} {what}' for what, n in self.done.items()))

    def end(self):
        if self.readers:
            self.readers.kill()
            self.readers.wait()
        self.mount.end()
        self.simulator.stop()


def main():
    directory, program, reads, seed = sys.argv[1:]
    model = Model(directory, int(seed))
    try:
        model.run(program, int(reads), int(seed))
        model.mount.stop()
    except (Broken, OSError) as error:
        print(f'seed {seed}: {type(error).__name__}: {error}', file=sys.stderr)
        return 1
    finally:
        model.end()
    return 0


sys.exit(main())
