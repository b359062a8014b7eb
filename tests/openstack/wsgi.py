#!/usr/bin/python3
"""Serves Keystone, Placement or Neutron on loopback, one request at a time.

    wsgi.py keystone|placement|neutron PORT

Where each finds its configuration is in the environment (services.py).
"""
import socketserver
import sys
import wsgiref.simple_server


class Server(wsgiref.simple_server.WSGIServer):
    request_queue_size = 64

    def server_bind(self):                  # Without a look-up of our name.
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = self.server_address[:2]
        self.setup_environ()


def application(name):
    sys.argv[1:] = []                       # Theirs, not ours.
    if name == "keystone":
        from keystone.server.wsgi import initialize_public_application
        return initialize_public_application()
    if name == "neutron":
        from neutron.cmd.eventlet.server import main_api_eventlet
        return main_api_eventlet()
    from placement.wsgi import init_application
    return init_application()


def main():
    name, port = sys.argv[1], int(sys.argv[2])
    app = application(name)
    with wsgiref.simple_server.make_server("127.0.0.1", port, app,
                                           server_class=Server) as server:
        server.serve_forever()


if __name__ == "__main__":
    main()
