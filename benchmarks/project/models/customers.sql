select
    i as customer_id,
    ['consumer', 'business', 'developer', 'public'][1 + i % 4] as segment,
    ['FR', 'DE', 'ES', 'IT', 'BE', 'NL', 'GB', 'US'][1 + (i // 7) % 8] as country
from range({{ var('customers') }}) as t (i)
