"""Runs tasks under the probe, in the place of a worker, as the first argument says. Prints what is reported of each, its times left
out, and how many others the probe takes to run on then."""
import os
import socket
import sys
import threading

kind = sys.argv[1]
agent = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
agent.bind(os.environ["DROPLEAK_PROBE_SOCKET"])
agent.setblocking(False)
import dropleak_probe as probe  # noqa: E402


class Task:
    name = "app.task"

    class request:
        is_eager = False


def begin(task_id):
    probe.began(task_id=task_id, task=Task)


def end(task_id):
    probe.ended(task_id=task_id, task=Task)
    try:
        _, count, beside, _, _, name = agent.recv(4096).decode().split()
    except BlockingIOError:
        count = beside = name = "none"
    print(task_id, name, count, beside, len(probe.current().begun))


def imports(task_id):
    import greenlet  # noqa: F401


def run(task_id, does=lambda task_id: None):
    begin(task_id)
    does(task_id)
    end(task_id)


def beside(task_id):
    """Another thread's task, whose library imports greenlet too, begins before this one's and ends after it."""
    begun, over = threading.Event(), threading.Event()

    def other():
        begin("other")
        begun.set()
        over.wait()
        end("other")

    thread = threading.Thread(target=other)
    thread.start()
    begun.wait()
    run(task_id, imports)
    over.set()
    thread.join()


assert "greenlet" not in sys.modules
if kind == "imports":
    run("a", imports)
if kind == "beside":
    beside("a")
if kind == "unseen":
    end("a")
if kind == "untold":
    begin("a")  # and its end is never told
    end("b")
run("c")
run("d")
