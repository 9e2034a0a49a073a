"""Measure numopt's convex ReLU training against other solvers; print and store the table.

    python asv_bench/relu_report.py                                   every case and peer
    python asv_bench/relu_report.py --tables relu_speed --peers numopt Clarabel adelie
    python asv_bench/relu_report.py --tables relu_robust              accuracy under attack
    python asv_bench/relu_report.py --tables relu_large               60000 samples, and memory
    python asv_bench/relu_report.py --tables relu_classes --splits 3  ten classes
    python asv_bench/relu_report.py --tables relu_iteration           one iteration, its products
    python asv_bench/relu_report.py --tables relu_patterns          how patterns are chosen

Every solver gets the same patterns, and every value is evaluated here from the neurons returned,
after a projection onto their cones that is not the library's. Times are wall times of one call in
this process, the best of `--repeats`.
"""

import json
import os
import platform
import time

import command_line
from benchmarks.relu_cases import (
    CASES,
    PEERS,
    Network,
    NoAnswerError,
    case_of,
    evaluated,
    network_objective,
)


def rows_of(name, peers, repeats, tol):
    """Yield one row for each peer."""
    case = case_of(name)
    best = None
    for peer in peers:
        if not PEERS[peer].available():
            continue
        try:
            found, seconds = timed(PEERS[peer], case, repeats, tol)
        except NoAnswerError:
            yield described(case, name, peer) | {"value": "no answer"}
            continue
        if found is None:
            continue
        if isinstance(found, Network):
            value, infeasibility = network_objective(case, *found), ""
        else:
            judged = evaluated(case, *found)
            value, infeasibility = judged.feasible_value, f"{judged.infeasibility:.0e}"
        if peer == "numopt":
            best, case = min(seconds), case._replace(target=value)
        yield described(case, name, peer) | {
            "time": f"{min(seconds):.2f}",
            "ratio": "" if best is None or peer == "numopt" else f"{min(seconds) / best:.1f}",
            "value": f"{value:.5f}",
            "infeasibility": infeasibility,
        }


def timed(peer, case, repeats, tol):
    """Return what a solver finds, and the seconds of each run."""
    seconds = []
    for _ in range(repeats):
        begin = time.perf_counter()
        found = peer.solve(case, tol)
        seconds.append(time.perf_counter() - begin)
    return found, seconds


def described(case, name, peer):
    """Return a row that has no figures yet."""
    n, d = case.X.shape
    return {
        "case": name,
        "size": f"{n} x {d}, {case.gates.shape[1]} patterns",
        "solver": peer,
        **dict.fromkeys(("time", "ratio", "value", "infeasibility"), ""),
    }


def speed_rows(options):
    """Yield the rows of the table of times, with what tells them apart."""
    for name in options.cases:
        for row in rows_of(name, options.peers, options.repeats, options.tol):
            yield ("case", "solver"), row


def robust_rows(_options):
    """Yield the rows of the table of accuracies under attack."""
    from benchmarks import relu_robust

    for row in relu_robust.rows():
        yield ("data", "radius", "training"), row


def large_rows(options):
    """Yield the rows of the table on data as large as MNIST."""
    from benchmarks import relu_large

    for row in relu_large.rows(options.cases == ["small"]):
        yield ("size", "solver"), row


def class_rows(options):
    """Yield the rows of the table on ten classes."""
    from benchmarks import relu_classes

    for row in relu_classes.rows(options.splits, options.cases == ["small"]):
        yield ("case", "training"), row


def iteration_rows(options):
    """Yield the rows of the table of what an iteration takes."""
    from benchmarks import relu_iteration

    for row in relu_iteration.rows(options.cases == ["small"]):
        yield ("size",), row


def pattern_rows(options):
    """Yield the rows of the table on the choice of patterns."""
    from benchmarks import relu_patterns

    for row in relu_patterns.rows(options.cases == ["small"]):
        yield ("data", "patterns"), row


TABLES = {
    "relu_speed": speed_rows,
    "relu_robust": robust_rows,
    "relu_large": large_rows,
    "relu_classes": class_rows,
    "relu_iteration": iteration_rows,
    "relu_patterns": pattern_rows,
}


def main():
    tables = list(TABLES)
    options = command_line.parsed(
        __doc__,
        command_line.option("--tables", nargs="*", choices=tables, default=tables),
        command_line.option("--cases", nargs="*", default=[c for c in CASES if c != "small"]),
        command_line.option("--peers", nargs="*", default=list(PEERS)),
        command_line.option("--repeats", type=int, default=1),
        command_line.option("--splits", "of the table on ten classes", type=int, default=10),
        command_line.option("--tol", type=float, default=1e-3),
        command_line.flag("--dry", "write no file"),
    )
    for table in options.tables:
        publish(command_line.FIGURES / f"{table}.json", TABLES[table](options), options.dry)


def publish(path, rows, dry):
    """Print rows as they come and store them; rows of other cases stay."""
    record = json.loads(path.read_text()) if path.exists() else {"rows": []}
    for names, row in rows:
        print(row, flush=True)
        kept = [old for old in record["rows"] if any(old[name] != row[name] for name in names)]
        record["rows"] = [*kept, row]
        threads = os.environ.get("OMP_NUM_THREADS", "all")
        record["machine"] = f"{platform.machine()}, {os.cpu_count()} cores, {threads} thread(s)"
        if not dry:
            path.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
