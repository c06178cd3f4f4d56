#!/usr/bin/env bats
# docs/SEMANTICS.md itself.

ROOT=$BATS_TEST_DIRNAME/../..

# S-ERR-1: When the program has a reason of its own for an error, the error number is the one in this table.
@test "S-ERR-1: the table of errors is that of the program" {
    diff <(sed -n 's/^    X(\([A-Z_]*\), *\(E[A-Z]*\), *[a-z]*, *"\(.*\)").*$/| \1 | \2 | \3 |/p' \
        "$ROOT/include/seedancefs/base/err.h") \
        <(grep -E '^\| [A-Z_]+ \| E[A-Z]+ \|' "$ROOT/docs/SEMANTICS.md")
    [ "$(grep -cE '^\| [A-Z_]+ \| E' "$ROOT/docs/SEMANTICS.md")" -ge 26 ]
}

@test "every promise has a test, and every test a promise" {
    run "$ROOT/scripts/check-semantics.sh"
    echo "$output" >&2
    [ "$status" -eq 0 ]
}

@test "check-semantics.sh finds what is missing on either side, and words that differ" {
    local copy=$BATS_TEST_TMPDIR/copy
    mkdir -p "$copy/docs" "$copy/tests/e2e" "$copy/scripts"
    cp "$ROOT/scripts/check-semantics.sh" "$copy/scripts/"
    printf -- '- S-A-1: One thing\n  goes on.\n- S-A-2: Another.\n' >"$copy/docs/SEMANTICS.md"
    local good='# S-A-1: One thing goes on.\n# S-A-2: Another.\n@test "S-A-1 S-A-2: x" {\n}\n'
    printf "$good" >"$copy/tests/e2e/a.bats"
    "$copy/scripts/check-semantics.sh"
    finds() {
        run "$copy/scripts/check-semantics.sh"
        [ "$status" -eq 1 ] && [[ $output == *"$1"* ]]
    }
    printf '# S-A-1: One thing goes on.\n@test "S-A-1: x" {\n}\n' >"$copy/tests/e2e/a.bats"
    finds 'S-A-2: has no test'
    printf "$good"'# S-B-9: More.\n@test "S-B-9: y" {\n}\n' >"$copy/tests/e2e/a.bats"
    finds 'S-B-9: is not in'
    printf '@test "S-A-1: y" {\n}\n'"$good" >"$copy/tests/e2e/a.bats"
    finds 'is not quoted above'
    printf '# S-A-1: One thing stops.\n# S-A-2: Another.\n@test "S-A-1 S-A-2: x" {\n}\n' >"$copy/tests/e2e/a.bats"
    finds 'is quoted in other words'
    printf "$good" >"$copy/tests/e2e/a.bats"
    printf -- '- S-A-2: Twice.\n' >>"$copy/docs/SEMANTICS.md"
    finds 'S-A-2: stands twice'
}
