"""Layered files and art in, training samples out."""
