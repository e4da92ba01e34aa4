"""What is done about a decision once the true constraints are known, and what that costs."""
