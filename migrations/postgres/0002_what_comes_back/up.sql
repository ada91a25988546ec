-- What is brought back is what it was: a time that was only held, or asked for, when a leave called it
-- off is held, or asked for, again, and not promised.
DROP TRIGGER appointments_ended ON appointments;
CREATE TRIGGER appointments_ended BEFORE UPDATE OF status ON appointments FOR EACH ROW
  WHEN (OLD.status IN ('fulfilled', 'cancelled', 'noshow') AND NEW.status <> OLD.status
    AND NOT (OLD.status = 'noshow' AND NEW.status = 'booked')
    AND NOT (OLD.status = 'fulfilled' AND NEW.status IN ('arrived', 'booked'))
    AND NOT (OLD.status = 'cancelled' AND NEW.status = 'booked'
      AND coalesce(OLD.cancelled_from, '') IN ('booked', 'arrived'))
    AND NOT (OLD.status = 'cancelled' AND NEW.status IN ('proposed', 'pending')
      AND OLD.cancellation_code = 'leave' AND NEW.status = coalesce(OLD.cancelled_from, '')))
  EXECUTE FUNCTION refuse('appointment_over');
CREATE OR REPLACE FUNCTION encounters_ended() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.status = 'planned'
      AND (SELECT status FROM appointments WHERE id = NEW.appointment_id) IN ('proposed', 'pending', 'booked') THEN
    RETURN NEW;
  END IF;
  IF OLD.status = 'finished' AND NEW.status = 'onleave'
      AND (SELECT status FROM appointments WHERE id = NEW.appointment_id) = 'arrived' THEN
    RETURN NEW;
  END IF;
  RAISE EXCEPTION USING MESSAGE = 'encounter_over', ERRCODE = 'FD001';
END $$;
-- Until when it was held, or asked for, when it was called off; NULL: it was promised.
ALTER TABLE absence_outcomes ADD COLUMN held_until timestamptz CHECK (held_until IS NULL OR outcome = 'cancelled');

-- A signed note says that the visit took place: it is not put back to before that, nor to where it did not.
CREATE FUNCTION encounters_signed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF EXISTS (SELECT 1 FROM notes WHERE encounter_id = NEW.id AND status = 'signed') THEN
    RAISE EXCEPTION USING MESSAGE = 'note_signed', ERRCODE = 'FD001';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER encounters_signed BEFORE UPDATE OF status ON encounters FOR EACH ROW
  WHEN (NEW.status IN ('planned', 'cancelled') AND OLD.status NOT IN ('planned', 'cancelled')) EXECUTE FUNCTION encounters_signed();
