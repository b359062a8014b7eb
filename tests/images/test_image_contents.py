#!/usr/bin/python3
"""An image of a real provider, looked at from outside, and built a second time.

The programs, kernel, hypervisor and root come from the cache ($SC_CACHE), or are
made once.  What is checked: the same inputs make the same bytes; the file systems
are whole; nothing is in it that two instances must not share; the manifest and the
list of parts say what is there.  SC_REPRODUCE_ROOT=1 makes the Debian root a second
time too, which takes minutes."""
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.abspath(os.environ.get("SC_BUILD", os.path.join(TOP, "build")))
PROVIDER = "rackspace"
ROOT_AT = 34 << 20      # images/lib/disk: where the root partition begins.
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


def sha256(path):
    with open(path, "rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


def build(output):
    p = run(os.path.join(TOP, "images/build"), "--provider", PROVIDER, "--distro", "debian", "--output", output,
            "--bin", os.path.join(BUILD, "bin"))
    if p.returncode:
        print("# " + p.stdout.replace("\n", "\n# "), flush=True)
        raise RuntimeError("images/build failed")
    return p.stdout.splitlines()


class Root:
    """The root file system of a raw disk, read by debugfs."""

    def __init__(self, raw):
        self.where = f"{raw}?offset={ROOT_AT}"

    def ask(self, command):
        return subprocess.run(["debugfs", "-R", command, self.where], stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL, check=False).stdout

    def cat(self, path):
        return self.ask(f"cat {path}")

    def list(self, path):
        """Names in a folder, without '.' and '..'; None if there is none."""
        text = self.ask(f"ls -p {path}").decode()
        names = [line.split("/")[5] for line in text.splitlines() if line.count("/") >= 6]
        return [x for x in names if x not in (".", "..")] if names else None

    def files_below(self, path):
        text = self.ask(f"ls -p {path}").decode()
        out = []
        for line in text.splitlines():
            f = line.split("/")
            if len(f) < 7 or f[5] in (".", ".."):
                continue
            inside = f"{path}/{f[5]}"
            out += self.files_below(inside) if f[2].startswith("04") else [inside]
        return out


def test_twice(folder):
    first, second = os.path.join(folder, "1"), os.path.join(folder, "2")
    lines = build(first)
    build(second)
    with open(os.path.join(first, "manifest.json")) as f:
        manifest = json.load(f)
    ok(lines[-2:] == [os.path.join(first, manifest["file"]), os.path.join(first, "manifest.json")],
       "the image's and the manifest's paths are printed last", lines[-4:])
    for name in (manifest["file"], "manifest.json", "sbom.cdx.json"):
        ok(run("cmp", os.path.join(first, name), os.path.join(second, name)).returncode == 0,
           f"built twice, {name} is the same to the byte")
    shutil.rmtree(second)
    return os.path.join(first, manifest["file"]), manifest


def test_manifest(image, manifest):
    ok(sha256(image) == manifest["sha256"] and os.path.getsize(image) == manifest["size"],
       "the manifest has the file's checksum and size")
    info = json.loads(run("qemu-img", "info", "--output=json", image).stdout)
    ok(info["virtual-size"] == manifest["virtual_size"] and info["format"] == manifest["format"],
       "its format and the disk's size", info)
    ok(manifest["size"] < 200 << 20, "compressed it is below 200 MiB", manifest["size"])
    with open(os.path.join(os.path.dirname(image), manifest["sbom"]["file"])) as f:
        bom = json.load(f)
    with_sum = [c for c in bom["components"] if c.get("hashes")]
    with_licence = [c for c in bom["components"] if c.get("licenses")]
    ok(len(bom["components"]) > 150 and len(with_sum) > 0.9 * len(bom["components"]) and
       len(with_licence) > 0.8 * len(bom["components"]), "nearly every part of the SBOM has checksum and licence",
       (len(bom["components"]), len(with_sum), len(with_licence)))
    names = {c["name"] for c in bom["components"]}
    ok({"linux", "xen-blanket", "busybox-static", "sc-node", "systemd", "cloud-init"} <= names,
       "kernel, hypervisor, initramfs, our programs and packages are among them")


def test_contents(folder, image, manifest):
    raw = os.path.join(folder, "disk.raw")
    run("qemu-img", "convert", "-O", "raw", image, raw)
    p = run("sgdisk", "-v", raw)
    ok("No problems found" in p.stdout, "the partition table is whole", p.stdout)
    run("dd", f"if={raw}", f"of={folder}/root.fs", "bs=1M", "skip=34", "conv=sparse", "status=none")
    p = run("e2fsck", "-fn", f"{folder}/root.fs")
    ok(p.returncode == 0, "the root file system is whole", p.stdout)
    os.unlink(f"{folder}/root.fs")
    root = Root(raw)
    ok(root.cat("/etc/machine-id") == b"", "no machine-id: each instance makes its own")
    ok(root.files_below("/var/log") == [], "no logs of the build", root.files_below("/var/log"))
    ok(root.files_below("/var/lib/cloud") == [] and root.list("/etc/ssh") is None, "no instance's data, no host keys")
    ok(not root.cat("/etc/resolv.conf").startswith(b"nameserver"), "no resolver of the build machine")
    shadow = root.cat("/etc/shadow").decode()
    ok(shadow and not re.search(r"^[^:]+:[^:!*]", shadow, re.M), "no account has a password", shadow)
    image_json = json.loads(root.cat("/etc/supercloud/image.json"))
    ok(image_json["provider"] == PROVIDER and image_json["inputs"] == manifest["inputs"],
       "it knows which image it is", image_json)
    ok(b"datasource_list: [ ConfigDrive, OpenStack, None ]" in root.cat("/etc/cloud/cloud.cfg.d/90-provider.cfg"),
       "cloud-init looks at its provider alone")
    ok("sc-metadata-guard.service" in (root.list("/etc/systemd/system/sysinit.target.wants") or []),
       "guests are shut off from the metadata service at every boot")
    ok(b"xen_try=0" in root.cat("/boot/grub/grubenv") and len(root.cat("/boot/grub/grubenv")) == 1024,
       "the boot loader may count")
    ok({"xen.gz", "vmlinuz", "initrd.img"} <= set(root.list("/boot")), "Xen and the plain kernel are there")
    modules = f"/usr/lib/modules/{manifest['kernel']}/kernel"
    for driver in ("nvme/host/nvme.ko", "net/ethernet/amazon/ena/ena.ko", "net/ethernet/google/gve/gve.ko",
                   "net/ethernet/microsoft/mana/mana.ko", "net/hyperv/hv_netvsc.ko", "net/xen-netback/xen-netback.ko",
                   "scsi/hv_storvsc.ko", "scsi/virtio_scsi.ko", "net/ethernet/intel/e1000e/e1000e.ko"):
        d, name = os.path.split(f"{modules}/drivers/{driver}")
        ok(name in (root.list(d) or []), f"the driver {name} is not left out")
    os.unlink(raw)


def test_root(folder):
    if not os.environ.get("SC_REPRODUCE_ROOT"):
        return
    script = os.path.join(TOP, "images/distro/debian/root")
    paths = []
    for i in (1, 2):
        p = run(script, env=dict(os.environ, SC_CACHE=os.path.join(folder, f"cache{i}")))
        paths.append(p.stdout.splitlines()[-1])
    ok(run("cmp", *paths).returncode == 0, "the Debian root, made twice, is the same to the byte")


def main():
    os.makedirs(BUILD, exist_ok=True)
    folder = tempfile.mkdtemp(prefix="sc-contents-", dir=BUILD)
    try:
        image, manifest = test_twice(folder)
        test_manifest(image, manifest)
        test_contents(folder, image, manifest)
        test_root(folder)
    finally:
        shutil.rmtree(folder)
    print(f"1..{n}")
    return 1 if failed else 0


sys.exit(main())
