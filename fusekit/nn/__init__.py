"""Tensors in, tensors out: encoders, quadrant heads, projectors, fusion, temporal heads and the model."""
