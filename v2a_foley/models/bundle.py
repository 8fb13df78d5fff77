"""The models of one run, each loaded when it is first used."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from v2a_foley import cache
from v2a_foley.errors import ModelError
from v2a_foley.models import packs

if TYPE_CHECKING:
    import torch

    from v2a_foley.mapper.checkpoint import Header
    from v2a_foley.mapper.protocol import Mapper
    from v2a_foley.models.clap import Clap
    from v2a_foley.models.clip import Clip
    from v2a_foley.models.generator import Generator
    from v2a_foley.models.recordings import Recordings


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
    ``mps``. ``mapper``: a mapper file or one of the pack's ``mapper_names``; None for the pack's
    own choice.
    """

    def __init__(
        self, pack: str = "auto", device: str = "auto", mapper: Path | None = None
    ) -> None:
        self.pack = packs.find(pack)
        self.device_name = device
        self.mapper = str(mapper) if mapper is not None else self.pack.mapper
        self.mapper_path = None if self.mapper in self.pack.mapper_names else mapper
        self._others: dict[str, Models] = {}

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
    def recordings(self) -> Recordings | None:
        """The recordings of the pack, None where it has none."""
        from v2a_foley.models.recordings import Recordings

        return None if self.pack.recordings is None else Recordings(self.pack)

    @cached_property
    def bank(self) -> Bank:
        """The phrase bank, embedded once a pack and kept."""
        from v2a_foley.mapper.bridge import phrases

        rows = phrases()
        texts = [[row.visual, row.concept, row.sound] for row in rows]
        name = cache.key("bank", 1, self.pack.id, texts)
        kept = cache.get(name)
        if kept is None:
            arrays = {  # CLAP first: it refuses an unfit pack, and CLIP's many texts take long
                "heard": self.clap.texts([row.sound for row in rows]),
                "empty": self.clap.texts([""])[0],
                "fingerprint": self.clap.fingerprint(),
                "seen": self.clip.phrases([row.visual for row in rows]),
                "named": self.clip.phrases([row.concept for row in rows]),
            }
            cache.put(name, arrays, {})
        else:
            arrays = kept[0]
        return Bank(**arrays)

    @cached_property
    def mapper_id(self) -> str:
        """What the results of the mapper depend on, besides its inputs."""
        if self.mapper_path is None:
            return f"{self.pack.id}/{self.mapper}"
        return packs.sha256(self.mapper_path) if self.mapper_path.is_file() else ""

    @cached_property
    def mapper_file(self) -> tuple[Header, Mapper] | None:
        """Header and mapper of the file in use; None where the bridge needs none."""
        from v2a_foley.mapper import checkpoint

        if self.mapper_path is not None:
            path = self.mapper_path
        elif self.mapper != "bridge":
            path = self.pack.mappers[packs.BLENDED if self.mapper == "blend" else self.mapper]
            packs.require_intact(self.pack, path.relative_to(self.pack.folder).as_posix())
        else:
            return None
        return checkpoint.load(
            path,
            clip_id=self.pack.clip_id,
            fingerprint=self.bank.fingerprint,
            device=self.device,
        )

    def focus(self, conditions: np.ndarray, amount: float) -> np.ndarray:
        """Pull CLAP embeddings ``(n, d_clap)`` towards the nearest prototype, unit length.

        ``amount``: 0 leaves them, 1 puts the prototype in their place. Prototypes are the mean
        embeddings of the pack's recordings by class, or else the phrase bank's sounds.
        """
        if amount == 0:
            return conditions
        known = self.recordings.prototypes if self.recordings is not None else self.bank.heard
        nearest = known[(conditions @ known.T).argmax(1)]
        pulled = (1 - amount) * conditions + amount * nearest
        return pulled / np.linalg.norm(pulled, axis=1, keepdims=True).clip(1e-9)

    def with_mapper(self, name: str, folder: Path) -> Models:
        """The same models with another mapper; ``""`` stands for the one in use.

        ``name``: one of the pack's mappers, or a file, relative to ``folder``. What is loaded is
        shared.
        """
        if name in ("", self.mapper):
            return self
        path = None if name in self.pack.mapper_names else folder / name
        if path is not None and not path.is_file():
            raise ModelError(
                f"{path}: there is no such mapper: name a file or one of the pack's "
                f"({', '.join(self.pack.mapper_names)})"
            )
        known = str(path or name)
        if known not in self._others:
            self.bank  # noqa: B018 - loaded here, it is loaded once for all
            other = copy.copy(self)
            other.__dict__.pop("mapper_file", None)
            other.__dict__.pop("mapper_id", None)
            other.mapper, other.mapper_path = known, path
            self._others[known] = other
        return self._others[known]

    @property
    def per_window(self) -> bool:
        """Whether the mapper wants a scene's windows one by one, or the scene as a whole."""
        return self.mapper_file is None or self.mapper_file[1].per_window

    def map(
        self,
        scenes: Sequence[np.ndarray],
        *,
        temperature: float,
        top_k: int,
        seed: int | Sequence[int],
    ) -> np.ndarray:
        """Map the CLIP embeddings of each item's frames to one of CLAP: ``(n, d_clap)``.

        ``scenes[i]``: float32 ``(f_i, d_clip)``, unit length, as is what comes out.
        ``temperature`` and ``top_k`` are the bridge's. ``seed`` is for mappers that sample, one
        for each item or one that all of them start from: the windows of a scene then sound
        alike where they look alike. No item depends on its neighbours.
        """
        import torch

        from v2a_foley.models.runtime import use_threads

        use_threads()
        mapper = self._mapper(temperature, top_k)
        seeds = [seed] * len(scenes) if isinstance(seed, int) else seed
        generators = [torch.Generator().manual_seed(own) for own in seeds]
        frames = [torch.from_numpy(np.asarray(own, np.float32)) for own in scenes]
        with torch.inference_mode():
            return mapper.map(frames, generator=generators).numpy()

    def _mapper(self, temperature: float, top_k: int) -> Mapper:
        import torch

        from v2a_foley.mapper.blend import Blend
        from v2a_foley.mapper.bridge import Bridge

        if self.mapper_file is not None and self.mapper != "blend":
            return self.mapper_file[1]
        keys = torch.from_numpy(self.bank.seen + self.bank.named)
        values = torch.from_numpy(self.bank.heard)
        bridge = Bridge(keys, values, temperature * self.pack.clip_spread, top_k)
        return bridge if self.mapper_file is None else Blend(bridge, self.mapper_file[1])
