//! What clients are told when a log refuses or fails: the one conversion from `dohle_log`'s errors.

use dohle_base::ErrorCode;
use dohle_log::{AppendError, LogError, ProducerError, ReadError};
use dohle_records::BatchError;
use tracing::error;

use crate::{log_dirs::LogDir, partition::Partition};

/// The code for a refused or failed append, of which the disk was judged where it was made.
pub(crate) fn append_error(error: &AppendError, partition: &Partition) -> ErrorCode {
    match error {
        // Kafka fails where it would decompress, and where it cannot.
        AppendError::Batch(BatchError::UnknownCodec { .. } | BatchError::BadCompression { .. }) => {
            ErrorCode::UNKNOWN_SERVER_ERROR
        }
        AppendError::Batch(error) if error.is_corruption() => ErrorCode::CORRUPT_MESSAGE,
        AppendError::Batch(_) | AppendError::Control(_) | AppendError::Empty => {
            ErrorCode::INVALID_RECORD
        }
        AppendError::TooLarge { .. } => ErrorCode::MESSAGE_TOO_LARGE,
        AppendError::LargerThanSegment { .. } => ErrorCode::RECORD_LIST_TOO_LARGE,
        AppendError::Timestamp { .. } | AppendError::StampedByClient => {
            ErrorCode::INVALID_TIMESTAMP
        }
        AppendError::NoKey { .. } => ErrorCode::INVALID_RECORD,
        AppendError::Producer(error) => producer_error(*error),
        AppendError::OutOfOrder { .. } | AppendError::StaleLeaderEpoch { .. } => {
            error!(%partition, "an append that the leader must not see: {error}");
            ErrorCode::UNKNOWN_SERVER_ERROR
        }
        AppendError::Log(error) => {
            error!(%partition, "{error}");
            ErrorCode::KAFKA_STORAGE_ERROR
        }
    }
}

/// The code for a refused or failed read.
pub(crate) fn read_error(error: &ReadError, partition: &Partition) -> ErrorCode {
    read_error_in(&partition.log_dir(), error, partition)
}

/// The same, of a partition that may have moved since.
pub(crate) fn read_error_in(dir: &LogDir, error: &ReadError, partition: &Partition) -> ErrorCode {
    match error {
        ReadError::OutOfRange { .. } => ErrorCode::OFFSET_OUT_OF_RANGE,
        ReadError::Log(error) => log_error_in(dir, error, partition),
    }
}

/// The code for a disk that failed, or data that is damaged, in the directory where the partition was then. The
/// log says what and where. A disk that failed takes its log directory out of service.
pub(crate) fn log_error_in(dir: &LogDir, error: &LogError, partition: &Partition) -> ErrorCode {
    error!(%partition, "{error}");
    dir.judge_log(error);
    ErrorCode::KAFKA_STORAGE_ERROR
}

fn producer_error(error: ProducerError) -> ErrorCode {
    match error {
        ProducerError::StaleEpoch { .. } => ErrorCode::INVALID_PRODUCER_EPOCH,
        ProducerError::OutOfSequence { .. } => ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER,
        ProducerError::NotInTransaction { .. } | ProducerError::UnverifiedTransaction { .. } => {
            ErrorCode::INVALID_TXN_STATE
        }
        ProducerError::StaleCoordinator { .. } => ErrorCode::TRANSACTION_COORDINATOR_FENCED,
    }
}
