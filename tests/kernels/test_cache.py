"""Compiled code on disk."""

import os
import subprocess
import sys

import pytest

numba = pytest.importorskip("numba")
pytestmark = pytest.mark.skipif(
    bool(numba.config.DISABLE_JIT), reason="NUMBA_DISABLE_JIT is set: nothing is compiled"
)

# Runs one small kernel; prints its result and how many functions were compiled.
CALL = """
import numpy as np
from numba.core import event
compiled = event.install_recorder("numba:compile")
with compiled as recorder:
    from numba_kernels import kaczmarz
    x = kaczmarz.kaczmarz_sweep(np.eye(3), np.ones(3), np.zeros(3), np.ones(3), np.arange(3))
print(x.sum(), sum(e.is_start for _, e in recorder.buffer))
"""


def call(folder, code=CALL, **environment):
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"NUMOPT_CACHE_DIR": str(folder)} | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    result, count = done.stdout.split()
    assert float(result) == 3
    return int(count)


def test_a_second_process_compiles_nothing(tmp_path):
    assert call(tmp_path) == 1
    assert call(tmp_path) == 0


@pytest.mark.slow
def test_damaged_files_are_compiled_again(tmp_path):
    call(tmp_path)
    damaged = list(tmp_path.rglob("*.bin"))
    assert damaged
    for damage in (b"", b"nothing of use", damaged[0].read_bytes()[:-9]):
        for path in damaged:
            path.write_bytes(damage)
        assert call(tmp_path) == 1
        assert call(tmp_path) == 0


def test_processes_that_compile_at_once_do_not_disturb_each_other(tmp_path):
    environment = os.environ | {"NUMOPT_CACHE_DIR": str(tmp_path)}
    started = [
        subprocess.Popen([sys.executable, "-c", CALL], env=environment, stdout=subprocess.PIPE)
        for _ in range(4)
    ]
    for process in started:
        assert process.communicate(timeout=100)[0].split()[0] == b"3.0"
    assert call(tmp_path) == 0
    assert not [path for path in tmp_path.rglob("tmp*") if path.is_file()]


def test_nothing_can_be_written(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    assert call(blocked) == 1


def test_one_edited_file_is_all_that_is_out_of_date(monkeypatch, tmp_path):
    from numba_kernels import _cache

    for name in ("_shared.py", "one.py", "two.py"):
        (tmp_path / name).write_text("x = 1")
    monkeypatch.setattr(_cache, "HERE", tmp_path)
    version = _cache.version_of.__wrapped__
    before = {name: version(name) for name in ("one", "two")}
    (tmp_path / "one.py").write_text("x = 2")
    assert version("one") != before["one"]
    assert version("two") == before["two"]
    (tmp_path / "_shared.py").write_text("x = 2")
    assert version("two") != before["two"]
