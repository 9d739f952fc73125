"""How fast transformers decodes and reads prompts on this GPU: what gpu_engine_bench's numbers stand beside.

usage: peer_transformers.py [--shapes FOLDER] [--models NAME,...] [--json]

Random weights of the shapes in bench/shapes, in bfloat16. Two ways: eager, as a script does it; and the decoding step with a static
cache under torch.compile with CUDA graphs (mode "reduce-overhead").
Tokens are chosen greedily on the GPU. A step's time is the median of 20.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

import torch
import transformers

CASES = {
    "llama-3.1-8b": ([(1, 1024), (32, 1024)], 8192),
    "llama-3.2-1b": ([(1, 1024)], 8192),
    "qwen3-0.6b": ([(1, 1024)], 8192),
    "qwen3-30b-a3b": ([(1, 1024)], None),
}


def model_of(shapes: Path, name: str) -> torch.nn.Module:
    fields = json.loads((shapes / f"{name}.json").read_text(encoding="utf-8"))
    config = transformers.AutoConfig.for_model(**fields)
    with torch.device("cuda"):
        torch.set_default_dtype(torch.bfloat16)
        model = transformers.AutoModelForCausalLM.from_config(config, attn_implementation="sdpa")
    return model.eval()


def median_of(times: list[float]) -> float:
    return sorted(times)[len(times) // 2]


@torch.no_grad()
def decode(model: torch.nn.Module, batch: int, context: int, compiled: bool) -> float:
    """Seconds of a step."""
    steps = 24
    prompt = torch.randint(3, model.config.vocab_size, (batch, context), device="cuda")
    cache = transformers.StaticCache(config=model.config, max_cache_len=context + 2 * steps + 8)
    position = torch.arange(context, device="cuda")
    model(prompt, past_key_values=cache, cache_position=position, use_cache=True, logits_to_keep=1)

    def step(token: torch.Tensor, at: torch.Tensor) -> torch.Tensor:
        return model(token, past_key_values=cache, cache_position=at, use_cache=True).logits[:, -1].argmax(-1, keepdim=True)

    run = torch.compile(step, mode="reduce-overhead", fullgraph=False) if compiled else step
    token = prompt[:, -1:].clone()
    at = torch.tensor([context], device="cuda")
    times = []
    for _ in range(steps):
        torch.cuda.synchronize()
        begin = time.perf_counter()
        token = run(token, at).clone()
        torch.cuda.synchronize()
        times.append(time.perf_counter() - begin)
        at += 1
    return median_of(times[4:])


@torch.no_grad()
def prefill(model: torch.nn.Module, tokens: int) -> float:
    prompt = torch.randint(3, model.config.vocab_size, (1, tokens), device="cuda")
    times = []
    for _ in range(5):
        torch.cuda.synchronize()
        begin = time.perf_counter()
        model(prompt, use_cache=True, logits_to_keep=1)
        torch.cuda.synchronize()
        times.append(time.perf_counter() - begin)
    return median_of(times)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shapes", type=Path, default=Path("bench/shapes"))
    parser.add_argument("--models", default=",".join(CASES))
    parser.add_argument("--no-compile", action="store_true")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rows = []
    for name in options.models.split(","):
        cases, prompt = CASES[name]
        model = model_of(options.shapes, name)
        for batch, context in cases:
            for compiled in [False] if options.no_compile else [False, True]:
                try:
                    seconds = decode(model, batch, context, compiled)
                except Exception as error:  # a peer that cannot do it is no reason to stop
                    print(f"{name} batch {batch}, compiled {compiled}: {type(error).__name__}: {error}"[:300], file=sys.stderr)
                    continue
                way = "compiled" if compiled else "eager"
                rows.append({"model": name, "batch": batch, "context": context, "way": way, "ms": seconds * 1e3})
                print(rows[-1], file=sys.stderr, flush=True)
        if prompt is not None:
            rows.append({"model": name, "prefill": prompt, "way": "eager", "ms": prefill(model, prompt) * 1e3})
            print(rows[-1], file=sys.stderr, flush=True)
        del model
        torch.cuda.empty_cache()
    if options.json:
        print(json.dumps(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
