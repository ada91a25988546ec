//! Places in a tree: regions, villages, stations, clinics; where they lie and how good the link is.

pub mod edit;
pub mod http;

use diesel::prelude::*;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::access::Facts;
use crate::access::table::Action;
use crate::base::column::{id, text_enum};
use crate::base::db::{Conn, among};
use crate::base::error::Error;
use crate::base::name::{Name, Named};
use crate::base::page::{self, Page};
use crate::base::problem;
use crate::base::schema::{locations, organizations};
use crate::base::tx::Tx;
use crate::base::zone::Zone;
use crate::organization::{self, OrganizationId};

id!(
    /// A place (FHIR Location).
    LocationId
);

text_enum!(
    /// What kind of place it is.
    LocationKind {
        /// What holds villages together.
        Region = "region",
        /// Where patients live.
        Village = "village",
        /// Where a feldsher serves.
        Station = "station",
        /// Where doctors work.
        Clinic = "clinic",
    }
);

text_enum!(
    /// The best link to the network that most people of a place have.
    LinkClass {
        /// No network at all.
        Offline = "none",
        /// Voice and text, hardly more.
        Gprs = "2g",
        /// Voice over the network, a small picture at best.
        Umts = "3g",
        /// A picture.
        Lte = "4g",
        /// A good picture.
        Broadband = "broadband",
    }
);

/// A place as the API shows it (FHIR R4 Location).
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Location {
    /// Its id.
    pub id: LocationId,
    /// Its name.
    pub name: String,
    /// What kind of place it is.
    pub kind: LocationKind,
    /// The place it lies in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub part_of: Option<Named<LocationId>>,
    /// The clinic that runs or serves it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub organization: Option<Named<OrganizationId>>,
    /// The IANA zone of its clocks.
    pub time_zone: Zone,
    /// Degrees north of the equator.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latitude: Option<f64>,
    /// Degrees east of Greenwich.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub longitude: Option<f64>,
    /// The best link that most people there have.
    pub link_class: LinkClass,
    /// Counts the changes; the `ETag`.
    pub version: i32,
}

/// A place to be added.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewLocation {
    /// Its name.
    pub name: Name,
    /// What kind of place it is.
    pub kind: LocationKind,
    /// The place it lies in.
    pub part_of: Option<LocationId>,
    /// The clinic that runs or serves it; without one, only the installation's administrator
    /// may add it.
    pub organization: Option<OrganizationId>,
    /// The IANA zone of its clocks.
    pub time_zone: Zone,
    /// Degrees north of the equator, -90 to 90; goes with `longitude`.
    #[schema(minimum = -90, maximum = 90)]
    pub latitude: Option<f64>,
    /// Degrees east of Greenwich, -180 to 180; goes with `latitude`.
    #[schema(minimum = -180, maximum = 180)]
    pub longitude: Option<f64>,
    /// The best link that most people there have.
    pub link_class: LinkClass,
}

/// Adds a place. A clinic's administrator adds places of that clinic only.
pub fn create(tx: &mut Tx, new: NewLocation) -> Result<Location, Error> {
    let facts = Facts { organization: new.organization, ..Facts::NONE };
    tx.allow(Action::CreateLocation, &facts)?;
    if let Some(organization) = new.organization {
        organization::check(tx, organization)?;
    }
    if let Some(part_of) = new.part_of
        && find_row(tx, part_of)?.is_none()
    {
        return Err(Error::field(&problem::UNKNOWN_REFERENCE, "/part_of"));
    }
    check_coordinates(new.latitude, new.longitude)
        .map_err(|pointer| Error::field(&problem::INVALID_BODY, pointer))?;
    let id = LocationId::new(tx.now);
    diesel::insert_into(locations::table)
        .values((
            locations::id.eq(id),
            locations::name.eq(new.name.as_str()),
            locations::kind.eq(new.kind),
            locations::part_of.eq(new.part_of),
            locations::organization_id.eq(new.organization),
            locations::time_zone.eq(new.time_zone),
            locations::latitude.eq(new.latitude),
            locations::longitude.eq(new.longitude),
            locations::link_class.eq(new.link_class),
            locations::version.eq(1),
            locations::created_at.eq(tx.now),
        ))
        .execute(tx.conn)?;
    tx.record(Action::CreateLocation, "Location", id.0, &facts);
    show(tx, id)
}

/// Shows one place. 404 when there is none.
pub fn find(tx: &mut Tx, id: LocationId) -> Result<Location, Error> {
    tx.allow(Action::ReadLocation, &Facts::NONE)?;
    show(tx, id)
}

/// Which places a list shall hold.
#[derive(Debug, Clone, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Filter {
    /// Those of this kind.
    pub kind: Option<LocationKind>,
    /// Those that lie directly in this place.
    pub part_of: Option<LocationId>,
    /// Those of this clinic.
    pub organization: Option<OrganizationId>,
    /// Items per page, 1 to 100.
    pub limit: Option<u32>,
    /// Where the page begins: what `Link: rel="next"` said.
    pub cursor: Option<String>,
}

/// Lists places by name. Indexes: locations_by_*.
pub fn list(tx: &mut Tx, wanted: &Filter) -> Result<Page<Location>, Error> {
    tx.allow(Action::ReadLocation, &Facts::NONE)?;
    let limit = page::limit(wanted.limit)?;
    let after: Option<(String, LocationId)> = page::cursor(wanted.cursor.as_deref())?;
    let mut query =
        shown().order((locations::name, locations::id)).limit(limit.saturating_add(1)).into_boxed();
    if let Some(kind) = wanted.kind {
        query = query.filter(locations::kind.eq(kind));
    }
    if let Some(part_of) = wanted.part_of {
        query = query.filter(locations::part_of.eq(part_of));
    }
    if let Some(organization) = wanted.organization {
        query = query.filter(locations::organization_id.eq(organization));
    }
    if let Some((name, id)) = after {
        query = query.filter(
            locations::name.gt(name.clone()).or(locations::name.eq(name).and(locations::id.gt(id))),
        );
    }
    let rows: Vec<Shown> = query.load(tx.conn)?;
    let page = Page::cut(rows, limit, |((id, name, ..), ..)| (name.clone(), *id));
    Ok(Page { items: assemble(tx, page.items)?, next: page.next })
}

/// What others must know of a place.
#[derive(Debug, Clone, Copy, Queryable)]
pub struct LocationRow {
    /// Its id.
    pub id: LocationId,
    /// What kind of place it is.
    pub kind: LocationKind,
    /// The zone of its clocks.
    pub time_zone: Zone,
}

/// The row of a place, if there is one.
pub fn find_row(tx: &mut Tx, id: LocationId) -> Result<Option<LocationRow>, Error> {
    Ok(locations::table
        .find(id)
        .select((locations::id, locations::kind, locations::time_zone))
        .get_result(tx.conn)
        .optional()?)
}

/// As [`find_row`], as it stays until this transaction ends: whoever comes to live at a place has its zone,
/// also when that is put right at this moment.
pub(crate) fn keep_row(tx: &mut Tx, id: LocationId) -> Result<Option<LocationRow>, Error> {
    if let Conn::Postgres(conn) = tx.conn {
        let row = locations::table.find(id).select(locations::id);
        row.for_share().get_result::<LocationId>(conn).optional()?;
    }
    // SQLite has one writer: nothing to wait for.
    find_row(tx, id)
}

/// The names of those of some places that are there; the caller has made the access decision.
pub fn names(tx: &mut Tx, ids: Vec<LocationId>) -> Result<Vec<Named<LocationId>>, Error> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let found: Vec<(LocationId, String)> = locations::table
        .filter(among(locations::id, ids))
        .select((locations::id, locations::name))
        .load(tx.conn)?;
    Ok(found.into_iter().map(|(id, name)| Named { id, name }).collect())
}

/// The most levels of places that lie in one another.
const LEVELS_MAX: usize = 8;

/// A place and all that lies in it. Makes no access decision. Index: locations_by_part_of.
pub(crate) fn within(tx: &mut Tx, id: LocationId) -> Result<Vec<LocationId>, Error> {
    let (mut all, mut level) = (vec![id], vec![id]);
    for _ in 0..LEVELS_MAX {
        level = locations::table
            .filter(among(locations::part_of, level.iter().copied().map(Some).collect::<Vec<_>>()))
            .select(locations::id)
            .load(tx.conn)?;
        level.retain(|place| !all.contains(place));
        if level.is_empty() {
            break;
        }
        all.extend(&level);
    }
    Ok(all)
}

/// What the clocks of a place go by; where a place is no secret to those who are signed in.
/// 404 when there is none.
pub fn zone(tx: &mut Tx, id: LocationId) -> Result<Zone, Error> {
    let place = find_row(tx, id)?.ok_or_else(|| Error::from(&problem::NOT_FOUND))?;
    Ok(place.time_zone)
}

type Shown = (
    (LocationId, String, LocationKind, Zone),
    Option<LocationId>,
    Option<(OrganizationId, String)>,
    (Option<f64>, Option<f64>, LinkClass, i32),
);

#[diesel::dsl::auto_type(no_type_alias)]
fn shown() -> _ {
    locations::table.left_join(organizations::table).select((
        (locations::id, locations::name, locations::kind, locations::time_zone),
        locations::part_of,
        (organizations::id, organizations::name).nullable(),
        (locations::latitude, locations::longitude, locations::link_class, locations::version),
    ))
}

fn show(tx: &mut Tx, id: LocationId) -> Result<Location, Error> {
    let rows: Vec<Shown> = shown().filter(locations::id.eq(id)).load(tx.conn)?;
    assemble(tx, rows)?.pop().ok_or_else(|| Error::from(&problem::NOT_FOUND))
}

fn assemble(tx: &mut Tx, rows: Vec<Shown>) -> Result<Vec<Location>, Error> {
    let wholes: Vec<LocationId> = rows.iter().filter_map(|(_, part_of, ..)| *part_of).collect();
    let wholes = names(tx, wholes)?;
    let whole = |id: LocationId| wholes.iter().find(|whole| whole.id == id).cloned();
    let located = |(own, part_of, clinic, (latitude, longitude, link_class, version)): Shown| {
        let (id, name, kind, time_zone) = own;
        Location {
            id,
            name,
            kind,
            part_of: part_of.and_then(whole),
            organization: clinic.map(|(id, name)| Named { id, name }),
            time_zone,
            latitude,
            longitude,
            link_class,
            version,
        }
    };
    Ok(rows.into_iter().map(located).collect())
}

/// Both coordinates on the globe, or none; the pointer of the wrong one.
fn check_coordinates(latitude: Option<f64>, longitude: Option<f64>) -> Result<(), &'static str> {
    match (latitude, longitude) {
        (None, None) => Ok(()),
        (None, Some(_)) => Err("/latitude"),
        (Some(_), None) => Err("/longitude"),
        (Some(latitude), Some(_)) if !(-90.0..=90.0).contains(&latitude) => Err("/latitude"),
        (Some(_), Some(longitude)) if !(-180.0..=180.0).contains(&longitude) => Err("/longitude"),
        (Some(_), Some(_)) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_lies_on_the_globe_or_nowhere() {
        assert_eq!(check_coordinates(None, None), Ok(()));
        assert_eq!(check_coordinates(Some(-90.0), Some(180.0)), Ok(()));
        assert_eq!(check_coordinates(Some(58.1), None), Err("/longitude"));
        assert_eq!(check_coordinates(None, Some(93.4)), Err("/latitude"));
        assert_eq!(check_coordinates(Some(90.01), Some(0.0)), Err("/latitude"));
        assert_eq!(check_coordinates(Some(0.0), Some(-180.01)), Err("/longitude"));
        assert_eq!(check_coordinates(Some(f64::NAN), Some(0.0)), Err("/latitude"));
    }
}
