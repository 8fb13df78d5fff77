"""``v2a-foley doctor``: what this machine has of what is needed."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import typer

from v2a_foley.cli import console
from v2a_foley.cli.models import in_bytes, known_packs
from v2a_foley.cli.options import Json
from v2a_foley.errors import FoleyError


def doctor(*, as_json: Json = False) -> None:
    """Show what this machine has of what is needed.

    Exit code 1 if something is missing.
    """
    problems: list[str] = []
    report = {
        "version": version(),
        "python": f"{platform.python_version()} at {sys.executable}",
        "system": platform.platform(),
        "ffmpeg": _attempt(_ffmpeg, problems),
        "torch": _attempt(_torch, problems),
        "devices": _attempt(_devices, problems),
        "packs": _packs(problems),
        "cache": _attempt(_cache, problems),
        "presets": _attempt(_presets, problems),
        "problems": problems,
    }
    console.out(console.as_json(report) if as_json else console.pairs(_in_words(report)))
    if problems:
        raise typer.Exit(1)


def version() -> str:
    """The version of this package, as it was installed."""
    from importlib import metadata  # takes longer than most commands

    try:
        return metadata.version("v2a-foley")
    except metadata.PackageNotFoundError:
        return "(not installed)"


def _attempt(look: Callable[[], Any], problems: list[str]) -> Any:
    """What `look` finds, or None and a problem; one part that is broken must not hide the rest."""
    try:
        return look()
    except (FoleyError, OSError, ImportError, RuntimeError) as problem:
        problems.append(str(problem).strip() or type(problem).__name__)
        return None


def _ffmpeg() -> dict[str, str]:
    from v2a_foley.media.ffmpeg import ffmpeg_exe

    path = ffmpeg_exe()
    told = subprocess.run(
        [path, "-version"], stdin=subprocess.DEVNULL, capture_output=True, timeout=30
    )
    words = told.stdout.decode("utf-8", "replace").split()
    return {"path": path, "version": words[2] if len(words) > 2 else "unknown"}


def _torch() -> str:
    import torch

    return str(torch.__version__)


def _devices() -> list[dict[str, str]]:
    import torch

    found = [{"name": "cpu", "what": f"{torch.get_num_threads()} threads"}]
    for index in range(torch.cuda.device_count()):
        found.append({"name": f"cuda:{index}", "what": torch.cuda.get_device_name(index)})
    if torch.backends.mps.is_available():
        found.append({"name": "mps", "what": "Apple GPU"})
    return found


def _packs(problems: list[str]) -> list[dict[str, Any]]:
    found = known_packs()
    problems += [each["problem"] for each in found if "problem" in each]
    if not any(each["auto"] for each in found):
        problems.append("no model pack is here: install v2a-foley again")
    return found


def _cache() -> dict[str, Any]:
    from v2a_foley import cache

    folder = cache.folder()
    there = next(each for each in (folder, *folder.absolute().parents) if each.exists())
    if not os.access(there, os.W_OK):
        raise PermissionError(f"{folder}: the cache cannot be written; what is made is not kept")
    return {"folder": folder, "bytes": cache.size(), "free": shutil.disk_usage(there).free}


def _presets() -> dict[str, Any]:
    from v2a_foley import presets

    return {"folder": Path(presets.config_dir()) / "presets", "count": len(presets.available())}


def _in_words(report: dict[str, Any]) -> dict[str, object]:
    words = dict(report)
    if report["ffmpeg"]:
        words["ffmpeg"] = f"{report['ffmpeg']['version']} at {report['ffmpeg']['path']}"
    if report["devices"]:
        words["devices"] = [f"{each['name']}: {each['what']}" for each in report["devices"]]
    words["packs"] = [line for each in report["packs"] for line in _pack_lines(each)] or None
    if report["cache"]:
        cache = report["cache"]
        sizes = f"{in_bytes(cache['bytes'])} used, {in_bytes(cache['free'])} free"
        words["cache"] = f"{sizes}, at {cache['folder']}"
    if report["presets"]:
        words["presets"] = (
            f"{report['presets']['count']}, your own at {report['presets']['folder']}"
        )
    words = {key: "missing" if value is None else value for key, value in words.items()}
    words["problems"] = report["problems"] or "none"
    return words


def _pack_lines(of: dict[str, Any]) -> list[str]:
    mark = " (auto takes it)" if of["auto"] else ""
    if "problem" in of:
        return [f"{of['name']}{mark}: cannot be used"]
    use = "" if of["commercial"] else ", not for commercial use"
    licences = (f"  {what}: {which}" for what, which in of["licences"].items())
    return [f"{of['name']} {of['version']}{mark}{use}, at {of['folder']}", *licences]
