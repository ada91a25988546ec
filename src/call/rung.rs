//! The rungs of the media ladder: what each sends, what each needs of a line, and what a report
//! says of one. [`LIMITS`] is the whole rule of what a line carries.

use serde::Serialize;

use crate::base::column::text_enum;
use crate::call::message::Quality;
use crate::call::plan::Media;

text_enum!(
    /// What an edge carries, from the least to the most: a rung is lower when it stands first.
    Rung {
        /// Nothing: both have agreed to go on by telephone.
        Phone = "phone",
        /// Text, and voice notes that may take their time.
        Text = "text",
        /// The voice.
        Audio = "audio",
        /// The voice, and a picture every few seconds.
        AudioStills = "audio_stills",
        /// The voice, and a small moving picture.
        SmallVideo = "small_video",
        /// The voice and a moving picture.
        Video = "video",
    }
);

text_enum!(
    /// Why an edge is on its rung.
    RungWhy {
        /// It begins there.
        Begun = "begun",
        /// The check before the visit found no room for more.
        Probed = "probed",
        /// Too much was lost on the way.
        Loss = "loss",
        /// What was sent took too long.
        Rtt = "rtt",
        /// There was no room for more.
        Bitrate = "bitrate",
        /// Somebody asked for it.
        Asked = "asked",
        /// Somebody saves data.
        DataSaver = "data_saver",
        /// The line has been good for a while.
        Recovered = "recovered",
        /// No sound came through at all.
        NoMedia = "no_media",
    }
);

text_enum!(
    /// Why somebody asks for a rung.
    WishWhy {
        /// They want to.
        Asked = "asked",
        /// They save data.
        DataSaver = "data_saver",
        /// A measurement, not a wish: nothing comes through.
        NoMedia = "no_media",
    }
);

/// What a line must be like to carry a rung; a report beyond any of these is bad for it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limits {
    /// Which rung.
    pub rung: Rung,
    /// The most that may be lost either way, as a share.
    pub loss: f64,
    /// The longest round trip, in milliseconds.
    pub rtt: f64,
    /// The least opinion score of the voice (1 to 4.5); 1 asks nothing.
    pub mos: f64,
    /// The least room that the sender estimates, in bits per second.
    pub room: f64,
}

/// What each rung needs, the highest first. `text` and `phone` need nothing that is measured.
///
/// 300 kbit/s, 300 ms and 3 % for video, 60 kbit/s and 10 % for voice with pictures, 25 kbit/s and
/// 15 % for the voice are the verdicts of the link probe, so that the advice before a visit and the
/// visit itself agree. A small picture stands between: a satellite's 650 ms do not hurt it.
/// The opinion score counts for video alone; below that it would only say again what the round trip
/// says, and no lower rung shortens a round trip.
pub const LIMITS: [Limits; 4] = [
    Limits { rung: Rung::Video, loss: 0.03, rtt: 300.0, mos: 3.1, room: 300_000.0 },
    Limits { rung: Rung::SmallVideo, loss: 0.06, rtt: 800.0, mos: 1.0, room: 120_000.0 },
    Limits { rung: Rung::AudioStills, loss: 0.10, rtt: 1500.0, mos: 1.0, room: 60_000.0 },
    Limits { rung: Rung::Audio, loss: 0.15, rtt: 3000.0, mos: 1.0, room: 25_000.0 },
];

/// Beyond this share lost either way the voice itself is given up. A bad voice is better than none:
/// on a thin line the first seconds lose much, and then it is understood.
const VOICE_LOSS: f64 = 0.6;
/// Beyond this round trip nobody can talk, in milliseconds.
const VOICE_RTT_MS: f64 = 10_000.0;

/// To go up, losses must stay within this share of the limit of the rung above.
const MARGIN: f64 = 0.7;

/// What a side sends on a rung.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Send {
    /// The most for the voice, in bits per second; 0: no voice.
    pub audio_bps: u32,
    /// The moving picture, if any.
    pub video: Option<Picture>,
    /// Every so many seconds a still picture, if any.
    pub still_secs: Option<u32>,
}

impl Send {
    /// What of it flows where the plan of the room lets less pass.
    pub fn within(self, plan: Media) -> Self {
        if plan.video { self } else { Self { video: None, still_secs: None, ..self } }
    }
}

/// A moving picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Picture {
    /// The most, in bits per second.
    pub max_bps: u32,
    /// How wide, in pixels.
    pub width: u32,
    /// Pictures per second.
    pub fps: u32,
}

impl Rung {
    /// What a side sends on it. With 40 ms of sound in a packet, which the heads of packets need
    /// 12 kbit/s for, the voice of `audio` takes at most 29 kbit/s of the line, and that of
    /// `audio_stills` 37; `docs/signaling.md` has what Chromium was measured to send.
    pub fn send(self) -> Send {
        let send = |audio_bps, video, still_secs| Send { audio_bps, video, still_secs };
        match self {
            Self::Video => {
                send(32_000, Some(Picture { max_bps: 600_000, width: 640, fps: 20 }), None)
            }
            Self::SmallVideo => {
                send(24_000, Some(Picture { max_bps: 120_000, width: 320, fps: 10 }), None)
            }
            Self::AudioStills => send(24_000, None, Some(6)),
            Self::Audio => send(16_000, None, None),
            Self::Text | Self::Phone => send(0, None, None),
        }
    }

    /// The one above, if any.
    pub(super) fn above(self) -> Option<Self> {
        Self::ALL.iter().copied().find(|rung| *rung > self)
    }

    /// How many rungs `lower` is below this one.
    pub(super) fn down_to(self, lower: Self) -> usize {
        Self::ALL.iter().filter(|rung| lower < **rung && **rung <= self).count()
    }
}

/// What one report says of the line.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reading {
    /// The worse of the two ways, as a share.
    pub loss: f64,
    /// Milliseconds.
    pub rtt: f64,
    /// 1 to 4.5.
    pub mos: f64,
    /// Bits per second that the sender estimates it could send, if it knows.
    pub room: Option<f64>,
}

impl From<&Quality> for Reading {
    fn from(said: &Quality) -> Self {
        let loss = said.loss_in.max(said.loss_out);
        Self { loss, rtt: said.rtt, mos: said.mos, room: said.room }
    }
}

impl Reading {
    /// As it counts for what is sent on a rung: where no moving picture is sent, the browser's estimate
    /// does not grow beyond the little that is, and says nothing of the line.
    pub(super) fn on(self, rung: Rung) -> Self {
        if rung.send().video.is_some() { self } else { Self { room: None, ..self } }
    }

    /// Whether next to nothing of a voice comes through.
    pub(super) fn loses_the_voice(&self) -> bool {
        self.loss > VOICE_LOSS || self.rtt > VOICE_RTT_MS
    }

    /// What is wrong with the line for a rung.
    pub(super) fn fault(&self, rung: Rung) -> Option<RungWhy> {
        let limits = LIMITS.iter().find(|limits| limits.rung == rung)?;
        if self.loss > limits.loss {
            Some(RungWhy::Loss)
        } else if self.room.is_some_and(|room| room < limits.room) {
            Some(RungWhy::Bitrate)
        } else if self.rtt > limits.rtt || self.mos < limits.mos {
            Some(RungWhy::Rtt)
        } else {
            None
        }
    }

    /// The highest rung, up to `from`, that the line carries.
    pub(super) fn carried(&self, from: Rung) -> Rung {
        let fits = |rung: &&Rung| **rung <= from && self.fault(**rung).is_none();
        Rung::ALL.iter().rev().find(fits).copied().unwrap_or(Rung::Text).max(Rung::Text)
    }

    /// The highest rung, up to `most`, that may be tried on a line where `sent` flows now. For what is
    /// not sent yet room is not asked, as on the way up.
    pub(super) fn bears(&self, sent: Rung, most: Rung) -> Rung {
        let carried = self.carried(sent);
        if carried < sent {
            return carried.min(most);
        }
        Self { room: None, ..*self }.carried(most)
    }

    /// Whether the line could well carry a rung. Room is not asked: what has not been sent has not
    /// been tried, and the estimate does not grow beyond it.
    pub(super) fn is_good_for(&self, rung: Rung) -> bool {
        let Some(limits) = LIMITS.iter().find(|limits| limits.rung == rung) else { return true };
        // A round trip does not shrink by waiting: it is held against the limit itself.
        let loss_is_good = self.loss <= limits.loss * MARGIN;
        loss_is_good && self.rtt <= limits.rtt && self.mos >= limits.mos
    }
}
