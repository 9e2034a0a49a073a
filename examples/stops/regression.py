"""Least squares."""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import numopt

from .common import DATA, Check, Row, timed


def fits(folder: Path) -> list[Row]:
    """Fit two problems whose coefficients are certified by NIST to fifteen digits.

    The polynomial of Filippelli's problem has a condition number of 1e15 in powers of x, so that
    the rounding of these powers alone, before any solver sees them, moves the eighth digit.
    """
    nist = np.load(DATA / "nist.npz")
    filip, longley = nist["filip"], nist["longley"]
    problems = {
        "Filip, polynomial of degree 10": (
            np.vander(filip[:, 1], 11, increasing=True),
            filip[:, 0],
            nist["filip_certified"],
            1e-7,
        ),
        "Longley, employment of the US": (
            np.column_stack([np.ones(len(longley)), longley[:, 1:]]),
            longley[:, 0],
            nist["longley_certified"],
            1e-12,
        ),
    }
    rows, errors = [], {}
    for name, (A, b, certified, high) in problems.items():
        result, seconds = timed(lambda A=A, b=b: numopt.lstsq(A, b))
        checks = fit_checks(certified, high, result.x, result.standard_errors())
        rows.append(Row("lstsq", name, f"{A.shape[0]} x {A.shape[1]}", seconds, checks))
        solutions = {
            "normal equations": np.linalg.solve(A.T @ A, A.T @ b),
            "numpy.linalg.lstsq": np.linalg.lstsq(A, b)[0],
            "the same, rcond=1e-18": np.linalg.lstsq(A, b, rcond=1e-18)[0],
            "numopt.lstsq": result.x,
        }
        errors[name] = {who: abs(x / certified[:, 0] - 1) for who, x in solutions.items()}
    draw_fits(folder / "fits.png", filip, nist["filip_certified"][:, 0], errors)
    return rows


def fit_checks(certified, high, x, standard_errors) -> list[Check]:
    """Compare coefficients and standard errors with the certified ones, digit by digit."""
    coefficients = abs(x / certified[:, 0] - 1).max()
    spread = abs(standard_errors / certified[:, 1] - 1).max()
    return [Check("coefficients", coefficients, high), Check("standard errors", spread, high)]


def draw_fits(path, filip, coefficients, errors):
    """Draw the data of Filip with the certified curve, and the right digits of every solver."""
    figure, (curve, *digits) = plt.subplots(1, 3, figsize=(13, 4.2), layout="constrained")
    along = np.linspace(filip[:, 1].min(), filip[:, 1].max(), 400)
    curve.plot(filip[:, 1], filip[:, 0], ".", color="0.6")
    exact = np.polynomial.polynomial.polyval(along, coefficients)
    curve.plot(along, exact, color=numopt.plotting.SOURCE)
    curve.set(title="Filip: 82 points, a polynomial of degree 10", xlabel="x", ylabel="y")
    for ax, (name, by_solver) in zip(digits, errors.items(), strict=True):
        for (who, error), marker, color in zip(
            by_solver.items(),
            "xs^o",
            ("#d55e00", "0.6", "0.3", numopt.plotting.SOURCE),
            strict=True,
        ):
            right = np.clip(-np.log10(np.maximum(error, 1e-16)), 0, 15)
            ax.plot(right, marker, color=color, label=who, clip_on=False)
        ax.set(title=name.partition(",")[0] + ": right digits", xlabel="coefficient", ylim=(0, 16))
        ax.set_xticks(range(len(error)))
    digits[0].legend(loc="upper right")
    figure.savefig(path, dpi=110)
    plt.close(figure)
