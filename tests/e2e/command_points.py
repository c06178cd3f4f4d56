#!/usr/bin/env python3
"""kill -9 at every system call from a command in ctl until the daemon rests again, one after the other.

One job goes through all cycles, and has at least two takes from the start. Each cycle writes the command and lets
tests/tools/killat end the daemon at the N-th entry or exit of a system call after that. When the daemon starts again,
every take must be there with the service's bytes, the job must be as before or as the command makes it (only the
latter if the write came back), and the service must not have seen more creates than attempts that are on disk.
"""
import argparse
import collections
import json
import os
import sys
import time

from crash_world import FINAL, Broken, Job, Simulator, run_guarded, wait_until
from kill_points import KillPoints, Point

WAYS = ['take', 'edit', 'pick', 'submit']


class Service(Simulator):
    """Counts creates: one job orders the same prompt again and again."""

    def read_log(self):
        with open(self.log, 'rb') as log:
            lines = log.read().splitlines()
        creates = [json.loads(line) for line in lines if b'"kind":"create"' in line]
        self.creates = len([create for create in creates if create['body'] is not None])


class CommandPoint(Point):
    """On the way until the daemon rests, or until the service's task is durable: from there it is that of any job."""

    def is_on_the_way(self):
        return bool(self.calls) and self.state not in ('queued', 'running')


class CommandPoints(KillPoints):
    def __init__(self, directory, options):
        super().__init__(directory, options)
        self.simulator.__class__ = Service
        self.job = Job('cat', 'cat', 'plain')
        self.fates = collections.Counter()

    def command(self, text):
        file = os.open(self.job_path(self.job, 'ctl'), os.O_WRONLY)
        try:
            os.write(file, text.encode() + b'\n')
        finally:
            os.close(file)

    def wait_saved(self):
        if not os.path.exists(self.job_path(self.job, 'output.mp4')):
            return
        self.read('jobs', 'cat', 'output.mp4')
        wait_until(lambda: self.facts(self.job)['output']['archived'], 'the video to be saved')

    def wait_ended(self):
        wait_until(lambda: self.status(self.job) in FINAL, f'{self.job!r} to end')

    def attempts(self):
        """On disk: the number of all, of those that may have been sent, and the task of each take."""
        database = self.database()
        counts = database.execute('SELECT count(*), count(nullif(submitted_ms, 0)) FROM attempt').fetchone()
        takes = database.execute('SELECT take, task_id FROM attempt WHERE take > 0 ORDER BY take').fetchall()
        database.close()
        return (*counts, dict(takes))

    def check_takes(self):
        takes = self.attempts()[2]
        names = sorted(os.listdir(self.job_path(self.job, 'takes')))
        if len(takes) < self.takes or names != sorted(f'{n}.{kind}' for n in takes for kind in ['mp4', 'json']):
            raise Broken(f'there were {self.takes} takes, on disk are {takes}, in takes/ {names}')
        self.takes = len(takes)
        for number in {1, self.takes, self.facts(self.job)['take']}:
            if self.read('jobs', 'cat', 'takes', f'{number}.mp4') != self.simulator.video(takes[number]):
                raise Broken(f'take {number} is not the service\'s')
        picked = self.facts(self.job)['take']
        if self.read('jobs', 'cat', 'output.mp4') != self.simulator.video(takes[picked]):
            raise Broken(f'output.mp4 is not take {picked}')

    def check_money(self):
        self.simulator.read_log()
        sent = self.attempts()[1]
        if self.simulator.creates > sent:
            raise Broken(f'{self.simulator.creates} creates, and {sent} attempts that may have been sent')

    def begin(self):
        """The job with two takes, before the first cycle."""
        self.start()
        self.wait_ready()
        os.mkdir(self.job_path(self.job))
        with open(self.job_path(self.job, 'prompt.json'), 'wb') as file:
            file.write(self.job.text)
        self.wait_ended()
        self.wait_saved()
        self.command('take')
        self.wait_ended()
        self.wait_saved()
        self.takes = 2
        self.end_daemon()

    def prepare(self):
        """What the command begins from, whatever the cycle before has left."""
        self.wait_saved()
        if self.status(self.job) != 'succeeded':
            self.command('pick 1')
        if self.options.way == 'submit':
            self.command('edit')
            with open(self.job_path(self.job, 'prompt.json'), 'wb') as file:
                file.write(json.dumps({'prompt': 'cat (plain)', 'hold': True}).encode())
            wait_until(lambda: self.status(self.job) == 'held', 'the request to be held')
        self.before = self.facts(self.job)
        text = self.options.way
        if text == 'pick':
            self.wanted = 3 - self.before['take'] if self.before['take'] < 3 else 1
            text = f'pick {self.wanted}'
        return text

    def kill_at(self, number):
        self.number = number
        self.start_traced(number)
        self.wait_ready()
        if self.points:
            self.check(self.points[-1])
        text = self.prepare()
        point = CommandPoint(number, self.job)
        self.points.append(point)
        self.attempts_before = self.attempts()[0]
        self.arm()
        try:
            self.command(text)
            point.is_closed = True
        except OSError:
            pass
        point.calls = self.wait_killed()
        self.daemon.wait()
        self.daemon = None
        self.look_at_disk(point)
        return point

    def check(self, point):
        way = self.options.way
        has_more = self.attempts()[0] > self.attempts_before
        status = self.status(self.job)
        if way == 'pick':
            take = self.facts(self.job)['take']
            is_done = take == self.wanted
            if status != 'succeeded' or not (is_done or take == self.before['take']):
                raise Broken(f'{point!r}: {status}, take {take}')
        elif way == 'edit':
            is_done = status == 'draft'
            if not is_done and status != 'succeeded':
                raise Broken(f'{point!r}: {status}')
            self.check_content(self.job)
        elif way == 'take':
            is_done = has_more
            self.wait_ended()
            if self.status(self.job) not in ('succeeded', 'unknown'):
                raise Broken(f'{point!r}: {self.status(self.job)}')
        else:
            is_done = status != 'held'
            if is_done:
                self.wait_ended()
        if point.is_closed and not is_done:
            raise Broken(f'{point!r}: the command was accepted, and is forgotten')
        self.fates['done' if is_done else 'as before'] += 1
        self.fates[self.status(self.job)] += 1
        self.check_takes()
        self.check_money()

    def run(self):
        began = time.monotonic()
        self.begin()
        self.kill_at_each()
        if self.options.step == 1:
            self.kill_where_none_came()
        self.start()
        self.wait_ready()
        self.check(self.points[-1])
        self.end_daemon()
        self.check_database()
        met, missing = self.places()
        print(f'{self.options.way}: {len(self.points)} boundaries in {time.monotonic() - began:.1f} s, at {len(met)} '
              f'places of {len(met) + len(missing)} that were passed; '
              f'{", ".join(f"{n} {word}" for word, n in sorted(self.fates.items()))}; {self.takes} takes')
        if not self.fates['as before'] or not self.fates['done']:
            raise Broken('no kill fell before the command was on disk, or none behind')


def main():
    parser = argparse.ArgumentParser()
    for name in ['seedancefs', 'seedance-sim', 'directory', 'killat']:
        parser.add_argument('--' + name, required=True)
    parser.add_argument('--way', choices=WAYS, default='take')
    parser.add_argument('--step', type=int, default=1)
    options = parser.parse_args()
    world = CommandPoints(options.directory, options)
    return run_guarded(world, world.run)


if __name__ == '__main__':
    sys.exit(main())
