"""Tall matrices as blocks of rows: in memory, on disk, on a cluster, or made on the fly."""

from __future__ import annotations

from ._matrix import BLOCK_ENTRIES as BLOCK_ENTRIES
from ._matrix import RowBlocks as RowBlocks
from ._source import RowSource as RowSource
from ._source import row_blocks as row_blocks
