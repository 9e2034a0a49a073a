"""What kernels on transport plans promise beside their definition."""

import numpy as np
import pytest

from numopt._core import dispatch
from numopt._kernels import transport


@pytest.mark.parametrize("size", [0, 2**62], ids=["reference", "compiled"])
def test_column_sums_are_accumulated_in_double_precision(size, monkeypatch):
    """Many equal terms, where a sum in single precision would lose three digits."""
    monkeypatch.setattr(dispatch, "size_of", lambda _: size)
    n = 300_000
    cost, v = np.zeros((n, 2), dtype=np.float32), np.zeros(2, dtype=np.float32)
    a = np.full(n, 1 / n, dtype=np.float32)
    expected = 0.5 * np.sum(a, dtype=np.float64)
    u, columns = transport.semidual_pass(cost, v, a, np.log(a), 1.0)
    np.testing.assert_allclose(columns, expected, rtol=2 * np.finfo(np.float32).eps)
    ones = np.ones(n, dtype=np.float32)
    expected = np.sum(np.exp(u.astype(float)))
    for sums in transport.plan_stats(cost + np.float32(1), u + 1, v, 1.0, ones)[1:]:
        np.testing.assert_allclose(sums, expected, rtol=8 * np.finfo(np.float32).eps)
