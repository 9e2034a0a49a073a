"""Matrix completion on clusters of processes: workers that are killed, and what they hold."""

import pytest
from scripts import script

pytest.importorskip("distributed", reason="Dask's cluster is not installed (group test)")

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def undisturbed():
    return script("run", "completion", 0)


@pytest.mark.parametrize("barrier", [2, 14], ids=["regrouping", "sweep"])
def test_a_killed_worker_changes_nothing(barrier, undisturbed):
    killed = script("run", "completion", barrier)
    assert undisturbed["killed"] == 0
    assert killed["killed"] >= 1
    assert killed["barriers"] >= barrier
    assert killed["x"] == undisturbed["x"]  # to the last bit


def test_workers_hold_a_few_times_their_share_of_the_entries():
    """Some 9 million entries on workers of 500 MB: by rows, by columns, and on their way."""
    made = script("entries", 600_000, 500_000_000, timeout=250)
    assert made["nit"] == 3
    assert made["bytes"] > 180e6
    assert len(made["peaks"]) == 2
    empty = 150e6  # what a worker holds that has done next to nothing
    assert max(made["peaks"]) <= empty + 1.2 * made["bytes"]
