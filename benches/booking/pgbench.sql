-- One booking, as pgbench sends it: what the product asks and writes, in the product's order.
-- The variables: a client's own counter makes every booking another time of another doctor.
\set counter :counter + 1
\set n :counter * 64 + :client_id
\set at (:n * 700001) % 12240000
\set doctor :at % 100
\set time :at / 100
\set patient :doctor * 20 + :time % 20
\set clinic :doctor / 20
\set service :clinic * 4 + :doctor % 4
\set chain random(0, 15)
\set code (:n * 2654435761) % 4294967296
BEGIN;
SELECT a.id, a.name, a.system_admin, a.state, a.security_version, s.security_version, s.expires_at, s.revoked_at, p.id, d.id, d.organization_id, m.organization_id, m.role, m.state FROM sessions s JOIN accounts a ON s.account_id = a.id LEFT JOIN patients p ON p.account_id = a.id LEFT JOIN practitioners d ON d.account_id = a.id LEFT JOIN memberships m ON m.account_id = a.id WHERE s.id = bench_id('5', :patient);
INSERT INTO idempotency_keys (principal, route, key, fingerprint, status, expires_at) VALUES (bench_id('a', :patient), 'POST /v1/appointments', bench_id('b', :n)::text, sha256('x'), 0, now() + interval '72 hours') ON CONFLICT DO NOTHING;
SELECT id, account_id, organization_id, location_id, name, time_zone FROM patients WHERE id = bench_id('4', :patient);
SELECT id, organization_id, name_en, name_ru, specialty, duration_minutes, modes, legal_kind, resources, active, buffer_before_minutes, buffer_after_minutes, align_minutes, lead_minutes, horizon_days, daily_cap, overbook FROM healthcare_services WHERE id = bench_id('6', :service);
SELECT d.id, d.organization_id, d.name, d.time_zone FROM practitioners d WHERE d.id IN (SELECT practitioner_id FROM practitioner_services WHERE service_id = bench_id('6', :service)) AND EXISTS (SELECT 1 FROM memberships m JOIN accounts a ON m.account_id = a.id WHERE m.account_id = d.account_id AND m.organization_id = d.organization_id AND m.role IN ('doctor', 'feldsher') AND m.state = 'active' AND a.state <> 'disabled') AND d.id = bench_id('3', :doctor) ORDER BY d.id;
SELECT organization_id, from_date, to_date, from_minute, to_minute FROM closures WHERE organization_id = bench_id('1', :clinic) AND to_date >= date '2026-12-30';
SELECT d.id, d.time_zone, r.id, r.weekday, r.from_minute, r.to_minute, r.valid_from, r.valid_to FROM schedule_rules r JOIN practitioners d ON r.practitioner_id = d.id WHERE r.practitioner_id = bench_id('3', :doctor);
SELECT practitioner_id, starts_at, ends_at, location_id, service_id FROM extra_hours WHERE practitioner_id = bench_id('3', :doctor) AND starts_at < timestamptz '2027-01-01' + (:time + 1) * interval '20 minutes' AND ends_at > timestamptz '2027-01-01' + :time * interval '20 minutes';
SELECT practitioner_id FROM absences WHERE practitioner_id = bench_id('3', :doctor) AND starts_at < timestamptz '2027-01-01' + (:time + 1) * interval '20 minutes' AND ends_at > timestamptz '2027-01-01' + :time * interval '20 minutes';
SELECT practitioner_id, starts_at, ends_at FROM external_busy WHERE practitioner_id = bench_id('3', :doctor) AND starts_at < timestamptz '2027-01-01' + (:time + 1) * interval '20 minutes' AND ends_at > timestamptz '2027-01-01' + :time * interval '20 minutes';
INSERT INTO occupancies (appointment_id, resource_kind, resource_id, lane, starts_at, ends_at, live) VALUES (bench_id('c', :n), 'practitioner', bench_id('3', :doctor), 0, timestamptz '2027-01-01' + :time * interval '20 minutes', timestamptz '2027-01-01' + (:time + 1) * interval '20 minutes', true), (bench_id('c', :n), 'patient', bench_id('4', :patient), 0, timestamptz '2027-01-01' + :time * interval '20 minutes', timestamptz '2027-01-01' + (:time + 1) * interval '20 minutes', true) ON CONFLICT DO NOTHING;
INSERT INTO appointments (id, code, status, service_id, organization_id, practitioner_id, patient_id, starts_at, ends_at, busy_from, busy_to, priority, overbooked, mode, moves, resources, time_zone, local_start, hold_expires_at, reason_sealed, created_by, created_at, updated_at, version) VALUES (bench_id('c', :n), lpad(to_hex(:code::bigint), 8, '0'), 'booked', bench_id('6', :service), bench_id('1', :clinic), bench_id('3', :doctor), bench_id('4', :patient), timestamptz '2027-01-01' + :time * interval '20 minutes', timestamptz '2027-01-01' + (:time + 1) * interval '20 minutes', timestamptz '2027-01-01' + :time * interval '20 minutes', timestamptz '2027-01-01' + (:time + 1) * interval '20 minutes', 'routine', false, 'video', 0, 0, 'Asia/Krasnoyarsk', '2026-11-23T09:00:00+07:00', NULL, decode(repeat('07', 50), 'hex'), bench_id('a', :patient), now(), now(), 1) ON CONFLICT (code) DO NOTHING;
INSERT INTO encounters (id, appointment_id, status, patient_id, practitioner_id, organization_id, starts_at, updated_at) VALUES (bench_id('d', :n), bench_id('c', :n), 'planned', bench_id('4', :patient), bench_id('3', :doctor), bench_id('1', :clinic), timestamptz '2027-01-01' + :time * interval '20 minutes', now());
SELECT v.id, v.code, v.status, v.starts_at, v.ends_at, v.time_zone, v.local_start, v.version, v.reason_sealed, v.hold_expires_at, v.cancellation_sealed, v.cancellation_code, v.noshow_cause, v.confirmed_at, v.series_id, v.mode, v.priority, v.overbooked, v.resources, v.moves, s.id, s.name_en, s.name_ru, d.id, d.name, p.id, p.name, o.id, o.name, e.id, e.status FROM appointments v JOIN healthcare_services s ON v.service_id = s.id JOIN practitioners d ON v.practitioner_id = d.id JOIN patients p ON v.patient_id = p.id JOIN organizations o ON v.organization_id = o.id JOIN encounters e ON e.appointment_id = v.id WHERE v.id = bench_id('c', :n);
SELECT name, language, phone_sealed FROM accounts WHERE id = bench_id('a', :patient);
INSERT INTO outbox_messages (id, channel, dedupe_key, payload_sealed, state, attempts, due_at, expires_at, created_at) VALUES (bench_id('e', :n), 'sms', 'booked|' || bench_id('c', :n), decode(repeat('07', 330), 'hex'), 'pending', 0, now(), now() + interval '9 days', now()) ON CONFLICT DO NOTHING;
UPDATE idempotency_keys SET status = 201, answer_sealed = decode(repeat('07', 850), 'hex') WHERE principal = bench_id('a', :patient) AND route = 'POST /v1/appointments' AND key = bench_id('b', :n)::text;
SELECT seq, hash FROM audit_heads WHERE chain = :chain FOR UPDATE \gset
INSERT INTO audit_events (chain, seq, at, actor_id, session_id, action, object_kind, object_id, patient_id, organization_id, outcome, hash) VALUES (:chain, :seq::bigint + 1, now(), bench_id('a', :patient), bench_id('5', :patient), 'appointment.book', 'Appointment', bench_id('c', :n), bench_id('4', :patient), bench_id('1', :clinic), 'done', sha256('x'));
UPDATE audit_heads SET seq = :seq::bigint + 1, hash = sha256('x') WHERE chain = :chain;
COMMIT;
