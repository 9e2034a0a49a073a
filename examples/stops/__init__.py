"""The stops of the tour: small real problems, a file for each kind of solver."""

import matplotlib

matplotlib.use("Agg")
