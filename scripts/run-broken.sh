#!/bin/bash
# Breaks the program on purpose, and demands that its tests notice: a check that cannot fail is a defect.
#   run-broken.sh [NAME]...        the patches tests/broken/NAME.patch; all of them without a name
# A patch begins with lines that say what it breaks, how that is built, and which command must fail then:
#   What: the answer is read before it is on disk
#   Build: make V=checked build/checked/unit/job/test_submit
#   Caught-by: build/checked/unit/job/test_submit
# The command has to pass before the patch is applied, too, or its failing would say nothing. Everything happens in
# a copy of the tree below build/. The last line is "N passed, N failed".
set -u
cd "$(dirname "$0")/.." || exit 1
root=$PWD
copy=$root/build/broken
log=$(mktemp)
trap 'rm -f "$log"' EXIT
passed=0
failed=0

# Only what has changed is copied, so that little is compiled again. Without its time, which is older than what
# was built from the file while it was broken.
mkdir -p "$copy"
rsync -rlpD --checksum --delete --exclude=/build --exclude=/.git "$root/" "$copy/"
cd "$copy" || exit 1

field() { sed -n "s/^$2: //p" "$1" | head -n 1; }

fail() {
    echo "broken: $name: $1"
    tail -n 30 "$log"
    failed=$((failed + 1))
}

build() { bash -c "$build" >"$log" 2>&1 </dev/null; }
test_() { timeout -k 10 300 bash -c "$caught_by" >"$log" 2>&1 </dev/null; }

one() {
    name=$1
    patch=tests/broken/$name.patch
    build=$(field "$patch" Build)
    caught_by=$(field "$patch" Caught-by)
    if [ -z "$build" ] || [ -z "$caught_by" ]; then
        fail "the patch has no line Build: or Caught-by:"
        return
    fi
    build || { fail "does not build unbroken"; return; }
    test_ || { fail "the test fails without the patch"; return; }
    patch --batch --quiet -p1 <"$patch" >"$log" 2>&1 || { fail "the patch does not apply any more"; return; }
    local verdict=
    if ! build; then
        verdict="does not build broken"
    elif test_; then
        verdict="NOT caught by: $caught_by"
    fi
    patch --batch --quiet --reverse -p1 <"$patch" >>"$log" 2>&1
    if [ -n "$verdict" ]; then
        fail "$verdict"
    else
        passed=$((passed + 1))
        echo "  caught: $(field "$patch" What)"
    fi
}

[ $# -gt 0 ] || set -- $(cd tests/broken && ls -- *.patch 2>/dev/null | sed 's/\.patch$//')
for name in "$@"; do one "$name"; done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
