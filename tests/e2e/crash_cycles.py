#!/usr/bin/env python3
"""kill -9 and start again, many times over (see crashes.py for what must hold).

Each cycle starts the daemon (which clears the dead mount away by itself), compares every job with what was
seen before the last kill, writes some prompts in different ways, and kills the daemon at a moment that
the seed decides. Workers go through their shares of the cycles side by side, each in a world of its own.
"""
import argparse
import functools
import os
import signal
import subprocess
import sys
import time

from crash_world import DEADLINE_S, FINAL, Broken, die_with_parent, run_guarded
from crashes import Crashes


class Cycles(Crashes):
    acts = [('start', 8), ('submitting', 44), ('at_once', 12), ('midst', 8), ('whenever', 16), ('other', 12)]

    def strike(self):
        self.daemon.kill()

    def act_submitting(self):
        kinds = ['late', 'drip']
        jobs = [self.add(self.random.choice(kinds)) for _ in range(self.random.choice([1, 1, 2]))]
        self.wait_for(jobs[-1], FINAL | {'submitting', 'queued', 'running'})
        self.sleep_ms(40)

    def act_at_once(self):
        self.add('plain')
        self.sleep_ms(3)

    def act_midst(self):
        self.strike_after(12)
        while not self.is_struck:
            self.add('plain')

    def act_whenever(self):
        for _ in range(self.random.choice([1, 2, 3])):
            self.add(self.random.choice(['plain', 'plain', 'late', 'drip', 'cut', 'fail', 'fail']))
        self.sleep_ms(120)

    def act_other(self):
        self.rename_one()
        self.rewrite_one()
        self.add_unfinished()
        for _ in range(3):
            self.read_some_video()
        self.sleep_ms(30)

    def run(self):
        began = time.monotonic()
        for number in range(self.options.cycles):
            self.cycle(number)
        self.finish()
        print(f'{self.options.cycles} cycles in {time.monotonic() - began:.1f} s: {self.counts_text()}')
        if self.counts['strikes in submitting'] < self.options.cycles // 5:
            raise Broken('fewer than a fifth of the kills fell into `submitting`')


def run_workers(options):
    """The cycles in equal shares; 1 when one of the workers fails."""
    workers = []
    share = -(-options.cycles // options.workers)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    try:
        for i in range(options.workers):
            cycles = min(share, options.cycles - i * share)
            workers.append(subprocess.Popen(
                [sys.executable, '-B', __file__, *sys.argv[1:], '--cycles', str(cycles), '--worker', str(i)],
                preexec_fn=functools.partial(die_with_parent, signal.SIGTERM)))
        codes = [worker.wait() for worker in workers]
    finally:
        for worker in workers:
            if worker.poll() is None:
                worker.terminate()
                worker.wait(DEADLINE_S)
    return max(codes)


def main():
    parser = argparse.ArgumentParser()
    for name in ['seedancefs', 'seedance-sim', 'directory']:
        parser.add_argument('--' + name, required=True)
    parser.add_argument('--cycles', type=int, default=2000)
    parser.add_argument('--workers', type=int, default=2)
    parser.add_argument('--worker', type=int, help='be this one of them')
    parser.add_argument('--seed', type=int, required=True)
    options = parser.parse_args()
    if options.worker is None:
        return run_workers(options)
    world = Cycles(os.path.join(options.directory, f'worker-{options.worker}'), options,
                   f'{options.seed}.{options.worker}')
    return run_guarded(world, world.run)


if __name__ == '__main__':
    sys.exit(main())
