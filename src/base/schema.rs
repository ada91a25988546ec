//! The tables, as diesel sees them on both engines. Types: `column.rs`.

diesel::table! {
    use diesel::sql_types::*;
    use crate::base::column::sql::{Moment, Uid};

    organizations (id) {
        id -> Uid,
        name -> Text,
        time_zone -> Text,
        version -> Integer,
        created_at -> Moment,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::base::column::sql::{Moment, Uid};

    locations (id) {
        id -> Uid,
        name -> Text,
        kind -> Text,
        part_of -> Nullable<Uid>,
        organization_id -> Nullable<Uid>,
        time_zone -> Text,
        latitude -> Nullable<Double>,
        longitude -> Nullable<Double>,
        link_class -> Text,
        version -> Integer,
        created_at -> Moment,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::base::column::sql::{Moment, Uid};

    accounts (id) {
        id -> Uid,
        login -> Nullable<Text>,
        password_hash -> Nullable<Text>,
        phone_index -> Nullable<Binary>,
        phone_sealed -> Nullable<Binary>,
        name -> Text,
        language -> Text,
        system_admin -> Bool,
        state -> Text,
        security_version -> Integer,
        failures -> Integer,
        created_at -> Moment,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::base::column::sql::{Moment, Uid};

    memberships (account_id, organization_id, role) {
        account_id -> Uid,
        organization_id -> Uid,
        role -> Text,
        state -> Text,
        version -> Integer,
        created_at -> Moment,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::base::column::sql::{Moment, Uid};

    sessions (id) {
        id -> Uid,
        account_id -> Uid,
        method -> Text,
        security_version -> Integer,
        created_at -> Moment,
        last_used_at -> Moment,
        expires_at -> Moment,
        revoked_at -> Nullable<Moment>,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::base::column::sql::{Moment, Uid};

    refresh_tokens (id) {
        id -> Uid,
        session_id -> Uid,
        token_hash -> Binary,
        parent_id -> Nullable<Uid>,
        created_at -> Moment,
        expires_at -> Moment,
        used_at -> Nullable<Moment>,
        proven_at -> Nullable<Moment>,
        revoked_at -> Nullable<Moment>,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::base::column::sql::{Moment, Uid};

    sign_in_challenges (id) {
        id -> Uid,
        account_id -> Nullable<Uid>,
        phone_index -> Binary,
        code_hash -> Binary,
        tries -> Integer,
        created_at -> Moment,
        expires_at -> Moment,
        used_at -> Nullable<Moment>,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::base::column::sql::{Moment, Uid};

    rate_counters (subject, window_at) {
        subject -> Binary,
        window_at -> Moment,
        hits -> Integer,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::base::column::sql::{Moment, Uid};

    one_time_tokens (id) {
        id -> Uid,
        account_id -> Uid,
        token_hash -> Binary,
        created_at -> Moment,
        expires_at -> Moment,
        used_at -> Nullable<Moment>,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::base::column::sql::{Moment, Uid};

    token_keys (kid) {
        kid -> Text,
        state -> Text,
        private_sealed -> Binary,
        public_key -> Binary,
        created_at -> Moment,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::base::column::sql::{Moment, Uid};

    patients (id) {
        id -> Uid,
        account_id -> Nullable<Uid>,
        organization_id -> Uid,
        location_id -> Uid,
        name -> Text,
        name_folded -> Text,
        birth_date -> Date,
        time_zone -> Text,
        languages -> Text,
        version -> Integer,
        created_at -> Moment,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::base::column::sql::{Moment, Uid};

    patient_keys (patient_id) {
        patient_id -> Uid,
        key_sealed -> Binary,
        created_at -> Moment,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::base::column::sql::{Moment, Uid};

    practitioners (id) {
        id -> Uid,
        account_id -> Nullable<Uid>,
        organization_id -> Uid,
        name -> Text,
        kind -> Text,
        specialty -> Nullable<Text>,
        time_zone -> Text,
        languages -> Text,
        phone_sealed -> Nullable<Binary>,
        schedule_version -> Integer,
        version -> Integer,
        created_at -> Moment,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::base::column::sql::{Moment, Uid};

    healthcare_services (id) {
        id -> Uid,
        organization_id -> Uid,
        name_en -> Text,
        name_ru -> Text,
        specialty -> Text,
        duration_minutes -> Integer,
        modes -> Text,
        legal_kind -> Text,
        resources -> Text,
        buffer_before_minutes -> Integer,
        buffer_after_minutes -> Integer,
        align_minutes -> Integer,
        lead_minutes -> Integer,
        horizon_days -> Integer,
        daily_cap -> Integer,
        overbook -> Bool,
        active -> Bool,
        version -> Integer,
        created_at -> Moment,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::base::column::sql::{Moment, Uid};

    practitioner_services (practitioner_id, service_id) {
        practitioner_id -> Uid,
        service_id -> Uid,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::base::column::sql::{Moment, Uid};

    schedule_rules (id) {
        id -> Uid,
        practitioner_id -> Uid,
        weekday -> Text,
        from_minute -> Integer,
        to_minute -> Integer,
        valid_from -> Nullable<Date>,
        valid_to -> Nullable<Date>,
        every_weeks -> Integer,
        location_id -> Nullable<Uid>,
        service_id -> Nullable<Uid>,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::base::column::sql::{Moment, Uid};

    absences (id) {
        id -> Uid,
        practitioner_id -> Uid,
        starts_at -> Moment,
        ends_at -> Moment,
        reason_sealed -> Nullable<Binary>,
        status -> Text,
        created_at -> Moment,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::base::column::sql::{Moment, Uid};

    calendar_feeds (practitioner_id) {
        practitioner_id -> Uid,
        token_hash -> Binary,
        created_at -> Moment,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::base::column::sql::{Moment, Uid};

    resources (id) {
        id -> Uid,
        organization_id -> Uid,
        location_id -> Uid,
        kind -> Text,
        name -> Text,
        active -> Bool,
        version -> Integer,
        created_at -> Moment,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::base::column::sql::{Moment, Uid};

    closures (id) {
        id -> Uid,
        organization_id -> Uid,
        name_en -> Text,
        name_ru -> Text,
        from_date -> Date,
        to_date -> Date,
        from_minute -> Integer,
        to_minute -> Integer,
        created_at -> Moment,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::base::column::sql::{Moment, Uid};

    external_calendars (practitioner_id) {
        practitioner_id -> Uid,
        url_sealed -> Binary,
        state -> Text,
        trouble -> Nullable<Text>,
        failures -> Integer,
        read_at -> Nullable<Moment>,
        due_at -> Moment,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::base::column::sql::{Moment, Uid};

    external_busy (practitioner_id, starts_at) {
        practitioner_id -> Uid,
        starts_at -> Moment,
        ends_at -> Moment,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::base::column::sql::{Moment, Uid};

    extra_hours (id) {
        id -> Uid,
        practitioner_id -> Uid,
        starts_at -> Moment,
        ends_at -> Moment,
        location_id -> Nullable<Uid>,
        service_id -> Nullable<Uid>,
        created_at -> Moment,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::base::column::sql::{Moment, Uid};

    appointments (id) {
        id -> Uid,
        code -> Text,
        status -> Text,
        service_id -> Uid,
        organization_id -> Uid,
        practitioner_id -> Uid,
        patient_id -> Uid,
        starts_at -> Moment,
        ends_at -> Moment,
        busy_from -> Moment,
        busy_to -> Moment,
        priority -> Text,
        overbooked -> Bool,
        mode -> Text,
        location_id -> Nullable<Uid>,
        time_zone -> Text,
        local_start -> Text,
        hold_expires_at -> Nullable<Moment>,
        reason_sealed -> Nullable<Binary>,
        cancellation_sealed -> Nullable<Binary>,
        cancellation_code -> Nullable<Text>,
        cancelled_from -> Nullable<Text>,
        noshow_cause -> Nullable<Text>,
        confirmed_at -> Nullable<Moment>,
        series_id -> Nullable<Uid>,
        follows_id -> Nullable<Uid>,
        moves -> Integer,
        resources -> Integer,
        created_by -> Nullable<Uid>,
        created_at -> Moment,
        updated_at -> Moment,
        version -> Integer,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::base::column::sql::{Moment, Uid};

    appointment_moves (id) {
        id -> Uid,
        appointment_id -> Uid,
        number -> Integer,
        from_starts_at -> Moment,
        to_starts_at -> Moment,
        from_practitioner_id -> Uid,
        to_practitioner_id -> Uid,
        reason_sealed -> Nullable<Binary>,
        moved_by -> Nullable<Uid>,
        moved_at -> Moment,
        because -> Nullable<Text>,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::base::column::sql::{Moment, Uid};

    absence_outcomes (absence_id, appointment_id) {
        absence_id -> Uid,
        appointment_id -> Uid,
        outcome -> Text,
        from_practitioner_id -> Uid,
        from_starts_at -> Moment,
        to_practitioner_id -> Nullable<Uid>,
        to_starts_at -> Nullable<Moment>,
        to_helper_id -> Nullable<Uid>,
        expires_at -> Nullable<Moment>,
        decided_by -> Uid,
        decided_at -> Moment,
        held_until -> Nullable<Moment>,
        from_status -> Nullable<Text>,
        overbooked -> Bool,
        confirmed_at -> Nullable<Moment>,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::base::column::sql::{Moment, Uid};

    offered_times (held_id) {
        held_id -> Uid,
        absence_id -> Uid,
        appointment_id -> Uid,
        number -> Integer,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::base::column::sql::{Moment, Uid};

    lapsed_offers (appointment_id, absence_id) {
        appointment_id -> Uid,
        absence_id -> Uid,
        lapsed_at -> Moment,
        seen_to -> Bool,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::base::column::sql::{Moment, Uid};

    illness_plans (id) {
        id -> Uid,
        practitioner_id -> Uid,
        starts_at -> Moment,
        ends_at -> Moment,
        status -> Text,
        absence_id -> Nullable<Uid>,
        created_by -> Uid,
        created_at -> Moment,
        applied_at -> Nullable<Moment>,
        undo_until -> Nullable<Moment>,
        version -> Integer,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::base::column::sql::{Moment, Uid};

    illness_proposals (plan_id, appointment_id) {
        plan_id -> Uid,
        appointment_id -> Uid,
        act -> Text,
        practitioner_id -> Nullable<Uid>,
        starts_at -> Nullable<Moment>,
        from_starts_at -> Moment,
        why -> Text,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::base::column::sql::{Moment, Uid};

    waitlist_entries (id) {
        id -> Uid,
        code -> Text,
        status -> Text,
        patient_id -> Uid,
        service_id -> Uid,
        organization_id -> Uid,
        practitioner_id -> Nullable<Uid>,
        appointment_id -> Nullable<Uid>,
        earliest_at -> Moment,
        latest_at -> Moment,
        parts_of_day -> Text,
        notice_minutes -> Integer,
        priority -> Text,
        lapses -> Integer,
        ended_why -> Nullable<Text>,
        created_by -> Uid,
        created_at -> Moment,
        updated_at -> Moment,
        version -> Integer,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::base::column::sql::{Moment, Uid};

    waitlist_offers (id) {
        id -> Uid,
        entry_id -> Uid,
        held_id -> Uid,
        practitioner_id -> Uid,
        starts_at -> Moment,
        status -> Text,
        offered_at -> Moment,
        expires_at -> Moment,
        answered_at -> Nullable<Moment>,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::base::column::sql::{Moment, Uid};

    occupancies (appointment_id, resource_id, lane) {
        appointment_id -> Uid,
        resource_kind -> Text,
        resource_id -> Uid,
        lane -> Integer,
        starts_at -> Moment,
        ends_at -> Moment,
        live -> Bool,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::base::column::sql::{Moment, Uid};

    encounters (id) {
        id -> Uid,
        appointment_id -> Uid,
        status -> Text,
        outcome -> Nullable<Text>,
        patient_id -> Uid,
        practitioner_id -> Uid,
        organization_id -> Uid,
        starts_at -> Moment,
        arrived_at -> Nullable<Moment>,
        started_at -> Nullable<Moment>,
        ended_at -> Nullable<Moment>,
        see_to_at -> Nullable<Moment>,
        locked -> Bool,
        room_rev -> Integer,
        updated_at -> Moment,
        reopened_at -> Nullable<Moment>,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::base::column::sql::{Moment, Uid};

    practitioner_delays (id) {
        id -> Uid,
        practitioner_id -> Uid,
        number -> Integer,
        minutes -> Integer,
        free_at -> Nullable<Moment>,
        declared_by -> Uid,
        declared_at -> Moment,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::base::column::sql::{Moment, Uid};

    delay_notices (encounter_id) {
        encounter_id -> Uid,
        delay_id -> Uid,
        starts_at -> Moment,
        latest_at -> Nullable<Moment>,
        known_at -> Nullable<Moment>,
        in_doubt -> Bool,
        texts -> Integer,
        told_at -> Moment,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::base::column::sql::{Moment, Uid};

    encounter_participants (id) {
        id -> Uid,
        encounter_id -> Uid,
        account_id -> Uid,
        role -> Text,
        name -> Text,
        state -> Text,
        waiting_since -> Nullable<Moment>,
        admitted_at -> Nullable<Moment>,
        sits_with_id -> Nullable<Uid>,
        aside -> Bool,
        brought -> Bool,
        updated_at -> Moment,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::base::column::sql::{Moment, Uid};

    rtc_tickets (id) {
        id -> Uid,
        participant_id -> Uid,
        expires_at -> Moment,
        used_at -> Nullable<Moment>,
        ahead -> Bool,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::base::column::sql::{Moment, Uid};

    rtc_sessions (id) {
        id -> Uid,
        encounter_id -> Uid,
        participant_id -> Uid,
        sign_in_session_id -> Uid,
        secret_hash -> Binary,
        epoch -> Integer,
        created_at -> Moment,
        ended_at -> Nullable<Moment>,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::base::column::sql::{Moment, Uid};

    link_probes (id) {
        id -> Uid,
        encounter_id -> Uid,
        account_id -> Uid,
        side -> Text,
        begun_at -> Moment,
        measured_at -> Nullable<Moment>,
        direct -> Text,
        direct_ms -> Nullable<Integer>,
        relay_udp -> Text,
        relay_udp_ms -> Nullable<Integer>,
        relay_tls -> Text,
        relay_tls_ms -> Nullable<Integer>,
        measured_on -> Nullable<Text>,
        rtt_p50_ms -> Nullable<Integer>,
        rtt_p95_ms -> Nullable<Integer>,
        jitter_ms -> Nullable<Integer>,
        loss_up_permille -> Nullable<Integer>,
        loss_down_permille -> Nullable<Integer>,
        up_kbits -> Nullable<Integer>,
        down_kbits -> Nullable<Integer>,
        mos -> Nullable<Double>,
        camera -> Nullable<Text>,
        microphone -> Nullable<Text>,
        speaker -> Nullable<Text>,
        verdict -> Nullable<Text>,
        advice -> Nullable<Text>,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::base::column::sql::{Moment, Uid};

    call_events (id) {
        id -> Uid,
        encounter_id -> Uid,
        seq -> Integer,
        participant_id -> Nullable<Uid>,
        at -> Moment,
        kind -> Text,
        why -> Nullable<Text>,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::base::column::sql::{Moment, Uid};

    call_marks (id) {
        id -> Uid,
        encounter_id -> Uid,
        at -> Moment,
        kind -> Text,
        participant_id -> Nullable<Uid>,
        peer_id -> Nullable<Uid>,
        edge -> Nullable<Text>,
        rung -> Nullable<Text>,
        why -> Nullable<Text>,
        way -> Nullable<Text>,
        browser -> Nullable<Text>,
        form -> Nullable<Text>,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::base::column::sql::{Moment, Uid};

    call_minutes (id) {
        id -> Uid,
        encounter_id -> Uid,
        edge -> Text,
        participant_id -> Uid,
        at -> Moment,
        reports -> Integer,
        rtt_p50 -> Integer,
        rtt_p95 -> Integer,
        loss_p50 -> Integer,
        loss_p95 -> Integer,
        bitrate_p50 -> Integer,
        bitrate_p5 -> Integer,
        mos_p50 -> Integer,
        mos_p5 -> Integer,
        sent -> BigInt,
        received -> BigInt,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::base::column::sql::{Moment, Uid};

    notes (id) {
        id -> Uid,
        encounter_id -> Uid,
        patient_id -> Uid,
        organization_id -> Uid,
        author_id -> Uid,
        status -> Text,
        version -> Integer,
        body_sealed -> Binary,
        content_hash -> Nullable<Binary>,
        signature -> Nullable<Binary>,
        signature_kid -> Nullable<Text>,
        signed_at -> Nullable<Moment>,
        signer_id -> Nullable<Uid>,
        created_at -> Moment,
        updated_at -> Moment,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::base::column::sql::{Moment, Uid};

    note_addenda (id) {
        id -> Uid,
        note_id -> Uid,
        author_id -> Uid,
        text_sealed -> Binary,
        created_at -> Moment,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::base::column::sql::{Moment, Uid};

    audit_heads (chain) {
        chain -> Integer,
        seq -> BigInt,
        hash -> Binary,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::base::column::sql::{Moment, Uid};

    audit_events (chain, seq) {
        chain -> Integer,
        seq -> BigInt,
        at -> Moment,
        actor_id -> Nullable<Uid>,
        session_id -> Nullable<Uid>,
        action -> Text,
        object_kind -> Text,
        object_id -> Nullable<Uid>,
        patient_id -> Nullable<Uid>,
        organization_id -> Nullable<Uid>,
        outcome -> Text,
        hash -> Binary,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::base::column::sql::{Moment, Uid};

    idempotency_keys (principal, route, key) {
        principal -> Uid,
        route -> Text,
        key -> Text,
        fingerprint -> Binary,
        status -> Integer,
        answer_sealed -> Nullable<Binary>,
        expires_at -> Moment,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::base::column::sql::{Moment, Uid};

    outbox_messages (id) {
        id -> Uid,
        channel -> Text,
        dedupe_key -> Text,
        payload_sealed -> Binary,
        state -> Text,
        attempts -> Integer,
        due_at -> Moment,
        expires_at -> Moment,
        created_at -> Moment,
        sent_at -> Nullable<Moment>,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::base::column::sql::{Moment, Uid};

    schedule_revisions (id) {
        id -> Integer,
        revision -> Uid,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::base::column::sql::{Moment, Uid};

    settings (name) {
        name -> Text,
        value -> Binary,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::base::column::sql::{Moment, Uid};

    tasks (id) {
        id -> Uid,
        code -> Text,
        status -> Text,
        organization_id -> Uid,
        patient_id -> Nullable<Uid>,
        practitioner_id -> Nullable<Uid>,
        encounter_id -> Nullable<Uid>,
        owner_id -> Nullable<Uid>,
        why -> Text,
        attempts -> Integer,
        outcome -> Nullable<Text>,
        due_at -> Moment,
        created_at -> Moment,
        updated_at -> Moment,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::base::column::sql::{Moment, Uid};

    rings (id) {
        id -> Uid,
        encounter_id -> Uid,
        participant_id -> Uid,
        rung_by -> Uid,
        state -> Text,
        attempt -> Integer,
        rung_at -> Moment,
        due_at -> Nullable<Moment>,
        told_at -> Nullable<Moment>,
        ended_at -> Nullable<Moment>,
        task_id -> Nullable<Uid>,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::base::column::sql::{Moment, Uid};

    consents (id) {
        id -> Uid,
        kind -> Text,
        form_version -> Integer,
        language -> Text,
        organization_id -> Uid,
        patient_id -> Uid,
        encounter_id -> Nullable<Uid>,
        person_id -> Nullable<Uid>,
        given_by -> Text,
        relationship -> Nullable<Text>,
        recorded_by -> Uid,
        given_at -> Moment,
        withdrawn_at -> Nullable<Moment>,
        withdrawn_by -> Nullable<Uid>,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::base::column::sql::{Moment, Uid};

    chat_messages (id) {
        id -> Uid,
        encounter_id -> Uid,
        organization_id -> Uid,
        seq -> Integer,
        audience -> Text,
        side -> Text,
        author_id -> Uid,
        text_sealed -> Binary,
        created_at -> Moment,
    }
}

diesel::joinable!(sessions -> accounts (account_id));
diesel::joinable!(memberships -> accounts (account_id));
diesel::joinable!(locations -> organizations (organization_id));
diesel::joinable!(healthcare_services -> organizations (organization_id));
diesel::joinable!(practitioners -> organizations (organization_id));
diesel::joinable!(practitioner_services -> healthcare_services (service_id));
diesel::joinable!(practitioner_services -> practitioners (practitioner_id));
diesel::joinable!(patients -> organizations (organization_id));
diesel::joinable!(patients -> locations (location_id));
diesel::joinable!(appointments -> healthcare_services (service_id));
diesel::joinable!(appointments -> practitioners (practitioner_id));
diesel::joinable!(appointments -> patients (patient_id));
diesel::joinable!(appointments -> organizations (organization_id));
diesel::joinable!(schedule_rules -> practitioners (practitioner_id));
diesel::joinable!(external_calendars -> practitioners (practitioner_id));
diesel::joinable!(encounters -> appointments (appointment_id));
diesel::joinable!(lapsed_offers -> absences (absence_id));
diesel::joinable!(lapsed_offers -> appointments (appointment_id));
diesel::joinable!(waitlist_offers -> waitlist_entries (entry_id));
diesel::joinable!(practitioner_delays -> accounts (declared_by));
diesel::joinable!(encounter_participants -> encounters (encounter_id));
diesel::joinable!(call_events -> encounter_participants (participant_id));
diesel::joinable!(tasks -> patients (patient_id));
diesel::joinable!(tasks -> practitioners (practitioner_id));
diesel::joinable!(tasks -> encounters (encounter_id));
diesel::joinable!(rings -> encounter_participants (participant_id));
diesel::joinable!(chat_messages -> accounts (author_id));
diesel::joinable!(chat_messages -> encounters (encounter_id));
diesel::allow_tables_to_appear_in_same_query!(
    sessions,
    accounts,
    patients,
    practitioners,
    memberships,
    appointments,
    encounters,
    healthcare_services,
    organizations,
    practitioner_services,
    schedule_rules,
    external_calendars,
    locations,
    occupancies,
    resources,
    appointment_moves,
    absences,
    absence_outcomes,
    offered_times,
    lapsed_offers,
    illness_plans,
    illness_proposals,
    waitlist_entries,
    waitlist_offers,
    encounter_participants,
    practitioner_delays,
    rtc_sessions,
    link_probes,
    call_events,
    tasks,
    rings,
    consents,
    chat_messages,
    notes,
    note_addenda,
    audit_events,
);
