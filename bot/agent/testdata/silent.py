"""A Celery application whose processes have reasons not to say what they hold."""
import os
import time

import dropleak_probe as probe
from celery import Celery

app = Celery("silent", broker=os.environ["BED_BROKER"])
app.conf.task_ignore_result = True
app.conf.broker_connection_retry_on_startup = True

kept = []
humble = probe.humble


def hangs(seconds):
    """The fork, before it has set its own time limit. The next one is as shipped."""
    while True:
        time.sleep(60)


@app.task(name="silent.hang")
def hang(n):
    """Has the next fork of this process hang."""
    fork = probe.current().heap.fork

    def once(wire, seconds):
        heap = probe.current().heap
        heap.fork, probe.humble = fork, hangs
        try:
            fork(wire, min(seconds, 2.0))
        finally:
            probe.humble = humble

    probe.current().heap.fork = once


@app.task(name="silent.sleep")
def sleep(n):
    """Grows, and runs until the test is over."""
    kept.append(os.urandom(1) * n)
    time.sleep(3600)


@app.task(name="silent.nothing")
def nothing(n):
    return n
