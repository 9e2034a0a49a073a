"""Arguments for the kernels of convex ReLU training; see `families`."""

import numpy as np

# A bisection inside a bisection, whose many steps take a library that checks everything seconds.
SLOW = {"prox_robust_square"}


def slacks(shape, seed=0):
    rng = np.random.default_rng(seed)
    T, XU = rng.normal(size=shape), rng.normal(size=shape)
    return T, XU, rng.choice([-1.0, 1.0], size=shape[2:]), 1.6


def folds(shape, seed=0):
    T, XU, signs, _ = slacks(shape, seed)
    return T, XU[:, 0, 0, :], signs


def cones(G, n, d, radius, offset=0.0, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(G, n)) + 0.5, rng.normal(size=(G, d)), np.full(d, radius), offset


def samples(n, d, radius, labels, seed=0):
    rng = np.random.default_rng(seed)
    Q, X = rng.normal(size=(n, d)), rng.normal(size=(n, d))
    y = rng.choice([-1.0, 1.0], size=n) if labels else rng.normal(size=n)
    eps = np.full(d, radius)
    eps[-1] = 0.0
    return Q, X, y, rng.random(n) + 0.5, eps, 0.7


def cases():
    """Yield name, label and arguments."""
    for label, shape in {"plain": (2, 2, 3, 5), "one": (1, 2, 1, 1), "long": (1, 2, 2, 70)}.items():
        yield "reflect_slacks", label, slacks(shape)
        yield "fold_slacks", label, folds(shape)
    inside = cones(3, 4, 2, 0.1)
    for label, arguments in {
        "plain": cones(4, 6, 3, 0.2),
        "no-radius": cones(4, 6, 3, 0.0),
        "offset": cones(4, 6, 3, 0.1, 1.0),
        "inside": (inside[0] + 5, *inside[1:]),
        "collapsed": (inside[0] - 5, inside[1], np.full(2, 2.0), 0.0),
        "one": cones(1, 1, 1, 0.3),
    }.items():
        yield "project_robust_cone", label, arguments
    for label, arguments in {
        "plain": samples(9, 4, 0.1, True),
        "no-radius": samples(9, 4, 0.0, True),
        "large-radius": samples(9, 4, 2.0, True),
        "one": samples(1, 2, 0.1, True),
    }.items():
        yield "prox_robust_margin", f"hinge-{label}", (*arguments, False)
        yield "prox_robust_margin", f"logistic-{label}", (*arguments, True)
    met = samples(9, 4, 0.1, False)
    for label, arguments in {
        "plain": samples(9, 4, 0.1, False),
        "no-radius": samples(9, 4, 0.0, False),
        "large-radius": samples(9, 4, 0.5, False),
        # Samples whose prediction is right before: the kink of the residual.
        "met": (met[0], met[1], (met[0] * met[1]).sum(axis=1), *met[3:]),
        "one": samples(1, 2, 0.1, False),
    }.items():
        yield "prox_robust_square", label, arguments


def large():
    """Yield name and arguments that are worth several threads."""
    yield "reflect_slacks", slacks((1, 2, 40, 900))
    yield "fold_slacks", folds((1, 2, 40, 900))
    yield "project_robust_cone", cones(60, 80, 20, 0.05)
    yield "prox_robust_margin", (*samples(300, 12, 0.05, True), False)
    yield "prox_robust_square", samples(200, 12, 0.05, False)
