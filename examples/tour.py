"""A tour: one small real problem for every solver, checked and drawn.

``make tour`` runs it. Every line of the table is a problem, solved twice: the first call may have
to compile. What the solver says of its own success is not used: each certificate is computed here,
in plain NumPy, from the arrays that came back. The exit status is 1 if one of them fails.

To add a solver, write a function in ``stops/`` that takes the folder for pictures and returns rows,
and list it in `TOUR`.
"""

import sys
from collections.abc import Callable
from pathlib import Path

from stops import (
    common,
    completion,
    constrained,
    recovery,
    regression,
    relu,
    sampling,
    streaming,
    transport,
)

TOUR = [
    transport.images,
    transport.books,
    transport.colors,
    transport.divergence,
    regression.fits,
    sampling.rings,
    constrained.control,
    relu.ionosphere,
    completion.metro,
    recovery.hall,
    streaming.patches,
]
LINE = "{:24} {:36} {:>12} {:>8} {:>8}  {:4}  {}"


def line_of(row: common.Row) -> str:
    """Return a line of the table."""
    figures = ", ".join(f"{c.name} {c.value:.1e} <= {c.high:.0e}" for c in row.checks)
    first, again = (f"{seconds:.2f} s" for seconds in row.seconds)
    verdict = "pass" if row.passed else "FAIL"
    return LINE.format(row.solver, row.problem, row.size, first, again, verdict, figures)


def main(tour: list[Callable[[Path], list[common.Row]]] = TOUR, folder: str | Path = "tour") -> int:
    """Take the tour, print its table and return the exit status."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    print(LINE.format("solver", "problem", "size", "first", "again", "", "certificate"))
    failed = 0
    for stop in tour:
        for row in stop(folder):
            print(line_of(row), flush=True)
            failed += not row.passed
    print(f"{failed} failed, pictures in {folder}/" if failed else f"Pictures in {folder}/")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
