//! One node as a process: formatted once, started and killed as often as need be.

use std::{
    fs::{self, OpenOptions},
    io::{BufRead, BufReader},
    net::{Ipv4Addr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use tokio::sync::oneshot;

/// How long a start may take before it counts as never.
const START_MAX: Duration = Duration::from_secs(120);
/// The same of a stop.
const STOP_MAX: Duration = Duration::from_secs(120);
/// A thread that a signal has stopped.
const STOPPED: char = 'T';
/// One that has ended, and is there for its parent only.
const GONE: char = 'Z';
/// Those and one in the system that no signal reaches, as in a sync.
const AT_REST: [char; 3] = [STOPPED, GONE, 'D'];
/// Any id will do.
const CLUSTER_ID: &str = "AAAAAAAAAAAAAAAAAAAAAg";

/// Where a node keeps what.
pub(crate) struct Layout {
    /// Its log and its configuration; survives whatever happens to the data.
    pub(crate) dir: PathBuf,
    /// The log directories; the first one has the metadata,
    pub(crate) data: Vec<PathBuf>,
    /// unless they lie apart.
    pub(crate) metadata: Option<PathBuf>,
}

/// A node, running or not.
pub(crate) struct Node {
    binary: PathBuf,
    properties: PathBuf,
    log: PathBuf,
    port: u16,
    process: Option<Child>,
    /// How many files it may have open, if not as many as this program.
    handles: Option<usize>,
}

/// A start that is under way: the first line that the node says, which comes when it serves.
pub(crate) struct Starting {
    begun: Instant,
    hello: oneshot::Receiver<String>,
}

impl Node {
    /// Writes the configuration and formats the directories.
    pub(crate) fn format(binary: &Path, layout: &Layout, overrides: &[String]) -> Result<Self> {
        let binary = fs::canonicalize(binary)
            .with_context(|| format!("{}: build it, or give --binary", binary.display()))?;
        let (port, controller_port) = free_ports()?;
        let text = properties(layout, port, controller_port, overrides);
        let properties = layout.dir.join("server.properties");
        fs::write(&properties, text)?;
        let output = Command::new(&binary)
            .args(["storage", "format", "--standalone", "-t", CLUSTER_ID, "-c"])
            .arg(&properties)
            .output()
            .context("dohle storage format")?;
        if !output.status.success() {
            bail!("format: {}", String::from_utf8_lossy(&output.stderr));
        }
        let log = layout.dir.join("node.log");
        Ok(Self { binary, properties, log, port, process: None, handles: None })
    }

    /// Where clients reach it.
    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Lets it have no more files open from the next start on.
    pub(crate) fn limit_handles(&mut self, handles: usize) {
        self.handles = Some(handles);
    }

    /// The process.
    pub(crate) fn id(&self) -> Option<u32> {
        self.process.as_ref().map(Child::id)
    }

    /// Begins a start.
    pub(crate) fn start(&mut self) -> Result<Starting> {
        let log = OpenOptions::new().create(true).append(true).open(&self.log)?;
        // Whatever becomes of this program, the node does not stay.
        let mut command = match self.handles {
            None => Command::new("setpriv"),
            Some(handles) => {
                let mut command = Command::new("prlimit");
                command.arg(format!("--nofile={handles}:{handles}")).arg("setpriv");
                command
            }
        };
        let mut process = command
            .args(["--pdeathsig", "KILL", "--"])
            .arg(&self.binary)
            .arg("server")
            .arg(&self.properties)
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .context("dohle server")?;
        let output = process.stdout.take().context("the node's output")?;
        self.process = Some(process);
        let (says, hello) = oneshot::channel();
        std::thread::spawn(move || {
            let mut line = String::new();
            let _ = BufReader::new(output).read_line(&mut line); // Nothing if it is killed.
            let _ = says.send(line);
        });
        Ok(Starting { begun: Instant::now(), hello })
    }

    /// Waits until it serves; says how long it took.
    pub(crate) async fn ready(&mut self, starting: Starting) -> Result<Duration> {
        let hello = tokio::time::timeout(START_MAX, starting.hello).await;
        let line = hello.map_err(|_| anyhow::anyhow!("does not serve after {START_MAX:?}"))??;
        if line.starts_with("dohle serves") {
            return Ok(starting.begun.elapsed());
        }
        bail!("the node does not start: {line:?}; its log ends with\n{}", self.last_words());
    }

    /// Whether the process is there.
    pub(crate) fn is_alive(&mut self) -> bool {
        self.process.as_mut().is_some_and(|process| matches!(process.try_wait(), Ok(None)))
    }

    /// Stops the process where it is: when this returns it tells nobody anything any more, but the system
    /// may be in the middle of what a thread has asked for.
    pub(crate) fn freeze(&self) -> Result<()> {
        // The signal waits until one thread has a core to take it on; the others go on until then, on a
        // busy machine for long enough to be told of a sync and to answer. From then on a thread that is
        // still in the system does not come back from there.
        self.stop_threads(|threads| threads.contains(&STOPPED))?;
        self.stop_threads(|threads| threads.iter().all(|state| AT_REST.contains(state)))
    }

    /// The same, and none of its threads is in the middle of something.
    pub(crate) fn hold(&self) -> Result<()> {
        self.stop_threads(|threads| threads.iter().all(|state| [STOPPED, GONE].contains(state)))
    }

    fn stop_threads(&self, are_stopped: impl Fn(&[char]) -> bool) -> Result<()> {
        let Some(process) = &self.process else { return Ok(()) };
        kill_process(Pid::from_child(process), Signal::STOP).context("SIGSTOP")?;
        let tasks = PathBuf::from(format!("/proc/{}/task", process.id()));
        let begun = Instant::now();
        loop {
            let threads = states(&tasks)?;
            if are_stopped(&threads) || threads.iter().all(|state| *state == GONE) {
                return Ok(());
            }
            ensure!(begun.elapsed() < STOP_MAX, "threads of the node do not stop: {threads:?}");
            std::thread::sleep(Duration::from_micros(100));
        }
    }

    /// Lets it go on.
    pub(crate) fn let_go(&self) -> Result<()> {
        let Some(process) = &self.process else { return Ok(()) };
        kill_process(Pid::from_child(process), Signal::CONT).context("SIGCONT")
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self) -> Result<()> {
        if let Some(mut process) = self.process.take() {
            process.kill()?;
            process.wait()?;
        }
        Ok(())
    }

    /// Asks it to stop, and waits until it has.
    pub(crate) fn stop(&mut self) -> Result<()> {
        if let Some(mut process) = self.process.take() {
            kill_process(Pid::from_child(&process), Signal::TERM)?;
            let begun = Instant::now();
            while process.try_wait()?.is_none() {
                if begun.elapsed() > STOP_MAX {
                    process.kill()?;
                    process.wait()?;
                    bail!("does not stop within {STOP_MAX:?}");
                }
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        Ok(())
    }

    /// All that its log says.
    pub(crate) fn said(&self) -> Result<String> {
        Ok(String::from_utf8_lossy(&fs::read(&self.log)?).into_owned())
    }

    /// The lines of its log with a panic in them.
    pub(crate) fn panics(&self) -> Result<Vec<String>> {
        let said = self.said()?;
        Ok(said.lines().filter(|line| line.contains("panicked")).map(str::to_owned).collect())
    }

    fn last_words(&self) -> String {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        let lines = text.lines().collect::<Vec<_>>();
        lines[lines.len().saturating_sub(8)..].join("\n")
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.kill(); // It may have ended by itself.
    }
}

/// The states of the threads of a process, see proc(5).
fn states(tasks: &Path) -> Result<Vec<char>> {
    let mut found = Vec::new();
    for task in fs::read_dir(tasks)? {
        // A thread may end in between.
        let Ok(stat) = fs::read_to_string(task?.path().join("stat")) else { continue };
        // Behind the name, which may have anything in it.
        let state = stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next());
        found.push(state.context("a thread without a state")?);
    }
    Ok(found)
}

/// Below those that systems give to who asks for any, and at a distance from those of runs that were started
/// at the same time: while the node is down nobody else gets its port.
fn free_ports() -> Result<(u16, u16)> {
    let first = 26_000 + 10 * u16::try_from(std::process::id() % 500).unwrap_or_default();
    let is_free = |port: &u16| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok();
    let mut free = (first..32_000).filter(is_free);
    let mut port = || free.next().context("no port is free");
    Ok((port()?, port()?))
}

fn properties(layout: &Layout, port: u16, controller_port: u16, overrides: &[String]) -> String {
    let metadata = layout.metadata.as_ref();
    let metadata = metadata.map(|dir| format!("metadata.log.dir={}\n", dir.display()));
    let data: Vec<_> = layout.data.iter().map(|dir| dir.display().to_string()).collect();
    format!(
        "process.roles=broker,controller\n\
         node.id=1\n\
         listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}\n\
         controller.listener.names=CONTROLLER\n\
         controller.quorum.bootstrap.servers=127.0.0.1:{controller_port}\n\
         log.dirs={}\n\
         {}\
         log.segment.bytes=1048576\n\
         offsets.topic.num.partitions=2\n\
         offsets.topic.replication.factor=1\n\
         group.initial.rebalance.delay.ms=0\n\
         {}\n",
        data.join(","),
        metadata.unwrap_or_default(),
        overrides.join("\n"),
    )
}
