"""Time passes here: losses, metrics, objectives, the loops, checkpoints and the latent cache."""
