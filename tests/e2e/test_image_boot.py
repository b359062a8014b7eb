#!/usr/bin/python3
"""The appliance's image, booted through its own boot loader in QEMU (no -kernel).

BIOS and UEFI; bad user-data; a hypervisor that cannot be loaded and one that
dies.  Each machine has a copy-on-write disk, a NoCloud seed and no network.
KVM where the processor has it, else TCG, emulated.  Needs a built image, or
builds it ($SC_BUILD/images/debian-local)."""
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
BUILD = os.path.abspath(os.environ.get("SC_BUILD", os.path.join(TOP, "build")))
IMAGES = os.path.join(BUILD, "images/debian-local")
OVMF = "/usr/share/OVMF/OVMF_CODE.fd", "/usr/share/OVMF/OVMF_VARS.fd"
ROOT_AT = 34 << 20      # images/lib/disk: where the root partition begins.
DISK = 6 << 30          # Larger than the image: the root has to grow.
LIMIT_S = float(os.environ.get("BOOT_LIMIT_S", "420"))
n = failed = 0

# What the machine reports of itself, between two marks, when cloud-init is done.
REPORT = r"""#cloud-config
%s
runcmd:
  - |
    cat >/run/report <<'E'
    until [ -e /run/cloud-init/result.json ]; do sleep 0.5; done
    {
      echo "REPORT-BEGIN"
      echo "boot: $(cat /run/supercloud/boot.json)"
      echo "uptime: $(cut -d' ' -f1 /proc/uptime)"
      echo "tries: $(/usr/lib/supercloud/appliance/boot-state show)"
      echo "disk: $(df -B1 --output=size / | tail -1)"
      echo "failed: $(systemctl --failed --no-legend --plain | cut -d' ' -f1 | tr '\n' ' ')"
      echo "left: $(ls -d /etc/supercloud/supercloud.json* /var/lib/supercloud/pki/* 2>/dev/null | tr '\n' ' ')"
      echo "xenstore: $(systemctl is-active sc-xen.service)"
      echo "modes: $(stat -c '%%a %%U:%%G' /run/supercloud)"
      echo "memory: $(free -m | sed -n 's/^Mem: *\([0-9]*\) *\([0-9]*\).*/\1 \2/p') $(xl info 2>/dev/null | sed -n 's/^free_memory *: *//p')"
      cloud-init status --long | sed 's/^/status: /'
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


def skip(name, why):
    global n
    n += 1
    print(f"ok {n} - {name} # SKIP {why}", flush=True)


def sh(*cmd, **kw):
    return subprocess.run([str(c) for c in cmd], check=True, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, **kw).stdout


def kvm():
    with open("/proc/cpuinfo") as f:
        return bool(re.search(r"\b(svm|vmx)\b", f.read())) and os.access("/dev/kvm", os.W_OK)


class Machine:
    def __init__(self, folder, name, image, config="", uefi=False):
        self.dir = os.path.join(folder, name)
        os.mkdir(self.dir)
        self.log = os.path.join(self.dir, "serial.log")
        disk, seed = os.path.join(self.dir, "disk.qcow2"), os.path.join(self.dir, "seed.img")
        sh("qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2" if image.endswith("qcow2") else "raw",
           "-b", image, disk, DISK)
        for file, text in (("user-data", REPORT % config),
                           ("meta-data", json.dumps({"instance-id": name, "local-hostname": name})),
                           ("network-config", "version: 2\nethernets: {}\n")):
            with open(os.path.join(self.dir, file), "w") as f:
                f.write(text)
        with open(seed, "wb") as f:
            f.truncate(1 << 20)
        sh("mkfs.vfat", "-n", "CIDATA", seed)
        sh("mcopy", "-i", seed, *[os.path.join(self.dir, x) for x in ("user-data", "meta-data", "network-config")], "::")
        cmd = ["qemu-system-x86_64", "-machine", "q35", "-m", "2048", "-smp", "2", "-display", "none",
               "-monitor", "none", "-serial", "file:" + self.log, "-nic", "none",
               "-drive", f"file={disk},if=virtio,cache=unsafe",
               "-drive", f"file={seed},if=virtio,format=raw,readonly=on"]
        if kvm():
            cmd += ["-accel", "kvm", "-cpu", "host"]
        else:
            # -smap: QEMU 7.2 checks it wrongly; -erms, -fsrm: slow when emulated.
            cmd += ["-accel", "tcg,thread=multi", "-cpu", "max,-smap,-smep,-erms,-fsrm"]
        if uefi:
            nvram = os.path.join(self.dir, "vars.fd")
            shutil.copy(OVMF[1], nvram)
            cmd += ["-drive", f"if=pflash,format=raw,readonly=on,file={OVMF[0]}",
                    "-drive", f"if=pflash,format=raw,file={nvram}"]
        self.began = time.monotonic()
        self.process = subprocess.Popen(cmd, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)

    def serial(self):
        try:
            with open(self.log, errors="replace") as f:
                return f.read().replace("\r", "")
        except OSError:
            return ""

    def report(self):
        """The report as {name: value}; None if it does not come in time."""
        while time.monotonic() - self.began < LIMIT_S:
            text = self.serial()
            m = re.search(r"REPORT-BEGIN\n(.*?)REPORT-END", text, re.S)
            if m:
                out = {}
                for line in m[1].splitlines():
                    k, _, v = line.partition(": ")
                    out[k] = (out[k] + "\n" if k in out else "") + v
                print(f"# {os.path.basename(self.dir)}: reported {time.monotonic() - self.began:.0f} s after power-on, "
                      f"{out.get('uptime')} s by its own clock", flush=True)
                return out
            if self.process.poll() is not None:
                print("# qemu ended: " + self.process.stderr.read().decode(errors="replace"), flush=True)
                break
            time.sleep(0.5)
        print("# no report; the serial console ends:\n# " + "\n# ".join(self.serial().splitlines()[-25:]), flush=True)
        return None

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.process.stderr.close()
        shutil.rmtree(self.dir)


def changed(folder, image, commands):
    """A raw copy of the image whose root file system debugfs has changed."""
    raw = os.path.join(folder, "changed.raw")
    sh("qemu-img", "convert", "-O", "raw", image, raw)
    script = os.path.join(folder, "debugfs")
    with open(script, "w") as f:
        f.write("\n".join(commands) + "\n")
    out = sh("debugfs", "-w", "-f", script, f"{raw}?offset={ROOT_AT}")
    if "Permission denied" in out or "not found" in out.lower():
        raise RuntimeError(out)
    return raw


def boot_of(r):
    try:
        return json.loads(r["boot"])
    except (TypeError, KeyError, ValueError):
        return {}


def test_bios(folder, image):
    m = Machine(folder, "bios", image, "supercloud:\n  role: node\n  controller: 10.0.0.1\n  tokn: x\n")
    try:
        r = m.report()
        ok(r is not None, "BIOS: GRUB, Xen, dom0, cloud-init come up")
        if r is None:
            return
        ok(boot_of(r).get("mode") == "xen" and "Xen 4." in boot_of(r).get("reason", ""), "it runs under Xen and says so", r)
        ok(r["xenstore"] == "active", "Xen's store runs", r)
        ok(r["tries"] == "xen_try=0", "the boot loader's counter is reset", r)
        ok(int(r["disk"]) > DISK * 0.9, "the root file system has grown to the disk", r)
        ok(r["modes"] == "1775 root:supercloud", "the daemons' socket folder is theirs", r)
        memory = [int(x) for x in r["memory"].split()]
        ok(len(memory) == 3 and memory[2] > 1000, "over 1000 MiB of 2 GiB are left for guests", r)
        ok("supercloud: ERROR bad-user-data supercloud.tokn: unknown key; did you mean 'token'?" in m.serial(),
           "bad user-data is named on the serial console", m.serial()[-2000:])
        ok("bad-user-data supercloud.tokn" in r["status"] and "status: error" in "status: " + r["status"].replace("status: ", ""),
           "and in cloud-init status --long", r["status"])
        ok(r["left"].strip() == "", "nothing half-joined stays", r)
        ok(r["failed"].split() == ["cloud-init-local.service"], "no other unit failed", r)
    finally:
        m.stop()


def test_uefi(folder, image):
    if not os.path.exists(OVMF[0]):
        return skip("UEFI: it comes up under Xen", "no OVMF")
    m = Machine(folder, "uefi", image, "supercloud: {role: nobody}", uefi=True)
    try:
        ok(boot_of(m.report()).get("mode") == "xen", "UEFI: it comes up under Xen")
    finally:
        m.stop()


def test_unloadable(folder, image):
    bad = os.path.join(folder, "bad.gz")
    with open(bad, "wb") as f:
        f.write(os.urandom(65536))
    raw = changed(folder, image, ["cd /boot", "rm xen.gz", f"write {bad} xen.gz"])
    m = Machine(folder, "unloadable", raw, "supercloud: {role: nobody}")
    try:
        boot = boot_of(m.report())
        ok(boot.get("mode") == "fallback" and "could not load" in boot.get("reason", ""),
           "a hypervisor that is no hypervisor: the plain kernel boots and says why", boot)
    finally:
        m.stop()
        os.unlink(raw)


def test_dying(folder, image):
    cfg = os.path.join(folder, "local.cfg")
    with open(cfg, "w") as f:
        f.write('set xen_extra="dom0_mem=8M,max:8M"\nset linux_extra="mitigations=off"\n')
    raw = changed(folder, image, ["cd /boot/grub", "rm local.cfg", f"write {cfg} local.cfg"])
    m = Machine(folder, "dying", raw, "supercloud: {role: nobody}")
    try:
        r = m.report()
        boot = boot_of(r)
        ok(boot.get("mode") == "fallback" and "twice" in boot.get("reason", ""),
           "a hypervisor that dies twice: the plain kernel boots and says why", boot)
        starts = len(re.findall(r"Xen version", m.serial()))
        ok(starts == 2, "after two tries, without a hand", starts)
        ok(r is not None and r["tries"] == "xen_try=2", "and stays with it until told to retry", r)
    finally:
        m.stop()
        os.unlink(raw)


def main():
    if os.environ.get("SC_QUICK"):
        print("1..0 # SKIP five boots take minutes; make check-e2e runs them")
        return 0
    if not os.path.exists(os.path.join(IMAGES, "manifest.json")):
        sh(os.path.join(TOP, "images/build"), "--provider", "local", "--distro", "debian", "--output", IMAGES,
           "--bin", os.path.join(BUILD, "bin"))
    with open(os.path.join(IMAGES, "manifest.json")) as f:
        image = os.path.join(IMAGES, json.load(f)["file"])
    folder = tempfile.mkdtemp(prefix="sc-image-", dir=BUILD)
    only = os.environ.get("T_ONLY", "")
    try:
        for test in (test_bios, test_uefi, test_unloadable, test_dying):
            if only in test.__name__:
                test(folder, image)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(f"1..{n}")
    return 1 if failed else 0


sys.exit(main())
