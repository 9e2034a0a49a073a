"""Checkpoints of a pass over a source."""

from __future__ import annotations

import json
import os
from pathlib import Path

from .._core import validate
from ._estimator import StreamingEigenvector
from ._storage import packed, read_file, write_file

DEFAULT_EVERY = 100


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

    def resumed(
        self, model: StreamingEigenvector, seed: int
    ) -> tuple[StreamingEigenvector, int, int]:
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
        loaded = StreamingEigenvector.from_state_dict(state)
        self.chunks = int(facts["chunks_done"])
        return loaded, loaded.n_rows_seen_, int(facts["seed"])

    def count(self, model: StreamingEigenvector, seed: int) -> None:
        """Count a chunk that has been read, and write the summary if it is time to."""
        self.chunks += 1
        if self.path is None or self.chunks % self.every:
            return
        if self.path.exists():
            self.path.replace(self.previous)
        facts = {"chunks_done": self.chunks, "seed": seed, "chunk_rows": self.chunk_rows}
        write_file(self.path, packed(model), **facts)
