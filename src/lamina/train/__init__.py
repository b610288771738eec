"""One loop, several stages. A run is a TrainConfig made by a recipe; running the same command again resumes it."""
