"""What a built dbt project holds: artifacts, cards, contracts, graph, lineage, lock."""
