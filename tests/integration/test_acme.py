#!/usr/bin/python3
"""The dashboard's certificate by ACME: a real ACME server for tests (pebble), the
appliance's program and its client (uacme), and sc-controller, which must serve what
was issued without a restart, and its own certificate to all others.  All on the
loopback; names are resolved by pebble's test DNS server."""
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.request

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.abspath(os.environ.get("SC_BUILD", os.path.join(TOP, "build")))
ACME = os.path.join(TOP, "appliance/rootfs/usr/lib/supercloud/appliance/acme")
NAME = "cloud.example.org"
sys.path.insert(0, os.path.join(TOP, "tests/lib"))
from ports import free_port, free_ports               # noqa: E402

n = failed = 0


def ok(good, name, why=""):
    global n, failed
    n += 1
    failed += not good
    print(f"{'ok' if good else 'not ok'} {n} - {name}", flush=True)
    if os.environ.get("SC_TIMES"):
        print(f"# {time.monotonic():.1f}", flush=True)
    if not good and why != "":
        print("# " + str(why)[-1500:].replace("\n", "\n# "), flush=True)


def wait_for(what, fn, timeout=30):
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        if fn():
            return
        time.sleep(0.1)
    raise TimeoutError(what)


def listens(port):
    with socket.socket() as s:
        return s.connect_ex(("127.0.0.1", port)) == 0


class World:
    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="sc-acme-test-")
        self.procs = []
        (self.acme, self.manage, self.http, self.dns, self.dns_manage, self.console, rpc,
         flow) = free_ports(8)
        self.serial = os.path.join(self.dir, "serial")
        self.rpc, self.flow = rpc, flow
        os.makedirs(self.path("etc"))

    def start(self):
        self.start_pebble()
        self.config = self.path("supercloud.json")
        subprocess.run([BUILD + "/bin/sc-join", "--init-controller", "--hypervisor", "fake", "--address",
                        "127.0.0.1", "--region", "r", "--provider", "local", "--name", "a", "--run-dir",
                        self.path("run"), "--state-dir", self.path("state"), "--pki-dir",
                        self.path("state/pki"), "--config-out", self.config], check=True,
                       stdout=subprocess.DEVNULL)
        with open(self.config) as f:
            c = json.load(f)
        c.update(console_listen=f"127.0.0.1:{self.console}", controller_listen=f"127.0.0.1:{self.rpc}",
                 openflow_listen=f"127.0.0.1:{self.flow}")
        with open(self.config, "w") as f:
            json.dump(c, f)
        self.start_controller()

    def path(self, name):
        return os.path.join(self.dir, name)

    def popen(self, name, *command, **env):
        with open(self.path(name + ".log"), "ab") as log:
            p = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                 env=dict(os.environ, **env))
        self.procs.append(p)
        return p

    def start_pebble(self):
        def openssl(*args):
            subprocess.run(["openssl", *args], check=True, cwd=self.dir, stdout=subprocess.DEVNULL,
                           stderr=subprocess.DEVNULL)
        openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "pca.key", "-out", "pca.crt",
                "-days", "30", "-subj", "/CN=authority of the ACME server's own HTTPS")
        openssl("req", "-newkey", "rsa:2048", "-nodes", "-keyout", "p.key", "-out", "p.csr", "-subj", "/CN=p")
        with open(self.path("ext"), "w") as f:
            f.write("subjectAltName=IP:127.0.0.1\n")
        openssl("x509", "-req", "-in", "p.csr", "-CA", "pca.crt", "-CAkey", "pca.key", "-CAcreateserial",
                "-days", "30", "-out", "p.crt", "-extfile", "ext")
        with open(self.path("pebble.json"), "w") as f:
            json.dump({"pebble": {
                "listenAddress": f"127.0.0.1:{self.acme}",
                "managementListenAddress": f"127.0.0.1:{self.manage}",
                "certificate": self.path("p.crt"), "privateKey": self.path("p.key"),
                "httpPort": self.http, "tlsPort": free_port(), "ocspResponderURL": "",
                "externalAccountBindingRequired": False}}, f)
        self.popen("dns", "pebble-challtestsrv", "-dns01", f"127.0.0.1:{self.dns}", "-management",
                   f"127.0.0.1:{self.dns_manage}", "-defaultIPv4", "127.0.0.1", "-defaultIPv6", "",
                   "-http01", "", "-https01", "", "-tlsalpn01", "")
        self.popen("pebble", "pebble", "-config", self.path("pebble.json"), "-dnsserver",
                   f"127.0.0.1:{self.dns}", PEBBLE_VA_NOSLEEP="1", PEBBLE_WFE_NONCEREJECT="0",
                   PEBBLE_AUTHZREUSE="0")
        for port in (self.acme, self.manage, self.dns_manage):
            wait_for(f"pebble on {port}", lambda: listens(port))
        context = ssl.create_default_context(cafile=self.path("pca.crt"))
        with urllib.request.urlopen(f"https://127.0.0.1:{self.manage}/roots/0", context=context) as r, \
                open(self.path("root.crt"), "wb") as f:
            f.write(r.read())

    def start_controller(self):
        self.controller = self.popen("controller", BUILD + "/bin/sc-controller", "--config", self.config)
        wait_for("the console", lambda: listens(self.console))

    def elsewhere(self, folder, **change):
        """A run with folders and a port 80 of its own."""
        for d in ("etc", "state/pki"):
            os.makedirs(self.path(folder + "/" + d))
        self.asks(folder + "/etc", **change)
        p = subprocess.Popen([ACME, "--etc", self.path(folder + "/etc"), "--state", self.path(folder + "/state"),
                              "--port", str(free_port()), "--serial", self.path(folder + "/serial")],
                             stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.procs.append(p)
        return p

    def asks(self, etc="etc", **change):
        with open(self.path("pca.crt")) as f:
            s = {"name": NAME, "email": "owner@example.org", "ca": f.read(),
                 "directory": f"https://127.0.0.1:{self.acme}/dir"}
        s.update(change)
        with open(self.path(etc + "/acme.json"), "w") as f:
            json.dump({k: v for k, v in s.items() if v is not None}, f)

    def run(self, *args):
        """(exit status, output, what is new on the serial console)."""
        was = os.path.getsize(self.serial) if os.path.exists(self.serial) else 0
        p = subprocess.run([ACME, "--etc", self.path("etc"), "--state", self.path("state"), "--port",
                            str(self.http), "--console", f"127.0.0.1:{self.console}", "--serial",
                            self.serial, "--patience", "3", *args], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                           text=True, timeout=120)
        said = ""
        if os.path.exists(self.serial):
            with open(self.serial, newline="") as f:
                said = f.read()[was:]
        return p.returncode, p.stdout, said

    def cert(self, name, cafile=None):
        """The certificate served to who asks for 'name'; verified, if 'cafile'."""
        c = ssl.create_default_context(cafile=cafile)
        if not cafile:
            c.check_hostname, c.verify_mode = False, ssl.CERT_NONE
        with socket.create_connection(("127.0.0.1", self.console), 10) as raw, \
                c.wrap_socket(raw, server_hostname=name) as s:
            return s.getpeercert(True)

    def close(self):
        for p in self.procs:
            if p.poll() is None:
                p.terminate()
        for p in self.procs:
            try:
                p.wait(10)
            except subprocess.TimeoutExpired:
                p.kill()
                p.wait()
        shutil.rmtree(self.dir)


def journey(w):
    own = w.cert(None)
    ok(w.cert(NAME) == own, "before there is one, all get the Supercloud's own certificate")
    code, out, said = w.run()
    ok(code == 0 and not said, "without acme.json there is nothing to do", out)

    # Those that only wait, meanwhile, as machines of their own.
    absent = w.elsewhere("absent", directory=f"https://127.0.0.1:{free_port()}/dir")
    stranger = w.elsewhere("stranger", ca=None, email=None)
    w.asks()
    code, out, said = w.run()
    ok(code == 0 and f"certificate for https://{NAME}" in said and not listens(w.http),
       "a certificate is issued, and port 80 is closed again", out)
    first = w.cert(NAME, w.path("root.crt"))
    ok(first != own and w.controller.poll() is None,
       "the running console serves it: chain and name are right for a TLS client")
    ca = w.path("state/pki/ca.crt")
    ok(w.cert("supercloud-controller", ca) == own and w.cert(None) == own and w.cert("other.example.org") == own,
       "who asks for another name, or for none, still gets the Supercloud's own")
    mode = os.stat(w.path("state/pki/console.key")).st_mode & 0o777
    ok(mode == 0o400 and not os.path.exists(w.path("state/pki/console.key.new")),
       "its key is nobody else's", oct(mode))
    with open(w.path("state/controller/initial-password")) as f:
        password = f.read()
    p = subprocess.run([BUILD + "/bin/supercloud", "login", f"https://localhost:{w.console}", "--user", "admin",
                        "--password-stdin", "--trust"], input=password, stdout=subprocess.PIPE,
                       stderr=subprocess.STDOUT, text=True, timeout=60,
                       env=dict(os.environ, HOME=w.dir, XDG_CONFIG_HOME=w.path("xdg")))
    ok(p.returncode == 0, "the command line, which pins the Supercloud's authority, logs in", p.stdout)

    began = time.monotonic()
    code, out, said = w.run()
    ok(code == 0 and not said and not out and w.cert(NAME) == first,
       f"while it is good nobody is asked ({time.monotonic() - began:.1f} s)", out)
    code, out, said = w.run("--days", "100000")
    ok(code == 0 and w.cert(NAME, w.path("root.crt")) not in (first, own),
       "one that ends soon is renewed, and served without a restart", out)
    for what, p in (("an ACME server that is not there", absent),
                    ("one whose own certificate is not trusted", stranger)):
        out = p.communicate(timeout=120)[0]
        ok(p.returncode == 1 and "[SC-A03]" in out, what, out)
    return w.cert(NAME), own


def failures(w, good, own):
    with socket.socket(socket.AF_INET6) as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind(("::", w.http))
        s.listen()
        code, out, said = w.run("--days", "100000")
        again = w.run("--days", "100000")
    ok(code == 1 and "ERROR acme-failed" in said and said.endswith("[SC-A02]\r\n") and said.count("\n") == 1,
       "a port 80 that is taken is one line with its code", said or out)
    ok(again[0] == 1 and not again[2] and "SC-A02" in again[1], "the same again is in the journal alone", again)
    w.asks(name="elsewhere.example.org")
    code, out, said = w.run("--port", str(free_port()))     # Not where the server looks.
    ok(code == 1 and "[SC-A04]" in said and "port 80 open?" in said,
       "a name that leads elsewhere: the server's words, and what to look at", said or out)
    w.asks(name="not a name")
    code, out, said = w.run()
    ok(code == 1 and "[SC-A01]" in said, "an acme.json that is not usable", said or out)
    ok(w.cert(NAME) == good and w.cert(None) == own, "after all that both certificates are served as before")
    w.asks()
    w.controller.send_signal(signal.SIGTERM)
    w.controller.wait(20)
    code, out, said = w.run("--days", "100000")
    ok(code == 1 and "[SC-A06]" in said, "a console that serves nothing is told", said or out)
    w.start_controller()
    code, out, said = w.run()
    ok(code == 0 and w.cert(NAME, w.path("root.crt")) != own, "the next start serves it too", out)
    ok(not os.path.exists(w.path("state/acme.failed")), "and the failure is forgotten")


def main():
    for program in ("pebble", "uacme", "openssl"):
        if not shutil.which(program):
            print(f"1..0 # SKIP {program} is not installed")
            return 0
    w = World()
    try:
        w.start()
        failures(w, *journey(w))
    except BaseException:
        for name in ("pebble", "controller"):
            if not os.path.exists(w.path(name + ".log")):
                continue
            with open(w.path(name + ".log"), errors="replace") as f:
                print("# --- " + name + "\n# " + f.read()[-1500:].replace("\n", "\n# "))
        raise
    finally:
        w.close()
    print(f"1..{n}")
    return 1 if failed else 0


sys.exit(main())
