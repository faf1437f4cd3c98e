"""Numbers, periods and rows as people and files take them."""
