"""Tells the dropleak agent on this machine which Celery tasks ran in which process.

Put this file beside your Celery application and import it there, once:

    import dropleak_probe

It needs Python 3.9 or newer and Celery 5, and nothing else. After each task it sends one small datagram to the agent's
socket: how often this process has run the task, and when this run began and ended. It never waits: a datagram that
finds no room is dropped, and a later one makes it good, since it counts from the start of the process. Without an
agent it does nothing. Task arguments, results and ids stay where they are.

To be rid of it, remove the import.
"""
import _socket
import _thread
import os
import time

from celery.signals import task_postrun, task_prerun

SOCKET = os.environ.get("DROPLEAK_PROBE_SOCKET", "/run/dropleak-agent/probe.sock")
RETRY = 10.0  # seconds between two looks for an agent that is not there
MOST = 1000  # task names counted, and tasks taken to run at once, in one process


class Reporter:
    """What one process has run, and the way to the agent. A fork begins anew."""

    def __init__(self):
        self.pid = os.getpid()
        self.lock = _thread.allocate_lock()
        self.begun = {}  # by task id
        self.counts = {}  # by task name: the name in bytes and how often it ran
        self.beside = 0
        self.late = {}  # reports that found no room, by task name
        self.wire = None
        self.look = 0.0  # when to look for the agent again

    def begin(self, task_id):
        with self.lock:
            if len(self.begun) < MOST:
                self.begun[task_id] = time.time()
            if len(self.begun) > 1:
                self.beside += 1

    def end(self, task_id, name):
        with self.lock:
            begun = self.begun.pop(task_id, None)
            if begun is None:
                return  # it began before this process was watched
            count = self.counts.get(name)
            if count is None:
                if len(self.counts) >= MOST:
                    return
                count = self.counts[name] = [name.encode("utf-8", "replace")[:400], 0]
            count[1] += 1
            # Within the lock, so that counts arrive in order.
            report = b"1 %d %d %.3f %.3f %s" % (count[1], self.beside, begun, time.time(), count[0])
            if self.late:
                self.late.pop(name, None)
            if self.send(name, report) and self.late:
                self.send(*self.late.popitem())

    def send(self, name, report):
        if self.wire is None and not self.connect():
            return False
        try:
            self.wire.send(report)
            return True
        except BlockingIOError:
            self.late[name] = report  # the agent is busy
        except OSError:
            self.wire.close()  # the agent is gone
            self.wire = None
        return False

    def connect(self):
        now = time.monotonic()
        if now < self.look:
            return False
        self.look = now + RETRY
        # The socket of C: that of an eventlet or gevent worker would wait for its loop.
        wire = _socket.socket(_socket.AF_UNIX, _socket.SOCK_DGRAM)
        try:
            wire.setblocking(False)
            wire.connect(SOCKET)
        except OSError:
            wire.close()
            return False
        self.wire = wire
        return True


reporter = Reporter()


def current():
    """The reporter of this process: a forked child must not go on with its parent's counts."""
    global reporter
    if reporter.pid != os.getpid():
        if reporter.wire is not None:
            reporter.wire.close()
        reporter = Reporter()
    return reporter


def began(task_id=None, task=None, **_):
    if not nested(task):
        current().begin(task_id)


def ended(task_id=None, task=None, **_):
    if not nested(task):
        current().end(task_id, task.name)


def nested(task):
    """Whether a task runs inside another by a plain call: that is the outer one's doing."""
    return bool(getattr(task.request, "is_eager", False))


task_prerun.connect(began, weak=False, dispatch_uid="dropleak-probe-began")
task_postrun.connect(ended, weak=False, dispatch_uid="dropleak-probe-ended")
