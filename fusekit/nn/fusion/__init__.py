"""Fusion operators: features of named modalities -> one feature vector per step."""
