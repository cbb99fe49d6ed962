"""What runs inside the training ranks, and the light modules that the jobs share with them."""
