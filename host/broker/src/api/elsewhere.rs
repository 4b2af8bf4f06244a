//! What may take long, or wait for a disk, is done on another thread: the one of cold reads.

use tokio::task::{JoinError, JoinHandle, spawn_blocking};

/// Lets another thread, which may wait for a disk, do something: not, if nobody waits for it any more
/// when its turn comes.
pub(crate) async fn elsewhere<R: Send + 'static>(
    act: impl FnOnce() -> R + Send + 'static,
) -> Result<R, JoinError> {
    struct Task<R>(JoinHandle<R>);
    impl<R> Drop for Task<R> {
        fn drop(&mut self) {
            self.0.abort();
        }
    }
    let mut task = Task(spawn_blocking(act));
    (&mut task.0).await
}
