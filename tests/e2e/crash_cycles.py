#!/usr/bin/env python3
"""kill -9 and start again, many times over, with the simulator's request log as the oracle.

Each cycle starts the daemon (which clears the dead mount away by itself), compares every job with what was
seen before the last kill, writes some prompts in different ways, and kills the daemon at a moment that
the seed decides. Every prompt holds a marker of its own, so that the log tells for each attempt how
often it was sent. What must hold:

  1. creates(marker) <= 1, whatever happened.
  2. A job that was seen `waiting` or later is never lost, and never goes back.
  3. Every task id that the simulator gave out is the task_id of its job, or that job is `unknown`
     and its `error` says why.
  4. What was not committed is never sent.
  5. In the end every accepted job is succeeded, failed (where the prompt asks for it) or unknown, and every
     video is the service's, byte for byte.
"""
import argparse
import collections
import ctypes
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
import urllib.request

RANK = {'draft': 0, 'invalid': 0, 'waiting': 1, 'submitting': 2, 'queued': 3, 'running': 4,
        'unknown': 5, 'rejected': 5, 'succeeded': 5, 'failed': 5, 'cancelled': 5, 'expired': 5,
        'lost': 5}
FINAL = {word for word, rank in RANK.items() if rank == 5}
DEADLINE_S = 30

# What the simulator does with a create whose prompt holds the word; the window in which a request is
# under way is made wide by it. "late" is answered late; "drip" has been accepted while its answer
# still comes in drops; "cut" is accepted and its answer never comes.
SCENARIO = {'rules': [
    {'kind': 'create', 'prompt_contains': '(late)', 'answer': {'delay_ms': 120}},
    {'kind': 'create', 'prompt_contains': '(drip)', 'answer': {'rate': 600}},
    {'kind': 'create', 'prompt_contains': '(cut)', 'answer': {'cut_at': 'headers'}},
]}


class Broken(Exception):
    """The program did what it must never do."""


class Job:
    def __init__(self, name, marker, kind):
        self.name = name
        self.marker = marker
        self.kind = kind
        self.is_complete = True  # everything was written and closed
        self.seen = None         # the last status word that was read

    def __repr__(self):
        return f'{self.name} ({self.marker}, {self.kind}, seen {self.seen})'


class Cycles:
    def __init__(self, options):
        self.options = options
        self.random = random.Random(options.seed)
        self.jobs = []
        self.daemon = None
        self.markers = 0
        self.counts = collections.Counter()
        self.open_files = []
        self.readers = []

    # The daemon.

    def start(self):
        def die_with_parent():
            ctypes.CDLL(None).prctl(1, signal.SIGKILL)

        with open(self.options.daemon_log, 'ab') as log:
            self.daemon = subprocess.Popen(
                [self.options.seedancefs, '-f', '--api-url', self.options.api, '--api-key-file',
                 self.options.key, '--data-dir', self.options.data, '--poll-interval', '0.05',
                 '--log-level', 'info', self.options.mnt],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=die_with_parent)

    def wait_ready(self):
        end = time.monotonic() + DEADLINE_S
        while time.monotonic() < end:
            if self.daemon.poll() is not None:
                raise Broken(f'the daemon ended at its start, with {self.daemon.returncode}')
            try:
                os.listdir(self.path('jobs')) # a stat is answered from the cache of a dead mount
                return
            except OSError:
                time.sleep(0.001)
        raise Broken('the mount does not answer')

    def kill(self):
        self.daemon.kill()
        self.daemon.wait()
        self.daemon = None
        for file in self.open_files:
            try:
                os.close(file)
            except OSError:
                pass
        self.open_files.clear()
        for reader in self.readers:
            reader.join(DEADLINE_S)
            if reader.is_alive():
                raise Broken('a reader of a dead mount hangs')
        self.readers.clear()

    # The mount.

    def path(self, *names):
        return os.path.join(self.options.mnt, *names)

    def job_path(self, job, *names):
        return self.path('jobs', job.name, *names)

    def read(self, *names):
        with open(self.path(*names), 'rb') as file:
            return file.read()

    def status(self, job):
        word = self.read('jobs', job.name, 'status').decode().strip()
        if word not in RANK:
            raise Broken(f'{job!r}: the status is {word!r}')
        return word

    def look(self, job):
        """Reads the status; it must never go back."""
        word = self.status(job)
        seen = job.seen
        is_back = seen is not None and RANK[word] < RANK[seen]
        is_other_end = seen in FINAL and word != seen
        # With a task id on disk there is no doubt any more.
        is_doubt = word == 'unknown' and seen in ('queued', 'running')
        is_lost = word in ('lost', 'rejected', 'cancelled', 'expired')
        if is_back or is_other_end or is_doubt or is_lost:
            raise Broken(f'{job!r} is {word}')
        job.seen = word
        return word

    def look_at_all(self, is_thorough):
        names = set(os.listdir(self.path('jobs')))
        for job in self.jobs:
            if job.name in names:
                if is_thorough or job.seen not in FINAL:
                    self.look(job)
            elif job.seen is not None and RANK[job.seen] >= RANK['waiting']:
                raise Broken(f'{job!r} is lost')
        known = {job.name for job in self.jobs}
        if names - known:
            raise Broken(f'nobody made these jobs: {names - known}')
        self.jobs = [job for job in self.jobs if job.name in names]

    # What a user does.

    def new_job(self, kind):
        self.markers += 1
        marker = f'marker-{self.markers}-'
        return Job(f'job-{self.markers}', marker, kind)

    def prompt(self, job):
        fail = ' [[fail]]' if job.kind == 'fail' else ''
        return json.dumps({'prompt': f'{job.marker} ({job.kind}){fail}'}).encode()

    def write(self, job):
        way = self.random.choice(['open', 'open', 'mkdir', 'rename', 'pieces'])
        text = self.prompt(job)
        if way != 'open':
            os.mkdir(self.job_path(job))
        target = self.job_path(job, 'prompt.json')
        written = self.job_path(job, 'prompt.json.new') if way == 'rename' else target
        file = os.open(written, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        for piece in [text[:9], text[9:]] if way == 'pieces' else [text]:
            os.write(file, piece)
        os.close(file)
        if way == 'rename':
            os.rename(written, target)

    def add(self, kind):
        job = self.new_job(kind)
        self.jobs.append(job)
        self.write(job)
        self.counts['jobs'] += 1
        return job

    def add_unfinished(self):
        """The writer is still at it when the daemon dies: never to be sent."""
        job = self.new_job('unfinished')
        job.is_complete = False
        self.jobs.append(job)
        file = os.open(self.job_path(job, 'prompt.json'), os.O_WRONLY | os.O_CREAT, 0o644)
        self.open_files.append(file)
        os.write(file, self.prompt(job)[:self.random.choice([7, None])])
        self.counts['unfinished'] += 1

    def rename_one(self):
        settled = [job for job in self.jobs if job.seen in FINAL]
        if settled:
            job = self.random.choice(settled)
            name = f'{job.marker}renamed-{self.random.randrange(1 << 30)}'
            os.rename(self.job_path(job), self.path('jobs', name))
            job.name = name
            self.counts['renames'] += 1

    def rewrite_one(self):
        """A new attempt of a job that failed; the attempt before must not be sent again."""
        failed = [job for job in self.jobs if job.seen == 'failed']
        if failed:
            job = self.random.choice(failed)
            self.markers += 1
            job.marker = f'marker-{self.markers}-'
            job.kind = 'late'
            job.seen = None
            with open(self.job_path(job, 'prompt.json'), 'wb') as file:
                file.write(self.prompt(job))
            self.counts['rewrites'] += 1

    def read_some_video(self):
        done = [job for job in self.jobs if job.seen == 'succeeded']
        if not done:
            return
        path = self.job_path(self.random.choice(done), 'output.mp4')

        def run():
            try:
                with open(path, 'rb', buffering=0) as file:
                    while file.read(65536):
                        pass
            except OSError:
                pass # the daemon was killed

        reader = threading.Thread(target=run, daemon=True)
        reader.start()
        self.readers.append(reader)

    def wait_for(self, job, words, seconds):
        end = time.monotonic() + seconds
        while self.look(job) not in words and time.monotonic() < end:
            time.sleep(0.001)

    def sleep_ms(self, most_ms):
        time.sleep(self.random.uniform(0, most_ms) / 1000)

    # One cycle.

    def act_submitting(self):
        kinds = ['late', 'drip']
        jobs = [self.add(self.random.choice(kinds)) for _ in range(self.random.choice([1, 1, 2]))]
        self.wait_for(jobs[-1], FINAL | {'submitting', 'queued', 'running'}, DEADLINE_S)
        self.sleep_ms(60)

    def act_at_once(self):
        self.add('plain')
        self.sleep_ms(3)

    def act_whenever(self):
        for _ in range(self.random.choice([1, 2, 3])):
            self.add(self.random.choice(['plain', 'plain', 'late', 'drip', 'cut', 'fail']))
        self.sleep_ms(150)

    def act_other(self):
        self.rename_one()
        self.rewrite_one()
        self.add_unfinished()
        for _ in range(3):
            self.read_some_video()
        self.sleep_ms(30)

    def cycle(self, number):
        self.start()
        act = self.random.choices(['start', 'submitting', 'at_once', 'whenever', 'other'],
                                  [8, 42, 14, 24, 12])[0]
        self.counts[f'act {act}'] += 1
        if act == 'start':
            self.sleep_ms(30)
        else:
            self.wait_ready()
            self.look_at_all(number % 10 == 0)
            getattr(self, f'act_{act}')()
            for job in self.jobs[-8:]:
                self.look(job)
            if any(job.seen == 'submitting' for job in self.jobs):
                self.counts['kills in submitting'] += 1
        self.kill()

    # The oracle.

    def requests(self):
        with open(self.options.log, encoding='utf-8') as log:
            return [json.loads(line) for line in log if '"kind":"create"' in line]

    def check_log(self, is_end):
        sent = collections.Counter()
        tasks = {}
        for line in self.requests():
            if line['body'] is None:
                continue # only its header was sent
            marker = json.loads(line['body'])['prompt'].split(' ')[0]
            sent[marker] += 1
            if line['created']:
                tasks[marker] = line['created']
        for marker, n in sent.items():
            if n > 1:
                raise Broken(f'{marker} was sent {n} times')
        if not is_end:
            return sent, tasks
        for job in self.jobs:
            if job.seen in ('draft', 'invalid') and sent[job.marker]:
                raise Broken(f'{job!r} was sent without being committed')
            if not job.is_complete and sent[job.marker]:
                raise Broken(f'{job!r} was sent though its writer had not finished')
            if job.marker in tasks:
                self.check_task(job, tasks[job.marker])
        return sent, tasks

    def check_task(self, job, task):
        facts = json.loads(self.read('jobs', job.name, 'status.json'))
        if job.seen == 'unknown':
            error = self.read('jobs', job.name, 'error').decode()
            if 'not known whether' not in error or not facts['error']['message']:
                raise Broken(f'{job!r}: `error` gives no evidence: {error}')
        elif facts['task_id'] != task:
            raise Broken(f'{job!r} has the task {facts["task_id"]}, the service gave {task}')

    def check_videos(self):
        api = self.options.api.removesuffix('/api/v1')
        for job in self.jobs:
            if job.seen != 'succeeded':
                continue
            task = json.loads(self.read('jobs', job.name, 'status.json'))['task_id']
            with urllib.request.urlopen(f'{api}/oracle/video/{task}') as answer:
                right = answer.read()
            if self.read('jobs', job.name, 'output.mp4') != right:
                raise Broken(f'{job!r}: output.mp4 is not the service\'s')
            self.counts['videos compared'] += 1

    def end(self):
        self.start()
        self.wait_ready()
        self.look_at_all(True)
        # Closed, but the release did not arrive before the kill: a draft that was never sent. All others end.
        expected = [job for job in self.jobs if job.seen != 'draft']
        end = time.monotonic() + 2 * DEADLINE_S
        while any(self.look(job) not in FINAL for job in expected):
            if time.monotonic() > end:
                raise Broken(f'these do not end: {[j for j in expected if j.seen not in FINAL]}')
            time.sleep(0.02)
        self.look_at_all(True)
        sent, tasks = self.check_log(True)
        self.check_videos()
        for job in self.jobs:
            self.counts[f'end {job.seen}'] += 1
        self.counts['creates sent'] = sum(sent.values())
        self.counts['tasks made'] = len(tasks)
        self.daemon.send_signal(signal.SIGTERM)
        code = self.daemon.wait(DEADLINE_S)
        self.daemon = None
        if code != 0:
            raise Broken(f'the daemon ended with {code}')

    def run(self):
        began = time.monotonic()
        request = urllib.request.Request(
            self.options.api.removesuffix('/api/v1') + '/oracle/scenario',
            json.dumps(SCENARIO).encode(), method='PUT')
        urllib.request.urlopen(request).close()
        for number in range(self.options.cycles):
            self.number = number
            self.cycle(number)
            if number % 50 == 49:
                self.check_log(False)
        self.end()
        print(f'{self.options.cycles} cycles in {time.monotonic() - began:.1f} s: ' +
              ', '.join(f'{key} {n}' for key, n in sorted(self.counts.items())))
        if self.counts['kills in submitting'] < self.options.cycles // 5:
            raise Broken('fewer than a fifth of the kills fell into `submitting`')


def main():
    parser = argparse.ArgumentParser()
    for name in ['seedancefs', 'api', 'key', 'data', 'mnt', 'log', 'daemon-log']:
        parser.add_argument('--' + name, required=True)
    parser.add_argument('--cycles', type=int, default=200)
    parser.add_argument('--seed', type=int, required=True)
    cycles = Cycles(parser.parse_args())
    try:
        cycles.run()
    except (Broken, OSError) as error:
        print(f'cycle {getattr(cycles, "number", -1)} of seed {cycles.options.seed}: '
              f'{type(error).__name__}: {error}', file=sys.stderr)
        return 1
    finally:
        if cycles.daemon:
            cycles.kill()
    return 0


if __name__ == '__main__':
    sys.exit(main())
