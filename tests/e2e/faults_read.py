#!/usr/bin/python3
"""Every fault of the media host, in four phases of reading:  faults_read.py DIRECTORY fast|slow|expired

A variant is a row of tests/faults/media.table: what the simulator does to the responses for one video: once, or always. The phases are the
probe of the size, the first range, the middle of a sequential read, and the tail. A read gives right bytes or
the errno that is required, in time; whatever it gave, the whole file is right once the host behaves again.
A service is asked for a new URL at most once per read, and nothing is ever created. FAULTS=TEXT in the environment
plays only the variants with that text in their names.
"""
import collections
import errno
import http.server
import json
import mmap
import os
import socket
import ssl
import subprocess
import sys
import threading
import time
from email.utils import formatdate

import fault_rows
from world import Broken, Mount, Simulator, in_parallel, wait_until

VIDEO_BYTES = 1200001
READERS = 64
READ_MAX_S = 75 # the program's deadline is 60 s
PART = 64 * 1024
TAIL = VIDEO_BYTES // 4096 * 4096 - 4096
LAST_BYTE = VIDEO_BYTES - TAIL - 1 # of a response that begins at the tail
RIGHT, EIO = 'right', 'EIO'
FAST = ('media-connections', 'media-statuses', 'media-redirects', 'media-lengths', 'media-ranges', 'media-heads')
SLOW = ('media-stalls',) # these mostly wait for deadlines
READING = ('first', 'middle', 'tail')
ALL = ('probe', *READING)
ONCE_PER_MOUNT = 10 # a mount has a budget of 20 retries from the start
ALWAYS_PER_MOUNT = 24

Variant = collections.namedtuple('Variant', 'name response once always phases refreshes')


def variants(section, marks):
    """The rows of a section. EXPECTED has what differs: "once: right; always: EIO; at: probe first middle tail; refreshes: 0";
    several outcomes that are allowed are joined by "or". What fails at once may be right all the same: the kernel asks again
    for a page that its readahead did not get."""
    for name, response, expected in fault_rows.parse(fault_rows.tables()[section][1], marks):
        differs = dict(part.split(': ') for part in expected.split('; ') if part)
        yield Variant(name, response, differs.get('once', RIGHT).split(' or '), differs.get('always', EIO).split(' or '),
                      differs.get('at', ' '.join(ALL)).split(), int(differs.get('refreshes', '0')))


class Helper:
    """Places that redirects lead to: a port that refuses, one that hangs up, one whose certificate nobody
    vouches for, and a chain of further redirects."""

    def __init__(self, directory):
        self.refusing = socket.socket() # bound, but it does not listen
        self.refusing.bind(('127.0.0.1', 0))
        self.cutting = socket.create_server(('127.0.0.1', 0))
        threading.Thread(target=self.cut, daemon=True).start()
        certificate, key = os.path.join(directory, 'cert.pem'), os.path.join(directory, 'key.pem')
        subprocess.run(['openssl', 'req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-subj', '/CN=127.0.0.1',
                        '-addext', 'subjectAltName=IP:127.0.0.1', '-keyout', key, '-out', certificate],
                       check=True, stderr=subprocess.DEVNULL)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        self.unknown = socket.create_server(('127.0.0.1', 0))
        threading.Thread(target=self.shake_hands, args=(context,), daemon=True).start()
        self.chain = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Chain)
        threading.Thread(target=self.chain.serve_forever, daemon=True).start()

    def cut(self):
        while True:
            self.cutting.accept()[0].close()

    def shake_hands(self, context):
        while True:
            connection = self.unknown.accept()[0]
            try:
                context.wrap_socket(connection, server_side=True).close()
            except OSError:
                connection.close()

    def marks(self):
        """What the table cannot hold."""
        sockets = {'@REFUSING@': self.refusing, '@CUTTING@': self.cutting, '@UNKNOWN@': self.unknown, '@CHAIN@': self.chain.socket}
        return {**{mark: str(of.getsockname()[1]) for mark, of in sockets.items()},
                '@LATER@': formatdate(time.time() + 2, usegmt=True),
                '@SIZE-1@': str(VIDEO_BYTES - 1), '@SIZE@': str(VIDEO_BYTES), '@SIZE+1@': str(VIDEO_BYTES + 1),
                '@LAST@': str(LAST_BYTE)}


class Chain(http.server.BaseHTTPRequestHandler):
    """/N?to=URL redirects N times, the last time to URL."""

    def do_GET(self): # pylint: disable=invalid-name
        left, to = self.path[1:].split('?to=', 1)
        if 'Authorization' in self.headers:
            raise Broken('the media host was sent credentials')
        self.send_response(302)
        self.send_header('Location', to if left == '1' else f'/{int(left) - 1}?to={to}')
        self.send_header('Content-Length', '0')
        self.end_headers()

    def log_message(self, *_arguments): # pylint: disable=arguments-differ
        pass


def wanted(sections, helper):
    return [of for section in sections for of in variants(section, helper.marks()) if os.environ.get('FAULTS', '') in of.name]


class Case:
    """One video, one variant, one mode, one phase."""

    def __init__(self, number, of, is_always, phases):
        self.variant = of
        self.is_always = is_always
        self.phases = phases
        self.name = f'case{number}'
        self.mark = f'({number})'
        self.allowed = of.always if is_always else of.once
        self.mount = None
        self.task = None
        self.right = None

    def __repr__(self):
        return f'{self.variant.name}, {"always" if self.is_always else "once"}'

    def rule(self, phase):
        limits = {} if self.is_always else {'times': 1}
        # A rule that acts before the request's end does not know the prompt.
        limits.update({'prompt_contains': self.mark} if phase == 'probe' else {'task': self.task})
        if phase == 'middle':
            limits['from'] = 2
        return {'kind': 'video', 'response': self.variant.response, **limits}

    def path(self):
        return self.mount.video(self.name)

    def make(self):
        self.mount.create(self.name, f'{self.variant.name} {self.mark}'.replace('[', ' '))

    def know(self):
        self.task = self.mount.task(self.name)
        self.right = self.mount.simulator.video(self.task)


def read_at(file, offset, size):
    """O_DIRECT wants aligned memory."""
    memory = mmap.mmap(-1, size)
    n = os.preadv(file, [memory], offset)
    return memory[:n]


def read_checked(case, spans, is_direct):
    """'right', or the name of the first error. Each read has a deadline, and no byte is wrong."""
    outcome = RIGHT
    file = os.open(case.path(), os.O_RDONLY | (os.O_DIRECT if is_direct else 0))
    try:
        for offset, size in spans:
            began = time.monotonic()
            try:
                part = read_at(file, offset, size)
                expected = case.right[offset:offset + size]
                if part != expected:
                    place = next((i for i, (a, b) in enumerate(zip(part, expected)) if a != b), len(part))
                    raise Broken(f'{case}: wrong byte at {offset + place}, {len(part)} of {len(expected)} bytes')
            except OSError as error:
                outcome = errno.errorcode[error.errno]
            if time.monotonic() - began > READ_MAX_S:
                raise Broken(f'{case}: a read took {time.monotonic() - began:.0f} s')
            if outcome != RIGHT:
                break
    finally:
        os.close(file)
    return outcome


SPANS = {
    'first': [(0, 4096)],
    'middle': [(offset, PART) for offset in range(0, VIDEO_BYTES, PART)],
    'tail': [(TAIL, 8192)],
    'whole': [(offset, PART) for offset in range(0, VIDEO_BYTES, PART)],
}


class Faults:
    def __init__(self, directory):
        self.directory = directory
        self.simulator = Simulator(directory, '--video-bytes', str(VIDEO_BYTES))
        self.helper = Helper(directory)
        self.mounts = []
        self.cases = []
        self.counts = collections.Counter()
        self.slowest = 0.0
        self.problems = []

    def end(self):
        for mount in self.mounts:
            mount.end()
        self.simulator.stop()

    def add(self, variants, phases, modes=(False, True)):
        """Cases of the same mode share mounts: those that heal must not be robbed of their retries."""
        added = []
        for is_always in modes:
            cases = [Case(len(self.cases) + i, of, is_always, [p for p in phases if p in of.phases])
                     for i, of in enumerate(of for of in variants if set(phases) & set(of.phases))]
            self.cases += cases
            most = ALWAYS_PER_MOUNT if is_always else ONCE_PER_MOUNT
            for i, case in enumerate(cases):
                if i % most == 0:
                    directory = os.path.join(self.directory, f'mount{len(self.mounts)}')
                    self.mounts.append(Mount(self.simulator, directory, '--archive', 'never'))
                case.mount = self.mounts[-1]
            added += cases
        return added

    def prepare(self, cases):
        """Finished videos of which nothing is cached."""
        for case in cases:
            case.make()
        for case in cases:
            case.mount.wait_succeeded(case.name)
            wait_until(f'the size of {case}', lambda case=case: os.path.exists(case.path()))
            case.know()

    def forget(self, cases):
        mounts = {id(case.mount): case.mount for case in cases}.values()
        in_parallel([mount.stop for mount in mounts], 60)
        for mount in mounts:
            mount.forget_cache()
            mount.start(wait=False)
        for mount in mounts:
            wait_until('the mount', mount.is_up)

    def note(self, case, phase, outcome):
        if outcome not in case.allowed:
            self.problems.append(f'{case}, {phase}: {outcome} instead of {" or ".join(case.allowed)}')
        self.counts[outcome] += 1

    def read(self, case, phase):
        polls = self.simulator.count('poll', case.task)
        began = time.monotonic()
        outcome = read_checked(case, SPANS[phase], case.is_always)
        self.slowest = max(self.slowest, time.monotonic() - began)
        polls = self.simulator.count('poll', case.task) - polls
        self.note(case, phase, outcome)
        if not case.variant.refreshes <= polls <= 1:
            self.problems.append(f'{case}, {phase}: {polls} URL refreshes')

    def check_fired(self, cases):
        """A fault that was not played proves nothing. The rules are in the order of the cases."""
        rules = json.loads(self.simulator.ask('counters'))['rules']
        self.problems += [f'{case}: the fault was not played' for case, rule in zip(cases, rules, strict=True)
                          if rule['fired'] == 0]

    def heal(self, cases):
        """The host behaves: every video is right, from its first byte to its last."""
        def whole(case):
            def is_right():
                try:
                    return read_checked(case, SPANS['whole'], True) == RIGHT
                except FileNotFoundError: # its size is being asked for
                    return False
            # A refused URL is not asked for again at once; another version is a new file.
            wait_until(f'{case} to be right again', is_right, 60, 0.2)
        self.simulator.play()
        in_parallel([lambda case=case: whole(case) for case in cases], 90)

    def run_reading(self, cases, phase):
        cases = [case for case in cases if phase in case.phases]
        self.forget(cases)
        self.simulator.play(*[case.rule(phase) for case in cases])
        in_parallel([lambda case=case: self.read(case, phase) for case in cases], 2 * READ_MAX_S)
        self.check_fired(cases)
        self.heal(cases)

    def probe(self, case, seconds):
        case.make()
        case.mount.wait_succeeded(case.name, seconds)
        outcome = RIGHT if os.path.exists(case.path()) else EIO
        if outcome == EIO and not os.path.exists(case.mount.job(case.name, 'error')):
            self.problems.append(f'{case}: no size, and no error')
        self.note(case, 'probe', outcome)
        case.know()
        if outcome == RIGHT and os.stat(case.path()).st_size != VIDEO_BYTES:
            self.problems.append(f'{case}: the size is {os.stat(case.path()).st_size}')

    def run_probes(self, cases, seconds=60):
        self.simulator.play(*[case.rule('probe') for case in cases])
        in_parallel([lambda case=case: self.probe(case, seconds) for case in cases], seconds + 30)
        self.check_fired(cases)
        # What could not be asked for is asked for again at the latest after a restart.
        self.simulator.play()
        mounts = {id(case.mount): case.mount for case in cases}.values()
        in_parallel([mount.stop for mount in mounts], 60)
        for mount in mounts:
            mount.start()
        self.heal(cases)

    def fast(self):
        table = wanted(FAST, self.helper)
        self.run_probes(self.add(table, ('probe',)))
        cases = self.add(table, READING)
        self.prepare(cases)
        for phase in READING:
            self.run_reading(cases, phase)

    def slow(self):
        """All phases at once, so that the deadline is waited for once."""
        table = wanted(SLOW, self.helper)
        cases = {phase: self.add(table, (phase,)) for phase in READING}
        probes = self.add(table, ('probe',), modes=(False,))
        reading = [case for phase in READING for case in cases[phase]]
        self.prepare(reading)
        self.forget(reading)
        self.simulator.play(*[case.rule(phase) for phase in READING for case in cases[phase]],
                            *[case.rule('probe') for case in probes])
        in_parallel([*[lambda case=case, phase=phase: self.read(case, phase)
                       for phase in READING for case in cases[phase]],
                     *[lambda case=case: self.probe(case, READ_MAX_S) for case in probes]], 2 * READ_MAX_S)
        self.check_fired([*reading, *probes])
        self.heal([*reading, *probes])

    def expired(self):
        """64 readers of a URL that has expired: one refresh, whatever they read and however they are planned."""
        self.simulator.stop()
        self.simulator.start('--video-bytes', str(VIDEO_BYTES), '--url-expires', '1')
        case, = self.add([Variant('an expired URL', {}, [RIGHT], [RIGHT], ALL, 0)], READING, modes=(True,))
        self.prepare([case])
        self.simulator.stop()
        self.simulator.start('--video-bytes', str(VIDEO_BYTES))
        self.forget([case])
        wait_until('the URL to expire', lambda: not os.path.exists(case.mount.job(case.name, 'output.url')))
        polls = self.simulator.count('poll')
        spans = [[((i * 37 + n * 11) % len(SPANS['whole']) * PART, PART) for n in range(16)] for i in range(READERS)]

        def read(number):
            self.note(case, 'expired', read_checked(case, spans[number], number % 2 == 0))
        in_parallel([lambda number=number: read(number) for number in range(READERS)], READ_MAX_S)
        polls = self.simulator.count('poll') - polls
        if polls != 1:
            self.problems.append(f'{polls} URL refreshes for {READERS} readers')

    def check_log(self):
        creates = self.simulator.count('create')
        if creates != len(self.cases):
            raise Broken(f'{creates} creates for {len(self.cases)} jobs')
        for line in self.simulator.log('video'):
            if line['authorization'] or line['method'] != 'GET':
                raise Broken(f'the media host was asked {line}')

    def run(self, which):
        began = time.monotonic()
        {'fast': self.fast, 'slow': self.slow, 'expired': self.expired}[which]()
        self.check_log()
        if self.problems:
            raise Broken('\n'.join(self.problems))
        outcomes = ', '.join(f'{n} {outcome}' for outcome, n in sorted(self.counts.items()))
        print(f'{sum(self.counts.values())} faults of {len({case.variant.name for case in self.cases})} kinds in '
              f'{time.monotonic() - began:.0f} s: {outcomes}; the slowest read took {self.slowest:.1f} s')
        for mount in self.mounts:
            mount.stop()


def main():
    faults = Faults(sys.argv[1])
    code = 0
    try:
        faults.run(sys.argv[2])
    except (Broken, OSError) as error:
        print(f'{type(error).__name__}: {error}', file=sys.stderr)
        code = 1
    finally:
        faults.end()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code) # a thread that hangs must not keep the test from its end


main()
