//! An image that records are applied to, with what an open transaction would give back.

use crate::{MetadataImage, MetadataRecord, ReplayError};

/// The image as of the last record. Between the beginning and the end of a transaction, the image
/// from before it is what others may see.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MetadataState {
    image: MetadataImage,
    before_transaction: Option<Box<MetadataImage>>,
}

impl MetadataState {
    /// Begins with an image, as read from a snapshot.
    pub fn new(image: MetadataImage) -> Self {
        Self { image, before_transaction: None }
    }

    /// Applies a record.
    ///
    /// # Errors
    /// The record does not fit; nothing changed.
    pub fn apply(&mut self, record: &MetadataRecord) -> Result<(), ReplayError> {
        match record {
            MetadataRecord::BeginTransaction(_) => {
                if self.in_transaction() {
                    return Err(ReplayError::NestedTransaction);
                }
                self.before_transaction = Some(Box::new(self.image.clone()));
                Ok(())
            }
            MetadataRecord::EndTransaction(_) => {
                self.before_transaction.take().map(drop).ok_or(ReplayError::NoTransaction)
            }
            MetadataRecord::AbortTransaction(_) => {
                let before = self.before_transaction.take().ok_or(ReplayError::NoTransaction)?;
                self.image = *before;
                Ok(())
            }
            record => self.image.apply(record),
        }
    }

    /// The image with all records, those of an open transaction too.
    pub fn image(&self) -> &MetadataImage {
        &self.image
    }

    /// The image without an open transaction: what may be published.
    pub fn stable_image(&self) -> &MetadataImage {
        self.before_transaction.as_deref().unwrap_or(&self.image)
    }

    /// Whether a transaction is open.
    pub fn in_transaction(&self) -> bool {
        self.before_transaction.is_some()
    }
}

#[cfg(test)]
mod tests;
