"""Library, device and dtype of the inputs."""

import array_api_strict
import numpy as np
import pytest
from libraries import to_numpy

from numopt._core import namespace


def test_namespace_and_device(lib):
    x = lib.asarray(np.zeros((2, 3)))
    assert namespace.array_namespace(x, x) is lib.xp
    assert namespace.device_of(x) == lib.device


def test_default_and_widest_float(lib):
    x = lib.asarray(np.zeros(2), "float32")
    default = namespace.default_float(x)
    known = {"torch": "float32", "strict-device2": "float32"}
    assert known.get(lib.name, lib.widest) in str(default)
    assert lib.widest in str(namespace.widest_float(x))


def test_describe_names_library_and_device():
    assert namespace.describe(np.zeros(1)) == "numpy on cpu"
    x = array_api_strict.zeros(1, device=array_api_strict.Device("device1"))
    assert "array_api_strict" in namespace.describe(x)
    assert "device1" in namespace.describe(x)


def test_csr_matrix_of_numpy_is_a_sparse_array():
    from scipy.sparse import csr_array

    data, indices, indptr = np.array([1.0, 2.0]), np.array([2, 0]), np.array([0, 1, 2])
    matrix = namespace.csr_matrix(data, indices, indptr, (2, 3))
    assert isinstance(matrix, csr_array)
    np.testing.assert_array_equal(matrix.toarray(), [[0, 0, 1], [2, 0, 0]])


@pytest.mark.parametrize("name", ["strict", "torch"])
def test_csr_matrix_of_other_libraries_is_a_tuple(name):
    from libraries import LIBRARIES

    lib = LIBRARIES[name]()
    data, indices, indptr = (lib.asarray(np.array(x)) for x in ([1.0, 2.0], [2, 0], [0, 1, 2]))
    parts = namespace.csr_matrix(data, indices, indptr, (2, 3))
    assert isinstance(parts, tuple)
    np.testing.assert_array_equal(to_numpy(parts[0]), [1.0, 2.0])
