"""Rows in chunks of Dask arrays: every shape of chunks, every scheduler, and what is gathered."""

import itertools
import pickle

import numpy as np
import pytest

N = 5000
CHUNKS = {
    "one": (N,),
    "even": (1000,) * 5,
    "ragged": (1, 699, 1, 1899, 400, 1000, 1000),
    "empty": (0, 2500, 0, 2499, 1, 0),
    "many": (100,) * 50,
}
EVERY_CHUNKING = pytest.mark.parametrize("sizes", CHUNKS.values(), ids=CHUNKS.keys())
EVERY_SCHEDULER = pytest.mark.parametrize("scheduler", ["threads", "synchronous"])


def chunked(x, sizes):
    """Return an array as one of Dask in chunks of rows."""
    da = pytest.importorskip("dask.array", reason="Dask is not installed (group test)")
    return da.from_array(x, chunks=(sizes, *((-1,) if x.ndim == 2 else ())))


def pieces(x, sizes):
    """Return the same chunks as a list of arrays, the empty ones left out."""
    ends = np.cumsum([0, *sizes])
    return [x[low:high] for low, high in itertools.pairwise(ends) if high > low]


@pytest.fixture
def counted(monkeypatch):
    """Return the sizes in bytes of what each barrier brings to this process."""
    from numopt._rows.cluster import Cluster

    sizes, compute = [], Cluster.compute

    def counting(self, nodes):
        values = compute(self, nodes)
        sizes.append(sum(len(pickle.dumps(value)) for value in values))
        return values

    monkeypatch.setattr(Cluster, "compute", counting)
    return sizes
