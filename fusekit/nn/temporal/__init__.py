"""Temporal heads: fused features -> summary per step, with explicit state."""
