-- The region for pgbench: the same people and hours, with ids that a script can compute.
CREATE FUNCTION bench_id(kind text, n bigint) RETURNS uuid LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
  $$ SELECT ('0000000' || kind || '-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid $$;
INSERT INTO organizations (id, name, time_zone, version, created_at)
  SELECT bench_id('1', n), 'Clinic ' || n, 'Asia/Krasnoyarsk', 1, now() FROM generate_series(0, 4) n;
INSERT INTO locations (id, name, kind, organization_id, time_zone, link_class, version, created_at)
  SELECT bench_id('2', n), 'Village ' || n, 'village', bench_id('1', n), 'Asia/Krasnoyarsk', '2g', 1, now()
  FROM generate_series(0, 4) n;
INSERT INTO accounts (id, phone_index, phone_sealed, name, language, system_admin, state, security_version, failures, created_at)
  SELECT bench_id('a', n), sha256(n::text::bytea), decode(repeat('07', 40), 'hex'), 'Patient ' || n, 'ru', false, 'active', 1, 0, now()
  FROM generate_series(0, 1999) n;
INSERT INTO accounts (id, login, name, language, system_admin, state, security_version, failures, created_at)
  SELECT bench_id('9', n), 'doctor' || n, 'Doctor ' || n, 'ru', false, 'active', 1, 0, now()
  FROM generate_series(0, 99) n;
INSERT INTO memberships (account_id, organization_id, role, state, created_at)
  SELECT bench_id('9', n), bench_id('1', n / 20), 'doctor', 'active', now() FROM generate_series(0, 99) n;
INSERT INTO sessions (id, account_id, method, security_version, created_at, last_used_at, expires_at)
  SELECT bench_id('5', n), bench_id('a', n), 'code', 1, now(), now(), now() + interval '30 days'
  FROM generate_series(0, 1999) n;
INSERT INTO patients (id, account_id, organization_id, location_id, name, name_folded, birth_date, time_zone, created_at)
  SELECT bench_id('4', n), bench_id('a', n), bench_id('1', n / 400), bench_id('2', n / 400), 'Patient ' || n, 'patient ' || n, '1961-04-12', 'Asia/Krasnoyarsk', now()
  FROM generate_series(0, 1999) n;
INSERT INTO practitioners (id, account_id, organization_id, name, kind, specialty, time_zone, languages, schedule_version, version, created_at)
  SELECT bench_id('3', n), bench_id('9', n), bench_id('1', n / 20), 'Doctor ' || n, 'doctor', 'general-practice', 'Asia/Krasnoyarsk', 'ru', 1, 1, now()
  FROM generate_series(0, 99) n;
INSERT INTO healthcare_services (id, organization_id, name_en, name_ru, specialty, duration_minutes, modes, legal_kind, resources, buffer_before_minutes, buffer_after_minutes, align_minutes, lead_minutes, horizon_days, daily_cap, overbook, active, version, created_at)
  SELECT bench_id('6', n), bench_id('1', n / 4), 'Visit ' || n, 'Visit ' || n, 'general-practice', 20, 'video audio', 'practitioner_patient', '', 0, 0, 0, 0, 366, 0, false, true, 1, now()
  FROM generate_series(0, 19) n;
INSERT INTO practitioner_services (practitioner_id, service_id)
  SELECT bench_id('3', n), bench_id('6', n / 20 * 4 + n % 4) FROM generate_series(0, 99) n;
INSERT INTO schedule_rules (id, practitioner_id, weekday, from_minute, to_minute, every_weeks)
  SELECT gen_random_uuid(), bench_id('3', n), day, 0, 1440, 1
  FROM generate_series(0, 99) n, unnest(ARRAY['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun']) day;
ANALYZE;
