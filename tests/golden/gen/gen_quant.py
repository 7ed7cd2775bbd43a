#!/usr/bin/env python3
"""Makes quant/quant.safetensors: random blocks of every type with gguf-py's dequantised values, and
gguf-py's encodings of one awkward set of floats. Made with gguf 0.19.0, numpy 2.4.6, safetensors 0.8.0.

    python3 gen_quant.py ../quant/quant.safetensors
"""
import sys

import numpy as np
from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType as T
from gguf.quants import dequantize, quantize
from safetensors.numpy import save_file

# Byte offsets of half-precision fields in a block: these must not be NaN or infinite, all other bytes are free.
HALVES = {
    T.Q4_0: [0], T.Q4_1: [0, 2], T.Q5_0: [0], T.Q5_1: [0, 2], T.Q8_0: [0], T.IQ4_NL: [0],
    T.Q2_K: [80, 82], T.Q3_K: [108], T.Q4_K: [0, 2], T.Q5_K: [0, 2], T.Q6_K: [208], T.IQ4_XS: [0],
}
rng = np.random.default_rng(20240117)


def finite_halves(n):
    """Every exponent but the special one, both signs; the first few are zero, the least subnormal and the largest."""
    h = rng.integers(0, 0x10000, n, dtype=np.uint16)
    h = np.where((h & 0x7C00) == 0x7C00, h ^ 0x4000, h).astype(np.uint16)
    special = np.array([0x0000, 0x8000, 0x0001, 0x83FF, 0x7BFF], dtype=np.uint16)
    h[: min(n, 5)] = special[: min(n, 5)]
    return h


def awkward_floats():
    """[48, 256] f32: scales from subnormal halves to 1e4, constants, zeros, one-sided rows, exact ties."""
    x = rng.standard_normal((48, 256)).astype(np.float32)
    x[:24] *= (10.0 ** rng.uniform(-9, 4, (24, 1))).astype(np.float32)
    x[24] = 0
    x[25] = 1.25
    x[26] = -3
    x[27] = np.abs(x[27])
    x[28] = -np.abs(x[28])
    x[29] = np.tile(np.arange(-8, 8), 16) / 2
    x[30] = np.tile(np.arange(-127, 129) / 2, 1)
    x[31] = np.tile(np.array([7.5, -7.5]), 128)
    x[32] = np.tile(np.array([0.0, 0.0, 0.0, 1e-6]), 64)
    return x


out = {}
for t, fields in HALVES.items():
    elements, size = GGML_QUANT_SIZES[t]
    blocks = rng.integers(0, 256, (24 if elements == 32 else 8, size), dtype=np.uint8)
    for at in fields:
        blocks[:, at : at + 2] = finite_halves(len(blocks)).view(np.uint8).reshape(-1, 2)
    out[f"{t.name}.raw"] = blocks
    out[f"{t.name}.f32"] = dequantize(blocks, t)
f16 = finite_halves(1024).reshape(4, 256)
out["F16.raw"], out["F16.f32"] = f16.view(np.uint8), dequantize(f16.view(np.uint8), T.F16)
bf16 = rng.integers(0, 0x10000, (4, 256), dtype=np.uint16)
bf16 = np.where((bf16 & 0x7F80) == 0x7F80, bf16 ^ 0x4000, bf16).astype(np.uint16)
out["BF16.raw"], out["BF16.f32"] = bf16.view(np.uint8), dequantize(bf16.view(np.uint8), T.BF16)
f32 = rng.standard_normal((1, 64)).astype(np.float32)
out["F32.raw"], out["F32.f32"] = f32.view(np.uint8), f32

x = awkward_floats()
out["encode.f32"] = x
with np.errstate(all="ignore"):
    for t in (T.Q8_0, T.Q4_0, T.Q4_1, T.F16, T.BF16):
        out[f"encode.{t.name}"] = np.ascontiguousarray(quantize(x, t)).view(np.uint8)
save_file(out, sys.argv[1])
