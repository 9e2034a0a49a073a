"""Compiling ahead."""

import json
from pathlib import Path

import pytest
from families import CASES

import numba_kernels
from numopt import compile as compiling
from numopt._core import dispatch

RECORDED = Path(numba_kernels.__file__).with_name("compile_seconds.json")


def test_every_compiled_kernel_can_be_compiled_ahead():
    families = {family for given in compiling.FAMILIES.values() for family in given}
    sampled = {
        (sample.family, sample.name)
        for family in families
        for sample in compiling.samples(family, "float64")
    }
    compiled = {
        (case.family, case.name)
        for case in CASES
        if dispatch.find("numba", case.family, case.name) is not None
    }
    # What NumPy does alone needs no compiler.
    assert compiled - sampled <= {("recovery", "order_statistics")}
    assert sampled <= compiled


def test_a_solver_is_compiled_by_name(capsys, tmp_path):
    record = tmp_path / "record.json"
    arguments = ["constrained", "--dtype", "float32", "--record", str(record)]
    assert compiling.main(arguments) == 0
    printed = capsys.readouterr().out
    assert "kaczmarz.kaczmarz_sweep" in printed
    assert "transport" not in printed
    assert set(json.loads(record.read_text())) == {
        line.split()[-6] for line in printed.splitlines() if line.startswith("[")
    }


def test_unknown_solvers_are_named(capsys):
    with pytest.raises(SystemExit):
        compiling.main(["transprot"])
    assert "no solver is called 'transprot'; there are transport" in capsys.readouterr().err


def test_what_compiling_takes_is_recorded_and_small():
    seconds = json.loads(RECORDED.read_text())
    families = {family for given in compiling.FAMILIES.values() for family in given}
    sampled = {f"{s.family}.{s.name}" for f in families for s in compiling.samples(f, "float64")}
    assert set(seconds) == sampled
    assert sum(seconds.values()) <= 35
