"""What dev/gpu ends with: what the test programs and the benchmarks left, in words or as JSON, and whether all is well."""

from __future__ import annotations

import json
import sys
from pathlib import Path

MARKS = {20 << 20: 0.6, 64 << 20: 0.8}  # shares of NCCL alone, by bytes
TEST_PROGRAMS = {
    "fabric": ("tests", "gpu_test"),
    "kernels": ("kernels_tests", "gpu_kernels_test"),
    "engine": ("engine_tests", "gpu_engine_test"),
}
BENCHMARKS = {"fabric": "bench", "kernels": "kernels_bench", "engine": "engine_bench"}


def read(logs: Path, name: str) -> object:
    """What a program left, or nothing if it ended early."""
    try:
        return json.loads((logs / f"{name}.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def marks_met(bandwidth: list[dict] | None) -> bool:
    return bool(bandwidth) and all(
        min(row["gets_of_plain"], row["puts_of_plain"]) >= MARKS.get(row["bytes"], 0) for row in bandwidth
    )


def fabric_lines(bandwidth: list[dict]) -> list[str]:
    return [
        f"  {row['bytes'] >> 20} MiB: NCCL alone {row['plain_bytes_per_second'] / 1e9:.2f} GB/s, gets {row['gets_of_plain']:.2f}"
        f" of it, puts {row['puts_of_plain']:.2f} (mark {MARKS.get(row['bytes'], 0):.1f})"
        for row in bandwidth
    ]


def product_lines(products: list[dict]) -> list[str]:
    """A line for each matrix, of few rows, which are as fast as weights are read, and one of many, which are arithmetic."""
    matrices: dict[str, list[dict]] = {}
    for row in products:
        matrices.setdefault(f"{row['model']} {row['matrix']}", []).append(row)
    lines = []
    for name, rows in matrices.items():
        few = [row for row in rows if row["rows"] <= 64]
        many = [row for row in rows if row["rows"] > 64]
        lines.append(f"    {name:13} " + ", ".join(cell(row, f"{row['of_floor']:.2f}") for row in few))
        lines.append(f"    {'':13} " + ", ".join(cell(row, f"{row['tflops']:.0f} TF/s") for row in many))
    return lines


def cell(row: dict, speed: str) -> str:
    """Beside a time what cuBLAS takes for the product alone, and what it and we take for it added to residual rows and plain."""
    names = {"cublas_us": "cuBLAS", "cublas_same_work_us": "adding", "plain_us": "ours plain"}
    beside = "".join(f", {name} {row[key]:.1f}" for key, name in names.items() if row[key] is not None)
    return f"{row['rows']}: {row['us']:.1f} us ({speed}{beside})"


def kernel_lines(kernels: dict) -> list[str]:
    lines = [f"  kernels: memory is read at {kernels['read_bytes_per_second'] / 1e9:.0f} GB/s"]
    lines.append("  steps of decoding, and the share of the floor:")
    lines += [
        f"    {row['model']:5} batch {row['batch']:2}, context {row['context']:5}: {row['ms']:.3f} ms, floor {row['floor_ms']:.3f} ms:"
        f" {row['of_floor']:.2f}"
        for row in kernels["decoding"]
    ]
    lines.append("  attention of decoding rows, a layer, and the share of the floor:")
    lines += [
        f"    {row['heads']} heads of {row['head_dim']:3}, {row['kv_heads']} KV heads, {row['batch']:3} of {row['lengths']}:"
        f" {row['us']:.1f} us: {row['of_floor']:.2f} (planned in {row['plan_us']:.1f} us)"
        for row in kernels["decode_attention"]
    ]
    lines.append("  prefill attention of rows after a context:")
    lines += [
        f"    {row['heads']} heads of {row['head_dim']:3}, {row['kv_heads']} KV heads, {row['context']:5} + {row['rows']}:"
        f" {row['ms']:.3f} ms, {row['tflops']:.0f} TF/s"
        for row in kernels["attention"]
    ]
    lines.append("  passes of a prompt through all layers:")
    lines += [f"    {row['model']:5} {row['rows']:5} tokens: {row['ms']:.2f} ms, {row['tflops']:.0f} TF/s" for row in kernels["passes"]]
    lines.append("  mixture-of-experts layers, the experts that rows choose on average, and the share of the floor:")
    lines += [
        f"    {row['model']:8} {row['rows']:5} rows, {row['experts']:5.1f} experts: {row['us']:.1f} us, floor {row['floor_us']:.1f} us:"
        f" {row['of_floor']:.2f}, {row['tflops']:.0f} TF/s"
        for row in kernels["moe"]
    ]
    lines.append("  sampling, and the share of the floor:")
    lines += [
        f"    {row['options']:32} {row['rows']:3} rows of {row['vocabulary']}, {row['blocks_per_row']:2} blocks each:"
        f" {row['us']:.1f} us, {row['of_floor']:.2f}"
        for row in kernels["sampling"]
    ]
    lines.append("  products by rows: time (share of the floor or operations per second; cuBLAS's time alone, and added to rows):")
    return lines + product_lines(kernels["products"])


def slowing(parts_ms: list[float]) -> str:
    """Where steps become slower, as they do at the limit of a GPU's power: how long the first and the last ones take."""
    return f" ({parts_ms[0]:.3f} ms to begin with, {parts_ms[-1]:.3f} in the end)" if parts_ms[-1] > 1.01 * parts_ms[0] else ""


def engine_lines(engine: dict) -> list[str]:
    lines = ["  engines, host and sampling and all: a step of decoding, the share of the floor, and the GPU's idle time:"]
    lines += [
        f"    {row['model']:14} batch {row['batch']:3}, context {row['context']:5}: {row['ms']:.3f} ms, {row['of_floor']:.2f}, idle"
        f" {100 * row['idle']:.1f} %{slowing(row['parts_ms'])}"
        for row in engine["decoding"]
    ]
    lines.append("  prompts:")
    return lines + [
        f"    {row['model']:14} {row['tokens']:5} tokens: {row['ms']:.2f} ms, {row['tflops']:.0f} TF/s" for row in engine["prefill"]
    ]


def bits_lines(bits: dict) -> list[str]:
    answers = f"{bits['sequences']} answers of {bits['tokens']} tokens and {bits['blocks']} KV blocks in {bits['cases']} cases"
    alone, *more = bits["tokens_by_batch"]
    batches = ", ".join(f"{tokens} {of}" for tokens, of in zip(more, ("of 2 to 8", "of 9 to 64", "of 65 to 255", "of 256 and more")))
    return [f"  bits: {answers}: {bits['differing']} differ", f"    tokens by the batch they came from: {alone} alone, {batches}"]


def comparison_lines(results: list[dict]) -> list[str]:
    return [
        f"  {row['architecture']}: largest error of a logit {row['error']:.3f}, of transformers in bf16"
        f" {row['error_transformers_bf16']:.3f}; {len(row['near_ties'])} continuations part at near-ties, {row['different']} elsewhere"
        for row in results
    ]


def main() -> int:
    logs, gpu, as_json, seconds, filter_ = Path(sys.argv[1]), sys.argv[2], sys.argv[3] == "true", int(sys.argv[4]), sys.argv[5]
    parts = [part for part in sys.argv[6].split(",") if part]
    programs = [TEST_PROGRAMS[part] for part in parts if part in TEST_PROGRAMS and filter_ != "-"]
    runs = {program: read(logs, name) for name, program in programs}
    measured = {part: read(logs, BENCHMARKS[part]) for part in parts if part in BENCHMARKS}
    others = {part: read(logs, part) for part in ("bits", "transformers", "peers") if part in parts}
    cases = [case for run in runs.values() if run for suite in run.get("testsuites", []) for case in suite["testsuite"]]
    failed = [case["classname"] + "." + case["name"] for case in cases if case.get("failures")]
    failed += [f"bits: {others['bits']['differing']} answers differ"] if others.get("bits") and others["bits"]["differing"] else []
    failed += [f"transformers: {row['architecture']}" for row in others.get("transformers") or [] if not row["passed"]]
    tools = {tool: read(logs, tool) for tool in ("memcheck", "racecheck") if "sanitize" in parts}
    failed += [f"compute-sanitizer {tool}: see {logs}/{tool}.log" for tool, result in tools.items() if not result or result["status"]]
    skipped = sum(case.get("result") == "SKIPPED" for case in cases)
    bandwidth = measured.get("fabric")
    summary = {
        "gpu": gpu,
        "tests": len(cases),
        "failed": len(failed),
        "skipped": skipped,
        "failures": failed,
        "bandwidth": bandwidth,
        "marks_met": marks_met(bandwidth),
        **others,
        **tools,
        "engine": measured.get("engine"),
        "kernels": measured.get("kernels"),
        "seconds": seconds,
    }
    if as_json:
        print(json.dumps(summary))
    else:
        lines = [f"{gpu}: {len(cases)} tests, {len(failed)} failed, {skipped} skipped, in {seconds} s"]
        lines += [f"  failed: {name}" for name in failed]
        lines += bits_lines(others["bits"]) if others.get("bits") else []
        if race := tools.get("racecheck"):
            lines.append(f"  racecheck: hazards in kernels {race['kernels']}, in hand-overs {race['handovers']}")
            lines += [f"    {trouble}" for trouble in race["trouble"]]
        lines += comparison_lines(others.get("transformers") or [])
        lines += [f"  transformers: {row}" for row in others.get("peers") or []]
        lines += fabric_lines(bandwidth) if bandwidth else []
        lines += engine_lines(measured["engine"]) if measured.get("engine") else []
        lines += kernel_lines(measured["kernels"]) if measured.get("kernels") else []
        print("\n".join(lines))
    missing = [program for program, run in runs.items() if run is None]
    missing += [f"the benchmark of {part}" for part, result in measured.items() if result is None]
    missing += [part for part, result in others.items() if result is None]
    for what in missing:
        print(f"dev/gpu: {what} did not end; its log in {logs} says how far it came", file=sys.stderr)
    return 1 if failed or skipped or missing else 0


if __name__ == "__main__":
    sys.exit(main())
