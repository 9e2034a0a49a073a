"""Runs a solver on a cluster of processes, alone or while a worker is killed, as a script.

Workers are spawned, and import the main file again: what tests want of them is run from here.
Prints one line of JSON.
"""

import hashlib
import json
import os
import signal
import sys
import threading
import time
import warnings

import numpy as np

ROWS, COLUMNS, BLOCKS, PAUSE = 1500, 8, 16, 0.05


def rows_of(index, pause=PAUSE):
    """Return one block of [A b], always the same, after a while: as if read from a slow disk."""
    time.sleep(pause)
    rng = np.random.default_rng([11, index])
    A = rng.standard_normal((ROWS, COLUMNS))
    b = A @ np.arange(1.0, COLUMNS + 1) + rng.standard_t(3, ROWS)
    return np.concatenate([A, b[:, None]], axis=1)


def stacked(pause=PAUSE):
    """Return A and b as Dask arrays that are made by tasks."""
    import dask
    import dask.array as da

    parts = [
        da.from_delayed(dask.delayed(rows_of)(k, pause), (ROWS, COLUMNS + 1), dtype=float)
        for k in range(BLOCKS)
    ]
    whole = da.concatenate(parts)
    return whole[:, :COLUMNS], whole[:, COLUMNS]


def sketch(A, b):
    import numopt

    return numopt.lstsq(A, b, method="sketch", sketch_size=200, rng=0)


def refined(A, b):
    import numopt

    return numopt.lstsq(A, b, method="cholqr", rng=0)


def triangle(A, b):
    import numopt

    return numopt.lstsq(A, b, method="direct")


def scores(A, _):
    import numopt

    return numopt.lp_scores(A, 2, kind="leverage")


def iterative(A, b):
    import numopt

    return numopt.lp_regression(A, b, 1.5, method="exact", maxiter=2)


def eigenvector(A, _):
    import numopt

    return numopt.top_eigenvector(A, rng=0)


def entries_of(index, size, shape, pause=PAUSE):
    """Return places and values of one block of entries of a matrix of rank three, after a while."""
    time.sleep(pause)
    m, n = shape
    X, Y = (np.random.default_rng([12, size]).standard_normal((size, 3)) for size in shape)
    # Blocks share no entry: each has the rows of its own remainder.
    rng = np.random.default_rng([13, index])
    places = np.unique(rng.integers(0, m // BLOCKS * n, size))
    rows, columns = places // n * BLOCKS + index, places % n
    order = rng.permutation(places.size)
    values = np.einsum("ij,ij->i", X[rows], Y[columns]) + 0.1 * rng.standard_normal(rows.size)
    return np.stack([rows, columns, values], axis=1)[order]


def chunked_entries(size, shape, pause=PAUSE):
    """Return entries as Dask vectors that are made by tasks."""
    import dask
    import dask.array as da

    parts = [
        da.from_delayed(dask.delayed(entries_of)(k, size, shape, pause), (np.nan, 3), dtype=float)
        for k in range(BLOCKS)
    ]
    whole = da.concatenate(parts).compute_chunk_sizes()
    return whole[:, 0].astype(int), whole[:, 1].astype(int), whole[:, 2], shape


def completion(*_):
    import numopt
    from numopt._entries import distributed

    distributed.PART = 4000
    entries = chunked_entries(2000, (480, 300))
    return numopt.matrix_completion(entries, 3, reg=1.0, maxiter=8, rng=0)


def constrained(A, b):
    import dask.array as da
    from scipy.optimize import LinearConstraint

    import numopt

    f = numopt.RowSum(A, da.where(b > 0, 1.0, -1.0), loss="logistic")
    equation = LinearConstraint(np.ones((1, COLUMNS)), 1.0, 1.0)
    return numopt.minimize_equality(f, np.zeros(COLUMNS), constraints=equation)


def network(A, b):
    import dask.array as da

    import numopt

    labels = da.where(b > 0, 1.0, -1.0)
    return numopt.convex_relu(A, labels, beta=10.0, loss="logistic", n_patterns=5, rng=0)


SOLVERS = {
    "completion": completion,
    "constrained": constrained,
    "network": network,
    "eigenvector": eigenvector,
    "sketch": sketch,
    "refined": refined,
    "triangle": triangle,
    "scores": scores,
    "iterative": iterative,
}


def killing(client, barrier):
    """Kill a worker in the midst of a barrier; return a list that grows with each."""
    pids = list(client.run(os.getpid).values())
    return during(barrier, os.kill, pids[0], signal.SIGKILL)


def during(barrier, function, *arguments):
    """Call a function in the midst of a barrier; return a list that grows with each."""
    from numopt._rows.cluster import Cluster

    seen, compute = [], Cluster.compute

    def compute_and_disturb(self, nodes):
        seen.append(len(seen))
        if len(seen) == barrier:
            threading.Timer(5 * PAUSE, function, arguments).start()
        return compute(self, nodes)

    Cluster.compute = compute_and_disturb
    return seen


def numbers(result):
    """Return the first numbers and a digest of all, which tell whether two results are the same."""
    values = result.x.compute() if hasattr(result.x, "compute") else result.x
    if isinstance(values, tuple):
        values = np.concatenate(values)
    return values.tobytes().hex()[:500], hashlib.sha256(values.tobytes()).hexdigest()


def run(name, barrier):
    from distributed import Client, LocalCluster

    A, b = stacked()
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        before = list(client.run(os.getpid).values())
        seen = killing(client, barrier) if barrier else []
        started = time.perf_counter()
        result = SOLVERS[name](A, b)
        found = numbers(result)
        seconds = time.perf_counter() - started
        client.wait_for_workers(2, timeout=30)
        after = list(client.run(os.getpid).values())
        return {
            "x": found,
            "seconds": seconds,
            "barriers": len(seen),
            "killed": len(set(before) - set(after)),
            "success": bool(result.success),
        }


def closed():
    """Return the error of a solver whose cluster is closed under its feet."""
    from distributed import Client, LocalCluster

    A, b = stacked()
    with (
        LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        during(2, client.close)
        try:
            refined(A, b)
        except RuntimeError as error:
            return {"error": str(error)}
        return {"error": None}


def oversized(limit):
    """Return the error of chunks that are larger than a worker."""
    import dask.array as da
    from distributed import Client, LocalCluster

    import numopt

    rows = 2 * limit // 80
    A = da.random.default_rng(0).standard_normal((2 * rows, 10), chunks=(rows, 10))
    with (
        LocalCluster(
            n_workers=1, threads_per_worker=1, dashboard_address=None, memory_limit=limit
        ) as cluster,
        Client(cluster),
    ):
        try:
            numopt.lstsq(A, A[:, 0], method="gram")
        except ValueError as error:
            return {"error": str(error)}
        return {"error": None}


def watch_memory(dask_worker):
    """Note the largest number of bytes of its own, without files, that a worker holds."""
    dask_worker.peak = 0

    def watch():
        while True:
            with open("/proc/self/status") as status:
                kilobytes = next(line.split()[1] for line in status if line.startswith("RssAnon"))
            dask_worker.peak = max(dask_worker.peak, 1024 * int(kilobytes))
            time.sleep(0.005)

    threading.Thread(target=watch, daemon=True).start()


def peak_memory(dask_worker):
    return dask_worker.peak


def ceiling(name, rows, columns, limit):
    """Return the peak of each worker while they solve a problem larger than all of them."""
    import dask.array as da
    from distributed import Client, LocalCluster

    A = da.random.default_rng(0).standard_normal((rows, columns), chunks=(rows // 40, columns))
    with (
        LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=None, memory_limit=limit
        ) as cluster,
        Client(cluster) as client,
    ):
        client.run(watch_memory)
        result = SOLVERS[name](A, A.sum(axis=1))
        peaks = list(client.run(peak_memory).values())
        return {"success": bool(result.success), "peaks": peaks}


def ceiling_of_entries(size, limit):
    """Return the peak of each worker while they complete a matrix, and the bytes of its entries.

    They do it twice: workers that compile hold some 100 MB more, which Dask takes for a reason to
    pause a small one for good. The second time they load what the first ones left on the disk.
    """
    completed_on_workers(size, 4 * limit)
    return completed_on_workers(size, limit)


def completed_on_workers(size, limit):
    from distributed import Client, LocalCluster

    import numopt

    with (
        LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=None, memory_limit=limit
        ) as cluster,
        Client(cluster) as client,
    ):
        entries = chunked_entries(size, (16_000, 4_000), 0)
        client.run(watch_memory)
        result = numopt.matrix_completion(entries, 3, reg=1.0, maxiter=3, rng=0)
        peaks = list(client.run(peak_memory).values())
        return {
            "share": result.stats["share"],
            "nit": result.nit,
            "peaks": peaks,
            "bytes": entries[2].nbytes * 3,
        }


if __name__ == "__main__":
    warnings.filterwarnings("ignore", message="Port .* is already in use")
    command, *arguments = sys.argv[1:]
    made = {
        "run": lambda name, barrier: run(name, int(barrier)),
        "closed": closed,
        "oversized": lambda limit: oversized(int(limit)),
        "entries": lambda size, limit: ceiling_of_entries(int(size), int(limit)),
        "ceiling": lambda name, *sizes: ceiling(name, *map(int, sizes)),
    }[command](*arguments)
    print(json.dumps(made))  # noqa: T201 - what the test reads
