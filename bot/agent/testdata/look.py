"""Has the probe of this process looked at twice, in the place of an agent, and prints what it says. A folder comes first,
then what the process is like: refuse has no room, beside runs other tasks, short has two of four looks cut short, greedy a part that
takes half a GiB, endless and busy one that never ends; else it leaks between the looks."""
import json
import os
import socket
import sys
import threading
import time
import tracemalloc

folder, kind = sys.argv[1], sys.argv[2]
os.environ["DROPLEAK_PROBE_SOCKET"] = os.path.join(folder, "probe.sock")
import dropleak_probe as probe  # noqa: E402

tracemalloc.start()
probe.LONGEST, probe.BUSY = 300.0, 120  # the machine that tests may be busy
listener = socket.socket(socket.AF_UNIX)
listener.bind(os.path.join(folder, "answer.sock"))
listener.listen(5)
kept = []


class Secret(str):
    def __repr__(self):
        raise SystemExit("somebody asked for a value")

    def __del__(self):
        open(os.path.join(folder, "finalised"), "w").close()

    __len__ = __iter__ = __hash__ = __eq__ = __sizeof__ = __repr__


class Task:
    name = "app.leak"

    class request:
        is_eager = False


def look(until):
    ask = os.path.join(folder, "ask")
    with open(ask + ".new", "w") as f:
        json.dump({"pid": os.getpid(), "until": time.time() + until}, f)
    os.rename(ask + ".new", ask)
    here = probe.current()
    here.heap.due = 0
    if kind == "beside":
        threading.Thread(target=probe.began, kwargs={"task_id": "other", "task": Task}).start()
    probe.began(task_id="this", task=Task)
    probe.ended(task_id="this", task=Task)
    for line in listener.accept()[0].makefile():
        sys.stdout.write(line)
    while here.heap.child:
        here.heap.due = 0
        probe.began(task_id="next", task=Task)
        probe.ended(task_id="next", task=Task)


def fill(then):
    """Leaks, and has the next look cut short before it counts objects, or not."""
    kept.extend(Secret("hunter2") for _ in range(500))
    probe.Look.objects = whole if then == "whole" else objects


def objects(self):
    os._exit(0)


def malloc(self):
    kept.append(bytearray(512 << 20))


whole = probe.Look.objects
if kind == "short":
    for then in ("short", "whole", "short", "whole"):
        fill(then)
        look(300)
        print()
    sys.stdout.flush()
    os._exit(0)
if kind == "greedy":
    probe.Look.malloc = malloc
if kind == "endless":
    probe.LONGEST = 2.0
    probe.Look.objects = lambda self: any(iter(int, 1))
if kind == "busy":
    probe.BUSY = 1
    probe.Look.objects = lambda self: any(iter(int, 1))
if kind == "refuse":
    probe.status = lambda *keys: [1 << 50] * len(keys)
look(1.4 if kind == "beside" else 300)
if kind == "leak":
    kept.extend(Secret("hunter2") for _ in range(500))
    look(300)
    kept[:] = [s for s in kept[:0]] if os.path.exists(os.path.join(folder, "finalised")) else kept
    sys.stdout.flush()
    os._exit(3 if os.path.exists(os.path.join(folder, "finalised")) else 0)
