"""What one hands on: lineages in all their forms, reports and archives; reads the store, writes no record."""
