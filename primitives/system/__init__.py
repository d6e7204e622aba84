"""System: what the machine has, and where files of ours lie on it; the engine and the detectors ask alike."""
