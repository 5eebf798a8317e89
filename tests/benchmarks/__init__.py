"""W1 to W5: agentflow beside the bare limit of the disk and beside its peers, in one run on one machine."""
