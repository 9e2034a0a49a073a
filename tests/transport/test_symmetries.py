"""What changes of a transport problem leave alone, on problems drawn by Hypothesis."""

import numpy as np
import pytest
import transport_problems as problems
from hypothesis import given, settings
from hypothesis import strategies as st

import numopt

TOL = 1e-11
repeatable = settings(derandomize=True, deadline=None, database=None, max_examples=25)


@st.composite
def instances(draw):
    """Return a cost, masses and a regularization between a third and a thousandth of the range."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n, m = draw(st.integers(1, 12)), draw(st.integers(1, 12))
    kind = draw(st.sampled_from(["random", "integers", "cloud"]))
    if kind == "random":
        cost = rng.random((n, m))
    elif kind == "integers":
        cost = rng.integers(4, size=(n, m)) / 3
    else:
        cost = problems.squared_distances(rng.random((n, 2)), rng.random((m, 2)))
    a, b = rng.uniform(0.2, 1, size=n), rng.uniform(0.2, 1, size=m)
    reg = 10 ** draw(st.floats(-2.5, -0.5))
    return cost, a / a.sum(), b / b.sum(), reg, rng


def solve(cost, a, b, reg):
    result = numopt.entropic_transport(cost, a, b, reg=reg, tol=TOL)
    assert result.success
    return result


def same(actual, expected, atol=1e-9):
    np.testing.assert_allclose(actual, expected, rtol=0, atol=atol)


@repeatable
@given(instances())
def test_adding_to_rows_and_columns(instance):
    cost, a, b, reg, rng = instance
    alpha, beta = rng.normal(size=a.size), rng.normal(size=b.size)
    plain, moved = solve(cost, a, b, reg), solve(cost + alpha[:, None] + beta, a, b, reg)
    same(moved.plan(), plain.plan())
    assert moved.dual_fun == pytest.approx(plain.dual_fun + a @ alpha + b @ beta, abs=1e-9)
    sums = (moved.f - alpha)[:, None] + (moved.g - beta)
    same(sums, plain.f[:, None] + plain.g, atol=1e-7)


@repeatable
@given(instances(), st.floats(-1e3, 1e3))
def test_adding_a_constant(instance, constant):
    cost, a, b, reg, _ = instance
    plain, moved = solve(cost, a, b, reg), solve(cost + constant, a, b, reg)
    same(moved.plan(), plain.plan(), atol=1e-8)
    assert moved.dual_fun == pytest.approx(plain.dual_fun + constant, abs=1e-9)
    assert moved.fun == pytest.approx(plain.fun + constant, abs=1e-8)
    assert moved.cost == pytest.approx(plain.cost + constant, abs=1e-8)


@repeatable
@given(instances())
def test_permuting(instance):
    cost, a, b, reg, rng = instance
    rows, columns = rng.permutation(a.size), rng.permutation(b.size)
    plain = solve(cost, a, b, reg)
    moved = solve(cost[np.ix_(rows, columns)], a[rows], b[columns], reg)
    same(moved.plan(), plain.plan()[np.ix_(rows, columns)])
    same(moved.f, plain.f[rows], atol=1e-8)
    same(moved.g, plain.g[columns], atol=1e-8)


@repeatable
@given(instances())
def test_transposing(instance):
    cost, a, b, reg, _ = instance
    plain, turned = solve(cost, a, b, reg), solve(cost.T, b, a, reg)
    same(turned.plan(), plain.plan().T)
    same(turned.f, plain.g, atol=1e-8)
    same(turned.g, plain.f, atol=1e-8)


@repeatable
@given(instances(), st.floats(-6, 6))
def test_scaling_cost_and_regularization(instance, exponent):
    cost, a, b, reg, _ = instance
    factor = 10**exponent
    plain, scaled = solve(cost, a, b, reg), solve(factor * cost, a, b, factor * reg)
    same(scaled.plan(), plain.plan())
    same(scaled.f / factor, plain.f, atol=1e-8)
    assert scaled.dual_fun / factor == pytest.approx(plain.dual_fun, abs=1e-9)


@repeatable
@given(instances(), st.floats(-6, 6))
def test_scaling_the_mass(instance, exponent):
    cost, a, b, reg, _ = instance
    mass = 10**exponent
    plain, scaled = solve(cost, a, b, reg), solve(cost, mass * a, mass * b, reg)
    same(scaled.plan() / mass, plain.plan())
    assert scaled.cost / mass == pytest.approx(plain.cost, abs=1e-9)
    # KL(sP | sa sb') = s KL(P | a b') - s log s - s + s^2 where the total of P is one.
    expected = mass * (plain.fun - reg * (np.log(mass) + 1)) + reg * mass**2
    assert scaled.fun == pytest.approx(expected, rel=1e-8, abs=1e-9 * mass)


@repeatable
@given(instances(), st.floats(0.05, 0.95))
def test_splitting_an_atom(instance, share):
    cost, a, b, reg, _ = instance
    plain = solve(cost, a, b, reg)
    split_a = np.concatenate([a, [(1 - share) * a[0]]])
    split_a[0] *= share
    split = solve(np.concatenate([cost, cost[:1]]), split_a, b, reg)
    plan = split.plan()
    same(plan[0] + plan[-1], plain.plan()[0])
    same(plan[1:-1], plain.plan()[1:])
    same(plan[0] * (1 - share), plan[-1] * share)
    # Unlike the Shannon convention, KL against a b' does not see the split.
    assert split.dual_fun == pytest.approx(plain.dual_fun, abs=1e-9)
    assert split.f[0] == pytest.approx(split.f[-1], abs=1e-8)


@repeatable
@given(instances())
def test_adding_a_point_without_mass(instance):
    cost, a, b, reg, rng = instance
    plain = solve(cost, a, b, reg)
    extra = np.concatenate([cost, rng.random((1, b.size))])
    more = solve(extra, np.concatenate([a, [0.0]]), b, reg)
    same(more.plan()[:-1], plain.plan())
    assert (more.plan()[-1] == 0).all()
    assert more.dual_fun == pytest.approx(plain.dual_fun, abs=1e-10)


@repeatable
@given(instances())
def test_smaller_regularization_costs_less(instance):
    """Along the path <C, P> falls and KL(P | a b') grows: both are optimal values."""
    cost, a, b, reg, _ = instance
    sharp, blurred = solve(cost, a, b, reg), solve(cost, a, b, 2 * reg)
    assert sharp.cost <= blurred.cost + 1e-9
    entropies = [(r.fun - r.cost) / e for r, e in ((sharp, reg), (blurred, 2 * reg))]
    assert entropies[0] >= entropies[1] - 1e-7
