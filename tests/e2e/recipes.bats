#!/usr/bin/env bats
# docs/RECIPES.md: its blocks, taken out of the document as they stand there, do what it says, and are run again
# without being paid for again.
load helper

setup() {
    [[ $BUILD != *asan* ]] || skip "tests the recipes, not the program's memory"
    start_world
    # The recipes' mount is ~/seedance.
    export HOME=$DIR/home
    MNT=$HOME/seedance
    mkdir -p "$MNT" "$DIR/work"
    J=$MNT/jobs
    cd "$DIR/work"
}
teardown() {
    [ -n "${DIR:-}" ] || return 0
    cd /
    end_smbd || true
    end_ganesha || true
    [ ! -e "$DIR/bin/systemctl" ] || unmount_all "$HOME"
    end_world
}

DOCUMENT=$ROOT/docs/RECIPES.md
# block NAME   what stands between the fences after <!-- block: NAME -->, as a file of that name here
block() {
    awk -v mark="<!-- block: $1 -->" '
        $0 == mark { is_next = 1; next }
        is_next && /^```/ { is_inside = !is_inside; if (!is_inside) exit; next }
        is_inside' "$DOCUMENT" >"$1"
    [ -s "$1" ] || { echo "no block $1 in $DOCUMENT" >&2; return 1; }
}
# sh_block NAME   run by the plainest shell there is
sh_block() { block "$1" && dash "$1"; }

mount_or_skip() {
    mount_fs "$@"
    mkdir "$J/probe"
    [ -e "$J/probe/wait" ] || skip "this build has no jobs/NAME/wait"
    rmdir "$J/probe"
}
# Three finished scenes.
make_scenes() { for n in 1 2 3; do make_job "scene-$n"; done; }
size_of() { ffprobe -v error -show_entries stream=width,height -select_streams v -of csv=p=0 "$1"; }
# small_video SECONDS   as SECONDS.mp4, for a simulator whose videos are to be read by ffmpeg again and again
small_video() {
    ffmpeg -v error -f lavfi -i testsrc2=size=320x180:rate=24 -t "$1" -c:v libx264 -preset ultrafast -pix_fmt yuv420p "$1.mp4"
}
seconds_of() { ffprobe -v error -show_entries format=duration -of csv=p=0 "$1"; }

@test "every block of the document is run here" {
    mapfile -t names < <(sed -nE 's/^<!-- block: (.*) -->$/\1/p' "$DOCUMENT")
    [ ${#names[@]} -ge 10 ]
    for name in "${names[@]}"; do
        grep -qE "(sh_| )block ${name//./\\.}( |\)|$)" "$BATS_TEST_FILENAME" || { echo "not run: $name" >&2; return 1; }
    done
    # A fence without a name would be run by nobody.
    [ "$(grep -c '^```[a-z]' "$DOCUMENT")" -eq ${#names[@]} ]
    # Nor would what is a block by being indented; the one exception is the one that the document names.
    [ "$(awk '/^```/ { is_inside = !is_inside } !is_inside && /^    /' "$DOCUMENT" | cut -d' ' -f5)" = /srv/seedance/alice ]
    has 'Only the line for `/etc/exports`' "$DOCUMENT"
}

@test "three takes of each shot, and a pick" {
    mount_fs
    make_scenes
    sh_block takes.sh >ls.out
    [ "$(wc -l <ls.out)" -eq 9 ]
    [ "$(creates)" -eq 9 ]
    cmp "$J/scene-2/output.mp4" "$J/scene-2/takes/3.mp4"
    sh_block pick.sh
    cmp "$J/scene-2/output.mp4" "$J/scene-2/takes/1.mp4"
    cmp "$MNT/videos/scene-2.mp4" "$J/scene-2/takes/1.mp4"
    [ "$(creates)" -eq 9 ]
}

@test "a batch from a table, with Python" {
    mount_fs
    block scenes.csv
    block batch.py
    python3 batch.py scenes.csv
    [ "$(ls "$J" | wc -l)" -eq 3 ]
    for n in 1 2 3; do wait_status scene-$n succeeded; done
    [ "$(creates)" -eq 3 ]
    jq -es '[.[] | select(.kind == "create") | .body | fromjson | [.prompt, .duration, .resolution]] | sort ==
        [["A gull lands on the rail", 5, "480p"], ["A lighthouse at dawn, waves below", 4, "480p"],
         ["The keeper says \"good morning\"", 4, "480p"]]' "$LOG"
    # Again, with a byte order mark and the line ends of a spreadsheet, and two lines more, one of them wrong.
    { printf '\357\273\277'; cat scenes.csv; echo 'scene-4,A storm,99,'; echo 'scene-5,,4,480p'; echo 'scene-6,"Calm, again",,'; } |
        sed 's/$/\r/' >more.csv
    fails python3 batch.py more.csv "$MNT"
    has 'scene-4: prompt.json: line 1, column' "$DIR/fails.out"
    has duration "$DIR/fails.out"
    has scene-5: "$DIR/fails.out"
    wait_status scene-6 succeeded
    [ "$(creates)" -eq 4 ]
    # Corrected, it goes on where it was.
    sed -i 's/99/4/; s/scene-5,,/scene-5,Fog,/' more.csv
    python3 batch.py more.csv
    wait_status scene-4 succeeded
    wait_status scene-5 succeeded
    [ "$(creates)" -eq 6 ]
}

@test "a batch from a table, with a shell alone" {
    mount_fs
    printf '%s\n' 'scene-1,A lighthouse, at "dawn" \ 100%' "scene-2,The keeper's cat" >scenes.txt
    sh_block batch.sh
    for n in 1 2; do wait_status scene-$n succeeded; done
    sent 2 '.duration == 4 and .resolution == "480p"'
    jq -es '[.[] | select(.kind == "create") | .body | fromjson | .prompt] | sort ==
        ["A lighthouse, at \"dawn\" \\ 100%", "The keeper'"'"'s cat"]' "$LOG"
    printf 'scene-3,not \377 UTF-8\n' >>scenes.txt
    [[ "$(sh_block batch.sh)" == *UTF-8* ]]
    [ "$(creates)" -eq 2 ]
}

@test "wait for all of them" {
    mount_or_skip
    for n in 1 2; do echo "{\"prompt\": \"[[seconds=$n]]\"}" >"$J/scene-$n/prompt.json"; done
    run sh_block wait-for-all.sh
    [ "$status" -eq 0 ]
    [ "$output" = $'scene-1: succeeded\nscene-2: succeeded' ]
    [ "$(cat "$J/scene-1/status" "$J/scene-2/status")" = $'succeeded\nsucceeded' ]
    echo '{"prompt": "[[fail]]"}' >"$J/scene-3/prompt.json"
    run sh_block wait-for-all.sh
    [ "$status" -eq 1 ]
    [[ $output == *$'scene-3: failed\n'*'Whether a failed task is charged'* ]]
    [ "$(creates)" -eq 3 ]
}

@test "be told when it is done" {
    mount_or_skip
    echo '{"prompt": "[[seconds=1]]"}' >"$J/scene-1/prompt.json"
    mkdir "$DIR/bin"
    printf '#!/bin/sh\nprintf "%%s|" "$@"\ncat ~/seedance/jobs/scene-1/status\n' >"$DIR/bin/notify-send"
    chmod +x "$DIR/bin/notify-send"
    [ "$(PATH=$DIR/bin:$PATH sh_block notify.sh)" = 'Seedance|scene-1: succeeded|succeeded' ]
    rm "$DIR/bin/notify-send"
    if ! command -v notify-send; then [ "$(sh_block notify.sh)" = $'\ascene-1: succeeded' ]; fi
}

@test "each video as it comes" {
    command -v inotifywait >/dev/null || skip "inotifywait is not installed"
    mount_or_skip
    make_job there
    block follow.sh
    dash follow.sh >shown 3>&- &
    SHELL_PID=$!
    watcher() { WATCHER=$(pgrep -P "$SHELL_PID" -x inotifywait) && grep -q '^inotify wd' /proc/"$WATCHER"/fdinfo/*; }
    wait_until 20 watcher
    for n in 1 2; do
        make_job "scene-$n"
        wait_until 20 grep -qx "scene-$n.mp4 is there" shown
    done
    kill "$WATCHER"
    wait "$SHELL_PID"
    [ "$(cat shown)" = $'scene-1.mp4 is there\nscene-2.mp4 is there' ]
}

@test "what a video is, by its attributes" {
    command -v getfattr >/dev/null || skip "getfattr is not installed"
    mount_fs
    for n in 1 2; do make_job "scene-$n" "A lighthouse"; done
    run sh_block attributes.sh
    [ "$status" -eq 0 ]
    for attribute in status='"succeeded"' prompt='"A lighthouse"' model='"doubao-seedance-2.0"' \
        task_id="\"$(status_json scene-1 .task_id)\"" cost="\"$(status_json scene-1 .cost.actual)\""; do
        grep -qxF "user.seedance.$attribute" <<<"$output"
    done
    for n in 1 2; do grep -qxF "videos/scene-$n.mp4: $(status_json scene-$n .cost.actual) USD" <<<"$output"; done
    touch copy.mp4
    if setfattr -n user.seedance.status -v x copy.mp4; then # not every file system takes them
        cp --preserve=xattr "$MNT/videos/scene-1.mp4" copy.mp4
        [ "$(getfattr --only-values -n user.seedance.prompt copy.mp4)" = 'A lighthouse' ]
    fi
    [ "$(creates)" -eq 2 ]
}

@test "clips are joined, and shown on a contact sheet" {
    end_sim
    small_video 4
    start_sim --video 4.mp4
    mount_fs
    make_scenes
    sh_block join.sh
    local all
    all=$(for n in 1 2 3; do seconds_of "$MNT/videos/scene-$n.mp4"; done | paste -sd+)
    # Each may be padded to a whole frame.
    [ "$(awk "BEGIN { d = $(seconds_of film.mp4) - ($all); print (d < 0.5 && d > -0.5) }")" = 1 ]
    [ "$(size_of film.mp4)" = "$(size_of "$MNT/videos/scene-1.mp4")" ]
    sh_block sheet.sh
    [ "$(size_of sheet.png)" = 640,360 ]
    pictures_are 3 2x2
    # Each of them is there, however many there are.
    for n in 4 5; do make_job "scene-$n"; done
    sh_block sheet.sh
    [ "$(size_of sheet.png)" = 960,360 ]
    pictures_are 5 3x2
    rm -r "$J"/scene-[2-5]
    sh_block sheet.sh
    [ "$(size_of sheet.png)" = 320,180 ]
    pictures_are 1 1x1
    [ "$(creates)" -eq 5 ]
}

# pictures_are N GRID   there is a picture in each of the first N places of the sheet, and none in the others: the sheet is
# shrunk to a pixel for each place.
pictures_are() {
    local count=$1 brightness seen=0
    for brightness in $(ffmpeg -v error -i sheet.png -vf "scale=${2/x/:}:flags=area,format=gray" -frames:v 1 -f rawvideo - |
        od -An -v -tu1); do
        if [ "$seen" -lt "$count" ]; then
            [ "$brightness" -gt 16 ] || { echo "no picture in place $seen" >&2; return 1; }
        else
            [ "$brightness" -lt 2 ] || { echo "a picture in place $seen" >&2; return 1; }
        fi
        seen=$((seen + 1))
    done
    [ "$seen" -eq $((${2/x/*})) ]
}

@test "of one video, a picture for each of its seconds" {
    end_sim
    local seconds videos=()
    for seconds in 4 15; do
        small_video "$seconds"
        videos+=(--video "$seconds.mp4")
    done
    start_sim "${videos[@]}"
    mount_fs
    for _ in 1 2; do
        make_job scene-1
        sh_block strip.sh
        [ "$(size_of strip.png)" = "$((160 * $(seconds_of "$J/scene-1/output.mp4" | cut -d. -f1))),90" ]
        size_of strip.png >>sizes
        rm -r "$J/scene-1"
    done
    [ "$(sort -n sizes)" = $'640,90\n2400,90' ]
}

@test "another model, and another price" {
    mount_or_skip
    sh_block model.sh
    unmount_fs
    end_sim
    start_sim --models "$HOME/seedance-models"
    mount_fs --models "$HOME/seedance-models"
    echo '{"prompt": "x", "model": "doubao-seedance-2.5", "duration": -1, "hold": true}' >"$J/a/prompt.json"
    has '9.00 USD (estimated' "$J/a/cost"
    has 'at most 30.000 s' "$J/a/cost"
    make_job usual
    has '1.25 USD' "$J/usual/cost"
}

@test "a Makefile whose targets are videos" {
    mount_or_skip
    block Makefile
    echo 'A lighthouse' >dawn.txt
    echo 'A gull' >gull.txt
    JOBS=4 make -j4 # a variable of the environment that has nothing to do with it
    [ "$(ls "$J" | wc -l)" -eq 2 ]
    for name in dawn gull; do cmp $name.mp4 "$J"/$name-*/output.mp4; done
    make -q
    # Nothing of what make does or forgets is paid for again.
    touch dawn.txt
    rm gull.mp4
    make
    [ -s gull.mp4 ]
    [ "$(creates)" -eq 2 ]
    # Another text is another video.
    sleep 0.1 # the times of files stand still for some milliseconds
    echo 'Another gull' >gull.txt
    make
    [ "$(creates)" -eq 3 ]
    [ "$(ls -d "$J"/gull-* | wc -l)" -eq 2 ]
    echo 'A storm [[fail]]' >storm.txt
    for _ in 1 2; do
        fails make
        has ': failed' "$DIR/fails.out"
        [ ! -e storm.mp4 ]
    done
    [ "$(creates)" -eq 4 ]
}

@test "from Python, without a library" {
    mount_or_skip --budget 2
    block video.py
    run python3 video.py
    [ "$status" -eq 0 ]
    for n in 0 1 2; do [[ $output == *"$J/take-$n/output.mp4 $(stat -c %s "$J/take-$n/output.mp4")"* ]]; done
    python3 video.py
    [ "$(creates)" -eq 3 ]
    # What is refused is raised as the sentence.
    fails python3 -c 'import video; video.video("long", "x", duration=99)'
    has 'RuntimeError: prompt.json: line 1' "$DIR/fails.out"
    fails python3 -c 'import video; video.video("dear", "x", duration=15)'
    has budget "$DIR/fails.out"
    fails python3 -c 'import video; video.video("fails", "[[fail]]", duration=4, resolution="480p")'
    has 'RuntimeError: The service could not make the video' "$DIR/fails.out"
    [ "$(creates)" -eq 4 ]
}

end_smbd() {
    [ -n "${SMBD:-}" ] || return 0
    kill "$SMBD" 2>/dev/null
    # It has children of its own: whatever was started with this test's configuration.
    no_smbd() { ! pgrep -f -- "$DIR/samba/" >/dev/null; }
    wait_until 10 no_smbd || pgrep -f -- "$DIR/samba/" | xargs -r kill -9
}

# What Samba needs for being one of many on a machine, on the loopback address alone.
start_smbd() {
    mkdir -p "$DIR/samba/rpc"
    block smb.conf
    PORT=$("$PYTHON" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
    {
        cat <<END
[global]
    interfaces = 127.0.0.1
    bind interfaces only = yes
    smb ports = $PORT
    disable netbios = yes
    disable spoolss = yes
    load printers = no
    log level = 1
    log file = $DIR/samba/log
    passdb backend = tdbsam:$DIR/samba/passwords.tdb
END
        for kind in private lock state cache pid ncalrpc; do
            case $kind in
            private | ncalrpc) echo "    $kind dir = $DIR/samba/$kind" ;;
            *) echo "    $kind directory = $DIR/samba/$kind" ;;
            esac
            mkdir -p "$DIR/samba/$kind"
        done
        sed "s|/srv/seedance/alice|$MNT|; s/= alice/= $(id -un)/" smb.conf
        # The same as the document's other kind of share.
        sed "s|/srv/seedance/alice|$MNT|; s/= alice/= $(id -un)/; s/read only = no/read only = yes/; s/^.seedance/[videos/" smb.conf
    } >"$DIR/samba/smb.conf"
    printf 'secret\nsecret\n' | smbpasswd -c "$DIR/samba/smb.conf" -s -a "$(id -un)"
    smbd -F -s "$DIR/samba/smb.conf" -l "$DIR/samba" >"$DIR/samba/out" 2>&1 3>&- &
    SMBD=$!
    smbd_responses() { smb seedance ls >/dev/null 2>&1; }
    wait_until 20 smbd_responses
}
# smb SHARE COMMANDS
smb() {
    timeout 30 smbclient -s "$DIR/samba/smb.conf" -p "$PORT" -U "$(id -un)%secret" "//127.0.0.1/$1" -c "$2" 2>&1
}

# What nfs-ganesha needs for being one of many on a machine, on the loopback address alone. Nobody waits here for clients of
# an earlier server, which this one gives 90 seconds.
start_ganesha() {
    block ganesha.conf
    [ -n "${NFS_PORT:-}" ] ||
        NFS_PORT=$("$PYTHON" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
    sed "s|/srv/seedance/alice|$MNT|; s|192.168.1.0/24|127.0.0.1|
        s/Anonymous_Uid = 1000/Anonymous_Uid = $(id -u)/; s/Anonymous_Gid = 1000/Anonymous_Gid = $(id -g)/
        s/Enable_NLM = false;/& NFS_Port = $NFS_PORT; Bind_addr = 127.0.0.1;/
        s/Only_Numeric_Owners = true;/& Graceless = true;/" ganesha.conf >"$DIR/ganesha.conf"
    mkdir -p /var/lib/nfs/ganesha
    ganesha.nfsd -F -f "$DIR/ganesha.conf" -L "$DIR/ganesha.log" -p "$DIR/ganesha.pid" 3>&- &
    GANESHA=$!
}
end_ganesha() {
    [ -n "${GANESHA:-}" ] || return 0
    kill "$GANESHA" 2>/dev/null
    wait "$GANESHA" || true
    GANESHA=
}
nfs() {
    PYTHONPATH=$ROOT/tests/e2e timeout 60 "$PYTHON" -c '
import os, sys, time
import nfs_client
nfs = nfs_client.connect(int(sys.argv[1]), "/seedance")
MOUNT = sys.argv[2]
def status(job):
    return nfs.read(f"jobs/{job}/status").decode().strip()
def wait(what, is_there):
    end = time.monotonic() + 30
    while not is_there():
        assert time.monotonic() < end, what
        time.sleep(0.05)
'"$1" "$NFS_PORT" "$MNT"
}

@test "for other machines, with nfs-ganesha" {
    [ "$(id -u)" = 0 ] || skip "a server of NFS needs root"
    command -v ganesha.nfsd >/dev/null && command -v nfs-ls >/dev/null || skip "nfs-ganesha is not installed"
    [ -n "$(ls /usr/lib/*/ganesha/libfsalvfs.so 2>/dev/null)" ] || skip "nfs-ganesha-vfs is not installed"
    mount_fs -o allow_other
    make_job there
    start_ganesha
    nfs '
nfs.mkdir("jobs/cat")
nfs.write("jobs/cat/prompt.json", b"{\"prompt\": \"from afar\"}")
wait("cat", lambda: status("cat") == "succeeded")
# What is still being written is not sent, however long it takes: of words, each part could be a prompt.
nfs.mkdir("jobs/slow")
handle = nfs.open("jobs/slow/prompt.txt", os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
nfs.write_to(handle, b"the first half")
time.sleep(4)
assert status("slow") == "draft", status("slow")
nfs.write_to(handle, b" and the second")
nfs.close(handle)
wait("slow", lambda: status("slow") == "succeeded")
# A mistake is explained.
nfs.mkdir("jobs/wrong")
try:
    nfs.write("jobs/wrong/prompt.json", b"{\"prompt\": \"x\", \"duraton\": 3}")
except OSError:
    pass
wait("wrong", lambda: status("wrong") == "invalid")
assert b"did you mean" in nfs.read("jobs/wrong/error")
# Commands, names, and files of the user.
handle = nfs.open("jobs/cat/ctl", os.O_WRONLY)
nfs.write_to(handle, b"take\n")
nfs.close(handle)
wait("take", lambda: os.path.exists(f"{MOUNT}/jobs/cat/takes/2.mp4"))
nfs.rename("jobs/cat", "jobs/tiger")
nfs.write("jobs/tiger/notes.txt", b"x" * 300000)
assert nfs.read("jobs/tiger/notes.txt") == b"x" * 300000
nfs.unlink("jobs/tiger/notes.txt")
nfs.mkdir("jobs/empty")
nfs.rmdir("jobs/empty")
with open(f"{MOUNT}/jobs/tiger/output.mp4", "rb") as file:
    assert nfs.read("videos/tiger.mp4") == file.read()
'
    jq -se '[.[] | select(.kind == "create").body | fromjson.prompt] | length == 4 and .[2] == "the first half and the second"' "$LOG"
    # It is stopped before the mount, and started after it.
    end_ganesha
    unmount_fs
    mount_fs -o allow_other
    start_ganesha
    nfs 'assert status("tiger") == "succeeded"'
    [ "$(creates)" -eq 4 ]
}

@test "for other machines, with Samba" {
    [ "$(id -u)" = 0 ] || skip "a server of Samba needs root"
    local program
    for program in smbd smbclient smbpasswd; do
        command -v $program >/dev/null || skip "Samba is not installed"
    done
    mount_fs -o allow_other
    make_job there
    start_smbd
    echo '{"prompt": "from afar"}' >cat.json
    # smbclient, as if it were on another machine, where this server has the ordinary port and asks for the password.
    mkdir "$DIR/bin"
    printf '#!/bin/sh\nexec timeout 30 %s -s "%s" -p "%s" --password=secret "$@"\n' "$(command -v smbclient)" \
        "$DIR/samba/smb.conf" "$PORT" >"$DIR/bin/smbclient"
    chmod +x "$DIR/bin/smbclient"
    there() { sed "s|//HOST/|//127.0.0.1/|; s/ alice / $(id -un) /" "$1" >"$1.here" && PATH=$DIR/bin:$PATH dash -e "$1.here"; }
    block smb-submit.sh
    there smb-submit.sh
    wait_status cat succeeded
    block smb-fetch.sh
    there smb-fetch.sh >shown
    has succeeded shown
    smb seedance 'get jobs/cat/status status; get jobs/cat/output.mp4 same.mp4'
    [ "$(cat status)" = succeeded ]
    cmp cat.mp4 "$J/cat/output.mp4"
    cmp same.mp4 cat.mp4
    [ "$(creates)" -eq 2 ]
    # What is refused is refused there, too.
    echo '{"prompt": "x", "duration": 99}' >bad.json
    run smb seedance 'mkdir jobs/bad; put bad.json jobs/bad/prompt.json'
    [[ $output == *NT_STATUS_* ]]
    wait_status bad invalid
    [[ "$(smb seedance 'get jobs/bad/error -')" == *duration* ]]
    # Nothing that holds up who reads everything.
    for name in events jobs/cat/wait; do [[ "$(smb seedance "get $name -")" == *NT_STATUS_OBJECT_NAME_NOT_FOUND* ]]; done
    smb seedance 'recurse on; prompt off; mask *; lcd '"$DIR/work"'; mget jobs videos models'
    cmp videos/there.mp4 "$J/there/output.mp4"
    # A share of videos: everything is there, and nothing can be spent.
    smb videos 'get videos/there.mp4 there.mp4'
    cmp there.mp4 "$J/there/output.mp4"
    run smb videos 'mkdir jobs/dog; put cat.json jobs/dog/prompt.json; put cat.json jobs/bad/prompt.json; rm jobs/cat/output.mp4'
    [[ $output == *NT_STATUS_ACCESS_DENIED* || $output == *NT_STATUS_MEDIA_WRITE_PROTECTED* ]]
    [ ! -e "$J/dog" ]
    [ -e "$J/cat/output.mp4" ]
    status_is bad invalid
    [ "$(creates)" -eq 2 ]
}

# The handles that an NFS server gives to its clients, which open_by_handle_at(2) opens; the server itself is in the
# kernel, and of the machine.
@test "for other machines, with NFS: file handles stay good over a restart" {
    [ "$(id -u)" = 0 ] || skip "opening files by handle needs root"
    mount_fs -o allow_other
    make_job cat
    handles='
libc = ctypes.CDLL(None, use_errno=True)
class Handle(ctypes.Structure):
    _fields_ = [("bytes", ctypes.c_uint), ("type", ctypes.c_int), ("handle", ctypes.c_ubyte * 128)]
def handle_of(path):
    handle, mount = Handle(128), ctypes.c_int()
    assert libc.name_to_handle_at(-100, path.encode(), ctypes.byref(handle), ctypes.byref(mount), 0) == 0, os.strerror(ctypes.get_errno())
    return bytes(handle)
def content(raw):
    root = os.open(M, os.O_RDONLY)
    fd = libc.open_by_handle_at(root, ctypes.byref(Handle.from_buffer_copy(raw)), os.O_RDONLY)
    assert fd >= 0, os.strerror(ctypes.get_errno())
    os.close(root)
    with open(fd, "rb") as f:
        return f.read()
paths = ["README.txt", "jobs/cat/status", "jobs/cat/output.mp4", "jobs/cat/prompt.json"]'
    python "$handles"'
with open(sys.argv[1], "w") as f:
    json.dump([handle_of(M + p).hex() for p in paths], f)' "$DIR/work/handles"
    restart_fs -o allow_other
    python "$handles"'
for path, raw in zip(paths, json.load(open(sys.argv[1]))):
    there = content(bytes.fromhex(raw))
    assert there == open(M + path, "rb").read() and there, path' "$DIR/work/handles"
    [ "$(creates)" -eq 1 ]
}

# systemctl, for the two units of a user and the commands of the recipes: what the unit says is what is done.
fake_systemctl() {
    mkdir -p "$DIR/bin"
    cat >"$DIR/bin/systemctl" <<'END'
#!/bin/bash
set -eu
service=${*: -1}
name=${service#seedancefs} name=${name#@}
UNIT=$UNITS/seedancefs${name:+@}.service told=$DIR/told$name
unit() { sed -nE "s/^$1=-?//p" "$UNIT" | sed "s|%h|$HOME|g; s|%E|$HOME/.config|g; s|%i|$name|g; s|@BINDIR@|${SEEDANCEFS%/*}|g"; }
if [ "$*" = "--user reload $service" ]; then
    eval "$(unit ExecReload)"
    exit
fi
[ "$*" = "--user enable --now $service" ]
[ "$(unit Type)" = notify ]
eval "$(unit ExecStartPre)"
OPTIONS=$(sed -n 's/^OPTIONS=//p' "$(unit EnvironmentFile)" 2>/dev/null) || true
cd /
# The address and the pace are what the test adds.
OPTIONS="$OPTIONS --api-url $API --poll-interval 0.05 --settle 0" setsid "$PYTHON" "$ROOT/tests/e2e/notify.py" \
    "$DIR/notify$name" "$told" bash -c "exec $(unit ExecStart)" >"$DIR/journal$name" 2>&1 &
for _ in {1..500}; do
    ! grep -qs READY=1 "$told" || exit 0
    sleep 0.02
done
cat "$DIR/journal$name" >&2
exit 1
END
    chmod +x "$DIR/bin/systemctl"
    export DIR API ROOT PYTHON UNITS=$ROOT/scripts/packaging/systemd/user
    PATH=$DIR/bin:$PATH
}

@test "as a service" {
    rmdir "$MNT"
    mv "$DIR/key" "$HOME/key-from-the-mail"
    fake_systemctl
    unset TOKENHUB_API_KEY XDG_DATA_HOME
    DATA=$HOME/.local/share/seedancefs
    block service.sh
    dash -e service.sh 3>&- >shown
    FS_PID=$(daemon_pid)
    has jobs shown
    [ "$(stat -c %a "$HOME/.config/seedancefs/api-key")" = 600 ]
    [ "$(jq -r '.budget.limit' "$MNT/spend.json")" = 20.00 ]
    make_job cat
    kill -TERM "$FS_PID"
    wait_until 10 process_is_gone "$FS_PID"
    has STOPPING=1 "$DIR/told"
    [ -z "$(ls -A "$MNT")" ]
    # The key, where the recipe takes it from and puts it, is in these two files alone.
    rm "$HOME/key-from-the-mail" "$HOME/.config/seedancefs/api-key"
}

# S-INSTALL-13: `systemctl --user enable --now seedancefs@NAME` mounts `~/seedance-NAME`, with a data directory, a key
#   and options of its own. One user can have several such mounts at the same time. `systemctl reload` of any service sends
#   SIGHUP, and the mount stays.
@test "S-INSTALL-13: two services of one user" {
    fake_systemctl
    unset TOKENHUB_API_KEY XDG_DATA_HOME
    mv "$DIR/key" "$HOME/key-from-the-mail"
    echo wrong-key >"$HOME/key-of-work"
    block service.sh
    dash -e service.sh 3>&- >/dev/null
    block service-work.sh
    dash -e service-work.sh 3>&- >shown
    DATA=$HOME/.local/share/seedancefs
    plain=$(daemon_pid)
    DATA=$HOME/.local/share/seedancefs-work
    work=$(daemon_pid)
    [ "$plain" -ne "$work" ]
    has jobs shown
    jq -e '.budget.limit == "5.00"' "$HOME/seedance-work/spend.json"
    jq -e '.budget.limit == "20.00"' "$MNT/spend.json"
    # Each has its key: what the one account refuses, the other makes.
    echo '{"prompt": "x"}' >"$HOME/seedance-work/jobs/fox/prompt.json"
    make_job cat
    wait_until 10 grep -q 'refused the API key' "$HOME/seedance-work/jobs/fox/status.json"
    [ "$(ls "$MNT/jobs")" = cat ]
    [ "$(ls "$HOME/seedance-work/jobs")" = fox ]
    # The right key, and another budget, without a restart.
    cp "$HOME/key-from-the-mail" "$HOME/.config/seedancefs/work.key"
    echo 'budget 7' >"$HOME/.config/seedancefs/work.options"
    MAINPID=$work systemctl --user reload seedancefs@work
    wait_until 10 grep -q succeeded "$HOME/seedance-work/jobs/fox/status"
    jq -e '.budget.limit == "7.00"' "$HOME/seedance-work/spend.json"
    has key.changed "$DIR/journalwork"
    # The other one stays, too.
    MAINPID=$plain systemctl --user reload seedancefs
    wait_until 10 grep -q key.changed "$DIR/journal"
    [ "$(cat "$J/cat/status")" = succeeded ]
    kill "$plain" "$work"
    wait_until 10 process_is_gone "$plain"
    wait_until 10 process_is_gone "$work"
    rm "$HOME/key-from-the-mail" "$HOME/.config/seedancefs/api-key" "$HOME/.config/seedancefs/work.key"
}

@test "the bill is read first, then all of it is ordered" {
    mount_fs --hold
    for n in 1 2 3; do echo "{\"prompt\": \"scene $n\"}" >"$J/scene-$n/prompt.json"; done
    [ "$(creates)" -eq 0 ]
    sh_block bill.sh >bill.out
    [ "$(head -n 1 bill.out)" = "held: 3.00 USD" ]
    [ "$(grep -c '^1.00 USD (estimated; held:' bill.out)" -eq 3 ]
    for n in 1 2 3; do wait_status scene-$n succeeded; done
    [ "$(creates)" -eq 3 ]
}

@test "a removed job comes back with its video" {
    mount_fs
    make_job cat
    cp "$J/cat/output.mp4" before.mp4
    rm -r "$J/cat"
    sh_block undo.sh
    wait_status cat succeeded
    cmp "$J/cat/output.mp4" before.mp4
    [ "$(creates)" -eq 1 ]
    jq -e '.settled == "1.00"' "$MNT/spend.json"
}

@test "a film from a table" {
    with_ffmpeg
    mount_or_skip
    block film.csv
    block film.py
    # Any order will do: names may come later.
    { head -n 1 film.csv; tail -n +2 film.csv | tac; } >backwards.csv
    python3 film.py backwards.csv
    [ "$(cat "$J"/shot-*/status | sort -u)" = held ]
    [ "$(creates)" -eq 0 ]
    sh_block film.sh >film.out
    has 'the film costs about 3.40 USD' film.out
    [ "$(grep -c succeeded film.out)" -eq 4 ]
    [ "$(creates)" -eq 4 ]
    [ "$(jq -s '[.[] | select(.kind == "create") | .inputs[] | select(.role == "first_frame" and .form == "data")] | length' "$LOG")" -eq 2 ]
    # It is the very last picture.
    ffmpeg -v error -y -i "$J/shot-1/output.mp4" -vf format=rgb24 -f image2 -update 1 last.png
    [ "$(ffmpeg -v error -i last.png -f md5 -)" = "$(ffmpeg -v error -i "$J/shot-1/last_frame.png" -f md5 -)" ]
    [ "$(seconds_of film.mp4 | cut -d. -f1)" -eq 20 ]
    [ "$(sh_block outdated.sh)" = "" ]
    # Again: nothing is paid for.
    python3 film.py film.csv
    [ "$(creates)" -eq 4 ]
    again() { echo take 2>/dev/null >"$J/shot-1/ctl"; }
    wait_until 20 again
    wait_status shot-1 succeeded
    [ "$(sh_block outdated.sh)" = "shot-2 was made from another take of shot-1" ]
}

@test "shots that share a still, and a face" {
    with_ffmpeg
    mount_fs
    ffmpeg -v error -f lavfi -i testsrc=s=640x360 -frames:v 1 "$HOME/door.png"
    ffmpeg -v error -f lavfi -i testsrc2=s=400x400 -frames:v 1 "$HOME/keeper.png"
    sh_block still.sh
    sh_block face.sh
    for job in door-1 door-2 keeper-1 keeper-2; do wait_status $job succeeded; done
    [ "$(jq -rs '[.[] | select(.kind == "create") | .inputs[].hash] | unique | length' "$LOG")" -eq 2 ]
    [ "$(jq -rs '[.[] | select(.kind == "create") | .inputs[]] | length' "$LOG")" -eq 5 ]
    [ "$(creates)" -eq 4 ]
}

@test "go on from a clip, and sound from a file" {
    mount_fs
    make_job cat
    sh_block extend.sh
    wait_status cat-2 succeeded
    sent 2 '.video_durations == [5]'
    ffmpeg -v error -f lavfi -i testsrc2=s=400x400 -frames:v 1 "$HOME/keeper.png"
    ffmpeg -v error -f lavfi -i sine=d=4 "$HOME/song.mp3"
    sh_block sound.sh
    wait_status song succeeded
    sent 3 '.audio_url | startswith("data:audio/")'
}

@test "a bucket for every video" {
    end_sim
    start_sim --bucket films
    mkdir -p "$DIR/bin"
    printf '#!/bin/sh\nexec "%s" --api-url "%s" --api-key-file "%s" --data-dir "%s" --poll-interval 0.05 --settle 0 "$@"\n' \
        "$SEEDANCEFS" "$API" "$DIR/key" "$DATA" >"$DIR/bin/seedancefs"
    chmod +x "$DIR/bin/seedancefs"
    export BUCKET_KEY=SIMKEY BUCKET_SECRET=sim-secret BUCKET_HOST=http://127.0.0.1:$API_PORT
    block bucket.sh
    PATH=$DIR/bin:$PATH dash bucket.sh 3>&-
    find_daemon
    [ "$(stat -c %a ~/.seedance-bucket)" = 600 ]
    make_job harbour
    is_stored() { member_of harbour .output.stored_at && [ "$MEMBER" != null ]; }
    wait_until 20 is_stored
    [[ $(sh_block bucket-where.sh | head -n 1) =~ ^s3://films/2026/media/[0-9a-f]{32}\.mp4$ ]]
    dash bucket-where.sh | tail -n +2 | jq -e '.prompt == "harbour"'
}

@test "a video of one's own, uploaded with rclone and with curl" {
    local way
    with_ffmpeg
    start_upload_server
    small_video 5
    ffmpeg -v error -y -i 5.mp4 -vf scale=640:360 "$HOME/harbour.mp4"
    block upload-rclone
    block upload-curl
    cp upload-rclone upload-curl "$HOME"
    cat >"$HOME/rclone.conf" <<END
[s3]
type = s3
provider = Other
endpoint = $UPLOAD
access_key_id = a
secret_access_key = b
END
    export RCLONE_CONFIG=$HOME/rclone.conf UPLOAD_REMOTE=s3:bucket UPLOAD_PUT=$UPLOAD/bucket/harbour.mp4?X-Amz-Signature=p \
        UPLOAD_GET=$UPLOAD/bucket/harbour.mp4?X-Amz-Signature=g
    unset AWS_CA_BUNDLE
    for way in rclone curl; do
        chmod +x "$HOME/upload-$way"
        mount_fs --upload-command "$HOME/upload-$way"
        sh_block upload.sh
        wait_status harbour succeeded
        jq -es '[.[] | select(.kind == "create")][-1].inputs[0].form == "fetched"' "$LOG"
        rm -r "$J/harbour"
        unmount_fs
    done
    [ "$(creates)" -eq 2 ]
}

@test "README: play with the simulator" {
    DOCUMENT=$ROOT/README.md
    export HOME=$DIR/home
    mkdir -p "$HOME"
    block play.sh
    ln -s "${SEEDANCEFS%/*}" build
    # Another port, because somebody may use that one; time to start; and an end.
    sed -i "s/8080/$((20000 + $$ % 20000))/g; s/seedance-sim /seedance-sim --die-with-parent /
        s/--generation-seconds 5 &/--generation-seconds 0.5 --queue-seconds 0 \& sleep 1/; s/--budget/--settle 0 --budget/" play.sh
    echo 'cat ~/seedance-play/jobs/cat/cost; fusermount3 -u ~/seedance-play; kill $!' >>play.sh
    run dash play.sh 3>&-
    echo "$output" >&2; [[ $output == *succeeded* ]]
    [[ $output == *'1.00 USD (by the video'* ]]
}

@test "RUNNING: undo of rm" {
    DOCUMENT=$ROOT/docs/RUNNING.md
    mount_fs
    make_job cat
    rm -r "$J/cat"
    sh_block undo-rm.sh >shown
    grep -q '^cat cgt-' shown
    wait_status cat succeeded
    [ "$(creates)" -eq 1 ]
}

@test "RUNNING: the mount over HTTP, without addresses and commands" {
    command -v rclone >/dev/null || skip "rclone is not installed"
    DOCUMENT=$ROOT/docs/RUNNING.md
    mount_fs
    make_job cat
    wait_until 10 test -e "$J/cat/cover.jpg"
    block http.sh
    local port=$((20000 + ($$ + 7) % 20000))
    sed -i "s/8088/$port/; 1s/^/exec /" http.sh
    dash http.sh >served 2>&1 3>&- &
    RCLONE_PID=$!
    local url=http://127.0.0.1:$port
    wait_until 20 curl -sf -o page "$url/index.html"
    grep -q 'data-state="succeeded"' page
    curl -sf -o video "$url/jobs/cat/output.mp4"
    cmp video "$J/cat/output.mp4"
    [ "$(curl -s -o part -w '%{http_code}' -r 100-199 "$url/videos/cat.mp4")" = 206 ]
    cmp part <(tail -c +101 "$J/cat/output.mp4" | head -c 100)
    for file in jobs/cat/output.url jobs/cat/ctl jobs/cat/wait events; do
        [ "$(curl -s -o /dev/null -w '%{http_code}' -m 10 "$url/$file")" = 404 ]
    done
    [ "$(curl -s -o /dev/null -w '%{http_code}' -X PUT -d x "$url/jobs/x/prompt.json")" != 200 ]
    fails curl -sf -X DELETE "$url/jobs/cat/output.mp4"
    [ -e "$J/cat/output.mp4" ]
    kill "$RCLONE_PID"
    wait "$RCLONE_PID" || true
    [ "$(creates)" -eq 1 ]
}

@test "a film is watched in its order" {
    command -v mpv >/dev/null || skip "mpv is not installed"
    mount_fs
    for n in 10 2 1; do make_job "shot-$n"; done
    block watch.sh
    sed -i 's/mpv /mpv --no-config --vo=null --ao=null --speed=50 /' watch.sh
    dash watch.sh >shown
    [ "$(sed -n 's|^Playing: .*/||p' shown | tr '\n' ' ')" = 'shot-1.mp4 shot-2.mp4 shot-10.mp4 ' ]
}
