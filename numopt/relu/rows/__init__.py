"""Training on sums over the samples: a sequence of small quadratic programs."""
