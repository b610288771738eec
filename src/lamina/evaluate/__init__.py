"""How good is a decomposition: layered pictures in, figures out."""
