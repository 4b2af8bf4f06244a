//! `dohle dev`: a node without any set-up, for the machine of a developer.
//!
//! It listens on this machine only, keeps its data below one directory, formats that when it is
//! empty, and needs neither replicas nor patience: topics of its own have one replica, and the
//! first member of a group gets its partitions at once.

use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    time::Instant,
};

use dohle_base::Uuid;
use dohle_config::{BrokerConfig, NoProviders, NodeSettings, Properties};
use dohle_os::{Clock, DirLock, OsDisk, seeded_rng};
use dohle_server::{
    Node, Reserved,
    storage::{Content, FormatRequest, InitialControllers, format, survey},
};

use super::node;
use crate::{
    ending::{Failure, Outcome},
    say,
};

/// Where Kafka listens.
const PORT: u16 = 9092;

/// Arguments of `dohle dev`.
#[derive(Debug, clap::Args)]
pub(crate) struct DevArgs {
    /// Where to keep the data; it is made if it is missing
    #[arg(long, default_value = ".dohle", value_name = "DIR")]
    dir: PathBuf,

    /// The port to listen on; 0 takes any that is free
    #[arg(long, default_value_t = PORT)]
    port: u16,
}

/// Serves until a signal asks to stop.
pub(crate) fn run(args: &DevArgs) -> Outcome {
    let begun = Instant::now();
    let data = args.dir.join("data");
    let data_text = data
        .to_str()
        .ok_or_else(|| Failure::new(format!("--dir {}: is not valid UTF-8", args.dir.display())))?;
    if args.port > 0 {
        // Before anything is written: a second `dohle dev` in another directory must leave no trace.
        is_free(args.port).map_err(|error| taken(args.port, &error))?;
    }
    let mut reserved = Vec::new();
    let controller_port = controller_port(args.port, &mut reserved).map_err(Failure::new)?;
    let (settings, config) = configuration(args.port, controller_port, data_text)?;
    prepare(&data, &config)?;
    node::serve(settings, config, reserved, |node| say::result(hello(node, &args.dir, begun)))
}

fn taken(port: u16, error: &std::io::Error) -> Failure {
    Failure::new(match error.kind() {
        std::io::ErrorKind::AddrInUse => format!(
            "port {port} is taken by another process; choose another with --port, or let --port 0 \
             take any that is free"
        ),
        _ => format!("cannot listen on port {port}: {error}"),
    })
}

fn is_free(port: u16) -> std::io::Result<()> {
    TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).map(drop)
}

/// The next port, or any that is free and stays so. It is part of the format, so it is chosen before the node starts.
fn controller_port(port: u16, reserved: &mut Vec<Reserved>) -> std::io::Result<u16> {
    let beside = port.checked_add(1).filter(|beside| port > 0 && is_free(*beside).is_ok());
    if let Some(beside) = beside {
        return Ok(beside);
    }
    let any = Reserved::new(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
    let port = any.address().port();
    reserved.push(any);
    Ok(port)
}

fn configuration(
    port: u16,
    controller_port: u16,
    data: &str,
) -> Result<(NodeSettings, BrokerConfig), Failure> {
    let listeners =
        format!("PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}");
    let quorum = format!("127.0.0.1:{controller_port}");
    let properties: Properties = [
        ("process.roles", "broker,controller"),
        ("node.id", "1"),
        ("listeners", listeners.as_str()),
        ("controller.listener.names", "CONTROLLER"),
        ("controller.quorum.bootstrap.servers", quorum.as_str()),
        ("log.dirs", data),
        ("offsets.topic.replication.factor", "1"),
        // Fifty partitions are for many groups on many brokers.
        ("offsets.topic.num.partitions", "4"),
        ("transaction.state.log.replication.factor", "1"),
        ("transaction.state.log.min.isr", "1"),
        ("share.coordinator.state.topic.replication.factor", "1"),
        ("share.coordinator.state.topic.min.isr", "1"),
        ("group.initial.rebalance.delay.ms", "0"),
    ]
    .into_iter()
    .collect();
    let (settings, _) = NodeSettings::from_file(&properties, &NoProviders).map_err(Failure::new)?;
    let config = BrokerConfig::new(&settings).map_err(Failure::new)?;
    Ok((settings, config))
}

/// Formats the directory unless that was done before. Its lock keeps another `dohle dev` from doing
/// the same; the node takes it anew.
fn prepare(data: &Path, config: &BrokerConfig) -> Result<(), Failure> {
    std::fs::create_dir_all(data)
        .map_err(|error| Failure::new(format!("{}: {error}", data.display())))?;
    let _lock = DirLock::take(data).map_err(|error| {
        Failure::new(format!("{error}; stop that process, or choose another directory with --dir"))
    })?;
    let surveyed = survey(&OsDisk, config);
    if surveyed.iter().all(|one| matches!(one.content, Content::Formatted(_))) {
        return Ok(());
    }
    let mut rng = seeded_rng().map_err(Failure::new)?;
    let request = FormatRequest {
        cluster_id: Uuid::random(&mut rng).to_string().into(),
        controllers: InitialControllers::Standalone,
        ..FormatRequest::default()
    };
    let now = Clock::start().now().wall;
    format(&OsDisk, config, &request, now, &mut rng).map_err(Failure::new)?;
    Ok(())
}

fn hello(node: &Node, dir: &Path, begun: Instant) -> String {
    let address =
        node.addresses().find(|(name, _)| *name == "PLAINTEXT").map(|(_, address)| address);
    let address = address.unwrap_or_else(|| SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
    let bootstrap = match address.port() {
        PORT => String::new(),
        _ => format!(" --bootstrap {address}"),
    };
    format!(
        "dohle serves {address} (data in {}, started in {} ms)\n\
         \n\
         Try, in another terminal:\n  \
         dohle topic create hello{bootstrap}\n  \
         echo hello, world | dohle produce hello{bootstrap}\n  \
         dohle consume hello --from-beginning{bootstrap}\n\
         \n\
         Any Kafka client can connect. Ctrl-C stops; the data stays.",
        dir.display(),
        begun.elapsed().as_millis(),
    )
}
