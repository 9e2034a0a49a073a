"""Clusters of processes: workers that are killed, that are too small, and what they hold."""

import pytest
from scripts import script

pytest.importorskip("distributed", reason="Dask's cluster is not installed (group test)")

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def clean():
    """Return what each solver gives where nothing happens, computed once."""
    known = {}

    def result(solver):
        if solver not in known:
            known[solver] = script("run", solver, 0)
        return known[solver]

    return result


@pytest.mark.parametrize(
    ("solver", "barrier"),
    [
        ("sketch", 3),
        ("refined", 3),
        ("refined", 5),
        ("triangle", 3),
        ("scores", 2),
        ("iterative", 6),
        ("eigenvector", 1),
        ("constrained", 3),
        ("network", 6),
    ],
)
def test_a_killed_worker_changes_nothing(solver, barrier, clean):
    undisturbed = clean(solver)
    killed = script("run", solver, barrier)
    assert undisturbed["killed"] == 0
    assert killed["killed"] >= 1
    assert killed["barriers"] >= barrier
    assert killed["x"] == undisturbed["x"]  # to the last bit
    assert killed["success"] == undisturbed["success"]


def test_a_closed_client_is_an_error_that_says_so():
    error = script("closed")["error"]
    assert "The cluster that holds `A` failed" in error


def test_chunks_larger_than_a_worker():
    error = script("oversized", 400_000_000)["error"]
    assert "the largest chunk of `A` takes 800 MB, and a worker has 400 MB" in error
    assert "rechunk it to at most 625000 rows" in error


@pytest.mark.parametrize("solver", ["triangle", "refined", "scores"])
def test_workers_stay_below_their_memory(solver):
    """400 MB of data on workers of 500 MB in chunks of 10 MB: each holds a few at a time."""
    made = script("ceiling", solver, 200_000, 256, 500_000_000)
    assert made["success"]
    assert len(made["peaks"]) == 2
    assert max(made["peaks"]) <= 300e6
