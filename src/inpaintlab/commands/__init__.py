"""The sub-commands of `inpaintlab`, one module each."""
