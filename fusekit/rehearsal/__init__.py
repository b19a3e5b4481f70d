"""What training would meet late, tried first on made-up rows: stages, tails, parts opened again."""

from fusekit.rehearsal.parts import damage_faults, part_faults
from fusekit.rehearsal.stages import stage_faults
from fusekit.rehearsal.tails import tail_faults

__all__ = ["damage_faults", "part_faults", "stage_faults", "tail_faults"]
