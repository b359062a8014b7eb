#!/usr/bin/python3
"""images/build's words for wrong arguments, the cache's keys, the disk that is
put together from files, and the boot counter's block.  Nothing is downloaded."""
import json
import os
import shutil
import struct
import subprocess
import sys
import tempfile

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
        ("no provider", [], "--provider is needed; there are: local"),
        ("an unknown provider", ["--provider", "moon"], "no provider 'moon'; there are: local"),
        ("an unknown distribution", ["--provider", "local", "--distro", "beos"],
         "no distribution 'beos'; there are: debian"),
        ("an unknown argument", ["--speed"], "unknown argument '--speed'"),
        ("a value left out", ["--provider"], "--provider needs a value"),
        ("a folder without programs", ["--provider", "local", "--bin", "/nonexistent"], "run make first"),
    ]
    for name, args, words in cases:
        p = run(build, *args)
        ok(p.returncode == 1 and words in p.stdout, f"{name} is an error that says what there is", p.stdout)
    p = run(build, "--list")
    ok(p.returncode == 0 and "local" in p.stdout and "debian" in p.stdout, "--list names the recipes", p.stdout)
    p = run(build, "--help")
    ok(p.returncode == 0 and "--output" in p.stdout, "--help explains", p.stdout)


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
        test_hash(folder)
        test_disk(folder)
        test_counter(folder)
    finally:
        shutil.rmtree(folder)
    print(f"1..{n}")
    return 1 if failed else 0


sys.exit(main())
