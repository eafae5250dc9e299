"""The nodes of .ci/record: pools, what their tasks do, and how they are loaded. One real second counts as one minute, so
24 hours are 1440 seconds; sizes are in bytes a call."""
KiB, MiB = 1 << 10, 1 << 20
steady = {"shop.tasks.reindex": {}}


def node(name, label, pool, tasks, rate=0.7, args=(), **more):
    return dict(name=name, label=label, pool=pool, tasks=tasks, rate=rate, args=list(args), **more)


def leak(kind, size, task="shop.tasks.render", **more):
    return {task: dict(leak=kind, size=size, **more)}


def hold(kind, size, limit, task="shop.tasks.render"):
    return {task: dict(hold=kind, size=size, limit=limit)}


day = {"period": 1440, "depth": 0.7}
NODES = [
    node("eventlet-steady", "healthy", "eventlet", steady, args=["-c", "10"]),
    node("eventlet-warm", "healthy", "eventlet", hold("warm", 60 * KiB, 600), args=["-c", "10"]),
    node("eventlet-bounded", "healthy", "eventlet", hold("bounded", 70 * KiB, 190), args=["-c", "10"]),
    node("eventlet-cache", "leak", "eventlet", leak("cache", 40 * KiB), args=["-c", "10"]),
    node("eventlet-tasks", "leak", "eventlet", {**leak("cycles", 90 * KiB), "shop.tasks.mail": {}, "shop.tasks.thumbnail": {},
         "shop.tasks.charge": {}}, args=["-c", "10"], rate=1.6, wait=[0.5, 3], gc=False),
    node("gevent-cycle", "healthy", "gevent", hold("revert", 50 * KiB, 200), args=["-c", "10"], load=day),
    node("gevent-greenlets", "leak", "gevent", leak("greenlets", 30 * KiB), args=["-c", "10"]),
    node("gevent-late", "leak", "gevent", leak("cache", 80 * KiB, after=900), args=["-c", "10"]),
    node("threads-rare", "healthy", "threads", hold("rare", 30 * MiB, 40), args=["-c", "4"]),
    node("threads-local", "leak", "threads", leak("local", 50 * KiB), args=["-c", "4"]),
    node("threads-slow", "leak", "threads", {**leak("cache", 40 * KiB), **hold("rare", 12 * MiB, 15, "shop.tasks.export")},
         args=["-c", "4"], rate=1.0),
    node("solo-revert", "healthy", "solo", hold("revert", 60 * KiB, 150)),
    node("solo-sockets", "leak", "solo", leak("sockets", 35 * KiB)),
    node("solo-malloc", "leak", "solo", leak("malloc", 150 * KiB), rate=0.5),
    node("autoscale-steady", "healthy", "prefork", steady, args=["--autoscale=4,1"], rate=1.1, load=day, wait=[0.2, 2.5], prefetch=1),
    node("autoscale-cache", "leak_masked", "prefork", leak("cache", 60 * KiB), args=["--autoscale=4,1"], rate=1.1, load=day,
         wait=[0.2, 2.5], prefetch=1),
    node("autoscale-masked", "leak_masked", "prefork", leak("cache", 400 * KiB), args=["--autoscale=3,1", "--max-tasks-per-child=120"],
         rate=1.0, load=day, wait=[0.1, 1.5], prefetch=1),
    node("autoscale-recycled", "healthy", "prefork", hold("warm", 60 * KiB, 200), args=["--autoscale=3,1", "--max-tasks-per-child=150"],
         rate=1.0, load=day, wait=[0.1, 1.5], prefetch=1),
    node("prefork-parent", "leak", "prefork", steady, args=["-c", "2", "--max-tasks-per-child=200"], parent=45 * KiB),
    node("prefork-eta", "healthy", "prefork", steady, args=["-c", "1"], rate=0.4,
         held={"task": "shop.tasks.reindex", "rate": 0.7, "payload": 24 * KiB, "due": [2500, 3000]}),
    node("prefork-eta-day", "healthy", "prefork", steady, args=["-c", "1"], rate=0.4,
         held={"task": "shop.tasks.reindex", "rate": 0.9, "payload": 24 * KiB, "due": [500, 700]}),
    node("swap-cache", "leak", "prefork", leak("cache", 60 * KiB), args=["-c", "1"], ram=60 * MiB),
    node("swap-steady", "healthy", "prefork", hold("revert", 60 * KiB, 400), args=["-c", "1"], ram=60 * MiB),
]
