"""Planted problems of robust recovery, yardsticks and rivals, and the rows of the tables."""

import statistics
import time
import tracemalloc

import numpy as np

import numopt
from numopt import recovery

from .cases import QUICK

# Successes out of five over corruption (rows) and measurements an unknown of the factor (columns)
# that the published method reaches with a step by a quantile, told the rank.
SHARES = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6)
OVERSAMPLING = (2, 3, 4, 6, 8, 12, 16, 24)
PUBLISHED = (
    (0, 5, 5, 5, 5, 5, 5, 5),
    (0, 5, 5, 5, 5, 5, 5, 5),
    (0, 2, 5, 5, 5, 5, 5, 5),
    (0, 1, 4, 5, 5, 5, 5, 5),
    (0, 0, 0, 4, 4, 5, 5, 5),
    (0, 0, 0, 0, 1, 5, 5, 5),
    (0, 0, 0, 0, 0, 4, 5, 5),
)


def sensing(seed, d, r, p, over, kappa=1.0, dtype=np.float64):
    rng = np.random.default_rng(seed)
    Q = np.linalg.qr(rng.normal(size=(d, r)))[0]
    X = (Q * np.linspace(1, 1 / kappa, r)) @ Q.T
    m = over * d * r
    A = rng.standard_normal((m, d, d), dtype=dtype)
    y = A.reshape(m, -1) @ X.ravel().astype(dtype)
    wrong = rng.random(m) < p
    y[wrong] += 10 * np.linalg.norm(X) * rng.normal(size=wrong.sum())
    return A, y.astype(dtype), X


def table(seed, n, r, p, observed=1.0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, r)) @ rng.normal(size=(r, n)) / np.sqrt(r)
    wrong = rng.random((n, n)) < p
    M = np.where(wrong, X + 10 * rng.normal(size=(n, n)), X)
    return M, X, rng.random((n, n)) < observed


def error(actual, X):
    return float(np.linalg.norm(actual - X) / np.linalg.norm(X))


def clock(call, repeats=1):
    """Return the best time of a call in seconds, and what it returned last."""
    best = np.inf
    for _ in range(repeats):
        begin = time.perf_counter()
        result = call()
        best = min(best, time.perf_counter() - begin)
    return best, result


def row(case, problem, rival, own, its, errors, goal, note=""):
    """Return a row; `own` and `its` are lists of times, taken in turns."""
    ratio = statistics.median(b / a for a, b in zip(own, its, strict=True))
    return {
        "case": case,
        "problem": problem,
        "rival": rival,
        "numopt": f"{statistics.median(own):.3g}",
        "its": f"{statistics.median(its):.3g}",
        "ratio": f"{ratio:.3g}",
        "goal": goal,
        "met": "yes" if ratio >= goal else "no",
        "error numopt": f"{errors[0]:.0e}",
        "error rival": f"{errors[1]:.0e}",
        "note": note,
    }


def fused(name, seeds, limit):
    """Yield the time of one pass of a subgradient step against two products of BLAS."""
    d, m, goals = (20, 500, (4, 3)) if QUICK else (100, 20_000, (4, 3))
    for dtype, goal in zip((np.float64, np.float32), goals, strict=True):
        rng = np.random.default_rng(0)
        A = rng.standard_normal((m, d, d), dtype=dtype)
        operator, flat = recovery.DenseSensing(A), A.reshape(m, -1)
        U, y = rng.standard_normal((d, 10), dtype=dtype), rng.standard_normal(m, dtype=dtype)
        weights = np.ones(m, dtype)
        packed = operator.matrix

        def own_step(operator=operator, U=U, y=y, weights=weights):
            return 2 * operator.sense(U, U, y, weights)[1].times(U)

        def two_products(flat=flat, U=U, y=y):
            signs = np.sign(flat @ (U @ U.T).ravel() - y)
            D = (signs @ flat).reshape(d, d)
            return (D + D.T) @ U

        def two_packed(packed=packed, y=y, operator=operator, U=U):
            z = operator._flat(U, U)
            return packed.T @ np.sign(packed @ z - y)

        own_step()
        for rival, step, wanted in (
            ("NumPy, two products", two_products, goal),
            ("the same, packed", two_packed, 1),
        ):
            own, its = [], []
            for _ in range(seeds or 7):
                own.append(clock(own_step)[0])
                its.append(clock(step)[0])
            G, H = own_step(), two_products()
            difference = float(abs(G - H).max() / abs(G).max())
            note = "one iteration"
            yield row(
                name, f"d={d}, m={m}, {np.dtype(dtype)}", rival, own, its, (0, 0), wanted, note
            ) | {"error numopt": f"{difference:.0e}", "error rival": ""}


def published(A, y, alpha, eta, decay, iterations):
    """Return the factor of geometric steps along the normalized subgradient, without more."""
    m, d = len(y), A.shape[1]
    flat = A.reshape(m, -1)
    D = (np.sign(y) @ flat).reshape(d, d)
    w, V = np.linalg.eigh((D + D.T) / 2)
    U = alpha * V * np.sqrt(np.maximum(w, 0) / w[-1])
    step = eta
    for _ in range(iterations):
        D = (np.sign(flat @ (U @ U.T).ravel() - y) @ flat).reshape(d, d)
        D = (D + D.T) / 2
        U = U - step * D @ U / max(np.linalg.norm(D), 1e-300)
        step *= decay
    return U


def rank_unknown(name, seeds, limit):
    """Yield iterations to a verified solution where the factor is square."""
    d, r, iterations = (10, 1, 50) if QUICK else (24, 3, 600)
    for kappa in (1.0, 10.0):
        counts, errors, verified = [], [], 0
        for seed in range(seeds or (2 if QUICK else 20)):
            A, y, X = sensing(3000 + seed, d, r, 0.2, 10, kappa)
            result = numopt.robust_low_rank_recovery(A, y, d)
            counts.append(result.nit)
            errors.append(error(result.matrix(), X))
            verified += result.success
        A, y, X = sensing(3000, d, r, 0.2, 10, kappa)
        floor = min(
            error((U := published(A, y, alpha, eta, decay, iterations)) @ U.T, X)
            for alpha in (1e-2, 1e-4, 1e-8)
            for eta in (0.3, 1.0, 3.0)
            for decay in (0.97, 0.99)
        )
        exact = sum(e < 1e-8 for e in errors)
        worst = max(counts)
        yield {
            "case": name,
            "problem": f"d={d}, r={r}, k={d}, 20 % wrong, condition {kappa:g}",
            "rival": "geometric steps, best of 18",
            "numopt": f"{statistics.median(counts):g} iterations",
            "its": f"{iterations} iterations",
            "ratio": f"{exact} of {len(errors)} exact",
            "goal": "80, all",
            "met": "yes" if exact == verified == len(errors) and statistics.median(counts) <= 80
            else "no",
            "error numopt": f"{max(errors):.0e}",
            "error rival": f"{floor:.0e}",
            "note": f"at most {worst} iterations",
        }  # fmt: skip


def convex(name, seeds, limit):
    """Yield the time of the convex program: least absolute deviations over the PSD cone."""
    import cvxpy

    d, r = (8, 1) if QUICK else (20, 2)
    own, its, errors = [], [], []
    for seed in range(seeds or 3):
        A, y, X = sensing(10 + seed, d, r, 0.2, 8)
        numopt.robust_low_rank_recovery(A, y)
        seconds, result = clock(lambda A=A, y=y: numopt.robust_low_rank_recovery(A, y), 3)
        variable = cvxpy.Variable((d, d), PSD=True)
        deviation = A.reshape(len(y), -1) @ cvxpy.vec(variable, order="C") - y
        program = cvxpy.Problem(cvxpy.Minimize(cvxpy.norm1(deviation)))
        own.append(seconds)
        its.append(clock(lambda program=program: program.solve(solver="CLARABEL"))[0])
        errors.append((error(result.matrix(), X), error(variable.value, X)))
    worst = tuple(max(column) for column in zip(*errors, strict=True))
    yield row(name, f"d={d}, r={r}, m={8 * d * r}", "CVXPY, Clarabel", own, its, worst, 50)


def pursuit(name, seeds, limit):
    """Yield times against principal component pursuit by an inexact augmented Lagrangian."""
    import contextlib
    import io

    import pyrpca

    sizes = [(60, 2, 0.1)] if QUICK else [(300, 5, 0.1), (300, 5, 0.3), (500, 10, 0.1)]
    for n, r, p in sizes:
        for rank in (r, None):
            own, its, errors = [], [], []
            for seed in range(seeds or 3):
                M, X, _ = table(seed, n, r, p)
                numopt.robust_pca(M, rank, rng=0)
                seconds, result = clock(lambda M=M, rank=rank: numopt.robust_pca(M, rank, rng=0), 3)
                with contextlib.redirect_stdout(io.StringIO()):
                    time_of, (L, _) = clock(
                        lambda M=M, n=n: pyrpca.rpca_pcp_ialm(M, n**-0.5, verbose=False)
                    )
                own.append(seconds)
                its.append(time_of)
                errors.append((error(result.matrix(), X), error(L, X)))
            worst = tuple(max(column) for column in zip(*errors, strict=True))
            problem = f"{n} x {n}, r={r}, {p:.0%} wrong"
            note = "given the rank" if rank else "rank not given"
            yield row(name, problem, f"pyrpca ({note})", own, its, worst, 60, note)


def tensorly_pursuit(name, seeds, limit):
    """Yield the time against the robust principal components of TensorLy."""
    from tensorly.decomposition import robust_pca

    n, r, iterations = (60, 2, 20) if QUICK else (300, 5, 200)
    M, X, _ = table(0, n, r, 0.1)
    numopt.robust_pca(M, r, rng=0)
    own, result = clock(lambda: numopt.robust_pca(M, r, rng=0), 3)
    its, (L, _) = clock(lambda: robust_pca(M, reg_E=n**-0.5, n_iter_max=iterations, tol=1e-7))
    errors = error(result.matrix(), X), error(np.asarray(L), X)
    yield row(name, f"{n} x {n}, r={r}, 10 % wrong", "tensorly", [own], [its], errors, 500)


def observed_in_part(name, seeds, limit):
    """Yield time and memory for a large table of which 30 % is observed."""
    from scipy.sparse import csr_array

    n, r = (100, 2) if QUICK else (2000, 10)
    M, X, mask = table(0, n, r, 0.2, 0.5 if QUICK else 0.3)
    sparse = csr_array((M[mask], np.nonzero(mask)), shape=M.shape)
    own, result = clock(lambda: numopt.robust_pca(sparse, r, rng=0), 1)
    tracemalloc.start()
    numopt.robust_pca(sparse, r, rng=0)
    peak = tracemalloc.get_traced_memory()[1] / 1e6
    tracemalloc.stop()
    import pyrpca

    its, (L, _) = clock(lambda: pyrpca.rpca_pcp_ialm(M, n**-0.5, verbose=False, max_iter=5))
    errors = error(result.matrix(), X), error(L, X)
    note = (
        f"peak {peak:.0f} MB; the rival sees every entry; entries hold {16e-6 * mask.sum():.0f} MB"
    )
    problem, rival = f"{n} x {n}, r={r}, 30 % seen, 20 % wrong", "pyrpca, 5 iterations"
    yield row(name, problem, rival, [own], [its], errors, 15, note)


def vectors(name, seeds, limit):
    """Yield the time of rank-one measurements against the same rules in NumPy products."""
    d, r, over = (30, 1, 15) if QUICK else (1000, 5, 15)
    rng = np.random.default_rng(0)
    Q = np.linalg.qr(rng.normal(size=(d, r)))[0]
    m = over * d * r
    a = rng.normal(size=(m, d))
    y = ((a @ Q) ** 2).sum(axis=1)
    wrong = rng.random(m) < 0.2
    y[wrong] += 10 * r**0.5 * rng.normal(size=wrong.sum())
    X = Q @ Q.T
    own, result = clock(lambda: numopt.robust_low_rank_recovery(recovery.RankOneSensing(a), y, r))
    its, U = clock(lambda: two_products(a, y, r, limit))
    errors = error(result.matrix(), X), error(U @ U.T, X)
    yield row(name, f"d={d}, r={r}, m={m}, 20 % wrong", "NumPy, plain subgradient to 1e-6", [own],
              [its], errors, 1.5)  # fmt: skip


def two_products(a, y, r, limit):
    """Return the factor of subgradient steps by a quantile, in two products with NumPy."""
    m, begin = len(y), time.perf_counter()
    v = np.sign(y - np.median(y))
    P = np.linalg.qr(np.random.default_rng(0).normal(size=(a.shape[1], r)))[0]
    for _ in range(15):
        P = np.linalg.qr(a.T @ (v[:, None] * (a @ P)) / m)[0]
    U = 1e-3 * P
    while time.perf_counter() - begin < limit:
        left = a @ U
        residual = (left * left).sum(axis=1) - y
        scale = np.quantile(abs(residual), 0.1) / 0.12566
        if scale < 1e-6:
            break
        U = U - 0.1 * scale * 2 * (a.T @ (np.sign(residual)[:, None] * left)) / m
    return U


def phase_rows(seeds=None, chosen=None):
    """Yield recoveries out of a number of trials over corruption and measurements."""
    d, r, trials = (8, 1, 1) if QUICK else (20, 2, seeds or 5)
    shares, columns = (SHARES[:2], OVERSAMPLING[5:]) if QUICK else (SHARES, OVERSAMPLING)
    for rank in (r, 2 * r):
        for i, p in enumerate(shares):
            if chosen and p not in chosen:
                continue
            cells, enough = {}, True
            for j, over in enumerate(columns):
                solved = iterations = 0
                for seed in range(trials):
                    A, y, X = sensing(7000 + seed, d, r, p, over)
                    result = numopt.robust_low_rank_recovery(A, y, rank, maxiter=600)
                    solved += error(result.matrix(), X) < 1e-6
                    iterations += result.nit
                cells[str(over)] = f"{solved}:{iterations / trials:.0f}"
                enough &= solved / trials >= PUBLISHED[i][j % 8] / 5
            yield {"case": f"k={rank}", "error": p, "share": p, **cells,
                   "met": "yes" if enough else "no"}  # fmt: skip


CASES = {
    "R1": fused,
    "R2": rank_unknown,
    "R3": convex,
    "R4": pursuit,
    "R5": tensorly_pursuit,
    "R6": observed_in_part,
    "R8": vectors,
}
