//! What a measured line will carry, and what to do about it. Pure.
//!
//! Thresholds and formula are those of the project's design of the pre-call test; the formula is
//! the usual shortened E-model (ITU-T G.107), in which delay and loss lower the quality of speech.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::base::column::text_enum;
use crate::base::language::Language;
use crate::call::probe::Side;
use crate::call::rung::Rung;

/// From this rate on a picture has room, in kbit/s.
const VIDEO_KBITS: i32 = 300;
/// From this rate on a voice has room, and now and then a photo, in kbit/s.
const VOICE_KBITS: i32 = 60;
/// Below this rate not even a lean voice passes, in kbit/s.
const LEAN_KBITS: i32 = 25;
/// At this round trip and beyond a picture only disturbs, in milliseconds.
const VIDEO_RTT_MS: i32 = 300;
/// From this loss on there is no picture, in thousandths.
const VIDEO_LOSS: i32 = 30;
/// Above this loss a voice must be lean, in thousandths.
const VOICE_LOSS: i32 = 100;
/// Above this loss a voice cannot be understood, in thousandths.
const LEAN_LOSS: i32 = 150;

text_enum!(
    /// What the line will carry.
    Verdict {
        /// Picture and voice.
        Video = "video",
        /// Voice, and photos now and then.
        AudioPhotos = "audio_photos",
        /// Voice of the smallest size (12 kbit/s), nothing else.
        AudioLean = "audio_lean",
        /// Nothing; the telephone is better.
        Phone = "phone",
    }
);

text_enum!(
    /// Whether a device works.
    Device {
        /// It does.
        Ok = "ok",
        /// There is none.
        Missing = "missing",
        /// The browser or the person does not allow it.
        Denied = "denied",
        /// Nobody tried.
        Untested = "untested",
    }
);

text_enum!(
    /// What to tell the patient.
    Advice {
        /// Everything works.
        Ready = "ready",
        /// The line is good, the camera is missing.
        NoCamera = "no_camera",
        /// Nobody would hear them.
        NoMicrophone = "no_microphone",
        /// They would hear nobody.
        NoSpeaker = "no_speaker",
        /// Voice at home, video at the station.
        VoiceHome = "voice_home",
        /// Just voice at home.
        VoiceLean = "voice_lean",
        /// The telephone, or the station.
        Phone = "phone",
    }
);

/// What was measured on the best way that there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Measures {
    /// The round trip that half of the packets kept, in milliseconds, up to 60000.
    pub rtt_p50_ms: i32,
    /// The round trip that all but one of twenty kept, in milliseconds, up to 60000.
    pub rtt_p95_ms: i32,
    /// How much the round trip changes from packet to packet, in milliseconds, up to 60000.
    pub jitter_ms: i32,
    /// What was lost on the way to the server, in thousandths.
    pub loss_up_permille: i32,
    /// What was lost on the way from it, in thousandths.
    pub loss_down_permille: i32,
    /// What passes to the server, in kbit/s, up to 100000.
    pub up_kbits: i32,
    /// What passes from it, in kbit/s, up to 100000.
    pub down_kbits: i32,
}

/// Camera, microphone and loudspeaker, as the page tried them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Devices {
    /// The camera.
    pub camera: Device,
    /// The microphone.
    pub microphone: Device,
    /// The loudspeaker.
    pub speaker: Device,
}

impl Measures {
    /// The worse of both directions: a conversation needs both.
    fn loss(&self) -> i32 {
        self.loss_up_permille.max(self.loss_down_permille)
    }

    fn kbits(&self) -> i32 {
        self.up_kbits.min(self.down_kbits)
    }

    /// How a voice will sound, from 1 (bad) to 4.5 (as in the same room).
    pub fn mos(&self) -> f64 {
        let (rtt, jitter) = (f64::from(self.rtt_p50_ms), f64::from(self.jitter_ms));
        let latency = rtt + 2.0 * jitter + 10.0;
        let delay = if latency < 160.0 { latency / 40.0 } else { (latency - 120.0) / 10.0 };
        let loss_percent = f64::from(self.loss()) / 10.0;
        let r = (93.2 - delay - 2.5 * loss_percent).clamp(0.0, 100.0);
        let mos = 1.0 + 0.035 * r + 7e-6 * r * (r - 60.0) * (100.0 - r);
        // The curve dips below its own floor where next to nothing is left.
        mos.max(1.0)
    }
}

/// What a line carries; `None`: no way was found at all.
pub fn verdict(measures: Option<&Measures>) -> Verdict {
    let Some(measures) = measures else { return Verdict::Phone };
    let (kbits, loss) = (measures.kbits(), measures.loss());
    if kbits < LEAN_KBITS || loss > LEAN_LOSS {
        return Verdict::Phone;
    }
    if kbits < VOICE_KBITS || loss > VOICE_LOSS {
        return Verdict::AudioLean;
    }
    if kbits < VIDEO_KBITS || loss >= VIDEO_LOSS || measures.rtt_p50_ms >= VIDEO_RTT_MS {
        return Verdict::AudioPhotos;
    }
    Verdict::Video
}

impl Verdict {
    /// Where the media ladder begins on such a line.
    pub fn rung(self) -> Rung {
        match self {
            Self::Video => Rung::Video,
            Self::AudioPhotos => Rung::AudioStills,
            Self::AudioLean | Self::Phone => Rung::Audio,
        }
    }
}

/// What to do: what keeps somebody from being heard comes before what keeps them from being seen.
pub fn advice(verdict: Verdict, devices: &Devices) -> Advice {
    let fails = |device| matches!(device, Device::Missing | Device::Denied);
    match verdict {
        Verdict::Phone => Advice::Phone,
        _ if fails(devices.microphone) => Advice::NoMicrophone,
        _ if fails(devices.speaker) => Advice::NoSpeaker,
        Verdict::AudioLean => Advice::VoiceLean,
        Verdict::AudioPhotos => Advice::VoiceHome,
        Verdict::Video if fails(devices.camera) => Advice::NoCamera,
        Verdict::Video => Advice::Ready,
    }
}

impl Advice {
    /// The sentence for whoever has measured: the patient, or the feldsher at the station, who cannot
    /// be sent there.
    pub fn words(self, side: Side, language: Language) -> &'static str {
        let at_the_station = side == Side::Feldsher;
        let (en, ru) = match self {
            Self::Ready => {
                ("Video and voice will work here.", "Видео и голос здесь будут работать.")
            }
            Self::NoCamera if at_the_station => (
                "Voice will work. For video allow the camera, or take another device.",
                "Голос будет работать. Для видео разрешите камеру или возьмите другое устройство.",
            ),
            Self::VoiceHome if at_the_station => (
                "Voice and photos will work from the station; video will not.",
                "Из ФАП будут работать голос и фотографии, видео — нет.",
            ),
            Self::VoiceLean if at_the_station => (
                "Only voice will work from the station, at times with gaps.",
                "Из ФАП будет работать только голос, иногда с перебоями.",
            ),
            Self::Phone if at_the_station => (
                "The station's line does not carry a call now. Tell the doctor to telephone, or \
                 measure again nearer to the time.",
                "Связь ФАП сейчас звонка не выдержит. Договоритесь с врачом о звонке по телефону \
                 или проверьте ещё раз ближе к приёму.",
            ),
            Self::NoCamera => (
                "Voice will work. For video allow the camera, or come to the station.",
                "Голос будет работать. Для видео разрешите камеру или приходите в ФАП.",
            ),
            Self::NoMicrophone => (
                "The line is good, but the doctor will not hear you: allow the microphone, or take \
                 another telephone.",
                "Связь есть, но врач вас не услышит: разрешите микрофон или возьмите другой телефон.",
            ),
            Self::NoSpeaker => (
                "The line is good, but you will hear nothing: turn the sound up, or take \
                 headphones.",
                "Связь есть, но вы ничего не услышите: прибавьте звук или возьмите наушники.",
            ),
            Self::VoiceHome => (
                "Voice will work at home; for video come to the station.",
                "Дома будет работать голос; для видео приходите в ФАП.",
            ),
            Self::VoiceLean => (
                "Only voice will work at home, at times with gaps; for video come to the station.",
                "Дома будет работать только голос, иногда с перебоями; для видео приходите в ФАП.",
            ),
            Self::Phone => (
                "This line does not carry a call. The doctor can telephone you, or come to the \
                 station.",
                "Эта связь звонка не выдержит. Врач может позвонить вам по телефону, или приходите \
                 в ФАП.",
            ),
        };
        language.choose(en, ru)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: Measures = Measures {
        rtt_p50_ms: 80,
        rtt_p95_ms: 140,
        jitter_ms: 5,
        loss_up_permille: 0,
        loss_down_permille: 0,
        up_kbits: 600,
        down_kbits: 600,
    };

    #[test]
    fn each_threshold_is_where_the_design_says() {
        use Verdict::{AudioLean, AudioPhotos, Phone, Video};
        for (up, down, rtt, loss_up, loss_down, expected) in [
            (600, 600, 80, 0, 0, Video),
            (300, 600, 299, 29, 0, Video),
            (299, 600, 80, 0, 0, AudioPhotos),
            (600, 299, 80, 0, 0, AudioPhotos),
            (600, 600, 300, 0, 0, AudioPhotos),
            (600, 600, 80, 30, 0, AudioPhotos),
            (600, 600, 80, 0, 30, AudioPhotos),
            (60, 60, 80, 100, 100, AudioPhotos),
            (600, 600, 80, 101, 0, AudioLean),
            (59, 600, 80, 0, 0, AudioLean),
            (25, 25, 80, 150, 0, AudioLean),
            (24, 600, 80, 0, 0, Phone),
            (600, 24, 80, 0, 0, Phone),
            (600, 600, 80, 0, 151, Phone),
            (0, 0, 80, 0, 0, Phone),
        ] {
            let line = Measures {
                up_kbits: up,
                down_kbits: down,
                rtt_p50_ms: rtt,
                loss_up_permille: loss_up,
                loss_down_permille: loss_down,
                ..GOOD
            };
            assert_eq!(verdict(Some(&line)), expected, "{line:?}");
        }
        assert_eq!(verdict(None), Phone, "no way at all");
    }

    #[test]
    fn the_formula_gives_what_it_gives_on_paper() {
        for (rtt, jitter, loss, expected) in [
            (0, 0, 0, 4.40),
            (80, 5, 0, 4.36),
            (150, 10, 10, 4.19),
            (300, 20, 30, 3.24),
            (300, 0, 150, 1.91),
            (2000, 200, 0, 1.0),
            (60_000, 60_000, 1000, 1.0),
        ] {
            let line =
                Measures { rtt_p50_ms: rtt, jitter_ms: jitter, loss_up_permille: loss, ..GOOD };
            assert!((line.mos() - expected).abs() < 0.01, "{line:?}: {}", line.mos());
        }
    }

    #[test]
    fn a_worse_line_never_sounds_better_nor_carries_more() {
        let steps = [0, 1, 10, 29, 30, 100, 101, 150, 151, 300, 1000];
        for pair in steps.windows(2) {
            let [less, more] = [pair[0], pair[1]];
            let line = |loss, rtt| Measures { loss_down_permille: loss, rtt_p50_ms: rtt, ..GOOD };
            assert!(line(more, 80).mos() <= line(less, 80).mos());
            assert!(line(0, more).mos() <= line(0, less).mos());
            assert!(verdict(Some(&line(more, 80))) >= verdict(Some(&line(less, 80))));
            assert!(verdict(Some(&line(0, more))) >= verdict(Some(&line(0, less))));
        }
    }

    #[test]
    fn the_advice_names_what_matters_most() {
        use Device::{Denied, Missing, Ok, Untested};
        for (line, camera, microphone, speaker, expected) in [
            (Verdict::Video, Ok, Ok, Ok, Advice::Ready),
            (Verdict::Video, Untested, Untested, Untested, Advice::Ready),
            (Verdict::Video, Missing, Ok, Ok, Advice::NoCamera),
            (Verdict::Video, Denied, Denied, Ok, Advice::NoMicrophone),
            (Verdict::Video, Ok, Ok, Missing, Advice::NoSpeaker),
            (Verdict::AudioPhotos, Missing, Ok, Ok, Advice::VoiceHome),
            (Verdict::AudioPhotos, Ok, Missing, Ok, Advice::NoMicrophone),
            (Verdict::AudioLean, Ok, Ok, Ok, Advice::VoiceLean),
            (Verdict::Phone, Ok, Missing, Missing, Advice::Phone),
        ] {
            let devices = Devices { camera, microphone, speaker };
            assert_eq!(advice(line, &devices), expected, "{line} {devices:?}");
        }
    }

    #[test]
    fn every_advice_is_a_sentence_in_both_languages() {
        let sides = [Side::Patient, Side::Feldsher];
        for (advice, side) in Advice::ALL.iter().flat_map(|one| sides.map(|side| (one, side))) {
            let english = advice.words(side, Language::English);
            let russian = advice.words(side, Language::Russian);
            assert!(english.ends_with('.') && russian.ends_with('.'), "{advice}");
            assert!(russian.chars().any(|c| ('а'..='я').contains(&c)), "{advice}");
            assert!(!english.contains("  ") && !russian.contains("  "), "{advice}");
        }
        let home = Advice::VoiceHome.words(Side::Patient, Language::English);
        assert_eq!(home, "Voice will work at home; for video come to the station.");
        for advice in Advice::ALL {
            let said = [Language::English, Language::Russian]
                .map(|language| advice.words(Side::Feldsher, language));
            let sends =
                said.iter().any(|words| words.contains("come to") || words.contains("приходите"));
            assert!(!sends, "who is at the station is not sent there: {said:?}");
        }
    }
}
