"""Report: tables, plots, the live screen and logs."""
