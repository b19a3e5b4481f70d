"""What the report's interactive traces are drawn from: the predictions table, packed for the browser."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np

from fusekit.engine.metrics import scores
from fusekit.errors import one_line
from fusekit.study.stretches import stretches_of
from fusekit.study.table import Table, attention_of, clips_of, dims_of, modalities_of, of_clip

MAX_CLIPS = 60
MAX_POINTS = 4000  # per clip: more than a screen has columns


def trace_data(table: Table) -> dict[str, Any]:
    """A predictions table -> JSON-able `{dims, gates, gates_sum_to_one, memory, clips, left_out, thinned}`.

    Test clips come first. Numbers are base64 of little-endian float32 (attention: of bytes, 255 for weight
    1).
    """
    dims, gates, attention = dims_of(table), modalities_of(table, "gate_"), attention_of(table)
    clips = clips_of(table)
    if "split" in table:
        first = {clip: str(of_clip(table, clip)["split"][0]) for clip in clips}
        clips.sort(key=lambda clip: first[clip] != "test")
    share = sum(np.nan_to_num(table[f"gate_{m}"]) for m in gates) if gates else np.zeros(0)
    packed = [_clip(of_clip(table, clip), clip, dims, gates) for clip in clips[:MAX_CLIPS]]
    return {
        "dims": dims,
        "gates": gates,
        "gates_sum_to_one": bool(gates) and bool(np.allclose(share, 1, atol=1e-3)),
        "memory": 0 if attention is None else attention.shape[1],
        "clips": packed,
        "left_out": max(0, len(clips) - MAX_CLIPS),
        "thinned": any(clip.pop("thinned") for clip in packed),
    }


def _clip(rows: Table, clip: str, dims: list[str], gates: list[str]) -> dict[str, Any]:
    every = -(-len(rows["time_s"]) // MAX_POINTS)
    own = []
    for dim in dims:
        columns = (rows[dim][:, None], rows[f"{dim}_true"][:, None], ~np.isnan(rows[f"{dim}_true"])[:, None])
        ccc = scores(*columns, (dim,))["ccc"][dim]
        own.append(f"{dim} {ccc:.2f}" if np.isfinite(ccc) else f"{dim} –")
    bands = [
        {
            "name": name,
            "stretches": [
                {
                    "from": x.start_s,
                    "to": x.stop_s,
                    "first": -(-x.first // every),
                    "last": -(-x.last // every),
                    "text": x.text,
                    "level": x.level,
                }
                for x in stretches
            ],
        }
        for name, stretches in stretches_of(rows).items()
    ]
    rows = {name: values[::every] for name, values in rows.items()}
    attention = attention_of(rows)
    details = [str(rows[name][0]) for name in ("subject", "split") if name in rows]
    return {
        "label": one_line(f"{clip} ({', '.join(details)})" if details else clip),
        "scores": "CCC of this clip: " + ", ".join(own),
        "time": packed_floats(rows["time_s"]),
        "truth": [packed_floats(rows[f"{dim}_true"]) for dim in dims],
        "prediction": [packed_floats(rows[dim]) for dim in dims],
        "gates": [packed_floats(rows[f"gate_{m}"]) for m in gates],
        "bands": bands,
        "attention": "" if attention is None else packed_bytes(attention.T),
        "thinned": every > 1,
    }


def packed_floats(values: np.ndarray) -> str:
    """Numbers -> base64 of little-endian float32."""
    return base64.b64encode(np.asarray(values, dtype="<f4").tobytes()).decode()


def packed_bytes(weights: np.ndarray) -> str:
    """Weights 0..1 -> base64 of bytes, 255 for weight 1."""
    scaled = np.clip(np.round(np.nan_to_num(weights) * 255), 0, 255).astype(np.uint8)
    return base64.b64encode(np.ascontiguousarray(scaled).tobytes()).decode()
