#!/bin/bash
# Breaks the program on purpose, and demands that its tests notice: a check that cannot fail is a defect.
#   run-broken.sh [NAME]...        tests/broken/NAME.break; all of them without a name
# Such a file begins with lines that say what it breaks, how that is built, and which command must fail then; the
# edits that follow are described in break.py:
#   What: the response is read before it is on disk
#   Build: make V=checked build/checked/unit/job/test_submit
#   Caught-by: build/checked/unit/job/test_submit
# The command has to pass before, too, or its failing would say nothing. Everything happens in
# a copy of the tree below build/. The last line is "N passed, N failed".
set -u
cd "$(dirname "$0")/.." || exit 1
root=$PWD
copy=$root/build/broken
log=$(mktemp)
trap 'rm -f "$log"' EXIT
passed=0
failed=0
declare -A known_to_pass

# Only what has changed is copied, so that little is compiled again. Without its time, which is older than what
# was built from the file while it was broken.
mkdir -p "$copy"
rsync -rlpD --checksum --delete --exclude=/build --exclude=/.git "$root/" "$copy/"
cd "$copy" || exit 1

field() { sed -n "s/^$2: //p" "$1" | head -n 1; }

# The command passes on the unbroken program; asked once for those that several broken builds share.
passes_unbroken() {
    [ -n "${known_to_pass[$caught_by]:-}" ] && return 0
    test_ && known_to_pass[$caught_by]=1
}

fail() {
    echo "broken: $name: $1"
    tail -n 30 "$log"
    failed=$((failed + 1))
}

restore() { rsync -rlpD --checksum --exclude=/build --exclude=/.git "$root/" "$copy/"; }
build() { bash -c "$build" >"$log" 2>&1 </dev/null; }
test_() { timeout -k 10 300 bash -c "$caught_by" >"$log" 2>&1 </dev/null; }

one() {
    name=$1
    file=tests/broken/$name.break
    build=$(field "$file" Build)
    caught_by=$(field "$file" Caught-by)
    if [ -z "$build" ] || [ -z "$caught_by" ]; then
        fail "the file has no line Build: or Caught-by:"
        return
    fi
    build || { fail "does not build unbroken"; return; }
    passes_unbroken || { fail "the test fails on the unbroken program"; return; }
    /usr/bin/python3 scripts/break.py "$file" >"$log" 2>&1 || { fail "it cannot be applied any more"; restore; return; }
    local verdict=
    if ! build; then
        verdict="does not build broken"
    elif test_; then
        verdict="NOT caught by: $caught_by"
    fi
    restore
    if [ -n "$verdict" ]; then
        fail "$verdict"
    else
        passed=$((passed + 1))
        echo "  caught: $(field "$file" What)"
    fi
}

[ $# -gt 0 ] || set -- $(cd tests/broken && ls -- *.break | sed 's/\.break$//')
for name in "$@"; do one "$name"; done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
