"""Cycles of crashes: a daemon that is struck down and started again, a user who writes prompts meanwhile, and
the comparison of what is there after a strike with what was before.

A strike is SIGKILL, or a power cut of the data directory's disk. Every prompt holds a marker of its own,
so that the simulator's request log tells for each attempt how often it was sent. What must hold:

  1. creates(marker) <= 1, whatever happened.
  2. What was closed is there, with its content. A job that was seen `waiting` or later is never lost, and
     never goes back.
  3. Every task id that the simulator gave out is the task_id of its job, or that job is `unknown`
     and its `error` says why.
  4. What was not committed is never sent, and what was removed before it was sent neither.
  5. In the end every accepted job is succeeded, failed (where the prompt asks for it) or unknown, every
     video is the service's, byte for byte, and the database is sound.
"""
import collections
import json
import os
import random
import threading
import time

from crash_world import DEADLINE_S, FINAL, RANK, Broken, Job, World, wait_until


class Crashes(World):
    """Cycles of starting, looking, writing and being struck; the subclass says what a strike is."""

    loses_unsynced = False # a strike may take back what was not made durable
    acts = ()              # names and weights of the act_ methods

    def __init__(self, directory, options, seed):
        super().__init__(directory, options)
        self.random = random.Random(seed)
        self.jobs = []
        self.markers = 0
        self.counts = collections.Counter()
        self.open_files = []
        self.readers = []
        self.never_sent = set() # markers
        self.removed = set()    # names that may come back where a strike loses what is not durable
        self.is_struck = False
        self.striker = None
        self.number = -1

    # The strike.

    def strike(self):
        raise NotImplementedError

    def strike_after(self, max_ms):
        """In the midst of what follows: errors of the mount are no surprise from then on."""
        delay_s = self.random.uniform(0, max_ms) / 1000

        def run():
            time.sleep(delay_s)
            self.is_struck = True
            self.strike()

        self.striker = threading.Thread(target=run, daemon=True)
        self.striker.start()

    def strike_now(self):
        if self.striker:
            self.striker.join()
            self.striker = None
        elif not self.is_struck:
            self.is_struck = True
            self.strike()

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

    # What was before and what is now.

    def may_follow(self, seen, word):
        is_back = seen is not None and RANK[word] < RANK[seen]
        if is_back and self.loses_unsynced and (seen, word) == ('running', 'queued'):
            return True # the next poll says it again
        is_other_end = seen in FINAL and word != seen
        # With a task id on disk there is no doubt any more.
        is_doubt = word == 'unknown' and seen in ('queued', 'running')
        is_lost = word in ('lost', 'rejected', 'cancelled', 'expired')
        return not (is_back or is_other_end or is_doubt or is_lost)

    def look(self, job):
        """Reads the status; it must never go back. What is seen after a strike is no promise."""
        word = self.status(job)
        if self.is_struck:
            return word
        if not self.may_follow(job.seen, word):
            raise Broken(f'{job!r} is {word}')
        job.seen = word
        return word

    def find(self, job, names):
        if job.name not in names and job.other_name in names:
            job.name = job.other_name
        job.other_name = None
        if job.name in names:
            return True
        if job.is_promised() or job.was_sent:
            raise Broken(f'{job!r} is lost')
        self.never_sent.add(job.marker)
        return False

    def look_at_all(self, is_thorough):
        names = set(os.listdir(self.path('jobs')))
        self.jobs = [job for job in self.jobs if self.find(job, names)]
        for job in self.jobs:
            if is_thorough or job.seen not in FINAL:
                self.look(job)
            if not job.is_known:
                self.check_new(job)
        strangers = names - {job.name for job in self.jobs}
        for name in strangers:
            if not self.loses_unsynced or name not in self.removed:
                raise Broken(f'nobody made these jobs: {strangers}')
            self.counts['removals lost'] += 1
            self.remove(name)

    def check_new(self, job):
        """The first look at a job after the strike that ended its cycle."""
        job.is_known = True
        if job.was_sent and RANK[job.seen] <= RANK['waiting']:
            raise Broken(f'{job!r} would be sent a second time')
        if job.is_promised():
            self.check_content(job)
        if job.is_closed and job.seen == 'draft':
            self.check_unsubmitted(job)

    # What a user does.

    def new_marker(self):
        self.markers += 1
        return f'marker-{self.markers}-'

    def write(self, job):
        way = self.random.choice(['open', 'open', 'mkdir', 'rename', 'pieces'])
        if way != 'open':
            os.mkdir(self.job_path(job))
        target = self.job_path(job, 'prompt.json')
        written = self.job_path(job, 'prompt.json.new') if way == 'rename' else target
        file = os.open(written, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        self.open_files.append(file)
        for piece in [job.text[:9], job.text[9:]] if way == 'pieces' else [job.text]:
            os.write(file, piece)
        self.open_files.remove(file)
        os.close(file)
        if way == 'rename':
            os.rename(written, target)

    def add(self, kind):
        marker = self.new_marker()
        job = Job('job-' + marker, marker, kind)
        self.jobs.append(job)
        self.counts['jobs'] += 1
        self.write(job)
        job.is_closed = not self.is_struck
        return job

    def add_unfinished(self):
        """The writer is still at it when the strike comes: never to be sent."""
        marker = self.new_marker()
        job = Job('job-' + marker, marker, 'unfinished')
        job.is_complete = False
        self.jobs.append(job)
        file = os.open(self.job_path(job, 'prompt.json'), os.O_WRONLY | os.O_CREAT, 0o644)
        self.open_files.append(file)
        os.write(file, job.text[:self.random.choice([7, None])])
        self.counts['unfinished'] += 1

    def rename_one(self):
        settled = [job for job in self.jobs if job.seen in FINAL]
        if settled:
            job = self.random.choice(settled)
            name = f'renamed-{job.marker}{self.random.randrange(1 << 30)}'
            old_name, job.other_name = job.name, name
            os.rename(self.job_path(job), self.path('jobs', name))
            job.name, job.other_name = name, old_name if self.loses_unsynced else None
            self.counts['renames'] += 1

    def rewrite_one(self):
        """A new attempt of a job that failed; the attempt before must not be sent again."""
        failed = [job for job in self.jobs if job.seen == 'failed']
        if failed:
            job = self.random.choice(failed)
            self.jobs.remove(job)
            job = Job(job.name, self.new_marker(), 'late')
            self.jobs.append(job)
            with open(self.job_path(job, 'prompt.json'), 'wb') as file:
                file.write(job.text)
            job.is_closed = True
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

    def remove(self, name):
        """rm -r, but for the generated files, which do not stand in the way of rmdir."""
        for own in ['prompt.json', 'prompt.json.new']:
            try:
                os.unlink(self.path('jobs', name, own))
            except FileNotFoundError:
                pass
        os.rmdir(self.path('jobs', name))
        self.removed.add(name)

    def wait_for(self, job, words):
        wait_until(lambda: self.look(job) in words, f'{job!r} to be one of {words}')

    def sleep_ms(self, max_ms):
        time.sleep(self.random.uniform(0, max_ms) / 1000)

    # A cycle, and what is settled.

    def cycle(self, number):
        self.number = number
        self.is_struck = False
        self.start()
        act = self.random.choices([name for name, _ in self.acts], [weight for _, weight in self.acts])[0]
        self.counts[f'act {act}'] += 1
        if act == 'start':
            self.sleep_ms(30)
        else:
            self.wait_ready()
            self.look_at_all(number % 10 == 0)
            if number % 10 == 9:
                self.retire()
            self.act(act)
        self.strike_now()
        self.kill()
        self.simulator.read_log()
        for job in self.jobs:
            job.was_sent = job.was_sent or self.simulator.sent[job.marker] > 0
        if any(job.was_sent and not job.is_known for job in self.jobs):
            self.counts['strikes with a create seen'] += 1
        if number % 50 == 49:
            self.check_database()

    def act(self, act):
        try:
            getattr(self, f'act_{act}')()
            for job in self.jobs[-8:]:
                self.look(job)
        except OSError:
            if not self.is_struck:
                raise
            self.counts['struck within a call'] += 1
        if any(job.seen == 'submitting' for job in self.jobs):
            self.counts['strikes in submitting'] += 1

    def check(self, job):
        """All that can be said of a job that has come to its end."""
        if job.seen in ('draft', 'invalid'):
            self.never_sent.add(job.marker)
        if not job.is_complete:
            self.never_sent.add(job.marker)
        if job.seen == 'unknown':
            self.check_unknown(job)
        if job.seen in ('succeeded', 'failed'):
            task = self.facts(job)['task_id']
            if task != self.simulator.tasks.get(job.marker):
                raise Broken(f'{job!r} has the task {task}, the service gave '
                             f'{self.simulator.tasks.get(job.marker)}')
        if job.seen == 'failed' and job.kind != 'fail':
            raise Broken(f'{job!r} failed')
        if job.seen == 'succeeded':
            self.check_video(job)
        self.counts[f'end {job.seen}'] += 1

    def retire(self):
        """What has ended is compared and removed: a cycle costs the same however many there were before."""
        self.simulator.read_log()
        for job in self.jobs[:-8]:
            if job.seen in FINAL or job.seen in ('draft', 'invalid'):
                self.check(job)
                self.jobs.remove(job)
                self.remove(job.name)

    def finish(self):
        self.is_struck = False
        self.start()
        self.wait_ready()
        self.look_at_all(True)
        # Closed, but the release did not arrive before the strike: a draft that was never sent.
        expected = [job for job in self.jobs if job.seen not in ('draft', 'invalid')]
        for job in expected:
            self.wait_for(job, FINAL)
        self.look_at_all(True)
        self.simulator.read_log()
        for job in self.jobs:
            self.check(job)
        self.counts['creates sent'] = sum(self.simulator.sent.values())
        self.counts['tasks made'] = len(self.simulator.tasks)
        self.end_daemon() # after the responses to what was still under way
        self.check_database()
        self.simulator.read_log()
        sent = self.simulator.sent
        wrongly = [marker for marker in self.never_sent if sent[marker]]
        if wrongly:
            raise Broken(f'these were sent without having been committed: {wrongly}')

    def counts_text(self):
        return ', '.join(f'{key} {n}' for key, n in sorted(self.counts.items()))
