"""CLAP: the sound space. A text tower always, an audio tower where the pack has one."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from v2a_foley.errors import ModelError
from v2a_foley.models.audio_tower import AudioTower, load_audio_tower, tower_kind
from v2a_foley.models.packs import Pack, require_intact
from v2a_foley.models.runtime import prepare, use_threads

if TYPE_CHECKING:
    import torch

    from v2a_foley.models.laion.package import LaionClap

# Two CLAPs share a space when they agree on these (cosine over 0.99 on each).
FINGERPRINT_PROMPTS = (
    "a dog barking",
    "heavy rain on a tin roof",
    "footsteps on gravel",
    "a steam train passing by",
    "people applauding in a hall",
    "an explosion in the distance",
    "waves breaking on a beach",
    "a piano playing a slow melody",
)
AGREEMENT = 0.99
FINGERPRINT_FILE = "fingerprint.safetensors"


class Clap:
    """A pack's CLAP. Embeddings are float32 ``(n, dim)`` on the CPU, L2-normalised.

    The text tower is the generator's own, so that prompts, negatives and the generator share
    one space. Where the pack's CLAP is one that laion_clap runs, both towers are the package's.
    Raises ModelError when a part is damaged, or the audio tower comes from another CLAP than
    the generator's text tower.
    """

    def __init__(self, pack: Pack, device: torch.device) -> None:
        prepare()
        from transformers import AutoTokenizer, ClapTextModelWithProjection

        self.device = device
        self._pack = pack
        folder = pack.generator
        require_intact(pack, f"{folder.relative_to(pack.folder)}/text_encoder/")
        require_intact(pack, f"{folder.relative_to(pack.folder)}/tokenizer/")
        try:
            model: Any = ClapTextModelWithProjection.from_pretrained(
                folder / "text_encoder", local_files_only=True, use_safetensors=True
            )
            self._tokenizer = AutoTokenizer.from_pretrained(
                folder / "tokenizer", local_files_only=True
            )
        except (OSError, RuntimeError, ValueError, KeyError) as error:
            raise ModelError(f"{folder}: the CLAP text tower cannot be loaded ({error})") from error
        size = model.config.vocab_size
        if len(self._tokenizer) > size or len(self._tokenizer) < size // 2:
            # A tokenizer that lost its vocabulary still runs, and its embeddings are noise.
            raise ModelError(
                f"{folder / 'tokenizer'}: the tokenizer has {len(self._tokenizer)} tokens, the "
                f"text tower {size}: install the pack again"
            )
        self._text = model.float().to(device).eval().requires_grad_(False)
        self._audio: AudioTower | None = None
        self._package: LaionClap | None = None
        if pack.clap_audio is not None:
            self._check_space(pack.clap_audio)

    def _check_space(self, folder: Path) -> None:
        """Refuse an audio tower that came with another text tower than the generator's.

        One without a record of its text tower passes: the starter's was trained with its own.
        """
        record = folder / FINGERPRINT_FILE
        if tower_kind(folder) == "laion_clap":
            package = cast("LaionClap", self.audio)
            require_one_space(package.texts(FINGERPRINT_PROMPTS), self.fingerprint(), self._pack)
            self._package = package
            self._text = self._tokenizer = None  # as large as the package's own
        elif record.is_file():
            require_intact(self._pack, record.relative_to(self._pack.folder).as_posix())
            require_one_space(read_fingerprint(record), self.fingerprint(), self._pack)

    @property
    def has_audio(self) -> bool:
        """Whether sounds can be embedded (needed to rank candidates)."""
        return self._pack.clap_audio is not None

    def texts(self, texts: Sequence[str]) -> np.ndarray:
        """Embed captions of sounds: ``(n, dim)``."""
        use_threads()
        if self._package is not None:
            return self._package.texts(texts)
        return embed_texts(self._text, self._tokenizer, texts, self.device)

    def sounds(self, waves: Sequence[np.ndarray], sample_rate: int) -> np.ndarray:
        """Embed mono waves (float32 ``(samples,)``): ``(n, dim)``."""
        use_threads()
        return np.concatenate([self.audio(np.asarray(w, np.float32), sample_rate) for w in waves])

    @property
    def audio(self) -> AudioTower:
        """The audio tower, loaded at its first use. Raises ModelError where the pack has none."""
        folder = self._pack.clap_audio
        if folder is None:
            raise ModelError(f"model pack '{self._pack.name}' has no CLAP audio tower")
        if self._audio is None:
            require_intact(self._pack, folder.relative_to(self._pack.folder).as_posix() + "/")
            self._audio = load_audio_tower(folder, self.device)
        return self._audio

    def fingerprint(self) -> np.ndarray:
        """Text embeddings of the fixed prompts: ``(8, dim)``, what identifies the space."""
        return self.texts(FINGERPRINT_PROMPTS)


def embed_texts(
    model: Any, tokenizer: Any, texts: Sequence[str], device: torch.device
) -> np.ndarray:
    """Embed ``texts`` by transformers' CLAP text tower: float32 ``(n, dim)``, L2-normalised."""
    import torch

    out = []
    limit = model.config.max_position_embeddings - 2
    for at in range(0, len(texts), 128):
        batch = tokenizer(
            list(texts[at : at + 128]),
            padding=True,
            truncation=True,
            max_length=min(77, limit),
            return_tensors="pt",
        ).to(device)
        with torch.inference_mode():
            made = model(
                input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]
            ).text_embeds
        out.append(torch.nn.functional.normalize(made.float(), dim=-1).cpu().numpy())
    return np.concatenate(out)


def write_fingerprint(path: Path, fingerprint: np.ndarray) -> None:
    """Keep a CLAP's ``fingerprint`` ``(8, dim)`` beside its audio tower, with its prompts."""
    from safetensors.numpy import save_file

    prompts = json.dumps(FINGERPRINT_PROMPTS)
    save_file({"fingerprint": np.ascontiguousarray(fingerprint)}, path, {"prompts": prompts})


def read_fingerprint(path: Path) -> np.ndarray:
    """The fingerprint in ``path``. Raises ModelError when it is damaged or of other prompts."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="np") as file:
            found = file.get_tensor("fingerprint")
            prompts = json.loads((file.metadata() or {}).get("prompts", "null"))
    except (OSError, SafetensorError, ValueError) as error:
        raise ModelError(f"{path}: not a CLAP's fingerprint ({error}); convert it again") from None
    if prompts != list(FINGERPRINT_PROMPTS):
        raise ModelError(f"{path}: made by another version of v2a-foley: convert the CLAP again")
    return found


def require_one_space(audio: np.ndarray, text: np.ndarray, pack: Pack) -> None:
    """Raise ModelError when an audio tower's fingerprint is not that of ``pack``'s text tower."""
    cosine = agreement(audio, text)
    if not cosine > AGREEMENT:
        raise ModelError(
            f"model pack '{pack.name}' at {pack.folder}: its CLAP audio tower is of another CLAP "
            f"than the text tower of its generator (they agree to {cosine:.3f} on fixed texts, "
            f"{AGREEMENT} is needed): use the CLAP of the checkpoint that the generator came from"
        )


def agreement(first: np.ndarray, second: np.ndarray) -> float:
    """Least cosine between two fingerprints ``(8, dim)``; 0 where the dimensions differ."""
    if first.shape != second.shape:
        return 0.0
    return float((first * second).sum(1).min())
