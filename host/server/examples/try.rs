use dohle_base::*;
use dohle_config::*;
use dohle_metadata::format::*;
fn main() {
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let dir = std::env::args().nth(1).unwrap();
    let port: u16 = std::env::args().nth(2).unwrap().parse().unwrap();
    let text = format!(
        "process.roles=broker,controller\nnode.id=1\nlisteners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{}\ncontroller.listener.names=CONTROLLER\ncontroller.quorum.bootstrap.servers=127.0.0.1:{}\nlog.dirs={dir}\noffsets.topic.replication.factor=1\ngroup.initial.rebalance.delay.ms=0\nnum.network.threads=2\n",
        port + 1,
        port + 1
    );
    let (settings, _w) =
        NodeSettings::from_file(&Properties::parse(&text).unwrap(), &NoProviders).unwrap();
    let config = BrokerConfig::new(&settings).unwrap();
    if !std::path::Path::new(&dir).join("meta.properties").exists() {
        std::fs::create_dir_all(format!("{dir}/__cluster_metadata-0")).unwrap();
        let mut rng = Rng::from_seed(std::process::id() as u64);
        let request = Request {
            cluster_id: Uuid::random(&mut rng).to_string().into(),
            node_id: BrokerId(1),
            quorum: dohle_metadata::format::Quorum::Standalone(vec![dohle_raft::Endpoint {
                listener: "CONTROLLER".into(),
                host: "127.0.0.1".into(),
                port: port + 1,
            }]),
            levels: Levels::choose(&LevelsRequest { dynamic_quorum: true, ..Default::default() })
                .unwrap(),
            scram: vec![],
            now: Timestamp(0),
        };
        for f in directory(&request, true, &mut rng).unwrap() {
            std::fs::write(format!("{dir}/{}", f.path), &f.content).unwrap();
        }
    }
    let node = dohle_server::Node::start(settings, config).unwrap_or_else(|e| {
        eprintln!("{e}");
        std::process::exit(1)
    });
    for a in node.addresses() {
        println!("{a:?}");
    }
    let mut s = String::new();
    std::io::stdin().read_line(&mut s).unwrap();
    node.shutdown();
}
