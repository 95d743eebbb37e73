"""`tidegate engine list` and `prune`: what can run here, and the TensorRT plans that there are."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from service.cli.console import count, emit, json_option, say, settings_options, table, teach
from service.cli.engine_options import settings_of, size, span, store_of
from service.errors import Exit

if TYPE_CHECKING:
    from engines.tensorrt.store import Entry


@click.command(
    name="list",
    help=teach(
        "The engines that can run here, why others cannot, and the TensorRT plans that were built.",
        ("tidegate engine list", "two tables"),
        ("tidegate engine list --json", "one JSON line each, for machines"),
    ),
)
@settings_options
@json_option
def list_(config: Path | None, overrides: tuple[str, ...], as_json: bool) -> int:
    """Print engines and plans."""
    engines = [_engine(name) for name in ("tensorrt", "torch", "onnxruntime", "openvino")]
    store = store_of(settings_of(config, overrides))
    problem = store.problem()
    entries = store.list() if problem is None else ()
    names = _names() if entries else {}
    plans = [_plan(entry, names) for entry in entries]
    if as_json:
        for line in (*engines, *plans):
            emit(line)
        return Exit.OK
    rows = [(e["engine"], "yes" if e["usable"] else "no", ", ".join(e["precisions"]) or "–", e["why"])
            for e in engines]  # fmt: skip
    table(("engine", "runs here", "precisions", "what, or why not"), rows)
    if problem is not None:
        say(f"Plans cannot be kept: {problem}")
    elif not plans:
        say(f"No plans in {store.folder}: `tidegate engine build BUNDLE` makes them where there is a GPU.")
    else:
        say("")
        table(
            ("bundle", "graph", "precision", "size", "age", "GPU", "TensorRT", "verified"), map(_row, plans)
        )
    return Exit.OK


@click.command(
    help=teach(
        "Remove plans: those that no GPU and no TensorRT here can use, and what was put aside as spoilt.",
        ("tidegate engine prune", "only what cannot be used here"),
        ("tidegate engine prune --keep-days 30", "and what is older than that"),
        ("tidegate engine prune --all", "everything; `run` builds anew"),
    )
)
@click.option("--keep-days", type=click.FloatRange(min=0), metavar="N", help="Remove older plans too.")
@click.option("--all", "everything", is_flag=True, help="Remove every plan, and what was found of them.")
@settings_options
@json_option
def prune(
    keep_days: float | None, everything: bool, config: Path | None, overrides: tuple[str, ...], as_json: bool
) -> int:
    """Remove plans."""
    from engines import verdicts

    store = store_of(settings_of(config, overrides))
    gone = store.prune(keep_days, _stale(), everything)
    if everything:
        verdicts.forget()
    if as_json:
        emit(
            {
                "schema": "tidegate.engine-prune/1",
                "removed": len(gone),
                "bytes": sum(entry.bytes for entry in gone),
            }
        )
    else:
        say(f"Removed {count(len(gone), 'plan')}, {size(sum(entry.bytes for entry in gone))}.")
    return Exit.OK


def _engine(name: str) -> dict[str, Any]:
    from engines.errors import EngineError
    from engines.sessions.choose import BACKENDS

    backend = BACKENDS[name]
    why, precisions = backend.missing(), list[str]()
    usable = why is None
    if usable:
        try:
            precisions, why = list(backend.native()), backend.describe()
        except EngineError as error:
            usable, why = False, str(error)
    return {
        "schema": "tidegate.engine/1", "engine": name, "usable": usable, "precisions": precisions, "why": why
    }  # fmt: skip


def _names() -> dict[str, str]:
    """Bundles that ship, by the digests of their graphs."""
    from engines.bundle import SHIPPED, Bundle

    found = {}
    for path in sorted(SHIPPED.glob("*/bundle.json")):
        bundle = Bundle.load(path.parent)
        for tower in ("text", "image", "audio", "head"):
            graph = bundle.read(bundle.graph_name(tower))
            found[hashlib.sha256(graph).hexdigest()] = bundle.name
    return found


def _plan(entry: Entry, names: dict[str, str]) -> dict[str, Any]:
    key, facts = entry.key, entry.facts
    plan: dict[str, Any] = {
        "schema": "tidegate.engine-plan/1", "path": str(entry.path), "bytes": entry.bytes,
        "age_seconds": round(entry.age), "problem": entry.problem,
    }  # fmt: skip
    if key is not None:
        plan |= {
            "bundle": facts.get("bundle") or names.get(key.graph) or key.graph[:12],
            "graph": key.tower, "precision": key.precision, "device": key.device, "tensorrt": key.tensorrt,
            "seconds": facts.get("seconds"), "verified": facts.get("verified"),
        }  # fmt: skip
    return plan


def _row(plan: dict[str, Any]) -> tuple[str, ...]:
    common = (size(plan["bytes"]), span(plan["age_seconds"]))
    if "graph" not in plan:
        return (Path(plan["path"]).name, "", "", *common, "", "", f"put aside: {plan['problem']}")
    return (
        plan["bundle"], plan["graph"], plan["precision"], *common, plan["device"], plan["tensorrt"],
        plan["verified"] or "–",
    )  # fmt: skip


def _stale() -> Any:
    from engines import cuda
    from engines.errors import EngineError
    from engines.tensorrt import api
    from engines.tensorrt.store import stale_for

    try:
        return stale_for(api.load().version, cuda.devices())
    except EngineError as error:
        say(f"note: which plans could be used cannot be told: {error}")
        return None
