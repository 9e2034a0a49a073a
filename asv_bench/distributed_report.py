"""Measure numopt on clusters of processes and on files larger than memory; print and store it.

Every contender runs in a process of its own, on a cluster of its own with workers of one thread,
500 MB each (Dask's own triangle gets 2 GB), on data that tasks make from a seed. Memory is what a
worker holds of its own, without files, looked at every 5 ms. Accuracy is measured here, from what
came back.

    python asv_bench/distributed_report.py                   every case: some twenty minutes
    python asv_bench/distributed_report.py --cases tsqr      some; their rows are replaced
    python asv_bench/distributed_report.py --scale 0.1       a tenth of the rows
    python asv_bench/distributed_report.py --folder DIR      other files than those of the docs
    python asv_bench/distributed_report.py --quick           the machinery; no file is written
"""

import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import contextmanager, nullcontext
from pathlib import Path

import command_line
import numpy as np
import report

PACKAGES = ("numopt-solvers", "numpy", "dask", "distributed")
BLOCKS = 40
MEMORY = 500_000_000


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


def warm_up():
    """Load what a worker needs, and compile it: that is not what is compared."""
    import numopt

    A = np.random.default_rng(0).standard_normal((60_000, 8))
    numopt.lstsq([A, A], np.concatenate([A[:, 0], A[:, 0]]), method="sketch", rng=0)
    numopt.lstsq([A, A], np.concatenate([A[:, 0], A[:, 0]]), method="cholqr", rng=0)
    numopt.top_eigenvector(A, rng=0)
    objective = numopt.RowSum(A, np.sign(A[:, 0]), loss="logistic")
    objective.value_and_gradient(np.zeros(8)), objective.hessian(np.zeros(8))

    numopt.convex_relu([A[:200]], A[:200, 0], beta=1.0, n_patterns=2, rng=0)


@contextmanager
def cluster(workers, memory=MEMORY):
    """Give a client of processes that have compiled what they need."""
    from distributed import Client, LocalCluster

    with (
        LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            dashboard_address=None,
            memory_limit=memory,
            silence_logs=50,
        ) as made,
        Client(made) as client,
    ):
        client.run(warm_up)
        client.run(watch_memory)
        yield client


def timed(client, function):
    """Return a result, with seconds and the largest peak in MB added to a dictionary."""
    started = time.perf_counter()
    found = function()
    seconds = time.perf_counter() - started
    peaks = client.run(peak_memory).values()
    return found, {"seconds": seconds, "MB": max(peaks) / 1e6}


def normal(rows, columns, blocks=BLOCKS):
    import dask.array as da

    chunks = (-(-rows // blocks), columns)
    return da.random.default_rng(0).standard_normal((rows, columns), chunks=chunks)


def with_gap(rows, columns):
    """Return rows whose first direction has three times the variance of the others."""
    scale = np.ones(columns)
    scale[0] = 3**0.5
    Q = np.linalg.qr(np.random.default_rng(1).standard_normal((columns, columns)))[0]
    return normal(rows, columns) @ (scale[:, None] * Q), Q[0]


def tsqr(contender, rows):
    import dask.array as da

    import numopt

    # Dask's triangle does not end on workers of 500 MB: they are killed again and again.
    with cluster(2, MEMORY if contender == "numopt" else 4 * MEMORY) as client:
        A = normal(rows, 256)
        if contender == "numopt":
            factor, made = timed(client, lambda: numopt.lstsq_factor(A, method="direct"))
            made["deviation"] = float(abs(factor.cond_estimate - 1))
        else:
            R, made = timed(client, lambda: da.linalg.tsqr(A)[1].compute())
            made["deviation"] = float(abs(np.linalg.cond(R / np.linalg.norm(R, axis=0)) - 1))
        return made


def workers(contender, rows):
    import numopt

    count = {"two workers": 2, "one worker": 1}[contender]
    with cluster(count) as client:
        A = normal(rows, 64)
        b = A.sum(axis=1) + normal(rows, 1)[:, 0]
        found, made = timed(
            client, lambda: numopt.lstsq(A, b, method="sketch", sketch_size=1024, rng=0)
        )
        made["deviation"] = float(np.abs(found.x - 1).max())
        return made


def eigenvector(contender, rows):
    import dask.array as da

    import numopt

    with cluster(2) as client:
        A, _ = with_gap(rows, 256)
        if contender == "numopt":
            found, made = timed(client, lambda: numopt.top_eigenvector(A, rng=0).x)
        else:
            # Two iterations leave a squared sine of 0.03.
            (_, _, V), made = timed(
                client,
                lambda: __import__("dask").compute(
                    *da.linalg.svd_compressed(A, 1, n_power_iter=4, compute=False)
                ),
            )
            found = V[0]
        exact = np.linalg.eigh((A.T @ A).compute())[1][:, -1]
        made["deviation"] = float(max(0.0, 1 - (found @ exact) ** 2))
        return made


def completion(contender, rows):
    """Return the seconds of a sweep over so many entries, ten columns, and of the entries' way in.

    The deviation is that of the residual from the noise.
    """
    import numopt

    shape, options = (rows // 200, rows // 1000), {"reg": 1.0, "tol": 1e-15, "rng": 0}
    entries = random_entries(rows, shape)
    if contender == "in memory":
        entries = (*(x.compute(scheduler="synchronous") for x in entries[:3]), shape)
        client = nullcontext()
    else:
        client = cluster({"two workers": 2, "one worker": 1}[contender], 4 * MEMORY)
    with client as active:
        numopt.matrix_completion((*(x[:60_000] for x in entries[:3]), shape), 10, maxiter=2)
        found = numopt.matrix_completion(entries, 10, maxiter=6, **options)
        peaks = [0.0] if active is None else active.run(peak_memory).values()
        times = [record["seconds"] for record in found.history]
        return {
            "seconds": (times[-1] - times[1]) / (len(times) - 2),
            "MB": max(peaks) / 1e6,
            "deviation": abs(found.residual / NOISE - 1),
        }


NOISE = 0.1


def random_entries(count, shape):
    """Return entries of a matrix of rank ten and norm about one an entry, and noise."""
    import dask
    import dask.array as da

    made = [dask.delayed(_entries)(k, count // BLOCKS, shape) for k in range(BLOCKS)]
    columns = []
    for j, dtype in enumerate(("int32", "int32", "float64")):
        parts = [da.from_delayed(part[j], (count // BLOCKS,), dtype=dtype) for part in made]
        columns.append(da.concatenate(parts))
    return (*columns, shape)


def _entries(index, count, shape):
    """Return places without repetition, a share of the rows for each block, and values."""
    m, n = shape
    X, Y = (np.random.default_rng([1, size]).standard_normal((size, 10)) for size in shape)
    rng = np.random.default_rng([2, index])
    places = rng.choice(m // BLOCKS * n, count, replace=False)
    rows, columns = places // n * BLOCKS + index, places % n
    values = np.einsum("ij,ij->i", X[rows], Y[columns]) / 10**0.5
    values += NOISE * rng.standard_normal(count)
    return rows.astype("int32"), columns.astype("int32"), values


def constrained(contender, rows):
    """Solve a logistic regression of 50 columns with five linear equations."""
    import dask.array as da
    from scipy.optimize import LinearConstraint

    import numopt

    rng = np.random.default_rng(2)
    truth, C = rng.standard_normal(50) / 7, rng.standard_normal((5, 50))
    equations = LinearConstraint(C, C @ truth, C @ truth)

    def solved(A, b):
        f = numopt.RowSum(A, b, loss="logistic", mean=True)
        return numopt.minimize_equality(f, np.zeros(50), constraints=equations)

    A, b = labeled(rows, truth)
    if contender == "in memory":
        A, b = da.compute(A, b)
        solved(A[:60_000], b[:60_000])  # compiles
        started = time.perf_counter()
        found, made = solved(A, b), {"MB": A.nbytes / 1e6}
        made["seconds"] = time.perf_counter() - started
    else:
        with cluster({"two workers": 2, "one worker": 1}[contender]) as client:
            found, made = timed(client, lambda: solved(A, b))
    print(
        contender,
        found.message,
        found.get("n_passes", found.stats.get("n_passes")),
        "passes",
        file=sys.stderr,
    )
    made["deviation"] = max(found.optimality, found.infeasibility)
    return made


def labeled(rows, truth):
    """Return rows with labels that follow a linear model, a task for each chunk of both."""
    import dask
    import dask.array as da

    size, width = rows // BLOCKS, truth.size
    made = [dask.delayed(_labeled)(k, size, truth) for k in range(BLOCKS)]
    both = da.concatenate([da.from_delayed(x, (size, width + 1), dtype=float) for x in made])
    return both[:, :width], both[:, width]


def _labeled(index, size, truth):
    # Evenly distributed numbers, which cost about what is then done with them.
    rng = np.random.default_rng([3, index])
    both = 3.5 * (rng.random((size, truth.size + 1), dtype="float32").astype(float) - 0.5)
    both[:, -1] = np.where(both[:, :-1] @ truth + both[:, -1] > 0, 1.0, -1.0)
    return both


def relu(loss, contender, rows):
    """Return the seconds to a certified gap of 1e-3 of a network, 20 patterns of 10 features."""
    import numopt

    count = {"two workers": 2, "one worker": 1}[contender]
    with cluster(count) as client:
        X = normal(rows, 10)
        y = abs(X[:, 0]) - 0.5 * X[:, 9] + 0.1 * X[:, 1] * X[:, 2]
        if loss != "squared":
            y = 1.0 - 2.0 * (y < 0.3)
        found, made = timed(
            client,
            lambda: numopt.convex_relu(X, y, beta=1e-4 * rows, loss=loss, n_patterns=20, rng=0),
        )
        made["deviation"] = found.gap
        return made


def relu_here(contender, rows):
    """Return the seconds of the same in one process, by sums over rows and on all constraints."""
    import numopt

    X = np.random.default_rng(0).standard_normal((rows, 10))
    y = abs(X[:, 0]) - 0.5 * X[:, 9] + 0.1 * X[:, 1] * X[:, 2]
    numopt.convex_relu(X[:200], y[:200], beta=1.0, n_patterns=2, rng=0)
    started = time.perf_counter()
    found = numopt.convex_relu(X, y, beta=1e-4 * rows, n_patterns=20, method=contender, rng=0)
    seconds = time.perf_counter() - started
    return {"seconds": seconds, "MB": _peak_here() / 1e6, "deviation": found.gap}


def _peak_here():
    """Return the largest number of bytes this process has held."""
    import resource

    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def barrier(contender, rows):
    """Return the seconds of a pass over so many blocks that does next to nothing."""
    from functools import partial

    from numopt._rows import RowBlocks

    count = int(contender.split()[0])
    with cluster(2) as client:
        blocks = RowBlocks("A", normal(10 * count, 4, count))
        blocks.fold(partial(_first, 0))
        seconds = []
        for k in range(10):
            started = time.perf_counter()
            blocks.fold(partial(_first, k))
            seconds.append(time.perf_counter() - started)
        peaks = client.run(peak_memory).values()
        return {"seconds": statistics.median(seconds), "MB": max(peaks) / 1e6, "deviation": 0.0}


def _first(_, block, rows):
    return block[0]


def kill(contender, rows):
    import numopt

    with cluster(2) as client:
        A = normal(rows, 64)
        if contender == "one killed":
            (pid, _) = client.run(os.getpid).values()
            threading.Timer(2.0, os.kill, (pid, signal.SIGKILL)).start()
        started = time.perf_counter()
        found = numopt.lstsq(A, A.sum(axis=1), method="sketch", sketch_size=1024, rng=0)
        seconds = time.perf_counter() - started
        return {"seconds": seconds, "MB": 0.0, "deviation": float(found.x.sum())}


def disk(contender, rows):
    """Return the seconds of a pass over a file of 256 columns in 300 MB, or of reading it."""
    import resource

    import numopt

    with tempfile.TemporaryDirectory(dir=os.environ.get("NUMOPT_BENCH_DISK")) as folder:
        path = str(Path(folder) / "large.npy")
        stored = np.lib.format.open_memmap(path, mode="w+", shape=(rows, 256))
        rng = np.random.default_rng(0)
        part = rng.standard_normal((20_000, 256))
        for start in range(0, rows, 20_000):
            stored[start : start + 20_000] = part[: rows - start]
        stored.flush()
        del stored, part
        _forgotten(path)
        if contender == "cat":
            started = time.perf_counter()
            subprocess.run(["cat", path], stdout=subprocess.DEVNULL, check=True)
            return {"seconds": time.perf_counter() - started, "MB": 0.0, "deviation": 0.0}
        x = np.ones(256)
        sum(float((block @ x).sum()) for block in numopt.row_blocks(np.ones((100, 256))))
        with open("/proc/self/status") as status:
            used = next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmDat"))
        resource.setrlimit(resource.RLIMIT_DATA, (used + 300_000_000,) * 2)
        started = time.perf_counter()
        total = sum(float((block @ x).sum()) for block in numopt.row_blocks([path]))
        return {"seconds": time.perf_counter() - started, "MB": 300.0, "deviation": 0.0 * total}


def _forgotten(path):
    """Ask the system to drop a file from its cache: it is to be read from the disk."""
    with open(path, "rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def relu_squared(contender, rows):
    return relu("squared", contender, rows)


def relu_logistic(contender, rows):
    return relu("logistic", contender, rows)


def relu_hinge(contender, rows):
    return relu("hinge", contender, rows)


# Function, rows, ours, theirs, and the least ratio of their time to ours.
CASES = {
    "tsqr": (tsqr, 800_000, "numopt", "dask tsqr", 8.0),
    "workers": (workers, 4_000_000, "two workers", "one worker", 1.7),
    "eigenvector": (eigenvector, 800_000, "numopt", "svd_compressed", 5.0),
    "completion": (completion, 20_000_000, "two workers", "one worker", 1.5),
    "completion-memory": (completion, 20_000_000, "two workers", "in memory", None),
    "constrained": (constrained, 2_000_000, "two workers", "one worker", 1.7),
    "constrained-memory": (constrained, 2_000_000, "two workers", "in memory", None),
    "relu-squared": (relu_squared, 1_000_000, "two workers", "one worker", None),
    "relu-logistic": (relu_logistic, 1_000_000, "two workers", "one worker", None),
    "relu-hinge": (relu_hinge, 1_000_000, "two workers", "one worker", None),
    "relu-here": (relu_here, 20_000, "rows", "interior", None),
    "barrier-10": (barrier, 0, "10 blocks", None, 0.15),
    "barrier-40": (barrier, 0, "40 blocks", None, 0.15),
    "barrier-160": (barrier, 0, "160 blocks", None, None),
    "barrier-640": (barrier, 0, "640 blocks", None, None),
    "kill": (kill, 4_000_000, "one killed", "none killed", 1 / 1.7),
    "disk": (disk, 5_000_000, "numopt", "cat", 0.8),
}


def rows_of(names, scale, limit):
    for name in names:
        _, rows, ours, theirs, target = CASES[name]
        rows = max(1000, int(rows * scale))
        found = [measured(name, who, rows, limit) for who in (ours, theirs) if who]
        yield row_of(name, rows, ours, theirs, target, found)


def measured(name, contender, rows, limit):
    """Return what one contender does in a process of its own; None where that takes too long."""
    command = [sys.executable, __file__, "--one", name, contender, str(rows)]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=limit, env=one_thread()
        )
    except subprocess.TimeoutExpired:
        return None
    if done.returncode:
        sys.stderr.write(done.stderr[-2000:])
        return None
    return json.loads(done.stdout.strip().splitlines()[-1])


def one_thread():
    return {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


def row_of(name, rows, ours, theirs, target, found):
    mine, other = found[0], found[1] if theirs else None
    ratio = other["seconds"] / mine["seconds"] if mine and other else None
    reached = ratio if theirs else (mine["seconds"] if mine else None)
    met = ""
    if target is not None:
        good = reached is not None and (reached >= target if theirs else reached <= target)
        met = "yes" if good else "no"
    return {
        "case": name,
        "rows": rows,
        "ours": ours,
        "seconds": _short(mine, "seconds"),
        "MB": _short(mine, "MB"),
        "deviation": _short(mine, "deviation"),
        "rival": theirs or "",
        "rival seconds": _short(other, "seconds"),
        "rival MB": _short(other, "MB"),
        "rival deviation": _short(other, "deviation"),
        "ratio": "" if ratio is None else f"{ratio:.3g}",
        "target": "" if target is None else f"{target:.3g}",
        "met": met,
    }


def _short(found, key):
    return "" if found is None else f"{found[key]:.3g}"


def main():
    options = parsed_arguments()
    if options.one:
        name, contender, rows = options.one
        print(json.dumps(CASES[name][0](contender, int(rows))))
        return
    cases = command_line.checked_cases(options, CASES)
    machine = report.describe_machine(2, PACKAGES)
    print(machine, flush=True)
    scale = 0.01 if options.quick else options.scale
    rows = rows_of(cases, scale, options.limit)
    report.publish("distributed", rows, machine, options)


def parsed_arguments():
    return command_line.parsed(
        __doc__,
        command_line.CASES,
        command_line.option("--scale", "share of the rows (1)", type=float, default=1.0),
        command_line.limit(900.0, "seconds of a contender (900)"),
        command_line.FOLDER,
        command_line.QUICK,
        command_line.option("--one", command_line.HIDDEN, nargs=3),
    )


if __name__ == "__main__":
    main()
