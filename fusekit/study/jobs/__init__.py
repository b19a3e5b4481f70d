"""The runs of a study: which there are, which share a first stage, and working through them side by side."""
