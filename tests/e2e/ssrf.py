#!/usr/bin/python3
"""URLs that a service must not make the program ask:  unshare --mount --net ssrf.py DIRECTORY

In a network of its own every address is this machine, so that whatever is asked would answer. The service has a
public address, as seen from here, a certificate that is believed here, and hands out a table of video URLs. The
oracle is at the socket: strace shows every connect() of the program, and none but those to the service and the
media host may be there. Names resolve by a hosts file of our own.
"""
import functools
import http.server
import json
import os
import re
import socket
import ssl
import subprocess
import sys
import threading
import time

from world import SEEDANCEFS, Broken, die_with_parent, wait_until

SERVICE, MEDIA = '1.2.3.4', '1.2.3.5'
VIDEO = bytes(range(256)) * 400

NAMES = {
    'service.test': SERVICE, 'media.test': MEDIA, 'expired.test': MEDIA, 'stranger.example': MEDIA,
    'lo4.test': '127.0.0.1', 'lo9.test': '127.9.9.9', 'lo6.test': '::1', 'ten.test': '10.0.0.5',
    'private12.test': '172.31.255.1', 'private16.test': '192.168.1.1', 'meta.test': '169.254.169.254',
    'alibaba.test': '100.100.100.200', 'zero.test': '0.0.0.0', 'unspecified.test': '::', 'ula.test': 'fc00::1',
    'aws6.test': 'fd00:ec2::254', 'site.test': 'fec0::1', 'mapped.test': '::ffff:10.0.0.1',
    'mapped127.test': '::ffff:127.0.0.1', 'compatible.test': '::10.0.0.1', 'nat64.test': '64:ff9b::a00:1',
    'nat64meta.test': '64:ff9b::169.254.169.254', 'sixtofour.test': '2002:a00:1::1',
    'teredo.test': '2001:0:808:808::f5ff:fffe', 'doc.test': '192.0.2.1', 'doc6.test': '2001:db8::1',
    'bench.test': '198.18.0.1', 'multicast.test': '224.0.0.1', 'multicast6.test': 'ff02::1',
    'broadcast.test': '255.255.255.255', 'reserved.test': '240.0.0.1', 'protocol.test': '192.0.0.8',
    'discard.test': '100::1',
}
HIDDEN = [name for name, address in NAMES.items() if address not in (SERVICE, MEDIA)]

# Written as they are: forms of forbidden addresses, other schemes, tricks with the host.
WRITTEN = [
    *[f'https://{host}/v.mp4' for host in (
        '127.0.0.1', '127.0.0.1:8443', '127.255.255.254', '127.1', '127.0.1', '0x7f.1', '0x7f000001', '0x7f.0.0.1',
        '2130706433', '017700000001', '0177.0.0.1', '0177.1', '127.0.0.1.', '127.0.0.01', '0', '0.0.0.0', '0x0',
        '10.0.0.1', '10.1', '0xa.1', '0x0a000001', '012.0.0.1', '167772161', '172.16.0.1', '172.31.255.255',
        '192.168.0.1', '192.168.257', '0xc0a80001', '3232235521', '0300.0250.0.1', '169.254.169.254', '0xa9fea9fe',
        '2852039166', '0251.0376.0251.0376', '169.254.43518', '100.64.0.1', '192.0.2.1', '198.18.0.1', '203.0.113.9',
        '224.0.0.1', '240.0.0.1', '255.255.255.255', '[::1]', '[::]', '[0:0:0:0:0:0:0:1]', '[::ffff:127.0.0.1]',
        '[::ffff:7f00:1]', '[::ffff:10.0.0.1]', '[::ffff:a00:1]', '[0:0:0:0:0:ffff:10.0.0.1]', '[::ffff:169.254.169.254]',
        '[::127.0.0.1]', '[64:ff9b::10.0.0.1]', '[64:ff9b::a9fe:a9fe]', '[64:ff9b:1::a00:1]', '[2002:7f00:1::]',
        '[2002:a00:1::1]', '[2001:0:808:808::f5ff:fffe]', '[fe80::1]', '[fe80::1%25lo]', '[fec0::1]', '[fc00::1]',
        '[fd00:ec2::254]', '[ff02::1]', '[2001:db8::1]', '[100::1]', 'localhost', 'LOCALHOST', 'localhost.',
        'a.localhost', 'x.y.localhost.', 'localhost:8443', '%31%32%37.0.0.1', '%6cocalhost', '127.0.0.1%00.media.test',
        '127%2e0%2e0%2e1', '127\u30020.0.1', '\u2460\u2461\u2466.0.0.1', '\uff11\uff12\uff17.0.0.1', 'm\u00e4dia.test',
        'user@127.0.0.1', 'user:word@media.test', 'media.test@127.0.0.1', 'media.test:443@10.0.0.1',
        '127.0.0.1\\@media.test', 'media.test\\@127.0.0.1', ' 127.0.0.1', '127.0.0.1\t',
        'media.test:99999', 'media.test:0x1bb', '[::1', '', ':443')],
    *['http://media.test/v.mp4', f'http://{MEDIA}/v.mp4', 'http://127.0.0.1/v.mp4', 'http://localhost:6379/',
      'file:///etc/passwd', 'file://localhost/etc/passwd', 'gopher://127.0.0.1:6379/_INFO', 'dict://127.0.0.1:11211/stats',
      'ftp://media.test/v.mp4', 'ldap://127.0.0.1/', 'tftp://127.0.0.1/x', 'scp://127.0.0.1/etc/passwd',
      'smb://127.0.0.1/share', 'telnet://127.0.0.1', 'data:video/mp4;base64,AAAA', 'javascript:alert(1)',
      'unix:/run/docker.sock', '//media.test/v.mp4', '/v.mp4', 'media.test/v.mp4', 'https:media.test/v.mp4',
      'https:/media.test/v.mp4', 'https:///v.mp4', 'HTTPS://127.0.0.1/', 'https://media.test/\r\nHost: 127.0.0.1'],
]
TABLE = [*WRITTEN, *[f'https://{name}/v.mp4' for name in HIDDEN]]
# Where the media host redirects to; a few that differ in kind.
REDIRECTS = [*[url for url in TABLE if url.isascii() and url.isprintable() and '://' in url][::3], *[f'//{name}/v' for name in HIDDEN[::4]]]
GOOD = ['https://media.test/v.mp4', 'https://media.test#@127.0.0.1/v.mp4', f'https://{MEDIA}/v.mp4',
        'https://media.test/to?https://service.test/v.mp4', 'https://media.test/to?/v.mp4']
UNTRUSTED = ['https://expired.test/v.mp4', 'https://stranger.example/v.mp4']


class Answers(http.server.BaseHTTPRequestHandler):
    """The service and the media host, whoever is asked."""
    protocol_version = 'HTTP/1.1'
    tasks = []

    def response(self, status, body, **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace('_', '-'), value)
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def task(self, number, status):
        task = {'id': f'task-{number}', 'object': 'video.generation.task', 'model': 'doubao-seedance-2.0',
                'status': status, 'created': int(time.time())}
        if status == 'succeeded':
            task |= {'data': [{'video_url': self.tasks[number], 'cover_image_url': ''}], 'usage': {'video_duration': 5}}
        self.response(200, json.dumps(task).encode(), Content_Type='application/json')

    def do_POST(self): # pylint: disable=invalid-name
        prompt = json.loads(self.rfile.read(int(self.headers['Content-Length'])))['prompt']
        self.task(int(prompt), 'queued')

    def do_GET(self): # pylint: disable=invalid-name
        if '/generations/task-' in self.path:
            self.task(int(self.path.rpartition('-')[2]), 'succeeded')
        elif self.path.startswith('/to?'):
            self.response(302, b'', Location=self.path[4:])
        else:
            first, last = (int(n) for n in re.fullmatch(r'bytes=(\d+)-(\d+)', self.headers['Range']).groups())
            last = min(last, len(VIDEO) - 1)
            self.response(206, VIDEO[first:last + 1], Content_Range=f'bytes {first}-{last}/{len(VIDEO)}', ETag='"v"')

    def log_message(self, *_arguments): # pylint: disable=arguments-differ
        pass


class Server(http.server.ThreadingHTTPServer):
    def handle_error(self, *_arguments): # pylint: disable=arguments-differ
        """A handshake that ends at our certificates is what some rows are about."""


class World:
    def __init__(self, directory):
        self.directory = directory
        self.path = functools.partial(os.path.join, directory)
        self.daemon = None
        run = functools.partial(subprocess.run, check=True, stderr=subprocess.DEVNULL)
        for command in ('ip link set lo up', 'ip route add local 0.0.0.0/0 dev lo', 'ip -6 route add local ::/0 dev lo'):
            run(command.split())
        self.write('hosts', ''.join(f'{address} {name}\n' for name, address in NAMES.items()))
        run(['openssl', 'req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-subj', '/CN=authority', '-keyout',
             self.path('ca.key'), '-out', self.path('ca.pem')])
        run(['openssl', 'req', '-newkey', 'rsa:2048', '-nodes', '-subj', '/CN=test', '-keyout', self.path('key.pem'),
             '-out', self.path('request.pem')])
        names = ','.join([*(f'DNS:{name}' for name in NAMES if name != 'stranger.example'), f'IP:{MEDIA}'])
        self.write('names', f'subjectAltName={names}\n')
        for name, start, end in (('good', '20200101', '20991231'), ('old', '20200101', '20200102')):
            self.sign(run, name, start, end)
        for of, over in (('hosts', '/etc/hosts'), ('ca.pem', '/etc/ssl/certs/ca-certificates.crt')):
            run(['mount', '--bind', self.path(of), over])
        self.serve()

    def write(self, name, text):
        with open(self.path(name), 'w', encoding='utf-8') as file:
            file.write(text)

    def sign(self, run, name, start, end):
        self.write('ca.conf', f'[ca]\ndefault_ca=a\n[a]\ndatabase={self.path("index")}\nserial={self.path("serial")}\n'
                   f'new_certs_dir={self.directory}\ndefault_md=sha256\npolicy=p\n[p]\ncommonName=supplied\n')
        self.write('index', '')
        self.write('serial', '01\n' if name == 'good' else '02\n')
        run(['openssl', 'ca', '-batch', '-config', self.path('ca.conf'), '-cert', self.path('ca.pem'), '-keyfile',
             self.path('ca.key'), '-in', self.path('request.pem'), '-out', self.path(f'{name}.pem'), '-notext',
             '-startdate', start + '000000Z', '-enddate', end + '000000Z', '-extfile', self.path('names')],
            stdout=subprocess.DEVNULL)

    def serve(self):
        contexts = {}
        for name in ('good', 'old'):
            contexts[name] = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            contexts[name].load_cert_chain(self.path(f'{name}.pem'), self.path('key.pem'))
        contexts['good'].sni_callback = lambda connection, name, _: setattr(
            connection, 'context', contexts['old' if name == 'expired.test' else 'good'])
        server = Server(('', 443), Answers, bind_and_activate=False)
        server.socket.close()
        server.socket = socket.create_server(('', 443), family=socket.AF_INET6, dualstack_ipv6=True, backlog=256)
        server.socket = contexts['good'].wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=server.serve_forever, daemon=True).start()

    def mount(self):
        os.mkdir(self.path('mnt'))
        self.write('key', 'th-simulator\n')
        # The leak checker cannot work under a tracer.
        environment = os.environ | {'ASAN_OPTIONS': os.environ.get('ASAN_OPTIONS', '') + ':detect_leaks=0'}
        with open(self.path('daemon.log'), 'wb') as log:
            self.daemon = subprocess.Popen(
                ['strace', '-f', '-qq', '-yy', '-e', 'trace=connect', '-e', 'signal=none', '-o', self.path('connects'),
                 SEEDANCEFS, '-f', '--api-url', 'https://service.test/api/v1',
                 '--api-key-file', self.path('key'), '--data-dir', self.path('data'), '--settle', '0', '--poll-interval', '0.1',
                 self.path('mnt')], env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                preexec_fn=die_with_parent)
        wait_until('the mount', lambda: os.path.exists(self.path('mnt', 'jobs')))

    def file(self, number, name):
        return self.path('mnt', 'jobs', f'job{number}', name)

    def text(self, number, name):
        with open(self.file(number, name), encoding='utf-8') as file:
            return file.read()

    def connects(self):
        """(address, port) of each TCP connection that was tried."""
        with open(self.path('connects'), encoding='utf-8') as file:
            for line in file:
                # getaddrinfo() sorts addresses by "connecting" datagram sockets, which sends nothing.
                if re.search(r'connect\(\d+<UDP', line) or 'AF_INET' not in line:
                    continue
                port, = re.search(r'htons\((\d+)\)', line).groups()
                address = re.search(r'inet_addr\("([^"]+)"\)|inet_pton\(AF_INET6, "([^"]+)"', line).groups()
                yield address[0] or address[1], int(port)

    def run(self):
        bad = [*TABLE, *[f'https://media.test/to?{url}' for url in REDIRECTS], *UNTRUSTED]
        Answers.tasks = [*GOOD, *bad]
        self.mount()
        for number in range(len(Answers.tasks)):
            os.mkdir(self.path('mnt', 'jobs', f'job{number}'))
            with open(self.file(number, 'prompt.json'), 'w', encoding='utf-8') as file:
                json.dump({'prompt': str(number)}, file)
        problems = []
        for number, url in enumerate(Answers.tasks):
            is_good = number < len(GOOD)
            wait_until(f'the end of {url}', lambda number=number: self.text(number, 'status') == 'succeeded\n' or
                       os.path.exists(self.file(number, 'error')), 120)
            if is_good:
                wait_until(f'the size of {url}', lambda number=number: os.path.exists(self.file(number, 'output.mp4')))
                with open(self.file(number, 'output.mp4'), 'rb') as file:
                    if file.read() != VIDEO:
                        problems.append(f'{url} is wrong')
            elif os.path.exists(self.file(number, 'output.mp4')):
                problems.append(f'{url} was fetched')
        reached = set(self.connects())
        if not {(SERVICE, 443), (MEDIA, 443)} <= reached:
            problems.append(f'the oracle sees nothing: {reached}')
        problems += [f'a connection to {address} port {port}' for address, port in sorted(reached)
                     if address not in (SERVICE, MEDIA) or port != 443]
        if problems:
            raise Broken('\n'.join(problems))
        print(f'{len(TABLE)} forbidden URLs, {len(REDIRECTS)} redirects to such, {len(GOOD)} allowed; '
              f'connections to {", ".join(sorted(address for address, _ in reached))} only')

    def end(self):
        subprocess.run(['fusermount3', '-u', self.path('mnt')], check=False)
        if self.daemon:
            code = self.daemon.wait(60)
            if code != 0:
                raise Broken(f'the daemon ended with {code}')


def main():
    world = World(sys.argv[1])
    code = 0
    try:
        world.run()
    except (Broken, OSError, subprocess.SubprocessError) as error:
        print(f'{type(error).__name__}: {error}', file=sys.stderr)
        code = 1
    finally:
        world.end()
    return code


sys.exit(main())
