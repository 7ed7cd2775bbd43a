#!/usr/bin/env python3
"""Makes quant_fp.safetensors: random blocks of the ternary and 4-bit floating types with gguf-py's dequantised values.
Made with gguf 0.19.0, numpy 2.4.6, safetensors 0.8.0.

    python3 gen_quant_fp.py ../quant_fp.safetensors
"""
import sys

import numpy as np
from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType as T
from gguf.quants import dequantize
from safetensors.numpy import save_file

rng = np.random.default_rng(20240118)
HALVES = np.array([[0x3C00], [0x83FF]], dtype=np.uint16)  # 1 and a negative subnormal

out = {}
for t, n in ((T.TQ1_0, 2), (T.TQ2_0, 2), (T.MXFP4, 16), (T.NVFP4, 8)):
    blocks = rng.integers(0, 256, (n, GGML_QUANT_SIZES[t][1]), dtype=np.uint8)
    if t in (T.TQ1_0, T.TQ2_0):
        blocks[:, -2:] = HALVES.view(np.uint8)
    if t == T.MXFP4:
        blocks[:8, 0] = [0, 1, 2, 3, 126, 127, 128, 255]
    if t == T.NVFP4:
        blocks[:2, :4] = [[0, 1, 7, 8], [0x7E, 0x7F, 0x38, 0x40]]
    out[f"{t.name}.raw"] = blocks
    with np.errstate(over="ignore"):  # the largest scale of MXFP4 times 12 is infinite in float
        out[f"{t.name}.f32"] = dequantize(blocks, t)
save_file(out, sys.argv[1])
