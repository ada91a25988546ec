//! What a browser says when it measures its line.

use serde_json::{Value, json};

/// An offer of one data channel, as browsers write it.
pub const OFFER: &str = "v=0\r\no=- 4611731400430051336 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n\
    a=group:BUNDLE 0\r\na=extmap-allow-mixed\r\na=msid-semantic: WMS\r\n\
    m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 0.0.0.0\r\n\
    a=ice-ufrag:Zx1f\r\na=ice-pwd:vDbJqRj1EDe0xx7GTK3ZbR0y\r\na=ice-options:trickle\r\n\
    a=fingerprint:sha-256 5B:DF:3E:21:0C:9A:71:66:AE:01:42:B7:5C:D0:88:13:\
    F4:9E:2B:77:60:5D:C1:3A:EF:08:94:26:7B:B3:51:D9\r\n\
    a=setup:actpass\r\na=mid:0\r\na=sctp-port:5000\r\na=max-message-size:262144\r\n";

/// A good line.
pub fn found() -> Value {
    json!({
        "legs": [{"leg": "direct", "state": "connected", "ms": 412},
                 {"leg": "relay_tls", "state": "failed"}],
        "measured_on": "direct",
        "measures": {"rtt_p50_ms": 80, "rtt_p95_ms": 140, "jitter_ms": 5, "loss_up_permille": 10,
                     "loss_down_permille": 0, "up_kbits": 600, "down_kbits": 590},
        "devices": {"camera": "ok", "microphone": "ok", "speaker": "untested"},
    })
}
