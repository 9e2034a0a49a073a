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

import command_line
import report

PACKAGES = ("numopt-solvers", "numpy", "scipy", "numba")
THREADS = 2


def main():
    options = parsed_arguments()
    from benchmarks import regression_table as table
    from benchmarks.regression_cases import CASES

    names = command_line.checked_cases(options, CASES)
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
            row for name in names for row in table.speed_rows(name, options.against, options.limit)
        )
        report.publish("regression_speed", rows, machine, options)


def parsed_arguments():
    return command_line.parsed(
        __doc__,
        command_line.CASES,
        command_line.option("--against", "groups of rivals; all", nargs="+", metavar="GROUP"),
        command_line.limit(help="seconds one call may take (10)"),
        command_line.flag("--methods", "numopt's methods alone"),
        command_line.flag("--statistic", "the law of the error alone"),
        command_line.option("--sizes", "columns, for the law of the error", nargs="+", type=int),
        command_line.FOLDER,
        command_line.QUICK,
    )


if __name__ == "__main__":
    main()
