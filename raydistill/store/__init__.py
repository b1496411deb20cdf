"""Where things are kept: folders and buckets, and assets found by what made them."""
