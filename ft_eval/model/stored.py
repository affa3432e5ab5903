"""The data type that a checkpoint's config.json names for its weights. Reads that one field; knows no tensor."""

from pathlib import Path

from ft_eval.model.hub_json import Fields, read_json_object

DEFAULT_DTYPE = "float32"


def stored_dtype(folder: Path) -> str:
    """`dtype` (transformers 5) or `torch_dtype` (before) of config.json; float32 where neither is given, or no file."""
    path = folder / "config.json"
    if not path.is_file():
        return DEFAULT_DTYPE
    fields = Fields(read_json_object(path), str(path))
    name = fields.text_or("dtype", fields.text_or("torch_dtype", DEFAULT_DTYPE))
    return name.removeprefix("torch.")
