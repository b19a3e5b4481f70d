"""Corpus adapters: each turns a published layout into clips."""
