"""Designs that come in blocks of rows, and what is held of them in memory."""

import itertools
import os
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest
from libraries import ROOT
from regression_problems import METHODS, conditioned, random_problem

import numopt

EVERY = pytest.mark.parametrize("method", ["auto", *METHODS, "sketch"])
CUTS = (0, 1, 700, 701, 2600, 5000)


def pieces(A):
    return [A[low:high] for low, high in itertools.pairwise(CUTS)]


def mapped(A, folder, mode="r", dtype="float64"):
    path = folder / "design.bin"
    A.astype(dtype).tofile(path)
    return np.memmap(path, dtype=dtype, mode=mode, shape=A.shape)


def chunked(A, chunks):
    dask = pytest.importorskip("dask.array", reason="Dask is not installed (group test)")
    return dask.from_array(A, chunks=chunks)


SOURCES = {
    "list": lambda A, _: pieces(A),
    "tuple": lambda A, _: tuple(pieces(A)),
    "one-block": lambda A, _: [A],
    "callable": lambda A, _: lambda: iter(pieces(A)),
    "fortran-blocks": lambda A, _: [np.asfortranarray(part) for part in pieces(A)],
    "rows": lambda A, _: lambda: (row[None, :] for row in A),
    "memmap": mapped,
    "memmap-writable": lambda A, folder: mapped(A, folder, "r+"),
    "dask-rows": lambda A, _: chunked(A, (1300, -1)),
    "dask-tiles": lambda A, _: chunked(A, (900, 4)),
}


@EVERY
@pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES.keys())
@pytest.mark.parametrize("weighted", [False, True])
def test_blocks_are_the_matrix(source, method, weighted, tmp_path):
    A, b = conditioned(5000, 9, 1e3, 1.0, seed=0)
    options = {"weights": np.random.default_rng(1).random(5000), "ridge": 0.1} if weighted else {}
    whole = numopt.lstsq(A, b, method=method, rng=3, **options)
    if source is SOURCES["rows"] and method in ("iterative", "direct"):
        pytest.skip("five thousand blocks, many times")
    result = numopt.lstsq(source(A, tmp_path), b, method=method, rng=3, **options)
    scale = np.abs(whole.x).max()
    np.testing.assert_allclose(result.x, whole.x, rtol=0, atol=1e-9 * scale)
    assert result.success
    assert result.method == whole.method
    assert result.n_passes <= whole.n_passes + 1


@pytest.mark.parametrize("method", ["auto", "cholqr", "sketch"])
def test_blocks_of_every_library(lib, method):
    A, b = random_problem(5000, 6, seed=3)
    blocks = [lib.asarray(part) for part in pieces(A)]
    result = numopt.lstsq(blocks, lib.asarray(b), method=method, rng=0)
    whole = numopt.lstsq(lib.asarray(A), lib.asarray(b), method=method, rng=0)
    assert lib.holds(result.x, lib.widest)
    assert result.success
    assert abs(result.residual_norm / whole.residual_norm - 1) <= 1e-5


@pytest.mark.parametrize("method", ["auto", "sketch"])
def test_right_hand_side_and_weights_may_be_mapped(method, tmp_path):
    A, b = random_problem(5000, 6, seed=4)
    weights = np.random.default_rng(5).random(5000)
    stored = mapped(A, tmp_path)
    others = []
    for name, array in (("b", b), ("weights", weights)):
        array.tofile(tmp_path / name)
        others.append(np.memmap(tmp_path / name, dtype=float, mode="r"))
    expected = numopt.lstsq(A, b, method=method, weights=weights, rng=0).x
    for design in (A, stored, pieces(stored)):
        result = numopt.lstsq(design, others[0], method=method, weights=others[1], rng=0)
        assert type(result.x) is np.ndarray
        np.testing.assert_allclose(result.x, expected, rtol=0, atol=1e-12)


def test_blocks_of_different_dtypes_are_promoted():
    A, b = random_problem(5000, 6, seed=6)
    rounded = A.copy()
    rounded[:700] = A[:700].astype("float32")
    blocks = [A[:700].astype("float32"), A[700:]]
    for method in ("direct", "gram", "cholqr", "sketch"):
        result = numopt.lstsq(blocks, b, method=method, rng=0)
        expected = numopt.lstsq(rounded, b, method=method, rng=0).x
        np.testing.assert_allclose(result.x, expected, rtol=0, atol=1e-13)


def test_factor_of_blocks():
    A, b = random_problem(5000, 6, seed=7)
    factor = numopt.lstsq_factor(lambda: iter(pieces(A)))
    np.testing.assert_allclose(factor.solve(b).x, np.linalg.lstsq(A, b)[0], rtol=0, atol=1e-13)


class Changing:
    """Yields blocks that are not the same from some pass on."""

    def __init__(self, A, passes, change):
        self.A, self.passes, self.change = A, passes, change

    def __call__(self):
        self.passes -= 1
        blocks = pieces(self.A)
        return iter(blocks if self.passes >= 0 else self.change(blocks))


CHANGES = {
    "fewer": (lambda blocks: blocks[:-1], r"got 5000 rows of 6, then 2600 of 6"),
    "more": (lambda blocks: [*blocks, blocks[0]], r"got 5000 rows of 6, then more than 5000 of 6"),
    "none": (lambda _: [], r"got 5000 rows of 6, then 0 of 6"),
    "narrower": (lambda blocks: [block[:, 1:] for block in blocks], r"then .* of 5"),
}


@pytest.mark.parametrize("passes", [1, 2, 3])
@pytest.mark.parametrize("method", ["gram", "cholqr", "sketch"])
@pytest.mark.parametrize(("change", "match"), CHANGES.values(), ids=CHANGES.keys())
def test_rows_that_change_between_passes(passes, method, change, match):
    if method == "sketch" and passes == 3:
        pytest.skip("a sketch reads its matrix twice, after its rows have been counted")
    A, b = random_problem(5000, 6, seed=8)
    with pytest.raises(ValueError, match=match):
        numopt.lstsq(Changing(A, passes, change), b, method=method, maxiter=5, tol=1e-30)


def test_an_iterator_cannot_be_read_twice():
    A, b = random_problem(5000, 6, seed=9)
    with pytest.raises(TypeError, match=r"`A` must be re-iterable, .*; give a callable"):
        numopt.lstsq(iter(pieces(A)), b)


BAD = {
    "none": (lambda _: None, TypeError, "`A` must be an array or blocks of its rows, got NoneType"),
    "number": (lambda _: 3.0, TypeError, "`A` must be an array or blocks of its rows, got float"),
    "text": (lambda _: "A", TypeError, "`A` must be an array, got str"),
    "lists": (lambda A: A[:5].tolist(), ValueError, r"`b` must have shape \(5,\)"),
    "words": (lambda _: [["a"], ["b"]], TypeError, "`A` must be an array or a sequence of real"),
    "no-blocks": (lambda _: [], ValueError, "`A` must not be empty, got no blocks"),
    "empty-block": (lambda A: [A[:0], A], ValueError, r"`A` must not be empty, got shape \(0, 6\)"),
    "vector": (lambda A: list(A[:, 0]), ValueError, r"`A` must be a matrix, got shape \(5000,\)"),
    "columns": (
        lambda A: [A[:10], A[10:, :5]],
        ValueError,
        "Blocks of `A` must have the same number of columns, got 6 and 5",
    ),
    "complex": (lambda A: [A * 1j], TypeError, "`A` must hold real numbers"),
    "nan": (
        lambda A: [A[:700], np.where(np.arange(4300)[:, None] == 2, np.nan, A[700:])],
        ValueError,
        r"`A\[700:5000\]` must be finite, got nan at \[2, 0\]",
    ),
}


@pytest.mark.parametrize(("blocks", "kind", "match"), BAD.values(), ids=BAD.keys())
def test_bad_blocks(blocks, kind, match):
    A, b = random_problem(5000, 6, seed=10)
    with pytest.raises(kind, match=match):
        numopt.lstsq(blocks(A), b)


def test_blocks_of_two_libraries():
    strict = pytest.importorskip("array_api_strict")
    A, b = random_problem(100, 6, seed=11)
    with pytest.raises(TypeError, match="`A` and `block` must be of one library"):
        numopt.lstsq([A[:50], strict.asarray(A[50:])], b)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("method", ["sketch", "gram", "cholqr", "iterative"])
def test_the_matrix_is_not_copied(method, dtype, order):
    """What NumPy allocates at the peak is a fraction of A, for arrays of either order."""
    A, b = random_problem(60_000, 40, seed=12)
    A, b = np.asarray(A, dtype=dtype, order=order), b.astype(dtype)
    numopt.lstsq(A[:3000], b[:3000], method=method, sketch_size=200, rng=0)  # compiled before
    tracemalloc.start()
    numopt.lstsq(A, b, method=method, sketch_size=200, rng=0)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    # In float64 the right-hand side, the residual, and blocks of 2 MB come to 6 of these 19 MB.
    assert peak <= 0.45 * A.size * 8


def test_direct_does_copy():
    """The control of the test above: what copies A is seen."""
    A, b = random_problem(60_000, 40, seed=12)
    tracemalloc.start()
    numopt.lstsq(A, b, method="direct")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak >= A.nbytes


ROWS, COLUMNS, HEIGHT, HEADROOM = 1 << 18, 98, 1 << 12, 48 << 20

# OpenBLAS takes its 32 MB for each thread, whatever the matrix.
ONE_THREAD = {**os.environ, "NUMOPT_NUM_THREADS": "1"}

LARGER_THAN_MEMORY = """
import ctypes, resource, sys
import numpy as np
import numopt

path, kind, method, n, d, height, headroom = *sys.argv[1:4], *map(int, sys.argv[4:])
options = {} if method == "gram" else {"sketch_size": 1000}
b = np.fromfile(path + ".b")

def blocks():
    for start in range(0, n, height):
        yield np.fromfile(path, count=height * d, offset=start * d * 8).reshape(-1, d)

# What is loaded and compiled once belongs below the ceiling, and the 32 MB that OpenBLAS takes.
first = np.fromfile(path, count=8 * height * d).reshape(-1, d)
for source in (first, [first]):
    numopt.lstsq(source, b[: 8 * height], method=method, rng=0, **options)
del first, source
ctypes.CDLL(None).malloc_trim(0)
with open("/proc/self/status") as status:
    used = next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmData"))
resource.setrlimit(resource.RLIMIT_DATA, (used + headroom, used + headroom))
try:
    np.empty(headroom * 5 // 4, dtype="int8")
except MemoryError:
    pass
else:
    raise SystemExit("the ceiling does not hold")
whole = np.memmap(path, dtype=float, mode="r", shape=(n, d))
source = whole if kind == "memmap" else blocks
result = numopt.lstsq(source, b, method=method, rng=0, **options)
assert result.success and result.method == method, result
print(*(value.hex() for value in result.x.tolist()))
"""


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """Return the path of a design on disk, and the least squares solution summed up by blocks."""
    path = tmp_path_factory.mktemp("stored") / "design"
    rng = np.random.default_rng(13)
    gram, moment, b = np.zeros((COLUMNS, COLUMNS)), np.zeros(COLUMNS), np.empty(ROWS)
    with open(path, "wb") as file:
        for start in range(0, ROWS, HEIGHT):
            rows = rng.standard_normal(size=(HEIGHT, COLUMNS))
            rows[:, 1] += rows[:, 0]
            right = rows @ np.arange(1.0, COLUMNS + 1) + rng.standard_normal(HEIGHT)
            rows.tofile(file)
            b[start : start + HEIGHT] = right
            gram += rows.T @ rows
            moment += rows.T @ right
    b.tofile(f"{path}.b")
    yield path, np.linalg.solve(gram, moment)
    path.unlink()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="needs a limit on the memory of a process")
@pytest.mark.parametrize("kind", ["memmap", "callable"])
@pytest.mark.parametrize("method", ["sketch", "gram", "cholqr"])
def test_a_matrix_four_times_larger_than_memory(method, kind, stored):
    """A process that may allocate 48 MB solves a problem of 206 MB from disk."""
    path, expected = stored
    assert path.stat().st_size >= 4 * HEADROOM
    numbers = map(str, (ROWS, COLUMNS, HEIGHT, HEADROOM))
    done = subprocess.run(
        [sys.executable, "-c", LARGER_THAN_MEMORY, str(path), kind, method, *numbers],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=250,
        env=ONE_THREAD,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    x = np.array([float.fromhex(value) for value in done.stdout.split()])
    error = np.abs(x - expected).max()
    # With sketches of 1000 rows, errors of deviation 1 / sqrt(1000) on columns of norm one or two.
    assert error <= (0.3 if method == "sketch" else 1e-10)
    assert method != "sketch" or error > 1e-3


def test_a_matrix_in_memory_would_not_fit(stored):
    """The control of the test above: the same process cannot read the matrix as a whole."""
    path, _ = stored
    numbers = map(str, (ROWS, COLUMNS, HEIGHT, HEADROOM))
    code = LARGER_THAN_MEMORY.replace("source = whole if", "source = np.array(whole) if")
    done = subprocess.run(
        [sys.executable, "-c", code, str(path), "memmap", "gram", *numbers],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=250,
        env=ONE_THREAD,
    )
    assert done.returncode == 1
    assert "MemoryError" in done.stderr
