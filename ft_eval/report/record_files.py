"""Records of any kind, and frames of them, as the bytes of a file. Knows no record."""

import csv
import io
from collections.abc import Iterable
from dataclasses import astuple, fields
from typing import TYPE_CHECKING

import pandas as pd

from ft_eval.report.escapes import csv_field

if TYPE_CHECKING:  # a name for type checkers alone
    from _typeshed import DataclassInstance


def csv_text(kind: "type[DataclassInstance]", records: "Iterable[DataclassInstance]") -> str:
    """Records of one kind, a line each below the names of its fields; an empty field is a number that is not there."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([field.name for field in fields(kind)])
    for record in records:
        writer.writerow([csv_field(value) for value in astuple(record)])
    return text.getvalue()


def parquet_bytes(frame: pd.DataFrame) -> bytes:
    """A frame as Parquet."""
    buffer = io.BytesIO()
    frame.to_parquet(buffer, engine="pyarrow", compression="zstd", index=False)
    return buffer.getvalue()
