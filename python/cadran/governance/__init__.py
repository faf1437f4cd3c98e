"""What keeps a KPI honest: rules, versions, the ledger of what was published."""
