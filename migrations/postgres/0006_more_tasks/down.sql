-- Fails while there is a task of the newer kinds.
ALTER TABLE tasks
  DROP CONSTRAINT tasks_code_check,
  DROP CONSTRAINT tasks_why_check,
  DROP CONSTRAINT tasks_check2,
  DROP CONSTRAINT tasks_check3;
ALTER TABLE tasks
  ADD CONSTRAINT tasks_code_check CHECK (code IN ('callback', 'interrupted', 'unseen', 'deferred', 'promises', 'things')),
  ADD CONSTRAINT tasks_why_check CHECK (why IN ('no_answer', 'no_telephone', 'interrupted', 'door_closed', 'deferred', 'law', 'zone', 'out_of_use')),
  ADD CONSTRAINT tasks_check2 CHECK ((code = 'promises') = (why IN ('law', 'zone')) AND (code = 'things') = (why = 'out_of_use')),
  ADD CONSTRAINT tasks_check3 CHECK ((code IN ('promises', 'things')) = (encounter_id IS NULL) AND (encounter_id IS NULL) = (patient_id IS NULL)
    AND (encounter_id IS NULL) = (practitioner_id IS NULL));
