"""Holds the queries of the alerts and of the dashboard against what the collector has written.

    check_monitoring.py METRICS RULES DASHBOARD OUT

METRICS is what seedancefs-metrics made of a mount with a budget. Each query may name only series and labels that are in
there, or node_exporter's own. OUT gets all queries as a file of rules, whose syntax promtool then checks.
"""
import json
import re
import sys

NODE_EXPORTER = {"node_textfile_mtime_seconds": {"file": None}}
ADDED = {"instance", "job", "mount"}  # by Prometheus, and by the collector
PANELS = {"row", "stat", "timeseries"}


def series_of(path):
    """Each family's labels, with all their values."""
    families = {}
    with open(path, encoding="utf-8") as file:
        for line in file:
            if match := re.match(r"(seedancefs_[a-z_]+)(?:\{(.*)\})? \S+$", line):
                labels = families.setdefault(match[1], {})
                for label, value in re.findall(r'([a-z_]+)="([^"]*)"', match[2] or ""):
                    labels.setdefault(label, set()).add(value)
    assert len(families) > 30, "these are not the metrics of a mount"
    return families


def check_query(query, families):
    names = re.findall(r"\b((?:seedancefs|node)_[a-z_]+)\b(\{[^}]*\})?", query)
    assert names, f"no metric: {query}"
    known = set(ADDED)
    for name, matchers in names:
        assert name in families, f"no metric {name}: {query}"
        known |= set(families[name])
        for label, operator, text in re.findall(r'([a-z_]+)(=~|!~|!=|=)"([^"]*)"', matchers):
            assert label in ADDED or label in families[name], f"{name} has no label {label}: {query}"
            values = families[name].get(label)
            if label in ADDED or values is None:
                continue
            for value in text.split("|") if "~" in operator else [text]:
                assert value in values, f'{name} has no {label}="{value}": {query}'
    for labels in re.findall(r"\b(?:by|without|on|ignoring) \(([^)]*)\)", query):
        for label in labels.split(", "):
            assert label in known, f"none has the label {label}: {query}"


def check_texts(texts, query, families):
    """What a text fills in from the labels of its query."""
    known = ADDED.union(*(families[name] for name in re.findall(r"\b(?:seedancefs|node)_[a-z_]+\b", query)))
    for text in texts:
        for label in re.findall(r"\$labels\.([a-z_]+)", text) + re.findall(r"\{\{([a-z_]+)\}\}", text):
            assert label in known, f"no label {label}: {text}"


def alerts_of(path):
    """Query and texts of each alert, from the part of YAML in which the rules are written."""
    with open(path, encoding="utf-8") as file:
        text = re.sub(r">-\n\s+", "", file.read())
    for block in text.split("- alert: ")[1:]:
        query = re.search(r"\n\s+expr: (.*?)\n\s+(?:for|labels):", block, re.S)[1]
        yield re.sub(r"\s+", " ", query), re.findall(r'(?:summary|description): "(.*)"', block)


def check_dashboard(path, families):
    """What Grafana needs to import it; returns its queries."""
    with open(path, encoding="utf-8") as file:
        board = json.load(file)
    assert board["title"] and board["uid"] and board["id"] is None and board["schemaVersion"] >= 36
    variables = {variable["name"]: variable for variable in board["templating"]["list"]}
    assert variables["datasource"]["type"] == "datasource" and variables["datasource"]["query"] == "prometheus"
    name, label = re.fullmatch(r"label_values\((\w+), (\w+)\)", variables["mount"]["query"]["query"]).groups()
    assert label in families[name], "the variable mount"
    queries, taken, ids = [], set(), set()
    for panel in board["panels"]:
        assert panel["type"] in PANELS and panel["title"] and panel["id"] not in ids, panel["title"]
        ids.add(panel["id"])
        place = panel["gridPos"]
        assert 0 <= place["x"] and place["x"] + place["w"] <= 24, panel["title"]
        cells = {(x, y) for x in range(place["x"], place["x"] + place["w"]) for y in range(place["y"], place["y"] + place["h"])}
        assert not cells & taken, f"{panel['title']} lies over another panel"
        taken |= cells
        if panel["type"] == "row":
            continue
        assert panel["datasource"]["uid"] == "${datasource}" and panel["targets"], panel["title"]
        assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"]), panel["title"]
        for target in panel["targets"]:
            assert target["datasource"]["uid"] == "${datasource}", panel["title"]
            assert 'mount=~"$mount"' in target["expr"], f"{panel['title']} is of all mounts"
            query = target["expr"].replace("$__rate_interval", "5m").replace("$mount", ".*")
            assert "$" not in query, query
            check_query(query, families)
            check_texts([target["legendFormat"]], query, families)
            queries.append(query)
    return queries


def main(metrics, rules, dashboard, out):
    families = series_of(metrics) | NODE_EXPORTER
    queries = check_dashboard(dashboard, families)
    for query, texts in alerts_of(rules):
        check_query(query, families)
        check_texts(texts, query, families)
        queries.append(query)
    with open(out, "w", encoding="utf-8") as file:
        rows = [{"record": f"checked:{i}", "expr": query} for i, query in enumerate(queries)]
        json.dump({"groups": [{"name": "checked", "rules": rows}]}, file)


if __name__ == "__main__":
    main(*sys.argv[1:])
