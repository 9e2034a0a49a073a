"""Streams of rows with a known top eigenvector, and what an exact solver says of them."""

import numpy as np


def rotation(rng, d):
    return np.linalg.qr(rng.normal(size=(d, d)))[0]


def gaussian(rng, n, values):
    """Return Gaussian rows whose second moments have the given eigenvalues, rotated."""
    d = len(values)
    return rng.normal(size=(n, d)) * np.sqrt(values) @ rotation(rng, d)


def flat(rng, n, d, ratio):
    """Return rows of equal variances but for one, about `ratio` times the largest of a sample."""
    edge = (1 + np.sqrt(d / n)) ** 2
    return gaussian(rng, n, np.concatenate([[ratio * edge], np.ones(d - 1)]))


def power_law(rng, n, d, ratio):
    """Return rows with eigenvalues that fall like 1 / j after the first."""
    return gaussian(rng, n, np.concatenate([[ratio], 1 / np.arange(1.0, d)]))


def basis_rows(rng, n, d, ratio):
    """Return rows that each are one vector of a rotated basis, the first `ratio` times as often."""
    chances = np.concatenate([[ratio], np.ones(d - 1)])
    index = rng.choice(d, size=n, p=chances / chances.sum())
    return rotation(rng, d)[index]


def heavy_rows(rng, n, d, ratio, count=8):
    """Return flat rows and a few long ones along a direction, which together make it the first."""
    A = rng.normal(size=(n, d))
    v = rng.normal(size=d)
    v /= np.linalg.norm(v)
    A -= np.outer(A @ v, v)  # nothing along v but in the long rows
    size = np.sqrt(ratio * n / count) * (1 + np.sqrt(d / n))
    A[rng.choice(n, count, replace=False)] = size * v * rng.choice([-1, 1], size=(count, 1))
    return A


def heavy_noise(rng, n, d, ratio, count=8):
    """Return flat rows and a few long ones in random directions."""
    A = flat(rng, n, d, ratio)
    A[rng.choice(n, count, replace=False)] *= np.sqrt(0.3 * n * ratio / d)
    return A


def student(rng, n, d, ratio, freedom=2.5):
    """Return rows whose entries have no fourth moment."""
    A = rng.standard_t(freedom, size=(n, d))
    A[:, 0] *= np.sqrt(ratio)
    return A


FAMILIES = {
    "flat": flat,
    "power-law": power_law,
    "basis": basis_rows,
    "heavy": heavy_rows,
    "heavy-noise": heavy_noise,
    "student": student,
}


def spectrum(A):
    """Return the eigenvalues of A'A, largest first, and their vectors as columns."""
    A = np.asarray(A, dtype=float)
    values, vectors = np.linalg.eigh(A.T @ A)
    return values[::-1], vectors[:, ::-1]


def sin2(x, A):
    """Return the squared sine of the angle between `x` and the top eigenvector of A'A."""
    v = spectrum(A)[1][:, 0]
    apart = np.asarray(x, dtype=float) - v * (v @ x)
    return float(apart @ apart)
