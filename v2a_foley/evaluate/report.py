"""What was found as tables, as JSON and as a Markdown report with plots beside it."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from v2a_foley.errors import InputError
from v2a_foley.evaluate.comparison import Comparison, Score
from v2a_foley.evaluate.extra import require
from v2a_foley.evaluate.sounds import Against, Fit, FolderScore, Judgement
from v2a_foley.media.files import atomic, check_output, named

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Table = tuple[list[str], list[list[str]]]
"""Headings and rows."""

MAPPER_PLOTS = ("gap", "recall")
SOUND_PLOTS = ("sounds",)
_SPECIAL = re.compile(r"([\\`*_\[\]|~$])")

_MAPPER_KEY = """\
- **cosine**: mean cosine of a mapped embedding to the CLAP embedding of the true sound.
- **R@k**, **median rank**: the mapped embedding looks for its true sound among the {sounds}
  held-out ones, by cosine. Ties count against the mapper.
- **class@k**: share of embeddings whose k nearest class texts name the right one of {classes}.
- **FD**: Fréchet distance between all mapped and all true embeddings; 0 is the same.
- **KD**: kernel distance (MMD², cubic kernel), unbiased, ± its deviation between subsets.
- **diversity**: mean cosine distance among the mapped embeddings; the true sounds' is the aim.
- **variety**: the same among four samples of one scene; 0 for mappers that do not sample.
"""
_GAP_KEY = """\
Scenes in CLIP's space (grey), sounds in CLAP's (blue) and what each mapper makes of the scenes
(orange). PCA shows how far apart the sets are, t-SNE who is next to whom. {joint}
"""
_JOINT = "CLIP and CLAP have as many dimensions and are shown on one plane."
_APART = (
    "CLIP and CLAP differ in dimensions: CLIP is on axes of its own, and where it lies there says "
    "nothing about the others."
)
_SOUNDS_KEY = """\
- **CLAP text**, **CLAP condition**: mean cosine to the caption, or to the embedding the sound was
  made from; in brackets that to the others' captions or embeddings. Only the difference counts.
  A score above the real sounds' is no merit: it can be had by pleasing CLAP.
- **LUFS**: integrated loudness, median (10th to 90th percentile). **silent**: sounds that have
  none. **silence**: mean share of a sound that is under -60 dBFS.
- **FD**, **KD**: Fréchet and kernel distance between all generated and all reference sounds.
- **same concept**: how often CLAP takes both sounds of one name for the same.
"""


# Tables ------------------------------------------------------------------------------------------


def mapper_table(of: Comparison) -> Table:
    """A row a mapper."""
    headings = [
        "mapper", "cosine", "R@1", "R@5", "R@10", "median rank", "class@1", "class@5", "FD", "KD",
        "diversity", "variety",
    ]  # fmt: skip
    return headings, [_mapper_row(score) for score in of.scores]


def _mapper_row(of: Score) -> list[str]:
    spread = "-" if of.kernel is None else f"{of.kernel.mean:.3f} ± {of.kernel.deviation:.3f}"
    return [
        of.name,
        _number(of.cosine),
        *(_number(of.recall.get(k)) for k in (1, 5, 10)),
        _number(of.median_rank, 1),
        _number(of.class_top1),
        _number(of.class_top5),
        _number(of.frechet, 4),
        spread,
        _number(of.diversity),
        _number(of.variety),
    ]


def folder_table(of: Judgement) -> Table:
    """A row a folder."""
    headings = [
        "", "sounds", "seconds", "LUFS", "silent", "silence", "diversity", "CLAP text",
        "CLAP condition",
    ]  # fmt: skip
    folders = {"generated": of.generated, "reference": of.reference}
    return headings, [_folder_row(name, each) for name, each in folders.items() if each]


def _folder_row(name: str, of: FolderScore) -> list[str]:
    loudness = "-"
    if of.loudness:
        loudness = f"{of.loudness[1]:.1f} ({of.loudness[0]:.1f} to {of.loudness[2]:.1f})"
    return [
        name,
        str(of.count),
        f"{of.seconds[1]:.2f} ({of.seconds[0]:.2f} to {of.seconds[2]:.2f})",
        loudness,
        str(of.silent),
        f"{of.silence:.1%}",
        _number(of.diversity),
        _fit(of.text),
        _fit(of.condition),
    ]


def against_table(of: Against) -> Table:
    """Generated against reference, a measure a row."""
    spread = "-" if of.kernel is None else f"{of.kernel.mean:.3f} ± {of.kernel.deviation:.3f}"
    return ["generated against reference", ""], [
        ["FD", _number(of.frechet, 4)],
        ["KD", spread],
        ["matched by name", str(of.matched)],
        ["cosine", _number(of.cosine)],
        ["same concept", _number(of.concept_top1)],
        ["same concept among five", _number(of.concept_top5)],
        ["same group of concepts", _number(of.group)],
    ]


def _number(value: float | None, places: int = 3) -> str:
    return "-" if value is None else f"{value:.{places}f}"


def _fit(of: Fit | None) -> str:
    return "-" if of is None else f"{of.score:.3f} ({_number(of.others)})"


# JSON --------------------------------------------------------------------------------------------


def record(of: Comparison | Judgement) -> dict[str, Any]:
    """All that is in a table and more, plain values only; embeddings are left out."""
    skipped = ("spaces", "heard")
    values = {each.name: getattr(of, each.name) for each in fields(of)}
    found = {key: value for key, value in values.items() if key not in skipped}
    if isinstance(of, Judgement):
        found["files"] = {
            name: [asdict(sound) for sound in folder.sounds]
            for name, folder in zip(("generated", "reference"), of.heard, strict=False)
        }
    return found


# Markdown ----------------------------------------------------------------------------------------


def check_report(path: Path, plots: Sequence[str], *, overwrite: bool) -> None:
    """Refuse a report that cannot be drawn or written, before any work.

    Raises:
        InputError: matplotlib is missing, or a file must not be written.
    """
    require("matplotlib", "sklearn")
    if path.suffix.lower() not in (".md", ".markdown"):
        raise InputError(f"{named(path)}: a report is Markdown; give it a name that ends in .md")
    for target in (path, *plot_paths(path, plots).values()):
        check_output(target, overwrite=overwrite)


def plot_paths(path: Path, plots: Sequence[str]) -> dict[str, Path]:
    """Where the plots of the report ``path`` lie: beside it, under its name and theirs."""
    return {plot: path.with_name(f"{path.stem}.{plot}.png") for plot in plots}


def write(path: Path, text: str, figures: Mapping[str, Figure], *, overwrite: bool) -> None:
    """Write a report and its plots, all of them or none.

    Raises:
        InputError: as :func:`check_report`.
        MediaError: the disk is full.
    """
    targets = plot_paths(path, list(figures))
    with ExitStack() as files:
        part = files.enter_context(atomic(path, overwrite=overwrite))
        part.write_text(text, encoding="utf-8")
        for plot, target in targets.items():
            drawn = files.enter_context(atomic(target, overwrite=overwrite))
            figures[plot].savefig(drawn, format="png")


def mapper_report(of: Comparison, path: Path) -> str:
    """The Markdown of a comparison that will be written to ``path``."""
    images = plot_paths(path, MAPPER_PLOTS)
    joint = of.spaces.seen.shape[1] == of.spaces.heard.shape[1]
    head = (
        f"{_cell(str(of.pairs))}, split {of.split}: {of.scenes} scenes, {of.sounds} sounds, "
        f"{of.classes} classes. Model pack {_cell(of.pack)}, seed {of.seed}."
    )
    parts = [
        "# Mappers side by side",
        head,
        _markdown(mapper_table(of)),
        _notes(of.notes),
        _MAPPER_KEY.format(sounds=of.sounds, classes=of.classes or "no"),
        "## The domain gap",
        _image("Domain gap", images["gap"]),
        _GAP_KEY.format(joint=_JOINT if joint else _APART),
        "## Retrieval",
        _image("Recall at k", images["recall"]),
    ]
    return _joined(parts)


def sounds_report(of: Judgement, path: Path) -> str:
    """The Markdown of a judgement that will be written to ``path``."""
    folders = [each for each in (of.generated, of.reference) if each]
    plot = plot_paths(path, SOUND_PLOTS)["sounds"]
    parts = [
        "# Sounds",
        "Folders: " + ", ".join(_cell(str(each.folder)) for each in folders) + ". "
        f"Model pack {_cell(of.pack)}, seed {of.seed}.",
        _markdown(folder_table(of)),
        _markdown(against_table(of.against)) if of.against else "",
        _notes([*of.notes, *(f"skipped: {line}" for line in of.unreadable)]),
        _SOUNDS_KEY,
        _image("Sounds in CLAP's space, and their loudness", plot),
    ]
    return _joined(parts)


def _joined(parts: Sequence[str]) -> str:
    return "\n\n".join(part.strip() for part in parts if part) + "\n"


def _markdown(table: Table) -> str:
    headings, rows = table
    lines = [headings, ["---", *["---:"] * (len(headings) - 1)]]
    lines += [[_cell(cell) for cell in row] for row in rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _notes(notes: Sequence[str]) -> str:
    return "\n".join(f"- {_cell(note)}" for note in notes)


def _image(title: str, path: Path) -> str:
    return f"![{title}](<{_link(path.name)}>)"


def _link(name: str) -> str:
    """A file's name between angle brackets, where only these need care."""
    return re.sub(r"([<>\\])", r"\\\1", " ".join(name.split("\n")))


def _cell(text: str) -> str:
    """Text that is no markup, on one line."""
    return _SPECIAL.sub(r"\\\1", html.escape(" ".join(text.split()), quote=False))
