"""Search: who is born, who climbs, and what it costs."""
