#!/usr/bin/python3
"""A stand-in for sc-storage: its Unix socket's methods over qemu-nbd.

usage: fake_storage.py RUN_DIR VOLUMES_DIR LOG

All sites of a test share VOLUMES_DIR (one raw file a volume), so a hand-over
moves nothing; what it checks is the order of calls.  Every call is a line of
LOG: "method volume".  A file VOLUMES_DIR/fail-METHOD makes METHOD fail,
hold-METHOD makes it wait until the file is gone.
"""
import json
import os
import socket
import subprocess
import sys
import threading
import time

RUN, VOLUMES, LOG = sys.argv[1:4]
lock = threading.Lock()
servers = {}


def nbd(volume):
    with lock:
        sock = os.path.join(RUN, "n" + volume[:8])
        if volume not in servers or servers[volume].poll() is not None:
            if os.path.exists(sock):
                os.unlink(sock)
            path = os.path.join(VOLUMES, volume)
            servers[volume] = subprocess.Popen(
                ["qemu-nbd", "--persistent", "--shared=0", "-k", sock, "-x", volume, "--image-opts",
                 "driver=raw,file.driver=file,file.locking=off,file.filename=" + path])
            while not os.path.exists(sock):
                time.sleep(0.01)
        return {"nbd_socket": sock, "export": volume,
                "size": os.path.getsize(os.path.join(VOLUMES, volume))}


def stop(volume):
    with lock:
        p = servers.pop(volume, None)
        if p:
            p.terminate()
            p.wait()


def call(method, p):
    volume = p["volume_id"]
    with open(LOG, "a") as f:
        f.write("%s %s\n" % (method, volume))
    short = method.split(".")[1]
    while os.path.exists(os.path.join(VOLUMES, "hold-" + short)):
        time.sleep(0.02)
    if os.path.exists(os.path.join(VOLUMES, "fail-" + short)):
        raise RuntimeError("told to fail")
    if method in ("volume.attach", "volume.prepare_in"):
        return nbd(volume)
    if method in ("volume.detach", "volume.release", "volume.cancel_in"):
        stop(volume)
    if method == "volume.export_file":
        data = open(os.path.join(VOLUMES, volume), "rb").read()
        with open(p["path"], "wb") as f:
            f.write(data)
        return {"size": len(data)}
    return {}


def one(conn, out, m):
    try:
        r = {"jsonrpc": "2.0", "id": m.get("id"), "result": call(m["method"], m["params"])}
    except Exception as e:                                  # pylint: disable=broad-except
        r = {"jsonrpc": "2.0", "id": m.get("id"),
             "error": {"code": -32000, "message": str(e), "data": {"errno": "EIO"}}}
    with out:
        try:
            conn.sendall((json.dumps(r) + "\n").encode())
        except OSError:
            pass


def serve(conn):
    out = threading.Lock()
    for line in conn.makefile("rb"):
        threading.Thread(target=one, args=(conn, out, json.loads(line)), daemon=True).start()


def main():
    path = os.path.join(RUN, "sc-storage.sock")
    if os.path.exists(path):
        os.unlink(path)
    s = socket.socket(socket.AF_UNIX)
    s.bind(path)
    s.listen(8)
    try:
        while True:
            conn, _ = s.accept()
            threading.Thread(target=serve, args=(conn,), daemon=True).start()
    finally:
        for v in list(servers):
            stop(v)


if __name__ == "__main__":
    import signal
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    main()
