"""Summaries on disk: bit-identical resumption, kills, and files that are torn."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from libraries import ROOT
from streams import flat, heavy_rows

import numopt

METHODS = ("auto", "truncate", "block-power", "fd", "gram", "oja")


def rows():
    return heavy_rows(np.random.default_rng(0), 3000, 24, 2.0, count=4)


def bits(model):
    """Return everything that a summary keeps, as bytes."""
    state = model.state_dict()
    arrays = {name: x.tobytes() for name, x in state.items() if name != "facts"}
    return arrays | {"facts": state["facts"]}


@pytest.mark.parametrize("method", METHODS)
def test_saved_summary_goes_on_with_the_same_bits(method, tmp_path):
    A, path = rows(), tmp_path / "summary.npz"
    model = numopt.StreamingEigenvector(method=method, rng=3)
    for start in range(0, 3000, 170):
        model.partial_fit(A[start : start + 170])
        model.save(path)
        twin = numopt.StreamingEigenvector.load(path)
        assert bits(twin) == bits(model)
        model = twin
    unbroken = numopt.StreamingEigenvector(method=method, rng=3)
    for start in range(0, 3000, 170):
        unbroken.partial_fit(A[start : start + 170])
    assert bits(unbroken) == bits(model)
    assert unbroken.result().x.tobytes() == model.result().x.tobytes()


def test_parameters_and_generator_are_kept(tmp_path):
    for bit_generator in (np.random.Philox, np.random.MT19937, np.random.SFC64):
        model = numopt.StreamingEigenvector(
            2, memory_rows=40, center=True, tol=0.05, rng=np.random.Generator(bit_generator(1))
        )
        model.partial_fit(rows()[:500]).save(tmp_path / "s.npz")
        twin = numopt.StreamingEigenvector.load(tmp_path / "s.npz")
        kept = model.get_params() | {"rng": None}
        assert twin.get_params() == kept
        for each in (model, twin):
            each.partial_fit(rows())
        assert bits(model) == bits(twin)


def test_state_is_a_flat_dictionary_in_any_library(lib):
    if lib.name.startswith("strict"):
        pytest.skip("the strict library has no files")
    model = numopt.StreamingEigenvector(rng=0).partial_fit(lib.asarray(rows()[:900]))
    state = model.state_dict()
    assert all(isinstance(name, str) for name in state)
    twin = numopt.StreamingEigenvector.from_state_dict(state)
    more = lib.asarray(rows()[900:])
    assert bool((twin.partial_fit(more).result().x == model.partial_fit(more).result().x).all())


def test_files_hold_no_pickle(tmp_path):
    path = tmp_path / "summary.npz"
    numopt.StreamingEigenvector(rng=0).partial_fit(rows()).save(path)
    with np.load(path, allow_pickle=False) as file:
        assert all(file[name].dtype != object for name in file.files)
    assert list(tmp_path.iterdir()) == [path]
    assert path.stat().st_size < 24 * 24 * 8 + 16_384


def test_a_file_torn_at_any_byte_is_refused(tmp_path):
    """And the checkpoint before it, which was set aside, still loads."""
    A, path = rows()[:1000, :8], tmp_path / "pass.npz"
    options = {"checkpoint": path, "checkpoint_every": 2, "chunk_rows": 100, "rng": 0}
    unbroken = numopt.top_eigenvector(A, chunk_rows=100, rng=0)
    numopt.top_eigenvector(A, **options)
    previous = path.with_name("pass.npz.previous")
    whole = path.read_bytes()
    for size in range(0, len(whole), 1 if len(whole) < 3000 else 7):
        path.write_bytes(whole[:size])
        with pytest.raises(ValueError, match="undamaged"):
            numopt.StreamingEigenvector.load(path)
    for size in (0, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:size])
        with pytest.raises(ValueError, match=r"damaged; the one before it is .*previous"):
            numopt.top_eigenvector(A, **options)
    assert numopt.StreamingEigenvector.load(previous).n_rows_seen_ == 800
    path.unlink()  # then the pass goes on from the one before
    resumed = numopt.top_eigenvector(A, **options)
    assert resumed.x.tobytes() == unbroken.x.tobytes()
    assert resumed.n_rows == 1000


def test_changed_bytes_are_noticed(tmp_path):
    path = tmp_path / "summary.npz"
    model = numopt.StreamingEigenvector(rng=0, method="truncate", memory_rows=8)
    model.partial_fit(rows()[:200, :5]).save(path)
    wanted, whole = bits(model), path.read_bytes()
    refused = 0
    for at in range(0, len(whole), 13):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x5A]) + whole[at + 1 :])
        try:
            loaded = numopt.StreamingEigenvector.load(path)
        except ValueError:
            refused += 1
        else:
            assert bits(loaded) == wanted  # a byte of the container that nothing depends on
    assert refused > len(whole) / 13 / 2


def test_other_files_are_refused(tmp_path):
    path = tmp_path / "other.npz"
    np.savez(path, x=np.ones(3))
    with pytest.raises(ValueError, match="undamaged"):
        numopt.StreamingEigenvector.load(path)
    path.write_text("not an archive")
    with pytest.raises(ValueError, match="undamaged"):
        numopt.StreamingEigenvector.load(path)
    with pytest.raises(FileNotFoundError):
        numopt.StreamingEigenvector.load(tmp_path / "missing.npz")
    state = numopt.StreamingEigenvector(rng=0).partial_fit(rows()).state_dict()
    facts = json.loads(state["facts"])
    later = state | {"facts": json.dumps(facts | {"version": 99})}
    with pytest.raises(ValueError, match="version 99"):
        numopt.StreamingEigenvector.from_state_dict(later)
    with pytest.raises(ValueError, match="`state`"):
        numopt.StreamingEigenvector.from_state_dict({"x": 1})


def test_checkpoint_of_another_call_is_refused(tmp_path):
    A, path = rows(), tmp_path / "pass.npz"
    options = {"checkpoint": path, "checkpoint_every": 1, "chunk_rows": 500}
    numopt.top_eigenvector(A, rng=0, **options)
    with pytest.raises(ValueError, match="same options"):
        numopt.top_eigenvector(A, rng=0, memory_rows=30, **options)
    with pytest.raises(ValueError, match="same options"):
        numopt.top_eigenvector(A, rng=0, **(options | {"chunk_rows": 400}))
    with pytest.raises(ValueError, match="`checkpoint_every`"):
        numopt.top_eigenvector(A, checkpoint_every=3)


@pytest.mark.parametrize("shuffle", [False, True])
def test_interrupted_pass_is_resumed_with_the_same_bits(shuffle, tmp_path):
    A, path = flat(np.random.default_rng(1), 6000, 20, 3.0), tmp_path / "pass.npz"
    options = {"chunk_rows": 256, "shuffle": shuffle, "rng": 5}
    unbroken = numopt.top_eigenvector(A, **options)
    for stop in (3, 9, 7):
        seen = []

        def interrupt(_, seen=seen, stop=stop):
            seen.append(1)
            if len(seen) == stop:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            numopt.top_eigenvector(
                A, checkpoint=path, checkpoint_every=2, callback=interrupt, **options
            )
    resumed = numopt.top_eigenvector(A, checkpoint=path, checkpoint_every=2, **options)
    assert resumed.x.tobytes() == unbroken.x.tobytes()
    assert resumed.history == unbroken.history
    assert resumed.sin2_estimate == unbroken.sin2_estimate


SCRIPT = """
import sys, time
import numpy as np
import numopt

def chunks():
    rng = np.random.default_rng(4)
    for i in range(400):
        chunk = rng.normal(size=(50, 16)) * np.arange(1, 17)
        time.sleep(float(sys.argv[2]))
        yield chunk

result = numopt.top_eigenvector(chunks(), rng=2, checkpoint=sys.argv[1], checkpoint_every=7)
sys.stdout.write(result.x.tobytes().hex() + " " + str(result.n_rows))
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="the system has no SIGKILL")
def test_killed_process_is_resumed_with_the_same_bits(tmp_path):
    script = tmp_path / "read.py"
    script.write_text(SCRIPT)
    environment = os.environ | {"PYTHONPATH": str(ROOT)}

    def command(name, delay):
        return [sys.executable, str(script), str(tmp_path / name), str(delay)]

    options = {"env": environment, "stdout": subprocess.PIPE, "text": True}
    unbroken = subprocess.run(command("whole.npz", 0), check=True, **options).stdout
    path, rng = tmp_path / "killed.npz", np.random.default_rng()
    kills = 0
    for _ in range(3):
        before = path.stat().st_mtime_ns if path.exists() else 0
        process = subprocess.Popen(command("killed.npz", 0.02), **options)
        deadline = time.monotonic() + 60
        while process.poll() is None and time.monotonic() < deadline:
            if path.exists() and path.stat().st_mtime_ns > before:
                time.sleep(rng.uniform(0, 0.2))  # somewhere between two checkpoints
                process.send_signal(signal.SIGKILL)
                break
            time.sleep(0.005)
        process.communicate()
        kills += process.returncode == -signal.SIGKILL
    assert kills == 3
    resumed = subprocess.run(command("killed.npz", 0), check=True, **options).stdout
    assert resumed == unbroken
    assert resumed.endswith(" 20000")
