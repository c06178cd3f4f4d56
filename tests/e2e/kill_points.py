#!/usr/bin/env python3
"""kill -9 at every system call between the close of prompt.json and the durable task id, one after the other.

Cycle N writes a prompt and lets tests/tools/killat end the daemon at the N-th entry or exit of a system call
after the writer has begun to close it (or to rename it into its place). With `linked` the prompt names the video of
another job; with `arrival` it has been waiting for that one, which is ordered now. What lies in the database then says
what has to become of the job when the daemon starts again. It ends when several cycles in a row were killed
with the task id durable and the job `queued` or later; then come the places that were stepped over.
"""
import argparse
import collections
import json
import os
import select
import signal
import subprocess
import sys
import time

from crash_world import FINAL, Broken, Job, World, run_guarded, wait_until

ENOUGH = 3     # cycles in a row that were killed behind the path
POINTS_MAX = 5000
TRIES_MAX = 3
REST_S = 1     # then the task has been followed to its end

# What was on disk at the kill, and what follows from it.
FATES = {
    'draft': 'not submitted, and says so',
    'waiting': 'sent after the restart, once',
    'submitting, nothing sent': 'unknown, though nothing was sent',
    'submitting, sent': 'unknown, the service has it',
    'answered': 'the task id was found in the response on disk',
    'queued': 'behind the path',
}


class Point:
    """One kill: where it was, and what lay on the disk."""

    def __init__(self, number, job):
        self.number = number
        self.job = job
        self.calls = []
        self.is_closed = False
        self.state = None   # on disk; None: no such job
        self.task = None    # of the response on disk
        self.source = None  # the job whose video it waits for
        self.is_stuck = False # that one is unknown, and its user's turn

    def __repr__(self):
        return (f'killed at boundary {self.number} ({" ".join(self.calls[-4:])}), {self.job!r}, on disk '
                f'{self.state}, task {self.task}')

    def is_on_the_way(self):
        return self.state in (None, 'draft', 'waiting', 'submitting')

    def places(self):
        """Where the program was at each boundary, in terms of what the world outside can see of it: before or
        behind the n-th row of equal calls ("+fdatasync:3"), as killat takes and gives them."""
        place = None
        rows = collections.Counter()
        before = None
        for call in self.calls:
            name = call[1:]
            if name.isidentifier():
                if name != before:
                    rows[name] += 1
                    place = f'+{name}:{rows[name]}'
                if call[0] == '-':
                    place = f'-{name}:{rows[name]}'
                before = name
            yield place


class KillPoints(World):
    queue_s = 0 # a task is done when it is asked for
    generation_s = 0
    poll_interval_s = 0.01

    def __init__(self, directory, options):
        super().__init__(directory, options)
        self.points = []

    def start_traced(self, number):
        # The leak checker cannot work under a tracer.
        environment = dict(os.environ, ASAN_OPTIONS=os.environ.get('ASAN_OPTIONS', '') + ':detect_leaks=0')
        self.start([self.options.killat, str(number)], stdout=subprocess.PIPE, bufsize=0, env=environment)

    def arm(self):
        self.daemon.send_signal(signal.SIGUSR1)
        self.expect('armed')

    def wait_killed(self):
        """There, or where the program has come to rest without having been there."""
        if select.select([self.daemon.stdout], [], [], REST_S)[0]:
            return self.expect('killed')
        self.daemon.terminate()
        self.expect('killed')
        return [] # not on the way any more

    def expect(self, word):
        line = self.daemon.stdout.readline().decode().split() # unbuffered, or select() would not know
        if not line or line[0] != word:
            raise Broken(f'killat says {line} instead of {word}')
        return line[1:]

    def make(self, job, text):
        os.mkdir(self.job_path(job))
        with open(self.job_path(job, 'prompt.json'), 'wb') as file:
            file.write(text)

    def linked_text(self, job, source):
        return json.dumps({'prompt': json.loads(job.text)['prompt'], 'video_url': f'../{source.name}/output.mp4'}).encode()

    def arrive_and_be_killed(self, number):
        """The source is ordered, is made, and what waits for it is sent."""
        name = f'arrival-{len(self.points)}-{number}'
        point = Point(number, Job(name, name + '-', 'plain'))
        point.source = Job('source-' + name, 'source-' + name + '-', 'plain')
        self.points.append(point)
        self.make(point.source, json.dumps({**json.loads(point.source.text), 'hold': True}).encode())
        point.job.text = self.linked_text(point.job, point.source)
        self.make(point.job, point.job.text)
        point.is_closed = True
        wait_until(lambda: self.status(point.job) == 'waiting', f'{point.job!r} to wait')
        ctl = os.open(self.job_path(point.source, 'ctl'), os.O_WRONLY)
        self.arm()
        try:
            os.write(ctl, b'submit\n')
            os.close(ctl)
        except OSError:
            pass
        return self.be_killed(point)

    def be_killed(self, point):
        point.calls = self.wait_killed()
        self.daemon.wait()
        self.daemon = None
        self.look_at_disk(point)
        return point

    def write_and_be_killed(self, number):
        if self.options.way == 'arrival':
            return self.arrive_and_be_killed(number)
        way = 'rename' if self.options.way == 'rename' else 'close'
        name = f'{way}-{len(self.points)}-{number}'
        job = Job(name, name + '-', 'plain')
        point = Point(number, job)
        self.points.append(point)
        if self.options.way == 'linked':
            job.text = self.linked_text(job, self.source)
        os.mkdir(self.job_path(job))
        target = self.job_path(job, 'prompt.json')
        written = target + '.new' if way == 'rename' else target
        file = os.open(written, os.O_WRONLY | os.O_CREAT, 0o644)
        os.write(file, job.text)
        if way == 'rename':
            os.close(file)
        self.arm()
        try:
            if way == 'rename':
                os.rename(written, target)
            else:
                os.close(file)
            point.is_closed = True
        except OSError:
            pass # the daemon was killed before it answered
        return self.be_killed(point)

    def look_at_disk(self, point):
        database = self.database()
        row = database.execute('SELECT state, response FROM job LEFT JOIN exchange USING (attempt_id) '
                               'WHERE name = ?', (point.job.name,)).fetchone()
        database.close()
        if row:
            point.state = row[0]
            point.task = json.loads(row[1])['id'] if row[1] else None

    def check(self, point):
        """After the restart; what the service has seen of it is compared in the end."""
        job = point.job
        if point.state is None:
            raise Broken(f'{point!r}: the job is not on the disk')
        if self.options.way == 'rename' and point.state == 'draft' and not point.is_closed and \
                os.path.exists(self.job_path(job, 'prompt.json.new')):
            self.check_content(job, 'prompt.json.new') # neither name has changed
            return
        self.check_content(job)
        if point.state == 'draft':
            if self.status(job) != 'draft':
                raise Broken(f'{point!r}: the job is {self.status(job)}')
            self.check_unsubmitted(job)
            return
        if point.source and self.is_stuck(point):
            return
        wait_until(lambda: self.status(job) in FINAL, f'{point!r} to end')
        job.seen = self.status(job)
        is_unknown = point.state == 'submitting' and not point.task
        if job.seen != ('unknown' if is_unknown else 'succeeded'):
            raise Broken(f'{point!r}: the job is {job.seen}')
        if is_unknown:
            self.check_unknown(job)
        elif point.task and self.facts(job)['task_id'] != point.task:
            raise Broken(f'{point!r}: the job has the task {self.facts(job)["task_id"]}')

    def is_stuck(self, point):
        """The kill has left the source held, or unknown: it is the user's turn."""
        wait_until(lambda: self.status(point.source) in FINAL or self.status(point.source) == 'held',
                   f'{point.source!r} to end')
        point.is_stuck = self.status(point.source) != 'succeeded'
        if point.is_stuck and (self.status(point.job) != 'waiting' or point.source.name not in self.facts(point.job)['reason']):
            raise Broken(f'{point!r}: the job is {self.status(point.job)}, and its source {self.status(point.source)}')
        return point.is_stuck

    def fate(self, point):
        sent = self.simulator.sent[point.job.marker]
        task = self.simulator.tasks.get(point.job.marker)
        if point.state == 'submitting' and not point.task:
            return 'submitting, sent' if sent else 'submitting, nothing sent'
        if sent != (0 if point.state == 'draft' or point.is_stuck else 1):
            raise Broken(f'{point!r}: {sent} creates')
        if point.task and point.task != task:
            raise Broken(f'{point!r}: the service gave {task}')
        if point.state in ('draft', 'waiting'):
            return point.state
        if not point.task:
            raise Broken(f'{point!r}: a task id without the response on disk')
        return 'answered' if point.state == 'submitting' else 'queued'

    def remove(self, job):
        for name in ['prompt.json', 'prompt.json.new']:
            if os.path.exists(self.job_path(job, name)):
                os.unlink(self.job_path(job, name))
        os.rmdir(self.job_path(job))

    def kill_at(self, number):
        """A cycle: the job of the cycle before is looked at by the daemon that this one kills."""
        self.number = number
        self.start_traced(number)
        self.wait_ready()
        if self.points:
            self.check(self.points[-1])
            for job in filter(None, [self.points[-1].job, self.points[-1].source]):
                self.remove(job)
        return self.write_and_be_killed(number)

    def kill_at_each(self):
        behind = 0
        number = 1
        while behind < ENOUGH:
            if number > POINTS_MAX:
                raise Broken(f'the task id is not durable after {POINTS_MAX} boundaries')
            point = self.kill_at(number)
            behind = 0 if point.is_on_the_way() else behind + 1
            number += 1 if behind else self.options.step

    def places(self):
        """Where kills came, and the places on the way that were passed without one."""
        met = {None}
        passed = set()
        for point in self.points:
            places = list(point.places())
            if point.is_on_the_way():
                passed.update(places)
            met.update(places[-1:])
        return met - {None}, passed - met

    def kill_where_none_came(self):
        """The ways differ by some calls, as pages of the database or pass of the loop do, so that counting
        may have stepped over a place. One that does not come on every way is tried again."""
        tries = collections.Counter()
        while True:
            missing = [place for place in sorted(self.places()[1]) if tries[place] < TRIES_MAX]
            if not missing:
                return
            tries[missing[0]] += 1
            self.kill_at(missing[0])

    def begin(self):
        """The job whose video all others name."""
        self.source = Job('source', 'source-', 'plain')
        self.start()
        self.wait_ready()
        self.make(self.source, self.source.text)
        wait_until(lambda: self.status(self.source) in FINAL, 'the source to end')
        self.end_daemon()

    def run(self):
        began = time.monotonic()
        if self.options.way == 'linked':
            self.begin()
        self.kill_at_each()
        if self.options.way != 'arrival' or self.options.step == 1:
            self.kill_where_none_came()
        self.start()
        self.wait_ready()
        self.check(self.points[-1])
        self.end_daemon()
        self.check_database()
        self.simulator.read_log()
        self.report(time.monotonic() - began)

    def report(self, seconds):
        fates = collections.Counter(self.fate(point) for point in self.points)
        met, missing = self.places()
        print(f'{self.options.way}: {len(self.points)} boundaries in {seconds:.1f} s, at {len(met)} places '
              f'of {len(met) + len(missing)} that were passed')
        if missing and (self.options.way != 'arrival' or self.options.step == 1):
            print(f'  not on every way, and not met: {", ".join(sorted(missing))}')
        for fate, meaning in FATES.items():
            print(f'  {fates[fate]:5} {fate}: {meaning}')
        is_sample = self.options.way == 'arrival' # its job was accepted before, and few kills come so late
        missing = [fate for fate in (['waiting', 'queued'] if is_sample else FATES) if not fates[fate]]
        if missing:
            raise Broken(f'no kill fell into: {missing}')


def main():
    parser = argparse.ArgumentParser()
    for name in ['seedancefs', 'seedance-sim', 'directory', 'killat']:
        parser.add_argument('--' + name, required=True)
    parser.add_argument('--way', choices=['close', 'rename', 'linked', 'arrival'], default='close')
    parser.add_argument('--step', type=int, default=1)
    options = parser.parse_args()
    world = KillPoints(options.directory, options)
    return run_guarded(world, world.run)


if __name__ == '__main__':
    sys.exit(main())
