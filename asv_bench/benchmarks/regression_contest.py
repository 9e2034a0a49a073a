"""One contender on one regression case, in a process of its own with a limit to its time.

Each takes the layout of A it likes best, which is prepared and not timed.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
from scipy import linalg, sparse

from . import regression_cases as cases
from .cases import QUICK
from .contest import failure, thread_settings

REPEATS, ENOUGH = (1, 1.0) if QUICK else (7, 2.0)  # runs, or seconds in all
MANY = 1_000_000
THREADS = (2, 1)


class Contender(NamedTuple):
    """`group` names the goals it counts for; `prepare` returns the call that is timed."""

    group: str
    kinds: tuple[str, ...]
    prepare: object
    options: Mapping = MappingProxyType({})


class Outcome(NamedTuple):
    """`seconds` is None where it did not finish: `why` says limit or crashed.

    `extra_mb` is the memory its calls took beyond the data and the imports.
    """

    seconds: float | None
    limit: float
    error: float = float("inf")
    why: str = ""
    threads: int = 0
    extra_mb: float = 0.0
    note: str = ""


# Every `prepare(A, b)` returns a function without arguments, whose result is an array or a pair of
# an array and a note on how it was found.


def numopt_solver(A, b, **options):
    import numopt

    def solve():
        result = numopt.lstsq(A, b, rng=0, **options)
        return result.x, f"{result.method}, {result.n_passes} passes"

    return solve


def lapack(A, b, *, driver):
    A = np.asfortranarray(A)
    return lambda: linalg.lstsq(A, b, lapack_driver=driver, check_finite=False)[0]


def numpy_solver(A, b):
    return lambda: np.linalg.lstsq(A, b)[0]


def krylov(A, b, *, name, tol):
    solve = getattr(sparse.linalg, name)
    limit = {"lsqr": "iter_lim", "lsmr": "maxiter"}[name]

    def run():
        found = solve(A, b, atol=tol, btol=tol, conlim=0, **{limit: MANY})
        return found[0], f"{found[2]} iterations"

    return run


def normal_equations(A, b):
    def solve():
        factor = linalg.cho_factor(A.T @ A, overwrite_a=True, check_finite=False)
        return linalg.cho_solve(factor, A.T @ b, check_finite=False)

    return solve


def srht(A, b):
    import numopt

    S = numopt.sketching.SRHT(cases.SKETCH_ROWS, A.shape[0], rng=0)
    return lambda: S.apply(A)


def clarkson_woodruff(A, b):
    return lambda: linalg.clarkson_woodruff_transform(A, cases.SKETCH_ROWS, rng=0)


def one_pass(A, b):
    p = np.ones(A.shape[1])
    return lambda: A @ p


def fused(A, p):
    from numopt._kernels.least_squares import residual_gradient

    column = p[:, None]
    return lambda: -residual_gradient(A, None, column, None)[0][:, 0]


def two_products(A, p):
    return lambda: A.T @ (A @ p)


DENSE, LEAST_SQUARES = ("dense",), ("dense", "sparse")
CONTENDERS = {
    "numopt": Contender("numopt", LEAST_SQUARES, numopt_solver),
    "scipy gelsd": Contender("LAPACK", DENSE, lapack, {"driver": "gelsd"}),
    "scipy gelsy": Contender("LAPACK", DENSE, lapack, {"driver": "gelsy"}),
    "numpy lstsq": Contender("LAPACK", DENSE, numpy_solver),
    "normal equations": Contender("normal equations", DENSE, normal_equations),
    **{
        f"{name} {tol:g}": Contender("Krylov", LEAST_SQUARES, krylov, {"name": name, "tol": tol})
        for name in ("lsqr", "lsmr")
        for tol in (1e-14, 1e-15)
    },
    "numopt SRHT": Contender("numopt", ("sketch",), srht),
    "scipy clarkson_woodruff_transform": Contender("CountSketch", ("sketch",), clarkson_woodruff),
    "A @ p": Contender("one pass", ("sketch",), one_pass),
    "numopt fused": Contender("numopt", ("product",), fused),
    "A @ p, A.T @ r": Contender("two products", ("product",), two_products),
}


class Contest:
    """All measurements on one case: the data lie in files that every process loads."""

    def __init__(self, name, folder, limit=None):
        self.name, self.case, self.folder = name, cases.CASES[name], Path(folder)
        self.limit = limit or self.case.limit
        problem = cases.make(self.case)
        self.yardstick = cases.Yardstick(self.case.kind, problem)
        save(self.folder, problem)

    def contenders(self):
        return {name: c for name, c in CONTENDERS.items() if self.case.kind in c.kinds}

    def best(self, contender):
        """Outcome with the best of two and one BLAS threads; numopt chooses its own threads.

        Who runs out of time on two threads is not asked again.
        """
        first = self.measure(contender, THREADS[0])
        if CONTENDERS[contender].group == "numopt" or first.seconds is None:
            return first
        return min(first, self.measure(contender, THREADS[1]), key=lambda o: o.seconds or np.inf)

    def measure(self, contender, threads):
        task = [contender, str(self.folder), self.limit]
        done = subprocess.run(
            [sys.executable, "-m", f"{__package__}.regression_contest", json.dumps(task)],
            cwd=Path(__file__).parents[__package__.count(".") + 1],
            env=os.environ | thread_settings(threads),
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            return Outcome(None, self.limit, why=failure(done), threads=threads)
        seconds, extra_mb, note = json.loads(done.stdout.splitlines()[-1])
        answer = np.load(self.folder / "answer.npy")
        measured = CONTENDERS[contender].group != "one pass"
        error = self.yardstick.error(answer) if measured else 0.0
        return Outcome(seconds, self.limit, error, "", threads, extra_mb, note)


def outcomes_of(name, groups=None, limit=None):
    """Outcome of every contender, or those of some groups, on a case; numopt comes first."""
    with tempfile.TemporaryDirectory() as folder:
        contest = Contest(name, folder, limit)
        own, *others = contest.contenders()
        outcomes, late = {own: contest.best(own)}, {}
        for other in others:
            group, options = CONTENDERS[other].group, CONTENDERS[other].options
            if groups is not None and group not in groups:
                continue
            # A tighter tolerance takes no less time.
            solver = options.get("name", other)
            outcomes[other] = late.get(solver) or contest.best(other)
            if outcomes[other].why == "limit":
                late[solver] = outcomes[other]
        return outcomes


def save(folder, problem):
    if sparse.issparse(problem.A):
        sparse.save_npz(folder / "A.npz", problem.A, compressed=False)
    else:
        np.save(folder / "A.npy", problem.A)
    np.save(folder / "b.npy", problem.b)


def load(folder):
    dense = folder / "A.npy"
    A = np.load(dense) if dense.exists() else sparse.load_npz(folder / "A.npz")
    return A, np.load(folder / "b.npy")


def run(contender, folder, limit):
    """Time the calls of a contender; print the best time, its memory and its note."""
    chosen = CONTENDERS[contender]
    call = chosen.prepare(*load(folder), **chosen.options)
    answer, seconds, extra_mb = timed(call, limit)
    times = [seconds]
    if seconds < ENOUGH:
        # That call may have compiled something, or loaded it.
        times = []
        while len(times) < REPEATS and sum(times) < ENOUGH:
            answer, seconds, extra_mb = timed(call, limit)
            times.append(seconds)
    x, note = answer if isinstance(answer, tuple) else (answer, "")
    np.save(folder / "answer.npy", x)
    print(json.dumps([min(times), extra_mb, note]))


def timed(call, limit):
    """Return what a call returns, its seconds and the megabytes that it took at most."""
    forget_peak()
    before = peak_mb()
    # The alarm, left at its default, ends the process.
    signal.setitimer(signal.ITIMER_REAL, limit)
    start = time.perf_counter()
    answer = call()
    seconds = time.perf_counter() - start
    signal.setitimer(signal.ITIMER_REAL, 0.0)
    return answer, seconds, peak_mb() - before


def peak_mb():
    """Return the peak of memory, where the system tells that of this program alone."""
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    kilobytes = [int(line.split()[1]) for line in lines if line.startswith("VmHWM")]
    return kilobytes[0] / 1024 if kilobytes else 0.0


def forget_peak():
    """Let the peak of memory begin anew; where that cannot be asked for, it stays."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


if __name__ == "__main__":
    contender, place, longest = json.loads(sys.argv[1])
    run(contender, Path(place), longest)
