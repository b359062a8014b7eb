#!/usr/bin/python3
"""The command line against the console over real TLS, in front of a cluster in
memory: login, objects, jobs, exit codes, a terminal, whom it trusts.  Prints
TAP.  Needs no network but loopback."""
import json
import os
import pty
import select
import subprocess
import sys
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(TOP, "tests/lib"))
from console_api import CLI, PASSWORD, TMP, Client, Server, ok, run  # noqa: E402


def cli(s, *args, stdin="", home="home", env=None):
    e = dict(os.environ, XDG_CONFIG_HOME=os.path.join(TMP, home), LC_ALL="C.UTF-8")
    for k in ("SUPERCLOUD_URL", "SUPERCLOUD_TOKEN", "SUPERCLOUD_CA"):
        e.pop(k, None)
    e.update(env or {})
    return subprocess.run([CLI] + list(args), input=stdin, capture_output=True, text=True,
                          env=e, timeout=60)


def rc(r, want, name):
    return ok(r.returncode == want, name, "exit %d\n%s\n%s" % (r.returncode, r.stdout, r.stderr))


def test_cli_login(s):
    pin = Client(s).get("/ca").json["fingerprint"]
    login = ("login", s.url, "--user", "admin", "--password-stdin")
    pw = PASSWORD + "\n"
    rc(cli(s, "vm", "list"), 4, "cli: nothing without login")
    r = cli(s, *login, stdin=pw)
    ok(r.returncode == 4 and pin in r.stderr, "cli: an unknown authority is shown, not trusted", r)
    rc(cli(s, *login, "--ca-fingerprint", "0" * 64, stdin=pw), 4, "cli: a wrong fingerprint is refused")
    rc(cli(s, *login, "--ca-fingerprint", pin, stdin="wrong-password\n"), 4, "cli: a wrong password")
    rc(cli(s, *login, "--ca-fingerprint", "SHA256:" + pin.upper(), stdin=pw), 0,
       "cli: the right fingerprint and password log in")
    config = os.path.join(TMP, "home/supercloud/config.json")
    ok(os.stat(config).st_mode & 0o777 == 0o600, "cli: the token's file is private")
    ok(PASSWORD not in open(config).read(), "cli: and holds no password")
    r = cli(s, "whoami", "-o", "json")
    ok(json.loads(r.stdout)["user"] == "admin", "cli: whoami", r)
    token = json.load(open(config))["token"]
    r = cli(s, "vm", "list", home="other", env={
        "SUPERCLOUD_URL": s.url, "SUPERCLOUD_TOKEN": token,
        "SUPERCLOUD_CA": os.path.join(s.dir, "fake.crt")})
    rc(r, 0, "cli: the environment is enough")
    r = cli(s, "vm", "list", home="other", env={"SUPERCLOUD_URL": s.url, "SUPERCLOUD_TOKEN": token})
    rc(r, 4, "cli: without the authority nothing is sent")
    rc(cli(s, "vm", "list", "--url", "https://127.0.0.1:1"), 7, "cli: nobody there is exit 7")


def test_cli_objects(s):
    rc(cli(s, "frob"), 2, "cli: an unknown command is exit 2")
    rc(cli(s, "vm", "show"), 2, "cli: so is a missing argument")
    r = cli(s, "vm", "list")
    ok(r.stdout.startswith("NAME") and "client" in r.stdout, "cli: vm list", r)
    ok("client" in cli(s, "vm", "list", "-o", "name").stdout.split(), "cli: names alone")
    rc(cli(s, "vm", "show", "no-such-vm"), 3, "cli: not found is exit 3")
    rc(cli(s, "vm", "create", "x", "--image", "demo", "--network", "tenant", "--memory", "999999"),
       6, "cli: no room is exit 6")
    r = cli(s, "vm", "create", "box", "--image", "demo", "--network", "tenant", "--memory", "64",
            "--node", "us-1", "--wait")
    ok(r.returncode == 0 and "us-1" in r.stdout and "create disk" in r.stderr,
       "cli: vm create --wait shows the steps and the VM", r)
    r = cli(s, "vm", "migrate", "box", "jp-1", "--wait", "-o", "json")
    ok(r.returncode == 0 and json.loads(r.stdout)["result"]["to"] == "jp-1", "cli: vm migrate", r)
    rc(cli(s, "vm", "migrate", "box", "jp-1"), 5, "cli: a conflict is exit 5")
    rc(cli(s, "vm", "migrate", "box"), 2, "cli: a migration needs a goal")
    rc(cli(s, "vm", "create", "fail-box", "--image", "demo", "--network", "tenant", "--wait"), 8,
       "cli: a job that fails is exit 8")
    r = cli(s, "job", "list", "-o", "json", "--limit", "1")
    job = json.loads(r.stdout)["jobs"][0]
    r = cli(s, "job", "show", job["id"])
    ok("failed" in r.stdout and "STEP" in r.stdout, "cli: job show", r)
    rc(cli(s, "job", "watch", job["id"]), 8, "cli: job watch of a failed one")
    r = cli(s, "job", "cancel", job["id"])
    ok(r.returncode == 5 and "it is failed" in r.stderr,
       "cli: cancelling a job that has ended is exit 5, and says how it ended", r)
    rc(cli(s, "job", "cancel", "no-such-job"), 3, "cli: a job that is not there is exit 3")
    job = cli(s, "vm", "migrate", "box", "us-1").stdout.strip()
    r = cli(s, "job", "cancel", job, "-o", "json")
    ok(r.returncode == 0 and json.loads(r.stdout)["job"]["cancel_by"] == "admin",
       "cli: job cancel", r)
    r = cli(s, "job", "cancel", job, "--wait")
    ok(r.returncode == 0 and "cancelled" in r.stdout and "cancelled by admin" in r.stderr,
       "cli: again, it is the same one; --wait shows how it ends", r)
    rc(cli(s, "job", "watch", job), 8, "cli: job watch of a cancelled one")
    ok(json.loads(cli(s, "vm", "show", "box", "-o", "json").stdout)["node_name"] == "jp-1",
       "cli: the VM is where it was")
    job = cli(s, "vm", "stop", "box").stdout.strip()
    r = cli(s, "job", "cancel", job)
    ok(r.returncode == 5 and "told to stop" in r.stderr,
       "cli: what cannot be cancelled is exit 5, with the reason", r)
    rc(cli(s, "job", "watch", job), 0, "cli: that job ends well")
    rc(cli(s, "vm", "delete", "box", "--wait"), 0, "cli: vm delete")
    image = os.path.join(TMP, "image.bin")
    with open(image, "wb") as f:
        f.write(os.urandom(3_000_000))
    r = cli(s, "image", "create", "cli-image", image, "--cmdline", "console=hvc0", "-o", "json")
    ok(r.returncode == 0 and json.loads(r.stdout)["state"] == "active", "cli: image create", r)
    rc(cli(s, "image", "create", "cli-image", image), 5, "cli: the same name again")
    rc(cli(s, "image", "create", "other", "/no/such/file"), 3, "cli: a file that is not there")
    rc(cli(s, "image", "delete", "cli-image", "--wait"), 0, "cli: image delete")
    rc(cli(s, "image", "delete", "demo"), 5, "cli: an image in use stays")
    rc(cli(s, "network", "create", "cli-net", "10.8.0.0/24"), 0, "cli: network create")
    rc(cli(s, "network", "delete", "cli-net"), 0, "cli: network delete")
    r = cli(s, "node", "user-data", "--region", "eu", "--provider", "gce")
    ok(r.stdout.startswith("#cloud-config") and "region: eu" in r.stdout, "cli: node user-data", r)
    r = cli(s, "token", "create", "-o", "json")
    rc(cli(s, "token", "delete", json.loads(r.stdout)["id"]), 0, "cli: token create and delete")
    rc(cli(s, "overview"), 0, "cli: overview")
    rc(cli(s, "version"), 0, "cli: version")
    rc(cli(s, "user", "create", "carl", "--role", "viewer", stdin="carls-password\n"), 0,
       "cli: user create")
    ok("carl" in cli(s, "user", "list", "-o", "name").stdout, "cli: user list")
    rc(cli(s, "user", "delete", "carl"), 0, "cli: user delete")
    rc(cli(s, "daemon", "node", "status", "--run-dir", TMP), 7, "cli: a daemon that is not there")
    rc(cli(s, "daemon", "../x", "status"), 2, "cli: a daemon's name is no path")
    rc(cli(s, "daemon", "node", "frob"), 2, "cli: an unknown action")


def test_cli_terminal(s):
    r = cli(s, "vm", "console", "client", stdin="ls\r")
    ok(r.returncode == 0 and "Fake guest client" in r.stdout, "cli: the console through a pipe", r)
    rc(cli(s, "vm", "console", "spare"), 5, "cli: a stopped VM has no console")
    env = dict(os.environ, XDG_CONFIG_HOME=os.path.join(TMP, "home"))
    pid, fd = pty.fork()
    if pid == 0:
        os.execve(CLI, [CLI, "vm", "console", "client"], env)
    got, typed, left = b"", False, False
    end = time.monotonic() + 15
    while time.monotonic() < end:
        ready, _, _ = select.select([fd], [], [], 0.2)
        if ready:
            try:
                more = os.read(fd, 4096)
            except OSError:
                break
            if not more:
                break
            got += more
        if b"~ #" in got and not typed:
            typed = True
            os.write(fd, b"whoami")
        if typed and b"whoami" in got and not left:
            left = True
            os.write(fd, b"\x1d")
    _, status = os.waitpid(pid, 0)
    os.close(fd)
    ok(left and os.WIFEXITED(status) and os.WEXITSTATUS(status) == 0,
       "cli: on a terminal keys go through, and Ctrl-] leaves", got)


def test_cli_trust(s):
    """The controller's authority changes: somebody in the middle."""
    with Server() as other:
        config = os.path.join(TMP, "home/supercloud/config.json")
        saved = open(config).read()
        moved = json.loads(saved)
        moved["url"] = other.url
        with open(config, "w") as f:
            json.dump(moved, f)
        r = cli(other, "vm", "list")
        ok(r.returncode == 4 and "certificate" in r.stderr.lower(),
           "cli: another authority behind the same address is refused", r)
        with open(config, "w") as f:
            f.write(saved)
    os.chmod(config, 0o644)
    rc(cli(s, "vm", "list"), 4, "cli: a token others can read is not used")
    os.chmod(config, 0o600)
    rc(cli(s, "logout"), 0, "cli: logout")
    ok(not os.path.exists(config), "cli: forgets the token")
    rc(cli(s, "vm", "list"), 4, "cli: and is out")


def openssl(*args):
    subprocess.run(["openssl", *args], check=True, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL, cwd=TMP)


def signed(name):
    """'name'.crt and .key, a server's, signed by ca.crt."""
    openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
            "-subj", "/CN=" + name, "-keyout", name + ".key", "-out", name + ".csr")
    with open(os.path.join(TMP, name + ".ext"), "w") as f:
        f.write("subjectAltName=DNS:%s\nextendedKeyUsage=serverAuth\n" % name)
    openssl("x509", "-req", "-in", name + ".csr", "-CA", "ca.crt", "-CAkey", "ca.key",
            "-days", "2", "-extfile", name + ".ext", "-out", name + ".crt")


def test_cli_name():
    """The pinned authority signs more than the controller's certificate."""
    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
            "-days", "2", "-subj", "/CN=authority", "-keyout", "ca.key", "-out", "ca.crt")
    ca = os.path.join(TMP, "ca.crt")
    config = os.path.join(TMP, "named/supercloud/config.json")
    for name, want in (("supercloud-controller", 0), ("supercloud-network", 4)):
        signed(name)
        pair = [os.path.join(TMP, name + end) for end in (".crt", ".key")]
        with Server("--cert", pair[0], "--key", pair[1], ca=ca) as s:
            s.tls.check_hostname = False
            c = Client(s)
            token = c.login(token=True).json["token"]
            os.makedirs(os.path.dirname(config), exist_ok=True)
            with open(config, "w") as f:
                json.dump({"url": s.url, "token": token, "user": "admin", "ca": open(ca).read()}, f)
            os.chmod(config, 0o600)
            rc(cli(s, "vm", "list", home="named"), want,
               "cli: a certificate of the authority for %s is %s" %
               (name, "refused" if want else "believed"))


if __name__ == "__main__":
    sys.exit(run((test_cli_login, test_cli_objects, test_cli_terminal, test_cli_trust),
                 (test_cli_name,)))
