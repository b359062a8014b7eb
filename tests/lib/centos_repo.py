"""centos_repo - a stand-in for CentOS Stream 9's and ELRepo's mirrors.

From this machine no CentOS mirror may be in reach.  So that images/distro/centos is
run all the same, whole and offline, this makes repositories with packages of the
same names whose contents are Debian's: real programs, which boot.  Everything says
that it is a stand-in: vendor, release, os-release.  What it cannot show is whether
CentOS's own packages do the same.

    mirror = centos_repo.make(folder)       # made once, then as it is
    env = dict(os.environ, **mirror.env)    # what images/build reads
"""
import glob
import json
import os
import shutil
import subprocess
import sys

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
VENDOR = "stand-in for CentOS, made of Debian's files by Supercloud's tests"
RELEASE = "1.standin"
EPOCH = 1790000000      # The repositories' date.

# Whose files each package gets; what nobody names goes to glibc.
CONTENTS = {
    "bash": "bash", "coreutils": "coreutils", "systemd": "systemd systemd-sysv libsystemd-shared libsystemd0",
    "systemd-udev": "udev libudev1", "util-linux": "util-linux util-linux-extra mount bsdutils fdisk login",
    "kmod": "kmod libkmod2", "procps-ng": "procps libproc2-0", "hostname": "hostname", "iproute": "iproute2",
    "iputils": "iputils-ping", "nftables": "nftables libnftables1 libnftnl11", "ethtool": "ethtool", "tcpdump": "tcpdump",
    "ca-certificates": "ca-certificates", "openssl": "openssl", "e2fsprogs": "e2fsprogs libext2fs2 logsave",
    "python3": "python3 python3-minimal python3.11 python3.11-minimal libpython3-stdlib libpython3.11-stdlib",
    "cloud-init": "cloud-init", "dhcp-client": "isc-dhcp-client", "chrony": "chrony", "glibc": "",
}
APPSTREAM = {"cloud-init", "tcpdump", "nftables", "python3"}
REQUIRES = {"cloud-init": "python3 systemd", "systemd-udev": "systemd kmod", "chrony": "systemd"}
PROVIDES = {"bash": "/bin/sh"}
POST = {"chrony": "chown _chrony:_chrony /var/lib/chrony /var/log/chrony 2>/dev/null || :"}
# What the runtime bundle has to bring, since CentOS has none of it.
ABSENT_PACKAGES = ("xen", "libxen", "openvswitch", "python3-openvswitch", "libcjson", "libwslay", "liblmdb", "libsodium",
                   "liburing", "libunbound", "libyajl", "systemd-resolved", "dpkg", "perl", "libperl", "base-files-os")
ABSENT_FILES = ("systemd-networkd", "systemd-repart", "systemd-growfs", "networkctl", "resolvectl", "systemd-resolved")


def run(*cmd, **kw):
    p = subprocess.run([str(c) for c in cmd], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                       check=False, **kw)
    if p.returncode:
        raise RuntimeError(f"{' '.join(map(str, cmd[:3]))}: exit {p.returncode}: {p.stdout[-3000:]}")
    return p.stdout


class Mirror:
    def __init__(self, folder):
        self.folder = folder
        self.env = {"SC_CENTOS_MIRROR": f"file://{folder}/centos", "SC_ELREPO_MIRROR": f"file://{folder}/elrepo",
                    "SC_CENTOS_KEY": f"{folder}/key.asc", "SC_ELREPO_KEY": f"{folder}/key.asc"}


class Maker:
    def __init__(self, folder):
        self.folder = folder
        self.debian = f"{folder}/work/debian"
        self.home = f"{folder}/work/home"
        self.env = dict(os.environ, HOME=self.home, GNUPGHOME=f"{self.home}/gnupg", SOURCE_DATE_EPOCH=str(EPOCH), LC_ALL="C")
        self.epoch_dirs = {"baseos": f"{folder}/centos/9-stream/BaseOS/x86_64/os",
                           "appstream": f"{folder}/centos/9-stream/AppStream/x86_64/os",
                           "elrepo": f"{folder}/elrepo/el9/x86_64"}

    def key(self):
        """A signing key for this mirror alone."""
        os.makedirs(self.env["GNUPGHOME"], mode=0o700)
        run("gpg", "--batch", "--passphrase", "", "--quick-generate-key", "standin@supercloud.test", "rsa2048", "sign",
            "never", env=self.env)
        run("gpg", "--batch", "--armor", "--output", f"{self.folder}/key.asc", "--export", env=self.env)

    def unpack(self):
        tar = run(f"{TOP}/images/distro/debian/root").splitlines()[-1]
        os.makedirs(self.debian)
        run("tar", "-C", self.debian, "-xf", tar, "--exclude=./dev/*")

    def real(self, path):
        """A path of a package's list as it is in a root where /bin is usr/bin."""
        where = os.path.realpath(self.debian + os.path.dirname(path))
        return where.removeprefix(self.debian) + "/" + os.path.basename(path)

    def share_out(self):
        """{package: [files]}; every file that is not a folder has one owner."""
        of = {d: name for name, debs in CONTENTS.items() for d in debs.split()}
        owner, absent = {}, set()
        for lst in glob.glob(f"{self.debian}/var/lib/dpkg/info/*.list"):
            deb = os.path.basename(lst).removesuffix(".list").split(":")[0]
            with open(lst, encoding="utf-8") as f:
                for path in f.read().splitlines():
                    path = self.real(path)
                    if deb.startswith(ABSENT_PACKAGES):
                        absent.add(path)
                    else:
                        owner[path] = of.get(deb, "glibc")
        files = {name: [] for name in CONTENTS}
        for d, folders, names in os.walk(self.debian):
            inside = d.removeprefix(self.debian)
            if inside.startswith(("/var/lib/dpkg", "/boot", "/usr/share/doc", "/var/cache", "/usr/share/perl",
                                  "/usr/lib/x86_64-linux-gnu/perl/", "/usr/lib/xen")):
                continue
            for name in names + [x for x in folders if os.path.islink(f"{d}/{x}")]:
                path = f"{inside}/{name}"
                if path in absent and path not in owner or name.startswith(ABSENT_FILES) \
                        or path in ("/etc/os-release", "/usr/lib/os-release"):
                    continue
                if inside:      # The links of the top are filesystem's.
                    files[owner.get(path, "glibc")].append(path)
        return files

    def rpm(self, name, version, files, root, repo, requires="", post="", rename=()):
        """One signed package with 'files' of 'root'."""
        work = f"{self.folder}/work/{name}"
        os.makedirs(work)
        lines = []
        with open(f"{work}/list0", "w", encoding="utf-8") as f:
            f.write("".join(f".{x}\0" for x in files))
        for x in files:
            x = dict(rename).get(x, x)
            lines.append(f'"{x}"' if not os.path.isdir(root + x) or os.path.islink(root + x) else f'%dir "{x}"')
        moves = "\n".join(f'mv "%{{buildroot}}{a}" "%{{buildroot}}{b}"' for a, b in rename)
        with open(f"{work}/files", "w", encoding="utf-8") as f:
            f.write("\n".join(lines) + "\n")
        with open(f"{work}/{name}.spec", "w", encoding="utf-8") as f:
            f.write(f"""Name: {name}
Version: {version}
Release: {RELEASE}
Summary: Stand-in for CentOS's {name}: Debian's files
License: the licences of Debian's packages
Vendor: {VENDOR}
AutoReqProv: no
{"".join(f"Requires: {r}" + chr(10) for r in requires.split())}{"Provides: " + PROVIDES[name] + chr(10) if name in PROVIDES else ""}%description
{VENDOR}
%install
mkdir -p %{{buildroot}}
tar -C {root} --no-recursion --null -T {work}/list0 -cf - | tar -C %{{buildroot}} -xf -
{moves}
{"%post" + chr(10) + post if post else ""}
%files -f {work}/files
%defattr(-,root,root)
""")
        run("rpmbuild", "-bb", "--quiet", "--target", "x86_64", "--define", f"_topdir {work}/b",
            "--define", f"_rpmdir {self.epoch_dirs[repo]}", "--define", "_build_name_fmt %%{NAME}-%%{VERSION}-%%{RELEASE}.%%{ARCH}.rpm",
            "--define", "debug_package %{nil}", "--define", "__os_install_post %{nil}", "--define", "_build_id_links none",
            "--define", "_binary_payload w1.gzdio", "--define", "_buildhost standin", "--define", "use_source_date_epoch_as_buildtime 1",
            f"{work}/{name}.spec", env=self.env)
        shutil.rmtree(work)

    def filesystem(self):
        """Folders, and the links that make /bin usr/bin."""
        paths = []
        for d, folders, _ in os.walk(self.debian):
            for x in folders:
                path = f"{d}/{x}".removeprefix(self.debian)
                top_link = os.path.islink(self.debian + path) and path.count("/") == 1
                if top_link or not os.path.islink(self.debian + path):
                    if not path.startswith(("/usr/share/doc/", "/var/lib/dpkg", "/usr/lib/xen", "/usr/share/perl")):
                        paths.append(path)
        self.rpm("filesystem", "3", paths, self.debian, "baseos")

    def release(self):
        root = f"{self.folder}/work/release"
        os.makedirs(f"{root}/etc")
        os.makedirs(f"{root}/usr/lib")
        with open(f"{root}/usr/lib/os-release", "w", encoding="ascii") as f:
            f.write(f'NAME="CentOS Stream stand-in"\nVERSION="9"\nID="centos"\nID_LIKE="rhel fedora"\nVERSION_ID="9"\n'
                    f'PRETTY_NAME="{VENDOR}"\n')
        os.symlink("../usr/lib/os-release", f"{root}/etc/os-release")
        self.rpm("centos-stream-release", "9.0", ["/usr/lib/os-release", "/etc/os-release"], root, "baseos", "filesystem")

    def kernel(self):
        """kernel-lt, as ELRepo splits it: modules are compressed."""
        source = run(f"{TOP}/images/lib/kernel").splitlines()[-1]
        with open(f"{source}/version", encoding="ascii") as f:
            ver = f.read().strip()
        root = f"{self.folder}/work/kernelroot"
        mods = f"{root}/lib/modules/{ver}"
        os.makedirs(os.path.dirname(mods))
        run("cp", "-a", f"{source}/modules", mods)
        with open(f"{TOP}/appliance/packages/modules.drop", encoding="utf-8") as f:
            drop = [x.strip() for x in f if x.strip() and x[0] not in "#+"]
        for x in drop:      # The image would drop them: not worth compressing.
            if x not in ("kernel/drivers/net/ethernet", "kernel/fs/udf", "kernel/drivers/md"):
                shutil.rmtree(f"{mods}/{x}", ignore_errors=True)
        shutil.copy(f"{source}/vmlinuz", f"{mods}/vmlinuz")
        shutil.copy(f"{source}/config", f"{mods}/config")
        run("sh", "-c", f"find {mods} -name '*.ko' -print0 | xargs -0 -P2 -n64 xz -0")
        core, modules = [], []
        for d, _, names in os.walk(root):
            for x in names:
                (modules if x.endswith(".ko.xz") else core).append(f"{d}/{x}".removeprefix(root))
        version = ver.split("-")[0]
        self.rpm("kernel-lt-core", version, core, root, "elrepo")
        self.rpm("kernel-lt-modules", version, modules, root, "elrepo")
        shutil.rmtree(root)

    def make(self):
        for d in self.epoch_dirs.values():
            os.makedirs(d)
        self.key()
        self.unpack()
        self.filesystem()
        self.release()
        for name, files in self.share_out().items():
            rename = ()
            if name == "chrony":
                unit = "/usr/lib/systemd/system/chrony"
                rename = ((f"{unit}.service", f"{unit}d.service"),)
            requires = "filesystem" + ("" if name == "glibc" else " glibc") + " " + REQUIRES.get(name, "")
            self.rpm(name, "9.0", files, self.debian, "appstream" if name in APPSTREAM else "baseos", requires,
                     POST.get(name, ""), rename)
        # A name that is a choice of glibc's in CentOS.
        self.rpm("glibc-minimal-langpack", "9.0", [], self.debian, "baseos", "glibc")
        self.kernel()
        packages = glob.glob(f"{self.folder}/**/*.rpm", recursive=True)
        run("rpmsign", "--define", "__gpg /usr/bin/gpg", "--define", "_gpg_name standin@supercloud.test", "--addsign", *packages, env=self.env)
        for d in self.epoch_dirs.values():
            run("createrepo_c", "--quiet", "--revision", EPOCH, "--set-timestamp-to-revision", d, env=self.env)
        shutil.rmtree(f"{self.folder}/work")


def make(folder):
    """The mirror in 'folder', made if it is not there."""
    done = f"{folder}/made.json"
    if not os.path.exists(done):
        shutil.rmtree(folder, ignore_errors=True)
        os.makedirs(folder)
        print("# making a stand-in for CentOS's mirrors out of Debian's files", file=sys.stderr, flush=True)
        Maker(folder).make()
        with open(done, "w", encoding="ascii") as f:
            json.dump({"vendor": VENDOR}, f)
    return Mirror(folder)


if __name__ == "__main__":
    print(json.dumps(make(os.path.abspath(sys.argv[1])).env, indent=1))
