-- Nothing happens to a ticket before it is opened; what is known of its resolution is known as a
-- whole; a ticket that was reopened was resolved before; an open one was never resolved or was
-- reopened.
select *
from {{ ref('fct_tickets') }}
where
    first_response_hours < 0
    or resolution_hours < 0
    or last_resolved_at < first_resolved_at
    or is_resolved <> (resolved_date is not null)
    or is_resolved <> (is_resolved_in_target is not null)
    or (is_reopened and not is_resolved)
    or is_open <> (is_open and (is_reopened or not is_resolved))
