#!/usr/bin/python3
"""cc_supercloud.py without a machine: what user-data is taken, what is said of a
bad one, and that a failed join leaves nothing.  sc-join and systemctl are
scripts that do as told; cloud-init is Debian's own."""
import importlib.util
import json
import logging
import os
import shutil
import stat
import subprocess
import sys
import tempfile
import types

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
TOKEN = "sct1.tok-1.c2VjcmV0." + "ab" * 32
NODE = {"role": "node", "controller": "10.200.0.1:7443", "token": TOKEN,
        "region": "ap-northeast", "provider": "local"}
n = failed = 0


def ok(good, name, why=""):
    global n, failed
    n += 1
    failed += not good
    print(f"{'ok' if good else 'not ok'} {n} - {name}", flush=True)
    if not good and why:
        print("# " + str(why).replace("\n", "\n# "), flush=True)


def load():
    path = os.path.join(TOP, "cloud-init/cc_supercloud.py")
    spec = importlib.util.spec_from_file_location("cc_supercloud", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def node(**change):
    sc = dict(NODE, **change)
    return {k: v for k, v in sc.items() if v is not None}


# (name, the 'supercloud' value, key at fault, words of the reason); no key: good.
CASES = [
    ("a whole node", node(), None, ""),
    ("a node with all keys", node(name="ap-1", address="10.200.0.2", hypervisor="xen",
                                  datapath="system", reserved_mib=64), None, ""),
    ("a controller that says nothing else", {"role": "controller"}, None, ""),
    ("a controller at an IPv6 address", {"role": "controller", "address": "fd00::1"}, None, ""),
    ("a controller by name without port", node(controller="ctl.example.org"), None, ""),
    ("a controller at [IPv6]:port", node(controller="[fd00::1]:7443"), None, ""),
    ("no role", {"region": "x"}, "supercloud.role", "missing"),
    ("an unknown role", node(role="master"), "supercloud.role", "one of controller, node"),
    ("a node without token", node(token=None), "supercloud.token", "a node needs it"),
    ("a node without controller", node(controller=None), "supercloud.controller", "a node needs it"),
    ("a token cut short", node(token=TOKEN[:-1]), "supercloud.token", "sct1.ID.SECRET"),
    ("a token with a space", node(token=TOKEN + " "), "supercloud.token", "join token"),
    ("a token that is a number", node(token=7), "supercloud.token", "must be a text"),
    ("a controller with a scheme", node(controller="https://x:7443"), "supercloud.controller", "HOST"),
    ("a region as OpenStack has it", node(region="RegionOne"), None, ""),
    ("a region with a space", node(region="US East"), "supercloud.region", "'US East'"),
    ("an empty region", node(region=""), "supercloud.region", "letters, digits"),
    ("a controller with a public name", {"role": "controller", "console_name": "cloud.example.org",
                                         "acme_email": "me@example.org"}, None, ""),
    ("a controller with its own ACME server",
     {"role": "controller", "console_name": "cloud.example.org", "acme_directory": "https://ca.example/dir",
      "acme_ca": "-----BEGIN CERTIFICATE-----\nMA==\n-----END CERTIFICATE-----\n"}, None, ""),
    ("a public name without a dot", {"role": "controller", "console_name": "cloud"},
     "supercloud.console_name", "DNS name"),
    ("an ACME server in the clear", {"role": "controller", "console_name": "c.example.org",
                                     "acme_directory": "http://x/"}, "supercloud.acme_directory", "https URL"),
    ("an e-mail without a name", {"role": "controller", "acme_email": "me@example.org"},
     "supercloud.console_name", "'acme_email' needs it"),
    ("a node with a public name", node(console_name="c.example.org"), "supercloud.console_name",
     "only a machine with role 'controller'"),
    ("an unknown metadata service", node(metadata="aws"), "supercloud.metadata", "one of ec2, gce"),
    ("a name with an underscore", node(name="a_b"), "supercloud.name", "'a_b'"),
    ("the private address", node(address="private"), None, ""),
    ("an address that is a name", node(address="host"), "supercloud.address", "IP address"),
    ("an unknown hypervisor", node(hypervisor="kvm"), "supercloud.hypervisor", "one of xen, qemu"),
    ("a mistyped key", node(tokn="x"), "supercloud.tokn", "did you mean 'token'?"),
    ("a key of nobody", node(zzz=1), "supercloud.zzz", "known are"),
    ("memory as text", node(reserved_mib="64"), "supercloud.reserved_mib", "whole number"),
    ("memory below zero", node(reserved_mib=-1), "supercloud.reserved_mib", "minimum"),
    ("a controller with a token", {"role": "controller", "token": TOKEN}, "supercloud.token",
     "only a machine with role 'node'"),
    ("a list", ["role"], "supercloud", "must be a mapping"),
    ("nothing at all", None, "supercloud", "must be a mapping"),
]

# (name, user-data as it came, where, words of the reason); no place: passed on.
RAW = [
    ("empty user-data", "", None, ""),
    ("only blanks", " \n\n", None, ""),
    ("cloud-config", "#cloud-config\nsupercloud: {role: controller}\n", None, ""),
    ("a script", "#!/bin/sh\ntrue\n", None, ""),
    ("cloud-config of something else", "#cloud-config\nruncmd: [ls]\n", None, ""),
    ("no header", "supercloud: {role: node}\n", "line 1", "'#cloud-config'"),
    ("a tab in YAML", "#cloud-config\nsupercloud:\n\trole: node\n", "line 3, column 1", "not valid YAML"),
    ("an unclosed bracket", "#cloud-config\nsupercloud: [\n", "line 3", "not valid YAML"),
    ("a text instead of keys", "#cloud-config\nsupercloud\n", "line 2", "key: value"),
    ("a mistyped top key", "#cloud-config\nsupercloude:\n  role: node\n", "supercloude", "did you mean"),
    ("bytes that are no UTF-8", b"\xff\xfe#cloud", "line 1", "'#cloud-config'"),
]


class Machine:
    """A folder that is the machine's root; programs do what 'plan' says."""

    def __init__(self, module, join_exit=0, join_says="", dead=(), boot="xen", give=True):
        self.dir = tempfile.mkdtemp(prefix="sc-cloudinit-")
        self.m = module
        for name in ("etc", "lib", "run", "state/pki", "bin", "chrony/conf.d", "chrony/sources.d"):
            os.makedirs(os.path.join(self.dir, name))
        os.rmdir(self.path("state/pki"))
        module.ETC, module.LIB = self.path("etc"), self.path("lib")
        module.RUN, module.STATE = self.path("run"), self.path("state")
        module.CONSOLE, module.CHRONY = self.path("console"), self.path("chrony")
        self.given = {}
        module.give = lambda path, user, mode: self.given.update(
            {os.path.basename(path): (user, oct(mode))})
        if not give:
            def module_give(path, user, mode):
                raise KeyError("no such user")
            module.give = module_give
        open(module.CONSOLE, "w").close()
        with open(self.path("run/boot.json"), "w") as f:
            json.dump({"mode": boot, "reason": ""}, f)
        self.script("lib/sc-join", f"""
            cp "$(echo "$@" | sed 's/.*--user-data \\([^ ]*\\).*/\\1/')" {self.dir}/asked
            echo "$@" >{self.dir}/args
            stat -c %a {self.dir}/run/user-data.json >{self.dir}/mode
            if [ {join_exit} != 0 ]; then echo '{join_says}' >&2; exit {join_exit}; fi
            mkdir -p {self.dir}/state/pki
            for k in ca.crt node.key network.key; do echo key >{self.dir}/state/pki/$k; done
            roles='["node"]'
            case "$*" in *--init-controller*) roles='["controller", "node"]' ;; esac
            out=$(echo "$@" | sed 's/.*--config-out \\([^ ]*\\).*/\\1/')
            echo '{{"name": "x", "nid": 7, "region": "r", "address": "10.200.0.2", "controller": {{"host": "10.200.0.1"}}, "roles": '"$roles"'}}' >$out""")
        self.script("bin/chronyc", f'echo "$@" >>{self.dir}/chronyc')
        self.script("bin/systemctl", f"""
            echo "$@" >>{self.dir}/systemctl
            [ "$1" = is-active ] || exit 0
            shift
            for u in "$@"; do
                case " {' '.join(dead)} " in *" ${{u%.service}} "*) echo failed ;; *) echo active ;; esac
            done""")
        self.script("bin/journalctl", "echo 'event=start error=\"the reason\"'")

    def path(self, name):
        return os.path.join(self.dir, name)

    def script(self, name, text):
        with open(self.path(name), "w") as f:
            f.write("#!/bin/sh\n" + text + "\n")
        os.chmod(self.path(name), 0o755)

    def read(self, name):
        with open(self.path(name)) as f:
            return f.read()

    dsname, metadata = "Ec2", {}

    def boot(self, cfg, raw=None, source=None):
        """Runs the module as a boot does; the exception, or None."""
        raw = "#cloud-config\nsupercloud: {}\n" if raw is None else raw
        source = source or types.SimpleNamespace(dsname=self.dsname, metadata={"local-ipv4": "10.200.0.2",
                                       "region": "ap-northeast", **self.metadata},
                                       get_userdata_raw=lambda: raw)
        cloud = types.SimpleNamespace(datasource=source, get_hostname=lambda: "AP-1.example")
        old = dict(os.environ)
        os.environ["PATH"] = self.path("bin") + ":" + os.environ["PATH"]
        try:
            self.m.handle("supercloud", cfg, cloud, logging.getLogger("test"), [])
            return None
        except Exception as e:
            return e
        finally:
            os.environ.clear()
            os.environ.update(old)

    def left(self):
        """What a join could have left behind."""
        return [p for p in ("etc/supercloud.json", "etc/acme.json", "etc/supercloud.json.new", "etc/roles",
                            "state/pki", "run/user-data.json") if os.path.exists(self.path(p))]

    def close(self):
        shutil.rmtree(self.dir)


def test_schema(m):
    schema = m.load_schema()
    for name, value, key, words in CASES:
        try:
            m.validate({"supercloud": value}, schema)
            got = None
        except m.SupercloudError as e:
            got = e
        if key is None:
            ok(got is None, f"{name} is taken", got)
            continue
        ok(got is not None and got.code == "bad-user-data" and got.key == key and
           words in got.text and "c2VjcmV0" not in str(got),
           f"{name} is refused, naming {key}", got)


def test_raw(m):
    for name, text, where, words in RAW:
        try:
            m.check_raw(text)
            got = None
        except m.SupercloudError as e:
            got = e
        if where is None:
            ok(got is None, f"{name} is passed on", got)
        else:
            ok(got is not None and got.key.startswith(where) and words in got.text,
               f"{name} is refused at {where}", got)


def test_join(m):
    v = Machine(m)
    e = v.boot({"supercloud": dict(NODE)})
    ok(e is None and os.path.exists(v.path("etc/supercloud.json")), "a node joins", e)
    asked = json.loads(v.read("asked"))["supercloud"]
    ok(asked["name"] == "ap-1" and asked["address"] == "10.200.0.2" and asked["hypervisor"] == "xen",
       "what user-data leaves out comes from the machine", asked)
    ok(asked["metadata"] == "ec2" and not os.path.exists(v.path("etc/acme.json")),
       "the metadata service is the one cloud-init has found", asked)
    ok(v.read("mode").strip() == "600", "the token is in a file only root can read")
    ok(not os.path.exists(v.path("run/user-data.json")), "and the file is gone afterwards")
    ok("JOINED name=x nid=7" in v.read("console"), "the console says that it joined", v.read("console"))
    ok(v.given["node.key"] == ("sc-storage", "0o400") and v.given["network.key"][0] == "sc-network" and
       v.given["ca.crt"] == ("root", "0o644") and v.given["supercloud.json.new"] == ("root", "0o640"),
       "each daemon gets its key and no other's", v.given)
    ok(os.listdir(v.path("etc/roles")) == ["node"] and "server 10.200.0.1" in
       v.read("chrony/sources.d/supercloud.sources"), "it has the node's role and the controller's clock")
    ok("--init-controller" not in v.read("args") and "sc-controller" not in v.read("systemctl"),
       "a node starts no controller")
    os.unlink(v.path("asked"))
    e = v.boot({"supercloud": {"role": "nonsense"}})
    ok(e is None and not os.path.exists(v.path("asked")), "the next boot does nothing", e)
    v.close()

    v = Machine(m)
    os.makedirs(v.path("state/controller"))
    with open(v.path("state/controller/initial-password"), "w") as f:
        f.write("s3cret\n")
    e = v.boot({}, raw="")
    ok(e is None and "--init-controller" in v.read("args"), "no user-data at all makes a controller", e)
    said = v.read("console")
    ok("dashboard https://10.200.0.2:8443/" in said and "user admin password s3cret" in said and
       "READY role=controller" in said, "its console tells address and password", said)
    ok("sc-controller.service" in v.read("systemctl"), "its controller is started")
    ok("allow" in v.read("chrony/conf.d/supercloud.conf") and not os.listdir(v.path("chrony/sources.d")),
       "its clock serves the others")
    v.close()

    m.urllib.request.build_opener = None           # Nothing here asks the network.
    for what, md, extra, want in (
            ("EC2 says", {"public-ipv4": "203.0.113.5"}, {}, "203.0.113.5"),
            ("Azure says", {"imds": {"network": {"interface": [{"ipv4": {"ipAddress": [
                {"privateIpAddress": "10.0.0.4", "publicIpAddress": "203.0.113.6"}]}}]}}}, {}, "203.0.113.6"),
            ("nobody says", {"public-ipv4": ""}, {}, "10.200.0.2"),
            ("is no address", {"public-ipv4": "<html>"}, {}, "10.200.0.2"),
            ("is not wanted", {"public-ipv4": "203.0.113.5"}, {"address": "private"}, "10.200.0.2"),
            ("the user knows better", {"public-ipv4": "203.0.113.5"}, {"address": "198.51.100.1"}, "198.51.100.1")):
        v = Machine(m)
        v.metadata = md
        e = v.boot({"supercloud": dict(NODE, **extra)})
        asked = json.loads(v.read("asked"))["supercloud"]
        ok(e is None and asked["address"] == want, f"the public address: {what}", asked)
        v.close()

    v = Machine(m)
    v.dsname = "None"
    e = v.boot({"supercloud": {"role": "controller", "console_name": "cloud.example.org",
                               "acme_email": "me@example.org"}})
    asked = json.loads(v.read("asked"))["supercloud"]
    ok(e is None and json.loads(v.read("etc/acme.json")) == {"name": "cloud.example.org", "email": "me@example.org"}
       and asked["metadata"] == "none" and "console_name" not in asked and "acme_email" not in asked,
       "the public name is left for sc-acme, and not given to sc-join", asked)
    v.close()

    v = Machine(m, boot="fallback")
    v.boot({"supercloud": dict(NODE)})
    ok(json.loads(v.read("asked"))["supercloud"]["hypervisor"] == "xen" and
       "boot=fallback" in v.read("console"), "a machine whose Xen failed joins all the same")
    v.close()


def test_failures(m):
    v = Machine(m, 15, "supercloud: join failed [SC-J05]: the token has expired; make new user-data")
    e = v.boot({"supercloud": dict(NODE)})
    want = "join-failed SC-J05: the token has expired; make new user-data"
    ok(str(e) == want, "a refused join is raised with its code", e)
    ok(f"supercloud: ERROR {want}" in v.read("console"), "and said on the console in one line", v.read("console"))
    ok(v.left() == [], "and leaves nothing", v.left())
    v.close()

    v = Machine(m, give=False)
    e = v.boot({"supercloud": dict(NODE)})
    ok(e is not None and v.left() == [], "a failure after the join leaves nothing either", v.left())
    v.close()

    v = Machine(m, give=False)
    os.makedirs(v.path("state/pki"))
    with open(v.path("state/pki/ca.key"), "w") as f:
        f.write("authority")
    v.boot({"supercloud": {"role": "controller"}})
    ok(v.left() == ["state/pki"] and v.read("state/pki/ca.key") == "authority",
       "an authority that was there outlives a failure", v.left())
    v.close()

    v = Machine(m)
    e = v.boot({"supercloud": dict(NODE, regoin="x")})
    ok("bad-user-data supercloud.regoin" in str(e) and str(e).endswith("[SC-C01]") and
       v.read("console").count("[SC-C01]") == 1 and not os.path.exists(v.path("args")) and v.left() == [],
       "bad user-data starts nothing", e)
    v.close()

    v = Machine(m)
    e = v.boot({}, raw="#cloud-config\nsupercloud:\n\trole: node\n")
    ok("bad-user-data line 3" in str(e) and not os.path.exists(v.path("args")),
       "a node mistyped in YAML does not become a controller", e)
    v.close()

    v = Machine(m, dead=("sc-node",))
    e = v.boot({"supercloud": dict(NODE)})
    ok("service-failed sc-node" in str(e) and str(e).endswith("the reason\" [SC-C02]"),
       "a service that does not start is named, with its reason and code", e)
    v.close()

    v = Machine(m)
    os.unlink(v.path("lib/sc-join"))
    e = v.boot({"supercloud": dict(NODE)})
    ok("sc-join" in str(e) and str(e).endswith("[SC-C04]") and v.left() == [],
       "a program that is missing is named", e)
    v.close()


def test_cloud_init(m):
    """With cloud-init itself: its runner finds the module, and 'status --long'
    shows what it raised."""
    code = r"""
import importlib.util, json, os, sys, types
top, work = sys.argv[1], sys.argv[2]
import cloudinit.config as config
spec = importlib.util.spec_from_file_location("cloudinit.config.cc_supercloud", top + "/cloud-init/cc_supercloud.py")
mod = importlib.util.module_from_spec(spec); sys.modules[spec.name] = mod; spec.loader.exec_module(mod)
from cloudinit.config.modules import Modules, validate_module
validate_module(mod, "cc_supercloud")
from cloudinit.cmd import main as m
class Args: pass
def fake(name, args):
    try:
        mod.validate({"supercloud": {"role": "node", "tokn": 1}})
    except Exception as e:
        return [("supercloud", e)]
a = Args(); a.action = ("modules", fake); a.mode = "final"; a.local = False
m.status_wrapper("modules", a, work + "/data", work + "/link")
print(json.load(open(work + "/data/result.json"))["v1"]["errors"][0])
"""
    work = tempfile.mkdtemp(prefix="sc-cloudinit-")
    p = subprocess.run([sys.executable, "-c", code, TOP, work], stdout=subprocess.PIPE,
                       stderr=subprocess.PIPE, text=True, check=False)
    ok(p.returncode == 0 and "bad-user-data supercloud.tokn" in p.stdout,
       "cloud-init records the key at fault", p.stdout + p.stderr)
    shutil.rmtree(work)

    good = tempfile.NamedTemporaryFile("w", suffix=".yaml", prefix="sc-cloudinit-", delete=False)
    good.write("#cloud-config\nsupercloud:\n  role: controller\n")
    good.close()
    p = subprocess.run(["cloud-init", "schema", "--config-file", good.name], stdout=subprocess.PIPE,
                       stderr=subprocess.STDOUT, text=True, check=False)
    ok(p.returncode == 0, "cloud-init's own schema check passes our key on", p.stdout)
    os.unlink(good.name)


def test_no_data_source(m):
    """cloud-init's own 'None': an image started where no provider says anything."""
    from cloudinit.helpers import Paths
    from cloudinit.sources.DataSourceNone import DataSourceNone
    source = DataSourceNone({}, None, Paths({}))
    source.get_data()
    v = Machine(m)
    os.makedirs(v.path("state/controller"))
    with open(v.path("state/controller/initial-password"), "w") as f:
        f.write("s3cret\n")
    e = v.boot({}, source=source)
    asked = json.loads(v.read("asked"))["supercloud"]
    ok(e is None and asked["role"] == "controller" and asked["metadata"] == "none" and "address" not in asked
       and "user admin password s3cret" in v.read("console"),
       "without any data source it is a controller that awaits its owner", e or asked)
    v.close()


def test_examples(m):
    import yaml
    from cloudinit.config.schema import SchemaValidationError, get_schema, validate_cloudconfig_schema
    own = get_schema()
    try:
        validate_cloudconfig_schema({"runcmd": 5}, own, strict=True, log_details=False)
        ok(False, "cloud-init's schema refuses what is wrong")
    except SchemaValidationError:
        ok(True, "cloud-init's schema refuses what is wrong")
    folder = os.path.join(TOP, "cloud-init/examples")
    names = sorted(os.listdir(folder))
    ok(len(names) >= 14, "there are examples for each provider and role", names)
    for name in names:
        with open(os.path.join(folder, name)) as f:
            text = f.read()
        if name.endswith(".tf"):
            with open(os.path.join(folder, name[:-3] + ".yaml")) as f:
                plain = f.read()
            heredoc = text.split("<<SUPERCLOUD\n")[1].split("SUPERCLOUD\n")[0]
            ok(heredoc == plain and text.count("(") - text.count(")") ==
               plain.count("(") - plain.count(")"), f"example {name} holds its twin's text", text)
            continue
        try:
            m.check_raw(text)
            m.validate(yaml.safe_load(text))
            validate_cloudconfig_schema(yaml.safe_load(text), own, strict=True)
            ok(True, f"example {name} is valid")
        except (m.SupercloudError, SchemaValidationError) as e:
            ok(False, f"example {name} is valid", e)


def main():
    if not shutil.which("cloud-init"):
        print("1..0 # SKIP cloud-init is not installed")
        return 0
    m = load()
    test_schema(m)
    test_raw(m)
    test_join(m)
    test_failures(m)
    test_cloud_init(m)
    test_no_data_source(m)
    test_examples(m)
    print(f"1..{n}")
    return 1 if failed else 0


sys.exit(main())
