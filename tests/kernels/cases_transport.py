"""Arguments for the kernels on transport plans; see `families`."""

import math
from typing import Any, NamedTuple

import numpy as np
from definitions_transport import dense_cost, sparsify_count

METRICS = {"sqeuclidean": 0, "euclidean": 1, "cityblock": 2}
# These return indices or take them.
INDEXING = {"sparsify_count", "sparsify_fill"}


class Setting(NamedTuple):
    """A cost with scalings that make it a plan with about uniform rows."""

    cost: Any
    u: np.ndarray
    v: np.ndarray
    inverse_reg: float


def setting(cost, inverse_reg, seed=0):
    rng = np.random.default_rng(seed)
    dense = dense_cost(cost).astype(float)
    n, m = dense.shape
    v = rng.normal(size=m)
    exponents = v[None, :] - dense * inverse_reg
    peak = exponents.max(axis=1)
    u = -math.log(n) - peak - np.log(np.exp(exponents - peak[:, None]).sum(axis=1))
    return Setting(cost, u, v, inverse_reg)


def matrices():
    rng = np.random.default_rng(1)
    yield "plain", setting(rng.random((13, 11)), 8.0)
    yield "one-row", setting(rng.random((1, 9)), 8.0)
    yield "one-column", setting(rng.random((9, 1)), 8.0)
    yield "one-entry", setting(rng.random((1, 1)), 8.0)
    yield "many-rows", setting(rng.random((45, 16)), 1 / 0.3)
    yield "many-columns", setting(rng.random((3, 203)), 32.0)
    yield "negative", setting(-5 - rng.random((6, 7)), 8.0)
    yield "huge-range", setting(1e4 * rng.random((12, 10)), 1.0)
    yield "ties", setting(rng.integers(2, size=(8, 16)).astype(float), 4.0)
    # A row and a column in which every entry of the plan underflows.
    plain = setting(rng.random((10, 12)), 8.0)
    u, v = plain.u.copy(), plain.v.copy()
    u[3], v[5] = -2000.0, -2000.0
    yield "underflow", Setting(plain.cost, u, v, 8.0)


def clouds():
    rng = np.random.default_rng(2)
    for metric, code in METRICS.items():
        X, Y = rng.random((9, 2)), rng.random((14, 2))
        Y[:4] = X[2:6]  # coincident points, where two of the metrics have no gradient
        yield f"{metric}-plane", setting((X, Y, code), 16.0)
        # Sorted points at a small regularization: most of a row carries no mass.
        X, Y = np.sort(rng.random((20, 1)), axis=0), np.sort(rng.random((300, 1)), axis=0)
        yield f"{metric}-line", setting((X, Y, code), 4096.0)
        yield f"{metric}-single", setting((rng.random((1, 3)), rng.random((1, 3)), code), 8.0)
    yield "many-dimensions", setting((rng.random((8, 20)), rng.random((11, 20)), 0), 2.0)
    yield "equal", setting((np.ones((5, 2)), np.ones((6, 2)), 1), 8.0)


SETTINGS = dict(matrices()) | dict(clouds())


def semidual_arguments(setting, rng):
    a = rng.random(setting.u.size) + 0.1
    return setting.cost, setting.v, a, np.log(a), setting.inverse_reg


def thresholds(setting, rng):
    """Return thresholds that no entry is close to, but some meet exactly where costs are tied."""
    dense = dense_cost(setting.cost).astype(float)
    exponents = setting.u[:, None] + setting.v[None, :] - dense * setting.inverse_reg
    rows = np.quantile(exponents, 0.8, axis=1) + 0.1 * rng.random(setting.u.size)
    columns = np.quantile(exponents, 0.9, axis=0) + 0.1 * rng.random(setting.v.size)
    rows[0], columns[-1] = 1e3, 1e3  # a row and a column that keep nothing of their own
    return rows, columns


def tied():
    """Return a setting with thresholds that entries meet exactly, in either precision."""
    rng = np.random.default_rng(3)
    cost = rng.integers(3, size=(9, 13)).astype(float)
    u, v = -rng.integers(4, size=9) / 4, -rng.integers(4, size=13) / 4
    return Setting(cost, u, v, 0.5), (np.full(9, -1.0), np.full(13, -0.75))


def sparsify_settings():
    for label, case in SETTINGS.items():
        yield label, case, thresholds(case, np.random.default_rng(4))
    yield "met-exactly", *tied()
    plain = SETTINGS["plain"]
    yield "everything", plain, (np.full(13, -1e3), np.full(11, -1e3))
    yield "nothing", plain, (np.full(13, 1e3), np.full(11, 1e3))


def sparse_arguments(case, rows, columns, rng):
    """Return what `sparsify_count`, `sparsify_fill` and `gram_apply` take."""
    arguments = case.cost, case.u, case.v, rows, columns, case.inverse_reg
    indptr = np.concatenate([[0], np.cumsum(sparsify_count(*arguments)[0][0])])
    return {
        "sparsify_count": arguments,
        "sparsify_fill": (*arguments, indptr),
        "gram_apply": (*arguments, rng.random(case.u.size), rng.normal(size=case.v.size)),
    }


def plan_arguments(case, rng, columns, rows):
    """Return what the kernels on a whole plan take, for products of some columns and rows."""
    cost, u, v, inverse_reg = case
    n, m = u.size, v.size
    made = {
        "semidual_pass": semidual_arguments(case, rng),
        "plan_stats": (cost, u, v, inverse_reg, rng.normal(size=n)),
        "plan_matrix": (cost, u, v, inverse_reg),
        "plan_apply": (cost, u, v, inverse_reg, rng.normal(size=(m, columns))),
        "plan_apply_t": (cost, u, v, inverse_reg, rng.normal(size=(n, rows))),
    }
    return made | ({"plan_gradient": tuple(case)} if isinstance(cost, tuple) else {})


def cases():
    """Yield names, labels and arguments."""
    rng = np.random.default_rng(7)
    for label, case in SETTINGS.items():
        for name, arguments in plan_arguments(case, rng, 3, 2).items():
            yield name, label, arguments
    for label, case, kept in sparsify_settings():
        for name, arguments in sparse_arguments(case, *kept, rng).items():
            yield name, label, arguments


def large():
    """Yield names and arguments, large enough for several threads."""
    rng = np.random.default_rng(8)
    X, Y = rng.random((500, 2)), rng.random((330, 2))
    for case in (
        setting(dense_cost((X, Y, 0)).astype(float), 64.0),
        setting((X, Y, 0), 64.0),
    ):
        yield from plan_arguments(case, rng, 2, 2).items()
        yield from sparse_arguments(case, *thresholds(case, rng), rng).items()
