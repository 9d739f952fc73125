"""Small random checkpoints of the three architectures: what troupe answers on a GPU, against transformers on the same GPU.

usage: check_against_transformers.py GPU_LOGITS [--folder FOLDER] [--json]

Each checkpoint is computed by transformers in float32 (the reference) and in bfloat16, and by troupe (GPU_LOGITS is the program
gpu_logits). troupe's logits must be as near to the reference as those of transformers in bfloat16, and greedy continuations equal,
but for near-ties, which are printed: there the reference's two best logits differ by less than the rounding.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
import transformers

PROMPTS = [1, 2, 7, 16, 33, 64, 129, 300]
ANSWER = 32
SLACK = 1.5  # troupe's largest error, over that of transformers in bfloat16


def configs() -> dict[str, object]:
    shapes = {"vocab_size": 1024, "max_position_embeddings": 2048, "num_hidden_layers": 4, "bos_token_id": None, "eos_token_id": 2}
    llama = transformers.LlamaConfig(
        hidden_size=512, intermediate_size=1376, num_attention_heads=8, num_key_value_heads=2, head_dim=64, tie_word_embeddings=True,
        rms_norm_eps=1e-5, rope_theta=500000.0, **shapes,
    )
    qwen3 = transformers.Qwen3Config(
        hidden_size=384, intermediate_size=1024, num_attention_heads=8, num_key_value_heads=4, head_dim=128,
        tie_word_embeddings=False, rms_norm_eps=1e-6, rope_theta=1000000.0, **shapes,
    )
    moe = transformers.Qwen3MoeConfig(
        hidden_size=256, intermediate_size=512, moe_intermediate_size=192, num_experts=16, num_experts_per_tok=4, norm_topk_prob=True,
        num_attention_heads=4, num_key_value_heads=2, head_dim=128, tie_word_embeddings=False, rms_norm_eps=1e-6,
        rope_theta=10000.0, mlp_only_layers=[], decoder_sparse_step=1, **shapes,
    )
    return {"llama": llama, "qwen3": qwen3, "qwen3_moe": moe}


def make(config: object, folder: Path) -> None:
    """Weights of a size that keeps activations near 1 and logits a few units apart."""
    torch.manual_seed(0)
    model = transformers.AutoModelForCausalLM.from_config(config)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.dim() == 1:
                weight.copy_(1 + 0.1 * torch.randn_like(weight))
            else:
                weight.copy_(torch.randn_like(weight) * (2.0 if "embed" in name or "lm_head" in name else 1.0) * weight.shape[-1] ** -0.5)
    model.to(torch.bfloat16).save_pretrained(folder)


@torch.no_grad()
def continuation(model: torch.nn.Module, prompt: list[int]) -> tuple[list[int], np.ndarray]:
    """Greedy tokens, and the logits that each was chosen from."""
    tokens = list(prompt)
    rows = []
    for _ in range(ANSWER):
        logits = model(torch.tensor([tokens], device="cuda")).logits[0, -1].float().cpu().numpy()
        rows.append(logits)
        tokens.append(int(logits.argmax()))
    return tokens[len(prompt) :], np.stack(rows)


@torch.no_grad()
def logits_along(model: torch.nn.Module, prompt: list[int], answer: list[int]) -> np.ndarray:
    tokens = torch.tensor([prompt + answer], device="cuda")
    return model(tokens).logits[0, len(prompt) - 1 : -1].float().cpu().numpy()


def check(name: str, config: object, program: str, folder: Path) -> dict:
    checkpoint = folder / name
    make(config, checkpoint)
    generator = np.random.default_rng(1)
    prompts = [generator.integers(3, config.vocab_size, length).tolist() for length in PROMPTS]
    (folder / "prompts.json").write_text(json.dumps({"prompts": prompts, "answer": ANSWER}), encoding="utf-8")
    command = [program, checkpoint, folder / "prompts.json", folder / "answers.json"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{name}: {done.stderr}")
    answers = json.loads((folder / "answers.json").read_text(encoding="utf-8"))["tokens"]
    ours = np.fromfile(folder / "answers.json.logits", dtype=np.float32).reshape(len(prompts), ANSWER, config.vocab_size)

    reference = transformers.AutoModelForCausalLM.from_pretrained(checkpoint, dtype=torch.float32, attn_implementation="eager").cuda()
    rounded = transformers.AutoModelForCausalLM.from_pretrained(checkpoint, dtype=torch.bfloat16, attn_implementation="eager").cuda()
    errors, errors_rounded, near_ties, different = [], [], [], 0
    for i, prompt in enumerate(prompts):
        truth = logits_along(reference, prompt, answers[i])
        errors.append(np.abs(ours[i] - truth))
        errors_rounded.append(np.abs(logits_along(rounded, prompt, answers[i]) - truth))
        theirs, rows = continuation(reference, prompt)
        for at, (mine, other) in enumerate(zip(answers[i], theirs)):
            if mine == other:
                continue
            best = np.sort(rows[at])[-2:]
            near_ties.append({"prompt": i, "token": at, "troupe": mine, "transformers": other, "margin": float(best[1] - best[0])})
            if rows[at][other] - rows[at][mine] > 2 * errors[-1].max():
                different += 1
            break  # what follows continues another text
    ours_max, rounded_max = float(np.max(errors)), float(np.max(errors_rounded))
    return {
        "architecture": name,
        "error": ours_max,
        "error_rms": float(np.sqrt(np.mean(np.square(errors)))),
        "error_transformers_bf16": rounded_max,
        "error_rms_transformers_bf16": float(np.sqrt(np.mean(np.square(errors_rounded)))),
        "logits": float(np.abs(ours).max()),
        "near_ties": near_ties,
        "different": different,
        "passed": different == 0 and ours_max <= SLACK * rounded_max,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", help="gpu_logits")
    parser.add_argument("--folder", type=Path, help="where checkpoints are made (default: a temporary folder)")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    torch.backends.cuda.matmul.allow_tf32 = False
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        results = [check(name, config, options.program, folder) for name, config in configs().items()]
    if options.json:
        print(json.dumps(results))
    else:
        for result in results:
            print(
                f"{result['architecture']:10} largest error of a logit {result['error']:.3f} (transformers in bf16 "
                f"{result['error_transformers_bf16']:.3f}; logits up to {result['logits']:.1f}), rms {result['error_rms']:.4f} "
                f"({result['error_rms_transformers_bf16']:.4f}): {'passed' if result['passed'] else 'FAILED'}"
            )
            for tie in result["near_ties"]:
                print(
                    f"           prompt {tie['prompt']} parts at token {tie['token']}: {tie['troupe']}, transformers"
                    f" {tie['transformers']}, whose best two differ by {tie['margin']:.3f}"
                )
    return 0 if all(result["passed"] for result in results) else 1


if __name__ == "__main__":
    sys.exit(main())
