#!/usr/bin/python3
"""images/build's words for wrong arguments, the recipes, the cache's keys, the
disk that is put together from files, the providers' forms of it, manifests, and
the boot counter's block.  Nothing is downloaded."""
import hashlib
import json
import os
import shutil
import struct
import subprocess
import sys
import tarfile
import tempfile
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
n = failed = 0


def ok(good, name, why=""):
    global n, failed
    n += 1
    failed += not good
    print(f"{'ok' if good else 'not ok'} {n} - {name}", flush=True)
    if not good and why:
        print("# " + str(why).replace("\n", "\n# "), flush=True)


def run(*cmd, **kw):
    return subprocess.run([str(c) for c in cmd], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, check=False, **kw)


def test_arguments():
    build = os.path.join(TOP, "images/build")
    cases = [
        ("no provider", [], "--provider is needed; there are: azure ec2 gce local rackspace"),
        ("an unknown provider", ["--provider", "moon"], "no provider 'moon'; there are: azure ec2"),
        ("a folder that is shared by providers", ["--provider", "cloud"], "no provider 'cloud'"),
        ("an unknown distribution", ["--provider", "local", "--distro", "beos"],
         "no distribution 'beos'; there are: centos debian"),
        ("an unknown argument", ["--speed"], "unknown argument '--speed'"),
        ("a value left out", ["--provider"], "--provider needs a value"),
        ("a folder without programs", ["--provider", "local", "--distro", "debian", "--bin", "/dev/null/none"], "run make first"),
    ]
    for name, args, words in cases:
        p = run(build, *args)
        ok(p.returncode == 1 and words in p.stdout, f"{name} is an error that says what there is", p.stdout)
    p = run(build, "--list")
    ok(p.returncode == 0 and "local" in p.stdout and "debian" in p.stdout, "--list names the recipes", p.stdout)
    p = run(build, "--help")
    ok(p.returncode == 0 and "--output" in p.stdout, "--help explains", p.stdout)


# What each provider takes: the file's ending, a word of the form, the data source
# that its image is pinned to, drivers that its hardware needs.
PROVIDERS = {
    "local": (".qcow2", "qcow2", "[ NoCloud, None ]", "virtio_blk"),
    "ec2": (".raw", "raw", "[ Ec2, None ]", "nvme ena"),
    "gce": (".tar.gz", "gce-tar", "[ GCE, None ]", "virtio_scsi gve"),
    "azure": (".vhd", "vhd-fixed", "[ Azure, None ]", "hv_vmbus hv_storvsc hv_netvsc mana"),
    "rackspace": (".qcow2", "qcow2-zlib", "[ ConfigDrive, OpenStack, None ]", "virtio_blk virtio_net"),
    "rackspace-classic": (".vhd", "vhd-dynamic", "[ ConfigDrive, None ]", "ata_piix xen-blkfront"),
}


def test_recipes():
    for name, (ending, form, sources, drivers) in PROVIDERS.items():
        p = run(os.path.join(TOP, "images/build"), "--provider", name, "--distro", "debian", "--summary")
        lines = dict(line.split(None, 1) for line in p.stdout.splitlines())
        ok(p.returncode == 0 and lines["file"].endswith(f"debian-{name}{ending}") and
           lines["form"].startswith(form + ","), f"{name}: the summary names file and form", p.stdout)
        ok(set(drivers.split()) <= set(lines["drivers"].split()), f"{name}: its hardware's drivers are asked for",
           lines["drivers"])
        ok(int(lines["form"].split("a disk of ")[1].split()[0]) % 1024 == 0, f"{name}: the disk is of whole GiB", p.stdout)
        with open(os.path.join(TOP, "images/provider", name, "rootfs/etc/cloud/cloud.cfg.d/90-provider.cfg")) as f:
            ok(f"datasource_list: {sources}\n" in f.read(), f"{name}: cloud-init has one source of data")
    with open(os.path.join(TOP, "images/provider/azure/rootfs/boot/grub/local.cfg")) as f:
        ok("set default=plain\n" in f.read(), "azure: the plain kernel is what boots")


def vhd_sum(data, at):
    """The checksum of a footer or header, whose own 4 bytes are at 'at'."""
    return ~sum(data[:at] + data[at + 4:]) & 0xffffffff


def test_forms(folder):
    """Each form of a small disk, read back by other programs than made it."""
    d = os.path.join(folder, "forms")
    os.makedirs(d)
    epoch, uuid = 1700000000, "6fa459ea-ee8a-4ca4-894e-db77e160355e"
    masters = {}
    for size in (65 << 20, 1 << 30):
        masters[size] = os.path.join(d, f"master{size}")
        with open(masters[size], "wb") as f:
            f.truncate(size)
            for at in (0, 5 << 20, size - 4096):
                f.seek(at)
                f.write(hashlib.sha256(str(at).encode()).digest() * 128)
    files = {}
    for form in ("raw", "qcow2", "qcow2-zlib", "vhd-fixed", "vhd-dynamic", "gce-tar"):
        files[form] = os.path.join(d, form)
        size = 1 << 30 if form in ("raw", "gce-tar") else 65 << 20
        master = masters[size]
        for out in (files[form], files[form] + ".again"):
            disk = os.path.join(d, "x.raw")
            run("cp", "--sparse=always", master, disk)
            p = run(os.path.join(TOP, "images/lib/form"), form, disk, out, uuid, str(epoch))
        ok(p.returncode == 0 and not os.path.exists(disk), f"{form}: made, the raw disk is used up", p.stdout)
        ok(run("cmp", files[form], files[form] + ".again").returncode == 0, f"{form}: twice the same bytes")
        os.unlink(files[form] + ".again")
    for form, kind in (("qcow2", "qcow2"), ("qcow2-zlib", "qcow2"), ("vhd-fixed", "vpc"), ("vhd-dynamic", "vpc")):
        p = run("qemu-img", "compare", "-f", kind, "-F", "raw", files[form], masters[65 << 20])
        ok(p.returncode == 0, f"{form}: QEMU reads the same disk from it", p.stdout)
    ok(all(os.stat(files[f]).st_blocks * 512 < 8 << 20 for f in files), "all are sparse or small")

    with open(files["vhd-fixed"], "rb") as f:
        size = f.seek(0, 2)
        f.seek(-512, 2)
        foot = f.read()
    cookie, _, version, offset = struct.unpack_from(">8sIIQ", foot)
    time, _, _, _, original, current = struct.unpack_from(">I4sI4sQQ", foot, 24)
    c, h, s, kind, total = struct.unpack_from(">HBBII", foot, 56)
    ok(size == (65 << 20) + 512, "vhd-fixed: the disk and 512 bytes", size)
    ok((cookie, version, offset) == (b"conectix", 0x10000, 2**64 - 1) and kind == 2, "its footer says fixed", foot[:64])
    ok(original == current == 65 << 20, "and the exact size", (original, current))
    ok(0 < c * h * s * 512 <= current and c < 65536, "the geometry is within it", (c, h, s))
    ok(total == vhd_sum(foot, 64), "the checksum is right")
    ok(time == epoch - 946684800 and foot[68:84].hex() == uuid.replace("-", ""), "time and UUID are those given")

    with open(files["vhd-dynamic"], "rb") as f:
        data = f.read()
    ok(data[:512] == data[-512:] and struct.unpack_from(">I", data, 60)[0] == 3, "vhd-dynamic: a footer at both ends")
    ok(data[68:84] != bytes(16) and struct.unpack_from(">I", data, 64)[0] == vhd_sum(data[:512], 64),
       "with a UUID that is not zero, and a checksum")
    head = data[512:1536]
    _, _, table, version, entries, block, total = struct.unpack_from(">8sQQIIII", head)
    ok(head[:8] == b"cxsparse" and (version, entries, block) == (0x10000, 33, 2 << 20) and
       total == vhd_sum(head, 36) and head[40:56] == bytes(16), "its header: 33 blocks of 2 MiB, no parent")
    bat = struct.unpack_from(f">{entries}I", data, table)
    ok([i for i, x in enumerate(bat) if x != 0xffffffff] == [0, 2, 32], "only blocks with data are there", bat)

    with open(files["gce-tar"], "rb") as f:
        ok(f.read(2) == b"\x1f\x8b", "gce-tar: gzip")
    with tarfile.open(files["gce-tar"]) as t:
        m = t.getmembers()
        ok([x.name for x in m] == ["disk.raw"] and m[0].size == 1 << 30, "one file, disk.raw, of whole GiB", m)
        ok(m[0].issparse() and m[0].type == tarfile.GNUTYPE_SPARSE, "in GNU's old sparse form", m[0].type)
        with open(masters[1 << 30], "rb") as f:
            ok(hashlib.file_digest(t.extractfile(m[0]), "sha256").digest() ==
               hashlib.file_digest(f, "sha256").digest(), "with the disk's bytes")

    for form, size, words in (("raw", 3 << 19, "whole GiB"), ("gce-tar", 1 << 20, "whole GiB"),
                              ("vhd-fixed", 1 << 19, "whole MiB"), ("floppy", 1 << 20, "unknown form")):
        with open(os.path.join(d, "odd"), "wb") as f:
            f.truncate(size)
        p = run(os.path.join(TOP, "images/lib/form"), form, os.path.join(d, "odd"), os.path.join(d, "out"), uuid, "1")
        ok(p.returncode != 0 and words in p.stdout and not os.path.exists(os.path.join(d, "out")),
           f"{form}: a disk that the provider would refuse is refused", p.stdout)
    p = run(os.path.join(TOP, "images/lib/vhd"), "fixed", masters[65 << 20], os.path.join(d, "out"),
            "--uuid", "00000000-0000-0000-0000-000000000000", "--time", "1")
    ok(p.returncode != 0 and "must not be zero" in p.stdout, "a UUID of zero is refused", p.stdout)


def test_manifest(folder):
    d = os.path.join(folder, "manifest")
    inventory = [{"name": "bash", "version": "5.2-1", "arch": "amd64", "source": "bash", "source_version": "5.2-1",
                  "sha256": "a" * 64, "licences": ["GPL-3+"]},
                 {"name": "zlib1g", "version": "1:1.2-1", "arch": "amd64", "source": "zlib", "source_version": "1:1.2-1",
                  "sha256": "", "licences": []}]
    for name, text in (("kernel/version", "6.1.0-1-amd64"), ("kernel/package", "linux-image_1"), ("kernel/vmlinuz", "k"),
                       ("blanket/version", "4.17.5-1"), ("blanket/xen.gz", "x"), ("programs/sc-node", "program"),
                       ("root/packages.json", json.dumps(inventory)), ("image.vhd", "image")):
        os.makedirs(os.path.dirname(os.path.join(d, name)), exist_ok=True)
        with open(os.path.join(d, name), "w") as f:
            f.write(text)
    os.chmod(os.path.join(d, "programs/sc-node"), 0o755)
    args = {"image": f"{d}/image.vhd", "format": "vhd", "form": "vhd-fixed", "disk-mib": "4096", "boot": "bios",
            "provider": "azure", "distro": "debian", "inputs": "abc", "epoch": "1700000000", "kernel": f"{d}/kernel",
            "blanket": f"{d}/blanket", "root": f"{d}/root", "programs": f"{d}/programs", "built-from": "v1-2-gabc",
            "uuid": "6fa459ea-ee8a-4ca4-894e-db77e160355e", "out": d}
    p = run(os.path.join(TOP, "images/lib/manifest"), *[x for k, v in args.items() for x in ("--" + k, v)])
    ok(p.returncode == 0, "a manifest is written", p.stdout)
    if p.returncode:
        return
    with open(f"{d}/manifest.json") as f:
        m = json.load(f)
    ok(m["file"] == "image.vhd" and m["size"] == 5 and m["virtual_size"] == 4 << 30 and
       m["sha256"] == hashlib.sha256(b"image").hexdigest(), "it describes the file", m)
    ok((m["format"], m["form"], m["boot"], m["boot_modes"]) == ("vhd", "vhd-fixed", "bios", ["bios", "uefi"]),
       "and how to publish it", m)
    ok(m["packages"] == [{"name": "bash", "version": "5.2-1"}, {"name": "zlib1g", "version": "1:1.2-1"}] and
       (m["kernel"], m["xen"], m["built_from"]) == ("6.1.0-1-amd64", "4.17.5-1", "v1-2-gabc"), "and what is in it", m)
    with open(f"{d}/{m['sbom']['file']}", "rb") as f:
        raw = f.read()
    bom = json.loads(raw)
    parts = {c["name"]: c for c in bom["components"]}
    ok(hashlib.sha256(raw).hexdigest() == m["sbom"]["sha256"] and bom["bomFormat"] == "CycloneDX" and
       bom["specVersion"] == "1.5" and bom["metadata"]["timestamp"] == "2023-11-14T22:13:20Z",
       "beside it lies its SBOM, in CycloneDX, of the build's time", bom["metadata"])
    ok(parts["bash"]["purl"] == "pkg:deb/debian/bash@5.2-1?arch=amd64" and
       parts["bash"]["hashes"] == [{"alg": "SHA-256", "content": "a" * 64}] and
       parts["bash"]["licenses"] == [{"license": {"name": "GPL-3+"}}] and
       parts["zlib1g"]["purl"].startswith("pkg:deb/debian/zlib1g@1%3A1.2-1") and "hashes" not in parts["zlib1g"],
       "with each package, its checksum and licences where they are known", parts)
    ok({"linux", "xen-blanket", "sc-node"} <= set(parts) and
       parts["sc-node"]["hashes"][0]["content"] == hashlib.sha256(b"program").hexdigest(),
       "the kernel, the hypervisor and our programs", sorted(parts))
    ok(len({c["bom-ref"] for c in bom["components"]}) == len(bom["components"]), "and no part twice")


def hash_of(*paths):
    p = run("bash", "-c", '. "$0"; sc_hash "$@"', os.path.join(TOP, "images/lib/build.sh"), *paths)
    return p.stdout.strip() if p.returncode == 0 else None


def test_hash(folder):
    d = os.path.join(folder, "inputs")
    os.makedirs(d)
    file = os.path.join(d, "a")
    with open(file, "w") as f:
        f.write("one")
    first = hash_of(d)
    os.utime(file, (1, 1))
    ok(first and hash_of(d) == first, "a cache key does not depend on times")
    with open(file, "w") as f:
        f.write("two")
    second = hash_of(d)
    ok(second != first, "it depends on contents")
    os.chmod(file, 0o755)
    ok(hash_of(d) != second, "and on modes")
    os.rename(file, os.path.join(d, "b"))
    ok(hash_of(d) not in (first, second), "and on names")
    ok(hash_of(os.path.join(d, "none")) is None, "an input that is missing is an error")


def test_disk(folder):
    tree, disk = os.path.join(folder, "tree"), os.path.join(folder, "disk.raw")
    os.makedirs(os.path.join(tree, "boot/grub"))
    with open(os.path.join(tree, "boot/grub/grub.cfg"), "w") as f:
        f.write("echo hello\n")
    env = dict(os.environ, SC_CACHE=os.path.join(folder, "cache"))
    p = run(os.path.join(TOP, "images/lib/disk"), disk, tree, 160, "lbl", env=env)
    ok(p.returncode == 0 and os.path.getsize(disk) == 160 << 20, "a disk is put together", p.stdout)
    if p.returncode:
        return
    ok(os.stat(disk).st_blocks * 512 < 100 << 20, "it is sparse", os.stat(disk).st_blocks)
    p = run("sgdisk", "-v", "-p", disk)
    ok("No problems found" in p.stdout and p.stdout.count("EF0") == 2, "its partition table is whole", p.stdout)
    with open(disk, "rb") as f:
        mbr = f.read(512)
        f.seek(2048 * 512)
        core = f.read(512)
    ok(mbr[510:] == b"\x55\xaa" and struct.unpack_from("<Q", mbr, 0x5c)[0] == 2048,
       "the boot sector points to GRUB's core")
    start, count, segment = struct.unpack_from("<QHH", core, 500)
    ok(start == 2049 and 20 < count < 2048 and segment == 0x820, "whose first sector lists the rest",
       (start, count, segment))
    p = run("mdir", "-b", "-i", f"{disk}@@2M", "::EFI/BOOT")
    ok("BOOTX64.EFI" in p.stdout, "the EFI partition holds GRUB too", p.stdout)
    p = run("debugfs", "-R", "cat /boot/grub/grub.cfg", f"{disk}?offset={34 << 20}")
    ok("echo hello" in p.stdout, "the root holds the tree", p.stdout)
    p = run("dumpe2fs", "-h", f"{disk}?offset={34 << 20}")
    ok("lbl" in p.stdout and "orphan_file" not in p.stdout, "under its label, readable for GRUB", p.stdout)
    p = run(os.path.join(TOP, "images/lib/disk"), os.path.join(folder, "small.raw"), tree, 64, env=env)
    ok(p.returncode != 0 and "too small" in p.stdout and not os.path.exists(os.path.join(folder, "small.raw")),
       "a disk that is too small is refused and not left", p.stdout)
    ok(os.listdir(os.path.join(folder, "cache/tmp")) == [], "no temporary folder stays")


def test_same_bytes(folder):
    """Two copies of a tree, laid out at different times: one disk."""
    env = dict(os.environ, SC_CACHE=os.path.join(folder, "cache"), SC_SEED="seed", SOURCE_DATE_EPOCH="1700000000")
    for name in ("first", "second", "other"):
        tree = os.path.join(folder, name)
        for i in range(30):
            os.makedirs(os.path.join(tree, f"d{i * 7 % 30}"))
            with open(os.path.join(tree, f"d{i * 7 % 30}", "file"), "w") as f:
                f.write(name[:1] * 5000 if name == "other" else "x" * 5000)
        for d, _, files in os.walk(tree, topdown=False):
            for f in [os.path.join(d, x) for x in files] + [d]:
                os.utime(f, (1700000000, 1600000000))
        p = run(os.path.join(TOP, "images/lib/disk"), os.path.join(folder, name + ".raw"), tree, 110, env=env)
        ok(p.returncode == 0, f"a disk of the {name} tree", p.stdout)
        time.sleep(1.1)
    ok(run("cmp", os.path.join(folder, "first.raw"), os.path.join(folder, "second.raw")).returncode == 0,
       "the same tree, seed and time make the same disk, to the byte")
    ok(run("cmp", "-s", os.path.join(folder, "first.raw"), os.path.join(folder, "other.raw")).returncode == 1,
       "another tree makes another")


def test_counter(folder):
    """boot-state against the block as GRUB writes it."""
    env, state = os.path.join(folder, "grubenv"), os.path.join(folder, "boot-state")
    with open(os.path.join(TOP, "appliance/rootfs/usr/lib/supercloud/appliance/boot-state")) as f:
        text = f.read()
    with open(state, "w") as f:
        f.write(text.replace("env=/boot/grub/grubenv", f"env={env}").replace(
            "run=/run/supercloud", f"run={folder}/run"))

    def grub(*lines):
        data = b"# GRUB Environment Block\n" + "".join(x + "\n" for x in lines).encode()
        with open(env, "wb") as f:
            f.write(data.ljust(1024, b"#"))

    grub("xen_try=1", "xen_reason=xen-boot-failed")
    inode = os.stat(env).st_ino
    ok(run("sh", state, "show").stdout == "xen_try=1\n", "the counter is read")
    run("sh", state, "good")
    with open(env, "rb") as f:
        data = f.read()
    ok(len(data) == 1024 and data.startswith(b"# GRUB Environment Block\nxen_try=0\n#") and
       data.endswith(b"#") and os.stat(env).st_ino == inode, "a good boot resets it, in place", data[:80])
    if shutil.which("grub-editenv"):
        ok(run("grub-editenv", env, "list").stdout == "xen_try=0\n", "in a block that GRUB reads")
    grub("xen_try=2")
    run("sh", state, "retry")
    ok(run("sh", state, "show").stdout == "xen_try=0\n", "retry resets it too")
    ok(run("sh", state, "nonsense").returncode == 2, "an unknown verb is refused")
    run("sh", state, "report")
    with open(os.path.join(folder, "run/boot.json")) as f:
        boot = json.load(f)
    ok(boot["mode"] == "plain" and boot["reason"], "without Xen the report says plain", boot)


def main():
    folder = tempfile.mkdtemp(prefix="sc-images-")
    try:
        test_arguments()
        test_recipes()
        test_forms(folder)
        test_manifest(folder)
        test_hash(folder)
        test_disk(folder)
        test_same_bytes(folder)
        test_counter(folder)
    finally:
        shutil.rmtree(folder)
    print(f"1..{n}")
    return 1 if failed else 0


sys.exit(main())
