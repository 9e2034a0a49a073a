"""What a type checker says of a script that uses the library."""

import subprocess
import sys

import pytest

SCRIPT = """
import numpy as np
import numopt

result = numopt.entropic_transport(np.eye(3), reg=0.1)
print(result.marginal_error)
"""
MISTAKES = {
    "numopt.entropic_transport(np.eye(3), reg=0.1).marginal_errror": "marginal_errror",
    "numopt.lstsq(np.eye(3), np.ones(3)).backwards_error": "backwards_error",
    "numopt.lp_regression(np.eye(3), np.ones(3)).gapp": "gapp",
    "numopt.matrix_completion(np.eye(3), 1).XX": "XX",
    "numopt.robust_pca(np.eye(3), 1).outliers_mask": "outliers_mask",
    "numopt.minimize_equality(lambda x: x @ x, np.ones(2)).jacobian": "jacobian",
    "numopt.convex_relu(np.eye(3), np.ones(3), beta=0.1).weights1": "weights1",
    "numopt.top_eigenvector(np.eye(3)).eigen_values": "eigen_values",
    "numopt.entropic_transport(np.eye(3), regg=0.1)": "regg",
}


def checked(tmp_path, script):
    """Return the exit status of mypy on a script, and what it printed."""
    pytest.importorskip("mypy", reason="mypy is not installed (group lint)")
    path = tmp_path / "script.py"
    path.write_text(script)
    command = [sys.executable, "-m", "mypy", "--strict", "--follow-untyped-imports", str(path)]
    command[-2:-1] = ["--ignore-missing-imports", "--cache-dir", str(tmp_path / "cache")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.slow
def test_mistakes_in_the_names_of_fields_and_arguments_are_found(tmp_path):
    assert checked(tmp_path, SCRIPT)[0] == 0
    lines = SCRIPT + "".join(f"print({line})\n" for line in MISTAKES)
    status, found = checked(tmp_path, lines)
    assert status == 1
    assert [name for name in MISTAKES.values() if f'"{name}"' not in found] == []
