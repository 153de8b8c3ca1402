#!/usr/bin/env bash
# What docs/results.md tells of real data, with fixed seeds; a call that was ended goes on.
# Usage: DATA=.../Dataset720_NAME tools/real_data.sh OUTPUT_FOLDER PART...
# Parts, each against ImPulSe+ as planned (plain), at STEPS steps and SEEDS seeds on fold FOLD:
#   deformation  smooth random deformation and separate scaling of the axes
#   context      self-attention on the coarsest level, without and with the deformation
#   capacity     widths 24 to 192, without and with the deformation
#   regular      dropout in the heads, and five times the weight decay
#   averaging    the training ends with a running mean of the weights
#   intensities  blur, fewer voxels and gamma curves of nnU-Net's range, with the deformation (channels that are no masks)
#   rivals       ImPulSe and nnU-Net's network on the input grid, without and with the deformation
#   curve        plain, deformation, ImPulSe and nnU-Net's network after 400, 800, 1600 and 3200 steps, one seed
#   vessels      DATA names a data set of two masks, organ and vessels; beside it the organ's mask alone (ID + 1)
# Each row is `impulse_nnunet table` (OUTPUT_FOLDER/study), each part ends with `impulse_nnunet compare`
# (OUTPUT_FOLDER/comparisons). STEPS, SEEDS, FOLD, WORKERS (rows at a time, one core each) and GPU_MEMORY (GB that the
# planner plans for) may be set.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
output=${1:?usage: DATA=RAW_DATA_SET tools/real_data.sh OUTPUT_FOLDER PART...}
shift
mkdir -p "$output"
output=$(cd "$output" && pwd)
unset nnUNet_raw nnUNet_preprocessed nnUNet_results nnUNet_extTrainer
eval "$(impulse_nnunet env --base "$output")"
cores=$(python -c 'import os; print(len(os.sched_getaffinity(0)))')
WORKERS=${WORKERS:-$((cores < 4 ? cores : 4))}
export output STEPS=${STEPS:-1200} SEEDS=${SEEDS:-3} FOLD=${FOLD:-0} PYTHONWARNINGS=ignore
export OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 OMP_WAIT_POLICY=PASSIVE NUMBA_NUM_THREADS=1 nnUNet_def_n_proc=1 nnUNet_n_proc_DA=1
name=$(basename "${DATA:?names a raw data set of nnU-Net}")
DATASET=${name:7:3}
mkdir -p "$nnUNet_raw" "$nnUNet_preprocessed" "$nnUNet_results" "$output/logs"
[ -e "$nnUNet_raw/$name" ] || ln -s "$(cd "$DATA" && pwd)" "$nnUNet_raw/$name"

planned() {  # ID NAME
    [ -f "$nnUNet_preprocessed/$2/planned" ] && return
    impulse_nnunet plan_and_preprocess -d "$1" -npfp 1 -np 1 --no_pbar -gpu_memory_target "${GPU_MEMORY:-1.37}"
    touch "$nnUNet_preprocessed/$2/planned"
}

deformation='--set impulse.augmentation.deformation=0.08 --set impulse.augmentation.axis_scale=0.1'
context='--set architecture.arch_kwargs.context_blocks=2'
wide='--set architecture.arch_kwargs.features_per_stage=[24,48,96,192]'
dropout='--set architecture.arch_kwargs.head_dropout=0.3'
decay='--set impulse.training.weight_decay=0.05'
averaging='--set impulse.training.averaging=0.99'
intensities='--set impulse.augmentation.blur=1 --set impulse.augmentation.low_resolution=0.5 --set impulse.augmentation.gamma=0.5'

table() {  # ID STUDY ROW STEPS [FLAG...]: seed after seed, so that a call that is ended has made whole seeds
    local id=$1 study=$2 key=$3 steps=$4 seeds
    shift 4
    for seeds in $(seq 1 "$SEEDS"); do
        impulse_nnunet table -d "$id" --table 1 --rows "$key" --seeds "$seeds" --budget "$steps" -f "$FOLD" -np 1 \
            -device cpu --tolerance_mm 2 3 5 --hd95 -o "$output/study/${id}_$study" "$@" >> "$output/logs/${id}_$study.log" 2>&1
    done
}
export -f table

commands=() methods=()
row() {  # ID STUDY ROW STEPS [FLAG...]
    commands+=("table $*")
    methods+=("$1_$2")
}

work() {  # PART: train what is left, then compare
    local method named=()
    printf '%s\0' "${commands[@]}" | xargs -0 -P "$WORKERS" -I COMMAND bash -c COMMAND || true
    for method in "${methods[@]}"; do
        named+=("$method=$(python "$here/summaries_of.py" "$output/study/$method/table_1/study.json")")
    done
    impulse_nnunet compare "${named[@]}" -o "$output/comparisons/${DATASET}_$1"
    commands=() methods=()
}

planned "$DATASET" "$name"
for part in "${@:-deformation}"; do
    [ "$part" = curve ] || row "$DATASET" plain plus "$STEPS"
    case $part in
    deformation) row "$DATASET" deformation plus "$STEPS" $deformation ;;
    context)
        row "$DATASET" context plus "$STEPS" $context
        row "$DATASET" deformation_context plus "$STEPS" $deformation $context
        ;;
    capacity)
        row "$DATASET" wide plus "$STEPS" $wide
        row "$DATASET" deformation_wide plus "$STEPS" $deformation $wide
        ;;
    regular)
        row "$DATASET" dropout plus "$STEPS" $dropout
        row "$DATASET" decay plus "$STEPS" $decay
        ;;
    averaging)
        row "$DATASET" averaging plus "$STEPS" $averaging
        row "$DATASET" deformation_averaging plus "$STEPS" $deformation $averaging
        ;;
    intensities)
        row "$DATASET" intensities plus "$STEPS" $intensities
        row "$DATASET" deformation_intensities plus "$STEPS" $deformation $intensities
        ;;
    rivals)
        row "$DATASET" deformation plus "$STEPS" $deformation
        row "$DATASET" impulse impulse "$STEPS"
        row "$DATASET" deformation_impulse impulse "$STEPS" $deformation
        row "$DATASET" lowres lowres "$STEPS"
        row "$DATASET" deformation_lowres lowres "$STEPS" $deformation
        ;;
    curve)
        export SEEDS=1
        for steps in 400 800 1600 3200; do
            row "$DATASET" "plain_$steps" plus "$steps"
            row "$DATASET" "deformation_$steps" plus "$steps" $deformation
            row "$DATASET" "impulse_$steps" impulse "$steps"
            row "$DATASET" "lowres_$steps" lowres "$steps"
        done
        ;;
    vessels)
        alone=$((DATASET + 1)) folder=Dataset$((DATASET + 1))_MaskAlone
        python "$here/first_channel.py" "$nnUNet_raw/$name" "$nnUNet_raw/$folder"
        planned "$alone" "$folder"
        row "$DATASET" deformation plus "$STEPS" $deformation
        row "$alone" plain plus "$STEPS"
        row "$alone" deformation plus "$STEPS" $deformation
        ;;
    *)
        echo "unknown part $part: deformation, context, capacity, regular, averaging, intensities, rivals, curve, vessels" >&2
        exit 2
        ;;
    esac
    work "$part"
done
