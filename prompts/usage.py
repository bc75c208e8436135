"""How a rollout's variants do, by the run log."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from governance.core import registry
from governance.runs.models import Run
from prompts.models import Prompt, Rollout

#: How many of the last runs are counted.
LOOKED_AT = 1000


@dataclass(frozen=True, slots=True)
class PromptRunner(registry.Entry):
    """Something that runs prompts: `keys` returns the keys that it logs the runs of a prompt under."""

    keys: Callable[[Prompt], Iterable[str]]


def shares(prompt: Prompt, rollout: Rollout) -> list[dict[str, Any]]:
    """For each variant the expected and the actual share of the last runs (percent), and how these went.

    Only runs of the versions that the variants have now are counted. One query, and those of the registered runners.
    """
    keys = [key for runner in registry.entries(PromptRunner) for key in runner.keys(prompt)]
    versions = {"A": rollout.variant_a.label, "B": rollout.variant_b.label}
    runs = Run.objects.filter(
        ref_key__in=keys, workspace_id=prompt.workspace_id, environment=prompt.environment.name, variant__in=versions
    ).order_by("-created_at", "-id")
    last = runs.only("variant", "version", "status", "latency_ms")[:LOOKED_AT]
    found = [run for run in last if versions[run.variant] == run.version]
    weight = float(rollout.weight_a)
    return [
        {
            "variant": name,
            "version": versions[name],
            "expected": expected,
            **_figures([run for run in found if run.variant == name], len(found)),
        }
        for name, expected in (("A", weight), ("B", 100 - weight))
    ]


def _figures(runs: list[Run], total: int) -> dict[str, Any]:
    latencies = [run.latency_ms for run in runs if run.latency_ms is not None]
    return {
        "actual": 100 * len(runs) / total if total else None,
        "runs": len(runs),
        "errors": sum(run.status in {"error", "interrupted"} for run in runs),
        "latency": sum(latencies) / len(latencies) if latencies else None,
    }
