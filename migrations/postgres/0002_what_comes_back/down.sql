DROP TRIGGER encounters_signed ON encounters;
DROP FUNCTION encounters_signed();
ALTER TABLE absence_outcomes DROP COLUMN held_until;
CREATE OR REPLACE FUNCTION encounters_ended() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.status = 'planned'
      AND (SELECT status FROM appointments WHERE id = NEW.appointment_id) = 'booked' THEN
    RETURN NEW;
  END IF;
  IF OLD.status = 'finished' AND NEW.status = 'onleave'
      AND (SELECT status FROM appointments WHERE id = NEW.appointment_id) = 'arrived' THEN
    RETURN NEW;
  END IF;
  RAISE EXCEPTION USING MESSAGE = 'encounter_over', ERRCODE = 'FD001';
END $$;
DROP TRIGGER appointments_ended ON appointments;
CREATE TRIGGER appointments_ended BEFORE UPDATE OF status ON appointments FOR EACH ROW
  WHEN (OLD.status IN ('fulfilled', 'cancelled', 'noshow') AND NEW.status <> OLD.status
    AND NOT (OLD.status = 'noshow' AND NEW.status = 'booked')
    AND NOT (OLD.status = 'fulfilled' AND NEW.status IN ('arrived', 'booked'))
    AND NOT (OLD.status = 'cancelled' AND NEW.status = 'booked'
      AND (OLD.cancellation_code = 'leave' OR coalesce(OLD.cancelled_from, '') IN ('booked', 'arrived'))))
  EXECUTE FUNCTION refuse('appointment_over');
