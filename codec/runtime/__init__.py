"""Running a loaded model over tiles and threads."""
