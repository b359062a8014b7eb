#!/usr/bin/python3
"""Joining on bad days: expired, used, forged and foreign tokens, a wrong clock.

A real controller; sc-join runs as cloud-init would run it.  Each refusal must
say what is wrong and leave nothing half-joined.
"""
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import cloud                                           # noqa: E402
from cloud import Tap                                  # noqa: E402

tap = Tap()


def token(c, **kw):
    args = []
    for k, v in kw.items():
        args += ["--" + k, str(v)]
    return c.cli("token", "create", *args)["token"]


def try_join(c, node, tok, wrap=()):
    path = os.path.join(node.dir, "try.json")
    with open(path, "w") as f:
        f.write('{"role": "node", "controller": "10.200.0.1:7443", "token": "%s", '
                '"region": "ap-northeast", "provider": "local"}' % tok)
    return node.join("--user-data", path, "--address", node.site.ip, check=False, wrap=wrap)


def refuse(c, node, name, tok, *words, wrap=()):
    before = len(c.cli("node", "list")["nodes"])
    p = try_join(c, node, tok, wrap)
    left = [f for f in (node.config, node.pki_dir) if os.path.exists(f)]
    text = p.stdout
    tap.ok(p.returncode != 0 and "SC-J" in text and all(w in text.lower() for w in words), name,
           "exit %d: %s" % (p.returncode, text))
    tap.ok(not left and len(c.cli("node", "list")["nodes"]) == before,
           "... and nothing half-joined stays", left)


def main():
    with cloud.Cloud() as c:
        first, second = c.nodes
        first.join("--init-controller", "--region", first.region, "--provider", "local",
                   "--name", first.name, "--address", first.site.ip)
        first.start_all()
        c.login()
        expired = token(c, ttl=1)
        good = token(c, ttl=600, uses=1)
        head, tid, secret, pin = good.split(".")
        forged = ".".join([head, tid, secret[:-4] + ("aaaa" if secret[-4:] != "aaaa" else "bbbb"), pin])
        unknown = ".".join([head, "0" * len(tid), secret, pin])
        other_ca = ".".join([head, tid, secret, "0" * 64])
        time.sleep(1.5)
        refuse(c, second, "an expired token is refused", expired, "expired")
        refuse(c, second, "a forged token is refused", forged, "token")
        refuse(c, second, "an unknown token is refused", unknown, "token")
        refuse(c, second, "a controller with another authority than the token's pin is refused",
               other_ca, "pin")
        refuse(c, second, "a clock a year ahead is named, with both clocks", good, "clock",
               wrap=("faketime", "-f", "+365d"))
        refuse(c, second, "a clock a year behind is named, with both clocks", good, "clock",
               wrap=("faketime", "-f", "-365d"))
        refuse(c, second, "text that is no token is refused", "hello", "token")
        p = try_join(c, second, good)
        tap.ok(p.returncode == 0, "the good token was not used up by all that, and works", p.stdout)
        second.start_all()
        c.wait_nodes(2)
        tap.ok(True, "the node is up")
        os.rename(second.config, second.config + ".1")
        os.rename(second.pki_dir, second.pki_dir + ".1")
        refuse(c, second, "a token used twice is refused", good, "used")
    tap.done()


main()
