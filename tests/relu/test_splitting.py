"""The splitting on the weights of each sample against its definition, and large problems."""

from itertools import pairwise

import numpy as np
import pytest
import relu_oracles as oracles

import numopt
from numopt._losses.pointwise import LOSSES
from numopt.relu._program import normalized
from numopt.relu.interior import projection
from numopt.relu.splitting.admm import RELAXATION, Penalties, Splitting

STEPS = 7


def problem_of(loss, outputs=2, n=14, d=3, patterns=4):
    rng = np.random.default_rng(5)
    X, gates = rng.normal(size=(n, d)), rng.normal(size=(patterns, d))
    y = rng.normal(size=(outputs, n))
    if loss != "squared":
        y = np.sign(y)
    active = (gates @ X.T >= 0).astype(float)
    weights = rng.random(n) + 0.5
    return normalized(X, y, weights, active, gates, 0.3, LOSSES[loss], None, "pattern")


def exact_neurons(problem, rho, rho_loss, goal, T, weights_goal):
    """Return u of one output, (2, P, d), from the normal equations of all its copies."""
    X, D, E = problem.X, problem.active, problem.signs
    patterns, d = goal.shape[1:]
    sides = np.kron(np.array([[1.0, -1.0], [-1.0, 1.0]]), np.kron(D @ D.T, np.eye(d)))
    matrix = rho * np.kron(np.eye(2 * patterns), np.eye(d) + X.T @ X) + rho_loss * sides
    pull = rho_loss * D @ weights_goal
    rhs = rho * (goal + (E * np.abs(T)) @ X) + np.stack([pull, -pull])
    return np.linalg.solve(matrix, rhs.ravel()).reshape(goal.shape)


@pytest.mark.parametrize("loss", list(LOSSES))
def test_weights_of_samples_move_as_defined(loss):
    problem = problem_of(loss)
    X, D, E = problem.X, problem.active, problem.signs
    rho, rho_loss = penalties = Penalties(0.4, 0.07)
    engine = Splitting(problem, "sylvester", adapt=False)
    state = engine.start(penalties, None, None)
    outputs = len(problem.y)
    W, T = np.zeros(state.W.shape), np.zeros(state.T.shape)
    Q = np.zeros((outputs, *X.shape))
    squares = (X**2).sum(axis=1)
    for _ in range(STEPS):
        z = np.einsum("kd,ckd->ck", X, Q)
        best = problem.loss.prox(z, problem.y, problem.weights, squares / rho_loss)
        q = Q + ((best - z) / squares)[..., None] * X
        norms = np.maximum(np.linalg.norm(W, axis=-1, keepdims=True), 1e-300)
        V = np.maximum(1 - problem.beta / (rho * norms), 0) * W
        U = np.stack(
            [
                exact_neurons(problem, rho, rho_loss, 2 * V[c] - W[c], T[c], 2 * q[c] - Q[c])
                for c in range(outputs)
            ]
        )
        W = W + RELAXATION * (U - V)
        T = T + RELAXATION * (E * (U @ X.T) - np.maximum(T, 0))
        Q = Q + RELAXATION * (np.einsum("pk,cpd->ckd", D, U[:, 0] - U[:, 1]) - q)
        state = engine.step(state)
    np.testing.assert_allclose(state.W, W, rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(state.T, T, rtol=1e-9, atol=1e-11)
    split = engine.split(penalties)
    z = np.einsum("kd,ckd->ck", X, Q)
    best = problem.loss.prox(z, problem.y, problem.weights, squares / rho_loss)
    theta = rho_loss * (best - z) / squares
    np.testing.assert_allclose(split.theta(state.Q, z), theta, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("loss", list(LOSSES))
def test_distance_of_weights_is_that_of_the_matrices(loss):
    problem = problem_of(loss)
    engine = Splitting(problem, "sylvester", adapt=False)
    state = engine.start(Penalties(0.4, 0.07), None, None)
    states = [state := engine.step(state) for _ in range(4)]
    spectrum = engine.spectrum

    def matrix(Q):
        A = spectrum.Qp @ Q.A @ spectrum.Qf.T
        return np.einsum("pk,cpd->ckd", problem.active, A) + Q.along[..., None] * problem.X

    split = engine.split(state.penalties)
    for a, b in pairwise(states):
        wanted = np.linalg.norm(matrix(b.Q) - matrix(a.Q))
        assert split.distance(a.Q, b.Q) == pytest.approx(wanted, rel=1e-9)


def test_warm_start_takes_the_slopes_along():
    X, _, labels = oracles.sample(150, 4, 2)
    options = {"loss": "logistic", "n_patterns": 10, "rng": 0, "method": "sylvester", "tol": 1e-3}
    cold = numopt.convex_relu(X, labels, beta=0.5, **options)
    warm = numopt.convex_relu(X, labels, beta=0.49, x0=cold, **options)
    again = numopt.convex_relu(X, labels, beta=0.49, **options)
    assert warm.success
    assert warm.nit < 0.7 * again.nit


def test_rounding_to_single_precision_costs_little():
    X, y, _ = oracles.sample(600, 20, 1)
    options = {"beta": 1.0, "n_patterns": 12, "rng": 0, "method": "sylvester", "maxiter": 100}
    wide = numopt.convex_relu(X, y, **options)
    narrow = numopt.convex_relu(X.astype(np.float32), y.astype(np.float32), **options)
    assert narrow.infeasibility == 0
    assert narrow.fun == pytest.approx(wide.fun, rel=2e-4)


def test_too_large_to_project(monkeypatch):
    monkeypatch.setattr(projection, "_FLOPS", 1.0)
    X, y, _ = oracles.sample(200, 5, 3)
    options = {"beta": 0.5, "n_patterns": 8, "rng": 0, "method": "sylvester", "tol": 0.01}
    result = numopt.convex_relu(X, y, **options)
    # Nothing is proved: the network is that of the iterate, and the message says what to do.
    assert not result.success
    assert result.status is numopt.Status.UNPROVED
    assert "polish=False" in result.message
    assert result.net_fun < 0.9 * 0.5 * np.sum(y**2)
    assert result.history[-1]["error"] <= 0.01
    estimated = numopt.convex_relu(X, y, polish=False, **options)
    assert estimated.success
    assert estimated.infeasibility <= 0.01
    monkeypatch.undo()
    proved = numopt.convex_relu(X, y, **{**options, "tol": 1e-6, "method": "auto"})
    assert estimated.dual_fun <= proved.fun * (1 + 1e-9)
    assert estimated.fun == pytest.approx(proved.fun, rel=0.05)
