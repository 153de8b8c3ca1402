#!/usr/bin/env bash
# The whole job by the printed commands on a small made-up data set: plan, preprocess, train, predict, look.
# Usage: demo/demo.sh OUTPUT_FOLDER
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
output=${1:?usage: demo/demo.sh OUTPUT_FOLDER}
mkdir -p "$output"
output=$(cd "$output" && pwd)
unset nnUNet_raw nnUNet_preprocessed nnUNet_results nnUNet_extTrainer
dataset="$output/nnUNet_raw/Dataset999_ImPulSeDemo"
export PYTHONUNBUFFERED=1 PYTHONWARNINGS=ignore  # lines as they come; other packages' warnings are no news here
device=$(python -c 'import torch; print("cuda" if torch.cuda.is_available() else "cpu")')

step() { printf '\n\033[1m== %s\033[0m\n' "$*"; }

step "1/6 a made-up chest data set: 24 training and 4 test cases"
python "$here/make_dataset.py" "$dataset"

step '2/6 eval "$(impulse_nnunet env)"'
eval "$(impulse_nnunet env --base "$output")"
impulse_nnunet doctor

step "3/6 impulse_nnunet plan_and_preprocess -d 999 -gpu_memory_target 1  (small, for two cores)"
impulse_nnunet plan_and_preprocess -d 999 -npfp 2 -np 2 -gpu_memory_target 1 \
    --set impulse.training.iterations=30 --set impulse.training.validation_iterations=4 \
    --set impulse.training.max_minutes="${DEMO_MINUTES:-4}"

step "4/6 nnUNetv2_train 999 3d_impulse 0 -tr nnUNetTrainerImPulSe -p ImPulSePlans -device $device"
nnUNetv2_train 999 3d_impulse 0 -tr nnUNetTrainerImPulSe -p ImPulSePlans -device "$device" > "$output/train.log" 2>&1 &
training=$!
python "$here/follow.py" "$output/train.log" "$training"
wait "$training" || { tail -n 20 "$output/train.log"; exit 1; }

step "5/6 nnUNetv2_predict, and impulse_nnunet predict at twice the resolution"
nnUNetv2_predict -d 999 -c 3d_impulse -tr nnUNetTrainerImPulSe -p ImPulSePlans -f 0 -device "$device" \
    -i "$dataset/imagesTs" -o "$output/predictions" -npp 1 -nps 1 > "$output/predict.log" 2>&1
impulse_nnunet predict -d 999 -f 0 -i "$dataset/imagesTs" -o "$output/predictions_2.5mm" --spacing 2.5 2.5 2.5

step "6/6 the result"
python "$here/show.py" "$dataset" "$output"
