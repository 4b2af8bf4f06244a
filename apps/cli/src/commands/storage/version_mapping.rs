//! `dohle storage version-mapping`: with which levels a release is formatted.

use dohle_metadata::{
    ELR_VERSION, GROUP_VERSION, KRAFT_VERSION, METADATA_VERSION, MetadataVersion, SHARE_VERSION,
    STREAMS_VERSION, TRANSACTION_VERSION, feature,
};

use super::release;
use crate::{
    ending::{Ending, Outcome},
    say,
};

/// Kafka's order. Source: Kafka 4.4.0's output.
const ORDER: [&str; 6] = [
    KRAFT_VERSION,
    TRANSACTION_VERSION,
    GROUP_VERSION,
    ELR_VERSION,
    SHARE_VERSION,
    STREAMS_VERSION,
];

/// Arguments of `dohle storage version-mapping`.
#[derive(Debug, clap::Args)]
pub(crate) struct VersionMappingArgs {
    /// The release, such as 4.4 or 4.4-IV2; the latest if not given
    #[arg(short, long, value_name = "RELEASE")]
    release_version: Option<String>,
}

/// Prints the levels. A level that Kafka defaults to and that is not built here is lower.
pub(crate) fn run(args: &VersionMappingArgs) -> Outcome {
    let latest = MetadataVersion::LATEST.to_string();
    let name = args.release_version.as_deref().unwrap_or(&latest);
    let version = release(name)?;
    let mut lines = vec![format!("{METADATA_VERSION}={} ({name})", version.0)];
    for known in ORDER.into_iter().filter_map(feature) {
        lines.push(format!("{}={}", known.name, known.default_level(version)));
    }
    say::result(lines.join("\n"))?;
    Ok(Ending::Done)
}
