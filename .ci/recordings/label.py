"""Turns what town.py left into recordings: the service's export with a second counted as a minute, the executions of nodes with
several tasks, and labels from what the tasks wrote down.

    label.py FOLDER OUT
"""
import csv
import gzip
import io
import json
import os
import sys

SCALE = 60
SAID = ["time", "worker", "slot", "role", "pid", "ppid", "start", "rss", "pss", "uss", "swap", "cpu", "held"]
folder, out = sys.argv[1:3]
nodes = json.load(open(os.path.join(folder, "nodes.json")))


def packed(path):
    """A gzip file without the time of its making, so that equal data are equal files."""
    raw = gzip.GzipFile(os.path.join(out, path), "wb", 9, mtime=0)
    return io.TextIOWrapper(raw, newline="")


def lines(name, file):
    path = os.path.join(folder, name, file)
    return open(path).read().split("\n")[:-1] if os.path.exists(path) else []


def scaled(at):
    return round((float(at) - origin) * SCALE, 1)


def held(name):
    """How many tasks the parent held until their time, by moment; None where none were sent."""
    spans = [tuple(map(float, line.split(","))) for line in lines(name, "held.csv")]
    return (lambda at: sum(sent <= at < due for sent, due in spans)) if spans else None


os.makedirs(out, exist_ok=True)
labels = []
for n in nodes:
    rows = list(csv.DictReader(open(os.path.join(folder, n["name"], "export.csv"))))
    origin = n["began"]
    count = held(n["name"])
    with packed(n["name"] + ".csv.gz") as f:
        w = csv.DictWriter(f, [c for c in SAID if c != "held" or count], extrasaction="ignore", lineterminator="\n")
        w.writeheader()
        for r in rows:
            r["worker"] = n["name"]
            if count and r["role"] == "parent":
                r["held"] = count(float(r["time"]))
            r["time"], r["start"], r["cpu"] = scaled(r["time"]), scaled(r["start"]), round(float(r["cpu"] or 0) * SCALE, 1)
            w.writerow(r)
    if len(n["tasks"]) > 1:
        with packed(n["name"] + ".tasks.jsonl.gz") as f:
            for line in lines(n["name"], "tasks.jsonl"):
                run = json.loads(line)
                run["begin"], run["end"] = scaled(run["begin"]), scaled(run["end"])
                f.write(json.dumps(run, separators=(",", ":")) + "\n")
    kept = [line.split(",") for line in lines(n["name"], "ledger.csv")]
    label = dict(file=n["name"], pool=n["pool"], label=n["label"], leaky_task="", leaked_bytes=0, rate_bytes_per_hour=0, onset="")
    if kept:
        first, last = scaled(kept[0][0]), max(scaled(k[0]) for k in kept)
        label["leaked_bytes"] = sum(int(k[2]) for k in kept)
        label["rate_bytes_per_hour"] = round(label["leaked_bytes"] / max(last - first, 1) * 3600)
        label["onset"] = first
        label["leaky_task"] = "".join(t for t, does in n["tasks"].items() if "leak" in does)
    labels.append(label)
with open(os.path.join(out, "labels.csv"), "w", newline="") as f:
    w = csv.DictWriter(f, labels[0].keys(), lineterminator="\n")
    w.writeheader()
    w.writerows(labels)
