"""Measure numopt's matrix completion against other libraries; print and store it.

Two threads on both sides. Objectives and errors are computed here from the factors that came
back; a time to an objective counts only if that objective was reached.

    python asv_bench/completion_report.py                    every case: about a quarter of an hour
    python asv_bench/completion_report.py --cases B1 B3      some; their rows are replaced
    python asv_bench/completion_report.py --oversampling     matrices found near the limit
    python asv_bench/completion_report.py --quick            the machinery; no file is written
"""

import command_line
import report

PACKAGES = ("numopt-solvers", "numpy", "scipy", "numba", "cmfrec", "implicit")
THREADS = 2


def main():
    options = parsed_arguments()
    from benchmarks import completion_contest as contest

    cases = command_line.checked_cases(options, contest.CASES)
    machine = report.describe_machine(THREADS, PACKAGES)
    print(machine, flush=True)
    if options.oversampling:
        report.publish("completion_limit", contest.limit_rows(options.seeds), machine, options)
        return
    rows = (row for name in cases for row in contest.rows(name, options))
    report.publish("completion_speed", rows, machine, options)


def parsed_arguments():
    options = command_line.parsed(
        __doc__,
        command_line.CASES,
        command_line.flag("--oversampling", "matrices found, no speed"),
        command_line.seeds(5, "problems of each kind (5)"),
        command_line.limit(60.0, "seconds one fit may take (60)"),
        command_line.FOLDER,
        command_line.QUICK,
    )
    if options.quick:
        options.seeds = 1
    return options


if __name__ == "__main__":
    main()
