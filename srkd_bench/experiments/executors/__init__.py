"""Execute the tasks of a plan: in this process, in several, on Ray, Slurm or torchrun."""
