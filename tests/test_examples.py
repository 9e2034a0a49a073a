"""The tour and the gallery run, and the tour's certificates can fail."""

import importlib
import os
import re
import runpy
import subprocess
import sys
import warnings

import numpy as np
import pytest
from libraries import ROOT
from scipy.special import rel_entr

import numopt

EXAMPLES = ROOT / "examples"
GALLERY = sorted(path.name for path in EXAMPLES.glob("plot_*.py"))
# What the stops of the tour draw.
PICTURES = {
    name
    for path in (EXAMPLES / "stops").glob("*.py")
    for name in re.findall(r'"(\w+\.png)"', path.read_text())
}

compiled_only = pytest.mark.skipif(
    os.environ.get("NUMBA_DISABLE_JIT", "0") != "0", reason="takes minutes without compiled kernels"
)


@pytest.fixture(scope="module")
def tour():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(EXAMPLES)
        return importlib.import_module("tour")


def row(tour, *checks):
    return tour.common.Row("solver", "problem", "2 x 2", (0.1, 0.01), list(checks))


@pytest.mark.slow
@compiled_only
def test_tour_passes_and_draws(tmp_path):
    run = subprocess.run(
        [sys.executable, "-W", "error", EXAMPLES / "tour.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    header, *rows, last = run.stdout.splitlines()
    assert header.split() == ["solver", "problem", "size", "first", "again", "certificate"]
    assert len(rows) >= 5
    assert all(" pass " in line and "FAIL" not in line for line in rows)
    # Every column begins, and ends, at the same place in all lines.
    assert len({line.index(" s  pass  ") for line in rows}) == 1
    assert last == "Pictures in tour/"
    drawn = {path.name for path in (tmp_path / "tour").iterdir()}
    assert drawn == PICTURES
    assert len(drawn) >= 11
    assert all((tmp_path / "tour" / name).stat().st_size > 20_000 for name in drawn)


def test_tour_fails_when_a_certificate_does(tour, tmp_path, capsys):
    good, bad = tour.common.Check("gap", 1e-9, 1e-8), tour.common.Check("gap", 2e-8, 1e-8)
    stops = [lambda _: [row(tour, good)], lambda _: [row(tour, good, bad), row(tour, good)]]
    assert tour.main(stops[:1], tmp_path) == 0
    assert "FAIL" not in capsys.readouterr().out
    assert tour.main(stops, tmp_path) == 1
    lines = capsys.readouterr().out.splitlines()
    assert ["FAIL" in line for line in lines] == [False, False, True, False, False]
    assert lines[-1].startswith("1 failed")


@pytest.mark.slow
@compiled_only
def test_tour_exit_status_reaches_the_shell(tmp_path):
    """`make` sees the failure: the script exits with what `main` returns."""
    code = (
        "import runpy, sys, numopt\n"
        f"sys.path.insert(0, {str(EXAMPLES)!r})\n"
        "solve = numopt.entropic_transport\n"
        "def wrong(*args, **kwargs):\n"
        "    result = solve(*args, **kwargs)\n"
        "    result.f = result.f + 1e-5 * kwargs['reg']\n"
        "    return result\n"
        "numopt.entropic_transport = wrong\n"
        f"runpy.run_path({str(EXAMPLES / 'tour.py')!r}, run_name='__main__')\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert run.returncode == 1, run.stderr
    assert run.stderr == ""
    assert "FAIL" in run.stdout


@pytest.mark.parametrize("value", [2e-8, -1e-8, float("nan"), float("inf")])
def test_check_out_of_range_fails(tour, value):
    assert not tour.common.Check("gap", value, 1e-8, low=-1e-12).passed


def test_row_without_checks_fails(tour):
    assert not row(tour).passed


def transport(tour):
    """Return a small problem with a zero mass, its result and the tour's checks of it."""
    rng = np.random.default_rng(3)
    cost, a, b = rng.random((12, 15)), rng.random(12), rng.random(15)
    a[2] = 0.0
    a, b = a / a.sum(), b / b.sum()
    reg = 1e-2
    result = numopt.entropic_transport(cost, a, b, reg=reg, tol=tour.common.TOL)
    return cost, a, b, reg, result


def test_rebuilt_plan_agrees_with_the_solver(tour):
    cost, a, b, reg, result = transport(tour)
    error, primal, dual = tour.transport.rebuilt(cost, a, b, reg, result)
    assert error == pytest.approx(result.marginal_error, rel=1e-3, abs=1e-13)
    assert dual == pytest.approx(result.dual_fun, abs=1e-12)
    plan = result.rounded_plan()
    value = (cost * plan).sum() + reg * rel_entr(plan, np.outer(a, b)).sum()
    assert primal == pytest.approx(value, abs=1e-12)
    assert all(check.passed for check in tour.transport.transport_checks(cost, a, b, reg, result))


@pytest.mark.parametrize("side", ["f", "g"])
def test_wrong_potentials_fail_their_checks(tour, side):
    cost, a, b, reg, result = transport(tour)
    result[side] = result[side] + 1e-6 * reg * np.sin(np.arange(result[side].size))
    marginals, _ = tour.transport.transport_checks(cost, a, b, reg, result)
    assert not marginals.passed


def test_plan_that_is_feasible_but_not_optimal_fails_the_gap(tour):
    """With another cost the sums of a plan can be right and its price wrong."""
    cost, a, b, reg, _ = transport(tour)
    other = numopt.entropic_transport(np.zeros_like(cost), a, b, reg=reg)
    _, gap = tour.transport.transport_checks(cost, a, b, reg, other)
    assert not gap.passed


def test_wrong_value_of_a_divergence_fails(tour):
    rng = np.random.default_rng(3)
    first = rng.random((9, 2)), np.full(9, 1 / 9)
    second = rng.random((7, 2)), np.full(7, 1 / 7)
    result = numopt.sinkhorn_divergence(
        first[0], second[0], first[1], second[1], reg=0.05, tol=tour.common.TOL
    )
    checks = tour.transport.divergence_checks(first, second, 0.05, result)
    assert [check.passed for check in checks] == [True, True, True]
    result.fun += 1e-7
    checks = tour.transport.divergence_checks(first, second, 0.05, result)
    assert [check.passed for check in checks] == [True, True, False]


def test_wrong_digits_of_a_fit_fail(tour):
    nist = np.load(EXAMPLES / "data" / "nist.npz")
    certified = nist["longley_certified"]
    x, errors = certified.T
    assert all(check.passed for check in tour.regression.fit_checks(certified, 1e-12, x, errors))
    off = 1 + 1e-11 * (np.arange(7) == 3)
    for wrong in ((x * off, errors), (x, errors * off), (x * np.nan, errors)):
        assert not all(
            check.passed for check in tour.regression.fit_checks(certified, 1e-12, *wrong)
        )


def test_images_in_between_keep_the_mass(tour):
    places = np.stack(np.indices((4, 5)), axis=-1).reshape(-1, 2).astype(float)
    plan = np.random.default_rng(0).random((20, 20))
    plan /= plan.sum()
    start, middle, end = (tour.transport.in_between(plan, places, (4, 5), t) for t in (0, 0.3, 1))
    np.testing.assert_allclose(middle.sum(), 1, rtol=1e-3)
    np.testing.assert_allclose(start.ravel(), plan.sum(axis=1), rtol=1e-3)
    np.testing.assert_allclose(end.ravel(), plan.sum(axis=0), rtol=1e-3)


@pytest.mark.slow
@compiled_only
@pytest.mark.parametrize("name", GALLERY)
def test_gallery_example_runs(name, monkeypatch):
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    monkeypatch.chdir(EXAMPLES)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        names = runpy.run_path(name)
    assert len(plt.get_fignums()) >= 4
    for number in plt.get_fignums():
        plt.figure(number).canvas.draw()
    plt.close("all")
    results = [value for value in names.values() if isinstance(value, numopt.Result)]
    assert results
    assert all(result.success or result.status is numopt.Status.INFEASIBLE for result in results)


def test_gallery_is_there():
    assert len(GALLERY) >= 2


def test_data_is_small_and_its_license_stated():
    files = sorted((EXAMPLES / "data").glob("*.npz"))
    notice = (EXAMPLES / "data" / "README.md").read_text()
    assert files
    assert sum(path.stat().st_size for path in files) < 400_000
    for path in files:
        assert f"`{path.name}`" in notice
        with np.load(path, allow_pickle=False) as arrays:
            assert all(f"`{name}`" in notice for name in arrays.files)
