"""What is to be run on a GPU, in parts of some minutes (``tools/gpu_run.sh``, docs/benchmarks.md)."""
