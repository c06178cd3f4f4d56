#!/usr/bin/env bats
# index.html at the root: in headless Chromium, from file:// through the mount.
load helper
load finished_jobs

setup() {
    local programs="chromium-headless-shell chromium chromium-browser google-chrome"
    # shellcheck disable=SC2086 # a list of words
    command -v $programs >/dev/null || skip "no Chromium (one of: $programs)"
    [[ $BUILD != *asan* ]] || skip "tests/unit/tree/test_index.c makes the page under the sanitizers"
    start_world
}
teardown() { [ -z "${DIR:-}" ] || end_world; }

gallery() { "$PYTHON" "$ROOT/tests/e2e/gallery.py" "$1" "$MNT" "${@:2}"; }

# One job of each kind, the last one first on the page.
make_jobs() {
    scenario '{"kind":"create","prompt_contains":"What became","response":{"status":500}}'
    make_job cat "A cat surfing at sunset"
    make_job sea "[[nocover]] A walk by the sea"
    echo '{"prompt": "A dog [[fail]]"}' >"$MNT/jobs/failed/prompt.json"
    wait_status failed failed
    echo '{"prompt": "What became of this?"}' >"$MNT/jobs/doubt/prompt.json"
    wait_status doubt unknown
    fails bash -c "echo '{\"prompt\": \"A dog\", \"duraton\": 8}' >$MNT/jobs/wrong/prompt.json"
    wait_status wrong invalid
    mkdir "$MNT/jobs/later"
    echo note >"$MNT/jobs/later/note"
    wait_until 10 test -e "$MNT/jobs/cat/cover.jpg"
    wait_ends cat
    wait_ends sea
}

# S-INDEX-1: `index.html` at the root shows each job with its cover in its own shape, its prompt, status, takes and cost
#   ("$1.00", "≈ $1.00" or "$1.00 at risk"), from which jobs it was made and for which, the latest request first. Why a job
#   stands still is said in a few bold words, and the whole text on demand. Of more than 1,000 jobs it shows the latest
#   1,000, and how many there are.
@test "S-INDEX-1: each job is shown with what there is to know, the latest first" {
    mount_fs
    make_jobs
    [ "$(stat -c %s "$MNT/index.html")" -eq "$(wc -c <"$MNT/index.html")" ]
    gallery contents
}

# S-INDEX-2: It is one file, needs no server and sends no request to any host: everything that it shows is in the
#   mount.
@test "S-INDEX-2: a video plays in the page, from the keyboard, to its end, and no host is asked" {
    mount_fs
    make_jobs
    # Nothing in it could be asked elsewhere, but the name of SVG.
    [ "$(grep -oE '[a-z]+://[^ "'\'']*' "$MNT/index.html" | sort -u)" = "http://www.w3.org/2000/svg" ]
    gallery plays
}

# S-INDEX-3: Names, prompts and errors are shown as text, whatever they contain.
@test "S-INDEX-3: hostile prompts and names do nothing, and their videos play" {
    mount_fs
    local name text='</p></article><script>window.hacked=1</script><img src=x onerror=window.hacked=1>'
    for name in '<img src=x onerror=alert(1)>' "\" onclick=\"window.hacked=1" "' onerror='alert(1)" '100%25 #?&amp;é漢🐈' \
        'javascript:alert(1)' '{{jobs}}' "$(printf 'x%.0s' {1..255})"; do
        echo "{\"prompt\": \"$text <svg onload=alert(1)> &lt;b&gt; {{revision}} $(printf 'word %.0s' {1..60})\"}" \
            >"$MNT/jobs/$name/prompt.json"
    done
    for name in "$MNT/jobs/"*; do
        wait_status "${name##*/}" succeeded
        wait_until 10 test -e "$name/cover.jpg"
    done
    gallery hostile
}

# S-INDEX-4: Opening it fetches nothing of a video, and fetches covers only where they come into view.
@test "S-INDEX-4: 500 jobs are opened and filtered, their videos are not asked for" {
    mount_fs
    make_job model
    wait_until 10 test -e "$MNT/jobs/model/cover.jpg"
    wait_ends model
    unmount_fs
    finished_jobs 499
    mount_fs --archive never
    gallery many 500
    # The model's own is asked for its size when the program starts.
    [ "$(jq -rs '[.[] | select(.kind == "video") | .task] | unique | length' "$LOG")" -le 1 ]
    [ "$(requests video)" -le 4 ]
    [ "$(creates)" -eq 1 ]
    unmount_fs # the search for the key, which ends each test, would read all of them
}

@test "S-INDEX-1: of 10,000 jobs the latest 1,000 are shown" {
    mount_fs
    make_job model
    wait_until 10 test -e "$MNT/jobs/model/cover.jpg"
    unmount_fs
    finished_jobs 9999
    mount_fs --archive never
    gallery many 10000
    unmount_fs
}

# S-INDEX-5: Jobs can be filtered by status, and searched by name, prompt and error, sorted by time, name ("shot-2" before
#   "shot-10") and cost, and grouped: "shot-1" and "shot-2" belong to "shot". The URL says what was chosen. All of it works
#   with the keyboard.
@test "S-INDEX-5: jobs are shown by status and searched" {
    mount_fs
    make_jobs
    gallery filters
}

@test "S-INDEX-5: order and groups are in the URL" {
    mount_fs
    make_job cat
    make_job shot-1
    make_job shot-10
    echo '{"prompt": "long", "duration": 8}' >"$MNT/jobs/shot-2/prompt.json"
    wait_status shot-2 succeeded
    make_job other
    gallery orders
}

# S-INDEX-10: Above the jobs stand the money that was spent, and what is reserved, at risk, held and waiting, the budget and
#   what is left of it, and one sentence for what holds up several jobs ("16 jobs wait for the budget").
@test "S-INDEX-10: money, budget and banners" {
    mount_fs --budget 2.50/day
    make_job cat
    for n in 1 2; do echo '{"prompt": "x", "duration": 10}' >"$MNT/jobs/dear-$n/prompt.json"; done
    wait_until 10 bash -c "jq -es 'all(.reason_code == \"BUDGET\")' '$MNT'/jobs/dear-*/status.json"
    gallery money
}

# S-INDEX-11: A video opens in a player that fills the window: ← and → go to the other videos on the page, space pauses, and
#   "Play all in order" goes on by itself. A mouse that rests on a picture moves through the video; nothing of it is
#   fetched before.
@test "S-INDEX-11: from one video to the next, by keys and by itself" {
    mount_fs
    make_job cat
    make_job sea
    gallery lightbox
}

@test "S-INDEX-11: a mouse that rests on a picture moves through the video" {
    mount_fs
    make_job cat
    wait_until 10 test -e "$MNT/jobs/cat/cover.jpg"
    gallery previews
}

@test "S-INDEX-1: chains and takes lead to where they come from" {
    mount_fs
    make_job cat
    echo take >"$MNT/jobs/cat/ctl"
    wait_until 20 test -e "$MNT/jobs/cat/takes/2.mp4"
    echo '{"prompt": "x", "hold": true, "video_url": "../cat/output.mp4"}' >"$MNT/jobs/next/prompt.json"
    gallery chains
}

# S-INDEX-12: axe-core finds nothing to complain about, in light and dark and on a phone. Who wants less motion gets none.
#   On paper stands what can be read there.
@test "S-INDEX-12: for all who use it" {
    local axe
    axe=$("$ROOT/scripts/get-axe.sh") || skip "axe-core cannot be had from the npm registry"
    mount_fs --budget 4
    gallery accessible "$axe"
    make_jobs
    for n in 1 2; do echo '{"prompt": "x", "hold": true}' >"$MNT/jobs/held-$n/prompt.json"; done
    gallery accessible "$axe"
}

@test "S-INDEX-12: on paper" {
    mount_fs
    make_jobs
    gallery prints
}

# S-INDEX-6: An open page updates itself when something has changed: a video that plays keeps playing, and the chosen
#   status and the place on the page stay.
@test "S-INDEX-6: an open page follows, and does not disturb a video" {
    mount_fs
    make_jobs
    gallery refreshes
}

@test "S-INDEX-6: an open page survives its mount" {
    mount_fs
    make_jobs
    # What the browser's test calls while its page is open.
    cat >"$DIR/again" <<SCRIPT
#!/bin/bash
case \$1 in
unmount) fusermount3 -uz "$MNT" ;;
mount) until "$SEEDANCEFS" --api-url "$API" --api-key-file "$DIR/key" --data-dir "$DATA" "$MNT" 2>/dev/null; do
    sleep 0.1
done ;;
esac
SCRIPT
    chmod +x "$DIR/again"
    gallery remounts "$DIR/again"
    FS_PID=$(daemon_pid)
}

# S-INDEX-7: It fits the width of a phone, follows the light or dark theme of the system, and shows its jobs even
#   without scripts.
@test "S-INDEX-7: it fits every width, and can be read in light and dark" {
    mount_fs
    make_jobs
    make_job "$(printf 'x%.0s' {1..255})" "$(printf 'y%.0s' {1..300})"
    gallery looks
}

@test "S-INDEX-7: it shows its jobs without scripts" {
    mount_fs
    make_jobs
    gallery without_scripts
}

# S-INDEX-8: It contains no signed URL. Another page that frames it learns nothing from it and can put nothing into
#   it.
@test "S-INDEX-8: no signed URL is in it, and a page that frames it learns nothing" {
    mount_fs
    make_jobs
    local url
    url=$(cat "$MNT/jobs/cat/output.url")
    fails grep -F -e "${url%%\?*}" -e "${url#*\?}" -e X-Tos- -e Signature "$MNT/index.html"
    gallery framed "$DIR/outer.html"
}

@test "S-INDEX-8: a page that frames it can put nothing into it" {
    mount_fs
    make_jobs
    gallery framed_evil "$DIR/outer.html"
}

# S-RESTORE-3: In a data directory that was restored or copied, a sentence at the top of `index.html` says so, how many
#   jobs are held because of that, and that what was spent since the copy was made is not in the budget. It is there for
#   seven days, as long as the service keeps tasks that can be adopted, and after that while a job is held because of that.
@test "S-RESTORE-3: an open page of a copied directory follows what is ordered" {
    mount_fs --max-active 1
    echo '{"prompt": "[[seconds=600]] long"}' >"$MNT/jobs/long/prompt.json"
    wait_status long running
    echo '{"prompt": "next"}' >"$MNT/jobs/next/prompt.json"
    status_is next waiting
    unmount_fs
    cp -a "$DATA" "$DATA.copy"
    DATA=$DATA.copy
    mount_fs
    status_is next held
    gallery copied
}
