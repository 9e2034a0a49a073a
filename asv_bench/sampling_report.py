"""Measure l_p scores, coresets and regression; print and store the tables that the site shows.

Times are the best of several runs; peers get the better of one and two BLAS threads, and their loss
is computed here.

    python asv_bench/sampling_report.py                     all tables, about half an hour
    python asv_bench/sampling_report.py --tables excess     some: excess, totals, sizes, speed
    python asv_bench/sampling_report.py --tables speed --cases L1 L4
    python asv_bench/sampling_report.py --quick             a look at the machinery; no file written
"""

import csv
import importlib.metadata
import json
import os
import platform
from pathlib import Path

import command_line

PACKAGES = ("numopt-solvers", "numpy", "scipy", "numba", "statsmodels", "scikit-learn", "cvxpy")


def main():
    options = parsed_arguments()
    from benchmarks import lp_contest, lp_tables

    machine = describe_machine()
    print(machine, flush=True)
    for name in options.tables:
        if name != "speed":
            publish(f"sampling_{name}", lp_tables.TABLES[f"sampling_{name}"](), machine, options)
            continue
        cases = options.cases or list(lp_contest.CASES)
        rows = (row for case in cases for row in lp_contest.CASES[case]())
        publish("sampling_speed", rows, machine, options)


def parsed_arguments():
    tables = ("excess", "totals", "sizes", "speed")
    return command_line.parsed(
        __doc__,
        command_line.option("--tables", nargs="+", choices=tables, default=tables),
        command_line.names("--cases", "of the table of speeds"),
        command_line.FOLDER,
        command_line.QUICK,
    )


def describe_machine():
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    models = [line.partition(": ")[2] for line in lines if line.startswith("model name")]
    versions = []
    for name in PACKAGES:
        try:
            versions.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            versions.append(f"{name} missing")
    model = models[0] if models else platform.machine()
    return f"{model}, {os.cpu_count()} cores; Python {platform.python_version()}, " + ", ".join(
        versions
    )


def publish(name, rows, machine, options):
    """Print rows as they come and store them after each; rows of other cases stay."""
    done = []
    for row in rows:
        if not done:
            print("  ".join(f"{key:>14.22}" for key in row))
        print("  ".join(f"{value!s:>14.26}" for value in row.values()), flush=True)
        done.append(row)
        if not options.quick:
            store(options.folder, name, machine, done)


def store(folder, name, machine, rows):
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.json"
    earlier = json.loads(path.read_text())["rows"] if path.exists() else []
    new = {row_key(row) for row in rows}
    rows = [row for row in earlier if row_key(row) not in new] + rows
    rows.sort(key=lambda row: str(row.get("case", "")))
    path.write_text(json.dumps({"machine": machine, "rows": rows}, indent=1) + "\n")
    with (folder / f"{name}.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def row_key(row):
    names = ("case", "other", "family", "matrix", "p", "rows", "columns")
    return tuple(str(row.get(name)) for name in names)


if __name__ == "__main__":
    main()
