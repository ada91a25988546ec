//! The access table: every act of the product and the relations that permit it.

use crate::access::Relation::{self, *};

macro_rules! actions {
    ($($(#[$meta:meta])* $name:ident $text:literal [$($relation:ident),*] $(sight $sight:ident)?;)+) => {
        /// Something that can be done. Each has one line in the table.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Action { $($(#[$meta])* $name),+ }

        impl Action {
            /// Every act, in the order of the table.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// The name in the audit log and in `docs/security.md`.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text),+ }
            }

            /// Who may do it.
            pub fn granted_to(self) -> &'static [Relation] {
                match self { $(Self::$name => &[$($relation),*]),+ }
            }

            /// The act of seeing the same object: who may not even do that hears "not found".
            /// `None` when there is no single object.
            pub fn sight(self) -> Option<Self> {
                match self { $(Self::$name => actions!(@sight $($sight)?)),+ }
            }
        }
    };
    (@sight) => { None };
    (@sight $sight:ident) => { Some(Self::$sight) };
}

actions! {
    /// Ask for a code, present a password or a token.
    SignIn "account.sign_in" [Anyone];
    /// End one's own session.
    SignOut "account.sign_out" [SignedIn];
    /// Who am I.
    ReadMe "account.read_me" [SignedIn];
    /// Who touched my record.
    ReadAccessLog "audit.read_access_log" [SignedIn];

    /// See clinics.
    ReadOrganization "organization.read" [SignedIn];
    /// Found a clinic.
    CreateOrganization "organization.create" [SystemAdmin];
    /// Change what is known of a clinic.
    EditOrganization "organization.edit" [SystemAdmin, ClinicAdmin] sight ReadOrganization;
    /// See who works in a clinic and as what.
    ReadMember "member.read" [SystemAdmin, ClinicAdmin];
    /// Take somebody on.
    CreateMember "member.create" [SystemAdmin, ClinicAdmin];
    /// End a membership, or begin it again.
    EditMember "member.edit" [SystemAdmin, ClinicAdmin];
    /// See places.
    ReadLocation "location.read" [SignedIn];
    /// Add a place.
    CreateLocation "location.create" [SystemAdmin, ClinicAdmin];
    /// Change what is known of a place.
    EditLocation "location.edit" [SystemAdmin, ClinicAdmin] sight ReadLocation;
    /// See what can be booked.
    ReadService "healthcare_service.read" [SignedIn];
    /// Offer a service.
    CreateService "healthcare_service.create" [SystemAdmin, ClinicAdmin];
    /// Change a service.
    EditService "healthcare_service.edit" [SystemAdmin, ClinicAdmin] sight ReadService;
    /// See rooms and devices.
    ReadResource "resource.read" [SignedIn];
    /// Add a room or a device.
    CreateResource "resource.create" [SystemAdmin, ClinicAdmin];
    /// Change a room or a device.
    EditResource "resource.edit" [SystemAdmin, ClinicAdmin] sight ReadResource;
    /// See which visits hold a room or a device that is out of use.
    ReadStranded "resource.read_stranded" [Registrar, ClinicAdmin] sight ReadAppointment;
    /// See in which visits somebody is missing who has left.
    ReadUnattended "practitioner.read_unattended" [Registrar, ClinicAdmin] sight ReadAppointment;
    /// See who gives care.
    ReadPractitioner "practitioner.read" [SignedIn];
    /// Add a practitioner.
    CreatePractitioner "practitioner.create" [SystemAdmin, ClinicAdmin];
    /// Change what is known of a practitioner.
    EditPractitioner "practitioner.edit" [SystemAdmin, ClinicAdmin] sight ReadPractitioner;

    /// See who a patient is and where they live.
    ReadPatient "patient.read" [Myself, Treats, Feldsher, Registrar, ClinicAdmin] sight ReadPatient;
    /// See a patient's whole phone number.
    ReadPhone "patient.read_phone" [Myself, Doctor, Feldsher, Registrar, ClinicAdmin] sight ReadPatient;
    /// Register a patient.
    CreatePatient "patient.create" [Feldsher, Registrar, ClinicAdmin];
    /// Change what is known of a patient.
    EditPatient "patient.edit" [Myself, Treats, Feldsher, Registrar, ClinicAdmin] sight ReadPatient;
    /// Let a patient's number sign in again that too many wrong codes have shut.
    EnablePatient "patient.enable" [Feldsher, Registrar, ClinicAdmin] sight ReadPatient;

    /// See working hours and absences.
    ReadSchedule "schedule.read" [Conducts, Doctor, Feldsher, Registrar, ClinicAdmin] sight ReadSchedule;
    /// Change working hours and absences.
    EditSchedule "schedule.edit" [Conducts, Registrar, ClinicAdmin] sight ReadSchedule;
    /// See which visits an absence hits, and what became of each.
    ReadLeave "leave.read" [Conducts, Registrar, ClinicAdmin] sight ReadSchedule;
    /// Decide what becomes of them, one by one or by a plan.
    SettleLeave "leave.settle" [Conducts, Registrar, ClinicAdmin] sight ReadSchedule;
    /// Say that the practitioner is late, and tell those who wait.
    DeclareDelay "delay.declare" [Conducts, Registrar, ClinicAdmin] sight ReadSchedule;
    /// See who waits for a colleague who is not free.
    ReadClaims "encounter.read_claims" [Conducts, Registrar, ClinicAdmin] sight ReadSchedule;
    /// Take over a patient who waits for a colleague who is not free.
    ClaimVisit "encounter.claim" [Conducts, Registrar, ClinicAdmin] sight ReadSchedule;
    /// Let other programs read one's busy times.
    ShareCalendar "calendar.share" [Conducts] sight ReadSchedule;
    /// Take over busy times from a calendar elsewhere.
    ImportCalendar "calendar.import" [Conducts] sight ReadSchedule;
    /// Read busy times under a secret address.
    ReadFeed "calendar.read_feed" [Anyone];
    /// Read a calendar elsewhere: Feldsher itself, nobody else.
    ReadExternal "calendar.read_external" [];
    /// See when a clinic is closed.
    ReadClosure "closure.read" [SignedIn];
    /// Close a clinic for some days, or open it again.
    EditClosure "closure.edit" [SystemAdmin, Registrar, ClinicAdmin] sight ReadClosure;
    /// See free times.
    ReadSlots "slot.read" [SignedIn];

    /// Book for a patient.
    Book "appointment.book" [Myself, Treats, Feldsher, Registrar, ClinicAdmin] sight ReadPatient;
    /// Put an urgent visit between others, or a second one into a time that is taken.
    BookOver "appointment.book_over" [Treats, Feldsher, Registrar, ClinicAdmin] sight ReadPatient;
    /// Ask with a booking code and a birth date whether a visit is booked.
    LookUp "appointment.look_up" [Anyone];
    /// Choose among the times that were offered, with a booking code and a birth date.
    AnswerOffer "appointment.answer_offer" [Anyone];
    /// See a wish on the waiting list, and one's place there.
    ReadWaitlist "waitlist.read" [Myself, Conducts, Feldsher, Registrar, ClinicAdmin] sight ReadWaitlist;
    /// Put a patient on the waiting list.
    JoinWaitlist "waitlist.join" [Myself, Treats, Feldsher, Registrar, ClinicAdmin] sight ReadPatient;
    /// Let a patient go before those who have waited longer.
    UrgeWaitlist "waitlist.urge" [Conducts, Feldsher, Registrar, ClinicAdmin] sight ReadPatient;
    /// Take the time that was offered.
    AcceptVacancy "waitlist.accept" [Myself, Feldsher, Registrar, ClinicAdmin] sight ReadWaitlist;
    /// Leave the time that was offered to the next.
    DeclineVacancy "waitlist.decline" [Myself, Feldsher, Registrar, ClinicAdmin] sight ReadWaitlist;
    /// Wait no longer.
    LeaveWaitlist "waitlist.withdraw" [Myself, Conducts, Feldsher, Registrar, ClinicAdmin] sight ReadWaitlist;
    /// See an appointment.
    ReadAppointment "appointment.read" [Myself, Conducts, Booker, Feldsher, Registrar, ClinicAdmin] sight ReadAppointment;
    /// Change the reason of a visit.
    EditAppointment "appointment.edit" [Myself, Feldsher, Registrar, ClinicAdmin] sight ReadAppointment;
    /// Turn a hold into a booking.
    ConfirmAppointment "appointment.confirm" [Myself, Booker, Feldsher, Registrar, ClinicAdmin] sight ReadAppointment;
    /// Call a visit off.
    CancelAppointment "appointment.cancel" [Myself, Conducts, Booker, Feldsher, Registrar, ClinicAdmin] sight ReadAppointment;
    /// Put a visit to another time or another practitioner.
    MoveAppointment "appointment.move" [Myself, Conducts, Booker, Feldsher, Registrar, ClinicAdmin] sight ReadAppointment;
    /// Take on a visit that was asked for, or not.
    AnswerRequest "appointment.answer_request" [Conducts, Registrar, ClinicAdmin] sight ReadAppointment;
    /// Note that the patient has said that they will come.
    Attend "appointment.attend" [Myself, Conducts, Feldsher, Registrar, ClinicAdmin] sight ReadAppointment;
    /// Take back that somebody came or did not come, or that a visit was called off.
    UndoAppointment "appointment.undo" [Conducts, Registrar, ClinicAdmin] sight ReadAppointment;
    /// Record that the patient did not come.
    MarkNoshow "appointment.noshow" [Conducts, Registrar, ClinicAdmin] sight ReadAppointment;

    /// Move a visit to its promised local time, which a newer law of time zones has moved.
    KeepPromise "appointment.keep_promise" [Registrar, ClinicAdmin] sight ReadAppointment;

    /// See the state of a visit.
    ReadEncounter "encounter.read" [Myself, Conducts, Feldsher, Registrar, ClinicAdmin] sight ReadEncounter;
    /// Take a seat in the visit.
    JoinEncounter "encounter.join" [Myself, Conducts, Guest] sight ReadEncounter;
    /// Ask a relative or an interpreter to come, or take that back.
    InviteKin "encounter.invite_kin" [Myself, Conducts, Feldsher, Registrar, ClinicAdmin] sight ReadEncounter;
    /// Ask somebody of the clinic to come, or take that back.
    InviteStaff "encounter.invite_staff" [Conducts, Feldsher, Registrar, ClinicAdmin] sight ReadEncounter;
    /// See when and where the visit is to which one is asked.
    ReadInvitation "encounter.read_invitation" [Guest] sight ReadInvitation;
    /// Let nobody new in, or send somebody aside.
    ArrangeRoom "encounter.arrange_room" [Conducts] sight ReadEncounter;
    /// See who waits.
    ReadWaitingRoom "encounter.read_waiting_room" [Conducts] sight ReadEncounter;
    /// Let somebody in, send them back to wait, or turn them away.
    Admit "encounter.admit" [Conducts] sight ReadEncounter;
    /// End the visit.
    FinishEncounter "encounter.finish" [Conducts] sight ReadEncounter;
    /// Take back that the visit was finished.
    ReopenEncounter "encounter.reopen" [Conducts, ClinicAdmin] sight ReadEncounter;
    /// Measure one's line before the visit.
    ProbeLink "encounter.probe" [Myself, Feldsher] sight ReadEncounter;
    /// See what the line carried.
    ReadProbes "encounter.read_probes" [Myself, Conducts, Feldsher, Registrar, ClinicAdmin] sight ReadEncounter;
    /// Ring somebody who is not in the room.
    Ring "encounter.ring" [Conducts, Feldsher, Registrar, ClinicAdmin] sight ReadEncounter;
    /// Say that one is here, when one was rung.
    AnswerRing "encounter.answer_ring" [Myself] sight ReadEncounter;
    /// Read what was written in a visit, as far as it is meant for the clinic's office.
    ReadChat "chat.read" [Myself, Conducts, Feldsher, Registrar, ClinicAdmin] sight ReadEncounter;
    /// Read what was written between the patient and the practitioner.
    ReadPrivateChat "chat.read_private" [Myself, Conducts] sight ReadEncounter;
    /// Write to those who wait, to the practitioner, or to the office.
    WriteChat "chat.write" [Myself, Conducts, Feldsher, Registrar, ClinicAdmin] sight ReadEncounter;
    /// See what must still be done so that nobody is forgotten.
    ReadTask "task.read" [Conducts, Feldsher, Registrar, ClinicAdmin] sight ReadTask;
    /// Take such a task, and say how it ended.
    WorkTask "task.work" [Conducts, Feldsher, Registrar, ClinicAdmin] sight ReadTask;
    /// Read the forms that people consent to.
    ReadConsentForms "consent.read_forms" [SignedIn];
    /// See who has consented to what.
    ReadConsents "consent.read" [Myself, Conducts, Treats, Feldsher, Registrar, ClinicAdmin] sight ReadConsents;
    /// Consent to something, or write down that a patient has; recording is only one's own to allow.
    GiveConsent "consent.give" [Myself, Conducts, Treats, Feldsher, Registrar, ClinicAdmin] sight ReadConsents;
    /// Withdraw a consent.
    WithdrawConsent "consent.withdraw" [Myself, Conducts, Treats, Feldsher, Registrar, ClinicAdmin] sight ReadConsents;
    /// See who was in the call and when.
    ReadCalls "encounter.read_calls" [Myself, Conducts, Feldsher, Registrar, ClinicAdmin] sight ReadEncounter;
    /// See how the call went.
    ReadCallRecord "call.read_record" [Myself, Conducts, Feldsher, Registrar, ClinicAdmin] sight ReadEncounter;
    /// See with which devices, by which ways and how well, minute by minute.
    ReadCallQuality "call.read_quality" [Conducts, Feldsher, Registrar, ClinicAdmin] sight ReadEncounter;

    /// Begin a note.
    CreateNote "note.create" [Conducts] sight ReadEncounter;
    /// Read a draft.
    ReadDraft "note.read_draft" [Author] sight ReadDraft;
    /// Write in a draft.
    EditNote "note.edit" [Author] sight ReadNote;
    /// Sign a note.
    SignNote "note.sign" [Author] sight ReadNote;
    /// List the notes of a patient or of a visit.
    ListNotes "note.list" [Myself, Conducts, Treats] sight ListNotes;
    /// Read a signed note.
    ReadNote "note.read" [Myself, Author, Treats] sight ReadNote;
    /// Add to a signed note.
    AddAddendum "note.add_addendum" [Author, Conducts] sight ReadNote;

    /// Take back offers that nobody answered: Feldsher itself, nobody else.
    LapseOffer "appointment.lapse_offer" [];
    /// End a hold that nobody confirmed, or a request that nobody answered: Feldsher itself, nobody
    /// else.
    ExpireHold "appointment.expire" [];
    /// Offer a time that became free, and end what nobody answered: Feldsher itself, nobody else.
    OfferVacancy "waitlist.offer" [];
    /// Ring again, and make what nobody answered a task: Feldsher itself, nobody else.
    WatchVisits "encounter.watch" [];
    /// Deliver what waits in the outbox: Feldsher itself, nobody else.
    DeliverMessage "message.deliver" [];
    /// Make an administrator of the installation: the command line, nobody else.
    CreateAdministrator "account.create_administrator" [];
    /// Open anybody's account again: the command line, nobody else.
    EnableAccount "account.enable" [];
}
