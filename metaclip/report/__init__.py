"""What people read about a set: the page, the data card, and the jobs that gather their figures."""
