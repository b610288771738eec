"""Recipes: Python functions that return training configs. See each file's first lines for the command and the cost."""
