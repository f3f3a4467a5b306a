"""Run several trainings by one command, locally or on a SLURM cluster."""
