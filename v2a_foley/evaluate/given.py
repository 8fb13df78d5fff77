"""What sounds are held against, given by name: the conditions they were made from, captions."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from v2a_foley.errors import InputError
from v2a_foley.evaluate.listening import name_of
from v2a_foley.media.files import named

COLUMNS = ("file", "caption")


class _Tabs(csv.excel_tab):
    """Tabs between the columns, and quotes that are just quotes."""

    quoting = csv.QUOTE_NONE


def read_captions(path: Path) -> dict[str, str]:
    """Read a TSV (or CSV) with the columns ``file`` and ``caption``: captions by sounds' names.

    Raises:
        InputError: it cannot be read, lacks a column, names a file twice or has an empty caption.
    """
    found: dict[str, str] = {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            dialect = csv.excel if path.suffix.lower() == ".csv" else _Tabs
            rows = csv.DictReader(file, dialect=dialect)
            _check_header(path, rows.fieldnames or ())
            for row in rows:
                name, caption = name_of((row["file"] or "").strip()), (row["caption"] or "").strip()
                if not name or not caption or name in found:
                    what = "names a file again" if name in found else "lacks a file or a caption"
                    raise InputError(f"{named(path)}, row {rows.line_num}: {what}; mend it")
                found[name] = caption
    except OSError as error:
        raise InputError(f"{named(path)}: cannot be read ({error.strerror})") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{named(path)}: is no table in UTF-8 ({error})") from None
    if not found:
        raise InputError(f"{named(path)}: holds no captions; add some rows")
    return found


def _check_header(path: Path, header: Sequence[str]) -> None:
    missing = [column for column in COLUMNS if column not in header]
    if missing:
        raise InputError(
            f"{named(path)}: has no column '{missing[0]}' (it has: {', '.join(header) or 'none'}); "
            "its first row must name the columns file and caption"
        )


def read_conditions(path: Path, names: Sequence[str], d_clap: int) -> dict[str, np.ndarray]:
    """Read the CLAP embeddings that sounds were made from, ``(d_clap,)`` each, by sounds' names.

    A ``.safetensors`` file holds one vector under each name; a ``.npy`` file holds ``(n, d_clap)``
    in the order of ``names``, which are those of all files in the folder, sorted.

    Raises:
        InputError: it cannot be read, has another shape, or holds NaN, infinity or zeros.
    """
    if path.suffix.lower() == ".npy":
        found = _from_npy(path, names, d_clap)
    else:
        found = {name_of(key): value for key, value in _from_safetensors(path).items()}
    made = {}
    for name, vector in found.items():
        length = float(np.linalg.norm(vector))
        if vector.shape != (d_clap,) or not 0 < length < np.inf:
            raise InputError(
                f"{named(path)}: '{name}' is no CLAP embedding of this pack (shape "
                f"{vector.shape}, length {length:g}; ({d_clap},) is needed)"
            )
        made[name] = (vector / length).astype(np.float32)
    return made


def _from_npy(path: Path, names: Sequence[str], d_clap: int) -> dict[str, np.ndarray]:
    try:
        table = np.load(path, allow_pickle=False)
    except OSError as error:
        raise InputError(f"{named(path)}: cannot be read ({error.strerror or error})") from None
    except (ValueError, EOFError) as error:
        raise InputError(f"{named(path)}: is no .npy file of numbers ({error})") from None
    if table.shape != (len(names), d_clap) or table.dtype.kind != "f":
        raise InputError(
            f"{named(path)}: holds {table.dtype} {table.shape}; the {len(names)} files need "
            f"floats ({len(names)}, {d_clap}), in the order of their names"
        )
    return dict(zip(names, table.astype(np.float64), strict=True))


def _from_safetensors(path: Path) -> dict[str, np.ndarray]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="np") as file:
            return {key: file.get_tensor(key).astype(np.float64) for key in file.keys()}  # noqa: SIM118
    except OSError as error:
        raise InputError(f"{named(path)}: cannot be read ({error.strerror or error})") from None
    except (SafetensorError, TypeError, ValueError) as error:
        raise InputError(
            f"{named(path)}: is neither .safetensors nor .npy, or damaged ({error})"
        ) from None
