#!/usr/bin/python3
"""sc-storage is killed with kill -9 under write load: no acknowledged write is
lost, flushed or not (the guest lives on and will not send it again).  Power
loss is tested with a disk in memory: tests/unit/storage/test_bstore.c."""
import os
import random
import socket
import struct
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
import storage  # noqa: E402

MIB = 1 << 20


class Nbd:
    """A client that knows what it was promised: export name, simple replies."""

    def __init__(self, path, export):
        self.s = socket.socket(socket.AF_UNIX)
        self.s.settimeout(30)
        self.s.connect(path)
        self.take(18)
        name = export.encode()
        self.s.sendall(struct.pack(">I", 3) + b"IHAVEOPT" +
                       struct.pack(">II", 1, len(name)) + name)
        self.size, self.flags = struct.unpack(">QH", self.take(10))

    def take(self, n):
        data = bytearray()
        while len(data) < n:
            part = self.s.recv(n - len(data))
            if not part:
                raise ConnectionError("lost")
            data += part
        return bytes(data)

    def ask(self, kind, cookie, offset=0, length=0, data=b"", flags=0):
        self.s.sendall(struct.pack(">IHHQQI", 0x25609513, flags, kind, cookie,
                                   offset, length) + data)

    def answer(self):
        magic, error, cookie = struct.unpack(">IIQ", self.take(16))
        assert magic == 0x67446698, hex(magic)
        return cookie, error

    def read(self, offset, length):
        self.ask(0, 1, offset, length)
        cookie, error = self.answer()
        assert (cookie, error) == (1, 0), (cookie, error)
        return self.take(length)


def a_volume_that_cannot_be_opened_is_not_made_anew():
    """Two volumes' folders change places: nothing of them may be touched."""
    with storage.World(1) as w:
        n = w.nodes[0]
        ids = [w.create(8 * MIB) for _ in range(2)]
        for i, v in enumerate(ids):
            w.attach(n, v, 1)
            storage.qemu_io(n.uri(v), "write -P %d 0 1M" % (i + 1))
            n.call("volume.detach", volume_id=v)
        n.stop()
        exchange(n, ids)
        n.start()
        assert n.call("daemon.status")["damaged"] == 2, n.call("daemon.status")
        for v in ids:
            try:
                w.attach(n, v, 2)
            except storage.RpcError as e:
                assert "could not be opened" in str(e), e
            else:
                raise AssertionError("it was opened all the same")
        n.stop()
        exchange(n, ids)
        n.start()
        for i, v in enumerate(ids):
            w.attach(n, v, 3)
            storage.qemu_io(n.uri(v), "read -P %d 0 1M" % (i + 1))


def exchange(n, ids):
    a, b = ("%s/state/storage/volumes/%s" % (n.dir, v) for v in ids)
    os.rename(a, a + ".kept")
    os.rename(b, a)
    os.rename(a + ".kept", b)
    for v in ids:
        path = "%s/run/storage/%s.recent" % (n.dir, v)
        if os.path.exists(path):
            os.unlink(path)


def pattern(block, n):
    return struct.pack("<QQ", block, n) * 256


class Writer(threading.Thread):
    """Writes blocks at random, with flushes and FUA, until the socket dies.

    'sure[b]': the newest write of b that was answered;
    'tried[b]': the newest write of b that was sent."""

    def __init__(self, path, export, blocks, seed, start):
        super().__init__()
        self.nbd = Nbd(path, export)
        self.blocks, self.random = blocks, random.Random(seed)
        self.sure, self.tried = {}, {}
        self.n = start
        self.flushes = 0

    def run(self):
        try:
            self.work()
        except (ConnectionError, OSError):
            pass

    def work(self):
        waiting, busy, cookie = {}, set(), 0
        while True:
            while len(waiting) < 24:
                cookie += 1
                kind = self.random.random()
                if kind < 0.02:
                    waiting[cookie] = ("flush",)
                    self.nbd.ask(3, cookie)
                    continue
                block = self.random.randrange(self.blocks)
                if block in busy:
                    break
                self.n += 1
                fua = kind < 0.06
                busy.add(block)
                self.tried[block] = self.n
                waiting[cookie] = ("write", block, self.n)
                self.nbd.ask(1, cookie, block * 4096, 4096,
                             pattern(block, self.n), flags=1 if fua else 0)
            c, error = self.nbd.answer()
            assert error == 0, error
            what = waiting.pop(c)
            if what[0] == "flush":
                self.flushes += 1
            else:
                busy.discard(what[1])
                self.sure[what[1]] = what[2]


def no_acknowledged_write_is_lost_by_kill_9():
    with storage.World(1) as w:
        n = w.nodes[0]
        blocks = 4096
        v = w.create(blocks * 4096)
        w.attach(n, v, 1)
        path = n.dir + "/run/nbd.sock"
        sure, tried, start, flushes = {}, {}, 0, 0
        for life in range(8):
            writer = Writer(path, v, blocks, life, start)
            writer.sure.update(sure)
            writer.tried.update(tried)
            writer.start()
            time.sleep(0.3 + 0.17 * life)
            n.kill()
            writer.join(30)
            sure, tried, start = writer.sure, writer.tried, writer.n
            flushes += writer.flushes
            n.start()
            nbd = Nbd(path, v)
            for block in range(blocks):
                data = nbd.read(block * 4096, 4096)
                if block not in tried:
                    assert data == bytes(4096), block
                    continue
                b, got = struct.unpack_from("<QQ", data)
                assert data == pattern(block, got) or data == bytes(4096), \
                    "block %d is torn" % block
                assert b == block or got == 0, "block %d has %d's" % (block, b)
                assert sure.get(block, 0) <= got <= tried[block], \
                    "block %d: promised %d, found %d, newest %d" % (
                        block, sure.get(block, 0), got, tried[block])
                sure[block] = got  # What was read once may not vanish.
            nbd.ask(3, 9)
            assert nbd.answer() == (9, 0)
            nbd.s.close()
        assert flushes > 20 and start > 2000, (flushes, start)


def what_a_long_burst_wrote_is_there_after_kill_9():
    """More than the memory for recent changes holds: answers wait for commits."""
    with storage.World(1) as w:
        n = w.nodes[0]
        blocks = 131072
        v = w.create(blocks * 4096)
        w.attach(n, v, 1)
        storage.qemu_io(n.uri(v), "write -P 1 0 200M", "discard 0 400M",
                        "write -P 2 8M 8M", "write -P 3 511M 1M")
        n.kill()
        n.start()
        storage.qemu_io(n.uri(v), "read -P 0 0 8M", "read -P 2 8M 8M",
                        "read -P 0 16M 300M", "read -P 3 511M 1M")


def fio_finds_every_fsynced_block_after_kill_9():
    import subprocess
    with storage.World(1) as w:
        n = w.nodes[0]
        v = w.create(32 * MIB)
        w.attach(n, v, 1)
        fio = ["fio", "--name=k", "--ioengine=nbd", "--uri=" + n.uri(v),
               "--bs=4k", "--iodepth=8", "--size=32M", "--verify=crc32c",
               "--randseed=3", "--verify_state_save=0"]
        storage.run(*fio, "--rw=randwrite", "--do_verify=0", "--end_fsync=1",
                    cwd=w.dir)
        load = subprocess.Popen(
            ["fio", "--name=l", "--ioengine=nbd", "--uri=" + n.uri(v),
             "--bs=4k", "--iodepth=32", "--size=32M", "--rw=randread",
             "--time_based", "--runtime=20"], cwd=w.dir,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(0.7)
        n.kill()
        load.wait()
        n.start()
        storage.run(*fio, "--rw=randwrite", "--verify_only", cwd=w.dir)


def a_killed_import_leaves_nothing_and_can_be_repeated():
    import hashlib
    import json
    with storage.World(1) as w:
        n = w.nodes[0]
        data = os.urandom(256 * MIB)
        v = w.create(len(data))
        w.do("allow", volume_id=v, epoch=1, nid=1)
        path = "%s/state/spool/%s" % (n.dir, v)
        with open(path, "wb") as f:
            f.write(data)
        params = {"volume_id": v, "path": path, "size": len(data),
                  "sha256": hashlib.sha256(data).hexdigest()}
        w.authority.stdin.write(json.dumps(
            {"do": "call", "nid": 1, "method": "volume.import",
             "params": params}) + "\n")
        w.authority.stdin.flush()
        time.sleep(0.15)
        n.kill()
        assert "error" in json.loads(w.authority.stdout.readline())
        n.start()
        r = w.do("call", nid=1, method="volume.import", params=params)
        assert r["blocks"] == len(data) // 4096, r
        w.do("seal", volume_id=v)
        w.attach(n, v, 0, "ro")
        assert storage.read_all(n.uri(v)) == data
        assert not os.path.exists(path)


def an_import_with_the_wrong_digest_leaves_nothing():
    with storage.World(1) as w:
        n = w.nodes[0]
        v = w.create(4 * MIB)
        w.do("allow", volume_id=v, epoch=1, nid=1)
        path = "%s/state/spool/%s" % (n.dir, v)
        with open(path, "wb") as f:
            f.write(os.urandom(4 * MIB))
        try:
            w.do("call", nid=1, method="volume.import",
                 params={"volume_id": v, "path": path, "size": 4 * MIB,
                         "sha256": "0" * 64})
            raise AssertionError("accepted")
        except storage.RpcError as e:
            assert e.errno == "EBADMSG", e.errno
        assert not os.path.exists(path)
        assert os.listdir(n.dir + "/state/storage/volumes") == []


def an_exported_file_is_the_volume():
    with storage.World(2) as w:
        a, b = w.nodes
        data = os.urandom(3 * MIB + 777)
        v = w.import_image(a, data)
        out = w.dir + "/kernel"
        assert b.call("volume.export_file", volume_id=v,
                      path=out)["size"] == len(data)
        assert open(out, "rb").read() == data


def a_deleted_volume_takes_no_space():
    with storage.World(1) as w:
        n = w.nodes[0]
        v = w.create(8 * MIB)
        w.attach(n, v, 1)
        storage.qemu_io(n.uri(v), "write -P 1 0 8M")
        try:
            w.do("call", nid=1, method="volume.delete",
                 params={"volume_id": v})
            raise AssertionError("deleted while open")
        except storage.RpcError as e:
            assert e.errno == "EBUSY", e.errno
        n.call("volume.detach", volume_id=v)
        w.do("call", nid=1, method="volume.delete", params={"volume_id": v})
        assert os.listdir(n.dir + "/state/storage/volumes") == []


if __name__ == "__main__":
    storage.main([
        no_acknowledged_write_is_lost_by_kill_9,
        what_a_long_burst_wrote_is_there_after_kill_9,
        fio_finds_every_fsynced_block_after_kill_9,
        a_killed_import_leaves_nothing_and_can_be_repeated,
        an_import_with_the_wrong_digest_leaves_nothing,
        an_exported_file_is_the_volume,
        a_deleted_volume_takes_no_space,
        a_volume_that_cannot_be_opened_is_not_made_anew,
    ])
