DROP INDEX encounters_waiting;
CREATE INDEX encounters_waiting ON encounters (practitioner_id, status, arrived_at);
CREATE INDEX encounters_by_patient ON encounters (patient_id, starts_at);
