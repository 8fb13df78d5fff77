"""Plots of reports. matplotlib's objects are used without its global state."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from v2a_foley.evaluate.comparison import Comparison
from v2a_foley.evaluate.listening import SoundFolder
from v2a_foley.evaluate.retrieval import chance_recall

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST = 300  # points of one kind: more hide one another, and t-SNE takes its time
LOUDNESS = np.arange(-70.0, 1.0, 3.0)  # edges of the histogram's bins, LUFS
GREY, BLUE, ORANGE = "#999999", "#0072b2", "#e69f00"  # told apart by colour-blind eyes too


@dataclass(frozen=True, slots=True)
class Projection:
    """Points of several sets on one plane, ``(n, 2)`` each; ``title`` names the method."""

    title: str
    points: Mapping[str, np.ndarray]


def project(sets: Mapping[str, np.ndarray], seed: int = 0) -> list[Projection]:
    """Show sets of embeddings ``(n, d)`` of one space together, by PCA and by t-SNE.

    PCA keeps how far apart sets are, t-SNE (van der Maaten and Hinton 2008) who is next to whom:
    its distances between clusters mean nothing.
    """
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits

    joined = np.concatenate(list(sets.values())).astype(np.float64)
    ends = np.cumsum([len(points) for points in sets.values()])[:-1]
    pca = PCA(2, random_state=seed)
    flat = pca.fit_transform(joined)
    share = pca.explained_variance_ratio_.sum()
    perplexity = min(30.0, (len(joined) - 1) / 3)
    with threadpool_limits(1):  # its sums over threads come out differently every time
        near = TSNE(2, perplexity=perplexity, init="pca", random_state=seed).fit_transform(joined)
    return [
        Projection(title, dict(zip(sets, np.split(points, ends), strict=True)))
        for title, points in ((f"PCA, {share:.0%} of the variance", flat), ("t-SNE", near))
    ]


def gap(of: Comparison) -> Figure:
    """The domain gap: scenes in CLIP's space, their sounds in CLAP's, and where mappers lead.

    As in the V2A-Mapper paper's analysis, CLIP's and CLAP's embeddings are shown on one plane
    where both have one number of dimensions. Where they have not, CLIP's are in a column of
    their own: where they lie says nothing then, only how they are spread.
    """
    spaces = of.spaces
    rng = np.random.default_rng(of.seed)
    scenes = np.sort(rng.permutation(len(spaces.seen))[:MOST])
    sounds = np.sort(rng.permutation(len(spaces.heard))[:MOST])
    seen, heard = {"CLIP": spaces.seen[scenes]}, {"CLAP": spaces.heard[sounds]}
    mapped = {_mapped(name): points[scenes] for name, points in spaces.mapped.items()}
    joint = spaces.seen.shape[1] == spaces.heard.shape[1]
    planes = project({**(seen if joint else {}), **heard, **mapped}, of.seed)
    apart = None if joint else project(seen, of.seed)
    columns = len(mapped) + (0 if joint else 1)
    figure = _figure(3.0 * columns, 6.4)
    axes = figure.subplots(2, columns, squeeze=False)
    for row, plane in enumerate(planes):
        own = list(axes[row])
        if apart:
            _scatter(own.pop(0), apart[row].points, {"CLIP": GREY}, "CLIP, on axes of its own")
        for name, ax in zip(spaces.mapped, own, strict=True):
            colours = ({"CLIP": GREY} if joint else {}) | {"CLAP": BLUE, _mapped(name): ORANGE}
            _scatter(ax, plane.points, colours, name)
        axes[row][0].set_ylabel(plane.title)
    axes[0][0].legend(loc="best", fontsize=7)
    return figure


def recall_curve(of: Comparison) -> Figure:
    """Recall at k for each mapper, with chance."""
    from matplotlib.ticker import MaxNLocator

    figure = _figure(5.0, 3.6)
    ax = figure.subplots()
    at = np.arange(1, min(50, of.sounds - 1) + 1)
    for name, found in of.spaces.ranks.items():
        ax.plot(at, [(found <= k).mean() for k in at], label=_plain(name))
    chance = [chance_recall(of.spaces.owned, int(k), of.sounds) or 0.0 for k in at]
    ax.plot(at, chance, color=GREY, linestyle=":", label="chance")
    ax.set(xlabel="k", ylabel="R@k", xlim=(1, at[-1]), ylim=(0, 1))
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.legend(fontsize=7)
    return figure


def folders(of: Sequence[SoundFolder], seed: int = 0) -> Figure:
    """The sounds of one or two folders in CLAP's space, and how loud they are."""
    from matplotlib.ticker import MaxNLocator

    rng = np.random.default_rng(seed)
    names = ("generated", "reference")
    sets = {
        name: each.embeddings[rng.permutation(len(each.sounds))[:MOST]]
        for name, each in zip(names, of, strict=False)
    }
    colours = dict(zip(names, (ORANGE, BLUE), strict=True))
    planes = project(sets, seed) if sum(map(len, sets.values())) >= 4 else []
    figure = _figure(3.4 * (len(planes) + 1), 3.4)
    axes = figure.subplots(1, len(planes) + 1, squeeze=False)[0]
    for plane, ax in zip(planes, axes, strict=False):
        _scatter(ax, plane.points, {name: colours[name] for name in sets}, plane.title)
    for name, each in zip(names, of, strict=False):
        levels = [sound.loudness for sound in each.sounds if np.isfinite(sound.loudness)]
        levels_in = np.clip(levels, LOUDNESS[0], LOUDNESS[-1])
        axes[-1].hist(levels_in, LOUDNESS, color=colours[name], alpha=0.6, label=name)
    axes[-1].set(xlabel="LUFS", ylabel="sounds", title="Loudness")
    axes[-1].yaxis.set_major_locator(MaxNLocator(integer=True))
    axes[-1].legend(fontsize=7)
    return figure


def _figure(width: float, height: float) -> Figure:
    from matplotlib.figure import Figure

    return Figure(figsize=(max(width, 4.0), height), layout="constrained", dpi=120)


def _scatter(
    ax: Axes, points: Mapping[str, np.ndarray], colours: Mapping[str, str], title: str
) -> None:
    for name, colour in colours.items():
        x, y = points[name].T
        label = name.partition(":")[0]
        ax.scatter(x, y, s=7, color=colour, alpha=0.7, linewidths=0, label=label)
    ax.set_title(_plain(title), fontsize=9)
    ax.set_xticks([])
    ax.set_yticks([])


def _mapped(name: str) -> str:
    return f"mapped: {name}"


def _plain(text: str) -> str:
    """Text that the plots' font has, and in which a dollar starts no formula."""
    known = text.encode("latin-1", "backslashreplace").decode("latin-1")
    return "".join(char if char.isprintable() else "?" for char in known).replace("$", r"\$")
