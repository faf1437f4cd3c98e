"""From a query to SQL: MetricFlow, the optimizer, the cache of plans."""
