DROP TRIGGER encounters_signed;
ALTER TABLE absence_outcomes DROP COLUMN held_until;
DROP TRIGGER encounters_ended;
CREATE TRIGGER encounters_ended BEFORE UPDATE OF status, outcome ON encounters
WHEN OLD.status IN ('finished', 'cancelled') AND NOT (
  NEW.status = 'planned'
  AND (SELECT status FROM appointments WHERE id = NEW.appointment_id) = 'booked') AND NOT (
  OLD.status = 'finished' AND NEW.status = 'onleave'
  AND (SELECT status FROM appointments WHERE id = NEW.appointment_id) = 'arrived') BEGIN
  SELECT RAISE(ABORT, 'encounter_over');
END;
DROP TRIGGER appointments_ended;
CREATE TRIGGER appointments_ended BEFORE UPDATE OF status ON appointments
WHEN OLD.status IN ('fulfilled', 'cancelled', 'noshow') AND NEW.status <> OLD.status
  AND NOT (OLD.status = 'noshow' AND NEW.status = 'booked')
  AND NOT (OLD.status = 'fulfilled' AND NEW.status IN ('arrived', 'booked') AND NOT EXISTS (
    SELECT 1 FROM notes n JOIN encounters e ON e.id = n.encounter_id
    WHERE e.appointment_id = NEW.id AND n.status = 'signed'))
  AND NOT (OLD.status = 'cancelled' AND NEW.status = 'booked' AND (OLD.cancellation_code = 'leave' OR coalesce(OLD.cancelled_from, '') IN ('booked', 'arrived'))) BEGIN
  SELECT RAISE(ABORT, 'appointment_over');
END;
