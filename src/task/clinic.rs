//! Tasks about several visits of a clinic: one of a kind is open at a time, and it is called off when
//! nothing is left to do.

use chrono::TimeDelta;
use diesel::dsl::{Eq, Filter, IsNull};
use diesel::prelude::*;

use crate::base::db::{Each, Turn, take_turns};
use crate::base::error::Error;
use crate::base::schema::tasks;
use crate::base::tx::Tx;
use crate::organization::OrganizationId;
use crate::task::{DUE_HOURS, IsOpen, TaskCode, TaskId, TaskStatus, TaskWhy};

type OpenOnes = Filter<
    Filter<Filter<tasks::table, IsNull<tasks::encounter_id>>, Eq<tasks::code, TaskCode>>,
    IsOpen,
>;

/// The open tasks of a kind, one of a clinic at most. Index: tasks_one_of_clinic.
pub(super) fn open_ones(code: TaskCode) -> OpenOnes {
    tasks::table.filter(tasks::encounter_id.is_null()).filter(tasks::code.eq(code)).filter(IsOpen)
}

/// Lets nobody else open or end a clinic's tasks, or decide what they are about, until this transaction ends:
/// before anything is locked.
pub(crate) fn take_turn(tx: &mut Tx, clinic: OrganizationId) -> Result<(), Error> {
    Ok(take_turns(tx.conn, &[Turn::Alone(clinic.0)])?)
}

/// Opens a clinic's task, unless there is one of its kind: whoever finds at this moment that nothing is
/// left to do waits, or has called it off. The caller has made the access decision.
pub(crate) fn open(
    tx: &mut Tx,
    clinic: OrganizationId,
    code: TaskCode,
    why: TaskWhy,
) -> Result<(), Error> {
    take_turn(tx, clinic)?;
    Each(
        diesel::insert_into(tasks::table)
            .values((
                tasks::id.eq(TaskId::new(tx.now)),
                tasks::code.eq(code),
                tasks::status.eq(TaskStatus::Requested),
                tasks::organization_id.eq(clinic),
                tasks::why.eq(why),
                tasks::attempts.eq(0),
                tasks::due_at.eq(tx.now.plus(TimeDelta::hours(DUE_HOURS))),
                tasks::created_at.eq(tx.now),
                tasks::updated_at.eq(tx.now),
            ))
            .on_conflict_do_nothing(),
    )
    .execute(tx.conn)?;
    Ok(())
}

/// Opens a clinic's task when something is to be done of which it has none, and calls it off when nothing is
/// left. The caller has made the access decision, and looked in its turn alone at the clinic.
pub(crate) fn keep(
    tx: &mut Tx,
    clinic: OrganizationId,
    (code, why): (TaskCode, TaskWhy),
    is_any_left: bool,
) -> Result<(), Error> {
    match (is_any_left, is_open(tx, clinic, code)?) {
        (true, false) => open(tx, clinic, code, why),
        (false, true) => call_off(tx, clinic, code),
        (true, true) | (false, false) => Ok(()),
    }
}

/// Which clinics have an open task of a kind. The caller has made the access decision.
pub(crate) fn having(tx: &mut Tx, code: TaskCode) -> Result<Vec<OrganizationId>, Error> {
    Ok(open_ones(code).select(tasks::organization_id).load(tx.conn)?)
}

/// Whether a clinic has one.
pub(crate) fn is_open(tx: &mut Tx, clinic: OrganizationId, code: TaskCode) -> Result<bool, Error> {
    let open = open_ones(code).filter(tasks::organization_id.eq(clinic));
    Ok(diesel::select(diesel::dsl::exists(open)).get_result(tx.conn)?)
}

/// Calls a clinic's task off: nothing is left to do. The caller has made the access decision, and looked
/// in its turn alone at the clinic, so that nobody has found something since.
pub(crate) fn call_off(tx: &mut Tx, clinic: OrganizationId, code: TaskCode) -> Result<(), Error> {
    let open = open_ones(code).filter(tasks::organization_id.eq(clinic));
    diesel::update(open)
        .set((tasks::status.eq(TaskStatus::Cancelled), tasks::updated_at.eq(tx.now)))
        .execute(tx.conn)?;
    Ok(())
}
