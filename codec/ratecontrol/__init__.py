"""Rate control: targets, and the allocation of rate to tiles."""
