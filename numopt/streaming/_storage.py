"""Summaries as flat dictionaries and as files, without pickle, and the checkpoints of a pass."""

from __future__ import annotations

import hashlib
import io
import json
import os
import zipfile
import zlib
from pathlib import Path
from typing import Any, get_type_hints

import array_api_compat
import numpy as np

from .._core import validate
from .._core.namespace import array_namespace
from ._problem import plan_for
from ._published import Grid
from ._state import State
from .tracks.frequent_directions import Factor
from .tracks.heavy_rows import Heavy
from .tracks.power import Block
from .tracks.selection import Evidence, Order
from .tracks.stream import Stream

FORMAT = "numopt.StreamingEigenvector"
VERSION = 1
DEFAULT_EVERY = 100
GENERATORS = ("PCG64", "PCG64DXSM", "MT19937", "Philox", "SFC64")
# The parts of a state that have parts of their own.
NESTED = {
    "factor": Factor, "stream": Stream, "grid": Grid, "block": Block, "heavy": Heavy,
    "evidence": Evidence, "order": Order,
}  # fmt: skip


def packed(summary: Any) -> dict[str, Any]:
    """Return the dictionary of a summary: arrays by dotted names, the rest as JSON text."""
    params = summary.get_params()
    params["rng"] = None
    dtype = params["dtype"]
    params["dtype"] = None if dtype is None else str(np.dtype(_dtype_name(dtype)))
    facts = {
        "format": FORMAT,
        "version": VERSION,
        "params": params,
        "random": _plain(summary._random.bit_generator.state),
        "values": {},
    }
    arrays: dict[str, Any] = {}
    if summary._state is not None:
        _flatten("state", summary._state, arrays, facts["values"])
    return {**arrays, "facts": json.dumps(facts)}


def _plain(state: Any) -> Any:
    """Return the state of a generator without arrays."""
    if isinstance(state, dict):
        return {name: _plain(value) for name, value in state.items()}
    return state.tolist() if isinstance(state, np.ndarray) else state


def _generator(state: dict[str, Any]) -> np.random.Generator:
    """Return a generator of random numbers that goes on from a state."""
    name = state["bit_generator"]
    if name not in GENERATORS:
        raise ValueError(f"`state` must be of one of {', '.join(GENERATORS)}, got {name!r}.")
    bits = getattr(np.random, name)()
    bits.state = state
    return np.random.Generator(bits)


def _dtype_name(dtype: Any) -> str:
    return dtype.__name__ if isinstance(dtype, type) else str(dtype).rpartition(".")[2]


def _flatten(name: str, value: Any, arrays: dict[str, Any], values: dict[str, Any]) -> None:
    if hasattr(value, "_fields"):
        values[name] = "parts"
        for field in value._fields:
            _flatten(f"{name}.{field}", getattr(value, field), arrays, values)
    elif array_api_compat.is_array_api_obj(value):
        arrays[name] = value
    else:
        values[name] = value


def unpacked(cls: Any, state: dict[str, Any]) -> Any:
    """Return the summary of a dictionary from `packed`."""
    if not isinstance(state, dict) or not isinstance(state.get("facts"), str):
        raise ValueError("`state` must be a dictionary from `state_dict`.")
    facts = json.loads(state["facts"])
    if facts.get("format") != FORMAT or facts.get("version") != VERSION:
        raise ValueError(
            f"`state` must be of {FORMAT} in version {VERSION}, got {facts.get('format')} in "
            f"version {facts.get('version')}."
        )
    summary = cls(**facts["params"])
    summary._random = _generator(facts["random"])
    if "state" in facts["values"]:
        summary._state = _built("state", State, state, facts["values"])
        summary._plan = plan_for(summary._settings, int(summary._state.like.shape[1]))
    return summary


def _built(name: str, kind: Any, arrays: dict[str, Any], values: dict[str, Any]) -> Any:
    fields = {}
    for field in get_type_hints(kind):
        inner = f"{name}.{field}"
        if inner in arrays:
            fields[field] = arrays[inner]
        elif values[inner] == "parts":
            fields[field] = _built(inner, NESTED[field], arrays, values)
        else:
            value = values[inner]
            fields[field] = tuple(value) if isinstance(value, list) else value
    return kind(**fields)


def write_file(path: str | os.PathLike[str], state: dict[str, Any], **extra: int) -> None:
    """Write a dictionary to a file, which other processes see whole or not at all."""
    path = Path(path)
    arrays = {name: _on_host(x) for name, x in state.items() if name != "facts"}
    facts = json.loads(state["facts"]) | extra
    arrays["facts"] = np.frombuffer(json.dumps(facts).encode(), dtype=np.uint8)
    arrays["digest"] = np.frombuffer(_digest(arrays), dtype=np.uint8)
    beside = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        with beside.open("wb") as file:
            np.savez(file, **arrays)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def read_file(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Return the dictionary in a file; raise ValueError where a byte of it is wrong."""
    try:
        with np.load(io.BytesIO(Path(path).read_bytes()), allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        digest = arrays.pop("digest").tobytes()
        if digest != _digest(arrays):
            raise ValueError("the digest does not match")
        facts = json.loads(arrays.pop("facts").tobytes().decode())
    except FileNotFoundError:
        raise
    except (
        ValueError, KeyError, OSError, EOFError, AttributeError, NotImplementedError, RuntimeError,
        TypeError, zipfile.BadZipFile, zlib.error, MemoryError, SyntaxError, OverflowError,
    ) as error:  # fmt: skip
        raise ValueError(f"`path` must be an undamaged summary, got {path}: {error}.") from error
    return {**arrays, "facts": json.dumps(facts)}


def _on_host(x: Any) -> Any:
    if array_api_compat.is_numpy_array(x):
        return x
    if array_api_compat.is_cupy_array(x):
        return x.get()
    if array_api_compat.is_torch_array(x):
        return x.cpu().numpy()
    xp = array_namespace(x)
    return np.asarray(xp.asarray(x, device="cpu") if hasattr(x, "to_device") is False else x)


def _digest(arrays: dict[str, Any]) -> bytes:
    digest = hashlib.sha256()
    for name in sorted(arrays):
        x = np.ascontiguousarray(arrays[name])
        digest.update(f"{name} {x.dtype.str} {x.shape} ".encode())
        digest.update(x.tobytes())
    return digest.digest()


class Checkpoint:
    """A file that the summary is written to every few chunks, and the one before it.

    The file is replaced in one step, after the one before has been set aside as ``.previous``.
    """

    def __init__(
        self, path: str | os.PathLike[str] | None, every: int | None, chunk_rows: int
    ) -> None:
        if path is None and every is not None:
            raise ValueError("`checkpoint_every` goes with `checkpoint` only.")
        every = DEFAULT_EVERY if every is None else every
        self.path = None if path is None else Path(path)
        self.every = validate.at_least_one("checkpoint_every", every)
        self.chunk_rows = chunk_rows
        self.chunks = 0

    @property
    def previous(self) -> Path:
        """The file that holds the checkpoint before the last."""
        assert self.path is not None
        return self.path.with_name(f"{self.path.name}.previous")

    def resumed(self, model: Any, seed: int) -> tuple[Any, int, int]:
        """Return the summary to go on with, the rows it has read, and the seed of their order."""
        if self.path is None:
            return model, 0, seed
        path = self.path if self.path.exists() else self.previous
        if not path.exists():
            return model, 0, seed
        try:
            state = read_file(path)
        except ValueError as error:
            hint = f"; the one before it is {self.previous}" if self.previous.exists() else ""
            raise ValueError(f"`checkpoint` is damaged{hint}: {error}") from error
        facts = json.loads(state["facts"])
        wanted = json.loads(packed(model)["facts"])["params"]
        here = facts.get("params"), facts.get("chunk_rows"), bool(facts.get("seed"))
        if here != (wanted, self.chunk_rows, bool(seed)):
            raise ValueError(
                f"`checkpoint` must be of a call with the same options, got {path} of another."
            )
        loaded = unpacked(type(model), state)
        self.chunks = int(facts["chunks_done"])
        return loaded, loaded.n_rows_seen_, int(facts["seed"])

    def count(self, model: Any, seed: int) -> None:
        """Count a chunk that has been read, and write the summary if it is time to."""
        self.chunks += 1
        if self.path is None or self.chunks % self.every:
            return
        if self.path.exists():
            self.path.replace(self.previous)
        facts = {"chunks_done": self.chunks, "seed": seed, "chunk_rows": self.chunk_rows}
        write_file(self.path, packed(model), **facts)
