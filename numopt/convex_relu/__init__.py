"""Two-layer ReLU networks trained to a certified optimum."""
