#!/usr/bin/env python3
"""random_model.py SHAPE OUT: a folder that is a model of the layers of SHAPE, all widths as published, few layers, random weights
and a token a byte, for `retort bench OUT`: matrix products take as long whatever the numbers are. Standard library only."""
import argparse
import json
import pathlib
import random
import struct

LAYERS = 4
SHAPES = {
    "qwen3-0.6b": {
        "model_type": "qwen3", "architectures": ["Qwen3ForCausalLM"], "hidden_size": 1024, "intermediate_size": 3072,
        "num_attention_heads": 16, "num_key_value_heads": 8, "head_dim": 128, "vocab_size": 151936, "rms_norm_eps": 1e-6,
        "rope_theta": 1e6, "max_position_embeddings": 40960, "tie_word_embeddings": True},
    "gemma-3-1b": {
        "model_type": "gemma3_text", "architectures": ["Gemma3ForCausalLM"], "hidden_size": 1152, "intermediate_size": 6912,
        "num_attention_heads": 4, "num_key_value_heads": 1, "head_dim": 256, "vocab_size": 262144, "rms_norm_eps": 1e-6,
        "rope_theta": 1e6, "rope_local_base_freq": 1e4, "sliding_window": 512, "query_pre_attn_scalar": 256,
        "hidden_activation": "gelu_pytorch_tanh", "max_position_embeddings": 32768, "tie_word_embeddings": True},
}


def tensors(c):
    """Names and shapes, in the order of the file."""
    d, f, hd = c["hidden_size"], c["intermediate_size"], c["head_dim"]
    q, kv = c["num_attention_heads"] * hd, c["num_key_value_heads"] * hd
    gemma = c["model_type"] == "gemma3_text"
    yield "model.embed_tokens.weight", (c["vocab_size"], d)
    for i in range(LAYERS):
        layer = f"model.layers.{i}."
        norms = ["input_layernorm", "post_attention_layernorm"]
        norms += ["pre_feedforward_layernorm", "post_feedforward_layernorm"] if gemma else []
        for norm in norms:
            yield f"{layer}{norm}.weight", (d,)
        for name, shape in {"q_proj": (q, d), "k_proj": (kv, d), "v_proj": (kv, d), "o_proj": (d, q), "q_norm": (hd,),
                            "k_norm": (hd,)}.items():
            yield f"{layer}self_attn.{name}.weight", shape
        for name, shape in {"gate_proj": (f, d), "up_proj": (f, d), "down_proj": (d, f)}.items():
            yield f"{layer}mlp.{name}.weight", shape
    yield "model.norm.weight", (d,)


def bf16(values):
    """The upper halves of their float32, rounded towards zero."""
    return b"".join(struct.pack("<f", x)[2:] for x in values)


def write_weights(path, listed):
    rng = random.Random(1)
    # a prime number of values, so that rows of no width repeat
    matrix, vector = bf16(rng.gauss(0, 0.02) for _ in range(1048583)), bf16([1.0])
    header, at = {}, 0
    for name, shape in listed:
        n = 2 * shape[0] * (shape[1] if len(shape) > 1 else 1)
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [at, at + n]}
        at += n
    text = json.dumps(header).encode()
    with open(path, "wb") as out:
        out.write(struct.pack("<Q", len(text)) + text)
        for t in header.values():
            source = matrix if len(t["shape"]) > 1 else vector
            left = t["data_offsets"][1] - t["data_offsets"][0]
            while left > 0:
                left -= out.write(source[:left])


def tokenizer():
    """A token a byte, under GPT-2's characters for them."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [b for b in range(256) if b not in printable]
    names = {**{chr(b): b for b in printable}, **{chr(256 + i): b for i, b in enumerate(others)}}
    level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    return {"version": "1.0", "added_tokens": [], "normalizer": None, "pre_tokenizer": level, "post_processor": None,
            "decoder": level, "model": {"type": "BPE", "vocab": names, "merges": []}}


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("shape", choices=SHAPES)
    arguments.add_argument("out", type=pathlib.Path)
    given = arguments.parse_args()
    config = {**SHAPES[given.shape], "num_hidden_layers": LAYERS}
    given.out.mkdir(parents=True, exist_ok=True)
    (given.out / "config.json").write_text(json.dumps(config, indent=1))
    (given.out / "tokenizer.json").write_text(json.dumps(tokenizer()))
    (given.out / "README.md").write_text("---\nlicense: apache-2.0\n---\nRandom weights, for measuring.\n")
    write_weights(given.out / "model.safetensors", list(tensors(config)))


if __name__ == "__main__":
    main()
