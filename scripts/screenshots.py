"""The pictures for scripts/screenshots.sh:
    screenshots.py covers DIRECTORY                    stills for the simulator to give
    screenshots.py pictures MOUNT SESSION DIRECTORY    of the gallery, and of what a shell said"""
import base64
import html
import re
import sys
import time

from browser import Browser

# Small scenes, so that the page looks as it does with real videos.
WAVES = ''.join(f'<path d="M0 {y} Q 108 {y - 22} 216 {y} T 432 {y} T 648 {y} T 864 {y} V 496 H 0 Z" fill="{c}"/>'
                for y, c in ((330, '#c2526d'), (370, '#8a3a6a'), (412, '#552a5c'), (455, '#2f1c44')))
SCENES = {
    'cat': ('#ffd08a', '#f0637a', f'''<circle cx="432" cy="300" r="105" fill="#fff1c9"/>{WAVES}
        <path d="M500 392 q 90 26 190 -6 q -70 46 -150 38 z" fill="#ffe3ae"/>
        <path d="M566 394 q -6 -52 22 -60 l 4 -18 l 14 14 h 12 l 14 -14 l 3 22 q 16 22 4 56 z" fill="#1d1230"/>
        <path d="M636 388 q 34 -10 26 -48" stroke="#1d1230" stroke-width="8" fill="none" stroke-linecap="round"/>'''),
    'harbour': ('#dfe9f2', '#8fb0c9', '''<circle cx="640" cy="200" r="52" fill="#fff8e2"/>
        <path d="M0 290 L150 170 L290 270 L420 190 L600 300 L864 230 V496 H0Z" fill="#7390a8" opacity=".55"/>
        <path d="M0 320 L240 250 L520 330 L864 290 V496 H0Z" fill="#4d6b85" opacity=".7"/>
        <rect y="330" width="864" height="166" fill="#3b5872"/><rect y="352" width="864" height="5" fill="#cfe0ea" opacity=".35"/>
        <path d="M350 352 h150 l-26 36 h-100 z" fill="#1d2c3b"/><path d="M420 350 v-96 l56 82 z" fill="#f4efe2"/>
        <path d="M520 190 q 14 -16 26 0 q 12 -16 26 0 M580 150 q 10 -12 20 0 q 10 -12 20 0" stroke="#1d2c3b"
            stroke-width="4" fill="none"/><rect y="410" width="864" height="4" fill="#cfe0ea" opacity=".2"/>'''),
    'tower': ('#10204a', '#5a86c8', ''.join(
        f'<path d="M{432 - w} 496 L{432 - w // 4} 40 H{432 + w // 4} L{432 + w} 496 Z" fill="{c}"/>'
        for w, c in ((190, '#8fb8ea'), (130, '#b9d6f5'), (60, '#e3f0fd'))) + ''.join(
        f'<rect x="{432 - w}" y="{y}" width="{2 * w}" height="3" fill="#10204a" opacity=".45"/>'
        for y in range(60, 496, 26) for w in [47 + (y - 40) * 143 // 456])),
}
# The sixteen colours that a session uses, on a dark ground.
COLOURS = {'1;32': '#7ee2a8', '1': '#fff', '31': '#ff9d9d'}
TERMINAL = '''<!doctype html><meta charset="utf-8"><style>
    body { margin: 0; padding: 28px; background: linear-gradient(135deg, #34306e, #6d3b74 60%, #a8506a);
           display: inline-block; }
    div { background: #15161cf5; color: #d9dbe4; border-radius: 12px; box-shadow: 0 18px 50px #0008; width: 1000px; }
    p { margin: 0; padding: 13px 16px 0; line-height: 0; } p i { display: inline-block; width: 12px; height: 12px;
        border-radius: 50%; margin-right: 8px; }
    pre { font: 15px/1.5 "DejaVu Sans Mono", monospace; margin: 0; padding: 14px 20px 22px; white-space: pre-wrap; }
    </style><div><p><i style="background:#ff5f57"></i><i style="background:#febc2e"></i><i style="background:#28c840"></i>
    </p><pre>SESSION</pre></div>'''


def page_of(text):
    return 'data:text/html;base64,' + base64.b64encode(text.encode()).decode()


def covers(directory):
    with Browser(864, 496) as browser:
        for name, (top, bottom, scene) in SCENES.items():
            browser.open(page_of(f'''<!doctype html><body style="margin:0"><svg width="864" height="496" style="display:block">
                <linearGradient id="sky" x2="0" y2="1"><stop stop-color="{top}"/><stop offset="1" stop-color="{bottom}"/>
                </linearGradient><rect width="864" height="496" fill="url(#sky)"/>{scene}</svg>'''))
            browser.picture(f'{directory}/{name}.jpg', format='jpeg', quality=88)


def terminal(browser, session, path):
    text = html.escape(session).replace('\x1b[0m', '</b>')
    text = re.sub('\x1b\\[([0-9;]+)m', lambda m: f'<b style="color:{COLOURS[m[1]]}">', text)
    browser.size(1056, 400, scale=1.5)
    browser.open(page_of(TERMINAL.replace('SESSION', text.rstrip())))
    height = browser.js('document.body.offsetHeight')
    browser.size(1056, height, scale=1.5)
    browser.picture(path)


def pictures(mount, session, directory):
    with Browser() as browser:
        browser.open(f'file://{mount}/index.html')
        is_loaded = '[...document.images].every((i) => i.naturalWidth > 0)'
        shots = [('gallery', 1280, 900, False, 'light', 1.5)]
        if not directory.endswith('/docs'):
            shots += [('gallery-dark', 1280, 860, False, 'dark', 1), ('gallery-phone', 375, 812, True, 'light', 2)]
        for name, width, height, mobile, scheme, scale in shots:
            browser.size(width, height, mobile, scale)
            browser.scheme(scheme)
            browser.wait(is_loaded)
            time.sleep(0.3)
            browser.picture(f'{directory}/{name}.png')
        with open(session, encoding='utf-8') as file:
            terminal(browser, file.read(), f'{directory}/terminal.png')


globals()[sys.argv[1]](*sys.argv[2:])
