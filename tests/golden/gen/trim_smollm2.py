#!/usr/bin/env python3
"""Cuts the real teacher's reference down to what the tests read: the hidden states of prompts 0 and 1, all logits of
prompt 0; the other prompts are judged by their 20 largest logits, log-sum-exp, losses and greedy text.
usage: trim_smollm2.py REFERENCE.safetensors OUT.safetensors"""
import sys

from safetensors.numpy import load_file, save_file

KEPT_FOR = {"hidden_last": {"p0", "p1"}, "logits_last": {"p0"}}

kept = {}
for name, tensor in load_file(sys.argv[1]).items():
    prompt, field = name.split(".")
    if prompt in KEPT_FOR.get(field, {prompt}):
        kept[name] = tensor
save_file(kept, sys.argv[2])
