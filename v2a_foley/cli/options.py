"""Options that several commands share. What a preset may state is an option of the same name."""

from __future__ import annotations

import inspect
import math
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from v2a_foley.cli import console
from v2a_foley.cli.command import Group, option
from v2a_foley.cuesheet import MAX_SEED
from v2a_foley.errors import InputError
from v2a_foley.presets import Overrides, Parameter, Value, parameters

if TYPE_CHECKING:
    from v2a_foley.cli.progress import Messages
    from v2a_foley.media.probe import MediaInfo
    from v2a_foley.models.bundle import Models
    from v2a_foley.spotting import SpotSettings

AUTO = "auto"

# Paths are `readable=False`: the library has the better words for what cannot be read.
Video = Annotated[
    Path,
    typer.Argument(metavar="VIDEO", help="The video.", show_default=False, readable=False),
]
Sheet = Annotated[
    Path,
    typer.Argument(metavar="SHEET", help="A cue sheet.", show_default=False, readable=False),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace files that exist.")]
AudioTrack = Annotated[
    int,
    typer.Option(
        "--audio-track", min=0, metavar="NUMBER",
        help="The video's own sound track to mix with, counted from 0.",
    ),
]  # fmt: skip
KeepOriginal = Annotated[
    bool,
    typer.Option(
        "--keep-original", help="Keep the video's own sound tracks behind the new one.",
    ),
]  # fmt: skip
PresetName = Annotated[
    str | None,
    typer.Option(
        "--preset", metavar="NAME", show_default=False,
        help="Preset of every scene; without it each gets the one that suits what it shows.",
    ),
]  # fmt: skip


def _seed(seed: int | None) -> int | None:
    if seed is not None and not 0 <= seed <= MAX_SEED:
        raise typer.BadParameter(f"must be from 0 to {MAX_SEED}, not {seed}")
    return seed


Seed = Annotated[
    int | None,
    typer.Option(
        "--seed", callback=_seed, metavar="NUMBER", show_default=False,
        help="Another seed gives other sounds; 0 if not given.",
    ),
]  # fmt: skip


PackName = Annotated[
    str | None,
    typer.Option(
        "--models", metavar="PACK", show_default=False, rich_help_panel="Models",
        help="Model pack: auto, starter, foundation or a folder that holds one.",
    ),
]  # fmt: skip
Device = Annotated[
    str,
    typer.Option(
        "--device", metavar="NAME", rich_help_panel="Models",
        help="Where the models run: auto, cpu, cuda (or cuda:1), mps.",
    ),
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class ModelChoice:
    """Which models run, and where."""

    pack: PackName = None
    mapper: Annotated[
        Path | None,
        typer.Option(
            "--mapper", metavar="FILE", show_default=False, readable=False,
            rich_help_panel="Models",
            help="Mapper from CLIP to CLAP: a file, bridge, or one that 'models info' names;"
            " without it the pack's own.",
        ),
    ] = None  # fmt: skip
    device: Device = AUTO

    def find(self, usual: str = AUTO) -> Models:
        """The chosen models, none loaded yet; ``usual`` is the pack where none was named."""
        from v2a_foley.models.bundle import Models

        models = Models(self.pack or usual, self.device, self.mapper)
        if models.mapper_path is not None:
            _require_mapper(models.mapper_path)
        return models


def _require_mapper(path: Path) -> None:
    try:
        path.open("rb").close()
    except OSError as error:
        raise InputError(
            f"{console.name(path)}: cannot be read as a mapper ({error.strerror}); name the file "
            "of one, or leave out --mapper"
        ) from None


def check_audio_track(info: MediaInfo, number: int) -> None:
    """Refuse a sound track that the video does not have; the first may always be asked for."""
    if number >= max(1, len(info.audio)):
        raise InputError(
            f"{console.name(info.path)}: has no audio track {number}; it has {len(info.audio)}, "
            "and --audio-track counts from 0"
        )


def announce(models: Models, asked: str | None, messages: Messages) -> None:
    """Say which models run and what their licences ask for.

    Fails, before any work, if the device is not there or the mapper does not fit the pack.
    ``asked`` is the pack's name as it was stated, None where none was.
    """
    pack = models.pack
    messages.say(f"model pack: {pack.name} {pack.version}, on {models.device}")
    if asked in (None, AUTO) and pack.name == "starter":
        messages.say(
            "  the foundation pack is not here, so the small one runs: 'v2a-foley models pull"
            " foundation' fetches it"
        )
    if not pack.commercial:
        messages.say(f"  not for commercial use: see 'v2a-foley models info {pack.name}'")
    if models.mapper_path is not None:
        with messages.progress() as progress:
            progress.stage("load", 0.0)
            models.mapper_file  # noqa: B018 - reads it, and what it has to fit
            progress.stage("load", 1.0)


@dataclass(frozen=True, slots=True)
class Beside:
    """What is written beside the finished video."""

    stems: Annotated[
        Path | None,
        typer.Option(
            "--stems", metavar="DIR", show_default=False, readable=False,
            rich_help_panel="Hand-over",
            help="Also write one WAV a scene and the whole track into this folder, each with the"
            " timecode of its place (BWF).",
        ),
    ] = None  # fmt: skip
    handles: Annotated[
        bool,
        typer.Option(
            "--handles", rich_help_panel="Hand-over",
            help="Stems keep the sound they have beyond their scene.",
        ),
    ] = False  # fmt: skip
    timeline: Annotated[
        list[Path] | None,
        typer.Option(
            "--timeline", metavar="FILE", show_default=False, readable=False,
            rich_help_panel="Hand-over",
            help="Also write a timeline of the picture and the stems: .otio, .xml (Premiere Pro,"
            " Resolve), .fcpxml (Final Cut Pro) or .edl. May be given again.",
        ),
    ] = None  # fmt: skip
    sidecar: Annotated[
        Path | None,
        typer.Option(
            "--sidecar", metavar="FILE", show_default=False, readable=False,
            rich_help_panel="Hand-over",
            help="Also write how all was made as JSON: seeds, versions, models, licences, levels.",
        ),
    ] = None  # fmt: skip

    @property
    def given(self) -> dict[str, Any]:
        """As `deliver` and `foley` take it."""
        own = {"stems": self.stems, "handles": self.handles, "sidecar": self.sidecar}
        return own | {"timelines": tuple(self.timeline or ())}

    def check(self, output: Path, info: MediaInfo, sheet: Path | None, *, overwrite: bool) -> None:
        """Refuse what does not go together, or cannot be written; scenes are not known yet."""
        from v2a_foley.export.handover import HandOver

        inputs = [info.path] if sheet is None else [info.path, sheet]
        HandOver(**self.given).check(output, info, inputs, overwrite=overwrite)


CutList = Annotated[
    Path | None,
    typer.Option(
        "--scenes", metavar="FILE", show_default=False, readable=False,
        rich_help_panel="Scenes",
        help="Take the scenes from this list instead of finding them: PySceneDetect's CSV, EDL,"
        " OTIO, FCP7 XML or FCPXML.",
    ),
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Spotting:
    """How scenes are found."""

    detector: Annotated[
        str | None,
        typer.Option(
            "--detector", metavar="NAME", show_default=False, rich_help_panel="Scenes",
            help="How cuts are found: adaptive (if not given), content, threshold (fades), hash"
            " or histogram.",
        ),
    ] = None  # fmt: skip
    threshold: Annotated[
        float | None,
        typer.Option(
            "--threshold", metavar="NUMBER", show_default=False, rich_help_panel="Scenes",
            help="Least change that is a cut, in the detector's own unit.",
        ),
    ] = None  # fmt: skip
    min_scene: Annotated[
        float | None,
        typer.Option(
            "--min-scene", metavar="SECONDS", show_default=False, rich_help_panel="Scenes",
            help="Shortest scene; 0.6 if not given.",
        ),
    ] = None  # fmt: skip

    @property
    def given(self) -> dict[str, str | float]:
        """What the command line states."""
        return {key: value for key, value in asdict(self).items() if value is not None}

    def settings(self, cuts: Path | None = None, info: MediaInfo | None = None) -> SpotSettings:
        """As the library takes it, checked; ``cuts`` lists the scenes of the video ``info``."""
        from v2a_foley.cuesheet import cutlists
        from v2a_foley.spotting import SpotSettings

        settings = SpotSettings(**self.given)  # type: ignore[arg-type]
        settings.finder()
        if cuts is None or info is None:
            return settings
        if self.given:
            flag = f"--{next(iter(self.given)).replace('_', '-')}"
            raise InputError(
                f"--scenes states the scenes, so none are looked for: leave out {flag}"
            )
        return replace(settings, scenes=cutlists.read(cuts, info.duration, info.rate))


def settings(*names: str) -> Group:
    """An option for each key that a preset may state: ``mix`` for all of a section, or ``mix.pan``.

    The mapper has none: --mapper names the run's, which a scene's goes before.
    """
    asked = {each for each in names if "." in each}
    table = {
        each.key: each
        for section in dict.fromkeys(name.partition(".")[0] for name in names)
        for each in parameters(section).values()
        if section in names or f"{section}.{each.key}" in asked
    }
    table.pop("mapper", None)

    def build(**texts: str | None) -> Overrides:
        given: dict[str, dict[str, Value]] = {}
        for key, text in texts.items():
            if text is not None:
                value = parsed(table[key], text)
                if key == "reference" and value:  # here it is named from where the command runs
                    value = str(Path(text).absolute())
                given.setdefault(table[key].section, {})[key] = value
        return given

    return Group(tuple(_option(each) for each in table.values()), build)


_METAVARS = {str: "TEXT", int: "NUMBER", float: "NUMBER", tuple: "LIST"}


def _option(parameter: Parameter) -> inspect.Parameter:
    number = "" if math.isinf(parameter.low) else f" ({parameter.allowed})"
    if parameter.kind is tuple:
        number = f" (some of {', '.join(parameter.choices)}, with commas between, or none)"
    choices = "|".join(parameter.choices)
    flag = typer.Option(
        _flag(parameter),
        metavar=choices if choices and parameter.kind is str else _METAVARS[parameter.kind],
        help=f"{parameter.help[0].upper()}{parameter.help[1:]}{number}.",
        show_default=False,
        rich_help_panel=parameter.section.capitalize(),
    )
    return option(parameter.key, Annotated[str | None, flag], None)


def _flag(parameter: Parameter) -> str:
    return "--" + parameter.key.replace("_", "-")


def parsed(parameter: Parameter, text: str) -> Value:
    """A setting's value as it stands on the command line, checked."""
    try:
        return parameter.read(text)
    except ValueError as problem:
        raise InputError(f"{_flag(parameter)} {problem}") from None
