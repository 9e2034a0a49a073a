"""The Newton system of the optimality conditions: its formats, factors and shifts."""
