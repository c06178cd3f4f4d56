#!/usr/bin/env python3
"""Power cuts, many times over (see crashes.py for what must hold).

The data directory is an ext4 of its own on a loop device. A cut is EXT4_IOC_SHUTDOWN, the ioctl by which
file system tests pull the plug: from then on nothing reaches the disk, mostly not even what the journal
has ready. The daemon dies with it or lives on for some moments without a disk; then the file system is
mounted again, which replays its journal, and the daemon is started on what is there.

Most cuts come when they hurt: as soon as the service has seen the create, or the user a task id.
"""
import argparse
import fcntl
import glob
import os
import signal
import struct
import subprocess
import sys
import time

from crash_world import RANK, SLOW_MS, Broken, run_guarded, wait_until
from crashes import Crashes

EXT4_IOC_SHUTDOWN = 0x8004587D # _IOR('X', 125, __u32), from the kernel's fs/ext4/ext4.h
# EXT4_GOING_FLAGS_*: with a sync before, with the journal written, with nothing written; and how often.
GOING_DEFAULT, GOING_LOGFLUSH, GOING_NOLOGFLUSH = 0, 1, 2
GOING_WEIGHTS = {GOING_DEFAULT: 1, GOING_LOGFLUSH: 2, GOING_NOLOGFLUSH: 12}
IMAGE_BYTES = 64 << 20
JOURNAL_MIB = 4
FSCK_EVERY = 25


class Cuts(Crashes):
    loses_unsynced = True
    acts = [('start', 5), ('seen', 38), ('shown', 15), ('closed', 10), ('midst', 10), ('whenever', 10),
            ('removed', 5), ('other', 7)]

    def __init__(self, directory, options, seed):
        super().__init__(directory, options, seed)
        if options.only:
            self.acts = [(options.only, 1)]
        self.lives_on = False
        self.image = os.path.join(directory, 'disk.img')
        os.mkdir(self.data)
        with open(self.image, 'wb') as image:
            image.truncate(IMAGE_BYTES)
        self.command('mkfs.ext4', '-q', '-F', '-J', f'size={JOURNAL_MIB}', self.image)
        self.plug_in()

    def command(self, *arguments):
        done = subprocess.run(arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              check=False)
        if done.returncode != 0:
            raise OSError(f'{" ".join(arguments)}: {done.stdout}')

    def plug_in(self):
        commit_s = self.random.randint(1, 5)
        self.command('mount', '-t', 'ext4', '-o', f'loop,data=ordered,commit={commit_s}', self.image,
                     self.data)

    def is_attached(self):
        for path in glob.glob('/sys/block/loop*/loop/backing_file'):
            try:
                with open(path, encoding='utf-8') as file:
                    if file.read().strip() == self.image:
                        return True
            except OSError:
                pass # another one, which is just going
        return False

    def unplug(self):
        """A mount namespace that somebody made meanwhile may keep the file system, and mounting the image
        again would give that one, without power: wait until its loop device is gone."""
        if self.is_mounted(self.data):
            # The process that syncs for a killed daemon ends a moment after it.
            wait_until(lambda: subprocess.run(['umount', self.data], stderr=subprocess.DEVNULL,
                                              check=False).returncode == 0, f'the umount of {self.data}')
        wait_until(lambda: not self.is_attached(), f'the end of {self.image}')

    def close(self):
        try:
            super().close()
        finally:
            self.unplug()

    def is_stopped(self):
        with open(f'/proc/{self.daemon.pid}/stat', encoding='utf-8') as stat:
            return stat.read().rpartition(')')[2].split()[0] == 'T'

    def strike(self):
        """The daemon must not see the cut happen: an fdatasync that is under way while the file system shuts
        down may return 0 for what is lost (17 of 300 on Linux 6.18, none that returned before), and a
        program that goes on after that is nothing a power cut leaves. So it is killed before, also within an
        fdatasync, or else halted between two system calls, and lives on for some moments without a disk."""
        self.lives_on = self.random.randrange(2) == 1
        if self.lives_on:
            self.daemon.send_signal(signal.SIGSTOP)
            wait_until(self.is_stopped, 'the daemon to halt')
        else:
            self.daemon.kill()
        self.shut_down()
        if self.lives_on:
            self.daemon.send_signal(signal.SIGCONT)

    def shut_down(self):
        flags = self.random.choices(list(GOING_WEIGHTS), list(GOING_WEIGHTS.values()))[0]
        directory = os.open(self.data, os.O_RDONLY)
        try:
            fcntl.ioctl(directory, EXT4_IOC_SHUTDOWN, struct.pack('I', flags))
        finally:
            os.close(directory)

    def kill(self):
        if self.lives_on:
            self.sleep_ms(60) # without a disk it must not send anything either
            self.counts['lived on'] += 1
        super().kill()
        self.unplug()
        self.plug_in()
        if self.number % FSCK_EVERY == FSCK_EVERY - 1:
            self.unplug()
            self.command('e2fsck', '-fn', self.image)
            self.plug_in()

    def act_seen(self):
        job = self.add(self.random.choice(['late', 'late', 'drip', 'cut', 'plain']))

        def is_seen():
            self.simulator.read_log()
            return self.simulator.sent[job.marker] > 0

        wait_until(is_seen, f'the create of {job!r}')
        self.strike_now()

    def act_shown(self):
        job = self.add('plain')
        wait_until(lambda: RANK[self.look(job)] >= RANK['queued'], f'the task id of {job!r}')
        self.strike_now()

    def act_closed(self):
        self.add('plain')
        self.strike_now()

    def act_midst(self):
        self.strike_after(25)
        while not self.is_struck:
            self.add(self.random.choice(['plain', 'late']))

    def act_whenever(self):
        for _ in range(self.random.choice([1, 2, 3])):
            self.add(self.random.choice(['plain', 'late', 'drip', 'fail', 'fail']))
        self.sleep_ms(400)

    def act_removed(self):
        """More jobs than are sent at a time; the last one is removed while it waits."""
        began = time.monotonic()
        jobs = [self.add('slow') for _ in range(6)]
        last = jobs[-1]
        if self.look(last) == 'waiting':
            self.jobs.remove(last)
            self.remove(last.name)
            # Before the first response there was no free place for it.
            if time.monotonic() - began < SLOW_MS / 1000:
                self.never_sent.add(last.marker)
                self.counts['removed while waiting'] += 1
        self.strike_now()

    def act_other(self):
        self.rename_one()
        self.rewrite_one()
        self.add_unfinished()
        for _ in range(3):
            self.read_some_video()
        self.sleep_ms(100)

    def run(self):
        began = time.monotonic()
        for number in range(self.options.cuts):
            self.cycle(number)
        self.finish()
        print(f'{self.options.cuts} cuts in {time.monotonic() - began:.1f} s: {self.counts_text()}')
        if not self.options.only and self.counts['strikes with a create seen'] < self.options.cuts // 4:
            raise Broken('fewer than a quarter of the cuts came when the service had seen a create')


def main():
    parser = argparse.ArgumentParser()
    for name in ['seedancefs', 'seedance-sim', 'directory']:
        parser.add_argument('--' + name, required=True)
    parser.add_argument('--cuts', type=int, default=200)
    parser.add_argument('--seed', type=int, required=True)
    parser.add_argument('--only', help='one of the acts')
    options = parser.parse_args()
    world = Cuts(options.directory, options, options.seed)
    return run_guarded(world, world.run)


if __name__ == '__main__':
    sys.exit(main())
