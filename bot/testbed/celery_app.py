"""A Celery application with tasks that leak and tasks that do not. Run as a program, it sends them at a steady rate:

    python3 app.py TASK AMOUNT SECONDS COUNT QUEUE
"""
import os
import sys
import time

from celery import Celery

app = Celery("app", broker=os.environ["BED_BROKER"])
app.conf.task_ignore_result = True
app.conf.broker_connection_retry_on_startup = True

kept = []
opened = []


@app.task(name="app.leak")
def leak(size):
    kept.append(os.urandom(1) * size)


@app.task(name="app.steady")
def steady(size):
    return len(os.urandom(1) * size)


@app.task(name="app.descriptors")
def descriptors(count):
    opened.extend(open("/dev/null") for _ in range(count))


def send(task, amount, seconds, count, queue):
    sent = 0
    due = time.monotonic()
    while count == 0 or sent < count:
        app.send_task(task, args=[amount], queue=queue)
        sent += 1
        due += seconds
        time.sleep(max(0.0, due - time.monotonic()))


if __name__ == "__main__":
    send(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4]), sys.argv[5])
