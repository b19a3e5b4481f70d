"""What training would meet late, tried first on made-up rows: stages, tails, parts opened again."""

from fusekit.dry_run.parts import damage_faults, part_faults
from fusekit.dry_run.stages import stage_faults
from fusekit.dry_run.tails import tail_faults

__all__ = ["damage_faults", "part_faults", "stage_faults", "tail_faults"]
