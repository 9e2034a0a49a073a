"""Sources of rows: what they yield, how far ahead they read, and how they end."""

import gc
import itertools
import os
import subprocess
import sys
import threading
import weakref

import numpy as np
import pytest
import scipy.sparse
from libraries import ROOT
from numpy.testing import assert_array_equal

import numopt

N, D = 5000, 6
CUTS = (0, 1, 700, 701, 2600, 5000)


@pytest.fixture(name="A")
def matrix():
    return np.random.default_rng(0).standard_normal((N, D))


def pieces(A):
    return [A[low:high] for low, high in itertools.pairwise(CUTS)]


def in_zarr(A, folder, **options):
    zarr = pytest.importorskip("zarr", reason="zarr is not installed (group test)")
    store = zarr.create_array(folder / "a.zarr", shape=A.shape, dtype=A.dtype, **options)
    store[:] = A
    return store


def in_hdf5(A, folder, **options):
    h5py = pytest.importorskip("h5py", reason="h5py is not installed (group test)")
    return h5py.File(folder / "a.h5", "w").create_dataset("A", data=A, **options)


def parquet_of(table, folder, rows):
    pq = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed (group test)")
    pq.write_table(table, folder / "a.parquet", row_group_size=rows)
    return pq.ParquetFile(folder / "a.parquet")


def in_columns(A, folder, rows=1300):
    pa = pytest.importorskip("pyarrow", reason="pyarrow is not installed (group test)")
    return parquet_of(pa.table({f"x{k}": A[:, k] for k in range(A.shape[1])}), folder, rows)


def in_lists(A, folder, rows=1300):
    pa = pytest.importorskip("pyarrow", reason="pyarrow is not installed (group test)")
    flat = pa.array(A.reshape(-1))
    return parquet_of(
        pa.table({"x": pa.FixedSizeListArray.from_arrays(flat, A.shape[1])}), folder, rows
    )


def in_files(A, folder):
    paths = []
    for k, piece in enumerate(pieces(A)):
        paths.append(folder / f"{k}.npy")
        np.save(paths[-1], piece)
    return paths


def mapped(A, folder):
    np.save(folder / "whole.npy", A)
    return np.load(folder / "whole.npy", mmap_mode="r")


def chunked(A, chunks):
    dask = pytest.importorskip("dask.array", reason="Dask is not installed (group test)")
    return dask.from_array(A, chunks=chunks)


STORED = {
    "array": lambda A, _: A,
    "fortran": lambda A, _: np.asfortranarray(A),
    "memmap": mapped,
    "zarr": lambda A, f: in_zarr(A, f, chunks=(900, D)),
    "zarr-tiles": lambda A, f: in_zarr(A, f, chunks=(300, 4)),
    "zarr-shards": lambda A, f: in_zarr(A, f, chunks=(100, D), shards=(1000, D)),
    "hdf5": lambda A, f: in_hdf5(A, f, chunks=(900, 2), compression="gzip"),
    "hdf5-plain": in_hdf5,
    "parquet-columns": in_columns,
    "parquet-lists": in_lists,
    "files": in_files,
    "file-names": lambda A, f: [str(path) for path in in_files(A, f)],
    "dask-rows": lambda A, _: chunked(A, (1300, -1)),
    "dask-tiles": lambda A, _: chunked(A, (900, 4)),
}
STREAMED = {
    "list": lambda A, _: pieces(A),
    "callable": lambda A, _: lambda: iter(pieces(A)),
    "generator": lambda A, _: iter(pieces(A)),
}
SOURCES = STORED | STREAMED
EVERY = pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES.keys())
EVERY_STORED = pytest.mark.parametrize("source", STORED.values(), ids=STORED.keys())


@EVERY
@pytest.mark.parametrize("readahead", [0, 1, 3])
@pytest.mark.parametrize("rows", [None, 999])
def test_blocks_are_the_rows(source, rows, readahead, A, tmp_path):
    blocks = numopt.row_blocks(source(A, tmp_path), rows=rows, readahead=readahead)
    found = list(blocks.blocks())
    assert [part.start for part, _ in found[1:]] == [part.stop for part, _ in found[:-1]]
    assert all(part.stop - part.start == block.shape[0] for part, block in found)
    assert rows is None or max(block.shape[0] for _, block in found) <= rows
    assert_array_equal(np.concatenate([block for _, block in found]), A)


@EVERY_STORED
def test_a_store_tells_its_shape_and_is_read_again(source, A, tmp_path):
    blocks = numopt.row_blocks(source(A.astype("float32"), tmp_path), rows=1700)
    assert blocks.shape == (N, D)
    assert blocks.dtype == np.float32
    assert blocks.again
    for _ in range(2):
        assert_array_equal(np.concatenate(list(blocks)), A.astype("float32"))


@EVERY
@pytest.mark.parametrize("start", [0, 1, 700, 1234, 4999, 5000])
def test_reading_from_a_row_on(source, start, A, tmp_path):
    found = list(numopt.row_blocks(source(A, tmp_path), rows=500).blocks(start))
    assert not found or found[0][0].start == start
    rest = [block for _, block in found]
    assert_array_equal(np.concatenate([A[:0], *rest]), A[start:])


@pytest.mark.parametrize("kind", ["csr_array", "csc_matrix", "coo_array"])
def test_sparse_matrices_stay_sparse(kind):
    dense = np.random.default_rng(0).random((3000, 20)) * (np.arange(20) % 7 == 0)
    blocks = list(numopt.row_blocks(getattr(scipy.sparse, kind)(dense), rows=1024))
    assert [block.shape[0] for block in blocks] == [1024, 1024, 952]
    assert all(block.format == "csr" for block in blocks)
    assert_array_equal(scipy.sparse.vstack(blocks).toarray(), dense)


def test_blocks_of_arrays_are_views(A, tmp_path):
    for source in (A, mapped(A, tmp_path)):
        block = next(iter(numopt.row_blocks(source, rows=100)))
        assert np.shares_memory(block, source)


def test_default_blocks_are_whole_chunks_of_about_32_megabytes(tmp_path):
    row = np.zeros((1, 1 << 11))
    wide = np.broadcast_to(row, (5000, 1 << 11))
    sizes = [block.shape[0] for block in numopt.row_blocks(wide)]
    assert sizes == [2048, 2048, 904]
    store = in_zarr(row, tmp_path, chunks=(1, 1 << 11))
    store.resize((5000, 1 << 11))
    assert [block.shape[0] for block in numopt.row_blocks(store)] == sizes
    stack = np.broadcast_to(np.zeros((1, 2)), (10**6, 2))
    hdf5 = in_hdf5(stack[:1], tmp_path, chunks=(3000, 2), maxshape=(None, 2))
    hdf5.resize((4_000_000, 2))
    assert {block.shape[0] % 3000 for block in itertools.islice(numopt.row_blocks(hdf5), 1)} == {0}


def test_a_chunk_larger_than_a_block_is_read_once(tmp_path):
    store = in_zarr(np.zeros((6000, 2)), tmp_path, chunks=(6000, 2))
    assert [block.shape[0] for block in numopt.row_blocks(store)] == [6000]


@pytest.mark.parametrize("readahead", [0, 1, 4])
def test_no_more_blocks_than_asked_for_exist(readahead):
    made, most = [], []

    class Block(np.ndarray):
        pass

    def source():
        for _ in range(30):
            block = np.zeros((10, 2)).view(Block)
            made.append(weakref.ref(block))
            most.append(sum(made_before() is not None for made_before in made))
            yield block
            del block

    blocks = iter(numopt.row_blocks(source, readahead=readahead))
    for _ in range(30):
        next(blocks)
    assert max(most) <= readahead + 1
    assert len(most) == 30


def test_blocks_are_read_while_others_are_used():
    """The second block is made although the consumer has not asked for it; the third is not."""
    made, ready = [], threading.Event()

    def source():
        for k in range(10):
            made.append(k)
            if k == 1:
                ready.set()
            yield np.zeros((1, 1))

    blocks = iter(numopt.row_blocks(source))
    next(blocks)
    assert ready.wait(10)
    assert made == [0, 1]
    blocks.close()


def reading_threads():
    return [t for t in threading.enumerate() if t.name.startswith("numopt-read-ahead")]


@pytest.mark.parametrize("how", ["break", "close", "drop", "error", "end"])
def test_the_thread_ends(how):
    closed = []

    def source():
        try:
            for _ in range(5):
                yield np.zeros((1, 1))
            if how == "error":
                raise OSError("disk on fire")
        finally:
            closed.append(True)

    blocks = iter(numopt.row_blocks(source, readahead=2))
    if how == "error":
        with pytest.raises(OSError, match="disk on fire"):
            list(blocks)
    elif how == "end":
        list(blocks)
    else:
        next(blocks)
        assert reading_threads()
        if how == "close":
            blocks.close()
        del blocks
        gc.collect()
    assert not reading_threads()
    assert closed == [True]


def test_an_error_comes_where_its_block_would_have():
    def source():
        yield np.zeros((1, 1))
        yield np.ones((1, 1))
        raise ValueError("third")

    blocks = iter(numopt.row_blocks(source, readahead=5))
    assert [next(blocks)[0, 0], next(blocks)[0, 0]] == [0, 1]
    with pytest.raises(ValueError, match="third"):
        next(blocks)


def test_without_reading_ahead_the_source_runs_in_the_thread_of_the_caller():
    seen = []

    def source():
        seen.append(threading.current_thread())
        yield np.zeros((1, 1))

    list(numopt.row_blocks(source, readahead=0))
    list(numopt.row_blocks(source, readahead=1))
    assert seen[0] is threading.current_thread()
    assert seen[1] is not threading.current_thread()


def test_a_generator_is_gone_through_once(A):
    blocks = numopt.row_blocks(iter(pieces(A)))
    assert not blocks.again
    list(blocks)
    with pytest.raises(TypeError, match=r"`source` must be re-iterable .*; give a callable"):
        list(blocks)


@pytest.mark.parametrize("solver", ["lstsq", "lp_regression", "lp_coreset"])
@pytest.mark.parametrize("wrapped", [False, True])
def test_solvers_refuse_what_they_cannot_read_twice(solver, wrapped, A):
    source = iter(pieces(A))
    arguments = (1, A[:, 0]) if solver == "lp_coreset" else (A[:, 0],)
    with pytest.raises(TypeError, match=r"`A` must be re-iterable, .*; give a callable"):
        getattr(numopt, solver)(numopt.row_blocks(source) if wrapped else source, *arguments)
    assert next(source).shape == (1, D)  # nothing was read


@EVERY_STORED
def test_solvers_take_every_store(source, A, tmp_path):
    b = A @ np.arange(1.0, D + 1) + np.random.default_rng(1).standard_normal(N)
    expected = np.linalg.lstsq(A, b)[0]
    stored = source(A, tmp_path)
    for given in (stored, numopt.row_blocks(stored, rows=1111)):
        result = numopt.lstsq(given, b, rng=0)
        assert result.success
        np.testing.assert_allclose(result.x, expected, rtol=0, atol=1e-13)
    scores = numopt.lp_scores(stored, 2, kind="leverage")
    whole = numopt.lp_scores(A, 2, kind="leverage")
    np.testing.assert_allclose(np.asarray(scores.scores), whole.scores, rtol=1e-10)


def test_options_of_a_source_can_be_changed(A):
    first = numopt.row_blocks(A, rows=100)
    assert next(iter(numopt.row_blocks(first))).shape[0] == 100
    assert next(iter(numopt.row_blocks(first, rows=7))).shape[0] == 7


def test_parquet_columns_of_several_types(tmp_path):
    pa = pytest.importorskip("pyarrow", reason="pyarrow is not installed (group test)")
    table = pa.table(
        {
            "i": pa.array([1, 2, None], pa.int32()),
            "x": pa.array([0.5, None, 2.5], pa.float32()),
            "v": pa.FixedSizeListArray.from_arrays(pa.array(np.arange(6.0)), 2),
        }
    )
    (block,) = numopt.row_blocks(parquet_of(table, tmp_path, 3))
    nan = np.nan
    assert_array_equal(block, [[1, 0.5, 0, 1], [2, nan, 2, 3], [nan, 2.5, 4, 5]])


class Changed:
    """A list of files of which one has another width."""

    def __init__(self, folder):
        self.paths = in_files(np.ones((N, D)), folder)
        np.save(self.paths[2], np.ones((4, D + 1)))


BAD = {
    "none": (lambda _: None, TypeError, "must be an array, a file of rows, or .*, got NoneType"),
    "text": (lambda _: "a.npy", TypeError, "must be an array, a file of rows, or .*, got str"),
    "number": (lambda _: 3.0, TypeError, "must be an array, a file of rows, or .*, got float"),
    "vector": (lambda _: np.ones(3), ValueError, r"`source` must be a matrix, got shape \(3,\)"),
    "hdf5-vector": (
        lambda f: in_hdf5(np.ones(3), f),
        ValueError,
        r"`source` must be a matrix, got shape \(3,\)",
    ),
    "hdf5-group": (
        lambda f: in_hdf5(np.ones((3, 2)), f).file,
        TypeError,
        "must be an array, a file of rows, or .*, got File",
    ),
    "cube": (lambda _: np.ones((3, 3, 3)), ValueError, "`source` must be a matrix, got shape"),
    "widths": (
        lambda f: Changed(f).paths,
        ValueError,
        "Files of `source` must have the same number of columns, got 6 and 7 in .*2.npy",
    ),
    "rows": (lambda _: list(np.ones((3, 2))), ValueError, r"must be matrices, got shape \(2,\)"),
    "lists": (lambda _: [[1.0, 2.0]], TypeError, "must be matrices, got list"),
    "missing-file": (lambda f: [f / "none.npy"], FileNotFoundError, "none.npy"),
}


@pytest.mark.parametrize(("source", "kind", "match"), BAD.values(), ids=BAD.keys())
def test_bad_sources(source, kind, match, tmp_path):
    with pytest.raises(kind, match=match):
        list(numopt.row_blocks(source(tmp_path)))


def test_parquet_of_text(tmp_path):
    pa = pytest.importorskip("pyarrow", reason="pyarrow is not installed (group test)")
    with pytest.raises(TypeError, match="Columns of `source` must hold numbers, got string in 's'"):
        numopt.row_blocks(parquet_of(pa.table({"s": ["a"]}), tmp_path, 1))


def test_dask_chunks_that_do_not_do():
    da = pytest.importorskip("dask.array", reason="Dask is not installed (group test)")
    x = da.ones((4000, 6), chunks=(1000, 6))
    with pytest.raises(ValueError, match=r"chunks of known sizes, got .*; call compute_chunk_size"):
        numopt.row_blocks(x[x[:, 0] > 0])
    wide = da.ones((40_000, 1000), chunks=(40_000, 500))
    with pytest.raises(ValueError, match=r"joined, those of .* would take 320 MB each"):
        numopt.row_blocks(wide)
    with pytest.raises(ValueError, match=r"`source` must be a matrix, got chunks"):
        numopt.row_blocks(da.ones(5))


@pytest.mark.parametrize(
    ("options", "kind", "match"),
    [
        ({"rows": 0}, ValueError, "`rows` must be positive"),
        ({"rows": 2.5}, TypeError, "`rows` must be an integer"),
        ({"readahead": -1}, ValueError, "`readahead` must be non-negative"),
    ],
)
def test_bad_options(options, kind, match, A):
    with pytest.raises(kind, match=match):
        numopt.row_blocks(A, **options)


def test_stores_are_recognized_without_imports():
    code = (
        "import sys, numpy as np, numopt; list(numopt.row_blocks(np.ones((3, 2)))); "
        "print([n for n in ('dask', 'zarr', 'h5py', 'pyarrow') if n in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        env=os.environ,
    )
    assert done.stdout.strip() == "[]"


class Table:
    """What is no array but can be made one, as a data frame."""

    def __array__(self, dtype=None, copy=None):
        return np.arange(6.0).reshape(3, 2)


def test_a_table_of_numbers_is_one_matrix():
    source = numopt.row_blocks(Table(), rows=2)
    assert repr(source) == "RowSource(shape=(3, 2), dtype=float64)"
    assert_array_equal(np.concatenate(list(source)), Table())
