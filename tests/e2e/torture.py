#!/usr/bin/python3
"""Tortures a mounted seedancefs that runs with build/failing.so (tests/tools/failing.h): for every k, the k-th
allocation, write, sync or socket write fails while a job is written and submitted, alone or with all that come after
it until the job has come to rest. The daemon stays the same one for all of them.

Required of each: the daemon lives and answers, at most one create, a user who is told of what failed, the content as
it was written, and a job that can be finished afterwards. The last line is a summary.
"""
import argparse
import errno
import json
import mmap
import os
import random
import signal
import struct
import sys
import time

KINDS = {"memory": 1, "write": 2, "sync": 3, "socket": 4}
FIELDS = ["kind", "fail_at", "is_lasting", "count", "failures", "live", "syncs"]
DEADLINE_S = 30
QUIET_S = 0.012
BROKEN_OFF_S = 1


class Control:
    """The struct failing_control that the daemon has mapped as well."""

    def __init__(self, path):
        with open(path, "r+b") as f:
            self.map = mmap.mmap(f.fileno(), 0)

    def get(self, field):
        return struct.unpack_from("q", self.map, 8 * FIELDS.index(field))[0]

    def set(self, field, value):
        struct.pack_into("q", self.map, 8 * FIELDS.index(field), value)

    def arm(self, kind, k, is_lasting):
        for field, value in (("count", 0), ("failures", 0), ("fail_at", k), ("is_lasting", is_lasting)):
            self.set(field, value)
        self.set("kind", kind)

    def disarm(self):
        self.set("kind", 0)


class Torture:
    def __init__(self, options):
        self.options = options
        self.control = Control(options.control)
        self.jobs = options.mnt + "/jobs/"
        self.log = open(options.log, encoding="utf-8", errors="replace")
        self.line = ""  # of the log, not yet complete
        self.creates = {}
        self.number = 0
        self.unknown = {}  # where -> the first line of `error`
        self.suspects = []
        self.padding = {}
        self.where = "at the start"

    def fail(self, message):
        raise AssertionError(f"{self.where}: {message}")

    def creates_of(self, job):
        *lines, self.line = (self.line + self.log.read()).split("\n")
        for line in lines:
            entry = json.loads(line)
            if entry.get("kind") == "create":
                # A request that broke off has no body; jobs are written one after the other.
                prompt = json.loads(entry["body"])["prompt"] if entry.get("body") else job
                self.creates[prompt] = self.creates.get(prompt, 0) + 1
        return self.creates.get(job, 0)

    def read(self, job, name):
        try:
            with open(self.jobs + job + "/" + name, encoding="utf-8") as f:
                return f.read()
        except FileNotFoundError:
            return None

    def status(self, job):
        text = self.read(job, "status")
        return text.strip() if text else None

    def write(self, job):
        """As `echo … > prompt.json`; the errors of open, write and close, None where there was none."""
        told = []
        try:
            fd = os.open(self.jobs + job + "/prompt.json", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        except OSError as e:
            return [("open", e.errno)]
        try:
            os.write(fd, self.content(job))
        except OSError as e:
            told.append(("write", e.errno))
        try:
            os.close(fd)
        except OSError as e:
            told.append(("close", e.errno))
        return told

    def content(self, job):
        return json.dumps({"prompt": job, **self.padding}).encode() + b"\n"

    def quiet(self):
        count, since = -1, time.monotonic()
        while time.monotonic() - since < QUIET_S:
            time.sleep(0.001)
            now = self.control.get("count")
            if now != count:
                count, since = now, time.monotonic()

    def rest(self, job, is_lasting):
        """Waits until the failure has happened, or the job is queued without one; and, when it lasts, until nothing
        goes on any more. Files are looked at late, because that counts as well."""
        while not self.control.get("failures"):
            if self.creates_of(job):
                self.quiet()
                try:
                    if self.status(job) == "queued":
                        return
                except OSError:
                    pass
            time.sleep(0.001)
        if is_lasting:
            self.quiet()

    def finish(self, job, told):
        """Brings the job to its end as a user would, and checks what is seen on the way."""
        wanted = ("queued", "running", "succeeded")
        status = self.status(job)
        while status not in wanted:
            creates = self.creates_of(job)
            if status in (None, "draft", "invalid"):
                if creates:
                    self.fail(f"status {status} after {creates} creates")
                if not told and self.read(job, "error") is None:
                    self.fail(f"status {status}, and nobody was told: no errno, no error")
                again = self.write(job)
                if again:
                    self.fail(f"writing it again fails: {again}")
                told = []
            elif status == "waiting":
                try:
                    with open(self.jobs + job + "/ctl", "w", encoding="utf-8") as f:
                        f.write("submit\n")
                except OSError as e:
                    if e.errno not in (errno.EBUSY, errno.EINVAL):
                        raise
            elif status == "unknown":
                if not self.read(job, "error"):
                    self.fail("unknown without an error")
                self.unknown[self.where] = self.read(job, "error").split("\n")[0]
                # A request that broke off may be in the log late, and must not be counted for the next job.
                since = time.monotonic()
                while not self.creates_of(job) and time.monotonic() - since < BROKEN_OFF_S:
                    time.sleep(0.01)
                return
            elif status != "submitting":
                self.fail(f"status {status}: {self.read(job, 'error')}")
            time.sleep(0.002)
            status = self.status(job)
        if told:
            self.fail(f"sent, although the writer was told {told}")
        if self.creates_of(job) != 1:
            self.fail(f"{self.creates_of(job)} creates")
        error = self.read(job, "error")
        if error is not None:
            self.fail(f"an error remains: {error}")
        if not json.loads(self.read(job, "status.json"))["task_id"]:
            self.fail("no task id")
        if self.read(job, "prompt.json").encode() != self.content(job):
            self.fail("prompt.json is not what was written")

    def one(self, kind, k, is_lasting):
        """False when there is no k-th call any more."""
        self.number += 1
        job = f"job-{self.number}"
        signal.alarm(DEADLINE_S)
        live = self.control.get("live")
        self.control.arm(kind, k, is_lasting)
        told = self.write(job)
        self.rest(job, is_lasting)
        self.control.disarm()
        is_reached = self.control.get("failures") > 0
        self.finish(job, told)
        os.unlink(self.jobs + job + "/prompt.json")
        os.rmdir(self.jobs + job)
        signal.alarm(0)
        return is_reached, self.control.get("live") - live

    def looked_at(self, name, k, is_lasting):
        """One k; again when memory was kept, because caches grow, but not every time at the same place."""
        self.where = f"{name} {k} {'and all after it' if is_lasting else 'alone'} (seed {self.options.seed})"
        for _ in range(3):
            is_reached, kept = self.one(KINDS[name], k, is_lasting)
            if kept <= 0 or not is_reached:
                return is_reached
        self.suspects.append((name, k, is_lasting))
        return True

    def leaks(self):
        """What kept memory each time may have waited for the store (JOB_SAVE_AGAIN_MS, src/job/job_private.h)."""
        self.where = f"suspects {self.suspects}"
        kept = []
        for _ in range(3):
            time.sleep(5.5)
            live = self.control.get("live")
            for name, k, is_lasting in self.suspects:
                for _ in range(3):
                    self.one(KINDS[name], k, is_lasting)
            time.sleep(5.5)
            kept.append(self.control.get("live") - live)
            if kept[-1] < 3:
                return
        self.fail(f"leaks: {kept} allocations are kept")

    def sweep(self, name):
        stride = self.options.stride if name == "memory" else 1
        for is_lasting in (False, True):
            k = 1 + self.options.seed % stride
            start = time.monotonic()
            count = 0
            while self.looked_at(name, k, is_lasting):
                k += stride
                count += 1
            print(f"{name}: {count} of {k - 1} {'and all after it' if is_lasting else 'alone'}, "
                  f"{time.monotonic() - start:.1f} s", flush=True)
            if count < 2:
                self.fail("nothing was looked at")

    def run(self):
        self.where = "without a failure"
        # SQLite's cache of pages is full before anything is counted.
        self.padding = {"padding": "x" * 900000}
        for _ in range(3):
            self.one(0, 0, False)
        self.padding = {}
        for _ in range(20):
            self.one(0, 0, False)
        for name in self.options.kinds.split(","):
            self.sweep(name)
        if self.suspects:
            print(f"memory was kept at first at {len(self.suspects)} places", flush=True)
            self.leaks()
        for where, error in self.unknown.items():
            print(f"unknown: {where}: {error}")
        # A request that broke off may have made a task, and a response may be lost within libcurl, which has some
        # allocations to make before it hands out the first byte. Nothing else may lose one.
        of = {name: [w for w in self.unknown if w.startswith(name)] for name in KINDS}
        if of["write"] or of["sync"] or len(of["memory"]) > 2 + self.number // 20:
            self.fail("responses are lost that had come in")
        print(f"{self.number} jobs, {len(self.unknown)} unknown")


def main():
    parser = argparse.ArgumentParser()
    for option in ("control", "mnt", "log"):
        parser.add_argument("--" + option, required=True)
    parser.add_argument("--kinds", default=",".join(KINDS))
    parser.add_argument("--stride", type=int, default=7)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    torture = Torture(parser.parse_args())

    def hangs(*_):
        torture.fail(f"hangs: {DEADLINE_S} s have passed")

    signal.signal(signal.SIGALRM, hangs)
    torture.run()


if __name__ == "__main__":
    sys.exit(main())
