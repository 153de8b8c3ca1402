#!/usr/bin/env bash
# The tables and figures of docs/results.md on the synthetic cohort, with fixed seeds; a call that was ended goes on.
# Usage: tools/results.sh OUTPUT_FOLDER [TABLE...]
# Tables: 1, stock (nnU-Net's sliding windows, one seed, as many steps; an hour), longer (the core of 1, 4 times the
# steps), 2, 3, 4, fig10, hippocampus (1 on the raw data set that HIPPOCAMPUS names).
# SEEDS, STEPS (of a training) and WORKERS (trainings at a time) may be set.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
output=${1:?usage: tools/results.sh OUTPUT_FOLDER [TABLE...]}
shift
mkdir -p "$output"
output=$(cd "$output" && pwd)
unset nnUNet_raw nnUNet_preprocessed nnUNet_results nnUNet_extTrainer
eval "$(impulse_nnunet env --base "$output")"
cores=$(python -c 'import os; print(len(os.sched_getaffinity(0)))')
WORKERS=${WORKERS:-$((cores < 4 ? cores : 4))}
threads=$((cores > WORKERS ? cores / WORKERS : 1))  # networks this small do not fill two cores
export DATASET=807 TOLERANCES='5 10'  # of the study; mm
export output SEEDS=${SEEDS:-3} STEPS=${STEPS:-200} PYTHONWARNINGS=ignore
export OMP_NUM_THREADS=$threads OMP_WAIT_POLICY=PASSIVE NUMBA_NUM_THREADS=$threads nnUNet_def_n_proc=1 nnUNet_n_proc_DA=1
mkdir -p "$nnUNet_raw" "$nnUNet_preprocessed" "$nnUNet_results"

small=(--no_pbar -npfp "$WORKERS" -np "$WORKERS" --set batch_size=2
    --set 'architecture.arch_kwargs.features_per_stage=[8,16,32,64]')
region=(--set impulse.region.mode=two_pass)
grid=(--set 'impulse.grid.input_grid=[32,40,40]' --set 'architecture.arch_kwargs.template_grid=[32,40,40]')

table() {  # TABLE FOLDER [FLAG...]
    local number=$1 folder=$2
    shift 2
    impulse_nnunet table -d "$DATASET" --table "$number" --seeds "$SEEDS" --budget "$STEPS" -np 1 -device cpu \
        --tolerance_mm $TOLERANCES -o "$folder" "$@"
}
export -f table

side_by_side() {  # COMMAND...: so many at a time; a failed one is named by the table that comes after
    printf '%s\0' "$@" | xargs -0 -P "$WORKERS" -I COMMAND bash -c COMMAND || true
}

rows() {  # TABLE ROW...: the trainings of a table
    local number=$1 row commands=()
    shift
    for row in "$@"; do commands+=("table $number '$output/rows/$DATASET/$row' --rows $row"); done
    side_by_side "${commands[@]}"
}

study() {  # ID SOURCE_ID NAME: training and test cases of a data set as one fold, planned and preprocessed
    local name=Dataset$1_$3
    [ -f "$nnUNet_preprocessed/$name/planned" ] && return
    python "$here/one_fold.py" "$(echo "$nnUNet_raw/Dataset$2"_*)" "$nnUNet_raw/$name" "$nnUNet_preprocessed/$name"
    impulse_nnunet plan_and_preprocess -d "$1" "${small[@]}" "${region[@]}" "${grid[@]}" --set impulse.sampling.points=4096
    touch "$nnUNet_preprocessed/$name/planned"
}

build() {  # ID KIND [FLAG...]: a data set of the segment stage
    impulse_nnunet build_inputs -d "$1" --ct 801 --inputs "$2" -device cpu --disable_tta --disable_progress_bar "${@:3}"
}

shapes() {  # ID NAME TRAINER [FLAG...]: two folds of a model of the first stage
    local id=$1 name=Dataset$1_$2 trainer=$3 fold folder commands=()
    shift 3
    if [ ! -f "$nnUNet_preprocessed/$name/planned" ]; then
        python "$here/../demo/two_folds.py" "$nnUNet_raw/$name" "$nnUNet_preprocessed/$name"
        impulse_nnunet plan_and_preprocess -d "$id" "${small[@]}" "${region[@]}" --set impulse.training.iterations=50 \
            --set impulse.training.epochs=$((STEPS / 50)) --set impulse.training.validation_iterations=2 "$@"
        touch "$nnUNet_preprocessed/$name/planned"
    fi
    for fold in 0 1; do
        folder=$nnUNet_results/$name/${trainer}__ImPulSePlans__3d_impulse/fold_$fold
        [ -f "$folder/validation/summary.json" ] && continue
        commands+=("nnUNetv2_train $id 3d_impulse $fold -tr $trainer -p ImPulSePlans -device cpu --c >> '$output/train_$id.$fold.log' 2>&1")
    done
    [ ${#commands[@]} = 0 ] || side_by_side "${commands[@]}"
}

[ -f "$nnUNet_raw/Dataset801_PhantomSegments/dataset.json" ] ||
    impulse_nnunet phantom -d 801 -n 40 --test 20 --size 64 80 80 -np "$WORKERS" --disable_progress_bar
build 803 ibav --bav ground_truth
study 807 803 PhantomStudy

for number in "${@:-1}"; do
    case $number in
    1)
        rows 1 fcn deeplabv3 lowres impulse plus
        table 1 "$output/study" --rows fcn deeplabv3 lowres impulse plus template
        ;;
    stock)  # the row of stock nnU-Net, on all cores
        OMP_NUM_THREADS=$cores table 1 "$output/stock" --seeds 1 --rows nnunet
        ;;
    longer)  # which order of Table 1 goes with four times as many steps? One seed
        commands=()
        for row in lowres impulse plus; do
            commands+=("table 1 '$output/rows/longer_$row' --seeds 1 --budget $((4 * STEPS)) --rows $row")
        done
        side_by_side "${commands[@]}"
        table 1 "$output/longer" --seeds 1 --budget $((4 * STEPS)) --rows lowres impulse plus
        ;;
    2)
        rows 2 impulse co_trained no_correction no_displacement_loss plus
        table 2 "$output/study"
        ;;
    3)
        rows 3 unet_encoder unet plus
        table 3 "$output/study"
        ;;
    4)
        bav=$nnUNet_results/Dataset802_PhantomBAV/nnUNetTrainerLowRes__ImPulSePlans__3d_impulse
        lobes=$nnUNet_results/Dataset806_PhantomLobes/nnUNetTrainerImPulSe__ImPulSePlans__3d_impulse
        shapes 802 PhantomBAV nnUNetTrainerLowRes --set 'impulse.grid.input_grid=[48,56,56]'
        build 806 i --labels lobes --name PhantomLobes
        shapes 806 PhantomLobes nnUNetTrainerImPulSe "${grid[@]}"
        build 811 i
        build 812 ibav --bav "$bav"
        build 813 l --lobes "$lobes"
        build 814 l --lobes ground_truth
        build 815 lbav --lobes "$lobes" --bav "$bav"
        build 816 lbav --lobes ground_truth --bav ground_truth
        inputs=(i=821 ibav=822 ibav_truth=807 l=823 l_truth=824 lbav=825 lbav_truth=826)
        for kind in i ibav l l_truth lbav lbav_truth; do
            id=$(printf '%s\n' "${inputs[@]}" | sed -n "s/^$kind=//p")
            study "$id" "$((id - 10))" "Study_$kind"
        done
        commands=()
        for kind in i ibav ibav_truth l l_truth lbav lbav_truth; do
            commands+=("table 4 '$output/rows/inputs_$kind' --inputs ${inputs[*]} --rows $kind")
        done
        side_by_side "${commands[@]}"
        table 4 "$output/study" --inputs "${inputs[@]}"
        ;;
    fig10)
        rows fig10 share00 share20 share50 share80
        table fig10 "$output/study"
        ;;
    hippocampus)
        name=$(basename "${HIPPOCAMPUS:?names a raw data set}")
        export DATASET=${name:7:3} TOLERANCES='1 2 3'
        ln -sfn "$(cd "$HIPPOCAMPUS" && pwd)" "$nnUNet_raw/$name"
        [ -f "$nnUNet_preprocessed/$name/ImPulSePlans.json" ] ||
            impulse_nnunet plan_and_preprocess -d "$DATASET" "${small[@]}"
        rows 1 fcn deeplabv3 lowres impulse plus
        table 1 "$output/hippocampus" --rows fcn deeplabv3 lowres impulse plus template
        export DATASET=807 TOLERANCES='5 10'
        ;;
    *)
        echo "unknown table $number: 1, stock, longer, 2, 3, 4, fig10, hippocampus" >&2
        exit 2
        ;;
    esac
done
