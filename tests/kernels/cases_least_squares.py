"""Arguments for the kernels of least squares; see `families`."""

import numpy as np

REFERENCES = {"residual_gradient_extended"}


def cases():
    """Yield names, labels and arguments."""
    made = {
        "gram": grams,
        "residual_gradient": residuals,
        "residual_gradient_extended": cancelling_residuals,
    }
    for name, own in made.items():
        for label, arguments in own():
            yield name, label, arguments


def large():
    """Yield names and arguments, large enough for four threads and several blocks."""
    rng = np.random.default_rng(26)
    A, weights = rng.normal(size=(140_000, 16)), rng.random(140_000)
    yield "gram", (A, weights, rng.normal(size=(16, 9)))
    for k in (1, 3):
        b, x = rng.normal(size=(140_000, k)), rng.normal(size=(16, k))
        yield "residual_gradient", (A, b, x, weights)


def grams():
    rng = np.random.default_rng(23)

    def arguments(n, d, weighted, k):
        weights = rng.random(n) if weighted else None
        return rng.normal(size=(n, d)), weights, rng.normal(size=(d, k)) if k else None

    yield "plain", arguments(40, 5, False, 0)
    yield "weights", arguments(40, 5, True, 0)
    yield "factor", arguments(40, 5, False, 5)
    yield "narrow-factor", arguments(40, 5, False, 2)
    yield "weights-factor", arguments(40, 5, True, 3)
    yield "one-row", arguments(1, 6, False, 0)
    yield "one-column", arguments(50, 1, True, 1)
    yield "several-blocks", arguments(4500, 60, True, 0)
    yield "several-blocks-factor", arguments(4500, 60, False, 20)
    yield "zero-weights", (rng.normal(size=(9, 3)), np.zeros(9), None)
    yield "columns-apart", (rng.normal(size=(30, 3)) * [1e-3, 1.0, 1e3], None, None)


def residuals():
    rng = np.random.default_rng(24)

    def arguments(n, d, k, right=True, weighted=False):
        b = rng.normal(size=(n, k)) if right else None
        weights = rng.random(n) * (rng.random(n) < 0.9) if weighted else None
        return rng.normal(size=(n, d)), b, rng.normal(size=(d, k)), weights

    for k in (1, 3):
        yield f"plain-{k}", arguments(40, 5, k)
        yield f"weights-{k}", arguments(40, 5, k, weighted=True)
        yield f"no-right-side-{k}", arguments(40, 5, k, right=False)
        yield f"no-right-side-weights-{k}", arguments(40, 5, k, right=False, weighted=True)
        yield f"one-row-{k}", arguments(1, 7, k)
        yield f"one-column-{k}", arguments(50, 1, k)
        yield f"several-blocks-{k}", arguments(4500, 60, k, weighted=True)
    A, _, x, weights = arguments(30, 4, 1)
    yield "zero-residual", (A, np.zeros((30, 1)), np.zeros((4, 1)), weights)
    yield "zero-weights", (A, A @ x + 1, x, np.zeros(30))


def cancelling_residuals():
    """Yield arguments at a solution, where the gradient is tiny next to its terms."""
    rng = np.random.default_rng(25)
    for label, n, d, k, weighted in (
        ("plain", 30, 4, 1, False),
        ("weights", 30, 4, 1, True),
        ("several", 25, 3, 3, True),
        ("one-row", 1, 3, 2, False),
        ("one-column", 17, 1, 1, True),
    ):
        A, b = rng.normal(size=(n, d)), rng.normal(size=(n, k))
        weights = rng.random(n) if weighted else None
        root = 1.0 if weights is None else np.sqrt(weights)[:, None]
        yield label, (A, b, np.linalg.lstsq(A * root, b * root)[0], weights)
    A, x = rng.normal(size=(30, 4)), rng.normal(size=(4, 1))
    yield "no-right-side", (A, None, x, None)
    # The residual is nothing but the rounding of b: all digits of the products cancel.
    yield "consistent", (A, A @ x, x, None)
    powers = np.linspace(0.5, 1.0, 20)[:, None] ** np.arange(7)
    yield "ill-conditioned", (powers, powers @ np.ones((7, 1)), np.ones((7, 1)), None)
    # Each block of rows is summed by itself; 2**14 entries fill one.
    A = np.tile(rng.normal(size=(100, 8)), (25, 1))
    yield "several-blocks", (A, A @ np.ones((8, 1)), np.ones((8, 1)), None)
