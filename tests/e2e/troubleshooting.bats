#!/usr/bin/env bats
# docs/TROUBLESHOOTING.md against the program: it quotes what the program says, and all of it.
load helper

setup() { DIR=$BATS_TEST_TMPDIR; }

# The messages of the tables: the first cell, between backquotes, or between pairs of them if it has some itself.
quoted() { sed -nE -e 's/^\| `([^`]+)` \|.*/\1/p' -e 's/^\| `` (.*) `` \|.*/\1/p' "$ROOT/docs/TROUBLESHOOTING.md"; }

# Text in the program's binary, as one line, since a message may have newlines in it.
said() { strings -a -n 3 "$SEEDANCEFS" | tr '\n' ' ' >"$DIR/strings"; }

# fragments   of each line: what stands between the ellipses and says something
fragments() { sed 's/…/\n/g' | sed -E 's/^ +| +$//g' | awk 'length > 9'; }

# S-INSTALL-11: Every message that docs/TROUBLESHOOTING.md quotes is one of the program's. Every message that the
#   program gives at its start, in `error` or as `reason` is in that document, with what to do.
@test "S-INSTALL-11: every quoted message is one of the program's" {
    said
    [ "$(quoted | wc -l)" -ge 70 ]
    quoted | fragments >"$DIR/fragments"
    while read -r fragment; do
        grep -qaF -- "$fragment" "$DIR/strings" || echo "not in the program: $fragment" >>"$DIR/missing"
    done <"$DIR/fragments"
    [ ! -e "$DIR/missing" ] || { cat "$DIR/missing" >&2; return 1; }
}

@test "S-INSTALL-11: every message of the program is quoted" {
    "$PYTHON" "$ROOT/tests/e2e/messages.py" "$ROOT"/src/app/*.c "$ROOT"/src/job/*.c "$ROOT/src/tree/archive.c" >"$DIR/messages"
    [ "$(wc -l <"$DIR/messages")" -ge 70 ]
    quoted | tr '\n' ' ' >"$DIR/quoted"
    while read -r message; do
        # Its longest part without what is filled in, to the first full stop: what follows is advice.
        part=$(fragments <<<"$message" | awk '{ if (length > length(longest)) longest = $0 } END { print longest }')
        part=$(sed -E 's/^(.{20}[^.]*\.) .*/\1/; s/; `.*//' <<<"$part")
        [ -z "$part" ] || grep -qF -- "$part" "$DIR/quoted" || echo "not in docs/TROUBLESHOOTING.md: $message" >>"$DIR/missing"
    done <"$DIR/messages"
    [ ! -e "$DIR/missing" ] || { cat "$DIR/missing" >&2; return 1; }
}

@test "every message has something to do about it" {
    fails grep -nE '^\| `[^`]*` \| *\|' "$ROOT/docs/TROUBLESHOOTING.md"
    [ "$(quoted | sort | uniq -d | wc -l)" -eq 0 ]
}
