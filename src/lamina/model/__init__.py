"""The network: tensors in, tensors out. Knows no files of pictures and no documents."""
