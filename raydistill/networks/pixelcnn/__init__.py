"""The PixelCNN++ network: layers, whole network, incremental decoding."""
