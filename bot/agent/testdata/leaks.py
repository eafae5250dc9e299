"""A Celery application with the four classic leaks, each in a task of its own, and one that does not leak."""
import ctypes
import gc
import os

import dropleak_probe  # noqa: F401
from celery import Celery

app = Celery("leaks", broker=os.environ["BED_BROKER"])
app.conf.task_ignore_result = True
app.conf.broker_connection_retry_on_startup = True

cache = {}
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p


class Invoice:
    def __init__(self, number):
        self.number = number


class Node:
    pass


class Handle:
    pass


@app.task(name="leaks.cache")
def cached(n):
    for _ in range(n):
        cache[len(cache)] = Invoice("hunter2")


@app.task(name="leaks.cycles")
def cycles(n):
    gc.disable()
    for _ in range(n):
        a, b = Node(), Node()
        a.other, b.other = b, a


@app.task(name="leaks.files")
def files(n):
    opened.extend(open(os.devnull) for _ in range(n))


opened = []


@app.task(name="leaks.native")
def native(n):
    for _ in range(n):
        ctypes.memset(libc.malloc(100_000), 1, 100_000)


@app.task(name="leaks.none")
def none(n):
    return n
