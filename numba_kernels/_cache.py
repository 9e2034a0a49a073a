"""Compiled code on disk: one file for each function and signature, safe to share.

A file is written under another name and renamed, holds a checksum, and is named by all that its
content depends on: the family's own file, the shared files, the compiler and the processor. So
several processes may compile at once, an edited file is compiled anew with nothing else, and what
is damaged is compiled again.
"""

from __future__ import annotations

import hashlib
import os
import pickle
import sys
import tempfile
from collections.abc import Iterable
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
_DIGEST = 32  # bytes of a checksum


@cache
def folder() -> Path | None:
    """Return where compiled code is kept, None where nothing can be written.

    NUMOPT_CACHE_DIR, then Numba's own setting, then beside the source, then the user's cache.
    """
    named = [os.environ.get(name, "") for name in ("NUMOPT_CACHE_DIR", "NUMBA_CACHE_DIR")]
    tried = [Path(name) / "numopt" for name in named if name] or [
        HERE / "__pycache__" / "compiled",
        _users_cache() / "numopt",
    ]
    return next((path for path in tried if _is_writable(path)), None)


def _users_cache() -> Path:
    """Return the folder for what programs of this user may always make again."""
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", "~")).expanduser()
    if sys.platform == "darwin":
        return Path("~/Library/Caches").expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()


def _is_writable(path: Path) -> bool:
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            return True
    except (OSError, RuntimeError):  # the latter: no home
        return False


@cache
def version_of(family: str) -> str:
    """Return a name for all that the code of a family depends on but the processor."""
    digest = hashlib.sha256()
    for path in sorted({*HERE.glob("_*.py"), HERE / f"{family}.py"}):
        digest.update(path.name.encode() + path.read_bytes() if path.exists() else b"")
    # Asked of the distributions: importing Numba takes longer than most calls.
    made_with = [version(name) for name in ("numba", "llvmlite", "numpy")], sys.version_info[:2]
    digest.update(repr(made_with).encode())
    return digest.hexdigest()[:16]


def _marker(family: str, name: str, dtypes: Iterable[str]) -> Path | None:
    base = folder()
    if base is None:
        return None
    return base / f"{family}-{version_of(family)}" / f"{name}-{''.join(sorted(dtypes))}.ready"


def is_ready(family: str, name: str, dtypes: Iterable[str]) -> bool:
    """Tell whether all that a kernel is made of has been compiled for some dtypes, and kept."""
    marker = _marker(family, name, dtypes)
    return marker is not None and marker.exists()


def set_ready(family: str, name: str, dtypes: Iterable[str]) -> None:
    """Note that a kernel has run compiled, so that whatever it is made of is on disk."""
    marker = _marker(family, name, dtypes)
    if marker is not None:
        try:
            marker.parent.mkdir(parents=True, exist_ok=True)
            marker.touch()
        except OSError:
            pass  # only costs the next process time


class Cache:
    """The interface that a Numba dispatcher asks for code: `load_overload`, `save_overload`."""

    def __init__(self, function: Any) -> None:
        self._family = function.__module__.rpartition(".")[2]
        # Functions made in a function differ by what they were made with.
        made_with = [cell.cell_contents for cell in function.__closure__ or ()]
        line = function.__code__.co_firstlineno
        self._name = f"{function.__qualname__}-{line}-{made_with!r}"
        self._function = function

    @property
    def cache_path(self) -> str:
        """The folder, for Numba's statistics."""
        return str(folder())

    def enable(self) -> None:
        """Do nothing: always on."""

    def disable(self) -> None:
        """Do nothing: always on."""

    def flush(self) -> None:
        """Do nothing: what is out of date is never found."""

    def _path(self, signature: Any, codegen: Any) -> Path | None:
        base = folder()
        if base is None:
            return None
        key = repr((self._name, signature, codegen.magic_tuple())).encode()
        name = f"{self._function.__name__}-{hashlib.sha256(key).hexdigest()[:24]}.bin"
        return base / f"{self._family}-{version_of(self._family)}" / name

    def load_overload(self, signature: Any, target_context: Any) -> Any:
        """Return the code for a signature, None where there is none that is whole."""
        from numba.core.compiler import CompileResult

        target_context.refresh()
        path = self._path(signature, target_context.codegen())
        try:
            content = b"" if path is None else path.read_bytes()
            if hashlib.sha256(content[_DIGEST:]).digest() != content[:_DIGEST]:
                return None
            return CompileResult._rebuild(target_context, *pickle.loads(content[_DIGEST:]))
        except Exception:  # whatever is wrong with it, it can be compiled again
            return None

    def save_overload(self, signature: Any, compiled: Any) -> None:
        """Keep the code for a signature where there is a place for it."""
        from numba.core.serialize import dumps

        path = self._path(signature, compiled.codegen)
        if path is None or compiled.library.has_dynamic_globals or compiled.lifted:
            return
        content = dumps(compiled._reduce())
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
                file.write(hashlib.sha256(content).digest() + content)
            os.replace(file.name, path)
        except OSError:
            pass  # a full disk, say: the next process compiles again
