"""The Celery application of .ci/record: tasks that leak, or hold memory for a while, in ways that are known.

What a node does stands in the environment (NODE, a row of nodes.py). Every execution is written to $LOGS/tasks.jsonl, and
every byte that a task keeps for good to $LOGS/ledger.csv, with the size of the objects as Python or malloc counts them.
"""
import collections
import ctypes
import gc
import json
import os
import random
import socket
import sys
import threading
import time

from celery import Celery, signals

NODE = json.loads(os.environ["NODE"])
LOGS = os.environ["LOGS"]
app = Celery("shop", broker=os.environ["BROKER"])
app.conf.update(task_ignore_result=True, broker_connection_retry_on_startup=True, worker_prefetch_multiplier=NODE.get("prefetch", 4),
                worker_enable_remote_control=False, worker_send_task_events=False, task_default_queue=NODE["name"])
files = {}


def log(name, line):
    """Appends a line; each process opens its own file descriptor, and lines are short enough to go out whole."""
    key = (os.getpid(), name)
    if key not in files:
        files[key] = os.open(os.path.join(LOGS, name), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.write(files[key], (line + "\n").encode())


def ledger(size):
    log("ledger.csv", "%.3f,%d,%d" % (time.time(), os.getpid(), size))


def record(size):
    """A row as an ORM would have it: a dict of about size bytes, and what it takes."""
    row = {"id": random.getrandbits(60), "body": random.randbytes(max(size - 400, 16)), "tags": ["t%d" % random.getrandbits(30)]}
    return row, sys.getsizeof(row) + sys.getsizeof(row["body"]) + sys.getsizeof(row["tags"]) + sys.getsizeof(row["tags"][0]) + 32


kept, opened, held, cache, heap = [], [], {}, collections.OrderedDict(), []
local = threading.local()
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
libc.malloc.argtypes = [ctypes.c_size_t]


class Node:
    """Two of them hold each other; without the collector nothing frees them."""

    def __init__(self, body):
        self.body, self.other = body, None


# How a task keeps memory for good. Each returns the bytes it kept.
def leak_cache(size):
    row, took = record(size)
    held[row["id"]] = row
    return took + 100


def leak_cycles(size):
    a, b = Node(random.randbytes(size // 2)), Node(random.randbytes(size // 2))
    a.other, b.other = b, a
    return sys.getsizeof(a.body) + sys.getsizeof(b.body) + 2 * 150


def leak_sockets(size):
    pair = socket.socketpair()
    opened.append((pair, bytearray(size)))
    return size + 400


def leak_malloc(size):
    p = libc.malloc(size)
    ctypes.memset(p, 1, size)
    return size


def leak_local(size):
    if not hasattr(local, "seen"):
        local.seen = []
    row, took = record(size)
    local.seen.append(row)
    return took


def leak_greenlets(size):
    body = bytearray(size)
    if NODE["pool"] == "gevent":
        import gevent
        import gevent.event

        def wait(_):
            gevent.event.Event().wait()
        kept.append(gevent.spawn(wait, body))
    else:
        import eventlet
        import eventlet.event

        def wait(_):
            eventlet.event.Event().wait()
        kept.append(eventlet.spawn(wait, body))
    return size + 1500


LEAKS = {f[5:]: g for f, g in list(globals().items()) if f.startswith("leak_")}


# How a task holds memory without leaking.
def hold_warm(size, limit):
    """A cache of at most limit rows, drawn with a long tail: quick at first, then slower, then full."""
    key = int(limit * random.random() ** 1.5)
    if key not in held:
        held[key] = record(size)[0]


def hold_bounded(size, limit):
    """A cache that is emptied once it is full."""
    row, _ = record(size)
    cache[row["id"]] = row
    if len(cache) >= limit:
        cache.clear()


def hold_revert(size, limit):
    """A heap that is drawn back to limit rows from both sides."""
    for _ in range(random.randint(0, 6)):
        if random.random() < len(heap) / (2 * limit):
            heap and heap.pop(random.randrange(len(heap)))
        else:
            heap.append(record(size)[0])


def hold_rare(size, limit):
    """One call in limit takes size bytes for as long as it runs."""
    if random.randrange(limit) == 0:
        body = bytearray(size)
        time.sleep(0.3)
        del body


HOLDS = {f[5:]: g for f, g in list(globals().items()) if f.startswith("hold_")}
started = time.time()


def work(name):
    """One execution: some garbage, a wait as for a database, and what this task of this node keeps."""
    begin = time.time()
    rows = [record(random.randint(500, 3000))[0] for _ in range(random.randint(5, 40))]
    json.dumps([r["id"] for r in rows])
    time.sleep(random.uniform(*NODE.get("wait", [0.02, 0.2])))
    does = NODE["tasks"][name]
    if "hold" in does:
        HOLDS[does["hold"]](does["size"], does["limit"])
    if "leak" in does and time.time() - float(os.environ["BEGAN"]) >= does.get("after", 0):
        ledger(LEAKS[does["leak"]](int(random.lognormvariate(0, 0.4) * does["size"])))
    log("tasks.jsonl", json.dumps({"pid": os.getpid(), "task": name, "begin": round(begin, 3), "end": round(time.time(), 3)}))


def define(name):
    @app.task(name=name)
    def task(_=""):
        work(name)


for task in NODE["tasks"]:
    define(task)


@signals.worker_process_init.connect
def forked(**_):
    random.seed()
    started_in_child()


def started_in_child():
    if NODE.get("gc") is False:
        gc.disable()


if NODE.get("gc") is False and NODE["pool"] != "prefork":
    gc.disable()

if "parent" in NODE:  # a handler in the parent that remembers every message it sees
    @signals.task_received.connect
    def remember(request=None, **_):
        row, took = record(NODE["parent"])
        kept.append((request.id, row))
        ledger(took + 100)
