select 1 where false -- the answer, known by other means
