"""The stops of the tour: small real problems, a file for each kind of solver."""
