"""Losses inside an interior-point method: their directions satisfy the equations they stand for."""

import numpy as np
import pytest
from libraries import to_numpy

from numopt._conic.losses import HingeTerm, loss_term
from numopt._losses.pointwise import LOSSES


def sample(lib, rng):
    y = lib.asarray(np.where(rng.random(7) < 0.5, -1.0, 1.0))
    return lib.asarray(rng.normal(size=7)), y, lib.asarray(rng.random(7) + 0.5)


@pytest.mark.parametrize("name", ["squared", "logistic"])
def test_resistance_is_the_inverse_change_of_the_slope(name, rng):
    z, y, weights = rng.normal(size=7), np.where(rng.random(7) < 0.5, -1.0, 1.0), rng.random(7)
    term = loss_term(LOSSES[name], y, weights)
    step = 1e-6
    change = (term.theta(z + step, ()) - term.theta(z - step, ())) / (2 * step)
    np.testing.assert_allclose(-change * term.resistance(z, ()), 1, rtol=1e-7)
    assert term.start(z) == ()
    assert np.all(term.offset(z, (), 0.1, None) == 0)


def test_hinge_starts_inside_and_feasible(lib, rng):
    z, y, weights = sample(lib, rng)
    term = loss_term(LOSSES["hinge"], y, weights)
    assert isinstance(term, HingeTerm)
    (xi, q), (beyond, p) = ([to_numpy(x) for x in pair] for pair in term.start(z))
    assert min(x.min() for x in (xi, q, beyond, p)) > 0
    z, y, weights = map(to_numpy, (z, y, weights))
    np.testing.assert_allclose(xi - 1 + y * z, beyond, atol=8 * lib.eps)
    np.testing.assert_allclose(p + q, weights, rtol=8 * lib.eps)


@pytest.mark.parametrize("corrected", [False, True])
def test_hinge_directions_reach_their_products(lib, rng, corrected):
    z, y, weights = sample(lib, rng)
    term = loss_term(LOSSES["hinge"], y, weights)
    pairs, g, affine = term.start(z), lib.asarray(rng.normal(size=7)), None
    if corrected:
        dz = term.resistance(z, pairs) * g + term.offset(z, pairs, 0.0, None)
        affine = term.change(pairs, g, dz, 0.0, None)
    # The change of the prediction that goes with g, of which all the rest follows.
    dz = term.resistance(z, pairs) * g + term.offset(z, pairs, 0.3, affine)
    changes = term.change(pairs, g, dz, 0.3, affine)
    (dxi, dq), (dbeyond, dp) = changes
    np.testing.assert_allclose(to_numpy(dq + dp), 0, atol=8 * lib.eps)
    np.testing.assert_allclose(to_numpy(y * dp + g), 0, atol=8 * lib.eps)
    for k, ((x, s), (dx, ds)) in enumerate(zip(pairs, changes, strict=True)):
        wanted = 0.3 if affine is None else 0.3 - to_numpy(affine[k][0] * affine[k][1])
        reached = to_numpy(x * s + s * dx + x * ds)
        np.testing.assert_allclose(reached, wanted, atol=1e3 * lib.eps)
    np.testing.assert_allclose(to_numpy(dbeyond), to_numpy(dxi + y * dz), atol=1e2 * lib.eps)
