"""Arguments for the kernels of sketching; see `families`."""

import numpy as np
from scipy.sparse import random_array

INDEXING = {"sparse_embedding_apply_csr"}


def cases():
    """Yield names, labels and arguments."""
    made = {
        "fwht_rows": transforms,
        "srht_apply": sampled_transforms,
        "sparse_embedding_apply": embeddings,
        "sparse_embedding_apply_csr": sparse_embeddings,
    }
    for name, own in made.items():
        for label, arguments in own():
            yield name, label, arguments


def large():
    """Yield names and arguments, large enough for four threads and several blocks."""
    rng = np.random.default_rng(26)
    yield "fwht_rows", (rng.normal(size=(1 << 13, 33)),)
    yield "srht_apply", sampled(20_000, 20, 1, 60, offset=1234, top=1 << 15)
    yield "sparse_embedding_apply", embedding(20_000, 9, 1, 4, 60)
    yield "sparse_embedding_apply_csr", sparse_embedding(20_000, 9, 0.3, 4, 60)


def transforms():
    rng = np.random.default_rng(20)
    for n, width in ((1, 3), (2, 1), (8, 5), (64, 2), (128, 33), (1024, 1)):
        yield f"{n}x{width}", (rng.normal(size=(n, width)),)
    yield "one-entry", (np.eye(16)[:, 3:4],)
    # 2**20 and the terms it meets cancel exactly.
    yield "huge-range", (np.where(np.arange(32) % 2, 1.0, 2.0**20)[:, None] * [1.0, -1.0],)


def sampled(n, d, k, m, offset=0, top=None, seed=21):
    """Return arguments for m of the first `top` rows of the transform."""
    rng = np.random.default_rng(seed)
    top = 1 << (offset + n - 1).bit_length() if top is None else top
    scale = rng.choice([-1.0, 1.0], size=n) * (0.5 + rng.random(n))
    A, B = rng.normal(size=(n, d)), rng.normal(size=(n, k))
    return A, B, scale, rng.integers(top, size=m), offset


def sampled_transforms():
    yield "one-row", sampled(1, 3, 1, 4)
    yield "not-a-power", sampled(37, 7, 2, 11)
    yield "one-column", sampled(100, 1, 0, 30)
    yield "a-power", sampled(64, 5, 1, 64)
    yield "all-rows", (*sampled(50, 4, 1, 1)[:3], np.arange(64), 0)
    yield "equal-rows", (*sampled(50, 4, 1, 1)[:3], np.full(9, 37), 0)
    yield "no-right-side", sampled(75, 16, 0, 20)
    yield "panel-edge", sampled(75, 15, 2, 20)
    yield "next-panel", sampled(75, 17, 1, 20)
    yield "many-panels", sampled(90, 65, 3, 20)
    yield "many-right-sides", sampled(90, 2, 40, 20)
    yield "middle-length", sampled(500, 9, 1, 40)
    yield "inner-edge", sampled(65, 3, 1, 40)
    yield "outer-edge", sampled(513, 3, 1, 40)
    yield "one-block", sampled(4096, 2, 1, 40)
    yield "two-blocks", sampled(4500, 3, 1, 40)
    yield "offset", sampled(60, 5, 1, 30, offset=128, top=256)
    yield "offset-unaligned", sampled(60, 5, 1, 30, offset=100, top=256)
    yield "offset-middle", sampled(300, 5, 1, 30, offset=901, top=2048)
    yield "offset-far", sampled(20, 3, 1, 30, offset=70_001, top=1 << 17)
    yield "offset-two-blocks", sampled(1200, 3, 1, 30, offset=3500, top=8192)
    # A first block: the rows asked for are those of the transform of a longer matrix.
    yield "rows-beyond", sampled(20, 3, 1, 30, top=1 << 20)
    A, B, _, rows, _ = sampled(40, 3, 1, 10)
    yield "zero-scale", (A, B, np.zeros(40), rows, 0)


def embedding(n, d, k, nonzeros, size, seed=22):
    rng = np.random.default_rng(seed)
    A, B = rng.normal(size=(n, d)), rng.normal(size=(n, k))
    return A, B, rng.integers(size, size=(n, nonzeros)), rng.normal(size=(n, nonzeros)), size


def embeddings():
    yield "plain", embedding(40, 5, 1, 3, 10)
    yield "one-nonzero", embedding(40, 5, 1, 1, 10)
    yield "one-row", embedding(1, 4, 0, 8, 10)
    yield "one-bucket", embedding(30, 2, 1, 2, 1)
    yield "empty-buckets", embedding(6, 2, 1, 1, 50)
    yield "many-right-sides", embedding(30, 1, 20, 2, 7)
    A, B, buckets, values, size = embedding(20, 3, 1, 4, 9)
    yield "repeated", (A, B, buckets[:, :1].repeat(4, axis=1), values, size)
    yield "several-blocks", embedding(2500, 30, 1, 2, 120)


def sparse_embedding(n, d, density, nonzeros, size):
    rng = np.random.default_rng(27)
    A = random_array((n, d), density=density, format="csr", rng=rng)
    A.sort_indices()
    buckets, values = rng.integers(size, size=(n, nonzeros)), rng.normal(size=(n, nonzeros))
    indices, indptr = A.indices.astype(np.int64), A.indptr.astype(np.int64)
    return A.data, indices, indptr, buckets, values, size, d


def sparse_embeddings():
    yield "plain", sparse_embedding(40, 5, 0.4, 3, 10)
    yield "one-nonzero", sparse_embedding(40, 5, 0.4, 1, 10)
    yield "dense", sparse_embedding(12, 7, 1.0, 2, 5)
    yield "empty-rows", sparse_embedding(60, 9, 0.02, 2, 6)
    yield "nothing", sparse_embedding(10, 3, 0.0, 2, 6)
    yield "one-bucket", sparse_embedding(30, 4, 0.5, 2, 1)
