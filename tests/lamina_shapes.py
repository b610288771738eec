"""Pytest plugin: run the jaxtyping shape annotations of the package with beartype while tests run."""

from beartype import BeartypeConf, beartype
from jaxtyping import install_import_hook

check = beartype(conf=BeartypeConf(is_pep484_tower=True))
"""As type checkers read annotations: an int is a float."""

for module in ("lamina.pixels", "lamina.document", "lamina.model", "lamina.evaluate"):
    install_import_hook(module, "lamina_shapes.check")
