"""Decoding of SampleRNN as one compiled loop over samples."""
