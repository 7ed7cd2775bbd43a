#!/usr/bin/env python3
"""Cuts the reference models down to what the tests read: weights in float32, gradients in float16 (their tolerance is
1e-3, half precision rounds by 5e-4 at most), everything else as it is. llama3_rope is left without gradients: its
backward pass is llama's.
usage: trim_models.py REFERENCE_DIR OUT_DIR NAME..."""
import pathlib
import shutil
import sys

import numpy as np
from safetensors.numpy import load_file, save_file

WITHOUT_GRADIENTS = {"llama3_rope"}

source, out = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
for name in sys.argv[3:]:
    src, dst = source / name, out / name
    dst.mkdir(parents=True, exist_ok=True)
    shutil.copy(src / "config.json", dst)
    for f in ("model", "golden"):
        tensors = load_file(src / f"{f}.safetensors")
        save_file(tensors, dst / f"{f}.safetensors", metadata={"format": "pt"})
    for f in ("grads_ce", "grads_kl"):
        if name not in WITHOUT_GRADIENTS and (src / f"{f}.safetensors").exists():
            grads = load_file(src / f"{f}.safetensors")
            # a power of two per tensor keeps small gradients out of half precision's denormals
            scaled, exponents = {}, {}
            for key, g in grads.items():
                peak = float(np.abs(g).max())
                e = int(np.floor(np.log2(peak))) if peak > 0 else 0
                scaled[key] = (g * 2.0 ** -e).astype(np.float16)
                exponents[key] = str(e)
            save_file(scaled, dst / f"{f}.safetensors", metadata={"format": "pt", **exponents})
