"""What people read about a set: its report with plots, and its data card."""
