"""Numbers no machine changes: passes over the cost, Newton steps, conjugate-gradient iterations."""

import statistics

from . import problems
from .cases import COUNT_SIZE, SEEDS, WARM_SIZE

NAMES = ("n_passes", "nit_newton", "nit_cg")


def median_counts(family, eta):
    """Median of each count over the seeds, for solves to 1e-10, and how many seeds succeeded."""
    import numopt

    n = 28 * 28 if family.startswith("img") and COUNT_SIZE > 28 * 28 else COUNT_SIZE
    results = []
    for seed in range(SEEDS):
        p = problems.make(family, n, eta, seed)
        results.append(numopt.entropic_transport(p.cost, p.a, p.b, reg=p.reg, tol=1e-10))
    counts = {name: statistics.median(int((r | r.stats)[name]) for r in results) for name in NAMES}
    return counts | {"solved": sum(bool(r.success) for r in results)}


def warm_start_passes(eta, seed=0):
    """Count the passes of a cold and of a warm start on a problem that moved a little."""
    import numopt

    before, after = problems.moved_pair(WARM_SIZE, eta, seed)
    first = numopt.entropic_transport(before.cost, before.a, before.b, reg=before.reg)
    starts = {"cold": None, "warm": first}
    return {
        name: numopt.entropic_transport(after.cost, after.a, after.b, reg=after.reg, x0=x0).n_passes
        for name, x0 in starts.items()
    }
