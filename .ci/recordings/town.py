"""Runs the nodes of nodes.py on a Redis, under dropleak-agent and the service that it ships to, for SECONDS, in a folder.

    town.py FOLDER SECONDS DROPLEAK DROPLEAK-AGENT
"""
import datetime
import heapq
import http.server
import itertools
import json
import math
import os
import random
import resource
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request

from celery import Celery

from nodes import NODES, MiB

HERE = os.path.dirname(os.path.abspath(__file__))
FOLDER, SECONDS = os.path.abspath(sys.argv[1]), float(sys.argv[2])
DROPLEAK, AGENT = map(os.path.abspath, sys.argv[3:5])
BROKER, SERVICE = "redis://127.0.0.1:16379/0", "127.0.0.1:18080"
SETTLE = 6  # seconds from a node's start to its first task
running = []


def start(words, log, **more):
    p = subprocess.Popen(words, stdout=open(os.path.join(FOLDER, log + ".log"), "ab"), stderr=subprocess.STDOUT,
                         stdin=subprocess.DEVNULL, start_new_session=True, **more)
    running.append(p)
    return p


def stop(p, sig=signal.SIGTERM, patience=20):
    p.send_signal(sig)
    try:
        p.wait(patience)
    except subprocess.TimeoutExpired:
        os.killpg(p.pid, signal.SIGKILL)
        p.wait()
    running.remove(p)


def ready(url, seconds=30):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            return urllib.request.urlopen(url, timeout=1)
        except urllib.error.HTTPError as e:
            return e
        except OSError:
            time.sleep(0.2)
    sys.exit(f"{url} did not answer")


class Nobody(http.server.BaseHTTPRequestHandler):
    """Answers the one question that the service asks Slack before it serves, and says yes to all others."""

    def do_POST(self):
        body = json.dumps({"ok": True, "user_id": "U0BOT", "user": "dropleak", "bot_id": "B0BOT", "team_id": "T0TEAM", "team": "t",
                           "url": "http://localhost/"}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST

    def log_message(self, *_):
        pass


def service():
    """The service, with no DigitalOcean to reach and nobody in Slack: it takes samples and keeps them."""
    slack = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Nobody)
    threading.Thread(target=slack.serve_forever, daemon=True).start()
    config = os.path.join(FOLDER, "dropleak.yaml")
    with open(config, "w") as f:
        f.write(f"""listen: {SERVICE}
metrics_listen: ""
data_dir: {FOLDER}/data
mode: rehearse
digitalocean: {{api_url: "http://127.0.0.1:1", tag: recorded}}
slack: {{api_url: "http://127.0.0.1:{slack.server_address[1]}/api/", mode: http, channel: C0RECORD}}
schedule: {{scan: "0 0 1 1 *", report: "0 0 1 1 *"}}
approvals: {{approvers: [U0NOBODY]}}
""")
    os.environ.update(DIGITALOCEAN_ACCESS_TOKEN="none", DIGITALOCEAN_EXECUTOR_TOKEN="none", SLACK_BOT_TOKEN="xoxb-none",
                      SLACK_SIGNING_SECRET="none")
    p = start([DROPLEAK, "serve", "--config", config], "service")
    ready(f"http://{SERVICE}/healthz")
    secret = subprocess.run([DROPLEAK, "token", "create", "--config", config, "--droplet", "1", "--name", "recorder"], check=True,
                            stdout=subprocess.PIPE).stdout
    with open(os.path.join(FOLDER, "token"), "wb") as f:
        f.write(secret)
    return p, config


def limited(ram):
    """A memory group (cgroup v1) of so much RAM; what exceeds it goes to swap."""
    group = f"/sys/fs/cgroup/memory/dropleak-record-{os.getpid()}-{ram}-{len(running)}"
    os.mkdir(group)
    with open(os.path.join(group, "memory.limit_in_bytes"), "w") as f:
        f.write(str(ram))
    return group


def worker(n):
    logs = os.path.join(FOLDER, n["name"])
    os.mkdir(logs)
    env = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8", "HOME": FOLDER, "C_FORCE_ROOT": "1", "PYTHONDONTWRITEBYTECODE": "1",
           "NODE": json.dumps(n), "LOGS": logs, "BROKER": BROKER, "BEGAN": str(time.time())}
    words = ["/usr/bin/celery", "-A", "app", "worker", "-l", "WARNING", "-n", n["name"] + "@recorded", "-P", n["pool"], "-Q", n["name"],
             "--without-gossip", "--without-mingle", "--without-heartbeat", *n["args"]]
    group = limited(n["ram"]) if "ram" in n else None

    def enter():
        resource.setrlimit(resource.RLIMIT_NOFILE, (16384, 16384))
        if group:
            with open(os.path.join(group, "cgroup.procs"), "w") as f:
                f.write(str(os.getpid()))
    n["began"] = time.time()
    return start(words, n["name"], cwd=HERE, env=env, preexec_fn=enter)


def rate(n, at):
    """Tasks a second of a node at a moment; a day's cycle begins at its low."""
    load = n.get("load")
    if not load:
        return n["rate"]
    return n["rate"] * (1 - load["depth"] * math.cos(2 * math.pi * (at - n["began"]) / load["period"]))


class Feeder:
    """Sends every node's tasks as they come due, at random moments of the node's rate."""

    def __init__(self):
        self.app = Celery("feeder", broker=BROKER)
        self.app.conf.task_ignore_result = True
        self.due, self.order, self.held = [], itertools.count(), {}

    def add(self, n):
        first = n["began"] + SETTLE
        self.push(first, n, False)
        if "held" in n:
            self.held[n["name"]] = []
            self.push(first, n, True)

    def push(self, at, n, eta):
        r = n["held"]["rate"] if eta else rate(n, at)
        heapq.heappush(self.due, (at + random.expovariate(r), next(self.order), n, eta))

    def send(self, n, eta):
        if not eta:
            name = random.choice(list(n["tasks"]))
            self.app.send_task(name, queue=n["name"])
            return
        h = n["held"]
        due = time.time() + random.uniform(*h["due"])
        self.held[n["name"]].append((time.time(), due))
        self.app.send_task(h["task"], args=[random.randbytes(h["payload"] // 2).hex()], queue=n["name"],
                           eta=datetime.datetime.fromtimestamp(due, datetime.timezone.utc))

    def run(self, end):
        while time.time() < end:
            at, _, n, eta = self.due[0]
            if at > time.time():
                time.sleep(min(max(at - time.time(), 0), 0.5))
                continue
            heapq.heappop(self.due)
            self.send(n, eta)
            self.push(at, n, eta)

    def save(self):
        for name, times in self.held.items():
            with open(os.path.join(FOLDER, name, "held.csv"), "w") as f:
                f.writelines("%.3f,%.3f\n" % t for t in times)


def main():
    os.makedirs(FOLDER)
    start(["/usr/bin/redis-server", "--port", "16379", "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"], "redis", cwd=FOLDER)
    serving, config = service()
    agent = start([AGENT, "--server", f"http://{SERVICE}", "--token-file", os.path.join(FOLDER, "token"), "--spool",
                   os.path.join(FOLDER, "spool"), "--every", "1s", "--probe", "", "--metadata-url", "http://127.0.0.1:1/"], "agent")
    feeder, workers = Feeder(), []
    for n in NODES:
        workers.append(worker(n))
        feeder.add(n)
        feeder.run(time.time() + 1.5)
    with open(os.path.join(FOLDER, "nodes.json"), "w") as f:
        json.dump(NODES, f)
    feeder.run(time.time() + SECONDS)
    feeder.save()
    died = [n["name"] for n, p in zip(NODES, workers) if p.poll() is not None]
    time.sleep(3)  # the agent's last passes
    stop(agent)
    for p in workers:
        p.send_signal(signal.SIGQUIT)
    for p in workers:
        stop(p, signal.SIGQUIT)
    for n in NODES:
        with open(os.path.join(FOLDER, n["name"], "export.csv"), "wb") as f:
            subprocess.run([DROPLEAK, "export", "--config", config, "--worker", n["name"] + "@recorded"], check=True, stdout=f)
    stop(serving)
    if died:
        sys.exit("these nodes did not live to the end: " + ", ".join(died))


try:
    main()
finally:
    for p in running[:]:
        stop(p, signal.SIGTERM, 5)
