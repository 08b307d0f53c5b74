//! Why events do not leave.

use std::fmt;

use rdkafka::error::{KafkaError, RDKafkaErrorCode};

/// Why events do not leave. A closed set: it becomes a metric label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Reason {
    /// A broker, or all of them, cannot be reached or does not answer.
    Unreachable = 0,
    /// A certificate, a name or a password is not accepted, by either side.
    Authentication = 1,
    /// Known, but not allowed to write.
    Authorisation = 2,
    /// There is no such topic.
    Topic = 3,
    /// The topic takes no event of this size.
    TooLarge = 4,
    /// The producer has lost the order of events and must not go on: another one does.
    Fatal = 5,
    /// A setting or a secret cannot be used.
    Settings = 6,
    /// The journal cannot be read.
    Journal = 7,
    /// The watermark cannot be read, believed or written.
    Watermark = 8,
    /// Every other.
    Other = 9,
}

impl Reason {
    /// How many there are.
    pub const COUNT: usize = 10;
    /// All of them, by position.
    pub const ALL: [Self; Self::COUNT] = [
        Self::Unreachable,
        Self::Authentication,
        Self::Authorisation,
        Self::Topic,
        Self::TooLarge,
        Self::Fatal,
        Self::Settings,
        Self::Journal,
        Self::Watermark,
        Self::Other,
    ];

    /// The label.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::Authentication => "authentication",
            Self::Authorisation => "authorisation",
            Self::Topic => "topic",
            Self::TooLarge => "too_large",
            Self::Fatal => "fatal",
            Self::Settings => "settings",
            Self::Journal => "journal",
            Self::Watermark => "watermark",
            Self::Other => "other",
        }
    }

    /// Whether only a person can help.
    pub(crate) const fn needs_a_person(self) -> bool {
        match self {
            Self::Authentication
            | Self::Authorisation
            | Self::Topic
            | Self::TooLarge
            | Self::Settings
            | Self::Watermark => true,
            Self::Unreachable | Self::Fatal | Self::Journal | Self::Other => false,
        }
    }

    /// What a failure of the library means.
    pub(crate) fn of(error: &KafkaError) -> Self {
        match error {
            KafkaError::ClientConfig(..) | KafkaError::ClientCreation(_) => Self::Settings,
            _ => error
                .rdkafka_error_code()
                .map_or(Self::Other, Self::of_code),
        }
    }

    fn of_code(code: RDKafkaErrorCode) -> Self {
        use RDKafkaErrorCode as Code;
        match code {
            Code::BrokerTransportFailure
            | Code::AllBrokersDown
            | Code::Resolve
            | Code::OperationTimedOut
            | Code::MessageTimedOut
            | Code::RequestTimedOut
            | Code::NetworkException
            | Code::BrokerNotAvailable
            | Code::LeaderNotAvailable
            | Code::NotLeaderForPartition
            | Code::NotEnoughReplicas
            | Code::NotEnoughReplicasAfterAppend => Self::Unreachable,
            Code::Authentication
            | Code::SSL
            | Code::SaslAuthenticationFailed
            | Code::UnsupportedSASLMechanism => Self::Authentication,
            Code::TopicAuthorizationFailed | Code::ClusterAuthorizationFailed => {
                Self::Authorisation
            }
            Code::UnknownTopic
            | Code::UnknownTopicOrPartition
            | Code::UnknownPartition
            | Code::InvalidTopic => Self::Topic,
            Code::MessageSizeTooLarge | Code::MessageBatchTooLarge => Self::TooLarge,
            Code::Fatal | Code::GaplessGuarantee => Self::Fatal,
            _ => Self::Other,
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_its_position() {
        for (position, reason) in Reason::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, position, "{reason}");
        }
    }

    #[test]
    fn a_failure_is_told_by_what_can_be_done_about_it() {
        let check = |code, reason| {
            assert_eq!(Reason::of(&KafkaError::MessageProduction(code)), reason);
        };
        check(RDKafkaErrorCode::AllBrokersDown, Reason::Unreachable);
        check(
            RDKafkaErrorCode::SaslAuthenticationFailed,
            Reason::Authentication,
        );
        check(
            RDKafkaErrorCode::TopicAuthorizationFailed,
            Reason::Authorisation,
        );
        check(RDKafkaErrorCode::UnknownTopicOrPartition, Reason::Topic);
        check(RDKafkaErrorCode::MessageSizeTooLarge, Reason::TooLarge);
        check(RDKafkaErrorCode::GaplessGuarantee, Reason::Fatal);
        check(RDKafkaErrorCode::InvalidRequiredAcks, Reason::Other);
        let settings = KafkaError::ClientCreation("no such file".to_owned());
        assert_eq!(Reason::of(&settings), Reason::Settings);
    }
}
