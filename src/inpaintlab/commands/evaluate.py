"""`inpaintlab evaluate`: compute the metrics of a checkpoint or of a fill without training.

The checkpoint alone is enough: pictures, geometry and holes come from its training config unless they are given.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from inpaintlab.config.hydra_program import HELP, group_names, run_hydra_program

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from inpaintlab.evaluation.results import EvaluationResults

USAGE = """usage: inpaintlab evaluate checkpoint=FILE [KEY=VALUE ...]
       inpaintlab evaluate method=NAME data=NAME masks=NAME [KEY=VALUE ...]

Compute the metrics of a checkpoint, or of a fill without training. For a checkpoint, pictures and holes come from its
training config unless they are given.

  inpaintlab evaluate checkpoint=last.ckpt
  inpaintlab evaluate checkpoint=last.ckpt data=folder data.root=PICTURES data.geometry.size=256
  inpaintlab evaluate checkpoint=last.ckpt masks=folder masks.root=MASKS masks.polarity=black_hole
  inpaintlab evaluate method=harmonic data=photos masks=irregular

methods: mean_colour, nearest, telea, navier_stokes, harmonic, biharmonic
keys: checkpoint, method, out, split, device, evaluation.protocol, evaluation.batch_size, evaluation.keep
data: {data}; masks: {masks}
"""


def run(config: DictConfig) -> EvaluationResults:
    """Evaluate what `conf/evaluate.yaml` and the overrides describe."""
    from inpaintlab.evaluation.evaluate import evaluate_config

    return evaluate_config(config)


def _print_results(config: DictConfig) -> None:
    from inpaintlab.checkpoints.pretrained_files import NETWORKS

    results = run(config)
    metrics = list(results.means["all"])
    networks = "".join(
        f", {metric} by {results.networks[name]}" for metric, name in NETWORKS.items() if name in results.networks
    )
    trained = f"seed {results.seed}, {results.batches} batches, scale {results.scale}"
    print(
        f"{results.name}{f' {trained}' if results.checkpoint else ', no training'}: "
        f"{results.pairs} pairs ({results.pairs_digest}), protocol {', '.join(results.protocols)}{networks}"
    )
    width = max(10, *(len(metric) + 1 for metric in metrics))
    print(" " * width + "".join(f"{bin:>10}" for bin in results.means))
    for metric in metrics:
        print(f"{metric:{width}}" + "".join(f"{means[metric]:10.4f}" for means in results.means.values()))
    print(f"written to {results.folder}")


def main(arguments: Sequence[str] | None = None) -> None:
    """The program behind `inpaintlab evaluate`."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if set(HELP) & set(arguments):
        print(USAGE.format(**group_names("data", "masks")), end="")
        return
    run_hydra_program("evaluate", arguments, _print_results)
