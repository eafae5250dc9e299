"""Tasks whose fate at a restart is recorded: a line for each begin and each end. Run as a program, it sends them, for each
line BROKER running|waiting|last on its standard input, and says when that is done.
"""
import os
import sys
import time

from celery import Celery
from celery.signals import worker_shutting_down
from kombu.transport.redis import Channel, QoS

app = Celery("fate", broker=os.environ.get("BED_BROKER"))
app.conf.task_ignore_result = True
app.conf.broker_connection_retry_on_startup = True
Channel._brpop_start.__defaults__ = (float(os.environ.get("FATE_ASKS", "1")),)  # seconds that it asks for tasks at a time
QoS.restore_visible.__defaults__ = (0, 10, 1)  # look for what is due every 10 seconds, not every 100


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


def feed(connection, what):
    if what == "running":
        send(early, "early", connection=connection)
        send(late, "late", connection=connection)
        send(rejected, "rejected", connection=connection)
    elif what == "waiting":
        send(early, "reserved", connection=connection)
        send(early, "eta", countdown=20, connection=connection)
    else:
        send(early, "last", connection=connection)


if __name__ == "__main__":
    for line in sys.stdin:
        broker, what = line.split()
        with app.connection_for_write(broker) as connection:
            feed(connection, what)
        print("sent", flush=True)
