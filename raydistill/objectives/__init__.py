"""What a student is trained on: the objectives of the paper, and the power loss."""
