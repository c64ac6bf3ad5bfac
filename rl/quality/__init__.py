"""What a data set looks like, day by day, and how far it has moved from what a policy was trained on."""
