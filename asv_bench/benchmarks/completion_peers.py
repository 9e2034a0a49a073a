"""Other libraries on the same matrices, called as their users would."""

import time
import warnings

import numpy as np

THREADS = 2


def fit_cmfrec(M, rank, reg, sweeps, conjugate=True):
    """Return a fit of cmfrec without means and offsets, and its seconds."""
    from cmfrec import CMF

    model = CMF(
        method="als", k=rank, lambda_=reg, use_cg=conjugate, max_cg_steps=3,
        finalize_chol=False, user_bias=False, item_bias=False, center=False, niter=sweeps,
        nthreads=THREADS, use_float=M.dtype == np.float32, scale_lam=False, verbose=False,
        precompute_for_predictions=False,
    )  # fmt: skip
    began = time.perf_counter()
    model.fit(M.tocoo() if hasattr(M, "tocoo") else M)
    return model, time.perf_counter() - began


def fit_implicit(M, rank, reg, sweeps):
    """Return the seconds of a fit of implicit, whose objective is another one."""
    from implicit.als import AlternatingLeastSquares

    model = AlternatingLeastSquares(
        factors=rank, regularization=reg, iterations=sweeps, use_cg=True, dtype=M.dtype,
        num_threads=THREADS, use_gpu=False, random_state=0,
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        began = time.perf_counter()
        model.fit(abs(M).tocsr(), show_progress=False)
    return time.perf_counter() - began


def seconds_of_a_sweep(fit, few=1, many=4, repeats=3):
    """Return the median time of a sweep from fits with few and with many."""
    times = [(fit(many) - fit(few)) / (many - few) for _ in range(repeats)]
    return float(np.median(times))


def fit_soft_impute(dense, mask, rank, error, limit):
    """Return the seconds that soft-impute takes to an error, None if it does not in time.

    Mazumder, Hastie and Tibshirani 2010: fill in, take singular values less a threshold, again,
    with the threshold going down. Written here, as no release of a library with it can be
    installed; with a randomized decomposition of the right rank, which is in its favor.
    """
    from sklearn.utils.extmath import randomized_svd

    Z, size = np.zeros_like(dense), np.linalg.norm(dense)
    threshold = np.linalg.norm(mask * dense, 2)
    began = time.perf_counter()
    while time.perf_counter() - began < limit:
        threshold *= 0.9
        filled = np.where(mask, dense, Z)
        U, s, Vh = randomized_svd(filled, rank, n_iter=2, random_state=0)
        Z = (U * np.maximum(s - threshold, 0)) @ Vh
        if np.linalg.norm(Z - dense) <= error * size:
            return time.perf_counter() - began
    return None
