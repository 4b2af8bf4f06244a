//! `dohle storage random-uuid`: an id that can stand for a cluster or a directory.

use dohle_base::Uuid;
use dohle_os::seeded_rng;

use crate::{
    ending::{Ending, Failure, Outcome},
    say,
};

/// Prints an id.
pub(crate) fn run() -> Outcome {
    let mut rng = seeded_rng().map_err(Failure::new)?;
    say::result(Uuid::random(&mut rng))?;
    Ok(Ending::Done)
}
