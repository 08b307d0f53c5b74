//! What the engine refuses to its caller. Peer data is never an error here.

use domain::ids::TransactionId;
use thiserror::Error;

/// Why a recovery cannot go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum RecoverError {
    /// The table is full of entries that may not be forgotten.
    #[error("journal holds more live transactions than the table; raise transactions_max")]
    TableExhausted,
    /// More reversals are owed than there is room for.
    #[error("journal holds more owed reversals than fit; raise saf_max")]
    SafExhausted,
    /// A record names an issuer that the configuration does not have.
    #[error("a reversal is owed to issuer {0}, which is not configured; restore its entry")]
    UnknownIssuer(u16),
    /// A reversal is owed for a transaction whose intent the journal does not hold.
    #[error("the intent of transaction {0} is missing; restore the older segments")]
    Orphan(TransactionId),
}
