"""Objectives that are sums of a loss over the rows of a matrix."""

from .row_sum import RowSum as RowSum
