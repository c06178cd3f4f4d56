"""A simulator and mounts of it, for tests that need many of them at once or a stopwatch: what helper.bash is
for a shell. Everything lives below one directory and dies with its parent."""
import ctypes
import json
import os
import signal
import subprocess
import threading
import time
import urllib.error
import urllib.request

KEY = 'th-simulator'
DEADLINE_S = 60
# As helper.bash exports them.
SEEDANCEFS = os.environ.get('SEEDANCEFS', 'build/seedancefs')
SEEDANCE_SIM = os.environ.get('SEEDANCE_SIM', 'build/seedance-sim')


class Broken(Exception):
    """The program did what it must never do."""


def die_with_parent():
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def wait_until(what, is_true, seconds=DEADLINE_S, pause=0.02):
    end = time.monotonic() + seconds
    while True:
        value = is_true()
        if value:
            return value
        if time.monotonic() > end:
            raise Broken(f'waited {seconds} s in vain for: {what}')
        time.sleep(pause)


class Simulator:
    def __init__(self, directory, *options):
        self.directory = directory
        self.log_path = os.path.join(directory, 'requests.jsonl')
        self.log_lines = []
        self.log_read = 0
        self.lock = threading.Lock()
        self.ports = None
        self.start(*options)

    def start(self, *options):
        ports = os.path.join(self.directory, 'ports')
        if os.path.exists(ports):
            os.unlink(ports)
        same = ['--port', str(self.ports[0]), '--media-port', str(self.ports[1])] if self.ports else []
        self.process = subprocess.Popen(
            [SEEDANCE_SIM, *same, '--port-file', ports, '--log',
             self.log_path, '--api-key', KEY, '--queue-seconds', '0.02', '--generation-seconds', '0.1',
             '--data', os.path.join(self.directory, 'tasks'), *options],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, preexec_fn=die_with_parent)
        wait_until('the simulator', lambda: os.path.exists(ports) and os.path.getsize(ports), 20)
        with open(ports, encoding='ascii') as file:
            self.ports = tuple(int(word) for word in file.read().split())

    def stop(self):
        self.process.terminate()
        self.process.wait()

    def ask(self, path, body=None):
        request = urllib.request.Request(
            f'http://127.0.0.1:{self.ports[0]}/oracle/{path}', method='PUT' if body else 'GET',
            data=json.dumps(body).encode() if body else None)
        try:
            with urllib.request.urlopen(request, timeout=DEADLINE_S) as response:
                return response.read()
        except urllib.error.HTTPError as error:
            raise Broken(f'the simulator refuses {path}: {error.read()}') from error

    def play(self, *rules):
        """From now on these rules, their counters from the start."""
        self.ask('scenario', {'rules': list(rules)})

    def video(self, task):
        return self.ask(f'video/{task}')

    def log(self, kind=None):
        """Every line is parsed once."""
        with self.lock, open(self.log_path, 'rb') as file:
            file.seek(self.log_read)
            for line in file:
                if not line.endswith(b'\n'):
                    break # still being written: what follows may be the rest of it
                self.log_read += len(line)
                self.log_lines.append(json.loads(line))
            return [line for line in self.log_lines if kind in (None, line['kind'])]

    def count(self, kind, task=None):
        return sum(task in (None, line.get('task')) for line in self.log(kind))


class Mount:
    def __init__(self, simulator, directory, *options):
        self.simulator = simulator
        self.directory = directory
        self.options = options
        self.path = os.path.join(directory, 'mnt')
        self.data = os.path.join(directory, 'data')
        self.process = None
        os.makedirs(self.path)
        with open(os.path.join(directory, 'key'), 'w', encoding='ascii') as file:
            file.write(KEY + '\n')
        self.start()

    def start(self, wait=True):
        with open(os.path.join(self.directory, 'daemon.log'), 'ab') as log:
            self.process = subprocess.Popen(
                [SEEDANCEFS, '-f', '--api-url', f'http://127.0.0.1:{self.simulator.ports[0]}/api/v1',
                 '--api-key-file', os.path.join(self.directory, 'key'), '--data-dir', self.data,
                 '--poll-interval', '0.05', '--settle', '0', '--log-level', 'info', *self.options, self.path],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=die_with_parent)
        if wait:
            wait_until(f'the mount {self.path}', self.is_up)

    def is_up(self):
        if self.process.poll() is not None:
            raise Broken(f'the daemon ended with {self.process.returncode}: {self.directory}/daemon.log')
        try:
            os.listdir(os.path.join(self.path, 'jobs'))
            return True
        except OSError:
            return False

    def stop(self):
        """SIGTERM; it ends well, and in time."""
        self.process.terminate()
        code = self.process.wait(DEADLINE_S)
        if code != 0:
            raise Broken(f'the daemon ended with {code}')

    def kill(self):
        self.process.kill()
        self.process.wait()

    def forget_cache(self):
        """While it is stopped: as if nobody had read anything yet. The process that syncs for a killed one may
        rename a map while it ends."""
        media = os.path.join(self.data, 'media')
        while os.listdir(media):
            for name in os.listdir(media):
                try:
                    os.unlink(os.path.join(media, name))
                except FileNotFoundError:
                    pass

    def end(self):
        """In whatever state it is."""
        if self.process and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        subprocess.run(['fusermount3', '-uz', self.path], stderr=subprocess.DEVNULL, check=False)

    # Jobs.

    def job(self, name, *names):
        return os.path.join(self.path, 'jobs', name, *names)

    def video(self, name):
        return self.job(name, 'output.mp4')

    def create(self, name, prompt=None):
        os.mkdir(self.job(name))
        with open(self.job(name, 'prompt.json'), 'w', encoding='utf-8') as file:
            json.dump({'prompt': prompt or name}, file)

    def text(self, name, which):
        with open(self.job(name, which), encoding='utf-8') as file:
            return file.read()

    def task(self, name):
        return json.loads(self.text(name, 'status.json'))['task_id']

    def wait_succeeded(self, name, seconds=DEADLINE_S):
        wait_until(f'{name} to succeed', lambda: self.text(name, 'status') == 'succeeded\n', seconds)


def in_parallel(calls, seconds):
    """Runs all at once, each in a thread; a call that is not back in time is a hang."""
    problems = []

    def run(call):
        try:
            call()
        except Exception as error: # pylint: disable=broad-except # they are raised again below
            problems.append(f'{type(error).__name__}: {error}')

    threads = [threading.Thread(target=run, args=(call,), daemon=True) for call in calls]
    end = time.monotonic() + seconds
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0, end - time.monotonic()))
    if any(thread.is_alive() for thread in threads):
        problems.append(f'{sum(t.is_alive() for t in threads)} calls hang after {seconds} s')
    if problems:
        raise Broken('\n'.join(problems))
