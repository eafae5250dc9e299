"""Tasks whose fate at a restart is recorded: a line for each begin and each end. Run as a program, it sends them:

    python3 fate.py running|waiting|last
"""
import os
import sys
import time

from celery import Celery
from celery.signals import worker_shutting_down

app = Celery("fate", broker=os.environ["BED_BROKER"])
app.conf.task_ignore_result = True
app.conf.broker_connection_retry_on_startup = True


def record(what, kind):
    with open(os.environ["FATE_RECORD"], "a") as f:
        f.write("%s %s\n" % (what, kind))


def work(kind):
    record("begin", kind)
    while not os.path.exists(os.environ["FATE_RELEASE"]):
        time.sleep(0.1)
    record("end", kind)


@worker_shutting_down.connect
def stopping(how, **_):
    record("stop", how)


@app.task(name="fate.early")
def early(kind):
    work(kind)


@app.task(name="fate.late", acks_late=True)
def late(kind):
    work(kind)


@app.task(name="fate.rejected", acks_late=True, reject_on_worker_lost=True)
def rejected(kind):
    work(kind)


def send(task, kind, **options):
    task.apply_async(args=[kind], task_id=kind, **options)


if __name__ == "__main__":
    if sys.argv[1] == "running":
        send(early, "early")
        send(late, "late")
        send(rejected, "rejected")
    elif sys.argv[1] == "waiting":
        send(early, "reserved")
        send(early, "eta", countdown=20)
    else:
        send(early, "last")
