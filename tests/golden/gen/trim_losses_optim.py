#!/usr/bin/env python3
"""What gen_losses.py and gen_optim.py write beyond golden.tar.xz, cut down to small files beside it:
loss_values.safetensors, the values by row of further losses, hidden_states.safetensors, the terms between states, and
muon.safetensors, five steps of both trajectories (gradients and start as F32, which hold them exactly).
usage: trim_losses_optim.py LOSSES_FOLDER OPTIM_FOLDER OUT_FOLDER"""
import json
import struct
import sys
from pathlib import Path

VALUES = ["z_loss", "rkl_T1", "jsd_b01_T2", "jsd_b05_T1", "jsd_b09_T1", "jsd_b09_T2", "skew_fkl_a01_T1",
          "skew_rkl_a01_T1", "tvd_T1"]
STEPS = 5


def load(path):
    data = path.read_bytes()
    n = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8 : 8 + n])
    header.pop("__metadata__", None)
    return {name: (t["shape"], data[8 + n + t["data_offsets"][0] : 8 + n + t["data_offsets"][1]])
            for name, t in header.items()}


def save(path, tensors):
    header, body = {}, b""
    for name, (dtype, shape, data) in sorted(tensors.items()):
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(body), len(body) + len(data)]}
        body += data
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + body)


def as_f32(data):
    values = struct.unpack(f"<{len(data) // 8}d", data)
    narrow = struct.pack(f"<{len(values)}f", *values)
    assert struct.unpack(f"<{len(values)}f", narrow) == values
    return narrow


def first(tensor, steps):
    shape, data = tensor
    return [steps, *shape[1:]], data[: len(data) // shape[0] * steps]


losses, optim, out = (Path(arg) for arg in sys.argv[1:])
rows = {name: ("F64", *load(losses / f"{name}.safetensors")["value_rows"]) for name in VALUES}
save(out / "loss_values.safetensors", rows)

states = {}
for name in ("hidden_cosine", "hidden_mse"):
    f = load(losses / f"{name}.safetensors")
    for key in ("row_mask", "student_hidden", "teacher_hidden", "proj"):
        states[key] = ("F32", *f[key])
    for key in ("value", "value_rows", "grad_student_hidden", "grad_proj"):
        states[f"{name}.{key}"] = ("F64", *f[key])
save(out / "hidden_states.safetensors", states)

muon = {}
for variant in ("original", "match_rms_adamw"):
    f = load(optim / f"muon_{variant}.safetensors")
    for shape in ("tall", "wide", "square"):
        size, data = first(f[f"{shape}.grads"], STEPS)
        muon[f"{shape}.grads"] = ("F32", size, as_f32(data))
        muon[f"{shape}.p0"] = ("F32", f[f"{shape}.p0"][0], as_f32(f[f"{shape}.p0"][1]))
        size, data = first(f[f"{shape}.p"], STEPS)
        muon[f"{shape}.{variant}"] = ("F64", size[1:], data[-len(data) // STEPS :])
save(out / "muon.safetensors", muon)
