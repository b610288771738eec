"""Pytest plugin: run the jaxtyping shape annotations of the package with beartype while tests run."""

from jaxtyping import install_import_hook

for module in ("lamina.pixels", "lamina.document", "lamina.model", "lamina.evaluate"):
    install_import_hook(module, "beartype.beartype")
