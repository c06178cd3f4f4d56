#!/bin/sh
# The promises of docs/SEMANTICS.md ("- S-WRITE-2: …") and the end-to-end tests must belong together: each promise
# has a test that names its id, each id in a test is a promise, and a comment above the first test of a file
# that names it ("# S-WRITE-2: …") has the promise's very words. Says what does not, and then exits 1.
set -eu
cd "$(dirname "$0")/.."
exec awk '
    # A promise or a quotation goes on in the next lines until something else begins.
    function finish() {
        if (id == "")
            return
        gsub(/[ \t]+/, " ", text)
        sub(/ $/, "", text)
        if (!is_test) {
            if (id in promise)
                complain(id ": stands twice in docs/SEMANTICS.md")
            promise[id] = text
        } else {
            quote[id] = text
        }
        id = ""
    }
    function begin(line) {
        match(line, /S-[A-Z]+-[0-9]+/)
        id = substr(line, RSTART, RLENGTH)
        text = substr(line, RSTART + RLENGTH + 1)
        sub(/^ +/, "", text)
    }
    function complain(what) { print what; bad = 1 }
    FNR == 1 { finish(); delete quote; is_test = FILENAME ~ /\.bats$/ }
    !is_test && /^- S-[A-Z]+-[0-9]+:/ { finish(); begin($0); next }
    !is_test && id != "" && /^  [^ ]/ { text = text " " $0; next }
    is_test && /^# S-[A-Z]+-[0-9]+:/ { finish(); begin($0); next }
    is_test && id != "" && /^# +[^ ]/ { text = text " " substr($0, 2); next }
    { finish() }
    is_test && /^@test / {
        where = FILENAME ":" FNR
        line = $0
        sub(/:.*/, "", line)
        while (match(line, /S-[A-Z]+-[0-9]+/)) {
            name = substr(line, RSTART, RLENGTH)
            line = substr(line, RSTART + RLENGTH)
            tested[name] = where
            if (!(name in quote))
                complain(where ": " name " is not quoted above")
            quoted[name, where] = quote[name]
        }
    }
    END {
        finish()
        for (name in promise)
            if (!(name in tested))
                complain("docs/SEMANTICS.md: " name ": has no test")
        for (name in tested)
            if (!(name in promise))
                complain(tested[name] ": " name ": is not in docs/SEMANTICS.md")
        for (key in quoted) {
            split(key, part, SUBSEP)
            if (part[1] in promise && quoted[key] != "" && quoted[key] != promise[part[1]])
                complain(part[2] ": " part[1] " is quoted in other words")
        }
        exit bad
    }
' docs/SEMANTICS.md tests/e2e/*.bats
