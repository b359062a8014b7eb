#!/usr/bin/python3
"""sc-storage's NBD server with real clients: nbdinfo, nbdcopy, qemu-io, fio."""
import json
import os
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
import storage  # noqa: E402

MIB = 1 << 20


def nbdinfo_sees_size_flags_and_block_sizes():
    with storage.World(1) as w:
        n = w.nodes[0]
        v = w.create(64 * MIB)
        r = w.attach(n, v, 1)
        assert r["size"] == 64 * MIB and r["export"] == v, r
        e = json.loads(storage.run("nbdinfo", "--json", n.uri(v)))["exports"][0]
        assert e["export-size"] == 64 * MIB, e
        for flag in ("can_flush", "can_fua", "can_trim", "can_zero",
                     "can_multi_conn"):
            assert e[flag] is True, (flag, e)
        assert e["is_read_only"] is False, e
        assert e["block_size_preferred"] == 4096, e
        names = storage.run("nbdinfo", "--list", "--json",
                            "nbd+unix:///?socket=%s/run/nbd.sock" % n.dir)
        assert v in names, names


def what_nbdcopy_writes_comes_back():
    with storage.World(1) as w:
        n = w.nodes[0]
        image = storage.random_image(48 * MIB, 1)
        v = w.create(len(image))
        w.attach(n, v, 1)
        with tempfile.NamedTemporaryFile() as f:
            f.write(image)
            f.flush()
            storage.run("nbdcopy", "--flush", f.name, n.uri(v))
        assert storage.read_all(n.uri(v)) == image
        used = n.volume(v)["local_blocks"] * 4096
        assert used <= len(image) * 0.7, used
        holes = json.loads(storage.run("nbdinfo", "--map", "--json", n.uri(v)))
        zeros = sum(x["length"] for x in holes if x["type"] == 3)
        assert zeros >= len(image) * 0.3, zeros


def unaligned_reads_and_writes_are_right():
    with storage.World(1) as w:
        n = w.nodes[0]
        v = w.create(8 * MIB)
        w.attach(n, v, 1)
        storage.qemu_io(
            n.uri(v), "write -P 1 0 8M", "write -P 2 512 512",
            "write -P 3 4000 200", "write -z 8100 300", "read -P 1 0 512",
            "read -P 2 512 512", "read -P 1 1024 2976", "read -P 3 4000 200",
            "read -P 1 4200 3900", "read -P 0 8100 300", "read -P 1 8400 1000",
            "flush")


def parts_of_one_block_written_at_once_all_land():
    with storage.World(1) as w:
        n = w.nodes[0]
        v = w.create(MIB)
        w.attach(n, v, 1)
        commands = []
        for block in range(16):
            commands += ["aio_write -P %d %d 512" % (i + 1, block * 4096 + i * 512)
                         for i in range(8)]
        storage.qemu_io(n.uri(v), *(commands + ["aio_flush"]))
        checks = ["read -P %d %d 512" % (i + 1, b * 4096 + i * 512)
                  for b in range(16) for i in range(8)]
        storage.qemu_io(n.uri(v), *checks)


def trim_gives_space_back_and_reads_zeros():
    with storage.World(1) as w:
        n = w.nodes[0]
        v = w.create(64 * MIB)
        w.attach(n, v, 1)
        storage.qemu_io(n.uri(v), "write -P 7 0 32M", "write -P 7 32M 32M",
                        "flush")
        assert n.volume(v)["local_blocks"] == 16384
        storage.qemu_io(n.uri(v), "discard 4M 56M", "flush", "read -P 0 4M 28M",
                        "read -P 7 0 4M", "read -P 7 60M 4M")
        assert n.volume(v)["local_blocks"] == 2048, n.volume(v)
        data = "%s/state/storage/volumes/%s/data" % (n.dir, v)
        for _ in range(100):
            if os.stat(data).st_blocks * 512 < 24 * MIB:
                break
            import time
            time.sleep(0.2)
        assert os.stat(data).st_blocks * 512 < 24 * MIB, os.stat(data)


def fio_verifies_random_writes_on_two_connections():
    with storage.World(1) as w:
        n = w.nodes[0]
        v = w.create(64 * MIB)
        w.attach(n, v, 1)
        storage.run("fio", "--name=v", "--ioengine=nbd", "--uri=" + n.uri(v),
                    "--rw=randwrite", "--bs=4k", "--iodepth=32", "--size=64M",
                    "--verify=crc32c", "--verify_fatal=1", "--do_verify=1",
                    "--fsync=64", cwd=w.dir)


def a_read_only_volume_refuses_writes():
    with storage.World(1) as w:
        n = w.nodes[0]
        image = storage.random_image(4 * MIB, 3)
        v = w.import_image(n, image)
        w.attach(n, v, 0, "ro")
        e = json.loads(storage.run("nbdinfo", "--json", n.uri(v)))["exports"][0]
        assert e["is_read_only"] is True
        assert storage.read_all(n.uri(v)) == image


def garbage_on_the_socket_only_ends_that_connection():
    import random
    import socket
    with storage.World(1) as w:
        n = w.nodes[0]
        v = w.create(4 * MIB)
        w.attach(n, v, 1)
        r = random.Random(5)
        for _ in range(50):
            s = socket.socket(socket.AF_UNIX)
            s.connect(n.dir + "/run/nbd.sock")
            s.recv(18)
            s.sendall(r.randbytes(r.randrange(1, 300)))
            s.close()
        storage.qemu_io(n.uri(v), "write -P 9 0 1M", "read -P 9 0 1M")


if __name__ == "__main__":
    storage.main([
        nbdinfo_sees_size_flags_and_block_sizes,
        what_nbdcopy_writes_comes_back,
        unaligned_reads_and_writes_are_right,
        parts_of_one_block_written_at_once_all_land,
        trim_gives_space_back_and_reads_zeros,
        fio_verifies_random_writes_on_two_connections,
        a_read_only_volume_refuses_writes,
        garbage_on_the_socket_only_ends_that_connection,
    ])
