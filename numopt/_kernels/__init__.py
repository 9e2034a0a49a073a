"""Reference kernels: the definition of every hot primitive, in the Array API standard."""
