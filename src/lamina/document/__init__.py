"""What a layered picture is: layers, documents, compositing, edits, history. Numpy only."""
