#!/usr/bin/env bats
# Starting and ending: exit codes, messages that say what to do, the lock, the dead mount, the key.
load helper

setup() { start_world; J=$MNT/jobs; }
teardown() { end_world; }

# refused CODE TEXT OPTION...   it ends with this code and says this, and nothing is mounted.
refused() {
    local code=$1 text=$2
    shift 2
    run timeout 20 "$SEEDANCEFS" "$@" 3>&-
    [ "$status" -eq "$code" ] && [[ $output == *"$text"* ]] && [[ $output == *seedancefs* ]] &&
        ! mountpoint -q "$MNT" || {
        echo "code $status instead of $code, or not \"$text\": $output" >&2
        ! mountpoint -q "$MNT" || FS_PID=$(daemon_pid) # for the end of the test
        return 1
    }
}
usual() { USUAL=(--api-url "$API" --api-key-file "$DIR/key" --data-dir "$DATA"); }

# S-RUN-1: Without `-f` the program ends with exit code 0 as soon as the mount answers, and continues in the
#   background.
# S-RUN-6: `fusermount3 -u` and SIGTERM end the program with exit code 0; the mount point is then free.
@test "S-RUN-1 S-RUN-6: it returns when the mount answers; unmounting and SIGTERM end it" {
    mount_fs
    [ -s "$MNT/README.txt" ]
    kill -0 "$FS_PID"
    unmount_fs
    [ -z "$(ls -A "$MNT")" ]
    mount_fs
    kill -TERM "$FS_PID"
    wait_until 10 process_is_gone "$FS_PID"
    [ -z "$(ls -A "$MNT")" ]
}

# S-RUN-14: The log is `seedancefs.log` in the data directory, or standard error with `-f`.
@test "S-RUN-6 S-RUN-14: with -f it logs to standard error and ends with 0" {
    usual
    for how in unmount TERM INT; do
        "$SEEDANCEFS" "${USUAL[@]}" -f --log-level info "$MNT" 3>&- 2>"$DIR/stderr" &
        local pid=$!
        FS_PID=$pid
        wait_until 10 test -e "$MNT/README.txt"
        [ -d "$J" ]
        if [ $how = unmount ]; then fusermount3 -u "$MNT"; else kill -$how $pid; fi
        wait $pid
        [ -z "$(ls -A "$MNT")" ]
        has event=start "$DIR/stderr"
        has event=stop "$DIR/stderr"
    done
    FS_PID=
    [ ! -e "$DATA/seedancefs.log" ]
}

@test "S-RUN-14: in the background the log is in the data directory" {
    mount_fs
    mkdir "$J/cat"
    unmount_fs
    has event=start "$DATA/seedancefs.log"
    has event=stop "$DATA/seedancefs.log"
}

# S-RUN-2: Wrong usage ends the program with exit code 2 and a message that names the option and `--help`.
@test "S-RUN-2: wrong usage" {
    usual
    refused 2 'mount point is missing'
    refused 2 '--help'
    refused 2 '--help' "${USUAL[@]}"
    refused 2 'only one mount point' "$MNT" "$DIR"
    refused 2 "--nonsense" --nonsense "$MNT"
    refused 2 '--help' --nonsense "$MNT"
    refused 2 "api-url" "$MNT" --api-url
    refused 2 '--poll-interval' "${USUAL[@]}" --poll-interval never "$MNT"
    refused 2 '--help' "${USUAL[@]}" --poll-interval 0 "$MNT"
    refused 2 '--max-file-size' "${USUAL[@]}" --max-file-size lots "$MNT"
    refused 2 '--log-level' "${USUAL[@]}" --log-level loud "$MNT"
    refused 2 'the models are' "${USUAL[@]}" --model sora "$MNT"
    refused 2 'data-dir' "${USUAL[@]}" --data-dir '' "$MNT"
    refused 2 'value is missing' "${USUAL[@]}" -o data_dir "$MNT"
    refused 2 'takes no value' "${USUAL[@]}" -o allow_unknown=1 "$MNT"
    refused 2 'nonsense' "${USUAL[@]}" -o nonsense "$MNT"
}

# S-RUN-3: A configuration that cannot work ends the program with exit code 2 and a message that says what to do: no
#   key, an unreadable or unusable key file, a data directory that cannot be written to or that lies inside the mount,
#   a mount point that is missing, is not a directory or is in use, an address that is not allowed.
@test "S-RUN-3: no key, or one that cannot be used" {
    unset TOKENHUB_API_KEY CREDENTIALS_DIRECTORY
    refused 2 '--api-key-file FILE, or in the environment variable TOKENHUB_API_KEY' \
        --api-url "$API" --data-dir "$DATA" "$MNT"
    refused 2 "$DIR/none: the API key cannot be read: No such file" \
        --api-url "$API" --data-dir "$DATA" --api-key-file "$DIR/none" "$MNT"
    : >"$DIR/empty"
    refused 2 'this is no API key' --api-url "$API" --data-dir "$DATA" --api-key-file "$DIR/empty" "$MNT"
    printf 'th-two\nlines' >"$DIR/two"
    refused 2 'this is no API key' --api-url "$API" --data-dir "$DATA" --api-key-file "$DIR/two" "$MNT"
    TOKENHUB_API_KEY='a b' refused 2 'TOKENHUB_API_KEY is not an API key' --api-url "$API" --data-dir "$DATA" "$MNT"
    [ "$(requests create)" -eq 0 ]
}

@test "S-RUN-3: a data directory that cannot be written to" {
    touch "$DIR/file"
    refused 2 '--data-dir DIR' --api-url "$API" --api-key-file "$DIR/key" --data-dir "$DIR/file/data" "$MNT"
    refused 2 '--data-dir DIR' --api-url "$API" --api-key-file "$DIR/key" --data-dir "$DIR/file" "$MNT"
    refused 2 '--data-dir DIR' --api-url "$API" --api-key-file "$DIR/key" --data-dir /proc/none "$MNT"
    refused 2 'inside the mount point' --api-url "$API" --api-key-file "$DIR/key" --data-dir "$MNT/data" "$MNT"
    if [ "$(id -u)" -ne 0 ]; then
        mkdir -m 500 "$DIR/readonly"
        refused 2 '--data-dir DIR' --api-url "$API" --api-key-file "$DIR/key" --data-dir "$DIR/readonly" "$MNT"
    fi
    HOME='' XDG_DATA_HOME='' refused 2 '--data-dir DIR' --api-url "$API" --api-key-file "$DIR/key" "$MNT"
}

# S-RUN-22: A data directory is refused when it belongs to another user or when others can write into it, and also
#   when a file or directory of the program in it belongs to another user or is a symbolic link. The message says what
#   to do. The data directory itself may be reached by a link.
@test "S-RUN-22: a data directory that others can write into, or that belongs to another user" {
    usual
    for mode in 777 1777 775 702; do
        mkdir -m 700 "$DATA"
        chmod $mode "$DATA"
        refused 2 "$DATA: others can write into it, and could replace your files with theirs. Forbid that with: chmod go-w $DATA" \
            "${USUAL[@]}" "$MNT"
        [ -z "$(ls -A "$DATA")" ]
        rmdir "$DATA"
    done
    mkdir -m 755 "$DATA" # of what others could read nothing is put there readably
    mount_fs
    make_job cat
    unmount_fs
    [ -z "$(find "$DATA" -mindepth 1 -perm /077)" ]
    for place in files media; do
        chmod g+w "$DATA/$place"
        refused 2 "$DATA/$place: others can write into it, and could replace your files with theirs. Forbid that with: chmod go-w $DATA/$place" \
            "${USUAL[@]}" "$MNT"
        chmod g-w "$DATA/$place"
    done
    [ "$(id -u)" = 0 ] || skip "giving away the directory takes root"
    for place in "" /files /media /jobs.sqlite /lock /seedancefs.log; do
        chown nobody "$DATA$place"
        find "$DATA" -printf '%p %s %T@\n' | sort >"$DIR/before"
        refused 2 "$DATA$place: it belongs to the user nobody, and root runs this. Run it as nobody, give the directory to root with: chown -R root $DATA" \
            "${USUAL[@]}" "$MNT"
        find "$DATA" -printf '%p %s %T@\n' | sort | diff "$DIR/before" -
        # The advice works.
        chown -R root "$DATA"
        mount_fs
        status_is cat succeeded
        unmount_fs
    done
}

@test "S-RUN-22: symbolic links in the data directory, and one to it" {
    usual
    mount_fs
    make_job cat
    echo '{"duration": 6}' >"$MNT/defaults.json"
    unmount_fs
    for name in files media jobs.sqlite lock seedancefs.log defaults.json; do
        mv "$DATA/$name" "$DIR/elsewhere"
        ln -s "$DIR/elsewhere" "$DATA/$name"
        find "$DIR/elsewhere" -printf '%p %s %T@\n' >"$DIR/before"
        refused 2 "$DATA/$name: it is a symbolic link, and nothing in the data directory may be one. Replace it with what it points to." \
            "${USUAL[@]}" "$MNT"
        find "$DIR/elsewhere" -printf '%p %s %T@\n' | diff "$DIR/before" -
        rm "$DATA/$name"
        mv "$DIR/elsewhere" "$DATA/$name"
    done
    mv "$DATA" "$DIR/elsewhere"
    ln -s "$DIR/elsewhere" "$DATA"
    mount_fs
    status_is cat succeeded
    make_job dog
    # It points to another one now: the next program would know nothing of what is sent.
    mkdir "$DIR/new"
    ln -sfn "$DIR/new" "$DATA"
    fails sh -c "mkdir '$J/fox' && echo '{\"prompt\": \"[fox]\"}' >'$J/fox/prompt.json'"
    has 'the data directory was removed or moved' "$J/fox/error"
    [ "$(creates fox)" -eq 0 ]
    ln -sfn "$DIR/elsewhere" "$DATA"
    make_job fox
}

@test "S-RUN-3: a mount point that is missing, a file, or in use" {
    usual
    refused 2 'Make it with mkdir' "${USUAL[@]}" "$DIR/none"
    refused 2 'must be a directory' "${USUAL[@]}" "$DIR/key"
    mount_fs
    run "$SEEDANCEFS" --api-url "$API" --api-key-file "$DIR/key" --data-dir "$DIR/data2" "$MNT" 3>&-
    [ "$status" -eq 2 ]
    [[ $output == *'mounted here already. Unmount it with: fusermount3 -u'* ]]
    make_job cat
}

@test "S-RUN-3: an address that is not allowed" {
    for url in http://example.com/api ftp://127.0.0.1/ nonsense https://user:secret@example.com/api \
        https://example.com/api?x=y; do
        refused 2 '--api-url takes an https:// address' --api-url "$url" --api-key-file "$DIR/key" \
            --data-dir "$DATA" "$MNT"
        [[ $output != *secret* ]]
    done
}

# S-RUN-4: A second program on the same data directory is refused with exit code 2. The first one is not disturbed.
@test "S-RUN-4: a second program on the same data directory" {
    mount_fs
    echo '{"prompt": "x [[seconds=1]]"}' >"$J/cat/prompt.json"
    mkdir "$DIR/second"
    run "$SEEDANCEFS" --api-url "$API" --api-key-file "$DIR/key" --data-dir "$DATA" "$DIR/second" 3>&-
    [ "$status" -eq 2 ]
    [[ $output == *'another seedancefs uses this data directory. Unmount that one first'* ]]
    [[ $output == *'--data-dir DIR'* ]]
    fails mountpoint -q "$DIR/second"
    wait_status cat succeeded
    [ "$(creates)" -eq 1 ]
    unmount_fs
    MNT=$DIR/second mount_fs
    [ "$(cat "$DIR/second/jobs/cat/status")" = succeeded ]
    fusermount3 -u "$DIR/second"
    wait_until 10 process_is_gone "$FS_PID"
}

# S-RUN-5: A dead mount ("Transport endpoint is not connected") that a killed seedancefs has left behind is removed
#   when seedancefs is started there again.
@test "S-RUN-5: a dead mount is removed at the next start on it" {
    mount_fs
    make_job cat
    kill -9 "$FS_PID"
    wait_until 10 process_is_gone "$FS_PID"
    python 'gives(errno.ENOTCONN, os.stat, M)'
    usual
    run "$SEEDANCEFS" "${USUAL[@]}" "$MNT" 3>&-
    [ "$status" -eq 0 ]
    [[ $output == *'that was killed has been removed'* ]]
    FS_PID=$(daemon_pid)
    [ "$(cat "$J/cat/status")" = succeeded ]
    [ "$(grep -c " $MNT " /proc/self/mountinfo)" -eq 1 ]
}

# S-RUN-8: SIGHUP makes the program read the key file again. When the file cannot be used, the old key stays in use.
# S-WAIT-4: After the key file was corrected, waiting jobs continue by themselves after SIGHUP or a restart.
@test "S-RUN-8 S-WAIT-4: SIGHUP takes a new key; an unusable one leaves the old" {
    end_sim
    start_sim --api-key second-key
    mount_fs
    make_job one
    for content in '' 'two words'; do
        printf '%s' "$content" >"$DIR/key"
        kill -HUP "$FS_PID"
        wait_until 5 log_has_new key.kept
        make_job "kept$log_lines"
    done
    rm "$DIR/key"
    kill -HUP "$FS_PID"
    wait_until 5 log_has_new key.kept
    make_job gone
    echo second-key >"$DIR/key"
    kill -HUP "$FS_PID"
    wait_until 5 log_has_new key.changed
    make_job two
}
# log_has_new EVENT   once more than when it was asked last
log_has_new() {
    local now
    now=$(grep -c "event=$1" "$DATA/seedancefs.log" || true)
    if [ "$1" = key.kept ]; then
        [ "$now" -gt "${log_lines:-0}" ] || return 1
        log_lines=$now
    fi
    [ "$now" -gt 0 ]
}

# S-RUN-9: The key comes from `--api-key-file`, else from `$TOKENHUB_API_KEY`, else from
#   `$CREDENTIALS_DIRECTORY/tokenhub-api-key`.
@test "S-RUN-9: where the key comes from" {
    mkdir "$DIR/credentials"
    echo "$KEY" >"$DIR/credentials/tokenhub-api-key"
    local common=(--api-url "$API" --data-dir "$DATA" --poll-interval 0.05 --settle 0)
    unset TOKENHUB_API_KEY CREDENTIALS_DIRECTORY
    CREDENTIALS_DIRECTORY=$DIR/credentials "$SEEDANCEFS" "${common[@]}" "$MNT" 3>&-
    FS_PID=$(daemon_pid)
    make_job a
    unmount_fs
    echo wrong >"$DIR/credentials/tokenhub-api-key"
    CREDENTIALS_DIRECTORY=$DIR/credentials TOKENHUB_API_KEY=$KEY "$SEEDANCEFS" "${common[@]}" "$MNT" 3>&-
    FS_PID=$(daemon_pid)
    make_job b
    unmount_fs
    TOKENHUB_API_KEY=wrong "$SEEDANCEFS" "${common[@]}" --api-key-file "$DIR/key" "$MNT" 3>&-
    FS_PID=$(daemon_pid)
    make_job c
}

# S-RUN-16: A key file that others can read is used, and a warning at the start says how to make it private.
@test "S-RUN-16: a key file that others can read" {
    for mode in 600 400; do
        chmod $mode "$DIR/key"
        run mount_fs
        [ "$status" -eq 0 ]
        [ -z "$output" ]
        FS_PID=$(daemon_pid)
        unmount_fs
    done
    for mode in 640 604 644; do
        chmod $mode "$DIR/key"
        run mount_fs
        [ "$status" -eq 0 ]
        [[ $output == "seedancefs: warning: others can read the API key in $DIR/key. "*"chmod 600 $DIR/key" ]]
        FS_PID=$(daemon_pid)
        unmount_fs
    done
}

# S-RUN-10: The key is neither in the program's arguments and environment nor in its log, its data
#   directory or a core dump.
@test "S-RUN-10: the key is not in arguments, environment, log, data directory or a core dump" {
    TOKENHUB_API_KEY=$KEY "$SEEDANCEFS" --api-url "$API" --data-dir "$DATA" --poll-interval 0.05 --settle 0 \
        --log-level debug "$MNT" 3>&-
    FS_PID=$(daemon_pid)
    make_job cat
    cat "$J/cat/output.mp4" >/dev/null
    scenario '{"kind":"create","response":{"status":401}}'
    echo '{"prompt": "x"}' >"$J/dog/prompt.json"
    wait_until 5 test -e "$J/dog/error"
    fails grep -aF "$KEY" "/proc/$FS_PID/cmdline"
    if [ -r "/proc/$FS_PID/environ" ]; then
        grep -az '^PATH=' "/proc/$FS_PID/environ" >/dev/null
        fails grep -aF "$KEY" "/proc/$FS_PID/environ"
    fi
    grep -E '^Max core file size +0 +0' "/proc/$FS_PID/limits"
    [ "$(stat -c %u "/proc/$FS_PID/mem")" -eq 0 ] # not dumpable: it belongs to root
    unmount_fs
    mount_fs
    unmount_fs
    fails grep -raF "$KEY" "$DATA"
    has 'event=' "$DATA/seedancefs.log"
    fails grep -raF X-Tos-Signature "$DATA/seedancefs.log"
    [ "$(stat -c %a "$DATA")" = 700 ]
}

# S-RUN-11: When the program is ended while a request is being sent, it waits for the response and keeps it.
@test "S-RUN-11: a request that is being sent is waited for at the end" {
    scenario '{"kind":"create","response":{"delay_ms":1500}}'
    mount_fs
    echo '{"prompt": "x"}' >"$J/cat/prompt.json"
    wait_status cat submitting
    unmount_fs
    mount_fs
    [ "$(cat "$J/cat/status")" != unknown ]
    wait_status cat succeeded
    [ "$(creates)" -eq 1 ]
}

# S-RUN-12: Every long option can also be given as `-o name_with_underscores=value`, as in fstab. In a value `\,` is a comma and
#   `\\` a backslash, as for every FUSE filesystem.
@test "S-RUN-12: options as in fstab" {
    "$SEEDANCEFS" -o "rw,noauto,x-systemd.automount,_netdev,api_url=$API,api_key_file=$DIR/key,data_dir=$DATA" \
        -o poll_interval=0.05,allow_unknown,max_file_size=1M,model=doubao-seedance-2.0-fast,log_level=debug,nodev \
        "$MNT" 3>&-
    FS_PID=$(daemon_pid)
    echo '{"prompt": "x", "seed": 1}' >"$J/cat/prompt.json"
    wait_status cat succeeded
    sent 1 '.seed == 1 and .model == "doubao-seedance-2.0-fast"'
    fails dd if=/dev/zero of="$J/cat/large" bs=1M count=2
    has event=fuse.error "$DATA/seedancefs.log"
    grep " $MNT " /proc/self/mountinfo | grep nodev | grep -q fuse.seedancefs
}

@test "S-RUN-12: a value with a comma" {
    DATA="$DIR/a,b\\c"
    "$SEEDANCEFS" -o "api_url=$API,api_key_file=$DIR/key,data_dir=$DIR/a\\,b\\\\c" \
        -o 'poll_interval=0.05,fsname=one\,two,,allow_unknown,model=mine\,not yours' "$MNT" 3>&-
    FS_PID=$(daemon_pid)
    grep " $MNT " /proc/self/mountinfo | grep -q 'one,two'
    mkdir "$J/cat"
    echo '{"prompt": "x"}' >"$J/cat/prompt.json"
    wait_status cat rejected # there is no such model
    sent 1 '.model == "mine,not yours"'
    unmount_fs
    refused 2 '--model mine,not yours: unknown' \
        -o "api_url=$API,api_key_file=$DIR/key,data_dir=$DIR/other,model=mine\\,not yours" "$MNT"
}

# S-RUN-13: `--help` and `--version` print to standard output and end with exit code 0. `--version` also names the versions
#   of libfuse, libcurl with its TLS library, SQLite and cJSON.
@test "S-RUN-13: --help and --version" {
    "$SEEDANCEFS" --help >"$DIR/help" 2>"$DIR/stderr"
    "$SEEDANCEFS" --version >"$DIR/version" 2>>"$DIR/stderr"
    [ ! -s "$DIR/stderr" ]
    has 'Usage: seedancefs [OPTION]... MOUNTPOINT' "$DIR/help"
    grep -qE '^seedancefs [0-9]+\.[0-9]+\.[0-9]+$' "$DIR/version"
    number='[0-9]+\.[0-9]+(\.[0-9]+)?[^ ,]*'
    grep -qE "^libfuse $number, libcurl $number with [A-Za-z-]+/$number, SQLite $number, cJSON $number\$" "$DIR/version"
    [ "$(wc -l <"$DIR/version")" -eq 2 ]
    # Every option that the help names is one.
    for option in $(grep -oE '^ +(-.,)? *--[a-z-]+ [A-Z]' "$DIR/help" | grep -oE -- '--[a-z-]+'); do
        run "$SEEDANCEFS" "$option"
        [[ $output == *'requires an argument'* ]]
    done
    "$SEEDANCEFS" -h | diff - "$DIR/help"
    "$SEEDANCEFS" -V | diff - "$DIR/version"
}

# S-RUN-15: When mounting fails the program ends with exit code 1.
@test "S-RUN-15: when mounting fails it ends with 1" {
    unshare -Ur true 2>/dev/null || skip "no user namespaces here"
    run unshare -Ur "$SEEDANCEFS" --api-url "$API" --api-key-file "$DIR/key" --data-dir "$DATA" "$MNT" 3>&-
    [ "$status" -eq 1 ]
    [[ $output == *'could not be mounted'* ]]
    mount_fs # and nothing is in the way afterwards
    make_job cat
}
