"""The models of one run, each loaded when it is first used."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from v2a_foley import cache
from v2a_foley.models import packs

if TYPE_CHECKING:
    import torch

    from v2a_foley.mapper.checkpoint import Header
    from v2a_foley.mapper.protocol import Mapper
    from v2a_foley.models.clap import Clap
    from v2a_foley.models.clip import Clip
    from v2a_foley.models.generator import Generator


@dataclass(frozen=True, slots=True)
class Bank:
    """The phrase bank in a pack's spaces, float32.

    ``seen`` ``(k, d_clip)``: visual phrases, ``named`` ``(k, d_clip)``: the concepts' names,
    ``heard`` ``(k, d_clap)``: sound phrases. ``empty`` ``(d_clap,)``: the text "", the
    unconditional branch of guidance. ``fingerprint`` ``(8, d_clap)`` identifies the CLAP.
    """

    seen: np.ndarray
    named: np.ndarray
    heard: np.ndarray
    empty: np.ndarray
    fingerprint: np.ndarray


class Models:
    """A pack, a device and a mapper; nothing is loaded until it is used.

    ``pack``: see :func:`v2a_foley.models.packs.find`. ``device``: ``auto``, ``cpu``, ``cuda``,
    ``mps``. ``mapper``: a mapper file, None for the pack's own choice.
    """

    def __init__(
        self, pack: str = "auto", device: str = "auto", mapper: Path | None = None
    ) -> None:
        self.pack = packs.find(pack)
        self.device_name = device
        self.mapper_path = mapper

    @cached_property
    def device(self) -> torch.device:
        """Where the models run."""
        from v2a_foley.models.runtime import choose_device

        return choose_device(self.device_name)

    @cached_property
    def clip(self) -> Clip:
        """The CLIP of the pack."""
        from v2a_foley.models.clip import Clip

        return Clip(self.pack, self.device)

    @cached_property
    def clap(self) -> Clap:
        """The CLAP of the pack."""
        from v2a_foley.models.clap import Clap

        return Clap(self.pack, self.device)

    @cached_property
    def generator(self) -> Generator:
        """The AudioLDM of the pack."""
        from v2a_foley.models.generator import Generator

        return Generator(self.pack, self.device)

    @cached_property
    def bank(self) -> Bank:
        """The phrase bank, embedded once a pack and kept."""
        from v2a_foley.mapper.bridge import phrases

        rows = phrases()
        texts = [[row.visual, row.concept, row.sound] for row in rows]
        name = cache.key("bank", 1, self.pack.id, texts)
        kept = cache.get(name)
        if kept is None:
            arrays = {
                "seen": self.clip.phrases([row.visual for row in rows]),
                "named": self.clip.phrases([row.concept for row in rows]),
                "heard": self.clap.texts([row.sound for row in rows]),
                "empty": self.clap.texts([""])[0],
                "fingerprint": self.clap.fingerprint(),
            }
            cache.put(name, arrays, {})
        else:
            arrays = kept[0]
        return Bank(**arrays)

    @cached_property
    def mapper_id(self) -> str:
        """What the results of the mapper depend on, besides its inputs."""
        if self.mapper_path is None:
            return f"{self.pack.id}/{self.pack.mapper}"
        return packs.sha256(self.mapper_path) if self.mapper_path.is_file() else ""

    @cached_property
    def mapper_file(self) -> tuple[Header, Mapper] | None:
        """Header and mapper of the file in use; None where the bridge needs none."""
        from v2a_foley.mapper import checkpoint

        if self.mapper_path is not None:
            path = self.mapper_path
        elif self.pack.mapper != "bridge":
            path = self.pack.folder / self.pack.mapper
        else:
            return None
        return checkpoint.load(path, clip_id=self.pack.clip_id, fingerprint=self.bank.fingerprint)

    def map(self, visual: np.ndarray, *, temperature: float, top_k: int, seed: int) -> np.ndarray:
        """Map CLIP embeddings ``(n, d_clip)`` to CLAP embeddings ``(n, d_clap)``, unit length.

        ``temperature`` and ``top_k`` are the bridge's, ``seed`` is for mappers that sample.
        """
        import torch

        from v2a_foley.mapper.bridge import Bridge

        if self.mapper_file is None:
            keys = torch.from_numpy(self.bank.seen + self.bank.named)
            mapper: Mapper = Bridge(keys, torch.from_numpy(self.bank.heard), temperature, top_k)
        else:
            mapper = self.mapper_file[1]
        generator = torch.Generator().manual_seed(seed)
        with torch.inference_mode():
            return mapper.map(torch.from_numpy(visual), generator=generator).numpy()
