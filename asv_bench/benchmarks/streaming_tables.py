"""Tables of the top eigenvector of a stream: accuracy, speed, order, sparse rows, disk."""

import gc
import resource
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np

import numopt
from numopt._kernels.streaming import gram_product

from . import streaming_cases as cases
from .streaming_cases import QUICK

ACCURACY_ROWS = (2000, 48) if QUICK else (40_000, 256)
SPEED_ROWS = (3000, 64) if QUICK else (200_000, 512)
REPEATS = 1 if QUICK else 3
RATIOS = (3.4,) if QUICK else (1.2, 1.5, 2.0, 4.0, 5.5, 10.0)  # 5.5 is the logarithm of d
SPARSE = (2000, 500) if QUICK else (1_000_000, 20_000)
SEEDS = 1 if QUICK else 5


def timed(function):
    gc.collect()
    start = time.perf_counter()
    result = function()
    return time.perf_counter() - start, result


def best_of(function, repeats=5):
    return min(timed(function)[0] for _ in range(repeats))


def accuracy_rows(seeds=SEEDS, names=None):
    """Yield the median error of every method with the same memory, and of the best other one."""
    streams = [("flat", ratio) for ratio in RATIOS]
    streams += [("power law", 1.5), ("basis rows", 3.4), ("heavy carriers", 2.3)]
    streams += [("heavy random", 3.4)]
    for family, ratio in streams:
        if names and family not in names:
            continue
        errors, picks = {"numopt": []} | {name: [] for name in cases.PEERS}, []
        for seed in range(seeds):
            A = cases.FAMILIES[family](np.random.default_rng(seed), *ACCURACY_ROWS, ratio)
            v = cases.spectrum(A)[1][:, 0]
            result = numopt.top_eigenvector(A, memory_rows=cases.MEMORY, rng=seed)
            picks.append(result.method_used)
            errors["numopt"].append(cases.sin2(result.x, v))
            for name, peer in cases.PEERS.items():
                errors[name].append(cases.sin2(peer(A), v))
        medians = {name: float(np.median(values)) for name, values in errors.items()}
        best = min(cases.PEERS, key=medians.get)
        quotient = (medians["numopt"] + 1e-15) / (medians[best] + 1e-15)
        yield {
            "case": f"{family}, R = {ratio:g}",
            **{name: f"{value:.1e}" for name, value in medians.items()},
            "track": max(set(picks), key=picks.count),
            "best other": best,
            "ratio": f"{quotient:.2g}",
            "goal": "1.5",
            "met": "yes" if quotient <= 1.5 else "no",
        }


def speed_rows(repeats=REPEATS):
    """Yield rows read a second by each method, in turn in one process, and their errors."""
    n, d = SPEED_ROWS
    wide = cases.flat(np.random.default_rng(0), n, d, 4.0)
    v = cases.spectrum(wide)[1][:, 0]
    for dtype in ("float64", "float32"):
        A = wide.astype(dtype)
        few = A[: max(n // 25, 2048)]
        bandwidth = A.nbytes / best_of(lambda A=A: A.sum()) / 1e9
        contenders = {
            "numopt": (A, lambda rows: numopt.top_eigenvector(rows, rng=0).x),
            "IncrementalPCA, 32 rows": (few, lambda rows: cases.plain_incremental_pca(rows, 32)),
            "IncrementalPCA, 2048 rows": (
                few,
                lambda rows: cases.plain_incremental_pca(rows, 2048),
            ),
            "AdaOja": (few, cases.ada_oja),
            "Frequent Directions": (few, cases.frequent_directions),
            "svds": (A, one_singular_vector),
        }
        rates = dict.fromkeys(contenders, 0.0)
        answers = {}
        numopt.top_eigenvector(few, rng=0)
        for _ in range(repeats):
            for name, (rows, solve) in contenders.items():
                seconds, answers[name] = timed(lambda solve=solve, rows=rows: solve(rows))
                rates[name] = max(rates[name], len(rows) / seconds)
        whole = {
            name: cases.sin2(x, v) if len(contenders[name][0]) == n else None
            for name, x in answers.items()
        }
        whole["IncrementalPCA, 32 rows"] = cases.sin2(cases.plain_incremental_pca(A, 32), v)
        for name, rate in rates.items():
            ratio = rates["numopt"] / rate
            goal = 40 if name == "IncrementalPCA, 32 rows" else None
            yield {
                "case": f"{dtype}, {name}",
                "rows/s": f"{rate:.3g}",
                "error": "" if whole[name] is None else f"{whole[name]:.1e}",
                "numopt is faster by": "" if name == "numopt" else f"{ratio:.3g}",
                "of the read limit": f"{rate * d * A.itemsize / 1e9 / bandwidth:.2f}",
                "goal": goal or "",
                "met": "" if goal is None else "yes" if ratio >= goal else "no",
            }


def one_singular_vector(A):
    from scipy.sparse.linalg import svds

    return svds(A, k=1, random_state=0)[2][0]


def kernel_rows():
    """Yield the rate at which a fused product reads its rows, against NumPy and plain reading."""
    for dtype in ("float64", "float32"):
        for d in (64,) if QUICK else (64, 512, 4096):
            entries = 1 << (14 if QUICK else 20)
            X = np.random.default_rng(0).normal(size=(entries // d, d)).astype(dtype)
            read = best_of(lambda X=X: X.sum(), 15)
            for k, goal in ((1, 0.6), (4, None), (8, 0.3)):
                Z = np.random.default_rng(1).normal(size=(d, k)).astype(dtype)
                gram_product(X, Z)
                own = best_of(lambda X=X, Z=Z: gram_product(X, Z), 15)
                other = best_of(lambda X=X, Z=Z: X.T @ (X @ Z), 15)
                yield {
                    "case": f"{dtype}, d = {d}, k = {k}",
                    "GB/s": f"{X.nbytes / own / 1e9:.1f}",
                    "of reading": f"{read / own:.2f}",
                    "NumPy, GB/s": f"{X.nbytes / other / 1e9:.1f}",
                    "faster by": f"{other / own:.2f}",
                    "goal": goal or "",
                    "met": "" if goal is None else "yes" if read / own >= goal else "no",
                }


def order_rows():
    """Yield errors on streams in an order that is anything but random."""
    for name, A in ordered():
        values, vectors = cases.spectrum(A)
        result = numopt.top_eigenvector(A, rng=0)
        own = cases.sin2(result.x, vectors[:, 0])
        other = cases.sin2(cases.incremental_pca(A), vectors[:, 0])
        met = own <= other + 1e-15 and (result.order_pvalue < 1e-4 or result.sin2_bound < 1e-2)
        yield {
            "case": name,
            "size": f"{A.shape[0]} x {A.shape[1]}",
            "R": f"{values[0] / values[1]:.3g}",
            "numopt": f"{own:.1e}",
            "IncrementalPCA": f"{other:.1e}",
            "p-value": f"{result.order_pvalue:.0e}",
            "bound": f"{result.sin2_bound:.1e}",
            "met": "yes" if met else "no",
        }


def ordered():
    A = cases.flat(np.random.default_rng(0), 8000, 64, 3.5)
    v = cases.spectrum(A)[1][:, 0]
    yield "falling along the eigenvector", A[np.argsort(-np.abs(A @ v))]
    yield "falling in length", A[np.argsort(-(A**2).sum(axis=1))]
    yield "rising in length", A[np.argsort((A**2).sum(axis=1))]
    from sklearn.datasets import load_digits

    digits, labels = load_digits(return_X_y=True)
    yield "digits by class", digits[np.argsort(labels, kind="stable")]
    file = Path(__file__).parents[2] / "examples" / "data" / "photographs.npz"
    with np.load(file) as data:
        picture = data["coffee"].astype(float).mean(axis=2)
    windows = np.lib.stride_tricks.sliding_window_view(picture, (8, 8))
    yield "patches of a photograph in order", windows.reshape(-1, 64).copy()


def sparse_rows():
    """Yield rows a second and memory for sparse rows, each method in a process of its own."""
    n, d = SPARSE
    few = max(n // 250, 200)
    for method, count in (("numopt", n), ("IncrementalPCA", few)):
        command = [sys.executable, "-m", "benchmarks.streaming_tables", method, str(count), str(d)]
        folder = Path(__file__).parents[1]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
        rate, memory, before = map(float, done.stdout.split())
        yield {
            "case": method,
            "size": f"{count} x {d}",
            "rows/s": f"{rate:.3g}",
            "MB": f"{memory:.0f}",
            "MB of imports": f"{before:.0f}",
        }


def measure_sparse(method, n, d):
    """Print rows a second without the time to make them, and memory at the most."""
    if method == "numopt":
        model = numopt.StreamingEigenvector(rng=0)
    else:
        from sklearn.decomposition import IncrementalPCA

        model = IncrementalPCA(8)
    model.partial_fit(next(cases.sparse_chunks(32, d, 32, seed=1)).toarray())
    if method == "numopt":
        model = numopt.StreamingEigenvector(rng=0)
        model.partial_fit(next(cases.sparse_chunks(32, d, 32, seed=1)))
    before, seconds = peak_mb(), 0.0
    for chunk in cases.sparse_chunks(n, d, 1000 if method == "numopt" else 32):
        if method == "numopt":
            seconds += timed(lambda chunk=chunk: model.partial_fit(chunk))[0]
        else:
            seconds += timed(lambda chunk=chunk: model.partial_fit(chunk.toarray()))[0]
    print(n / seconds, peak_mb(), before)


def peak_mb():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def disk_rows(folder, gigabytes):
    """Yield the rate of a pass over a file larger than a chunk, against plain reading."""
    d, path = 256, Path(folder) / "stream.npy"
    n = int(gigabytes * 1e9 / d / 4)
    rng = np.random.default_rng(0)
    try:
        out = np.lib.format.open_memmap(path, "w+", np.float32, (n, d))
        for start in range(0, n, 20_000):
            rows = rng.normal(size=(min(20_000, n - start), d)).astype(np.float32)
            rows[:, 0] *= 2
            out[start : start + 20_000] = rows
        out.flush()
        del out
        forget(path)
        plain, _ = timed(lambda: read_plainly(path))
        forget(path)
        mapped = np.load(path, mmap_mode="r")
        own, result = timed(lambda: numopt.top_eigenvector(mapped, rng=0))
    finally:
        path.unlink(missing_ok=True)
    yield {
        "case": f"{gigabytes:g} GB",
        "numopt, GB/s": f"{gigabytes / own:.2f}",
        "plain reading, GB/s": f"{gigabytes / plain:.2f}",
        "share": f"{plain / own:.2f}",
        "bound": f"{result.sin2_bound:.1e}",
        "estimate": f"{result.sin2_estimate:.1e}",
        "goal": "0.8",
        "met": "yes" if plain / own >= 0.8 else "no",
    }


def forget(path):
    """Ask the system to drop what it holds of a file."""
    import os

    with path.open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def read_plainly(path):
    with path.open("rb", buffering=0) as file:
        buffer = bytearray(16 << 20)
        while file.readinto(buffer):
            pass


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    measure_sparse(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
