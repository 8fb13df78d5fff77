"""CLAP run by the laion_clap package itself (the extra ``laion``), from local files alone."""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from v2a_foley.errors import ModelError
from v2a_foley.media.files import named
from v2a_foley.models.audio_tower import AudioTower, middle
from v2a_foley.models.laion.checkpoint import VOCABULARY
from v2a_foley.models.runtime import prepare

if TYPE_CHECKING:
    import torch

WIDTHS = {96: "HTSAT-tiny", 128: "HTSAT-base", 256: "HTSAT-large"}
"""The package's names of the audio towers, by the width of their first stage."""
SAMPLE_RATE = 48_000
LONGEST = 480_000  # samples; the package would cut what is longer at random
TEXT_BATCH = 32  # the package pads every text to 77 tokens


class LaionClap(AudioTower):
    """Both towers of a LAION CLAP as laion_clap 1.1.7 runs them.

    ``folder`` holds ``config.json`` (``model_type`` "laion_clap", ``amodel``),
    ``model.safetensors`` (the checkpoint's tensors by the package's names) and ``tokenizer``
    (RoBERTa's). Raises ModelError when the package is not installed or the folder does not fit.
    """

    sample_rate = SAMPLE_RATE

    def __init__(self, folder: Path, device: torch.device) -> None:
        from safetensors.torch import load_file

        self._device = device
        try:
            config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
            state = load_file(folder / "model.safetensors")
            self._module = construct(str(config["amodel"]), folder / "tokenizer", device)
            self._module.model.load_state_dict(state)
        except ModelError:
            raise
        except Exception as error:  # the package raises bare RuntimeErrors among many kinds
            raise ModelError(
                f"{named(folder)}: laion_clap cannot load this CLAP ({error}); convert it again"
            ) from error
        self._module.eval().requires_grad_(False)

    def texts(self, texts: Sequence[str]) -> np.ndarray:
        """Embed captions of sounds: float32 ``(n, dim)``, L2-normalised."""
        import torch

        with torch.inference_mode():
            made = [
                self._module.get_text_embedding(list(texts[at : at + TEXT_BATCH]), use_tensor=True)
                for at in range(0, len(texts), TEXT_BATCH)
            ]
        return torch.cat(made).float().cpu().numpy()

    def embed(self, wave: np.ndarray) -> torch.Tensor:
        """Embed a wave at 48 kHz; what is longer than 10 s is cut to its middle."""
        import torch

        made = self._module.get_audio_embedding_from_data([middle(wave, LONGEST)])
        return torch.from_numpy(made)


def require() -> None:
    """Raise ModelError when laion_clap is not installed."""
    from importlib.util import find_spec

    if find_spec("laion_clap") is None:
        raise ModelError(
            "this model pack runs CLAP by the laion_clap package, which is not installed here: "
            "make a virtual environment for it, since it needs NumPy 1, and install "
            "'v2a-foley[laion]' there; or convert the checkpoint with --backend transformers"
        )


def construct(amodel: str, tokenizer: Path, device: torch.device) -> Any:
    """laion_clap's module with random weights; neither the hub nor any other file is asked."""
    require()
    prepare()
    from transformers import RobertaConfig, RobertaModel, RobertaTokenizer

    local = RobertaTokenizer.from_pretrained(tokenizer, local_files_only=True)
    if len(local) != VOCABULARY:
        raise ModelError(
            f"{named(tokenizer)}: the tokenizer has {len(local)} tokens, RoBERTa's has "
            f"{VOCABULARY}: convert the checkpoint again"
        )
    config = RobertaConfig(
        vocab_size=VOCABULARY, max_position_embeddings=514, type_vocab_size=1, layer_norm_eps=1e-5
    )
    with _offline({RobertaTokenizer: lambda: local, RobertaModel: lambda: RobertaModel(config)}):
        module = _import().CLAP_Module(enable_fusion=False, device=str(device), amodel=amodel)
    return module


def _import() -> Any:
    """laion_clap, without the folder of its own that it leaves on ``sys.path``.

    On import the package fetches three tokenizers that only its training uses, and uses what
    timm, torch and others have since deprecated.
    """
    path = list(sys.path)
    from transformers import BartTokenizer, BertTokenizer

    try:
        with _offline({BertTokenizer: lambda: None, BartTokenizer: lambda: None}):
            import laion_clap
    finally:
        sys.path[:] = path
    return laion_clap


@contextmanager
def _offline(answers: dict[type, Any]) -> Iterator[None]:
    """While open, ``from_pretrained`` of each class gives its answer and looks nowhere."""
    with ExitStack() as stack, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for kind, answer in answers.items():
            before = kind.__dict__.get("from_pretrained")
            stack.callback(_restore, kind, before)
            kind.from_pretrained = classmethod(lambda cls, *a, answer=answer, **k: answer())  # type: ignore[attr-defined]
        yield


def _restore(kind: type, before: Any) -> None:
    if before is None:
        del kind.from_pretrained  # type: ignore[attr-defined]
    else:
        kind.from_pretrained = before  # type: ignore[attr-defined]
