"""Tall matrices as blocks of rows: in memory, on disk, on a cluster, or made on the fly."""

from __future__ import annotations

from ._cluster import Cluster as Cluster
from ._cluster import Limits as Limits
from ._cluster import beside_like as beside_like
from ._exchange import Exchange as Exchange
from ._exchange import Held as Held
from ._matrix import RowBlocks as RowBlocks
from ._matrix import in_blocks as in_blocks
from ._passes import Passes as Passes
from ._passes import add as add
from ._passes import below as below
from ._source import RowSource as RowSource
from ._source import dask_array as dask_array
from ._source import limits_of as limits_of
from ._source import row_blocks as row_blocks
from ._stores import is_dask as is_dask
