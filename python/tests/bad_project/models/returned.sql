select * from {{ source('post', 'parcels') }}
