select
    cast(
        unnest(generate_series(timestamp '2024-01-01', timestamp '2025-12-31', interval 1 minute))
        as timestamp
    ) as minute_at
