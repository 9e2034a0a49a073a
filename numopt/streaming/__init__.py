"""The top eigenvector of rows that come as a stream.

``StreamingEigenvector`` is fed chunks of rows and can be asked, saved and merged at any time;
``top_eigenvector`` reads a whole source.
"""

from __future__ import annotations

from ._api import top_eigenvector
from ._estimator import StreamingEigenvector
from ._result import EigenvectorResult

__all__ = ["EigenvectorResult", "StreamingEigenvector", "top_eigenvector"]
