select * from (values ('P0', 'Saint-Malo', true), ('P1', 'Łódź 100%', false), ('P2', 'Cork; "Old"', true)) as t (port_id, port_name, is_open)
