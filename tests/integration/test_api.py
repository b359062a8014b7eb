#!/usr/bin/python3
"""The console over real TLS, in front of a cluster in memory: login and its
limits, CSRF, roles, bodies, uploads, events, serial consoles, pages.  Prints
TAP.  Needs no network but loopback."""
import gzip
import hashlib
import http.client
import json
import os
import socket
import sys
import threading
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(TOP, "tests/lib"))
from console_api import PASSWORD, TMP, Client, Server, WebSocket, logged_in, ok, run  # noqa: E402


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


if __name__ == "__main__":
    sys.exit(run((test_login, test_csrf, test_roles, test_users, test_bodies, test_jobs,
                  test_uploads, test_static, test_console),
                 (test_rate_limit, test_idle, test_disk_full, test_events,
                  test_console_handshake, test_console_session, test_console_shutdown,
                  test_many_connections)))
