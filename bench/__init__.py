"""What Pipulate costs, side by side with the same things written the usual FastHTML way."""
