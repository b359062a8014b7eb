"""Independent clients and models of clouds, if `make check-oracles` has fetched them."""
import filecmp
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
FOLDER = os.path.join(os.environ.get("SC_CACHE", os.path.expanduser("~/.cache/supercloud")),
                      "oracles")


def need():
    """Makes them importable; or says that the test is skipped, and ends it."""
    have, want = os.path.join(FOLDER, "complete"), os.path.join(HERE, "oracle-packages.list")
    if not os.path.exists(have) or not filecmp.cmp(have, want, shallow=False):
        print("ok 1 - compared with independent clients # SKIP not fetched: make check-oracles")
        print("1..1")
        sys.exit(0)
    sys.path.insert(0, FOLDER)
