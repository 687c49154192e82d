"""From a trained sequence model to what a microcontroller runs, and the proof that it still says the same."""
