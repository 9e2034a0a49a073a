"""Measure numopt's transport against other libraries at equal accuracy; print and store the table.

Every figure is the best of several runs in a process of its own, and every error is measured here
from the returned plan: no solver's own claim is used.

    python asv_bench/report.py                          every case: about two hours
    python asv_bench/report.py --cases cloud-1000-1200  some; their rows are replaced in the files
    python asv_bench/report.py --counts                 iteration counts and warm starts only
    python asv_bench/report.py --quick                  a look at the machinery; no file is written
"""

import argparse
import csv
import functools
import importlib.metadata
import json
import os
import platform
import sys
from pathlib import Path

FIGURES = Path(__file__).parents[1] / "docs" / "figures"
PEERS = ("regot", "POT", "ott", "geomloss")
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
    if options.quick:
        os.environ["NUMOPT_BENCH_QUICK"] = "1"
    machine = describe_machine(options.threads)
    print(machine, flush=True)
    save = (lambda *_: None) if options.quick else functools.partial(store, options.folder)
    if options.counts:
        save("transport_counts", machine, count_rows())
    else:
        speed_table(options, machine, save)


def parsed_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cases", nargs="+", metavar="NAME", help="default: all")
    parser.add_argument(
        "--peers", nargs="+", metavar="NAME", help="default: all that are installed"
    )
    parser.add_argument("--threads", type=int, default=1, help="threads of every solver (1)")
    parser.add_argument(
        "--limit", type=float, help="seconds one solve may take (30, more if large)"
    )
    parser.add_argument("--counts", action="store_true", help="iteration counts, no other library")
    parser.add_argument("--folder", type=Path, default=FIGURES, help="where the files go")
    parser.add_argument("--quick", action="store_true", help="tiny problems, one solver a peer")
    return parser.parse_args()


def describe_machine(threads):
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    models = [line.partition(": ")[2] for line in lines if line.startswith("model name")]
    versions = ", ".join(f"{name} {installed_version(name)}" for name in PACKAGES)
    return (
        f"{models[0] if models else platform.machine()}, {os.cpu_count()} cores, {threads} used; "
        f"Python {platform.python_version()}, {versions}"
    )


def installed_version(name):
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "missing"


def speed_table(options, machine, save):
    from benchmarks.cases import CASES

    unknown = set(options.cases or ()) - set(CASES)
    if unknown:
        sys.exit(f"unknown case {', '.join(unknown)}; there are {', '.join(CASES)}")
    rows = []
    for name in options.cases or CASES:
        rows += case_rows(CASES[name], options.peers or PEERS, options)
        save("transport_speed", machine, rows)
    met = sum(row["met"] == "yes" for row in rows)
    print(f"{met} of {len(rows)} goals met")


def case_rows(case, peer_names, options):
    """One row an accuracy; a solver that missed the looser one is not asked for the tighter."""
    from benchmarks import contest

    rows, failed = [], {}
    for error, goal in case.goals.items():
        task = contest.Task(
            case.family, case.n, case.eta, "numopt", error,
            limit=options.limit or case.limit, threads=options.threads,
        )  # fmt: skip
        own, outcomes = contest.measure(task), dict(failed)
        for peer in peer_names:
            outcomes |= contest.measure_peer(task, peer, skip=failed)
        failed = {
            name: outcome
            for name, outcome in outcomes.items()
            if outcome.seconds is None and (outcome.why != "limit" or outcome.limit == task.limit)
        }
        rows.append(make_row(case, task, goal, own, outcomes))
        show(rows[-1])
    return rows


def make_row(case, task, goal, own, outcomes):
    from benchmarks import contest

    name, best = contest.fastest(outcomes) or ("", None)
    # Where nobody got there, the time limit is a lower bound of the ratio.
    ratio = (best.seconds if best else task.limit) / own.seconds if own.seconds else 0.0
    counts = own.counts or {}
    return {
        "case": case.name,
        "error": f"{task.target:g}",
        "numopt": as_seconds(own),
        "best peer": name or "none gets there",
        "its time": as_seconds(best) if best else "",
        "ratio": f"{'' if best else '> '}{ratio:.3g}" if outcomes else "",
        "goal": f"{goal:g}",
        "met": "yes" if outcomes and ratio >= goal else "no",
        "passes": counts.get("npass", ""),
        "Newton": counts.get("nit_newton", ""),
        "CG": counts.get("nit_cg", ""),
        "MB": round(own.peak_mb),
        "best peer MB": round(best.peak_mb) if best else "",
        **{peer: peer_text(peer, task, outcomes) for peer in PEERS},
        "all": {solver: as_seconds(outcome) for solver, outcome in outcomes.items()},
    }


def peer_text(peer, task, outcomes):
    """Time of the fastest solver of a peer, or how close the most accurate one came."""
    from benchmarks import contest, peers

    kinds = peers.contenders(task.kind)
    own = {name: outcome for name, outcome in outcomes.items() if kinds[name].peer == peer}
    if not own:
        return ""
    best = contest.fastest(own)
    return as_seconds(best[1] if best else min(own.values(), key=lambda o: o.error))


def as_seconds(outcome):
    if outcome.seconds is not None:
        return f"{outcome.seconds:.3g}"
    reached = f" ({outcome.error:.0e})" if outcome.error < 1 else ""
    return (f"> {outcome.limit:.3g}" if outcome.why == "limit" else outcome.why) + reached


def count_rows():
    """Medians over seeds with their ceilings, and the passes a warm start saves."""
    from benchmarks import cases, counts

    rows = []
    for family in cases.COUNT_FAMILIES:
        for eta in cases.SEEN:
            found, allowed = counts.median_counts(family, eta), cases.ceilings(family, eta)
            met = found["solved"] == cases.SEEDS and all(
                found[name] <= allowed[name] for name in allowed
            )
            rows.append(count_row(family, eta, found, allowed, met))
    passes = counts.warm_start_passes(1200.0)
    allowed = {"npass": passes["cold"] / cases.WARM_GOAL, "nit_newton": ""}
    found = {"npass": passes["warm"], "nit_newton": "", "nit_cg": "", "solved": ""}
    rows.append(count_row("cloud, warm", 1200, found, allowed, passes["warm"] <= allowed["npass"]))
    return rows


def count_row(family, eta, found, allowed, met):
    row = {
        "family": family,
        "eta": eta,
        "solved": found["solved"],
        "passes": found["npass"],
        "at most": f"{allowed['npass']:.3g}",
        "Newton": found["nit_newton"],
        "Newton at most": allowed["nit_newton"],
        "CG": found["nit_cg"],
        "met": "yes" if met else "no",
    }
    show(row)
    return row


def show(row):
    """Print a row in columns, the first one under its header; what failed is cut short."""
    if not show.header:
        show.header = "  ".join(f"{key:>11.16}" for key in row if key != "all")
        print(show.header)
    print("  ".join(f"{value!s:>11.16}" for key, value in row.items() if key != "all"), flush=True)


show.header = ""


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
    return tuple(str(row.get(column)) for column in ("case", "error", "family", "eta"))


if __name__ == "__main__":
    main()
