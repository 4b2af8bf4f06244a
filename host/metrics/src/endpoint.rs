//! The listener: HTTP/1.1, one thread of its own, `GET /metrics` and nothing else.
//!
//! It must not be able to harm the node that it tells of: few connections at once, a time for each
//! request's head, and no part of a request's body is read.

use std::{
    convert::Infallible,
    io,
    net::{SocketAddr, TcpListener},
    sync::Arc,
    thread::JoinHandle,
    time::Duration,
};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    Method, Request, Response, StatusCode, body::Incoming, header, server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    sync::{Semaphore, oneshot},
    task::LocalSet,
};
use tracing::debug;

/// Connections at once; more of them wait.
const CONNECTIONS_MAX: usize = 8;

/// How long a connection may stay silent before a request and within its head.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);

/// What Prometheus asks for.
const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Makes the page.
type Render = Arc<dyn Fn() -> String + Send + Sync>;

/// A listener that serves until it is dropped.
#[derive(Debug)]
pub struct Endpoint {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Endpoint {
    /// Listens at `address` and answers with what `render` makes at that moment.
    ///
    /// # Errors
    /// The address cannot be listened at, or the system has no thread to give.
    pub fn start(
        address: SocketAddr,
        render: impl Fn() -> String + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (stop, stopped) = oneshot::channel();
        let render: Render = Arc::new(render);
        let thread = std::thread::Builder::new().name("metrics".to_owned()).spawn(move || {
            let serving = LocalSet::new();
            let result = serving.block_on(&runtime, async {
                tokio::select! {
                    result = accept(listener, render) => result,
                    _ = stopped => Ok(()),
                }
            });
            if let Err(error) = result {
                tracing::error!("metrics are not served any longer: {error}");
            }
        })?;
        Ok(Self { address, stop: Some(stop), thread: Some(thread) })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join(); // It has told of its panic itself.
        }
    }
}

async fn accept(listener: TcpListener, render: Render) -> io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let permit = Arc::clone(&room).acquire_owned().await.map_err(io::Error::other)?;
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            // The client has gone, or there are no files left: both pass.
            Err(error) => {
                debug!("metrics: {error}");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let render = Arc::clone(&render);
        tokio::task::spawn_local(async move {
            let service = service_fn(|request| {
                let answer = answer(&request, &render);
                async { Ok::<_, Infallible>(answer) }
            });
            let mut connection = http1::Builder::new();
            connection.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT);
            if let Err(error) = connection.serve_connection(TokioIo::new(stream), service).await {
                debug!("metrics: {error}");
            }
            drop(permit);
        });
    }
}

fn answer(request: &Request<Incoming>, render: &Render) -> Response<Full<Bytes>> {
    let (status, kind, text) = match (request.uri().path(), request.method()) {
        ("/metrics", &Method::GET | &Method::HEAD) => (StatusCode::OK, TEXT, render()),
        ("/metrics", _) => {
            let text = "metrics are read with GET\n".to_owned();
            (StatusCode::METHOD_NOT_ALLOWED, "text/plain", text)
        }
        _ => (StatusCode::NOT_FOUND, "text/plain", "there is only /metrics\n".to_owned()),
    };
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(kind));
    response
}

#[cfg(test)]
mod tests;
