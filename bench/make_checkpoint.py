"""Writes a checkpoint of a shape's config.json with random bfloat16 weights, to measure loading: make_checkpoint.py SHAPE.json FOLDER

The folder gets config.json and one model.safetensors. Needs numpy only.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import numpy as np


def tensors(config: dict) -> dict[str, list[int]]:
    hidden, inner, vocabulary = config["hidden_size"], config["intermediate_size"], config["vocab_size"]
    head = config["head_dim"]
    queries, keys = config["num_attention_heads"] * head, config["num_key_value_heads"] * head
    shapes = {"model.embed_tokens.weight": [vocabulary, hidden], "model.norm.weight": [hidden]}
    if not config["tie_word_embeddings"]:
        shapes["lm_head.weight"] = [vocabulary, hidden]
    for layer in range(config["num_hidden_layers"]):
        prefix = f"model.layers.{layer}."
        shapes |= {
            prefix + "input_layernorm.weight": [hidden],
            prefix + "post_attention_layernorm.weight": [hidden],
            prefix + "self_attn.q_proj.weight": [queries, hidden],
            prefix + "self_attn.k_proj.weight": [keys, hidden],
            prefix + "self_attn.v_proj.weight": [keys, hidden],
            prefix + "self_attn.o_proj.weight": [hidden, queries],
        }
        if config["model_type"] != "llama":
            shapes |= {prefix + "self_attn.q_norm.weight": [head], prefix + "self_attn.k_norm.weight": [head]}
        experts = range(config["num_experts"]) if config["model_type"] == "qwen3_moe" else [None]
        if experts[0] is not None:
            shapes[prefix + "mlp.gate.weight"] = [config["num_experts"], hidden]
        for expert in experts:
            mlp = prefix + "mlp." if expert is None else f"{prefix}mlp.experts.{expert}."
            wide = inner if expert is None else config["moe_intermediate_size"]
            shapes |= {mlp + name + "_proj.weight": [wide, hidden] for name in ("gate", "up")}
            shapes[mlp + "down_proj.weight"] = [hidden, wide]
    return shapes


def main() -> int:
    if len(sys.argv) != 3:
        print(__doc__, file=sys.stderr)
        return 2
    shape, folder = Path(sys.argv[1]), Path(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(shape, folder / "config.json")
    header, at = {}, 0
    for name, size in tensors(json.loads(shape.read_text(encoding="utf-8"))).items():
        end = at + 2 * int(np.prod(size))
        header[name] = {"dtype": "BF16", "shape": size, "data_offsets": [at, end]}
        at = end
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    noise = np.random.default_rng(1).normal(0, 0.02, 1 << 24).astype(np.float32)
    block = (noise.view(np.uint32) >> 16).astype(np.uint16).tobytes()
    with (folder / "model.safetensors").open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        while at > 0:
            file.write(block[: min(at, len(block))])
            at -= min(at, len(block))
    return 0


if __name__ == "__main__":
    sys.exit(main())
