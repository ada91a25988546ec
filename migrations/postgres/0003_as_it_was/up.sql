-- How a visit stood when it was decided about, so that it can be put back as it was. NULL: before this was
-- kept; it was booked then.
ALTER TABLE absence_outcomes ADD COLUMN from_status text CHECK (from_status IN ('proposed', 'pending', 'booked', 'arrived'));
-- Whether it lay beside another, and since when its patient had said that they will come.
ALTER TABLE absence_outcomes ADD COLUMN overbooked boolean NOT NULL DEFAULT false;
ALTER TABLE absence_outcomes ADD COLUMN confirmed_at timestamptz;

-- Since when a visit that was ended by mistake is open again, until its talk goes on: its patient has not
-- been cut off.
ALTER TABLE encounters ADD COLUMN reopened_at timestamptz;
