"""What is true: every state change of runs, waitpoints and workers, decided once for all databases."""
