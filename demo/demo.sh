#!/usr/bin/env bash
# The whole job on a small synthetic cohort: chest CTs, both stages, evaluated segments, pictures.
# Usage: demo/demo.sh OUTPUT_FOLDER
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
output=${1:?usage: demo/demo.sh OUTPUT_FOLDER}
mkdir -p "$output"
output=$(cd "$output" && pwd)
unset nnUNet_raw nnUNet_preprocessed nnUNet_results nnUNet_extTrainer
export PYTHONUNBUFFERED=1 PYTHONWARNINGS=ignore  # lines as they come; other packages' warnings are no news here
device=$(python -c 'import torch; print("cuda" if torch.cuda.is_available() else "cpu")')
cores=$(python -c 'import os; print(min(4, os.cpu_count() or 1))')

brief=(training.iterations=20 training.validation_iterations=2 augmentation.noise=0.05)
epochs=${DEMO_EPOCHS:-16} bav_epochs=${DEMO_BAV_EPOCHS:-3}  # of 20 steps; the second for each of two folds

step() { printf '\n\033[1m== %s\033[0m\n' "$*"; }

step '1/5 eval "$(impulse_nnunet env)"'
eval "$(impulse_nnunet env --base "$output")"
impulse_nnunet doctor
python "$here/expected_time.py" "$device" $((20 * epochs)) $((2 * 20 * bav_epochs))

step "2/5 impulse_nnunet phantom: synthetic chest CTs with 18 segments, bronchi, arteries and veins"
impulse_nnunet phantom -d 801 -n 16 --test 3 --size 48 60 64 -np "$cores"
python "$here/two_folds.py" "$nnUNet_raw/Dataset802_PhantomBAV" "$nnUNet_preprocessed/Dataset802_PhantomBAV"

step "3/5 impulse_nnunet pipeline -d 801 --inputs ibav: both stages, from raw folders to evaluated segments"
# small networks and few steps, as many on every machine: a slow one takes longer and ends with the same picture
sets=()
for setting in "${brief[@]}" training.epochs="$epochs"; do sets+=(--set "impulse.$setting"); done
for setting in "${brief[@]}" training.epochs="$bav_epochs"; do sets+=(--bav_set "impulse.$setting"); done
impulse_nnunet pipeline -d 801 --inputs ibav --folds 0 -device "$device" -np "$cores" -gpu_memory_target 1.37 \
    --bav_tr nnUNetTrainerImPulSe --bav_pl ImPulSePlanner --bav_c 3d_impulse "${sets[@]}" -o "$output/results"

step "4/5 impulse_nnunet reconstruct: CT in, segments out"
model=nnUNetTrainerImPulSe__ImPulSePlans__3d_impulse
impulse_nnunet reconstruct -i "$nnUNet_raw/Dataset801_PhantomSegments/imagesTs" -o "$output/segments" \
    --bav_model "$nnUNet_results/Dataset802_PhantomBAV/$model" \
    --segment_model "$nnUNet_results/Dataset804_PhantomSegments_IBAV/$model" -device "$device"

step "5/5 the result"
python "$here/show.py" "$nnUNet_raw/Dataset804_PhantomSegments_IBAV" "$output"
