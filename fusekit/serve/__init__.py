"""Trained runs at work: predictions for files and streams, and annotated copies of videos."""
