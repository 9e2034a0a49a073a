"""Tall matrices as blocks of rows: in memory, on disk, on a cluster, or made on the fly."""

from __future__ import annotations

from .cluster import Cluster as Cluster
from .cluster import Limits as Limits
from .cluster import beside_like as beside_like
from .exchange import Exchange as Exchange
from .exchange import Held as Held
from .matrix import RowBlocks as RowBlocks
from .matrix import in_blocks as in_blocks
from .passes import Passes as Passes
from .passes import add as add
from .passes import below as below
from .source import RowSource as RowSource
from .source import dask_array as dask_array
from .source import limits_of as limits_of
from .source import row_blocks as row_blocks
from .stores import is_dask as is_dask
