//! What can be wrong with a relay, in words for whoever keeps it alive.

/// Why no packet came through a relay. The words say what is wrong and where to look.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// DNS does not know the name.
    #[error("its name does not resolve: look for a typing error, or add the name to the DNS")]
    NoSuchName,
    /// No route.
    #[error("this machine has no way to its address")]
    NoWay,
    /// Silence.
    #[error("nobody answers: is coturn running, and does every firewall let this port through?")]
    NoAnswer,
    /// A connection, and then silence: no firewall is in the way.
    #[error(
        "it takes the connection and then says nothing: does another program have this port, or \
         is it one with TLS asked without it, or one without TLS asked with it?"
    )]
    Silent,
    /// The machine is there, and says no.
    #[error("nobody listens at this port: is coturn running, with this port in its settings?")]
    NobodyListens,
    /// The connection ended in the middle of a word.
    #[error("it closed the connection: look into coturn's log")]
    Closed,
    /// Other words than TLS.
    #[error("what answers does not speak TLS: does another program have this port?")]
    NotTls,
    /// TLS, but not with us.
    #[error("TLS could not be agreed on ({0}): are `cert` and `pkey` readable for coturn?")]
    NoAgreement(String),
    /// A certificate that browsers do not take either.
    #[error("its certificate is not trusted ({0}); browsers refuse it as well")]
    Certificate(String),
    /// Other words than TURN.
    #[error("what answers is no TURN relay: does another program have this port?")]
    NotTurn,
    /// It relays for everybody.
    #[error("it relays for anybody, without a password: set `use-auth-secret`, and have it closed")]
    Open,
    /// The password is not taken.
    #[error(
        "it does not take our password: `static-auth-secret` there and ice.turn_secret here differ"
    )]
    Secret,
    /// The password is taken when it lives much longer.
    #[error(
        "it takes our secret, but finds the password run out: its clock and ours differ by more \
         than ice.turn_credential_secs"
    )]
    Clock,
    /// 403 to the allocation itself.
    #[error("it refuses us (403): look for our address in its lists of who may come")]
    Forbidden,
    /// 403 to the address of the peer.
    #[error(
        "it may not send to {0}, which is its own address: `external-ip` is missing, or a \
         `denied-peer-ip` forbids it"
    )]
    PeerForbidden(std::net::IpAddr),
    /// 486.
    #[error("its quota is used up: raise `user-quota` or `total-quota`, or find who uses it")]
    Quota,
    /// 508.
    #[error("it has no relay port left: widen `min-port` to `max-port`, and look at its limits")]
    NoRelayAddress,
    /// 300.
    #[error("it sends us elsewhere (300), which browsers do not follow: name the other relay")]
    Elsewhere,
    /// Another refusal.
    #[error("it refuses with the error {0}: look into coturn's log")]
    Refused(u16),
    /// Everything went well but the packet.
    #[error(
        "it answers, but a packet sent through it did not come back: are the ports `min-port` to \
         `max-port` open for UDP, and does a NAT let it reach its own `external-ip`?"
    )]
    Lost,
    /// Our own machine.
    #[error("this machine could not try: {0}")]
    Ours(String),
}
