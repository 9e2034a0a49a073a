"""Every benchmark runs once, at its smallest size; those of absent libraries are skipped."""

import importlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

FOLDER = Path(__file__).parents[1] / "asv_bench"
KINDS = ("time_", "peakmem_", "track_", "timeraw_")


@pytest.fixture(scope="module", autouse=True)
def small_cases():
    """Import the benchmarks shrunk, and forget them afterwards."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NUMOPT_BENCH_QUICK", "1")
        patch.syspath_prepend(str(FOLDER))
        yield
    for name in [name for name in sys.modules if name.partition(".")[0] == "benchmarks"]:
        del sys.modules[name]


def load(module):
    return importlib.import_module(f"benchmarks.{module}")


def declared():
    """Names of the benchmarks, read from the source: collecting them imports nothing."""
    for path in sorted(FOLDER.glob("benchmarks/*.py")):
        owner = ""
        for line in path.read_text().splitlines():
            if line.startswith("class "):
                owner = line[6:].partition("(")[0].rstrip(":")
            method = line.strip().removeprefix("def ").partition("(")[0]
            if "def " in line and method.startswith(KINDS):
                yield path.stem, owner if line.startswith(" ") else "", method


BENCHMARKS = list(declared())


def test_benchmarks_are_found():
    assert {module for module, _, _ in BENCHMARKS} == {"import", "relu", "transport"}
    assert len(BENCHMARKS) >= 14


@pytest.mark.parametrize(("module", "owner", "name"), BENCHMARKS)
def test_benchmark_runs(module, owner, name):
    if not owner:
        code = getattr(load(module), name)()
        subprocess.run([sys.executable, "-c", "\n".join(reversed(code))], check=True)
        return
    benchmark = getattr(load(module), owner)()
    smallest = [values[0] for values in getattr(benchmark, "params", ())]
    assert len(smallest) == len(getattr(benchmark, "param_names", ()))
    try:
        benchmark.setup(*smallest)
    except NotImplementedError:
        pytest.skip("the library is not installed")
    value = getattr(benchmark, name)(*smallest)
    if hasattr(benchmark, "teardown"):
        benchmark.teardown(*smallest)
    if name.startswith("track_"):
        assert np.isfinite(value)
        assert value >= 0


@pytest.mark.parametrize(
    "family", ["assign", "cloudw3", "rect", "imgL1", "dens", "points", "batch"]
)
def test_problem_is_what_the_contest_expects(family):
    problem = load("problems").make(family, 36, 50.0)
    accuracy = load("accuracy")
    np.testing.assert_allclose(problem.a.sum(axis=-1), 1.0)
    np.testing.assert_allclose(problem.b.sum(axis=-1), 1.0)
    assert min(problem.a.min(), problem.b.min()) > 0
    cost = accuracy.cost_rows(problem, slice(None))
    assert cost.max() == pytest.approx(1.0)
    assert cost.min() >= 0


def test_marginal_error_counts_both_sides():
    accuracy, problems = load("accuracy"), load("problems")
    problem = problems.Problem(np.array([0.5, 0.5]), np.array([0.25, 0.75]), 1.0, np.zeros((2, 2)))
    product = np.outer(problem.a, problem.b)
    scalings = np.log(problem.a), np.log(problem.b)
    assert accuracy.marginal_error(problem, accuracy.Answer(plan=product)) == 0
    exact = accuracy.Answer(log_scalings=scalings)
    assert accuracy.marginal_error(problem, exact) == pytest.approx(0, abs=1e-15)
    wrong = product + np.array([[0.0, 0.1], [0.0, 0.0]])
    found = accuracy.marginal_error(problem, accuracy.Answer(plan=wrong))
    assert found == pytest.approx(0.2)
    broken = accuracy.Answer(plan=product * np.nan)
    assert accuracy.marginal_error(problem, broken) == np.inf


def test_search_settles_on_a_setting_that_just_passes():
    next_effort = load("contest").next_effort

    def settle(error_of, by_iterations):
        trials = []
        while (effort := next_effort(trials, 1e-6, by_iterations)) is not None:
            trials.append((effort, error_of(effort)))
        return trials

    # A tolerance on another norm, 30 times looser than ours.
    efforts, errors = zip(*settle(lambda effort: 3e-5 / effort, False), strict=True)
    assert errors[-1] <= 1e-6
    assert efforts[-1] < 45
    # One that is needlessly tight at first.
    trials = settle(lambda effort: 1e-9 / effort, False)
    assert 1e-7 < trials[-1][1] <= 1e-6
    # Linear convergence in iterations, target met after 50 * 6.9.
    trials = settle(lambda effort: 10.0 ** (-6 * effort / 6.9), True)
    passed = [effort for effort, error in trials if error <= 1e-6]
    assert 6.9 <= min(passed) < 1.35 * 6.9
    # A floor above the target ends the search.
    assert len(settle(lambda _: 1e-5, False)) <= 5
    # Newton steps: the same answer for a range of tolerances, then one far better.
    assert settle(lambda effort: 2e-6 if effort < 9 else 1e-12, False)[-1][1] <= 1e-6


@pytest.mark.slow
@pytest.mark.parametrize("family", ["cloud", "batch", "points"])
def test_every_installed_contender_reaches_an_easy_target(family):
    contest, peers = load("contest"), load("peers")
    task = contest.Task(family, 12, 20.0, "", 1e-3, limit=20.0, repeats=1)
    names = [name for name, c in peers.contenders(task.kind).items() if c.installed]
    assert "numopt" in names
    outcomes = {name: contest.measure(task._replace(contender=name)) for name in names}
    assert {name: o for name, o in outcomes.items() if o.seconds is None} == {}


def test_a_solve_past_the_limit_is_a_failure():
    contest = load("contest")
    task = contest.Task("assign", 40, 50.0, "numopt", 1e-6, limit=1e-4)
    outcome = contest.measure(task)
    assert outcome.seconds is None
    assert outcome.why == "limit"


def test_report_prints_a_row_for_each_accuracy():
    command = [sys.executable, str(FOLDER / "report.py"), "--quick", "--peers", "regot"]
    done = subprocess.run(
        [*command, "--cases", "assign-40-50"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    rows = [line.split() for line in done.stdout.splitlines()]
    assert [row[1] for row in rows if row[0] == "assign-40-50"] == ["1e-06", "1e-10"]
