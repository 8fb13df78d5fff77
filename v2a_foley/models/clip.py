"""CLIP through open_clip: frames and text to unit-length embeddings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from v2a_foley.errors import ModelError
from v2a_foley.models.packs import Pack, require_intact
from v2a_foley.models.runtime import prepare, use_threads

if TYPE_CHECKING:
    import torch

BATCH = 16


class Clip:
    """A pack's CLIP. Embeddings are float32 ``(n, dim)`` on the CPU, L2-normalised."""

    def __init__(self, pack: Pack, device: torch.device) -> None:
        prepare()
        import open_clip
        import torch

        require_intact(pack, f"{pack.clip.relative_to(pack.folder)}/")
        location = f"local-dir:{pack.clip}"
        try:
            model, self._preprocess = open_clip.create_model_from_pretrained(
                location, device=device, return_transform=True
            )
            self._tokenizer = open_clip.get_tokenizer(location)
        except (OSError, RuntimeError, ValueError, KeyError) as error:
            raise ModelError(f"{pack.clip}: open_clip cannot load this CLIP ({error})") from error
        self._model: Any = model.eval().requires_grad_(False).to(memory_format=torch.channels_last)
        self.device = device
        self.id = pack.clip_id
        self.prompts = pack.clip_prompts

    def images(self, images: Sequence[np.ndarray]) -> np.ndarray:
        """Embed RGB images (uint8 ``(h, w, 3)`` each): ``(n, dim)``."""
        use_threads()
        import torch
        from PIL import Image

        out = []
        for at in range(0, len(images), BATCH):
            chunk = [self._preprocess(Image.fromarray(i)) for i in images[at : at + BATCH]]
            with torch.inference_mode():
                batch = torch.stack(chunk).to(self.device, memory_format=torch.channels_last)
                features = self._model.encode_image(batch)
            out.append(torch.nn.functional.normalize(features.float(), dim=-1).cpu().numpy())
        return np.concatenate(out)

    def texts(self, texts: Sequence[str]) -> np.ndarray:
        """Embed captions as they are: ``(n, dim)``."""
        import torch

        use_threads()
        out = []
        for at in range(0, len(texts), 256):
            tokens = self._tokenizer(list(texts[at : at + 256])).to(self.device)
            with torch.inference_mode():
                features = self._model.encode_text(tokens)
            out.append(torch.nn.functional.normalize(features.float(), dim=-1).cpu().numpy())
        return np.concatenate(out)

    def phrases(self, phrases: Sequence[str]) -> np.ndarray:
        """Embed what is seen, averaged over the pack's prompt templates: ``(n, dim)``."""
        total = sum(self.texts([p.format(phrase) for phrase in phrases]) for p in self.prompts)
        return total / np.linalg.norm(total, axis=1, keepdims=True)
