"""`inpaintlab info`: describe a system, and measure how signals pass through its generator.

SYSTEM is a model (its first experiment is taken) or an experiment. KEY=VALUE are overrides as for training; the scale
is `demo` unless they name another one.
"""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from inpaintlab.errors import UserError
from inpaintlab.utils.process import run_program

if TYPE_CHECKING:
    from inpaintlab.training.module import InpaintingModule
    from inpaintlab.training.signal import Signal

EXAMPLES = """examples:
  inpaintlab info SYSTEM
  inpaintlab info SYSTEM --signal
  inpaintlab info EXPERIMENT --signal --batches 50 model.optimizer_g.lr=1e-4

--signal prints, for one batch: the root mean square of each layer's output and of the loss's gradient there, the share
of dead units (channels that are constant over the batch), how much the outputs differ between pictures compared with
the true pictures, and the gradient norm of each weighted loss term relative to the first. It writes no files.
"""


def parser() -> ArgumentParser:
    """Return the parser of the command line, without importing anything heavy."""
    p = ArgumentParser(
        "inpaintlab info", description=__doc__, epilog=EXAMPLES, formatter_class=RawDescriptionHelpFormatter
    )
    p.add_argument("system", metavar="SYSTEM")
    p.add_argument("overrides", nargs="*", metavar="KEY=VALUE")
    p.add_argument("--signal", action="store_true", help="measure activations and gradients")
    p.add_argument("--batches", type=int, default=0, metavar="N", help="train N batches before measuring; default: 0")
    return p


def overrides(system: str, more: Sequence[str]) -> list[str]:
    """Return the overrides of a run of `system`, a model or an experiment.

    Raises:
        UserError: if there is neither, naming the nearest name.
    """
    from inpaintlab.config.compose import group_options
    from inpaintlab.errors import did_you_mean

    models, experiments = group_options("model"), group_options("experiment")
    if system in models:
        of_model = [name for name in experiments if name.startswith(f"{system}_")]
        chosen = [f"experiment={of_model[0]}"] if of_model else [f"model={system}"]
    elif system in experiments:
        chosen = [f"experiment={system}"]
    else:
        hint = did_you_mean(system, [*models, *experiments])
        raise UserError(f"there is no model or experiment {system!r}{hint}; models: {', '.join(models)}")
    return [*chosen, *([] if any(word.startswith("scale=") for word in more) else ["scale=demo"]), *more]


def summary(name: str, module: InpaintingModule) -> list[str]:
    """Return lines about the system: sizes, loss terms and remarks."""
    sizes = {"generator": module.generator, "discriminator": module.discriminator}
    counts = [f"{part} {sum(p.numel() for p in of.parameters()) / 1e6:.3f} M" for part, of in sizes.items() if of]
    weights = ", ".join(f"{weight:g} {term}" for term, weight in module.loss_weights.items())
    return [
        f"{name}: {type(module).__name__}",
        f"parameters: {', '.join(counts)}",
        f"loss: {weights}",
        f"pictures: height and width must be multiples of {module.generator.multiple}",
        *module.remarks(),
    ]


def signal_lines(signal: Signal) -> list[str]:
    """Return the measurements as lines of text."""
    from inpaintlab.data_preparation.report import table

    rows = [("layer", "activation", "dead", "gradient", "weight gradient")]
    for layer in signal.layers:
        own = "-" if layer.weight_gradient is None else f"{layer.weight_gradient:.2e}"
        rows.append((layer.name, f"{layer.activation:.2e}", f"{layer.dead:.0%}", f"{layer.gradient:.2e}", own))
    first = next(iter(signal.terms.values()))
    terms = [("loss term", "gradient norm", "of the first")]
    terms += [(n, f"{norm:.2e}", f"{norm / first:.2f}" if first else "-") for n, norm in signal.terms.items()]
    share = signal.spread / signal.truth_spread
    return [
        *table(rows),
        "",
        *table(terms),
        "",
        f"spread of the outputs over pictures: {signal.spread:.3g}, {share:.0%} of that of the true pictures",
    ]


def _info(options: Namespace) -> None:
    from inpaintlab.config.compose import compose_config
    from inpaintlab.training import signal

    if options.batches < 0:
        raise UserError(f"--batches must be at least 0, got {options.batches}")
    if options.batches and not options.signal:
        raise UserError("--batches needs --signal")
    config = compose_config([*overrides(options.system, options.overrides), "data.workers=0"])
    module, batch = signal.prepare(config, options.batches)
    lines = summary(config.name, module)
    if options.signal:
        when = f"after {options.batches} batches" if options.batches else "at the start"
        lines += ["", f"{when}, on {len(batch)} pictures of {config.data.geometry.size} pixels:", ""]
        lines += signal_lines(signal.measure(module, batch))
    print("\n".join(lines))


def main(arguments: Sequence[str] | None = None) -> None:
    """Run `inpaintlab info`."""
    options = parser().parse_intermixed_args(sys.argv[1:] if arguments is None else arguments)
    run_program(lambda: _info(options))
