"""What the gallery does in a browser, one function for each test of gallery.bats:
    gallery.py CHECK MOUNT [ARGUMENT]..."""
import os
import sys
import time

import browser

# Whatever hostile text could do, it would be seen here.
QUIET = 'window.hacked === undefined && document.title === "Seedance"'
SCROLLS_SIDEWAYS = 'document.documentElement.scrollWidth > innerWidth'
# WCAG 2: the contrast of each text with the first opaque thing behind it. Text on pictures has a ground of its own.
CONTRAST = '''(() => {
    const numbers = (color) => color.match(/[\\d.]+/g).map(Number);
    const light = (color) => {
        const [r, g, b] = numbers(color).map((c) => c / 255).map((c) =>
            c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const ground = (element) => {
        for (; element; element = element.parentElement) {
            const color = getComputedStyle(element).backgroundColor;
            if ((numbers(color)[3] ?? 1) === 1)
                return color;
        }
    };
    let least = {ratio: 99};
    for (const element of document.querySelectorAll('body *')) {
        if (element.closest('svg, a.media, [hidden], .visually-hidden') || ![...element.childNodes].some((n) =>
            n.nodeType === 3 && n.data.trim()))
            continue;
        const [a, b] = [light(getComputedStyle(element).color), light(ground(element))].sort((x, y) => y - x);
        const ratio = (a + 0.05) / (b + 0.05);
        if (ratio < least.ratio)
            least = {ratio, what: element.outerHTML.slice(0, 120)};
    }
    return least;
})()'''


def url(mount):
    return f'file://{mount}/index.html'


def card(name):
    """An expression for the card of a job."""
    return f'[...document.querySelectorAll(".job")].find((c) => c.querySelector("h2").textContent === {name!r})'


def shown(page):
    return page.js('[...document.querySelectorAll(".job")].filter((c) => c.offsetParent)'
                   '.map((c) => c.querySelector("h2").textContent)')


def expect(is_right, what):
    if not is_right:
        raise AssertionError(what)


def is_clean(page):
    """Nothing went wrong, and nothing was asked of anybody but the mount."""
    expect(not page.events, page.events)
    outside = [u for u in page.requests if not u.startswith(('file:///', 'data:image/'))]
    expect(not outside, outside)


def submit(mount, name, text):
    with open(f'{mount}/jobs/{name}/prompt.json', 'w', encoding='utf-8') as file:
        file.write('{"prompt": "%s"}' % text)


def contents(page, mount):
    page.open(url(mount))
    expect(shown(page) == ['later', 'wrong', 'doubt', 'failed', 'sea', 'cat'], shown(page))
    for name, *parts in (('cat', 'succeeded', 'A cat surfing', '1.00 USD', '720p', '5 s'),
                         ('sea', 'succeeded', '1.00 USD'), ('failed', 'failed', 'could not make the video'),
                         ('doubt', 'unknown', 'What became of this?', 'adopt TASK_ID', '1.00 USD'),
                         ('wrong', 'invalid', 'did you mean "duration"?'), ('later', 'draft')):
        text = page.js(f'{card(name)}.innerText')
        for part in parts:
            expect(part in text, f'{name}: no "{part}" in {text}')
    page.wait(f'{card("cat")}.querySelector("img").naturalWidth === 864')
    expect(not page.js(f'{card("sea")}.querySelector("img")'), 'a cover that there is not')
    is_clean(page)


def plays(page, mount):
    page.open(url(mount))
    for name in ('cat', 'sea'):
        page.js(f'{card(name)}.querySelector("a.media").focus()')
        page.key('Enter', 13)
        video = f'{card(name)}.querySelector("video")'
        page.wait(f'{video} && {video}.currentTime > 0.2')
        expect(page.js(f'{video}.videoWidth') > 400, 'no picture')
        expect(page.js(f'document.activeElement === {video}'), 'the keyboard has lost its place')
    expect(page.js('[...document.querySelectorAll("video")].filter((v) => !v.paused).length') == 1, 'two play at once')
    # To the end, also from the middle: the bytes of the mount are those of a whole video.
    page.js(f'{video}.currentTime = 4')
    page.wait(f'{video}.ended')
    is_clean(page)


def hostile(page, mount):
    page.open(url(mount))
    names = sorted(os.listdir(f'{mount}/jobs'))
    expect(sorted(shown(page)) == names, shown(page))
    page.js('document.querySelectorAll(".more").forEach((b) => b.click())')
    for name in names:
        page.wait(f'{card(name)}.scrollIntoView() || {card(name)}.querySelector("img").naturalWidth > 0')
        page.js(f'{card(name)}.querySelector("a.media").click()')
        page.wait(f'{card(name)}.querySelector("video").currentTime > 0')
    expect(page.js('document.querySelector(".prompt").textContent').startswith('</p></article><script>'),
           'the prompt is not as it was written')
    # No element that the page does not make itself; no handler, no style.
    tags = page.js('[...new Set([...document.querySelectorAll("main *")].map((e) => e.localName))].sort().join(" ")')
    expect(tags == 'a article b br button code div h2 p span time video', tags)
    expect(not page.js('[...document.querySelectorAll("main *")].flatMap((e) => [...e.attributes])'
                       '.filter((a) => /^(on|style|srcdoc)/.test(a.name)).map((a) => a.name).join()'), 'a handler')
    # The policy, should all that fail one day.
    before = len(page.events)
    page.js('''(() => {
        const script = document.createElement('script');
        script.textContent = 'window.hacked = 1';
        document.body.append(script);
        const image = document.createElement('div');
        image.innerHTML = '<img src="data:," onerror="window.hacked = 2"><img src="http://127.0.0.1:1/x">';
        document.body.append(image);
    })()''')
    time.sleep(0.3)
    expect(page.js(QUIET), 'the page was taken over')
    refused = page.events[before:]
    expect(refused and all('Content Security Policy' in text for _, text in refused), refused)
    del page.events[before:]
    page.requests[:] = [u for u in page.requests if u != 'http://127.0.0.1:1/x']
    is_clean(page)


def filters(page, mount):
    page.open(url(mount))
    chips = page.js('document.querySelector("#chips").innerText.replace(/\\s+/g, " ")')
    expect(chips == 'all 6 succeeded 2 unknown 1 failed 1 invalid 1 draft 1', chips)
    page.js('document.querySelector("[data-filter=unknown]").focus()')
    page.key('Enter', 13)
    expect(shown(page) == ['doubt'], shown(page))
    expect(page.js('document.activeElement.dataset.filter') == 'unknown', 'the keyboard has lost its place')
    expect(page.js('document.activeElement.getAttribute("aria-pressed")') == 'true', 'not said to be chosen')
    expect(page.js('document.querySelector("#count").textContent') == '1 of 6 jobs shown', 'not said how many')
    page.js('window.isBefore = true; location.reload()')
    page.wait('!window.isBefore && document.readyState === "complete" && '
              'document.querySelectorAll("#chips button").length === 6')
    expect(shown(page) == ['doubt'], 'the choice does not survive loading')
    page.js('document.querySelector("[data-filter=\\"\\"]").click()')
    for words, names in (('surfing', ['cat']), ('DID YOU MEAN', ['wrong']), ('nowhere', [])):
        page.js(f'const s = document.querySelector("#search"); s.value = {words!r}; s.dispatchEvent(new Event("input"))'
                if words == 'surfing' else
                f's.value = {words!r}; s.dispatchEvent(new Event("input"))')
        expect(shown(page) == names, (words, shown(page)))
    expect(page.js('document.querySelector("#nothing").offsetParent !== null'), 'nothing is said')
    # Everything that can be used has a name for those who do not see it.
    nameless = page.js('[...document.querySelectorAll("a, button, input")].filter((e) => !(e.getAttribute("aria-label") '
                       '|| e.textContent.trim())).map((e) => e.outerHTML).join()')
    expect(not nameless, nameless)
    is_clean(page)


def refreshes(page, mount):
    page.size(1280, 500)
    page.open(url(mount))
    page.js(f'window.same = {card("cat")}; window.other = {card("sea")}')
    page.js('document.querySelector("[data-filter=succeeded]").click()')
    page.js('same.querySelector("a.media").click()')
    page.wait('same.querySelector("video").currentTime > 0')
    page.js('''same.querySelector("video").loop = true;
               same.querySelector("video").addEventListener("pause", () => { window.disturbed = 1; });
               scrollTo(0, 60); window.top_ = same.getBoundingClientRect().top''')
    submit(mount, 'new', 'A new one')
    page.wait(f'{card("new")} && {card("new")}.dataset.state === "succeeded"')
    expect(shown(page)[0] == 'new', 'the latest is not the first')
    expect(page.js(f'{card("cat")} === same && same.isConnected && !window.disturbed'), 'the video was disturbed')
    expect(page.js('!same.querySelector("video").paused'), 'the video has stopped')
    expect(page.js(f'{card("sea")} === other'), 'what has not changed was made anew')
    expect('draft' not in page.js('[...document.querySelectorAll(".job")].filter((c) => c.offsetParent)'
                                  '.map((c) => c.dataset.state)'), 'the chosen status was lost')
    expect(page.js('location.hash') == '#succeeded', page.js('location.hash'))
    expect(page.js('history.length') <= 3, 'each refresh is a step back')
    # Of the playing one only the words change.
    os.rename(f'{mount}/jobs/later', f'{mount}/jobs/later2')
    page.wait(f'!!{card("later2")}')
    os.unlink(f'{mount}/jobs/later2/note')
    os.rmdir(f'{mount}/jobs/later2')
    page.wait(f'!{card("later2")}')
    expect(page.js('same.isConnected && !window.disturbed && !same.querySelector("video").paused'), 'disturbed')
    is_clean(page)


def remounts(page, mount, script):
    """The mount ends, which the page says, and comes back, which it sees."""
    page.open(url(mount))
    page.js('window.before = 1')
    os.system(f'{script} unmount')
    page.js('answered = 0')
    page.wait('!document.querySelector("#away").hidden')
    expect(len(shown(page)) == 6, 'what was there is not shown any more')
    os.system(f'{script} mount')
    page.wait('window.before === undefined && document.readyState === "complete"')
    expect(len(shown(page)) == 6, shown(page))
    expect(page.js('document.querySelector("#away").hidden'), 'still away')


def looks(page, mount):
    page.open(url(mount))
    grounds = []
    for scheme in ('light', 'dark'):
        page.scheme(scheme)
        grounds.append(page.js('getComputedStyle(document.documentElement).backgroundColor'))
        least = page.js(CONTRAST)
        expect(least['ratio'] >= 4.5, f'{scheme}: {least}')
    expect(grounds[0] != grounds[1], grounds)
    for width in (320, 375, 768, 1280, 2560):
        page.size(width, 800, mobile=width < 768)
        expect(not page.js(SCROLLS_SIDEWAYS), f'{width} pixels are not enough')
        cut = page.js('[...document.querySelectorAll(".text *, .error")].filter((e) => e.getBoundingClientRect().right > '
                      'e.closest(".job").getBoundingClientRect().right).map((e) => e.outerHTML).join()')
        expect(not cut, f'cut off at {width} pixels: {cut}')
        columns = page.js('new Set([...document.querySelectorAll(".job")].map((c) => c.offsetLeft)).size')
        expect((columns == 1) == (width < 768), f'{columns} columns at {width} pixels')
    is_clean(page)


def copied(page, mount):
    page.open(url(mount))
    page.size(320, 800, mobile=True)
    text = 'document.getElementById("copy").innerText'
    expect('one job that waited in it is held' in page.js(text), page.js(text))
    expect(page.js('document.getElementById("copy").getBoundingClientRect().bottom <= '
                   'document.querySelector(".job").getBoundingClientRect().top'), 'it is not above the jobs')
    for scheme in ('light', 'dark'):
        page.scheme(scheme)
        least = page.js(CONTRAST)
        expect(least['ratio'] >= 4.5, f'{scheme}: {least}')
    expect(not page.js(SCROLLS_SIDEWAYS), 'it does not fit a phone')
    with open(f'{mount}/jobs/next/ctl', 'w', encoding='utf-8') as file:
        file.write('submit\n')
    page.wait(f'{text}.includes("nothing that waited in it is held now, and what was spent")')
    is_clean(page)


def without_scripts(page, mount):
    page.scripts(False)
    page.call('Page.navigate', url=url(mount))
    time.sleep(1)
    page.scripts(True)
    expect(len(shown(page)) == 6, 'no jobs without scripts')
    expect(page.js(f'{card("cat")}.querySelector("a.media").href').endswith('/jobs/cat/output.mp4'), 'no video')
    expect(not page.js('document.querySelector("#chips").offsetParent'), 'what cannot work is there')
    expect(page.js('document.querySelectorAll("noscript").length') == 1, 'it stays as it is')


def many(page, mount, count):
    begin = time.monotonic()
    page.open(url(mount))
    # A fifth of a second here, with a machine to itself; a page that is worked on card by card takes minutes.
    expect(time.monotonic() - begin < 15, 'slow to open')
    count = int(count)
    expect(page.js('document.querySelectorAll(".job").length') == min(count, 1000), 'not all of them')
    note = page.js('document.querySelector("#note").textContent')
    expect(note.startswith(f'The latest 1000 of {count} jobs.') if count > 1000 else not note, note)
    begin = time.monotonic()
    page.js('document.querySelector("[data-filter=succeeded]").click()')
    expect(time.monotonic() - begin < 5, 'slow to filter')
    page.wait('[...document.images].filter((i) => i.naturalWidth > 0).length >= 3')
    covers = [u for u in page.requests if u.endswith('/cover.jpg')]
    videos = [u for u in page.requests if u.endswith('.mp4')]
    expect(len(covers) <= 60 and not videos, f'{len(covers)} covers and {len(videos)} videos were asked for')
    page.js('scrollTo(0, document.body.scrollHeight)')
    page.wait('[...document.images].at(-1).naturalWidth > 0')
    is_clean(page)


def framed(page, mount, outer):
    """Another page on this disk that frames the gallery, and asks as the gallery asks itself."""
    for hash_ in ('', '#since:', '#since:0000000000000000-0'):
        with open(outer, 'w', encoding='utf-8') as file:
            file.write(f'''<iframe src="{url(mount)}{hash_}"></iframe><script>window.got = []; window.loaded = 0;
                addEventListener('message', (e) => got.push(JSON.stringify(e.data)));
                document.querySelector('iframe').addEventListener('load', () => {{ loaded = 1; }});</script>''')
        page.open(f'file://{outer}')
        page.wait('loaded || got.length')
        time.sleep(0.3)
        got = page.js('got.join()')
        expect(got in ('', '{"isOther":true}'), got)


def framed_evil(page, mount, outer):
    """A page that frames the gallery may navigate the frame in which that asks itself, and speak from there."""
    evil = f'{outer}.evil.html'
    with open(evil, 'w', encoding='utf-8') as file:
        file.write('''<script>
            const html = '<article class="job" data-state="succeeded" id="job-1"><h2>injected</h2></article>';
            for (const nonce of [undefined, null, '', location.hash.slice(1)])
                parent.postMessage({revision: 'x-1', note: 'injected', cards: [{id: 'job-1', html}], nonce}, '*');
            top.postMessage('spoken', '*');
            </script>''')
    with open(outer, 'w', encoding='utf-8') as file:
        # Time and again, as soon as there is one: sometimes before it has spoken itself.
        file.write(f'''<iframe src="{url(mount)}"></iframe><script>window.spoken = 0; window.other = [];
            addEventListener('message', (e) => {{ e.data === 'spoken' ? spoken++ : other.push(JSON.stringify(e.data)); }});
            const gallery = document.querySelector('iframe').contentWindow, turn = new MessageChannel();
            let is_sent = false;
            turn.port1.onmessage = () => {{
                if (gallery.length && !is_sent)
                    gallery[0].location = 'file://{evil}#' + Math.random();
                is_sent = gallery.length > 0;
                turn.port2.postMessage(0);
            }};
            turn.port2.postMessage(0);</script>''')
    page.open(f'file://{outer}')
    page.wait('spoken >= 2')
    frame = page.call('Page.getFrameTree')['frameTree']['childFrames'][0]['frame']['id']
    world = page.call('Page.createIsolatedWorld', frameId=frame)['executionContextId']
    seen = page.call('Runtime.evaluate', contextId=world, returnByValue=True,
                     expression='document.querySelector("main").innerText + document.querySelectorAll(".job").length')
    text = seen['result']['value']
    expect('injected' not in text and text.endswith('6'), text)
    expect(not page.js('other.join()'), page.js('other.join()'))


def main():
    check, mount, *arguments = sys.argv[1:]
    with browser.Browser() as page:
        globals()[check](page, mount, *arguments)


main()
