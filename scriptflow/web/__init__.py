"""The web view: pages and a JSON interface over run stores; reads stores, and asks live heads only through them."""
