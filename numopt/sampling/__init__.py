"""l_p scores, coresets and regression."""
