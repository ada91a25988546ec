//! What happens on one node and matters to a room on another.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use super::bus::{self, Post};
use super::far::{Office, Told};
use super::{AGAIN_MS, Net, rows};
use crate::access::table::Action;
use crate::account::SessionId;
use crate::base::app::App;
use crate::base::problem;
use crate::base::tx::{self, Tx};
use crate::call::departure::remember;
use crate::call::event::{self as call, Event};
use crate::call::gather::{gather, settle, settle_end};
use crate::call::socket;
use crate::encounter::{
    Admission, EncounterId, ParticipantId, ParticipantState, find_participant, find_row,
};

/// How often it is tried to find out whom to tell.
const TELL_TRIES: usize = 120;

/// What is to be told. A life of the node may end in the middle of it; the next begins it anew.
#[derive(Debug)]
pub(super) struct ToTell {
    pub(super) waiting: mpsc::Receiver<News>,
    pub(super) present: Option<News>,
}

/// Something to be told.
#[derive(Debug, Clone)]
pub(super) enum News {
    /// A transaction here has changed something.
    Tell(tx::Event),
    /// A sign-in has ended, and these nodes could not be told at once.
    SignedOut(SessionId, Vec<i64>),
    /// Another node says so.
    Heard(Post),
    /// Messages were lost, and what was decided may have been among them.
    Lost,
}

/// The ear of a node.
pub(super) struct Reader {
    pub(super) app: Arc<App>,
    pub(super) office: Arc<Office>,
}

impl bus::Reader for Reader {
    fn told(&self, sender: i64, post: Post) {
        match self.office.told(sender, post) {
            Told::Done => {}
            Told::Opened(wire, text) => {
                let app = Arc::clone(&self.app);
                drop(actix_web::rt::spawn(socket::serve_from_afar(app, wire, text)));
            }
            // At once: whoever has signed out does not wait until the database answers others.
            Told::News(Post::SignedOut { session }) => {
                let app = Arc::clone(&self.app);
                let departures = app.rooms.sign_out(session);
                drop(actix_web::rt::spawn(async move { remember(&app, departures).await }));
            }
            Told::News(post) => self.hand_over(News::Heard(post)),
        }
    }

    fn lost(&self, sender: Option<i64>) {
        tracing::warn!(sender, "messages between nodes are lost; their lines begin anew");
        self.office.break_off(sender);
        self.hand_over(News::Lost);
    }
}

impl Reader {
    fn hand_over(&self, news: News) {
        if let Some(net) = &self.app.rooms.nodes.net {
            net.hand_over(news);
        }
    }
}

/// Tells what happened, one thing after another.
pub(super) async fn tell(app: &Arc<App>, net: &Net, to_tell: &mut ToTell) {
    loop {
        if to_tell.present.is_none() {
            to_tell.present = to_tell.waiting.recv().await;
        }
        let Some(news) = to_tell.present.clone() else { return };
        match news {
            News::Tell(event) => pass_on(app, net, event).await,
            News::SignedOut(session, untold) => sign_out(app, session, untold).await,
            News::Heard(post) => hear(app, post).await,
            News::Lost => {
                for (encounter, participant) in app.rooms.present() {
                    settle_word(app, encounter, participant).await;
                }
            }
        }
        to_tell.present = None;
    }
}

async fn pass_on(app: &Arc<App>, net: &Net, event: tx::Event) {
    let (encounter, post) = match event {
        tx::Event::Admission(encounter, participant, ..) => {
            (encounter, Post::Decided { encounter, participant })
        }
        tx::Event::EncounterOver(encounter) => (encounter, Post::Over { encounter }),
        tx::Event::EncounterReopened(encounter) => (encounter, Post::Reopened { encounter }),
        tx::Event::PartyChanged(encounter, _) => (encounter, Post::PartyChanged { encounter }),
        // Nobody was known when it happened.
        tx::Event::SessionEnded(session) => {
            if let Some(office) = app.rooms.nodes.office() {
                let untold = office.sign_out(session);
                sign_out(app, session, untold).await;
            }
            return;
        }
        tx::Event::Ringing(encounter, participant, ring) => {
            (encounter, Post::News { encounter, news: call::News::Ringing(participant, ring) })
        }
        tx::Event::CareMoved(encounter) => {
            (encounter, Post::News { encounter, news: call::News::Care })
        }
        tx::Event::Wrote(encounter) => {
            (encounter, Post::News { encounter, news: call::News::Chat })
        }
        tx::Event::MessageQueued | tx::Event::QueueMoved(_) => return,
    };
    for _ in 0..TELL_TRIES {
        let Some(office) = app.rooms.nodes.office() else { return };
        if let Ok(keeper) = net.keeper()
            && let Ok(owner) = rows::owner(&keeper, encounter).await
        {
            match owner {
                // Nobody sits there: whoever comes reads what was written.
                None => return,
                // Told at once where it happened; to be told twice is to be rung twice.
                Some(owner) if owner == office.tenure.node && matches!(post, Post::News { .. }) => {
                    return;
                }
                Some(owner) if owner == office.tenure.node => return hear(app, post).await,
                Some(owner) if office.out.tell(owner, &post) => return,
                Some(_) => {}
            }
        }
        tokio::time::sleep(Duration::from_millis(AGAIN_MS)).await;
    }
    tracing::error!(encounter.id = %encounter, "a room on another node was not told what happened");
}

/// Tells those who could not be told at once that a sign-in has ended, as long as they live.
async fn sign_out(app: &Arc<App>, session: SessionId, mut untold: Vec<i64>) {
    for _ in 0..TELL_TRIES {
        let Some(office) = app.rooms.nodes.office() else { return };
        untold = office.tell_each(&untold, &Post::SignedOut { session });
        if untold.is_empty() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(AGAIN_MS)).await;
    }
    tracing::error!("another node was not told that a sign-in has ended");
}

async fn hear(app: &Arc<App>, post: Post) {
    match post {
        Post::Decided { encounter, participant } => settle_word(app, encounter, participant).await,
        Post::Over { encounter } | Post::Reopened { encounter } => {
            settle_end(app, encounter).await;
        }
        Post::PartyChanged { encounter } => gather_in_time(app, encounter).await,
        Post::News { encounter, news } => {
            remember(app, app.rooms.apply(encounter, None, Event::News(news))).await;
        }
        Post::SignedOut { session } => remember(app, app.rooms.sign_out(session)).await,
        Post::Moved { practitioners } => {
            for practitioner in practitioners {
                remember(app, app.rooms.hear(&tx::Event::QueueMoved(practitioner))).await;
            }
        }
        // These are about lines, and were dealt with.
        Post::Open { .. }
        | Post::Frame { .. }
        | Post::Sign { .. }
        | Post::Lost { .. }
        | Post::Send { .. }
        | Post::Close { .. }
        | Post::NotMine { .. } => {}
    }
}

/// Brings a room to what is written about who takes part.
async fn gather_in_time(app: &Arc<App>, encounter: EncounterId) {
    for _ in 0..TELL_TRIES {
        let Err(error) = gather(app, encounter).await else { return };
        let code = error.problem().code;
        tracing::warn!(code, "who takes part could not be read");
        if !error.is(&problem::OVERLOADED) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(AGAIN_MS)).await;
    }
}

/// Brings a room to what is written about somebody.
async fn settle_word(app: &Arc<App>, encounter: EncounterId, id: ParticipantId) {
    let look = move |tx: &mut Tx| {
        tx.scope(Action::ReadEncounter)?;
        Ok((find_participant(tx, encounter, id)?.state, find_row(tx, encounter)?.room_rev))
    };
    let decided = |(state, rev)| Some(Event::Decided(id, admission_of(state)?, rev));
    settle(app, encounter, look, decided).await;
}

fn admission_of(state: ParticipantState) -> Option<Admission> {
    match state {
        ParticipantState::Admitted => Some(Admission::Admitted),
        ParticipantState::Waiting => Some(Admission::Held),
        ParticipantState::Denied => Some(Admission::Denied),
        ParticipantState::Removed => Some(Admission::Removed),
        ParticipantState::Invited | ParticipantState::Left => None,
    }
}
