//! A round that panics ends the node, whoever runs it, and no stop waits for the next one.

use super::*;

/// The next round panics.
fn break_rounds(node: &Node) {
    let way = node.dir.write_ahead();
    while !way.pending().is_writer_asleep {
        std::thread::yield_now();
    }
    way.rounds().take().into_iter().for_each(Rounds::end);
}

/// What the node is told, and whether it is that something has panicked; stops the directory.
fn told(node: Node) -> (Option<String>, bool) {
    let fatal = node.dir.write_ahead().alarm.fatal().clone();
    let told = runtime().block_on(async {
        let heard = tokio::time::timeout(SOON, fatal.heard()).await;
        heard.ok().map(str::to_owned)
    });
    let (stopped, is_stopped) = channel();
    std::thread::spawn(move || {
        node.dir.close(&node.partitions, 1, 1);
        stopped.send(node.dir.path.join(".kafka_cleanshutdown").exists()).unwrap();
    });
    assert_eq!(is_stopped.recv_timeout(SOON), Ok(false), "it is not left clean");
    (told, fatal.has_panicked())
}

fn reason() -> String {
    let what = "the writer has started, and not ended";
    format!("a round of the write-ahead log has panicked: {what}")
}

#[test]
fn of_a_network_thread() {
    let node = node(1);
    break_rounds(&node);
    runtime().block_on(async {
        begin_turns();
        yield_now().await;
        append(&node.partitions[0]);
        yield_now().await;
    });
    assert_eq!(told(node), (Some(reason()), true));
}

#[test]
fn of_the_writer() {
    let node = node(1);
    break_rounds(&node);
    append(&node.partitions[0]);
    assert_eq!(told(node), (Some(reason()), true));
}
