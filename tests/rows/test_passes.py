"""Passes over rows: their counter, what lies beside the rows, and sparse rows."""

import numpy as np
import pytest
from scipy.sparse import csr_array

import numopt
from numopt._rows import RowBlocks, Rows, SparseRows

A = np.random.default_rng(0).standard_normal((50, 3)) * (np.arange(150).reshape(50, 3) % 2)


def squares(block, _rows, b=None):
    return (block * block).sum(axis=0) if b is None else b @ block


def lengths(block, _rows):
    return (block * block).sum(axis=1)


def sources():
    return [
        RowBlocks("A", A),
        RowBlocks("A", [A[:20], A[20:]]),
        SparseRows("A", csr_array(A)),
    ]


@pytest.mark.parametrize("which", range(3))
def test_passes_are_counted(which):
    source = sources()[which]
    assert source.counts() == {"n_passes": 0, "n_blocks": 1, "n_retries": 0}
    np.testing.assert_allclose(source.fold(squares), (A * A).sum(axis=0))
    np.testing.assert_allclose(source.each(lengths), (A * A).sum(axis=1))
    np.testing.assert_allclose(source.rowwise(lengths), (A * A).sum(axis=1))
    b = np.arange(50.0)
    np.testing.assert_allclose(source.fold(squares, b), b @ A)
    rows = Rows(source)
    np.testing.assert_allclose(rows.mapped(np.eye(3)[:, :2]).gram(None), (A.T @ A)[:2, :2])
    np.testing.assert_array_equal(rows.take(np.array([3, 30])), A[[3, 30]])
    assert source.counts()["n_passes"] == rows.counts()["n_passes"] == 5
    assert "(50, 3)" in repr(source)


def test_a_sparse_matrix_as_one_block():
    matrix = csr_array(A)
    source = SparseRows("A", matrix, dense=False)
    assert source.in_memory
    seen = []

    def product(block, rows, b):
        seen.append((type(block), rows))
        return block.T @ b

    np.testing.assert_allclose(source.fold(product, np.ones(50)), A.sum(axis=0))
    assert seen == [(csr_array, slice(0, 50))]
    with pytest.raises(ValueError, match="`A` must not be empty"):
        SparseRows("A", csr_array((0, 3)))


def test_what_lies_beside_the_rows():
    source = RowBlocks("A", A)
    assert source.beside("b", None) is None
    assert source.beside("b", np.arange(50)).dtype == np.float64
    assert source.beside("b", np.ones(50), np.float32).dtype == np.float32
    assert source.beside("b", np.ones((50, 2)), ndim=(1, 2)).shape == (50, 2)
    for bad, kind, message in (
        (np.ones(49), ValueError, r"`b` must have shape \(50,\) to match `A`, got \(49,\)"),
        (np.ones((50, 1)), ValueError, "`b` must be a vector"),
        ([1.0] * 50, TypeError, "`b` must be an array, got list"),
        (np.ones(50, dtype=complex), TypeError, "`b` must hold real numbers"),
    ):
        with pytest.raises(kind, match=message):
            source.beside("b", bad)


def test_chunks_beside_the_rows():
    da = pytest.importorskip("dask.array", reason="Dask is not installed")
    x = da.from_array(A, chunks=(20, 3))
    source = RowBlocks("A", x)
    assert source.beside("b", da.ones(50, chunks=7)).chunks == ((20, 20, 10),)
    assert source.beside("b", np.ones(50)).shape == (50,)
    with pytest.raises(ValueError, match=r"`b` must have shape \(50,\) to match `A`, got chunks"):
        source.beside("b", da.ones((50, 1)))
    with pytest.raises(TypeError, match="must be in memory, got a Dask array"):
        RowBlocks("A", A).beside("b", da.ones(50))
    assert source.counts()["n_blocks"] == 3
    assert "on a cluster" in repr(source)
    assert numopt.lp_scores(x, 2, kind="leverage").stats["n_blocks"] == 3
