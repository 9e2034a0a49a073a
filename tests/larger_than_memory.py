"""Solves from disk, or from blocks made on the fly, under a ceiling on the memory of a process.

Run as ``larger_than_memory.py SOLVER KIND PATH ROWS COLUMNS HEADROOM``; prints one line of JSON.
"""

import ctypes
import json
import resource
import sys
import time

import numpy as np

import numopt

HEIGHT = 5000


def block(index, columns):
    """Return a block of A and its responses, always the same."""
    rng = np.random.default_rng([3, index])
    A = rng.standard_normal((HEIGHT, columns))
    A[:, 0] *= 3
    return A, A @ np.ones(columns) + rng.standard_t(2, HEIGHT)


def written(path, rows, columns):
    """Write the matrix to disk if it is not there; return the responses, and the seconds."""
    responses = path + f".{rows}.b.npy"
    try:
        return np.load(responses)
    except FileNotFoundError:
        pass
    stored = np.lib.format.open_memmap(path, mode="w+", shape=(rows, columns))
    b = np.empty(rows)
    for index in range(rows // HEIGHT):
        part = slice(index * HEIGHT, (index + 1) * HEIGHT)
        stored[part], b[part] = block(index, columns)
    stored.flush()
    np.save(responses, b)
    return b


def least_squares(source, b):
    return numopt.lstsq(source, b, method="cholqr", rng=0)


def absolute(source, b):
    return numopt.lp_regression(source, b, 1, rng=0, method="reduce")


def powers(source, b):
    return numopt.lp_regression(source, b, 1.5, rng=0, method="reduce")


def eigenvector(source, _):
    return numopt.top_eigenvector(numopt.row_blocks(source), rng=0)


def one_pass(source, _):
    """Return the Gram matrix of the rows by blocks that are read ahead."""
    gram = sum(part.T @ part for part in numopt.row_blocks(source))
    return numopt.Result(x=np.linalg.eigvalsh(gram), success=True)


SOLVERS = {
    "least_squares": least_squares,
    "absolute": absolute,
    "powers": powers,
    "eigenvector": eigenvector,
    "one_pass": one_pass,
}


def hold(headroom):
    """Let this process allocate no more than so many bytes from here on, files aside."""
    ctypes.CDLL(None).malloc_trim(0)
    with open("/proc/self/status") as status:
        used = next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmData"))
    resource.setrlimit(resource.RLIMIT_DATA, (used + headroom,) * 2)
    try:
        np.empty(headroom * 5 // 4, dtype="int8")
    except MemoryError:
        return
    raise SystemExit("the ceiling does not hold")


def main(solver, kind, path, rows, columns, headroom):
    solve = SOLVERS[solver]
    b = written(path, rows, columns)
    if kind == "callable":
        count = rows // HEIGHT
        source = lambda: (block(index, columns)[0] for index in range(count))  # noqa: E731
    else:
        source = np.load(path, mmap_mode="r") if kind == "memmap" else [path]
    # What is loaded and compiled once belongs below the ceiling, as does what BLAS keeps.
    first = np.concatenate([block(index, columns)[0] for index in range(12)])
    for warm in (first, [first]):
        solve(warm, b[: first.shape[0]])
    del first, warm
    hold(headroom)
    started = time.perf_counter()
    result = solve(source, b)
    return {
        "success": bool(result.success),
        "seconds": time.perf_counter() - started,
        "n_passes": result.get("stats", {}).get("n_passes", 1),
        "error": float(np.abs(result.x - 1).max()),
    }


if __name__ == "__main__":
    *words, rows, columns, headroom = sys.argv[1:]
    made = main(*words, int(rows), int(columns), int(headroom))
    print(json.dumps(made))  # noqa: T201 - what the test reads
