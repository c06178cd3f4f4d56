#!/usr/bin/env bats
# The same main behaviours as root and as an ordinary user, who mounts through the setuid fusermount3.
# /dev/fuse may be for root alone: then the user's cases run in a mount namespace of their own in which
# it is for everybody, as it is on an ordinary machine. The machine's own /dev/fuse is not touched.
load helper

setup() { DIRS=(); }
teardown() {
    [ -z "${FS_PID:-}" ] || end_world
    for dir in "${DIRS[@]}"; do
        rm -rf --one-file-system "$dir"
    done
}

# Why no ordinary user can mount here; nothing when one can.
obstacle() {
    [ -u "$(command -v fusermount3)" ] || { echo "fusermount3 is not setuid"; return; }
    [ "$(id -u)" = 0 ] || return 0
    id nobody >/dev/null 2>&1 || { echo "there is no user nobody"; return; }
    [ -c /dev/fuse ] || { echo "there is no /dev/fuse"; return; }
    as_user "$BATS_TEST_TMPDIR" bash -c ': <>/dev/fuse && test -x "$1" && test -r "$2"' \
        - "$SEEDANCEFS" "$ROOT/tests/e2e/core.bash" 2>/dev/null ||
        echo "the user nobody cannot be given /dev/fuse or the programs here"
}

# as_user DIRECTORY COMMAND...   with a /dev/fuse for everybody, as nobody
as_user() {
    local device
    device=$(stat -c '%Hr %Lr' /dev/fuse)
    unshare --mount --propagation private "$ROOT/tests/e2e/own_mounts.sh" "$1" sh -c '
        dir=$1 device=$2
        shift 2
        mkdir "$dir/dev" && mount -t tmpfs -o mode=755 none "$dir/dev" &&
            mknod -m 666 "$dir/dev/fuse" c $device &&
            mount --bind "$dir/dev/fuse" /dev/fuse &&
            umount -l "$dir/dev" && rmdir "$dir/dev" || exit
        exec setpriv --reuid=nobody --regid="$(id -g nobody)" --clear-groups --inh-caps=-all -- "$@"
    ' - "$1" "$device" "${@:2}"
}

new_dir() {
    DIR=$(mktemp -d "${TMPDIR:-/tmp}/seedancefs-users.XXXXXX")
    DIRS+=("$DIR")
    [ "$1" = root ] || [ "$(id -u)" != 0 ] || chown nobody "$DIR"
}

# As whoever runs the tests and, if that is root, as an ordinary user, too.
each_user() {
    local why
    new_dir root
    bash "$ROOT/tests/e2e/core.bash" "$1" "$DIR" "$(id -u)" 3>&-
    [ "$(id -u)" = 0 ] || return 0
    why=$(obstacle)
    [ -z "$why" ] || skip "passed as root; not as a user: $why"
    new_dir user
    as_user "$DIR" bash "$ROOT/tests/e2e/core.bash" "$1" "$DIR" "$(id -u nobody)" 3>&-
}

@test "root and user: a prompt becomes a video" { each_user video; }
@test "root and user: prompt.json is written without a mkdir before" { each_user no_mkdir; }
@test "root and user: a refused prompt says why and is not sent" { each_user refused; }
@test "root and user: files, modes, rename and rm -r" { each_user files; }
@test "root and user: kill -9, and the same command mounts again" { each_user crash; }
@test "root and user: fusermount3 -u and SIGTERM end it" { each_user unmount; }
@test "root and user: the key is nowhere to be found" { each_user secrets; }

# as_other COMMAND...   as another user of this machine, for whom the mount is, too
as_other() { setpriv --reuid=nobody --regid="$(id -g nobody)" --clear-groups --inh-caps=-all -- "$@"; }

# A mount with allow_other where others can come to it.
shared_mount() {
    [ "$(id -u)" = 0 ] || skip "another user is needed, whom root alone can be"
    id nobody >/dev/null 2>&1 || skip "there is no user nobody"
    BATS_TEST_TMPDIR=/tmp start_world
    DIRS+=("$DIR")
    chmod 711 "$DIR"
    mount_fs -o allow_other "$@"
    J=$MNT/jobs
}

# S-ATTR-10: When others may look at the mount (`allow_other`), files that can contain words of a prompt can be read
#   only by those who may read the prompt: `status.json`, `request.json`, `response.json`, `error` and `log` have its
#   read permissions (0400 when the prompt has mode 0600 or was removed), and nobody else gets `user.seedance.prompt`.
#   Everybody may read `status`, `cost`, `progress`, `wait`, `output.mp4`, `cover.jpg` and the pictures of the
#   video.
@test "S-ATTR-10: what has words of a prompt is for those who may read the prompt" {
    shared_mount
    make_job open 'words for all [[seconds=0]]'
    (umask 077 && mkdir "$J/private" && echo '{"prompt": "secret words"}' >"$J/private/prompt.json")
    (umask 077 && echo '{"prompt": "secret words [[fail]]"}' >"$J/bad/prompt.json")
    (umask 077 && fails bash -c "echo '{\"prompt\": \"x\", \"secret words\": 1}' >$J/wrong/prompt.json")
    make_job late 'secret words'
    wait_status private succeeded
    wait_status bad failed
    wait_ends open
    wait_ends private
    wait_until 10 test -e "$J/private/cover.jpg"
    wait_until 10 test -e "$J/open/cover.jpg"
    chmod 600 "$J/late/prompt.json"
    # Whatever the mode says is so, for a look and for the content, and nothing that can be read has the words.
    look() {
        as_other env MNT="$MNT" "$PYTHON" - <<'SCRIPT'
import errno, os, stat
M, can, cannot = os.environ['MNT'] + '/', set(), set()
for directory, _, names in os.walk(M):
    for path in [directory + '/' + name for name in names] + [directory]:
        is_open = bool(os.lstat(path).st_mode & stat.S_IROTH)
        assert os.access(path, os.R_OK, follow_symlinks=False) == is_open, path
        name = path[len(M):].lstrip('/')
        assert not any(b'secret' in os.getxattr(path, n) for n in os.listxattr(path)), path
        assert 'user.seedance.prompt' not in os.listxattr(path) or 'open' in name, path
        try:
            assert b'secret' not in os.getxattr(path, 'user.seedance.prompt'), path
        except OSError as error:
            assert error.errno == errno.ENODATA or error.errno == errno.EOPNOTSUPP, path
        if os.path.isdir(path):
            continue
        try:
            content = open(path, 'rb').read()
            assert is_open and b'secret words' not in content, path
            can.add(name)
        except PermissionError:
            assert not is_open, path
            cannot.add(name)
print('\n'.join(sorted(name for name in can if name.startswith('jobs/private'))))
words = {'status.json', 'request.json', 'response.json', 'log', 'prompt.json'}
for job in 'private', 'bad', 'late':
    assert {f'jobs/{job}/{word}' for word in words} <= cannot, cannot
assert 'jobs/bad/error' in cannot and 'jobs/wrong/error' in cannot, cannot
assert {f'jobs/open/{word}' for word in words} <= can, can
SCRIPT
    }
    look >"$DIR/can"
    [ "$(tr '\n' ' ' <"$DIR/can")" = 'jobs/private/cost jobs/private/cover.jpg jobs/private/output.mp4 jobs/private/progress jobs/private/status ' ]
    [ "$(as_other timeout 5 cat "$J/private/wait")" = succeeded ]
    restart_fs -o allow_other
    look >"$DIR/again"
    cmp "$DIR/can" "$DIR/again"
    # The owner and root see everything; who may read is the owner's to say, at any time.
    has 'secret words' "$J/private/request.json"
    [ "$(getfattr --absolute-names --only-values -n user.seedance.prompt "$J/private")" = 'secret words' ]
    chmod 644 "$J/private/prompt.json"
    as_other grep -q 'secret words' "$J/private/request.json" "$J/private/prompt.json"
    rm "$J/private/prompt.json" # which hides it only: its mode holds
    as_other grep -q 'secret words' "$J/private/request.json"
    has 'secret words' "$J/private/request.json"
}

# S-INDEX-9: With `allow_other` it leaves out the prompt, error and reason of each job whose prompt not everybody may
#   read.
@test "S-INDEX-9: the gallery that others see has no words of a private prompt" {
    shared_mount
    make_job open 'words for all'
    (umask 077 && echo '{"prompt": "secret words [[fail]]"}' >"$J/bad/prompt.json")
    wait_status bad failed
    as_other cat "$MNT/index.html" >"$DIR/page"
    has 'words for all' "$DIR/page"
    has '>bad</a>' "$DIR/page"
    fails grep -e 'secret words' -e 'could not make the video' "$DIR/page"
    [ "$(wc -c <"$DIR/page")" -eq "$(stat -c %s "$MNT/index.html")" ]
    chmod 644 "$J/bad/prompt.json"
    as_other cat "$MNT/index.html" >"$DIR/page"
    has 'secret words' "$DIR/page"
    has 'could not make the video' "$DIR/page"
    chmod 600 "$J/bad/prompt.json"
    as_other cat "$MNT/index.html" >"$DIR/page"
    fails grep 'secret words' "$DIR/page"
    # Where nobody else can look it shows everything.
    restart_fs
    has 'secret words' "$MNT/index.html"
}
