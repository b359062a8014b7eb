"""sc-storage processes with the real authority, for the storage tests.

World(n) makes certificates, one authority and n nodes on 127.0.0.x, each with
its own folders; everything is stopped and removed at the end of its 'with'.
"""
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid

from ports import free_port

BUILD = os.environ.get("SC_BUILD", "build")
BIN = os.path.join(BUILD, "bin")


class RpcError(Exception):
    def __init__(self, error):
        super().__init__(error.get("message", str(error)))
        self.errno = (error.get("data") or {}).get("errno", error.get("errno"))


class Rpc:
    """JSON lines over a daemon's control socket."""

    def __init__(self, path):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(path)
        self.file = self.sock.makefile("rwb")
        self.id = 0

    def call(self, method, timeout=90, **params):
        self.sock.settimeout(timeout)
        self.id += 1
        self.file.write(json.dumps({"jsonrpc": "2.0", "id": self.id,
                                    "method": method,
                                    "params": params}).encode() + b"\n")
        self.file.flush()
        while True:
            line = self.file.readline()
            if not line:
                raise RpcError({"message": "connection lost",
                                "errno": "ECONNRESET"})
            answer = json.loads(line)
            if answer.get("id") == self.id:
                if "error" in answer:
                    raise RpcError(answer["error"])
                return answer["result"]

    def close(self):
        self.file.close()
        self.sock.close()


class Node:
    def __init__(self, world, nid):
        self.world, self.nid = world, nid
        self.node_id = str(uuid.UUID(int=0x4000_8000_0000_0000_0000 + nid))
        self.address = "127.0.0.%d" % (10 + nid)
        self.dir = os.path.join(world.dir, "n%d" % nid)
        self.proc = None
        self.log = os.path.join(world.dir, "n%d.log" % nid)

    def peer(self):
        return {"node_id": self.node_id, "nid": self.nid,
                "name": "n%d" % self.nid, "region": "r%d" % self.nid,
                "address": self.address, "up": True,
                "ports": {"storage": self.port}}

    def ref(self):
        return {"node_id": self.node_id, "nid": self.nid,
                "address": self.address}

    def configure(self):
        os.makedirs(self.dir + "/run", exist_ok=True)
        os.makedirs(self.dir + "/state/spool", exist_ok=True)
        config = {
            "node_id": self.node_id, "nid": self.nid, "name": "n%d" % self.nid,
            "region": "r%d" % self.nid, "provider": "local", "roles": ["node"],
            "controller": {"host": "127.0.0.1", "port": self.world.port},
            "address": self.address, "run_dir": self.dir + "/run",
            "state_dir": self.dir + "/state",
            "pki_dir": self.world.dir + "/pki/" + self.node_id,
            "hypervisor": "fake",
            "ports": {"storage": self.port, "probe": 7481, "migration": 7482},
        }
        with open(self.dir + "/config.json", "w") as f:
            json.dump(config, f)

    def start(self, wait_controller=True):
        out = open(self.log, "ab")
        self.proc = subprocess.Popen(
            [os.path.join(BIN, "sc-storage"), "--config",
             self.dir + "/config.json"], stdin=subprocess.DEVNULL, stdout=out,
            stderr=out)
        out.close()
        path = self.dir + "/run/sc-storage.sock"
        for _ in range(200):
            if self.proc.poll() is not None:
                raise Exception("sc-storage ended: " + open(self.log).read())
            try:
                self.rpc = Rpc(path)
                break
            except OSError:
                time.sleep(0.02)
        else:
            raise Exception("sc-storage does not listen")
        for _ in range(300):
            if not wait_controller or \
                    self.rpc.call("daemon.status")["controller"]:
                return
            time.sleep(0.02)
        raise Exception("no controller: " + open(self.log).read())

    def kill(self):
        """kill -9"""
        if self.proc:
            self.proc.kill()
            self.proc.wait()
            self.rpc.close()
            self.proc = None

    def stop(self):
        if self.proc:
            self.proc.send_signal(signal.SIGTERM)
            try:
                self.proc.wait(20)
            except subprocess.TimeoutExpired:
                self.proc.kill()
                self.proc.wait()
            self.rpc.close()
            code = self.proc.returncode
            self.proc = None
            return code

    def call(self, method, **params):
        return self.rpc.call(method, **params)

    def uri(self, volume, opts=""):
        return "nbd+unix:///%s?socket=%s/run/nbd.sock" % (volume, self.dir)

    def dump(self):
        return self.call("daemon.dump")

    def volume(self, volume):
        for v in self.dump()["volume_list"]:
            if v["volume_id"] == volume:
                return v
        return None


class World:
    def __init__(self, n):
        self.dir = tempfile.mkdtemp(prefix="sc-storage-")
        self.port = free_port()
        self.nodes = [Node(self, i + 1) for i in range(n)]
        for node in self.nodes:
            node.port = free_port()
        self.authority = None

    def __enter__(self):
        subprocess.run([os.path.join(BIN, "sc-net-controller"), "pki",
                        self.dir + "/pki"] + [n.node_id for n in self.nodes],
                       check=True)
        with open(self.dir + "/nodes.json", "w") as f:
            json.dump([n.peer() for n in self.nodes], f)
        self.start_authority()
        for n in self.nodes:
            n.configure()
            n.start()
        return self

    def __exit__(self, kind, value, trace):
        if kind:
            for n in self.nodes:
                if os.path.exists(n.log):
                    for line in open(n.log).read().splitlines()[-25:]:
                        print("# n%d: %s" % (n.nid, line))
        for n in self.nodes:
            n.kill()
        self.stop_authority()
        shutil.rmtree(self.dir, ignore_errors=True)

    def start_authority(self):
        os.makedirs(self.dir + "/authority", exist_ok=True)
        self.authority = subprocess.Popen(
            [os.path.join(BIN, "sc-storage-authority"),
             "127.0.0.1:%d" % self.port, self.dir + "/pki",
             self.dir + "/authority", self.dir + "/nodes.json"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def stop_authority(self):
        if self.authority:
            self.authority.kill()
            self.authority.wait()
            self.authority.stdin.close()
            self.authority.stdout.close()
            self.authority = None

    def do(self, what, **params):
        self.authority.stdin.write(json.dumps(dict(params, do=what)) + "\n")
        self.authority.stdin.flush()
        answer = json.loads(self.authority.stdout.readline())
        if "error" in answer:
            raise RpcError({"message": answer["error"],
                            "errno": answer["errno"]})
        return answer["result"]

    def create(self, size, parent=""):
        volume = str(uuid.uuid4())
        self.do("create", volume_id=volume, size=size, parent=parent)
        return volume

    def attach(self, node, volume, epoch, mode="rw"):
        if mode == "rw":
            self.do("allow", volume_id=volume, epoch=epoch, nid=node.nid)
        return node.call("volume.attach", volume_id=volume, mode=mode,
                         epoch=epoch)

    def import_image(self, node, data):
        """A sealed volume with these bytes, made by volume.import."""
        import hashlib
        volume = self.create(len(data))
        self.do("allow", volume_id=volume, epoch=1, nid=node.nid)
        path = "%s/state/spool/%s" % (node.dir, volume)
        with open(path, "wb") as f:
            f.write(data)
        self.do("call", nid=node.nid, method="volume.import",
                params={"volume_id": volume, "path": path, "size": len(data),
                        "sha256": hashlib.sha256(data).hexdigest()})
        self.do("seal", volume_id=volume)
        return volume


def run(*args, **kw):
    r = subprocess.run(args, capture_output=True, text=True, timeout=120, **kw)
    if r.returncode:
        raise Exception("%s: %d: %s%s" % (" ".join(args[:2]), r.returncode,
                                          r.stdout[-2000:], r.stderr[-2000:]))
    return r.stdout


def qemu_io(uri, *commands, check=True, readonly=False):
    args = ["qemu-io", "-f", "raw", "-t", "none"] + ["-r"] * readonly
    for c in commands:
        args += ["-c", c]
    r = subprocess.run(args + [uri], capture_output=True, text=True,
                       timeout=120)
    text = r.stdout + r.stderr
    if check and (r.returncode or "fail" in text or "error" in text.lower()):
        raise Exception("qemu-io: " + text)
    return text


def read_all(uri):
    with tempfile.NamedTemporaryFile() as f:
        run("nbdcopy", uri, f.name)
        return open(f.name, "rb").read()


def random_image(size, seed):
    """Half of it zeros, in pieces of 64 KiB."""
    r = random.Random(seed)
    out = bytearray()
    while len(out) < size:
        out += r.randbytes(65536) if r.random() < 0.5 else bytes(65536)
    return bytes(out[:size])


def main(tests):
    """Runs the functions given; TAP."""
    failed = 0
    only = os.environ.get("T")
    for i, test in enumerate(tests, 1):
        name = test.__name__.replace("_", " ")
        if only and only not in test.__name__ and only not in sys.argv[0]:
            print("ok %d - %s # SKIP T=%s" % (i, name, only))
            continue
        try:
            test()
            print("ok %d - %s" % (i, name), flush=True)
        except Exception as e:  # pylint: disable=broad-except
            failed += 1
            for line in ("%s: %s" % (type(e).__name__, e)).splitlines():
                print("# " + line)
            print("not ok %d - %s" % (i, name), flush=True)
    print("1..%d" % len(tests))
    sys.exit(1 if failed else 0)
