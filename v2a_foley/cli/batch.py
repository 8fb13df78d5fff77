"""``v2a-foley batch``: many videos, overnight or on a cluster, and what became of them."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from v2a_foley.cli import console
from v2a_foley.cli.command import INTERRUPTED
from v2a_foley.cli.options import (
    AUTO,
    AudioTrack,
    KeepOriginal,
    ModelChoice,
    Overwrite,
    PresetName,
    Seed,
    Spotting,
    announce,
    settings,
)
from v2a_foley.cli.progress import Messages
from v2a_foley.errors import FoleyError, InputError
from v2a_foley.presets import Overrides

if TYPE_CHECKING:
    from v2a_foley.batch.dispatch import Engine
    from v2a_foley.batch.job import Job
    from v2a_foley.batch.order import Order, Plan, Shard
    from v2a_foley.batch.running import Summary


class Batch(TyperGroup):
    """A group whose command may be left out: what is no command is an input of ``run``."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put ``run`` before inputs and options."""
        if args and args[0] not in self.commands and args[0] not in ctx.help_option_names:
            args = ["run", *args]
        return super().parse_args(ctx, args)


@dataclass(frozen=True, slots=True)
class Files:
    """Which files, and what their outputs are called."""

    inputs: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[INPUTS]...", show_default=False, readable=False,
            help="Videos, and folders that are searched with all below them.",
        ),
    ] = None  # fmt: skip
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="DIR", show_default=False, readable=False,
            help="The folder for the outputs; it mirrors the folders of the inputs.",
        ),
    ] = None  # fmt: skip
    input_list: Annotated[
        Path | None,
        typer.Option(
            "--input-list", metavar="FILE", show_default=False, readable=False,
            help="A text file with an input a line; - is stdin.",
        ),
    ] = None  # fmt: skip
    include: Annotated[
        list[str] | None,
        typer.Option(
            "--include", metavar="PATTERN", show_default=False,
            help="Names or paths wanted in folders, as in a shell; if not given, those of videos.",
        ),
    ] = None  # fmt: skip
    exclude: Annotated[
        list[str] | None,
        typer.Option(
            "--exclude", metavar="PATTERN", show_default=False,
            help="Names or paths in folders that are left out.",
        ),
    ] = None  # fmt: skip
    name: Annotated[
        str,
        typer.Option(
            "--name", metavar="TEMPLATE",
            help="Name of an output; may hold {stem}, {ext}, {preset} and {seed}.",
        ),
    ] = "{stem}.foley{ext}"  # fmt: skip
    preset: PresetName = None
    seed: Seed = None
    shard: Annotated[
        str | None,
        typer.Option(
            "--shard", metavar="I/N", show_default=False,
            help="Make the I-th of N shares only, as in a Slurm array:"
            " --shard $SLURM_ARRAY_TASK_ID/8 with --array=1-8.",
        ),
    ] = None  # fmt: skip
    overwrite: Overwrite = False

    def order(self) -> Order:
        """As the library takes it."""
        from v2a_foley.batch.finding import Patterns, read_list
        from v2a_foley.batch.order import Order

        if self.output is None:
            raise InputError("name the folder for the outputs: -o DIR")
        if not self.inputs and self.input_list is None:
            raise InputError("name videos or folders, or a list of them with --input-list")
        return Order(
            output=self.output,
            inputs=tuple(self.inputs or ()),
            listed=tuple(read_list(self.input_list)) if self.input_list else (),
            patterns=Patterns(tuple(self.include or ()), tuple(self.exclude or ())),
            template=self.name,
            preset=self.preset,
            seed=self.seed,
            shard=_shard(self.shard),
            overwrite=self.overwrite,
        )


@dataclass(frozen=True, slots=True)
class Workers:
    """Who does the work."""

    engine: Annotated[
        str,
        typer.Option("--engine", metavar="local|ray", rich_help_panel="Workers",
                     help="Processes of this machine, or actors on a Ray cluster."),
    ] = "local"  # fmt: skip
    workers: Annotated[
        int | None,
        typer.Option(
            "--workers", min=1, metavar="NUMBER", show_default=False, rich_help_panel="Workers",
            help="Workers, each with models of its own; one a GPU if not given, else one.",
        ),
    ] = None  # fmt: skip
    address: Annotated[
        str | None,
        typer.Option(
            "--address", metavar="ADDRESS", show_default=False, rich_help_panel="Workers",
            help="The Ray cluster to join: auto, or host:port; one is started here if not given.",
        ),
    ] = None  # fmt: skip
    timeout: Annotated[
        float,
        typer.Option(
            "--timeout", min=0, metavar="SECONDS", rich_help_panel="Workers",
            help="Longest that a file may be worked on; 0 is no limit.",
        ),
    ] = 3600.0  # fmt: skip

    def check(self) -> None:
        """Refuse an engine that is not there, before any work."""
        if self.engine not in ("local", "ray"):
            raise InputError(f"--engine must be local or ray, not {self.engine!r}")
        if self.address is not None and self.engine != "ray":
            raise InputError("--address means nothing without --engine ray; leave it out")
        if self.engine == "ray":
            from v2a_foley.batch import cluster

            cluster.require()

    def start(self, job: Job) -> Callable[[Path], Engine]:
        """The engine, to be made with a folder for logs."""

        def made(folder: Path) -> Engine:
            from v2a_foley.batch.cluster import Cluster
            from v2a_foley.batch.local import Local

            if self.engine == "ray":
                return Cluster(job, self.workers, self.address)
            return Local(job, self.workers, folder)

        return made


def run(
    *,
    files: Files,
    choice: ModelChoice,
    spotting: Spotting,
    overrides: Annotated[Overrides, settings("generation", "timing", "mix")],
    audio_track: AudioTrack = 0,
    keep_original: KeepOriginal = False,
    workers: Workers,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Look at all files and show the plan; writes nothing.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, a line an event.")] = False,
    messages: Messages,
) -> None:  # fmt: skip
    """Put foley on many videos; goes on where an earlier batch into the same folder ended.

    Folders and clips may bring settings (v2a-foley.toml, CLIP.foley.toml) and cue sheets
    (CLIP.cues.toml). Prints the names of the outputs as they are done, below the output folder.
    """
    from v2a_foley.batch.job import Job
    from v2a_foley.batch.running import batch, preview
    from v2a_foley.batch.sidecars import anywhere
    from v2a_foley.cli.overview import Lines, overview

    workers.check()
    order = files.order()
    how = spotting.settings()
    models = choice.find()
    job = Job(
        pack=str(models.pack.folder),
        mapper=str(choice.mapper.absolute() if models.mapper_path else choice.mapper)
        if choice.mapper else None,
        device=choice.device,
        overrides=anywhere(overrides, Path()),
        spotting=asdict(how),
        audio_track=audio_track,
        keep_original=keep_original,
    )  # fmt: skip
    if dry_run:
        plan = preview(order, job, models, Lines(messages, False))
        _show(plan, messages, as_json)
        return
    announce(models, choice.pack or AUTO, messages)
    with overview(messages, as_json) as watcher:
        made = batch(
            order, job, models=models, engine=workers.start(job), watcher=watcher,
            timeout=workers.timeout or None,
        )  # fmt: skip
    _end(made, messages, as_json)


def _shard(text: str | None) -> Shard:
    from v2a_foley.batch.order import Shard

    if text is None:
        return Shard()
    found = re.fullmatch(r"(\d{1,6})/(\d{1,6})", text)
    shard = Shard(int(found[1]), int(found[2])) if found else None
    if shard is None or not 1 <= shard.number <= shard.count:
        raise InputError(f"--shard must be like 3/8, the first is 1/8, not {text!r}")
    return shard


def _show(plan: Plan, messages: Messages, as_json: bool) -> None:
    from v2a_foley.batch.planning import as_rows

    rows = as_rows(plan)
    counts = {action: len(plan.only(action)) for action in ("make", "skip", "fail")}
    if as_json:
        facts = {"estimate": plan.estimate, "measured": plan.measured, "notes": plan.notes}
        console.out(console.as_json(counts | facts | {"files": rows}))
    else:
        heads = ("action", "input", "output", "duration", "preset", "seed", "reason")
        cells = [[_cell(row[head]) for head in heads] for row in rows]
        console.out(console.table([head.upper() for head in heads], cells))
    for note in plan.notes:
        messages.say(note)
    basis = f"by {plan.measured} files made here" if plan.measured else "a guess for two CPU cores"
    messages.say(
        f"{counts['make']} to make, {counts['skip']} to skip, {counts['fail']} that cannot be "
        f"used; about {_time(plan.estimate)} for one worker ({basis})"
    )


def _cell(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.3f}"
    return "-" if value is None else str(value)


def _time(seconds: float) -> str:
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{max(1, minutes)} min"


def _end(made: Summary, messages: Messages, as_json: bool) -> None:
    """Say how it ended, by the exit code too."""
    if as_json:
        values = {each.name: getattr(made, each.name) for each in fields(made)}
        console.out(console.json_line({"event": "end"} | values))
    kinds = ("done", "failed", "skipped", "left")
    words = ", ".join(f"{made.counts[kind]} {kind}" for kind in kinds)
    use = made.busy["render"] / max(made.seconds, 1e-9)
    messages.say(
        f"{words}; {made.scenes} scenes, {made.duration:.1f} s of video in {made.seconds:.1f} s "
        f"(rendering {use:.0%} of it)"
    )
    if made.interrupted:
        console.error("interrupted; the same command goes on from here")
        raise typer.Exit(INTERRUPTED)
    if made.full:
        raise FoleyError(f"{made.full}; then the same command goes on from here")
    if made.counts["failed"]:
        console.error(f"{made.counts['failed']} files failed: see 'v2a-foley batch failed'")
        raise typer.Exit(1)
