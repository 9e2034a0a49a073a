"""Measure numopt's convex ReLU training against other solvers; print and store the table.

    python asv_bench/relu_report.py                                   every case and peer
    python asv_bench/relu_report.py --cases breast-cancer-squared-20 --peers numopt Clarabel

Every solver gets the same patterns, and every value is evaluated here from the neurons returned,
after a projection onto their cones that is not the library's. Times are wall times of one call in
this process, the best of `--repeats`.
"""

import argparse
import json
import os
import platform
import time
from pathlib import Path

from benchmarks.relu_cases import CASES, PEERS, case_of, evaluated

FIGURES = Path(__file__).parents[1] / "docs" / "figures" / "relu_speed.json"


def rows_of(name, peers, repeats, tol):
    """Yield one row for each peer."""
    case = case_of(name)
    best = None
    for peer in peers:
        if not PEERS[peer].available():
            continue
        seconds = []
        for _ in range(repeats):
            begin = time.perf_counter()
            found = PEERS[peer].solve(case, tol)
            seconds.append(time.perf_counter() - begin)
        judged = evaluated(case, *found)
        best = min(seconds) if peer == "numopt" else best
        n, d = case.X.shape
        yield {
            "case": name,
            "size": f"{n} x {d}, {case.gates.shape[1]} patterns",
            "solver": peer,
            "time": f"{min(seconds):.2f}",
            "ratio": "" if best is None or peer == "numopt" else f"{min(seconds) / best:.1f}",
            "value": f"{judged.feasible_value:.5f}",
            "infeasibility": f"{judged.infeasibility:.0e}",
        }


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cases", nargs="*", default=[c for c in CASES if c != "small"])
    parser.add_argument("--peers", nargs="*", default=list(PEERS))
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--tol", type=float, default=1e-3)
    parser.add_argument("--dry", action="store_true", help="write no file")
    options = parser.parse_args()
    record = {"rows": []}
    if FIGURES.exists():
        record = json.loads(FIGURES.read_text())
    for name in options.cases:
        for row in rows_of(name, options.peers, options.repeats, options.tol):
            print(row, flush=True)
            key = row["case"], row["solver"]
            kept = [r for r in record["rows"] if (r["case"], r["solver"]) != key]
            record["rows"] = [*kept, row]
    threads = os.environ.get("OMP_NUM_THREADS", "all")
    record["machine"] = f"{platform.machine()}, {os.cpu_count()} cores, {threads} thread(s)"
    if not options.dry:
        FIGURES.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
