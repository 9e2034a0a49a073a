"""Observed entries of a matrix, in every form in which they may be given."""

import numpy as np
import pytest
from libraries import to_numpy
from scipy import sparse

import numopt
from numopt._entries.read import read_entries, read_table

VALUES = np.array([[1.0, 2.0, 3.0], [4.0, 0.0, 6.0]])
SEEN = np.array([[True, False, True], [True, True, False]])
HOLES = np.where(SEEN, VALUES, np.nan)
WEIGHTS = np.array([[1.0, 5.0, 0.0], [2.0, 3.0, 4.0]])
PLACES = np.nonzero(SEEN)


class Frame:
    """A table of another library, of which all that is known is how it becomes an array."""

    def __init__(self, table):
        self.table = table

    def __array__(self, dtype=None, copy=None):
        del copy
        return np.asarray(self.table, dtype=dtype)


FORMS = {
    "nan": (HOLES, None),
    "mask": (VALUES, SEEN),
    "both": (np.where(VALUES == 3.0, np.nan, VALUES), SEEN | (VALUES == 3.0)),
    "masked": (np.ma.masked_array(VALUES, ~SEEN), None),
    "masked-with-nan": (np.ma.masked_array(np.where(VALUES == 3.0, np.nan, VALUES), ~SEEN), None),
    "masked-and-mask": (np.ma.masked_array(VALUES, VALUES == 2.0), SEEN),
    "masked-whole-numbers": (np.ma.masked_array(VALUES.astype(int), ~SEEN), None),
    "lists": (HOLES.tolist(), None),
    "lists-and-mask": (VALUES.tolist(), SEEN.tolist()),
    "frame": (Frame(HOLES), None),
    "fortran": (np.asfortranarray(HOLES), None),
    "coordinates": ((*PLACES, VALUES[SEEN], (2, 3)), None),
    "coordinates-in-lists": (
        (*(x.tolist() for x in PLACES), VALUES[SEEN].tolist(), [2, 3]),
        None,
    ),
    "sparse": (sparse.coo_array((VALUES[SEEN], PLACES), shape=(2, 3)), None),
    "sparse-columns": (sparse.coo_array((VALUES[SEEN], PLACES), shape=(2, 3)).tocsc(), None),
}
# Forms that say in two ways what is missing: the 3, too.
TWICE = {"both", "masked-with-nan"}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_read(form):
    M, mask = FORMS[form]
    found = read_entries(M, mask)
    table = np.full(found.shape, np.nan)
    table[found.rows, found.columns] = found.values
    wanted = np.where(VALUES == 3.0, np.nan, HOLES) if form in TWICE else HOLES
    np.testing.assert_array_equal(table, wanted)
    assert found.values.dtype == np.float64
    assert found.weights is None


def test_all_libraries_are_read(lib):
    if not lib.indexing:
        pytest.skip("array_api_strict returns int64 indices on a device that has none")
    found = read_entries(lib.asarray(HOLES))
    np.testing.assert_array_equal(to_numpy(found.values), VALUES[SEEN])
    assert lib.holds(found.values, lib.widest)
    given = lib.asarray(VALUES), SEEN.tolist(), WEIGHTS.tolist()
    found = read_entries(*given)
    np.testing.assert_array_equal(to_numpy(found.weights), WEIGHTS[SEEN & (WEIGHTS > 0)])


@pytest.mark.parametrize("form", ["dense", "sparse", "sparse-both", "coordinates"])
def test_entries_of_weight_zero_were_not_seen(form):
    S = sparse.coo_array((VALUES[SEEN], PLACES), shape=(2, 3))
    M, weights = {
        "dense": (HOLES, WEIGHTS),
        "sparse": (S, WEIGHTS[SEEN]),
        "sparse-both": (S, sparse.coo_array((WEIGHTS[SEEN], PLACES), shape=(2, 3)).tocsr()),
        "coordinates": ((*PLACES, VALUES[SEEN], (2, 3)), WEIGHTS[SEEN].tolist()),
    }[form]
    found = read_entries(M, weights=weights)
    kept = SEEN & (WEIGHTS > 0)
    np.testing.assert_array_equal(found.values, VALUES[kept])
    np.testing.assert_array_equal(found.weights, WEIGHTS[kept])


def test_a_table_may_take_nan_for_a_value():
    assert read_table(HOLES, nan_is_missing=False).seen.all()
    table = read_table(np.ma.masked_array(HOLES, ~SEEN), nan_is_missing=False)
    np.testing.assert_array_equal(table.seen, SEEN)


def test_masked_arrays_and_lists_are_completed():
    M = np.outer(np.arange(1.0, 9), np.arange(2.0, 9))
    hidden = np.zeros(M.shape, bool)
    hidden[2, 3] = hidden[5, 1] = True
    for given in (np.ma.masked_array(M, hidden), np.where(hidden, np.nan, M).tolist()):
        result = numopt.matrix_completion(given, 1, tol=1e-12)
        np.testing.assert_allclose(result.matrix(), M, rtol=1e-9)
        np.testing.assert_allclose(result.predict([2, 5], [3, 1]), M[[2, 5], [3, 1]], rtol=1e-9)
        np.testing.assert_allclose(result.fold_in(M[:2].tolist())[0], result.X[:2], rtol=1e-6)
