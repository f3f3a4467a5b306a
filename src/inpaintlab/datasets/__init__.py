"""The program `inpaintlab data`: verify and prepare sets of pictures and masks, write and check evaluation pairs."""
