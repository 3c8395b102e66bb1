"""Pages and sections about a transfer set: what was chosen or made, and what was left out."""
