"""What the store knows of pools: their records, their runs, what they consist of, what none needs."""
