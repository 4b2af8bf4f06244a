//! `dohle storage feature-dependencies`: what levels of features need.

use dohle_metadata::{METADATA_VERSION, MetadataVersion, feature};

use super::feature_level;
use crate::{
    ending::{Ending, Failure, Outcome},
    say,
};

/// Arguments of `dohle storage feature-dependencies`.
#[derive(Debug, clap::Args)]
pub(crate) struct FeatureDependenciesArgs {
    /// A feature with its level; may be given more than once
    #[arg(short, long = "feature", value_name = "NAME=LEVEL", required = true)]
    features: Vec<String>,
}

/// Prints what each level needs, up to the first that does not exist.
pub(crate) fn run(args: &FeatureDependenciesArgs) -> Outcome {
    for text in &args.features {
        let (name, level) = feature_level(text)?;
        say::result(dependencies(name, level)?)?;
    }
    Ok(Ending::Done)
}

fn dependencies(name: &str, level: i16) -> Result<String, Failure> {
    if name == METADATA_VERSION {
        let version = MetadataVersion(level);
        return match version.name() {
            Some(text) => Ok(format!("{name}={level} ({text}) has no dependencies.")),
            None => Err(Failure::new(format!("unknown {name} {level}"))),
        };
    }
    let known = feature(name).ok_or_else(|| Failure::new(format!("unknown feature {name}")))?;
    if !(0..=known.kafka_max).contains(&level) {
        let max = known.kafka_max;
        return Err(Failure::new(format!("{name} {level} does not exist; there are 0 to {max}")));
    }
    Ok(match known.needed_metadata_version(level) {
        Some(needed) => {
            format!("{name}={level} requires:\n    {METADATA_VERSION}={} ({needed})", needed.0)
        }
        None => format!("{name}={level} has no dependencies."),
    })
}
