"""Build the pages of the repository as a site: `make docs`.

The pages are plain Markdown and stay where they are, so the source folder is the root of the repository.
"""

from __future__ import annotations

from sphinx.application import Sphinx

project = "inpaintlab"
copyright = "the inpaintlab contributors"
extensions = ["myst_parser"]
root_doc = "README"
include_patterns = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs/*.md", "experiments/**.md"]
exclude_patterns = [".*", "build", "runs", "src", "conf", "tests", "benchmarks"]
myst_heading_anchors = 4  # with the names that GitHub gives
myst_links_external_new_tab = True
html_theme = "furo"  # no external fonts or scripts
html_title = "inpaintlab"
html_copy_source = False

# The navigation is added here, because on GitHub a directive would be shown as code.
NAVIGATION = """
```{toctree}
:hidden:
:caption: Guide

docs/training
docs/data
docs/checkpoints
docs/tables
docs/python-api
experiments/dashboards
docs/speed
docs/security
```

```{toctree}
:hidden:
:caption: Results
:glob:

experiments/README
experiments/*/README
```

```{toctree}
:hidden:
:caption: Development

docs/structure
docs/adding-a-paper
CONTRIBUTING
CHANGELOG
```
"""


def add_navigation(app: Sphinx, name: str, source: list[str]) -> None:
    """Append the navigation to the first page, and keep the results of tables out of it."""
    if name == root_doc:
        source[0] += NAVIGATION
    elif "/results/" in name:
        source[0] = "---\norphan: true\n---\n" + source[0]


def setup(app: Sphinx) -> None:
    """Called by Sphinx."""
    app.connect("source-read", add_navigation)
