//! Running `dohle` and what the tests ask of it.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{Ipv4Addr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::{
        atomic::{AtomicU8, Ordering},
        mpsc::{self, RecvTimeoutError},
    },
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;

/// Nothing here takes longer, also on a machine that is busy with other tests.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// What the client commands of tests get: a busy disk may take half a minute for a sync.
pub(crate) const CLUSTER_TIMEOUT: [&str; 2] = ["--timeout", "60"];

/// What a command printed and how it ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl From<Output> for Ended {
    fn from(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("output is UTF-8");
        Self {
            code: output.status.code(),
            stdout: text(output.stdout),
            stderr: text(output.stderr),
        }
    }
}

impl Ended {
    /// Fails unless the command did what it should; gives what it printed.
    #[track_caller]
    pub(crate) fn well(self) -> String {
        assert_eq!(self.code, Some(0), "{self:?}");
        self.stdout
    }

    /// Fails unless the command failed with one line that has these parts and printed nothing else.
    #[track_caller]
    pub(crate) fn failed_with(self, parts: &[&str]) {
        assert_eq!((self.code, self.stdout.as_str()), (Some(1), ""), "{self:?}");
        let errors: Vec<&str> = self.stderr.lines().collect();
        assert_eq!(errors.len(), 1, "{self:?}");
        assert!(errors[0].starts_with("error: "), "{self:?}");
        for part in parts {
            assert!(errors[0].contains(part), "{part:?} is not in {self:?}");
        }
    }
}

/// `dohle`, without what the environment of the tests says.
pub(crate) fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dohle"));
    command.args(arguments).env_remove("DOHLE_BOOTSTRAP").env_remove("RUST_LOG");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Runs a command to its end.
pub(crate) fn dohle(arguments: &[&str]) -> Ended {
    ended(command(arguments).spawn().expect("dohle runs"))
}

/// Runs a command to its end, with lines to read.
pub(crate) fn dohle_with_input(arguments: &[&str], input: &str) -> Ended {
    let mut child = command(arguments).stdin(Stdio::piped()).spawn().expect("dohle runs");
    let mut stdin = child.stdin.take().expect("it is piped");
    let input = input.to_owned();
    // A command that fails does not read all, which is its right.
    thread::spawn(move || stdin.write_all(input.as_bytes()));
    ended(child)
}

/// Waits for the end, reading what is printed meanwhile. A command that does not end is killed, and
/// has no exit code then.
pub(crate) fn ended(child: Child) -> Ended {
    let id = child.id();
    let (done, is_done) = mpsc::channel::<()>();
    let watchdog = thread::spawn(move || {
        if is_done.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout) {
            let _ = Command::new("kill").args(["-KILL", &id.to_string()]).status();
        }
    });
    let output = child.wait_with_output().expect("it is our child");
    drop(done);
    watchdog.join().expect("it does not panic");
    output.into()
}

/// Sends a signal by its name.
pub(crate) fn signal(child: &Child, name: &str) {
    let status = Command::new("kill").args([&format!("-{name}"), &child.id().to_string()]).status();
    assert!(status.expect("there is a kill").success());
}

/// The cluster of the sites that are formatted.
pub(crate) const CLUSTER: &str = "ASNFZ4mrze8QMlR2mLrc_g";

/// The node of a formatted site.
pub(crate) fn serve(site: &Site) -> Dev {
    let child = command(&["server", &site.file, "--log", "warn"]).spawn().expect("dohle runs");
    Dev::greeted(child, "dohle serves ")
}

/// An address that nobody listens at, nor will: no other test uses this part of the loopback network.
pub(crate) fn free_address() -> String {
    static NEXT: AtomicU8 = AtomicU8::new(1);
    let host = Ipv4Addr::new(127, 0, 1, NEXT.fetch_add(1, Ordering::Relaxed));
    let listener = TcpListener::bind((host, 0)).expect("there is a port");
    listener.local_addr().expect("it is bound").to_string()
}

/// A node for one test: `dohle dev` on a port that is free.
pub(crate) struct Dev {
    child: Child,
    pub(crate) address: String,
}

impl Dev {
    pub(crate) fn start(dir: &Path) -> Self {
        let dir = dir.to_str().expect("a temporary directory is UTF-8");
        let child = command(&["dev", "--port", "0", "--dir", dir]).spawn().expect("dohle runs");
        Self::greeted(child, "dohle serves ")
    }

    /// The node behind a process that is about to say where it listens.
    pub(crate) fn greeted(mut child: Child, greeting: &str) -> Self {
        let mut stdout = BufReader::new(child.stdout.as_mut().expect("it is piped"));
        let mut line = String::new();
        stdout.read_line(&mut line).expect("it speaks UTF-8");
        let address = line.strip_prefix(greeting).and_then(|rest| rest.split(' ').next());
        let Some(address) = address else {
            let ended = ended(child);
            panic!("the node did not start: {line:?} {ended:?}");
        };
        let address = address.trim_start_matches("PLAINTEXT://").to_owned();
        Self { child, address }
    }

    /// Runs a client command against the node.
    pub(crate) fn run(&self, arguments: &[&str]) -> Ended {
        dohle(&self.with_address(arguments))
    }

    /// The same with lines to read.
    pub(crate) fn run_with_input(&self, arguments: &[&str], input: &str) -> Ended {
        dohle_with_input(&self.with_address(arguments), input)
    }

    /// Starts a client command and leaves it running.
    pub(crate) fn spawn(&self, arguments: &[&str]) -> Child {
        command(&self.with_address(arguments)).spawn().expect("dohle runs")
    }

    fn with_address<'a>(&'a self, arguments: &[&'a str]) -> Vec<&'a str> {
        [arguments, &["--bootstrap", &self.address], &CLUSTER_TIMEOUT].concat()
    }

    /// The id of its process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Stops the node cleanly and gives what it logged.
    pub(crate) fn stop_and_tell(mut self) -> String {
        let mut stderr = self.child.stderr.take().expect("it is piped");
        assert_eq!(self.stop("TERM"), Some(0));
        let mut log = String::new();
        stderr.read_to_string(&mut log).expect("it speaks UTF-8");
        log
    }

    /// Sends the node a signal.
    pub(crate) fn signal(&self, name: &str) {
        signal(&self.child, name);
    }

    /// Stops the node with a signal and says how it ended.
    pub(crate) fn stop(mut self, name: &str) -> Option<i32> {
        signal(&self.child, name);
        let begun = Instant::now();
        loop {
            match self.child.try_wait().expect("it is our child") {
                Some(status) => return status.code(),
                None if begun.elapsed() > PATIENCE => return None,
                None => thread::sleep(Duration::from_millis(5)),
            }
        }
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        // It has most likely ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A `server.properties` with its log directories, for one test.
pub(crate) struct Site {
    dir: TempDir,
    pub(crate) file: String,
}

impl Site {
    /// A combined node with two log directories, and more lines.
    pub(crate) fn new(more: &str) -> Self {
        let dir = tempfile::tempdir().expect("there is room");
        let path = dir.path().display();
        let text = format!(
            "process.roles=broker,controller\nnode.id=1\n\
             listeners=PLAINTEXT://127.0.0.1:0,CONTROLLER://127.0.0.1:0\n\
             controller.listener.names=CONTROLLER\n\
             controller.quorum.bootstrap.servers=127.0.0.1:19093\n\
             log.dirs={path}/a,{path}/b\noffsets.topic.replication.factor=1\n{more}"
        );
        let file = dir.path().join("server.properties");
        fs::write(&file, text).expect("there is room");
        let file = file.to_str().expect("a temporary directory is UTF-8").to_owned();
        Self { dir, file }
    }

    /// The same, formatted.
    pub(crate) fn formatted(more: &str) -> Self {
        let site = Self::new(more);
        site.format(CLUSTER, &["--standalone"]).well();
        site
    }

    pub(crate) fn path(&self, relative: &str) -> PathBuf {
        self.dir.path().join(relative)
    }

    /// A path in what is printed.
    pub(crate) fn shown(&self, relative: &str) -> String {
        self.path(relative).display().to_string()
    }

    /// Formats the directories with more arguments.
    pub(crate) fn format(&self, cluster_id: &str, arguments: &[&str]) -> Ended {
        let all = ["storage", "format", "-t", cluster_id, "-c", &self.file];
        dohle(&[&all[..], arguments].concat())
    }

    /// `meta.properties` of a directory, its lines without comments, sorted.
    pub(crate) fn meta_properties(&self, dir: &str) -> Vec<String> {
        let text = fs::read_to_string(self.path(dir).join("meta.properties")).expect("it is there");
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let mut lines: Vec<String> = lines.map(String::from).collect();
        lines.sort();
        lines
    }

    /// All files below a directory, relative to it, sorted.
    pub(crate) fn files(&self, dir: &str) -> Vec<String> {
        let root = self.path(dir);
        let mut files = Vec::new();
        let mut unseen = vec![root.clone()];
        while let Some(dir) = unseen.pop() {
            for entry in fs::read_dir(dir).expect("it can be listed") {
                let path = entry.expect("it can be listed").path();
                if path.is_dir() {
                    unseen.push(path);
                } else {
                    let relative = path.strip_prefix(&root).expect("it is below");
                    files.push(relative.display().to_string());
                }
            }
        }
        files.sort();
        files
    }
}
