"""What can only be checked on a GPU: `python -m benchmarks gpu`. Without one, the sections run their CPU part."""

SECTIONS = ("gpu.agreement", "gpu.resume", "gpu.precisions", "gpu.processes", "gpu.speed")
