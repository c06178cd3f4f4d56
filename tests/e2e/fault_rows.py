"""The faults of tests/faults/*.table, played and looked at on a real mount.

    fault_rows.py DIRECTORY COMMAND [ARGUMENT]...
    fault_rows.py --check       every table can be read, and each of its sections is played by a test

A table has sections; a section begins with `== NAME` and, behind some blanks, with what becomes of its rows:
"create: unknown; poll: stale". A row is "NAME | RESPONSE | EXPECTED": a job, what becomes of its request ("response" of
src/sim/scenario.h), and words that its user has to read; where several rows share them, their name in words.table. "bytes"
and "raw_bytes" in a response are Latin-1 text for body_base64 and raw_base64; n, from, to, every and times stand in it, too.
@MARKS@ stand for what a table cannot hold.

DIRECTORY has `mnt`, `requests.jsonl` and, once `choose SECTION...` has written it, `rows`. Each job's prompt is "[name]",
which is how rules and requests are told apart; so many jobs share one mount.
"""
import base64
import glob
import json
import os
import re
import sys
import time
import zlib

TESTS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
DIRECTORY = sys.argv[1] if len(sys.argv) > 1 else ""
MOUNT = DIRECTORY + "/mnt"
TEXTS = {
    "@DIR@": DIRECTORY,
    "@LONG@": "/" + 5000 * "x",
    "@TAIL@": r'\r\nContent-Length: 14\r\n\r\n{\"id\":\"cgt-1\"}',
}


def bomb():
    """10 MB that unpack to 10 GB."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    block = bytes(10 << 20)
    packer.compress(block)
    head = packer.flush(zlib.Z_FULL_FLUSH)
    return head + 1000 * (packer.compress(block) + packer.flush(zlib.Z_FULL_FLUSH))


# Bodies that are too large for a table, made where a row names them.
FILES = {
    "bomb.gz": bomb,
    "64M": lambda: b'{"id":"cgt-1","pad":"' + (64 << 20) * b"a" + b'"}',
    "wide": lambda: b'{"id":"cgt-1","a":[0' + (1 << 19) * b",0" + b"]}",
    "deep": lambda: b'{"id":"cgt-1","a":' + 100000 * b"[" + 100000 * b"]" + b"}",
    "deep-open": lambda: b'{"id":"cgt-1","a":' + 100000 * b"[",
}


def tables():
    """{section: (what becomes of it, its lines)}"""
    found = {}
    for path in sorted(glob.glob(TESTS + "/faults/*.table")):
        name = None
        for line in open(path, encoding="utf-8").read().splitlines():
            if line.startswith("== "):
                name, _, becomes = line[3:].partition(" ")
                assert name not in found, f"two sections are called {name}"
                found[name] = (dict(part.split(": ", 1) for part in becomes.strip().split("; ") if ": " in part), [])
            elif line and not line.startswith("#"):
                found[name][1].append(line)
    return found


def parse(lines, texts):
    """(name, response, expected) of each line"""
    assert lines, "an empty table proves nothing"
    for line in lines:
        name, response, expected = (part.strip() for part in line.split("|"))
        for mark, text in texts.items():
            response = response.replace(mark, text)
        yield name, json.loads(response), expected


def words():
    return dict(re.split(r" *\| *", line) for line in tables()["words"][1])


def rows():
    known = words()
    for name, response, expected in parse(open(DIRECTORY + "/rows", encoding="utf-8").read().splitlines(), TEXTS):
        yield name, response, known.get(expected, expected)


def choose(*sections):
    """Takes these sections' rows for what follows."""
    lines = [line for section in sections for line in tables()[section][1]]
    with open(DIRECTORY + "/rows", "w", encoding="utf-8") as file:
        file.writelines(line + "\n" for line in lines)
    for name, make in FILES.items():
        if any(f"@DIR@/{name}\"" in line for line in lines):
            with open(f"{DIRECTORY}/{name}", "wb") as file:
                file.write(make())


def becomes(kind, *sections):
    """Prints what becomes of these sections' rows."""
    found = {tables()[section][0][kind] for section in sections}
    assert len(found) == 1, f"several things become of them: {found}"
    print(*found)


def check_tables():
    players = "\n".join(re.findall(r"^.*\b(?:play|create_rows|poll_rows|create_unknown|choose|media-\w+)\b.*$", "".join(
        open(path, encoding="utf-8").read() for path in glob.glob(TESTS + "/e2e/faults_*")), re.M))
    code = 0
    known = words()
    for section, (_, lines) in tables().items():
        try:
            if section == "words":
                continue
            assert re.search(rf"(?<![\w-]){re.escape(section)}(?![\w-])", players), "no test of faults_* plays it"
            # What only a run knows is a number here, as a text and as a value.
            texts = {**TEXTS, **dict.fromkeys(re.findall(r"@[A-Z0-9+-]+@", "".join(lines)), "1")}
            names = [name for name, _, _ in parse(lines, {**texts, **TEXTS})]
            assert len(names) == len(set(names)), "two rows have one name"
            for line in lines:
                word = line.split("|")[2].strip()
                assert not word.startswith("$") or word in known, f"{word} is not in words.table"
        except (AssertionError, ValueError) as problem:
            print(f"tests/faults, section {section}: {problem}", file=sys.stderr)
            code = 1
    sys.exit(code)


def read(name, file):
    with open(f"{MOUNT}/jobs/{name}/{file}", encoding="utf-8") as f:
        return f.read()


def status_json(name):
    return json.loads(read(name, "status.json"))


def fail(name, why):
    print(f"{name}: {why}", file=sys.stderr)
    for file in "status", "error", "status.json", "log":
        if os.path.exists(f"{MOUNT}/jobs/{name}/{file}"):
            print(f"--- {file}\n{read(name, file)}", file=sys.stderr)
    sys.exit(1)


def check(condition, name, why):
    if not condition:
        fail(name, why)


def wait(name, seconds, condition, why):
    """Waits for a condition, which may be false for as long as its files are not there."""
    end = time.monotonic() + seconds
    while True:
        try:
            if condition():
                return
        except FileNotFoundError:
            pass
        if time.monotonic() > end:
            fail(name, f"waited {seconds} s in vain: {why}")
        time.sleep(0.02)


def scenario(kind):
    """Prints the rules for requests of a kind."""
    rules = []
    for name, response, _ in rows():
        for ours, theirs in ("bytes", "body_base64"), ("raw_bytes", "raw_base64"):
            if ours in response:
                response[theirs] = base64.b64encode(response.pop(ours).encode("latin-1")).decode()
        when = {key: response.pop(key) for key in ("n", "from", "to", "every", "times") if key in response}
        rules.append({"kind": kind, "prompt_contains": f"[{name}]", **when, "response": response})
    print(json.dumps({"rules": rules}))


def write():
    """Submits all jobs, as fast as it can be typed."""
    for name, _, _ in rows():
        os.mkdir(f"{MOUNT}/jobs/{name}")
        with open(f"{MOUNT}/jobs/{name}/prompt.json", "w", encoding="utf-8") as f:
            json.dump({"prompt": f"[{name}]"}, f)


def state(word, seconds="20"):
    """Waits until all jobs are in a state."""
    for name, _, _ in rows():
        wait(name, float(seconds), lambda: read(name, "status") == word + "\n", f"not {word}")


def requests():
    """The simulator's log; it may be writing the last line at this moment."""
    with open(DIRECTORY + "/requests.jsonl", encoding="utf-8") as file:
        return [json.loads(line) for line in file.read().split("\n")[:-1]]


def creates(number, most=None):
    """The service has seen so many creates for each job."""
    seen = [
        line.get("body") or ""
        for line in requests()
        if line["kind"] == "create"
    ]
    for name, _, _ in rows():
        count = sum(f"[{name}]" in body for body in seen)
        check(int(number) <= count <= int(most or number), name, f"{count} creates")


def says(file):
    """The row's words, and nothing that only a programmer understands."""
    for name, _, sentence in rows():
        text = status_json(name)["reason"] if file == "reason" else read(name, file)
        check(sentence in (text or ""), name, f'no "{sentence}" in {file}: {text}')
        for jargon in "Invalid argument", "errno", "HTTP 0", "(null)", ": .", "..", "\n\n":
            check(jargon not in text, name, f'"{jargon}" in {file}: {text}')


def unknown():
    """All that a user needs for deciding what to do about money that may be gone."""
    state("unknown")
    says("error")
    count = 0
    for name, _, sentence in rows():
        error, known = read(name, "error"), status_json(name)
        count += 1
        check("It is not known whether the service created a task: " in error, name, "no summary")
        check(f"was sent at {known['submitted_at']};" in error, name, "it does not say when")
        check("about 1.00 USD may have been charged" in error, name, "it does not say how much")
        check("Nothing is sent again by itself" in error, name, "it does not say what it does")
        check("echo 'adopt TASK_ID' > ctl" in error, name, "no way out: adopt")
        check("echo retry > ctl" in error, name, "no way out: retry")
        check("at risk" in read(name, "cost"), name, "cost does not say at risk")
        check(known["state"] == "unknown" and not known["task_id"], name, "status.json")
        http = re.search(r"\bHTTP ([0-9]{3})\b", error)
        status = int(http[1]) if http else None
        check(known["error"]["http_status"] == status, name, "another http_status")
        request = re.search(r"equest id: (\S+)", error)
        check(known["error"]["request_id"] == (request and request[1].rstrip(".")), name,
              "another request_id")
    ledger = json.load(open(MOUNT + "/spend.json", encoding="utf-8"))
    check(ledger["at_risk"] == f"{count}.00", name, f"at risk: {ledger['at_risk']}")


def shown(text):
    """A body as response.json shows it: what would act on a terminal is written out (S-FILE-15)."""
    def byte(character):
        number = ord(character)
        if number < 0x80 and (number >= 0x20 or character in "\n\t") and number != 0x7f:
            return character
        return f"\\u{number:04x}" if number < 0x80 else f"\\x{number:02x}"
    return "".join(map(byte, text))


def kept():
    """response.json is the response's body as it came, with what would act on a terminal written out."""
    for name, response, _ in rows():
        text = response.get("bytes", response.get("body"))
        if text is None:
            continue
        want = text + ("\n" if text and not text.endswith("\n") else "")
        with open(f"{MOUNT}/jobs/{name}/response.json", encoding="latin-1", newline="") as f:
            check(f.read() in (want, shown(want)), name, "response.json is not what came")


def has_task():
    """An id was received: whatever else was odd, it is followed, and never asked for again."""
    for name, _, _ in rows():
        wait(name, 20, lambda: status_json(name)["task_id"], "no task")
        check(read(name, "status").strip() in ("queued", "running", "succeeded", "failed", "lost"),
              name, "it is not followed")


def rejected():
    """What the service does not like about the request, and that nothing was charged."""
    state("rejected")
    says("error")
    for name, response, _ in rows():
        error, known = read(name, "error"), status_json(name)
        check(f"refused the request (HTTP {response['status']}" in error, name, "no HTTP status")
        check("No task was created and nothing was charged." in error, name, "charged?")
        check("change prompt.json or write it once more" in error, name, "no way out")
        check("0.00 USD (not charged: rejected" in read(name, "cost"), name, "cost")
        check(known["error"]["http_status"] == response["status"], name, "http_status")
        check(known["finished_at"] and not known["task_id"], name, "status.json")


def gaps(least_ms):
    """Between the first and the second create of each job: not less than told."""
    times = {}
    for line in requests():
        if line["kind"] == "create":
            times.setdefault(json.loads(line["body"])["prompt"], []).append(line["time_ms"])
    for name, _, _ in rows():
        first, second = times[f"[{name}]"]
        check(second - first >= int(least_ms), name, f"{second - first} ms between the two")


def stale():
    """The last good state stays, and reason says that and why nothing new is known."""
    for name, _, _ in rows():
        wait(name, 20, lambda: (status_json(name)["reason"] or "").startswith("stale: "), "not stale")
        check(read(name, "status") == "running\n", name, "it has lost its state")
        check(status_json(name)["task_id"], name, "it has lost its task")
    says("reason")


def refused():
    """A refusal is shown with what to do about it; the task is named, because it goes on."""
    for name, response, sentence in rows():
        error = read(name, "error")
        check(sentence in error or "it gave no reason." in error, name, f'no "{sentence}" in error')
        check(status_json(name)["error"]["http_status"] == response["status"], name, "http_status")
        check(f"(HTTP {response['status']})" in error, name, "no HTTP status")
        check(status_json(name)["task_id"] in error, name, "no task")
        check("every minute" in error, name, "when is it asked again?")


def strange():
    """A response that makes sense as HTTP and JSON but not as a step forward."""
    for name, _, sentence in rows():
        wait(name, 20, lambda: sentence in (status_json(name)["reason"] or ""), "not shown")
        check(read(name, "status") == "running\n", name, "it has lost its state")
        check(not os.path.exists(f"{MOUNT}/jobs/{name}/error"), name, "no reason for an error")


def recovered():
    """Once the fault has ended, all is well and no trace of it is left."""
    state("succeeded")
    for name, _, _ in rows():
        known = status_json(name)
        check(known["reason"] is None and known["error"] is None, name, "a complaint is left")
        check(not os.path.exists(f"{MOUNT}/jobs/{name}/error"), name, "error is left")
        check(os.path.getsize(f"{MOUNT}/jobs/{name}/output.mp4") > 0, name, "no video")


if __name__ == "__main__":
    if DIRECTORY == "--check":
        check_tables()
    globals()[sys.argv[2]](*sys.argv[3:])
