"""One contender on one problem to one accuracy, in a process of its own.

The contender's stopping rule is tightened until its answer passes the independent check, loosened
again if it overshot, and the cheapest setting that passed is timed.
"""

import functools
import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

from . import accuracy, peers, problems
from .cases import QUICK

TRIALS = 10


class Task(NamedTuple):
    """What a process is asked for; `limit` seconds is the longest one solve may take."""

    family: str
    n: int
    eta: float
    contender: str
    target: float
    seed: int = 0
    limit: float = 30.0
    repeats: int = 5
    threads: int = 1

    @property
    def kind(self):
        return self.family if self.family in ("batch", "points") else "matrix"


class Outcome(NamedTuple):
    """`seconds` is None when no setting reached the target: `why` says limit, missed or crashed.

    `limit` was in force; `error` is that of the timed setting, or the smallest seen; `peak_mb` is
    of the whole process.
    """

    seconds: float | None
    limit: float
    error: float
    why: str = ""
    effort: float = 1.0
    peak_mb: float = 0.0
    counts: dict[str, float] | None = None


@functools.cache
def measure(task):
    """Outcome of a task, run in a fresh process on `task.threads` cores."""
    command = [sys.executable, "-m", f"{__package__}.contest", json.dumps(task)]
    done = subprocess.run(
        command,
        cwd=Path(__file__).parents[__package__.count(".") + 1],
        env=os.environ | thread_settings(task.threads),
        capture_output=True,
        text=True,
        check=False,
    )
    trials = [json.loads(line) for line in done.stdout.splitlines() if line.startswith('{"effort"')]
    passed = [trial for trial in trials if trial["error"] <= task.target]
    last = {"error": min((t["error"] for t in trials), default=float("inf"))}
    if passed:
        best = min(passed, key=lambda trial: trial["seconds"])
        last = {key: best[key] for key in ("error", "effort", "counts")}
    peak = {"peak_mb": trials[0]["peak_mb"]} if trials else {}
    seconds = best["seconds"] if passed else None
    why = "" if passed else failure(done)
    return Outcome(seconds, task.limit, why=why, **last, **peak)


def measure_peer(task, peer, skip=frozenset()):
    """Outcome of every installed solver of a peer, by name; those in `skip` are left out.

    One that is slower than three times the best so far cannot matter and is cut off there.
    """
    outcomes, limit = {}, task.limit
    for name, contender in peers.contenders(task.kind).items():
        if contender.peer != peer or name in skip or not contender.installed:
            continue
        outcomes[name] = measure(task._replace(contender=name, limit=limit))
        if outcomes[name].seconds is not None:
            limit = min(limit, 3.0 * outcomes[name].seconds + 1.0)
        if QUICK:
            break
    return outcomes


def fastest(outcomes):
    """Name and outcome of the fastest that reached the target, or None."""
    passed = {name: o for name, o in outcomes.items() if o.seconds is not None}
    return min(passed.items(), key=lambda item: item[1].seconds, default=None)


def failure(done):
    if done.returncode == -signal.SIGALRM:
        return "limit"
    if done.returncode == 0:
        return "missed"
    return "crashed: " + done.stderr.strip().rpartition("\n")[2][:60]


def thread_settings(threads):
    names = ("OMP", "MKL", "OPENBLAS", "NUMBA")
    return {f"{name}_NUM_THREADS": str(threads) for name in names}


def run(task):
    """Solve with efforts chosen by `next_effort`; print every solve as a line of JSON."""
    contender = peers.contenders(task.kind)[task.contender]
    problem = problems.make(task.family, task.n, task.eta, task.seed)
    solve = contender.prepare(problem, task.target, **contender.options)
    passed, trials = None, []
    while (effort := next_effort(trials, task.target, contender.by_iterations)) is not None:
        trial = attempt(solve, problem, effort, task.limit)
        trials.append((effort, trial["error"]))
        if trial["error"] <= task.target and (passed is None or effort < passed["effort"]):
            passed = trial
    if passed is None:
        return
    # The first solve may have compiled something, so that even a slow solver gets one more.
    for _ in range(1 if passed["seconds"] > 1.0 else task.repeats):
        attempt(solve, problem, passed["effort"], task.limit)


def attempt(solve, problem, effort, limit):
    """Time one solve; the alarm, left at its default, ends the process past the limit."""
    signal.setitimer(signal.ITIMER_REAL, limit)
    start = time.perf_counter()
    answer = solve(effort)
    seconds = time.perf_counter() - start
    signal.setitimer(signal.ITIMER_REAL, 0.0)
    trial = {
        "effort": effort,
        "seconds": seconds,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "error": accuracy.marginal_error(problem, answer),
        "counts": answer.counts,
    }
    print(json.dumps(trial), flush=True)
    return trial


def next_effort(trials, target, by_iterations):
    """Effort to try after `trials` of (effort, error), or None when it is time to stop."""
    if not trials:
        return 1.0
    missed = [(effort, error) for effort, error in trials if not error <= target]
    passed = [(effort, error) for effort, error in trials if error <= target]
    if not passed:
        return None if is_hopeless(trials, by_iterations) else raised(trials, target, by_iterations)
    cheapest, error = min(passed)
    floor = max((effort for effort, _ in missed), default=0.0)
    if by_iterations:
        middle = (floor * cheapest) ** 0.5 if floor else cheapest / 2
        return middle if cheapest > 1.3 * floor and len(trials) < TRIALS else None
    # One more try, as loose as the overshoot allows.
    looser = cheapest * max(error / target, 1e-3) * 1.2
    return looser if error < 0.5 * target and looser > floor and len(passed) == 1 else None


def raised(trials, target, by_iterations):
    effort, error = trials[-1]
    if by_iterations:
        return 2.0 * effort
    if len(trials) > 1 and error > 0.9 * trials[-2][1]:
        # A Newton method may return the same iterate for a range of tolerances.
        return 10.0 * effort
    return effort * min(max(1.3 * error / target, 1.5), 100.0)


def is_hopeless(trials, by_iterations):
    """Tell whether a tighter tolerance no longer helps; more iterations help until the limit."""
    if by_iterations:
        return len(trials) >= 3 * TRIALS
    stuck = len(trials) > 4 and trials[-1][1] > 0.9 * trials[-4][1]
    return stuck or len(trials) >= TRIALS


if __name__ == "__main__":
    arguments = Task(*json.loads(sys.argv[1]))
    if hasattr(os, "sched_setaffinity"):
        # Some libraries take every core they may run on, whatever the environment says.
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: arguments.threads])
    peers.quiet()
    run(arguments)
