{{ cadran.checked_rows(
    ref('stg_shop__customers'), key=['customer_id'], order_by=['signed_up_at', 'country', 'segment']
) }}
