-- A booking does not write where only those are looked for who have come: a visit that is planned is in no
-- list of who waits, and a patient's visits are found by their appointments.
DROP INDEX encounters_by_patient;
DROP INDEX encounters_waiting;
CREATE INDEX encounters_waiting ON encounters (practitioner_id, status, arrived_at) WHERE arrived_at IS NOT NULL;
