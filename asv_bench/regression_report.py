"""Measure numopt's least squares against other libraries at equal accuracy; print and store it.

Every contender runs in a process of its own, with the best of one and two BLAS threads, and is
stopped at a limit. Every error is measured here from what came back, in extended precision, by one
formula for all: a backward error relative to the Frobenius norm for solutions, the distortion of
lengths for sketches. numopt must reach 2.2e-16; others count up to ten times that.

    python asv_bench/regression_report.py                    every case: about ten minutes
    python asv_bench/regression_report.py --cases B1 B4      some; their rows are replaced
    python asv_bench/regression_report.py --against LAPACK   one group of rivals
    python asv_bench/regression_report.py --methods          numopt's methods side by side
    python asv_bench/regression_report.py --statistic        the law of the error of a sketch
    python asv_bench/regression_report.py --quick            the machinery; no file is written
"""

import argparse
import os
import sys
from pathlib import Path

import report

PACKAGES = ("numopt-solvers", "numpy", "scipy", "numba")
THREADS = 2


def main():
    options = parsed_arguments()
    if options.quick:
        os.environ["NUMOPT_BENCH_QUICK"] = "1"
    from benchmarks import regression_table as table
    from benchmarks.regression_cases import CASES

    unknown = set(options.cases or ()) - set(CASES)
    if unknown:
        sys.exit(f"unknown case {', '.join(unknown)}; there are {', '.join(CASES)}")
    machine = report.describe_machine(THREADS, PACKAGES)
    print(machine, flush=True)
    if options.methods:
        report.publish("regression_methods", table.method_rows(), machine, options)
    elif options.statistic:
        report.publish(
            "regression_statistic", table.statistic_rows(options.sizes), machine, options
        )
    else:
        rows = (
            row
            for name in options.cases or CASES
            for row in table.speed_rows(name, options.against, options.limit)
        )
        report.publish("regression_speed", rows, machine, options)


def parsed_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cases", nargs="+", metavar="NAME", help="default: all")
    parser.add_argument("--against", nargs="+", metavar="GROUP", help="groups of rivals; all")
    parser.add_argument("--limit", type=float, help="seconds one call may take (10)")
    parser.add_argument("--methods", action="store_true", help="numopt's methods alone")
    parser.add_argument("--statistic", action="store_true", help="the law of the error alone")
    parser.add_argument("--sizes", nargs="+", type=int, help="columns, for the law of the error")
    parser.add_argument("--folder", type=Path, default=report.FIGURES, help="where the files go")
    parser.add_argument("--quick", action="store_true", help="tiny problems")
    return parser.parse_args()


if __name__ == "__main__":
    main()
