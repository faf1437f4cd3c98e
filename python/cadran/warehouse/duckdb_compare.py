"""Two versions of a KPI compared, in DuckDB's SQL."""

from __future__ import annotations

# Sums of binary fractions depend on their order in the last digits; nothing else may differ.
SAME = 1e-9


def side_by_side(old: str, new: str, *, time: str, kpi: str, months: int) -> str:
    """The values of both statements over the last months there are.

    Returns:
        A statement with the columns period, old, new and change: relative, NULL without a base.
    """
    return f"""
        with old as ({old}),
        new as ({new}),
        paired as (
            select coalesce(old."{time}", new."{time}") as period,
                old."{kpi}" as old, new."{kpi}" as new
            from old full join new on old."{time}" = new."{time}"
        )
        select period, old, new,
            (cast(new as double) - cast(old as double)) / nullif(abs(cast(old as double)), 0)
                as change
        from paired
        where period > (select max(period) from paired) - interval {int(months)} month
        order by period
    """


def differences(old: str, new: str, *, keys: list[str], kpi: str) -> str:
    """How many values of two statements differ, by what they are grouped by.

    Returns:
        A statement of one row: rows, differences, first and last period, and old and new, which
        stand for all that each of the two gave.
    """
    joined = " and ".join(f'old."{key}" is not distinct from new."{key}"' for key in keys)
    listed = ", ".join(f'"{key}"' for key in keys)
    row = f"concat_ws('|', {listed}, coalesce(cast(\"{kpi}\" as varchar), 'null'))"
    value, time = f'"{kpi}"', f'"{keys[0]}"'
    return f"""
        with old as (select *, true as is_there from ({old})),
        new as (select *, true as is_there from ({new}))
        select count(*) as rows,
            count(*) filter (
                where old.is_there is null or new.is_there is null or (
                    old.{value} is distinct from new.{value}
                    and coalesce(
                        abs(cast(old.{value} as double) - cast(new.{value} as double))
                            > {SAME} * greatest(abs(old.{value}), abs(new.{value})), true
                    )
                )
            ) as differences,
            cast(min(coalesce(old.{time}, new.{time})) as varchar) as first,
            cast(max(coalesce(old.{time}, new.{time})) as varchar) as last,
            (select cast(bit_xor(md5_number({row})) as varchar) from old) as old,
            (select cast(bit_xor(md5_number({row})) as varchar) from new) as new
        from old full join new on {joined}
    """
