"""What every emulated cloud of the tests shares: an HTTP server on 127.0.0.1 with state in
memory, a log of requests, faults on demand, and a runner for `sc-provider worker`.

An emulator is a class derived from Cloud:
    class Moon(Cloud):
        def handle(self, q):                    # Request -> Answer; one at a time (a lock is held)
        def route(self, q):                     # a request's name in the log, for faults
        def throttled(self, q) / broken(self, q, status) / expired(self, q)
                                                # the provider's own form of these answers
It keeps what it has in self.state (JSON-able), so that a test, or GET /_emulator/state, sees it.

A test, to put a fault at every request of a call:
    with Moon() as cloud:
        call(cloud); n = len(cloud.log)
        for kind in FAULTS:
            for k in range(n):
                cloud.clear(); cloud.fault(kind, at=k); call(cloud); ...
Nothing here leaves the loopback interface.  Emulated: behaviour under faults and the shape of
requests and answers; not a cloud's timing, nor its limits that no document states.
"""
import email.utils
import http.server
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
import urllib.parse

# "cut-before": the connection breaks and nothing happened; "cut-after": it happened, and the
# connection breaks before the answer; "truncated": half of the answer's body, then a break.
FAULTS = ("throttle", "throttle-date", "500", "503", "slow", "cut-before", "cut-after",
          "truncated", "expired")


class Request:
    """method, path (decoded), raw_path, query (dict of the last values), headers (lower case)."""

    def __init__(self, method, target, headers, body):
        raw, _, query = target.partition("?")
        self.method, self.target, self.raw_path, self.raw_query = method, target, raw, query
        self.path = urllib.parse.unquote(raw)
        self.pairs = urllib.parse.parse_qsl(query, keep_blank_values=True)
        self.query = dict(self.pairs)
        self.header_pairs = [(k.lower(), v) for k, v in headers]
        self.headers = dict(self.header_pairs)
        self.body = body

    def json(self):
        """The body as JSON; None if it is not."""
        try:
            return json.loads(self.body or b"null")
        except ValueError:
            return None


class Answer:
    """body: bytes, text, or something JSON-able."""

    def __init__(self, status=200, body=b"", headers=None):
        self.status, self.headers = status, dict(headers or {})
        if isinstance(body, str):
            body = body.encode()
        elif not isinstance(body, (bytes, bytearray)):
            body = json.dumps(body).encode()
            self.headers.setdefault("Content-Type", "application/json")
        self.body = bytes(body)


class Fault:
    def __init__(self, kind, at, since, route, times, seconds):
        self.kind, self.at, self.since, self.route = kind, at, since, route
        self.times, self.seconds = times, seconds

    def hits(self, n, route):
        if self.times <= 0 or n < self.since or (self.at is not None and n != self.at):
            return False
        return self.route is None or self.route == route


class Cut(Exception):
    """Ends the connection without (the rest of) an answer."""


class Cloud:
    retry_after = 1             # seconds, of a throttled answer
    slow_seconds = 0.3

    def __init__(self, port=0, tls=None):
        """tls: (certificate file, key file); without it plain HTTP."""
        self.lock = threading.RLock()
        self.state = {}
        self.log = []
        self.faults = []
        self.tls = tls
        cloud = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True
            timeout = 60

            def log_message(self, *args):
                pass

            def any_method(self):
                cloud._serve(self)
            do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = do_PATCH = any_method

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 64

            def handle_error(self, request, client_address):
                e = sys.exc_info()[1]
                if not isinstance(e, (OSError, Cut)):
                    cloud.crashes.append(repr(e))
                    http.server.ThreadingHTTPServer.handle_error(self, request, client_address)

        self.crashes = []       # exceptions of the emulator itself: a test must find none
        self.server = Server(("127.0.0.1", port), Handler)
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*tls)
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True,
                                                     do_handshake_on_connect=False)
        self.port = self.server.server_address[1]
        self.url = "%s://127.0.0.1:%d" % ("https" if tls else "http", self.port)
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True)

    # -- for an emulator ----------------------------------------------------------
    def handle(self, q):
        raise NotImplementedError

    def route(self, q):
        return "%s %s" % (q.method, q.path)

    def throttled(self, q):
        return Answer(429, {"error": "throttled by the emulator"})

    def broken(self, q, status):
        return Answer(status, {"error": "broken by the emulator"})

    def expired(self, q):
        return Answer(401, {"error": "token expired by the emulator"})

    # -- for a test ---------------------------------------------------------------
    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *unused):
        self.server.shutdown()
        self.server.server_close()

    def fault(self, kind, at=None, since=0, route=None, times=1, seconds=None):
        """The next 'times' requests that are number 'at' since clear(), or come from number 'since'
        on, and are of 'route', or any."""
        assert kind in FAULTS, kind
        with self.lock:
            self.faults.append(Fault(kind, at, since, route, times, seconds))

    def clear(self):
        """Forgets log and faults, not the state."""
        with self.lock:
            self.log, self.faults = [], []

    def routes(self):
        with self.lock:
            return [e["route"] for e in self.log]

    def dump(self):
        with self.lock:
            return json.dumps(self.state, indent=1, sort_keys=True, default=str)

    # -- the server's side --------------------------------------------------------
    def _serve(self, h):
        try:
            size = int(h.headers.get("content-length") or 0)
            if h.headers.get("transfer-encoding", "").lower() == "chunked":
                body = self._chunks(h.rfile)
            else:
                body = h.rfile.read(size)
                if len(body) < size:
                    raise Cut()
            q = Request(h.command, h.path, h.headers.items(), body)
            if q.path.startswith("/_emulator/"):
                answer, fault = self._control(q), None
            else:
                answer, fault = self._answer(q)
            self._send(h, answer, fault)
        except Cut:
            h.close_connection = True
            try:                                # A break, not an orderly end.
                h.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            except OSError:
                pass
            h.connection.close()

    @staticmethod
    def _chunks(f):
        body = b""
        while True:
            size = int(f.readline().split(b";")[0] or b"0", 16)
            body += f.read(size)
            f.readline()
            if size == 0:
                return body

    def _answer(self, q):
        with self.lock:
            n, route = len(self.log), self.route(q)
            entry = {"n": n, "at": time.time(), "method": q.method, "path": q.path,
                     "query": q.query, "route": route, "status": None, "fault": None}
            self.log.append(entry)
            fault = next((f for f in self.faults if f.hits(n, route)), None)
            if fault:
                fault.times -= 1
                entry["fault"] = fault.kind
        kind = fault.kind if fault else None
        if kind == "cut-before":
            raise Cut()
        if kind == "slow":
            time.sleep(fault.seconds if fault.seconds is not None else self.slow_seconds)
        with self.lock:
            if kind in ("throttle", "throttle-date"):
                answer = self.throttled(q)
                wait = fault.seconds if fault.seconds is not None else self.retry_after
                if kind == "throttle":
                    answer.headers["Retry-After"] = "%d" % wait
                else:
                    answer.headers["Retry-After"] = email.utils.formatdate(time.time() + wait,
                                                                          usegmt=True)
            elif kind in ("500", "503"):
                answer = self.broken(q, int(kind))
            elif kind == "expired":
                answer = self.expired(q)
            else:
                try:
                    answer = self.handle(q)
                except Cut:
                    raise
                except Exception as e:          # A bug of the emulator, said as such.
                    self.crashes.append("%s: %r" % (route, e))
                    answer = Answer(500, {"emulator": repr(e)})
            entry["status"] = answer.status
        if kind == "cut-after":
            raise Cut()
        return answer, fault

    def _send(self, h, answer, fault):
        h.send_response_only(answer.status)
        headers = dict(answer.headers)
        headers.setdefault("Content-Length", str(len(answer.body)))
        headers.setdefault("Date", email.utils.formatdate(usegmt=True))
        for name, value in headers.items():
            h.send_header(name, value)
        h.end_headers()
        if fault and fault.kind == "truncated":
            if h.command != "HEAD":             # Which has no body: it just breaks off.
                h.wfile.write(answer.body[:len(answer.body) // 2])
            h.wfile.flush()
            raise Cut()
        if h.command != "HEAD":
            h.wfile.write(answer.body)

    def _control(self, q):
        """/_emulator/: for tests in another process."""
        if q.path == "/_emulator/state":
            return Answer(200, self.dump(), {"Content-Type": "application/json"})
        if q.path == "/_emulator/log":
            with self.lock:
                return Answer(200, self.log)
        if q.path == "/_emulator/fault" and q.method == "POST":
            self.fault(**q.json())
            return Answer(200, {})
        if q.path == "/_emulator/clear" and q.method == "POST":
            self.clear()
            return Answer(200, {})
        return Answer(404, {})


def serve(cloud, config):
    """For an emulator's `if __name__ == "__main__"`: prints what sc-provider needs, runs until
    SIGTERM or SIGINT."""
    stop = threading.Event()
    for s in (signal.SIGTERM, signal.SIGINT):
        signal.signal(s, lambda *unused: stop.set())
    with cloud:
        print(json.dumps({"emulated": type(cloud).__name__, "url": cloud.url, "config": config}),
              flush=True)
        stop.wait()


class Outcome:
    """Of one run of the worker: result, error ({code, message}), saves, progress, status."""

    def __init__(self):
        self.result = self.error = self.status = None
        self.saves, self.progress, self.stderr = [], [], ""

    def __repr__(self):
        return "Outcome(result=%r, error=%r, status=%r, stderr=%r)" % (
            self.result, self.error, self.status, self.stderr)


def binary(name="sc-provider"):
    build = os.environ.get("SC_BUILD", os.path.join(
        os.path.dirname(os.path.abspath(__file__)), "../../../build"))
    return os.path.join(build, "bin", name)


def worker(driver, config, call, args=None, tags=None, resume=None, on_line=None, timeout=120):
    """One run of `sc-provider worker`.  on_line(process, line) sees each line as it comes: it may
    kill the process."""
    request = {"driver": driver, "config": config, "call": call, "args": args or {}}
    if tags:
        request["tags"] = tags
    if resume:
        request["resume"] = resume
    out = Outcome()
    p = subprocess.Popen([binary(), "worker"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                         stderr=subprocess.PIPE)
    watch = threading.Timer(timeout, p.kill)
    watch.start()
    try:
        p.stdin.write(json.dumps(request).encode())
        p.stdin.close()
        for raw in p.stdout:
            line = json.loads(raw)
            if "progress" in line:
                out.progress.append(line["progress"])
            elif "save" in line:
                out.saves.append(line["save"])
            elif "result" in line:
                out.result = line["result"]
            elif "error" in line:
                out.error = line["error"]
            if on_line:
                on_line(p, line)
        out.stderr = p.stderr.read().decode(errors="replace")
        out.status = p.wait()
    finally:
        watch.cancel()
        if p.poll() is None:
            p.kill()
            p.wait()
        p.stdout.close()
        p.stderr.close()
    return out


class Tap:
    """ok(condition, name, detail) prints a line of TAP; done() the plan, and is main's result."""

    def __init__(self):
        self.n = self.bad = 0
        self.lock = threading.Lock()

    def ok(self, good, name, detail=None):
        with self.lock:
            self.n += 1
            self.bad += not good
            print("%sok %d - %s" % ("" if good else "not ", self.n, name))
            if not good and detail is not None:
                for line in str(detail).splitlines()[:40]:
                    print("# " + line)
            sys.stdout.flush()
        return bool(good)

    def done(self):
        print("1..%d" % self.n)
        return 1 if self.bad else 0
