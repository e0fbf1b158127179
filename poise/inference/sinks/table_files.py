"""Tables: a row a person, as CSV or Parquet."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from poise._files import whole_file
from poise.errors import DataError, MissingDependencyError
from poise.inference.results.pose_result import PoseResult
from poise.inference.sinks.base import FileSink, SinkOptions

__all__ = ["CsvSink", "ParquetSink"]

#: Rows of one part of a Parquet folder; what a crash may cost.
_PART_ROWS = 5_000


class CsvSink(FileSink):
    """`NAME.csv` of a video, `poses.csv` of still pictures; columns as `PoseResult.to_rows`."""

    suffix = ".csv"

    def begin(self, path: Path, result: PoseResult) -> Any:
        """File whose header comes with the first person, or at the end where nobody is."""
        self._columns: list[str] | None = None
        return path.open("w", newline="", buffering=1, encoding="utf-8")

    def add(self, handle: Any, result: PoseResult) -> None:
        """A row a person.

        Raises:
            DataError: a result with other columns, such as another schema's.
        """
        rows, self._nobody = result.to_rows(), result.row_keys
        if not rows:
            return
        writer = csv.writer(handle)
        if self._columns is None:
            self._columns = list(rows[0])
            writer.writerow(self._columns)
        _check_columns(result, rows[0], self._columns)
        writer.writerows(row.values() for row in rows)
        handle.flush()

    def finish(self, handle: Any) -> None:
        """Close the file; a table without rows has its header all the same."""
        if self._columns is None:
            csv.writer(handle).writerow(self._nobody)
        handle.close()


def _check_columns(result: PoseResult, row: dict[str, Any], columns: list[str]) -> None:
    if list(row) != columns:
        raise DataError(
            f"{result.where} has other columns than the rows before it ({len(row)}, not "
            f"{len(columns)}); save runs of different models in different folders"
        )


class ParquetSink(FileSink):
    """Folder `NAME.parquet` with parts, which pandas, polars and duckdb read as one table.

    A Parquet file can only be read when it is whole; parts keep what a crash leaves readable.

    Raises:
        MissingDependencyError: pyarrow is not installed, or is of another numpy.
    """

    suffix = ".parquet"

    def __init__(self, folder: Path, options: SinkOptions | None = None) -> None:
        super().__init__(folder, options)
        try:
            import pyarrow.parquet
        except ImportError as error:
            raise MissingDependencyError(
                f"Parquet files need the package pyarrow: pip install 'poise[tables]' ({error})"
            ) from error
        self._arrow = pyarrow
        self._rows: list[dict[str, Any]] = []
        self._columns: list[str] | None = None
        self._nobody: list[str] = []
        self._part = 0

    def begin(self, path: Path, result: PoseResult) -> Path:
        """Empty folder; parts of an earlier run go."""
        path.mkdir(exist_ok=True)
        for old in path.glob("part-*.parquet"):
            old.unlink()
        self._rows, self._columns, self._part = [], None, 0
        return path

    def add(self, handle: Path, result: PoseResult) -> None:
        """Keep the rows until they fill a part.

        Raises:
            DataError: a result with other columns, such as another schema's.
        """
        rows, self._nobody = result.to_rows(), result.row_keys
        if rows:
            self._columns = self._columns or list(rows[0])
            _check_columns(result, rows[0], self._columns)
        self._rows += rows
        if len(self._rows) >= _PART_ROWS:
            self._write_part(handle)

    def finish(self, handle: Path) -> None:
        """Write what is left."""
        if self._rows or not self._part:
            self._write_part(handle)

    def _write_part(self, folder: Path) -> None:
        table = self._arrow.Table.from_pylist(self._rows)
        numbers = table.column_names[table.column_names.index("bbox_x1") :] if self._rows else []
        for name in numbers:
            # a keypoint that is nowhere in this part has numbers in another, perhaps
            if table[name].null_count == len(table):
                empty = self._arrow.nulls(len(table), self._arrow.float64())
                table = table.set_column(table.column_names.index(name), name, empty)
        if not self._rows:
            table = self._arrow.table({key: [] for key in self._nobody})
        with whole_file(folder / f"part-{self._part:06}.parquet") as place:
            self._arrow.parquet.write_table(table, place)
        self._rows, self._part = [], self._part + 1
