"""Measure numopt's robust recovery against other libraries and yardsticks; print and store it.

Contenders take turns in one process; every error is measured here, against the planted matrix.

    python asv_bench/recovery_report.py                    every case
    python asv_bench/recovery_report.py --cases R2 R4      some; their rows are replaced
    python asv_bench/recovery_report.py --phase            the table of recoveries over corruption
    python asv_bench/recovery_report.py --seeds 3 --limit 60
    python asv_bench/recovery_report.py --quick            the machinery; no file is written
"""

import command_line
import report

PACKAGES = ("numopt-solvers", "numpy", "numba", "pyrpca", "tensorly", "cvxpy", "clarabel")


def main():
    options = parsed_arguments()
    from benchmarks import recovery_cases as cases

    names = command_line.checked_cases(options, cases.CASES)
    machine = report.describe_machine(2, PACKAGES)
    print(machine, flush=True)
    if options.phase:
        rows = cases.phase_rows(options.seeds, options.shares)
        report.publish("recovery_phase", rows, machine, options)
        return
    rows = (row for name in names for row in cases.CASES[name](name, options.seeds, options.limit))
    report.publish("recovery_speed", rows, machine, options)


def parsed_arguments():
    return command_line.parsed(
        __doc__,
        command_line.CASES,
        command_line.seeds(help="problems of each kind (3, 20 or 5)"),
        command_line.limit(60.0, "seconds a rival may take (60)"),
        command_line.flag("--phase", "recoveries over corruption alone"),
        command_line.option("--shares", "of outliers, for --phase (all)", nargs="+", type=float),
        command_line.FOLDER,
        command_line.QUICK,
    )


if __name__ == "__main__":
    main()
