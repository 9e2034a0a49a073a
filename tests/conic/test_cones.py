"""Cones of an interior-point method: the identities of their scalings, and their boundaries."""

import numpy as np
import pytest
from libraries import to_numpy

from numopt._conic import cones


def element(lib, rng, shape, margin=0.5):
    """Return elements inside their cones, some of them near the boundary."""
    tail = rng.normal(size=shape)
    head = np.linalg.norm(tail, axis=-1) + margin * rng.random(shape[:-1]) + 1e-3
    return cones.Element(lib.asarray(head), lib.asarray(tail))


def close(lib, found, wanted, scale=1.0):
    for x, y in zip(found, wanted, strict=True):
        x, y = to_numpy(x), to_numpy(y)
        assert np.abs(x - y).max() <= 3e3 * lib.eps * scale * np.abs(y).max()


def test_scaling_maps_points_and_multipliers_to_the_same_place(lib, rng):
    x, s = element(lib, rng, (2, 5, 3)), element(lib, rng, (2, 5, 3))
    scaling = cones.nesterov_todd(x, s)
    close(lib, cones.scaled(scaling, s), scaling.middle)
    close(lib, cones.unscaled(scaling, x), scaling.middle)
    close(lib, cones.unscaled(scaling, cones.scaled(scaling, x)), x)
    assert lib.holds(scaling.middle.tail, lib.widest)
    # The scaled point is as far inside as the product of both.
    inner = to_numpy(x.head * s.head + lib.xp.sum(x.tail * s.tail, axis=-1))
    middle = cones.product(scaling.middle, scaling.middle)
    np.testing.assert_allclose(to_numpy(middle.head), inner, rtol=3e3 * lib.eps)


def test_quotient_undoes_the_product(lib, rng):
    m, r = element(lib, rng, (4, 3)), element(lib, rng, (4, 3))
    close(lib, cones.product(cones.quotient(r, m), m), r, scale=10)


def test_scaled_products_of_a_feasible_direction_vanish(lib, rng):
    """Where the product of middle points is the target, nothing is left to do."""
    x = element(lib, rng, (6, 2))
    size = to_numpy(x.head) ** 2 - (to_numpy(x.tail) ** 2).sum(axis=-1)
    inverse = cones.Element(
        lib.asarray(to_numpy(x.head) / size), lib.asarray(-to_numpy(x.tail) / size[:, None])
    )
    rest = cones.second_order_residual(cones.nesterov_todd(x, inverse), 1.0)
    assert max(np.abs(to_numpy(part)).max() for part in rest) <= 1e4 * lib.eps


def test_curvature_is_what_is_left_of_the_scaling_without_heads(lib, rng):
    x, s = element(lib, rng, (4, 3)), element(lib, rng, (4, 3))
    scaling = cones.nesterov_todd(x, s)
    blocks = cones.curvature_blocks(scaling, lib.asarray(np.eye(3)))
    v = lib.asarray(rng.normal(size=(4, 3)))
    product = lib.xp.matmul(blocks, v[:, :, None])[:, :, 0]
    close(lib, [cones.curvature(scaling, v)], [product])
    # The Schur complement of the head in the inverse square of the scaling.
    columns = []
    for unit in np.eye(4):
        e = cones.Element(lib.asarray(np.full(4, unit[0])), lib.asarray(np.tile(unit[1:], (4, 1))))
        twice = cones.unscaled(scaling, cones.unscaled(scaling, e))
        columns.append(np.concatenate([to_numpy(twice.head)[:, None], to_numpy(twice.tail)], 1))
    square = np.stack(columns, axis=2)
    schur = square[:, 1:, 1:] - (square[:, 1:, :1] * square[:, :1, 1:] / square[:, :1, :1])
    np.testing.assert_allclose(to_numpy(blocks), schur, atol=3e4 * lib.eps * np.abs(square).max())


def test_steps_end_on_the_boundary(lib, rng):
    x = element(lib, rng, (30, 2))
    change = cones.Element(
        lib.asarray(rng.normal(size=30)), lib.asarray(3 * rng.normal(size=(30, 2)))
    )
    seen = 0
    for k in range(30):
        one, step = (cones.Element(e.head[k : k + 1], e.tail[k : k + 1, :]) for e in (x, change))
        length = float(cones.to_boundary(one, step))
        end = [to_numpy(a + min(length, 1e6) * b) for a, b in zip(one, step, strict=True)]
        depth = end[0][0] - np.linalg.norm(end[1][0])
        if np.isfinite(length):
            assert abs(depth) <= 1e4 * lib.eps * (1 + abs(end[0][0]))
            seen += 1
        else:
            assert depth >= -1e4 * lib.eps * (1 + abs(end[0][0]))
    assert seen > 10


def test_steps_out_of_an_orthant(lib):
    x = lib.asarray([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    change = lib.asarray([[-1.0, -4.0, 0.0], [1.0, 0.0, 2.0]])
    assert float(cones.to_boundary(x, change)) == 0.5
    each = to_numpy(cones.to_boundary(x, change, batched=True))
    assert each.tolist() == [[0.5], [np.inf]]
    assert float(cones.inner(x, x)) == 91.0
    assert to_numpy(cones.inner(x, x, batched=True)).tolist() == [[14.0], [77.0]]


@pytest.mark.parametrize("depth", [1e-4, 1e-8, 1e-12])
def test_digits_survive_next_to_the_boundary(depth):
    """The product of the factors of ``head^2 - |tail|^2`` keeps what their difference has not."""
    x = cones.Element(np.asarray([1.0 + depth]), np.asarray([[1.0, 0.0]]))
    s = cones.Element(np.asarray([1.0]), np.asarray([[0.0, 0.0]]))
    scaling = cones.nesterov_todd(x, s)
    exact = np.sqrt((x.head[0] - 1.0) * (x.head[0] + 1.0))
    assert scaling.eta[0] == pytest.approx(np.sqrt(exact), rel=1e-14)
