with

slices as (
    {{ cadran.slo_slices(ref('int_sli_minutely'), ref('time_spine_minute')) }}
)

select * from slices
