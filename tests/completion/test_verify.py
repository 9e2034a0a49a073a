"""Checks of a completion, computed again from the entries and the factors alone."""

import pickle

import numpy as np
import pytest
from completion_problems import as_dense, noisy, sampled

import numopt

TABLE = as_dense(noisy())
COORDINATES = noisy()
WEIGHTS = np.random.default_rng(0).random(COORDINATES[2].size) + 0.1
HELD = tuple(x[:40] for x in COORDINATES[:3])
TRAIN = *(x[40:] for x in COORDINATES[:3]), COORDINATES[3]

SOLVES = {
    "exact": (sampled(40, 30, 2, 5.0)[0], {"tol": 1e-10}),
    "regularized": (TABLE, {"reg": 0.3}),
    "weighted": (COORDINATES, {"reg": 0.3, "weights": WEIGHTS}),
    "count": (COORDINATES, {"reg": ("count", 0.1)}),
    "bias": (TABLE + 20, {"reg": 0.3, "bias": 2.0}),
    "nonneg": (np.abs(TABLE), {"reg": 0.3, "nonneg": True}),
    "limit": (TABLE, {"reg": 0.3, "maxiter": 2}),
    "certified": (TABLE, {"reg": 3.0, "certify": True}),
    "single": (TABLE.astype(np.float32), {"reg": 0.3}),
    "units": (1e9 * TABLE, {"reg": 1e8}),
    "published": (sampled(60, 50, 1, 25.0)[0], {"rank": 1, "sample_splitting": True, "maxiter": 3}),
    "stopped": (TRAIN, {"rank": 8, "reg": 1e-3, "validation": HELD, "early_stopping": 3}),
    "zero": (np.zeros((6, 5)), {}),
}


@pytest.mark.parametrize(("M", "options"), SOLVES.values(), ids=SOLVES.keys())
def test_verify_finds_what_the_solver_found(M, options):
    options = {"rank": 2, "rng": 0, **options}
    result = numopt.matrix_completion(M, **options)
    again = pickle.loads(pickle.dumps(result))
    for checks in (result.verify(M, **options), numopt.verify(again, M, **options)):
        assert [check[2:] for check in checks] == [check[2:] for check in result.checks]
        for check, wanted in zip(checks, result.checks, strict=True):
            assert check.name == wanted.name
            assert check.value == pytest.approx(wanted.value, rel=1e-6, abs=1e-12)
    assert result.success == all(check.passed for check in result.checks)


@pytest.mark.parametrize(
    ("M", "options"),
    [SOLVES[name] for name in SOLVES if name != "limit"],
    ids=[name for name in SOLVES if name != "limit"],
)
def test_verify_sees_another_answer(M, options):
    options = {"rank": 2, "rng": 0, **options}
    result = numopt.matrix_completion(M, **options)
    result.X, result.Y = (F + 0.05 * (1 + abs(F).max()) for F in result.x)
    assert not all(check.passed for check in result.verify(M, **options))
    result.X = result.X * np.nan
    assert not all(check.passed for check in result.verify(M, **options))


def test_verify_of_a_path_of_ranks():
    path = numopt.rank_path(TABLE, [1, 2, 3], reg=0.3, rng=0)
    assert path.verify(TABLE, [1, 2, 3], reg=0.3, rng=0)[0].value == pytest.approx(
        path.checks[0].value, rel=1e-6
    )
    path.best.Y = 1.1 * path.best.Y
    assert not path.verify(TABLE, reg=0.3)[0].passed


def test_verify_asks_for_what_it_needs():
    result = numopt.matrix_completion(TRAIN, 8, reg=1e-3, validation=HELD, early_stopping=3, rng=0)
    assert result.status is numopt.Status.EARLY_STOPPING
    with pytest.raises(ValueError, match="`validation` must be given"):
        result.verify(TRAIN, reg=1e-3)
    with pytest.raises(ValueError, match=r"`M` must have shape \(40, 30\), got \(30, 40\)"):
        result.verify(TABLE.T, reg=1e-3, validation=HELD)


@pytest.mark.parametrize("seed", range(8))
def test_a_callback_that_ends_the_polish_is_what_is_reported(seed):
    """The finish measures again where the sweeps ended, and may be stopped there."""
    rng = np.random.default_rng(seed)
    M = rng.normal(size=(30, 2)) @ rng.normal(size=(2, 30)) + 0.1 * rng.normal(size=(30, 30))
    mask = np.zeros(900, bool)
    mask[rng.permutation(900)[: int(1.6 * 2 * 58)]] = True
    last, stopped = [-1], []

    def stop(record):
        if record.nit == last[0]:
            stopped.append(record.nit)
            raise StopIteration
        last[0] = record.nit

    result = numopt.matrix_completion(
        M, 2, mask=mask.reshape(30, 30), rng=0, method="exact", callback=stop
    )
    if stopped:
        assert result.status is numopt.Status.STOPPED_BY_CALLBACK
        assert "callback" in result.message
        assert result.nit == stopped[0]
    assert result.success == (result.checks[0].value <= result.tol)
