"""Planted problems of robust recovery, and oracles that know the truth."""

from typing import NamedTuple

import numpy as np


class Planted(NamedTuple):
    """Measurements of a known matrix, some corrupted."""

    A: np.ndarray
    y: np.ndarray
    X: np.ndarray
    wrong: np.ndarray


def psd(rng, d, r, kappa=1.0):
    """Return a positive semidefinite matrix of rank r with norm 1 and condition kappa."""
    Q = np.linalg.qr(rng.normal(size=(d, r)))[0]
    return (Q * np.linspace(1, 1 / kappa, r)) @ Q.T


def sensing(seed, d=12, r=2, p=0.2, over=10, kappa=1.0, size=10.0, noise=0.0):
    """Return ``over * d * r`` Gaussian measurements of which a share p is wrong."""
    rng = np.random.default_rng(seed)
    X, m = psd(rng, d, r, kappa), over * d * r
    A = rng.normal(size=(m, d, d))
    y = np.einsum("mij,ij->m", A, X)
    wrong = rng.random(m) < p
    y[wrong] += size * np.linalg.norm(X) * rng.normal(size=wrong.sum())
    return Planted(A, y + noise * rng.normal(size=m), X, wrong)


class Table(NamedTuple):
    """A matrix of low rank with wrong entries."""

    M: np.ndarray
    X: np.ndarray
    wrong: np.ndarray
    mask: np.ndarray


def table(seed, n=60, d=50, r=3, p=0.2, kind="two-sided", observed=1.0, kappa=1.0):
    """Return a matrix with entries of size one, a share p of them wrong."""
    rng = np.random.default_rng(seed)
    L = np.linalg.qr(rng.normal(size=(n, r)))[0] * np.linspace(1, 1 / kappa, r)
    X = L @ np.linalg.qr(rng.normal(size=(d, r)))[0].T * np.sqrt(n * d / r)
    wrong = rng.random((n, d)) < p
    errors = 10 * rng.normal(size=(n, d))
    if kind == "one-sided":
        errors = np.abs(errors)
    if kind == "constant":
        errors = np.full((n, d), 5.0)
    return Table(np.where(wrong, X + errors, X), X, wrong, rng.random((n, d)) < observed)


def relative_error(actual, expected):
    return float(np.linalg.norm(actual - expected) / np.linalg.norm(expected))
