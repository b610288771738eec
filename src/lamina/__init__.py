"""Lamina: a flat picture in, an editable stack of RGBA layers out."""
