-- The whole first schema; its twin is migrations/sqlite/0001_base.
CREATE EXTENSION IF NOT EXISTS btree_gist;

-- Places. Lists go by name; COLLATE "C" sorts as SQLite does, byte by byte.
CREATE TABLE organizations (
  id uuid NOT NULL PRIMARY KEY,
  name text COLLATE "C" NOT NULL,
  time_zone text NOT NULL,
  version integer NOT NULL,
  created_at timestamptz NOT NULL
);
CREATE INDEX organizations_by_name ON organizations (name, id);

CREATE TABLE locations (
  id uuid NOT NULL PRIMARY KEY,
  name text COLLATE "C" NOT NULL,
  kind text NOT NULL CHECK (kind IN ('region', 'village', 'station', 'clinic')),
  part_of uuid REFERENCES locations (id),
  organization_id uuid REFERENCES organizations (id),
  time_zone text NOT NULL,
  latitude double precision,
  longitude double precision,
  link_class text NOT NULL CHECK (link_class IN ('none', '2g', '3g', '4g', 'broadband')),
  version integer NOT NULL,
  created_at timestamptz NOT NULL
);
CREATE INDEX locations_by_name ON locations (name, id);
CREATE INDEX locations_by_part_of ON locations (part_of, name, id);
CREATE INDEX locations_by_organization ON locations (organization_id, name, id);

-- Who signs in. A phone is kept sealed; phone_index is a keyed hash for look-up only.
CREATE TABLE accounts (
  id uuid NOT NULL PRIMARY KEY,
  login text UNIQUE,
  password_hash text,
  phone_index bytea UNIQUE,
  phone_sealed bytea,
  name text NOT NULL,
  language text NOT NULL CHECK (language IN ('en', 'ru')),
  system_admin boolean NOT NULL,
  state text NOT NULL CHECK (state IN ('invited', 'active', 'disabled')),
  security_version integer NOT NULL,
  failures integer NOT NULL,
  created_at timestamptz NOT NULL
);

CREATE TABLE memberships (
  account_id uuid NOT NULL REFERENCES accounts (id),
  organization_id uuid NOT NULL REFERENCES organizations (id),
  role text NOT NULL CHECK (role IN ('doctor', 'feldsher', 'registrar', 'clinic_admin')),
  state text NOT NULL CHECK (state IN ('invited', 'active', 'disabled')),
  version integer NOT NULL DEFAULT 1,
  created_at timestamptz NOT NULL,
  PRIMARY KEY (account_id, organization_id, role)
);
CREATE INDEX memberships_by_organization ON memberships (organization_id, account_id, role);

CREATE TABLE sessions (
  id uuid NOT NULL PRIMARY KEY,
  account_id uuid NOT NULL REFERENCES accounts (id),
  method text NOT NULL CHECK (method IN ('password', 'code', 'token')),
  security_version integer NOT NULL,
  created_at timestamptz NOT NULL,
  last_used_at timestamptz NOT NULL,
  expires_at timestamptz NOT NULL,
  revoked_at timestamptz
);
CREATE INDEX sessions_by_account ON sessions (account_id);

-- A rotated refresh token points to its parent; proven_at is when it, or the access token
-- handed out with it, was first presented (the lost-answer test).
CREATE TABLE refresh_tokens (
  id uuid NOT NULL PRIMARY KEY,
  session_id uuid NOT NULL REFERENCES sessions (id),
  token_hash bytea NOT NULL UNIQUE,
  parent_id uuid REFERENCES refresh_tokens (id),
  created_at timestamptz NOT NULL,
  expires_at timestamptz NOT NULL,
  used_at timestamptz,
  proven_at timestamptz,
  revoked_at timestamptz
);
CREATE INDEX refresh_tokens_by_session ON refresh_tokens (session_id);
CREATE INDEX refresh_tokens_by_parent ON refresh_tokens (parent_id);
-- For throwing away what nobody can go on with: the last token of a session was never used.
CREATE INDEX refresh_tokens_by_end ON refresh_tokens (expires_at)
  WHERE used_at IS NULL AND revoked_at IS NULL;

CREATE TABLE sign_in_challenges (
  id uuid NOT NULL PRIMARY KEY,
  account_id uuid REFERENCES accounts (id),
  phone_index bytea NOT NULL,
  code_hash bytea NOT NULL,
  tries integer NOT NULL,
  created_at timestamptz NOT NULL,
  expires_at timestamptz NOT NULL,
  used_at timestamptz
);
CREATE INDEX sign_in_challenges_by_phone ON sign_in_challenges (phone_index, created_at);
CREATE INDEX sign_in_challenges_by_expiry ON sign_in_challenges (expires_at);

-- Fixed-window counters: one row per limit, subject (a keyed hash) and window.
CREATE TABLE rate_counters (
  subject bytea NOT NULL,
  window_at timestamptz NOT NULL,
  hits integer NOT NULL,
  PRIMARY KEY (subject, window_at)
);
-- For throwing away windows that are over.
CREATE INDEX rate_counters_by_window ON rate_counters (window_at);

-- The first password of a new account is set with a token that works once.
CREATE TABLE one_time_tokens (
  id uuid NOT NULL PRIMARY KEY,
  account_id uuid NOT NULL REFERENCES accounts (id),
  token_hash bytea NOT NULL UNIQUE,
  created_at timestamptz NOT NULL,
  expires_at timestamptz NOT NULL,
  used_at timestamptz
);

-- Ed25519 key ring of the access tokens.
CREATE TABLE token_keys (
  kid text PRIMARY KEY,
  state text NOT NULL CHECK (state IN ('next', 'active', 'retiring', 'retired')),
  private_sealed bytea NOT NULL,
  public_key bytea NOT NULL,
  created_at timestamptz NOT NULL
);
-- One key signs: processes that start together end with the same.
CREATE UNIQUE INDEX token_keys_active ON token_keys (state) WHERE state = 'active';

-- People.
CREATE TABLE patients (
  id uuid NOT NULL PRIMARY KEY,
  account_id uuid UNIQUE REFERENCES accounts (id),
  organization_id uuid NOT NULL REFERENCES organizations (id),
  location_id uuid NOT NULL REFERENCES locations (id),
  name text NOT NULL,
  name_folded text COLLATE "C" NOT NULL,
  birth_date date NOT NULL,
  time_zone text NOT NULL,
  -- Codes of the languages they speak, space between; empty: nobody has said.
  languages text NOT NULL DEFAULT '',
  version integer NOT NULL DEFAULT 1,
  created_at timestamptz NOT NULL
);
CREATE INDEX patients_by_organization ON patients (organization_id, name_folded, id);

CREATE TABLE patient_keys (
  patient_id uuid NOT NULL PRIMARY KEY REFERENCES patients (id),
  key_sealed bytea NOT NULL,
  created_at timestamptz NOT NULL
);

CREATE TABLE practitioners (
  id uuid NOT NULL PRIMARY KEY,
  account_id uuid UNIQUE REFERENCES accounts (id),
  organization_id uuid NOT NULL REFERENCES organizations (id),
  name text COLLATE "C" NOT NULL,
  kind text NOT NULL CHECK (kind IN ('doctor', 'feldsher', 'interpreter')),
  specialty text,
  time_zone text NOT NULL,
  -- Codes of languages, space between.
  languages text NOT NULL,
  phone_sealed bytea,
  schedule_version integer NOT NULL,
  version integer NOT NULL,
  created_at timestamptz NOT NULL
);
CREATE INDEX practitioners_by_organization ON practitioners (organization_id, name, id);
CREATE INDEX practitioners_by_name ON practitioners (name, id);

CREATE TABLE healthcare_services (
  id uuid NOT NULL PRIMARY KEY,
  organization_id uuid NOT NULL REFERENCES organizations (id),
  name_en text COLLATE "C" NOT NULL,
  name_ru text COLLATE "C" NOT NULL,
  specialty text NOT NULL,
  duration_minutes integer NOT NULL CHECK (duration_minutes BETWEEN 5 AND 480),
  modes text NOT NULL,
  legal_kind text NOT NULL
    CHECK (legal_kind IN ('practitioner_patient', 'practitioner_practitioner', 'practitioner_practitioner_deferred')),
  -- What a visit needs besides practitioner and patient: kinds of resources, space between.
  resources text NOT NULL,
  buffer_before_minutes integer NOT NULL CHECK (buffer_before_minutes BETWEEN 0 AND 120),
  buffer_after_minutes integer NOT NULL CHECK (buffer_after_minutes BETWEEN 0 AND 120),
  -- Starts fall on these minutes of the hour; 0: counted from the beginning of working time.
  align_minutes integer NOT NULL CHECK (align_minutes IN (0, 5, 10, 15, 20, 30, 60)),
  lead_minutes integer NOT NULL CHECK (lead_minutes BETWEEN 0 AND 43200),
  horizon_days integer NOT NULL CHECK (horizon_days BETWEEN 1 AND 366),
  -- Visits of the service per practitioner and local day; 0: as many as fit.
  daily_cap integer NOT NULL CHECK (daily_cap BETWEEN 0 AND 200),
  overbook boolean NOT NULL,
  active boolean NOT NULL,
  version integer NOT NULL,
  created_at timestamptz NOT NULL
);
CREATE INDEX healthcare_services_by_name_en ON healthcare_services (name_en, id);
CREATE INDEX healthcare_services_by_name_ru ON healthcare_services (name_ru, id);
CREATE INDEX healthcare_services_by_specialty ON healthcare_services (specialty, id);

CREATE TABLE practitioner_services (
  practitioner_id uuid NOT NULL REFERENCES practitioners (id),
  service_id uuid NOT NULL REFERENCES healthcare_services (id),
  PRIMARY KEY (practitioner_id, service_id)
);
CREATE INDEX practitioner_services_by_service ON practitioner_services (service_id);

-- Working hours are wall time in the practitioner's zone, in minutes after midnight: the end of
-- the day (24:00, minute 1440) is one, and no `time` type of both engines holds it.
CREATE TABLE schedule_rules (
  id uuid NOT NULL PRIMARY KEY,
  practitioner_id uuid NOT NULL REFERENCES practitioners (id),
  weekday text NOT NULL CHECK (weekday IN ('mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun')),
  from_minute integer NOT NULL,
  to_minute integer NOT NULL,
  valid_from date,
  valid_to date,
  -- Every n-th week, counted from the week of valid_from.
  every_weeks integer NOT NULL CHECK (every_weeks BETWEEN 1 AND 8),
  location_id uuid REFERENCES locations (id),
  service_id uuid REFERENCES healthcare_services (id),
  CHECK (every_weeks = 1 OR valid_from IS NOT NULL),
  CHECK (0 <= from_minute AND from_minute < to_minute AND to_minute <= 1440)
);
CREATE INDEX schedule_rules_by_practitioner ON schedule_rules (practitioner_id);

-- Complete: every visit that it hits has an outcome; see the guards below.
CREATE TABLE absences (
  id uuid NOT NULL PRIMARY KEY,
  practitioner_id uuid NOT NULL REFERENCES practitioners (id),
  starts_at timestamptz NOT NULL,
  ends_at timestamptz NOT NULL,
  reason_sealed bytea,
  status text NOT NULL CHECK (status IN ('open', 'complete')),
  created_at timestamptz NOT NULL,
  CHECK (starts_at < ends_at)
);
CREATE INDEX absences_by_practitioner ON absences (practitioner_id, ends_at, id);

-- A secret address under which other programs read a practitioner's busy times.
CREATE TABLE calendar_feeds (
  practitioner_id uuid NOT NULL PRIMARY KEY REFERENCES practitioners (id),
  token_hash bytea NOT NULL UNIQUE,
  created_at timestamptz NOT NULL
);

-- A calendar elsewhere, and the times it says are taken.
CREATE TABLE external_calendars (
  practitioner_id uuid NOT NULL PRIMARY KEY REFERENCES practitioners (id),
  url_sealed bytea NOT NULL,
  state text NOT NULL CHECK (state IN ('new', 'read', 'failed')),
  trouble text,
  failures integer NOT NULL,
  read_at timestamptz,
  due_at timestamptz NOT NULL
);
CREATE INDEX external_calendars_due ON external_calendars (due_at);
CREATE TABLE external_busy (
  practitioner_id uuid NOT NULL REFERENCES practitioners (id),
  starts_at timestamptz NOT NULL,
  ends_at timestamptz NOT NULL,
  PRIMARY KEY (practitioner_id, starts_at),
  CHECK (starts_at < ends_at)
);
CREATE INDEX external_busy_by_practitioner ON external_busy (practitioner_id, ends_at, starts_at);

-- Rooms and devices that a visit can need. (Feldshers and interpreters are practitioners.)
CREATE TABLE resources (
  id uuid NOT NULL PRIMARY KEY,
  organization_id uuid NOT NULL REFERENCES organizations (id),
  location_id uuid NOT NULL REFERENCES locations (id),
  kind text NOT NULL CHECK (kind IN ('room', 'device')),
  name text COLLATE "C" NOT NULL,
  active boolean NOT NULL,
  version integer NOT NULL,
  created_at timestamptz NOT NULL
);
CREATE INDEX resources_by_organization ON resources (organization_id, kind, active);
CREATE INDEX resources_by_name ON resources (name, id);

-- What a clinic keeps closed: wall time in the zone of each practitioner, on each of the days.
CREATE TABLE closures (
  id uuid NOT NULL PRIMARY KEY,
  organization_id uuid NOT NULL REFERENCES organizations (id),
  name_en text NOT NULL,
  name_ru text NOT NULL,
  from_date date NOT NULL,
  to_date date NOT NULL,
  from_minute integer NOT NULL,
  to_minute integer NOT NULL,
  created_at timestamptz NOT NULL,
  CHECK (from_date <= to_date),
  CHECK (0 <= from_minute AND from_minute < to_minute AND to_minute <= 1440)
);
CREATE INDEX closures_by_organization ON closures (organization_id, to_date, id);

-- Work outside the weekly hours.
CREATE TABLE extra_hours (
  id uuid NOT NULL PRIMARY KEY,
  practitioner_id uuid NOT NULL REFERENCES practitioners (id),
  starts_at timestamptz NOT NULL,
  ends_at timestamptz NOT NULL,
  location_id uuid REFERENCES locations (id),
  service_id uuid REFERENCES healthcare_services (id),
  created_at timestamptz NOT NULL,
  CHECK (starts_at < ends_at)
);
CREATE INDEX extra_hours_by_practitioner ON extra_hours (practitioner_id, ends_at, id);

-- Booking. starts_at is the instant; time_zone and local_start are what the patient was promised.
-- busy_from to busy_to is what it takes of the practitioner: the visit and the buffers around it.
-- A priority other than routine takes both lanes of the practitioner, overbooked the second alone.
CREATE TABLE appointments (
  id uuid NOT NULL PRIMARY KEY,
  code text NOT NULL UNIQUE,
  status text NOT NULL
    CHECK (status IN ('proposed', 'pending', 'booked', 'arrived', 'fulfilled', 'cancelled', 'noshow')),
  service_id uuid NOT NULL REFERENCES healthcare_services (id),
  organization_id uuid NOT NULL REFERENCES organizations (id),
  practitioner_id uuid NOT NULL REFERENCES practitioners (id),
  patient_id uuid NOT NULL REFERENCES patients (id),
  starts_at timestamptz NOT NULL,
  ends_at timestamptz NOT NULL,
  busy_from timestamptz NOT NULL,
  busy_to timestamptz NOT NULL,
  priority text NOT NULL CHECK (priority IN ('routine', 'urgent', 'asap', 'stat')),
  overbooked boolean NOT NULL,
  mode text NOT NULL CHECK (mode IN ('video', 'audio', 'phone', 'chat', 'deferred')),
  -- Where the patient is seen, and so where its room, device and feldsher are.
  location_id uuid REFERENCES locations (id),
  time_zone text NOT NULL,
  local_start text NOT NULL,
  hold_expires_at timestamptz,
  reason_sealed bytea,
  cancellation_sealed bytea,
  cancellation_code text
    CHECK (cancellation_code IN ('patient', 'clinic', 'declined', 'expired', 'technical', 'leave')),
  -- What it was when it was called off: only a visit that was promised is taken back.
  cancelled_from text CHECK (cancelled_from IN ('proposed', 'pending', 'booked', 'arrived')),
  noshow_cause text CHECK (noshow_cause IN ('patient', 'link', 'practitioner', 'clinic')),
  confirmed_at timestamptz,
  series_id uuid,
  -- The visit after which it was booked.
  follows_id uuid REFERENCES appointments (id),
  moves integer NOT NULL,
  resources integer NOT NULL,
  created_by uuid NOT NULL REFERENCES accounts (id),
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL,
  version integer NOT NULL,
  CHECK (starts_at < ends_at),
  -- A visit that has ended gives the rest of its time back to a practitioner who sees somebody else.
  CHECK (busy_from <= starts_at AND (ends_at <= busy_to OR (status = 'fulfilled' AND busy_from < busy_to))),
  CHECK (NOT (overbooked AND priority <> 'routine')),
  CHECK ((status IN ('proposed', 'pending')) = (hold_expires_at IS NOT NULL)),
  CHECK ((status = 'cancelled') = (cancellation_code IS NOT NULL)),
  CHECK ((status = 'noshow') = (noshow_cause IS NOT NULL))
);
CREATE INDEX appointments_by_practitioner ON appointments (practitioner_id, starts_at, id);
CREATE INDEX appointments_by_patient ON appointments (patient_id, starts_at, id);
CREATE INDEX appointments_held ON appointments (patient_id, hold_expires_at)
  WHERE status IN ('proposed', 'pending');
CREATE INDEX appointments_holds ON appointments (starts_at) WHERE hold_expires_at IS NOT NULL;
CREATE INDEX appointments_by_organization ON appointments (organization_id, starts_at, id);

-- Where a visit was before it was moved; written once, never changed. `because` says why another
-- practitioner took it whose patient waited; NULL: it was moved by somebody's wish.
CREATE TABLE appointment_moves (
  id uuid NOT NULL PRIMARY KEY,
  appointment_id uuid NOT NULL REFERENCES appointments (id),
  number integer NOT NULL,
  from_starts_at timestamptz NOT NULL,
  to_starts_at timestamptz NOT NULL,
  from_practitioner_id uuid NOT NULL REFERENCES practitioners (id),
  to_practitioner_id uuid NOT NULL REFERENCES practitioners (id),
  reason_sealed bytea,
  -- NULL: Feldsher itself, to keep a promised time that a law of time zones had moved.
  moved_by uuid REFERENCES accounts (id),
  moved_at timestamptz NOT NULL,
  because text CHECK (because IN ('in_visit', 'absent', 'late', 'not_here')),
  UNIQUE (appointment_id, number),
  CHECK (because IS NULL OR from_practitioner_id <> to_practitioner_id)
);
CREATE INDEX appointment_moves_taken ON appointment_moves (moved_at) WHERE because IS NOT NULL;

-- What became of a visit that an absence hits, and where it was before.
CREATE TABLE absence_outcomes (
  absence_id uuid NOT NULL REFERENCES absences (id),
  appointment_id uuid NOT NULL REFERENCES appointments (id),
  outcome text NOT NULL CHECK (outcome IN ('moved', 'offered', 'cancelled', 'replaced')),
  from_practitioner_id uuid NOT NULL REFERENCES practitioners (id),
  from_starts_at timestamptz NOT NULL,
  to_practitioner_id uuid REFERENCES practitioners (id),
  to_starts_at timestamptz,
  -- Who helps in place of the one who is away.
  to_helper_id uuid REFERENCES practitioners (id),
  expires_at timestamptz,
  decided_by uuid NOT NULL REFERENCES accounts (id),
  decided_at timestamptz NOT NULL,
  PRIMARY KEY (absence_id, appointment_id),
  CHECK ((outcome = 'moved') = (to_practitioner_id IS NOT NULL)),
  CHECK ((outcome = 'moved') = (to_starts_at IS NOT NULL)),
  CHECK ((outcome = 'replaced') = (to_helper_id IS NOT NULL)),
  CHECK ((outcome = 'offered') = (expires_at IS NOT NULL))
);
CREATE INDEX absence_outcomes_by_appointment ON absence_outcomes (appointment_id);
CREATE INDEX absence_outcomes_offered ON absence_outcomes (expires_at) WHERE outcome = 'offered';

-- The times that are held for the patient to choose from.
CREATE TABLE offered_times (
  held_id uuid NOT NULL PRIMARY KEY REFERENCES appointments (id),
  absence_id uuid NOT NULL REFERENCES absences (id),
  appointment_id uuid NOT NULL REFERENCES appointments (id),
  number integer NOT NULL CHECK (number BETWEEN 1 AND 3)
);
CREATE INDEX offered_times_by_appointment ON offered_times (appointment_id, number);

-- "The doctor is ill": what shall become of the visits of some time. Nothing moves before it is
-- applied; until undo_until everything can be taken back.
CREATE TABLE illness_plans (
  id uuid NOT NULL PRIMARY KEY,
  practitioner_id uuid NOT NULL REFERENCES practitioners (id),
  starts_at timestamptz NOT NULL,
  ends_at timestamptz NOT NULL,
  status text NOT NULL CHECK (status IN ('draft', 'applied', 'undone')),
  absence_id uuid REFERENCES absences (id),
  created_by uuid NOT NULL REFERENCES accounts (id),
  created_at timestamptz NOT NULL,
  applied_at timestamptz,
  undo_until timestamptz,
  version integer NOT NULL,
  CHECK (starts_at < ends_at),
  CHECK ((status = 'draft') = (applied_at IS NULL)),
  CHECK ((applied_at IS NULL) = (undo_until IS NULL))
);
CREATE INDEX illness_plans_by_absence ON illness_plans (absence_id);

CREATE TABLE illness_proposals (
  plan_id uuid NOT NULL REFERENCES illness_plans (id),
  appointment_id uuid NOT NULL REFERENCES appointments (id),
  act text NOT NULL CHECK (act IN ('move', 'replace', 'offer', 'cancel', 'keep')),
  practitioner_id uuid REFERENCES practitioners (id),
  starts_at timestamptz,
  from_starts_at timestamptz NOT NULL,
  why text NOT NULL,
  PRIMARY KEY (plan_id, appointment_id),
  CHECK ((act = 'move') = (practitioner_id IS NOT NULL)),
  CHECK ((act = 'move') = (starts_at IS NOT NULL))
);

-- The waiting list: who wishes for a time that is not free yet. One standing wish for a service.
CREATE TABLE waitlist_entries (
  id uuid NOT NULL PRIMARY KEY,
  code text NOT NULL UNIQUE,
  status text NOT NULL CHECK (status IN ('waiting', 'offered', 'booked', 'withdrawn', 'expired')),
  patient_id uuid NOT NULL REFERENCES patients (id),
  service_id uuid NOT NULL REFERENCES healthcare_services (id),
  organization_id uuid NOT NULL REFERENCES organizations (id),
  practitioner_id uuid REFERENCES practitioners (id),
  appointment_id uuid REFERENCES appointments (id),
  earliest_at timestamptz NOT NULL,
  latest_at timestamptz NOT NULL,
  parts_of_day text NOT NULL,
  notice_minutes integer NOT NULL CHECK (notice_minutes BETWEEN 0 AND 10080),
  priority text NOT NULL CHECK (priority IN ('routine', 'urgent')),
  lapses integer NOT NULL CHECK (lapses BETWEEN 0 AND 3),
  ended_why text
    CHECK (ended_why IN ('accepted', 'booked_otherwise', 'withdrawn', 'visit_over', 'window_over', 'unanswered')),
  created_by uuid NOT NULL REFERENCES accounts (id),
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL,
  version integer NOT NULL,
  CHECK (earliest_at < latest_at),
  CHECK ((status IN ('booked', 'withdrawn', 'expired')) = (ended_why IS NOT NULL)),
  CHECK (status <> 'booked' OR appointment_id IS NOT NULL)
);
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
  id uuid NOT NULL PRIMARY KEY,
  entry_id uuid NOT NULL REFERENCES waitlist_entries (id),
  held_id uuid NOT NULL UNIQUE REFERENCES appointments (id),
  practitioner_id uuid NOT NULL REFERENCES practitioners (id),
  starts_at timestamptz NOT NULL,
  status text NOT NULL CHECK (status IN ('standing', 'accepted', 'declined', 'lapsed', 'withdrawn')),
  offered_at timestamptz NOT NULL,
  expires_at timestamptz NOT NULL,
  answered_at timestamptz,
  CHECK (offered_at < expires_at),
  CHECK ((status = 'standing') = (answered_at IS NULL))
);
CREATE UNIQUE INDEX waitlist_offers_one_each ON waitlist_offers (entry_id) WHERE status = 'standing';
CREATE UNIQUE INDEX waitlist_offers_one_time ON waitlist_offers (practitioner_id, starts_at)
  WHERE status = 'standing';
CREATE INDEX waitlist_offers_due ON waitlist_offers (status, expires_at);
CREATE INDEX waitlist_offers_by_entry ON waitlist_offers (entry_id, offered_at);

-- Whatever a visit holds for itself: its practitioner, its patient, and what else it needs.
-- No two live rows of one resource and lane overlap; see the guards below.
CREATE TABLE occupancies (
  appointment_id uuid NOT NULL REFERENCES appointments (id) DEFERRABLE INITIALLY DEFERRED,
  resource_kind text NOT NULL CHECK (resource_kind IN ('practitioner', 'patient', 'room', 'device', 'feldsher', 'interpreter')),
  resource_id uuid NOT NULL,
  lane integer NOT NULL CHECK (lane IN (0, 1)),
  starts_at timestamptz NOT NULL,
  ends_at timestamptz NOT NULL,
  live boolean NOT NULL,
  PRIMARY KEY (appointment_id, resource_id, lane),
  CHECK (starts_at < ends_at),
  CHECK (lane = 0 OR resource_kind = 'practitioner'),
  CONSTRAINT resource_busy EXCLUDE USING gist
    (resource_id WITH =, lane WITH =, tstzrange(starts_at, ends_at) WITH &&) WHERE (live)
);
CREATE INDEX occupancies_live ON occupancies (resource_id, lane, starts_at) INCLUDE (ends_at, appointment_id) WHERE live;

-- The visit.
CREATE TABLE encounters (
  id uuid NOT NULL PRIMARY KEY,
  appointment_id uuid NOT NULL UNIQUE REFERENCES appointments (id),
  status text NOT NULL
    CHECK (status IN ('planned', 'arrived', 'in-progress', 'onleave', 'finished', 'cancelled')),
  outcome text CHECK (outcome IN ('completed', 'technical_failure', 'patient_absent', 'practitioner_absent', 'converted_to_phone', 'converted_to_deferred')),
  patient_id uuid NOT NULL REFERENCES patients (id),
  practitioner_id uuid NOT NULL REFERENCES practitioners (id),
  organization_id uuid NOT NULL REFERENCES organizations (id),
  starts_at timestamptz NOT NULL,
  arrived_at timestamptz,
  started_at timestamptz,
  ended_at timestamptz,
  -- When somebody must see to it, unless both are there again by then.
  see_to_at timestamptz,
  -- Nobody new comes in.
  locked boolean NOT NULL DEFAULT false,
  -- Counts who was let in or sent out, and how people were arranged: an older word is not heard.
  room_rev integer NOT NULL DEFAULT 0,
  updated_at timestamptz NOT NULL,
  CHECK ((status = 'finished') = (outcome IS NOT NULL)),
  CHECK (see_to_at IS NULL OR status IN ('arrived', 'onleave'))
);
CREATE INDEX encounters_waiting ON encounters (practitioner_id, status, arrived_at);
CREATE INDEX encounters_by_patient ON encounters (patient_id, starts_at);
CREATE INDEX encounters_see_to ON encounters (see_to_at) WHERE see_to_at IS NOT NULL;

-- A practitioner is late, or on time again (0); the row with the highest number counts.
CREATE TABLE practitioner_delays (
  id uuid NOT NULL PRIMARY KEY,
  practitioner_id uuid NOT NULL REFERENCES practitioners (id),
  number integer NOT NULL,
  minutes integer NOT NULL CHECK (minutes = 0 OR minutes BETWEEN 5 AND 180),
  -- Whoever comes next is not seen before.
  free_at timestamptz,
  declared_by uuid NOT NULL REFERENCES accounts (id),
  declared_at timestamptz NOT NULL,
  UNIQUE (practitioner_id, number),
  CHECK ((minutes = 0) = (free_at IS NULL)),
  CHECK (free_at > declared_at)
);

-- What the patient of a visit was told last about when it will begin.
CREATE TABLE delay_notices (
  encounter_id uuid NOT NULL PRIMARY KEY REFERENCES encounters (id),
  delay_id uuid NOT NULL REFERENCES practitioner_delays (id),
  starts_at timestamptz NOT NULL,
  -- By when the visit begins, as that word says; NULL: it was taken back before it was heard.
  latest_at timestamptz,
  -- What was known before that word, NULL: the plan; and whether a text may have failed to come.
  known_at timestamptz,
  in_doubt boolean NOT NULL,
  -- Without those that were taken back before they left.
  texts integer NOT NULL CHECK (texts BETWEEN 0 AND 4),
  told_at timestamptz NOT NULL
);

CREATE TABLE encounter_participants (
  id uuid NOT NULL PRIMARY KEY,
  encounter_id uuid NOT NULL REFERENCES encounters (id),
  account_id uuid NOT NULL REFERENCES accounts (id),
  role text NOT NULL CHECK (role IN ('patient', 'practitioner', 'relative', 'feldsher', 'specialist', 'interpreter', 'trainee')),
  name text NOT NULL,
  state text NOT NULL
    CHECK (state IN ('invited', 'checking', 'waiting', 'admitted', 'connecting', 'connected', 'reconnecting', 'left', 'denied', 'removed')),
  waiting_since timestamptz,
  admitted_at timestamptz,
  -- At whose device they sit; they have no connection of their own.
  sits_with_id uuid REFERENCES encounter_participants (id) CHECK (sits_with_id <> id),
  -- In the side room, which those who are not aside neither hear nor see.
  aside boolean NOT NULL DEFAULT false,
  -- The patient has asked them to come.
  brought boolean NOT NULL DEFAULT false,
  updated_at timestamptz NOT NULL,
  UNIQUE (encounter_id, account_id)
);

-- A ticket opens one socket once.
CREATE TABLE rtc_tickets (
  id uuid NOT NULL PRIMARY KEY,
  participant_id uuid NOT NULL REFERENCES encounter_participants (id),
  expires_at timestamptz NOT NULL,
  used_at timestamptz
);
CREATE INDEX rtc_tickets_by_participant ON rtc_tickets (participant_id, expires_at);
CREATE INDEX rtc_tickets_by_expiry ON rtc_tickets (expires_at);

-- A seat in the call: survives the socket and the process; epoch fences the older socket.
CREATE TABLE rtc_sessions (
  id uuid NOT NULL PRIMARY KEY,
  encounter_id uuid NOT NULL REFERENCES encounters (id),
  participant_id uuid NOT NULL REFERENCES encounter_participants (id),
  sign_in_session_id uuid NOT NULL REFERENCES sessions (id),
  secret_hash bytea NOT NULL,
  epoch integer NOT NULL,
  created_at timestamptz NOT NULL,
  ended_at timestamptz
);
CREATE INDEX rtc_sessions_by_encounter ON rtc_sessions (encounter_id, ended_at);
CREATE INDEX rtc_sessions_by_participant ON rtc_sessions (participant_id, ended_at);

-- What a line carried when it was measured before a visit; without `measured_at` it goes on, or
-- nobody has finished it.
CREATE TABLE link_probes (
  id uuid NOT NULL PRIMARY KEY,
  encounter_id uuid NOT NULL REFERENCES encounters (id),
  account_id uuid NOT NULL REFERENCES accounts (id),
  side text NOT NULL CHECK (side IN ('patient', 'feldsher')),
  begun_at timestamptz NOT NULL,
  measured_at timestamptz CHECK (measured_at >= begun_at),
  direct text NOT NULL CHECK (direct IN ('connected', 'failed', 'untested')),
  direct_ms integer CHECK (direct_ms BETWEEN 0 AND 60000),
  relay_udp text NOT NULL CHECK (relay_udp IN ('connected', 'failed', 'untested')),
  relay_udp_ms integer CHECK (relay_udp_ms BETWEEN 0 AND 60000),
  relay_tls text NOT NULL CHECK (relay_tls IN ('connected', 'failed', 'untested')),
  relay_tls_ms integer CHECK (relay_tls_ms BETWEEN 0 AND 60000),
  -- The way on which was measured; NULL: nothing passed.
  measured_on text CHECK (measured_on IN ('direct', 'relay_udp', 'relay_tls')),
  rtt_p50_ms integer CHECK (rtt_p50_ms BETWEEN 0 AND 60000),
  rtt_p95_ms integer CHECK (rtt_p95_ms BETWEEN 0 AND 60000),
  jitter_ms integer CHECK (jitter_ms BETWEEN 0 AND 60000),
  loss_up_permille integer CHECK (loss_up_permille BETWEEN 0 AND 1000),
  loss_down_permille integer CHECK (loss_down_permille BETWEEN 0 AND 1000),
  up_kbits integer CHECK (up_kbits BETWEEN 0 AND 100000),
  down_kbits integer CHECK (down_kbits BETWEEN 0 AND 100000),
  mos double precision CHECK (mos BETWEEN 1 AND 5),
  camera text CHECK (camera IN ('ok', 'missing', 'denied', 'untested')),
  microphone text CHECK (microphone IN ('ok', 'missing', 'denied', 'untested')),
  speaker text CHECK (speaker IN ('ok', 'missing', 'denied', 'untested')),
  verdict text CHECK (verdict IN ('video', 'audio_photos', 'audio_lean', 'phone')),
  advice text CHECK (advice IN ('ready', 'no_camera', 'no_microphone', 'no_speaker', 'voice_home', 'voice_lean', 'phone')),
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
);
CREATE INDEX link_probes_by_encounter ON link_probes (encounter_id, measured_at);
CREATE INDEX link_probes_by_account ON link_probes (account_id, begun_at);
CREATE INDEX link_probes_unmeasured ON link_probes (begun_at) WHERE measured_at IS NULL;
-- The processes that serve rooms on this server (an embedded database has one, and none of this).
-- All times are this server's own: one whose heart has stopped is ended by another, and never
-- comes back under the same number.
CREATE TABLE rtc_nodes (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  seen_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  ended_at timestamptz
);

-- Which node has the room of a visit. It is good as long as the node is; whoever takes the room
-- after it has the higher fence, also when the row was removed in between.
CREATE SEQUENCE rtc_fences;
CREATE TABLE rtc_rooms (
  encounter_id uuid NOT NULL PRIMARY KEY REFERENCES encounters (id),
  node_id bigint NOT NULL REFERENCES rtc_nodes (id),
  fence bigint NOT NULL DEFAULT nextval('rtc_fences'),
  taken_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX rtc_rooms_by_node ON rtc_rooms (node_id);

-- What nodes tell one another, sealed; removed by whoever it was for. Nothing here need survive a
-- crash of the server: seats and decisions are rows elsewhere.
CREATE UNLOGGED TABLE rtc_posts (
  receiver bigint NOT NULL,
  sender bigint NOT NULL,
  number bigint NOT NULL,
  body bytea NOT NULL,
  PRIMARY KEY (receiver, sender, number)
);

CREATE TABLE call_events (
  id uuid NOT NULL PRIMARY KEY,
  encounter_id uuid NOT NULL REFERENCES encounters (id),
  seq integer NOT NULL,
  participant_id uuid REFERENCES encounter_participants (id),
  at timestamptz NOT NULL,
  kind text NOT NULL,
  why text,
  UNIQUE (encounter_id, seq)
);

-- Somebody of the clinic must see to it that a person is not forgotten (FHIR R4 Task).
CREATE TABLE tasks (
  id uuid NOT NULL PRIMARY KEY,
  code text NOT NULL CHECK (code IN ('callback', 'interrupted', 'unseen', 'deferred', 'promises', 'things')),
  status text NOT NULL CHECK (status IN ('requested', 'accepted', 'in-progress', 'completed', 'cancelled')),
  organization_id uuid NOT NULL REFERENCES organizations (id),
  -- The visit that it is about; NULL: it is about several.
  patient_id uuid REFERENCES patients (id),
  practitioner_id uuid REFERENCES practitioners (id),
  encounter_id uuid REFERENCES encounters (id),
  -- Who answers for it; NULL: the clinic's office.
  owner_id uuid REFERENCES accounts (id),
  why text NOT NULL CHECK (why IN ('no_answer', 'no_telephone', 'interrupted', 'door_closed', 'deferred', 'law', 'zone', 'out_of_use')),
  -- How often the person was called and not reached.
  attempts integer NOT NULL CHECK (attempts >= 0),
  outcome text CHECK (outcome IN ('reached', 'moved', 'deferred')),
  due_at timestamptz NOT NULL,
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL,
  CHECK ((status = 'completed') = (outcome IS NOT NULL)),
  CHECK (status NOT IN ('accepted', 'in-progress', 'completed') OR owner_id IS NOT NULL),
  CHECK ((code = 'promises') = (why IN ('law', 'zone')) AND (code = 'things') = (why = 'out_of_use')),
  CHECK ((code IN ('promises', 'things')) = (encounter_id IS NULL) AND (encounter_id IS NULL) = (patient_id IS NULL)
    AND (encounter_id IS NULL) = (practitioner_id IS NULL))
);
CREATE UNIQUE INDEX tasks_one_open ON tasks (encounter_id, code)
  WHERE status IN ('requested', 'accepted', 'in-progress');
CREATE UNIQUE INDEX tasks_one_of_clinic ON tasks (organization_id, code)
  WHERE encounter_id IS NULL AND status IN ('requested', 'accepted', 'in-progress');
CREATE INDEX tasks_by_organization ON tasks (organization_id, status, due_at, id);
CREATE INDEX tasks_by_practitioner ON tasks (practitioner_id, status, due_at, id);

-- Somebody is rung who is not in the room.
CREATE TABLE rings (
  id uuid NOT NULL PRIMARY KEY,
  encounter_id uuid NOT NULL REFERENCES encounters (id),
  participant_id uuid NOT NULL REFERENCES encounter_participants (id),
  rung_by uuid NOT NULL REFERENCES accounts (id),
  state text NOT NULL CHECK (state IN ('ringing', 'answered', 'no_answer', 'called_back', 'gone')),
  attempt integer NOT NULL CHECK (attempt IN (1, 2)),
  rung_at timestamptz NOT NULL,
  -- When the next step is due; NULL: none is.
  due_at timestamptz,
  -- When a text was put into the outbox.
  told_at timestamptz,
  ended_at timestamptz,
  task_id uuid REFERENCES tasks (id),
  CHECK (state <> 'ringing' OR due_at IS NOT NULL),
  CHECK (state IN ('ringing', 'no_answer') OR due_at IS NULL),
  CHECK ((state IN ('answered', 'called_back', 'gone')) = (ended_at IS NOT NULL))
);
CREATE UNIQUE INDEX rings_one ON rings (participant_id) WHERE state = 'ringing';
CREATE INDEX rings_due ON rings (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX rings_by_encounter ON rings (encounter_id, rung_at);

-- What can be consented to; the highest version of a kind is the one that counts.
CREATE TABLE consent_forms (
  kind text NOT NULL CHECK (kind IN ('telehealth', 'recording', 'third_party', 'trainee')),
  version integer NOT NULL CHECK (version > 0),
  PRIMARY KEY (kind, version)
);
INSERT INTO consent_forms (kind, version) VALUES
  ('telehealth', 1), ('recording', 1), ('third_party', 1), ('trainee', 1);

-- What somebody has consented to: nothing but the withdrawal is ever added.
CREATE TABLE consents (
  id uuid NOT NULL PRIMARY KEY,
  kind text NOT NULL,
  form_version integer NOT NULL,
  language text NOT NULL CHECK (language IN ('en', 'ru')),
  organization_id uuid NOT NULL REFERENCES organizations (id),
  patient_id uuid NOT NULL REFERENCES patients (id),
  -- NULL: all visits of the patient.
  encounter_id uuid REFERENCES encounters (id),
  -- Whose it is; NULL: the patient's, who has no account.
  person_id uuid REFERENCES accounts (id),
  given_by text NOT NULL CHECK (given_by IN ('self', 'relative', 'guardian')),
  relationship text CHECK (relationship IN ('parent', 'spouse', 'child', 'sibling', 'grandparent', 'guardian', 'other')),
  recorded_by uuid NOT NULL REFERENCES accounts (id),
  given_at timestamptz NOT NULL,
  withdrawn_at timestamptz,
  withdrawn_by uuid REFERENCES accounts (id),
  FOREIGN KEY (kind, form_version) REFERENCES consent_forms (kind, version),
  CHECK ((given_by = 'self') = (relationship IS NULL)),
  CHECK ((withdrawn_at IS NULL) = (withdrawn_by IS NULL)),
  CHECK (withdrawn_at >= given_at),
  CHECK (kind <> 'recording' OR (encounter_id IS NOT NULL AND person_id IS NOT NULL))
);
CREATE UNIQUE INDEX consents_one ON consents (encounter_id, person_id, kind, form_version)
  WHERE withdrawn_at IS NULL;
CREATE UNIQUE INDEX consents_standing_one ON consents (patient_id, kind, form_version)
  WHERE encounter_id IS NULL AND withdrawn_at IS NULL;
CREATE INDEX consents_by_encounter ON consents (encounter_id, given_at, id);
CREATE INDEX consents_by_patient ON consents (patient_id, given_at, id);

-- Recordings of a visit. None are made yet; the guards below are there before the first.
CREATE TABLE recordings (
  id uuid NOT NULL PRIMARY KEY,
  encounter_id uuid NOT NULL REFERENCES encounters (id),
  started_by uuid NOT NULL REFERENCES accounts (id),
  started_at timestamptz NOT NULL,
  ended_at timestamptz
);
CREATE INDEX recordings_by_encounter ON recordings (encounter_id, started_at);

-- What is written between whoever waits, the practitioner and the office; sealed with the patient's key.
CREATE TABLE chat_messages (
  id uuid NOT NULL PRIMARY KEY,
  encounter_id uuid NOT NULL REFERENCES encounters (id),
  organization_id uuid NOT NULL REFERENCES organizations (id),
  seq integer NOT NULL CHECK (seq BETWEEN 1 AND 200),
  audience text NOT NULL CHECK (audience IN ('practitioner', 'office')),
  side text NOT NULL CHECK (side IN ('patient', 'practitioner', 'office')),
  author_id uuid NOT NULL REFERENCES accounts (id),
  text_sealed bytea NOT NULL,
  created_at timestamptz NOT NULL,
  UNIQUE (encounter_id, seq),
  CHECK (side <> 'office' OR audience = 'office')
);
CREATE INDEX chat_messages_by_organization ON chat_messages (organization_id, audience, created_at);
-- The record of a call: what happened, and how each connection was for each side, minute by minute.
CREATE TABLE call_marks (
  id uuid NOT NULL PRIMARY KEY,
  encounter_id uuid NOT NULL REFERENCES encounters (id),
  at timestamptz NOT NULL,
  kind text NOT NULL
    CHECK (kind IN ('device', 'checking', 'ready', 'away', 'admitted', 'held', 'denied', 'silent', 'back', 'begun', 'up', 'path', 'rung', 'restart', 'rebuilt', 'ended')),
  participant_id uuid REFERENCES encounter_participants (id),
  peer_id uuid REFERENCES encounter_participants (id),
  edge text CHECK (length(edge) BETWEEN 1 AND 32),
  rung text CHECK (rung IN ('phone', 'text', 'audio', 'audio_stills', 'small_video', 'video')),
  why text
    CHECK (why IN ('begun', 'probed', 'loss', 'rtt', 'bitrate', 'asked', 'data_saver', 'recovered', 'no_media', 'left', 'lost', 'signed_out', 'finished', 'time_over', 'denied', 'removed', 'held', 'replaced', 'plan')),
  way text
    CHECK (way IN ('host/udp', 'host/tcp', 'srflx/udp', 'srflx/tcp', 'prflx/udp', 'prflx/tcp', 'relay/udp', 'relay/tcp', 'relay/tls', 'other')),
  browser text CHECK (browser IN ('chromium', 'firefox', 'safari', 'other')),
  form text CHECK (form IN ('phone', 'tablet', 'desktop', 'other')),
  CHECK (edge IS NOT NULL OR participant_id IS NOT NULL),
  CHECK (kind <> 'rung' OR (rung IS NOT NULL AND why IS NOT NULL)),
  CHECK (kind <> 'ended' OR (edge IS NOT NULL AND why IS NOT NULL))
);
CREATE INDEX call_marks_by_encounter ON call_marks (encounter_id, at, id);

-- Losses are hundredths of a per cent, opinion scores hundredths. Kept for 90 days.
CREATE TABLE call_minutes (
  id uuid NOT NULL PRIMARY KEY,
  encounter_id uuid NOT NULL REFERENCES encounters (id),
  edge text NOT NULL CHECK (length(edge) BETWEEN 1 AND 32),
  participant_id uuid NOT NULL REFERENCES encounter_participants (id),
  at timestamptz NOT NULL,
  reports integer NOT NULL CHECK (reports BETWEEN 1 AND 60),
  rtt_p50 integer NOT NULL,
  rtt_p95 integer NOT NULL,
  loss_p50 integer NOT NULL,
  loss_p95 integer NOT NULL CHECK (loss_p95 BETWEEN 0 AND 10000),
  bitrate_p50 integer NOT NULL,
  bitrate_p5 integer NOT NULL,
  mos_p50 integer NOT NULL,
  mos_p5 integer NOT NULL,
  sent bigint NOT NULL CHECK (sent >= 0),
  received bigint NOT NULL CHECK (received >= 0),
  UNIQUE (encounter_id, edge, participant_id, at),
  CHECK (rtt_p50 BETWEEN 0 AND rtt_p95),
  CHECK (bitrate_p5 BETWEEN 0 AND bitrate_p50)
);
CREATE INDEX call_minutes_by_time ON call_minutes (at);

-- Records. Bodies are sealed with the patient's key.
CREATE TABLE notes (
  id uuid NOT NULL PRIMARY KEY,
  encounter_id uuid NOT NULL REFERENCES encounters (id),
  patient_id uuid NOT NULL REFERENCES patients (id),
  organization_id uuid NOT NULL REFERENCES organizations (id),
  author_id uuid NOT NULL REFERENCES practitioners (id),
  status text NOT NULL CHECK (status IN ('draft', 'signed')),
  version integer NOT NULL,
  body_sealed bytea NOT NULL,
  content_hash bytea,
  signature bytea,
  signature_kid text,
  signed_at timestamptz,
  signer_id uuid REFERENCES practitioners (id),
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL,
  CHECK ((status = 'signed') = (signed_at IS NOT NULL AND signer_id IS NOT NULL AND content_hash IS NOT NULL AND signature IS NOT NULL))
);
CREATE INDEX notes_by_patient ON notes (patient_id, created_at, id);
CREATE INDEX notes_by_encounter ON notes (encounter_id, created_at, id);
CREATE UNIQUE INDEX notes_one_draft ON notes (encounter_id, author_id) WHERE status = 'draft';

CREATE TABLE note_addenda (
  id uuid NOT NULL PRIMARY KEY,
  note_id uuid NOT NULL REFERENCES notes (id),
  author_id uuid NOT NULL REFERENCES practitioners (id),
  text_sealed bytea NOT NULL,
  created_at timestamptz NOT NULL
);
CREATE INDEX note_addenda_by_note ON note_addenda (note_id, created_at, id);

-- Audit: hash chains; audit_heads holds the end of each, so a cut tail shows.
CREATE TABLE audit_heads (
  chain integer PRIMARY KEY,
  seq bigint NOT NULL,
  hash bytea NOT NULL
);
CREATE TABLE audit_events (
  chain integer NOT NULL,
  seq bigint NOT NULL,
  at timestamptz NOT NULL,
  actor_id uuid,
  session_id uuid,
  action text NOT NULL,
  object_kind text NOT NULL,
  object_id uuid,
  patient_id uuid,
  organization_id uuid,
  outcome text NOT NULL CHECK (outcome IN ('done', 'refused')),
  hash bytea NOT NULL,
  PRIMARY KEY (chain, seq)
);
CREATE INDEX audit_events_by_patient ON audit_events (patient_id, at);

-- The answer of a request that must have one effect, however often it is sent.
CREATE TABLE idempotency_keys (
  principal uuid NOT NULL,
  route text NOT NULL,
  key text NOT NULL,
  fingerprint bytea NOT NULL,
  status integer NOT NULL,
  answer_sealed bytea,
  expires_at timestamptz NOT NULL,
  PRIMARY KEY (principal, route, key)
);
CREATE INDEX idempotency_keys_by_expiry ON idempotency_keys (expires_at);

CREATE TABLE outbox_messages (
  id uuid NOT NULL PRIMARY KEY,
  channel text NOT NULL CHECK (channel IN ('sms')),
  dedupe_key text NOT NULL UNIQUE,
  payload_sealed bytea NOT NULL,
  state text NOT NULL CHECK (state IN ('pending', 'sent', 'failed')),
  attempts integer NOT NULL,
  due_at timestamptz NOT NULL,
  expires_at timestamptz NOT NULL,
  created_at timestamptz NOT NULL,
  sent_at timestamptz
);
CREATE INDEX outbox_messages_due ON outbox_messages (state, due_at);

-- Small facts about this database (the seal's check value, the demo's seed).
CREATE TABLE settings (
  name text PRIMARY KEY,
  value bytea NOT NULL
);

-- What working time in memory depends on: each change of it gives it another mark, in its own
-- transaction. A mark never comes back, not even with a backup.
CREATE TABLE schedule_revisions (
  id integer NOT NULL PRIMARY KEY CHECK (id = 1),
  revision uuid NOT NULL
);
INSERT INTO schedule_revisions (id, revision) VALUES (1, gen_random_uuid());
CREATE FUNCTION schedule_revised() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  UPDATE schedule_revisions SET revision = gen_random_uuid();
  RETURN NULL;
END $$;
CREATE TRIGGER schedule_rules_revised AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON schedule_rules EXECUTE FUNCTION schedule_revised();
CREATE TRIGGER extra_hours_revised AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON extra_hours EXECUTE FUNCTION schedule_revised();
CREATE TRIGGER closures_revised AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON closures EXECUTE FUNCTION schedule_revised();
CREATE TRIGGER absences_revised AFTER INSERT OR UPDATE OF practitioner_id, starts_at, ends_at OR DELETE OR TRUNCATE ON absences EXECUTE FUNCTION schedule_revised();
CREATE TRIGGER external_busy_revised AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON external_busy EXECUTE FUNCTION schedule_revised();
CREATE TRIGGER practitioners_revised AFTER UPDATE OF organization_id, time_zone ON practitioners EXECUTE FUNCTION schedule_revised();
CREATE TRIGGER healthcare_services_revised AFTER UPDATE OF duration_minutes, align_minutes ON healthcare_services EXECUTE FUNCTION schedule_revised();

INSERT INTO audit_heads (chain, seq, hash) VALUES
  (0, 0, decode(repeat('00', 32), 'hex')),
  (1, 0, decode(repeat('00', 32), 'hex')),
  (2, 0, decode(repeat('00', 32), 'hex')),
  (3, 0, decode(repeat('00', 32), 'hex')),
  (4, 0, decode(repeat('00', 32), 'hex')),
  (5, 0, decode(repeat('00', 32), 'hex')),
  (6, 0, decode(repeat('00', 32), 'hex')),
  (7, 0, decode(repeat('00', 32), 'hex')),
  (8, 0, decode(repeat('00', 32), 'hex')),
  (9, 0, decode(repeat('00', 32), 'hex')),
  (10, 0, decode(repeat('00', 32), 'hex')),
  (11, 0, decode(repeat('00', 32), 'hex')),
  (12, 0, decode(repeat('00', 32), 'hex')),
  (13, 0, decode(repeat('00', 32), 'hex')),
  (14, 0, decode(repeat('00', 32), 'hex')),
  (15, 0, decode(repeat('00', 32), 'hex'));

-- Guards: what must hold even against our own mistakes. (No overlap: the exclusion constraint above.)

-- Refuses with the name that the trigger passes, as the SQLite twin does.
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION USING MESSAGE = TG_ARGV[0], ERRCODE = 'FD001';
END $$;

CREATE TRIGGER occupancies_kept BEFORE DELETE ON occupancies FOR EACH ROW EXECUTE FUNCTION refuse('occupancy_kept');

-- What a visit holds is put down before the visit itself, and nothing is added later.
CREATE FUNCTION occupancies_come_first() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF EXISTS (SELECT 1 FROM appointments WHERE id = NEW.appointment_id) THEN
    RAISE EXCEPTION USING MESSAGE = 'occupancy_kept', ERRCODE = 'FD001';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER occupancies_come_first BEFORE INSERT ON occupancies FOR EACH ROW EXECUTE FUNCTION occupancies_come_first();

-- An appointment is live exactly while its occupancies are: its practitioner, in the lanes of its
-- priority and with the buffers, its patient, and as many others as it says.
CREATE FUNCTION appointments_occupied() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF (SELECT count(*) FILTER (WHERE resource_kind = 'patient') <> 1
      OR count(*) FILTER (WHERE resource_kind = 'practitioner') <> 1 + (NEW.priority <> 'routine')::integer
      OR count(*) <> 2 + (NEW.priority <> 'routine')::integer + NEW.resources
      OR count(*) <> count(*) FILTER (WHERE live = (NEW.status IN ('proposed', 'pending', 'booked', 'arrived', 'fulfilled'))
        AND CASE resource_kind
          WHEN 'practitioner' THEN resource_id = NEW.practitioner_id
            AND starts_at = NEW.busy_from AND ends_at = NEW.busy_to
            AND (NEW.priority <> 'routine' OR lane = NEW.overbooked::integer)
          WHEN 'patient' THEN resource_id = NEW.patient_id
            AND starts_at = NEW.starts_at AND ends_at = NEW.ends_at
          ELSE starts_at = NEW.starts_at AND ends_at = NEW.ends_at END)
      FROM occupancies WHERE appointment_id = NEW.id) THEN
    RAISE EXCEPTION USING MESSAGE = 'occupancy_missing', ERRCODE = 'FD001';
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER appointments_occupied AFTER INSERT ON appointments FOR EACH ROW EXECUTE FUNCTION appointments_occupied();

-- The practitioner first, then the others, as booking takes them: nobody waits in a circle.
CREATE FUNCTION appointments_follow() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  UPDATE occupancies SET starts_at = NEW.busy_from, ends_at = NEW.busy_to,
    resource_id = NEW.practitioner_id, live = (NEW.status IN ('proposed', 'pending', 'booked', 'arrived', 'fulfilled')),
    lane = CASE WHEN NEW.priority = 'routine' THEN NEW.overbooked::integer ELSE lane END
  WHERE appointment_id = NEW.id AND resource_kind = 'practitioner';
  UPDATE occupancies SET starts_at = NEW.starts_at, ends_at = NEW.ends_at,
    resource_id = NEW.patient_id, live = (NEW.status IN ('proposed', 'pending', 'booked', 'arrived', 'fulfilled'))
  WHERE appointment_id = NEW.id AND resource_kind = 'patient';
  IF NEW.resources > 0 THEN
    UPDATE occupancies SET starts_at = NEW.starts_at, ends_at = NEW.ends_at,
      live = (NEW.status IN ('proposed', 'pending', 'booked', 'arrived', 'fulfilled'))
    WHERE appointment_id = NEW.id AND resource_kind NOT IN ('practitioner', 'patient');
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER appointments_follow
  AFTER UPDATE OF status, starts_at, ends_at, busy_from, busy_to, practitioner_id, patient_id, overbooked
  ON appointments FOR EACH ROW EXECUTE FUNCTION appointments_follow();
CREATE FUNCTION occupancies_follow_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NOT EXISTS (SELECT 1 FROM appointments a WHERE a.id = NEW.appointment_id
      AND NEW.live = (a.status IN ('proposed', 'pending', 'booked', 'arrived', 'fulfilled'))
      AND CASE NEW.resource_kind
        WHEN 'practitioner' THEN NEW.resource_id = a.practitioner_id
          AND NEW.starts_at = a.busy_from AND NEW.ends_at = a.busy_to
          AND (a.priority <> 'routine' OR NEW.lane = a.overbooked::integer)
        WHEN 'patient' THEN NEW.resource_id = a.patient_id
          AND NEW.starts_at = a.starts_at AND NEW.ends_at = a.ends_at
        ELSE NEW.starts_at = a.starts_at AND NEW.ends_at = a.ends_at END) THEN
    RAISE EXCEPTION USING MESSAGE = 'occupancy_kept', ERRCODE = 'FD001';
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER occupancies_follow_only AFTER UPDATE ON occupancies FOR EACH ROW EXECUTE FUNCTION occupancies_follow_only();
CREATE TRIGGER occupancies_in_place BEFORE UPDATE ON occupancies FOR EACH ROW
  WHEN ((NEW.appointment_id, NEW.resource_kind) IS DISTINCT FROM (OLD.appointment_id, OLD.resource_kind)
    OR (NEW.lane <> OLD.lane AND OLD.resource_kind <> 'practitioner'))
  EXECUTE FUNCTION refuse('occupancy_kept');
CREATE TRIGGER appointments_in_place BEFORE UPDATE ON appointments FOR EACH ROW
  WHEN ((NEW.id, NEW.code, NEW.created_by, NEW.created_at, NEW.priority, NEW.resources, NEW.series_id, NEW.follows_id)
    IS DISTINCT FROM
    (OLD.id, OLD.code, OLD.created_by, OLD.created_at, OLD.priority, OLD.resources, OLD.series_id, OLD.follows_id))
  EXECUTE FUNCTION refuse('appointment_kept');
-- What has ended stays so; only that somebody did not come can have been a mistake, or that the
-- practitioner is away, or that the visit took place, as long as no note says so over a signature.
CREATE TRIGGER appointments_ended BEFORE UPDATE OF status ON appointments FOR EACH ROW
  WHEN (OLD.status IN ('fulfilled', 'cancelled', 'noshow') AND NEW.status <> OLD.status
    AND NOT (OLD.status = 'noshow' AND NEW.status = 'booked')
    AND NOT (OLD.status = 'fulfilled' AND NEW.status IN ('arrived', 'booked'))
    AND NOT (OLD.status = 'cancelled' AND NEW.status = 'booked'
      AND (OLD.cancellation_code = 'leave' OR coalesce(OLD.cancelled_from, '') IN ('booked', 'arrived'))))
  EXECUTE FUNCTION refuse('appointment_over');
CREATE FUNCTION appointments_reopened() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF EXISTS (SELECT 1 FROM notes n JOIN encounters e ON e.id = n.encounter_id
      WHERE e.appointment_id = NEW.id AND n.status = 'signed') THEN
    RAISE EXCEPTION USING MESSAGE = 'appointment_over', ERRCODE = 'FD001';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER appointments_reopened BEFORE UPDATE OF status ON appointments FOR EACH ROW
  WHEN (OLD.status = 'fulfilled' AND NEW.status IN ('arrived', 'booked'))
  EXECUTE FUNCTION appointments_reopened();
CREATE TRIGGER appointments_kept BEFORE DELETE ON appointments FOR EACH ROW EXECUTE FUNCTION refuse('appointment_kept');
CREATE TRIGGER appointment_moves_frozen BEFORE UPDATE ON appointment_moves FOR EACH ROW EXECUTE FUNCTION refuse('move_kept');
CREATE TRIGGER appointment_moves_kept BEFORE DELETE ON appointment_moves FOR EACH ROW EXECUTE FUNCTION refuse('move_kept');

-- An absence is complete only while each of its visits has an outcome, also of those in which the
-- one who is away only helps: one that still lies in it has been offered other times. What says so
-- is not taken away as long as that holds.
CREATE FUNCTION absences_complete() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF EXISTS (SELECT 1 FROM occupancies o JOIN appointments a ON a.id = o.appointment_id
      WHERE o.resource_id = NEW.practitioner_id AND o.lane IN (0, 1) AND o.live
        AND o.starts_at > NEW.starts_at - interval '12 hours' AND o.starts_at < NEW.ends_at
        AND a.status IN ('booked', 'arrived') AND a.starts_at < NEW.ends_at AND a.ends_at > NEW.starts_at
        AND NOT EXISTS (SELECT 1 FROM absence_outcomes d WHERE d.absence_id = NEW.id
          AND d.appointment_id = a.id AND d.outcome = 'offered')) THEN
    RAISE EXCEPTION USING MESSAGE = 'visits_open', ERRCODE = 'FD001';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER absences_complete BEFORE INSERT OR UPDATE ON absences FOR EACH ROW
  WHEN (NEW.status = 'complete') EXECUTE FUNCTION absences_complete();
CREATE FUNCTION absence_outcomes_first() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF (SELECT status FROM absences WHERE id = NEW.absence_id) = 'complete' THEN
    RAISE EXCEPTION USING MESSAGE = 'visits_open', ERRCODE = 'FD001';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER absence_outcomes_first BEFORE INSERT ON absence_outcomes FOR EACH ROW EXECUTE FUNCTION absence_outcomes_first();
CREATE FUNCTION absence_outcomes_kept() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF EXISTS (SELECT 1 FROM absences b JOIN occupancies o ON o.resource_id = b.practitioner_id
      JOIN appointments a ON a.id = o.appointment_id
      WHERE a.id = OLD.appointment_id AND b.id = OLD.absence_id AND o.live AND b.status = 'complete'
        AND a.status IN ('booked', 'arrived') AND a.starts_at < b.ends_at AND a.ends_at > b.starts_at) THEN
    RAISE EXCEPTION USING MESSAGE = 'visits_open', ERRCODE = 'FD001';
  END IF;
  RETURN CASE TG_OP WHEN 'DELETE' THEN OLD ELSE NEW END;
END $$;
CREATE TRIGGER absence_outcomes_kept BEFORE UPDATE OR DELETE ON absence_outcomes FOR EACH ROW EXECUTE FUNCTION absence_outcomes_kept();
CREATE TRIGGER absence_outcomes_not_truncated BEFORE TRUNCATE ON absence_outcomes EXECUTE FUNCTION refuse('visits_open');

-- A wish that has ended stays so, whose it is never changes, and it is offered exactly while an
-- offer stands. An offer stands on a held time of its patient, and its answer is the last word.
CREATE FUNCTION waitlist_entries_agree() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF (NEW.status = 'offered') <> EXISTS (
      SELECT 1 FROM waitlist_offers WHERE entry_id = NEW.id AND status = 'standing') THEN
    RAISE EXCEPTION USING MESSAGE = 'waitlist_offer', ERRCODE = 'FD001';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER waitlist_entries_agree BEFORE INSERT OR UPDATE OF status ON waitlist_entries FOR EACH ROW
  EXECUTE FUNCTION waitlist_entries_agree();
CREATE TRIGGER waitlist_entries_ended BEFORE UPDATE ON waitlist_entries FOR EACH ROW
  WHEN (OLD.status IN ('booked', 'withdrawn', 'expired')
    OR (NEW.id, NEW.code, NEW.patient_id, NEW.service_id, NEW.organization_id, NEW.created_by, NEW.created_at)
    IS DISTINCT FROM (OLD.id, OLD.code, OLD.patient_id, OLD.service_id, OLD.organization_id, OLD.created_by, OLD.created_at))
  EXECUTE FUNCTION refuse('waitlist_kept');
CREATE TRIGGER waitlist_entries_kept BEFORE DELETE ON waitlist_entries FOR EACH ROW EXECUTE FUNCTION refuse('waitlist_kept');
CREATE FUNCTION waitlist_offers_held() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NOT EXISTS (SELECT 1 FROM waitlist_entries e JOIN appointments a ON a.patient_id = e.patient_id
      WHERE e.id = NEW.entry_id AND e.status = 'waiting' AND a.id = NEW.held_id AND a.status = 'pending'
        AND a.practitioner_id = NEW.practitioner_id AND a.starts_at = NEW.starts_at
        AND a.service_id = e.service_id) THEN
    RAISE EXCEPTION USING MESSAGE = 'waitlist_offer', ERRCODE = 'FD001';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER waitlist_offers_held BEFORE INSERT ON waitlist_offers FOR EACH ROW EXECUTE FUNCTION waitlist_offers_held();
CREATE TRIGGER waitlist_offers_answered BEFORE UPDATE ON waitlist_offers FOR EACH ROW
  WHEN (OLD.status <> 'standing' OR (NEW.id, NEW.entry_id, NEW.held_id, NEW.practitioner_id, NEW.starts_at, NEW.offered_at, NEW.expires_at)
    IS DISTINCT FROM (OLD.id, OLD.entry_id, OLD.held_id, OLD.practitioner_id, OLD.starts_at, OLD.offered_at, OLD.expires_at))
  EXECUTE FUNCTION refuse('waitlist_kept');
CREATE TRIGGER waitlist_offers_kept BEFORE DELETE ON waitlist_offers FOR EACH ROW EXECUTE FUNCTION refuse('waitlist_kept');
CREATE TRIGGER waitlist_entries_not_truncated BEFORE TRUNCATE ON waitlist_entries EXECUTE FUNCTION refuse('waitlist_kept');
CREATE TRIGGER waitlist_offers_not_truncated BEFORE TRUNCATE ON waitlist_offers EXECUTE FUNCTION refuse('waitlist_kept');

-- Only an open encounter changes its status, or one whose appointment is booked, or goes on, again.
CREATE FUNCTION encounters_ended() RETURNS trigger LANGUAGE plpgsql AS $$
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
CREATE TRIGGER encounters_ended BEFORE UPDATE OF status, outcome ON encounters FOR EACH ROW
  WHEN (OLD.status IN ('finished', 'cancelled')) EXECUTE FUNCTION encounters_ended();

-- A signed note never changes; no note, addendum or audit row is ever removed.
CREATE TRIGGER notes_signed BEFORE UPDATE ON notes FOR EACH ROW WHEN (OLD.status = 'signed')
  EXECUTE FUNCTION refuse('note_signed');
-- Nor is one signed of a visit whose patient is still expected, or did not come.
CREATE FUNCTION notes_of_what_took_place() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF (SELECT status FROM encounters WHERE id = NEW.encounter_id) IN ('planned', 'cancelled') THEN
    RAISE EXCEPTION USING MESSAGE = 'note_early', ERRCODE = 'FD001';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER notes_of_what_took_place BEFORE UPDATE OF status ON notes FOR EACH ROW
  WHEN (NEW.status = 'signed') EXECUTE FUNCTION notes_of_what_took_place();
CREATE TRIGGER notes_in_place BEFORE UPDATE ON notes FOR EACH ROW
  WHEN ((NEW.id, NEW.encounter_id, NEW.patient_id, NEW.organization_id, NEW.author_id, NEW.created_at)
    IS DISTINCT FROM (OLD.id, OLD.encounter_id, OLD.patient_id, OLD.organization_id, OLD.author_id, OLD.created_at))
  EXECUTE FUNCTION refuse('note_kept');
CREATE TRIGGER notes_kept BEFORE DELETE ON notes FOR EACH ROW EXECUTE FUNCTION refuse('note_kept');
CREATE TRIGGER note_addenda_frozen BEFORE UPDATE ON note_addenda FOR EACH ROW EXECUTE FUNCTION refuse('note_signed');
CREATE TRIGGER note_addenda_kept BEFORE DELETE ON note_addenda FOR EACH ROW EXECUTE FUNCTION refuse('note_kept');
CREATE FUNCTION note_addenda_after_signature() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF (SELECT status FROM notes WHERE id = NEW.note_id) <> 'signed' THEN
    RAISE EXCEPTION USING MESSAGE = 'note_unsigned', ERRCODE = 'FD001';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER note_addenda_after_signature BEFORE INSERT ON note_addenda FOR EACH ROW EXECUTE FUNCTION note_addenda_after_signature();
CREATE TRIGGER audit_events_frozen BEFORE UPDATE ON audit_events FOR EACH ROW EXECUTE FUNCTION refuse('audit_append_only');
CREATE TRIGGER audit_events_kept BEFORE DELETE ON audit_events FOR EACH ROW EXECUTE FUNCTION refuse('audit_append_only');
CREATE FUNCTION audit_events_in_order() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.seq <> coalesce((SELECT max(seq) FROM audit_events WHERE chain = NEW.chain), 0) + 1 THEN
    RAISE EXCEPTION USING MESSAGE = 'audit_append_only', ERRCODE = 'FD001';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER audit_events_in_order BEFORE INSERT ON audit_events FOR EACH ROW EXECUTE FUNCTION audit_events_in_order();
-- TRUNCATE goes past row triggers.
CREATE TRIGGER notes_not_truncated BEFORE TRUNCATE ON notes EXECUTE FUNCTION refuse('note_kept');
CREATE TRIGGER note_addenda_not_truncated BEFORE TRUNCATE ON note_addenda EXECUTE FUNCTION refuse('note_kept');
CREATE TRIGGER audit_events_not_truncated BEFORE TRUNCATE ON audit_events EXECUTE FUNCTION refuse('audit_append_only');
-- Where ordinary triggers sleep (session_replication_role = replica), these are awake.
ALTER TABLE notes ENABLE ALWAYS TRIGGER notes_signed;
ALTER TABLE notes ENABLE ALWAYS TRIGGER notes_kept;
ALTER TABLE notes ENABLE ALWAYS TRIGGER notes_not_truncated;
ALTER TABLE note_addenda ENABLE ALWAYS TRIGGER note_addenda_frozen;
ALTER TABLE note_addenda ENABLE ALWAYS TRIGGER note_addenda_kept;
ALTER TABLE note_addenda ENABLE ALWAYS TRIGGER note_addenda_not_truncated;
ALTER TABLE audit_events ENABLE ALWAYS TRIGGER audit_events_frozen;
ALTER TABLE audit_events ENABLE ALWAYS TRIGGER audit_events_kept;
ALTER TABLE audit_events ENABLE ALWAYS TRIGGER audit_events_not_truncated;
CREATE TRIGGER occupancies_not_truncated BEFORE TRUNCATE ON occupancies EXECUTE FUNCTION refuse('occupancy_kept');
CREATE TRIGGER appointments_not_truncated BEFORE TRUNCATE ON appointments EXECUTE FUNCTION refuse('appointment_kept');
CREATE TRIGGER appointment_moves_not_truncated BEFORE TRUNCATE ON appointment_moves EXECUTE FUNCTION refuse('move_kept');

-- Nobody is forgotten by a change of what has ended.
CREATE TRIGGER tasks_ended BEFORE UPDATE ON tasks FOR EACH ROW WHEN (OLD.status IN ('completed', 'cancelled')
    OR (NEW.id, NEW.code, NEW.organization_id, NEW.patient_id, NEW.encounter_id, NEW.created_at)
    IS DISTINCT FROM (OLD.id, OLD.code, OLD.organization_id, OLD.patient_id, OLD.encounter_id, OLD.created_at))
  EXECUTE FUNCTION refuse('task_kept');
CREATE TRIGGER tasks_kept BEFORE DELETE ON tasks FOR EACH ROW EXECUTE FUNCTION refuse('task_kept');
CREATE TRIGGER rings_ended BEFORE UPDATE ON rings FOR EACH ROW WHEN (OLD.state IN ('answered', 'called_back', 'gone')
    OR (NEW.id, NEW.encounter_id, NEW.participant_id, NEW.rung_by, NEW.rung_at)
    IS DISTINCT FROM (OLD.id, OLD.encounter_id, OLD.participant_id, OLD.rung_by, OLD.rung_at))
  EXECUTE FUNCTION refuse('ring_kept');

-- A consent is added and withdrawn once; it never changes otherwise.
CREATE TRIGGER consents_kept BEFORE UPDATE ON consents FOR EACH ROW
  WHEN (OLD.withdrawn_at IS NOT NULL OR NEW.withdrawn_at IS NULL
    OR (NEW.id, NEW.kind, NEW.form_version, NEW.language, NEW.organization_id, NEW.patient_id, NEW.encounter_id,
      NEW.person_id, NEW.given_by, NEW.relationship, NEW.recorded_by, NEW.given_at)
    IS DISTINCT FROM (OLD.id, OLD.kind, OLD.form_version, OLD.language, OLD.organization_id, OLD.patient_id,
      OLD.encounter_id, OLD.person_id, OLD.given_by, OLD.relationship, OLD.recorded_by, OLD.given_at))
  EXECUTE FUNCTION refuse('consent_kept');
CREATE TRIGGER consents_not_removed BEFORE DELETE ON consents FOR EACH ROW EXECUTE FUNCTION refuse('consent_kept');
CREATE TRIGGER consents_not_truncated BEFORE TRUNCATE ON consents EXECUTE FUNCTION refuse('consent_kept');
CREATE TRIGGER consent_forms_frozen BEFORE UPDATE ON consent_forms FOR EACH ROW EXECUTE FUNCTION refuse('consent_kept');
CREATE TRIGGER consent_forms_kept BEFORE DELETE ON consent_forms FOR EACH ROW EXECUTE FUNCTION refuse('consent_kept');

-- Nobody is recorded who has not consented: a recording begins when everybody who is there has, and
-- ends with the first who comes without a consent or withdraws it. Whoever is neither only invited
-- nor gone is there, and so is whoever sits at the device of one who is; a patient who has no part of
-- their own, and so cannot consent, is not recorded. Both sides wait for the visit's row, so that neither overlooks the other.
CREATE FUNCTION recording_allowed(visit uuid) RETURNS boolean LANGUAGE sql AS $$
  SELECT EXISTS (SELECT 1 FROM encounter_participants p WHERE p.encounter_id = visit
      AND p.state NOT IN ('invited', 'left', 'denied', 'removed'))
    AND EXISTS (SELECT 1 FROM encounter_participants p WHERE p.encounter_id = visit AND p.role = 'patient')
    AND NOT EXISTS (SELECT 1 FROM encounter_participants p WHERE p.encounter_id = visit
      AND (p.state NOT IN ('invited', 'left', 'denied', 'removed') OR (p.state = 'invited' AND EXISTS
        (SELECT 1 FROM encounter_participants host WHERE host.id = p.sits_with_id AND host.state NOT IN ('invited', 'left', 'denied', 'removed'))))
      AND NOT EXISTS (SELECT 1 FROM consents c WHERE c.encounter_id = visit AND c.person_id = p.account_id
        AND c.kind = 'recording' AND c.withdrawn_at IS NULL
        AND c.form_version = (SELECT max(f.version) FROM consent_forms f WHERE f.kind = 'recording')))
$$;
CREATE FUNCTION recordings_consented() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM 1 FROM encounters WHERE id = NEW.encounter_id FOR NO KEY UPDATE;
  IF NOT recording_allowed(NEW.encounter_id) THEN
    RAISE EXCEPTION USING MESSAGE = 'consent_missing', ERRCODE = 'FD001';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER recordings_consented BEFORE INSERT ON recordings FOR EACH ROW EXECUTE FUNCTION recordings_consented();
CREATE TRIGGER recordings_in_place BEFORE UPDATE ON recordings FOR EACH ROW
  WHEN (OLD.ended_at IS NOT NULL OR NEW.ended_at IS NULL OR (NEW.id, NEW.encounter_id, NEW.started_by, NEW.started_at)
    IS DISTINCT FROM (OLD.id, OLD.encounter_id, OLD.started_by, OLD.started_at))
  EXECUTE FUNCTION refuse('recording_kept');
CREATE FUNCTION recordings_stop() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM 1 FROM encounters WHERE id = NEW.encounter_id FOR NO KEY UPDATE;
  UPDATE recordings SET ended_at = CASE TG_TABLE_NAME WHEN 'consents' THEN (to_jsonb(NEW) ->> 'withdrawn_at')::timestamptz
      ELSE (to_jsonb(NEW) ->> 'updated_at')::timestamptz END
    WHERE encounter_id = NEW.encounter_id AND ended_at IS NULL AND NOT recording_allowed(NEW.encounter_id);
  RETURN NULL;
END $$;
CREATE TRIGGER participants_stop_recordings AFTER INSERT OR UPDATE OF state, account_id, encounter_id, sits_with_id ON encounter_participants
  FOR EACH ROW WHEN (NEW.state NOT IN ('invited', 'left', 'denied', 'removed') OR NEW.sits_with_id IS NOT NULL) EXECUTE FUNCTION recordings_stop();
CREATE TRIGGER consents_stop_recordings AFTER UPDATE ON consents FOR EACH ROW
  WHEN (NEW.kind = 'recording') EXECUTE FUNCTION recordings_stop();
ALTER TABLE consents ENABLE ALWAYS TRIGGER consents_kept;
ALTER TABLE consents ENABLE ALWAYS TRIGGER consents_not_removed;
ALTER TABLE consents ENABLE ALWAYS TRIGGER consents_not_truncated;
ALTER TABLE consents ENABLE ALWAYS TRIGGER consents_stop_recordings;
ALTER TABLE recordings ENABLE ALWAYS TRIGGER recordings_consented;
ALTER TABLE recordings ENABLE ALWAYS TRIGGER recordings_in_place;
ALTER TABLE encounter_participants ENABLE ALWAYS TRIGGER participants_stop_recordings;

-- What was written stays as it was written.
CREATE TRIGGER chat_messages_frozen BEFORE UPDATE ON chat_messages FOR EACH ROW EXECUTE FUNCTION refuse('message_kept');
CREATE TRIGGER chat_messages_kept BEFORE DELETE ON chat_messages FOR EACH ROW EXECUTE FUNCTION refuse('message_kept');
CREATE TRIGGER chat_messages_not_truncated BEFORE TRUNCATE ON chat_messages EXECUTE FUNCTION refuse('message_kept');
