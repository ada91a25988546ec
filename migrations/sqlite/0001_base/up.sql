-- The whole first schema; its twin is migrations/postgres/0001_base.

-- Places. Lists go by name; both engines sort it byte by byte.
CREATE TABLE organizations (
  id BLOB NOT NULL CHECK (length(id) = 16) PRIMARY KEY,
  name TEXT NOT NULL,
  time_zone TEXT NOT NULL,
  version INTEGER NOT NULL,
  created_at INTEGER NOT NULL
) STRICT;
CREATE INDEX organizations_by_name ON organizations (name, id);

CREATE TABLE locations (
  id BLOB NOT NULL CHECK (length(id) = 16) PRIMARY KEY,
  name TEXT NOT NULL,
  kind TEXT NOT NULL CHECK (kind IN ('region', 'village', 'station', 'clinic')),
  part_of BLOB CHECK (length(part_of) = 16) REFERENCES locations (id),
  organization_id BLOB CHECK (length(organization_id) = 16) REFERENCES organizations (id),
  time_zone TEXT NOT NULL,
  latitude REAL,
  longitude REAL,
  link_class TEXT NOT NULL CHECK (link_class IN ('none', '2g', '3g', '4g', 'broadband')),
  version INTEGER NOT NULL,
  created_at INTEGER NOT NULL
) STRICT;
CREATE INDEX locations_by_name ON locations (name, id);
CREATE INDEX locations_by_part_of ON locations (part_of, name, id);
CREATE INDEX locations_by_organization ON locations (organization_id, name, id);

-- Who signs in. A phone is kept sealed; phone_index is a keyed hash for look-up only.
CREATE TABLE accounts (
  id BLOB NOT NULL CHECK (length(id) = 16) PRIMARY KEY,
  login TEXT UNIQUE,
  password_hash TEXT,
  phone_index BLOB UNIQUE,
  phone_sealed BLOB,
  name TEXT NOT NULL,
  language TEXT NOT NULL CHECK (language IN ('en', 'ru')),
  system_admin INTEGER NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('invited', 'active', 'disabled')),
  security_version INTEGER NOT NULL,
  failures INTEGER NOT NULL,
  created_at INTEGER NOT NULL
) STRICT;

CREATE TABLE memberships (
  account_id BLOB NOT NULL CHECK (length(account_id) = 16) REFERENCES accounts (id),
  organization_id BLOB NOT NULL CHECK (length(organization_id) = 16) REFERENCES organizations (id),
  role TEXT NOT NULL CHECK (role IN ('doctor', 'feldsher', 'registrar', 'clinic_admin')),
  state TEXT NOT NULL CHECK (state IN ('invited', 'active', 'disabled')),
  version INTEGER NOT NULL DEFAULT 1,
  created_at INTEGER NOT NULL,
  PRIMARY KEY (account_id, organization_id, role)
) STRICT;
CREATE INDEX memberships_by_organization ON memberships (organization_id, account_id, role);

CREATE TABLE sessions (
  id BLOB NOT NULL CHECK (length(id) = 16) PRIMARY KEY,
  account_id BLOB NOT NULL CHECK (length(account_id) = 16) REFERENCES accounts (id),
  method TEXT NOT NULL CHECK (method IN ('password', 'code', 'token')),
  security_version INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  last_used_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL,
  revoked_at INTEGER
) STRICT;
CREATE INDEX sessions_by_account ON sessions (account_id);

-- A rotated refresh token points to its parent; proven_at is when it, or the access token
-- handed out with it, was first presented (the lost-answer test).
CREATE TABLE refresh_tokens (
  id BLOB NOT NULL CHECK (length(id) = 16) PRIMARY KEY,
  session_id BLOB NOT NULL CHECK (length(session_id) = 16) REFERENCES sessions (id),
  token_hash BLOB NOT NULL UNIQUE,
  parent_id BLOB CHECK (length(parent_id) = 16) REFERENCES refresh_tokens (id),
  created_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL,
  used_at INTEGER,
  proven_at INTEGER,
  revoked_at INTEGER
) STRICT;
CREATE INDEX refresh_tokens_by_session ON refresh_tokens (session_id);
CREATE INDEX refresh_tokens_by_parent ON refresh_tokens (parent_id);
-- For throwing away what nobody can go on with: the last token of a session was never used.
CREATE INDEX refresh_tokens_by_end ON refresh_tokens (expires_at)
  WHERE used_at IS NULL AND revoked_at IS NULL;

CREATE TABLE sign_in_challenges (
  id BLOB NOT NULL CHECK (length(id) = 16) PRIMARY KEY,
  account_id BLOB CHECK (length(account_id) = 16) REFERENCES accounts (id),
  phone_index BLOB NOT NULL,
  code_hash BLOB NOT NULL,
  tries INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL,
  used_at INTEGER
) STRICT;
CREATE INDEX sign_in_challenges_by_phone ON sign_in_challenges (phone_index, created_at);
CREATE INDEX sign_in_challenges_by_expiry ON sign_in_challenges (expires_at);

-- Fixed-window counters: one row per limit, subject (a keyed hash) and window.
CREATE TABLE rate_counters (
  subject BLOB NOT NULL,
  window_at INTEGER NOT NULL,
  hits INTEGER NOT NULL,
  PRIMARY KEY (subject, window_at)
) STRICT;
-- For throwing away windows that are over.
CREATE INDEX rate_counters_by_window ON rate_counters (window_at);

-- The first password of a new account is set with a token that works once.
CREATE TABLE one_time_tokens (
  id BLOB NOT NULL CHECK (length(id) = 16) PRIMARY KEY,
  account_id BLOB NOT NULL CHECK (length(account_id) = 16) REFERENCES accounts (id),
  token_hash BLOB NOT NULL UNIQUE,
  created_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL,
  used_at INTEGER
) STRICT;

-- Ed25519 key ring of the access tokens.
CREATE TABLE token_keys (
  kid TEXT NOT NULL PRIMARY KEY,
  state TEXT NOT NULL CHECK (state IN ('next', 'active', 'retiring', 'retired')),
  private_sealed BLOB NOT NULL,
  public_key BLOB NOT NULL,
  created_at INTEGER NOT NULL
) STRICT;
-- One key signs: processes that start together end with the same.
CREATE UNIQUE INDEX token_keys_active ON token_keys (state) WHERE state = 'active';

-- People.
CREATE TABLE patients (
  id BLOB NOT NULL CHECK (length(id) = 16) PRIMARY KEY,
  account_id BLOB CHECK (length(account_id) = 16) UNIQUE REFERENCES accounts (id),
  organization_id BLOB NOT NULL CHECK (length(organization_id) = 16) REFERENCES organizations (id),
  location_id BLOB NOT NULL CHECK (length(location_id) = 16) REFERENCES locations (id),
  name TEXT NOT NULL,
  name_folded TEXT NOT NULL,
  birth_date TEXT NOT NULL,
  time_zone TEXT NOT NULL,
  -- Codes of the languages they speak, space between; empty: nobody has said.
  languages TEXT NOT NULL DEFAULT '',
  version INTEGER NOT NULL DEFAULT 1,
  created_at INTEGER NOT NULL
) STRICT;
CREATE INDEX patients_by_organization ON patients (organization_id, name_folded, id);

CREATE TABLE patient_keys (
  patient_id BLOB NOT NULL CHECK (length(patient_id) = 16) PRIMARY KEY REFERENCES patients (id),
  key_sealed BLOB NOT NULL,
  created_at INTEGER NOT NULL
) STRICT;

CREATE TABLE practitioners (
  id BLOB NOT NULL CHECK (length(id) = 16) PRIMARY KEY,
  account_id BLOB CHECK (length(account_id) = 16) UNIQUE REFERENCES accounts (id),
  organization_id BLOB NOT NULL CHECK (length(organization_id) = 16) REFERENCES organizations (id),
  name TEXT NOT NULL,
  kind TEXT NOT NULL CHECK (kind IN ('doctor', 'feldsher', 'interpreter')),
  specialty TEXT,
  time_zone TEXT NOT NULL,
  -- Codes of languages, space between.
  languages TEXT NOT NULL,
  phone_sealed BLOB,
  schedule_version INTEGER NOT NULL,
  version INTEGER NOT NULL,
  created_at INTEGER NOT NULL
) STRICT;
CREATE INDEX practitioners_by_organization ON practitioners (organization_id, name, id);
CREATE INDEX practitioners_by_name ON practitioners (name, id);

CREATE TABLE healthcare_services (
  id BLOB NOT NULL CHECK (length(id) = 16) PRIMARY KEY,
  organization_id BLOB NOT NULL CHECK (length(organization_id) = 16) REFERENCES organizations (id),
  name_en TEXT NOT NULL,
  name_ru TEXT NOT NULL,
  specialty TEXT NOT NULL,
  duration_minutes INTEGER NOT NULL CHECK (duration_minutes BETWEEN 5 AND 480),
  modes TEXT NOT NULL,
  legal_kind TEXT NOT NULL
    CHECK (legal_kind IN ('practitioner_patient', 'practitioner_practitioner', 'practitioner_practitioner_deferred')),
  -- What a visit needs besides practitioner and patient: kinds of resources, space between.
  resources TEXT NOT NULL,
  buffer_before_minutes INTEGER NOT NULL CHECK (buffer_before_minutes BETWEEN 0 AND 120),
  buffer_after_minutes INTEGER NOT NULL CHECK (buffer_after_minutes BETWEEN 0 AND 120),
  -- Starts fall on these minutes of the hour; 0: counted from the beginning of working time.
  align_minutes INTEGER NOT NULL CHECK (align_minutes IN (0, 5, 10, 15, 20, 30, 60)),
  lead_minutes INTEGER NOT NULL CHECK (lead_minutes BETWEEN 0 AND 43200),
  horizon_days INTEGER NOT NULL CHECK (horizon_days BETWEEN 1 AND 366),
  -- Visits of the service per practitioner and local day; 0: as many as fit.
  daily_cap INTEGER NOT NULL CHECK (daily_cap BETWEEN 0 AND 200),
  overbook INTEGER NOT NULL,
  active INTEGER NOT NULL,
  version INTEGER NOT NULL,
  created_at INTEGER NOT NULL
) STRICT;
CREATE INDEX healthcare_services_by_name_en ON healthcare_services (name_en, id);
CREATE INDEX healthcare_services_by_name_ru ON healthcare_services (name_ru, id);
CREATE INDEX healthcare_services_by_specialty ON healthcare_services (specialty, id);

CREATE TABLE practitioner_services (
  practitioner_id BLOB NOT NULL CHECK (length(practitioner_id) = 16) REFERENCES practitioners (id),
  service_id BLOB NOT NULL CHECK (length(service_id) = 16) REFERENCES healthcare_services (id),
  PRIMARY KEY (practitioner_id, service_id)
) STRICT;
CREATE INDEX practitioner_services_by_service ON practitioner_services (service_id);

-- Working hours are wall time in the practitioner's zone, in minutes after midnight: the end of
-- the day (24:00, minute 1440) is one, and no `time` type of both engines holds it.
CREATE TABLE schedule_rules (
  id BLOB NOT NULL CHECK (length(id) = 16) PRIMARY KEY,
  practitioner_id BLOB NOT NULL CHECK (length(practitioner_id) = 16) REFERENCES practitioners (id),
  weekday TEXT NOT NULL CHECK (weekday IN ('mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun')),
  from_minute INTEGER NOT NULL,
  to_minute INTEGER NOT NULL,
  valid_from TEXT,
  valid_to TEXT,
  -- Every n-th week, counted from the week of valid_from.
  every_weeks INTEGER NOT NULL CHECK (every_weeks BETWEEN 1 AND 8),
  location_id BLOB CHECK (length(location_id) = 16) REFERENCES locations (id),
  service_id BLOB CHECK (length(service_id) = 16) REFERENCES healthcare_services (id),
  CHECK (every_weeks = 1 OR valid_from IS NOT NULL),
  CHECK (0 <= from_minute AND from_minute < to_minute AND to_minute <= 1440)
) STRICT;
CREATE INDEX schedule_rules_by_practitioner ON schedule_rules (practitioner_id);

-- Complete: every visit that it hits has an outcome; see the guards below.
CREATE TABLE absences (
  id BLOB NOT NULL CHECK (length(id) = 16) PRIMARY KEY,
  practitioner_id BLOB NOT NULL CHECK (length(practitioner_id) = 16) REFERENCES practitioners (id),
  starts_at INTEGER NOT NULL,
  ends_at INTEGER NOT NULL,
  reason_sealed BLOB,
  status TEXT NOT NULL CHECK (status IN ('open', 'complete')),
  created_at INTEGER NOT NULL,
  CHECK (starts_at < ends_at)
) STRICT;
CREATE INDEX absences_by_practitioner ON absences (practitioner_id, ends_at, id);

-- A secret address under which other programs read a practitioner's busy times.
CREATE TABLE calendar_feeds (
  practitioner_id BLOB NOT NULL CHECK (length(practitioner_id) = 16) PRIMARY KEY REFERENCES practitioners (id),
  token_hash BLOB NOT NULL UNIQUE,
  created_at INTEGER NOT NULL
) STRICT;

-- A calendar elsewhere, and the times it says are taken.
CREATE TABLE external_calendars (
  practitioner_id BLOB NOT NULL CHECK (length(practitioner_id) = 16) PRIMARY KEY REFERENCES practitioners (id),
  url_sealed BLOB NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('new', 'read', 'failed')),
  trouble TEXT,
  failures INTEGER NOT NULL,
  read_at INTEGER,
  due_at INTEGER NOT NULL
) STRICT;
CREATE INDEX external_calendars_due ON external_calendars (due_at);
CREATE TABLE external_busy (
  practitioner_id BLOB NOT NULL CHECK (length(practitioner_id) = 16) REFERENCES practitioners (id),
  starts_at INTEGER NOT NULL,
  ends_at INTEGER NOT NULL,
  PRIMARY KEY (practitioner_id, starts_at),
  CHECK (starts_at < ends_at)
) STRICT;
CREATE INDEX external_busy_by_practitioner ON external_busy (practitioner_id, ends_at, starts_at);

-- Rooms and devices that a visit can need. (Feldshers and interpreters are practitioners.)
CREATE TABLE resources (
  id BLOB NOT NULL CHECK (length(id) = 16) PRIMARY KEY,
  organization_id BLOB NOT NULL CHECK (length(organization_id) = 16) REFERENCES organizations (id),
  location_id BLOB NOT NULL CHECK (length(location_id) = 16) REFERENCES locations (id),
  kind TEXT NOT NULL CHECK (kind IN ('room', 'device')),
  name TEXT NOT NULL,
  active INTEGER NOT NULL,
  version INTEGER NOT NULL,
  created_at INTEGER NOT NULL
) STRICT;
CREATE INDEX resources_by_organization ON resources (organization_id, kind, active);
CREATE INDEX resources_by_name ON resources (name, id);

-- What a clinic keeps closed: wall time in the zone of each practitioner, on each of the days.
CREATE TABLE closures (
  id BLOB NOT NULL CHECK (length(id) = 16) PRIMARY KEY,
  organization_id BLOB NOT NULL CHECK (length(organization_id) = 16) REFERENCES organizations (id),
  name_en TEXT NOT NULL,
  name_ru TEXT NOT NULL,
  from_date TEXT NOT NULL,
  to_date TEXT NOT NULL,
  from_minute INTEGER NOT NULL,
  to_minute INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  CHECK (from_date <= to_date),
  CHECK (0 <= from_minute AND from_minute < to_minute AND to_minute <= 1440)
) STRICT;
CREATE INDEX closures_by_organization ON closures (organization_id, to_date, id);

-- Work outside the weekly hours.
CREATE TABLE extra_hours (
  id BLOB NOT NULL CHECK (length(id) = 16) PRIMARY KEY,
  practitioner_id BLOB NOT NULL CHECK (length(practitioner_id) = 16) REFERENCES practitioners (id),
  starts_at INTEGER NOT NULL,
  ends_at INTEGER NOT NULL,
  location_id BLOB CHECK (length(location_id) = 16) REFERENCES locations (id),
  service_id BLOB CHECK (length(service_id) = 16) REFERENCES healthcare_services (id),
  created_at INTEGER NOT NULL,
  CHECK (starts_at < ends_at)
) STRICT;
CREATE INDEX extra_hours_by_practitioner ON extra_hours (practitioner_id, ends_at, id);

-- Booking. starts_at is the instant; time_zone and local_start are what the patient was promised.
-- busy_from to busy_to is what it takes of the practitioner: the visit and the buffers around it.
-- A priority other than routine takes both lanes of the practitioner, overbooked the second alone.
CREATE TABLE appointments (
  id BLOB NOT NULL CHECK (length(id) = 16) PRIMARY KEY,
  code TEXT NOT NULL UNIQUE,
  status TEXT NOT NULL
    CHECK (status IN ('proposed', 'pending', 'booked', 'arrived', 'fulfilled', 'cancelled', 'noshow')),
  service_id BLOB NOT NULL CHECK (length(service_id) = 16) REFERENCES healthcare_services (id),
  organization_id BLOB NOT NULL CHECK (length(organization_id) = 16) REFERENCES organizations (id),
  practitioner_id BLOB NOT NULL CHECK (length(practitioner_id) = 16) REFERENCES practitioners (id),
  patient_id BLOB NOT NULL CHECK (length(patient_id) = 16) REFERENCES patients (id),
  starts_at INTEGER NOT NULL,
  ends_at INTEGER NOT NULL,
  busy_from INTEGER NOT NULL,
  busy_to INTEGER NOT NULL,
  priority TEXT NOT NULL CHECK (priority IN ('routine', 'urgent', 'asap', 'stat')),
  overbooked INTEGER NOT NULL,
  mode TEXT NOT NULL CHECK (mode IN ('video', 'audio', 'phone', 'chat', 'deferred')),
  -- Where the patient is seen, and so where its room, device and feldsher are.
  location_id BLOB CHECK (length(location_id) = 16) REFERENCES locations (id),
  time_zone TEXT NOT NULL,
  local_start TEXT NOT NULL,
  hold_expires_at INTEGER,
  reason_sealed BLOB,
  cancellation_sealed BLOB,
  cancellation_code TEXT
    CHECK (cancellation_code IN ('patient', 'clinic', 'declined', 'expired', 'technical', 'leave')),
  -- What it was when it was called off: only a visit that was promised is taken back.
  cancelled_from TEXT CHECK (cancelled_from IN ('proposed', 'pending', 'booked', 'arrived')),
  noshow_cause TEXT CHECK (noshow_cause IN ('patient', 'link', 'practitioner', 'clinic')),
  confirmed_at INTEGER,
  series_id BLOB CHECK (length(series_id) = 16),
  -- The visit after which it was booked.
  follows_id BLOB CHECK (length(follows_id) = 16) REFERENCES appointments (id),
  moves INTEGER NOT NULL,
  resources INTEGER NOT NULL,
  created_by BLOB NOT NULL CHECK (length(created_by) = 16) REFERENCES accounts (id),
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  version INTEGER NOT NULL,
  CHECK (starts_at < ends_at),
  -- A visit that has ended gives the rest of its time back to a practitioner who sees somebody else.
  CHECK (busy_from <= starts_at AND (ends_at <= busy_to OR (status = 'fulfilled' AND busy_from < busy_to))),
  CHECK (NOT (overbooked AND priority <> 'routine')),
  CHECK ((status IN ('proposed', 'pending')) = (hold_expires_at IS NOT NULL)),
  CHECK ((status = 'cancelled') = (cancellation_code IS NOT NULL)),
  CHECK ((status = 'noshow') = (noshow_cause IS NOT NULL))
) STRICT;
CREATE INDEX appointments_by_practitioner ON appointments (practitioner_id, starts_at, id);
CREATE INDEX appointments_by_patient ON appointments (patient_id, starts_at, id);
CREATE INDEX appointments_held ON appointments (patient_id, hold_expires_at)
  WHERE status IN ('proposed', 'pending');
CREATE INDEX appointments_holds ON appointments (starts_at) WHERE hold_expires_at IS NOT NULL;
CREATE INDEX appointments_by_organization ON appointments (organization_id, starts_at, id);

-- Where a visit was before it was moved; written once, never changed. `because` says why another
-- practitioner took it whose patient waited; NULL: it was moved by somebody's wish.
CREATE TABLE appointment_moves (
  id BLOB NOT NULL CHECK (length(id) = 16) PRIMARY KEY,
  appointment_id BLOB NOT NULL CHECK (length(appointment_id) = 16) REFERENCES appointments (id),
  number INTEGER NOT NULL,
  from_starts_at INTEGER NOT NULL,
  to_starts_at INTEGER NOT NULL,
  from_practitioner_id BLOB NOT NULL CHECK (length(from_practitioner_id) = 16) REFERENCES practitioners (id),
  to_practitioner_id BLOB NOT NULL CHECK (length(to_practitioner_id) = 16) REFERENCES practitioners (id),
  reason_sealed BLOB,
  -- NULL: Feldsher itself, to keep a promised time that a law of time zones had moved.
  moved_by BLOB CHECK (length(moved_by) = 16) REFERENCES accounts (id),
  moved_at INTEGER NOT NULL,
  because TEXT CHECK (because IN ('in_visit', 'absent', 'late', 'not_here')),
  UNIQUE (appointment_id, number),
  CHECK (because IS NULL OR from_practitioner_id <> to_practitioner_id)
) STRICT;
CREATE INDEX appointment_moves_taken ON appointment_moves (moved_at) WHERE because IS NOT NULL;

-- What became of a visit that an absence hits, and where it was before.
CREATE TABLE absence_outcomes (
  absence_id BLOB NOT NULL CHECK (length(absence_id) = 16) REFERENCES absences (id),
  appointment_id BLOB NOT NULL CHECK (length(appointment_id) = 16) REFERENCES appointments (id),
  outcome TEXT NOT NULL CHECK (outcome IN ('moved', 'offered', 'cancelled', 'replaced')),
  from_practitioner_id BLOB NOT NULL CHECK (length(from_practitioner_id) = 16) REFERENCES practitioners (id),
  from_starts_at INTEGER NOT NULL,
  to_practitioner_id BLOB CHECK (length(to_practitioner_id) = 16) REFERENCES practitioners (id),
  to_starts_at INTEGER,
  -- Who helps in place of the one who is away.
  to_helper_id BLOB CHECK (length(to_helper_id) = 16) REFERENCES practitioners (id),
  expires_at INTEGER,
  decided_by BLOB NOT NULL CHECK (length(decided_by) = 16) REFERENCES accounts (id),
  decided_at INTEGER NOT NULL,
  PRIMARY KEY (absence_id, appointment_id),
  CHECK ((outcome = 'moved') = (to_practitioner_id IS NOT NULL)),
  CHECK ((outcome = 'moved') = (to_starts_at IS NOT NULL)),
  CHECK ((outcome = 'replaced') = (to_helper_id IS NOT NULL)),
  CHECK ((outcome = 'offered') = (expires_at IS NOT NULL))
) STRICT;
CREATE INDEX absence_outcomes_by_appointment ON absence_outcomes (appointment_id);
CREATE INDEX absence_outcomes_offered ON absence_outcomes (expires_at) WHERE outcome = 'offered';

-- The times that are held for the patient to choose from.
CREATE TABLE offered_times (
  held_id BLOB NOT NULL CHECK (length(held_id) = 16) PRIMARY KEY REFERENCES appointments (id),
  absence_id BLOB NOT NULL CHECK (length(absence_id) = 16) REFERENCES absences (id),
  appointment_id BLOB NOT NULL CHECK (length(appointment_id) = 16) REFERENCES appointments (id),
  number INTEGER NOT NULL CHECK (number BETWEEN 1 AND 3)
) STRICT;
CREATE INDEX offered_times_by_appointment ON offered_times (appointment_id, number);

-- "The doctor is ill": what shall become of the visits of some time. Nothing moves before it is
-- applied; until undo_until everything can be taken back.
CREATE TABLE illness_plans (
  id BLOB NOT NULL CHECK (length(id) = 16) PRIMARY KEY,
  practitioner_id BLOB NOT NULL CHECK (length(practitioner_id) = 16) REFERENCES practitioners (id),
  starts_at INTEGER NOT NULL,
  ends_at INTEGER NOT NULL,
  status TEXT NOT NULL CHECK (status IN ('draft', 'applied', 'undone')),
  absence_id BLOB CHECK (length(absence_id) = 16) REFERENCES absences (id),
  created_by BLOB NOT NULL CHECK (length(created_by) = 16) REFERENCES accounts (id),
  created_at INTEGER NOT NULL,
  applied_at INTEGER,
  undo_until INTEGER,
  version INTEGER NOT NULL,
  CHECK (starts_at < ends_at),
  CHECK ((status = 'draft') = (applied_at IS NULL)),
  CHECK ((applied_at IS NULL) = (undo_until IS NULL))
) STRICT;
CREATE INDEX illness_plans_by_absence ON illness_plans (absence_id);

CREATE TABLE illness_proposals (
  plan_id BLOB NOT NULL CHECK (length(plan_id) = 16) REFERENCES illness_plans (id),
  appointment_id BLOB NOT NULL CHECK (length(appointment_id) = 16) REFERENCES appointments (id),
  act TEXT NOT NULL CHECK (act IN ('move', 'replace', 'offer', 'cancel', 'keep')),
  practitioner_id BLOB CHECK (length(practitioner_id) = 16) REFERENCES practitioners (id),
  starts_at INTEGER,
  from_starts_at INTEGER NOT NULL,
  why TEXT NOT NULL,
  PRIMARY KEY (plan_id, appointment_id),
  CHECK ((act = 'move') = (practitioner_id IS NOT NULL)),
  CHECK ((act = 'move') = (starts_at IS NOT NULL))
) STRICT;

-- The waiting list: who wishes for a time that is not free yet. One standing wish for a service.
CREATE TABLE waitlist_entries (
  id BLOB NOT NULL CHECK (length(id) = 16) PRIMARY KEY,
  code TEXT NOT NULL UNIQUE,
  status TEXT NOT NULL CHECK (status IN ('waiting', 'offered', 'booked', 'withdrawn', 'expired')),
  patient_id BLOB NOT NULL CHECK (length(patient_id) = 16) REFERENCES patients (id),
  service_id BLOB NOT NULL CHECK (length(service_id) = 16) REFERENCES healthcare_services (id),
  organization_id BLOB NOT NULL CHECK (length(organization_id) = 16) REFERENCES organizations (id),
  practitioner_id BLOB CHECK (length(practitioner_id) = 16) REFERENCES practitioners (id),
  appointment_id BLOB CHECK (length(appointment_id) = 16) REFERENCES appointments (id),
  earliest_at INTEGER NOT NULL,
  latest_at INTEGER NOT NULL,
  parts_of_day TEXT NOT NULL,
  notice_minutes INTEGER NOT NULL CHECK (notice_minutes BETWEEN 0 AND 10080),
  priority TEXT NOT NULL CHECK (priority IN ('routine', 'urgent')),
  lapses INTEGER NOT NULL CHECK (lapses BETWEEN 0 AND 3),
  ended_why TEXT
    CHECK (ended_why IN ('accepted', 'booked_otherwise', 'withdrawn', 'visit_over', 'window_over', 'unanswered')),
  created_by BLOB NOT NULL CHECK (length(created_by) = 16) REFERENCES accounts (id),
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  version INTEGER NOT NULL,
  CHECK (earliest_at < latest_at),
  CHECK ((status IN ('booked', 'withdrawn', 'expired')) = (ended_why IS NOT NULL)),
  CHECK (status <> 'booked' OR appointment_id IS NOT NULL)
) STRICT;
CREATE UNIQUE INDEX waitlist_entries_one ON waitlist_entries (patient_id, service_id)
  WHERE status IN ('waiting', 'offered');
CREATE INDEX waitlist_entries_queue ON waitlist_entries (status, service_id, created_at);
CREATE INDEX waitlist_entries_over ON waitlist_entries (status, latest_at);
CREATE INDEX waitlist_entries_by_appointment ON waitlist_entries (appointment_id);
CREATE INDEX waitlist_entries_by_patient ON waitlist_entries (patient_id, created_at, id);
CREATE INDEX waitlist_entries_by_organization ON waitlist_entries (organization_id, created_at, id);
CREATE INDEX waitlist_entries_at ON waitlist_entries (organization_id, status);

-- What was offered to whom: a time that is held for one person until a deadline.
CREATE TABLE waitlist_offers (
  id BLOB NOT NULL CHECK (length(id) = 16) PRIMARY KEY,
  entry_id BLOB NOT NULL CHECK (length(entry_id) = 16) REFERENCES waitlist_entries (id),
  held_id BLOB NOT NULL CHECK (length(held_id) = 16) UNIQUE REFERENCES appointments (id),
  practitioner_id BLOB NOT NULL CHECK (length(practitioner_id) = 16) REFERENCES practitioners (id),
  starts_at INTEGER NOT NULL,
  status TEXT NOT NULL CHECK (status IN ('standing', 'accepted', 'declined', 'lapsed', 'withdrawn')),
  offered_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL,
  answered_at INTEGER,
  CHECK (offered_at < expires_at),
  CHECK ((status = 'standing') = (answered_at IS NULL))
) STRICT;
CREATE UNIQUE INDEX waitlist_offers_one_each ON waitlist_offers (entry_id) WHERE status = 'standing';
CREATE UNIQUE INDEX waitlist_offers_one_time ON waitlist_offers (practitioner_id, starts_at)
  WHERE status = 'standing';
CREATE INDEX waitlist_offers_due ON waitlist_offers (status, expires_at);
CREATE INDEX waitlist_offers_by_entry ON waitlist_offers (entry_id, offered_at);

-- Whatever a visit holds for itself: its practitioner, its patient, and what else it needs.
-- No two live rows of one resource and lane overlap; see the guards below.
CREATE TABLE occupancies (
  appointment_id BLOB NOT NULL CHECK (length(appointment_id) = 16) REFERENCES appointments (id) DEFERRABLE INITIALLY DEFERRED,
  resource_kind TEXT NOT NULL CHECK (resource_kind IN ('practitioner', 'patient', 'room', 'device', 'feldsher', 'interpreter')),
  resource_id BLOB NOT NULL CHECK (length(resource_id) = 16),
  lane INTEGER NOT NULL CHECK (lane IN (0, 1)),
  starts_at INTEGER NOT NULL,
  ends_at INTEGER NOT NULL,
  live INTEGER NOT NULL,
  PRIMARY KEY (appointment_id, resource_id, lane),
  CHECK (starts_at < ends_at),
  CHECK (lane = 0 OR resource_kind = 'practitioner')
) STRICT;
CREATE INDEX occupancies_live ON occupancies (resource_id, lane, starts_at, ends_at, appointment_id) WHERE live;

-- The visit.
CREATE TABLE encounters (
  id BLOB NOT NULL CHECK (length(id) = 16) PRIMARY KEY,
  appointment_id BLOB NOT NULL CHECK (length(appointment_id) = 16) UNIQUE REFERENCES appointments (id),
  status TEXT NOT NULL
    CHECK (status IN ('planned', 'arrived', 'in-progress', 'onleave', 'finished', 'cancelled')),
  outcome TEXT CHECK (outcome IN ('completed', 'technical_failure', 'patient_absent', 'practitioner_absent', 'converted_to_phone', 'converted_to_deferred')),
  patient_id BLOB NOT NULL CHECK (length(patient_id) = 16) REFERENCES patients (id),
  practitioner_id BLOB NOT NULL CHECK (length(practitioner_id) = 16) REFERENCES practitioners (id),
  organization_id BLOB NOT NULL CHECK (length(organization_id) = 16) REFERENCES organizations (id),
  starts_at INTEGER NOT NULL,
  arrived_at INTEGER,
  started_at INTEGER,
  ended_at INTEGER,
  -- When somebody must see to it, unless both are there again by then.
  see_to_at INTEGER,
  -- Nobody new comes in.
  locked INTEGER NOT NULL DEFAULT 0 CHECK (locked IN (0, 1)),
  -- Counts who was let in or sent out, and how people were arranged: an older word is not heard.
  room_rev INTEGER NOT NULL DEFAULT 0,
  updated_at INTEGER NOT NULL,
  CHECK ((status = 'finished') = (outcome IS NOT NULL)),
  CHECK (see_to_at IS NULL OR status IN ('arrived', 'onleave'))
) STRICT;
CREATE INDEX encounters_waiting ON encounters (practitioner_id, status, arrived_at);
CREATE INDEX encounters_by_patient ON encounters (patient_id, starts_at);
CREATE INDEX encounters_see_to ON encounters (see_to_at) WHERE see_to_at IS NOT NULL;

-- A practitioner is late, or on time again (0); the row with the highest number counts.
CREATE TABLE practitioner_delays (
  id BLOB NOT NULL CHECK (length(id) = 16) PRIMARY KEY,
  practitioner_id BLOB NOT NULL CHECK (length(practitioner_id) = 16) REFERENCES practitioners (id),
  number INTEGER NOT NULL,
  minutes INTEGER NOT NULL CHECK (minutes = 0 OR minutes BETWEEN 5 AND 180),
  -- Whoever comes next is not seen before.
  free_at INTEGER,
  declared_by BLOB NOT NULL CHECK (length(declared_by) = 16) REFERENCES accounts (id),
  declared_at INTEGER NOT NULL,
  UNIQUE (practitioner_id, number),
  CHECK ((minutes = 0) = (free_at IS NULL)),
  CHECK (free_at > declared_at)
) STRICT;

-- What the patient of a visit was told last about when it will begin.
CREATE TABLE delay_notices (
  encounter_id BLOB NOT NULL CHECK (length(encounter_id) = 16) PRIMARY KEY REFERENCES encounters (id),
  delay_id BLOB NOT NULL CHECK (length(delay_id) = 16) REFERENCES practitioner_delays (id),
  starts_at INTEGER NOT NULL,
  -- By when the visit begins, as that word says; NULL: it was taken back before it was heard.
  latest_at INTEGER,
  -- What was known before that word, NULL: the plan; and whether a text may have failed to come.
  known_at INTEGER,
  in_doubt INTEGER NOT NULL CHECK (in_doubt IN (0, 1)),
  -- Without those that were taken back before they left.
  texts INTEGER NOT NULL CHECK (texts BETWEEN 0 AND 4),
  told_at INTEGER NOT NULL
) STRICT;

CREATE TABLE encounter_participants (
  id BLOB NOT NULL CHECK (length(id) = 16) PRIMARY KEY,
  encounter_id BLOB NOT NULL CHECK (length(encounter_id) = 16) REFERENCES encounters (id),
  account_id BLOB NOT NULL CHECK (length(account_id) = 16) REFERENCES accounts (id),
  role TEXT NOT NULL CHECK (role IN ('patient', 'practitioner', 'relative', 'feldsher', 'specialist', 'interpreter', 'trainee')),
  name TEXT NOT NULL,
  state TEXT NOT NULL
    CHECK (state IN ('invited', 'checking', 'waiting', 'admitted', 'connecting', 'connected', 'reconnecting', 'left', 'denied', 'removed')),
  waiting_since INTEGER,
  admitted_at INTEGER,
  -- At whose device they sit; they have no connection of their own.
  sits_with_id BLOB CHECK (length(sits_with_id) = 16) REFERENCES encounter_participants (id) CHECK (sits_with_id <> id),
  -- In the side room, which those who are not aside neither hear nor see.
  aside INTEGER NOT NULL DEFAULT 0 CHECK (aside IN (0, 1)),
  -- The patient has asked them to come.
  brought INTEGER NOT NULL DEFAULT 0 CHECK (brought IN (0, 1)),
  updated_at INTEGER NOT NULL,
  UNIQUE (encounter_id, account_id)
) STRICT;

-- A ticket opens one socket once.
CREATE TABLE rtc_tickets (
  id BLOB NOT NULL CHECK (length(id) = 16) PRIMARY KEY,
  participant_id BLOB NOT NULL CHECK (length(participant_id) = 16) REFERENCES encounter_participants (id),
  expires_at INTEGER NOT NULL,
  used_at INTEGER
) STRICT;
CREATE INDEX rtc_tickets_by_participant ON rtc_tickets (participant_id, expires_at);
CREATE INDEX rtc_tickets_by_expiry ON rtc_tickets (expires_at);

-- A seat in the call: survives the socket and the process; epoch fences the older socket.
CREATE TABLE rtc_sessions (
  id BLOB NOT NULL CHECK (length(id) = 16) PRIMARY KEY,
  encounter_id BLOB NOT NULL CHECK (length(encounter_id) = 16) REFERENCES encounters (id),
  participant_id BLOB NOT NULL CHECK (length(participant_id) = 16) REFERENCES encounter_participants (id),
  sign_in_session_id BLOB NOT NULL CHECK (length(sign_in_session_id) = 16) REFERENCES sessions (id),
  secret_hash BLOB NOT NULL,
  epoch INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  ended_at INTEGER
) STRICT;
CREATE INDEX rtc_sessions_by_encounter ON rtc_sessions (encounter_id, ended_at);
CREATE INDEX rtc_sessions_by_participant ON rtc_sessions (participant_id, ended_at);

-- What a line carried when it was measured before a visit; without `measured_at` it goes on, or
-- nobody has finished it.
CREATE TABLE link_probes (
  id BLOB NOT NULL CHECK (length(id) = 16) PRIMARY KEY,
  encounter_id BLOB NOT NULL CHECK (length(encounter_id) = 16) REFERENCES encounters (id),
  account_id BLOB NOT NULL CHECK (length(account_id) = 16) REFERENCES accounts (id),
  side TEXT NOT NULL CHECK (side IN ('patient', 'feldsher')),
  begun_at INTEGER NOT NULL,
  measured_at INTEGER CHECK (measured_at >= begun_at),
  direct TEXT NOT NULL CHECK (direct IN ('connected', 'failed', 'untested')),
  direct_ms INTEGER CHECK (direct_ms BETWEEN 0 AND 60000),
  relay_udp TEXT NOT NULL CHECK (relay_udp IN ('connected', 'failed', 'untested')),
  relay_udp_ms INTEGER CHECK (relay_udp_ms BETWEEN 0 AND 60000),
  relay_tls TEXT NOT NULL CHECK (relay_tls IN ('connected', 'failed', 'untested')),
  relay_tls_ms INTEGER CHECK (relay_tls_ms BETWEEN 0 AND 60000),
  -- The way on which was measured; NULL: nothing passed.
  measured_on TEXT CHECK (measured_on IN ('direct', 'relay_udp', 'relay_tls')),
  rtt_p50_ms INTEGER CHECK (rtt_p50_ms BETWEEN 0 AND 60000),
  rtt_p95_ms INTEGER CHECK (rtt_p95_ms BETWEEN 0 AND 60000),
  jitter_ms INTEGER CHECK (jitter_ms BETWEEN 0 AND 60000),
  loss_up_permille INTEGER CHECK (loss_up_permille BETWEEN 0 AND 1000),
  loss_down_permille INTEGER CHECK (loss_down_permille BETWEEN 0 AND 1000),
  up_kbits INTEGER CHECK (up_kbits BETWEEN 0 AND 100000),
  down_kbits INTEGER CHECK (down_kbits BETWEEN 0 AND 100000),
  mos REAL CHECK (mos BETWEEN 1 AND 5),
  camera TEXT CHECK (camera IN ('ok', 'missing', 'denied', 'untested')),
  microphone TEXT CHECK (microphone IN ('ok', 'missing', 'denied', 'untested')),
  speaker TEXT CHECK (speaker IN ('ok', 'missing', 'denied', 'untested')),
  verdict TEXT CHECK (verdict IN ('video', 'audio_photos', 'audio_lean', 'phone')),
  advice TEXT CHECK (advice IN ('ready', 'no_camera', 'no_microphone', 'no_speaker', 'voice_home', 'voice_lean', 'phone')),
  CHECK ((direct = 'connected') = (direct_ms IS NOT NULL)),
  CHECK ((relay_udp = 'connected') = (relay_udp_ms IS NOT NULL)),
  CHECK ((relay_tls = 'connected') = (relay_tls_ms IS NOT NULL)),
  CHECK ((verdict IS NULL) = (measured_at IS NULL)),
  CHECK ((advice IS NULL) = (measured_at IS NULL)),
  CHECK ((camera IS NULL) = (measured_at IS NULL)),
  CHECK ((microphone IS NULL) = (measured_at IS NULL)),
  CHECK ((speaker IS NULL) = (measured_at IS NULL)),
  CHECK ((rtt_p50_ms IS NULL) = (measured_on IS NULL)),
  CHECK ((rtt_p95_ms IS NULL) = (measured_on IS NULL)),
  CHECK ((jitter_ms IS NULL) = (measured_on IS NULL)),
  CHECK ((loss_up_permille IS NULL) = (measured_on IS NULL)),
  CHECK ((loss_down_permille IS NULL) = (measured_on IS NULL)),
  CHECK ((up_kbits IS NULL) = (measured_on IS NULL)),
  CHECK ((down_kbits IS NULL) = (measured_on IS NULL)),
  CHECK ((mos IS NULL) = (measured_on IS NULL)),
  CHECK (measured_on IS NULL OR measured_at IS NOT NULL),
  CHECK (measured_on IS NOT NULL OR verdict IS NULL OR verdict = 'phone')
) STRICT;
CREATE INDEX link_probes_by_encounter ON link_probes (encounter_id, measured_at);
CREATE INDEX link_probes_by_account ON link_probes (account_id, begun_at);
CREATE INDEX link_probes_unmeasured ON link_probes (begun_at) WHERE measured_at IS NULL;

CREATE TABLE call_events (
  id BLOB NOT NULL CHECK (length(id) = 16) PRIMARY KEY,
  encounter_id BLOB NOT NULL CHECK (length(encounter_id) = 16) REFERENCES encounters (id),
  seq INTEGER NOT NULL,
  participant_id BLOB CHECK (length(participant_id) = 16) REFERENCES encounter_participants (id),
  at INTEGER NOT NULL,
  kind TEXT NOT NULL,
  why TEXT,
  UNIQUE (encounter_id, seq)
) STRICT;

-- Somebody of the clinic must see to it that a person is not forgotten (FHIR R4 Task).
CREATE TABLE tasks (
  id BLOB NOT NULL CHECK (length(id) = 16) PRIMARY KEY,
  code TEXT NOT NULL CHECK (code IN ('callback', 'interrupted', 'unseen', 'deferred', 'promises', 'things')),
  status TEXT NOT NULL CHECK (status IN ('requested', 'accepted', 'in-progress', 'completed', 'cancelled')),
  organization_id BLOB NOT NULL CHECK (length(organization_id) = 16) REFERENCES organizations (id),
  -- The visit that it is about; NULL: it is about several.
  patient_id BLOB CHECK (length(patient_id) = 16) REFERENCES patients (id),
  practitioner_id BLOB CHECK (length(practitioner_id) = 16) REFERENCES practitioners (id),
  encounter_id BLOB CHECK (length(encounter_id) = 16) REFERENCES encounters (id),
  -- Who answers for it; NULL: the clinic's office.
  owner_id BLOB CHECK (length(owner_id) = 16) REFERENCES accounts (id),
  why TEXT NOT NULL CHECK (why IN ('no_answer', 'no_telephone', 'interrupted', 'door_closed', 'deferred', 'law', 'zone', 'out_of_use')),
  -- How often the person was called and not reached.
  attempts INTEGER NOT NULL CHECK (attempts >= 0),
  outcome TEXT CHECK (outcome IN ('reached', 'moved', 'deferred')),
  due_at INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  CHECK ((status = 'completed') = (outcome IS NOT NULL)),
  CHECK (status NOT IN ('accepted', 'in-progress', 'completed') OR owner_id IS NOT NULL),
  CHECK ((code = 'promises') = (why IN ('law', 'zone')) AND (code = 'things') = (why = 'out_of_use')),
  CHECK ((code IN ('promises', 'things')) = (encounter_id IS NULL) AND (encounter_id IS NULL) = (patient_id IS NULL)
    AND (encounter_id IS NULL) = (practitioner_id IS NULL))
) STRICT;
CREATE UNIQUE INDEX tasks_one_open ON tasks (encounter_id, code)
  WHERE status IN ('requested', 'accepted', 'in-progress');
CREATE UNIQUE INDEX tasks_one_of_clinic ON tasks (organization_id, code)
  WHERE encounter_id IS NULL AND status IN ('requested', 'accepted', 'in-progress');
CREATE INDEX tasks_by_organization ON tasks (organization_id, status, due_at, id);
CREATE INDEX tasks_by_practitioner ON tasks (practitioner_id, status, due_at, id);

-- Somebody is rung who is not in the room.
CREATE TABLE rings (
  id BLOB NOT NULL CHECK (length(id) = 16) PRIMARY KEY,
  encounter_id BLOB NOT NULL CHECK (length(encounter_id) = 16) REFERENCES encounters (id),
  participant_id BLOB NOT NULL CHECK (length(participant_id) = 16) REFERENCES encounter_participants (id),
  rung_by BLOB NOT NULL CHECK (length(rung_by) = 16) REFERENCES accounts (id),
  state TEXT NOT NULL CHECK (state IN ('ringing', 'answered', 'no_answer', 'called_back', 'gone')),
  attempt INTEGER NOT NULL CHECK (attempt IN (1, 2)),
  rung_at INTEGER NOT NULL,
  -- When the next step is due; NULL: none is.
  due_at INTEGER,
  -- When a text was put into the outbox.
  told_at INTEGER,
  ended_at INTEGER,
  task_id BLOB CHECK (length(task_id) = 16) REFERENCES tasks (id),
  CHECK (state <> 'ringing' OR due_at IS NOT NULL),
  CHECK (state IN ('ringing', 'no_answer') OR due_at IS NULL),
  CHECK ((state IN ('answered', 'called_back', 'gone')) = (ended_at IS NOT NULL))
) STRICT;
CREATE UNIQUE INDEX rings_one ON rings (participant_id) WHERE state = 'ringing';
CREATE INDEX rings_due ON rings (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX rings_by_encounter ON rings (encounter_id, rung_at);

-- What can be consented to; the highest version of a kind is the one that counts.
CREATE TABLE consent_forms (
  kind TEXT NOT NULL CHECK (kind IN ('telehealth', 'recording', 'third_party', 'trainee')),
  version INTEGER NOT NULL CHECK (version > 0),
  PRIMARY KEY (kind, version)
) STRICT;
INSERT INTO consent_forms (kind, version) VALUES
  ('telehealth', 1), ('recording', 1), ('third_party', 1), ('trainee', 1);

-- What somebody has consented to: nothing but the withdrawal is ever added.
CREATE TABLE consents (
  id BLOB NOT NULL CHECK (length(id) = 16) PRIMARY KEY,
  kind TEXT NOT NULL,
  form_version INTEGER NOT NULL,
  language TEXT NOT NULL CHECK (language IN ('en', 'ru')),
  organization_id BLOB NOT NULL CHECK (length(organization_id) = 16) REFERENCES organizations (id),
  patient_id BLOB NOT NULL CHECK (length(patient_id) = 16) REFERENCES patients (id),
  -- NULL: all visits of the patient.
  encounter_id BLOB CHECK (length(encounter_id) = 16) REFERENCES encounters (id),
  -- Whose it is; NULL: the patient's, who has no account.
  person_id BLOB CHECK (length(person_id) = 16) REFERENCES accounts (id),
  given_by TEXT NOT NULL CHECK (given_by IN ('self', 'relative', 'guardian')),
  relationship TEXT CHECK (relationship IN ('parent', 'spouse', 'child', 'sibling', 'grandparent', 'guardian', 'other')),
  recorded_by BLOB NOT NULL CHECK (length(recorded_by) = 16) REFERENCES accounts (id),
  given_at INTEGER NOT NULL,
  withdrawn_at INTEGER,
  withdrawn_by BLOB CHECK (length(withdrawn_by) = 16) REFERENCES accounts (id),
  FOREIGN KEY (kind, form_version) REFERENCES consent_forms (kind, version),
  CHECK ((given_by = 'self') = (relationship IS NULL)),
  CHECK ((withdrawn_at IS NULL) = (withdrawn_by IS NULL)),
  CHECK (withdrawn_at >= given_at),
  CHECK (kind <> 'recording' OR (encounter_id IS NOT NULL AND person_id IS NOT NULL))
) STRICT;
CREATE UNIQUE INDEX consents_one ON consents (encounter_id, person_id, kind, form_version)
  WHERE withdrawn_at IS NULL;
CREATE UNIQUE INDEX consents_standing_one ON consents (patient_id, kind, form_version)
  WHERE encounter_id IS NULL AND withdrawn_at IS NULL;
CREATE INDEX consents_by_encounter ON consents (encounter_id, given_at, id);
CREATE INDEX consents_by_patient ON consents (patient_id, given_at, id);

-- Recordings of a visit. None are made yet; the guards below are there before the first.
CREATE TABLE recordings (
  id BLOB NOT NULL CHECK (length(id) = 16) PRIMARY KEY,
  encounter_id BLOB NOT NULL CHECK (length(encounter_id) = 16) REFERENCES encounters (id),
  started_by BLOB NOT NULL CHECK (length(started_by) = 16) REFERENCES accounts (id),
  started_at INTEGER NOT NULL,
  ended_at INTEGER
) STRICT;
CREATE INDEX recordings_by_encounter ON recordings (encounter_id, started_at);

-- What is written between whoever waits, the practitioner and the office; sealed with the patient's key.
CREATE TABLE chat_messages (
  id BLOB NOT NULL CHECK (length(id) = 16) PRIMARY KEY,
  encounter_id BLOB NOT NULL CHECK (length(encounter_id) = 16) REFERENCES encounters (id),
  organization_id BLOB NOT NULL CHECK (length(organization_id) = 16) REFERENCES organizations (id),
  seq INTEGER NOT NULL CHECK (seq BETWEEN 1 AND 200),
  audience TEXT NOT NULL CHECK (audience IN ('practitioner', 'office')),
  side TEXT NOT NULL CHECK (side IN ('patient', 'practitioner', 'office')),
  author_id BLOB NOT NULL CHECK (length(author_id) = 16) REFERENCES accounts (id),
  text_sealed BLOB NOT NULL,
  created_at INTEGER NOT NULL,
  UNIQUE (encounter_id, seq),
  CHECK (side <> 'office' OR audience = 'office')
) STRICT;
CREATE INDEX chat_messages_by_organization ON chat_messages (organization_id, audience, created_at);
-- The record of a call: what happened, and how each connection was for each side, minute by minute.
CREATE TABLE call_marks (
  id BLOB NOT NULL CHECK (length(id) = 16) PRIMARY KEY,
  encounter_id BLOB NOT NULL CHECK (length(encounter_id) = 16) REFERENCES encounters (id),
  at INTEGER NOT NULL,
  kind TEXT NOT NULL
    CHECK (kind IN ('device', 'checking', 'ready', 'away', 'admitted', 'held', 'denied', 'silent', 'back', 'begun', 'up', 'path', 'rung', 'restart', 'rebuilt', 'ended')),
  participant_id BLOB CHECK (length(participant_id) = 16) REFERENCES encounter_participants (id),
  peer_id BLOB CHECK (length(peer_id) = 16) REFERENCES encounter_participants (id),
  edge TEXT CHECK (length(edge) BETWEEN 1 AND 32),
  rung TEXT CHECK (rung IN ('phone', 'text', 'audio', 'audio_stills', 'small_video', 'video')),
  why TEXT
    CHECK (why IN ('begun', 'probed', 'loss', 'rtt', 'bitrate', 'asked', 'data_saver', 'recovered', 'no_media', 'left', 'lost', 'signed_out', 'finished', 'time_over', 'denied', 'removed', 'held', 'replaced', 'plan')),
  way TEXT
    CHECK (way IN ('host/udp', 'host/tcp', 'srflx/udp', 'srflx/tcp', 'prflx/udp', 'prflx/tcp', 'relay/udp', 'relay/tcp', 'relay/tls', 'other')),
  browser TEXT CHECK (browser IN ('chromium', 'firefox', 'safari', 'other')),
  form TEXT CHECK (form IN ('phone', 'tablet', 'desktop', 'other')),
  CHECK (edge IS NOT NULL OR participant_id IS NOT NULL),
  CHECK (kind <> 'rung' OR (rung IS NOT NULL AND why IS NOT NULL)),
  CHECK (kind <> 'ended' OR (edge IS NOT NULL AND why IS NOT NULL))
) STRICT;
CREATE INDEX call_marks_by_encounter ON call_marks (encounter_id, at, id);

-- Losses are hundredths of a per cent, opinion scores hundredths. Kept for 90 days.
CREATE TABLE call_minutes (
  id BLOB NOT NULL CHECK (length(id) = 16) PRIMARY KEY,
  encounter_id BLOB NOT NULL CHECK (length(encounter_id) = 16) REFERENCES encounters (id),
  edge TEXT NOT NULL CHECK (length(edge) BETWEEN 1 AND 32),
  participant_id BLOB NOT NULL CHECK (length(participant_id) = 16) REFERENCES encounter_participants (id),
  at INTEGER NOT NULL,
  reports INTEGER NOT NULL CHECK (reports BETWEEN 1 AND 60),
  rtt_p50 INTEGER NOT NULL,
  rtt_p95 INTEGER NOT NULL,
  loss_p50 INTEGER NOT NULL,
  loss_p95 INTEGER NOT NULL CHECK (loss_p95 BETWEEN 0 AND 10000),
  bitrate_p50 INTEGER NOT NULL,
  bitrate_p5 INTEGER NOT NULL,
  mos_p50 INTEGER NOT NULL,
  mos_p5 INTEGER NOT NULL,
  sent INTEGER NOT NULL CHECK (sent >= 0),
  received INTEGER NOT NULL CHECK (received >= 0),
  UNIQUE (encounter_id, edge, participant_id, at),
  CHECK (rtt_p50 BETWEEN 0 AND rtt_p95),
  CHECK (bitrate_p5 BETWEEN 0 AND bitrate_p50)
) STRICT;
CREATE INDEX call_minutes_by_time ON call_minutes (at);

-- Records. Bodies are sealed with the patient's key.
CREATE TABLE notes (
  id BLOB NOT NULL CHECK (length(id) = 16) PRIMARY KEY,
  encounter_id BLOB NOT NULL CHECK (length(encounter_id) = 16) REFERENCES encounters (id),
  patient_id BLOB NOT NULL CHECK (length(patient_id) = 16) REFERENCES patients (id),
  organization_id BLOB NOT NULL CHECK (length(organization_id) = 16) REFERENCES organizations (id),
  author_id BLOB NOT NULL CHECK (length(author_id) = 16) REFERENCES practitioners (id),
  status TEXT NOT NULL CHECK (status IN ('draft', 'signed')),
  version INTEGER NOT NULL,
  body_sealed BLOB NOT NULL,
  content_hash BLOB,
  signature BLOB,
  signature_kid TEXT,
  signed_at INTEGER,
  signer_id BLOB CHECK (length(signer_id) = 16) REFERENCES practitioners (id),
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  CHECK ((status = 'signed') = (signed_at IS NOT NULL AND signer_id IS NOT NULL AND content_hash IS NOT NULL AND signature IS NOT NULL))
) STRICT;
CREATE INDEX notes_by_patient ON notes (patient_id, created_at, id);
CREATE INDEX notes_by_encounter ON notes (encounter_id, created_at, id);
CREATE UNIQUE INDEX notes_one_draft ON notes (encounter_id, author_id) WHERE status = 'draft';

CREATE TABLE note_addenda (
  id BLOB NOT NULL CHECK (length(id) = 16) PRIMARY KEY,
  note_id BLOB NOT NULL CHECK (length(note_id) = 16) REFERENCES notes (id),
  author_id BLOB NOT NULL CHECK (length(author_id) = 16) REFERENCES practitioners (id),
  text_sealed BLOB NOT NULL,
  created_at INTEGER NOT NULL
) STRICT;
CREATE INDEX note_addenda_by_note ON note_addenda (note_id, created_at, id);

-- Audit: hash chains; audit_heads holds the end of each, so a cut tail shows.
CREATE TABLE audit_heads (
  chain INTEGER NOT NULL PRIMARY KEY,
  seq INTEGER NOT NULL,
  hash BLOB NOT NULL
) STRICT;
CREATE TABLE audit_events (
  chain INTEGER NOT NULL,
  seq INTEGER NOT NULL,
  at INTEGER NOT NULL,
  actor_id BLOB CHECK (length(actor_id) = 16),
  session_id BLOB CHECK (length(session_id) = 16),
  action TEXT NOT NULL,
  object_kind TEXT NOT NULL,
  object_id BLOB CHECK (length(object_id) = 16),
  patient_id BLOB CHECK (length(patient_id) = 16),
  organization_id BLOB CHECK (length(organization_id) = 16),
  outcome TEXT NOT NULL CHECK (outcome IN ('done', 'refused')),
  hash BLOB NOT NULL,
  PRIMARY KEY (chain, seq)
) STRICT;
CREATE INDEX audit_events_by_patient ON audit_events (patient_id, at);

-- The answer of a request that must have one effect, however often it is sent.
CREATE TABLE idempotency_keys (
  principal BLOB NOT NULL CHECK (length(principal) = 16),
  route TEXT NOT NULL,
  key TEXT NOT NULL,
  fingerprint BLOB NOT NULL,
  status INTEGER NOT NULL,
  answer_sealed BLOB,
  expires_at INTEGER NOT NULL,
  PRIMARY KEY (principal, route, key)
) STRICT;
CREATE INDEX idempotency_keys_by_expiry ON idempotency_keys (expires_at);

CREATE TABLE outbox_messages (
  id BLOB NOT NULL CHECK (length(id) = 16) PRIMARY KEY,
  channel TEXT NOT NULL CHECK (channel IN ('sms')),
  dedupe_key TEXT NOT NULL UNIQUE,
  payload_sealed BLOB NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('pending', 'sent', 'failed')),
  attempts INTEGER NOT NULL,
  due_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  sent_at INTEGER
) STRICT;
CREATE INDEX outbox_messages_due ON outbox_messages (state, due_at);

-- Small facts about this database (the seal's check value, the demo's seed).
CREATE TABLE settings (
  name TEXT NOT NULL PRIMARY KEY,
  value BLOB NOT NULL
) STRICT;

-- What working time in memory depends on: each change of it gives it another mark, in its own
-- transaction. A mark never comes back, not even with a backup.
CREATE TABLE schedule_revisions (
  id INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
  revision BLOB NOT NULL CHECK (length(revision) = 16)
) STRICT;
INSERT INTO schedule_revisions (id, revision) VALUES (1, randomblob(16));
CREATE TRIGGER schedule_rules_revised_insert AFTER INSERT ON schedule_rules BEGIN
  UPDATE schedule_revisions SET revision = randomblob(16);
END;
CREATE TRIGGER schedule_rules_revised_update AFTER UPDATE ON schedule_rules BEGIN
  UPDATE schedule_revisions SET revision = randomblob(16);
END;
CREATE TRIGGER schedule_rules_revised_delete AFTER DELETE ON schedule_rules BEGIN
  UPDATE schedule_revisions SET revision = randomblob(16);
END;
CREATE TRIGGER extra_hours_revised_insert AFTER INSERT ON extra_hours BEGIN
  UPDATE schedule_revisions SET revision = randomblob(16);
END;
CREATE TRIGGER extra_hours_revised_update AFTER UPDATE ON extra_hours BEGIN
  UPDATE schedule_revisions SET revision = randomblob(16);
END;
CREATE TRIGGER extra_hours_revised_delete AFTER DELETE ON extra_hours BEGIN
  UPDATE schedule_revisions SET revision = randomblob(16);
END;
CREATE TRIGGER closures_revised_insert AFTER INSERT ON closures BEGIN
  UPDATE schedule_revisions SET revision = randomblob(16);
END;
CREATE TRIGGER closures_revised_update AFTER UPDATE ON closures BEGIN
  UPDATE schedule_revisions SET revision = randomblob(16);
END;
CREATE TRIGGER closures_revised_delete AFTER DELETE ON closures BEGIN
  UPDATE schedule_revisions SET revision = randomblob(16);
END;
CREATE TRIGGER absences_revised_insert AFTER INSERT ON absences BEGIN
  UPDATE schedule_revisions SET revision = randomblob(16);
END;
CREATE TRIGGER absences_revised_update AFTER UPDATE OF practitioner_id, starts_at, ends_at ON absences BEGIN
  UPDATE schedule_revisions SET revision = randomblob(16);
END;
CREATE TRIGGER absences_revised_delete AFTER DELETE ON absences BEGIN
  UPDATE schedule_revisions SET revision = randomblob(16);
END;
CREATE TRIGGER external_busy_revised_insert AFTER INSERT ON external_busy BEGIN
  UPDATE schedule_revisions SET revision = randomblob(16);
END;
CREATE TRIGGER external_busy_revised_update AFTER UPDATE ON external_busy BEGIN
  UPDATE schedule_revisions SET revision = randomblob(16);
END;
CREATE TRIGGER external_busy_revised_delete AFTER DELETE ON external_busy BEGIN
  UPDATE schedule_revisions SET revision = randomblob(16);
END;
CREATE TRIGGER practitioners_revised_update AFTER UPDATE OF organization_id, time_zone ON practitioners BEGIN
  UPDATE schedule_revisions SET revision = randomblob(16);
END;
CREATE TRIGGER healthcare_services_revised_update AFTER UPDATE OF duration_minutes, align_minutes ON healthcare_services BEGIN
  UPDATE schedule_revisions SET revision = randomblob(16);
END;

INSERT INTO audit_heads (chain, seq, hash) VALUES
  (0, 0, zeroblob(32)),
  (1, 0, zeroblob(32)),
  (2, 0, zeroblob(32)),
  (3, 0, zeroblob(32)),
  (4, 0, zeroblob(32)),
  (5, 0, zeroblob(32)),
  (6, 0, zeroblob(32)),
  (7, 0, zeroblob(32)),
  (8, 0, zeroblob(32)),
  (9, 0, zeroblob(32)),
  (10, 0, zeroblob(32)),
  (11, 0, zeroblob(32)),
  (12, 0, zeroblob(32)),
  (13, 0, zeroblob(32)),
  (14, 0, zeroblob(32)),
  (15, 0, zeroblob(32));

-- Guards: what must hold even against our own mistakes.

-- Live intervals of one resource and lane never overlap. Stored ones are disjoint, so the only
-- row that can collide is the last one that begins before the new one ends: one index seek.
CREATE TRIGGER occupancies_no_overlap_insert BEFORE INSERT ON occupancies WHEN NEW.live BEGIN
  SELECT RAISE(ABORT, 'resource_busy') WHERE (
    SELECT ends_at FROM occupancies WHERE resource_id = NEW.resource_id AND lane = NEW.lane
      AND live AND starts_at < NEW.ends_at ORDER BY starts_at DESC LIMIT 1) > NEW.starts_at;
END;
CREATE TRIGGER occupancies_no_overlap_update BEFORE UPDATE ON occupancies WHEN NEW.live BEGIN
  SELECT RAISE(ABORT, 'resource_busy') WHERE (
    SELECT ends_at FROM occupancies WHERE resource_id = NEW.resource_id AND lane = NEW.lane
      AND live AND starts_at < NEW.ends_at AND appointment_id <> OLD.appointment_id
      ORDER BY starts_at DESC LIMIT 1) > NEW.starts_at;
END;
CREATE TRIGGER occupancies_kept BEFORE DELETE ON occupancies BEGIN
  SELECT RAISE(ABORT, 'occupancy_kept');
END;

-- What a visit holds is put down before the visit itself, and nothing is added later.
CREATE TRIGGER occupancies_come_first BEFORE INSERT ON occupancies BEGIN
  SELECT RAISE(ABORT, 'occupancy_kept') WHERE EXISTS (
    SELECT 1 FROM appointments WHERE id = NEW.appointment_id);
END;
-- An appointment is live exactly while its occupancies are: its practitioner, in the lanes of its
-- priority and with the buffers, its patient, and as many others as it says.
CREATE TRIGGER appointments_occupied AFTER INSERT ON appointments BEGIN
  SELECT RAISE(ABORT, 'occupancy_missing') WHERE (
    SELECT count(*) FILTER (WHERE resource_kind = 'patient') <> 1
      OR count(*) FILTER (WHERE resource_kind = 'practitioner') <> 1 + (NEW.priority <> 'routine')
      OR count(*) <> 2 + (NEW.priority <> 'routine') + NEW.resources
      OR count(*) <> count(*) FILTER (WHERE live = (NEW.status IN ('proposed', 'pending', 'booked', 'arrived', 'fulfilled'))
        AND CASE resource_kind
          WHEN 'practitioner' THEN resource_id = NEW.practitioner_id
            AND starts_at = NEW.busy_from AND ends_at = NEW.busy_to
            AND (NEW.priority <> 'routine' OR lane = NEW.overbooked)
          WHEN 'patient' THEN resource_id = NEW.patient_id
            AND starts_at = NEW.starts_at AND ends_at = NEW.ends_at
          ELSE starts_at = NEW.starts_at AND ends_at = NEW.ends_at END)
    FROM occupancies WHERE appointment_id = NEW.id);
END;
CREATE TRIGGER appointments_follow
AFTER UPDATE OF status, starts_at, ends_at, busy_from, busy_to, practitioner_id, patient_id, overbooked
ON appointments BEGIN
  UPDATE occupancies SET starts_at = NEW.busy_from, ends_at = NEW.busy_to,
    resource_id = NEW.practitioner_id, live = (NEW.status IN ('proposed', 'pending', 'booked', 'arrived', 'fulfilled')),
    lane = CASE WHEN NEW.priority = 'routine' THEN NEW.overbooked ELSE lane END
  WHERE appointment_id = NEW.id AND resource_kind = 'practitioner';
  UPDATE occupancies SET starts_at = NEW.starts_at, ends_at = NEW.ends_at,
    resource_id = CASE resource_kind WHEN 'patient' THEN NEW.patient_id ELSE resource_id END,
    live = (NEW.status IN ('proposed', 'pending', 'booked', 'arrived', 'fulfilled'))
  WHERE appointment_id = NEW.id AND resource_kind <> 'practitioner';
END;
CREATE TRIGGER occupancies_follow_only AFTER UPDATE ON occupancies BEGIN
  SELECT RAISE(ABORT, 'occupancy_kept') WHERE NOT EXISTS (
    SELECT 1 FROM appointments WHERE id = NEW.appointment_id
      AND NEW.live = (status IN ('proposed', 'pending', 'booked', 'arrived', 'fulfilled'))
      AND CASE NEW.resource_kind
        WHEN 'practitioner' THEN NEW.resource_id = practitioner_id
          AND NEW.starts_at = busy_from AND NEW.ends_at = busy_to
          AND (priority <> 'routine' OR NEW.lane = overbooked)
        WHEN 'patient' THEN NEW.resource_id = patient_id
          AND NEW.starts_at = appointments.starts_at AND NEW.ends_at = appointments.ends_at
        ELSE NEW.starts_at = appointments.starts_at AND NEW.ends_at = appointments.ends_at END);
END;
-- What has ended stays so; only that somebody did not come can have been a mistake, or that the
-- practitioner is away, or that the visit took place, as long as no note says so over a signature.
CREATE TRIGGER appointments_ended BEFORE UPDATE OF status ON appointments
WHEN OLD.status IN ('fulfilled', 'cancelled', 'noshow') AND NEW.status <> OLD.status
  AND NOT (OLD.status = 'noshow' AND NEW.status = 'booked')
  AND NOT (OLD.status = 'fulfilled' AND NEW.status IN ('arrived', 'booked') AND NOT EXISTS (
    SELECT 1 FROM notes n JOIN encounters e ON e.id = n.encounter_id
    WHERE e.appointment_id = NEW.id AND n.status = 'signed'))
  AND NOT (OLD.status = 'cancelled' AND NEW.status = 'booked' AND (OLD.cancellation_code = 'leave' OR coalesce(OLD.cancelled_from, '') IN ('booked', 'arrived'))) BEGIN
  SELECT RAISE(ABORT, 'appointment_over');
END;
CREATE TRIGGER appointment_moves_frozen BEFORE UPDATE ON appointment_moves BEGIN SELECT RAISE(ABORT, 'move_kept'); END;
CREATE TRIGGER appointment_moves_kept BEFORE DELETE ON appointment_moves BEGIN SELECT RAISE(ABORT, 'move_kept'); END;

-- An absence is complete only while each of its visits has an outcome, also of those in which the
-- one who is away only helps: one that still lies in it has been offered other times. What says so
-- is not taken away as long as that holds.
CREATE TRIGGER absences_complete_insert BEFORE INSERT ON absences WHEN NEW.status = 'complete' BEGIN
  SELECT RAISE(ABORT, 'visits_open') WHERE EXISTS (
    SELECT 1 FROM occupancies o JOIN appointments a ON a.id = o.appointment_id
    WHERE o.resource_id = NEW.practitioner_id AND o.lane IN (0, 1) AND o.live
      AND o.starts_at > NEW.starts_at - 43200000000 AND o.starts_at < NEW.ends_at
      AND a.status IN ('booked', 'arrived') AND a.starts_at < NEW.ends_at AND a.ends_at > NEW.starts_at
      AND NOT EXISTS (SELECT 1 FROM absence_outcomes WHERE absence_id = NEW.id
        AND appointment_id = a.id AND outcome = 'offered'));
END;
CREATE TRIGGER absences_complete_update BEFORE UPDATE ON absences WHEN NEW.status = 'complete' BEGIN
  SELECT RAISE(ABORT, 'visits_open') WHERE EXISTS (
    SELECT 1 FROM occupancies o JOIN appointments a ON a.id = o.appointment_id
    WHERE o.resource_id = NEW.practitioner_id AND o.lane IN (0, 1) AND o.live
      AND o.starts_at > NEW.starts_at - 43200000000 AND o.starts_at < NEW.ends_at
      AND a.status IN ('booked', 'arrived') AND a.starts_at < NEW.ends_at AND a.ends_at > NEW.starts_at
      AND NOT EXISTS (SELECT 1 FROM absence_outcomes WHERE absence_id = NEW.id
        AND appointment_id = a.id AND outcome = 'offered'));
END;
CREATE TRIGGER absence_outcomes_first BEFORE INSERT ON absence_outcomes BEGIN
  SELECT RAISE(ABORT, 'visits_open') WHERE (SELECT status FROM absences WHERE id = NEW.absence_id) = 'complete';
END;
CREATE TRIGGER absence_outcomes_stay BEFORE UPDATE ON absence_outcomes BEGIN
  SELECT RAISE(ABORT, 'visits_open') WHERE EXISTS (
    SELECT 1 FROM absences b JOIN occupancies o ON o.resource_id = b.practitioner_id
      JOIN appointments a ON a.id = o.appointment_id
    WHERE b.id = OLD.absence_id AND a.id = OLD.appointment_id AND o.live
      AND b.status = 'complete' AND a.status IN ('booked', 'arrived')
      AND a.starts_at < b.ends_at AND a.ends_at > b.starts_at);
END;
CREATE TRIGGER absence_outcomes_kept BEFORE DELETE ON absence_outcomes BEGIN
  SELECT RAISE(ABORT, 'visits_open') WHERE EXISTS (
    SELECT 1 FROM absences b JOIN occupancies o ON o.resource_id = b.practitioner_id
      JOIN appointments a ON a.id = o.appointment_id
    WHERE b.id = OLD.absence_id AND a.id = OLD.appointment_id AND o.live
      AND b.status = 'complete' AND a.status IN ('booked', 'arrived')
      AND a.starts_at < b.ends_at AND a.ends_at > b.starts_at);
END;

-- A wish that has ended stays so, whose it is never changes, and it is offered exactly while an
-- offer stands. An offer stands on a held time of its patient, and its answer is the last word.
CREATE TRIGGER waitlist_entries_agree BEFORE UPDATE OF status ON waitlist_entries BEGIN
  SELECT RAISE(ABORT, 'waitlist_offer') WHERE (NEW.status = 'offered') <> EXISTS (
    SELECT 1 FROM waitlist_offers WHERE entry_id = NEW.id AND status = 'standing');
END;
CREATE TRIGGER waitlist_entries_ended BEFORE UPDATE ON waitlist_entries
WHEN OLD.status IN ('booked', 'withdrawn', 'expired') OR NEW.rowid <> OLD.rowid OR NEW.id <> OLD.id
  OR NEW.code <> OLD.code OR NEW.patient_id <> OLD.patient_id OR NEW.service_id <> OLD.service_id
  OR NEW.organization_id <> OLD.organization_id OR NEW.created_by <> OLD.created_by
  OR NEW.created_at <> OLD.created_at BEGIN
  SELECT RAISE(ABORT, 'waitlist_kept');
END;
CREATE TRIGGER waitlist_entries_kept BEFORE DELETE ON waitlist_entries BEGIN SELECT RAISE(ABORT, 'waitlist_kept'); END;
CREATE TRIGGER waitlist_entries_not_replaced BEFORE INSERT ON waitlist_entries BEGIN
  SELECT RAISE(ABORT, 'waitlist_offer') WHERE NEW.status = 'offered';
  SELECT RAISE(ABORT, 'waitlist_kept') WHERE EXISTS (SELECT 1 FROM waitlist_entries WHERE id = NEW.id)
    OR EXISTS (SELECT 1 FROM waitlist_entries WHERE rowid = NEW.rowid);
  -- What is there already is left out, as ON CONFLICT DO NOTHING would.
  SELECT RAISE(IGNORE) WHERE EXISTS (SELECT 1 FROM waitlist_entries WHERE code = NEW.code)
    OR (NEW.status = 'waiting' AND EXISTS (SELECT 1 FROM waitlist_entries WHERE patient_id = NEW.patient_id
      AND service_id = NEW.service_id AND status IN ('waiting', 'offered')));
END;
CREATE TRIGGER waitlist_offers_held BEFORE INSERT ON waitlist_offers BEGIN
  SELECT RAISE(ABORT, 'waitlist_kept') WHERE EXISTS (SELECT 1 FROM waitlist_offers
    WHERE id = NEW.id OR held_id = NEW.held_id) OR EXISTS (SELECT 1 FROM waitlist_offers WHERE rowid = NEW.rowid);
  SELECT RAISE(IGNORE) WHERE NEW.status = 'standing' AND (EXISTS (SELECT 1 FROM waitlist_offers
      WHERE entry_id = NEW.entry_id AND status = 'standing')
    OR EXISTS (SELECT 1 FROM waitlist_offers WHERE practitioner_id = NEW.practitioner_id
      AND starts_at = NEW.starts_at AND status = 'standing'));
  SELECT RAISE(ABORT, 'waitlist_offer') WHERE NOT EXISTS (
    SELECT 1 FROM waitlist_entries JOIN appointments ON appointments.patient_id = waitlist_entries.patient_id
    WHERE waitlist_entries.id = NEW.entry_id AND waitlist_entries.status = 'waiting'
      AND appointments.id = NEW.held_id AND appointments.status = 'pending'
      AND appointments.practitioner_id = NEW.practitioner_id AND appointments.starts_at = NEW.starts_at
      AND appointments.service_id = waitlist_entries.service_id);
END;
CREATE TRIGGER waitlist_offers_answered BEFORE UPDATE ON waitlist_offers
WHEN OLD.status <> 'standing' OR NEW.rowid <> OLD.rowid OR NEW.id <> OLD.id OR NEW.entry_id <> OLD.entry_id
  OR NEW.held_id <> OLD.held_id OR NEW.practitioner_id <> OLD.practitioner_id
  OR NEW.starts_at <> OLD.starts_at OR NEW.offered_at <> OLD.offered_at
  OR NEW.expires_at <> OLD.expires_at BEGIN
  SELECT RAISE(ABORT, 'waitlist_kept');
END;
CREATE TRIGGER waitlist_offers_kept BEFORE DELETE ON waitlist_offers BEGIN SELECT RAISE(ABORT, 'waitlist_kept'); END;

-- Only an open encounter changes its status, or one whose appointment is booked, or goes on, again.
CREATE TRIGGER encounters_ended BEFORE UPDATE OF status, outcome ON encounters
WHEN OLD.status IN ('finished', 'cancelled') AND NOT (
  NEW.status = 'planned'
  AND (SELECT status FROM appointments WHERE id = NEW.appointment_id) = 'booked') AND NOT (
  OLD.status = 'finished' AND NEW.status = 'onleave'
  AND (SELECT status FROM appointments WHERE id = NEW.appointment_id) = 'arrived') BEGIN
  SELECT RAISE(ABORT, 'encounter_over');
END;

-- A signed note never changes; no note, addendum or audit row is ever removed.
CREATE TRIGGER notes_signed BEFORE UPDATE ON notes WHEN OLD.status = 'signed' BEGIN
  SELECT RAISE(ABORT, 'note_signed');
END;
-- Nor is one signed of a visit whose patient is still expected, or did not come.
CREATE TRIGGER notes_of_what_took_place BEFORE UPDATE OF status ON notes WHEN NEW.status = 'signed' BEGIN
  SELECT RAISE(ABORT, 'note_early')
  WHERE (SELECT status FROM encounters WHERE id = NEW.encounter_id) IN ('planned', 'cancelled');
END;
CREATE TRIGGER notes_kept BEFORE DELETE ON notes BEGIN SELECT RAISE(ABORT, 'note_kept'); END;
CREATE TRIGGER note_addenda_frozen BEFORE UPDATE ON note_addenda BEGIN SELECT RAISE(ABORT, 'note_signed'); END;
CREATE TRIGGER note_addenda_kept BEFORE DELETE ON note_addenda BEGIN SELECT RAISE(ABORT, 'note_kept'); END;
CREATE TRIGGER note_addenda_after_signature BEFORE INSERT ON note_addenda BEGIN
  SELECT RAISE(ABORT, 'note_unsigned') WHERE (SELECT status FROM notes WHERE id = NEW.note_id) <> 'signed';
END;
CREATE TRIGGER audit_events_frozen BEFORE UPDATE ON audit_events BEGIN SELECT RAISE(ABORT, 'audit_append_only'); END;
CREATE TRIGGER audit_events_kept BEFORE DELETE ON audit_events BEGIN SELECT RAISE(ABORT, 'audit_append_only'); END;
-- INSERT OR REPLACE and UPDATE OR REPLACE delete what is in their way, by any unique key and by the
-- rowid, without asking the triggers above: so nothing is put where a row is, and a note stays put.
CREATE TRIGGER audit_events_in_order BEFORE INSERT ON audit_events BEGIN
  SELECT RAISE(ABORT, 'audit_append_only') WHERE NEW.seq <>
    coalesce((SELECT max(seq) FROM audit_events WHERE chain = NEW.chain), 0) + 1
    OR EXISTS (SELECT 1 FROM audit_events WHERE rowid = NEW.rowid);
END;
CREATE TRIGGER notes_not_replaced BEFORE INSERT ON notes BEGIN
  SELECT RAISE(ABORT, 'note_kept') WHERE EXISTS (SELECT 1 FROM notes WHERE id = NEW.id)
    OR EXISTS (SELECT 1 FROM notes WHERE rowid = NEW.rowid);
  -- A second draft is left out, as ON CONFLICT DO NOTHING would.
  SELECT RAISE(IGNORE) WHERE NEW.status = 'draft' AND EXISTS (SELECT 1 FROM notes
    WHERE encounter_id = NEW.encounter_id AND author_id = NEW.author_id AND status = 'draft');
END;
CREATE TRIGGER notes_in_place BEFORE UPDATE ON notes
WHEN NEW.rowid <> OLD.rowid OR NEW.id <> OLD.id OR NEW.encounter_id <> OLD.encounter_id
  OR NEW.patient_id <> OLD.patient_id OR NEW.organization_id <> OLD.organization_id
  OR NEW.author_id <> OLD.author_id OR NEW.created_at <> OLD.created_at BEGIN
  SELECT RAISE(ABORT, 'note_kept');
END;
CREATE TRIGGER note_addenda_not_replaced BEFORE INSERT ON note_addenda BEGIN
  SELECT RAISE(ABORT, 'note_kept') WHERE EXISTS (SELECT 1 FROM note_addenda WHERE id = NEW.id)
    OR EXISTS (SELECT 1 FROM note_addenda WHERE rowid = NEW.rowid);
END;
CREATE TRIGGER occupancies_not_replaced BEFORE INSERT ON occupancies BEGIN
  SELECT RAISE(ABORT, 'occupancy_kept') WHERE EXISTS (SELECT 1 FROM occupancies
    WHERE appointment_id = NEW.appointment_id AND resource_id = NEW.resource_id AND lane = NEW.lane)
    OR EXISTS (SELECT 1 FROM occupancies WHERE rowid = NEW.rowid);
END;
CREATE TRIGGER occupancies_in_place BEFORE UPDATE ON occupancies
WHEN NEW.rowid <> OLD.rowid OR NEW.appointment_id <> OLD.appointment_id
  OR NEW.resource_kind <> OLD.resource_kind
  OR (NEW.lane <> OLD.lane AND OLD.resource_kind <> 'practitioner') BEGIN
  SELECT RAISE(ABORT, 'occupancy_kept');
END;
CREATE TRIGGER occupancies_none_replaced BEFORE UPDATE OF resource_id, lane ON occupancies BEGIN
  SELECT RAISE(ABORT, 'occupancy_kept') WHERE EXISTS (SELECT 1 FROM occupancies
    WHERE appointment_id = NEW.appointment_id AND resource_id = NEW.resource_id
      AND lane = NEW.lane AND rowid <> OLD.rowid);
END;
CREATE TRIGGER appointment_moves_not_replaced BEFORE INSERT ON appointment_moves BEGIN
  SELECT RAISE(ABORT, 'move_kept') WHERE EXISTS (SELECT 1 FROM appointment_moves
    WHERE id = NEW.id OR (appointment_id = NEW.appointment_id AND number = NEW.number))
    OR EXISTS (SELECT 1 FROM appointment_moves WHERE rowid = NEW.rowid);
END;
CREATE TRIGGER appointments_not_replaced BEFORE INSERT ON appointments BEGIN
  SELECT RAISE(ABORT, 'appointment_kept') WHERE EXISTS (SELECT 1 FROM appointments WHERE id = NEW.id)
    OR EXISTS (SELECT 1 FROM appointments WHERE rowid = NEW.rowid);
  -- A code that is taken is left out, as ON CONFLICT DO NOTHING would.
  SELECT RAISE(IGNORE) WHERE EXISTS (SELECT 1 FROM appointments WHERE code = NEW.code);
END;
CREATE TRIGGER appointments_in_place BEFORE UPDATE ON appointments
WHEN NEW.rowid <> OLD.rowid OR NEW.id <> OLD.id OR NEW.code <> OLD.code
  OR NEW.created_by <> OLD.created_by OR NEW.created_at <> OLD.created_at
  OR NEW.priority <> OLD.priority OR NEW.resources <> OLD.resources
  OR NEW.series_id IS NOT OLD.series_id OR NEW.follows_id IS NOT OLD.follows_id BEGIN
  SELECT RAISE(ABORT, 'appointment_kept');
END;
CREATE TRIGGER appointments_kept BEFORE DELETE ON appointments BEGIN SELECT RAISE(ABORT, 'appointment_kept'); END;

-- Nobody is forgotten by a change of what has ended.
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
CREATE TRIGGER rings_ended BEFORE UPDATE ON rings WHEN OLD.state IN ('answered', 'called_back', 'gone')
  OR NEW.id IS NOT OLD.id
  OR NEW.encounter_id IS NOT OLD.encounter_id
  OR NEW.participant_id IS NOT OLD.participant_id
  OR NEW.rung_by IS NOT OLD.rung_by
  OR NEW.rung_at IS NOT OLD.rung_at BEGIN
  SELECT RAISE(ABORT, 'ring_kept');
END;

-- A consent is added and withdrawn once; it never changes otherwise.
CREATE TRIGGER consents_kept BEFORE UPDATE ON consents WHEN OLD.withdrawn_at IS NOT NULL OR NEW.withdrawn_at IS NULL
  OR NEW.rowid IS NOT OLD.rowid
  OR NEW.id IS NOT OLD.id
  OR NEW.kind IS NOT OLD.kind
  OR NEW.form_version IS NOT OLD.form_version
  OR NEW.language IS NOT OLD.language
  OR NEW.organization_id IS NOT OLD.organization_id
  OR NEW.patient_id IS NOT OLD.patient_id
  OR NEW.encounter_id IS NOT OLD.encounter_id
  OR NEW.person_id IS NOT OLD.person_id
  OR NEW.given_by IS NOT OLD.given_by
  OR NEW.relationship IS NOT OLD.relationship
  OR NEW.recorded_by IS NOT OLD.recorded_by
  OR NEW.given_at IS NOT OLD.given_at BEGIN
  SELECT RAISE(ABORT, 'consent_kept');
END;
CREATE TRIGGER consents_not_removed BEFORE DELETE ON consents BEGIN SELECT RAISE(ABORT, 'consent_kept'); END;
CREATE TRIGGER consents_not_replaced BEFORE INSERT ON consents BEGIN
  SELECT RAISE(ABORT, 'consent_kept') WHERE EXISTS (SELECT 1 FROM consents WHERE id = NEW.id)
    OR EXISTS (SELECT 1 FROM consents WHERE rowid = NEW.rowid);
  SELECT RAISE(IGNORE) WHERE NEW.withdrawn_at IS NULL AND EXISTS (SELECT 1 FROM consents
    WHERE encounter_id = NEW.encounter_id AND person_id = NEW.person_id AND kind = NEW.kind
      AND form_version = NEW.form_version AND withdrawn_at IS NULL);
END;
CREATE TRIGGER consent_forms_frozen BEFORE UPDATE ON consent_forms BEGIN SELECT RAISE(ABORT, 'consent_kept'); END;
CREATE TRIGGER consent_forms_kept BEFORE DELETE ON consent_forms BEGIN SELECT RAISE(ABORT, 'consent_kept'); END;

-- Nobody is recorded who has not consented: a recording begins when everybody who is there has, and
-- ends with the first who comes without a consent or withdraws it. Whoever is neither only invited
-- nor gone is there, and so is whoever sits at the device of one who is; a patient who has no part of
-- their own, and so cannot consent, is not recorded.
CREATE TRIGGER recordings_consented BEFORE INSERT ON recordings BEGIN
  SELECT RAISE(ABORT, 'consent_missing') WHERE NOT (EXISTS (SELECT 1 FROM encounter_participants p WHERE p.encounter_id = NEW.encounter_id
      AND p.state NOT IN ('invited', 'left', 'denied', 'removed'))
    AND EXISTS (SELECT 1 FROM encounter_participants p WHERE p.encounter_id = NEW.encounter_id AND p.role = 'patient')
    AND NOT EXISTS (SELECT 1 FROM encounter_participants p WHERE p.encounter_id = NEW.encounter_id
      AND (p.state NOT IN ('invited', 'left', 'denied', 'removed') OR (p.state = 'invited' AND EXISTS
        (SELECT 1 FROM encounter_participants host WHERE host.id = p.sits_with_id AND host.state NOT IN ('invited', 'left', 'denied', 'removed'))))
      AND NOT EXISTS (SELECT 1 FROM consents c WHERE c.encounter_id = NEW.encounter_id AND c.person_id = p.account_id
        AND c.kind = 'recording' AND c.withdrawn_at IS NULL
        AND c.form_version = (SELECT max(f.version) FROM consent_forms f WHERE f.kind = 'recording'))));
  SELECT RAISE(ABORT, 'recording_kept') WHERE EXISTS (SELECT 1 FROM recordings WHERE id = NEW.id)
    OR EXISTS (SELECT 1 FROM recordings WHERE rowid = NEW.rowid);
END;
CREATE TRIGGER recordings_in_place BEFORE UPDATE ON recordings WHEN OLD.ended_at IS NOT NULL OR NEW.ended_at IS NULL
  OR NEW.rowid IS NOT OLD.rowid
  OR NEW.id IS NOT OLD.id
  OR NEW.encounter_id IS NOT OLD.encounter_id
  OR NEW.started_by IS NOT OLD.started_by
  OR NEW.started_at IS NOT OLD.started_at BEGIN
  SELECT RAISE(ABORT, 'recording_kept');
END;
CREATE TRIGGER participants_come_to_recordings AFTER INSERT ON encounter_participants
WHEN NEW.state NOT IN ('invited', 'left', 'denied', 'removed') OR NEW.sits_with_id IS NOT NULL BEGIN
  UPDATE recordings SET ended_at = NEW.updated_at WHERE encounter_id = NEW.encounter_id AND ended_at IS NULL
    AND NOT (EXISTS (SELECT 1 FROM encounter_participants p WHERE p.encounter_id = NEW.encounter_id
      AND p.state NOT IN ('invited', 'left', 'denied', 'removed'))
    AND EXISTS (SELECT 1 FROM encounter_participants p WHERE p.encounter_id = NEW.encounter_id AND p.role = 'patient')
    AND NOT EXISTS (SELECT 1 FROM encounter_participants p WHERE p.encounter_id = NEW.encounter_id
      AND (p.state NOT IN ('invited', 'left', 'denied', 'removed') OR (p.state = 'invited' AND EXISTS
        (SELECT 1 FROM encounter_participants host WHERE host.id = p.sits_with_id AND host.state NOT IN ('invited', 'left', 'denied', 'removed'))))
      AND NOT EXISTS (SELECT 1 FROM consents c WHERE c.encounter_id = NEW.encounter_id AND c.person_id = p.account_id
        AND c.kind = 'recording' AND c.withdrawn_at IS NULL
        AND c.form_version = (SELECT max(f.version) FROM consent_forms f WHERE f.kind = 'recording'))));
END;
CREATE TRIGGER participants_stop_recordings AFTER UPDATE OF state, account_id, encounter_id, sits_with_id ON encounter_participants
WHEN NEW.state NOT IN ('invited', 'left', 'denied', 'removed') OR NEW.sits_with_id IS NOT NULL BEGIN
  UPDATE recordings SET ended_at = NEW.updated_at WHERE encounter_id = NEW.encounter_id AND ended_at IS NULL
    AND NOT (EXISTS (SELECT 1 FROM encounter_participants p WHERE p.encounter_id = NEW.encounter_id
      AND p.state NOT IN ('invited', 'left', 'denied', 'removed'))
    AND EXISTS (SELECT 1 FROM encounter_participants p WHERE p.encounter_id = NEW.encounter_id AND p.role = 'patient')
    AND NOT EXISTS (SELECT 1 FROM encounter_participants p WHERE p.encounter_id = NEW.encounter_id
      AND (p.state NOT IN ('invited', 'left', 'denied', 'removed') OR (p.state = 'invited' AND EXISTS
        (SELECT 1 FROM encounter_participants host WHERE host.id = p.sits_with_id AND host.state NOT IN ('invited', 'left', 'denied', 'removed'))))
      AND NOT EXISTS (SELECT 1 FROM consents c WHERE c.encounter_id = NEW.encounter_id AND c.person_id = p.account_id
        AND c.kind = 'recording' AND c.withdrawn_at IS NULL
        AND c.form_version = (SELECT max(f.version) FROM consent_forms f WHERE f.kind = 'recording'))));
END;
CREATE TRIGGER consents_stop_recordings AFTER UPDATE ON consents WHEN NEW.kind = 'recording' BEGIN
  UPDATE recordings SET ended_at = NEW.withdrawn_at WHERE encounter_id = NEW.encounter_id AND ended_at IS NULL
    AND NOT (EXISTS (SELECT 1 FROM encounter_participants p WHERE p.encounter_id = NEW.encounter_id
      AND p.state NOT IN ('invited', 'left', 'denied', 'removed'))
    AND EXISTS (SELECT 1 FROM encounter_participants p WHERE p.encounter_id = NEW.encounter_id AND p.role = 'patient')
    AND NOT EXISTS (SELECT 1 FROM encounter_participants p WHERE p.encounter_id = NEW.encounter_id
      AND (p.state NOT IN ('invited', 'left', 'denied', 'removed') OR (p.state = 'invited' AND EXISTS
        (SELECT 1 FROM encounter_participants host WHERE host.id = p.sits_with_id AND host.state NOT IN ('invited', 'left', 'denied', 'removed'))))
      AND NOT EXISTS (SELECT 1 FROM consents c WHERE c.encounter_id = NEW.encounter_id AND c.person_id = p.account_id
        AND c.kind = 'recording' AND c.withdrawn_at IS NULL
        AND c.form_version = (SELECT max(f.version) FROM consent_forms f WHERE f.kind = 'recording'))));
END;

-- What was written stays as it was written.
CREATE TRIGGER chat_messages_frozen BEFORE UPDATE ON chat_messages BEGIN SELECT RAISE(ABORT, 'message_kept'); END;
CREATE TRIGGER chat_messages_kept BEFORE DELETE ON chat_messages BEGIN SELECT RAISE(ABORT, 'message_kept'); END;
CREATE TRIGGER chat_messages_not_replaced BEFORE INSERT ON chat_messages BEGIN
  SELECT RAISE(ABORT, 'message_kept') WHERE EXISTS (SELECT 1 FROM chat_messages WHERE id = NEW.id
    OR (encounter_id = NEW.encounter_id AND seq = NEW.seq))
    OR EXISTS (SELECT 1 FROM chat_messages WHERE rowid = NEW.rowid);
END;
