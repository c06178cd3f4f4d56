"""What the crash tests share: a simulator with its request log, a data directory, a mount with its daemon, and
what can be said of one job.
"""
import collections
import ctypes
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
import urllib.request

RANK = {'draft': 0, 'invalid': 0, 'held': 1, 'waiting': 1, 'submitting': 2, 'queued': 3, 'running': 4,
        'unknown': 5, 'rejected': 5, 'succeeded': 5, 'failed': 5, 'cancelled': 5, 'expired': 5,
        'lost': 5}
FINAL = {word for word, rank in RANK.items() if rank == 5}
DEADLINE_S = 60
KEY = 'th-simulator'
LATE_MS = 120
SLOW_MS = 1000

# What the simulator does with a create whose prompt holds the word; the window in which a request is
# under way is made wide by it. "late" is answered late, "slow" mostly behind the end of the cycle; "drip" has been accepted while its response
# still comes in drops; "cut" is accepted and its response never comes.
SCENARIO = {'rules': [
    {'kind': 'create', 'prompt_contains': '(late)', 'response': {'delay_ms': LATE_MS}},
    {'kind': 'create', 'prompt_contains': '(slow)', 'response': {'delay_ms': SLOW_MS}},
    {'kind': 'create', 'prompt_contains': '(drip)', 'response': {'rate': 600}},
    {'kind': 'create', 'prompt_contains': '(cut)', 'response': {'cut_at': 'headers'}},
]}


class Broken(Exception):
    """The program did what it must never do."""


PR_SET_PDEATHSIG = 1


def die_with_parent(number=signal.SIGKILL):
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, number)


def wait_until(is_true, what):
    end = time.monotonic() + DEADLINE_S
    while not is_true():
        if time.monotonic() > end:
            raise Broken(f'waited {DEADLINE_S} s in vain for: {what}')
        time.sleep(0.001)


class Simulator:
    """Its request log is the oracle: read on from where it was read to, as far as lines are complete."""

    def __init__(self, program, directory, queue_s, generation_s):
        self.directory = directory
        self.log = os.path.join(directory, 'requests.jsonl')
        self.offset = 0
        self.sent = collections.Counter() # marker -> creates that came with a whole body
        self.tasks = {}                   # marker -> task id that was given out
        open(self.log, 'wb').close()
        ports = os.path.join(directory, 'ports')
        with open(os.path.join(directory, 'simulator.out'), 'wb') as out:
            self.process = subprocess.Popen(
                [program, '--port', '0', '--media-port', '0', '--port-file', ports, '--log', self.log,
                 '--api-key', KEY, '--queue-seconds', str(queue_s), '--generation-seconds', str(generation_s),
                 '--data', os.path.join(directory, 'tasks')],
                stdin=subprocess.DEVNULL, stdout=out, stderr=out, preexec_fn=die_with_parent)
        wait_until(lambda: os.path.exists(ports) and os.path.getsize(ports), 'the simulator')
        with open(ports, encoding='ascii') as file:
            self.address = f'http://127.0.0.1:{file.read().split()[0]}'
        request = urllib.request.Request(self.address + '/oracle/scenario',
                                         json.dumps(SCENARIO).encode(), method='PUT')
        urllib.request.urlopen(request).close()

    def end(self):
        self.process.terminate()
        self.process.wait(DEADLINE_S)

    def read_log(self):
        with open(self.log, 'rb') as log:
            log.seek(self.offset)
            text = log.read()
        text = text[:text.rfind(b'\n') + 1]
        self.offset += len(text)
        for line in text.splitlines():
            if b'"kind":"create"' not in line:
                continue
            create = json.loads(line)
            if create['body'] is None:
                continue # only its header was sent
            marker = json.loads(create['body'])['prompt'].split(' ')[0]
            self.sent[marker] += 1
            if create['created']:
                self.tasks[marker] = create['created']
            if self.sent[marker] > 1:
                raise Broken(f'{marker} was sent {self.sent[marker]} times')

    def video(self, task):
        with urllib.request.urlopen(f'{self.address}/oracle/video/{task}') as response:
            return response.read()


class Job:
    def __init__(self, name, marker, kind):
        self.name = name
        self.other_name = None   # the one that a rename may have left it with
        self.marker = marker
        self.kind = kind
        fail = ' [[fail]]' if kind == 'fail' else ''
        self.text = json.dumps({'prompt': f'{marker} ({kind}){fail}'}).encode()
        self.is_complete = True  # its writer meant to submit it
        self.is_closed = False   # close or rename came back without an error, before any strike
        self.is_known = False    # looked at since the strike that ended its cycle
        self.was_sent = False    # the service had its create when that strike was over
        self.seen = None         # the last status word that was read

    def is_promised(self):
        return self.is_closed or (self.seen is not None and RANK[self.seen] >= RANK['waiting'])

    def __repr__(self):
        return f'{self.name} ({self.marker}, {self.kind}, seen {self.seen})'


class World:
    """A simulator, a data directory and a mount in a directory of their own."""

    queue_s = 0.05
    generation_s = 0.2
    poll_interval_s = 0.05

    def __init__(self, directory, options):
        self.directory = directory
        self.options = options
        os.makedirs(directory)
        self.mnt = os.path.join(directory, 'mnt')
        self.data = os.path.join(directory, 'data')
        self.key = os.path.join(directory, 'key')
        os.mkdir(self.mnt)
        with open(self.key, 'w', encoding='ascii') as file:
            file.write(KEY + '\n')
        self.daemon = None
        self.simulator = Simulator(options.seedance_sim, directory, self.queue_s, self.generation_s)

    def close(self):
        if self.daemon:
            self.daemon.kill()
            self.daemon.wait()
        if self.is_mounted():
            subprocess.run(['fusermount3', '-uz', self.mnt], check=False)
        self.simulator.end()

    def is_mounted(self, point=None):
        with open('/proc/self/mounts', encoding='utf-8') as mounts:
            return any(line.split()[1] == (point or self.mnt) for line in mounts)

    def start(self, prefix=(), **how):
        with open(os.path.join(self.directory, 'daemon.log'), 'ab') as log:
            self.daemon = subprocess.Popen(
                [*prefix, self.options.seedancefs, '-f', '--api-url', self.simulator.address + '/api/v1',
                 '--api-key-file', self.key, '--data-dir', self.data, '--settle', '0', '--poll-interval',
                 str(self.poll_interval_s), '--log-level', 'info', self.mnt],
                stdin=subprocess.DEVNULL, stdout=how.pop('stdout', log), stderr=log,
                preexec_fn=die_with_parent, **how)

    def wait_ready(self):
        def is_ready():
            if self.daemon.poll() is not None:
                raise Broken(f'the daemon ended at its start, with {self.daemon.returncode}')
            try:
                os.listdir(self.path('jobs')) # a stat is answered from the cache of a dead mount
                return True
            except OSError:
                return False
        wait_until(is_ready, 'the mount')

    def end_daemon(self):
        self.daemon.send_signal(signal.SIGTERM)
        code = self.daemon.wait(DEADLINE_S)
        self.daemon = None
        if code != 0:
            raise Broken(f'the daemon ended with {code}')
        if self.is_mounted():
            raise Broken('the daemon left its mount behind')

    def path(self, *names):
        return os.path.join(self.mnt, *names)

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

    def facts(self, job):
        return json.loads(self.read('jobs', job.name, 'status.json'))

    def check_unknown(self, job):
        error = self.read('jobs', job.name, 'error').decode()
        facts = self.facts(job)
        if 'It is not known whether the service created a task' not in error or \
                not facts['error']['message'] or facts['task_id'] is not None:
            raise Broken(f'{job!r}: `error` gives no evidence: {error}')

    def check_unsubmitted(self, job):
        # Jobs are resumed in the loop's first turn, which may answer requests before.
        wait_until(lambda: os.path.exists(self.job_path(job, 'error')), f'the `error` of {job!r}')
        error = self.read('jobs', job.name, 'error').decode()
        if 'ended before prompt.json was submitted' not in error:
            raise Broken(f'{job!r}: `error` does not say that it was not submitted: {error}')

    def check_content(self, job, name='prompt.json'):
        content = self.read('jobs', job.name, name)
        if content != job.text:
            raise Broken(f'{job!r}: {name} holds {content!r} instead of {job.text!r}')

    def check_video(self, job):
        if self.read('jobs', job.name, 'output.mp4') != self.simulator.video(self.facts(job)['task_id']):
            raise Broken(f'{job!r}: output.mp4 is not the service\'s')

    def database(self):
        """A copy, as it lies on the disk of a daemon that has ended: looking at it recovers only that."""
        copy = os.path.join(self.directory, 'copy')
        shutil.rmtree(copy, ignore_errors=True)
        os.mkdir(copy)
        for name in os.listdir(self.data):
            if name.startswith('jobs.sqlite'):
                shutil.copy(os.path.join(self.data, name), copy)
        return sqlite3.connect(os.path.join(copy, 'jobs.sqlite'))

    def check_database(self):
        database = self.database()
        verdict = database.execute('PRAGMA integrity_check').fetchall()
        database.close()
        if verdict != [('ok',)]:
            raise Broken(f'the database is damaged: {verdict}')


def run_guarded(world, run):
    """The exit code of a test in a world, which is taken down whatever happens."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    try:
        run()
        return 0
    except (Broken, OSError, sqlite3.Error) as error:
        print(f'{world.directory}, cycle {getattr(world, "number", -1)}: {type(error).__name__}: {error}',
              file=sys.stderr)
        return 1
    finally:
        world.close()
