"""Reads safetensors with the standard library: name -> (shape, flat list). An integer in the metadata under a tensor's
name is the power of two its values were divided by (tests/golden/gen/trim_models.py)."""
import json
import struct

CODES = {"F64": "d", "F32": "f", "F16": "e", "I64": "q", "I32": "i", "U8": "B"}


def load(path):
    with open(path, "rb") as f:
        (n,) = struct.unpack("<Q", f.read(8))
        header = json.loads(f.read(n))
        data = f.read()
    out = {}
    exponents = header.pop("__metadata__", {})
    for name, t in header.items():
        begin, end = t["data_offsets"]
        scale = 2.0 ** int(exponents[name]) if name in exponents else 1
        out[name] = (t["shape"], [x * scale for (x,) in struct.iter_unpack("<" + CODES[t["dtype"]], data[begin:end])])
    return out


def largest_difference(a, b):
    return max((abs(x - y) for x, y in zip(a, b, strict=True)), default=0.0)


def norm(a):
    return sum(x * x for x in a) ** 0.5


def distance(a, b):
    return norm([x - y for x, y in zip(a, b, strict=True)])
