"""Quadratic programs with norms against closed forms and a general solver."""

import numpy as np
import pytest
from libraries import LIBRARIES, to_numpy

from numopt._conic.quadratic import (
    Hinges,
    Quadratic,
    constraint_gradient,
    minimized,
    negative_gradient,
)


def instance(seed, patterns=3, d=3, m=6, hinges=0, beta=0.4):
    """Return a program, and gates inside all of its cones."""
    rng = np.random.default_rng(seed)
    gates = rng.normal(size=(patterns, d))
    gates /= np.linalg.norm(gates, axis=1, keepdims=True)
    rows = rng.normal(size=(patterns, m, d))
    rows *= np.where(np.einsum("pmd,pd->pm", rows, gates) > 0, 1, -1)[..., None]
    rows /= np.linalg.norm(rows, axis=2, keepdims=True)
    R = rng.normal(size=(2 * patterns * d, patterns * d))
    features = rng.normal(size=(hinges, patterns * d))
    labels = np.where(rng.random(hinges) < 0.5, -1.0, 1.0)
    gram, linear = R.T @ R / len(R), rng.normal(size=(patterns, d))
    return (gram, linear, rows, features, labels, rng.random(hinges) + 0.1, beta), gates


def quadratic(lib, gram, linear, rows, features, labels, weights, beta):
    hinges = Hinges(*map(lib.asarray, (features, labels, weights)))
    return Quadratic(*map(lib.asarray, (gram, linear, rows)), beta, hinges)


def objective(V, gram, linear, _, features, labels, weights, beta):
    a = (V[0] - V[1]).ravel()
    hinge = np.maximum(0, 1 - labels * (features @ a))
    norms = np.linalg.norm(V, axis=-1).sum()
    return 0.5 * a @ gram @ a - linear.ravel() @ a + weights @ hinge + beta * norms


def test_one_neuron_without_active_constraints_is_a_shrunk_solution(lib):
    """Under constraints that do not matter the norm shortens the linear term."""
    linear = np.asarray([[3.0, 4.0]])
    rows = np.asarray([[[0.6, 0.8], [0.8, 0.6]]])
    nothing = np.zeros((0, 2)), np.zeros(0), np.zeros(0)
    program = quadratic(lib, np.eye(2), linear, rows, *nothing, 1.5)
    found = minimized(program, lib.asarray([[0.6, 0.8]]), 1e3 * lib.eps)
    atol = 1e-7 if lib.widest == "float64" else 1e-2
    np.testing.assert_allclose(to_numpy(found.V)[0, 0], (1 - 1.5 / 5) * linear[0], atol=atol)
    np.testing.assert_allclose(to_numpy(found.V)[1, 0], 0, atol=atol)
    assert 0 < found.factorizations <= 40
    assert lib.holds(found.V, lib.widest)


@pytest.mark.parametrize("hinges", [0, 8])
@pytest.mark.parametrize("beta", [0.05, 0.5])
@pytest.mark.parametrize("seed", range(3))
def test_minimum_is_that_of_a_general_solver(seed, beta, hinges):
    cp = pytest.importorskip("cvxpy", reason="CVXPY is not installed")
    data, gates = instance(seed, hinges=hinges, beta=beta)
    gram, linear, rows, features, labels, weights, _ = data
    V, W = cp.Variable(linear.shape), cp.Variable(linear.shape)
    a = cp.reshape(V - W, (linear.size,), order="C")
    cost = 0.5 * cp.quad_form(a, cp.psd_wrap(gram)) - linear.ravel() @ a
    if hinges:
        cost = cost + weights @ cp.pos(1 - cp.multiply(labels, features @ a))
    norms = cp.sum(cp.norm(V, 2, axis=1)) + cp.sum(cp.norm(W, 2, axis=1))
    inside = [rows[p] @ U[p] >= 0 for U in (V, W) for p in range(len(rows))]
    problem = cp.Problem(cp.Minimize(cost + beta * norms), inside)
    accuracy = dict.fromkeys(("tol_gap_abs", "tol_gap_rel", "tol_feas"), 1e-10)
    problem.solve(solver=cp.CLARABEL, **accuracy)

    program = quadratic(LIBRARIES["numpy"](), *data)
    found = minimized(program, gates, 1e-8)
    assert objective(found.V, *data) == pytest.approx(problem.value, rel=1e-6, abs=1e-6)
    assert np.einsum("pmd,spd->spm", rows, found.V).min() > -1e-9
    assert found.mu.min() >= 0
    assert found.factorizations <= 40
    # Multipliers and slopes prove it: no gradient is longer than the weight of its norm.
    rest = negative_gradient(gram, linear, found.V)
    rest = rest + np.reshape(features.T @ (labels * found.slopes), rest.shape)
    forces = np.stack([rest, -rest]) + constraint_gradient(rows, found.mu)
    assert np.linalg.norm(forces, axis=-1).max() <= beta * (1 + 1e-6)


def test_gradients_of_both_parts(lib, rng):
    data, _ = instance(1)
    gram, linear, rows = map(lib.asarray, data[:3])
    V, mu = rng.normal(size=(2, 3, 3)), rng.random((2, 3, 6))
    wanted = data[1] - np.reshape(data[0] @ (V[0] - V[1]).ravel(), (3, 3))
    found = to_numpy(negative_gradient(gram, linear, lib.asarray(V)))
    np.testing.assert_allclose(found, wanted, atol=1e2 * lib.eps)
    found = to_numpy(constraint_gradient(rows, lib.asarray(mu)))
    np.testing.assert_allclose(found, np.einsum("pmd,spm->spd", data[2], mu), atol=1e2 * lib.eps)
