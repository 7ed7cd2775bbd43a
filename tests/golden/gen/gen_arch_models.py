#!/usr/bin/env python3
"""What transformers computes with the small models of arch_specs.json, whose weights hashed.py makes: one file a model in
tests/golden/arch. The salt of a model is raised until no choice of experts, keys or greedy tokens is a close call.
usage: gen_arch_models.py OUT_DIR [NAME ...]
Made with transformers 5.23.0 and torch 2.15.0 on a CPU (packaging/peers-requirements.txt)."""
import copy
import json
import math
import pathlib
import sys
import tempfile

import numpy as np
import torch
import transformers
from safetensors.numpy import save_file
from torch.nn import functional as F
from transformers import AutoConfig, AutoModelForCausalLM
from transformers.core_model_loading import revert_weight_conversion

import hashed

transformers.utils.logging.disable_progress_bar()
transformers.logging.set_verbosity_error()
torch.set_num_threads(1)
SEQUENCE, PROMPT = 24, 12
ROWS = [0, 5, 11, 17, 23, 24, 29, 35, 41, 47]
TEMPERATURE = 2.0
NOT_IN_FILES = ("slope_rate", "query_decay", "key_decay", "diagonal_decay")  # buffers that follow from the config


def published(model, state):
    """Tensors under the names of published checkpoints."""
    state = revert_weight_conversion(model, {k: v.detach().clone() for k, v in state.items()})
    state = {k: v for k, v in state.items() if k.rsplit(".", 1)[-1] not in NOT_IN_FILES}
    if model.config.tie_word_embeddings:
        state.pop("lm_head.weight", None)
    if model.config.model_type != "deepseek_v4":
        return state
    swaps = [("embed_tokens.", "embed."), ("hc_head.hc_", "hc_head_"), ("lm_head.", "head."),
             (".attn.norm.weight", ".attn.kv_norm.weight")]
    renamed = {}
    for name, value in state.items():
        name = name.removeprefix("model.")
        for a, b in swaps:
            name = name.replace(a, b)
        renamed[name] = value
    return renamed


def listed(config, name, value):
    """How the tensor's values are made: deviations that keep logits, routers and states of healthy size."""
    shape, leaf = list(value.shape), name.rsplit(".", 1)[-1]
    kind = "BF16" if config.model_type == "gpt_oss" else "F32"
    offset, inputs = 0.0, shape[-1]
    if value.dtype == torch.int64:
        return {"name": name, "kind": "I64", "shape": shape, "scale": config.n_routed_experts, "offset": 0}
    if kind == "BF16" and len(shape) == 3:  # codes deviate by 2.9 from 0, the exponent is this or one more
        scale = 127 + round(math.log2(1 / math.sqrt(shape[1]) / 2.9) - 0.5)
        return {"name": name, "kind": "MXFP4", "shape": shape, "scale": scale, "offset": 0}
    if name.endswith(("embed_tokens.weight", "embed.weight")):
        std = 1.6 / math.sqrt(inputs) if config.tie_word_embeddings else 1.0
    elif name in ("lm_head.weight", "head.weight"):
        std = 1.6 / math.sqrt(inputs)
    elif "norm" in name and leaf == "weight":
        std, offset = 0.25, 0.0 if "gemma" in config.model_type else 1.0
    elif name.endswith(("e_score_correction_bias", "ffn.gate.bias")):
        std = 0.15
    elif leaf == "bias" or leaf.endswith("_bias"):
        std = 0.2
    elif leaf in ("sinks", "attn_sink"):
        std = 1.0
    elif leaf.endswith(("_base", "ape")):
        std = 0.5
    elif leaf.endswith("_scale"):
        std, offset = 0.2, 1.0
    elif name.endswith((".gate.weight", "router.weight")):
        std = 1.5 / math.sqrt(inputs)
    elif len(shape) == 2:
        std = (1.2 if "q_" in name or "k_" in name else 1.0) / math.sqrt(inputs)
    else:
        raise SystemExit(f"no rule for {name} {shape}")
    power = round(math.log2(std / hashed.deviation(hashed.BITS[kind])))
    return {"name": name, "kind": kind, "shape": shape, "scale": 2.0 ** power, "offset": offset}


def layer_of(module):
    return int(module.split("layers.")[1].split(".")[0])


def run(model, ids, teacher=None):
    """Outputs, and gradients of cross-entropy and of the KL to the teacher by parameter."""
    routers, indices, hooks = {}, {}, []
    for name, module in model.named_modules():
        kind = type(module).__name__
        if kind.endswith("Indexer"):
            hooks.append(module.register_forward_hook(lambda m, i, o, n=name: indices.__setitem__(n, o.detach())))
        if kind.endswith(("TopKRouter", "TopkRouter", "HashRouter")):
            hooks.append(module.register_forward_hook(lambda m, i, o, n=name: routers.__setitem__(n, o)))
    out = model(ids, output_hidden_states=True, use_cache=False)
    for hook in hooks:
        hook.remove()
    logits = out.logits.float()
    losses = {"ce": F.cross_entropy(logits[:, :-1].reshape(-1, logits.shape[-1]), ids[:, 1:].reshape(-1))}
    if teacher is not None:
        t, s = F.log_softmax(teacher / TEMPERATURE, -1), F.log_softmax(logits / TEMPERATURE, -1)
        losses["kl_T2"] = TEMPERATURE ** 2 * (t.exp() * (t - s)).sum(-1).mean()
    outputs, gradients = {"logits": logits.detach()}, {}
    for kind, loss in losses.items():
        model.zero_grad(set_to_none=True)
        loss.backward(retain_graph=True)
        gradients[kind[:2]] = {n: torch.zeros_like(p) if p.grad is None else p.grad for n, p in model.named_parameters()}
        gradients[kind[:2]] = published(model, gradients[kind[:2]])
        outputs["loss_" + kind] = loss.detach().reshape(1)
    for i, h in enumerate(out.hidden_states):
        outputs[f"hidden.{i}"] = h.detach()
    for name, (scores, weights, experts) in routers.items():
        order = experts.argsort(-1)
        outputs[f"router.{layer_of(name)}.logits"] = scores.detach().float()
        outputs[f"router.{layer_of(name)}.experts"] = experts.gather(-1, order).to(torch.int32)
        outputs[f"router.{layer_of(name)}.weights"] = weights.detach().float().gather(-1, order)
    seen = {name: [[sorted(k for k in row.tolist() if 0 <= k <= i) for i, row in enumerate(b)] for b in o]
            for name, o in indices.items()}
    return outputs, gradients, seen


def greedy(model, prompt):
    ids, gaps = prompt[None], []
    with torch.no_grad():
        for _ in range(SEQUENCE - PROMPT):
            best = model(ids, use_cache=False).logits[0, -1].float().topk(2)
            gaps.append(float(best.values[0] - best.values[1]))
            ids = torch.cat([ids, best.indices[:1][None]], 1)
    return ids[0], min(gaps)


def gap_after(scores, k):
    s = scores.sort(-1, descending=True).values
    return float((s[:, k - 1] - s[:, k]).min())


def router_margin(model, outputs):
    """Smallest gap between what was chosen last and what was rejected first, in experts and in groups."""
    hashed_layers = [i for i, kind in enumerate(getattr(model.config, "mlp_layer_types", None) or []) if "hash" in kind]
    config, margin, modules = model.config, math.inf, dict(model.named_modules())
    for name in outputs:
        if not name.startswith("router.") or not name.endswith(".logits") or int(name.split(".")[1]) in hashed_layers:
            continue
        scores, k = outputs[name], config.num_experts_per_tok
        layer = "model.layers." + name.split(".")[1]
        holders = [modules[m] for m in (layer + ".mlp.gate", layer + ".mlp") if m in modules]
        bias = next((h.e_score_correction_bias for h in holders if hasattr(h, "e_score_correction_bias")), None)
        groups = getattr(config, "n_group", None) or 1
        limited = getattr(config, "topk_method", "") == "group_limited_greedy"
        if bias is not None:
            rooted = getattr(config, "scoring_func", "") == "sqrtsoftplus"
            scores = (F.softplus(scores).sqrt() if rooted else scores.sigmoid()) + bias
        elif limited:
            scores = scores.softmax(-1)
        if groups > 1 and (bias is not None or limited):
            by_group = scores.view(len(scores), groups, -1)
            of_group = by_group.topk(1 if limited else 2, -1).values.sum(-1)
            margin = min(margin, gap_after(of_group, config.topk_group))
            kept = torch.zeros_like(of_group).scatter(1, of_group.topk(config.topk_group, -1).indices, 1)
            scores = scores.masked_fill(kept.repeat_interleave(by_group.shape[-1], -1) == 0, -9)
        margin = min(margin, gap_after(scores, k))
    return margin


def keys_stay(model, ids, seen):
    """Chosen keys of sparse attention survive noise of 1e-4 on every weight."""
    for trial in range(3):
        noisy, g = copy.deepcopy(model), torch.Generator().manual_seed(trial)
        with torch.no_grad():
            for p in noisy.parameters():
                p.mul_(1 + 1e-4 * torch.randn(p.shape, generator=g))
        if run(noisy, ids)[2] != seen:
            return False
    return True


def load(folder):
    model = AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager", dtype=torch.float32).eval()
    model.set_experts_implementation("eager")
    return model


def config_text(model):
    """config.json as transformers writes it beside a model."""
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        return pathlib.Path(folder, "config.json").read_text()


def make(name, spec, out):
    config = AutoConfig.for_model(spec["model_type"], **copy.deepcopy(spec["config"]))
    blank = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    tensors = [listed(config, n, v) for n, v in sorted(published(blank, blank.state_dict()).items())]
    text = config_text(blank)
    salt = 0
    while True:
        weights = {"salt": f"{name}/{salt}/", "tensors": tensors}
        with tempfile.TemporaryDirectory() as folder:
            hashed.write_folder(folder, text, weights)
            model = load(folder)
        ids = hashed.hashes(weights["salt"] + "input_ids", 2 * SEQUENCE) % np.uint64(config.vocab_size)
        ids = torch.from_numpy(ids.astype(np.int64)).reshape(2, SEQUENCE)
        teacher = None
        if spec.get("dense"):
            teacher = hashed.teacher_logits(weights["salt"], 2 * SEQUENCE, config.vocab_size)
            teacher = torch.from_numpy(teacher).reshape(2, SEQUENCE, -1)
        outputs, gradients, seen = run(model, ids, teacher)
        margin = router_margin(model, outputs)
        answer, gap = greedy(model, ids[0, :PROMPT])
        if margin > 1e-3 and gap > 1e-2 and (not seen or keys_stay(model, ids, seen)):
            break
        salt += 1
    kept = {"input_ids": ids.to(torch.int32), "rows": torch.tensor(ROWS, dtype=torch.int32),
            "greedy_ids": answer.to(torch.int32), "greedy_prompt_len": torch.tensor([PROMPT], dtype=torch.int32)}
    for key, value in outputs.items():
        kept[key] = value if key.startswith("loss") else value.reshape(2 * SEQUENCE, -1)[ROWS]
    kept = {key: value.contiguous().numpy() for key, value in kept.items()}
    for kind, by_name in gradients.items():
        if not spec.get("forward_only"):
            by_name = {t["name"]: by_name[t["name"]].numpy() if t["name"] in by_name else np.zeros(1) for t in tensors}
            kept["sketch_" + kind] = np.stack([hashed.sketch(n, g) for n, g in by_name.items()])
            kept["norm_" + kind] = np.array([np.linalg.norm(g.astype(np.float64)) for g in by_name.values()], np.float32)
    path = pathlib.Path(out) / f"{name}.safetensors"
    save_file(kept, path, metadata={"config": text, "weights": json.dumps(weights, separators=(",", ":"))})
    states = [round(float(outputs[f"hidden.{i}"].std()), 2) for i in range(config.num_hidden_layers + 1)]
    print(f"{name}: salt {salt}, loss {float(outputs['loss_ce']):.3f}, logits deviate by {float(outputs['logits'].std()):.2f}, "
          f"states by {states}, margins {margin:.4f} {gap:.3f}, {path.stat().st_size} bytes", flush=True)


def main():
    specs = json.loads((pathlib.Path(__file__).parent / "arch_specs.json").read_text())
    for name in sys.argv[2:] or specs:
        make(name, specs[name], sys.argv[1])


main()
