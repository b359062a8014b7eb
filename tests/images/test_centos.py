#!/usr/bin/python3
"""images/distro/centos, whole and offline, against a stand-in for CentOS's mirrors.

tests/lib/centos_repo.py makes repositories with CentOS's package names and Debian's
files; dnf, signatures, scripts of packages, kernel, runtime bundle and boot are real.
CentOS's own packages are not met here.  SC_CENTOS_BOOT=0 leaves the boot out."""
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(TOP, "tests", "lib"))
import centos_repo                                       # noqa: E402

BUILD = os.path.abspath(os.environ.get("SC_BUILD", os.path.join(TOP, "build")))
ROOT_AT = 34 << 20      # images/lib/disk: where the root partition begins.
n = failed = 0
SEED = """#cloud-config
supercloud: {role: nobody}
runcmd:
  - |
    cat >/run/report <<'E'
    until [ -e /run/cloud-init/result.json ]; do sleep 1; done
    {
      echo "REPORT-BEGIN"
      echo "boot: $(cat /run/supercloud/boot.json)"
      echo "system: $(. /etc/os-release; echo "$NAME")"
      echo "xenstore: $(systemctl is-active sc-xen.service)"
      echo "switch: $(ovs-vsctl --timeout=20 show >/dev/null 2>&1 && echo yes)"
      echo "networkd: $(systemctl is-active systemd-networkd.service)"
      echo "disk: $(df -B1 --output=size / | tail -1)"
      echo "domains: $(xl list 2>&1 | sed -n 's/^\\(Domain-0\\) .*/\\1/p')"
      echo "failed: $(systemctl --failed --no-legend --plain | cut -d' ' -f1 | tr '\\n' ' ')"
      echo "REPORT-END"
    } >/dev/console 2>&1
    E
  - systemd-run --no-block sh /run/report
"""


def ok(good, name, why=""):
    global n, failed
    n += 1
    failed += not good
    print(f"{'ok' if good else 'not ok'} {n} - {name}", flush=True)
    if not good and why:
        print("# " + str(why).replace("\n", "\n# "), flush=True)
    return good


def run(*cmd, **kw):
    return subprocess.run([str(c) for c in cmd], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, check=False, **kw)


def build(env, *args):
    return run(os.path.join(TOP, "images/build"), "--provider", "local", "--distro", "centos",
               "--bin", os.path.join(BUILD, "bin"), *args, env=env)


def test_refusals(mirror, folder):
    """A mirror that is not there; a package that somebody else signed."""
    env = dict(os.environ, **mirror.env)
    p = build(dict(env, SC_CENTOS_MIRROR=f"file://{folder}/none"))
    ok(p.returncode == 1 and "--centos-mirror or SC_CENTOS_MIRROR" in p.stdout,
       "a mirror that cannot be read is named, and the option too", p.stdout)
    p = build(env, "--elrepo-mirror", f"file://{folder}/none")
    ok(p.returncode == 1 and "--elrepo-mirror or SC_ELREPO_MIRROR" in p.stdout, "ELRepo's as well", p.stdout)
    home = os.path.join(folder, "gpg")
    os.mkdir(home, 0o700)
    genv = dict(os.environ, GNUPGHOME=home)
    run("gpg", "--batch", "--passphrase", "", "--quick-generate-key", "other@supercloud.test", "rsa2048", "sign", "never", env=genv)
    run("gpg", "--batch", "--armor", "--output", f"{folder}/other.asc", "--export", env=genv)
    run("gpgconf", "--kill", "all", env=genv)
    cold = dict(env, SC_CACHE=os.path.join(folder, "cache"))
    p = run(os.path.join(TOP, "images/distro/centos/kernel"), env=dict(cold, SC_ELREPO_KEY=f"{folder}/other.asc"))
    ok(p.returncode == 1 and "the signature of kernel-lt-core is not ELRepo's" in p.stdout,
       "a kernel that another key signed is refused", p.stdout)
    p = run(os.path.join(TOP, "images/distro/centos/root"), env=dict(cold, SC_CENTOS_KEY=f"{folder}/other.asc"))
    ok(p.returncode == 1 and "dnf could not install" in p.stdout and re.search("(?i)gpg|key", p.stdout),
       "and so are packages", p.stdout)
    shutil.rmtree(os.path.join(folder, "cache"), ignore_errors=True)


def test_manifest(m):
    ok(m["distro"] == "centos" and m["vendors"] == [centos_repo.VENDOR],
       "the manifest says whose packages these are", m.get("vendors"))
    names = {p["name"] for p in m["packages"]}
    ok({"bash", "systemd", "cloud-init", "centos-stream-release", "glibc"} <= names and "kernel-lt-core" not in names,
       "and lists them; the kernel is unpacked, not installed", sorted(names))


def test_bundle(image, folder):
    """The bundle's programs where there is nothing else at all."""
    raw, bare = os.path.join(folder, "disk.raw"), os.path.join(folder, "bare")
    run("qemu-img", "convert", "-O", "raw", image, raw)
    for d in ("opt", "usr/lib/supercloud", "usr/sbin", "usr/bin", "usr/lib/systemd"):
        os.makedirs(os.path.join(bare, d))
    commands = ["rdump /opt/supercloud " + os.path.join(bare, "opt")]
    programs = {"usr/lib/supercloud/sc-node": "--help", "usr/lib/supercloud/sc-controller": "--help",
                "usr/lib/supercloud/sc-network": "--help", "usr/lib/supercloud/sc-storage": "--help",
                "usr/lib/supercloud/sc-join": "--help", "usr/lib/supercloud/supercloud": "help",
                "usr/sbin/ovs-vswitchd": "--version", "usr/bin/ovs-vsctl": "--version", "usr/sbin/xl": "help",
                "usr/lib/systemd/systemd-networkd": "--version", "usr/bin/systemd-repart": "--version"}
    commands += [f"dump -p /{p} {bare}/{p}" for p in programs]
    script = os.path.join(folder, "debugfs")
    with open(script, "w") as f:
        f.write("\n".join(commands) + "\n")
    run("debugfs", "-f", script, f"{raw}?offset={ROOT_AT}")
    os.unlink(raw)
    for p, arg in programs.items():
        r = run("chroot", bare, "/" + p, arg)
        ok("error while loading" not in r.stdout and "failed to run" not in r.stdout and r.stdout.strip(),
           f"{os.path.basename(p)} runs with nothing but the bundle", r.stdout)
    shutil.rmtree(bare)


def test_boot(image, folder):
    disk, seed, log = (os.path.join(folder, x) for x in ("disk.qcow2", "seed.img", "serial.log"))
    run("qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", image, disk, 6 << 30)
    for name, text in (("user-data", SEED), ("meta-data", '{"instance-id": "centos", "local-hostname": "centos"}'),
                       ("network-config", "version: 2\nethernets: {}\n")):
        with open(os.path.join(folder, name), "w") as f:
            f.write(text)
    with open(seed, "wb") as f:
        f.truncate(1 << 20)
    run("mkfs.vfat", "-n", "CIDATA", seed)
    run("mcopy", "-i", seed, *[os.path.join(folder, x) for x in ("user-data", "meta-data", "network-config")], "::")
    with open("/proc/cpuinfo") as f:
        kvm = re.search(r"\b(svm|vmx)\b", f.read()) and os.access("/dev/kvm", os.W_OK)
    # -smap: QEMU 7.2 checks it wrongly; -erms, -fsrm: slow when emulated.
    cpu = ["-accel", "kvm", "-cpu", "host"] if kvm else ["-accel", "tcg,thread=multi", "-cpu", "max,-smap,-smep,-erms,-fsrm"]
    q = subprocess.Popen(["qemu-system-x86_64", "-machine", "q35", "-m", "2048", "-smp", "2", "-display", "none",
                          "-monitor", "none", "-serial", "file:" + log, "-nic", "none", *cpu,
                          "-drive", f"file={disk},if=virtio,cache=unsafe",
                          "-drive", f"file={seed},if=virtio,format=raw,readonly=on"], stdin=subprocess.DEVNULL)
    began, m, text = time.monotonic(), None, ""
    try:
        while not m and q.poll() is None and time.monotonic() - began < 420 * max(1, os.getloadavg()[0] / 2):
            time.sleep(1)
            if os.path.exists(log):
                with open(log, errors="replace") as f:
                    text = f.read().replace("\r", "")
                m = re.search(r"REPORT-BEGIN\n(.*?)REPORT-END", text, re.S)
    finally:
        q.send_signal(signal.SIGKILL)
        q.wait()
    if not ok(m, "the image boots through its boot loader and reports", "\n".join(text.splitlines()[-25:])):
        return
    r = dict(x.split(": ", 1) for x in re.findall(r"^\w+: .*$", m[1], re.M))
    print(f"# reported {time.monotonic() - began:.0f} s after power-on", flush=True)
    ok(json.loads(r["boot"])["mode"] == "xen" and r["xenstore"] == "active" and r["domains"] == "Domain-0",
       "under Xen, with the bundle's tools", r)
    ok(r["system"] == "CentOS Stream stand-in", "it is the stand-in, and says so", r)
    ok(r["switch"] == "yes" and r["networkd"] == "active", "the bundle's switch and networkd run", r)
    ok(int(r["disk"]) > 5.4e9, "the root has grown to the disk", r)
    ok(r["failed"].split() == ["cloud-init-local.service"], "no unit failed but cloud-init, for the role that is none", r)


def main():
    os.makedirs(BUILD, exist_ok=True)
    missing = [x for x in ("dnf", "rpmbuild", "rpmsign", "createrepo_c", "patchelf", "gpg") if not shutil.which(x)]
    if missing or os.geteuid() != 0:
        p = run(os.path.join(TOP, "tests/lib/install-packages"), os.path.join(TOP, "tests/lib/image-packages.list"))
        if p.returncode:
            print("1..0 # SKIP needs the packages of tests/lib/image-packages.list: " + p.stdout.strip().replace("\n", " "))
            return 0
    mirror = centos_repo.make(os.path.join(BUILD, "centos-repo"))
    folder = tempfile.mkdtemp(prefix="sc-centos-", dir=BUILD)
    try:
        test_refusals(mirror, folder)
        out = os.path.join(folder, "image")
        p = build(dict(os.environ, **mirror.env), "--output", out)
        if ok(p.returncode == 0, "an image is built through dnf from the stand-in", p.stdout[-3000:]):
            with open(os.path.join(out, "manifest.json")) as f:
                m = json.load(f)
            image = os.path.join(out, m["file"])
            test_manifest(m)
            test_bundle(image, folder)
            if os.environ.get("SC_CENTOS_BOOT") != "0":
                test_boot(image, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(f"1..{n}")
    return 1 if failed else 0


sys.exit(main())
