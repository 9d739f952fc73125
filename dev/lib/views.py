"""What `troupe cluster status --json` says of nodes, added up and put into words."""

from __future__ import annotations


def computed_cost(nodes: list[dict]) -> int:
    """Active parameters x tokens computed by all engines since they started."""
    return sum(
        replica["active_parameters"] * (replica["prompt_tokens"] - replica["reused_tokens"] + replica["generated_tokens"])
        for node in nodes for replica in node["replicas"]
    )  # fmt: skip


def experts_held(node: dict) -> int:
    """Experts of all models that it answers for."""
    return sum(experts["held"] for experts in node["experts"])


def experts_of_all(node: dict) -> int:
    """Experts that its models with experts have."""
    return sum(experts["total"] for experts in node["experts"])


def is_joined(node: dict) -> bool:
    """Whether bulk bytes can go to each of the others, and come from them."""
    return "none" not in node["transports"].values()


def holdings(node: dict) -> dict[str, int]:
    """What a drain has to move elsewhere: as troupe counts it, without what there is none of."""
    counts = {
        "conversations": node["conversations_stored"],
        "running_sequences": sum(replica["running"] + replica["waiting"] for replica in node["replicas"]),
        "experts": node["experts_alone"],
    }
    return {what: count for what, count in counts.items() if count > 0}


def is_idle(node: dict) -> bool:
    """Whether its engines have nothing to do."""
    return not any(replica["running"] + replica["waiting"] for replica in node["replicas"])


def stored(node: dict) -> dict[str, int]:
    """What it keeps, whoever else has it too."""
    counts = {"conversations": node["conversations_stored"], "experts": experts_held(node)}
    return {what: count for what, count in counts.items() if count > 0}


def in_words(counts: dict[str, int]) -> str:
    """ "12 conversations, 3 running sequences", or "nothing"."""
    return ", ".join(f"{count} {what.replace('_', ' ')}" for what, count in counts.items()) or "nothing"


def inventory(node: dict) -> str:
    """Its models and experts, and how it reaches the others."""
    parts = [f"the model {replica['model']}" for replica in node["replicas"]]
    parts += [f"{experts['held']} of {experts['model']}'s {experts['total']} experts" for experts in node["experts"]]
    joined = ", ".join(f"{transport} to {other}" for other, transport in sorted(node["transports"].items()))
    return f"{', '.join(parts) or 'no model'}; bulk bytes by {joined or 'nothing'}"
