select *, count(distinct buyer_id) over (partition by sold_on) as buyers
from {{ source('till', 'sales') }}
