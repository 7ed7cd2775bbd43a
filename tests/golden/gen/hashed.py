"""Weights that nobody stores: every value of a tensor is a small integer made from a hash of its place, times a power
of two, so that Python and C (tests/hashed.h) write the same file bit for bit. A fixture of tests/golden/arch carries
config.json and the list of tensors in its metadata.
usage: hashed.py FIXTURE.safetensors FOLDER   writes the model's folder in the Hugging Face layout"""
import json
import pathlib
import sys

import numpy as np
from safetensors import safe_open
from safetensors.numpy import save_file

PROJECTIONS = 64
U64 = np.uint64
FP4 = np.array([0, 0.5, 1, 1.5, 2, 3, 4, 6, -0.0, -0.5, -1, -1.5, -2, -3, -4, -6], np.float32)


def mix(z):
    """The finaliser of splitmix64."""
    z = (z ^ (z >> U64(30))) * U64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> U64(27))) * U64(0x94D049BB133111EB)
    return z ^ (z >> U64(31))


def hashes(name, n):
    """n numbers of the stream `name`."""
    with np.errstate(over="ignore"):
        key = U64(0xCBF29CE484222325)
        for byte in name.encode():
            key = (key ^ U64(byte)) * U64(0x100000001B3)
        return mix(key + (np.arange(n, dtype=U64) + U64(1)) * U64(0x9E3779B97F4A7C15))


def bell(name, n, bits):
    """Sums of four signed integers of so many bits: nearly normal, deviation 2^bits / sqrt(3)."""
    h = hashes(name, n)
    parts = [(h >> U64(16 * i)) & U64((1 << bits) - 1) for i in range(4)]
    return (sum(part.astype(np.int64) for part in parts) - (2 << bits)).astype(np.float32)


def deviation(bits):
    return 2.0 ** bits / 3 ** 0.5


BITS = {"F32": 16, "BF16": 6}


def mxfp4(salt, t):
    """Codes [experts, out, in / 32, 32] and exponents [experts, out, in / 32] of an expert stack; shape is that of the
    values, [experts, in, out]."""
    experts, inner, outer = t["shape"]
    n = experts * inner * outer
    h = hashes(salt + t["name"], n)
    codes = (h & U64(15)).astype(np.uint8).reshape(experts, outer, inner // 32, 32)
    exponents = (hashes(salt + t["name"] + "/exponent", n // 32) & U64(1)).astype(np.uint8) + np.uint8(t["scale"])
    return codes, exponents.reshape(experts, outer, inner // 32)


def values(salt, t):
    """The tensor, in float32 (a table of experts: int64)."""
    n = int(np.prod(t["shape"]))
    if t["kind"] == "MXFP4":
        codes, exponents = mxfp4(salt, t)
        v = FP4[codes] * np.exp2(exponents.astype(np.float32) - 127)[..., None]
        return np.ascontiguousarray(v.reshape(codes.shape[0], codes.shape[1], -1).transpose(0, 2, 1))
    if t["kind"] == "I64":  # distinct experts a row: a start and an odd step around a power of two of them
        h = hashes(salt + t["name"], t["shape"][0])[:, None]
        step = (h >> U64(32)) * U64(2) + U64(1)
        return ((h + step * np.arange(t["shape"][1], dtype=U64)) % U64(t["scale"])).astype(np.int64)
    k = bell(salt + t["name"], n, BITS[t["kind"]])
    return (k * np.float32(t["scale"]) + np.float32(t["offset"])).reshape(t["shape"])


def teacher_logits(salt, rows, vocab):
    return (bell(salt + "teacher_logits", rows * vocab, 16) * np.float32(2.0 ** -14)).reshape(rows, vocab)


def sketch(name, gradient):
    """Sums with random signs; a small tensor as it is."""
    g = gradient.astype(np.float64).reshape(-1)
    if g.size <= PROJECTIONS:
        return np.pad(g, (0, PROJECTIONS - g.size)).astype(np.float32)
    bits = hashes("sign/" + name, g.size)[:, None] >> np.arange(PROJECTIONS, dtype=U64) & U64(1)
    return ((1.0 - 2.0 * bits.astype(np.float64)).T @ g).astype(np.float32)


def weights(listed):
    return {t["name"]: values(listed["salt"], t) for t in listed["tensors"]}


def write_folder(folder, config, listed):
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(config)
    save_file(weights(listed), folder / "model.safetensors", metadata={"format": "pt"})


def unpack(fixture, folder):
    with safe_open(fixture, "numpy") as f:
        write_folder(folder, f.metadata()["config"], json.loads(f.metadata()["weights"]))


if __name__ == "__main__":
    unpack(*sys.argv[1:])
