"""What the tests of the provider drivers do alike: what gc does, and a fault at every request.

`call` is a test's own: call(cloud, name, args) runs one call of its driver (base.worker) and gives
the Outcome.
"""
import concurrent.futures
import time


def sweep(call, cluster):
    """What gc does: leftovers, removed one by one; [(resource, Outcome)] of what failed."""
    found = call("leftovers", {"cluster": cluster})
    if not found.result:
        return [("leftovers", found)]
    bad = []
    for r in found.result["resources"]:
        one = call("remove", {k: r[k] for k in ("kind", "region", "id")})
        if one.error:
            bad.append((r, one))
    return bad


def settle(cloud):
    """Waits for the requests a killed worker has left behind in the emulator."""
    until = time.time() + 20
    while any(e["status"] is None for e in cloud.log) and time.time() < until:
        time.sleep(0.02)


def at_each_request(cloud, kinds, prepare, call, judge):
    """Runs of one call with a fault of each of 'kinds' (base.FAULTS; "gone": the cloud is, from
    there on) at each of its requests: [(kind, number of requests, problems, how many ended well)].
    prepare() makes the state before a run and gives the arguments; call(args) -> Outcome;
    judge(kind, Outcome) says what is wrong, or None."""
    args = prepare()
    cloud.clear()
    call(args)
    n, routes, results = len(cloud.log), cloud.routes(), []
    for kind in kinds:
        bad, ended = [], 0
        for k in range(n):
            args = prepare()
            cloud.clear()
            if kind == "gone":
                cloud.fault("cut-after", since=k, times=100000)
            else:
                cloud.fault(kind, at=k, seconds=0.02 if kind == "slow" else 0)
            out = call(args)
            cloud.clear()
            ended += out.result is not None
            wrong = judge(kind, out)
            if wrong:
                bad.append("at %d (%s): %s" % (k, routes[k], wrong))
        if cloud.crashes:
            bad.append("the emulator: %r" % cloud.crashes)
        results.append((kind, n, bad, ended))
    return results


def report(tap, what, results, gone=lambda ended, n: not ended):
    """Of at_each_request.  gone(how many ended well, of how many): is that as it should be when the
    cloud is gone?"""
    for kind, n, bad, ended in results:
        if kind == "gone":
            tap.ok(not bad and gone(ended, n), "%s: a cloud that is gone for good from any of its "
                   "%d requests: gc finds what is left" % (what, n),
                   "\n".join(bad) or "%d ended well" % ended)
        else:
            tap.ok(not bad and ended == n, "%s: %s at each of its %d requests: done, and nothing "
                   "twice" % (what, kind, n), "\n".join(bad) or "only %d ended well" % ended)


def report_all(tap, faults, whats, groups, **more):
    """faults(what, kinds) -> results, for each call and each group of kinds, four at once."""
    work = [(w, k) for w in whats for k in groups]
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        for (what, _), results in zip(work, pool.map(lambda w: faults(*w), work)):
            report(tap, what, results, **more)


class Matrix:
    """Of the two clouds whose tests have an emulator for every fault (GCE, Azure).

    emulator: its class; call(cloud, name, args, config=None) -> Outcome; seed(cloud, image): the
    image "appliance-1", without the way there; left(cloud): {kind: sorted names} of all there is;
    launched(have): what that must be after a launch; kept: the kinds a launch need not undo."""
    # Not here, being web.c's alone and tested there: 503 (as 500), a date in Retry-After, slowness.
    KINDS = ("throttle", "500", "cut-before", "cut-after", "truncated", "expired", "refused")

    def __init__(self, tap, emulator, call, seed, left, launched, kept, cluster):
        self.tap, self.emulator, self.call, self.seed = tap, emulator, call, seed
        self.left, self.launched, self.kept, self.cluster = left, launched, kept, cluster

    def clean(self, cloud):
        """Leftovers and remove while there is something; what is left then."""
        for _ in range(3):
            if not self.left(cloud):
                break
            sweep(lambda *args: self.call(cloud, *args), self.cluster)
        return self.left(cloud)

    def refuse(self, cloud, name, code, words, what, args=None, config=None):
        """The call ends with 'code' and all of 'words'; all it said."""
        r = self.call(cloud, what, args, config=config)
        text = (r.error or {}).get("message", "")
        self.tap.ok(r.error and r.error["code"] == code and all(w in text for w in words), name,
                    "want %s %s: %r" % (code, words, r))
        return text + r.stderr

    def one_fault(self, kind, at, what, args, image):
        """A fault at request 'at': it makes what it makes without, or leaves nothing that cannot
        be found.  What is wrong, or None."""
        with self.emulator() as cloud:
            cloud.retry_after, cloud.slow_seconds, cloud.op_ticks = 0, 0.05, 0
            if what == "launch":
                self.seed(cloud, image)
            cloud.fault("expired" if kind == "refused" else kind, at=at)
            if kind == "refused":                   # The login that follows fails too.
                cloud.fault("expired", at=at + 1)
            r = self.call(cloud, what, args)
            e = next((e for e in cloud.log if e["fault"]), None)
            where = "%s at %s" % (kind, e and e["route"])
            cloud.clear()
            if kind == "refused" and what == "publish" and r.result:    # gc's to find, if anything.
                rest = self.clean(cloud)
                return "%s: %s left %s" % (where, what, rest) if rest else None
            if kind == "refused" and not r.result:  # It must have undone by itself.
                rest = set(self.left(cloud)) - (self.kept if what == "launch" else set())
                return "%s: %s left %s" % (where, what, rest) if rest else None
            if e and not r.result and not (kind == "expired" and e["path"].endswith("/token")):
                return "%s: %s failed: %s" % (where, what, r.error)
            if r.result:
                have = self.left(cloud)
                want = {"images": ["appliance-1"]}
                if what == "launch":
                    want.update(self.launched(have))
                if have != want:
                    return "%s: %s made %s" % (where, what, have)
                return "%s: %s" % (where, cloud.crashes) if cloud.crashes else None
            if what == "launch":
                del cloud.state["images"]["appliance-1"]
            rest = self.clean(cloud)
            if rest or cloud.crashes:
                return "%s: left after cleaning: %s %s" % (where, rest, cloud.crashes)
            return None

    def _begin(self, pool, image, calls):
        """Starts them; (what, number of requests, their jobs) for each call."""
        for what, args in calls.items():
            with self.emulator() as cloud:
                cloud.op_ticks = 0
                if what == "launch":
                    self.seed(cloud, image)
                self.call(cloud, what, args)
                n = len(cloud.log)
            yield what, n, [pool.submit(self.one_fault, kind, k, what, args, image)
                            for kind in self.KINDS for k in range(n)]

    def run(self, parts, image, calls):
        """The 'parts' ([(function, its arguments...)]), and the faults of 'calls' ({call: its
        arguments}), all at once."""
        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            jobs = [pool.submit(*part) for part in parts]
            matrix = list(self._begin(pool, image, calls))
            for job in jobs:
                job.result()
            for what, n, jobs in matrix:
                bad = [j.result() for j in jobs if j.result()]
                self.tap.ok(not bad and n >= 6, "%s: %d faults at each of %d requests are survived,"
                            " and leave nothing" % (what, len(self.KINDS), n), "\n".join(bad))
        return self.tap.done()
