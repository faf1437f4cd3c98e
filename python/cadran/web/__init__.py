"""The board: pages that show KPIs and service levels, in English and in French."""
