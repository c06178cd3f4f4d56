"""Headless Chromium for tests: one page, driven over a pipe (--remote-debugging-pipe), so that nothing listens anywhere
and no library is needed. Every request that the page makes is kept in `requests`, every dialog, exception and
console message in `events`. It dies with its parent."""
import base64
import ctypes
import json
import os
import select
import shutil
import signal
import subprocess
import tempfile
import time

PROGRAMS = ('chromium-headless-shell', 'chromium', 'chromium-browser', 'google-chrome')
DEADLINE_S = 60


def program():
    """The browser that is installed; None without one."""
    return next(filter(None, map(shutil.which, PROGRAMS)), None)


class Browser:
    def __init__(self, width=1280, height=900):
        self.profile = tempfile.mkdtemp(prefix='browser.', dir=os.environ.get('BATS_TEST_TMPDIR'))
        self.width, self.height = width, height
        self.buffer, self.number = b'', 0
        self.requests, self.events = [], []
        to_read, self.to_write = os.pipe()
        self.from_read, from_write = os.pipe()

        def prepare():
            ctypes.CDLL(None).prctl(1, signal.SIGKILL)
            # Out of the way first: one of them may be 3 or 4.
            ends = [os.dup(os.dup(end)) for end in (to_read, from_write)]
            os.dup2(ends[0], 3)
            os.dup2(ends[1], 4)

        self.process = subprocess.Popen(
            [program(), '--headless', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--no-first-run',
             '--disable-background-networking', '--disable-component-update', '--disable-sync', '--mute-audio',
             '--hide-scrollbars', f'--user-data-dir={self.profile}', f'--window-size={width},{height}',
             '--remote-debugging-pipe', 'about:blank'],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, preexec_fn=prepare,
            close_fds=False, start_new_session=True)
        os.close(to_read)
        os.close(from_write)
        self.session = None
        target = self.call('Target.createTarget', url='about:blank')['targetId']
        self.session = self.call('Target.attachToTarget', targetId=target, flatten=True)['sessionId']
        for domain in ('Page', 'Runtime', 'Network', 'Log'):
            self.call(f'{domain}.enable')
        self.size(width, height)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        try:
            self.session = None
            self.call('Browser.close')
            self.process.wait(10)
        except (OSError, EOFError, TimeoutError, subprocess.TimeoutExpired):
            self.process.kill()
            self.process.wait()
        os.close(self.to_write)
        os.close(self.from_read)
        shutil.rmtree(self.profile, ignore_errors=True)

    def message(self, deadline):
        """The next one that the browser says."""
        while b'\0' not in self.buffer:
            if not select.select([self.from_read], [], [], max(0, deadline - time.monotonic()))[0]:
                raise TimeoutError('the browser says nothing')
            got = os.read(self.from_read, 1 << 20)
            if not got:
                raise EOFError('the browser has ended')
            self.buffer += got
        text, self.buffer = self.buffer.split(b'\0', 1)
        return json.loads(text)

    def heard(self, message):
        kind, parameters = message.get('method', ''), message.get('params', {})
        if kind == 'Network.requestWillBeSent':
            self.requests.append(parameters['request']['url'])
        elif kind in ('Page.javascriptDialogOpening', 'Runtime.exceptionThrown', 'Runtime.consoleAPICalled',
                      'Log.entryAdded', 'Page.windowOpen'):
            self.events.append((kind, json.dumps(parameters)))
            if kind == 'Page.javascriptDialogOpening':
                self.send('Page.handleJavaScriptDialog', accept=True)

    def send(self, method, **parameters):
        self.number += 1
        request = {'id': self.number, 'method': method, 'params': parameters}
        if self.session:
            request['sessionId'] = self.session
        data = json.dumps(request).encode() + b'\0'
        while data:
            data = data[os.write(self.to_write, data):]
        return self.number

    def call(self, method, **parameters):
        number, deadline = self.send(method, **parameters), time.monotonic() + DEADLINE_S
        while True:
            message = self.message(deadline)
            if message.get('id') == number:
                if 'error' in message:
                    raise RuntimeError(f'{method}: {message["error"]}')
                return message['result']
            self.heard(message)

    def size(self, width, height, mobile=False, scale=1):
        self.call('Emulation.setDeviceMetricsOverride', width=width, height=height, deviceScaleFactor=scale,
                  mobile=mobile)

    def scheme(self, value):
        """`light` or `dark`."""
        self.call('Emulation.setEmulatedMedia', features=[{'name': 'prefers-color-scheme', 'value': value}])

    def scripts(self, is_allowed):
        self.call('Emulation.setScriptExecutionDisabled', value=not is_allowed)

    def open(self, url):
        self.call('Page.navigate', url=url)
        self.wait('document.readyState === "complete" && location.href !== "about:blank"')

    def js(self, expression):
        """The value of an expression in the page; a promise is waited for."""
        response = self.call('Runtime.evaluate', expression=expression, returnByValue=True, awaitPromise=True,
                           userGesture=True)
        if 'exceptionDetails' in response:
            raise RuntimeError(f'{expression}: {response["exceptionDetails"]}')
        return response['result'].get('value')

    def wait(self, expression, seconds=DEADLINE_S):
        """Until the expression is true in the page; its value."""
        end = time.monotonic() + seconds
        while True:
            try:
                value = self.js(expression)
            except RuntimeError as error:
                if 'navigated' not in str(error) and 'context' not in str(error):
                    raise
                value = None # the page is just becoming another one
            if value:
                return value
            if time.monotonic() > end:
                raise TimeoutError(f'waited {seconds} s in vain for: {expression}; events: {self.events[-5:]}')
            time.sleep(0.05)

    def key(self, name, code):
        for kind in ('keyDown', 'keyUp'):
            self.call('Input.dispatchKeyEvent', type=kind, key=name, code=name, windowsVirtualKeyCode=code,
                      **({'text': '\r'} if name == 'Enter' and kind == 'keyDown' else {}))

    def picture(self, path, **options):
        data = self.call('Page.captureScreenshot', **options)['data']
        with open(path, 'wb') as file:
            file.write(base64.b64decode(data))
