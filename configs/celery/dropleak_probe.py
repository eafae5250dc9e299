"""Tells the dropleak agent on this machine which Celery tasks ran in which process.

Put this file beside your Celery application and import it there, once:

    import dropleak_probe

It needs Python 3.9 or newer and Celery 5, and nothing else. After each task it sends one small datagram to the agent's
socket: how often this process has run the task, and when this run began and ended. It never waits: a datagram that
finds no room is dropped, and a later one makes it good, since it counts from the start of the process. Without an
agent it does nothing. Task arguments, results and ids stay where they are. Every few seconds the worker's main process
also tells how many tasks it runs, how many of these acknowledge late, and how many it has reserved or holds for their ETA.

Before a worker is restarted the agent may ask one of its processes what it holds, by a file that is looked at between two
tasks, once a second at most. The process then forks; the fork counts objects by type, descriptors by kind and the like,
at a low priority and with bounds on its memory and time, tells the agent, and is gone. It tells types, counts and
places in the source, never values.

To be rid of it, remove the import.
"""
import _signal
import _socket
import _thread
import os
import posix
import sys
import time

from celery.signals import task_postrun, task_prerun, worker_init

SOCKET = os.environ.get("DROPLEAK_PROBE_SOCKET", "/run/dropleak-agent/probe.sock")
ASK = os.path.join(os.path.dirname(SOCKET), "ask")  # what the agent asks, and where it waits for the answer
ANSWER = os.path.join(os.path.dirname(SOCKET), "answer.sock")
RETRY = 10.0  # seconds between two looks for an agent that is not there
EVERY = 5.0  # seconds between two counts of what a worker has on hand
SHARE = 100  # and times as long as one took, which leaves the worker 99 % of its time
MOST = 1000  # task names counted, and tasks taken to run at once, in one process


class Reporter:
    """What one process has run, and the way to the agent. A fork begins anew."""

    def __init__(self):
        self.pid = os.getpid()
        self.lock = _thread.allocate_lock()
        self.begun = {}  # by who runs it: the task's id and when it began
        self.counts = {}  # by task name: the name in bytes and how often it ran
        self.beside = 0
        self.late = {}  # reports that found no room, by task name
        self.wire = None
        self.look = 0.0  # when to look for the agent again
        self.heap = Heap()

    def begin(self, task_id):
        with self.lock:
            if len(self.begun) < MOST:
                self.begun[runner()] = task_id, time.time()  # one whose end was not told is over by now
            if len(self.begun) > 1:
                self.beside += 1

    def end(self, task_id, name):
        with self.lock:
            began_id, begun = self.begun.pop(self.ran(task_id), (None, 0.0))
            if began_id != task_id:
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

    def ran(self, task_id):
        """Who ran a task: whoever ends it, but where that is called otherwise since, as greenlet was imported meanwhile."""
        now = runner()
        if self.begun.get(now, (None,))[0] == task_id:
            return now
        return next((one for one, (began_id, _) in self.begun.items() if began_id == task_id), now)

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

    def tell(self, report):
        """Sends what the next one replaces: without room it is dropped."""
        with self.lock:
            if self.send("", report):
                return
            self.late.pop("", None)

    def connect(self):
        now = time.monotonic()
        if now < self.look:
            return False
        self.look = now + RETRY
        try:  # the socket of C: that of an eventlet or gevent worker would wait for its loop
            wire = _socket.socket(_socket.AF_UNIX, _socket.SOCK_DGRAM)
        except OSError:
            return False  # no descriptor is left
        try:
            wire.setblocking(False)
            wire.connect(SOCKET)
        except OSError:
            wire.close()
            return False
        self.wire = wire
        return True


def runner():
    """Who runs a task here, one at a time: a greenlet where there are any, else a thread."""
    greenlet = sys.modules.get("greenlet")
    return id(greenlet.getcurrent()) if greenlet is not None else _thread.get_ident()


class Heap:
    """What this process holds, told when the agent asks."""

    def __init__(self):
        self.lock = _thread.allocate_lock()  # held by the one thread that looks
        self.due = 0.0  # when to look at the file again
        self.ended = 0.0  # when the task before ended
        self.seen = 0  # which file was dealt with
        self.child = 0
        self.over = 0.0  # when the child is ended, whatever it is at
        self.page = None  # shared with the child, which leaves there what it counted
        self.before = {}  # by part: when a child last counted it, and what

    def between(self, running):
        """Called when a task has ended and so many others run on in this process."""
        now = time.monotonic()
        every, self.ended = now - self.ended, now
        if now < self.due or not self.lock.acquire(False):
            return
        try:
            self.due = now + 1.0
            if self.child:
                self.reap(now)
            written = os.stat(ASK).st_mtime_ns
            if written != self.seen:
                self.consider(written, running, every)
        except Exception:  # nobody asks; and a look must never end a task
            pass
        finally:
            self.lock.release()

    def consider(self, written, running, every):
        """Deals with a question, where a task ends every so many seconds."""
        import json

        with open(ASK) as f:
            ask = json.load(f)
        left = ask["until"] - time.time()
        if inner_pid() not in ask.get("pids", (ask["pid"],)) or left < 0.2:
            self.seen = written
            return
        why = self.busy(running)
        if why and left > 1.5 + 2 * every:
            return  # a task will end before the time is up
        self.seen = written
        wire = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
        try:
            wire.setblocking(False)
            wire.connect(ANSWER)
            try:
                why = why or no_room() or self.fork(wire, min(left - 0.1, LONGEST))
            except Exception as e:
                why = "it could not fork: " + named(type(e))
            if why:
                wire.send(json.dumps({"k": "refused", "text": why}).encode() + b"\n")
        finally:
            wire.close()

    def busy(self, running):
        """What keeps a look waiting, or nothing. A fork copies one thread only: no other may run a task."""
        if self.child:
            return "the fork of an earlier look has not ended yet, pid %d" % self.child
        return "%d other tasks ran on in the process" % running if running else ""

    def fork(self, wire, seconds):
        # What the child needs is loaded before: a lock of the importer may be held by another thread.
        import ast, collections, ctypes, gc, json, marshal, mmap, re, resource  # noqa: E401,F401

        if self.page is None:
            self.page = mmap.mmap(-1, 8 + 2 * KEPT)
        self.page[:8] = bytes(8)
        self.over = time.monotonic() + seconds + 1.0
        self.child = posix.fork()  # not that of os, which gevent replaces
        if self.child == 0:
            try:
                humble(seconds)
                Look(wire, self.page, self.before).take()
            except Exception as e:  # of a part it is told there
                wire.send(json.dumps({"k": "refused", "text": "the look failed: " + named(type(e))}).encode() + b"\n")
            finally:
                os._exit(0)

    def reap(self, now):
        import marshal

        child = self.child  # read once: 0 would stand for the worker's whole process group
        if child <= 0:
            return
        try:
            pid, _ = os.waitpid(child, os.WNOHANG)
        except ChildProcessError:
            pid = child  # somebody else reaped it
        if pid == 0:
            if now > self.over:  # its own timer did not end it, or was not set yet
                posix.kill(child, _signal.SIGKILL)
            return
        self.child = 0
        at, size = divmod(int.from_bytes(self.page[:8], "little"), 1 << 32)
        if size:
            # A child that was cut short has not counted all: the rest stays as it was counted before.
            self.before.update(marshal.loads(self.page[at : at + size]))


KEPT = 1 << 20  # bytes that one look leaves for the next to compare with; there is room for two
BUSY = 8  # seconds of CPU that a look may take
LONGEST = 20.0  # and seconds by the clock: a nice process on a busy machine waits most of them
ROWS = 12  # of each list that is told


def inner_pid():
    """The process's pid as itself sees it: the agent reads that from outside a container too."""
    return posix.getpid()


def status(*keys):
    """Numbers of bytes in /proc/self/status."""
    found = dict.fromkeys(keys, 0)
    with open("/proc/self/status") as f:
        for line in f:
            key, _, value = line.partition(":")
            if key in found:
                found[key] = int(value.split()[0]) * 1024
    return [found[k] for k in keys]


def no_room(root=""):
    """Why a fork might not fit, or nothing. /proc and /sys stand below root."""
    footprint = sum(status("VmRSS", "VmSwap"))
    with open(root + "/proc/meminfo") as f:
        available = next(int(line.split()[1]) * 1024 for line in f if line.startswith("MemAvailable:"))
    if available < 2 * footprint:
        return "it holds %d MiB and the machine has %d MiB left, less than twice as much" % (footprint >> 20, available >> 20)
    try:
        with open(root + "/proc/self/cgroup") as f:
            group = next(line[3:].strip() for line in f if line.startswith("0::"))
        while True:
            left = left_in(root + "/sys/fs/cgroup" + group)
            if left is not None and left < 2 * footprint + (64 << 20):
                return "it holds %d MiB and its cgroup has %d MiB left, less than twice as much and 64 MiB" % (footprint >> 20, left >> 20)
            if group in ("", "/"):  # in a container its own group stands here
                break
            group = os.path.dirname(group)
    except (OSError, StopIteration):
        pass  # no cgroups, or those of version 1
    return ""


def left_in(group):
    """Bytes that a cgroup may still take before it is throttled or killed, None where it has no limit. Its inactive files
    it would give up first."""

    def read(name):
        with open(group + "/memory." + name) as f:
            return f.read()

    try:
        limits = [int(n) for n in (read("max").strip(), read("high").strip()) if n != "max"]
        files = [int(line.split()[1]) for line in read("stat").splitlines() if line.startswith("inactive_file ")]
        return max(0, min(limits) - int(read("current")) + sum(files)) if limits else None
    except OSError:
        return None


def humble(seconds):
    """Bounds the fork: the worker and its neighbours come first."""
    import gc
    import resource

    for number in (_signal.SIGALRM, _signal.SIGTERM, _signal.SIGINT, _signal.SIGHUP, _signal.SIGUSR1, _signal.SIGUSR2, _signal.SIGQUIT):
        _signal.signal(number, _signal.SIG_DFL)
    _signal.setitimer(_signal.ITIMER_REAL, seconds)  # ends it, wherever it is
    gc.disable()
    with open("/proc/self/comm", "w") as f:
        f.write("dropleak-heap")
    with open("/proc/self/oom_score_adj", "w") as f:
        f.write("1000")
    os.nice(5)  # with 10 it gets a twentieth of a processor where four busy processes share two
    size, held, swapped = status("VmSize", "VmRSS", "VmSwap")
    resource.setrlimit(resource.RLIMIT_AS, (size + held + swapped + (64 << 20),) * 2)
    resource.setrlimit(resource.RLIMIT_CPU, (BUSY, BUSY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def named(kind):
    """A type's name, with its module."""
    module, name = getattr(kind, "__module__", None), getattr(kind, "__qualname__", "?")
    if not isinstance(module, str) or not isinstance(name, str):
        return "?"
    return (name if module == "builtins" else module + "." + name)[:120]


class Look:
    """One look at the heap, in a fork. Each part is told as soon as it is there, the costly ones last."""

    def __init__(self, wire, page, before):
        self.wire, self.page, self.before = wire, page, before
        self.half = 0
        self.at = time.time()
        self.now = {"at": self.at}

    def take(self):
        self.wire.setblocking(True)
        self.wire.settimeout(LONGEST)
        self.tell({"k": "look", "since": self.before.get("at", 0), "held": sum(status("VmRSS", "VmSwap"))})
        parts = [self.files, self.malloc, self.lines, self.objects, self.held, self.chain, self.references, self.guppy]
        # What the look before was cut short in comes last, so that it keeps the others from their turn only once.
        parts.sort(key=lambda part: part.__name__ == self.before.get("in"))
        for part in parts:
            self.now["in"] = part.__name__
            self.keep()
            try:
                part()
            except MemoryError:
                self.tell({"k": "note", "text": part.__name__ + " took more memory than it may"})
            except Exception as e:
                self.tell({"k": "note", "text": part.__name__ + " failed: " + named(type(e))})
        self.now["in"] = ""
        self.keep()
        self.tell({"k": "end"})

    def tell(self, line):
        import json

        self.wire.sendall(json.dumps(line).encode() + b"\n")

    def earlier(self, part):
        """When an earlier look counted a part, 0 for never, and what it counted."""
        return self.before.get(part, (0, None))

    def grown(self, part, now, least=1):
        """Tells what rose most since a look counted it before, or on the first what there is most of."""
        self.now[part] = self.at, dict(sorted(now.items(), key=lambda x: -x[1])[:1500])
        since, before = self.earlier(part)
        rows = [[name, n, n - before.get(name, 0) if before is not None else 0] for name, n in now.items()]
        rows.sort(key=lambda r: (-r[2], -r[1]))
        rows = [r for r in rows if before is None or r[2] >= least]
        self.tell({"k": part, "since": since, "rows": [[str(r[0]), r[1], r[2]] for r in rows[:ROWS]]})

    def files(self):
        import collections

        kinds = collections.Counter()
        for fd in os.listdir("/proc/self/fd"):
            try:
                target = os.readlink("/proc/self/fd/" + fd)
            except OSError:
                continue
            kind = target.partition(":")[0] if ":[" in target or target.startswith("anon_inode:") else "file"
            kinds[target if kind == "anon_inode" else kind] += 1
        self.grown("files", kinds)

    def objects(self):
        import gc

        self.grown("types", self.by_type(gc.get_objects()))

    def references(self):
        """Plain values by bytes, and what is only referred to from within itself."""
        import collections
        import gc
        from itertools import chain, compress, filterfalse

        objects = gc.get_objects()
        place = {id(o): i for i, o in enumerate(objects)}
        refs = list(map(sys.getrefcount, objects))
        inner, plain = collections.Counter(), {}
        for at in range(0, len(objects), 4096):  # by calls of C for many at once
            found = list(chain.from_iterable(map(gc.get_referents, objects[at : at + 4096])))
            inner.update(map(id, compress(found, map(gc.is_tracked, found))))
            found = list(filterfalse(gc.is_tracked, found))
            plain.update(zip(map(id, found), found))
        atoms = collections.Counter()
        for o in plain.values():
            atoms[type(o)] += size_of(o)
        self.grown("atoms", {named(t): n for t, n in atoms.items()}, least=1 << 16)
        del atoms, found, plain
        self.keep()
        for i, n in inner.items():
            if i in place:
                refs[place[i]] -= n
        self.cycles(objects, place, refs)

    @staticmethod
    def by_type(objects):
        import collections

        names = collections.Counter()
        for kind, n in collections.Counter(map(type, objects)).items():
            names[named(kind)] += n
        return names

    def cycles(self, objects, place, refs):
        """Counts what only refers to itself, as the collector would, without running anybody's __del__. refs says of
        each object how often anything but the others refers to it."""
        import collections
        import gc

        base = list(map(sys.getrefcount, [[]]))[0]  # what counting itself holds
        reached = [n > base for n in refs]
        todo = [i for i, n in enumerate(reached) if n]
        while todo:
            for r in gc.get_referents(objects[todo.pop()]):
                at = place.get(id(r))
                if at is not None and not reached[at]:
                    reached[at] = True
                    todo.append(at)
        self.grown("cycles", collections.Counter(named(type(o)) for o, n in zip(objects, reached) if not n))

    def held(self):
        """The containers that grew most, and which global holds each."""
        import collections
        import gc

        objects = gc.get_objects()
        place = {id(o): i for i, o in enumerate(objects)}
        kinds = (list, dict, set, collections.deque, collections.OrderedDict)
        containers = sorted(((len(o), id(o)) for o in objects if type(o) in kinds and len(o) >= 100), reverse=True)[:200]
        since, before = self.earlier("held")
        self.now["held"] = self.at, {at: n for n, at in containers}
        rows = [(n - before.get(at, 0) if before is not None else 0, n, at) for n, at in containers]
        rows.sort(reverse=True)
        said = []
        for grew, n, at in rows[:2]:
            if before is None or grew > 0:
                o = objects[place[at]]
                said.append([where(o, place), n, grew])
        self.tell({"k": "held", "since": since, "rows": said})

    def lines(self):
        import tracemalloc

        if not tracemalloc.is_tracing():
            return
        sums = {}
        for s in tracemalloc.take_snapshot().statistics("lineno")[:1500]:
            f = s.traceback[0]
            sums["%s:%d" % ("/".join(f.filename.split("/")[-2:]), f.lineno)] = s.size
        self.grown("lines", sums)

    def malloc(self):
        """What glibc holds back, and whether it would give it."""
        import ctypes
        import re

        libc = ctypes.CDLL(None)
        if not hasattr(libc, "malloc_info") or not hasattr(libc, "malloc_trim"):
            return  # another library than glibc
        text, size = ctypes.c_char_p(), ctypes.c_size_t()
        libc.open_memstream.restype = ctypes.c_void_p
        stream = ctypes.c_void_p(libc.open_memstream(ctypes.byref(text), ctypes.byref(size)))
        libc.malloc_info(0, stream)
        libc.fclose(stream)
        info = ctypes.string_at(text, size.value).decode()
        total = info[info.rindex("</heap>") + 7 :]
        number = lambda pattern: sum(int(n) for n in re.findall(pattern, total))  # noqa: E731
        rows = [
            ["arenas", info.count("<heap "), 0],
            ["bytes taken from the system", number(r'type="current" size="(\d+)"') + number(r'type="mmap" count="\d+" size="(\d+)"'), 0],
            ["bytes held back free", number(r'type="(?:fast|rest)" count="\d+" size="(\d+)"'), 0],
        ]
        held = status("VmRSS")[0]
        libc.malloc_trim(0)
        rows.append(["bytes malloc_trim(0) gave back", max(0, held - status("VmRSS")[0]), 0])
        since, before = self.earlier("malloc")
        self.now["malloc"] = self.at, {name: n for name, n, _ in rows}
        rows = [[name, n, n - before.get(name, n) if before else 0] for name, n, _ in rows]
        self.tell({"k": "malloc", "since": since, "rows": rows})

    def keep(self):
        import marshal

        kept = marshal.dumps(self.now)
        if len(kept) <= KEPT:
            # Beside what was kept before, and told last: it may be killed at any moment.
            at = 8 + self.half * KEPT
            self.half = 1 - self.half
            self.page[at : at + len(kept)] = kept
            self.page[:8] = (at << 32 | len(kept)).to_bytes(8, "little")

    def chain(self):
        """One chain of references to the type that grew most, where objgraph is installed."""
        try:
            import objgraph
        except ImportError:
            return
        before, now = self.earlier("types")[1] or {}, self.now.get("types", (0, {}))[1]
        for name in sorted(now, key=lambda n: -(now[n] - before.get(n, 0))):
            found = "." in name and objgraph.by_type(name.rpartition(".")[2])
            if found:
                links = objgraph.find_backref_chain(found[-1], objgraph.is_proper_module, max_depth=8)
                if len(links) > 1:
                    self.tell({"k": "chain", "rows": [[" in ".join(named(type(o)) for o in reversed(links)), len(links), 0]]})
                return

    def guppy(self):
        import itertools

        try:
            import guppy
        except ImportError:
            return
        import gc

        gc.collect = lambda *_: 0  # guppy would run it, and with it everybody's __del__
        rows = guppy.hpy().heap().bytype.partition.get_rows()
        rows = {str(r.name)[:120]: int(r.size) for r in itertools.islice(rows, 500)}
        self.grown("guppy", rows)


def size_of(o):
    """An object's own bytes, as far as no Python code is run to find out."""
    kind = type(o)
    return sys.getsizeof(o) if not kind.__flags__ & (1 << 9) else kind.__basicsize__


def where(o, place):
    """Through what an object hangs, up to a global in words of its module and line if it does. place has all objects that
    were there before the look, by id."""
    import gc

    spaces = {id(m.__dict__): m for m in sys.modules.values() if type(m) is type(sys)}
    path = [named(type(o))]
    for _ in range(5):
        holders = [r for r in gc.get_referrers(o) if id(r) in place and type(r).__name__ != "frame"]
        for r in holders:
            if id(r) in spaces:
                name = next((k for k, v in r.items() if v is o), "")
                return " in ".join(path) + ", global " + line_of(spaces[id(r)], name)
        if not holders:
            break
        o = holders[0]
        path.append(named(type(o)))
    return " in ".join(path)


def line_of(module, name):
    """Where a global is named in its module's source. One that is not named there may be data: it is not told."""
    import ast

    try:
        with open(module.__file__, encoding="utf-8") as f:
            tree = ast.parse(f.read())
    except (OSError, SyntaxError, AttributeError, TypeError, ValueError):
        return "of " + module.__name__
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id == name and isinstance(node.ctx, ast.Store):
            return "%s.%s (%s:%d)" % (module.__name__, name, os.path.basename(module.__file__), node.lineno)
    return "of " + module.__name__


class OnHand:
    """What a worker has on hand, as its main process knows it: of the tasks it took from the broker, how many run, how
    many of these acknowledge late, how many wait for a free process, and how many for their ETA."""

    def __init__(self, consumer):
        self.pid = os.getpid()
        self.consumer = consumer
        self.told = 0.0
        self.ran = False  # what was told last: that a task runs
        # Its only thread runs the tasks: nothing else is looked at meanwhile.
        self.alone = type(consumer.pool).__module__.endswith(".solo")
        self.soon(1.0)

    def soon(self, seconds):
        self.consumer.timer.call_after(seconds, self.again, ())

    def again(self):
        """Called by the worker's own timer, in its loop."""
        if on_hand is not self:
            return
        took = 0.0
        try:
            if not self.alone or time.monotonic() - self.told >= EVERY:
                took = self.tell()
        finally:
            self.soon(max(EVERY, SHARE * took))

    def begins(self):
        """Called in a worker of one thread before it runs a task, which may take long."""
        if self.pid == os.getpid() and (not self.ran or time.monotonic() - self.told >= 1.0):
            self.tell()

    def tell(self):
        began = time.monotonic()
        try:
            counts = self.count()
            self.ran = counts[0] > 0
            current().tell(b"2 %d %d %d %d" % counts)
        except RuntimeError:
            pass  # another thread took a task in the midst of it: the next one will tell
        except Exception:  # another Celery than this was written for: a count must never end a worker
            drop(self)
        self.told = time.monotonic()
        return self.told - began

    def count(self):
        from celery.worker import state
        from celery.worker.request import Request

        active = list(state.active_requests)
        late = sum(1 for r in active if r.task.acks_late)
        reserved = len(state.reserved_requests) - sum(1 for r in active if r in state.reserved_requests)
        for bucket in list(self.consumer.task_buckets.values()):  # held back by a rate limit
            reserved += len(bucket.contents) if bucket else 0
        timer = self.consumer.timer
        eta = 0
        # A copy in one step: the timer's own property sorts it all.
        for waiting in list(getattr(timer, "schedule", timer)._queue):
            args = waiting.entry.args
            if args and isinstance(args[0], Request) and not waiting.entry.canceled:
                eta += 1
        return len(active), late, max(0, reserved), eta


on_hand = None


def drop(one):
    global on_hand
    if on_hand is one:
        on_hand = None


def attend(sender=None, **_):
    """Called when a worker begins, before it has made its consumer: whenever that is connected, anew too, it counts."""
    from celery import bootsteps

    class Count(bootsteps.StartStopStep):
        requires = ("celery.worker.consumer.tasks:Tasks",)

        def start(self, consumer):
            global on_hand
            on_hand = None
            try:
                on_hand = OnHand(consumer)
            except Exception:  # another Celery than this was written for: the worker must start
                pass

        def stop(self, consumer):
            drop(on_hand)

    sender.app.steps["consumer"].add(Count)


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
        if on_hand is not None and on_hand.alone:
            on_hand.begins()


def ended(task_id=None, task=None, **_):
    if not nested(task):
        here = current()
        here.end(task_id, task.name)
        here.heap.between(len(here.begun))


def nested(task):
    """Whether a task runs inside another by a plain call: that is the outer one's doing."""
    return bool(getattr(task.request, "is_eager", False))


task_prerun.connect(began, weak=False, dispatch_uid="dropleak-probe-began")
task_postrun.connect(ended, weak=False, dispatch_uid="dropleak-probe-ended")
worker_init.connect(attend, weak=False, dispatch_uid="dropleak-probe-attend")
