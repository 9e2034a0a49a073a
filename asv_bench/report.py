"""Measure numopt's transport against other libraries at equal accuracy; print and store the table.

Every figure is the best of several runs in a process of its own, and every error is measured here
from the returned plan: no solver's own claim is used. Ratios are medians over a few seeds.

    python asv_bench/report.py                          every case: some hours
    python asv_bench/report.py --cases cloud-1000-1200  some; their rows are replaced in the files
    python asv_bench/report.py --counts                 iteration counts and warm starts only
    python asv_bench/report.py --quick                  a look at the machinery; no file is written
"""

import csv
import importlib.metadata
import json
import os
import platform
from pathlib import Path

import command_line

PACKAGES = (
    "numopt-solvers",
    "numpy",
    "numba",
    "POT",
    "regot",
    "ott-jax",
    "jax",
    "geomloss",
    "torch",
)


def main():
    options = parsed_arguments()
    from benchmarks import table
    from benchmarks.cases import CASES

    names = command_line.checked_cases(options, CASES)
    machine = describe_machine(options.threads)
    print(machine, flush=True)
    if options.counts:
        publish("transport_counts", table.count_rows(), machine, options)
        return
    settings = options.peers, options.seeds, options.limit, options.threads
    rows = (row for name in names for row in table.speed_rows(CASES[name], *settings))
    publish("transport_speed", rows, machine, options)


def parsed_arguments():
    return command_line.parsed(
        __doc__,
        command_line.CASES,
        command_line.names("--peers", "default: all that are installed"),
        command_line.seeds(help="problems of each kind (1, 3 or 6)"),
        command_line.option("--threads", "threads of every solver (1)", type=int, default=1),
        command_line.limit(help="seconds one solve may take (30, more if large)"),
        command_line.flag("--counts", "iteration counts, no other library"),
        command_line.FOLDER,
        command_line.QUICK,
    )


def describe_machine(threads, packages=PACKAGES):
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    models = [line.partition(": ")[2] for line in lines if line.startswith("model name")]
    versions = ", ".join(f"{name} {installed_version(name)}" for name in packages)
    return (
        f"{models[0] if models else platform.machine()}, {os.cpu_count()} cores, {threads} used; "
        f"Python {platform.python_version()}, {versions}"
    )


def installed_version(name):
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "missing"


def publish(name, rows, machine, options):
    """Print rows as they come, and store them after each, for a run may be cut short."""
    done = []
    for row in rows:
        if not done:
            print("  ".join(f"{key:>11.16}" for key in row if key != "all"))
        cells = (f"{value!s:>11.16}" for key, value in row.items() if key != "all")
        print("  ".join(cells), flush=True)
        done.append(row)
        if not options.quick:
            store(options.folder, name, machine, done)
    goals = [row["met"] for row in done if row["met"]]
    print(f"{goals.count('yes')} of {len(goals)} goals met")


def store(folder, name, machine, rows):
    """Write rows as CSV, and as JSON with the machine; rows of other cases measured on it stay."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.json"
    earlier = json.loads(path.read_text()) if path.exists() else {"machine": None, "rows": []}
    new = {row_key(row) for row in rows}
    kept = earlier["rows"] if earlier["machine"] == machine else []
    rows = [row for row in kept if row_key(row) not in new] + rows
    path.write_text(json.dumps({"machine": machine, "rows": rows}, indent=1) + "\n")
    columns = [column for column in rows[0] if column != "all"]
    with (folder / f"{name}.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, columns, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def row_key(row):
    return tuple(str(row.get(column)) for column in ("case", "error", "family", "eta", "rival"))


if __name__ == "__main__":
    main()
