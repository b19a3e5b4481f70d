"""Recipes: the schema, loading, and every fault at once. A light room: no torch, no numpy."""
