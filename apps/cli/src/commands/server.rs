//! `dohle server FILE`: a node as its `server.properties` says.

use std::{fmt::Write as _, path::PathBuf};

use dohle_server::Node;

use super::node;
use crate::{
    ending::{Failure, Outcome},
    properties_file::{self, NodeFile},
    say,
};

/// Arguments of `dohle server`.
#[derive(Debug, clap::Args)]
pub(crate) struct ServerArgs {
    /// The configuration of the node, Kafka's server.properties
    file: PathBuf,

    /// A setting that wins over the file; may be given more than once
    #[arg(long = "override", value_name = "KEY=VALUE")]
    overrides: Vec<String>,
}

/// Serves until a signal asks to stop.
pub(crate) fn run(args: &ServerArgs) -> Outcome {
    let NodeFile { settings, config } = properties_file::read(&args.file, &args.overrides)?;
    let unsupported = settings.unsupported();
    if !unsupported.is_empty() {
        let name = args.file.display();
        return Err(Failure::all(unsupported.iter().map(|error| format!("{name}: {error}"))));
    }
    node::serve(settings, config, Vec::new(), |node| say::result(hello(node)))
}

fn hello(node: &Node) -> String {
    let mut line = String::from("dohle serves");
    for (name, address) in node.addresses() {
        // Writing to a String does not fail.
        let _ = write!(line, " {name}://{address}");
    }
    let _ = write!(line, " in cluster {}", node.cluster_id());
    line
}
