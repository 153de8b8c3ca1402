#!/usr/bin/env bash
# What is to be known of this package on a GPU, in parts of some minutes; results as JSON and logs in gpu_output.
#   tools/gpu_run.sh correct          tests marked gpu, a step of every system, labels of GPU and CPU, equal runs
#   tools/gpu_run.sh speed            encoder, decoder, a case, training steps, nnU-Net's beside them, memory by plans
#   tools/gpu_run.sh hippocampus      fold 0 in some minutes           (--data FOLDER with the raw data sets)
#   tools/gpu_run.sh convergence      ImPulSe+, ImPulSe, nnU-Net's network and nnU-Net, equal minutes   (--data FOLDER)
#   tools/gpu_run.sh paper            the paper's sizes on lung phantoms
#   tools/gpu_run.sh correct speed hippocampus convergence paper --device cpu --tiny    a rehearsal without a GPU
# More flags: tools/gpu_run.sh --help
set -euo pipefail
cd "$(dirname "$0")/.."
export PYTHONUNBUFFERED=1
exec "${PYTHON:-python3}" -m benchmarks.gpu "$@"
