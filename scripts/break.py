#!/usr/bin/python3
"""Breaks the program on purpose, as a file of tests/broken says.

    break.py FILE...            changes the tree in the working directory
    break.py --check FILE...    only says whether each of them can still be applied

A file has lines `What:`, `Build:` and `Caught-by:` (see run-broken.sh), and then edits:

    in create_outcomes
    -    [API_AMBIGUOUS] = create_unknown,
    +    [API_AMBIGUOUS] = create_unsent,

`in NAME` is a function or a table of src/ or include/, wherever it stands now; `in NAME PATH` where two have that
name; `in PATH` a whole file. The lines with `-` (and with a blank, which stay) have to be found there exactly once,
whatever the blanks and line breaks between their words; those with `+` (and a blank) take their place.
"""
import glob
import os
import re
import sys


class Problem(Exception):
    pass


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def edits(path):
    """(what to look in, old lines, new lines) of each edit of the file."""
    found = []
    for line in read(path).splitlines():
        if line.startswith("in "):
            found.append((line[3:].strip(), [], []))
        elif found and line[:1] in ("-", "+", " "):
            if line[0] != "+":
                found[-1][1].append(line[1:])
            if line[0] != "-":
                found[-1][2].append(line[1:])
        elif found and line.strip():
            raise Problem(f"this line is no part of an edit: {line}")
    if not found:
        raise Problem("no edit in it")
    return found


def definition_spans(text, name):
    """Where definitions of a function or table begin and end: from column 0 to the brace that closes it there."""
    for match in re.finditer(rf"^(?=[A-Za-z_])(?!return\b)[^;{{}}\n#]*\b{re.escape(name)}\b", text, re.M):
        opening = re.compile(r"[^;{]*\{", re.S).match(text, match.end())
        closing = re.compile(r"^\}", re.M).search(text, match.end())
        if opening and closing:
            yield match.start(), closing.end()


def place(where):
    """(path, start, end) of what an edit is about."""
    name, _, path = where.partition(" ")
    if os.path.exists(name):
        return name, 0, len(read(name))
    paths = [path] if path else sorted(glob.glob("src/**/*.[ch]", recursive=True) +
                                       glob.glob("include/**/*.h", recursive=True))
    spans = [(p, *span) for p in paths for span in definition_spans(read(p), name)]
    if len(spans) == 1:
        return spans[0]
    where_found = ", ".join(p for p, _, _ in spans) or "nothing of that name is defined in src/ or include/"
    raise Problem(f"in {name}: {len(spans)} definitions ({where_found})")


def pattern(lines):
    """Matches the lines' words with any blanks between them; punctuation may touch."""
    words = re.findall(r"\w+|[^\w\s]", "\n".join(lines))
    parts = []
    for i, word in enumerate(words):
        glued = i > 0 and re.match(r"\w", word) and re.match(r"\w", words[i - 1])
        parts.append((r"\s+" if glued else r"\s*" if i else "") + re.escape(word))
    return re.compile("".join(parts))


def apply(path, is_check):
    for where, old, new in edits(path):
        file, start, end = place(where)
        text = read(file)
        hits = list(pattern(old).finditer(text, start, end)) if any(l.strip() for l in old) else []
        if len(hits) != 1:
            raise Problem(f"in {where} ({file}): found {len(hits)} times instead of once:\n" + "\n".join(old))
        if is_check:
            continue
        with open(file, "w", encoding="utf-8") as out:
            out.write(text[:hits[0].start()] + "\n".join(new).strip() + text[hits[0].end():])


def main():
    arguments = sys.argv[1:]
    is_check = "--check" in arguments
    code = 0
    for path in arguments:
        if path == "--check":
            continue
        try:
            apply(path, is_check)
        except (Problem, OSError) as problem:
            print(f"{path}: {problem}", file=sys.stderr)
            code = 1
    return code


sys.exit(main())
