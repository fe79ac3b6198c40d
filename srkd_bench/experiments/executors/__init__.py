"""Execute the tasks of a plan: serially, in processes, on Ray, Slurm or torchrun."""
