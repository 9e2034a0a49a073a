"""Rows of the regression tables: duels at equal accuracy, methods, and the law of the error."""

import math
import statistics
import time

import numpy as np

from . import regression_cases as cases
from . import regression_contest as contest
from .cases import QUICK

METHODS = ("gram", "cholqr", "iterative", "direct")
METHOD_SIZE = (2000, 20) if QUICK else (1 << 17, 100)
CONDITIONS = (1e2, 1e5, 1e8, 1e12, 1e14)
STATISTIC_SIZES = (16,) if QUICK else (64, 128, 256)
STATISTIC_SEEDS = 10 if QUICK else 200
STATISTIC_SKETCHES = ("srht", "sparse_sign", "countsketch")
DELTA = 0.01


def speed_rows(name, groups=None, limit=None):
    """Yield a row for each group of rivals on a case, then those that no goal was set for."""
    case = cases.CASES[name]
    outcomes = contest.outcomes_of(name, groups, limit)
    own = next(iter(outcomes.values()))
    for group in dict.fromkeys(contest.CONTENDERS[other].group for other in outcomes):
        members = {n: o for n, o in outcomes.items() if contest.CONTENDERS[n].group == group}
        if group != "numopt":
            yield speed_row(name, case, own, group, members)


def speed_row(name, case, own, group, members):
    best = fastest(members, case)
    solved = own.seconds is not None and own.error <= case.target
    # Where nobody gets there in time, the limit stands for the time of the group.
    late = [outcome.limit for outcome in members.values() if outcome.why == "limit"]
    rival = best[1].seconds if best else max(late, default=math.nan)
    ratio = rival / own.seconds if solved else 0.0
    goal = case.goals.get(group)
    return {
        "case": name,
        "problem": f"{case.kind}, {case.n} x {case.d}, cond {case.cond:.0e}",
        "numopt": f"{own.seconds:.3g}" if own.seconds else own.why,
        "error": f"{own.error:.1e}",
        "how": own.note,
        "rival": group,
        "best": best[0] if best else "none gets there",
        "its time": f"{rival:.3g}" if best else "",
        "its error": f"{best[1].error:.1e}" if best else "",
        "threads": best[1].threads if best else "",
        "ratio": "" if math.isnan(ratio) else f"{'' if best else '> '}{ratio:.3g}",
        "goal": f"{goal:.2g}" if goal else "",
        # A limit that ends the rivals too early leaves the question open.
        "met": ("yes" if ratio >= goal else "no" if best else "open") if goal else "",
        "MB": round(own.extra_mb),
        "its MB": round(best[1].extra_mb) if best else "",
        "all": {other: text(outcome) for other, outcome in members.items()},
    }


def fastest(members, case):
    """Name and outcome of the fastest that is accurate, or nearly: a peer has ten units."""
    loose = case.target * cases.SLACK if case.kind in ("dense", "sparse") else case.target
    passed = {
        name: outcome
        for name, outcome in members.items()
        # The normal equations are a yardstick of time; their error is printed next to it.
        if outcome.seconds is not None
        and (outcome.error <= loose or contest.CONTENDERS[name].group == "normal equations")
    }
    return min(passed.items(), key=lambda item: item[1].seconds, default=None)


def text(outcome):
    """Time and error of an outcome, or why there is none."""
    if outcome.seconds is None:
        return f"> {outcome.limit:g}" if outcome.why == "limit" else outcome.why
    note = f", {outcome.note}" if outcome.note else ""
    return f"{outcome.seconds:.3g} ({outcome.error:.0e}{note})"


def method_rows():
    """Yield time, passes and measured errors of every method as the condition number grows."""
    import numopt

    n, d = METHOD_SIZE
    for cond in CONDITIONS:
        problem = cases.make(cases.Case("dense", n, d, cond, {}, cases.TARGET))
        yardstick = cases.Yardstick("dense", problem)
        for method in METHODS:
            times = []
            for _ in range(2):
                start = time.perf_counter()
                result = numopt.lstsq(*problem, method=method, rng=0)
                times.append(time.perf_counter() - start)
            error = yardstick.error(result.x)
            yield {
                "case": f"{cond:.0e}",
                "rival": method,
                "method": method if result.method == method else f"{method}: {result.method}",
                "seconds": f"{min(times):.3g}",
                "passes": result.n_passes,
                "error": f"{error:.1e}",
                "estimate": f"{result.backward_error:.1e}",
                "success": str(result.success),
                "met": "yes" if error <= 2 * cases.TARGET else "no",
            }


def statistic_rows(chosen=None):
    """Yield the law of ``|x' - x*|_inf sqrt(m) / (R |A^+|)`` over seeds, for each sketch and size.

    The goal is set for the SRHT on the adversarial instance: half of what CountSketch has.
    """
    for instance, sizes in ((adversarial, STATISTIC_SIZES), (natural, STATISTIC_SIZES[:1])):
        for d in sizes if chosen is None else set(sizes) & set(chosen):
            found = {kind: ratios(instance, d, kind) for kind in STATISTIC_SKETCHES}
            limit = np.sqrt(2 * np.log(2 * d / DELTA))
            for kind, q in found.items():
                share = np.quantile(q, 0.95) / np.quantile(found["countsketch"], 0.95)
                judged = instance is adversarial and kind == "srht"
                yield {
                    "case": f"{instance.__name__}, d = {d}",
                    "rival": kind,
                    "m": 16 * d,
                    "seeds": len(q),
                    "median": f"{statistics.median(q):.2f}",
                    "p95": f"{np.quantile(q, 0.95):.2f}",
                    "max": f"{max(q):.2f}",
                    "limit": f"{limit:.2f}",
                    "above": f"{np.mean(np.array(q) > limit):.1%}",
                    "share": f"{share:.2f}",
                    "goal": "0.5" if judged else "",
                    "met": ("yes" if share <= 0.5 else "no") if judged else "",
                }


def ratios(instance, d, kind):
    """Return the normalized largest error of a sketched solution, for each seed."""
    import numopt

    m = 16 * d
    A, b, x, scale = instance(d, m)
    errors = []
    for seed in range(STATISTIC_SEEDS):
        found = numopt.lstsq(A, b, method="sketch", sketch=kind, sketch_size=m, rng=seed)
        errors.append(float(abs(found.x - x).max() * np.sqrt(m) / scale))
    return errors


def adversarial(d, m):
    """Columns of the identity, and a right-hand side of a few heavy entries below them."""
    A, b = np.eye(4 * m, d), np.zeros(4 * m)
    heavy = round(m / d)
    b[d : d + heavy] = heavy**-0.5
    return A, b, np.zeros(d), 1.0


def natural(d, m):
    """Gaussian rows and noise."""
    rng = np.random.default_rng(0)
    A = rng.standard_normal((4 * m, d))
    b = A @ np.ones(d) + rng.standard_normal(4 * m)
    x = np.linalg.lstsq(A, b)[0]
    smallest = np.linalg.svd(A, compute_uv=False)[-1]
    return A, b, x, np.linalg.norm(b - A @ x) / smallest
