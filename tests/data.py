"""Real data sets next to the checkout, for the tests that use them."""

import json
from pathlib import Path

import numpy as np
import pytest

FOLDER = Path(__file__).resolve().parents[1] / "../shared/data"


def _path(name):
    path = FOLDER / name
    if not path.is_file():
        pytest.skip(f"needs the data set {name}, which is not beside this checkout")
    return path


def load(name):
    """Return the arrays of a data set by name; skip the test where it is absent."""
    with np.load(_path(f"{name}.npz"), allow_pickle=False) as arrays:
        return dict(arrays)


def references(problem):
    """Return reference results that do not come from this library; skip where absent."""
    return json.loads(_path("references.json").read_text())[problem]
