#!/usr/bin/env bash
# The tables and figures of docs/results.md on the synthetic cohort, with fixed seeds; a call that was ended goes on.
# Usage: tools/results.sh OUTPUT_FOLDER [TABLE...]; SEEDS and STEPS may be set.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
output=${1:?usage: tools/results.sh OUTPUT_FOLDER [TABLE...]}
shift
mkdir -p "$output"
output=$(cd "$output" && pwd)
unset nnUNet_raw nnUNet_preprocessed nnUNet_results nnUNet_extTrainer
eval "$(impulse_nnunet env --base "$output")"
export PYTHONWARNINGS=ignore
mkdir -p "$nnUNet_raw" "$nnUNet_preprocessed" "$nnUNet_results"
study=Dataset807_PhantomStudy

if [ ! -f "$nnUNet_preprocessed/$study/ImPulSePlans.json" ]; then
    impulse_nnunet phantom -d 801 -n 40 --test 20 --size 64 80 80 --disable_progress_bar
    impulse_nnunet build_inputs -d 803 --ct 801 --inputs ibav --bav ground_truth --disable_progress_bar
    python "$here/one_fold.py" "$nnUNet_raw/Dataset803_PhantomSegments_IBAV" "$nnUNet_raw/$study" "$nnUNet_preprocessed/$study"
    impulse_nnunet plan_and_preprocess -d 807 -npfp 2 -np 2 --no_pbar --set batch_size=2 \
        --set 'impulse.grid.input_grid=[32,40,40]' --set 'architecture.arch_kwargs.template_grid=[32,40,40]' \
        --set 'architecture.arch_kwargs.features_per_stage=[8,16,32,64]' --set impulse.sampling.points=4096 \
        --set impulse.region.mode=two_pass
fi
for table in "${@:-1}"; do
    rows=(); [ "$table" = 1 ] && rows=(--rows fcn deeplabv3 lowres impulse plus template)
    impulse_nnunet table -d 807 --table "$table" "${rows[@]}" --seeds "${SEEDS:-3}" --budget "${STEPS:-150}" \
        --tolerance_mm 5 10 -device cpu --resume -o "$output/study"
done
