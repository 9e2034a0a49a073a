"""Interior-point methods over orthants and second-order cones."""
