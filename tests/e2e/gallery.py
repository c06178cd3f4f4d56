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
        if (element.closest('svg, a.media, [hidden], .unseen, dialog:not([open])') || ![...element.childNodes].some((n) =>
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
    return f'[...document.querySelectorAll(".job")].find((c) => c.querySelector("h3").textContent === {name!r})'


def shown(page):
    return page.js('[...document.querySelectorAll(".job")].filter((c) => c.offsetParent)'
                   '.map((c) => c.querySelector("h3").textContent)')


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
    for name, *parts in (('cat', 'succeeded', 'A cat surfing', '$1.00', '720p', '5 s'),
                         ('sea', 'succeeded', '$1.00'), ('failed', 'failed', 'The service could not make it', '$1.00 at risk'),
                         ('doubt', 'unknown', 'What became of this?', 'It may have been charged', '$1.00 at risk'),
                         ('wrong', 'invalid', 'A mistake in the prompt', 'line 1, column 21: duraton'), ('later', 'draft')):
        text = page.js(f'{card(name)}.innerText')
        for part in parts:
            expect(part in text, f'{name}: no "{part}" in {text}')
    page.wait(f'{card("cat")}.querySelector("img").naturalWidth === 864')
    expect(not page.js(f'{card("sea")}.querySelector("img")'), 'a cover that there is not')
    is_clean(page)


def plays(page, mount):
    page.open(url(mount))
    video = 'document.querySelector("#show video")'
    for name in ('cat', 'sea'):
        page.js(f'{card(name)}.querySelector("a.media").focus()')
        page.key('Enter', 13)
        page.wait(f'{video} && {video}.currentTime > 0.2')
        expect(page.js(f'{video}.videoWidth') > 400, 'no picture')
        expect(page.js(f'document.activeElement === {video}'), 'the keyboard has lost its place')
        expect(page.js('document.querySelector("#lamp-name").textContent') == name, 'its name is not there')
        page.key('Escape', 27)
        page.wait('!document.querySelector("#lamp").open')
        expect(page.js(f'document.activeElement === {card(name)}.querySelector("a.media")'), 'the keyboard has lost its place')
    expect(not page.js('document.querySelector("video")'), 'a video goes on')
    # To the end, also from the middle: the bytes of the mount are those of a whole video.
    page.js(f'{card("sea")}.querySelector("a.media").click()')
    page.wait(f'{video} && {video}.currentTime > 0')
    page.js(f'{video}.currentTime = 4')
    page.wait(f'{video}.ended')
    is_clean(page)


def lightbox(page, mount):
    """From one video to the next, by keys and by itself."""
    video = 'document.querySelector("#show video")'
    name = 'document.querySelector("#lamp-name").textContent'
    plays_ = lambda job: page.wait(f'{name} === "{job}" && {video}.currentSrc.includes("/{job}/") && {video}.duration > 0 && '
                                   f'{video}.currentTime > 0 && !{video}.paused')
    page.open(f'{url(mount)}#sort=name')
    page.js('document.querySelector("#all").click()')
    plays_('cat')
    expect(page.js(f'{name} + document.querySelector("#lamp-of").textContent') == 'cat1 of 2', page.js(name))
    page.key('ArrowRight', 39)
    plays_('sea')
    page.key('ArrowRight', 39)
    expect(page.js(name) == 'sea', 'beyond the last one')
    page.key(' ', 32)
    page.wait(f'{video}.paused')
    page.key('ArrowLeft', 37)
    plays_('cat')
    # By itself: in order, and then it is over.
    page.js(f'{video}.currentTime = {video}.duration - 0.3')
    plays_('sea')
    page.js(f'{video}.currentTime = {video}.duration - 0.3')
    page.wait(f'{video}.ended && document.querySelector("#lamp-all").getAttribute("aria-pressed") === "false"')
    # Without that, the end of one is not the beginning of the next.
    page.key('ArrowLeft', 37)
    plays_('cat')
    page.js(f'{video}.currentTime = {video}.duration - 0.3')
    page.wait(f'{video}.ended')
    time.sleep(0.3)
    expect(page.js(name) == 'cat', 'goes on by itself')
    # The mount goes on meanwhile.
    submit(mount, 'new', 'A new one')
    page.wait(f'{card("new")} && {card("new")}.dataset.state === "succeeded"')
    expect(page.js(f'document.querySelector("#lamp").open && {name} === "cat"'), 'disturbed')
    page.key('ArrowRight', 39)
    page.wait(f'{name} === "new"')
    page.key('Escape', 27)
    page.wait('!document.querySelector("#lamp").open')
    is_clean(page)


def previews(page, mount):
    """A pointer that rests on a picture moves through the video; before that nothing of it is asked for."""
    page.open(url(mount))
    page.wait(f'{card("cat")}.querySelector("img:not(.back)").naturalWidth > 0')
    expect(not [u for u in page.requests if u.endswith('.mp4')], 'a video was asked for')
    left, top, width, height = page.js(f'(() => {{ {card("cat")}.scrollIntoView({{block: "center"}}); const r = '
                                       f'{card("cat")}.querySelector("a.media").getBoundingClientRect();'
                                       'return [r.left, r.top, r.width, r.height]; })()')
    move = lambda part: page.call('Input.dispatchMouseEvent', type='mouseMoved', x=left + width * part, y=top + height / 2)
    video = f'{card("cat")}.querySelector("video")'
    move(0.1)
    page.wait(f'{video} && {video}.duration > 0')
    for part in (0.2, 0.8):
        move(part)
        page.wait(f'Math.abs({video}.currentTime - {part} * {video}.duration) < 0.2')
    expect(page.js(f'{video}.muted && {video}.paused'), 'it makes a noise')
    page.call('Input.dispatchMouseEvent', type='mouseMoved', x=1, y=1)
    page.wait('!document.querySelector("video")')
    is_clean(page)


def chains(page, mount):
    """From the card of a job to those that it comes from and goes to, also when they are not shown."""
    page.open(f'{url(mount)}#state=succeeded')
    expect('next' not in shown(page), shown(page))
    expect(page.js(f'{card("cat")}.querySelector(".chain").innerText') == 'for next', 'no chain')
    page.js(f'{card("cat")}.querySelector(".chain a").click()')
    page.wait(f'{card("next")}.classList.contains("found")')
    expect('next' in shown(page) and page.js(f'{card("next")}.contains(document.activeElement)'), 'not led there')
    page.js(f'{card("next")}.querySelector(".chain a").click()')
    page.wait(f'{card("cat")}.classList.contains("found")')
    # Another take of it plays, too.
    expect(page.js(f'{card("cat")}.querySelector(".takes").innerText') == 'take 2 of 2 1', 'no takes')
    page.js(f'{card("cat")}.querySelector("a.take").click()')
    page.wait('document.querySelector("#show video")?.src.endsWith("/takes/1.mp4") && '
              'document.querySelector("#show video").currentTime > 0')
    expect(page.js('document.querySelector("#lamp-name").textContent') == 'cat, take 1', 'not said which take it is')
    is_clean(page)


def orders(page, mount):
    """Sorting and grouping, in the URL."""
    names = lambda: page.js('[...document.querySelectorAll("#jobs > *")].filter((e) => !e.hidden).map((e) => '
                            'e.localName === "h2" ? `[${e.firstChild.data}]` : e.querySelector("h3").textContent).join(" ")')
    page.open(url(mount))
    expect(names() == 'other shot-2 shot-10 shot-1 cat', names())
    page.js('sort_ = document.querySelector("#sort"); sort_.value = "name"; sort_.dispatchEvent(new Event("change"))')
    expect(names() == 'cat other shot-1 shot-2 shot-10', names())
    expect(page.js('location.hash') == '#sort=name', page.js('location.hash'))
    page.js('sort_.value = "cost"; sort_.dispatchEvent(new Event("change"))')
    expect(names().startswith('shot-2 '), names())
    page.js('document.querySelector("#group").click()')
    expect(names() == '[shot] shot-2 shot-10 shot-1 [Others] other cat', names())
    heads = page.js('[...document.querySelectorAll(".group span")].map((e) => e.textContent)')
    expect(heads == ['3 jobs, $3.60', '2 jobs, $2.00'], heads)
    page.js('sort_.value = "name"; sort_.dispatchEvent(new Event("change"))')
    # All of it is in the URL, and survives loading.
    page.js('s_ = document.querySelector("#search"); s_.value = "shot"; s_.dispatchEvent(new Event("input"))')
    expect(page.js('location.hash') == '#sort=name&group=1&q=shot', page.js('location.hash'))
    page.js('window.isBefore = true; location.reload()')
    page.wait('!window.isBefore && document.readyState === "complete" && document.querySelectorAll(".group").length === 1')
    expect(names() == '[shot] shot-1 shot-2 shot-10', names())
    expect(page.js('document.querySelector("#sort").value + document.querySelector("#search").value') == 'nameshot', 'not shown')
    page.js('document.querySelector("#group").click()')
    expect(names() == 'shot-1 shot-2 shot-10', names())
    is_clean(page)


def money(page, mount):
    page.open(url(mount))
    text = page.js('document.querySelector("#money").innerText.replace(/\\s+/g, " ")')
    expect(text == 'Spent $1.00 Waiting $4.00 Budget today $1.50 left of $2.50', text)
    expect(page.js('document.querySelector(".gauge rect:not(.all)").getAttribute("width")') == '400', 'not the part that is used')
    text = page.js('document.querySelector("#banners").innerText')
    expect(text.startswith('2 jobs wait for the budget.') and text.count('\n') < 3, text)
    expect('Waits for the budget' in page.js(f'{card("dear-1")}.innerText'), 'the card does not say why')
    expect('The budget of' not in page.js(f'{card("dear-1")}.innerText'), 'the card repeats it all')
    page.js(f'{card("dear-1")}.querySelector("summary").click()')
    expect('needs about 2.00 USD' in page.js(f'{card("dear-1")}.innerText'), page.js(f'{card("dear-1")}.innerText'))
    is_clean(page)


def accessible(page, mount, axe):
    """axe-core finds nothing, in light and dark, on a phone, and in the player."""
    with open(axe, encoding='utf-8') as file:
        script = file.read()
    page.open(url(mount))

    def check(where):
        page.js(f'{script}; 0')
        found = page.js('axe.run(document, {resultTypes: ["violations"]}).then((r) => r.violations.map((v) => '
                        '`${v.id}: ${v.nodes[0].html.slice(0, 200)} ${v.nodes[0].failureSummary}`).join("\\n"))')
        expect(not found, f'{where}: {found}')
        expect(page.js('axe.run(document).then((r) => r.passes.length)') > 10, 'axe-core has looked at nothing')

    for scheme in ('light', 'dark'):
        page.scheme(scheme)
        for width in (320, 1280):
            page.size(width, 800, mobile=width < 768)
            check(f'{scheme}, {width} pixels')
    page.js('document.querySelectorAll("details").forEach((d) => { d.open = true; }); document.querySelector("#group").click()')
    check('with everything open')
    if page.js('document.querySelector("a.media") !== null'):
        page.js('document.querySelector("a.media").click()')
        page.wait('document.querySelector("#lamp").open')
        check('in the player')
        # It would be noticed.
        page.js('document.querySelector("#lamp-back").removeAttribute("aria-label"); '
                'document.querySelector("#lamp-back").textContent = ""')
        expect(page.js('axe.run(document).then((r) => r.violations.length)') > 0, 'a button without a name is not noticed')


def prints(page, mount):
    page.open(url(mount))
    page.call('Emulation.setEmulatedMedia', media='print')
    expect(not page.js('document.querySelector("#chips").offsetParent || document.querySelector(".acts").offsetParent'),
           'what cannot be used on paper is there')
    expect(len(shown(page)) == 6, shown(page))
    expect(len(page.call('Page.printToPDF')['data']) > 10000, 'nothing is printed')


def hostile(page, mount):
    page.open(url(mount))
    names = sorted(os.listdir(f'{mount}/jobs'))
    expect(sorted(shown(page)) == names, shown(page))
    page.js('document.querySelectorAll(".more").forEach((b) => b.click())')
    for name in names:
        page.wait(f'{card(name)}.scrollIntoView() || {card(name)}.querySelector("img").naturalWidth > 0')
        page.js(f'{card(name)}.querySelector("a.media").click()')
        page.wait('document.querySelector("#show video")?.currentTime > 0')
        page.js('document.querySelector("#lamp").close()')
    expect(page.js('document.querySelector(".prompt").textContent').startswith('</p></article><script>'),
           'the prompt is not as it was written')
    # No element that the page does not make itself; no handler, no style.
    tags = page.js('[...new Set([...document.querySelectorAll("main *")].map((e) => e.localName))].sort().join(" ")')
    expect(tags == 'a article b button code dd div dl dt h2 h3 img p pre section span svg time use', tags)
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
    # What is searched is what the jobs say, and not the words of the page.
    for words, names in (('surfing', ['cat']), ('DID YOU MEAN', ['wrong']), ('surfing  cat', ['cat']), ('download', []),
                         ('nowhere', [])):
        page.js(f'const s = document.querySelector("#search"); s.value = {words!r}; s.dispatchEvent(new Event("input"))'
                if words == 'surfing' else
                f's.value = {words!r}; s.dispatchEvent(new Event("input"))')
        expect(shown(page) == names, (words, shown(page)))
    expect(page.js('document.querySelector("#nothing").offsetParent !== null'), 'nothing is said')
    # Everything that can be used has a name for those who do not see it.
    nameless = page.js('[...document.querySelectorAll("a, button, input, select")].filter((e) => !(e.getAttribute("aria-label") '
                       '|| e.textContent.trim())).map((e) => e.outerHTML).join()')
    expect(not nameless, nameless)
    is_clean(page)


def refreshes(page, mount):
    page.size(1280, 500)
    page.open(url(mount))
    page.js(f'window.same = {card("cat")}; window.other = {card("sea")}')
    page.js('document.querySelector("[data-filter=succeeded]").click()')
    page.js('same.querySelector("a.media").click()')
    video = 'document.querySelector("#show video")'
    page.wait(f'{video}?.currentTime > 0')
    page.js(f'''{video}.loop = true; window.player = {video};
               {video}.addEventListener("pause", () => {{ window.disturbed = 1; }});''')
    submit(mount, 'new', 'A new one')
    page.wait(f'{card("new")} && {card("new")}.dataset.state === "succeeded"')
    expect(page.js(f'{video} === player && !window.disturbed && !player.paused'), 'the video was disturbed')
    page.key('Escape', 27)
    expect(shown(page)[0] == 'new', 'the latest is not the first')
    expect(page.js(f'{card("sea")} === other && {card("cat")} === same'), 'what has not changed was made anew')
    expect('draft' not in page.js('[...document.querySelectorAll(".job")].filter((c) => c.offsetParent)'
                                  '.map((c) => c.dataset.state)'), 'the chosen status was lost')
    expect(page.js('location.hash') == '#state=succeeded', page.js('location.hash'))
    expect(page.js('history.length') <= 3, 'each refresh is a step back')
    # What the reader has opened stays open, and the place in the page, too.
    page.js('document.querySelector("[data-filter=\\"\\"]").click(); scrollTo(0, 60)')
    page.js(f'{card("doubt")}.querySelector("summary").focus(); {card("doubt")}.querySelector("details").open = true')
    top = page.js('scrollY')
    before = page.js('document.querySelector("#money").innerText')
    os.rename(f'{mount}/jobs/doubt', f'{mount}/jobs/doubt2')
    page.wait(f'!!{card("doubt2")}')
    expect(page.js(f'{card("doubt2")}.querySelector("details").open'), 'closed what was open')
    expect(page.js(f'document.activeElement === {card("doubt2")}.querySelector("summary")'), 'the keyboard has lost its place')
    expect(page.js('scrollY') == top, 'the page has moved')
    os.unlink(f'{mount}/jobs/later/note')
    os.rmdir(f'{mount}/jobs/later')
    page.wait(f'!{card("later")}')
    # The money follows.
    submit(mount, 'more', 'One more')
    page.wait(f'document.querySelector("#money").innerText !== {before!r}')
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
        cut = page.js('[...document.querySelectorAll(".text *")].filter((e) => e.getBoundingClientRect().right > '
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
