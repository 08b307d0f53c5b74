//! The values of labels: closed sets, one type each. What is not in a set has no counter.

/// A closed set of label values whose position is its discriminant.
macro_rules! label {
    ($(#[$doc:meta])* $name:ident { $($(#[$value_doc:meta])* $value:ident = $text:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name {
            $($(#[$value_doc])* $value,)+
        }

        impl $name {
            /// As they stand in the exposition, by position.
            pub const VALUES: &'static [&'static str] = &[$($text),+];
            /// All of them, by position.
            pub const ALL: &'static [Self] = &[$(Self::$value),+];

            /// Its position.
            #[must_use]
            pub const fn index(self) -> usize {
                self as usize
            }
        }
    };
}

label! {
    /// How requests come in.
    Ingress {
        /// ISO 8583 sessions.
        Iso = "iso",
        /// JSON of gateways.
        Http = "http",
    }
}
label! {
    /// What became of a copy of a request.
    RepeatResult {
        /// The stored answer was given.
        Stored = "stored",
        /// It waits for the answer of the first one.
        Attached = "attached",
        /// Refused with 94: same content, not marked as a repeat.
        Rejected = "rejected",
        /// Refused with 94: same key, other content.
        Conflict = "conflict",
        /// Its transaction has been reversed.
        Reversed = "reversed",
    }
}
label! {
    /// Why a request made no transaction.
    RejectReason {
        /// It could not be read, or does not say what its type must say.
        Malformed = "malformed",
        /// A message type that is not served.
        Unsupported = "unsupported",
        /// Its MAC is missing or wrong.
        Mac = "mac",
        /// It names an institution that its certificate may not speak for.
        NotPermitted = "not_permitted",
        /// Its session has not signed on, which it must.
        NotSignedOn = "not_signed_on",
        /// Its session has its share in flight; of a gateway, as many of its requests wait as may.
        SessionFull = "session_full",
        /// Its acquirer has its share in flight, over all its sessions.
        AcquirerFull = "acquirer_full",
        /// Too many wait for the shard.
        QueueFull = "queue_full",
        /// It waited when the shard began to refuse what is new.
        Shed = "shed",
        /// It has waited for the shard for longer than it may.
        WaitedTooLong = "waited_too_long",
        /// The owner shard had no time for it.
        MeshFull = "mesh_full",
        /// The process is stopping.
        Draining = "draining",
        /// The journal is near its bound.
        JournalUnavailable = "journal_unavailable",
        /// No room to remember it.
        TableFull = "table_full",
        /// Too many in flight.
        InflightFull = "inflight_full",
        /// Answers wait for PostgreSQL, for too long or too many of them.
        PostgresBehind = "postgres_behind",
        /// No room to promise its reversal.
        SafFull = "saf_full",
        /// Its DE7 lies outside of the duplicate window.
        OutsideWindow = "outside_window",
        /// Its DE7 is further from the clock than its session lets a first request be.
        ClockSkew = "clock_skew",
        /// Its reversal came first.
        Tombstone = "tombstone",
        /// A reversal of a gateway: what it names is not known, and is not buried by it.
        UnknownOriginal = "unknown_original",
        /// An advice that no route leads anywhere.
        NoRoute = "no_route",
        /// Risk or route did not answer in time.
        Undecided = "undecided",
        /// Its issuer is to have first what it is owed for the account, and too many wait for that.
        HeldBackFull = "held_back_full",
        /// A completion: as many are owed about its original as may be at a time.
        CompletionsFull = "completions_full",
    }
}
label! {
    /// Why a connection or a request of a gateway was refused before its owner was asked.
    GatewayRefusal {
        /// It has as many connections as one may have.
        ConnectionsFull = "connections_full",
        /// Its address has as many connections as one may have.
        AddressFull = "address_full",
        /// Its handshake failed, or nobody has said what its gateway has.
        Tls = "tls",
        /// Its address asks too often.
        AddressRate = "address_rate",
        /// Its certificate is of nobody who may come.
        Certificate = "certificate",
        /// A kept connection was ended: its certificate has ended, or was withdrawn.
        CertificateOver = "certificate_over",
        /// It shows no credential, or more than one.
        CredentialMissing = "credential_missing",
        /// It shows one that is not known.
        CredentialUnknown = "credential_unknown",
        /// It shows one that was good once.
        CredentialExpired = "credential_expired",
        /// Its signature is not written as one.
        SignatureMalformed = "signature_malformed",
        /// Its signature was made too long before, or after, this time.
        SignatureStale = "signature_stale",
        /// Its signature is of another request, or by another key.
        SignatureWrong = "signature_wrong",
        /// Its nonce has come before.
        NonceReplayed = "nonce_replayed",
        /// It was signed when a run before this one may have taken it.
        SignatureForgotten = "signature_forgotten",
        /// It was signed later than the horizon of signatures, which could not be raised.
        BeyondHorizon = "beyond_horizon",
        /// As many nonces of its gateway are known as may be.
        NoncesFull = "nonces_full",
        /// Its gateway asks too often.
        Rate = "rate",
        /// As many of its gateway wait as may.
        PlacesFull = "places_full",
        /// Its type is not permitted to its gateway.
        Type = "type",
        /// Its currency is not.
        Currency = "currency",
        /// An amount as high as its own is not.
        Amount = "amount",
    }
}
label! {
    /// Why a request did not leave whose issuer was to have first what it was owed.
    GivenUpReason {
        /// Half of its route's deadline has passed.
        TooLong = "too_long",
        /// Too many wait.
        Full = "full",
        /// The process is stopping.
        Draining = "draining",
        /// Another issuer was chosen before this one.
        OtherIssuer = "other_issuer",
    }
}
label! {
    /// What kind of transaction it is.
    TransactionType {
        /// 0100.
        Authorisation = "authorisation",
        /// 0200.
        Financial = "financial",
        /// 0400 or 0420 from an acquirer.
        Reversal = "reversal",
    }
}
label! {
    /// How a transaction ended.
    Outcome {
        /// In the approval set.
        Approved = "approved",
        /// By an issuer, by risk, or for want of a route.
        Declined = "declined",
        /// The issuer's answer could not be used.
        Failed = "failed",
        /// Reversed before it was answered.
        Expired = "expired",
        /// No answer by the deadline.
        TimedOut = "timed_out",
    }
}
label! {
    /// A step of a transaction inside the switch.
    Stage {
        /// Bytes to fields.
        Parse = "parse",
        /// Is it a copy?
        Duplicate = "duplicate",
        /// Velocity, limits and lists.
        Risk = "risk",
        /// Choice of issuer, link and STAN.
        Route = "route",
        /// Until the intent is durable.
        IntentSync = "intent_sync",
        /// Until the outcome is durable.
        OutcomeSync = "outcome_sync",
        /// Until PostgreSQL has it, where answers wait for that.
        PostgresWait = "postgres_wait",
        /// Encoding and writing of the answer.
        Reply = "reply",
    }
}
label! {
    /// Who declined.
    Origin {
        /// The issuer.
        Issuer = "issuer",
        /// Inline risk.
        Risk = "risk",
        /// The switch: it found nobody to ask.
        Switch = "switch",
    }
}
label! {
    /// Why it was declined.
    DeclineReason {
        /// 51.
        InsufficientFunds = "insufficient_funds",
        /// 05.
        DoNotHonour = "do_not_honour",
        /// 54.
        ExpiredCard = "expired_card",
        /// 55, 75.
        Pin = "pin",
        /// 62, also by a block list of ours.
        RestrictedCard = "restricted_card",
        /// 61, also by a limit of ours.
        AmountLimit = "amount_limit",
        /// Sum over a window of ours.
        VelocityAmount = "velocity_amount",
        /// 65, also by a window of ours.
        VelocityCount = "velocity_count",
        /// 59, 34.
        Fraud = "fraud",
        /// 91, 96, 68: the issuer itself is in trouble.
        IssuerFailure = "issuer_failure",
        /// No route is configured.
        NoRoute = "no_route",
        /// Routes exist, none admits.
        NoneAdmits = "none_admits",
        /// A completion request names nothing that is known.
        UnknownOriginal = "unknown_original",
        /// A completion request names what was reversed.
        ReversedOriginal = "reversed_original",
        /// A completion request is above what its listener lets through.
        OverOriginal = "over_original",
        /// Any other code.
        Other = "other",
    }
}
label! {
    /// Why a session ended.
    CloseReason {
        /// The acquirer closed it.
        Peer = "peer",
        /// A frame that cannot be one, or too many bad ones.
        Frame = "frame",
        /// A frame did not end in time.
        Deadline = "deadline",
        /// The acquirer answers no echo.
        Silent = "silent",
        /// The acquirer does not read its answers.
        SlowReader = "slow_reader",
        /// Too many sessions.
        Limit = "limit",
        /// Too many connections of its address.
        AddressLimit = "address_limit",
        /// Its TLS handshake failed, or nobody is known by its certificate.
        Tls = "tls",
        /// Its certificate has ended, or was withdrawn.
        Certificate = "certificate",
        /// The process is stopping.
        Drain = "drain",
        /// The connection broke.
        Error = "error",
    }
}
label! {
    /// How a TLS handshake ended.
    TlsResult {
        /// Done.
        Ok = "ok",
        /// Not within five seconds.
        Timeout = "timeout",
        /// For the certificate of one side.
        Refused = "refused",
        /// Too many ran.
        Limit = "limit",
        /// Anything else.
        Error = "error",
    }
}
label! {
    /// What became of files of TLS that were read again.
    TlsReload {
        /// In force.
        Ok = "ok",
        /// Refused: the ones before are.
        Refused = "refused",
    }
}
label! {
    /// What became of keys of account numbers that were read again.
    KeyReload {
        /// In force.
        Ok = "ok",
        /// Refused: the ones before are.
        Refused = "refused",
    }
}
label! {
    /// What became of credentials of gateways that were read again.
    CredentialReload {
        /// In force.
        Ok = "ok",
        /// Refused: the ones before are.
        Refused = "refused",
    }
}
label! {
    /// Why a connection could not be accepted.
    AcceptError {
        /// The process is out of descriptors.
        FdLimit = "fd_limit",
        /// Anything else.
        Other = "other",
    }
}
label! {
    /// Where another clock stands.
    SkewDirection {
        /// Its time is before ours, or the same.
        Behind = "behind",
        /// Its time is after ours.
        Ahead = "ahead",
    }
}
label! {
    /// Whose message it is.
    Side {
        /// An acquirer's.
        Acquirer = "acquirer",
        /// An issuer's.
        Issuer = "issuer",
    }
}
label! {
    /// Why bytes were no message.
    ParseReason {
        /// The length in front of a frame.
        Frame = "frame",
        /// The message ends inside a field.
        Truncated = "truncated",
        /// The type indicator.
        Mti = "mti",
        /// A bitmap.
        Bitmap = "bitmap",
        /// A field that the dialect does not know.
        Undefined = "undefined",
        /// A field's length.
        Length = "length",
        /// A character outside of a field's class.
        Content = "content",
        /// Bytes after the last field.
        Trailing = "trailing",
        /// Well-formed, but a field that its type needs is missing or wrong.
        Meaning = "meaning",
    }
}
label! {
    /// Why a message was not taken for what it says.
    MacFailure {
        /// It has no MAC, or not as its last field.
        Missing = "missing",
        /// Its MAC belongs to other bytes or to another key.
        Wrong = "wrong",
    }
}
label! {
    /// How a call of an issuer ended.
    IssuerResult {
        /// In the approval set.
        Approved = "approved",
        /// Any other code.
        Declined = "declined",
        /// No answer by the deadline.
        Timeout = "timeout",
        /// An answer that could not be used, or one that says that the issuer is in trouble.
        Error = "error",
        /// Provably nothing left for it.
        NotSent = "not_sent",
    }
}
label! {
    /// Why a message cannot be written for an issuer.
    UnwritableReason {
        /// The issuer's dialect does not have a field as it is.
        Field = "field",
        /// It is too long, or holds the byte that would end its frame.
        Frame = "frame",
        /// The issuer's dialect has no room for the MAC.
        Mac = "mac",
    }
}
label! {
    /// A connection to an issuer.
    LinkState {
        /// Not connected.
        Down = "down",
        /// Connected, not signed on.
        Connected = "connected",
        /// Takes financial traffic.
        Up = "up",
        /// Takes no new traffic.
        Draining = "draining",
        /// Signed on, waiting for a key.
        SignedOn = "signed_on",
        /// Signed off by either side.
        SignedOff = "signed_off",
        /// Left alone for a minute: its answers could not be what they said.
        Quarantined = "quarantined",
    }
}
label! {
    /// What became of a link that kept failing.
    EjectionLabel {
        /// It is left out for a while.
        Ejected = "ejected",
        /// It is used again.
        Returned = "returned",
    }
}
label! {
    /// Why an answer of an issuer belongs to nothing that waits.
    UnmatchedReason {
        /// Its request has timed out.
        Late = "late",
        /// Nobody knows it.
        Unknown = "unknown",
        /// Its STAN is in flight, other fields differ.
        Mismatch = "mismatch",
        /// Its request was answered before.
        Duplicate = "duplicate",
    }
}
label! {
    /// An issuer's breaker, in order of gravity: over the shards the gravest counts.
    BreakerLabel {
        /// Admits.
        Closed = "closed",
        /// Probes.
        HalfOpen = "half_open",
        /// Rejects.
        Open = "open",
    }
}
label! {
    /// Why a reversal is owed.
    ReversalCauseLabel {
        /// No answer by the deadline.
        Timeout = "timeout",
        /// The acquirer asked for it.
        Requested = "requested",
        /// The answer could not be used.
        InvalidAnswer = "invalid_answer",
        /// A restart found the intent without outcome.
        Restart = "restart",
        /// The approval could not be told, and nobody asked for it again.
        Undelivered = "undelivered",
    }
}
label! {
    /// What became of something that is owed.
    OwedResultLabel {
        /// It is owed.
        Owed = "owed",
        /// The issuer took it.
        Acknowledged = "acknowledged",
        /// The issuer refused it three times.
        Refused = "refused",
        /// Its time ran out.
        Expired = "expired",
        /// An operator took it out.
        Dropped = "dropped",
    }
}
label! {
    /// Who decided what an advice reports.
    AdviceOriginLabel {
        /// The acquirer.
        Acquirer = "acquirer",
        /// The switch, in place of an issuer.
        StandIn = "stand_in",
    }
}
label! {
    /// What people have to look at.
    ExceptionReason {
        /// An advice was refused three times.
        AdviceRefused = "advice_refused",
        /// An advice's time ran out.
        AdviceExpired = "advice_expired",
        /// An operator took an advice out.
        AdviceDropped = "advice_dropped",
        /// An advice completes what had been reversed: its issuer is not told.
        AdviceOfReversed = "advice_of_reversed",
        /// An advice completes what an issuer has that was removed: nobody is told.
        AdviceOfRemoved = "advice_of_removed",
        /// An advice completes more than its listener lets through.
        AdviceOverOriginal = "advice_over_original",
        /// A reversal was refused three times.
        ReversalRefused = "reversal_refused",
        /// A reversal's time ran out.
        ReversalExpired = "reversal_expired",
        /// An operator took a reversal out.
        ReversalDropped = "reversal_dropped",
        /// A second answer of an issuer contradicts its first.
        AnswerConflict = "answer_conflict",
        /// A request bears the key of another one and says something else.
        CopyConflict = "copy_conflict",
        /// A reversal's original may have been forgotten for want of room.
        OriginalForgotten = "original_forgotten",
        /// The totals of a party are others than ours.
        OutOfBalance = "out_of_balance",
        /// A reconciliation was refused three times.
        ReconciliationRefused = "reconciliation_refused",
        /// A reconciliation's time ran out.
        ReconciliationExpired = "reconciliation_expired",
        /// A transaction found no room in the totals.
        Uncounted = "uncounted",
    }
}
label! {
    /// How an administrative message ended.
    AdministrativeResult {
        /// Its issuer's answer was passed on.
        Answered = "answered",
        /// Its issuer did not answer in time.
        TimedOut = "timed_out",
        /// No route leads anywhere.
        NoRoute = "no_route",
        /// None of its candidates admits.
        NoneAdmits = "none_admits",
        /// As many wait for issuers as may.
        Full = "full",
        /// Its answer cannot be used, or the network gave it back.
        Failed = "failed",
        /// A newer copy has taken its place.
        Replaced = "replaced",
        /// Another one of the same key waits.
        Conflict = "conflict",
    }
}
label! {
    /// What a reconciliation came to.
    ReconciliationResult {
        /// Both sides say the same.
        InBalance = "in_balance",
        /// They do not.
        OutOfBalance = "out_of_balance",
        /// Nothing was compared.
        Unknown = "unknown",
        /// The message could not be used.
        Error = "error",
        /// A copy got the earlier result.
        Repeated = "repeated",
        /// One of ours is owed to an issuer.
        Owed = "owed",
        /// The issuer has refused it three times.
        Refused = "refused",
        /// Its time ran out.
        Expired = "expired",
    }
}
label! {
    /// What risk said.
    RiskVerdict {
        /// May go to an issuer.
        Allow = "allow",
        /// Declined.
        Decline = "decline",
    }
}
label! {
    /// What the journal was doing when it failed.
    JournalOp {
        /// Writing a batch.
        Write = "write",
        /// Making it durable.
        Sync = "sync",
        /// Preparing a segment.
        Prepare = "prepare",
    }
}
label! {
    /// What became of a record in PostgreSQL.
    ApplierRow {
        /// Its rows were committed.
        Inserted = "inserted",
        /// It was there already.
        Duplicate = "duplicate",
        /// The tables refused it.
        Quarantined = "quarantined",
    }
}
label! {
    /// Why a log line was dropped.
    LogDropCause {
        /// The writer was behind.
        Queue = "queue",
    }
}
