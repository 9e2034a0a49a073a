"""The progress bar."""

import io
import math
import sys

import numpy as np
import pytest

import numopt

pytest.importorskip("tqdm", reason="tqdm is not installed (extra progress)")


def record(nit, error=0.5):
    return numopt.Result(nit=nit, error=error)


def test_bar_counts_iterations_and_shows_the_error():
    stream = io.StringIO()
    bar = numopt.ProgressBar("solving", file=stream)
    for nit, error in [(0, 1.0), (1, 0.5), (4, 0.25)]:
        bar(record(nit, error))
    assert repr(bar) == "ProgressBar('solving'): 4 iterations"
    bar.close()
    assert repr(bar) == "ProgressBar('solving'): closed"
    last = stream.getvalue().splitlines()[-1].rpartition("\r")[2]
    assert last.startswith("solving")
    assert "4it" in last
    assert "error=2.5e-01" in last


def test_error_that_is_not_finite_is_not_shown():
    stream = io.StringIO()
    bar = numopt.ProgressBar(file=stream)
    bar(record(1, math.nan))
    bar.close()
    assert "error" not in stream.getvalue()
    assert "1it" in stream.getvalue()


def test_solver_closes_the_bar_and_it_can_be_used_again(rng):
    stream = io.StringIO()
    bar = numopt.ProgressBar("first", file=stream)
    cost = rng.random((20, 20))
    counted = []
    for _ in range(2):
        result = numopt.entropic_transport(cost, reg=0.01, callback=bar)
        assert result.success
        counted.append(f"{result.nit}it")
    lines = stream.getvalue().strip("\n").split("\n")
    assert len(lines) == 2
    for line, count in zip(lines, counted, strict=True):
        assert count in line.rpartition("\r")[2]


def test_closing_twice_or_before_the_start_does_nothing():
    bar = numopt.ProgressBar(file=io.StringIO())
    bar.close()
    bar(record(0))
    bar.close()
    bar.close()


def test_missing_tqdm_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    with pytest.raises(ImportError, match=r"numopt-solvers\[progress\]"):
        numopt.ProgressBar()


def test_interrupted_solve_closes_the_bar():
    bar = numopt.ProgressBar(file=io.StringIO())

    def callback(intermediate_result):
        bar(intermediate_result)
        raise KeyboardInterrupt

    callback.close = bar.close
    with pytest.raises(KeyboardInterrupt):
        numopt.entropic_transport(np.eye(3), reg=0.1, callback=callback)
    assert bar._bar is None
