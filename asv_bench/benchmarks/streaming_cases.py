"""Streams of rows, and the other methods that find their top eigenvector."""

import math
import os

import numpy as np

QUICK = bool(os.environ.get("NUMOPT_BENCH_QUICK"))
MEMORY = 24  # vectors that a method may keep


def rotation(rng, d):
    return np.linalg.qr(rng.normal(size=(d, d)))[0]


def edge(n, d):
    """Largest eigenvalue of a sample of rows with unit variances."""
    return (1 + math.sqrt(d / n)) ** 2


def flat(rng, n, d, ratio):
    values = np.ones(d)
    values[0] = ratio * edge(n, d)
    return rng.normal(size=(n, d)) * np.sqrt(values) @ rotation(rng, d)


def power_law(rng, n, d, ratio):
    values = np.concatenate([[ratio], 1 / np.arange(1.0, d)])
    return rng.normal(size=(n, d)) * np.sqrt(values) @ rotation(rng, d)


def basis_rows(rng, n, d, ratio):
    """Every row is one vector of a rotated basis, the first `ratio` times as often."""
    chances = np.concatenate([[ratio], np.ones(d - 1)])
    return rotation(rng, d)[rng.choice(d, size=n, p=chances / chances.sum())]


def heavy_carriers(rng, n, d, ratio):
    """Eight long rows carry the top eigenvector alone."""
    A, v = rng.normal(size=(n, d)), rng.normal(size=d)
    v /= np.linalg.norm(v)
    A -= np.outer(A @ v, v)
    size = math.sqrt(ratio * n / 8 * edge(n, d))
    A[rng.choice(n, 8, replace=False)] = size * v * rng.choice([-1, 1], size=(8, 1))
    return A


def heavy_random(rng, n, d, ratio):
    """Eight long rows in random directions."""
    A = flat(rng, n, d, ratio)
    A[rng.choice(n, 8, replace=False)] *= math.sqrt(0.3 * n * ratio / d)
    return A


FAMILIES = {
    "flat": flat,
    "power law": power_law,
    "basis rows": basis_rows,
    "heavy carriers": heavy_carriers,
    "heavy random": heavy_random,
}


def sparse_chunks(n, d, rows, seed=0):
    """Yield compressed rows, one in a hundred entries not zero, some columns far more often."""
    from scipy.sparse import csr_array

    rng, each = np.random.default_rng(seed), d // 100
    chances = np.cumsum(1 / np.arange(1.0, d + 1) ** 0.7)
    chances /= chances[-1]
    for start in range(0, n, rows):
        count = min(rows, n - start)
        columns = np.searchsorted(chances, rng.random((count, each)))
        indptr = np.arange(0, count * each + 1, each)
        data = rng.normal(size=count * each) + 0.5
        chunk = csr_array((data, columns.ravel(), indptr), shape=(count, d))
        chunk.sum_duplicates()
        yield chunk


def spectrum(A):
    values, vectors = np.linalg.eigh(A.T.astype(float) @ A.astype(float))
    return values[::-1], vectors[:, ::-1]


def sin2(x, v):
    apart = x - v * (v @ x)
    return max(float(apart @ apart), 1e-17)


def incremental_pca(A, batch=MEMORY - 8, k=8):
    """Merge and truncate as scikit-learn does it; the mean of the rows is put back."""
    from sklearn.decomposition import IncrementalPCA

    model = IncrementalPCA(k, batch_size=batch)
    for start in range(0, len(A) - len(A) % batch, batch):
        rows = A[start : start + batch]
        # Rows and their mirror images have mean zero, and twice the Gram matrix.
        model.partial_fit(np.concatenate([rows, -rows]))
    return model.components_[0]


def plain_incremental_pca(A, batch, k=8):
    """Return what a user of scikit-learn gets, with the mean subtracted."""
    from sklearn.decomposition import IncrementalPCA

    model = IncrementalPCA(k, batch_size=batch)
    for start in range(0, len(A) - len(A) % batch, batch):
        model.partial_fit(A[start : start + batch])
    return model.components_[0]


def ada_oja(A, seed=0):
    """Oja's method with the rate of Henriksen and Ward, a row at a time."""
    v = np.random.default_rng(seed).normal(size=A.shape[1])
    v /= np.linalg.norm(v)
    total = 1e-5 * (A[0] @ A[0])
    for row in A:
        gradient = (row @ v) * row
        total += gradient @ gradient
        v = v + gradient / math.sqrt(total)
        v /= math.sqrt(v @ v)
    return v


def frequent_directions(A, size=MEMORY // 2):
    """Liberty's sketch with a buffer as large as the sketch."""
    B = np.zeros((size, A.shape[1]))
    for start in range(0, len(A), size):
        _, sigma, V = np.linalg.svd(np.concatenate([B, A[start : start + size]]), False)
        squares = np.clip(sigma[:size] ** 2 - sigma[size - 1] ** 2, 0, None)
        B[: len(squares)] = np.sqrt(squares)[:, None] * V[:size]
    return np.linalg.svd(B, full_matrices=False)[2][0]


def history_pca(A, seed=0, k=4, block=16):
    """Yang, Hsieh and Wang: power steps on the history, kept at rank k, and a block of rows."""
    rng = np.random.default_rng(seed)
    Q, values = np.linalg.qr(rng.normal(size=(A.shape[1], k)))[0], np.zeros(k)
    for step, start in enumerate(range(0, len(A), block)):
        rows, U = A[start : start + block], Q
        share = step / (step + 1)
        for _ in range(3):
            power = share * Q @ (values[:, None] * (Q.T @ U))
            power += (1 - share) * rows.T @ (rows @ U) / len(rows)
            U, R = np.linalg.qr(power)
        Q, values = U, np.abs(np.diag(R))
    return Q[:, np.argmax(values)]


PEERS = {
    "IncrementalPCA": incremental_pca,
    "AdaOja": ada_oja,
    "Frequent Directions": frequent_directions,
    "history PCA": history_pca,
}
