"""Workers: evaluations run in isolation, in this process, in others, or on a Ray cluster."""
