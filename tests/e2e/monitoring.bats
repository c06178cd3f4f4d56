#!/usr/bin/env bats
# scripts/monitoring: what hands the metrics to node_exporter, the alerts of Prometheus and the dashboard of Grafana.
load helper

MONITORING=$ROOT/scripts/monitoring

setup() {
    start_world
    J=$MNT/jobs
    OUT=$DIR/collector/seedancefs.prom
    mkdir "$DIR/collector"
}
teardown() {
    if [ -n "${OTHER_PID:-}" ]; then
        kill -CONT "$OTHER_PID" 2>/dev/null || true
        fusermount3 -uz "$OTHER" 2>/dev/null || true
        wait_until 10 process_is_gone "$OTHER_PID"
    fi
    [ -z "${THEIRS:-}" ] || rm -rf --one-file-system "$THEIRS"
    end_world
}

collect() { "$MONITORING/seedancefs-metrics" "$OUT" "$@" 3>&-; }
check_metrics() { "$PYTHON" "$ROOT/tests/e2e/check_metrics.py" "$OUT" "$@"; }
# mount_other NAME   a second mount, $OTHER, of the process $OTHER_PID
mount_other() {
    local first=$FS_PID
    OTHER=$DIR/$1
    mkdir "$OTHER"
    MNT=$OTHER DATA=$DIR/other.data mount_fs
    OTHER_PID=$FS_PID FS_PID=$first
}

# S-METRIC-4: `seedancefs-metrics` copies the metrics of several mounts into one file for node_exporter, each series with
#   the label `mount`. The file is replaced as a whole, and has only lines of seedancefs. A mount that is missing, dead or
#   does not respond gets `seedancefs_up` 0, and holds up the others for no more than ten seconds.
@test "S-METRIC-4: metrics of several mounts in one file" {
    mount_fs
    mount_other 'other "one"'
    make_job cat
    collect "$MNT" "$DIR/other \"one\""
    label="mount=\"$DIR/other \\\"one\\\"\""
    check_metrics "up{mount=\"$MNT\"}=1" "up{$label}=1" "jobs{mount=\"$MNT\",status=\"succeeded\"}=1" \
        "jobs{$label,status=\"succeeded\"}=0"
    # All that is in metrics, and nothing else, for others to read.
    [ "$(grep -vc '^#' "$OUT")" -eq $((2 * ($(grep -vc '^#' "$MNT/metrics") + 1))) ]
    [ "$(ls -A "$DIR/collector" | grep -v '\.lock$')" = seedancefs.prom ]
    [ "$(stat -c %a "$OUT")" = 644 ]
    # A reader that has it open keeps what it has.
    exec 7<"$OUT"
    sed 's/.*/kept/' "$OUT" >"$DIR/before"
    collect "$MNT" "$DIR/nowhere"
    [ "$(wc -l <&7)" -eq "$(wc -l <"$DIR/before")" ]
    exec 7<&-
    check_metrics "up{mount=\"$MNT\"}=1" "up{mount=\"$DIR/nowhere\"}=0"
    fails grep -F "$OTHER" "$OUT"
    fails grep 'other \\' "$OUT"
}

@test "S-METRIC-4: a mount that is dead, and one that hangs" {
    mount_fs
    mount_other hangs
    kill -STOP "$OTHER_PID"
    before=$SECONDS
    collect "$DIR/hangs" "$MNT"
    [ $((SECONDS - before)) -le 10 ]
    check_metrics "up{mount=\"$MNT\"}=1" "up{mount=\"$DIR/hangs\"}=0" "jobs{mount=\"$MNT\",status=\"draft\"}=0"
    fails grep 'hangs.*,' "$OUT"
    kill -CONT "$OTHER_PID"
    came_back() { collect "$DIR/hangs" && check_metrics "up{mount=\"$DIR/hangs\"}=1"; }
    wait_until 20 came_back
    kill -9 "$OTHER_PID"
    wait_until 10 process_is_gone "$OTHER_PID"
    collect "$DIR/hangs" "$MNT"
    check_metrics "up{mount=\"$MNT\"}=1" "up{mount=\"$DIR/hangs\"}=0"
}

@test "S-METRIC-4: a read that cannot be killed is left behind, and has no company" {
    mount_fs
    mkdir "$DIR/bin"
    printf '#!/bin/sh\necho $$ >>"%s"\nexec sleep 60\n' "$DIR/readers" >"$DIR/bin/timeout"
    chmod +x "$DIR/bin/timeout"
    before=$SECONDS
    # Nobody who waits for the end of the output waits for it, either.
    [ -z "$(PATH=$DIR/bin:$PATH collect "$MNT" 2>&1)" ]
    PATH=$DIR/bin:$PATH collect "$MNT"
    [ $((SECONDS - before)) -le 10 ]
    [ "$(wc -l <"$DIR/readers")" -eq 1 ]
    check_metrics "up{mount=\"$MNT\"}=0"
    kill "$(cat "$DIR/readers")"
    wait_until 10 process_is_gone "$(cat "$DIR/readers")"
    collect "$MNT"
    check_metrics "up{mount=\"$MNT\"}=1"
}

# Lines that another user would like to see in the administrator's file.
evil_head() {
    cat >"$THEIRS/head" <<'END'
#!/bin/sh
id -un >"$EVIL"
cat <<'TEXT'
# HELP seedancefs_jobs Jobs.
# TYPE seedancefs_jobs gauge
seedancefs_jobs{status="a"} 1
seedancefs_jobs{status="b",mount="/another"} 1
seedancefs_jobs{status="c"} 1e999
seedancefs_jobs{status="d\"} 1
seedancefs_jobs{mount="/another"} 1
seedancefs_up{mount="/another"} 1
seedancefs_up{class="a"} 1
seedancefs_up 1
1 /another
# TYPE seedancefs_evil histogram
seedancefs_evil 1
node_load1 99
# HELP node_load1 Load.
TEXT
printf 'seedancefs_jobs{status="cut'
END
    chmod 755 "$THEIRS/head"
    touch "$THEIRS/evil"
    chmod 666 "$THEIRS/evil"
}

@test "S-METRIC-4: a mount of somebody else, who puts in what he likes" {
    [ "$(id -u)" = 0 ] || skip "reads as another user, which only root can"
    unshare --mount true 2>/dev/null || skip "no mount namespaces here"
    THEIRS=$(mktemp -d "${TMPDIR:-/tmp}/seedancefs-theirs.XXXXXX")
    chmod 755 "$THEIRS"
    install -d -o nobody -m 700 "$THEIRS/data"
    install -d -o nobody "$THEIRS/mnt"
    install -o nobody -m 600 "$DIR/key" "$THEIRS/key"
    mkdir "$DIR/dev"
    evil_head
    DEVICE=$(stat -c '%Hr %Lr' /dev/fuse)
    export ROOT BUILD DIR THEIRS API KEY OUT MONITORING DEVICE
    unshare --mount --propagation private "$ROOT/tests/e2e/own_mounts.sh" "$DIR" bash -eu -o pipefail -c '
        source "$ROOT/tests/e2e/helper.bash"
        # A /dev/fuse for everybody, as ordinary machines have it.
        mount -t tmpfs -o mode=755 none "$DIR/dev" && mknod -m 666 "$DIR/dev/fuse" c $DEVICE
        mount --bind "$DIR/dev/fuse" /dev/fuse && umount -l "$DIR/dev"
        "$SEEDANCEFS" -o "setuid=nobody,api_url=$API,api_key_file=$THEIRS/key,data_dir=$THEIRS/data" "$THEIRS/mnt"
        fails cat "$THEIRS/mnt/metrics"
        "$MONITORING/seedancefs-metrics" "$OUT" "$THEIRS/mnt"
        cp "$OUT" "$DIR/theirs"
        EVIL=$THEIRS/evil PATH=$THEIRS:$PATH "$MONITORING/seedancefs-metrics" "$OUT" "$THEIRS/mnt" /nowhere
        DATA=$THEIRS/data find_daemon
        umount "$THEIRS/mnt"
        wait_until 10 process_is_gone "$FS_PID"' 3>&-
    "$PYTHON" "$ROOT/tests/e2e/check_metrics.py" "$DIR/theirs" "up{mount=\"$THEIRS/mnt\"}=1" \
        "jobs{mount=\"$THEIRS/mnt\",status=\"draft\"}=0"
    [ "$(cat "$THEIRS/evil")" = nobody ]
    diff - "$OUT" <<END
# HELP seedancefs_up 1 when the metrics of the mount could be read.
# TYPE seedancefs_up gauge
seedancefs_up{mount="$THEIRS/mnt"} 1
seedancefs_up{mount="/nowhere"} 0
# HELP seedancefs_jobs Jobs.
# TYPE seedancefs_jobs gauge
seedancefs_jobs{mount="$THEIRS/mnt",status="a"} 1
END
}

@test "seedancefs-metrics says what it cannot do, and leaves the file" {
    fails collect
    has 'usage: ' "$DIR/fails.out"
    fails "$MONITORING/seedancefs-metrics" "$DIR/collector/x" "$MNT"
    has 'usage: ' "$DIR/fails.out"
    fails "$MONITORING/seedancefs-metrics" "$DIR/nowhere/x.prom" "$MNT"
    has "$DIR/nowhere is no directory" "$DIR/fails.out"
    [ -z "$(ls -A "$DIR/collector")" ]
}

promtool_or_skip() { command -v promtool >/dev/null || skip "promtool (package prometheus) is not installed"; }
rules_hold() { promtool test rules "$DIR/tests/e2e/alerts.test.yml"; }

# S-METRIC-5: Prometheus accepts the alerts in seedancefs.rules.yml. Each has a test in which it fires and in which it does
#   not, and docs/RUNNING.md says what to do about it.
@test "S-METRIC-5: the alerts fire when they must, and only then" {
    promtool_or_skip
    promtool check rules "$MONITORING/seedancefs.rules.yml"
    mkdir -p "$DIR/tests/e2e" "$DIR/scripts/monitoring"
    cp "$ROOT/tests/e2e/alerts.test.yml" "$DIR/tests/e2e"
    rules=$DIR/scripts/monitoring/seedancefs.rules.yml
    cp "$MONITORING/seedancefs.rules.yml" "$rules"
    rules_hold
    sed -n 's/^ *- alert: //p' "$rules" >"$DIR/alerts"
    [ "$(wc -l <"$DIR/alerts")" -ge 10 ]
    while read -r alert; do has "| $alert |" "$ROOT/docs/RUNNING.md"; done <"$DIR/alerts"
    # The tests of each of them notice when it always fires, never fires, or fires sooner.
    for query in 'vector(1)' 'vector(1) > 1'; do
        awk -v query="$query" '
            /^ *expr: / { sub(/expr: .*/, "expr: " query); is_query = 1; print; next }
            is_query && /^ *(for|labels):/ { is_query = 0 }
            !is_query' "$MONITORING/seedancefs.rules.yml" >"$rules"
        promtool check rules "$rules" >/dev/null
        fails rules_hold
        while read -r alert; do has "alertname: $alert, " "$DIR/fails.out"; done <"$DIR/alerts"
    done
    grep -v '^ *for: ' "$MONITORING/seedancefs.rules.yml" >"$rules"
    fails rules_hold
    awk '/- alert: / { alert = $3 } /^ *for: / { print alert }' "$MONITORING/seedancefs.rules.yml" >"$DIR/patient"
    [ "$(wc -l <"$DIR/patient")" -ge 5 ]
    while read -r alert; do has "alertname: $alert, " "$DIR/fails.out"; done <"$DIR/patient"
}

# S-METRIC-6: Grafana can import grafana-dashboard.json. Its queries, and those of the alerts, are valid and ask only for
#   series and labels that the file of `seedancefs-metrics` has.
@test "S-METRIC-6: the queries of the dashboard and of the alerts" {
    promtool_or_skip
    mount_fs --budget 20/month
    collect "$MNT"
    check() {
        "$PYTHON" "$ROOT/tests/e2e/check_monitoring.py" "$OUT" "$1" "$2" "$DIR/queries.yml" &&
            promtool check rules "$DIR/queries.yml"
    }
    rules=$MONITORING/seedancefs.rules.yml board=$MONITORING/grafana-dashboard.json
    check "$rules" "$board"
    [ "$(jq '.groups[0].rules | length' "$DIR/queries.yml")" -ge 40 ]
    # What it would find.
    broken() {
        sed "$2" "$1" >"$DIR/broken"
        fails cmp -s "$1" "$DIR/broken"
        if [ "$1" = "$rules" ]; then fails check "$DIR/broken" "$board"; else fails check "$rules" "$DIR/broken"; fi
        has "$3" "$DIR/fails.out"
    }
    broken "$rules" 's/seedancefs_gate_closed/seedancefs_gate_open/' 'no metric seedancefs_gate_open'
    broken "$rules" 's/queued|running/queued|runing/' 'no status="runing"'
    broken "$rules" 's/{status="unknown"}/{state="unknown"}/' 'no label state'
    broken "$rules" 's/without (errno)/without (error)/' 'the label error'
    broken "$rules" 's/\$labels\.status/$labels.state/' 'no label state'
    broken "$board" 's/seedancefs_cache_bytes/seedancefs_cached_bytes/' 'no metric seedancefs_cached_bytes'
    broken "$board" 's/sum by (op)/sum by (operation)/' 'the label operation'
    broken "$board" 's/{{class}}/{{kind}}/' 'no label kind'
    broken "$board" '0,/rate(/s/rate(/rate((/' 'parse error'
    broken "$board" '0,/"y": 5/s/"y": 5/"y": 1/' 'lies over another'
}

@test "the units of the collector are valid" {
    command -v systemd-analyze >/dev/null || skip "systemd-analyze is not installed"
    mkdir "$DIR/units"
    cp "$MONITORING"/seedancefs-metrics.{service,timer} "$DIR/units"
    sed -i "s|/usr/local/bin|$MONITORING|" "$DIR/units/seedancefs-metrics.service"
    for unit in service timer; do
        run env SYSTEMD_UNIT_PATH="$DIR/units:" systemd-analyze verify --man=no seedancefs-metrics.$unit
        [ "$status" -eq 0 ] && [ -z "$output" ] || { echo "$output" >&2; return 1; }
    done
}

# systemctl, for the one service: the unit is run as it says.
fake_systemctl() {
    mkdir -p "$DIR/bin"
    printf '#!/bin/sh\nexec "$@"\n' >"$DIR/bin/sudo"
    printf '#!/bin/sh\n' >"$DIR/bin/apt"
    cat >"$DIR/bin/systemctl" <<'END'
#!/bin/bash -eu
[ "$*" = 'start seedancefs-metrics' ] || exit 0
unit() { sed -n "s/^$1=//p" "$DIR/etc/systemd/system/seedancefs-metrics.service"; }
[ "$(unit EnvironmentFile)" = /etc/default/seedancefs-metrics ]
while IFS='=' read -r name value; do
    printf -v "$name" %s "$value"
done <"$DIR/etc/default/seedancefs-metrics"
command=$(unit ExecStart)
eval "$DIR/local${command#/usr/local}"
END
    chmod +x "$DIR"/bin/*
}

@test "the recipe of docs/RUNNING.md" {
    mount_fs
    fake_systemctl
    mkdir -p "$DIR/etc/systemd/system" "$DIR/etc/default" "$DIR/local/bin"
    awk '$0 == "<!-- block: monitoring.sh -->" { is_block = 1; next }
        is_block && /^    / { print substr($0, 5) }
        is_block && /^[^ ]/ { exit }' "$ROOT/docs/RUNNING.md" >"$DIR/recipe"
    [ "$(wc -l <"$DIR/recipe")" -ge 10 ]
    sed -i "s|/usr/share/doc/seedancefs/monitoring|$MONITORING|; s|/usr/local|$DIR/local|; s|/etc/|$DIR/etc/|
        s|/var/lib/prometheus/node-exporter|$DIR/collector|; s|/srv/seedance/alice /home/bob/seedance|$MNT $DIR/none|" "$DIR/recipe"
    DIR=$DIR PATH=$DIR/bin:$PATH dash -e "$DIR/recipe" 3>&- >"$DIR/shown"
    has "seedancefs_up{mount=\"$MNT\"} 1" "$DIR/shown"
    has "seedancefs_up{mount=\"$DIR/none\"} 0" "$DIR/shown"
    check_metrics "jobs{mount=\"$MNT\",status=\"draft\"}=0"
    [ -e "$DIR/etc/systemd/system/seedancefs-metrics.timer" ]
}
