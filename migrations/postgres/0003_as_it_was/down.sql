ALTER TABLE encounters DROP COLUMN reopened_at;
ALTER TABLE absence_outcomes DROP COLUMN confirmed_at;
ALTER TABLE absence_outcomes DROP COLUMN overbooked;
ALTER TABLE absence_outcomes DROP COLUMN from_status;
