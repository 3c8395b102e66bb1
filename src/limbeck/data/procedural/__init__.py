"""Images that are made on the fly out of (seed, index): noise, dead leaves, fractals, shaders."""
