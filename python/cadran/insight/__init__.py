"""What values say: scorecard, the KPI tree checked, drivers of a change, forecast, anomalies."""
