"""`inpaintlab evaluate`: compute the metrics of a checkpoint.

Nothing but the checkpoint is needed: pictures, geometry and holes are those of its training config unless given.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from inpaintlab.config.hydra_program import HELP, group_names, run_hydra_program

if TYPE_CHECKING:
    from omegaconf import DictConfig

USAGE = """usage: inpaintlab evaluate checkpoint=FILE [KEY=VALUE ...]

Metrics of a checkpoint. Pictures and holes are those of its training config unless given.

  inpaintlab evaluate checkpoint=last.ckpt
  inpaintlab evaluate checkpoint=last.ckpt data=folder data.root=PICTURES data.geometry.size=256
  inpaintlab evaluate checkpoint=last.ckpt masks=folder masks.root=MASKS masks.polarity=black_hole

keys: checkpoint, out, split, device, evaluation.protocol, evaluation.batch_size, evaluation.keep
data: {data}; masks: {masks}
"""


def run(config: DictConfig) -> dict[str, Any]:
    """The evaluation that `conf/evaluate.yaml` and the overrides describe."""
    from inpaintlab.evaluation.evaluate import evaluate_config

    return evaluate_config(config)


def _print_results(config: DictConfig) -> None:
    from inpaintlab.checkpoints.pretrained_files import NETWORKS

    result = run(config)
    bins = list(result["means"])
    metrics = list(result["means"]["all"])
    protocol = result["protocol"] if isinstance(result["protocol"], str) else ", ".join(result["protocol"])
    print(
        f"{result['name']} seed {result['seed']}, {result['batches']} batches, scale {result['scale']}: "
        f"{result['pairs']} pairs ({result['pairs_digest']}), protocol {protocol}"
        + "".join(f", {metric} by {result[name]}" for metric, name in NETWORKS.items() if name in result)
    )
    width = max(10, *(len(metric) + 1 for metric in metrics))
    print(" " * width + "".join(f"{bin:>10}" for bin in bins))
    for metric in metrics:
        print(f"{metric:{width}}" + "".join(f"{result['means'][bin][metric]:10.4f}" for bin in bins))
    print(f"written to {result['folder']}")


def main(arguments: Sequence[str] | None = None) -> None:
    """The program behind `inpaintlab evaluate`."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if set(HELP) & set(arguments):
        print(USAGE.format(**group_names("data", "masks")), end="")
        return
    run_hydra_program("evaluate", arguments, _print_results)
