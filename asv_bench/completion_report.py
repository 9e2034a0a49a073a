"""Measure numopt's matrix completion against other libraries; print and store it.

Two threads on both sides. Objectives and errors are computed here from the factors that came
back; a time to an objective counts only if that objective was reached.

    python asv_bench/completion_report.py                    every case: about a quarter of an hour
    python asv_bench/completion_report.py --cases B1 B3      some; their rows are replaced
    python asv_bench/completion_report.py --oversampling     matrices found near the limit
    python asv_bench/completion_report.py --quick            the machinery; no file is written
"""

import argparse
import os
import sys
from pathlib import Path

import report

PACKAGES = ("numopt-solvers", "numpy", "scipy", "numba", "cmfrec", "implicit")
THREADS = 2


def main():
    options = parsed_arguments()
    if options.quick:
        os.environ["NUMOPT_BENCH_QUICK"] = "1"
        options.seeds = 1
    from benchmarks import completion_contest as contest

    unknown = set(options.cases or ()) - set(contest.CASES)
    if unknown:
        sys.exit(f"unknown case {', '.join(unknown)}; there are {', '.join(contest.CASES)}")
    machine = report.describe_machine(THREADS, PACKAGES)
    print(machine, flush=True)
    if options.oversampling:
        report.publish("completion_limit", contest.limit_rows(options.seeds), machine, options)
        return
    rows = (row for name in options.cases or contest.CASES for row in contest.rows(name, options))
    report.publish("completion_speed", rows, machine, options)


def parsed_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cases", nargs="+", metavar="NAME", help="default: all")
    parser.add_argument("--oversampling", action="store_true", help="matrices found, no speed")
    parser.add_argument("--seeds", type=int, default=5, help="problems of each kind (5)")
    parser.add_argument("--limit", type=float, default=60.0, help="seconds one fit may take (60)")
    parser.add_argument("--folder", type=Path, default=report.FIGURES, help="where files go")
    parser.add_argument("--quick", action="store_true", help="tiny problems; nothing is stored")
    return parser.parse_args()


if __name__ == "__main__":
    main()
