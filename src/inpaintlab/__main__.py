"""`python -m inpaintlab`, the same as the command `inpaintlab`; torchrun starts it this way."""

from inpaintlab.cli import main

if __name__ == "__main__":
    main()
