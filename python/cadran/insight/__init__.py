"""What values say: scorecard, targets, the KPI tree checked."""
