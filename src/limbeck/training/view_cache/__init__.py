"""The exact view cache: a frozen teacher is asked once for each view of each image, and its answers are kept."""
