#!/usr/bin/python3
"""The demo, unattended: two emulated providers boot the appliance image, the
second joins, a guest live-migrates under load.

Every figure of its result is checked against what a user may expect, and after
`demo down` no process of it is left.  SC_QUICK=1 (part of `make check`): one
migration; else five in a row, there and back.
"""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import demo_run                                          # noqa: E402

N = 1 if os.environ.get("SC_QUICK") else 5

with demo_run.Demo(MIGRATIONS=str(N)) as d:
    demo_run.ok(d.up(), "the demo ends as it should", d.said)
    d.check_migrations(N)
    d.check_down()
demo_run.done()
