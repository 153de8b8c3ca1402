"""nnU-Net's own predictor and training step, with the network that its planner gives a chest CT."""

from __future__ import annotations

import os
from typing import Any

import torch

from benchmarks import standin
from benchmarks.gpu.context import Context
from benchmarks.gpu.timing import memory, timed

PATCH, TINY_PATCH = (128, 128, 128), (32, 32, 32)
WIDTHS, TINY_WIDTHS = (32, 64, 128, 256, 320, 320), (8, 16, 32)


def stock_plans(context: Context) -> dict[str, Any]:
    """Plans of ``3d_fullres`` at the stand-in's spacing, so that nothing is resampled."""
    sizes, widths = context.sizes, TINY_WIDTHS if context.tiny else WIDTHS
    stages = len(widths)
    kernel, patch = [[3, 3, 3]] * stages, TINY_PATCH if context.tiny else PATCH
    resampling = {"is_seg": False, "order": 3, "order_z": 0, "force_separate_z": None}
    configuration = {
        "data_identifier": "stock",
        "preprocessor_name": "DefaultPreprocessor",
        "batch_size": 2,
        "patch_size": list(patch),
        "median_image_size_in_voxels": list(sizes.shape),
        "spacing": list(sizes.spacing_mm),
        "normalization_schemes": ["CTNormalization"],
        "use_mask_for_norm": [False],
        "batch_dice": False,
        **{f"resampling_fn_{what}": "resample_data_or_seg_to_shape" for what in ("data", "seg", "probabilities")},
        "resampling_fn_data_kwargs": resampling,
        "resampling_fn_seg_kwargs": resampling | {"is_seg": True, "order": 1},
        "resampling_fn_probabilities_kwargs": resampling | {"order": 1},
        "architecture": {
            "network_class_name": "dynamic_network_architectures.architectures.unet.PlainConvUNet",
            "arch_kwargs": {
                "n_stages": stages,
                "features_per_stage": list(widths),
                "conv_op": "torch.nn.modules.conv.Conv3d",
                "kernel_sizes": kernel,
                "strides": [[1, 1, 1]] + [[2, 2, 2]] * (stages - 1),
                "n_conv_per_stage": [2] * stages,
                "n_conv_per_stage_decoder": [2] * (stages - 1),
                "conv_bias": True,
                "norm_op": "torch.nn.modules.instancenorm.InstanceNorm3d",
                "norm_op_kwargs": {"eps": 1e-5, "affine": True},
                "dropout_op": None,
                "dropout_op_kwargs": None,
                "nonlin": "torch.nn.LeakyReLU",
                "nonlin_kwargs": {"inplace": True},
            },
            "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
        },
    }
    plans = standin.plans(1, sizes, {"mean": -500.0, "std": 500.0})
    return plans | {
        "plans_name": "nnUNetPlans",
        "configurations": {"3d_fullres": configuration},
        "experiment_planner_used": "ExperimentPlanner",
    }


def stock_predictor(context: Context) -> Any:
    """nnU-Net's predictor with random weights, as its command makes it, but without mirroring."""
    context.set_folders()
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
    from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
    from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

    plans = PlansManager(stock_plans(context))
    configuration = plans.get_configuration("3d_fullres")
    network = nnUNetTrainer.build_network_architecture(plans, configuration, 1, standin.CLASSES, False)
    predictor = nnUNetPredictor(
        use_mirroring=False, perform_everything_on_device=context.on_gpu, device=context.device, allow_tqdm=False
    )
    predictor.manual_initialization(
        network,
        plans,
        configuration,
        [network.state_dict()],
        standin.dataset_json(1, context.sizes),
        "nnUNetTrainer",
        None,
    )
    return predictor


def stock_step(context: Context, compiled: bool) -> dict[str, Any]:
    """A step of nnU-Net's trainer, batch 2 of its patches, on one batch again and again; what it saw of the data."""
    os.environ["nnUNet_compile"] = "t" if compiled else "f"
    context.set_folders()
    from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

    dataset = standin.dataset_json(1, context.sizes)
    plans = stock_plans(context) | {"continue_training": False}
    folder = context.work / "nnUNet_preprocessed" / plans["dataset_name"] / "stock"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "case_0.b2nd").touch()  # the trainer wants to see in which format cases are stored
    trainer = nnUNetTrainer(plans, "3d_fullres", 0, dataset, context.device)
    trainer.initialize()
    patch = TINY_PATCH if context.tiny else PATCH
    scales = trainer._get_deep_supervision_scales()
    sizes = [[round(n * s) for n, s in zip(patch, scale, strict=True)] for scale in scales]
    batch = {
        "data": torch.randn(2, 1, *patch),
        "target": [torch.randint(0, standin.CLASSES, (2, 1, *size)).float() for size in sizes],
    }
    if context.on_gpu:
        torch.cuda.reset_peak_memory_stats()
        batch["data"] = batch["data"].pin_memory()
    runs = 2 if context.tiny else 15
    found = timed(context, lambda: trainer.train_step(batch), runs, warm=1 if context.tiny else 5)
    return {"seconds": found["seconds"], "voxels": 2 * patch[0] * patch[1] * patch[2]} | memory(context)
