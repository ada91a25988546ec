-- Times that were offered in place of a visit and are not to be had any more: nobody chose in time, or the last
-- of them was taken back. The visit lies in the absence as before; whether it still does, and nothing else is
-- offered, is asked when it is read. `seen_to`: somebody has looked, and the office has its task if it needs one.
CREATE TABLE lapsed_offers (
  appointment_id uuid NOT NULL REFERENCES appointments (id),
  absence_id uuid NOT NULL REFERENCES absences (id),
  lapsed_at timestamptz NOT NULL,
  seen_to boolean NOT NULL,
  PRIMARY KEY (appointment_id, absence_id)
);
CREATE INDEX lapsed_offers_by_absence ON lapsed_offers (absence_id);
CREATE INDEX lapsed_offers_due ON lapsed_offers (lapsed_at, appointment_id) WHERE NOT seen_to;
-- Which patients are still to be told, until their visit is over.
CREATE INDEX tasks_untold ON tasks (encounter_id)
  WHERE code = 'untold' AND status IN ('requested', 'accepted', 'in-progress');
