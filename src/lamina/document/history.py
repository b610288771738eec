"""Undo and redo: documents already seen. No inverses are needed, for unchanged layers are the same objects."""

from dataclasses import dataclass

from lamina.document.document import Document
from lamina.errors import InputError

__all__ = ["History"]


@dataclass(frozen=True, kw_only=True, slots=True)
class History:
    """Documents in the order they were made, and which of them is shown."""

    documents: tuple[Document, ...]
    index: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.index < len(self.documents):
            raise InputError(f"history index {self.index} is outside its {len(self.documents)} documents")

    @classmethod
    def of(cls, document: Document) -> "History":
        """A history that begins with this document."""
        return cls(documents=(document,))

    @property
    def document(self) -> Document:
        """The document shown."""
        return self.documents[self.index]

    @property
    def can_undo(self) -> bool:
        return self.index > 0

    @property
    def can_redo(self) -> bool:
        return self.index + 1 < len(self.documents)

    def push(self, document: Document) -> "History":
        """Show a new document; those that were undone are forgotten."""
        return History(documents=(*self.documents[: self.index + 1], document), index=self.index + 1)

    def undo(self) -> "History":
        """Show the document before; raises InputError at the first."""
        if not self.can_undo:
            raise InputError("there is nothing to undo")
        return History(documents=self.documents, index=self.index - 1)

    def redo(self) -> "History":
        """Show the document after; raises InputError at the last."""
        if not self.can_redo:
            raise InputError("there is nothing to redo")
        return History(documents=self.documents, index=self.index + 1)
