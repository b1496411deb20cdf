"""WaveNet flows as one compiled loop over samples: chunks of synthesis, and the inverse."""
