-- More of what the clinic must do so that nobody is forgotten: offered times that nobody has chosen in time,
-- a patient whom no text can tell what became of their visit, a request that runs out without an answer, and
-- visits of a practitioner who is no longer there for them.
ALTER TABLE tasks
  DROP CONSTRAINT tasks_code_check,
  DROP CONSTRAINT tasks_why_check,
  DROP CONSTRAINT tasks_check2,
  DROP CONSTRAINT tasks_check3;
ALTER TABLE tasks
  ADD CONSTRAINT tasks_code_check CHECK (code IN ('callback', 'interrupted', 'unseen', 'deferred', 'promises', 'things',
    'unanswered', 'untold', 'request', 'practitioners')),
  ADD CONSTRAINT tasks_why_check CHECK (why IN ('no_answer', 'no_telephone', 'interrupted', 'door_closed', 'deferred', 'law', 'zone', 'out_of_use',
    'offer_over', 'runs_out', 'gone')),
  ADD CONSTRAINT tasks_check2 CHECK ((code = 'promises') = (why IN ('law', 'zone')) AND (code = 'things') = (why = 'out_of_use')
    AND (code = 'unanswered') = (why = 'offer_over') AND (code = 'request') = (why = 'runs_out')
    AND (code = 'practitioners') = (why = 'gone') AND (code <> 'untold' OR why = 'no_telephone')),
  ADD CONSTRAINT tasks_check3 CHECK ((code IN ('promises', 'things', 'practitioners')) = (encounter_id IS NULL) AND (encounter_id IS NULL) = (patient_id IS NULL)
    AND (encounter_id IS NULL) = (practitioner_id IS NULL));
