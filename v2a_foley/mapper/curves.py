"""Loss curves: a line of JSON now and then while a mapper trains, a picture at the end."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from v2a_foley.media.files import atomic


class Curves:
    """The curves beside a mapper: ``<stem>.losses.jsonl`` and ``<stem>.losses.png``.

    A line has ``step``, ``epoch``, ``loss`` and ``lr``, or ``step`` and ``valid_loss``. It depends
    on nothing but the training, so that one that was killed leaves the same file.
    """

    def __init__(self, output: Path) -> None:
        self.path = output.with_name(f"{output.stem}.losses.jsonl")
        self.picture = output.with_name(f"{output.stem}.losses.png")

    def begin(self, step: int) -> None:
        """Keep the lines up to ``step``, where the training goes on."""
        kept = [row for row in self.rows() if row["step"] <= step] if step else []
        with atomic(self.path, overwrite=True) as part:
            part.write_text("".join(json.dumps(row) + "\n" for row in kept), encoding="utf-8")

    def add(self, **row: float) -> None:
        """Append a line."""
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")

    def rows(self) -> list[dict[str, Any]]:
        """All whole lines; the last may have been cut by a kill."""
        rows = []
        text = self.path.read_text(encoding="utf-8") if self.path.exists() else ""
        for line in text.splitlines():
            try:
                rows.append(json.loads(line))
            except ValueError:
                break
        return rows

    def draw(self) -> bool:
        """Write the picture; false where matplotlib is not installed."""
        try:
            from matplotlib.figure import Figure
        except ImportError:
            return False
        rows = self.rows()
        figure = Figure(figsize=(8, 4.5), layout="constrained")
        axes = figure.subplots()
        for key, label in (("loss", "training"), ("valid_loss", "held out, averaged weights")):
            own = [(row["step"], row[key]) for row in rows if key in row]
            if own:
                axes.plot(*zip(*own, strict=True), label=label)
        axes.set_xlabel("step")
        axes.set_ylabel("loss")
        axes.set_yscale("log")
        axes.grid(alpha=0.3)
        axes.legend()
        with atomic(self.picture, overwrite=True) as part:
            figure.savefig(part, dpi=120)
        return True
