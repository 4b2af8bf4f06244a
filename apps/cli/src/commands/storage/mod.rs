//! `dohle storage`: the directories of a node that is not running, with the flags of Kafka's
//! `kafka-storage`.

mod feature_dependencies;
mod format;
mod info;
mod random_uuid;
mod version_mapping;

use std::path::PathBuf;

use clap::Subcommand;
use dohle_metadata::MetadataVersion;

use crate::ending::{Failure, Outcome};

/// Arguments of `dohle storage`.
#[derive(Debug, clap::Args)]
pub(crate) struct StorageArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show whose the log directories of a node are
    Info(ConfigArgs),
    /// Format the log directories of a node
    Format(Box<format::FormatArgs>),
    /// Show the feature levels that a release is formatted with
    VersionMapping(version_mapping::VersionMappingArgs),
    /// Show what feature levels need
    FeatureDependencies(feature_dependencies::FeatureDependenciesArgs),
    /// Make a random id, for a cluster or a directory
    RandomUuid,
}

/// Which node.
#[derive(Debug, clap::Args)]
pub(crate) struct ConfigArgs {
    /// The configuration of the node, Kafka's server.properties
    #[arg(short, long, value_name = "FILE")]
    config: PathBuf,
}

/// Does what is asked.
pub(crate) fn run(args: &StorageArgs) -> Outcome {
    match &args.command {
        Command::Info(args) => info::run(args),
        Command::Format(args) => format::run(args),
        Command::VersionMapping(args) => version_mapping::run(args),
        Command::FeatureDependencies(args) => feature_dependencies::run(args),
        Command::RandomUuid => random_uuid::run(),
    }
}

/// The metadata.version of a release such as `4.4` or a level such as `4.4-IV2`.
fn release(text: &str) -> Result<MetadataVersion, Failure> {
    MetadataVersion::from_name(text).filter(|version| version.is_supported()).ok_or_else(|| {
        let known: Vec<String> =
            MetadataVersion::supported().map(|version| version.to_string()).collect();
        Failure::new(format!(
            "unknown metadata.version '{text}'; supported are {}",
            known.join(", ")
        ))
    })
}

/// Reads `NAME=LEVEL`.
fn feature_level(text: &str) -> Result<(&str, i16), Failure> {
    let level = text
        .split_once('=')
        .and_then(|(name, level)| Some((name.trim(), level.trim().parse().ok()?)));
    level.ok_or_else(|| {
        Failure::new(format!(
            "--feature {text}: is not of the form NAME=LEVEL, such as kraft.version=1"
        ))
    })
}
