//! What a signature says: these words, of this author, about this patient, at this time.
//!
//! The content hash is SHA-256 over the statement in canonical JSON (RFC 8785: sorted keys, no
//! spaces). Signed, with the installation's Ed25519 key, are the words `feldsher note v1`, a
//! zero byte and that hash: nothing else this key signs begins so, and the signature can be
//! checked when the text itself has been erased.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::base::column::Instant;
use crate::base::error::Error;
use crate::base::seal::sha256;
use crate::encounter::EncounterId;
use crate::organization::OrganizationId;
use crate::patient::PatientId;
use crate::practitioner::PractitionerId;
use crate::record::body::Sections;
use crate::record::{NoteId, NoteRow};

const PREFIX: &[u8] = b"feldsher note v1\0";

/// What is signed. The fields stand in the order of their names, as canonical JSON wants them.
#[derive(Serialize)]
pub struct Statement<'a> {
    author: PractitionerId,
    body: BTreeMap<&'static str, &'a str>,
    encounter: EncounterId,
    note: NoteId,
    organization: OrganizationId,
    patient: PatientId,
    signed_at: Instant,
    signer: PractitionerId,
    version: i32,
}

impl<'a> Statement<'a> {
    /// The statement about a note that is signed now, as its next version, by its author.
    pub fn of_draft(row: &NoteRow, sections: &'a Sections, now: Instant) -> Self {
        Self::of(row, sections, row.version.saturating_add(1), now, row.author_id)
    }

    /// The statement that a signed note must carry; `None` for a draft.
    fn of_signed(row: &NoteRow, sections: &'a Sections) -> Option<Self> {
        Some(Self::of(row, sections, row.version, row.signed_at?, row.signer_id?))
    }

    fn of(
        row: &NoteRow,
        sections: &'a Sections,
        version: i32,
        signed_at: Instant,
        signer: PractitionerId,
    ) -> Self {
        Self {
            author: row.author_id,
            body: sections.named().collect(),
            encounter: row.encounter_id,
            note: row.id,
            organization: row.organization_id,
            patient: row.patient_id,
            signed_at,
            signer,
            version,
        }
    }

    /// SHA-256 of the canonical form.
    pub fn content_hash(&self) -> Result<Vec<u8>, Error> {
        let canonical = serde_json::to_vec(self)
            .map_err(|_unserializable| Error::Internal("a statement is not JSON"))?;
        Ok(sha256(&canonical))
    }
}

/// The bytes that the installation's key signs.
pub fn signed_bytes(content_hash: &[u8]) -> Vec<u8> {
    [PREFIX, content_hash].concat()
}

/// Whether a signed note is what was signed: its hash is computed anew, and `check` is asked
/// about the signature (key id, bytes, signature).
pub fn is_genuine(
    row: &NoteRow,
    sections: &Sections,
    check: impl FnOnce(&str, &[u8], &[u8]) -> bool,
) -> Result<bool, Error> {
    let (Some(statement), Some(kid), Some(hash), Some(signature)) = (
        Statement::of_signed(row, sections),
        &row.signature_kid,
        &row.content_hash,
        &row.signature,
    ) else {
        return Ok(false);
    };
    Ok(statement.content_hash()? == *hash && check(kid, &signed_bytes(hash), signature))
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::record::NoteStatus;

    fn check(kid: &str, bytes: &[u8], signature: &[u8]) -> bool {
        kid == "k1" && sha256(bytes) == signature
    }

    fn signed() -> (NoteRow, Sections) {
        let sections = Sections {
            plan: Some("Чай с \"мёдом\"\n".to_owned()),
            assessment: Some("cold".to_owned()),
            ..Sections::default()
        };
        let at: Instant = "2026-11-24T02:20:00.5Z".parse().unwrap();
        let mut row = NoteRow {
            id: NoteId(Uuid::from_u128(1)),
            encounter_id: EncounterId(Uuid::from_u128(2)),
            patient_id: PatientId(Uuid::from_u128(3)),
            organization_id: OrganizationId(Uuid::from_u128(4)),
            author_id: PractitionerId(Uuid::from_u128(5)),
            status: NoteStatus::Draft,
            version: 6,
            body_sealed: Vec::new(),
            content_hash: None,
            signature: None,
            signature_kid: None,
            signed_at: None,
            signer_id: None,
            created_at: at,
            updated_at: at,
        };
        let hash = Statement::of_draft(&row, &sections, at).content_hash().unwrap();
        row.signature = Some(sha256(&signed_bytes(&hash)));
        row.signature_kid = Some("k1".to_owned());
        row.content_hash = Some(hash);
        row.status = NoteStatus::Signed;
        row.signed_at = Some(at);
        row.signer_id = Some(row.author_id);
        row.version += 1;
        (row, sections)
    }

    #[test]
    fn the_statement_is_canonical_json() {
        let (row, sections) = signed();
        let statement = Statement::of_signed(&row, &sections).unwrap();
        let expected = "{\"author\":\"00000000-0000-0000-0000-000000000005\",\
            \"body\":{\"assessment\":\"cold\",\"plan\":\"Чай с \\\"мёдом\\\"\\n\"},\
            \"encounter\":\"00000000-0000-0000-0000-000000000002\",\
            \"note\":\"00000000-0000-0000-0000-000000000001\",\
            \"organization\":\"00000000-0000-0000-0000-000000000004\",\
            \"patient\":\"00000000-0000-0000-0000-000000000003\",\
            \"signed_at\":\"2026-11-24T02:20:00.500Z\",\
            \"signer\":\"00000000-0000-0000-0000-000000000005\",\"version\":7}";
        assert_eq!(serde_json::to_string(&statement).unwrap(), expected);
    }

    #[test]
    fn a_signed_note_is_genuine_and_no_word_or_field_of_it_can_be_changed() {
        let (row, sections) = signed();
        assert!(is_genuine(&row, &sections, check).unwrap());
        let other = Uuid::from_u128(99);
        type Forge = fn(&mut NoteRow, Uuid);
        let forgeries: [(&str, Forge); 11] = [
            ("note", |row, other| row.id.0 = other),
            ("encounter", |row, other| row.encounter_id.0 = other),
            ("patient", |row, other| row.patient_id.0 = other),
            ("organization", |row, other| row.organization_id.0 = other),
            ("author", |row, other| row.author_id.0 = other),
            ("signer", |row, other| row.signer_id = Some(PractitionerId(other))),
            ("version", |row, _| row.version += 1),
            ("time", |row, _| row.signed_at = Instant::from_micros(1)),
            ("hash", |row, _| row.content_hash = Some(vec![0; 32])),
            ("signature", |row, _| row.signature = Some(vec![0; 64])),
            ("key", |row, _| row.signature_kid = Some("k2".to_owned())),
        ];
        for (what, forge) in forgeries {
            let (mut row, sections) = signed();
            forge(&mut row, other);
            assert!(!is_genuine(&row, &sections, check).unwrap(), "{what}");
        }
        let changed = Sections { plan: Some("Чай".to_owned()), ..sections.clone() };
        assert!(!is_genuine(&row, &changed, check).unwrap());
        let moved = Sections {
            assessment: sections.plan,
            plan: sections.assessment,
            ..Sections::default()
        };
        assert!(!is_genuine(&row, &moved, check).unwrap());
    }
}
