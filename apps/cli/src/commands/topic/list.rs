//! `dohle topic list`.

use dohle_client::Admin;
use serde_json::json;

use crate::{
    ending::{Ending, Failure, Outcome},
    remote::RemoteArgs,
    say,
};

/// Arguments of `dohle topic list`.
#[derive(Debug, clap::Args)]
pub(crate) struct ListArgs {
    /// Topics that the broker keeps for itself, too
    #[arg(long)]
    internal: bool,

    /// As a JSON array
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    remote: RemoteArgs,
}

/// Prints the names, one a line.
pub(super) async fn run(args: ListArgs) -> Outcome {
    let admin = Admin::new(args.remote.connect().await?).map_err(Failure::new)?;
    let listed = admin.list_topics().await;
    let mut topics = listed.map_err(|error| args.remote.unanswered("list topics", &error))?;
    topics.retain(|topic| args.internal || !topic.internal);
    if args.json {
        let topics: Vec<_> = topics
            .iter()
            .map(|topic| {
                let (name, id) = (topic.name.as_str(), topic.id.to_string());
                json!({ "name": name, "id": id, "internal": topic.internal })
            })
            .collect();
        say::result(json!(topics))?;
    } else if !topics.is_empty() {
        let names: Vec<&str> = topics.iter().map(|topic| topic.name.as_str()).collect();
        say::result(names.join("\n"))?;
    }
    Ok(Ending::Done)
}
