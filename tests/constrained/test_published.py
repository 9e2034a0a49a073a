"""The published method, and the theorem on sketch-and-project."""

from itertools import pairwise

import numpy as np
import pytest
import scipy.linalg
from libraries import to_numpy
from programs import GOTTFR, PROGRAMS

import numopt
from numopt._kernels.kaczmarz import block_project, gaussian_sketch_step, kaczmarz_sweep
from numopt.constrained._published import Published, Sketcher, equilibrated

# Iterations from zero multipliers to a residual of 1e-4, as the authors' code takes them.
PUBLISHED = {
    "hs6": 9,
    "bt5": 5,
    "hs40": 3,
    "hs28": 1,
    "hs78": 4,
    "hs42": 4,
    "hs56": 5,
    "himmelbc": 5,
    "rsnbrne": 11,
}


@pytest.mark.parametrize("sketch", [None, "kaczmarz", "gaussian"])
@pytest.mark.parametrize("name", PUBLISHED)
def test_published_iteration_counts(name, sketch):
    result = PROGRAMS[name].solve(method="published", sketch=sketch, rng=0, maxiter=10_000)
    assert result.success
    assert abs(result.nit - PUBLISHED[name]) <= 1
    assert result.history[-1]["error"] <= 1e-4
    assert (result.stats["n_inner"] == 0) == (sketch is None)


@pytest.mark.parametrize("sketch", [None, "kaczmarz", "gaussian"])
@pytest.mark.parametrize("name", PUBLISHED)
def test_every_step_descends_and_meets_the_rule_of_armijo(name, sketch, monkeypatch):
    """With the merit function and its slope computed here, from the functions of the program."""
    program, steps = PROGRAMS[name], []
    step = Published.step

    def noted(method, state):
        after = step(method, state)
        steps.append((state, after))
        return after

    monkeypatch.setattr(Published, "step", noted)
    program.solve(method="published", sketch=sketch, rng=0, maxiter=10_000, sufficient_decrease=0.1)
    assert steps
    for before, after in steps:
        (x, lam), (x1, lam1) = ((state.point.x, state.lam) for state in (before, after))
        eta1, eta2 = after.penalties
        start, slope, size2 = merit(program, x, lam, eta1, eta2, (x1 - x, lam1 - lam))
        assert after.length > 0
        assert slope <= -0.5 * eta2 * size2 * after.length * (1 - 1e-6)
        rounding = 1e-12 * max(1.0, abs(start))
        assert merit(program, x1, lam1, eta1, eta2)[0] <= start + 0.1 * slope + rounding


def merit(program, x, lam, eta1, eta2, step=None):
    """Return the exact augmented Lagrangian, its slope along a step, and the squared residual."""
    c, G = np.asarray(program.con(x)), program.jac(x)
    gL = program.grad(x) + G.T @ lam
    value = program.fun(x) + lam @ c + eta1 / 2 * c @ c + eta2 / 2 * gL @ gL
    if step is None:
        return value, None, None
    dx, dlam = step
    H = program.hess(x, lam)
    slope = (gL + eta1 * G.T @ c + eta2 * H @ gL) @ dx + (c + eta2 * G @ gL) @ dlam
    return value, slope, gL @ gL + c @ c


def test_published_rule_refuses_a_nearly_singular_jacobian():
    result = GOTTFR.solve(method="published")
    assert (result.success, result.status) == (False, numopt.Status.STALLED)
    assert "method='auto'" in result.message
    assert GOTTFR.solve().success


@pytest.mark.parametrize("name", ["hs7", "bt5", "hs42", "hs56"])
def test_penalties_of_the_published_rule_only_grow(name):
    history = PROGRAMS[name].solve(method="published", sketch="kaczmarz", rng=1).history
    for before, after in pairwise(history):
        assert after["constraint_penalty"] >= before["constraint_penalty"]
        assert after["gradient_penalty"] <= before["gradient_penalty"]


def test_the_rules_used_here_take_far_fewer_sketches():
    ratios = []
    for name in ("hs40", "hs42", "hs78", "bt5", "hs28", "himmelbc"):
        options = {"sketch": "kaczmarz", "rng": 0, "tol": 1e-4}
        published = PROGRAMS[name].solve(method="published", **options)
        adaptive = PROGRAMS[name].solve(**options)
        assert published.success
        assert adaptive.success
        ratios.append(adaptive.stats["n_inner"] / published.stats["n_inner"])
    assert np.median(ratios) <= 0.2


def symmetric(spectrum, seed=0):
    """Return a symmetric matrix with singular values of a kind and eigenvalues of either sign."""
    rng = np.random.default_rng(seed)
    N = 20
    values = {
        "flat": np.ones(N),
        "linear": np.linspace(0.2, 1, N),
        "one-small": np.append(np.ones(N - 1), 0.1),
    }[spectrum]
    Q = scipy.linalg.qr(rng.normal(size=(N, N)))[0]
    K = (Q * (values * np.where(np.arange(N) % 2, 1, -1))) @ Q.T
    return (K + K.T) / 2


@pytest.mark.parametrize("spectrum", ["flat", "linear", "one-small"])
def test_expected_error_of_randomized_kaczmarz(spectrum):
    """Strohmer and Vershynin's rate, for rows drawn by their squared norms.

    The mean over 300 trials exceeds the bound by four standard errors with a probability below
    1e-4 even if the bound is an equality.
    """
    K = symmetric(spectrum)
    N, trials = K.shape[0], 300
    rng = np.random.default_rng(1)
    exact = rng.normal(size=N)
    b, norms = K @ exact, (K * K).sum(axis=1)
    rate = 1 - np.linalg.norm(K, -2) ** 2 / np.sum(K * K)
    marks = (2 * N, 5 * N, 20 * N)
    errors = np.empty((trials, len(marks)))
    for trial in range(trials):
        d, done = np.zeros(N), 0
        for k, t in enumerate(marks):
            rows = rng.choice(N, size=t - done, p=norms / norms.sum())
            d, done = kaczmarz_sweep(K, b, d, norms, rows), t
            errors[trial, k] = np.sum((d - exact) ** 2)
    for k, t in enumerate(marks):
        mean, std = errors[:, k].mean(), errors[:, k].std()
        bound = rate**t * np.sum(exact**2)
        assert mean <= bound * (1 + 4 * std / (np.sqrt(trials) * mean))
    assert errors[:, -1].mean() < 0.9 * errors[:, 0].mean()


@pytest.mark.parametrize("spectrum", ["flat", "linear", "one-small"])
def test_no_projection_moves_away_from_the_solution(spectrum):
    K = symmetric(spectrum)
    N = K.shape[0]
    rng = np.random.default_rng(2)
    exact = rng.normal(size=N)
    b, norms = K @ exact, (K * K).sum(axis=1)
    d = np.zeros(N)
    error, steps = np.linalg.norm(exact), 0
    for _ in range(60):
        rows = rng.permutation(N)[:5]
        chol = np.linalg.cholesky(K[rows] @ K[rows].T)
        for moved in (
            kaczmarz_sweep(K, b, d, norms, rows[:1]),
            gaussian_sketch_step(K, b, d, rng.normal(size=(N, 1))),
            block_project(K[rows], chol, b[rows], d),
        ):
            now = np.linalg.norm(moved - exact)
            assert now <= error * (1 + 1e-12) + 1e-13
            steps += 1
        d, error = moved, now
    assert steps == 180
    assert error < 0.9 * np.linalg.norm(exact)


@pytest.mark.parametrize("name", ["kaczmarz", "gaussian", "block-kaczmarz"])
def test_sweeps_converge_on_every_library(lib, name):
    if not lib.indexing:
        pytest.skip("the device has no integers to draw rows with")
    K = symmetric("linear")
    exact = np.random.default_rng(3).normal(size=20)
    placed, b = lib.asarray(K), lib.asarray(K @ exact)
    sketcher = Sketcher(placed, name, None, np.random.default_rng(4))
    d = 0 * b
    sizes = [np.linalg.norm(exact)]
    for _ in range(3):
        for _ in range(20):
            d, rows = sketcher.sweep(b, d)
            assert rows == 20
        sizes.append(np.linalg.norm(to_numpy(d) - exact))
    assert sizes[0] > sizes[1] > sizes[2] > sizes[3]
    assert sizes[-1] < 0.2 * sizes[0]


def test_a_full_block_solves_the_system():
    K = symmetric("linear")
    exact = np.random.default_rng(5).normal(size=20)
    d = block_project(K, np.linalg.cholesky(K @ K.T), K @ exact, np.zeros(20))
    np.testing.assert_allclose(d, exact, rtol=0, atol=1e-10)


def test_equilibration_keeps_symmetry_and_evens_rows():
    rng = np.random.default_rng(6)
    scale = 10.0 ** rng.uniform(-4, 4, size=20)
    K = symmetric("flat") * scale[:, None] * scale
    even, D = equilibrated(K)
    np.testing.assert_allclose(even, K * D[:, None] * D, rtol=1e-12)
    np.testing.assert_allclose(even, even.T, rtol=1e-13)
    before, after = (np.ptp(np.log(np.abs(A).max(axis=1))) for A in (K, even))
    assert after < before / 3


def test_budget_spent_falls_back_to_a_factorization():
    program = PROGRAMS["hs78"]
    options = {"sketch": "kaczmarz", "max_inner": 8, "rng": 0}
    result = program.solve(**options)
    assert result.success
    assert result.stats["n_fallbacks"] > 0
    alone = program.solve(**options, fallback=False, maxiter=20)
    assert alone.stats["n_fallbacks"] == 0
    assert alone.stats["n_inner"] > 0
