"""Tall matrices as blocks of rows: in memory, on disk, on a cluster, or made on the fly."""

from __future__ import annotations

from .cluster import Cluster as Cluster
from .cluster import Limits as Limits
from .passes import Passes as Passes
from .passes import beside_like as beside_like
from .products import Rows as Rows
from .products import in_memory as in_memory
from .regroup import Exchange as Exchange
from .regroup import Held as Held
from .row_source import RowSource as RowSource
from .row_source import dask_array as dask_array
from .row_source import in_blocks as in_blocks
from .row_source import is_array_like as is_array_like
from .row_source import limits_of as limits_of
from .row_source import row_blocks as row_blocks
from .sparse_rows import SparseRows as SparseRows
from .stores import is_dask as is_dask
from .summaries import add as add
from .summaries import below as below
from .tall_matrix import RowBlocks as RowBlocks
from .whitening import Whitening as Whitening
from .whitening import whiten as whiten
