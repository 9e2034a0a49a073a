"""Summaries of what asv_bench/constrained_report.py measured."""

import json
from pathlib import Path
from statistics import median, quantiles

FIGURES = Path(__file__).parent / "figures"
SOLVERS = ("numopt", "numopt-rows", "numopt-sketch", "ipopt", "trust-constr", "slsqp")
TOL = 1e-8


def record(part):
    """Return the machine and the rows of a part, nothing where it was not measured."""
    path = FIGURES / f"constrained_{part}.json"
    return json.loads(path.read_text()) if path.exists() else {"machine": "", "rows": []}


def outcomes(part):
    """Return the rows of each solver by problem."""
    found = {solver: {} for solver in SOLVERS}
    for row in record(part)["rows"]:
        found[row["solver"]][row["problem"]] = row
    return {solver: rows for solver, rows in found.items() if rows}


def named_rows(part):
    """Yield solved counts, and evaluations and overhead on what all solvers solve."""
    found = outcomes(part)
    solved = {s: {p for p, r in rows.items() if r["residual"] <= TOL} for s, rows in found.items()}
    common = set.intersection(*solved.values()) if solved else set()
    for solver, rows in found.items():
        calls = [rows[name]["c_evaluations"] for name in common]
        overhead = [rows[name]["overhead_ms"] for name in common]
        yield (
            f"``{solver}``",
            f"{len(solved[solver])} of {len(rows)}",
            f"{median(calls):.0f}",
            f"{quantiles(calls, n=10, method='inclusive')[-1]:.0f}",
            f"{median(overhead):.1f}",
        )


def large_rows():
    """Yield the time of every solver on each large problem, in brackets where it failed."""
    found = outcomes("large")
    for name in dict.fromkeys(row["problem"] for row in record("large")["rows"]):
        cells = []
        for solver in SOLVERS:
            row = found.get(solver, {}).get(name)
            cells.append("" if row is None else timing(row))
        yield (f"``{name}``", *cells)


def timing(row):
    """Return seconds and, where the residual asked for was not reached, that residual."""
    reached = row["residual"] <= TOL
    return f"{row['seconds']:.2f}" if reached else f"({row['seconds']:.0f}; {row['residual']:.0e})"


def row_rows():
    """Yield the accuracy of linear solvers over time."""
    for row in record("rows")["rows"]:
        yield (
            row["problem"],
            f"``{row['solver']}``",
            f"{row['seconds']:.2g}",
            f"{row['residual']:.0e}",
        )


def write(folder, list_table):
    """Write the tables into a folder."""
    header = ("Solver", "Solved", "Calls of c, median", "90 %", "Overhead, ms")
    tables = {
        "named": list_table(header, named_rows("named"), "auto"),
        "gradients": list_table(header, named_rows("gradients"), "auto"),
        "large": list_table(("Problem", *SOLVERS), large_rows(), "auto"),
        "rows": list_table(("Condition", "Solver", "Seconds", "Residual"), row_rows(), "auto"),
    }
    for name, lines in tables.items():
        machine = record(name)["machine"]
        text = [*lines, "", f"Measured on: {machine}."] if machine else ["Not recorded."]
        (folder / f"constrained_{name}.inc").write_text("\n".join(text) + "\n")
