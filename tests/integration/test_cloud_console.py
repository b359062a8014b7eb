#!/usr/bin/python3
"""`make dev` and `make dev-down`, and the dashboard in Chromium against the real
Supercloud that it starts: log in, create a VM, migrate it, delete it.

In a folder and on a port of its own, so that a `make dev` of somebody goes on.
"""
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import cloud                                           # noqa: E402
from netns import stop_pid                             # noqa: E402
from ports import free_port                            # noqa: E402

UP_S = 30
tap = cloud.Tap()


def dev(env, verb, **kw):
    return subprocess.run([os.path.join(cloud.TOP, "tests", "lib", "dev"), verb], env=env,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          timeout=150, **kw)


def left_over(folder, spaces):
    """What of it is still there: its folder, namespaces, processes."""
    left = [folder] if os.path.exists(folder) else []
    left += [s for s in spaces if os.path.exists("/run/netns/" + s)]
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open("/proc/%s/cmdline" % pid, "rb") as f:
                command = f.read().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if folder in command:
            left.append(command)
    return left


def browser(env, state):
    """The driver's TAP lines, as checks of ours."""
    if not shutil.which("chromium") or not shutil.which("node"):
        print("ok %d - the dashboard in Chromium # SKIP no chromium or node" % (tap.n + 1))
        tap.n += 1
        return
    env = dict(env, SC_URL="https://127.0.0.1:%d" % state["port"], SC_USER="admin",
               SC_PASSWORD=state["password"], SC_IMAGE="guest", SC_NETWORK="net1",
               SC_MEMORY="128", SC_BUILD=cloud.BUILD)
    p = subprocess.Popen([os.path.join(cloud.TOP, "tests", "console", "run"), "--real"], env=env,
                         stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        out, _ = p.communicate(timeout=240)
    except subprocess.TimeoutExpired:
        stop_pid(p.pid)
        out = p.stdout.read() + "\nno end within 240 s"
    n = 0
    for line in out.splitlines():
        good = line.startswith("ok ")
        if good or line.startswith("not ok "):
            n += 1
            tap.ok(good, line.split(" - ", 1)[-1])
        else:
            print("# " + line)
    tap.ok(p.returncode == 0 and n >= 4, "the driver ended well", out)


def main():
    build = tempfile.mkdtemp(prefix="sc-dev.")
    for name in ("bin", "guest"):
        os.symlink(os.path.join(cloud.BUILD, name), os.path.join(build, name))
    folder = os.path.join(build, "dev")
    env = dict(os.environ, SC_BUILD=build, SC_DEV_PORT=str(free_port()))
    cloud.guest_folder()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    spaces = []
    try:
        began = time.monotonic()
        p = dev(env, "up")
        took = time.monotonic() - began
        print("# make dev took %.1f s" % took)
        tap.ok(p.returncode == 0 and took < UP_S, "make dev is up within %d s" % UP_S, p.stdout)
        if p.returncode == 0:
            with open(os.path.join(folder, "state.json")) as f:
                state = json.load(f)
            with open(os.path.join(folder, "net.json")) as f:
                spaces = json.load(f)["spaces"]
            browser(env, state)
    finally:
        p = dev(env, "down")
        left = left_over(folder, spaces)
        tap.ok(p.returncode == 0 and not left, "make dev-down leaves nothing", (p.stdout, left))
        shutil.rmtree(build, ignore_errors=True)
    tap.done()


main()
