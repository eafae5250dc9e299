"""Two threads of a worker come to the probe's fork that has ended, the second while the first waits for it. Prints what the probe
killed, and how often it waited."""
import os
import posix
import sys
import threading

import dropleak_probe as probe

waitpid, waited = os.waitpid, []
posix.kill = lambda *what: print("kills", *what)
heap = probe.Heap()
heap.page = bytes(8)
heap.child = os.fork()
if heap.child == 0:
    os._exit(0)
os.waitid(os.P_PID, heap.child, os.WEXITED | os.WNOWAIT)  # it is over, and not yet reaped


def again():
    heap.due = 0.0
    if sys.argv[1] == "between":
        heap.between(0)
    else:
        heap.reap(1.0)


def meanwhile(pid, flags):
    waited.append(pid)
    if len(waited) == 1:
        second = threading.Thread(target=again)
        second.start()
        second.join()
    return waitpid(pid, flags)


os.waitpid = meanwhile
again()
again()
print("waited", len(waited), "child", heap.child, "locked", heap.lock.locked())
