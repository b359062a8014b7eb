#!/usr/bin/python3
"""The console over real TLS, in front of a cluster in memory: login and its
limits, CSRF, roles, bodies, uploads, events, serial consoles, pages, and the
command line against all of it.  Prints TAP.  Needs no network but loopback."""
import base64
import gzip
import hashlib
import http.client
import json
import os
import pty
import select
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
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


# --- tests --------------------------------------------------------------------

def test_login(s):
    c = Client(s)
    a = c.login()
    ok(a.status == 200 and a.json["role"] == "admin", "the right password logs in", a)
    cookie = a.headers["Set-Cookie"]
    ok(all(w in cookie for w in ("HttpOnly", "Secure", "SameSite=Strict", "Path=/")),
       "the cookie is HttpOnly, Secure, SameSite=Strict", cookie)
    ok(c.get("/session").json["user"] == "admin", "the cookie is good for the next request")
    ok(c.get("/vms").status == 200, "and for the API")
    a = Client(s).get("/vms")
    ok(a.status == 401 and a.code == "EPERM", "without it there is nothing", a)
    bad = Client(s)
    bad.cookie = "0" * 64
    ok(bad.get("/vms").status == 401, "an invented cookie is nobody's")
    bad.cookie = "x" * 500
    ok(bad.get("/vms").status == 401, "nor is one of another length")
    a = Client(s).login(password="wrong-password")
    b = Client(s).login(user="nobody-here")
    ok(a.status == b.status == 401 and a.json == b.json,
       "a wrong password and an unknown user look the same", "%s / %s" % (a, b))
    ok(c.request("POST", "/logout").status == 200, "logout")
    ok(c.get("/session").status == 401, "ends the session")


def test_csrf(s):
    c = logged_in(s)
    a = c.post("/networks", {"name": "n1", "cidr": "10.1.0.0/24"},
               headers={"X-CSRF-Token": None})
    ok(a.status == 403 and a.code == "EACCES", "a change without the CSRF token is refused", a)
    a = c.post("/networks", {"name": "n1", "cidr": "10.1.0.0/24"},
               headers={"X-CSRF-Token": "0" * 64})
    ok(a.status == 403, "and with a wrong one")
    other = logged_in(s)
    a = c.post("/networks", {"name": "n1", "cidr": "10.1.0.0/24"},
               headers={"X-CSRF-Token": other.csrf})
    ok(a.status == 403, "and with another session's")
    ok(c.post("/networks", {"name": "n1", "cidr": "10.1.0.0/24"}).status == 201,
       "with its own it is done")
    t = Client(s)
    a = t.login(token=True, token_name="test")
    ok(a.status == 200 and a.json["token"].startswith("sca1.") and
       "Set-Cookie" not in a.headers, "a program gets a token and no cookie", a)
    ok(t.request("DELETE", "/networks/n1").status == 200, "and needs no CSRF token")
    cookie = Client(s)
    cookie.cookie = t.bearer.split(".")[1]
    ok(cookie.get("/vms").status == 401, "an API token is no cookie")
    bearer = Client(s)
    bearer.bearer = "sca1." + c.cookie
    ok(bearer.get("/vms").status == 401, "a cookie is no API token")
    ok(t.request("POST", "/logout").status == 200 and t.get("/vms").status == 401,
       "logout revokes a token")


def test_roles(s):
    viewer, operator = logged_in(s, "viewer"), logged_in(s, "operator")
    ok(viewer.get("/vms").status == 200, "a viewer sees VMs")
    a = viewer.post("/vms/hello/stop")
    ok(a.status == 403 and "operator" in a.json["error"]["message"], "but stops none", a)
    ok(operator.get("/users").status == 403, "an operator does not see users")
    ok(operator.post("/tokens", {"uses": 1}).status == 403, "nor makes join tokens")


def test_users(s):
    admin = logged_in(s)
    a = admin.post("/users", {"user": "eve", "password": "eves-password", "role": "operator"})
    ok(a.status == 201 and "hash" not in a.json, "an admin creates a user", a)
    ok(admin.post("/users", {"user": "eve", "password": "eves-password"}).status == 409,
       "only once")
    ok(admin.post("/users", {"user": "bob", "password": "short"}).status == 400,
       "a short password is refused")
    users = admin.get("/users")
    ok("eve" in [u["user"] for u in users.json["users"]] and b"argon2" not in users.body,
       "users are listed without their hashes")
    one, two = Client(s), Client(s)
    one.login("eve", "eves-password")
    two.login("eve", "eves-password")
    a = one.post("/password", {"old": "wrong-password", "new": "new-password"})
    ok(a.status == 403, "the old password must be right", a)
    ok(one.post("/password", {"old": "eves-password", "new": "new-password"}).status == 200,
       "a user changes the password")
    ok(one.get("/session").status == 200 and two.get("/session").status == 401,
       "which ends the other sessions")
    ok(admin.request("PUT", "/users/eve", {"role": "viewer"}).status == 200 and
       one.post("/vms/hello/stop").status == 403, "a new role counts at once")
    sessions = one.get("/sessions").json["sessions"]
    ok(sessions and all(x["user"] == "eve" and "csrf" not in x for x in sessions),
       "a user sees own sessions only", sessions)
    other = [x for x in admin.get("/sessions").json["sessions"] if x["user"] == "admin"][0]
    ok(one.request("DELETE", "/sessions/" + other["id"]).status == 404,
       "and cannot end another's")
    ok(admin.request("DELETE", "/users/eve").status == 200 and one.get("/vms").status == 401,
       "a deleted user is out at once")
    a = admin.request("DELETE", "/users/admin")
    ok(a.status == 409, "the last admin stays", a)
    a = admin.request("PUT", "/users/admin", {"role": "viewer"})
    ok(a.status == 409, "an admin", a)


def test_rate_limit():
    with Server() as s:
        answers = [Client(s).login("viewer", "wrong-%d" % i).status for i in range(5)]
        ok(answers == [401] * 5, "five wrong passwords are just wrong", answers)
        a = Client(s).login("viewer", PASSWORD)
        ok(a.status == 429 and a.code == "EAGAIN" and int(a.headers["Retry-After"]) > 0,
           "then even the right one must wait", a)
        ok(Client(s).login("operator").status == 200, "another user need not")
        answers = [Client(s).login("u%d" % i, "wrong-one").status for i in range(20)]
        ok(answers[-1] == 429 and answers[0] == 401, "an address has a limit of its own", answers)
    with Server() as s:
        c = logged_in(s, "operator")
        answers = [c.post("/password", {"old": "wrong-%d" % i, "new": "new-password"}).status
                   for i in range(7)]
        ok(answers[0] == 403 and answers[-1] == 429,
           "nor can a session guess the password it does not know", answers)


def test_idle():
    with Server("--idle-ms", "1200") as s:
        c, t = logged_in(s), Client(s)
        t.login(token=True)
        time.sleep(0.5)
        ok(c.get("/session").status == 200, "a session in use lives")
        time.sleep(1.6)
        a = c.get("/session")
        ok(a.status == 401, "an idle one ends", a)
        ok(t.get("/session").status == 200, "a token does not")


def test_bodies(s):
    c = logged_in(s)
    for name, body, want in (
            ("broken JSON", "{", 400), ("JSON with something behind it", "{} x", 400),
            ("an array", "[]", 400), ("invalid UTF-8", b'{"name":"\xff\xfe"}', 400),
            ("an unknown key", '{"name":"n","cidr":"10.1.0.0/24","x":1}', 400),
            ("a key twice", '{"name":"a","name":"b","cidr":"10.1.0.0/24"}', 400),
            ("a wrong type", '{"name":1,"cidr":"10.1.0.0/24"}', 400)):
        a = c.request("POST", "/networks", body, {"Content-Type": "application/json"}, raw=True)
        ok(a.status == want and a.code == "EINVAL", "%s is answered %d" % (name, want), a)
    a = c.request("POST", "/networks", "{}", {"Content-Type": "text/plain"}, raw=True)
    ok(a.status == 400, "so is another content type", a)
    a = c.request("POST", "/networks", '{"name":"%s"}' % ("x" * 300000),
                  {"Content-Type": "application/json"}, raw=True)
    ok(a.status == 413 and a.code == "EFBIG", "a body that is too long gets 413", a)
    a = c.request("POST", "/networks", iter([b'{"name":"chunky",', b'"cidr":"10.7.0.0/24"}']),
                  {"Content-Type": "application/json"}, raw=True)
    ok(a.status == 201, "a chunked body is as good", a)
    a = c.request("POST", "/vms/hello/stop", '{"id":"client"}',
                  {"Content-Type": "application/json"}, raw=True)
    ok(a.status == 400, "a body cannot replace the path's id", a)
    a = c.request("PATCH", "/vms")
    ok(a.status == 405 and a.headers["Allow"] == "GET, POST", "a wrong method names the right ones", a)
    a = c.get("/frobs")
    ok(a.status == 404 and a.code == "ENOENT", "an unknown path is 404 in JSON", a)
    ok(c.get("/jobs?limit=x").status == 400, "a bad query value is refused")
    ok(c.get("/jobs?limits=1").status == 400, "an unknown query key too")
    ok(c.get("/vms/no-such-vm").status == 404, "an unknown object is 404")
    a = c.post("/vms", {"name": "big", "image": "demo", "network": "tenant",
                        "memory_mib": 1 << 20, "vcpus": 1})
    ok(a.status == 507 and a.code == "ENOSPC", "no room is 507", a)
    ok(c.post("/nodes/user-data", {"region": "r", "provider": "ec2"}).json["user_data"]
       .startswith("#cloud-config"), "user-data is made")
    ok(Client(s).get("/openapi.json").json["openapi"].startswith("3.1"), "the description is public")
    ok(Client(s).get("/version").json["api"] == "v1", "so is the version")
    raw = socket.create_connection(("127.0.0.1", s.port))
    raw.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    raw.settimeout(15)
    try:
        got = raw.recv(100)
    except OSError:
        got = b""
    raw.close()
    ok(b"200" not in got, "plain HTTP gets nothing", got)


def test_jobs(s):
    c = logged_in(s)
    a = c.post("/vms", {"name": "web", "image": "demo", "network": "tenant",
                        "memory_mib": 64, "vcpus": 1, "region": "us-east"})
    ok(a.status == 202 and a.json["vm"]["name"] == "web", "creating a VM is a job", a)
    ok(c.wait_job(a.json["job"]["id"])["state"] == "done", "that ends")
    ok(c.get("/vms/web").json["state"] == "running", "with the VM running")
    a = c.post("/vms/web/migrate", {"region": "ap-northeast"})
    job = c.wait_job(a.json["job"]["id"])
    ok(job["result"]["pause_ms"] > 0 and c.get("/vms/web").json["node_name"] == "jp-1",
       "a migration moves it", job)
    a = c.post("/vms/web/migrate", {"node": "jp-1"})
    ok(a.status == 409 and a.code == "EALREADY", "to where it is: refused", a)
    a = c.request("DELETE", "/vms/web")
    ok(a.status == 202 and c.wait_job(a.json["job"]["id"])["state"] == "done" and
       c.get("/vms/web").status == 404, "deleting it is a job too")


def raw_request(s, c, head, body=b"", close_early=False):
    """Sends bytes as they are; all that comes back."""
    sock = s.tls.wrap_socket(socket.create_connection(("127.0.0.1", s.port)),
                             server_hostname="127.0.0.1")
    sock.settimeout(20)
    text = head + "Cookie: sc_session=%s\r\nX-CSRF-Token: %s\r\nHost: x\r\n\r\n" % (c.cookie, c.csrf)
    sock.sendall(text.encode() + body)
    if close_early:
        sock.shutdown(socket.SHUT_RDWR)
        sock.close()
        return b""
    got = b""
    try:
        while True:
            more = sock.recv(65536)
            if not more:
                break
            got += more
    except OSError:
        pass
    sock.close()
    return got


def new_image(c, name, size, **more):
    a = c.post("/images", dict(name=name, kind="disk", size=size, **more))
    assert a.status == 201, a
    return a.json["id"]


def until(fn, seconds=10):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if fn():
            return True
        time.sleep(0.05)
    return False


def test_uploads(s):
    c = logged_in(s)
    data = os.urandom(5_000_000)
    sha = hashlib.sha256(data).hexdigest()
    put = {"Content-Type": "application/octet-stream"}

    def upload(i, body, headers=put):
        return c.request("PUT", "/images/%s/file" % i, body, headers, raw=True)

    i = new_image(c, "whole", len(data))
    a = upload(i, data)
    ok(a.status == 200 and a.json["state"] == "active" and a.json["sha256"] == sha,
       "a whole upload makes the image active, with its digest", a)
    ok(s.spool() == [], "and leaves nothing in the spool", s.spool())
    ok(upload(i, data).status == 409, "an active image takes no second file")
    i = new_image(c, "digest-ok", len(data), sha256=sha.upper())
    ok(upload(i, data).status == 200, "a digest that fits is accepted")

    i = new_image(c, "digest", len(data), sha256="0" * 64)
    a = upload(i, data)
    ok(a.status == 400 and a.code == "EBADMSG", "a wrong digest is refused", a)
    ok(c.get("/images/digest").status == 404, "and the image is gone")

    i = new_image(c, "cut", len(data))
    raw_request(s, c, "PUT /api/v1/images/%s/file HTTP/1.1\r\nContent-Length: %d\r\n"
                % (i, len(data)), data[:1_000_000], close_early=True)
    ok(until(lambda: c.get("/images/cut").status == 404), "an upload cut short removes the image",
       c.get("/images/cut"))
    ok(until(lambda: s.spool() == []), "and its file", s.spool())

    i = new_image(c, "size", len(data))
    a = upload(i, data[:-1])
    ok(a.status == 400 and c.get("/images/size").status == 404,
       "another size than declared is refused", a)
    i = new_image(c, "chunked", len(data))
    a = upload(i, iter([data]), {})
    ok(a.status == 400, "a body without a length is refused", a)
    a = upload("no-such-image", b"x")
    ok(a.status == 404, "an unknown image takes no file", a)
    viewer = logged_in(s, "viewer")
    a = viewer.request("PUT", "/images/%s/file" % i, b"x", put, raw=True)
    ok(a.status == 403, "a viewer uploads nothing", a)
    got = raw_request(s, c, "PUT /api/v1/images/%s/file HTTP/1.1\r\nContent-Length: %d\r\n"
                      % (i, 1 << 50))
    ok(b" 413 " in got.split(b"\r\n")[0], "more than the largest image gets 413", got[:200])


def test_disk_full():
    # The spool is a tmpfs of 1 MiB, in a mount namespace of the server's own.
    spool = os.path.join(TMP, "small")
    os.mkdir(spool)
    script = 'mount -t tmpfs -o size=1m tmpfs "$0" && exec "$@"'
    with Server("--spool", spool, wrapper=["unshare", "-m", "sh", "-c", script, spool]) as s:
        c = logged_in(s)
        i = new_image(c, "full", 5_000_000)
        a = c.request("PUT", "/images/%s/file" % i, b"x" * 5_000_000, {}, raw=True)
        ok(a.status == 507 and a.code == "ENOSPC", "a full disk is 507", a)
        ok(c.get("/images/full").status == 404, "and the image is gone")
        i = new_image(c, "fits", 500_000)
        ok(c.request("PUT", "/images/%s/file" % i, b"x" * 500_000, {}, raw=True).status == 200,
           "a smaller one still fits")


class Events:
    """An open event stream, read by a thread."""

    def __init__(self, c, last_id=None):
        self.conn = http.client.HTTPSConnection("127.0.0.1", c.server.port,
                                                context=c.server.tls, timeout=30)
        h = {"Cookie": "sc_session=" + (c.cookie or "")}
        if last_id:
            h["Last-Event-ID"] = last_id
        self.conn.connect()
        self.sock = self.conn.sock  # The response takes it over.
        self.conn.request("GET", "/api/v1/events", headers=h)
        self.response = self.conn.getresponse()
        self.status = self.response.status
        self.events, self.ended = [], threading.Event()
        if self.status == 200:
            threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        event = {}
        try:
            for line in self.response:
                line = line.decode().rstrip("\n")
                if not line and event:
                    self.events.append(event)
                    event = {}
                elif ": " in line and not line.startswith(":"):
                    key, value = line.split(": ", 1)
                    event[key] = value
        except (OSError, http.client.HTTPException, ValueError):
            pass
        self.ended.set()

    def wait(self, test, seconds=10):
        return until(lambda: any(test(e) for e in list(self.events)), seconds)

    def close(self):
        try:
            self.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.conn.close()


def is_change(e, kind, name):
    if e.get("event") != "change":
        return False
    d = json.loads(e["data"])
    return d["kind"] == kind and d["object"] and d["object"].get("name") == name


def test_events():
    with Server("--keep-alive-ms", "300", "--threads", "30") as s:
        c = logged_in(s)
        ok(Events(Client(s)).status == 401, "a stranger gets no events")
        e = Events(c)
        ok(e.response.headers["Content-Type"] == "text/event-stream", "an event stream opens")
        c.post("/networks", {"name": "ev1", "cidr": "10.3.0.0/24"})
        ok(e.wait(lambda x: is_change(x, "network", "ev1")), "a change arrives", e.events)
        last = [x["id"] for x in e.events if is_change(x, "network", "ev1")][0]
        e.close()
        c.post("/networks", {"name": "ev2", "cidr": "10.4.0.0/24"})
        e = Events(c, last)
        ok(e.wait(lambda x: is_change(x, "network", "ev2")),
           "who comes back with the last id gets what was missed", e.events)
        ok(not any(x.get("event") == "reset" for x in e.events), "without a reset")
        e.close()
        e = Events(c, "other-run-7")
        ok(e.wait(lambda x: x.get("event") == "reset"), "an unknown id gives a reset", e.events)
        c.request("DELETE", "/networks/ev2")
        ok(e.wait(lambda x: x.get("event") == "change" and
                  json.loads(x["data"])["object"] is None), "what is gone is null", e.events)
        e.close()
        time.sleep(2)  # The closed ones are noticed with the next keep-alive.
        streams = [Events(c) for _ in range(14)]
        n_open = sum(x.status == 200 for x in streams)
        ok(n_open == 10 and {x.status for x in streams} == {200, 429},
           "a third of the workers may hold streams, not more", [x.status for x in streams])
        ok(c.get("/vms").status == 200, "and the API still answers")
        again = logged_in(s)
        mine = [x for x in streams if x.status == 200]
        c.request("POST", "/logout")
        ok(all(x.ended.wait(5) for x in mine), "logout ends the streams of that session")
        left = Events(again)
        seconds = s.stop()
        ok(seconds < 6 and s.proc.returncode == 0,
           "the server stops with streams open, in %.1f s" % seconds, s.proc.returncode)
        left.close()


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


def test_console(s):
    c = logged_in(s, "operator")
    w = WebSocket(c, "/vms/hello/console", origin="https://HOST")
    ok(w.status == 101 and w.until(b"Fake guest hello"), "the console shows the guest", w.status)
    w.send(b"echo typed\r")
    ok(w.until(b"echo typed"), "what is typed comes back")
    big = b"y" * 3000
    w.send(big)
    ok(w.until(big[:2000]), "long input too")
    second = WebSocket(c, "/vms/hello/console")
    ok(second.until(b"Fake guest"), "a second console opens beside it")
    second.close()
    ok(WebSocket(Client(s), "/vms/hello/console").status == 401, "a stranger gets none")
    ok(WebSocket(logged_in(s, "viewer"), "/vms/hello/console").status == 403, "nor a viewer")
    ok(WebSocket(c, "/vms/hello/console", origin="https://evil.example").status == 403,
       "nor a page of another origin")
    ok(WebSocket(c, "/vms/no-such-vm/console").status == 404, "an unknown VM has none")
    ok(WebSocket(c, "/vms/spare/console").status == 409, "nor one that is stopped")
    ok(c.get("/vms/hello/console").status == 426, "it is a WebSocket only")
    a = c.post("/vms/hello/stop")
    ok(not w.until(b"never this") and "stopped" in (w.close_reason or ""),
       "when the VM stops the console ends and says why", w.close_reason)
    w.close()
    c.wait_job(a.json["job"]["id"])
    ok("Fake guest" in c.get("/vms/client/console-log?bytes=1000").json["data"],
       "the log can be read afterwards")


def test_console_handshake():
    """A handshake that fails at its last step gives its place back."""
    with Server("--threads", "24") as s:
        c = logged_in(s)
        bad = [WebSocket(c, "/vms/hello/console", key="k" * n) for n in [100] * 6 + [23, 25]]
        ok({w.status for w in bad} == {400}, "a key that is no key is refused", [w.status for w in bad])
        w = WebSocket(c, "/vms/hello/console")
        ok(w.status == 101 and w.until(b"Fake guest"), "and takes no place from others", w.status)
        w.close()


def ended(w):
    """Whether the console closes by itself, and why."""
    return not w.until(b"never this") and "session" in (w.close_reason or "")


def test_console_session():
    """A console lives no longer than what it was opened with."""
    with Server("--keep-alive-ms", "300") as s:
        admin, c = logged_in(s), logged_in(s, "operator")
        w = WebSocket(c, "/vms/hello/console")
        w.until(b"Fake guest")
        c.request("POST", "/logout")
        ok(ended(w), "logout ends the consoles of that session", w.close_reason)
        time.sleep(0.2)
        try:
            for _ in range(3):  # Whatever a page does that ignores the end.
                w.send(b"echo late\r")
                time.sleep(0.2)
            answered = w.until(b"late")
        except OSError:
            answered = False
        ok(not answered, "and what is typed afterwards goes nowhere")
        w.close()
        admin.post("/users", {"user": "temp", "password": "fake-password", "role": "operator"})
        c = logged_in(s, "temp")
        w = WebSocket(c, "/vms/hello/console")
        w.until(b"Fake guest")
        admin.request("PUT", "/users/temp", {"role": "viewer"})
        ok(ended(w), "who is no operator any more has none", w.close_reason)
        w.close()
    with Server("--keep-alive-ms", "300", "--idle-ms", "4000") as s:
        c = logged_in(s, "operator")
        w = WebSocket(c, "/vms/hello/console")
        w.until(b"Fake guest")
        for i in range(12):
            w.send(b"echo still%d\r" % i)
            if not w.until(b"still%d" % i):
                break
            time.sleep(0.5)
        ok(w.close_reason is None and c.get("/session").status == 200, "typing is use of the session",
           w.close_reason)
        w.close()
        w = WebSocket(c, "/vms/hello/console")
        w.until(b"Fake guest")
        ok(ended(w), "silence is none: the console ends with the session", w.close_reason)
        w.close()


def test_console_shutdown():
    with Server() as s:
        c = logged_in(s)
        w = WebSocket(c, "/vms/hello/console")
        w.until(b"Fake")
        seconds = s.stop()
        ok(seconds < 6 and s.proc.returncode == 0,
           "the server stops with a console open, in %.1f s" % seconds, s.proc.returncode)
        w.close()


def test_static(s):
    c = Client(s)

    def page(path, **headers):
        return c.request("GET", path, headers={k.replace("_", "-"): v for k, v in headers.items()},
                         raw="path")
    a = page("/")
    ok(a.status == 200 and a.headers["Content-Type"].startswith("text/html"), "there is a page", a)
    h = a.headers
    ok("script-src 'self'" in h["Content-Security-Policy"] and
       h["X-Content-Type-Options"] == "nosniff" and "max-age" in h["Strict-Transport-Security"]
       and h["X-Frame-Options"] == "DENY", "with the security headers", h)
    ok(page("/", If_None_Match=h["ETag"]).status == 304, "its ETag gives 304")
    ok(page("/", If_None_Match='"other"').status == 200, "another does not")
    ok(page("/vms/some-id").body == a.body, "a path of the front end is the page")
    ok(page("/no/such.js").status == 404, "a file that is not there is 404")
    ok(page("/../../etc/passwd").status in (400, 404) or
       b"root:" not in page("/../../etc/passwd").body, "nobody climbs out")
    ok(c.request("POST", "/", "", raw="path").status == 405, "pages are read only")
    plain = page("/api/v1/openapi.json", Accept_Encoding="identity")
    packed = page("/api/v1/openapi.json", Accept_Encoding="gzip")
    ok(packed.headers["Content-Encoding"] == "gzip" and
       gzip.decompress(packed.body) == plain.body, "text comes compressed to who takes it")
    ok(c.request("HEAD", "/", raw="path").body == b"", "HEAD has no body")


def test_many_connections():
    with Server("--threads", "24") as s:
        idle = []
        for _ in range(12):
            idle.append(s.tls.wrap_socket(socket.create_connection(("127.0.0.1", s.port)),
                                          server_hostname="127.0.0.1"))
        t0 = time.monotonic()
        ok(Client(s).get("/version").status == 200 and time.monotonic() - t0 < 5,
           "connections that say nothing do not hold up others")
        for x in idle:
            x.close()
        c = logged_in(s)
        results = []
        threads = [threading.Thread(target=lambda: results.append(c.get("/vms").status))
                   for _ in range(40)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        ok(results == [200] * 40, "forty requests at once are all answered", results)


# --- the command line -----------------------------------------------------------

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


def main():
    for program in (FAKE, CLI):
        if not os.access(program, os.X_OK):
            print("1..0 # SKIP %s is not built" % program)
            return 1
    try:
        with Server() as s:
            for test in (test_login, test_csrf, test_roles, test_users, test_bodies, test_jobs,
                         test_uploads, test_static, test_cli_login, test_cli_objects,
                         test_cli_terminal, test_cli_trust, test_console):
                try:
                    test(s)
                except Exception as e:  # One broken story must not hide the others.
                    ok(False, "%s ran to its end" % test.__name__, repr(e))
            ok(s.proc.poll() is None, "the server lived through all that")
        for test in (test_cli_name, test_rate_limit, test_idle, test_disk_full, test_events,
                     test_console_handshake, test_console_session,
                     test_console_shutdown, test_many_connections):
            try:
                test()
            except Exception as e:
                ok(False, "%s ran to its end" % test.__name__, repr(e))
    finally:
        shutil.rmtree(TMP, ignore_errors=True)
    print("1..%d" % n_tests)
    return 1 if n_failed else 0


if __name__ == "__main__":
    sys.exit(main())
