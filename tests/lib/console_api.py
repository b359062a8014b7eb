"""The console's API as tests speak to it: bin/sc-fake-console (a cluster in
memory behind the real HTTPS server), a client, a WebSocket, and run(), which
tells their stories and prints TAP.  Used by tests/integration/test_api.py and
test_cli.py."""
import base64
import http.client
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.join(TOP, os.environ.get("SC_BUILD", "build"))
FAKE = os.path.join(BUILD, "bin/sc-fake-console")
CLI = os.path.join(BUILD, "bin/supercloud")
PASSWORD = "fake-password"
TMP = tempfile.mkdtemp(prefix="sc-test-api-")

n_tests = n_failed = 0


def ok(cond, name, detail=""):
    global n_tests, n_failed
    n_tests += 1
    if not cond:
        n_failed += 1
        for line in str(detail).splitlines():
            print("# " + line)
    print("%s %d - %s" % ("ok" if cond else "not ok", n_tests, name), flush=True)
    return cond


class Server:
    """One sc-fake-console on a port of its own."""
    count = 0

    def __init__(self, *args, wrapper=(), ca=None):
        Server.count += 1
        self.dir = os.path.join(TMP, "server%d" % Server.count)
        self.proc = subprocess.Popen(
            list(wrapper) + [FAKE, "--listen", "127.0.0.1:0", "--dir", self.dir,
                             "--step-ms", "80"] + list(args),
            stdout=subprocess.PIPE, text=True)
        line = self.proc.stdout.readline()
        assert line.startswith("FAKE console"), "no server: %r" % line
        self.port = int(line.split("https://127.0.0.1:")[1].split()[0])
        self.url = "https://127.0.0.1:%d" % self.port
        self.tls = ssl.create_default_context(
            cafile=ca or os.path.join(self.dir, "fake.crt"))

    def stop(self):
        t0 = time.monotonic()
        self.proc.send_signal(signal.SIGTERM)
        self.proc.wait(20)
        self.proc.stdout.close()
        return time.monotonic() - t0

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        if self.proc.poll() is None:
            self.stop()
        return False

    def spool(self):
        return os.listdir(os.path.join(self.dir, "spool"))


class Answer:
    def __init__(self, response, body):
        self.status, self.headers, self.body = response.status, response.headers, body

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def code(self):
        return self.json["error"]["code"]

    def __str__(self):
        return "status %d: %r" % (self.status, self.body[:300])


class Client:
    """A browser (cookie and CSRF token) or a program (bearer token)."""

    def __init__(self, server):
        self.server, self.cookie, self.csrf, self.bearer = server, None, None, None

    def request(self, method, path, body=None, headers=None, raw=False):
        h = {}
        if self.cookie:
            h["Cookie"] = "sc_session=" + self.cookie
        if self.csrf and method != "GET":
            h["X-CSRF-Token"] = self.csrf
        if self.bearer:
            h["Authorization"] = "Bearer " + self.bearer
        if body is not None and not raw:
            body = json.dumps(body)
            h["Content-Type"] = "application/json"
        h.update(headers or {})
        h = {k: v for k, v in h.items() if v is not None}
        c = http.client.HTTPSConnection("127.0.0.1", self.server.port,
                                        context=self.server.tls, timeout=30)
        try:
            c.request(method, path if path.startswith("/") and raw == "path"
                      else "/api/v1" + path if path.startswith("/") else path,
                      body, h)
            r = c.getresponse()
            return Answer(r, r.read())
        finally:
            c.close()

    def get(self, path, **kw):
        return self.request("GET", path, **kw)

    def post(self, path, body=None, **kw):
        return self.request("POST", path, {} if body is None else body, **kw)

    def login(self, user="admin", password=PASSWORD, **more):
        a = self.post("/login", dict(user=user, password=password, **more))
        if a.status == 200:
            if "token" in a.json:
                self.bearer = a.json["token"]
            else:
                self.cookie = a.headers["Set-Cookie"].split("sc_session=")[1].split(";")[0]
                self.csrf = a.json["csrf"]
        return a

    def wait_job(self, job_id):
        for _ in range(200):
            job = self.get("/jobs/" + job_id).json
            if job["state"] != "running":
                return job
            time.sleep(0.05)
        raise AssertionError("job does not end")


def logged_in(server, user="admin"):
    c = Client(server)
    a = c.login(user)
    assert a.status == 200, a
    return c


class WebSocket:
    """As little of RFC 6455 as a console needs."""

    def __init__(self, c, path, origin=None, key=None):
        self.sock = c.server.tls.wrap_socket(
            socket.create_connection(("127.0.0.1", c.server.port)), server_hostname="127.0.0.1")
        self.sock.settimeout(10)
        key = key or base64.b64encode(os.urandom(16)).decode()
        host = "127.0.0.1:%d" % c.server.port
        text = ("GET /api/v1%s HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\n" % (path, host, key))
        if c.cookie:
            text += "Cookie: sc_session=%s\r\n" % c.cookie
        if origin:
            text += "Origin: %s\r\n" % origin.replace("HOST", host)
        self.sock.sendall((text + "\r\n").encode())
        self.buf = b""
        while b"\r\n\r\n" not in self.buf:
            more = self.sock.recv(4096)
            if not more:
                break
            self.buf += more
        head, _, self.buf = self.buf.partition(b"\r\n\r\n")
        self.status = int(head.split()[1])
        self.close_reason = None

    def read(self, n):
        while len(self.buf) < n:
            more = self.sock.recv(65536)
            if not more:
                raise EOFError
            self.buf += more
        data, self.buf = self.buf[:n], self.buf[n:]
        return data

    def frame(self):
        first, second = self.read(2)
        n = second & 127
        if n == 126:
            n = int.from_bytes(self.read(2), "big")
        elif n == 127:
            n = int.from_bytes(self.read(8), "big")
        return first & 15, self.read(n)

    def send(self, data, opcode=2):
        mask = os.urandom(4)
        body = bytes(b ^ mask[i % 4] for i, b in enumerate(data))
        n = len(data)
        size = bytes([128 | n]) if n < 126 else b"\xfe" + n.to_bytes(2, "big")
        self.sock.sendall(bytes([128 | opcode]) + size + mask + body)

    def until(self, text):
        """Reads until 'text' has come; False: closed first."""
        got = b""
        try:
            while text not in got:
                opcode, data = self.frame()
                if opcode == 8:
                    self.close_reason = data[2:].decode()
                    return False
                if opcode in (0, 1, 2):
                    got += data
        except (EOFError, OSError):
            return False
        return True

    def close(self):
        self.sock.close()


def run(together, alone):
    """Those of 'together' get one server, one after the other; the others have
    none.  Returns the exit status."""
    for program in (FAKE, CLI):
        if not os.access(program, os.X_OK):
            print("1..0 # SKIP %s is not built" % program)
            return 1
    try:
        with Server() as s:
            for test in together:
                try:
                    test(s)
                except Exception as e:  # One broken story must not hide the others.
                    ok(False, "%s ran to its end" % test.__name__, repr(e))
            ok(s.proc.poll() is None, "the server lived through all that")
        for test in alone:
            try:
                test()
            except Exception as e:
                ok(False, "%s ran to its end" % test.__name__, repr(e))
    finally:
        shutil.rmtree(TMP, ignore_errors=True)
    print("1..%d" % n_tests)
    return 1 if n_failed else 0
