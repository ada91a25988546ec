//! Who sends what to whom: the rule from which the server writes the plan of every connection.
//! Pure. Each person sends to each of the others by themself, so what nobody needs is not sent.

use serde::Serialize;

use crate::encounter::ParticipantRole as Role;

/// What flows one way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Media {
    /// The voice.
    pub audio: bool,
    /// The picture.
    pub video: bool,
}

const NOTHING: Media = Media { audio: false, video: false };
const VOICE: Media = Media { audio: true, video: false };
const BOTH: Media = Media { audio: true, video: true };

/// What flows between two people, seen from the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    /// From the first to the second.
    pub there: Media,
    /// From the second to the first.
    pub back: Media,
}

/// The plan for two people; `None` when they have nothing to send each other, and no connection.
pub fn between(one: Role, other: Role) -> Option<Plan> {
    let plan = Plan { there: sends(one, other), back: sends(other, one) };
    (plan.there != NOTHING || plan.back != NOTHING).then_some(plan)
}

fn sends(from: Role, to: Role) -> Media {
    match (from, to) {
        // Whoever learns is heard and seen by nobody.
        (Role::Trainee, _) => NOTHING,
        // The interpreter's picture helps nobody, and theirs is the voice that must arrive.
        (Role::Interpreter, _) | (_, Role::Interpreter) => VOICE,
        // Family and patient know each other's faces: the line is for the doctor.
        (Role::Patient | Role::Relative, Role::Patient | Role::Relative) => VOICE,
        (
            Role::Patient | Role::Relative | Role::Practitioner | Role::Feldsher | Role::Specialist,
            Role::Patient
            | Role::Relative
            | Role::Practitioner
            | Role::Feldsher
            | Role::Specialist
            | Role::Trainee,
        ) => BOTH,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A row sends to a column: `-` nothing, `a` the voice, `v` voice and picture.
    const TABLE: &str = "
                      patient practitioner relative feldsher specialist interpreter trainee
        patient       a       v            a        v        v          a           v
        practitioner  v       v            v        v        v          a           v
        relative      a       v            a        v        v          a           v
        feldsher      v       v            v        v        v          a           v
        specialist    v       v            v        v        v          a           v
        interpreter   a       a            a        a        a          a           a
        trainee       -       -            -        -        -          -           -
    ";

    #[test]
    fn the_plan_is_the_table() {
        let mut lines = TABLE.lines().map(str::trim).filter(|line| !line.is_empty());
        let heads: Vec<&str> = lines.next().unwrap().split_whitespace().collect();
        assert_eq!(heads.len(), Role::ALL.len());
        for line in lines {
            let mut cells = line.split_whitespace();
            let from: Role = cells.next().unwrap().parse().unwrap();
            for (head, cell) in heads.iter().zip(cells) {
                let to: Role = head.parse().unwrap();
                let expected = match cell {
                    "a" => VOICE,
                    "v" => BOTH,
                    _ => NOTHING,
                };
                assert_eq!(sends(from, to), expected, "{from} to {to}");
            }
        }
    }

    #[test]
    fn both_sides_read_the_same_plan_and_two_who_only_listen_have_no_connection() {
        for one in Role::ALL {
            for other in Role::ALL {
                let turned =
                    between(*other, *one).map(|plan| Plan { there: plan.back, back: plan.there });
                assert_eq!(between(*one, *other), turned, "{one} and {other}");
            }
        }
        assert_eq!(between(Role::Trainee, Role::Trainee), None);
        let plan = between(Role::Trainee, Role::Practitioner).unwrap();
        assert_eq!((plan.there, plan.back), (NOTHING, BOTH));
    }
}
