"""Matrix completion on real data: traffic, parking, images, ratings."""

import data
import numpy as np
import pytest

import numopt


def hidden_error(table, lost, rank, **options):
    """Return the relative error on hidden entries, and that of the mean of each column."""
    result = numopt.matrix_completion(np.where(lost, np.nan, table), rank, rng=0, **options)
    assert result.success
    means = np.where(lost, 0, table).sum(axis=0) / (~lost).sum(axis=0)
    size = np.linalg.norm(table[lost])
    found = np.linalg.norm((result.matrix() - table)[lost]) / size
    return found, np.linalg.norm((means - table)[lost]) / size


def test_metro_counts():
    flow = data.load("hangzhou_metro_flow")["tensor"].astype(float)
    table = flow[:, :7].reshape(-1, flow.shape[2])
    lost = np.random.default_rng(1).random(table.shape) < 0.4
    found, mean = hidden_error(table, lost, 10, reg=300.0)
    assert found < 0.2
    assert found < mean / 3


def test_parking_whose_zeros_are_missing():
    tensor = data.load("birmingham_parking")["tensor"].astype(float)
    table = np.swapaxes(tensor, 0, 1).reshape(tensor.shape[1], -1)
    weights = (table > 0).astype(float)
    hidden = (np.random.default_rng(0).random(table.shape) < 0.2) & (weights > 0)
    result = numopt.matrix_completion(table, 4, weights=weights * ~hidden, reg=500.0, rng=0)
    assert result.success
    error = np.linalg.norm((result.matrix() - table)[hidden]) / np.linalg.norm(table[hidden])
    assert error < 0.15


def test_image_of_bricks():
    pictures = data.load("images_gray256")
    table = pictures["brick"].astype(float)
    lost = np.random.default_rng(0).random(table.shape) < 0.3
    found, mean = hidden_error(table, lost, 30, reg=600.0)
    assert found < mean


def test_ratings_beside_the_additive_model():
    ratings = data.load("movietweetings_core20")
    test, user, item = ratings["test"], ratings["user"].astype(int), ratings["item"].astype(int)
    values = ratings["rating"].astype(float)
    M = (user[~test], item[~test], values[~test], (196, 99))

    def rmse(rank, reg):
        result = numopt.matrix_completion(M, rank, reg=reg, bias=3.0, rng=0)
        return np.sqrt(np.mean((result.predict(user[test], item[test]) - values[test]) ** 2))

    additive = rmse(1, 1e6)
    reference = data.references("completion")["movietweetings_core20"][0]
    assert reference["rank"] == 0
    assert additive == pytest.approx(reference["test_rmse"], abs=0.02)
    assert rmse(8, 20.0) < 1.01 * additive
