"""cloud-init module: joins this instance to a Supercloud, or starts a new one.

Reads the 'supercloud' key of the user-data (schema-supercloud.json).  Without
any user-data the instance sets itself up as a controller.  It runs in
cloud-init's last stage at every boot, and does nothing on a machine that has
joined; a join that failed is tried again at the next boot.

What goes wrong is said in one line on the console,
    supercloud: ERROR WORD KEY: what and why [SC-Cnn]
and raised, so that 'cloud-init status --long' shows the same line.  WORD is
bad-user-data, join-failed, service-failed or internal; the codes are in
docs/troubleshooting.md (a failed join has sc-join's, SC-Jnn, as its key).  Until everything is in
place there is no /etc/supercloud/supercloud.json, which is what the units wait
for; after a failure nothing of the attempt is left.

The joining itself is sc-join's (docs/protocols/joining.md); here the daemons' users
get what is theirs, the units their roles and the clock its source.  Little is
done by other programs: starting one is dear in a dom0 on an emulated processor.
"""

import difflib
import grp
import hashlib
import ipaddress
import json
import os
import pwd
import re
import shutil
import ssl
import subprocess
import time
import urllib.request

import yaml
from jsonschema import Draft7Validator

ETC = "/etc/supercloud"
LIB = "/usr/lib/supercloud"
RUN = "/run/supercloud"
STATE = "/var/lib/supercloud"
CHRONY = "/etc/chrony"
CONSOLE = "/dev/console"
HEADERS = ("#cloud-config", "#!", "#include", "#cloud-boothook",
           "## template: jinja", "Content-Type:", "From ", "MIME-Version:")
JOIN_TIMEOUT_S = 900     # sc-join retries an unreachable controller itself.
SERVICE_TIMEOUT_S = 300
GROUP = "supercloud"
# Who reads which key; certificates and ca.crt are everybody's.
KEY_OWNERS = {"ca.key": "sc-controller", "controller.key": "sc-controller",
              "console.key": "sc-controller", "secrets.key": "sc-controller",
              "network.key": "sc-network",
              "node.key": "sc-storage"}      # sc-node is root.

# Whose metadata service an instance has, by what cloud-init found it with.
METADATA = {"Ec2": "ec2", "GCE": "gce", "Azure": "azure", "OpenStack": "openstack",
            "ConfigDrive": "openstack"}
# For sc-acme, not for sc-join: key of the user-data, key of ETC/acme.json.
ACME_KEYS = {"console_name": "name", "acme_email": "email",
             "acme_directory": "directory", "acme_ca": "ca"}

frequency = "always"
distros = ["all"]
meta = {
    "id": "cc_supercloud",
    "name": "Supercloud",
    "title": "Join a Supercloud or start one",
    "description": "Sets up the instance as a controller or joins it as a node.",
    "distros": distros,
    "frequency": frequency,
    "activate_by_schema_keys": [],
    "examples": [],
}


NUMBERS = {"bad-user-data": "SC-C01", "service-failed": "SC-C02",
           "internal": "SC-C03", "join-failed": "SC-C04"}


class SupercloudError(RuntimeError):
    """A failure with its word, the key at fault ('' if none) and the reason."""

    def __init__(self, code, key, text):
        said = f"{code} {key}: {text}" if key else f"{code}: {text}"
        if not key.startswith("SC-J"):
            said += f" [{NUMBERS[code]}]"
        super().__init__(said)
        self.code, self.key, self.text = code, key, text


def load_schema():
    """The schema, beside this file (source tree) or in LIB (appliance)."""
    name = "schema-supercloud.json"
    for folder in (os.path.dirname(os.path.abspath(__file__)), LIB):
        path = os.path.join(folder, name)
        if os.path.exists(path):
            with open(path, encoding="utf-8") as f:
                return json.load(f)
    raise SupercloudError("internal", "", f"{name} is missing in this image")


def _describe(error, known):
    """(key, text) of one jsonschema error, for people; never shows a secret."""
    path = ".".join(str(p) for p in error.absolute_path)
    if error.validator == "additionalProperties":
        extra = sorted(set(error.instance) - set(known))[0]
        near = difflib.get_close_matches(str(extra), known, 1)
        hint = f"did you mean '{near[0]}'?" if near else \
            "known are " + ", ".join(sorted(known))
        return f"{path}.{extra}", f"unknown key; {hint}"
    if error.validator == "required":
        missing = [k for k in error.validator_value if k not in error.instance][0]
        why = "missing" if missing == "role" else "missing; a node needs it"
        return f"{path}.{missing}", why
    if error.validator == "not":
        role = error.schema["description"].split("'")[1]
        return path, f"only a machine with role '{role}' has it"
    if error.validator == "dependencies":
        key, needs = [(k, v[0]) for k, v in error.validator_value.items()
                      if k in error.instance and v[0] not in error.instance][0]
        return f"{path}.{needs}", f"missing; '{key}' needs it"
    if error.validator == "enum":
        return path, "must be one of " + ", ".join(error.validator_value) + \
            f", not '{error.instance}'"
    if error.validator == "type":
        kind = {"object": "a mapping", "string": "a text", "integer":
                "a whole number"}.get(error.validator_value, error.validator_value)
        return path, f"must be {kind}"
    if error.validator == "pattern":
        what = error.schema.get("description", "not in the right form")
        shown = "" if path.endswith("token") else f", not '{error.instance}'"
        return path, f"{what.rstrip('.')}{shown}"
    return path, error.message


def validate(config, schema=None):
    """Checks config['supercloud']; raises SupercloudError for the first fault,
    in the order of the file's keys."""
    schema = schema or load_schema()
    known = list(schema["properties"]["supercloud"]["properties"])

    def leaves(error):
        return [e for c in error.context for e in leaves(c)] if error.context else [error]

    found = []
    for error in Draft7Validator(schema).iter_errors(
            {"supercloud": config.get("supercloud")}):
        found += [_describe(e, known) for e in leaves(error)]
    if found:
        order = {f"supercloud.{k}": i for i, k in enumerate(known)}
        found.sort(key=lambda f: order.get(f[0], -1))
        raise SupercloudError("bad-user-data", found[0][0], found[0][1])


def check_raw(raw):
    """Finds what cloud-init itself passes over: user-data without a header, or
    cloud-config that is no YAML.  Without this a mistyped node would come up
    as a controller of its own."""
    if isinstance(raw, bytes):
        raw = raw.decode("utf-8", "replace")
    text = (raw or "").lstrip("\ufeff")
    if not text.strip():
        return
    if not text.startswith(HEADERS):
        raise SupercloudError("bad-user-data", "line 1",
                              "the first line must be '#cloud-config'")
    if not text.startswith("#cloud-config"):
        return
    try:
        top = yaml.safe_load(text)
    except yaml.MarkedYAMLError as e:
        mark = e.problem_mark or e.context_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}" if mark else "text"
        raise SupercloudError("bad-user-data", where,
                              f"not valid YAML: {e.problem or e.context}") from e
    except yaml.YAMLError as e:
        raise SupercloudError("bad-user-data", "text", f"not valid YAML: {e}") from e
    if top is not None and not isinstance(top, dict):
        raise SupercloudError("bad-user-data", "line 2",
                              "must be 'key: value' lines, such as 'supercloud:'")
    near = difflib.get_close_matches("supercloud", [str(k) for k in top or {}], 1, 0.75)
    if near and near[0] != "supercloud":
        raise SupercloudError("bad-user-data", near[0],
                              "unknown key; did you mean 'supercloud'?")


def say(text):
    """One line for whoever reads the serial console."""
    line = "supercloud: " + " ".join(str(text).split())
    try:
        with open(CONSOLE, "a", encoding="utf-8") as f:
            f.write(line + "\r\n")
    except OSError:
        print(line)


def run_all(argv, timeout):
    """(exit status, all of stderr or else stdout)."""
    try:
        p = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                           stderr=subprocess.PIPE, timeout=timeout, check=False)
    except subprocess.TimeoutExpired:
        return 124, f"no result within {timeout} s"
    except OSError as e:
        return 127, f"{argv[0]}: {e.strerror}"
    text = (p.stderr.strip() or p.stdout.strip()).decode("utf-8", "replace")
    return p.returncode, text or f"exit status {p.returncode}"


def run(argv, timeout):
    """(exit status, last line of what it said)."""
    status, text = run_all(argv, timeout)
    return status, text.splitlines()[-1]


def settings(config, cloud):
    """The 'supercloud' key with what may be left out filled in."""
    sc = dict(config.get("supercloud") or {"role": "controller"})
    hostname = (cloud.get_hostname() or "supercloud")
    hostname = getattr(hostname, "hostname", hostname)
    sc.setdefault("name", str(hostname).split(".", maxsplit=1)[0].lower() or "supercloud")
    image = {}
    try:
        with open(os.path.join(ETC, "image.json"), encoding="utf-8") as f:
            image = json.load(f)
    except (OSError, ValueError):
        pass
    md = getattr(cloud.datasource, "metadata", None) or {}
    sc.setdefault("provider", image.get("provider", "local"))
    sc.setdefault("metadata", METADATA.get(
        getattr(cloud.datasource, "dsname", ""), "none"))
    sc.setdefault("region", str(md.get("region") or getattr(
        cloud.datasource, "region", None) or "default").lower())
    if sc.get("address", "private") == "private":
        public = "" if "address" in sc else public_address(cloud.datasource, md)
        sc["address"] = public or md.get("local-ipv4")
        if not sc["address"]:
            del sc["address"]              # sc-join takes that of the way out.
    if "hypervisor" not in sc and boot_mode() in ("xen", "fallback"):
        # After a fallback the node joins all the same, and says why it has no
        # guests; Xen may be back at the next boot.
        sc["hypervisor"] = "xen"
    return sc


GCE_PUBLIC = ("http://169.254.169.254/computeMetadata/v1/instance/network-interfaces/0/"
              "access-configs/0/external-ip")


def public_address(datasource, md):
    """The address that the provider translates to this machine's, or ''.  Nodes at
    other providers reach it there, and those at the same one do too."""
    found = md.get("public-ipv4") or \
        (getattr(datasource, "ec2_metadata", None) or {}).get("public-ipv4")
    if getattr(datasource, "dsname", "") == "GCE":     # cloud-init does not read it.
        try:
            request = urllib.request.Request(GCE_PUBLIC, headers={"Metadata-Flavor": "Google"})
            opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
            with opener.open(request, timeout=5) as answer:
                found = answer.read(64).decode().strip()
        except (OSError, ValueError):
            pass
    try:                                               # Azure; not all kinds of address are there.
        nic = md["imds"]["network"]["interface"][0]["ipv4"]
        found = found or nic["ipAddress"][0]["publicIpAddress"]
    except (KeyError, IndexError, TypeError):
        pass
    try:
        return str(ipaddress.ip_address(found)) if found else ""
    except ValueError:
        return ""


def boot_mode():
    """'xen', 'plain' or 'fallback', as the unit sc-boot found it."""
    try:
        with open(os.path.join(RUN, "boot.json"), encoding="utf-8") as f:
            return json.load(f).get("mode", "plain")
    except (OSError, ValueError):
        return "plain"


def undo(had_pki):
    """Leaves nothing of a failed attempt behind.  Keys that were there before it
    stay: a controller's authority outlives its configuration."""
    for name in ("supercloud.json", "supercloud.json.new", "acme.json"):
        try:
            os.unlink(os.path.join(ETC, name))
        except OSError:
            pass
    shutil.rmtree(os.path.join(ETC, "roles"), ignore_errors=True)
    if not had_pki:
        shutil.rmtree(os.path.join(STATE, "pki"), ignore_errors=True)


def join_error(text):
    """sc-join's line 'supercloud: join failed [SC-Jnn]: reason' as an error."""
    m = re.match(r"supercloud: join failed \[(SC-J\d+)\]: (.*)", text)
    return SupercloudError("join-failed", m[1] if m else "", m[2] if m else text)


def give(path, user, mode):
    """Owner 'user', group supercloud, 'mode'."""
    os.chown(path, pwd.getpwnam(user).pw_uid, grp.getgrnam(GROUP).gr_gid)
    os.chmod(path, mode)


def settle(path):
    """What follows from the configuration at 'path': owners, roles, clock."""
    with open(path, encoding="utf-8") as f:
        config = json.load(f)
    give(path, "root", 0o640)
    pki = os.path.join(STATE, "pki")
    give(pki, "root", 0o750)
    for name in os.listdir(pki):
        owner = KEY_OWNERS.get(name, "root")
        give(os.path.join(pki, name), owner, 0o400 if name.endswith(".key") else 0o644)
    roles = os.path.join(ETC, "roles")
    os.makedirs(roles, exist_ok=True)
    for role in set(os.listdir(roles)) - set(config["roles"]):
        os.unlink(os.path.join(roles, role))
    for role in config["roles"]:
        with open(os.path.join(roles, role), "w", encoding="ascii"):
            pass
    # All nodes go by the controller's clock: right if the provider's servers are,
    # and one for all in any case.
    if "controller" in config["roles"]:
        name, lines = "conf.d/supercloud.conf", ["local stratum 10", "allow"]
        now = ["chronyc", "-m", *lines]
    else:
        name = "sources.d/supercloud.sources"
        lines = [f"server {config['controller']['host']} iburst minpoll 3 maxpoll 6 prefer"]
        now = ["chronyc", "-m", "reload sources", "makestep 0.02 3"]
    with open(os.path.join(CHRONY, name), "w", encoding="ascii") as f:
        f.write("\n".join(lines) + "\n")
    run(now, 30)


def acme(sc):
    """Leaves what sc-acme needs to get the dashboard's certificate; without the
    file its timer has nothing to do."""
    asked = {to: sc[key] for key, to in ACME_KEYS.items() if key in sc}
    if asked:
        with open(os.path.join(ETC, "acme.json"), "w", encoding="utf-8") as f:
            json.dump(asked, f, indent=1)
            f.write("\n")


def join(sc):
    """Runs sc-join for 'sc'; the configuration appears last of all."""
    os.makedirs(RUN, exist_ok=True)
    os.makedirs(ETC, exist_ok=True)
    request = os.path.join(RUN, "user-data.json")
    new = os.path.join(ETC, "supercloud.json.new")
    pki = os.path.join(STATE, "pki")
    had_pki = os.path.isdir(pki) and bool(os.listdir(pki))
    try:
        fd = os.open(request, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(fd, "w", encoding="utf-8") as f:
            json.dump({"supercloud": {k: v for k, v in sc.items()
                                      if k not in ACME_KEYS}}, f)
        argv = [os.path.join(LIB, "sc-join"), "--user-data", request,
                "--config-out", new]
        if sc["role"] == "controller":
            argv.insert(1, "--init-controller")
        status, text = run(argv, JOIN_TIMEOUT_S)
        if status != 0:
            raise join_error(text)
        settle(new)
        acme(sc)
        os.rename(new, os.path.join(ETC, "supercloud.json"))
    except BaseException:
        undo(had_pki)
        raise
    finally:
        if os.path.exists(request):
            os.unlink(request)


def start(sc):
    """Starts the services and waits until each one says it is ready."""
    services = ["sc-storage", "sc-node"]
    if sc["role"] == "controller":
        services = ["sc-controller", "sc-network"] + services
    units = [s + ".service" for s in services]
    run(["systemctl", "start", *units, "supercloud.target"], SERVICE_TIMEOUT_S)
    _, text = run_all(["systemctl", "is-active", *units], 60)
    for service, unit, state in zip(services, units, text.split()):
        if state != "active":
            _, why = run(["journalctl", "-q", "-o", "cat", "-n", "1", "-u", unit], 60)
            raise SupercloudError("service-failed", service, f"{state}: {why}")


def fingerprint():
    """SHA-256 of the dashboard's certificate, as browsers show it, or ''."""
    try:
        with open(os.path.join(STATE, "pki/controller.crt"), encoding="ascii") as f:
            pem = f.read()
        end = "-----END CERTIFICATE-----"
        der = ssl.PEM_cert_to_DER_cert(pem[:pem.index(end) + len(end)])
        digest = hashlib.sha256(der).hexdigest().upper()
        return ":".join(digest[i:i + 2] for i in range(0, 64, 2))
    except (OSError, ValueError):
        return ""


def announce(sc):
    """What the person at the console needs next."""
    with open(os.path.join(ETC, "supercloud.json"), encoding="utf-8") as f:
        config = json.load(f)
    address = config.get("address", sc.get("address", ""))
    if sc["role"] == "node":
        say(f"JOINED name={config.get('name')} nid={config.get('nid')} "
            f"region={config.get('region')} address={address} boot={boot_mode()}")
        return
    password, path = "", os.path.join(STATE, "controller/initial-password")
    for _ in range(100):
        try:
            with open(path, encoding="ascii") as f:
                password = f.read().strip()
        except OSError:
            pass
        if password:
            break
        time.sleep(0.1)
    host = f"[{address}]" if ":" in address else address
    say(f"dashboard https://{host}:8443/")
    say(f"fingerprint sha256 {fingerprint()}")
    if "console_name" in sc:
        say(f"its name {sc['console_name']} gets a certificate of its own in a minute, if it leads here")
    say(f"user admin password {password or '(see ' + path + ')'}")
    say(f"READY role=controller name={config.get('name')} "
        f"region={config.get('region')} boot={boot_mode()}")


def handle(_name, cfg, cloud, log, _args):
    """cloud-init's entry point."""
    try:
        if os.path.exists(os.path.join(ETC, "supercloud.json")):
            log.debug("supercloud: this machine has joined already")
            return
        check_raw(cloud.datasource.get_userdata_raw())
        if "supercloud" in cfg:
            validate(cfg)
        sc = settings(cfg, cloud)
        say(f"{'setting up a controller' if sc['role'] == 'controller' else 'joining ' + sc['controller']}"
            f" as {sc['name']} in {sc['region']}, boot={boot_mode()}")
        join(sc)
        start(sc)
        announce(sc)
    except SupercloudError as e:
        say(f"ERROR {e}")
        raise
    except Exception as e:
        say(f"ERROR internal: {type(e).__name__}: {e} [{NUMBERS['internal']}]")
        raise
