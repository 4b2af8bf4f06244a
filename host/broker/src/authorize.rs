//! What a client may do.
//!
//! There is no authorizer yet: everyone may do everything, which is what Kafka answers too when none
//! is configured. The API files note what each key will ask.

/// Operations on a resource as a set: bit `n` stands for the operation with code `n`.
/// Source: interop facts C.1, operation codes.
const fn bits(operations: &[u32]) -> i32 {
    let (mut set, mut at) = (0, 0);
    while at < operations.len() {
        set |= 1 << operations[at];
        at += 1;
    }
    set
}

const READ: u32 = 3;
const WRITE: u32 = 4;
const CREATE: u32 = 5;
const DELETE: u32 = 6;
const ALTER: u32 = 7;
const DESCRIBE: u32 = 8;
const CLUSTER_ACTION: u32 = 9;
const DESCRIBE_CONFIGS: u32 = 10;
const ALTER_CONFIGS: u32 = 11;
const IDEMPOTENT_WRITE: u32 = 12;

/// What is told where the client did not ask.
pub(crate) const NOT_ASKED: i32 = i32::MIN;

/// All operations on a topic.
pub(crate) const ON_TOPIC: i32 =
    bits(&[READ, WRITE, CREATE, DELETE, ALTER, DESCRIBE, DESCRIBE_CONFIGS, ALTER_CONFIGS]);

/// All operations on a group.
pub(crate) const ON_GROUP: i32 = bits(&[READ, DELETE, DESCRIBE, DESCRIBE_CONFIGS, ALTER_CONFIGS]);

/// All operations on the cluster.
pub(crate) const ON_CLUSTER: i32 = bits(&[
    CREATE,
    ALTER,
    DESCRIBE,
    CLUSTER_ACTION,
    DESCRIBE_CONFIGS,
    ALTER_CONFIGS,
    IDEMPOTENT_WRITE,
]);

/// `operations`, if the client asked for them.
pub(crate) fn told(asked: bool, operations: i32) -> i32 {
    if asked { operations } else { NOT_ASKED }
}
