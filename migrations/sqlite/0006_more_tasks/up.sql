-- More of what the clinic must do so that nobody is forgotten: offered times that nobody has chosen in time,
-- a patient whom no text can tell what became of their visit, a request that runs out without an answer, and
-- visits of a practitioner who is no longer there for them. SQLite changes a CHECK only with the table.
PRAGMA defer_foreign_keys = ON;
CREATE TEMP TABLE tasks_kept_aside AS SELECT * FROM tasks;
DROP TABLE tasks;
CREATE TABLE tasks (
  id BLOB NOT NULL CHECK (length(id) = 16) PRIMARY KEY,
  code TEXT NOT NULL CHECK (code IN ('callback', 'interrupted', 'unseen', 'deferred', 'promises', 'things',
    'unanswered', 'untold', 'request', 'practitioners')),
  status TEXT NOT NULL CHECK (status IN ('requested', 'accepted', 'in-progress', 'completed', 'cancelled')),
  organization_id BLOB NOT NULL CHECK (length(organization_id) = 16) REFERENCES organizations (id),
  -- The visit that it is about; NULL: it is about several.
  patient_id BLOB CHECK (length(patient_id) = 16) REFERENCES patients (id),
  practitioner_id BLOB CHECK (length(practitioner_id) = 16) REFERENCES practitioners (id),
  encounter_id BLOB CHECK (length(encounter_id) = 16) REFERENCES encounters (id),
  -- Who answers for it; NULL: the clinic's office.
  owner_id BLOB CHECK (length(owner_id) = 16) REFERENCES accounts (id),
  why TEXT NOT NULL CHECK (why IN ('no_answer', 'no_telephone', 'interrupted', 'door_closed', 'deferred', 'law', 'zone', 'out_of_use',
    'offer_over', 'runs_out', 'gone')),
  -- How often the person was called and not reached.
  attempts INTEGER NOT NULL CHECK (attempts >= 0),
  outcome TEXT CHECK (outcome IN ('reached', 'moved', 'deferred')),
  due_at INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  CHECK ((status = 'completed') = (outcome IS NOT NULL)),
  CHECK (status NOT IN ('accepted', 'in-progress', 'completed') OR owner_id IS NOT NULL),
  CHECK ((code = 'promises') = (why IN ('law', 'zone')) AND (code = 'things') = (why = 'out_of_use')
    AND (code = 'unanswered') = (why = 'offer_over') AND (code = 'request') = (why = 'runs_out')
    AND (code = 'practitioners') = (why = 'gone') AND (code <> 'untold' OR why = 'no_telephone')),
  CHECK ((code IN ('promises', 'things', 'practitioners')) = (encounter_id IS NULL) AND (encounter_id IS NULL) = (patient_id IS NULL)
    AND (encounter_id IS NULL) = (practitioner_id IS NULL))
) STRICT;
INSERT INTO tasks (id, code, status, organization_id, patient_id, practitioner_id, encounter_id, owner_id, why, attempts, outcome, due_at, created_at, updated_at) SELECT id, code, status, organization_id, patient_id, practitioner_id, encounter_id, owner_id, why, attempts, outcome, due_at, created_at, updated_at FROM tasks_kept_aside ORDER BY rowid;
DROP TABLE tasks_kept_aside;
CREATE UNIQUE INDEX tasks_one_open ON tasks (encounter_id, code)
  WHERE status IN ('requested', 'accepted', 'in-progress');
CREATE UNIQUE INDEX tasks_one_of_clinic ON tasks (organization_id, code)
  WHERE encounter_id IS NULL AND status IN ('requested', 'accepted', 'in-progress');
CREATE INDEX tasks_by_organization ON tasks (organization_id, status, due_at, id);
CREATE INDEX tasks_by_practitioner ON tasks (practitioner_id, status, due_at, id);
CREATE TRIGGER tasks_ended BEFORE UPDATE ON tasks WHEN OLD.status IN ('completed', 'cancelled')
  OR NEW.rowid IS NOT OLD.rowid
  OR NEW.id IS NOT OLD.id
  OR NEW.code IS NOT OLD.code
  OR NEW.organization_id IS NOT OLD.organization_id
  OR NEW.patient_id IS NOT OLD.patient_id
  OR NEW.encounter_id IS NOT OLD.encounter_id
  OR NEW.created_at IS NOT OLD.created_at BEGIN
  SELECT RAISE(ABORT, 'task_kept');
END;
CREATE TRIGGER tasks_kept BEFORE DELETE ON tasks BEGIN SELECT RAISE(ABORT, 'task_kept'); END;
CREATE TRIGGER tasks_not_replaced BEFORE INSERT ON tasks BEGIN
  SELECT RAISE(ABORT, 'task_kept') WHERE EXISTS (SELECT 1 FROM tasks WHERE id = NEW.id)
    OR EXISTS (SELECT 1 FROM tasks WHERE rowid = NEW.rowid);
  -- An open one that is there already is left, as ON CONFLICT DO NOTHING would.
  SELECT RAISE(IGNORE) WHERE NEW.status IN ('requested', 'accepted', 'in-progress') AND EXISTS (SELECT 1 FROM tasks
    WHERE code = NEW.code AND status IN ('requested', 'accepted', 'in-progress') AND (encounter_id = NEW.encounter_id
      OR (encounter_id IS NULL AND NEW.encounter_id IS NULL AND organization_id = NEW.organization_id)));
END;
