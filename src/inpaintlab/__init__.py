"""Image inpainting systems, re-implemented from their papers.

The public functions are imported when they are first used, so that `import inpaintlab` stays quick:

    from inpaintlab import evaluate, inpaint, load_checkpoint
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from inpaintlab.checkpoints.checkpoint import load as load_checkpoint
    from inpaintlab.checkpoints.inpaint import inpaint
    from inpaintlab.evaluation.evaluate import evaluate

__all__ = ["__version__", "evaluate", "inpaint", "load_checkpoint"]
__version__ = "0.2.0"

_PUBLIC = {  # name -> (module, name in that module)
    "load_checkpoint": ("inpaintlab.checkpoints.checkpoint", "load"),
    "inpaint": ("inpaintlab.checkpoints.inpaint", "inpaint"),
    "evaluate": ("inpaintlab.evaluation.evaluate", "evaluate"),
}


def __getattr__(name: str) -> object:
    """Import a public function (PEP 562)."""
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, attribute = _PUBLIC[name]
    found = globals()[name] = getattr(importlib.import_module(module), attribute)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
