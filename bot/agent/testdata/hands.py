"""Tasks that run until their file is there, and a program that sends them:

python3 hands.py QUEUE FILE TASK SECONDS COUNT ..., each with so many seconds to its countdown, 0 for none
"""
import os
import sys
import time

from app import app


def wait(path):
    while not os.path.exists(path):
        time.sleep(0.05)


@app.task(name="hands.early")
def early(path):
    wait(path)


@app.task(name="hands.late", acks_late=True)
def late(path):
    wait(path)


if __name__ == "__main__":
    queue, path, rest = sys.argv[1], sys.argv[2], sys.argv[3:]
    while rest:
        task, seconds, count = rest[0], float(rest[1]), int(rest[2])
        for _ in range(count):
            app.send_task(task, args=[path], queue=queue, countdown=seconds or None)
        rest = rest[3:]
