"""What tasks, jobs, records and decisions are, and the seams between the wings."""
