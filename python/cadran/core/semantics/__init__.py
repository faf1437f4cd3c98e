"""What metrics and KPIs mean: definitions, metric graph, governed use, privacy, KPI tree."""
