"""What the user can mend. The programs print these as one sentence, everything else with its traceback."""

from __future__ import annotations


class UserError(ValueError):
    """The input is at fault; the message says what came, what is accepted and what to do."""
