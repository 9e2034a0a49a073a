"""Compiling ahead."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from families import all_cases

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
        for case in all_cases()
        if dispatch.find("numba", case.family, case.name) is not None
    }
    assert sampled == compiled


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
        compiling.main(["no-such-solver"])
    assert "no solver is called 'no-such-solver'; there are transport" in capsys.readouterr().err


def test_what_compiling_takes_is_recorded_of_every_kernel():
    seconds = json.loads(RECORDED.read_text())
    families = {family for given in compiling.FAMILIES.values() for family in given}
    sampled = {f"{s.family}.{s.name}" for f in families for s in compiling.samples(f, "float64")}
    assert set(seconds) == sampled


@pytest.mark.slow
def test_compiling_takes_at_most_twice_what_is_recorded(tmp_path):
    record = tmp_path / "record.json"
    options = ["--dtype", "float64", "--record", str(record)]
    subprocess.run(
        [sys.executable, "-m", "numopt.compile", "constrained", *options],
        env=os.environ | {"NUMOPT_CACHE_DIR": str(tmp_path)},
        check=True,
        stdout=subprocess.DEVNULL,
    )
    recorded, found = (json.loads(path.read_text()) for path in (RECORDED, record))
    # Numba's own start comes with the first kernel.
    assert sum(found.values()) <= 2 * sum(recorded[name] for name in found) + 1.5
