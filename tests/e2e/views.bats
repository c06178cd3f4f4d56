#!/usr/bin/env bats
# Views: the same jobs in another order, and what tools make of them.
load helper

setup() { start_world; mount_fs; J=$MNT/jobs; }
teardown() { end_world; }

names_in() { ls "$MNT/$1" | tr '\n' ' '; }
stands_in() { [ -L "$MNT/by-status/$2/$1" ]; }
mtime() { stat -c %.Y "$MNT/$1"; }

# S-VIEW-1: `videos/NAME.mp4` is `jobs/NAME/output.mp4` once more, for each job that has an `output.mp4`: a regular file
#   with the same inode and a link count that counts all its names, so that copying `videos` copies the videos.
@test "S-VIEW-1: videos holds every finished video under its job's name" {
    [ "$(names_in videos)" = '' ]
    make_job cat
    make_job 'a b ü'
    mkdir "$J/draft"
    echo '{"prompt": "[[fail]]"}' >"$J/dog/prompt.json"
    wait_status dog failed
    [ "$(names_in videos)" = 'a b ü.json a b ü.mp4 cat.json cat.mp4 ' ]
    local inode
    inode=$(stat -c '%i %h %F' "$J/cat/output.mp4")
    [[ $inode == *' 2 regular file' ]]
    [ "$(stat -c '%i %h %F' "$MNT/videos/cat.mp4")" = "$inode" ]
    # What copies the videos has them.
    cp -r "$MNT/videos" "$DIR/copied"
    rsync -aH "$MNT/" "$DIR/mirror/" --include=/videos --include=/jobs --include=/jobs/cat --include='*.mp4' --exclude='*'
    for name in cat 'a b ü'; do cmp "$DIR/copied/$name.mp4" "$J/$name/output.mp4"; done
    [ "$(stat -c %i "$DIR/mirror/videos/cat.mp4")" = "$(stat -c %i "$DIR/mirror/jobs/cat/output.mp4")" ]
    for name in cat 'a b ü'; do cmp "$MNT/videos/$name.mp4" "$J/$name/output.mp4"; done
    run ffprobe -v error -show_entries format=format_name -of csv=p=0 "$MNT/videos/cat.mp4"
    [[ $output == *mp4* ]]
    mv "$J/cat" "$J/tom"
    [ "$(names_in videos)" = 'a b ü.json a b ü.mp4 tom.json tom.mp4 ' ]
    [ "$(stat -c '%i %h %F' "$MNT/videos/tom.mp4")" = "$inode" ]
    fails cat "$MNT/videos/cat.mp4"
    rm "$J/tom/output.mp4"
    rm -r "$J/a b ü"
    [ "$(names_in videos)" = '' ]
    restart_fs
    [ "$(names_in videos)" = 'tom.json tom.mp4 ' ]
    [ "$(creates)" -eq 3 ]
}

# S-VIEW-10: In `videos` a NAME of more than 250 bytes is cut, so that the endings fit: its first characters, `~` and a
#   number of the job's own. The name that this gives is no other job's, and `video` in NAME.json repeats it.
@test "S-VIEW-10: videos of jobs with long names" {
    local fits=$(printf 'a%.0s' {1..250}) long=$(printf '猫%.0s' {1..84})cat stem
    make_job "$fits"
    [ "$(names_in videos)" = "$fits.json $fits.mp4 " ]
    make_job "$long"
    make_job "${long%t}r"
    [ "$(ls "$MNT/videos" | wc -l)" -eq 6 ]
    [ "$(ls "$MNT/videos" | grep -c '^猫*~[0-9]*\.mp4$')" -eq 2 ]
    for video in "$MNT/videos/"猫*.mp4; do
        stem=${video##*/} stem=${stem%.mp4}
        [ "$(jq -r .video "$MNT/videos/$stem.json")" = "$stem.mp4" ]
        cmp "$video" "$J/$(jq -r .job "$MNT/videos/$stem.json")/output.mp4"
        # As an input, too.
        echo '{"prompt": "x", "video_urls": ["../../videos/'"$stem"'.mp4"]}' >"$J/next/prompt.json"
        wait_status next succeeded
        rm -r "$J/next"
    done
    ls "$MNT/videos" >"$DIR/before"
    restart_fs
    ls "$MNT/videos" | diff "$DIR/before" -
    fails ls "$MNT/videos/$long.mp4"
    has 'File name too long' "$DIR/fails.out"
    # A job of the very name that was made by cutting gives up nothing, and takes nothing away.
    make_job "$stem"
    [ "$(ls "$MNT/videos" | wc -l)" -eq 8 ]
    [ "$(ls "$MNT/videos" | sort -u | wc -l)" -eq 8 ]
    cmp "$MNT/videos/$stem.mp4" "$J/$stem/output.mp4"
    for name in "$J"/*; do
        [ "$(jq -s --arg job "${name##*/}" '[.[] | select(.job == $job)] | length' "$MNT"/videos/*.json)" -eq 1 ]
    done
    # It is told of under that name.
    inotifywait -q -t 60 -e delete --format %f "$MNT/videos" >"$DIR/told" 3>&- &
    watcher=$!
    watches() { grep -q "^inotify wd" /proc/$watcher/fdinfo/* 2>/dev/null; }
    wait_until 10 watches
    rm -r "$J/${long%t}r"
    wait $watcher
    grep -qE '^猫+~+[0-9]+\.(mp4|json)$' "$DIR/told" || { cat "$DIR/told" >&2; return 1; }
}

# S-VIEW-2: `by-status/STATUS/NAME` is a symbolic link to `../../jobs/NAME`. There is a directory for each status
#   word, and each job is in one of them.
@test "S-VIEW-2: by-status has a directory for each word, and each job in one of them" {
    local words='draft invalid held waiting submitting unknown rejected queued running succeeded failed cancelled expired lost'
    [ "$(names_in by-status)" = "$(echo $words | tr ' ' '\n' | sort | tr '\n' ' ')" ]
    mkdir "$J/cat"
    stands_in cat draft
    printf '{' >"$J/cat/prompt.json"
    stands_in cat invalid
    scenario '{"kind":"create","prompt_contains":"[hold]","response":{"status":429,"headers":{"Retry-After":"600"}}}' \
        '{"kind":"create","prompt_contains":"[lost]","response":{"status":500}}'
    echo '{"prompt": "[lost]"}' >"$J/unknown/prompt.json"
    make_job done
    echo '{"prompt": "[hold]"}' >"$J/hold/prompt.json"
    wait_until 20 stands_in unknown unknown
    wait_until 20 stands_in hold waiting
    [ "$(cat "$MNT/by-status/succeeded/done/status")" = succeeded ]
    [ "$(readlink "$MNT/by-status/succeeded/done")" = ../../jobs/done ]
    [ "$(cd "$MNT/by-status" && find . -type l | sort | tr '\n' ' ')" = \
        './invalid/cat ./succeeded/done ./unknown/unknown ./waiting/hold ' ]
    [ "$(cat "$MNT"/by-status/*/*/status | sort | tr '\n' ' ')" = 'invalid succeeded unknown waiting ' ]
    fails ls "$MNT/by-status/nonsense"
    # Seen through a link, a job is the job.
    echo note >"$MNT/by-status/succeeded/done/note"
    [ "$(cat "$J/done/note")" = note ]
}

# S-VIEW-3: The modification time of `videos` and of each directory in `by-status` is the time when a name in it last
#   appeared or disappeared, but not before the start of the program.
@test "S-VIEW-3: times of the views" {
    local start draft videos
    start=$(mtime videos)
    mkdir "$J/cat"
    draft=$(mtime by-status/draft)
    python 'a, b = map(float, sys.argv[1:]); assert b > a, (a, b)' "$start" "$draft"
    [ "$(mtime videos)" = "$start" ]
    [ "$(mtime by-status/failed)" = "$start" ]
    make_job dog
    videos=$(mtime videos)
    python 'a, b = map(float, sys.argv[1:]); assert b > a, (a, b)' "$draft" "$videos"
    echo x >"$J/cat/note"
    cat "$J/dog/output.mp4" >/dev/null
    [ "$(mtime videos)" = "$videos" ]
    touch "$DIR/now"
    sleep 0.02
    rm -r "$J/dog"
    [ "$(find "$MNT/videos" "$MNT/by-status" -newer "$DIR/now" -printf '%f ')" = 'videos succeeded ' ]
}

# S-VIEW-4: Nothing can be created, removed or renamed in the views, or moved into them: EPERM.
@test "S-VIEW-4: views are for looking" {
    make_job cat
    mkdir "$J/dog"
    python '
for place in "videos/", "by-status/", "by-status/draft/":
    gives(errno.EPERM, os.mkdir, M + place + "x")
    gives(errno.EPERM, os.open, M + place + "x", os.O_CREAT | os.O_WRONLY)
    gives(errno.EPERM, os.symlink, "y", M + place + "x")
    gives(errno.EPERM, os.rename, M + "jobs/dog", M + place + "x")
    gives(errno.ENOENT, os.stat, M + place + "x")
for link in "videos/cat.mp4", "by-status/draft/dog":
    gives(errno.EPERM, os.unlink, M + link)
    gives(errno.EPERM, os.rename, M + link, M + "jobs/x")
    gives(errno.EPERM, os.rename, M + link, M + link + "x")
gives(errno.EPERM, os.rmdir, M + "by-status/draft")
gives(errno.EPERM, os.rmdir, M + "videos")
gives(errno.EACCES, open, M + "videos/cat.mp4", "w")
os.utime(M + "videos/cat.mp4", (1, 2), follow_symlinks=False)
os.chown(M + "videos/cat.mp4", os.getuid(), -1, follow_symlinks=False)'
    cmp "$MNT/videos/cat.mp4" "$J/cat/output.mp4"
    [ "$(creates)" -eq 1 ]
}

# S-VIEW-5: `models/MODEL.json` is one JSON object for each model: `model`, `is_default`, `currency`, `usd_per_second`
#   (by resolution, decimal strings) and `parameters`, which says for each field of a request what is allowed (`values`,
#   or `min`, `max`, `auto` and `unit`, or `max_count`, `max_bytes`, `local_files` and the limits of sides, ratios,
#   frame rates and lengths) and what its `default` is.
@test "S-VIEW-5: models say what they take and cost, and it is so" {
    [ "$(names_in models)" = 'doubao-seedance-2.0-fast.json doubao-seedance-2.0.json ' ]
    python '
DEFAULTS = []
n = 0
def sent(model, **fields):
    global n
    n += 1
    J = M + "jobs/j%d/" % n
    os.mkdir(J)
    try:
        with open(J + "prompt.json", "w") as f:
            json.dump(dict(fields, model=model, prompt="x"), f)
    except OSError as e:
        assert e.errno == errno.EINVAL
        return None
    return open(J + "cost").read()
for file in os.listdir(M + "models"):
    path = M + "models/" + file
    def once(pairs):
        assert len(dict(pairs)) == len(pairs)
        return dict(pairs)
    model = json.loads(open(path).read(), object_pairs_hook=once)
    assert os.stat(path).st_size == len(open(path, "rb").read())
    assert file == model["model"] + ".json" and model["currency"] == "USD"
    DEFAULTS += [model["model"]] * model["is_default"]
    p = model["parameters"]
    assert p["prompt"]["required"] is True
    low, high = p["duration"]["min"], p["duration"]["max"]
    for resolution, rate in model["usd_per_second"].items():
        assert resolution in p["resolution"]["values"]
        cost = sent(model["model"], resolution=resolution, duration=low)
        assert cost.startswith("%.2f USD" % (float(rate) * low)), (cost, rate)
    for duration in low - 1, high + 1:
        assert sent(model["model"], duration=duration) is None
    assert sent(model["model"], duration=high)
    for ratio in p["aspect_ratio"]["values"]:
        assert sent(model["model"], aspect_ratio=ratio)
    urls = ["https://example.com/%d.png" % i for i in range(p["image_urls"]["max_count"] + 1)]
    assert sent(model["model"], image_urls=urls) is None
    assert sent(model["model"], image_urls=urls[1:])
    request = json.load(open(M + "jobs/j%d/request.json" % n))
    for field in "duration", "resolution", "aspect_ratio", "generate_audio", "watermark":
        assert request[field] == p[field]["default"], field
    gives(errno.EACCES, open, path, "w")
    gives(errno.EPERM, os.unlink, path)
    gives(errno.EPERM, os.rename, path, path + "x")
assert DEFAULTS == ["doubao-seedance-2.0"]
gives(errno.EPERM, os.mkdir, M + "models/x")
gives(errno.EPERM, os.open, M + "models/x.json", os.O_CREAT | os.O_WRONLY)
gives(errno.ENOENT, os.stat, M + "models/doubao-seedance-2.0")'
}
