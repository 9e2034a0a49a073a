"""What the kernels of streams compute; see `families`."""

import numpy as np
from arithmetic import extended
from scipy.sparse import csr_array


def gram_product(X, Z):
    X, Z = extended(X, Z)
    images, sizes = X @ Z, np.abs(X) @ np.abs(Z)
    bound = np.abs(X).T @ sizes
    return ((X.T @ images, float(bound.max())), (images, float(sizes.max())))


def _dense(data, indices, indptr, d):
    return csr_array((data, indices, indptr), shape=(indptr.size - 1, d)).toarray()


def csr_gram_product(data, indices, indptr, Z):
    return gram_product(_dense(data, indices, indptr, Z.shape[0]), Z)


def csr_merge_truncate(data, indices, indptr, B, panel):
    return merge_truncate(B, _dense(data, indices, indptr, B.shape[1]), panel, False)


def csr_adaoja_pass(data, indices, indptr, v, s):
    return adaoja_pass(_dense(data, indices, indptr, v.size), v, s)


def merge_truncate(B, X, panel, shrink):
    B, k = B.astype(float), B.shape[0]
    trace = spectral = 0.0
    closest = np.inf
    whole = np.concatenate([B, X])
    size = float((whole.astype(float) ** 2).sum())
    for start in range(0, X.shape[0], panel):
        rows = np.concatenate([B, X[start : start + panel].astype(float)])
        U, sigma, V = np.linalg.svd(rows, full_matrices=False)
        squares = np.concatenate([sigma**2, np.zeros(max(0, rows.shape[0] - sigma.size))])
        closest = min(closest, float(-np.diff(squares[: k + 1]).max()))
        signs = np.sign(U[np.abs(U).argmax(axis=0), np.arange(U.shape[1])])
        level = squares[k - 1] if shrink else squares[k]
        kept = squares[:k] - level if shrink else squares[:k]
        B = (signs[:k] * np.sqrt(np.clip(kept, 0, None)))[:, None] * V[:k]
        spectral += level
        trace += squares[k:].sum() + (k * level if shrink else 0)
    # A row turns by the rounding errors of the Gram matrix over the distance of its eigenvalue to
    # the next; one that is shrunk to nearly nothing has the error of a square root.
    turned = np.sqrt(size) * size / max(closest, 1e-300)
    floor = np.sqrt(size / np.finfo(np.float32).eps) if shrink else 0.0
    return (B, float(turned + floor)), (np.array([trace, spectral]), len(whole) * size)


def adaoja_pass(X, v, s):
    X, v, s = extended(X, v, s)
    steps = len(X)
    for row in X:
        image = row @ v
        s = s + image**2 * (row @ row)
        if s[0] > 0:
            v = v + image / np.sqrt(s) * row
            v = v / np.sqrt(v @ v)
    return (v, float(4 * steps)), (s, float(4 * steps * max(s[0], 1e-300)))


def oja_pass(X, V, rates, logs):
    X, V, rates, logs = extended(X, V, rates, logs)
    grown = 0.0
    for row in X:
        V = V + np.outer(row, rates * (row @ V))
        lengths = np.sqrt((V * V).sum(axis=0))
        grown = grown + np.abs(np.log(lengths)).max()
        V, logs = V / lengths, logs + np.log(lengths)
    return (V, float(4 * len(X))), (logs, float(len(X) + grown + np.abs(logs).max()))
