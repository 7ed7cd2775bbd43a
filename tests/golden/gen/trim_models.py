#!/usr/bin/env python3
"""Cuts the reference models down to what the tests read: weights in float32, gradients in float16 (their tolerance is
1e-3, half precision rounds by 5e-4 at most), of golden.safetensors all but the teacher where no gradient towards it is
kept.
usage: trim_models.py REFERENCE_DIR OUT_DIR"""
import pathlib
import shutil
import sys

import numpy as np
from safetensors.numpy import load_file, save_file

# llama3_rope goes backwards as llama does, qwen3 as qwen3_moe and gemma3_text. Its weights are those of gguf/.
KEPT = {
    "llama": ["model", "grads_ce", "grads_kl"],
    "llama3_rope": [],
    "qwen3": ["model"],
    "qwen3_moe": ["model", "grads_ce"],
    "gemma3_text": ["model", "grads_ce"],
}


def halved(gradients):
    """A power of two per tensor keeps small gradients out of half precision's denormals."""
    scaled, exponents = {}, {}
    for name, g in gradients.items():
        peak = float(np.abs(g).max())
        e = int(np.floor(np.log2(peak))) if peak > 0 else 0
        scaled[name] = (g * 2.0 ** -e).astype(np.float16)
        exponents[name] = str(e)
    return scaled, exponents


source, out = map(pathlib.Path, sys.argv[1:])
for model, files in KEPT.items():
    (out / model).mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source / model / "config.json", out / model / "config.json")
    for f in ["golden", *files]:
        tensors, metadata = load_file(source / model / f"{f}.safetensors"), {}
        if f.startswith("grads_"):
            tensors, metadata = halved(tensors)
        if f == "golden" and "grads_kl" not in files:
            tensors = {name: t for name, t in tensors.items() if name not in ("teacher_logits", "loss_kl_T2")}
        save_file(tensors, out / model / f"{f}.safetensors", metadata={"format": "pt", **metadata})
