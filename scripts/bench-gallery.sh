#!/bin/bash
# How long it takes to make index.html, and to open it in a browser (skipped without one). Part of `make bench`.
#   scripts/bench-gallery.sh build        exit code 0 when no target is missed
# shellcheck source=scripts/bench-common.bash
source "$(dirname "$0")/bench-common.bash"

# The median of 21 renderings in ms: the size is asked for after a change, and again without one.
render_ms() {
    python '
def look():
    start = time.perf_counter()
    os.stat(M + "index.html")
    return time.perf_counter() - start
costs = []
for i in range(21):
    os.mkdir(M + "jobs/change")
    made = look()
    costs.append(made - look())
    os.rmdir(M + "jobs/change")
print("%.1f" % (sorted(costs)[10] * 1000))'
}

# From the start of the loading to the first picture of it, in ms; and what it cost the browser to filter.
browse_ms() {
    PYTHONPATH=tests/e2e "$PYTHON" - "$MNT" <<'PYTHON'
import sys
import time
from browser import Browser
with Browser() as browser:
    start = time.perf_counter()
    browser.open(f'file://{sys.argv[1]}/index.html')
    browser.js('new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))')
    opened = time.perf_counter() - start
    spent = browser.js('''new Promise((done) => {
        const start = performance.now();
        document.querySelector('[data-filter=succeeded]').click();
        requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now() - start)));
    })''')
    print(round(opened * 1000), round(spent))
PYTHON
}

has_browser() { PYTHONPATH=tests/e2e "$PYTHON" -c 'import browser, sys; sys.exit(not browser.program())'; }

# rows OF_HOW_MANY TARGET
rows() {
    local kind=none opened filtered
    [ -z "$2" ] || kind=most
    row "index.html of $1 jobs: made" "$(render_ms)" ms "$kind" "$2" "" ""
    row "  its size" "$(($(stat -c %s "$MNT/index.html") / 1024))" KiB none "" "" ""
    has_browser || return 0
    read -r opened filtered < <(browse_ms)
    row "  opened in a browser" "$opened" ms most 2000 "" ""
    row "  filtered there" "$filtered" ms most 200 "" ""
}

start_world
mount_fs
make_job model "A cat surfing at sunset, golden light on the waves, shot from a drone that circles slowly"
table_head
have=1
for step in "500 20" "1000" "10000" "100000"; do
    read -r jobs target <<<"$step"
    unmount_fs
    finished_jobs $((jobs - have)) "clip$jobs-"
    have=$jobs
    mount_fs
    rows "$jobs" "$target"
done
table_end
