"""Every solver in threads and in forked, spawned and interrupted processes."""

import hashlib
import multiprocessing
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from solves import SOLVES, answer, as_it_is, frozen

import numopt

HERE = Path(__file__).parent
pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork.*:DeprecationWarning")


def digest(name, given=as_it_is):
    return hashlib.sha256(answer(name, given)).hexdigest()


@pytest.fixture(scope="module")
def expected():
    """Return what every solver answers here, on one thread."""
    return {name: digest(name) for name in SOLVES}


def test_answers_are_the_same_bits_on_any_number_of_threads(expected):
    for threads in (2, 3, 4):
        with numopt.num_threads(threads):
            assert {name: digest(name) for name in SOLVES} == expected, threads


def test_solvers_run_side_by_side_in_threads(expected):
    with ThreadPoolExecutor(4) as callers:
        names = [name for name in SOLVES for _ in range(2)]
        found = list(callers.map(digest, names))
    assert found == [expected[name] for name in names]


def test_blas_is_as_it_was_after_solvers_in_threads(expected):
    from threadpoolctl import threadpool_info, threadpool_limits

    with threadpool_limits(2, user_api="blas"):
        before = [lib["num_threads"] for lib in threadpool_info() if lib["user_api"] == "blas"]
        with ThreadPoolExecutor(8) as callers:
            list(callers.map(digest, ["completion", "lp", "pca", "lstsq"] * 2))
        after = [lib["num_threads"] for lib in threadpool_info() if lib["user_api"] == "blas"]
    assert after == before
    assert expected


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on this system")
def test_forked_children_solve_after_a_solve_in_the_parent(expected):
    with numopt.num_threads(2):
        assert digest("transport") == expected["transport"]
        with multiprocessing.get_context("fork").Pool(2) as pool:
            found = pool.map_async(digest, list(SOLVES)).get(timeout=100)
    assert found == list(expected.values())


ALL = "from solves import SOLVES, answer; import hashlib; " + (
    "[print(name, hashlib.sha256(answer(name)).hexdigest()) for name in SOLVES]"
)


def python(code, *, timeout=200, **environment):
    """Return what a fresh interpreter prints that finds the helpers of the tests."""
    paths = os.pathsep.join([str(HERE), str(HERE.parent), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": paths} | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


@pytest.mark.slow
def test_a_home_and_a_cache_that_cannot_be_written_are_harmless(tmp_path, expected):
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    places = ("NUMOPT_CACHE_DIR", "HOME", "XDG_CACHE_HOME")
    printed = python(ALL, **dict.fromkeys(places, str(blocked)), NUMOPT_NUM_THREADS="2")
    assert dict(line.split() for line in printed.splitlines()) == expected


def test_references_alone_serve_every_solver():
    code = "from solves import SOLVES, solve; print([solve(name).success for name in SOLVES])"
    code += "; import sys; print('numba' in sys.modules)"
    printed = python(code, NUMOPT_KERNELS="reference")
    assert printed.count("True") == len(SOLVES)
    assert printed.split()[-1] == "False"


def test_the_openmp_library_may_be_missing(tmp_path, expected):
    """A slim image has no libgomp: nothing of it is loaded."""
    code = (
        "from solves import answer; from concurrent.futures import ThreadPoolExecutor\n"
        "with ThreadPoolExecutor(2) as pool: list(pool.map(answer, ['transport', 'lp'] * 2))\n"
        "maps = open('/proc/self/maps').read() if __import__('os').path.exists('/proc') else ''\n"
        "print('gomp' in maps or 'libtbb' in maps)"
    )
    assert python(code, NUMOPT_NUM_THREADS="2").split() == ["False"]
    assert expected
    assert tmp_path


INTERRUPTED = """
import os, signal, sys, threading, time
import numpy as np, numopt
from solves import solve
name, delay = sys.argv[1], float(sys.argv[2])
threading.Timer(delay, os.kill, (os.getpid(), signal.SIGINT)).start()
late = []
try:
    begin = time.perf_counter()
    while time.perf_counter() < begin + 20:
        solve(name)
except KeyboardInterrupt:
    late.append(time.perf_counter() - begin - delay)
print(name, bool(late), late and late[0] < 0.5, solve("lp").success)
"""


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="signals of this kind are of POSIX systems")
@pytest.mark.parametrize("name", SOLVES)
def test_ctrl_c_is_a_keyboard_interrupt_and_the_process_goes_on(name):
    assert signal.SIGINT
    code = INTERRUPTED.replace("sys.argv[1]", repr(name)).replace("sys.argv[2]", "1.7")
    assert python(code).split() == [name, "True", "True", "True"]


@pytest.mark.slow
def test_ctrl_c_while_a_kernel_is_compiled(tmp_path):
    code = INTERRUPTED.replace("sys.argv[1]", "'completion'").replace("sys.argv[2]", "2.5")
    printed = python(code, NUMOPT_CACHE_DIR=str(tmp_path), NUMOPT_KERNELS="compiled")
    assert printed.split() == ["completion", "True", "True", "True"]


@pytest.mark.parametrize("name", SOLVES)
def test_read_only_arrays_compile_nothing_again(name, expected):
    numba = pytest.importorskip("numba")
    if numba.config.DISABLE_JIT:
        pytest.skip("NUMBA_DISABLE_JIT is set: nothing is compiled")
    from numba.core import event

    with event.install_recorder("numba:compile") as recorder:
        assert digest(name, frozen) == expected[name]
    assert not recorder.buffer


def test_joblib_hands_over_memory_maps_that_change_nothing(tmp_path):
    joblib = pytest.importorskip("joblib")
    import numpy as np

    X = np.random.default_rng(0).normal(size=(400, 4))
    y = np.abs(X[:, 0])
    joblib.dump((X, y), tmp_path / "data")
    mapped = joblib.load(tmp_path / "data", mmap_mode="r")
    assert isinstance(mapped[0], np.memmap)
    here, there = (numopt.convex_relu(*data, beta=0.1, rng=0) for data in ((X, y), mapped))
    assert here.stats["method"] == there.stats["method"]
    np.testing.assert_array_equal(here.x, there.x)
