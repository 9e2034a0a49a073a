"""Cases of the report on matrix completion: rows of figures, each with what was checked."""

import time

import numpy as np

import numopt

from .completion_cases import QUICK, RATINGS, Case, exact, make, objective, relative_error
from .completion_peers import (
    THREADS,
    fit_cmfrec,
    fit_implicit,
    fit_soft_impute,
    seconds_of_a_sweep,
)

SKEWED = Case(12_000, 6_000, 2_300_000, 20, 0.7, 0.5, 10.0)
UNIFORM = Case(5_000, 5_000, 1_020_000, 10, 0.0, 0.5, 1.0)
LARGE = Case(20_000, 20_000, 10_100_000, 50, 0.0, 0.5, 1.0, "float32")
RANKS = (10, 20, 50, 100)


def row(case, rival, own, other, unit, goal, check):
    """Return a row: a ratio above the goal is a goal met; no goal, nothing to meet."""
    ratio = other / own if other is not None and own else None
    met = "" if goal is None else "yes" if ratio is not None and ratio >= goal else "no"
    shown = "" if ratio is None else f"{ratio:.2g}"
    other = "none" if other is None else f"{other:.3g}"
    goal = "" if goal is None else f"{goal:g}"
    return {
        "case": case, "rival": rival, "numopt": f"{own:.3g}", "other": other, "unit": unit,
        "ratio": shown, "goal": goal, "check": check, "met": met,
    }  # fmt: skip


def own_sweep(M, case, method="auto"):
    """Return the median seconds of a sweep, from the history."""
    result = numopt.matrix_completion(
        M, case.rank, reg=case.reg, method=method, inner_tol=0.0, init="random",
        continuation=False, momentum=0.0, maxiter=6, tol=1e-15, rng=0,
    )  # fmt: skip
    seconds = [record["seconds"] for record in result.history]
    return float(np.median(np.diff(seconds)))


def race_to_objective(name, rank, goal, seeds, limit):
    """Yield time to an objective within 0.1 % of the best, the start included."""
    for seed in range(seeds):
        M, case = make(SKEWED._replace(rank=rank), seed)
        long = numopt.matrix_completion(M, case.rank, reg=case.reg, rng=0, tol=1e-7, maxiter=100)
        best = min(long.fun, _objective_of(fit_cmfrec(M, case.rank, case.reg, 60)[0], M, case))
        sweeps = next(r["nit"] for r in long.history if r["nit"] and r["fun"] <= 1.001 * best)
        own, result = _timed(
            lambda M=M, case=case, sweeps=sweeps: numopt.matrix_completion(
                M, case.rank, reg=case.reg, rng=0, tol=1e-7, maxiter=sweeps
            )
        )
        reached = objective(M, result.X, result.Y, case.reg) / best - 1
        other = _cmfrec_to(1.001 * best, M, case, limit)
        check = f"{reached:.1e} above, {sweeps} sweeps"
        yield row(f"{name} seed {seed}", "cmfrec ALS-CG", own, other, "s", goal, check)


def _objective_of(model, M, case):
    return objective(M, model.A_, model.B_, case.reg)


def _timed(solve):
    began = time.perf_counter()
    result = solve()
    return time.perf_counter() - began, result


def _cmfrec_to(target, M, case, limit):
    """Return the seconds of the shortest fit of cmfrec that gets there."""
    for sweeps in (2, 3, 4, 5, 6, 8, 10, 12, 15, 20, 30, 40, 60):
        model, seconds = fit_cmfrec(M, case.rank, case.reg, sweeps)
        if _objective_of(model, M, case) <= target:
            return min(seconds, fit_cmfrec(M, case.rank, case.reg, sweeps)[1])
        if seconds > limit:
            return None
    return None


def sweeps_of_conjugate_gradients(name, goal, ranks=RANKS):
    """Yield the time of a sweep, three steps on both sides."""
    for dtype in ("float64", "float32"):
        for rank in ranks:
            M, case = make(UNIFORM._replace(rank=rank, dtype=dtype))
            own = own_sweep(M, case)
            if name == "B5":
                rival = "implicit CG"
                other = seconds_of_a_sweep(
                    lambda n, M=M, case=case: fit_implicit(M, case.rank, case.reg, n)
                )
            else:
                rival = "cmfrec ALS-CG"
                other = seconds_of_a_sweep(
                    lambda n, M=M, case=case: fit_cmfrec(M, case.rank, case.reg, n)[1]
                )
            label = f"{name} k={rank} {dtype}"
            yield row(label, rival, 1e3 * own, 1e3 * other, "ms a sweep", goal, "")


def sweeps_exact(name, goals):
    """Yield the time of a sweep with exact solves of the other, "auto" and exact here."""
    for rank, goal in goals.items():
        M, case = make(UNIFORM._replace(rank=rank))
        other = seconds_of_a_sweep(
            lambda n, M=M, case=case: fit_cmfrec(M, case.rank, case.reg, n, False)[1]
        )
        for method in ("auto", "exact"):
            own = own_sweep(M, case, method)
            label = f"{name} k={rank} {method}"
            goal_here = goal if method == "auto" else None
            yield row(label, "cmfrec Cholesky", 1e3 * own, 1e3 * other, "ms a sweep", goal_here, "")


def slopes():
    """Yield the power of k that the time of a sweep grows with, approximate against exact."""
    ranks = (2, 4, 8) if QUICK else (16, 32, 64, 128)
    M, case = make(UNIFORM)
    found = {
        method: [own_sweep(M, case._replace(rank=k), method) for k in ranks]
        for method in ("pcg", "exact")
    }
    own, exact = (np.polyfit(np.log(ranks), np.log(times), 1)[0] for times in found.values())
    check = "; ".join(
        f"{method} {1e3 * times[0]:.0f} to {1e3 * times[-1]:.0f} ms"
        for method, times in found.items()
    )
    label = f"slope, k={ranks[0]} to {ranks[-1]}"
    made = row(label, "exact updates", own, exact, "power of k", None, check)
    yield {**made, "goal": "at most 1.1", "met": "yes" if own <= 1.1 else "no"}


def ill_conditioned(seeds):
    """Yield how many ill-conditioned matrices are found to 1e-6, and in how many sweeps."""
    n = 150 if QUICK else 800
    found, plain, peer, sweeps = 0, 0, [], []
    for seed in range(seeds):
        M, truth = exact(n, 8, 5.0, 1e3, seed)
        result = numopt.matrix_completion(M, 8, rng=seed, tol=3e-7)
        found += relative_error(result.X, result.Y, truth) < 1e-6
        sweeps.append(result.nit)
        without = numopt.matrix_completion(
            M, 8, rng=seed, continuation=False, momentum=0.0, polish=None, maxiter=300, tol=3e-7
        )
        plain += relative_error(without.X, without.Y, truth) < 1e-6
        if seed == 0:
            from scipy.sparse import coo_array

            given = coo_array((M[2], M[:2]), shape=M[3])
            model, _ = fit_cmfrec(given, 8, 1e-9, 200, False)
            peer.append(relative_error(model.A_, model.B_, truth))
    check = f"at most {max(sweeps)} sweeps; cmfrec, 200: error {peer[0]:.0e}"
    met = "yes" if found == seeds and max(sweeps) <= 25 else "no"
    made = row("B6", "plain alternation, 300", found, plain, "found", 1, check)
    yield {**made, "ratio": "", "goal": f"{seeds} in 25 sweeps", "met": met}


def soft_impute(limit):
    """Yield the time to an error of 1e-3."""
    n = 120 if QUICK else 1000
    M, (U, V) = exact(n, 10, 0.3 * n * n / (10 * (2 * n - 10)), 1.0, 0)
    dense, mask = U @ V.T, np.zeros((n, n), dtype=bool)
    mask[M[:2]] = True

    def solve():
        return numopt.matrix_completion(M, 10, rng=0, tol=3e-4)

    solve()
    own, result = _timed(solve)
    other = fit_soft_impute(dense, mask, 10, 1e-3, limit)
    check = f"error {relative_error(result.X, result.Y, (U, V)):.0e}"
    yield row("B7", "soft-impute", own, other, "s", 30, check)


def ratings():
    """Yield errors on ratings set aside, each beside that of the additive model."""
    data = np.load(RATINGS)
    test, user, movie = data["test"], data["user"].astype(int), data["movie"].astype(int)
    rating = data["rating"].astype(float)
    M = (user[~test], movie[~test], rating[~test], (196, 99))

    def error(predicted):
        return float(np.sqrt(np.mean((predicted - rating[test]) ** 2)))

    additive = numopt.matrix_completion(M, 1, reg=1e6, bias=3.0, rng=0)
    base = error(additive.predict(user[test], movie[test]))
    for rank, reg in ((2, 15.0), (8, 15.0), (8, 20.0)):
        result = numopt.matrix_completion(M, rank, reg=reg, bias=3.0, rng=0)
        own = error(result.predict(user[test], movie[test]))
        check = f"additive model {base:.4f}"
        yield row(
            f"ratings k={rank} reg={reg:g}", "cmfrec, offsets", own,
            error(_rated_by_cmfrec(M, rank, reg, user[test], movie[test])), "RMSE", None, check,
        )  # fmt: skip


def _rated_by_cmfrec(M, rank, reg, user, movie):
    """Return ratings predicted by cmfrec with offsets of the same regularization."""
    from cmfrec import CMF
    from scipy.sparse import coo_matrix

    lambdas = np.array([3.0, 3.0, reg, reg, reg, reg])
    model = CMF(k=rank, lambda_=lambdas, niter=60, nthreads=THREADS, use_cg=False, verbose=False)
    model.fit(coo_matrix((M[2], M[:2]), shape=M[3]))
    return model.predict(user, movie)


CASES = {
    "B1": lambda o: race_to_objective("B1 k=20", 20, 4, o.seeds, o.limit),
    "B2": lambda o: race_to_objective("B2 k=50", 50, 3, o.seeds, o.limit),
    "B3": lambda o: sweeps_of_conjugate_gradients("B3", 3),
    "B4": lambda o: sweeps_exact("B4", {10: 3, 20: 8, 50: 15}),
    "slope": lambda o: slopes(),
    "B5": lambda o: sweeps_of_conjugate_gradients("B5", 2.5),
    "B6": lambda o: ill_conditioned(8 if o.seeds > 1 else 1),
    "B7": lambda o: soft_impute(o.limit),
    "B8": lambda o: large(),
    "ratings": lambda o: ratings(),
}


def large():
    """Yield the time of a sweep over ten million entries."""
    M, case = make(LARGE)
    own = own_sweep(M, case)
    other = seconds_of_a_sweep(
        lambda n: fit_cmfrec(M, case.rank, case.reg, n)[1], few=1, many=3, repeats=1
    )
    yield row("B8 k=50 float32", "cmfrec ALS-CG", own, other, "s a sweep", 3.5, "")


def rows(name, options):
    """Yield the rows of a case, on as many threads as the others have."""
    with numopt.num_threads(THREADS):
        yield from CASES[name](options)


def limit_rows(seeds):
    """Yield how many matrices are found, by entries for each degree of freedom and condition."""
    n, rank = (100, 3) if QUICK else (600, 6)
    for condition in (1.0, 10.0, 100.0):
        for ratio in (2.1,) if QUICK else (1.1, 1.2, 1.3, 1.5, 1.8, 2.1, 2.5):
            found = np.zeros(3, dtype=int)
            for seed in range(seeds):
                M, truth = exact(n, rank, ratio, condition, seed, rank + 1)
                for number, options in enumerate(
                    (
                        {},
                        {"polish": None},
                        {"polish": None, "path_factor": 0.7, "momentum": 0.0},
                    )
                ):
                    result = numopt.matrix_completion(
                        M, rank, rng=seed, tol=1e-8, maxiter=600, **options
                    )
                    found[number] += relative_error(result.X, result.Y, truth) < 1e-4
            own, slow, plain = (f"{count} of {seeds}" for count in found)
            yield {
                "case": f"{ratio:g}", "rival": f"{condition:g}", "numopt": own, "other": slow,
                "plain": plain, "met": "",
            }  # fmt: skip
