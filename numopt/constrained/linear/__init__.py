"""Who solves the Newton system: a factorization or a Krylov method."""
