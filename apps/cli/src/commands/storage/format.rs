//! `dohle storage format`: log directories become a node's, before its first start.

use std::collections::BTreeMap;

use dohle_base::Str;
use dohle_metadata::{METADATA_VERSION, MetadataVersion};
use dohle_os::{Clock, OsDisk, seeded_rng};
use dohle_server::storage::{
    FormatRequest, Formatted, InitialControllers, format, parse_initial_controllers,
};

use super::{ConfigArgs, feature_level, release};
use crate::{
    ending::{Ending, Failure, Outcome},
    properties_file::{self, NodeFile},
    say,
};

/// Arguments of `dohle storage format`.
#[derive(Debug, clap::Args)]
pub(crate) struct FormatArgs {
    #[command(flatten)]
    config: ConfigArgs,

    /// The cluster that the node is to belong to; random-uuid makes an id
    #[arg(short = 't', long, value_name = "ID", allow_hyphen_values = true)]
    cluster_id: String,

    /// Credentials to begin with (not supported yet)
    #[arg(short = 'S', long, value_name = "SCRAM_CREDENTIAL")]
    add_scram: Vec<String>,

    /// Pass over directories that are formatted already, and format the others
    #[arg(short = 'g', long)]
    ignore_formatted: bool,

    /// The release whose feature levels the cluster begins with, such as 4.4; the latest if not given
    #[arg(short, long, value_name = "RELEASE")]
    release_version: Option<String>,

    /// A feature with the level that the cluster begins with; may be given more than once
    #[arg(short, long = "feature", value_name = "NAME=LEVEL")]
    features: Vec<String>,

    #[command(flatten)]
    controllers: ControllerArgs,
}

/// Who votes at first. One of these is needed on a controller without controller.quorum.voters.
#[derive(Debug, clap::Args)]
#[group(multiple = false)]
struct ControllerArgs {
    /// This controller is the whole quorum
    #[arg(short, long)]
    standalone: bool,

    /// This node joins a quorum later
    #[arg(short = 'N', long)]
    no_initial_controllers: bool,

    /// These controllers are the quorum: ID@HOST:PORT:DIRECTORY, separated by commas; the same on
    /// all nodes
    #[arg(short = 'I', long, value_name = "CONTROLLERS")]
    initial_controllers: Option<String>,
}

/// Formats the directories.
pub(crate) fn run(args: &FormatArgs) -> Outcome {
    if !args.add_scram.is_empty() {
        return Err(Failure::new(
            "--add-scram is not supported yet: this version has no SASL, so nobody could use the \
             credentials",
        ));
    }
    let NodeFile { config, .. } = properties_file::read(&args.config.config, &[])?;
    let listener = config.listeners.controller_names.first().map_or("CONTROLLER", Str::as_str);
    let release = args.release_version.as_deref().map(release).transpose()?;
    let request = FormatRequest {
        cluster_id: args.cluster_id.as_str().into(),
        controllers: controllers(&args.controllers, listener)?,
        release,
        features: features(&args.features)?,
        ignore_formatted: args.ignore_formatted,
    };
    let mut rng = seeded_rng().map_err(Failure::new)?;
    let now = Clock::start().now().wall;
    let formatted = format(&OsDisk, &config, &request, now, &mut rng).map_err(Failure::new)?;
    say::result(report(&formatted))?;
    Ok(Ending::Done)
}

fn controllers(args: &ControllerArgs, listener: &str) -> Result<InitialControllers, Failure> {
    Ok(match &args.initial_controllers {
        Some(text) => {
            let voters = parse_initial_controllers(text, listener).map_err(Failure::new)?;
            InitialControllers::Voters(voters)
        }
        None if args.standalone => InitialControllers::Standalone,
        None if args.no_initial_controllers => InitialControllers::Later,
        None => InitialControllers::Unsaid,
    })
}

fn features(texts: &[String]) -> Result<BTreeMap<Str, i16>, Failure> {
    let mut features = BTreeMap::new();
    for text in texts {
        let (name, level) = feature_level(text)?;
        features.insert(name.into(), level);
    }
    Ok(features)
}

fn report(formatted: &Formatted) -> String {
    let mut lines: Vec<String> = formatted
        .unreadable
        .iter()
        .map(|(path, content)| format!("Passing over log directory {}: {content}", path.display()))
        .collect();
    let release = MetadataVersion(formatted.levels.level(METADATA_VERSION));
    lines.extend(formatted.directories.iter().map(|directory| {
        let (kind, path) = (directory.kind, directory.path.display());
        format!("Formatting {kind} {path} with {METADATA_VERSION} {release}.")
    }));
    if formatted.directories.is_empty() {
        lines.push("All of the log directories are already formatted.".into());
    }
    lines.join("\n")
}
