"""Undo and redo."""

import numpy as np
import pytest

from lamina.document.apply import apply
from lamina.document.document import Document
from lamina.document.edits import Move
from lamina.document.history import History
from lamina.document.layer import Layer
from lamina.errors import InputError


def start():
    return Document(width=2, height=2, layers=(Layer(id="a", name="A", rgba=np.zeros((1, 1, 4), np.uint8)),))


def test_undo_and_redo_show_documents_already_seen():
    first = start()
    second = apply(first, Move(layer="a", dx=1, dy=0))
    history = History.of(first).push(second)
    assert history.undo().document is first
    assert history.undo().redo().document is second
    assert history.document is second


def test_a_new_document_forgets_what_was_undone():
    first, second, third = start(), start(), start()
    history = History.of(first).push(second).undo().push(third)
    assert [id(document) for document in history.documents] == [id(first), id(third)]
    assert not history.can_redo


def test_the_ends_are_said():
    history = History.of(start())
    assert (history.can_undo, history.can_redo) == (False, False)
    with pytest.raises(InputError, match="nothing to undo"):
        history.undo()
    with pytest.raises(InputError, match="nothing to redo"):
        history.redo()
    with pytest.raises(InputError, match="index 3"):
        History(documents=(start(),), index=3)
