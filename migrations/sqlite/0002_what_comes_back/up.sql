-- What is brought back is what it was: a time that was only held, or asked for, when a leave called it
-- off is held, or asked for, again, and not promised.
DROP TRIGGER appointments_ended;
CREATE TRIGGER appointments_ended BEFORE UPDATE OF status ON appointments
WHEN OLD.status IN ('fulfilled', 'cancelled', 'noshow') AND NEW.status <> OLD.status
  AND NOT (OLD.status = 'noshow' AND NEW.status = 'booked')
  AND NOT (OLD.status = 'fulfilled' AND NEW.status IN ('arrived', 'booked') AND NOT EXISTS (
    SELECT 1 FROM notes n JOIN encounters e ON e.id = n.encounter_id
    WHERE e.appointment_id = NEW.id AND n.status = 'signed'))
  AND NOT (OLD.status = 'cancelled' AND NEW.status = 'booked' AND coalesce(OLD.cancelled_from, '') IN ('booked', 'arrived'))
  AND NOT (OLD.status = 'cancelled' AND NEW.status IN ('proposed', 'pending') AND OLD.cancellation_code = 'leave' AND NEW.status = coalesce(OLD.cancelled_from, '')) BEGIN
  SELECT RAISE(ABORT, 'appointment_over');
END;
DROP TRIGGER encounters_ended;
CREATE TRIGGER encounters_ended BEFORE UPDATE OF status, outcome ON encounters
WHEN OLD.status IN ('finished', 'cancelled') AND NOT (
  NEW.status = 'planned'
  AND (SELECT status FROM appointments WHERE id = NEW.appointment_id) IN ('proposed', 'pending', 'booked')) AND NOT (
  OLD.status = 'finished' AND NEW.status = 'onleave'
  AND (SELECT status FROM appointments WHERE id = NEW.appointment_id) = 'arrived') BEGIN
  SELECT RAISE(ABORT, 'encounter_over');
END;
-- Until when it was held, or asked for, when it was called off; NULL: it was promised.
ALTER TABLE absence_outcomes ADD COLUMN held_until INTEGER CHECK (held_until IS NULL OR outcome = 'cancelled');

-- A signed note says that the visit took place: it is not put back to before that, nor to where it did not.
CREATE TRIGGER encounters_signed BEFORE UPDATE OF status ON encounters
WHEN NEW.status IN ('planned', 'cancelled') AND OLD.status NOT IN ('planned', 'cancelled') BEGIN
  SELECT RAISE(ABORT, 'note_signed') WHERE EXISTS (
    SELECT 1 FROM notes WHERE encounter_id = NEW.id AND status = 'signed');
END;
