-- A question and its equals ask something else now.
UPDATE asking SET same = :same
WHERE family = (SELECT family FROM asking AS one WHERE one.waitpoint = :waitpoint)
  AND same = (SELECT same FROM asking AS one WHERE one.waitpoint = :waitpoint);
