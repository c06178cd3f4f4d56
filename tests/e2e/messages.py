"""The messages of the sources: messages.py FILE... prints, one a line, the texts that the program says at its start, in
the file `error` and as `reason`, with an ellipsis for what is filled in. Long ones are made of several literals, which are joined.
"""
import re
import sys

CALLS = re.compile(r"\b(fprintf\(stderr,|complain\(|refuse\(|wrong\(|job_problem_set\(|job_reason_set\(|ctl_refuse\(|failed_problem\()")
FORMATS = ("fprintf", "job_problem_set", "job_reason_set")
LITERAL = re.compile(r'"((?:[^"\\]|\\.)*)"')
# A table of sentences, and the reasons that a function gives.
SENTENCES = re.compile(r'(?:\{-[A-Z_]+,|return|why = |disk_full\[\] =|_[A-Z]+\] =)\s*((?:"(?:[^"\\]|\\.)*"\s*)+)')


def arguments(text, start):
    """The text between the parenthesis that was opened before `start` and the one that closes it."""
    depth, i = 1, start
    while depth and i < len(text):
        if text[i] == '"':
            i = LITERAL.match(text, i).end()
            continue
        depth += {"(": 1, ")": -1}.get(text[i], 0)
        i += 1
    return text[start:i - 1]


def joined(text):
    """Runs of literals, each run one text."""
    for run in re.finditer(r'(?:"(?:[^"\\]|\\.)*"\s*)+', text):
        parts = "".join(LITERAL.findall(run.group()))
        parts = parts.replace('\\"', '"').replace("\\n", "\n")
        yield re.sub(r"%%|%[-#0-9.*]*(?:hh|h|ll|l|z|j)?[a-zA-Z]", lambda m: "%" if m.group() == "%%" else "…", parts)


def messages(path):
    with open(path) as file:
        text = re.sub(r"/\*.*?\*/", "", file.read(), flags=re.S)
    for call in CALLS.finditer(text):
        texts = list(joined(arguments(text, call.end())))
        # Of a format that alone, not what is filled in.
        yield from texts[:1] if call.group(1).startswith(FORMATS) else texts
    for sentence in SENTENCES.finditer(text):
        yield from joined(sentence.group(1))


found = {}
for path in sys.argv[1:]:
    for message in messages(path):
        # The lines after the first one give advice.
        line = message.split("\n")[0].strip()
        # What says something: a few words, not only what is filled in.
        if len(re.findall(r"[A-Za-z]{2,}", line)) >= 5 and not line.startswith(("job_check:", ". ")):
            found[line] = path
for line in found:
    print(line)
