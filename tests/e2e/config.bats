#!/usr/bin/env bats
# --config: the file of options, at the start and at SIGHUP.
load helper

setup() { start_world --video-bytes 4M; J=$MNT/jobs CONFIG=$DIR/options; }
teardown() { end_world; }

logged() { [ "$(grep -c "event=$1" "$DATA/seedancefs.log")" -ge "${2:-1}" ]; }
# reload   SIGHUP, and waits until the file has been read or refused.
reload() {
    local before
    before=$(grep -cE 'event=config\.(read|kept)' "$DATA/seedancefs.log" || true)
    kill -HUP "$(daemon_pid)"
    wait_until 10 bash -c "[ \"\$(grep -cE 'event=config\\.(read|kept)' '$DATA/seedancefs.log')\" -gt $before ]"
}
last() { grep "event=config\\.$1" "$DATA/seedancefs.log" | tail -n 1; }
refused() { fails "$SEEDANCEFS" --api-url "$API" --api-key-file "$DIR/key" --data-dir "$DATA" --config "$1" "$MNT"; }

# S-CONF-1: `--config FILE` reads options from a file, one in each line, in the form of the long options: `budget 5/day`,
#   `budget=5/day` or `hold`. Blank lines and lines that begin with `#` say nothing. What the command line says goes first.
#   With a mistake in it the program does not start, and names the file, the line and the option.
@test "S-CONF-1: the file of options at the start" {
    cat >"$CONFIG" <<END
# what I want to spend
budget = 2/day
--hold

  max-active	3
archive=always
END
    mount_fs --config "$CONFIG" --max-active 5
    [ "$(jq -r '.budget.limit + .budget.period' "$MNT/spend.json")" = 2.00day ]
    echo '{"prompt": "x"}' >"$J/cat/prompt.json"
    status_is cat held
    unmount_fs
    local row
    for row in 'budgte 5|:1: budgte: there is no such option; did you mean budget?' 'budget five|:1: budget five: a budget is' \
        'hold yes|:1: hold: it takes no value' 'budget|:1: budget: a value is missing' \
        '# x\n\nconfig /x|:3: config: this option belongs on the command line.' 'options ro|:1: options: this option belongs' \
        'help|:1: help: this option belongs' 'budget |:1: budget: a value is missing.' 'hold\0|: this is no text: it has a NUL byte.'; do
        printf "${row%%|*}\n" >"$CONFIG"
        refused "$CONFIG"
        has "seedancefs: $CONFIG${row#*|}" "$DIR/fails.out"
    done
    refused "$DIR/nowhere"
    has "seedancefs: $DIR/nowhere: the options cannot be read: No such file or directory." "$DIR/fails.out"
    head -c 9000 /dev/zero | tr '\0' '#' >"$CONFIG"
    refused "$CONFIG"
    # With - before it the file may be missing.
    mount_fs --config "-$DIR/nowhere"
    mkdir "$J/x"
}

# S-CONF-2: SIGHUP reads the file again: `budget`, `max-active`, `hold`, `archive` and `log-level` change at once, unless
#   the command line has set them, also when their lines have gone; the log names those that need a restart. A budget or
#   limit that was raised lets waiting jobs continue; `hold` also holds what waits and was not sent; what is under way
#   goes on. With a mistake in the file nothing changes, and the log says what is wrong.
@test "S-CONF-2: SIGHUP changes the budget, the limits, the holding and the archive" {
    echo 'budget 1.50/day' >"$CONFIG"
    mount_fs --config "$CONFIG" --archive never
    make_job cat
    echo '{"prompt": "x"}' >"$J/dog/prompt.json"
    wait_until 10 bash -c "jq -e '.reason_code == \"BUDGET\"' '$J/dog/status.json'"
    echo 'budget 5/day' >"$CONFIG"
    reload
    wait_status dog succeeded
    [ "$(jq -r .budget.limit "$MNT/spend.json")" = 5.00 ]
    has '$3.00 <small>left of $5.00' "$MNT/index.html"
    [[ "$(last read)" == *'changed="budget"'* ]]
    # A mistake changes nothing, not even what stands before it.
    printf 'budget 1/day\nmax-actve 3\n' >"$CONFIG"
    reload
    [ "$(jq -r .budget.limit "$MNT/spend.json")" = 5.00 ]
    [[ "$(last kept)" == *":2: max-actve: there is no such option; did you mean max-active?"* ]]
    rm "$CONFIG"
    reload
    [[ "$(last kept)" == *'cannot be read'* ]]
    [ "$(jq -r .budget.limit "$MNT/spend.json")" = 5.00 ]
    echo 'data-dir somewhere' >"$CONFIG"
    reload
    [[ "$(last kept)" == *'data-dir: in a file a path begins with /'* ]]
    # What the command line says stays; what needs a restart is named.
    printf 'budget 5/day\narchive always\nmodel doubao-seedance-2.0-fast\n' >"$CONFIG"
    reload
    [[ "$(last restart)" == *'options="model"'* ]]
    [ "$(status_json cat .output.archived)" = false ]
    # Hold: also what waits.
    echo 'budget 2/day' >"$CONFIG"
    reload
    echo '{"prompt": "y"}' >"$J/bird/prompt.json"
    wait_until 10 bash -c "jq -e '.reason_code == \"BUDGET\"' '$J/bird/status.json'"
    printf 'budget 9/day\nhold\n' >"$CONFIG"
    reload
    wait_status bird held
    echo '{"prompt": "z"}' >"$J/fish/prompt.json"
    status_is fish held
    sleep 1
    [ "$(creates)" -eq 2 ]
    # And the lines that have gone: no hold, no budget. What is held stays so.
    : >"$CONFIG"
    reload
    [ "$(jq -r .budget "$MNT/spend.json")" = null ]
    logged config.budget # not without a word
    status_is bird held
    make_job whale
    [ "$(creates)" -eq 3 ]
}

@test "S-CONF-2: max-active and archive" {
    printf 'max-active 1\narchive never\n' >"$CONFIG"
    mount_fs --config "$CONFIG"
    make_job first
    for n in 1 2 3; do echo '{"prompt": "[[seconds=600]] long"}' >"$J/long-$n/prompt.json"; done
    wait_until 10 bash -c "jq -es 'map(select(.reason_code == \"MAX_ACTIVE\")) | length == 2' '$J'/long-*/status.json"
    [ "$(status_json first .output.archived)" = false ]
    printf 'max-active 3\narchive always\n' >"$CONFIG"
    reload
    for n in 1 2 3; do wait_status long-$n running; done
    wait_until 10 bash -c "jq -e .output.archived '$J/first/status.json'"
}

@test "S-CONF-2: an optional file that cannot be found takes nothing back" {
    printf 'budget 1/day\nhold\nmax-active 1\n' >"$CONFIG"
    mount_fs --config "-$CONFIG"
    mv "$CONFIG" "$CONFIG.away"
    reload
    [[ "$(last kept)" == *'cannot be read'* ]]
    [ "$(jq -r .budget.limit "$MNT/spend.json")" = 1.00 ]
    echo '{"prompt": "x"}' >"$J/cat/prompt.json"
    status_is cat held
    mv "$CONFIG.away" "$CONFIG"
    reload
    status_is cat held
    [ "$(creates)" -eq 0 ]
}

# S-CONF-3: Neither a file of options that cannot be opened nor one that does not respond (a FIFO) holds up the mount at
#   SIGHUP.
@test "S-CONF-3: a file that does not respond" {
    echo 'budget 5/day' >"$CONFIG"
    mount_fs --config "$CONFIG"
    rm "$CONFIG"
    mkfifo "$CONFIG"
    kill -HUP "$(daemon_pid)"
    wait_until 10 logged config.slow
    [ "$(jq -r .budget.limit "$MNT/spend.json")" = 5.00 ]
    make_job cat
    timeout 10 bash -c "echo 'budget 7/day' >'$CONFIG'"
    wait_until 10 logged config.read
    [ "$(jq -r .budget.limit "$MNT/spend.json")" = 7.00 ]
}
