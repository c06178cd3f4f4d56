#!/usr/bin/python3
"""An error is not a fact: whatever only looks at a mount must cost nothing, whichever call of the program fails.

A mount with jobs in all lasting states, its service and media host gone, so that what is on disk is the last copy, is
walked piece by piece by what reads: listings, attributes, cat, head and tail, mmap, O_DIRECT, poll. Each piece is
walked once to see which calls the program makes for it (build/failing.so, tests/tools/failing.c: open, stat, read,
mmap, readdir and the allocations, also SQLite's), each known by the functions that led there. Then each of these sites
fails once with each errno, and after each failure is required:

  kept     the data directory holds every byte and every row that it held before
  unsent   no create was sent
  alive    the daemon is the same one, and answers
  true     a read that did not fail gave the right bytes, in the walk itself as well
  again    the same walk, once more, finds everything right

The same is done with the start of the program, which may refuse with a message, and with streaming, where the media
host is there. A violation is shown with the call, the errno and the functions that led there; the world is put back
to what it was, and the sweep goes on until there are too many of them.
"""
import argparse
import ctypes
import errno
import hashlib
import json
import mmap
import os
import random
import re
import select
import shutil
import signal
import sqlite3
import struct
import subprocess
import sys
import threading
import time

sys.dont_write_bytecode = True
import torture # pylint: disable=wrong-import-position
import world # pylint: disable=wrong-import-position

CALLS = ('open', 'stat', 'read', 'mmap', 'readdir', 'malloc')
ERRORS = ('EMFILE', 'ENFILE', 'ENOMEM', 'EIO', 'EACCES', 'ENOENT', 'ESTALE', 'EINTR')
LOOK = 5 # enum failing_kind
# struct failing_control after its prefix, and struct failing_site
TAIL = 56 + 200
SITES = TAIL + 24
SITES_MAX = 4096
FRAMES = 28
SITE = struct.Struct(f'Qqq{FRAMES}I')
CONTROL_BYTES = 1 << 20

STREAM = 'a video that is not on disk'
FILLERS = 68          # more than the program keeps the details of (JOB_DETAILS_RESTING)
VIDEO_BYTES = 700000  # more than the two ends that are always fetched
BLOCK_BYTES = 65536   # of a block map
AGAIN_S = 10          # after which a failure must be over
HANG_S = 90           # longer than any deadline of the program
MS_REMOUNT = 32
KNOWN_DEPTH = 4 # functions by which two violations are one
# What may be broken, the worst first.
KINDS = ('lost', 'sent', 'ended', 'again', 'untrue')
libc = ctypes.CDLL(None, use_errno=True)


class Control(torture.Control):
    """The failing call, and the sites that were come by."""

    def __init__(self, path):
        with open(path, 'wb') as file:
            file.truncate(CONTROL_BYTES)
        super().__init__(path)

    def record(self):
        self.disarm()
        self.map[SITES:SITES + SITES_MAX * SITE.size] = bytes(SITES_MAX * SITE.size)
        struct.pack_into('qqq', self.map, TAIL, 0, 0, 0)
        self.set('failures', 0)
        self.set('kind', LOOK)

    def recorded(self):
        """{hash: Site}; disarms."""
        self.disarm()
        sites = {}
        for i in range(SITES_MAX):
            fields = SITE.unpack_from(self.map, SITES + i * SITE.size)
            if fields[0]:
                sites[fields[0]] = Site(*fields[:3], fields[3:])
        return sites

    def fail(self, site, nth, error):
        self.disarm()
        for field, value in (('count', 0), ('failures', 0), ('fail_at', nth), ('is_lasting', 0)):
            self.set(field, value)
        struct.pack_into('qQq', self.map, TAIL, error, site.hash, site.call)
        self.set('kind', LOOK)


class Site:
    def __init__(self, number, call, count, frames):
        self.hash = number
        self.call = call
        self.count = count
        self.frames = frames

    def errors(self):
        return ('ENOMEM',) if CALLS[self.call] == 'malloc' else ERRORS

    def functions(self):
        """The functions on the stack, innermost first."""
        addresses = [hex(frame - 1) for frame in self.frames if frame]
        out = subprocess.run(['addr2line', '-f', '-i', '-e', world.SEEDANCEFS, '-a', *addresses],
                             stdout=subprocess.PIPE, check=False).stdout.decode()
        at = {}
        for block in re.split(r'^(?=0x)', out, flags=re.M):
            address, *lines = block.splitlines() or ['0']
            at[int(address, 16)] = list(zip(lines[0::2], lines[1::2]))
        names = []
        for frame in self.frames:
            if not frame:
                names.append('(library)')
                continue
            for name, place in at.get(frame - 1, [('?', '?')]):
                if name in ('request_process', 'main'):
                    return names
                place = place.split('/')[-1].split(' ')[0]
                names.append(f'{name} ({place})' if '.h:' not in place else name)
        return names

    def cause(self, depth):
        """The innermost functions: what goes wrong there is mostly the same, whoever called them."""
        return (self.call, *[frame for frame in self.frames if frame][:depth])

    def is_store_file(self):
        """SQLite's: its pages must not be in its memory."""
        return self.frames[0] == 0 and CALLS[self.call] != 'malloc'


class Data:
    """What must not be lost of the data directory: users' files, the bytes that block maps vouch for, rows."""

    CHANGING = {'lock', 'seedancefs.log', 'jobs.sqlite', 'jobs.sqlite-wal', 'jobs.sqlite-shm'}
    GROWING = ('ledger', 'history', 'event')

    def __init__(self, directory, scratch):
        self.directory = directory
        self.scratch = scratch
        self.take()

    def take(self):
        """From now on this is what must be there."""
        self.places = self.look()
        self.files = {path: self.content(path) for path in self.places}
        self.tables = self.rows()
        self.store_place = self.store_look()

    def look(self):
        places = {}
        for directory in ('', 'files', 'media'):
            for entry in os.scandir(os.path.join(self.directory, directory)):
                # A map that is being written has that name until it takes the place of the one before.
                if entry.name.endswith('.tmp') or entry.name.startswith('witness.'):
                    continue
                if entry.is_file(follow_symlinks=False) and entry.name not in self.CHANGING:
                    st = entry.stat(follow_symlinks=False)
                    places[os.path.join(directory, entry.name)] = (st.st_ino, st.st_size, st.st_mtime_ns)
        return places

    def store_look(self):
        found = []
        for name in ('jobs.sqlite', 'jobs.sqlite-wal'):
            try:
                st = os.stat(os.path.join(self.directory, name))
                found.append((st.st_ino, st.st_size, st.st_mtime_ns))
            except FileNotFoundError:
                found.append(None)
        return found

    def content(self, path):
        """{piece: digest}: of a file of a user one piece, of a video each block that its map vouches for."""
        with open(os.path.join(self.directory, path), 'rb') as file:
            bytes_ = file.read()
        if not path.startswith('media/'):
            return {'all of it': hashlib.md5(bytes_).digest()}
        if path.endswith('.map'):
            return {block: True for block in self.blocks(bytes_)}
        vouched = self.blocks_of(path)
        return {f'block {block}': hashlib.md5(bytes_[block * BLOCK_BYTES:(block + 1) * BLOCK_BYTES]).digest()
                for block in vouched}

    @staticmethod
    def blocks(bytes_):
        """Of a block map: src/media/block_map.c."""
        size = struct.unpack_from('<q', bytes_, 32)[0]
        bitmap = bytes_[56:]
        return [block for block in range(-(-size // BLOCK_BYTES)) if bitmap[block // 8] >> block % 8 & 1]

    def blocks_of(self, path):
        map_path = path[:-4] + '.map' if path.endswith('.mp4') else path + '.map'
        try:
            with open(os.path.join(self.directory, map_path), 'rb') as file:
                return self.blocks(file.read())
        except FileNotFoundError:
            return []

    def rows(self):
        """{table: {id: row}}. The program alone may open its store while it runs: a copy is looked at."""
        shutil.rmtree(self.scratch, ignore_errors=True)
        os.mkdir(self.scratch)
        for name in ('jobs.sqlite', 'jobs.sqlite-wal'):
            if os.path.exists(os.path.join(self.directory, name)):
                shutil.copy(os.path.join(self.directory, name), self.scratch)
        connection = sqlite3.connect(os.path.join(self.scratch, 'jobs.sqlite'))
        connection.row_factory = sqlite3.Row
        tables = {}
        for (table,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall():
            if table != 'meta':
                tables[table] = {row[0]: dict(row) for row in connection.execute(f'SELECT * FROM {table}')}
        connection.close()
        return tables

    def losses(self):
        """What is not as it was, in words."""
        found = []
        if self.look() != self.places:
            found += self.file_losses()
        if self.store_look() != self.store_place:
            found += self.row_losses()
        return [('lost', loss) for loss in found]

    def file_losses(self):
        now = self.look()
        found = []
        for path, before in self.files.items():
            if path not in now:
                found.append(f'the file {path} is gone')
            elif now[path] != self.places[path]:
                after = self.content(path)
                gone = [piece for piece, digest in before.items() if after.get(piece) != digest]
                if gone:
                    found.append(f'the file {path} has lost {len(gone)} of {len(before)} pieces: {gone[:3]}')
        if not found:
            self.places = now
        return found

    @staticmethod
    def is_renewal(table, before, after):
        """A download that failed may ask the service for new signed addresses of the same video."""
        def unsigned(value):
            return re.sub(r'\?X-[^"]*', '', value.decode() if isinstance(value, bytes) else str(value))
        addresses = {'attempt': ('video_url', 'cover_url', 'url_expires_ms'), 'exchange': ('response',)}.get(table, ())
        return all(name in addresses and (name == 'url_expires_ms' and (after[name] or 0) >= (before[name] or 0) or
                                          unsigned(after[name]) == unsigned(before[name]))
                   for name in before if before[name] != after[name])

    def row_losses(self):
        now = self.rows()
        found = []
        for table, before in self.tables.items():
            for number, row in before.items():
                other = now.get(table, {}).get(number)
                if other is None:
                    found.append(f'the row {number} of {table} is gone: {str(row)[:200]}')
                elif other != row and not self.is_renewal(table, row, other):
                    columns = [f'{name}: {str(row[name])[:60]!r} -> {str(other[name])[:60]!r}'
                               for name in row if row[name] != other[name]]
                    found.append(f'the row {number} of {table} has changed: {"; ".join(columns)}')
            more = set(now.get(table, {})) - set(before)
            if more and table not in self.GROWING:
                found.append(f'{table} has new rows: {sorted(more)[:3]}')
        if not found:
            self.store_place = self.store_look()
        return found


class Walk:
    """One way of looking: notes what each place gave, or the error number it gave instead."""

    def __init__(self, mnt):
        self.mnt = mnt
        self.found = {}

    def note(self, what, path, call):
        key = (what, os.path.relpath(path, self.mnt))
        try:
            self.found[key] = call()
        except OSError as error:
            self.found[key] = error
        return self.found[key]

    def list(self, path):
        """As `ls -lR` and getfattr: names, attributes, extended attributes, where links lead."""
        names = self.note('names', path, lambda: sorted(os.listdir(path)))
        for name in [] if isinstance(names, OSError) else names:
            place = os.path.join(path, name)
            st = self.note('attributes', place, lambda: self.attributes(place))
            if isinstance(st, OSError):
                continue
            if st[0].startswith('l'):
                self.note('link', place, lambda: os.readlink(place))
            else:
                self.note('extended attributes', place, lambda: self.extended(place))

    @staticmethod
    def attributes(path):
        st = os.lstat(path)
        kind = 'l' if (st.st_mode & 0o170000) == 0o120000 else '-'
        size = st.st_size if is_steady(path) and (st.st_mode & 0o170000) == 0o100000 else None
        # What is no job's has the time of the start.
        is_timed = is_steady(path) and '/jobs/' in path
        return (kind + oct(st.st_mode), st.st_ino, size, st.st_mtime_ns if is_timed else None)

    @staticmethod
    def extended(path):
        names = os.listxattr(path)
        return {name: os.getxattr(path, name) if is_steady(path) else None for name in sorted(names)}

    def read(self, path):
        def whole():
            with open(path, 'rb', buffering=0) as file:
                return steady(path, file.readall())
        self.note('bytes', path, whole)

    def ends(self, path):
        """As a thumbnailer: the head, then the index at the tail."""
        def both():
            with open(path, 'rb', buffering=0) as file:
                size = os.fstat(file.fileno()).st_size
                return [digest(os.pread(file.fileno(), 70000, 0)), digest(os.pread(file.fileno(), 9000, size - 9000))]
        self.note('ends', path, both)

    def map(self, path):
        def mapped():
            with open(path, 'rb') as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as pages:
                return digest(self.through_write(pages))
        self.note('mapped', path, mapped)

    @staticmethod
    def through_write(pages):
        """Copied by write(2): a page that cannot be read gives EFAULT there, not SIGBUS here."""
        fd = os.memfd_create('pages')
        try:
            done = 0
            with memoryview(pages) as view:
                while done < len(pages):
                    with view[done:] as rest:
                        done += os.write(fd, rest)
            return os.pread(fd, done, 0)
        finally:
            os.close(fd)

    def direct(self, path):
        def unbuffered():
            fd = os.open(path, os.O_RDONLY | os.O_DIRECT)
            try:
                bytes_ = b''
                with mmap.mmap(-1, 1 << 17) as place:
                    while True:
                        n = os.preadv(fd, [place], len(bytes_))
                        if n == 0:
                            return digest(bytes_)
                        bytes_ += place[:n]
            finally:
                os.close(fd)
        self.note('direct', path, unbuffered)

    def poll(self, path):
        def polled():
            with open(path, 'rb', buffering=0) as file:
                file.read(1 << 16)
                waiter = select.poll()
                waiter.register(file, select.POLLIN | select.POLLPRI)
                return sorted(event & ~select.POLLERR for _, event in waiter.poll(0))
        self.note('poll', path, polled)

    def space(self, path):
        self.note('space', path, lambda: os.statvfs(path).f_bsize)


def digest(bytes_):
    return (len(bytes_), hashlib.md5(bytes_).hexdigest())


def is_steady(path):
    """Not what changes by itself: the task that runs, figures about the program, a page that has a key of its own."""
    return '/running' not in path and not path.endswith(('/metrics', '/index.html'))


def steady(path, bytes_):
    """Of what changes by itself, that which must not."""
    if path.endswith('/metrics'):
        return sorted({re.split(b'[{ ]', line)[0].decode() for line in bytes_.splitlines() if line[:1] != b'#'})
    if path.endswith('/index.html'):
        return [bytes_.rstrip().endswith(b'</html>'), sorted(set(re.findall(rb'jobs/([a-z]+)/', bytes_)))]
    if path.endswith('/status.json'):
        status = json.loads(bytes_)
        if not is_steady(path):
            del status['progress']
        return status
    if path.endswith('/progress') and is_steady(path):
        return bytes_
    return digest(bytes_) if is_steady(path) else bytes_.endswith(b'\n')


def is_true(key, value, right):
    """What was given while a call failed. status.json may say null, and progress nothing, of what cannot be known just
    then; their sizes are those of such texts. Who polls may be told to look again."""
    what, path = key
    if value == right or what == 'poll':
        return True
    if os.path.basename(path) not in ('status.json', 'progress') or right is None:
        return False
    if what == 'bytes' and isinstance(value, dict):
        outputs = [dict(status['output'] or {}) for status in (value, right)]
        return {**value, 'output': None} == {**right, 'output': None} and \
            all(member in (None, outputs[1].get(name)) for name, member in outputs[0].items())
    if what == 'bytes':
        return right.startswith(value.rstrip())
    return what == 'attributes' and value[:2] == right[:2] and value[3:] == right[3:]


class Sweep:
    def __init__(self, options):
        self.options = options
        self.random = random.Random(options.seed)
        self.directory = options.directory
        self.control = Control(os.path.join(self.directory, 'control'))
        self.violations = []
        self.figures = {'failures': 0, 'not met': 0, 'right only later': 0, 'left out as known': 0, 'starts refused': 0}
        self.known = set() # causes and errnos of violations
        self.tried = set()
        self.doing = None # for the watchdog: since when, what
        self.is_hung = False
        self.simulator = world.Simulator(self.directory)
        self.mount = None

    # The world.

    def start_daemon(self, *options, wait=True):
        """With the failing library before it; without options as the last time."""
        os.environ.update(LD_PRELOAD=self.options.library, FAILING_CONTROL=os.path.join(self.directory, 'control'))
        usual = ('--allow-unknown', '--poll-interval', '3600', '--settle', '0')
        try:
            if self.mount:
                if options:
                    self.mount.options = (*usual, *options)
                self.mount.start(wait)
            else:
                self.mount = world.Mount(self.simulator, self.directory, *usual, *options)
        finally:
            del os.environ['LD_PRELOAD'], os.environ['FAILING_CONTROL']

    def build(self):
        """Jobs in all lasting states; then a daemon whose budget is used up, and a job that waits for it."""
        self.simulator.play(
            {'kind': 'create', 'prompt_contains': '(no)', 'response': {'status': 400}},
            {'kind': 'create', 'prompt_contains': '(lost)', 'response': {'status': 500}})
        self.start_daemon('--poll-interval', '0.05', '--settle', '0')
        mount = self.mount
        sized = f'[[video_bytes={VIDEO_BYTES}]]'
        for name in ('archived', 'kept', 'partial'):
            mount.create(name, f'{name} {sized}')
        for name in ('big', 'large'):
            self.write_prompt(name, {'prompt': name, 'padding': 'x' * 900000})
        mount.create('failed', 'failed [[fail]]')
        mount.create('rejected', '(no)')
        mount.create('unknown', '(lost)')
        os.mkdir(mount.job('words'))
        with open(mount.job('words', 'prompt.txt'), 'w', encoding='ascii') as file:
            file.write('in words\n')
        os.mkdir(mount.job('draft'))
        for name, size in (('notes.txt', 300), ('picture.png', 90000), ('.hidden', 1)):
            with open(mount.job('draft', name), 'wb') as file:
                file.write(self.random.randbytes(size))
        os.mkdir(mount.job('invalid'))
        try:
            with open(mount.job('invalid', 'prompt.json'), 'w', encoding='ascii') as file:
                file.write('{"prompt": "x"')
            raise AssertionError('an incomplete prompt was closed without an error')
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
        for i in range(FILLERS):
            os.mkdir(mount.job(f'filler-{i}'))
        with open(mount.job('kept', 'mine.txt'), 'wb') as file:
            file.write(self.random.randbytes(5000))
        for name in ('archived', 'kept', 'partial', 'big', 'large', 'words'):
            mount.wait_succeeded(name)
        for name in ('archived', 'kept', 'words', 'big', 'large'):
            self.command(name, 'fetch')
        for name in ('archived', 'kept', 'words', 'big', 'large'):
            world.wait_until(f'{name} to be archived', lambda: self.status(name)['output']['archived'])
        world.wait_until('the ends of a video', lambda: self.status('partial')['output']['cached_bytes'] >= 524288)
        for name, state in (('failed', 'failed'), ('rejected', 'rejected'), ('unknown', 'unknown')):
            world.wait_until(state, lambda: mount.text(name, 'status') == state + '\n')
        self.videos = {name: self.simulator.video(mount.task(name)) for name in ('archived', 'kept', 'partial')}
        mount.create('running', 'running [[seconds=3600]]')
        world.wait_until('running', lambda: mount.text('running', 'status') == 'running\n')
        spend = json.loads(self.read_text('spend.json'))
        self.budget = str(max(float(spend['settled']) + float(spend['reserved']) + float(spend['at_risk']), 2))
        mount.stop()
        self.start_daemon('--budget', self.budget)
        mount.create('waiting')
        world.wait_until('waiting', lambda: mount.text('waiting', 'status') == 'waiting\n')
        mount.stop()
        self.saved = os.path.join(self.directory, 'saved')
        shutil.copytree(mount.data, self.saved)
        self.creates = self.simulator.count('create')
        self.start_daemon('--budget', self.budget)
        self.data = Data(mount.data, os.path.join(self.directory, 'rows'))

    def read_text(self, *path):
        with open(os.path.join(self.mount.path, *path), encoding='utf-8') as file:
            return file.read()

    def status(self, name):
        return json.loads(self.mount.text(name, 'status.json'))

    def write_prompt(self, name, prompt):
        os.mkdir(self.mount.job(name))
        with open(self.mount.job(name, 'prompt.json'), 'w', encoding='ascii') as file:
            json.dump(prompt, file)

    def command(self, name, word):
        with open(self.mount.job(name, 'ctl'), 'w', encoding='ascii') as file:
            file.write(word + '\n')

    def put_back(self):
        """The world as it was built."""
        self.control.disarm()
        self.mount.end()
        shutil.rmtree(self.mount.data)
        shutil.copytree(self.saved, self.mount.data)
        self.forget_witness()
        self.is_hung = False
        self.start_daemon()
        self.data.take()

    def forget_witness(self):
        """The program should not notice that this is a copy: it would hold what waits."""
        for name in os.listdir(self.mount.data):
            if name.startswith('witness.'):
                os.unlink(os.path.join(self.mount.data, name))
        connection = sqlite3.connect(os.path.join(self.mount.data, 'jobs.sqlite'))
        connection.execute("UPDATE meta SET value = 0 WHERE key LIKE 'witness%'")
        connection.commit()
        connection.close()

    def make_cold(self, is_store_cold):
        """Nobody remembers anything: not the kernel, not the program its jobs, not SQLite its pages."""
        if libc.mount(None, self.mount.path.encode(), None, MS_REMOUNT, None) != 0:
            raise OSError(ctypes.get_errno(), 'remount')
        for i in range(FILLERS):
            os.path.exists(self.mount.job(f'filler-{i}', 'none'))
        for name in ('big', 'large') if is_store_cold else ():
            with open(self.mount.job(name, 'request.json'), 'rb', buffering=0) as file:
                file.readall()

    # What is walked: small pieces, so that each makes few calls.

    def pieces(self):
        walks = {'the root': self.walk_root, 'the gallery': self.walk_gallery, 'the views': self.walk_views}
        for name in ('archived', 'kept', 'partial', 'draft', 'waiting', 'words', 'failed', 'rejected', 'unknown',
                     'invalid', 'running', 'big'):
            walks[f'ls of {name}'] = lambda walk, name=name: walk.list(self.mount.job(name))
            walks[f'cat of {name}'] = lambda walk, name=name: self.walk_files(walk, name)
        for name in ('archived', 'kept', 'partial'):
            walks[f'ends of {name}'] = lambda walk, name=name: self.walk_ends(walk, name)
        for name in ('archived', 'kept'):
            walks[f'video of {name}'] = lambda walk, name=name: walk.read(self.mount.video(name))
            walks[f'O_DIRECT of {name}'] = lambda walk, name=name: walk.direct(self.mount.video(name))
            walks[f'mmap of {name}'] = lambda walk, name=name: walk.map(self.mount.video(name))
        for name in ('archived', 'waiting', 'running'):
            walks[f'poll of {name}'] = lambda walk, name=name: self.walk_poll(walk, name)
        walks['ls of all jobs'] = lambda walk: walk.list(self.mount.job(''))
        return walks

    def walk_root(self, walk):
        path = self.mount.path
        walk.space(path)
        for directory in ('', 'models'):
            walk.list(os.path.join(path, directory))
        for name in ('README.txt', 'metrics', 'spend.json', 'models/doubao-seedance-2.0.json'):
            walk.read(os.path.join(path, name))

    def walk_views(self, walk):
        for directory in ('videos', 'by-status', 'by-status/succeeded', 'by-status/waiting'):
            walk.list(os.path.join(self.mount.path, directory))

    def walk_gallery(self, walk):
        walk.read(os.path.join(self.mount.path, 'index.html'))

    def walk_files(self, walk, name):
        path = self.mount.job(name)
        names = walk.note('names', path, lambda: sorted(os.listdir(path)))
        for file in [] if isinstance(names, OSError) else names:
            if file != 'output.mp4':
                walk.read(os.path.join(path, file))

    def walk_ends(self, walk, name):
        walk.ends(self.mount.video(name))
        walk.read(self.mount.job(name, 'cover.jpg'))

    def walk_poll(self, walk, name):
        for file in ('status', 'status.json', 'log'):
            walk.poll(self.mount.job(name, file))

    def walk_stream(self, walk):
        walk.read(self.mount.video('partial'))

    # The start of the program.

    def start_failing(self, site, nth, error):
        """True when it came up; False when it refused, and said why."""
        log = os.path.join(self.directory, 'daemon.log')
        said = os.path.getsize(log)
        self.control.fail(site, nth, getattr(errno, error))
        self.start_daemon(wait=False)
        end = time.monotonic() + HANG_S
        while self.mount.process.poll() is None and time.monotonic() < end:
            try:
                os.listdir(self.mount.job(''))
                return True
            except OSError:
                time.sleep(0.01)
        code = self.mount.process.poll()
        with open(log, encoding='utf-8', errors='replace') as file:
            file.seek(said)
            lines = [line for line in file.read().splitlines()
                     if line.startswith('seedancefs: ') and 'warning: ' not in line]
        subprocess.run(['fusermount3', '-uz', self.mount.path], stderr=subprocess.DEVNULL, check=False)
        if code not in (1, 2) or not lines:
            raise world.Broken(f'it neither starts nor refuses with a message: exit {code}, {lines}')
        return False

    def sweep_start(self):
        """The calls of a start and of a first look fail: it comes up or refuses, nothing is lost, the next start
        works. More is on disk than --cache-size allows, and none of it may go."""
        pieces = ('ls of draft', 'ends of archived', 'ends of kept')
        right = {piece: self.walked(piece) for piece in pieces}
        for piece in pieces: # the calls of a later look are those of the walk
            self.make_cold(True)
            self.control.record()
            self.walked(piece)
            walked = {site.cause(self.options.depth) for site in self.control.recorded().values()}
            self.tried.update((cause, error) for cause in walked for error in ERRORS)
        self.mount.stop()
        self.control.record()
        self.start_daemon('--budget', self.budget, '--archive', 'always', '--cache-size', '1M')
        for piece in pieces:
            self.walked(piece)
        self.mount.stop()
        for site in self.control.recorded().values():
            for error in self.start_errors(site):
                if (site.cause(self.options.depth), error) not in self.tried:
                    self.tried.add((site.cause(self.options.depth), error))
                    self.start_one(site, error, right)

    def start_errors(self, site):
        """Not all, because a start takes long: of each site ENOENT, which is easily taken for a fact, and some."""
        return [error for error in site.errors()
                if error == 'ENOENT' or self.random.random() < self.options.starts]

    def start_one(self, site, error, right):
        if (site.cause(KNOWN_DEPTH), error) in self.known:
            self.figures['left out as known'] += 1
            return
        nth = self.random.randint(1, site.count)
        problems = []
        try:
            is_up = self.start_failing(site, nth, error)
            for piece in right if is_up else ():
                self.walked(piece)
            self.control.disarm()
            problems = self.data.losses()
            if not is_up:
                self.figures['starts refused'] += 1
                self.start_daemon()
            for piece, wanted in right.items():
                problems += self.again(piece, wanted) if not problems else []
            self.mount.stop()
            problems += self.data.losses()
        except world.Broken as broken:
            problems.append(('ended', str(broken)))
        self.figures['failures' if self.control.get('failures') else 'not met'] += 1
        if problems:
            problems.sort(key=lambda problem: KINDS.index(problem[0]))
            self.violation('the start', site, nth, error, problems, {})
            if self.mount.process.poll() is None:
                self.mount.stop()

    # The sweep.

    def walked(self, piece):
        walk = Walk(self.mount.path)
        self.doing = (time.monotonic(), piece)
        self.walks[piece](walk)
        self.doing = None
        return walk.found

    def watch(self):
        """A thread: a walk that does not end is ended with the daemon."""
        while True:
            time.sleep(1)
            doing = self.doing
            if doing and time.monotonic() - doing[0] > HANG_S:
                self.is_hung = True
                self.mount.process.kill()
                subprocess.run(['fusermount3', '-uz', self.mount.path], check=False)
                self.doing = None

    def prepare_piece(self, piece, is_store_cold=True):
        """Before each walk that may meet a failure."""
        self.make_cold(is_store_cold)
        if piece == STREAM:
            self.forget_video()

    def forget_video(self):
        """By the word of the user: what is fetched again must be asked for."""
        def is_forgotten():
            try:
                self.command('partial', 'evict')
                return True
            except OSError as error:
                if error.errno != errno.EBUSY:
                    raise
                return False
        world.wait_until('evict', is_forgotten)
        self.data.take()

    def sweep(self, walks):
        self.walks = walks
        for piece in walks:
            started = time.monotonic()
            before = dict(self.figures)
            self.prepare_piece(piece)
            right = self.walked(piece)
            wrong = {key: value for key, value in right.items() if isinstance(value, OSError)}
            if wrong:
                raise world.Broken(f'{piece}: fails without a failure: {wrong}')
            self.prepare_piece(piece)
            self.control.record()
            self.walked(piece)
            sites = self.control.recorded()
            losses = self.data.losses()
            if losses:
                raise world.Broken(f'{piece}: loses something without a failure: {losses}')
            for site in sites.values():
                for error in site.errors():
                    if (site.cause(self.options.depth), error) not in self.tried:
                        self.tried.add((site.cause(self.options.depth), error))
                        self.one(piece, site, error, right)
            if self.options.verbose:
                print(f'{piece}: {len(sites)} sites, {self.figures["failures"] - before["failures"]} failures in '
                      f'{time.monotonic() - started:.1f} s', flush=True)

    def one(self, piece, site, error, right):
        """One failure, and what must hold after it."""
        if (site.cause(KNOWN_DEPTH), error) in self.known:
            self.figures['left out as known'] += 1
            return
        nth = self.random.randint(1, site.count)
        self.prepare_piece(piece, site.is_store_file())
        started = time.monotonic()
        self.control.fail(site, nth, getattr(errno, error))
        found = self.walked(piece)
        self.control.disarm()
        if not self.control.get('failures'):
            self.figures['not met'] += 1
            return
        self.figures['failures'] += 1
        problems = self.data.losses()
        if self.simulator.count('create') != self.creates:
            problems.append(('sent', 'a create was sent'))
        if self.mount.process.poll() is not None:
            problems.append(('ended', f'the daemon ended with {self.mount.process.returncode}'))
        if self.is_hung:
            problems.append(('ended', f'hung for {HANG_S} s'))
        if not problems:
            problems += self.again(piece, right)
            problems += self.data.losses()
        problems += [('untrue', f'{what} of {path}: {self.shown(value, right.get((what, path)))}')
                     for (what, path), value in found.items()
                     if not isinstance(value, OSError) and
                     not is_true((what, path), value, right.get((what, path)))]
        if problems:
            problems.sort(key=lambda problem: KINDS.index(problem[0]))
            self.violation(piece, site, nth, error, problems, found)
        if self.options.verbose and time.monotonic() - started > 1:
            print(f'slow: {time.monotonic() - started:.1f} s: {piece}, {CALLS[site.call]} {error}: '
                  f'{" < ".join(site.functions()[:8])}', flush=True)

    def again(self, piece, right):
        """The failure is over: what is read is right, if not at once."""
        end = time.monotonic() + AGAIN_S
        while True:
            found = self.walked(piece)
            wrong = {key: value for key, value in found.items() if value != right.get(key)}
            wrong.update({key: 'missing' for key in right if key not in found})
            lies = {key: value for key, value in wrong.items() if not isinstance(value, OSError)}
            if not wrong:
                return []
            if time.monotonic() > end or self.mount.process.poll() is not None:
                return [('again', f'{what} of {path}: after {AGAIN_S} s: {self.shown(value, right.get((what, path)))}')
                        for (what, path), value in (lies or wrong).items()]
            self.figures['right only later'] += 1
            if self.options.verbose:
                print(f'late: {piece}: {str(wrong)[:300]}', flush=True)
            time.sleep(0.05)

    @staticmethod
    def shown(value, wanted):
        if isinstance(value, list) and isinstance(wanted, list):
            return f'lacks {[x for x in wanted if x not in value]}, has {[x for x in value if x not in wanted]}'
        if isinstance(value, dict) and isinstance(wanted, dict):
            keys = [key for key in {**value, **wanted} if value.get(key) != wanted.get(key)]
            return ', '.join(f'{key}: {value.get(key)!r} instead of {wanted.get(key)!r}' for key in keys)
        return f'{value!r:.200} instead of {wanted!r:.200}'

    def violation(self, piece, site, nth, error, problems, found):
        told = sorted({f'{what} of {path}: {errno.errorcode[value.errno]}' for (what, path), value in found.items()
                       if isinstance(value, OSError)})
        text = (f'VIOLATION {len(self.violations) + 1}: {problems[0][0]}: {CALLS[site.call]} fails with {error} '
                f'(call {nth} of {site.count} of this site) in {piece}\n' +
                f'  at     {" < ".join(site.functions())}\n' +
                ''.join(f'  {kind:6} {problem}\n' for kind, problem in problems[:12]) +
                f'  told   {"; ".join(told[:4]) or "nobody"}')
        self.violations.append((problems[0][0], text))
        self.known.add((site.cause(KNOWN_DEPTH), error))
        print(text, flush=True)
        if len(self.violations) >= self.options.violations:
            raise world.Broken('too many violations: the rest is not looked at')
        if any(kind != 'untrue' for kind, _ in problems):
            self.put_back()

    def shown_figures(self):
        sites = len({cause for cause, _ in self.tried})
        return f'{sites} sites; ' + ', '.join(f'{count} {what}' for what, count in self.figures.items())

    def end_well(self):
        """What was kept in memory shows when it ends; then the job that waited is sent, once."""
        self.mount.stop()
        losses = self.data.losses()
        if losses:
            raise world.Broken(f'lost, but nobody knows by which failure: {losses}')
        self.simulator.start()
        self.start_daemon('--poll-interval', '0.05', '--settle', '0')
        self.mount.wait_succeeded('waiting')
        if self.simulator.count('create') != self.creates + 1:
            raise world.Broken(f'{self.simulator.count("create") - self.creates} creates for the job that waited')
        self.mount.stop()

    def run(self):
        threading.Thread(target=self.watch, daemon=True).start()
        started = time.monotonic()
        self.build()
        print(f'built in {time.monotonic() - started:.1f} s', flush=True)
        if 'stream' in self.options.parts:
            self.sweep({STREAM: self.walk_stream})
            self.put_back()
        self.simulator.stop()
        self.walks = self.pieces()
        if 'walk' in self.options.parts:
            self.sweep(self.walks)
        if 'start' in self.options.parts:
            self.sweep_start()
            self.start_daemon()
        self.end_well()
        print(f'{self.shown_figures()}, {time.monotonic() - started:.0f} s')


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--directory', required=True)
    parser.add_argument('--library', required=True)
    parser.add_argument('--seed', type=int, default=random.randrange(1 << 30))
    parser.add_argument('--parts', default='stream,walk,start')
    parser.add_argument('--depth', type=int, default=5, help='functions by which call sites are told apart')
    parser.add_argument('--starts', type=float, default=0.03,
                        help='the share of the failures of a start that is tried; ENOENT always is')
    parser.add_argument('--violations', type=int, default=12, help='go on until there are so many')
    parser.add_argument('--verbose', action='store_true')
    options = parser.parse_args()
    print(f'seed {options.seed}', flush=True)
    sweep = Sweep(options)
    try:
        sweep.run()
    except world.Broken as broken:
        sys.exit(f'broken: {broken}')
    finally:
        if sweep.mount:
            sweep.mount.end()
    if sweep.violations:
        sys.exit(f'{len(sweep.violations)} violations')


if __name__ == '__main__':
    main()
