"""Column generation next to very many random patterns: the objective at equal time."""

import time

from .relu_cases import case_of, network_objective

FIRST, ROUNDS = 64, 100
# Random patterns: on digits a step with a thousand takes some ten seconds.
SOURCES = {"breast_cancer": 1000, "diabetes": 1000, "digits": 300}


def rows(small=False):
    """Yield a row for each data set and way to choose the patterns."""
    import numopt

    for source, count in ({"random": 20} if small else SOURCES).items():
        case = case_of(source=source, P=1)
        options = {"beta": case.beta, "loss": case.loss, "fit_intercept": False, "rng": 0}
        begin = time.perf_counter()
        found = numopt.convex_relu(case.X, case.y, n_patterns=count, **options)
        limit = time.perf_counter() - begin
        yield described(case, source, f"{count} random patterns", found, limit)
        begin = time.perf_counter()

        def stop(_record, end=begin + limit):
            if time.perf_counter() > end:
                raise StopIteration

        found = numopt.convex_relu(
            case.X, case.y, n_patterns=FIRST, refine=ROUNDS, callback=stop, **options
        )
        seconds = time.perf_counter() - begin
        yield described(case, source, f"{FIRST} random ones, more by columns", found, seconds)


def described(case, source, choice, found, seconds):
    """Return the row of a result."""
    n, d = case.X.shape
    return {
        "data": f"{source}, {n} x {d}",
        "patterns": choice,
        "in the end": found.patterns.shape[1],
        "seconds": f"{seconds:.1f}",
        "objective of the network": f"{network_objective(case, found.W1, found.w2):.4f}",
        "gap": f"{found.gap:.0e}",
    }
