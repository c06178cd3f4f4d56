"""Holds a file against the Prometheus text format, stricter than its readers need: each family with HELP and TYPE once,
before its samples and in one piece, no series twice, counters named _total. Then prometheus_client has to read it.

    check_metrics.py FILE [SERIES=VALUE]...     SERIES without the program's name; >=VALUE: at least so much
"""
import math
import re
import sys

from prometheus_client.parser import text_string_to_metric_families

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
LABELS = r'\{(?:[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\[\\n"])*"(?:,(?!\})|(?=\})))+\}'
SAMPLE = re.compile(rf"({NAME})({LABELS})?[ \t]+(\S+)")


def check(text):
    families, values, current = {}, {}, None
    assert text.endswith("\n") and "\r" not in text, "lines end with a newline"
    for line in text[:-1].split("\n"):
        if match := re.fullmatch(rf"# HELP ({NAME}) (\S.*)", line):
            current = match[1]
            assert current not in families, f"two families {current}"
            families[current] = None
        elif match := re.fullmatch(rf"# TYPE ({NAME}) (counter|gauge)", line):
            assert match[1] == current and families[current] is None, f"TYPE of another family: {line}"
            families[current] = match[2]
            assert (match[2] == "counter") == current.endswith("_total"), f"the name of {current}"
        else:
            match = SAMPLE.fullmatch(line)
            assert match, f"no line of the format: {line!r}"
            assert match[1] == current and families[current], f"outside its family: {line}"
            series = match[1] + (match[2] or "")
            assert series not in values, f"twice: {series}"
            values[series] = float(match[3])
            assert math.isfinite(values[series]) and values[series] >= 0, line
    for name, kind in families.items():
        assert any(re.match(rf"{name}(\{{|$)", series) for series in values), f"no sample of {name}"
    read = {}
    for family in text_string_to_metric_families(text):
        assert family.documentation and family.type in ("counter", "gauge"), family.name
        for sample in family.samples:
            escaped = {key: re.sub(r'["\\]', r"\\\g<0>", value) for key, value in sample.labels.items()}
            labels = ",".join(f'{key}="{value}"' for key, value in escaped.items())
            read[sample.name + (f"{{{labels}}}" if labels else "")] = sample.value
    assert read == values, "prometheus_client reads something else"
    return values


if __name__ == "__main__":
    with open(sys.argv[1], encoding="utf-8") as file:
        found = check(file.read())
    wrong = []
    for wanted in sys.argv[2:]:
        series, value = wanted.rsplit("=", 1)
        is_least = series.endswith(">")
        have = found["seedancefs_" + series.removesuffix(">")]
        if have < float(value) or (have > float(value) and not is_least):
            wrong.append(f"{wanted}: it is {have:.15g}")
    if wrong:
        sys.exit("\n".join(wrong))
