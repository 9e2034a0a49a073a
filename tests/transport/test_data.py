"""Real images, colors and words against exact transport costs."""

import data
import numpy as np
import pytest
import transport_oracles as oracles
import transport_problems as problems

import numopt

METRICS = {"W_sqeuclidean": "sqeuclidean", "W_cityblock": "cityblock", "W_euclidean": "euclidean"}


def check(X, Y, a, b, metric, exact, inverse_reg=5000, tol=1e-9):
    """Assert ``0 <= <C, P> - exact <= reg * min(H(a), H(b))`` and an optimal plan."""
    cost = numopt.PointCloudCost(X, Y, metric)
    rows, columns = np.flatnonzero(a), np.flatnonzero(b)
    dense = cost.toarray()
    reg = dense[np.ix_(rows, columns)].max() / inverse_reg
    result = numopt.entropic_transport(cost, a, b, reg=reg, tol=tol)
    assert result.success, result.message
    plan = oracles.dense_plan(dense, a, b, result.f, result.g, reg)
    assert sum(oracles.marginal_errors(plan, a, b)) <= 2 * tol
    entropy = min(-np.sum(w[w > 0] * np.log(w[w > 0])) for w in (a, b))
    slack = tol * np.ptp(dense)
    assert exact - slack <= result.cost <= exact + reg * entropy + slack
    # The dual value bounds the regularized problem, and through it the exact one.
    assert result.dual_fun <= exact + reg * entropy + slack
    return result


def image_pairs():
    return [(name, k) for name in ("mnist_200", "fashion_mnist_200") for k in range(6)]


@pytest.mark.parametrize("field", ["W_sqeuclidean", "W_cityblock"])
@pytest.mark.parametrize(("name", "k"), image_pairs())
def test_images(name, k, field):
    reference = data.references("ot")[name][k]
    images = data.load(name)["images"].astype(float).reshape(200, -1)
    a, b = images[reference["i"]], images[reference["j"]]
    pixels = problems.pixels(28)
    check(pixels, pixels, a / a.sum(), b / b.sum(), METRICS[field], reference[field])


@pytest.mark.parametrize("field", ["W_sqeuclidean", "W_cityblock"])
def test_photographs(field):
    """Every pixel of two 32 by 32 images has mass."""
    reference = data.references("ot")["dotmark_classic32_pair"]
    pair = data.load("dotmark_classic32_pair")
    a, b = (pair[name].astype(float).ravel() for name in ("a", "b"))
    pixels = problems.pixels(32)
    check(pixels, pixels, a / a.sum(), b / b.sum(), METRICS[field], reference[field], 2000)


@pytest.mark.parametrize("k", range(3))
def test_word_histograms(k):
    reference = data.references("ot")["glove"][k]
    words = data.load("glove_republic")
    vectors, counts = words["vectors"].astype(float), words["counts"].astype(float)
    a, b = counts[reference["i"]], counts[reference["j"]]
    # Only words that occur: the others would be dropped, but their distances computed.
    rows, columns = np.flatnonzero(a), np.flatnonzero(b)
    a, b = a[rows] / a.sum(), b[columns] / b.sum()
    exact = reference["W_euclidean"]
    check(vectors[rows], vectors[columns], a, b, "euclidean", exact, 1000)


def test_colors_of_two_photographs():
    reference = data.references("ot")["color"]
    photographs = data.load("color_transfer_ocean")
    day, sunset = (
        photographs[name].reshape(-1, 3)[:: reference["stride"]] / 255
        for name in reference["files"]
    )
    assert [len(day), len(sunset)] == reference["n"]
    a, b = problems.uniform(len(day)), problems.uniform(len(sunset))
    check(day, sunset, a, b, "sqeuclidean", reference["W_sqeuclidean"], 2000)
