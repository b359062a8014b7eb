"""web - HTTP for the emulated services: one service, one address, own threads.

A service has answer(Request) -> Answer, and its name for the Server header.
'ttl' of an answer is the IP time to live of the packets that carry it, as for
EC2's hop limit.  Each request is kept in service.log (the newest 1000).
"""
import collections
import http.server
import json
import socket
import threading
import urllib.parse


class Request:
    def __init__(self, method, target, headers, body, client):
        url = urllib.parse.urlsplit(target)
        self.method = method
        self.path = urllib.parse.unquote(url.path)
        self.query = dict(urllib.parse.parse_qsl(url.query, keep_blank_values=True))
        self.target, self.headers, self.body, self.client = target, headers, body, client


class Answer:
    def __init__(self, status, body=b"", kind="text/plain", headers=(), ttl=None):
        self.status = status
        self.body = body.encode() if isinstance(body, str) else body
        self.headers = [("Content-Type", kind)] + list(headers)
        self.ttl = ttl


def json_answer(status, value, headers=()):
    return Answer(status, json.dumps(value), "application/json; charset=utf-8", headers)


class Service:
    server_name = "emulated"

    def __init__(self, instance):
        self.instance = instance
        self.log = collections.deque(maxlen=1000)
        self.changed = threading.Condition()

    def answer(self, request):
        raise NotImplementedError

    def notice(self, what):
        """Announces 'what' ({"kind": ...}, as the service's own text says) to the
        instance; kind "clear" takes all of it back.  ValueError: it cannot."""
        raise ValueError("%s: announces nothing" % type(self).__name__)


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 3600

    def any(self):
        service = self.server.service
        size = int(self.headers.get("Content-Length") or 0)
        if size > 1 << 20:
            self.send_error(413)
            return
        q = Request(self.command, self.path, self.headers, self.rfile.read(size),
                    self.client_address[0])
        a = service.answer(q)
        service.log.append((q.method, q.target, a.status))
        self.server.on_request(q, a)
        try:
            self.connection.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, a.ttl or 64)
        except OSError:
            pass                                        # An IPv6 connection.
        self.send_response(a.status)
        for k, v in a.headers:
            self.send_header(k, v)
        self.send_header("Content-Length", str(len(a.body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(a.body)

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = any

    def version_string(self):
        return self.server.service.server_name

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, service, address, port, on_request):
        super().__init__((address, port), _Handler)
        self.service = service
        self.on_request = on_request or (lambda *_: None)
        self.port = self.server_address[1]
        self.url = "http://%s:%d" % (address, self.port)
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    def handle_error(self, *_):
        pass                                            # A client that went away.

    def close(self):
        self.shutdown()
        self.server_close()


def serve(service, address="127.0.0.1", port=0, on_request=None):
    """Serves until close(); 'port' 0: any, see .port.  'on_request' hears each
    (Request, Answer)."""
    return Server(service, address, port, on_request)
