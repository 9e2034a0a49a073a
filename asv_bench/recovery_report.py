"""Measure numopt's robust recovery against other libraries and yardsticks; print and store it.

Contenders take turns in one process; every error is measured here, against the planted matrix.

    python asv_bench/recovery_report.py                    every case
    python asv_bench/recovery_report.py --cases R2 R4      some; their rows are replaced
    python asv_bench/recovery_report.py --phase            the table of recoveries over corruption
    python asv_bench/recovery_report.py --seeds 3 --limit 60
    python asv_bench/recovery_report.py --quick            the machinery; no file is written
"""

import argparse
import os
import sys
from pathlib import Path

import report

PACKAGES = ("numopt-solvers", "numpy", "numba", "pyrpca", "tensorly", "cvxpy", "clarabel")


def main():
    options = parsed_arguments()
    if options.quick:
        os.environ["NUMOPT_BENCH_QUICK"] = "1"
    from benchmarks import recovery_cases as cases

    unknown = set(options.cases or ()) - set(cases.CASES)
    if unknown:
        sys.exit(f"unknown case {', '.join(unknown)}; there are {', '.join(cases.CASES)}")
    machine = report.describe_machine(2, PACKAGES)
    print(machine, flush=True)
    if options.phase:
        rows = cases.phase_rows(options.seeds, options.shares)
        report.publish("recovery_phase", rows, machine, options)
        return
    rows = (
        row
        for name in options.cases or cases.CASES
        for row in cases.CASES[name](name, options.seeds, options.limit)
    )
    report.publish("recovery_speed", rows, machine, options)


def parsed_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cases", nargs="+", metavar="NAME", help="default: all")
    parser.add_argument("--seeds", type=int, help="problems of each kind (3, 20 or 5)")
    parser.add_argument("--limit", type=float, default=60.0, help="seconds a rival may take (60)")
    parser.add_argument("--phase", action="store_true", help="recoveries over corruption alone")
    parser.add_argument("--shares", nargs="+", type=float, help="of outliers, for --phase (all)")
    parser.add_argument("--folder", type=Path, default=report.FIGURES, help="where the files go")
    parser.add_argument("--quick", action="store_true", help="tiny problems")
    return parser.parse_args()


if __name__ == "__main__":
    main()
