"""What a researcher imports from `raydistill`: load, sample, train, distil. It knows no Ray."""
