"""What a person looks at and listens to: PNG, WAV, spectrograms."""
