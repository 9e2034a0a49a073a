"""The pool of threads that kernels share."""

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from numba_kernels import _pool
from numba_kernels._blas import one_blas_thread

MANY = 1 << 30  # entries that are worth all threads


@pytest.fixture(autouse=True)
def four_threads():
    with _pool.num_threads(4):
        yield


def test_every_block_is_worked_on_once():
    for blocks in (1, 2, 3, 16, 100):
        seen = np.zeros(blocks, dtype=int)

        def work(block, seen=seen):
            seen[block] += 1

        _pool.run(blocks, work, entries=MANY)
        np.testing.assert_array_equal(seen, 1)


def test_rows_are_cut_by_size_alone():
    cuts = {}
    for threads in (1, 2, 4):
        found = []
        with _pool.num_threads(threads):
            _pool.run_rows(1000, 1000, lambda *piece, found=found: found.append(piece))
        cuts[threads] = sorted(found)
    assert cuts[1] == cuts[2] == cuts[4]
    assert [first for _, first, _ in cuts[1]] == [1000 * k // 16 for k in range(16)]
    assert len({block for block, _, _ in cuts[1]}) == _pool.blocks_of(1000, 1000) == 16


def test_small_work_stays_in_the_calling_thread():
    names = []
    _pool.run(4, lambda _: names.append(threading.current_thread().name), entries=10)
    assert names == [threading.current_thread().name] * 4


def test_large_work_is_shared():
    names, gate = set(), threading.Barrier(2, timeout=30)

    def work(_):
        names.add(threading.current_thread().name)
        gate.wait()

    _pool.run(2, work, entries=MANY)
    assert len(names) == 2


def test_work_inside_work_does_not_wait_for_itself():
    total = []

    def outer(_):
        _pool.run(4, lambda k: total.append(k), entries=MANY)

    _pool.run(8, outer, entries=MANY)
    assert sorted(total) == sorted(list(range(4)) * 8)


def test_several_callers_at_once():
    def call(seed):
        out = np.zeros(16)

        def work(block):
            out[block] = seed + block

        for _ in range(50):
            out[:] = -1
            _pool.run(16, work, entries=MANY)
            assert (out == seed + np.arange(16)).all()
        return True

    with ThreadPoolExecutor(8) as callers:
        assert all(callers.map(call, range(8)))


def test_an_exception_of_any_block_is_raised():
    def work(block):
        if block == 11:
            raise KeyError("the eleventh")

    with pytest.raises(KeyError, match="eleventh"):
        _pool.run(16, work, entries=MANY)
    _pool.run(16, lambda _: None, entries=MANY)  # usable afterwards


@pytest.mark.parametrize(
    ("threads", "error"), [(0, ValueError), (-1, ValueError), (1.5, TypeError), (True, TypeError)]
)
def test_numbers_of_threads_are_checked(threads, error):
    with pytest.raises(error, match="`threads` must be"):
        _pool.set_num_threads(threads)


def test_a_context_holds_in_its_own_thread_only():
    inside = _pool.get_num_threads()
    with ThreadPoolExecutor(1) as other, _pool.num_threads(3):
        assert _pool.get_num_threads() == 3
        assert other.submit(_pool.get_num_threads).result() != 3
    assert _pool.get_num_threads() == inside


def python(code, **environment):
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    return done.returncode, done.stdout.strip(), done.stderr


def test_the_environment_sets_the_number_of_threads():
    code = "from numba_kernels import _pool; print(_pool.get_num_threads())"
    assert python(code, NUMOPT_NUM_THREADS="3")[1] == "3"
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    assert python(code, NUMOPT_NUM_THREADS="")[1] == str(allowed)
    status, _, error = python(code, NUMOPT_NUM_THREADS="many")
    assert status == 1
    assert "NUMOPT_NUM_THREADS must be a positive integer, got 'many'" in error


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on this system")
@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork.*:DeprecationWarning")
def test_a_forked_child_makes_threads_of_its_own():
    _pool.run(4, lambda _: None, entries=MANY)
    with multiprocessing.get_context("fork").Pool(1) as pool:
        assert pool.apply_async(_in_child).get(timeout=60) == 10


def _in_child():
    found = []
    with _pool.num_threads(4):
        _pool.run(4, found.append, entries=MANY)
    return 4 + sum(found)


INTERRUPTED = """
import os, signal, threading, time
from numba_kernels import _pool
_pool.set_num_threads(2)
def work(block):
    time.sleep(0.05)
threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()
begin = time.perf_counter()
try:
    _pool.run(1000, work, entries=1 << 30)
except KeyboardInterrupt:
    print(time.perf_counter() - begin < 0.75)
found = []
_pool.run(8, found.append, entries=1 << 30)
print(sorted(found) == list(range(8)))
"""


@pytest.mark.skipif(os.name == "nt", reason="signals of this kind are of POSIX systems")
def test_ctrl_c_is_heard_at_once_and_the_pool_goes_on():
    assert signal.SIGINT
    assert python(INTERRUPTED)[1].split() == ["True", "True"]


def blas_threads():
    from threadpoolctl import threadpool_info

    return {lib["num_threads"] for lib in threadpool_info() if lib["user_api"] == "blas"}


def test_blas_is_as_it_was_after_overlapping_use():
    before = blas_threads()
    inside, leave = threading.Barrier(8, timeout=30), threading.Event()

    def limited(number):
        with one_blas_thread():
            inside.wait()
            assert blas_threads() == {1}
            time.sleep(0.01 * number)
            with one_blas_thread():
                assert blas_threads() == {1}
        leave.wait(0.01)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(limited, range(8)))
    assert blas_threads() == before
