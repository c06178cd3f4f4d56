"""The tables of faults_*.bats, on a real mount:  fault_rows.py DIRECTORY COMMAND [ARGUMENT]...

DIRECTORY has `rows`, `mnt` and `requests.jsonl`. A line of rows is "name|response|sentence": a job, what becomes of
its request ("response" of src/sim/scenario.h), and words that its user has to read. "bytes" and "raw_bytes" in an
response are Latin-1 text for body_base64 and raw_base64; n, from, to, every and times stand in it, too. Each job's prompt
is "[name]", which is how rules and requests are told apart; so many jobs share one mount.
"""
import base64
import json
import os
import re
import sys
import time

DIRECTORY = sys.argv[1]
MOUNT = DIRECTORY + "/mnt"
WORDS = {
    "$bad": "the response was not valid HTTP",
    "$broke": "the connection broke before the response was complete",
    "$early": "the JSON text ends too early",
    "$json": "the text is not valid JSON",
    "$large": "the response was larger than allowed",
    "$limit": "the JSON text is larger or deeper than allowed",
    "$no_task": "the response describes no usable task",
    "$other": "the response is about another task",
    "$policy": "the address is not allowed by the URL policy",
    "$redirect": "a redirect to another address, which is never followed",
}
TEXTS = {
    "@DIR@": DIRECTORY,
    "@LONG@": "/" + 5000 * "x",
    "@TAIL@": r'\r\nContent-Length: 14\r\n\r\n{\"id\":\"cgt-1\"}',
}


def rows():
    lines = open(DIRECTORY + "/rows", encoding="utf-8").read().splitlines()
    assert lines, "an empty table proves nothing"
    for line in lines:
        name, response, sentence = line.split("|")
        for mark, text in TEXTS.items():
            response = response.replace(mark, text)
        yield name, json.loads(response), WORDS.get(sentence, sentence)


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
        check("write it again to start a new attempt" in error, name, "no way out")
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


globals()[sys.argv[2]](*sys.argv[3:])
