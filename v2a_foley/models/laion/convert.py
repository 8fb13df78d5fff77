"""Turns a CLAP checkpoint into files that a model pack can name, or into a whole pack."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tomlkit

from v2a_foley.errors import FoleyError, InputError, ModelError
from v2a_foley.media.files import check_output, named
from v2a_foley.models import packs
from v2a_foley.models.clap import (
    AGREEMENT,
    FINGERPRINT_FILE,
    FINGERPRINT_PROMPTS,
    Clap,
    agreement,
    embed_texts,
    write_fingerprint,
)
from v2a_foley.models.laion import package, towers
from v2a_foley.models.laion.checkpoint import VOCABULARY, Checkpoint, read
from v2a_foley.models.runtime import prepare
from v2a_foley.progress import SILENT, Progress

if TYPE_CHECKING:
    import numpy as np

BACKENDS = ("transformers", "laion_clap")
PART = "clap"  # the folder of a pack that a CLAP goes into


def convert(
    path: Path,
    output: Path,
    *,
    tokenizer: Path | None = None,
    pack: str | None = None,
    backend: str = "transformers",
    progress: Progress = SILENT,
) -> Path:
    """Convert the CLAP in the checkpoint ``path`` into the new folder ``output``; returns it.

    ``tokenizer``: folder with RoBERTa's ``vocab.json`` and ``merges.txt``; without it that of
    ``pack``, else of the foundation pack. ``pack``: a pack without an audio tower, of which
    ``output`` becomes a copy that has this one; without it ``output`` holds the CLAP alone.
    ``backend``: ``transformers`` writes ClapModel's towers, ``laion_clap`` the tensors by that
    package's own names, which then runs them.

    Everything is written as safetensors, once, and appears under its name when it is whole.
    Raises InputError or ModelError before anything is written: the output exists, a file is
    missing or unfit, the checkpoint is damaged or holds code, or its CLAP is not the one that
    the pack's generator was trained with.
    """
    base = None if pack is None else packs.find(pack)
    _check(output, base, backend)
    words = _tokenizer(_tokenizer_folder(tokenizer, base))
    progress.note(f"reading {named(path)}")
    checkpoint = read(path)
    if backend == "laion_clap":
        _check_package(checkpoint)
    progress.note("converting")
    text, audio, extractor = towers.convert(checkpoint)
    fingerprint = embed_texts(text, words, FINGERPRINT_PROMPTS, text.device)
    if base is not None:
        _require_base(checkpoint, base, fingerprint)
    with _whole_folder(output) as part:
        own = part
        if base is not None:
            shutil.copytree(base.folder, part, dirs_exist_ok=True)
            own = part / PART
        elif backend == "transformers":
            text.save_pretrained(part / "text_encoder")
            words.save_pretrained(part / "tokenizer")
            own = part / "audio"
        if backend == "transformers":
            audio.save_pretrained(own)
            extractor.save_pretrained(own)
            write_fingerprint(own / FINGERPRINT_FILE, fingerprint)
        else:
            _write_package(checkpoint, words, own)
        if base is not None:
            _write_manifest(part, output.name, base, checkpoint)
    return output


def _check(output: Path, base: packs.Pack | None, backend: str) -> None:
    if backend not in BACKENDS:
        raise InputError(f"unknown backend '{backend}': choose one of {', '.join(BACKENDS)}")
    if os.path.lexists(output):
        raise InputError(f"{named(output)}: exists already; remove it or choose another folder")
    check_output(output)
    if base is not None and (base.clap_audio is not None or (base.folder / PART).exists()):
        raise InputError(
            f"model pack '{base.name}' at {base.folder} has a CLAP audio tower already; "
            "name a pack without one"
        )
    if base is not None and output.resolve().is_relative_to(base.folder):
        raise InputError(
            f"{named(output)}: lies in the pack it is made from; choose another folder"
        )


def _tokenizer_folder(given: Path | None, base: packs.Pack | None) -> Path:
    if given is not None:
        return given
    if base is not None:
        return base.generator / "tokenizer"
    fetched = packs.available().get("foundation")
    if fetched is None:
        raise InputError(
            "no tokenizer: name a folder with RoBERTa's vocab.json and merges.txt (--tokenizer), "
            "or a pack that has them (--pack)"
        )
    return packs.load(fetched).generator / "tokenizer"


def _tokenizer(folder: Path) -> Any:
    """RoBERTa's tokenizer; one that lost its vocabulary would run, and give noise."""
    prepare()
    from transformers import RobertaTokenizer

    pair = [folder / "vocab.json", folder / "merges.txt"]
    missing = [file for file in pair if not file.is_file()]
    if missing and not (folder / "tokenizer.json").is_file():
        raise InputError(
            f"{named(missing[0])}: no such file; the text tower needs RoBERTa's vocab.json and "
            "merges.txt: name the folder that holds them (--tokenizer)"
        )
    try:
        words = RobertaTokenizer.from_pretrained(folder, local_files_only=True)
    except Exception as error:  # the tokenizers library raises bare Exceptions
        raise ModelError(f"{named(folder)}: the tokenizer cannot be read ({error})") from None
    ids = [words.convert_tokens_to_ids(each) for each in ("<s>", "<pad>", "</s>")]
    if len(words) != VOCABULARY or ids != [0, 1, 2]:
        raise ModelError(
            f"{named(folder)}: not RoBERTa's tokenizer: it has {len(words)} tokens, RoBERTa's "
            f"{VOCABULARY}; name the folder of another one (--tokenizer)"
        )
    return words


def _check_package(checkpoint: Checkpoint) -> None:
    shape = checkpoint.shape
    if shape.fused or shape.width not in package.WIDTHS:
        kind = "with fusion" if shape.fused else f"of width {shape.width}"
        raise InputError(
            f"{named(checkpoint.path)}: an audio tower {kind} is not run by laion_clap here; "
            "convert it with --backend transformers"
        )


@contextmanager
def _whole_folder(output: Path) -> Iterator[Path]:
    """A folder beside ``output`` to fill, which becomes it when all went well, else goes."""
    part = output.with_name(f".{output.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    try:
        part.mkdir(parents=True)
        yield part
        part.rename(output)
    except FoleyError:
        raise
    except Exception as error:  # safetensors has errors of its own for a full disk
        raise FoleyError(f"{named(output)}: cannot be written ({error})") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _require_base(checkpoint: Checkpoint, base: packs.Pack, fingerprint: np.ndarray) -> None:
    import torch

    cosine = agreement(Clap(base, torch.device("cpu")).fingerprint(), fingerprint)
    if not cosine > AGREEMENT:
        raise ModelError(
            f"{named(checkpoint.path)}: another CLAP than the one that the generator of model "
            f"pack '{base.name}' at {base.folder} was trained with (their text towers agree to "
            f"{cosine:.3f} on fixed texts, {AGREEMENT} is needed): use the checkpoint that the "
            "generator came from"
        )


def _write_package(checkpoint: Checkpoint, words: Any, folder: Path) -> None:
    from safetensors.torch import save_file

    folder.mkdir(exist_ok=True)
    config = {"model_type": "laion_clap", "amodel": package.WIDTHS[checkpoint.shape.width]}
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    unwanted = "text_branch.embeddings.position_ids"  # a constant that newer RoBERTas do not keep
    state = {k: v.contiguous().clone() for k, v in checkpoint.state.items() if k != unwanted}
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    words.save_pretrained(folder / "tokenizer")


def _write_manifest(folder: Path, name: str, base: packs.Pack, checkpoint: Checkpoint) -> None:
    """The manifest of ``base`` with the audio tower in it; its licence is not known here."""
    path = folder / packs.MANIFEST
    table: Any = tomlkit.parse(path.read_text(encoding="utf-8"))
    source = checkpoint.path.name
    table["pack"]["name"] = name
    table["pack"]["description"] = f"{base.description}, with the CLAP audio tower of {source}"
    table["pack"]["commercial"] = False
    table["licences"][f"CLAP ({source})"] = "not stated in the checkpoint: ask its publisher"
    table.setdefault("clap", {})["audio"] = PART
    files = table.setdefault("files", {})
    for file in sorted((folder / PART).rglob("*")):
        if file.is_file():
            files[file.relative_to(folder).as_posix()] = packs.sha256(file)
    path.write_text(tomlkit.dumps(table), encoding="utf-8")
