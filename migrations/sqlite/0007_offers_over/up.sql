-- Times that were offered in place of a visit and are not to be had any more: nobody chose in time, or the last
-- of them was taken back. The visit lies in the absence as before; whether it still does, and nothing else is
-- offered, is asked when it is read. `seen_to`: somebody has looked, and the office has its task if it needs one.
CREATE TABLE lapsed_offers (
  appointment_id BLOB NOT NULL CHECK (length(appointment_id) = 16) REFERENCES appointments (id),
  absence_id BLOB NOT NULL CHECK (length(absence_id) = 16) REFERENCES absences (id),
  lapsed_at INTEGER NOT NULL,
  seen_to INTEGER NOT NULL CHECK (seen_to IN (0, 1)),
  PRIMARY KEY (appointment_id, absence_id)
) STRICT;
CREATE INDEX lapsed_offers_by_absence ON lapsed_offers (absence_id);
CREATE INDEX lapsed_offers_due ON lapsed_offers (lapsed_at, appointment_id) WHERE seen_to = 0;
-- Which patients are still to be told, until their visit is over.
CREATE INDEX tasks_untold ON tasks (encounter_id)
  WHERE code = 'untold' AND status IN ('requested', 'accepted', 'in-progress');
